//! Another graph in the place of the one that runs: made as a whole, and only then used.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use swath_api::{Ownership, TableInstance};
use utoipa::ToSchema;

use super::build::{self, BuildOptions, Prepared, asked_by};
use super::counters::WorkerCounters;
use super::engine::{Engine, drain, get_mut};
use super::offload::Lent;
use super::probe::known_selections;
use super::swap::{self, Change};
use crate::driver::Port;
use crate::plan::{Diff, Fate, NodePlan, Plan, SettingChange};
use crate::spec::{Code, Diagnostic, Diagnostics};

/// Why a graph was not applied. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Refusal {
    /// There are mistakes in it, or a part of it cannot be made: the diagnostics say what.
    Graph,
    /// The section `engine` is another: that needs a restart.
    Restart {
        /// What differs.
        engine: Vec<SettingChange>,
    },
    /// Workers have not gone over to the last graph yet.
    Incomplete {
        /// Which.
        workers: Vec<usize>,
    },
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Graph => f.write_str("the graph is refused"),
            Refusal::Restart { engine } => {
                let paths: Vec<&str> = engine.iter().map(|change| change.path.as_str()).collect();
                write!(f, "`engine` cannot change while it runs, and differs in `{}`: start it again", paths.join("`, `"))
            }
            Refusal::Incomplete { workers } => {
                write!(f, "the last change is incomplete: {} has not gone over to it", names(workers))
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// What an applied graph has come to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The number of the graph, from 1; the one that it was started with is 0.
    pub number: u64,
    /// What became of each part.
    pub diff: Diff,
    /// Seconds that it took to make, while the other graph went on.
    pub made_in: f64,
    /// By worker: how it went over. Those that have not are missing.
    pub workers: Vec<WorkerReport>,
    /// Workers that have not gone over to it in time: it is incomplete. Nothing else is applied before they have.
    pub incomplete: Vec<usize>,
    /// Seconds of the longest time that a worker has not looked after its packets.
    pub longest_pause: f64,
    /// Seconds between the first worker that had the new graph and the last.
    pub spread: f64,
    /// Tables and nodes that could not take over the state of those before, because one of both has a defect.
    pub not_carried: Vec<String>,
    /// Interfaces that were detached, with what their drivers say at the end.
    pub detached: Vec<Ended>,
}

/// How a worker went over to another graph.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WorkerReport {
    /// Which.
    pub worker: usize,
    /// Seconds that it has not looked after packets.
    pub pause: f64,
    /// Of these, seconds that it has only looked after packets on their way between workers.
    pub ebb: f64,
}

/// What a driver says at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Ended {
    /// The interface.
    pub interface: String,
    /// What it says of it.
    pub says: serde_json::Value,
    /// What it could not write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What has to live until all workers have gone over.
pub(super) struct Incomplete {
    waits: Vec<usize>,
    // Used by workers that have not; dropped before the attachments.
    _tables: Vec<Option<Arc<TableInstance>>>,
    ports: Vec<(String, Box<dyn Port>)>,
}

impl Engine {
    /// What a graph would change. `plan` gets handoffs as the engine would put them in, but for nodes that say only when they are made
    /// whether their packets have owners.
    #[must_use]
    pub fn plan_change(&self, plan: &mut Plan) -> Diff {
        plan.remove_handoffs();
        let kept = |name: &str| {
            let at = self.plan.nodes.iter().position(|node| node.spec.name.value == name)?;
            Some(self.generation.wishes[at].owned)
        };
        let before = Plan::diff(&self.plan, plan);
        let fates: HashMap<&str, Fate> = before.nodes.iter().map(|change| (change.name.as_str(), change.fate)).collect();
        let owned = |node: &NodePlan| {
            let name = node.spec.name.value.as_str();
            let known = if fates.get(name) == Some(&Fate::Keep) { kept(name) } else { None };
            known.unwrap_or_else(|| node.kind.info().ownership != Ownership::Any)
        };
        let owned: Vec<bool> = plan.nodes.iter().map(owned).collect();
        plan.insert_handoffs(|at| owned[at]);
        Plan::diff(&self.plan, plan)
    }

    /// The number of the graph that runs: how many were applied.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Workers that have not gone over to the last graph yet; none as a rule. Whoever runs an engine asks now and then: what they still had
    /// is dropped here when they have.
    pub fn incomplete(&mut self) -> Vec<usize> {
        self.look_for_echoes();
        self.incomplete.as_ref().map(|incomplete| incomplete.waits.clone()).unwrap_or_default()
    }

