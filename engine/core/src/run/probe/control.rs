//! Probes as the control side has them: what is wanted, by names, and what comes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use glob::Pattern;
use swath_api::ConfigError;
use swath_api::filter::Filter;

use super::LOOKS;
use super::names::{EdgeNames, Fate, Names};
use super::slip::{Reader, Seen, slips};
use super::trace::{Followed, HEADERS, MOST, Trace};
use super::worker::{Kind, Probe, Selection, Shared};
use crate::run::engine::Engine;
use crate::run::mail::Task;

/// Memory of the slips of one worker, in bytes, at most; and how many there are at most and at least.
const MEMORY: usize = 4 << 20;
const SLIPS: usize = 4096;
const FEWEST_SLIPS: usize = 64;
/// Probes at once: each is paid for by every packet.
const PROBES: usize = 16;

/// What somebody wants to look at.
#[derive(Debug, Clone)]
pub struct Order {
    /// Which packets.
    pub what: What,
    /// Of these, those for which this holds.
    pub filter: Option<Filter>,
    /// So many of them; 0 for as many as there are.
    pub count: u64,
    /// Bytes of each.
    pub snap: usize,
}

/// Which packets.
#[derive(Debug, Clone)]
pub enum What {
    /// Those that leave nodes by these edges, whatever becomes of them.
    Edges(Vec<Place>),
    /// Those that nodes drop, by these names; by any, if there is none.
    Drops(Vec<Place>),
    /// Those that come in by an interface, by any without a name, and then wherever they go.
    Trace(Option<String>),
}

/// Nodes and edges by names, in which `*` stands for any letters: `lookup`, `lookup.no-route`, `lan-*.*`.
#[derive(Debug, Clone)]
pub struct Place {
    text: String,
    whole: Pattern,
    parts: Option<(Pattern, Pattern)>,
}

impl Place {
    /// Reads one.
    ///
    /// # Errors
    /// It is no pattern.
    pub fn new(text: &str) -> Result<Place, ConfigError> {
        let pattern = |text: &str| Pattern::new(text).map_err(|error| ConfigError::new(format!("`{text}`: {}", error.msg)));
        let parts = text.rsplit_once('.').map(|(node, edge)| Ok((pattern(node)?, pattern(edge)?))).transpose()?;
        Ok(Place { text: text.into(), whole: pattern(text)?, parts })
    }

    /// Whether it names this edge of this node.
    pub fn has(&self, node: &str, edge: &str) -> bool {
        self.whole.matches(node) || self.parts.as_ref().is_some_and(|(n, e)| n.matches(node) && e.matches(edge))
    }
}

/// What a worker of an engine was asked to show, as long as somebody reads it.
pub struct Sightings {
    id: u64,
    readers: Vec<Reader>,
    shared: Arc<Shared>,
}

/// A probe, as the engine remembers it.
pub(in crate::run) struct Known {
    id: u64,
    what: What,
    shared: Arc<Shared>,
}

impl Sightings {
    /// Its number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What workers have seen since this was last asked, in the order of each; at most so much of each.
    pub fn take(&mut self, max: usize) -> Vec<Seen> {
        let mut all = Vec::new();
        for reader in &mut self.readers {
            reader.read(max, |seen| all.push(seen));
        }
        // Those of one worker are in order, and stay so.
        all.sort_by_key(|seen| seen.at);
        all
    }

    /// Packets that nobody saw, because they came faster than they were read.
    pub fn missed(&self) -> u64 {
        self.shared.missed.load(Ordering::Relaxed)
    }

    /// Whether as many were chosen as were wanted. Those that are followed may still be on their way.
    pub fn is_full(&self) -> bool {
        self.shared.left.load(Ordering::Relaxed) <= 0
    }
}

impl Drop for Sightings {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Sightings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sightings(probe {})", self.id)
    }
}

/// What all probes are about in another graph.
pub(in crate::run) fn known_selections(known: &[Known], names: &Names) -> Vec<(u64, Selection)> {
    known.iter().map(|known| (known.id, select(&known.what, names))).collect()
}

fn select(what: &What, names: &Names) -> Selection {
    // By whatever they come in: which interface that is their lane says.
    if matches!(what, What::Trace(_)) {
        return Selection::default();
    }
    let wanted = |at: usize, edge: &EdgeNames| {
        let node = &names.nodes[at];
        let listed = |places: &[Place]| places.iter().any(|place| place.has(&node.name, &edge.name));
        match what {
            What::Edges(places) => listed(places),
            What::Drops(places) => edge.fate == Fate::Dropped && (places.is_empty() || listed(places)),
            What::Trace(_) => false,
        }
    };
    let slots = |at: usize| names.nodes[at].edges.iter().map(|edge| wanted(at, edge)).collect::<Box<[bool]>>();
    Selection((0..names.nodes.len()).map(|at| Some(slots(at)).filter(|slots| slots.contains(&true))).collect())
}

