//! How workers go over from one graph to the next while packets pass.
//!
//! A control thread has made everything before: a worker graph for each worker lies in its box ([`post`](swath_api::sync::post)) when the
//! change is published. Each worker notices at the top of a sweep, by one load, where nothing is in flight in its graph. It takes what is in
//! its box, moves over what stays, says how that went, and gives the old graph back: what is dropped a control thread drops.
//!
//! Where packets may be on their way between workers in ways that the next graph does not have, all workers *ebb* first: they receive nothing,
//! and process what they have handed each other, until nothing is left. So no packet meets a graph that does not know where it goes, and none
//! overtakes another one of its flow. They begin when all of them could, and give it up if one of them does not go on with it; until the next
//! attempt each processes packets by the graph that it has. So a worker that stands still holds up the change, and nobody else.

use std::time::{Duration, Instant};

use swath_api::sync::{Ebb, Publisher, Subscriber, Tide, ebbs, post};

use super::pass::WorkerGraph;
use super::succeed::Moves;

/// How long a worker may take to go over to another graph before it is said to be stalled: far more than any does that gets a core at all.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long workers wait for each other at first, while they receive nothing: rings of devices take what comes meanwhile. It takes some
/// microseconds if all of them run. Each time that it is in vain they wait twice as long the next time, for they may have to share cores.
const FIRST_EBB: Duration = Duration::from_millis(5);
/// And at most.
const LONGEST_EBB: Duration = Duration::from_millis(40);
/// How often the control side looks for an echo. A worker does not tell it, which would be a system call.
const LOOK: Duration = Duration::from_micros(20);

/// What a worker is to become, and on its way back what it was.
pub(super) struct Change {
    /// The number of the graph that it was made for, and its own.
    pub base: u64,
    pub number: u64,
    pub graph: WorkerGraph,
    pub moves: Moves,
    /// Whether the workers ebb first.
    pub ebb: bool,
    /// Set by the worker: whether it was what it was made for.
    pub outcome: Option<Outcome>,
}

/// How it went on a worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    /// When it had the new graph.
    pub at: Instant,
    /// How long it looked after no packets.
    pub pause: Duration,
    /// Of that, how long it looked after those alone that were on their way between workers.
    pub ebb: Duration,
}

/// The worker's side.
pub(super) struct Turn {
    changes: Subscriber<Box<Change>>,
    ebb: Ebb,
    /// What it has taken and not gone over to yet.
    pending: Option<Box<Change>>,
    /// How long it waits for the others the next time.
    patience: Duration,
    /// How long it has waited for them in vain.
    in_vain: Duration,
}

/// The control side.
pub(super) type Turns = Publisher<Box<Change>>;

/// The ends of so many workers.
pub(super) fn turns(workers: usize) -> (Turns, Vec<Turn>) {
    let (publisher, subscribers) = post(workers);
    let turns = subscribers.into_iter().zip(ebbs(workers)).map(|(changes, ebb)| Turn {
        changes,
        ebb,
        pending: None,
        patience: FIRST_EBB,
        in_vain: Duration::ZERO,
    });
    (publisher, turns.collect())
}

impl Turn {
    /// Whether the graph is to be another.
    #[inline]
    pub fn is_due(&self) -> bool {
        self.pending.is_some() || self.changes.has_news()
    }

    /// Goes over to the other graph, if nobody has to be waited for; or else this is to be called again after the next sweep. `now` tells the
    /// time; `stop` says that this worker is to end, which it does as it is. Returns whether it has gone over.
    #[cold]
    pub fn take(&mut self, graph: &mut WorkerGraph, now: impl Fn() -> u64, stop: impl Fn() -> bool) -> bool {
        let start = Instant::now();
        let Some(change) = self.next() else { return true };
        if change.ebb && change.base == graph.number && !self.ebb_away(graph, &now, &stop) {
            self.pending = Some(change);
            return false;
        }
        self.go_over(change, graph, now(), start);
        true
    }

