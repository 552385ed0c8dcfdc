//! What has come of a storm.

use std::collections::BTreeMap;

use swath_core::run::Report;

use crate::load::FLOWS;

/// What the workers say of each reload, in microseconds.
#[derive(Default)]
pub struct Pauses {
    pauses: Vec<f64>,
    ebbs: Vec<f64>,
    spreads: Vec<f64>,
}

impl Pauses {
    pub fn add(&mut self, report: &Report) {
        self.pauses.extend(report.workers.iter().map(|worker| worker.pause * 1e6));
        self.ebbs.extend(report.workers.iter().map(|worker| worker.ebb * 1e6));
        self.spreads.push(report.spread * 1e6);
    }
}

#[derive(Default)]
pub struct Outcome {
    /// Packets, all of them.
    pub offered: u64,
    pub received: u64,
    pub sent: u64,
    pub dropped: BTreeMap<String, BTreeMap<String, u64>>,
    /// Those that found no room in a receive ring: the engine was late.
    pub overflows: u64,
    /// Those that the sink missed.
    pub missing: u64,
    /// Those that it had twice, or after a later one of the flow.
    pub late: u64,
    /// What is wrong with the ledgers.
    pub discrepancies: Vec<String>,
    /// By worker.
    pub swaps: Vec<u64>,
    pub reloads: u64,
    pub sessions_opened: u64,
    /// Packets a second that were sent before the first reload, and from then to the last.
    pub calm: f64,
    pub stormy: f64,
    pub pauses: Pauses,
}

impl Outcome {
    /// Packets that one worker had for another, and that found no room: that one was late.
    fn handoff_full(&self) -> u64 {
        self.dropped.values().filter_map(|reasons| reasons.get("handoff-full")).sum()
    }

    /// Every packet is accounted for, and none was lost but where a ring was full.
    pub fn check(&self) -> Result<(), String> {
        let dropped: u64 = self.dropped.values().flat_map(BTreeMap::values).sum();
        let wrong = [
            ("missing, but for those that found no room", self.missing, self.overflows + self.handoff_full()),
            ("doubled or overtaken", self.late, 0),
            ("dropped for another reason", dropped, self.handoff_full()),
            ("received", self.received + self.overflows, self.offered),
            ("sessions opened", self.sessions_opened, u64::from(FLOWS)),
        ];
        let wrong = wrong.into_iter().find(|(_, found, expected)| found != expected);
        if let Some((what, found, expected)) = wrong {
            return Err(format!("{what}: {found} instead of {expected}"));
        }
        match self.discrepancies.first() {
            Some(wrong) => Err(wrong.clone()),
            None if self.swaps.iter().any(|swaps| *swaps != self.reloads) => Err(format!("swaps: {:?}", self.swaps)),
            None => Ok(()),
        }
    }

    pub fn print(&mut self, what: &str) {
        let Outcome { offered, overflows, received, sent, dropped, swaps, reloads, pauses, .. } = self;
        println!(
            "{what}: {reloads} reloads, swaps observed by each worker {swaps:?}
  offered {offered}, lost in receive rings {overflows}, received {received}, sent {sent}, dropped {dropped:?}
  packets per second {:.0} without reloads, {:.0} with
  pauses {}
  of these ebb {}
  spread between workers {}",
            self.calm,
            self.stormy,
            quantiles(&mut pauses.pauses),
            quantiles(&mut pauses.ebbs),
            quantiles(&mut pauses.spreads)
        );
    }
}

fn quantiles(values: &mut [f64]) -> String {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values.get((values.len().saturating_sub(1) as f64 * share) as usize).copied().unwrap_or_default();
    format!("p50 {:.1} p99 {:.1} max {:.1} us", at(0.5), at(0.99), at(1.0))
}
