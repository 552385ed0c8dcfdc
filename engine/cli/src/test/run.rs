//! One test: a fresh engine between interfaces in memory, by virtual time and in one thread.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use swath_api::Pool;
use swath_core::Registry;
use swath_core::plan::{BUFFERS_PER_WORKER, Change, Fate, Plan};
use swath_core::run::{Engine, Ledger, Refusal};
use swath_core::spec::{Code, Diagnostic, Diagnostics, EngineSpec, Hugepages, Spec};
use swath_io::text::Mac;

use super::case::{Case, Step};
use super::packet::text_of_received;
use super::port::{Sent, Wire};
use crate::exit::Failure;
use crate::load::{Graph, Time, packet_memory};
use crate::report::meaning;

/// Buffers at most: more are for loads that no test has, and a router may have more than where its tests run.
const BUFFERS: usize = 16384;

/// What tests of a graph run in.
pub struct Bench<'a> {
    graph: &'a mut Graph,
    registry: &'a Registry,
    workers: u16,
    pool: Arc<Pool>,
}

/// What has happened in a test.
#[derive(Debug)]
pub struct Outcome {
    /// By step.
    pub steps: Vec<Happened>,
    /// The ledger at the end.
    pub ledger: Ledger,
    /// What does not add up: a defect of the engine or of a node.
    pub discrepancies: Vec<String>,
}

/// What has happened in a step, and since the one before.
#[derive(Debug)]
pub struct Happened {
    /// When it was, in nanoseconds from the start of the test on.
    pub at: u64,
    /// The interfaces, in the graph's order.
    pub interfaces: Vec<Seen>,
    /// What was dropped otherwise than was expected.
    pub drops: Vec<Dropped>,
}

/// What an interface has done in a step.
#[derive(Debug)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Its address.
    pub mac: Mac,
    /// What it has sent.
    pub sent: Vec<Sent>,
    /// Packets that no node has received.
    pub unreceived: usize,
}

/// Packets that were dropped for a reason more or less often than was expected.
#[derive(Debug)]
pub struct Dropped {
    /// The node.
    pub node: String,
    /// The reason.
    pub reason: String,
    /// How many were expected.
    pub expected: u64,
    /// How many there were.
    pub got: u64,
    /// What the reason means.
    pub meaning: String,
    /// The first packet that came in and was dropped so: its text, and where it is written.
    pub first: Option<(String, String)>,
}

/// Drops by node and reason.
type Counts = BTreeMap<(String, String), u64>;

impl<'a> Bench<'a> {
    /// A bench for a graph, whose plan has this section `engine`.
    ///
    /// # Errors
    /// The memory cannot be had.
    pub fn new(graph: &'a mut Graph, registry: &'a Registry, engine: &EngineSpec, workers: u16) -> Result<Bench<'a>, Failure> {
        let (pool, _) = packet_memory(&adapted(engine.clone(), workers))?;
        Ok(Bench { graph, registry, workers, pool })
    }

    /// Runs a test.
    ///
    /// # Errors
    /// A table or a node refuses its settings.
    pub fn run(&mut self, case: &Case) -> Result<Outcome, Failure> {
        let mut rig = self.build()?;
        let mut outcome = Outcome { steps: Vec::new(), ledger: Ledger::default(), discrepancies: Vec::new() };
        let mut before = Counts::new();
        for step in &case.steps {
            rig.wait(step.at);
            self.go_over(&mut rig, step)?;
            rig.set_links(step);
            for (name, packets) in &step.input {
                let Some((wire, mac)) = rig.interface(name) else { continue };
                packets.iter().for_each(|packet| wire.feed(rig.now, packet.received(mac)));
            }
            rig.engine.step_until(rig.now);
            let now = counts(&rig.engine.ledger());
            let drops = unlike(&rig.engine, &step.drops, &since(&before, &now));
            before = now;
            outcome.steps.push(Happened { at: rig.now, interfaces: rig.seen(), drops });
        }
        outcome.ledger = rig.engine.ledger();
        outcome.discrepancies = outcome.ledger.discrepancies();
        drop(rig);
        let (free, capacity) = (self.pool.free(), self.pool.capacity());
        if outcome.discrepancies.is_empty() && free != capacity {
            outcome.discrepancies.push(format!("buffers: {} of {capacity} are gone when the graph is taken down", capacity - free));
        }
        self.find_dropped(case, &mut outcome)?;
        Ok(outcome)
    }

    /// Runs the test once more, packet by packet, to see which are dropped.
    fn find_dropped(&mut self, case: &Case, outcome: &mut Outcome) -> Result<(), Failure> {
        if outcome.steps.iter().flat_map(|step| &step.drops).all(|dropped| dropped.got <= dropped.expected) {
            return Ok(());
        }
        let mut rig = self.build()?;
        for (step, happened) in case.steps.iter().zip(&mut outcome.steps) {
            rig.wait(step.at);
            self.go_over(&mut rig, step)?;
            for ((node, reason), first) in rig.first_dropped(step) {
                let same = |dropped: &&mut Dropped| dropped.node == node && dropped.reason == reason;
                if let Some(dropped) = happened.drops.iter_mut().find(same).filter(|dropped| dropped.got > dropped.expected) {
                    dropped.first = Some(first);
                }
            }
        }
        Ok(())
    }

    /// A fresh engine, with all interfaces in memory.
    fn build(&mut self) -> Result<Rig, Failure> {
        let (plan, wires) = self.plan(self.graph.spec().clone())?;
        let engine = self.graph.build(plan, &self.pool, Time::Virtual)?;
        Ok(Rig { engine, wires, now: 0 })
    }

    /// A plan whose interfaces are attached to memory, and their other ends.
    fn plan(&mut self, spec: Spec) -> Result<(Plan, Wires), Failure> {
        // Its warnings have been given.
        let plan = Plan::new(spec, self.registry, &mut Diagnostics::new());
        let mut plan = plan.ok_or_else(|| self.graph.refused())?;
        plan.engine = adapted(plan.engine, self.workers);
        let mut wires = Wires::new();
        for interface in &mut plan.interfaces {
            let wire = Wire::new(self.workers);
            interface.opener = Some(wire.opener());
            wires.insert(interface.spec.name.value.clone(), wire);
        }
        Ok((plan, wires))
    }

    /// Has the engine go over to another graph, if the step wants that.
    fn go_over(&mut self, rig: &mut Rig, step: &Step) -> Result<(), Failure> {
        let Some(other) = &step.reload else { return Ok(()) };
        let (plan, mut wires) = self.plan(Spec::clone(other))?;
        let report = rig.engine.apply(plan, self.graph.diagnostics_mut()).map_err(|refusal| {
            if refusal != Refusal::Graph {
                self.graph.diagnostics_mut().push(Diagnostic::error(Code::Refused, refusal.to_string()));
            }
            self.graph.refused()
        })?;
        // Those that stay attached have the ends that they had.
        let attached = |change: &&Change| change.fate == Fate::Fresh;
        for change in report.diff.interfaces.iter().filter(attached) {
            rig.wires.extend(wires.remove_entry(&change.name));
        }
        Ok(())
    }
}