    /// As [`Turn::take`], where all workers stand still and nothing is on its way.
    pub fn take_standing(&mut self, graph: &mut WorkerGraph, now: u64) {
        let start = Instant::now();
        // What workers have begun together before they stood still is not what they find when they run again.
        self.ebb.leave();
        if let Some(change) = self.next() {
            self.go_over(change, graph, now, start);
        }
    }

    fn next(&mut self) -> Option<Box<Change>> {
        if self.pending.is_none() {
            (self.patience, self.in_vain) = (FIRST_EBB, Duration::ZERO);
            return self.changes.take();
        }
        self.pending.take()
    }

    fn go_over(&mut self, mut change: Box<Change>, graph: &mut WorkerGraph, now: u64, start: Instant) {
        if change.base == graph.number {
            let ebb = if change.ebb { start.elapsed() + self.in_vain } else { Duration::ZERO };
            carry_out(&mut change, graph, now);
            let at = Instant::now();
            let pause = at - start + self.in_vain;
            change.outcome = Some(Outcome { at, pause, ebb });
            let time = &graph.counters.time;
            time.swaps.add(1);
            time.longest_swap.raise(pause.as_nanos() as u64);
        }
        // There is room: nothing is put before what was given back is taken.
        let _ = self.changes.give_back(change);
    }

    /// Processes what workers have handed each other until nothing is left. Returns whether nothing is: or else some worker is not with it.
    fn ebb_away(&mut self, graph: &mut WorkerGraph, now: &impl Fn() -> u64, stop: &impl Fn() -> bool) -> bool {
        if !self.ebb.announce() {
            // The one that is missing may want this core.
            std::thread::yield_now();
            return false;
        }
        let start = Instant::now();
        let (sent, taken) = graph.handed();
        self.ebb.join(sent, taken);
        let out = loop {
            match self.ebb.tide() {
                Tide::Out => return true,
                Tide::Broken => break false,
                Tide::Runs if start.elapsed() >= self.patience || stop() => break self.ebb.leave(),
                Tide::Runs => {}
            }
            self.ebb.work();
            let busy = graph.drain(now());
            let (sent, taken) = graph.handed();
            self.ebb.rest(sent, taken);
            if !busy {
                std::thread::yield_now();
            }
        };
        if !out {
            self.in_vain += start.elapsed();
            self.patience = (2 * self.patience).min(LONGEST_EBB);
        }
        out
    }
}

/// Gives the worker graph its successor, and the change the old one.
fn carry_out(change: &mut Change, graph: &mut WorkerGraph, now: u64) {
    // While it knows for whom that was.
    graph.count_offloaded(now);
    std::mem::swap(&mut change.graph, graph);
    graph.succeed(&mut change.graph, &mut change.moves);
    graph.number = change.number;
}

/// As workers do, of graphs that no thread runs.
pub(super) fn carry_out_standing(mut changes: Vec<Change>, graphs: &mut [WorkerGraph], now: u64) -> Vec<Change> {
    let first = Instant::now();
    for (change, graph) in changes.iter_mut().zip(graphs) {
        let start = Instant::now();
        carry_out(change, graph, now);
        graph.counters.time.swaps.add(1);
        // One after the other, where workers would do it at once: what is between them says nothing.
        change.outcome = Some(Outcome { at: first, pause: start.elapsed(), ebb: Duration::ZERO });
    }
    changes
}

/// Waits for what workers give back, until `deadline`. `waits` has those that have not yet; returns what has come.
pub(super) fn collect(turns: &mut Turns, waits: &mut Vec<usize>, deadline: Instant) -> Vec<(usize, Box<Change>)> {
    let mut back = Vec::new();
    loop {
        waits.retain(|worker| match turns.back(*worker) {
            Some(change) => {
                back.push((*worker, change));
                false
            }
            None => true,
        });
        if waits.is_empty() || Instant::now() >= deadline {
            return back;
        }
        std::thread::sleep(LOOK);
    }
}