    /// How long workers may take to go over to a graph before it is said to be incomplete; 10 s if nobody says otherwise.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Has the workers run another graph, without losing a packet or what the parts know that stay. Everything is made before anything
    /// changes; then each worker goes over between two sweeps.
    ///
    /// # Errors
    /// Nothing has changed, and why: with [`Refusal::Graph`] the diagnostics say it.
    pub fn apply(&mut self, mut plan: Plan, diagnostics: &mut Diagnostics) -> Result<Report, Refusal> {
        let start = Instant::now();
        let waits = self.incomplete();
        if !waits.is_empty() {
            return Err(Refusal::Incomplete { workers: waits });
        }
        plan.remove_handoffs();
        let diff = Plan::diff(&self.plan, &plan);
        if !diff.engine.is_empty() {
            return Err(Refusal::Restart { engine: diff.engine });
        }
        self.place_slots(&mut plan, diagnostics)?;
        let own = self.counters().iter().map(|counters| WorkerCounters {
            nodes: Arc::default(),
            interfaces: Arc::default(),
            ..counters.clone()
        });
        let pool = Arc::clone(self.pool());
        let options = BuildOptions { pool: &pool, virtual_time: self.virtual_time };
        let prepared = build::prepare(plan, Some((&*self, &diff)), own.collect(), &options, diagnostics);
        let prepared = prepared.ok_or(Refusal::Graph)?;
        // With the handoffs, of which only the nodes that were made know.
        let diff = Plan::diff(&self.plan, &prepared.plan);
        let made_in = start.elapsed().as_secs_f64();
        Ok(Report { made_in, ..self.go_over(prepared, diff) })
    }

    /// Slots have the places that they had: nodes that stay know them.
    fn place_slots(&self, plan: &mut Plan, diagnostics: &mut Diagnostics) -> Result<(), Refusal> {
        let mut placed = self.plan.slots.clone();
        for (slot, at) in &mut plan.slots {
            let known = placed.iter().find(|(known, _)| known == slot).map(|(_, at)| *at);
            let used: Vec<(u16, u16)> = placed.iter().map(|(slot, at)| (*at, slot.size)).collect();
            let Some(place) = known.or_else(|| swath_api::Meta::place(&used, slot)) else {
                let text = format!("no room for the slot `{}` beside those of the graph that runs: start it again", slot.name);
                diagnostics.push(Diagnostic::error(Code::SlotSpace, text));
                return Err(Refusal::Graph);
            };
            placed.push((*slot, place));
            *at = place;
        }
        // Those that no node has any more keep their places, too.
        for (slot, at) in placed {
            if !plan.slots.iter().any(|(known, _)| *known == slot) {
                plan.slots.push((slot, at));
            }
        }
        Ok(())
    }

    /// From here on nothing can go wrong.
    fn go_over(&mut self, prepared: Prepared, diff: Diff) -> Report {
        let Prepared { mut graphs, moves, plan, mut generation, ports, lent, told } = prepared;
        for graph in &mut graphs {
            graph.selections = known_selections(&self.probes, &generation.names);
        }
        let ebb = self.must_ebb(&diff);
        self.links.renew(generation.interfaces.len(), |place| ports.contains_key(&place));
        let made = generation.tables.iter().flatten().filter(|table| !self.has(table));
        self.links.tell(made.clone());
        let mut failed = Vec::new();
        for table in made {
            let old = self.table(table.name());
            let carries =
                |change: &crate::plan::Change| change.name == table.name() && matches!(change.fate, Fate::Adopt | Fate::Convert);
            if old.is_some_and(|old| !table.succeed(old)) && diff.tables.iter().any(carries) {
                failed.push(table.name().to_owned());
            }
        }
        // What drivers drop for nodes of the graph before ends with it, and what they drop for others begins when all workers have those.
        self.lent.iter().for_each(|(place, before)| before.end(lent.get(place)));
        self.lent = lent;
        get_mut(&mut self.told).extend(told);
        let (base, number) = (self.number, self.number + 1);
        let change = |(graph, moves)| Change { base, number, graph, moves, ebb, outcome: None };
        let changes: Vec<Change> = graphs.into_iter().zip(moves).map(change).collect();
        std::mem::swap(&mut self.generation, &mut generation);
        let fates = |name: &str| diff.interfaces.iter().find(|change| change.name == name).map(|change| change.fate);
        let mut detached = Vec::new();
        for (place, before) in generation.interfaces.iter().enumerate().filter(|(_, before)| !before.is_vacant()) {
            if !matches!(fates(&before.name), Some(Fate::Keep | Fate::Adopt)) {
                detached.extend(self.ports[place].take().map(|port| (before.name.clone(), port)));
            }
        }
        self.ports.resize_with(self.generation.interfaces.len(), || None);
        ports.into_iter().for_each(|(place, port)| self.ports[place] = Some(port));
        (self.plan, self.number) = (plan, number);
        self.incomplete = Some(Incomplete { waits: (0..changes.len()).collect(), _tables: generation.tables, ports: detached });
        let back = self.publish(changes);
        let mut report = self.report(diff, &back);
        report.not_carried.extend(failed);
        report.not_carried.sort_unstable();
        report.not_carried.dedup();
        drop(back);
        report.detached = self.settle();
        self.look_at_links();
        report
    }

