//! From a plan to what runs: everything is made before anything starts, and any error means that nothing has changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use swath_api::wire::MacAddr;
use swath_api::{
    ConfigError, EdgeClass, Interface, Interfaces, Keeper, NodeHost, NodeInstance, Ownership, Pool, TableInstance, TableTies,
    Tables, Wishes, WorkerTables, reserved,
};

use super::bed::Bed;
use super::before::Before;
use super::book::{Book, Carried};
use super::counters::{Counter, WorkerCounters, slot};
use super::engine::Engine;
use super::handoff::Handoffs;
use super::offload::{Asked, Lent};
use super::pass::{FREE, Ingredients, Running, Source, TRANSMIT, WorkerGraph};
use super::probe::{DropLog, Names, Sampler};
use super::succeed::{Absent, Moves};
use crate::driver::{Claim, Due, Opener, Port, PortConfig, RxQueue, TxQueue};
use crate::parts::{self, Ground, NodeGround, Part, Parts, Purpose, Teller};
use crate::plan::{Diff, EdgePlan, NodePlan, Plan, handoff_ring};
use crate::spec::{Code, Diagnostic, Diagnostics, Doubts};

/// Places that interfaces may have: a name keeps its place, and a lane has 16 bits for it, of which some values are taken.
const MAX_PLACES: usize = 60_000;

/// How a plan is built.
#[derive(Debug, Clone, Copy)]
pub struct BuildOptions<'a> {
    /// Where packets live.
    pub pool: &'a Arc<Pool>,
    /// Time is that of the input: for replays and tests.
    pub virtual_time: bool,
}

/// All that a graph needs to run, made and not yet used.
pub(super) struct Prepared {
    // Before the ports: queues refer to what the ports own.
    pub graphs: Vec<WorkerGraph>,
    /// By worker: what it takes over from the graph before.
    pub moves: Vec<Moves>,
    pub plan: Plan,
    pub generation: Generation,
    /// Those that were attached for it, by place.
    pub ports: Ports,
    /// By place of its interface: what drivers drop in the place of nodes.
    pub lent: BTreeMap<usize, Lent>,
    /// Of which interface there is something to say, by place, and what.
    pub told: Vec<(usize, String)>,
}

/// Attachments by place.
type Ports = BTreeMap<usize, Box<dyn Port>>;

/// What an engine knows of the graph that runs.
#[derive(Default)]
pub(super) struct Generation {
    pub book: Book,
    /// By place: those that the graph does not have are vacant.
    pub interfaces: Vec<Interface>,
    /// By index in the plan: the place of each.
    pub interface_places: Vec<usize>,
    pub tables: Vec<Option<Arc<TableInstance>>>,
    pub ties: HashMap<String, TableTies>,
    pub counters: Vec<WorkerCounters>,
    /// What each node of the plan asked for and found.
    pub wishes: Vec<Wishes>,
    /// By worker: the place of an interface, and the queue there.
    pub queues: Vec<Vec<(usize, usize)>>,
    /// By how workers know them: the nodes behind handoffs, of this graph and of those before.
    pub targets: Vec<String>,
    /// The words of the graph.
    pub names: Arc<Names>,
}

pub(super) fn build(plan: Plan, options: &BuildOptions<'_>, diagnostics: &mut Diagnostics) -> Option<Engine> {
    let workers = u32::from(plan.engine.workers);
    let beds = (0..workers).map(|_| Bed::new().map(Arc::new)).collect::<Result<Vec<_>, _>>();
    let no_bed = |error| Diagnostic::error(Code::Refused, format!("no descriptor for a worker: {error}"));
    let beds = diagnostics.ok(beds.map_err(no_bed))?;
    let handed: Vec<Arc<[Counter]>> = (0..workers).map(|_| (0..workers).map(|_| Counter::default()).collect()).collect();
    let (handoffs, rings) = Handoffs::all(&beds, &handed, handoff_ring(&plan.engine), options.pool);
    let own = handed.into_iter().map(|handed| WorkerCounters { handed, ..WorkerCounters::default() }).collect();
    let mut prepared = prepare(plan, None, own, options, diagnostics)?;
    if workers > 1 {
        prepared.graphs.iter_mut().zip(handoffs).for_each(|(graph, ends)| graph.handoffs = Some(ends));
    }
    let (pens, drop_log) = DropLog::new(workers as usize);
    let names = &prepared.generation.names;
    prepared.graphs.iter_mut().zip(pens).for_each(|(graph, pen)| graph.sampler = Sampler::new(names, Some(pen)));
    Some(Engine::new(prepared, options, beds, rings, drop_log))
}

