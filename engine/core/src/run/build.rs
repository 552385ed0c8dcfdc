//! From a plan to what runs: everything is made before anything starts, and any error means that nothing has changed.

use std::collections::HashMap;
use std::sync::Arc;

use swath_api::wire::MacAddr;
use swath_api::{
    EdgeClass, Interface, Interfaces, NodeHost, NodeInstance, Ownership, Pool, Tables, Wishes, WorkerTables, reserved,
};

use super::bed::Bed;
use super::counters::{BufferGauges, Counter, InterfaceCounters, NodeCounters, WorkerCounters, slot};
use super::engine::Engine;
use super::handoff::Handoffs;
use super::pass::{FREE, Running, Source, TRANSMIT, WorkerGraph};
use crate::driver::{Claim, Due, Opener, Port, PortConfig, RxQueue, TxQueue};
use crate::parts::{self, Part, Parts, Teller};
use crate::plan::{EdgePlan, NodePlan, Plan, handoff_ring};
use crate::spec::{Code, Diagnostic, Diagnostics, Doubts};

/// How a plan is built.
#[derive(Debug, Clone, Copy)]
pub struct BuildOptions<'a> {
    /// Where packets live.
    pub pool: &'a Arc<Pool>,
    /// Time is that of the input: for replays and tests.
    pub virtual_time: bool,
}

pub(super) fn build(mut plan: Plan, options: &BuildOptions<'_>, diagnostics: &mut Diagnostics) -> Option<Engine> {
    let errors = diagnostics.errors();
    plan.remove_handoffs();
    let openers = plan.interfaces.iter_mut().map(|interface| interface.opener.take()).collect();
    let (mut ports, interfaces, Parts { tables, nodes }) = make_parts(&plan, openers, options, diagnostics);
    if diagnostics.errors() > errors {
        return None;
    }
    let nodes = with_handoffs(&mut plan, nodes.into_iter().flatten().collect(), &interfaces, &tables, options.pool, diagnostics)?;
    let workers = u32::from(plan.engine.workers);
    let beds = (0..workers).map(|_| Bed::new().map(Arc::new)).collect::<Result<Vec<_>, _>>();
    let beds =
        diagnostics.ok(beds.map_err(|error| Diagnostic::error(Code::Refused, format!("no descriptor for a worker: {error}"))))?;
    let handed: Vec<Arc<[Counter]>> = (0..workers).map(|_| (0..workers).map(|_| Counter::default()).collect()).collect();
    let (handoffs, rings) = Handoffs::all(&beds, &handed, handoff_ring(&plan.engine), options.pool);
    let mut handoffs = handoffs.into_iter().map(|ends| (workers > 1).then_some(ends));
    let mut sources = assign(ports.iter_mut().map(|port| port.receive_queues()), workers);
    let assigned = sources.iter().map(|queues| queues.iter().map(|(interface, queue, _)| (*interface, *queue)).collect()).collect();
    let mut transmit: Vec<Vec<Box<dyn TxQueue>>> = (0..workers).map(|_| Vec::new()).collect();
    for (port, interface) in ports.iter_mut().zip(interfaces.list()) {
        let queues = port.transmit_queues();
        if queues.len() != workers as usize {
            let defect = format!("the driver of `{}` has {} transmit queues for {workers} workers", interface.name, queues.len());
            diagnostics.push(Diagnostic::error(Code::Refused, defect));
            return None;
        }
        transmit.iter_mut().zip(queues).for_each(|(worker, queue)| worker.push(queue));
    }
    let (mut graphs, mut counters, mut unreceived) = (Vec::new(), Vec::new(), Vec::new());
    let mut first = Some(nodes);
    let mut wishes = Vec::new();
    for worker in 0..workers {
        let made = match first.take() {
            Some(made) => made,
            None => more_nodes(&plan, worker, &interfaces, &tables, options.pool, diagnostics)?,
        };
        let mut running = Vec::with_capacity(made.len());
        let mut receivers: HashMap<u16, usize> = HashMap::new();
        wishes = made.iter().map(|(_, wishes)| wishes.clone()).collect();
        for (index, ((instance, wishes), node)) in made.into_iter().zip(&plan.nodes).enumerate() {
            receivers.extend(wishes.receive.map(|interface| (interface, index)));
            running.push(run(index, node, instance, wishes, &plan));
        }
        let owned = WorkerCounters {
            nodes: plan.nodes.iter().map(|node| NodeCounters::new(node.edges.len())).collect(),
            interfaces: interfaces.list().iter().map(|_| InterfaceCounters::default()).collect(),
            time: Arc::default(),
            handed: Arc::clone(&handed[worker as usize]),
            buffers: Arc::new(BufferGauges::default()),
        };
        let mut queues = Vec::new();
        for (interface, _, queue) in std::mem::take(&mut sources[worker as usize]) {
            match receivers.get(&(interface as u16)) {
                Some(node) => queues.push(Source { queue, node: *node, interface }),
                None if queue.due() != Due::Ended && !unreceived.contains(&interface) => unreceived.push(interface),
                None => {}
            }
        }
        let own_tables = match WorkerTables::new(worker, tables.instances()) {
            Ok(made) => made,
            Err(error) => {
                diagnostics.push(Diagnostic::error(Code::Refused, error.to_string()));
                return None;
            }
        };
        let ports = std::mem::take(&mut transmit[worker as usize]);
        let handoffs = handoffs.next().flatten();
        graphs.push(WorkerGraph::new(running, queues, ports, own_tables, owned.clone(), handoffs, options.pool));
        counters.push(owned);
    }
    unreceived.iter().for_each(|interface| warn_unreceived(&plan, *interface, diagnostics));
    let (interfaces, tables) = (interfaces.list().to_vec(), tables.instances().to_vec());
    let mut engine = Engine::new(plan, Arc::clone(options.pool), interfaces, tables, ports, graphs, counters);
    (engine.wishes, engine.beds, engine.rings, engine.queues) = (wishes, beds, rings.into(), assigned);
    Some(engine)
}

