//! The line that says each second what happens.

use std::time::Duration;

use swath_core::run::Ledger;

use crate::figures::rate;

/// Reasons that are named at most.
const REASONS: usize = 3;

/// What happened between two readings, `elapsed` apart.
#[derive(Debug)]
pub struct Line {
    start: String,
    /// By rate, the highest first.
    drops: Vec<(f64, String)>,
}

impl Line {
    /// The line of two readings; it says how long the engine has run.
    pub fn new(before: &Ledger, now: &Ledger, elapsed: Duration, since_start: Duration) -> Line {
        let seconds = elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        let per_second = |before: u64, now: u64| now.saturating_sub(before) as f64 / seconds;
        let mut drops: Vec<(f64, String)> = Vec::new();
        for (node, reasons) in &now.dropped {
            for (reason, count) in reasons {
                let before = before.dropped.get(node).and_then(|reasons| reasons.get(reason)).copied().unwrap_or(0);
                drops.push((per_second(before, *count), format!("{node}.{reason}")));
            }
        }
        drops.retain(|(rate, _)| *rate > 0.0);
        drops.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let start = format!(
            "{:>4} s  rx {}/s  tx {}/s  drop {}/s",
            since_start.as_secs_f64().round(),
            rate(per_second(before.received, now.received)),
            rate(per_second(before.sent, now.sent)),
            rate(drops.iter().map(|(rate, _)| rate).sum()),
        );
        Line { start, drops }
    }

    /// The text, with as many reasons as fit.
    pub fn text(&self, width: usize) -> String {
        let most = self.drops.len().min(REASONS);
        let texts = (0..=most).rev().map(|named| self.naming(named));
        let mut text = texts.into_iter().find(|text| text.chars().count() <= width).unwrap_or_else(|| self.start.clone());
        if let Some((end, _)) = text.char_indices().nth(width) {
            text.truncate(end);
        }
        text
    }

    fn naming(&self, named: usize) -> String {
        let mut reasons: Vec<String> =
            self.drops.iter().take(named).map(|(per_second, name)| format!("{name} {}", rate(*per_second))).collect();
        let more = self.drops.len() - named;
        if named > 0 && more > 0 {
            reasons.push(format!("{more} more"));
        }
        if reasons.is_empty() { self.start.clone() } else { format!("{}: {}", self.start, reasons.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_the_reasons_that_matter_most() {
        let drop = |ledger: &mut Ledger, node: &str, reason: &str, count: u64| {
            ledger.dropped.entry(node.into()).or_default().insert(reason.into(), count);
        };
        let mut before = Ledger { received: 1000, sent: 500, ..Ledger::default() };
        drop(&mut before, "lookup", "no-route", 500);
        let mut now = Ledger { received: 5_001_000, sent: 4_000_500, ..Ledger::default() };
        drop(&mut now, "lookup", "no-route", 900_500);
        drop(&mut now, "ip4", "bad-checksum", 60_000);
        drop(&mut now, "ip4", "too-short", 20_000);
        drop(&mut now, "rewrite", "ttl-expired", 20_001);
        drop(&mut now, "rewrite", "too-big", 0);
        let line = Line::new(&before, &now, Duration::from_secs(2), Duration::from_millis(2999));
        let start = "   3 s  rx 2.50 M/s  tx 2.00 M/s  drop 500 k/s";
        let all = format!("{start}: lookup.no-route 450 k, ip4.bad-checksum 30.0 k, rewrite.ttl-expired 10.0 k, 1 more");
        assert_eq!(line.text(usize::MAX), all);
        assert_eq!(line.text(all.len()), all);
        assert_eq!(line.text(all.len() - 1), format!("{start}: lookup.no-route 450 k, ip4.bad-checksum 30.0 k, 2 more"));
        assert_eq!(line.text(start.len() + 10), start);
        assert_eq!(line.text(7), "   3 s ");
    }

    #[test]
    fn nothing_is_said_of_drops_where_there_are_none() {
        let nothing = Ledger::default();
        let line = Line::new(&nothing, &nothing, Duration::ZERO, Duration::from_secs(12));
        assert_eq!(line.text(usize::MAX), "  12 s  rx 0/s  tx 0/s  drop 0/s");
    }
}