/// Makes a graph, in the place of the one that runs if there is one. `own` is what each worker counts of itself. `None`, with diagnostics, if
/// any part refuses; nothing has changed then.
pub(super) fn prepare(
    mut plan: Plan,
    running: Option<(&Engine, &Diff)>,
    own: Vec<WorkerCounters>,
    options: &BuildOptions<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Prepared> {
    let errors = diagnostics.errors();
    plan.remove_handoffs();
    let workers = u32::from(plan.engine.workers);
    let openers = plan.interfaces.iter_mut().map(|interface| interface.opener.take()).collect();
    let before = running.map(|(engine, diff)| Before::new(engine, diff));
    let mut book = running.map(|(engine, _)| engine.generation.book.clone()).unwrap_or_default();
    let places: Vec<usize> =
        plan.interfaces.iter().map(|interface| book.place(&interface.spec.name.value, workers as usize)).collect();
    let place_count = book.places();
    if place_count > MAX_PLACES {
        let many = format!("the process has had more than {MAX_PLACES} interfaces by now: start it again");
        diagnostics.push(Diagnostic::error(Code::Refused, many));
        return None;
    }
    let ground = before.as_ref().map(|before| before.ground(&plan, &places, &book));
    let made = make_parts(&plan, openers, (before.as_ref(), ground, &places, place_count), options, diagnostics);
    let Made { mut ports, interfaces, parts: Parts { tables, mut ties, nodes }, mut ground } = made;
    if diagnostics.errors() > errors {
        return None;
    }
    let of_graph = (&interfaces, &tables);
    let nodes = with_handoffs(&mut plan, nodes.into_iter().flatten().collect(), of_graph, &mut ground, options.pool, diagnostics)?;
    let asked = Asked::of(&plan, &nodes, &mut ports, (running.map(|(engine, _)| &engine.lent), before.as_ref()), &tables);
    let mut queues = Queues::new(&ports, before.as_ref(), workers);
    queues.assign(&mut ports);
    let mut transmit = transmit_queues(&mut ports, (place_count, workers as usize), &interfaces, diagnostics)?;
    let carried: Vec<Carried> = plan.nodes.iter().map(|node| book.go_on(node, workers as usize)).collect();
    let mut targets = running.map(|(engine, _)| engine.generation.targets.clone()).unwrap_or_default();
    let (mut graphs, mut moves, mut counters, mut unreceived) = (Vec::new(), Vec::new(), Vec::new(), BTreeSet::new());
    let mut first = Some(nodes);
    let mut wishes = Vec::new();
    let names = Arc::new(Names::new(&plan, interfaces.list()));
    for (worker, own) in own.into_iter().enumerate() {
        let made = match first.take() {
            Some(made) => made,
            None => more_nodes(&plan, worker as u32, (&interfaces, &tables, &ground), options.pool, diagnostics)?,
        };
        let mut running = Vec::with_capacity(made.len());
        let mut receivers: HashMap<u16, usize> = HashMap::new();
        wishes = made.iter().map(|(_, wishes)| wishes.clone()).collect();
        for (index, ((instance, wishes), node)) in made.into_iter().zip(&plan.nodes).enumerate() {
            receivers.extend(wishes.receive.map(|interface| (interface, index)));
            if ground.nodes[index].kept.is_none() {
                book.keep(node, worker, instance.keeper());
            }
            running.push(run(index, node, instance, wishes, &plan, &mut targets));
        }
        let owned = WorkerCounters {
            nodes: plan.nodes.iter().map(|node| Arc::clone(&book.blocks(node)[worker])).collect(),
            interfaces: places.iter().map(|place| Arc::clone(book.interface(*place, worker))).collect(),
            ..own
        };
        let (mut sources, mut parked) = (Vec::new(), Vec::new());
        for (interface, number, queue) in std::mem::take(&mut queues.of[worker]) {
            match receivers.get(&(interface as u16)) {
                Some(node) => {
                    sources.push(Source { queue, node: *node, interface, number, stead: asked.steads.get(&interface).copied() })
                }
                None => {
                    if queue.due() != Due::Ended {
                        unreceived.insert(interface);
                    }
                    parked.push(Source { queue, node: usize::MAX, interface, number, stead: None });
                }
            }
        }
        let makes = |place: usize| !ground.tables.iter().any(|table| table.place == place && table.kept.is_some());
        let own_tables = WorkerTables::at_places(worker as u32, tables.instances(), makes);
        let own_tables = diagnostics.ok(own_tables.map_err(|error| Diagnostic::error(Code::Refused, error.to_string())))?;
        let ingredients = Ingredients {
            nodes: running,
            sources,
            parked,
            ports: std::mem::take(&mut transmit[worker]),
            tables: own_tables,
            counters: owned.clone(),
            interfaces: (0..place_count).map(|place| Arc::clone(book.interface(place, worker))).collect(),
            handoffs: None,
            targets: known_targets(&targets, &plan),
            names: Arc::clone(&names),
        };
        let mut graph = WorkerGraph::new(ingredients, options.pool);
        open_shortcuts(&mut graph, &plan, (worker as u32, &interfaces, &tables), options.pool);
        graphs.push(graph);
        moves.push(before.as_ref().map(|before| before.moves(&plan, &ground, &carried, worker)).unwrap_or_default());
        counters.push(owned);
    }
    for place in unreceived {
        places.iter().position(|at| *at == place).into_iter().for_each(|index| warn_unreceived(&plan, index, diagnostics));
    }
    let named =
        plan.tables.iter().enumerate().filter_map(|(index, table)| Some((table.spec.name.value.clone(), ties.remove(&index)?)));
    let generation = Generation {
        ties: named.collect(),
        book,
        interfaces: interfaces.list().to_vec(),
        interface_places: places,
        tables: tables.instances().to_vec(),
        counters,
        wishes,
        queues: queues.known,
        targets,
        names,
    };
    Some(Prepared { graphs, moves, plan, generation, ports, lent: asked.lent, told: asked.news })
}

/// What was made of the plan's words.
struct Made {
    ports: Ports,
    interfaces: Interfaces,
    parts: Parts,
    ground: Ground,
}

/// Attaches the interfaces and makes the parts, and says everything that is wrong with any of them.
fn make_parts(
    plan: &Plan,
    openers: Vec<Option<Opener>>,
    (before, ground, places, place_count): (Option<&Before<'_>>, Option<Ground>, &[usize], usize),
    options: &BuildOptions<'_>,
    diagnostics: &mut Diagnostics,
) -> Made {
    let doubts = Doubts::default();
    let view = plan.view(&doubts);
    let mut teller = Teller::new(&view);
    let ports = open_ports(plan, openers, (before, places), options, &mut teller, diagnostics);
    let mut described = vec![Interface::vacant(); place_count];
    for (interface, place) in plan.interfaces.iter().zip(places) {
        let attached = ports.get(place).map(|port| (port.mac(), port.mtu()));
        let attached = attached.or_else(|| before?.attached(*place));
        let spec = parts::describe(&interface.spec, *place);
        described[*place] = attached.map_or(spec.clone(), |(mac, mtu)| Interface { mac, mtu, ..spec });
    }
    let interfaces = Interfaces::new(described);
    let ground = ground.unwrap_or_else(|| Ground::empty(&view));
    let purpose = if options.virtual_time { Purpose::VirtualTime } else { Purpose::RealTime };
    let parts = parts::make(&view, &interfaces, options.pool, &ground, purpose, &mut teller, diagnostics);
    Made { ports, interfaces, parts, ground }
}

/// Attaches those that are not attached.
fn open_ports(
    plan: &Plan,
    openers: Vec<Option<Opener>>,
    (before, places): (Option<&Before<'_>>, &[usize]),
    options: &BuildOptions<'_>,
    teller: &mut Teller<'_>,
    diagnostics: &mut Diagnostics,
) -> Ports {
    let mut ports = Ports::new();
    let leaving = before.map(Before::leaving).unwrap_or_default();
    for ((interface, opener), place) in plan.interfaces.iter().zip(openers).zip(places) {
        if before.is_some_and(|before| before.stays(*place)) {
            continue;
        }
        let spec = &interface.spec;
        let settings = spec.settings.to_json_bytes();
        let config = PortConfig {
            name: &spec.name.value,
            index: *place as u16,
            settings: &settings,
            mac: spec.mac.as_ref().map(|mac| MacAddr::from(mac.value.0)),
            mtu: spec.mtu.as_ref().map(|mtu| mtu.value),
            workers: u32::from(plan.engine.workers),
            pool: options.pool,
            directory: &spec.directory,
            virtual_time: options.virtual_time,
            leaving: &leaving,
        };
        match interface.driver.open(opener, &config) {
            Ok(port) => {
                parts::check_mtu(spec, port.mtu(), options.pool, diagnostics);
                ports.insert(*place, port);
            }
            Err(refusal) => {
                let check = |settings: &[u8]| interface.driver.check(&PortConfig { settings, ..config });
                teller.explain_open(&Part::interface(spec, &interface.driver), refusal, &check, diagnostics);
            }
        }
    }
    check_claims(plan, (before, places), &ports, diagnostics);
    ports
}

/// The transmit queues, by worker and then by place.
fn transmit_queues(
    ports: &mut Ports,
    (places, workers): (usize, usize),
    interfaces: &Interfaces,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Vec<Box<dyn TxQueue>>>> {
    let mut transmit: Vec<Vec<Box<dyn TxQueue>>> =
        (0..workers).map(|_| (0..places).map(|_| Absent::transmit()).collect()).collect();
    for (place, port) in ports {
        let queues = port.transmit_queues();
        if queues.len() != workers {
            let name = &interfaces.list()[*place].name;
            let defect = format!("the driver of `{name}` has {} transmit queues for {workers} workers", queues.len());
            diagnostics.push(Diagnostic::error(Code::Refused, defect));
            return None;
        }
        transmit.iter_mut().zip(queues).for_each(|(worker, queue)| worker[*place] = queue);
    }
    Some(transmit)
}

/// Two interfaces cannot use the same file or device, unless both only read it.
fn check_claims(plan: &Plan, (before, places): (Option<&Before<'_>>, &[usize]), ports: &Ports, diagnostics: &mut Diagnostics) {
    // By resource: who uses it first, and who is the first to use it alone.
    let mut claimed: HashMap<String, (usize, Option<usize>)> = HashMap::new();
    for (interface, place) in places.iter().enumerate() {
        let fresh = ports.get(place).map(|port| &**port);
        let Some(port) = fresh.or_else(|| before?.port(*place)) else { continue };
        for Claim { resource, exclusive } in port.claims() {
            let (user, alone) = *claimed.entry(resource.clone()).or_insert((interface, exclusive.then_some(interface)));
            let rival = if exclusive { Some(user) } else { alone };
            if let Some(other) = rival.filter(|other| *other != interface) {
                let (first, second) = (&plan.interfaces[other].spec.name, &plan.interfaces[interface].spec.name);
                let message = format!("`{}` and `{}` both use {resource}", first.value, second.value);
                diagnostics.push(
                    Diagnostic::error(Code::Refused, message).primary(second.span, "the second").secondary(first.span, "the first"),
                );
            }
            let before = before.filter(|_| fresh.is_some());
            if let Some(other) = before.and_then(|before| before.leaving_user(&resource, exclusive)) {
                let name = &plan.interfaces[interface].spec.name;
                let message = format!("`{}` uses {resource}, which the running `{other}` has until it is detached", name.value);
                diagnostics.push(
                    Diagnostic::error(Code::Refused, message)
                        .primary(name.span, "attached before the other is detached")
                        .help("take it away with one reload, and bring it back with the next"),
                );
            }
            if exclusive && alone.is_none() {
                claimed.insert(resource, (user, Some(interface)));
            }
        }
    }
}

/// Packets that come in and reach no node are worth a word.
fn warn_unreceived(plan: &Plan, index: usize, diagnostics: &mut Diagnostics) {
    let name = &plan.interfaces[index].spec.name;
    diagnostics.push(
        Diagnostic::warning(Code::Unreceived, format!("no node receives the packets of `{}`", name.value))
            .primary(name.span, "has packets")
            .help(format!("add a node: `{0}-rx: {{ kind: rx, interface: {0}, to: NODE }}`", name.value)),
    );
}

/// An instance, and what it asked for.
type Instance = (NodeInstance, Wishes);

/// Puts handoffs before those nodes of the first worker that say that their packets have owners. They are made anew with each graph: they
/// know nothing. `None` if any cannot be made.
fn with_handoffs(
    plan: &mut Plan,
    nodes: Vec<Instance>,
    host: (&Interfaces, &Tables),
    ground: &mut Ground,
    pool: &Arc<Pool>,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Instance>> {
    let inserted = plan.insert_handoffs(|at| nodes[at].1.owned);
    let mut known = std::mem::take(&mut ground.nodes).into_iter();
    let of_node = |inserted: &bool| if *inserted { NodeGround::default() } else { known.next().unwrap_or_default() };
    ground.nodes = inserted.iter().map(of_node).collect();
    let mut own = nodes.into_iter();
    let all = inserted.iter().zip(&plan.nodes).zip(&ground.nodes).map(|((inserted, node), ground)| match inserted {
        true => make_node(plan, (node, ground), 0, host, pool, diagnostics),
        false => own.next(),
    });
    all.collect()
}

/// Makes the instances of a further worker. `None` if any refuses.
fn more_nodes(
    plan: &Plan,
    worker: u32,
    (interfaces, tables, ground): (&Interfaces, &Tables, &Ground),
    pool: &Arc<Pool>,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Instance>> {
    let host = (interfaces, tables);
    let made = plan.nodes.iter().zip(&ground.nodes);
    let made = made.filter_map(|(node, ground)| make_node(plan, (node, ground), worker, host, pool, diagnostics));
    let made: Vec<Instance> = made.collect();
    (made.len() == plan.nodes.len()).then_some(made)
}

/// Makes an instance, unless one goes on.
fn make_node(
    plan: &Plan,
    (node, ground): (&NodePlan, &NodeGround),
    worker: u32,
    (interfaces, tables): (&Interfaces, &Tables),
    pool: &Arc<Pool>,
    diagnostics: &mut Diagnostics,
) -> Option<Instance> {
    if let Some(wishes) = &ground.kept {
        return Some((NodeInstance::vacant(node.kind, pool), wishes.clone()));
    }
    let keeper = ground.keepers.get(worker as usize);
    let created = create(plan, node, (worker, keeper), (interfaces, tables), pool);
    diagnostics.ok(created.map_err(|error| Diagnostic::at_path(&node.spec.settings, error.path(), error.message())))
}

/// Makes an instance of a node for a worker, in whose name it throws packets away.
pub(super) fn create(
    plan: &Plan,
    node: &NodePlan,
    (worker, keeper): (u32, Option<&Arc<Keeper>>),
    (interfaces, tables): (&Interfaces, &Tables),
    pool: &Arc<Pool>,
) -> Result<Instance, ConfigError> {
    let (edges, workers) = (EdgePlan::names(&node.edges), u32::from(plan.engine.workers));
    let name = &node.spec.name.value;
    let host = NodeHost { name, worker, workers, interfaces, tables, slots: &plan.slots, edges: &edges, pool, keeper };
    node.kind.create(&node.spec.settings.to_json_bytes(), &host)
}

/// An instance as its worker runs it.
fn run(index: usize, node: &NodePlan, instance: NodeInstance, wishes: Wishes, plan: &Plan, targets: &mut Vec<String>) -> Running {
    let (edges, nodes) = (&node.edges, plan.nodes.len());
    let asks = asked_by(index, node, plan);
    let target = asks.and(node.targets.first().copied().flatten()).map_or(0, |to| {
        let name = &plan.nodes[to].spec.name.value;
        targets.iter().position(|known| known == name).unwrap_or_else(|| {
            targets.push(name.clone());
            targets.len() - 1
        })
    });
    Running {
        instance,
        to: routes(node, nodes),
        edges: edges.len(),
        slots: slots(node),
        transmit: edges.iter().position(|edge| edge.class == EdgeClass::Transmit),
        majority: 0,
        asks,
        target: target as u32,
        tick: wishes.tick_every.map(|every| (every, 0)),
        through: None,
        spared: None,
    }
}

/// Has packets go through chains of nodes in one step where they can. A shortcut that refuses its settings is left out: the nodes themselves
/// do all that it does.
fn open_shortcuts(
    graph: &mut WorkerGraph,
    plan: &Plan,
    (worker, interfaces, tables): (u32, &Interfaces, &Tables),
    pool: &Arc<Pool>,
) {
    for first in 0..plan.nodes.len() {
        for shortcut in plan.shortcuts {
            let Some(chain) = plan.chain(first, shortcut) else { continue };
            let nodes: Vec<&NodePlan> = chain.steps.iter().map(|(node, _)| &plan.nodes[*node]).collect();
            let settings: Vec<Vec<u8>> = nodes.iter().map(|node| node.spec.settings.to_json_bytes()).collect();
            let settings = [b"[", &settings.join(&b","[..])[..], b"]"].concat();
            let (name, workers) = (&nodes[0].spec.name.value, u32::from(plan.engine.workers));
            let host = NodeHost { name, worker, workers, interfaces, tables, slots: &plan.slots, edges: &[], pool, keeper: None };
            let Ok((instance, _)) = shortcut.kind.create(&settings, &host) else { continue };
            let slots: Vec<(usize, usize)> =
                chain.steps.iter().map(|(node, edge)| (*node, graph.nodes[*node].slot(*edge))).collect();
            if graph.open_shortcut(instance, &slots, chain.to) {
                break;
            }
        }
    }
}

/// For a handoff: the node that says who owns a packet. One that the planner has put in asks the node behind it, one of the graph's own
/// itself.
pub(super) fn asked_by(index: usize, node: &NodePlan, plan: &Plan) -> Option<usize> {
    match (plan.engine.workers, node.targets.first()) {
        (2.., Some(Some(to))) if node.inserted => Some(*to),
        (2.., Some(Some(_))) if node.kind.info().ownership == Ownership::HandsOff => Some(index),
        _ => None,
    }
}

/// Where the packets of other workers go that come to a target: its node, if the graph has it behind a handoff.
fn known_targets(targets: &[String], plan: &Plan) -> Box<[Option<u16>]> {
    let behind = plan.nodes.iter().enumerate().filter_map(|(index, node)| {
        asked_by(index, node, plan)?;
        node.targets.first().copied().flatten()
    });
    let behind: BTreeSet<usize> = behind.collect();
    let find = |name: &String| behind.iter().find(|to| plan.nodes[**to].spec.name.value == *name).map(|to| *to as u16);
    targets.iter().map(find).collect()
}

/// The counter slot of each edge: its own, but for what is only said to be held.
fn slots(node: &NodePlan) -> Box<[u16]> {
    let edges = &node.edges;
    let fault = slot(reserved::FAULT, edges.len());
    edges.iter().enumerate().map(|(id, edge)| if edge.class == EdgeClass::Held { fault as u16 } else { id as u16 }).collect()
}

/// For each counter slot of a node the index of the vector that its packets go to.
fn routes(node: &NodePlan, nodes: usize) -> Box<[u16]> {
    let edges = node.edges.iter().zip(&node.targets).map(|(edge, target)| match (target, edge.class) {
        (Some(to), _) => *to,
        (None, EdgeClass::Transmit) => nodes + TRANSMIT,
        (None, _) => nodes + FREE,
    });
    let reserved = std::iter::repeat_n(nodes + FREE, reserved::REASONS.len());
    edges.chain(reserved).map(|to| to as u16).collect()
}

/// A receive queue, with the place of its interface and its own number there.
type Assigned = (usize, usize, Box<dyn RxQueue>);

/// Receive queues by worker.
struct Queues {
    of: Vec<Vec<Assigned>>,
    /// The same as numbers.
    known: Vec<Vec<(usize, usize)>>,
}

impl Queues {
    /// The queues of interfaces that stay attached stay with their workers.
    fn new(ports: &Ports, before: Option<&Before<'_>>, workers: u32) -> Queues {
        let stay = |(place, _): &(usize, usize)| !ports.contains_key(place) && before.is_some_and(|b| b.stays(*place));
        let known: Vec<Vec<(usize, usize)>> = match before {
            Some(before) => before.queues().iter().map(|own| own.iter().copied().filter(stay).collect()).collect(),
            None => (0..workers).map(|_| Vec::new()).collect(),
        };
        let of = known.iter().map(|own| own.iter().map(|(place, number)| (*place, *number, Absent::receive())).collect());
        Queues { of: of.collect(), known }
    }

    /// The queues of an interface go round, the first of them to the worker that has the fewest: so an interface with a queue for each
    /// worker has queue 0 with worker 0, and two interfaces with one queue each do not meet on one worker.
    fn assign(&mut self, ports: &mut Ports) {
        let workers = self.of.len();
        for (place, port) in ports {
            let first = (0..workers).min_by_key(|worker| self.of[*worker].len()).unwrap_or(0);
            for (number, queue) in port.receive_queues().into_iter().enumerate() {
                let worker = (first + number) % workers;
                self.of[worker].push((*place, number, queue));
                self.known[worker].push((*place, number));
            }
        }
    }
}