impl Engine {
    /// Has the workers show packets, until what is returned is dropped. Graphs that are applied meanwhile change nothing: what is wanted
    /// is known by its name.
    ///
    /// # Errors
    /// There is nothing of a name, there are too many probes already, or a worker does not answer.
    pub fn probe(&mut self, order: Order) -> Result<Sightings, ConfigError> {
        if !LOOKS {
            return Err(ConfigError::new("nobody can look at packets: the engine is built with the feature `bare`"));
        }
        self.end_probes();
        if self.probes.len() >= PROBES {
            return Err(ConfigError::new(format!("{PROBES} probes are there already: end one of them")));
        }
        let names = Arc::clone(&self.generation.names);
        check(&order.what, &names)?;
        let workers = self.counters().len();
        let stride = self.pool().region().geometry().stride as usize;
        let trace = matches!(order.what, What::Trace(_)).then(|| Arc::new(Trace::new(self.pool())));
        let snap = if trace.is_some() { HEADERS } else { order.snap.min(stride) };
        let count = (MEMORY / snap.max(HEADERS)).clamp(FEWEST_SLIPS, SLIPS);
        let most = if trace.is_some() { MOST } else { i64::MAX as u64 };
        let left = if order.count == 0 { most } else { order.count.min(most) };
        // Nothing is wanted before all workers have it: what one of them has chosen another one would not know.
        let shared = Arc::new(Shared { left: AtomicI64::new(0), missed: AtomicU64::new(0), closed: AtomicBool::new(false) });
        let receives = match &order.what {
            What::Trace(interface) => interface.as_deref().map(|name| place(&names, name)).transpose()?,
            _ => None,
        };
        let id = self.next_probe;
        self.next_probe += 1;
        let (mut readers, mut tasks) = (Vec::new(), Vec::new());
        for worker in 0..workers {
            let (pen, reader) = slips(worker, count, snap);
            readers.push(reader);
            let kind =
                trace.as_ref().map_or(Kind::Edges, |trace| Kind::Trace(Followed::new(Arc::clone(trace), receives, self.pool())));
            let selection = select(&order.what, &names);
            let (filter, shared) = (order.filter.clone(), Arc::clone(&shared));
            tasks.push(Task::Probe(Some(Box::new(Probe { id, kind, filter, selection, pen, shared }))));
        }
        let sightings = Sightings { id, readers, shared: Arc::clone(&shared) };
        // Known from here on, so that it is ended if a worker does not answer.
        self.probes.push(Known { id, what: order.what, shared });
        self.every_worker(tasks)?;
        sightings.shared.left.store(left as i64, Ordering::Relaxed);
        Ok(sightings)
    }

    /// Takes away the probes that nobody reads any more. Whoever runs an engine asks many times a second.
    pub fn end_probes(&mut self) {
        let ended = |known: &Known| known.shared.closed.load(Ordering::Relaxed);
        let ids: Vec<u64> = self.probes.iter().filter(|known| ended(known)).map(|known| known.id).collect();
        for id in ids {
            let tasks = (0..self.counters().len()).map(|_| Task::Unprobe(id, None)).collect();
            // A worker that does not answer looks at nothing for it: it is closed.
            let _ = self.every_worker(tasks);
            self.probes.retain(|known| known.id != id);
        }
    }

    /// Keeps the samples of what workers have dropped. Whoever runs an engine asks many times a second.
    pub fn keep_samples(&self) {
        crate::run::engine::lock(&self.drop_log).keep();
    }

    /// The last packets that were sampled of those that a node has dropped for a reason, the oldest first.
    pub fn samples(&self, node: &str, kind: &'static str, reason: &str) -> Vec<Seen> {
        let mut log = crate::run::engine::lock(&self.drop_log);
        log.keep();
        log.of(node, kind, reason)
    }
}

pub(super) fn place(names: &Names, interface: &str) -> Result<u16, ConfigError> {
    let known = || names.interfaces.iter().map(String::as_str).filter(|name| !name.is_empty());
    let place = names.interfaces.iter().position(|name| name == interface).filter(|_| !interface.is_empty());
    place.map(|place| place as u16).ok_or_else(|| ConfigError::unknown_interface("in", interface, known()))
}

/// Refuses a name of nothing: who mistypes one waits for ever otherwise.
fn check(what: &What, names: &Names) -> Result<(), ConfigError> {
    let (What::Edges(places) | What::Drops(places)) = what else { return Ok(()) };
    for place in places {
        let any = |drops: bool| {
            let mut edges = names.nodes.iter().flat_map(|node| node.edges.iter().map(|edge| (node.name.as_str(), edge)));
            edges.any(|(node, edge)| place.has(node, &edge.name) && (!drops || edge.fate == Fate::Dropped))
        };
        let text = &place.text;
        if any(matches!(what, What::Drops(_))) {
            continue;
        }
        if any(false) {
            return Err(ConfigError::new(format!("`{text}` drops nothing: its packets go on")));
        }
        let node = place.parts.as_ref().and_then(|(node, _)| names.nodes.iter().find(|known| node.matches(&known.name)));
        return Err(ConfigError::new(match node {
            None => format!("there is no node `{text}`"),
            Some(node) => {
                let edges: Vec<String> = node.edges.iter().map(|edge| format!("`{}`", edge.name)).collect();
                format!("there is no `{text}`: packets leave `{}` by {}", node.name, edges.join(", "))
            }
        }));
    }
    Ok(())
}