/// Attaches the interfaces and makes the parts, and says everything that is wrong with any of them.
fn make_parts(
    plan: &Plan,
    openers: Vec<Option<Opener>>,
    options: &BuildOptions<'_>,
    diagnostics: &mut Diagnostics,
) -> (Vec<Box<dyn Port>>, Interfaces, Parts) {
    let doubts = Doubts::default();
    let view = plan.view(&doubts);
    let mut teller = Teller::new(&view);
    let ports = open_ports(plan, openers, options, &mut teller, diagnostics);
    let described = plan.interfaces.iter().zip(&ports).enumerate().map(|(index, (interface, port))| {
        let described = parts::describe(&interface.spec, index);
        port.as_ref().map_or(described.clone(), |port| Interface { mac: port.mac(), mtu: port.mtu(), ..described })
    });
    let interfaces = Interfaces::new(described.collect());
    let parts = parts::make(&view, &interfaces, options.pool, true, &mut teller, diagnostics);
    (ports.into_iter().flatten().collect(), interfaces, parts)
}

fn open_ports(
    plan: &Plan,
    openers: Vec<Option<Opener>>,
    options: &BuildOptions<'_>,
    teller: &mut Teller<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<Option<Box<dyn Port>>> {
    let mut ports = Vec::with_capacity(plan.interfaces.len());
    for (index, (interface, opener)) in plan.interfaces.iter().zip(openers).enumerate() {
        let spec = &interface.spec;
        let settings = spec.settings.to_json_bytes();
        let config = PortConfig {
            name: &spec.name.value,
            index: index as u16,
            settings: &settings,
            mac: spec.mac.as_ref().map(|mac| MacAddr::from(mac.value.0)),
            mtu: spec.mtu.as_ref().map(|mtu| mtu.value),
            workers: u32::from(plan.engine.workers),
            pool: options.pool,
            directory: &spec.directory,
            virtual_time: options.virtual_time,
        };
        let opened = match opener {
            Some(opener) => opener.open(&config),
            None => (interface.driver.open)(&config),
        };
        let port = match opened {
            Ok(port) => Some(port),
            Err(refusal) => {
                let check = |settings: &[u8]| (interface.driver.check)(&PortConfig { settings, ..config });
                teller.explain_open(&Part::interface(spec, &interface.driver), refusal, &check, diagnostics);
                None
            }
        };
        if let Some(port) = &port {
            parts::check_mtu(spec, port.mtu(), options.pool, diagnostics);
        }
        ports.push(port);
    }
    check_claims(plan, &ports, diagnostics);
    ports
}

/// Two interfaces cannot use the same file or device, unless both only read it.
fn check_claims(plan: &Plan, ports: &[Option<Box<dyn Port>>], diagnostics: &mut Diagnostics) {
    // By resource: who uses it first, and who is the first to use it alone.
    let mut claimed: HashMap<String, (usize, Option<usize>)> = HashMap::new();
    for (interface, port) in ports.iter().enumerate().filter_map(|(index, port)| Some((index, port.as_ref()?))) {
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
type Made = (NodeInstance, Wishes);

/// Puts handoffs before those nodes of the first worker that say that their packets have owners. `None` if any cannot be made.
fn with_handoffs(
    plan: &mut Plan,
    nodes: Vec<Made>,
    interfaces: &Interfaces,
    tables: &Tables,
    pool: &Arc<Pool>,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Made>> {
    let inserted = plan.insert_handoffs(|at| nodes[at].1.owned);
    let mut own = nodes.into_iter();
    let all = inserted.iter().zip(&plan.nodes).map(|(inserted, node)| match inserted {
        true => make_node(plan, node, 0, interfaces, tables, pool, diagnostics),
        false => own.next(),
    });
    all.collect()
}

/// Makes the instances of a further worker. `None` if any refuses.
fn more_nodes(
    plan: &Plan,
    worker: u32,
    interfaces: &Interfaces,
    tables: &Tables,
    pool: &Arc<Pool>,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Made>> {
    let made = plan.nodes.iter().filter_map(|node| make_node(plan, node, worker, interfaces, tables, pool, diagnostics));
    let made: Vec<Made> = made.collect();
    (made.len() == plan.nodes.len()).then_some(made)
}

fn make_node(
    plan: &Plan,
    node: &NodePlan,
    worker: u32,
    interfaces: &Interfaces,
    tables: &Tables,
    pool: &Arc<Pool>,
    diagnostics: &mut Diagnostics,
) -> Option<Made> {
    let edges = EdgePlan::names(&node.edges);
    let workers = u32::from(plan.engine.workers);
    let host = NodeHost { worker, workers, interfaces, tables, slots: &plan.slots, edges: &edges, pool };
    let created = node.kind.create(&node.spec.settings.to_json_bytes(), &host);
    diagnostics.ok(created.map_err(|error| Diagnostic::at_path(&node.spec.settings, error.path(), error.message())))
}

/// An instance as its worker runs it.
fn run(index: usize, node: &NodePlan, instance: NodeInstance, wishes: Wishes, plan: &Plan) -> Running {
    let (edges, nodes) = (&node.edges, plan.nodes.len());
    // A handoff that the planner has put in asks the node behind it, one of the graph's own itself.
    let asks = match (plan.engine.workers, node.targets.first()) {
        (2.., Some(Some(to))) if node.inserted => Some(*to),
        (2.., Some(Some(_))) if instance.info().ownership == Ownership::HandsOff => Some(index),
        _ => None,
    };
    Running {
        instance,
        to: routes(node, nodes),
        edges: edges.len(),
        slots: slots(node),
        transmit: edges.iter().position(|edge| edge.class == EdgeClass::Transmit),
        majority: 0,
        asks,
        tick: wishes.tick_every.map(|every| (every, 0)),
    }
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

/// A receive queue, with the index of its interface and its own there.
type Assigned = (usize, usize, Box<dyn RxQueue>);

/// Receive queues to workers. The queues of an interface go round, the first of them to the worker that has the fewest: so an interface
/// with a queue for each worker has queue 0 with worker 0, and two interfaces with one queue each do not meet on one worker.
fn assign(ports: impl Iterator<Item = Vec<Box<dyn RxQueue>>>, workers: u32) -> Vec<Vec<Assigned>> {
    let mut assigned: Vec<Vec<Assigned>> = (0..workers).map(|_| Vec::new()).collect();
    for (interface, queues) in ports.enumerate() {
        let first = (0..assigned.len()).min_by_key(|worker| assigned[*worker].len()).unwrap_or(0);
        for (at, queue) in queues.into_iter().enumerate() {
            assigned[(first + at) % workers as usize].push((interface, at, queue));
        }
    }
    assigned
}