/// The section `engine` for tests: what they say must not depend on the machine.
fn adapted(engine: EngineSpec, workers: u16) -> EngineSpec {
    let buffers = engine.buffers.min(BUFFERS).max(usize::from(workers) * BUFFERS_PER_WORKER);
    EngineSpec { workers, buffers, cores: None, hugepages: Hugepages::Never, ..engine }
}

/// An engine and the other ends of its interfaces.
struct Rig {
    engine: Engine,
    wires: Wires,
    now: u64,
}

/// The other ends of interfaces, by name; also of those that are gone.
type Wires = BTreeMap<String, Arc<Wire>>;

impl Rig {
    /// Lets time pass.
    fn wait(&mut self, at: Option<Duration>) {
        let at = at.map_or(self.now, |at| u64::try_from(at.as_nanos()).unwrap_or(u64::MAX));
        // The last of all times means no end.
        self.now = self.now.max(at).min(u64::MAX - 1);
        self.engine.step_until(self.now);
    }

    fn set_links(&self, step: &Step) {
        // Names were checked when the test was read.
        step.links.iter().for_each(|(name, up)| drop(self.engine.set_admin(name, *up)));
    }

    fn interface(&self, name: &str) -> Option<(&Arc<Wire>, Mac)> {
        let interface = self.engine.interfaces().iter().find(|interface| interface.name == name)?;
        Some((self.wires.get(name)?, Mac(interface.mac.octets())))
    }

    /// What the interfaces have done since this was asked last.
    fn seen(&self) -> Vec<Seen> {
        let there = self.engine.interfaces().iter().filter(|interface| !interface.is_vacant());
        let seen = there.filter_map(|interface| {
            let (wire, mac) = self.interface(&interface.name)?;
            Some(Seen { name: interface.name.clone(), mac, sent: wire.take_sent(), unreceived: wire.take_waiting() })
        });
        seen.collect()
    }

    /// Feeds the packets of a step one by one. For each reason the first that was dropped: its text, and where it is written.
    fn first_dropped(&mut self, step: &Step) -> HashMap<(String, String), (String, String)> {
        self.set_links(step);
        let mut found = HashMap::new();
        let mut before = counts(&self.engine.ledger());
        for (name, packets) in &step.input {
            for packet in packets {
                let Some((wire, mac)) = self.interface(name) else { continue };
                let frame = packet.received(mac);
                wire.feed(self.now, frame.clone());
                self.engine.step_until(self.now);
                let now = counts(&self.engine.ledger());
                for (reason, _) in since(&before, &now) {
                    found.entry(reason).or_insert_with(|| (text_of_received(&frame, mac), packet.origin()));
                }
                before = now;
            }
        }
        found
    }
}

fn counts(ledger: &Ledger) -> Counts {
    let dropped = ledger.dropped.iter();
    let counts = dropped.flat_map(|(node, reasons)| reasons.iter().map(|(reason, count)| ((node.clone(), reason.clone()), *count)));
    counts.collect()
}

/// What was dropped between two readings.
fn since(before: &Counts, now: &Counts) -> Counts {
    let new = now.iter().map(|(name, count)| (name.clone(), count - before.get(name).copied().unwrap_or(0)));
    new.filter(|(_, count)| *count > 0).collect()
}

/// What was dropped more or less often than expected, in the order in which packets meet the nodes.
fn unlike(engine: &Engine, expected: &[(String, String, u64)], got: &Counts) -> Vec<Dropped> {
    let wanted: Counts = expected.iter().map(|(node, reason, count)| ((node.clone(), reason.clone()), *count)).collect();
    let count = |counts: &Counts, name| counts.get(name).copied().unwrap_or(0);
    let names: BTreeSet<&(String, String)> = wanted.keys().chain(got.keys()).collect();
    let names = names.into_iter().filter(|name| count(&wanted, name) != count(got, name));
    let drops = names.map(|name| Dropped {
        node: name.0.clone(),
        reason: name.1.clone(),
        expected: count(&wanted, name),
        got: count(got, name),
        meaning: meaning(engine, &name.0, &name.1),
        first: None,
    });
    let mut drops: Vec<Dropped> = drops.collect();
    let place = |name: &str| engine.plan().nodes.iter().position(|node| node.spec.name.value == name);
    drops.sort_by_key(|dropped| place(&dropped.node));
    drops
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
