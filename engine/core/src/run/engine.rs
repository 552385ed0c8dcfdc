//! The engine: what was built, its threads, and what it has counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use swath_api::{ConfigError, HandoffGauge, Interface, Pool, Question, Records, TableInstance, Wishes};

use super::apply::Incomplete;
use super::bed::Bed;
use super::build::{self, BuildOptions, Generation, Prepared};
use super::counters::WorkerCounters;
use super::links::Links;
use super::mail::{self, Answer, ControlMail, Done, Task};
use super::observer::Observer;
use super::offload::Lent;
use super::pass::WorkerGraph;
use super::probe::{DropLog, Known};
use super::revive::Revival;
use super::swap::{self, Turn, Turns};
use super::worker::{self, Start, Worker};
use super::{Placement, cpus};
use crate::driver::{Due, Port, PortStatus};
use crate::plan::Plan;
use crate::spec::Diagnostics;

/// A graph that is built, and runs when it is told to.
pub struct Engine {
    pub(super) plan: Plan,
    pool: Arc<Pool>,
    pub(super) virtual_time: bool,
    // Before the ports: queues refer to what the ports own.
    // None while threads run. Only `ask` locks it, who has no more than `&self`.
    pub(super) graphs: Mutex<Vec<WorkerGraph>>,
    pub(super) workers: Vec<Worker>,
    // What leads workers from one graph to the next. Their ends are here while no thread runs.
    pub(super) turns: Turns,
    standing: Vec<Turn>,
    pub(super) incomplete: Option<Incomplete>,
    pub(super) number: u64,
    pub(super) patience: Duration,
    // One question at a time.
    mail: Mutex<Vec<ControlMail>>,
    placement: Vec<Vec<usize>>,
    pub(super) generation: Generation,
    // By place.
    pub(super) ports: Vec<Option<Box<dyn Port>>>,
    pub(super) links: Links,
    stop: Arc<AtomicBool>,
    // Nanoseconds of the graphs' clock: as far as `step_until` has come, and where the next start goes on.
    pub(super) now: u64,
    started: Option<Instant>,
    pub(super) beds: Vec<Arc<Bed>>,
    pub(super) rings: Arc<[HandoffGauge]>,
    /// By place of its interface: what drivers drop in the place of nodes.
    pub(super) lent: BTreeMap<usize, Lent>,
    /// What there is to say of interfaces, by place, beside what their drivers say.
    pub(super) told: Mutex<Vec<(usize, String)>>,
    pub(super) probes: Vec<Known>,
    pub(super) next_probe: u64,
    pub(super) drop_log: Mutex<DropLog>,
    pub(super) revival: Revival,
}

impl Engine {
    /// Builds a plan: opens its interfaces, makes its tables, and its nodes for each worker. `None`, with diagnostics, if any part
    /// refuses; nothing is left open then.
    pub fn build(plan: Plan, options: &BuildOptions<'_>, diagnostics: &mut Diagnostics) -> Option<Engine> {
        build::build(plan, options, diagnostics)
    }

    pub(super) fn new(
        prepared: Prepared,
        options: &BuildOptions<'_>,
        beds: Vec<Arc<Bed>>,
        rings: Vec<HandoffGauge>,
        drop_log: DropLog,
    ) -> Engine {
        let Prepared { graphs, moves: _, plan, generation, ports, lent, told } = prepared;
        lent.values().for_each(Lent::begin);
        let (turns, standing) = swap::turns(graphs.len());
        Engine {
            plan,
            pool: Arc::clone(options.pool),
            virtual_time: options.virtual_time,
            graphs: Mutex::new(graphs),
            workers: Vec::new(),
            turns,
            standing,
            incomplete: None,
            number: 0,
            patience: swap::PATIENCE,
            mail: Mutex::default(),
            placement: Vec::new(),
            links: Links::new(ports.len()),
            generation,
            ports: ports.into_values().map(Some).collect(),
            stop: Arc::new(AtomicBool::new(false)),
            now: 0,
            started: None,
            beds,
            rings: rings.into(),
            lent,
            told: Mutex::new(told),
            probes: Vec::new(),
            next_probe: 1,
            drop_log: Mutex::new(drop_log),
            revival: Revival::default(),
        }
    }

    /// Starts one thread for each worker, pinned if the graph says where to.
    ///
    /// # Errors
    /// A thread could not be started or pinned; none runs then.
    pub fn start(&mut self) -> std::io::Result<()> {
        let placement = cpus::place(&self.plan.engine).map_err(std::io::Error::other)?;
        self.start_on(placement)
    }