    fn has(&self, table: &Arc<TableInstance>) -> bool {
        self.generation.tables.iter().flatten().any(|known| Arc::ptr_eq(known, table))
    }

    /// Whether packets may be on their way between workers in ways that are not the next graph's.
    fn must_ebb(&self, diff: &Diff) -> bool {
        let hands_off = |plan: &Plan| plan.nodes.iter().enumerate().any(|(at, node)| asked_by(at, node, plan).is_some());
        let differs = |change: &crate::plan::Change| change.fate != Fate::Keep || !change.edges.is_empty();
        // Whoever says where packets go may say something else when it, or a table that it asks, is another.
        hands_off(&self.plan) && (diff.nodes.iter().any(differs) || diff.tables.iter().any(|change| change.fate != Fate::Keep))
    }

    /// Gives workers their changes, and waits for them. Returns what they give back in time.
    fn publish(&mut self, changes: Vec<Change>) -> Vec<(usize, Box<Change>)> {
        if self.workers.is_empty() {
            let now = self.now;
            let graphs = get_mut(&mut self.graphs);
            drain(graphs, now);
            self.incomplete.iter_mut().for_each(|incomplete| incomplete.waits.clear());
            return swap::carry_out_standing(changes, graphs, now).into_iter().map(Box::new).enumerate().collect();
        }
        for (worker, change) in changes.into_iter().enumerate() {
            // There is room: all have given back what they were given before.
            let put = self.turns.put(worker, Box::new(change));
            debug_assert!(put.is_ok(), "a worker has nothing to take");
        }
        self.turns.publish();
        self.beds.iter().for_each(|bed| bed.wake());
        let deadline = Instant::now() + self.patience;
        let Some(incomplete) = &mut self.incomplete else { return Vec::new() };
        swap::collect(&mut self.turns, &mut incomplete.waits, deadline)
    }

    fn report(&self, diff: Diff, back: &[(usize, Box<Change>)]) -> Report {
        let outcomes = || back.iter().filter_map(|(worker, change)| Some((*worker, change.outcome?)));
        let workers = outcomes().map(|(worker, outcome)| WorkerReport {
            worker,
            pause: outcome.pause.as_secs_f64(),
            ebb: outcome.ebb.as_secs_f64(),
        });
        let mut workers: Vec<WorkerReport> = workers.collect();
        workers.sort_by_key(|report| report.worker);
        let (first, last) = (outcomes().map(|(_, outcome)| outcome.at).min(), outcomes().map(|(_, outcome)| outcome.at).max());
        let spread = first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first);
        Report {
            number: self.number,
            made_in: 0.0,
            longest_pause: workers.iter().map(|report| report.pause).fold(0.0, f64::max),
            spread: spread.as_secs_f64(),
            workers,
            incomplete: self.incomplete.as_ref().map(|incomplete| incomplete.waits.clone()).unwrap_or_default(),
            not_carried: self.not_carried(back),
            detached: Vec::new(),
            diff,
        }
    }

    fn not_carried(&self, back: &[(usize, Box<Change>)]) -> Vec<String> {
        let tables = &self.generation.tables;
        let mut names: Vec<String> = Vec::new();
        for (_, change) in back {
            let tables = change.moves.tables.iter().filter(|heir| !heir.done).filter_map(|heir| tables[heir.new].as_ref());
            let nodes = change.moves.nodes.iter().filter(|heir| !heir.done).map(|heir| &self.plan.nodes[heir.new].spec.name.value);
            names.extend(tables.map(|table| table.name().to_owned()).chain(nodes.cloned()));
        }
        names
    }

    /// Takes what workers have given back late.
    pub(super) fn look_for_echoes(&mut self) {
        if let Some(incomplete) = &mut self.incomplete {
            drop(swap::collect(&mut self.turns, &mut incomplete.waits, Instant::now()));
            self.settle();
        }
    }

    /// When all workers have gone over: lets go of what only the graph before had. Says what its drivers say at the end.
    fn settle(&mut self) -> Vec<Ended> {
        let Some(incomplete) = self.incomplete.take_if(|incomplete| incomplete.waits.is_empty()) else { return Vec::new() };
        self.lent.values().for_each(Lent::begin);
        let finish = |(interface, mut port): (String, Box<dyn Port>)| {
            let (says, error) = match port.finish() {
                Ok(says) => (says, None),
                Err(error) => (serde_json::Value::Null, Some(error)),
            };
            Ended { interface, says, error }
        };
        incomplete.ports.into_iter().map(finish).collect()
    }
}

fn names(workers: &[usize]) -> String {
    let names: Vec<String> = workers.iter().map(|worker| format!("worker {worker}")).collect();
    names.join(", ")
}
