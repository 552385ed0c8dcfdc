//! All figures of a worker in one list: for a line, a page, or an exporter.

use std::time::Duration;

use super::counters::WorkerCounters;

/// What a worker has counted of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerFigures {
    /// Its index.
    pub worker: usize,
    /// The CPUs that it is bound to; none if the system chooses.
    pub cpus: Vec<usize>,
    /// Sweeps.
    pub sweeps: u64,
    /// Sweeps that found nothing to do.
    pub empty_sweeps: u64,
    /// Time spent with packets.
    pub busy: Duration,
    /// Time spent looking for packets.
    pub idle: Duration,
    /// Time blocked: the core was free for others.
    pub asleep: Duration,
    /// How often it has blocked.
    pub sleeps: u64,
    /// How often another thread has woken it.
    pub woken: u64,
    /// Packets handed to each worker, by index.
    pub handed: Vec<u64>,
    /// Slices of questions to tables that it has answered.
    pub slices: u64,
    /// The longest of them.
    pub longest_slice: Duration,
    /// Graphs that it has gone over to.
    pub swaps: u64,
    /// The longest time for which it looked after no packets because of that.
    pub longest_swap: Duration,
}

/// A figure with its name and its meaning, as an exporter wants it: durations in seconds, names with base units.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its name; what is counted ends in `_total`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// The label that tells it from others of the name, if there are several.
    pub label: Option<(&'static str, String)>,
    /// How much it is.
    pub value: f64,
}

impl WorkerFigures {
    pub(super) fn new(worker: usize, cpus: Vec<usize>, counters: &WorkerCounters) -> WorkerFigures {
        let time = &counters.time;
        WorkerFigures {
            worker,
            cpus,
            sweeps: time.sweeps.get(),
            empty_sweeps: time.empty_sweeps.get(),
            busy: Duration::from_nanos(time.busy.get()),
            idle: Duration::from_nanos(time.idle.get()),
            asleep: Duration::from_nanos(time.asleep.get()),
            sleeps: time.sleeps.get(),
            woken: time.woken.get(),
            handed: counters.handed.iter().map(super::Counter::get).collect(),
            slices: time.slices.get(),
            longest_slice: Duration::from_nanos(time.longest_slice.get()),
            swaps: time.swaps.get(),
            longest_swap: Duration::from_nanos(time.longest_swap.get()),
        }
    }

    /// The share of its time that it had packets, between this and an earlier reading; 0 if no time has passed.
    pub fn load_since(&self, before: &WorkerFigures) -> f64 {
        let busy = self.busy.saturating_sub(before.busy).as_secs_f64();
        let all = busy + (self.idle + self.asleep).saturating_sub(before.idle + before.asleep).as_secs_f64();
        if all > 0.0 { busy / all } else { 0.0 }
    }

    /// All of them.
    pub fn list(&self) -> Vec<Figure> {
        let figure = |name, help, value| Figure { name, help, label: None, value };
        let mut list = vec![
            figure("sweeps_total", "Rounds of the worker.", self.sweeps as f64),
            figure("empty_sweeps_total", "Rounds that found nothing to do.", self.empty_sweeps as f64),
            figure("busy_seconds_total", "Time spent with packets.", self.busy.as_secs_f64()),
            figure("idle_seconds_total", "Time spent looking for packets.", self.idle.as_secs_f64()),
            figure("asleep_seconds_total", "Time blocked, in which others have the core.", self.asleep.as_secs_f64()),
            figure("sleeps_total", "How often the worker has blocked.", self.sleeps as f64),
            figure("woken_total", "How often another thread has woken the worker.", self.woken as f64),
            figure("slices_total", "Slices of questions to tables, answered between rounds.", self.slices as f64),
            figure("swaps_total", "Graphs that the worker has gone over to.", self.swaps as f64),
            figure("longest_swap_seconds", "The longest pause because of that.", self.longest_swap.as_secs_f64()),
            figure("longest_slice_seconds", "The longest of these slices.", self.longest_slice.as_secs_f64()),
        ];
        for (to, count) in self.handed.iter().enumerate().filter(|(to, _)| *to != self.worker) {
            let label = Some(("to", to.to_string()));
            list.push(Figure { label, ..figure("handoff_packets_total", "Packets handed to another worker.", *count as f64) });
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_the_share_of_busy_time() {
        let counters = WorkerCounters {
            nodes: std::sync::Arc::new([]),
            interfaces: std::sync::Arc::new([]),
            time: std::sync::Arc::default(),
            handed: (0..3).map(|_| super::super::Counter::default()).collect(),
            buffers: std::sync::Arc::default(),
        };
        let before = WorkerFigures::new(1, vec![4], &counters);
        assert_eq!(before.load_since(&before), 0.0);
        counters.time.busy.add(1_000_000_000);
        counters.time.idle.add(1_000_000_000);
        counters.time.asleep.add(2_000_000_000);
        counters.handed[2].add(7);
        let now = WorkerFigures::new(1, vec![4], &counters);
        assert_eq!(now.load_since(&before), 0.25);
        let list = now.list();
        let handed: Vec<_> = list.iter().filter(|figure| figure.name == "handoff_packets_total").collect();
        assert_eq!(handed.len(), 2);
        assert_eq!((&handed[1].label, handed[1].value), (&Some(("to", "2".into())), 7.0));
    }
}