    /// As [`Engine::start`], on the CPUs that [`place`](super::place) has chosen.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn start_on(&mut self, placement: Placement) -> std::io::Result<()> {
        self.placement = placement.cpus;
        self.stop.store(false, Ordering::Relaxed);
        self.look_at_links();
        // The clock goes on where it stood: ticks and drivers remember times of it.
        let clock = Instant::now();
        self.started = Some(clock);
        let mut failed = None;
        let mut left = Vec::new();
        let graphs = std::mem::take(get_mut(&mut self.graphs));
        get_mut(&mut self.mail).clear();
        let turns = std::mem::take(&mut self.standing);
        for (index, (graph, turn)) in graphs.into_iter().zip(turns).enumerate() {
            if failed.is_some() {
                left.push((graph, turn));
                continue;
            }
            let (control, mail) = mail::mail(&self.beds[index]);
            get_mut(&mut self.mail).push(control);
            let start = Start {
                index,
                cpus: self.placement.get(index).cloned().unwrap_or_default(),
                graph,
                stop: Arc::clone(&self.stop),
                bed: Arc::clone(&self.beds[index]),
                mail,
                turn,
                idle: self.plan.engine.idle,
                clock,
                now: self.now,
            };
            match worker::start(start) {
                Ok(worker) => self.workers.push(worker),
                Err(refused) => {
                    let (error, graph) = *refused;
                    failed = Some(error);
                    left.extend(graph);
                }
            }
        }
        let Some(error) = failed else { return Ok(()) };
        self.stop();
        for (graph, turn) in left {
            get_mut(&mut self.graphs).push(graph);
            self.standing.push(turn);
        }
        Err(error)
    }

    /// Stops the threads after the sweep that each is in. What was on its way from one to another is processed.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.beds.iter().for_each(|bed| bed.wake());
        get_mut(&mut self.mail).clear();
        for Worker { thread, .. } in self.workers.drain(..) {
            // A worker that panicked outside of a node has taken its graph with it; the panic hook has said why.
            let Ok((graph, turn)) = thread.join() else { continue };
            get_mut(&mut self.graphs).push(graph);
            self.standing.push(turn);
        }
        self.catch_up();
        let graphs = get_mut(&mut self.graphs);
        if let Some(started) = self.started.take() {
            self.now += started.elapsed().as_nanos() as u64;
        }
        drain(graphs, self.now);
        let now = self.now;
        graphs.iter_mut().for_each(|graph| graph.rest(now));
    }

    /// Has workers that were stopped before they went over to a graph do so, where all of them stand still.
    fn catch_up(&mut self) {
        if self.incomplete.is_none() {
            return;
        }
        drain(get_mut(&mut self.graphs).as_mut_slice(), self.now);
        let now = self.now;
        for (graph, turn) in get_mut(&mut self.graphs).iter_mut().zip(&mut self.standing).filter(|(_, turn)| turn.is_due()) {
            turn.take_standing(graph, now);
        }
        self.look_for_echoes();
    }

    /// Lets every worker in turn, in this thread and by one virtual clock, do what is due next, until nothing is due any more or it is
    /// later than `until` nanoseconds. The same input gives the same output, to the byte.
    pub fn step_until(&mut self, until: u64) {
        self.look_at_links();
        loop {
            let mut busy = false;
            let graphs = get_mut(&mut self.graphs);
            for at in 0..graphs.len() {
                graphs[at].count_offloaded(self.now);
                if graphs[at].hands_off() {
                    // What one has handed over the others process at once: so no ring overflows, however many packets are there.
                    busy |= graphs[at].sweep_in(1, self.now);
                    drain(graphs, self.now);
                } else {
                    busy |= graphs[at].sweep(self.now);
                }
            }
            if busy {
                continue;
            }
            let graphs = get_mut(&mut self.graphs);
            let all_ended = graphs.iter().all(WorkerGraph::ended);
            let due = graphs.iter().map(WorkerGraph::due).min().unwrap_or(Due::Ended);
            match due {
                // Ticks go on for ever; with the last packet in, only `until` asks for them.
                Due::At(at) if at <= until && at > self.now && !(all_ended && until == u64::MAX) => self.now = at,
                _ => break,
            }
        }
        if until != u64::MAX {
            self.now = self.now.max(until);
        }
    }

    /// The worker graphs that no thread runs, for benchmarks and tests that drive them step by step.
    pub fn graphs_mut(&mut self) -> &mut [WorkerGraph] {
        get_mut(&mut self.graphs).as_mut_slice()
    }

    /// Whether every receive queue has come to its end. While threads run: as each of them has last said.
    pub fn ended(&self) -> bool {
        lock(&self.graphs).iter().all(WorkerGraph::ended)
            && self.workers.iter().all(|worker| worker.ended.load(Ordering::Relaxed))
            && self.between_workers() == 0
    }

    /// Packets in the rings between workers.
    pub(super) fn between_workers(&self) -> u64 {
        self.rings.iter().map(|ring| ring.len() as u64).sum()
    }

    /// For each worker the receive queues that are its own: the index of an interface, and of the queue there.
    pub fn queues(&self) -> &[Vec<(usize, usize)>] {
        &self.generation.queues
    }

    /// For each worker the CPUs that it was bound to when it was last started; none if the system chooses.
    pub fn placement(&self) -> &[Vec<usize>] {
        &self.placement
    }

    /// Workers whose thread has ended though nobody has stopped it: a defect of the engine, which the panic hook has described.
    pub fn dead_workers(&self) -> Vec<usize> {
        let stopped = self.stop.load(Ordering::Relaxed);
        let dead = self.workers.iter().enumerate().filter(|(_, worker)| !stopped && worker.thread.is_finished());
        dead.map(|(index, _)| index).collect()
    }

    /// What it was built from.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What each node of the plan asked for and found when it was made: the same for all workers.
    pub fn wishes(&self) -> &[Wishes] {
        &self.generation.wishes
    }

    /// Its interfaces, by index. Interfaces that the graph has no longer leave [vacant](Interface::is_vacant) places.
    pub fn interfaces(&self) -> &[Interface] {
        &self.generation.interfaces
    }

    /// The pool of its packets.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// What each worker counts.
    pub fn counters(&self) -> &[WorkerCounters] {
        &self.generation.counters
    }

    /// A table by name.
    pub fn table(&self, name: &str) -> Option<&Arc<TableInstance>> {
        self.generation.tables.iter().flatten().find(|table| table.name() == name)
    }

    /// Sends a command to a table, while workers run or not: JSON in, JSON out.
    ///
    /// # Errors
    /// There is no such table, or it refuses; nothing has changed then.
    pub fn command(&self, table: &str, command: &str) -> Result<String, ConfigError> {
        self.ask(table, command).map(|answer| answer.reply)
    }

    /// As [`Engine::command`], and what the answer has cost. A command that needs the shards of a table
    /// ([`Sharded`](swath_api::Sharded)) is answered by all workers, slice by slice between their sweeps; one such command at a time.
    ///
    /// # Errors
    /// As [`Engine::command`]; or a worker does not answer, or has died.
    pub fn ask(&self, table: &str, command: &str) -> Result<Answer, ConfigError> {
        self.ask_while(table, command, &mut || {})
    }

    /// As [`Engine::ask`], for who has something else to do meanwhile: it is called many times while workers answer.
    ///
    /// # Errors
    /// As [`Engine::ask`].
    pub fn ask_while(&self, table: &str, command: &str, meanwhile: &mut dyn FnMut()) -> Result<Answer, ConfigError> {
        let found = self.table(table).ok_or_else(|| ConfigError::new(format!("there is no table '{table}'")))?;
        match Question::read(found, command) {
            Some(Ok(question)) => self.ask_shards(found, question, command, meanwhile),
            // Not one of its questions at all, so it may be a command.
            Some(Err(error)) if !error.message().starts_with("unknown variant") => Err(error),
            _ => Ok(Answer { reply: found.command(command)?, longest_pause: Duration::ZERO, slices: 0 }),
        }
    }

    fn ask_shards(
        &self,
        table: &Arc<TableInstance>,
        first: Question,
        command: &str,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Answer, ConfigError> {
        let mut questions = vec![first];
        while questions.len() < self.counters().len() {
            questions.extend(Question::read(table, command).transpose()?);
        }
        self.give(mail::asking(questions), meanwhile)?.answer()
    }

    fn give(&self, tasks: Vec<Task>, meanwhile: &mut dyn FnMut()) -> Result<Done, ConfigError> {
        let mut mail = lock(&self.mail);
        if mail.is_empty() {
            return mail::give_standing(&mut lock(&self.graphs), tasks, mail::collect);
        }
        mail::give(&mut mail, tasks, || self.dead_workers(), meanwhile, mail::collect)
    }

    /// Has one worker do a task between two sweeps, and returns what became of it.
    pub(super) fn one_worker(&self, worker: usize, task: Task) -> Result<Task, ConfigError> {
        let mut mail = lock(&self.mail);
        let done = match mail.get_mut(worker) {
            Some(one) => {
                let dead = || self.dead_workers().into_iter().filter(|dead| *dead == worker).map(|_| 0).collect();
                mail::give(std::slice::from_mut(one), vec![task], dead, &mut || {}, mail::collect)?
            }
            None => {
                let mut graphs = lock(&self.graphs);
                let graph = graphs.get_mut(worker).ok_or_else(|| ConfigError::new(format!("there is no worker {worker}")))?;
                mail::give_standing(std::slice::from_mut(graph), vec![task], mail::collect)?
            }
        };
        done.tasks.into_iter().next().ok_or_else(|| ConfigError::new(format!("worker {worker} does not answer")))
    }

    /// Has each worker do its task between two sweeps, and returns what became of them.
    pub(super) fn every_worker(&self, tasks: Vec<Task>) -> Result<Vec<Task>, ConfigError> {
        Ok(self.give(tasks, &mut || {})?.tasks)
    }

    /// What its tables have to tell for good since this was last asked, by table: `max` records of each at most. Whoever runs an engine asks
    /// many times a second.
    pub fn records(&self, max: usize) -> Vec<(&str, Records)> {
        let tables = self.generation.tables.iter().flatten();
        tables.filter_map(|table| Some((table.name(), table.records(max)?))).collect()
    }

    /// Nanoseconds of the clock that its workers go by.
    pub fn clock(&self) -> u64 {
        self.now + self.started.map_or(0, |started| started.elapsed().as_nanos() as u64)
    }

    /// What others need to watch it while it runs.
    pub fn observer(&self) -> Observer {
        let statuses =
            self.generation.interface_places.iter().map(|place| self.ports[*place].as_ref().and_then(|port| port.status()));
        let tables: Vec<Arc<TableInstance>> = self.generation.tables.iter().flatten().cloned().collect();
        Observer::new(self, &self.pool, &tables, statuses.collect())
    }

    /// Sets whether an interface is to be used, while workers run or not: one that is not counts as down, whatever its link says.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn set_admin(&self, interface: &str, up: bool) -> Result<(), ConfigError> {
        let there = || self.interfaces().iter().enumerate().filter(|(_, known)| !known.is_vacant());
        let names = || there().map(|(_, known)| known.name.as_str());
        let index = there().find(|(_, known)| known.name == interface).map(|(index, _)| index);
        let index = index.ok_or_else(|| ConfigError::unknown_interface("interface", interface, names()))?;
        self.links.set_admin(index, up);
        self.look_at_links();
        Ok(())
    }

    /// The place of an interface, as in [`Engine::interfaces`], by its index in the plan.
    pub fn place(&self, interface: usize) -> usize {
        self.generation.interface_places[interface]
    }

    /// Whether an interface is to be used, by its place: what [`Engine::set_admin`] was told last.
    pub fn is_admin_up(&self, interface: usize) -> bool {
        self.links.admin(interface)
    }

    /// How an interface stands, by its place, if that changes.
    pub fn port_status(&self, interface: usize) -> Option<Arc<dyn PortStatus>> {
        self.ports.get(interface)?.as_ref()?.status()
    }

    /// Tells tables which interfaces are no longer as they were told last.
    pub(super) fn look_at_links(&self) {
        let is_up = |index: usize| self.ports[index].as_ref().and_then(|port| port.status()).is_none_or(|status| status.is_up());
        self.links.look(is_up, &self.generation.tables);
    }

    /// What has happened to interfaces since this was last asked: names, and what their drivers say. Whoever runs an engine asks many
    /// times a second: tables learn then which links have gone down or come up.
    pub fn news(&self) -> Vec<(&str, String)> {
        self.look_at_links();
        let ports = self.interfaces().iter().zip(&self.ports).filter_map(|(interface, port)| Some((interface, port.as_ref()?)));
        let of_ports = ports.flat_map(|(interface, port)| port.news().into_iter().map(|news| (interface.name.as_str(), news)));
        let told = std::mem::take(&mut *lock(&self.told));
        of_ports.chain(told.into_iter().map(|(place, news)| (self.interfaces()[place].name.as_str(), news))).collect()
    }

    /// Lets the drivers finish: files are complete, sinks have said what they saw. For each interface by name what its driver says, or
    /// which output could not be written.
    pub fn finish(&mut self) -> Vec<(String, Result<serde_json::Value, String>)> {
        let ports = self.generation.interfaces.iter().zip(&mut self.ports);
        ports.filter_map(|(interface, port)| Some((interface.name.clone(), port.as_mut()?.finish()))).collect()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({} nodes, {} workers)", self.plan.nodes.len(), self.counters().len())
    }
}

/// Lets workers process what they have handed each other, in turns, until nothing is left: a ring leads to a later node, so there is an
/// end to it.
pub(super) fn drain(graphs: &mut [WorkerGraph], now: u64) {
    let mut again = true;
    while again {
        again = false;
        // Each has its turn, whether others had something or not.
        graphs.iter_mut().for_each(|graph| again |= graph.drain(now));
    }
}

/// Nothing that is locked here is left half done by a panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn get_mut<T>(mutex: &mut Mutex<T>) -> &mut T {
    mutex.get_mut().unwrap_or_else(PoisonError::into_inner)
}
