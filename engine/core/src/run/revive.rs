//! Nodes of plugins that are out of service, and are made anew after a while if the graph says so. Each fault makes the next wait twice as long.

use std::collections::HashMap;
use std::time::Duration;

use swath_api::{ConfigError, Interfaces, NodeInstance, Tables};

use super::build;
use super::engine::Engine;
use super::mail::Task;
use super::pass::WorkerGraph;

/// The longest wait, in waits as the graph has them. Who has not failed for as long begins again with the shortest.
const LONGEST: u32 = 64;

/// Another instance, on its way to a worker, and the one in whose place it came on its way back.
pub(super) struct Renewal {
    /// The graph that it was made for.
    number: u64,
    node: usize,
    instance: NodeInstance,
    done: bool,
}

/// A node that was made anew, or could not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revived {
    /// Its name.
    pub node: String,
    /// The worker whose instance it is.
    pub worker: usize,
    /// How often that has failed.
    pub faults: u32,
    /// Why it is still out of service, if it is.
    pub refused: Option<String>,
    /// How long it stays out of service when it fails once more, or until it is tried again.
    pub next: Duration,
}

/// What is known of nodes that have failed, by name and worker.
#[derive(Default)]
pub(super) struct Revival(HashMap<(String, usize), Failed>);

struct Failed {
    /// Faults that were made good.
    mended: u32,
    /// How long it waits the next time.
    wait: Duration,
    /// When it is made anew, by the engine's clock, if it is out of service.
    due: Option<u64>,
    /// When it was made anew last.
    since: u64,
}

impl Failed {
    /// Whether it is to be made anew now; `faults` is how often it has failed, `first` the shortest wait.
    fn is_due(&mut self, faults: u32, first: Duration, now: u64) -> bool {
        if faults <= self.mended {
            // Of another node by its name, perhaps.
            (self.mended, self.due) = (faults, None);
            return false;
        }
        let longest = LONGEST * first;
        let due = *self.due.get_or_insert_with(|| {
            let has_held = u128::from(now - self.since) >= longest.as_nanos() && self.since > 0;
            self.wait = if has_held { first } else { self.wait.clamp(first, longest) };
            now + self.wait.as_nanos() as u64
        });
        now >= due
    }

    /// It was tried.
    fn tried(&mut self, faults: u32, first: Duration, (now, done): (u64, bool)) {
        self.wait = (2 * self.wait).min(LONGEST * first);
        if done {
            (self.mended, self.due, self.since) = (faults, None, now);
        } else {
            self.due = Some(now + self.wait.as_nanos() as u64);
        }
    }
}

impl WorkerGraph {
    /// Goes on with another instance, if that is of this graph and the one that there is is out of service.
    pub(super) fn renew(&mut self, renewal: &mut Renewal) {
        let here = self.number == renewal.number;
        if let Some(node) = self.nodes.get_mut(renewal.node).filter(|node| here && node.instance.is_faulty()) {
            std::mem::swap(&mut node.instance, &mut renewal.instance);
            renewal.done = true;
            self.counters.nodes[renewal.node].restarts.add(1);
        }
    }
}

impl Engine {
    /// Makes nodes anew that are out of service, if it is time to. They know nothing of what they have known. Whoever runs an engine asks many times
    /// a second. Returns what was tried.
    pub fn revive(&mut self) -> Vec<Revived> {
        if self.plan.nodes.iter().all(|node| node.restart.is_none()) || !self.incomplete().is_empty() {
            return Vec::new();
        }
        let (now, mut revival) = (self.clock(), std::mem::take(&mut self.revival));
        let mut revived = Vec::new();
        for (index, node) in self.plan.nodes.iter().enumerate() {
            let Some(first) = node.restart else { continue };
            let name = &node.spec.name.value;
            for worker in 0..self.counters().len() {
                let faults = self.generation.book.keeper(node, worker).map_or(0, |keeper| keeper.faults());
                if faults == 0 {
                    continue;
                }
                let fresh = || Failed { mended: 0, wait: first, due: None, since: 0 };
                let failed = revival.0.entry((name.clone(), worker)).or_insert_with(fresh);
                if !failed.is_due(faults, first, now) {
                    continue;
                }
                let renewed = self.renew(index, worker);
                failed.tried(faults, first, (now, renewed.is_ok()));
                // Somebody else may have put another one in its place.
                if renewed != Ok(false) {
                    let refused = renewed.err().map(|error| error.to_string());
                    revived.push(Revived { node: name.clone(), worker, faults, refused, next: failed.wait });
                }
            }
        }
        self.revival = revival;
        revived
    }

    /// Makes a node anew for a worker. Whether that has taken it.
    fn renew(&self, index: usize, worker: usize) -> Result<bool, ConfigError> {
        let (plan, generation) = (&self.plan, &self.generation);
        let node = &plan.nodes[index];
        let mut tables = Tables::vacant(generation.tables.len());
        let known = generation.tables.iter().enumerate().filter_map(|(place, table)| Some((place, table.as_ref()?)));
        known.for_each(|(place, table)| tables.put(place, table.clone()));
        let interfaces = Interfaces::new(generation.interfaces.clone());
        let keeper = generation.book.keeper(node, worker);
        let (instance, _) = build::create(plan, node, (worker as u32, keeper), (&interfaces, &tables), self.pool())?;
        let renewal = Renewal { number: self.number(), node: index, instance, done: false };
        match self.one_worker(worker, Task::Renew(Box::new(renewal)))? {
            // With the one that has failed, which goes here.
            Task::Renew(back) => Ok(back.done),
            _ => Err(ConfigError::new("a worker has given back something else")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// When a node is made anew that fails at these seconds, and again as soon as it is back if `at_once`.
    fn waits(faults: &[u64], at_once: bool) -> Vec<u64> {
        let first = Duration::from_secs(1);
        let mut failed = Failed { mended: 0, wait: first, due: None, since: 0 };
        let (mut count, mut waits, mut since) = (0, Vec::new(), 0);
        for now in 1..400 {
            if faults.contains(&now) {
                (count, since) = (count + 1, now);
            }
            if failed.is_due(count, first, now * SECOND) {
                failed.tried(count, first, (now * SECOND, true));
                waits.push(now - since);
                if at_once {
                    (count, since) = (count + 1, now);
                }
            }
        }
        waits
    }

    #[test]
    fn each_fault_waits_twice_as_long_up_to_a_bound() {
        // From the second on it takes a second to notice.
        assert_eq!(waits(&[1], true), [1, 3, 5, 9, 17, 33, 65, 65, 65, 65, 65]);
    }

    #[test]
    fn who_has_held_for_long_begins_again() {
        assert_eq!(waits(&[1, 10, 20, 30, 102, 166, 300], false), [1, 2, 4, 8, 1, 2, 1]);
    }

    #[test]
    fn what_cannot_be_made_is_tried_again_later() {
        let first = Duration::from_secs(1);
        let mut failed = Failed { mended: 0, wait: first, due: None, since: 0 };
        let mut tried = Vec::new();
        for now in 1..20 {
            if failed.is_due(1, first, now * SECOND) {
                tried.push(now);
                failed.tried(1, first, (now * SECOND, false));
            }
        }
        assert_eq!(tried, [2, 4, 8, 16]);
        // Another node of its name has not failed.
        assert!(!failed.is_due(0, first, 1000 * SECOND) && failed.due.is_none());
    }
}
