//! From a plan to what runs: everything is made before anything starts, and any error means that nothing has changed.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use swath_api::wire::MacAddr;
use swath_api::{ConfigError, EdgeClass, Interface, NodeHost, Pool, TableInstance, WorkerTables, reserved};

use super::counters::{BufferGauges, Counter, InterfaceCounters, NodeCounters, WorkerCounters, slot};
use super::engine::Engine;
use super::pass::{FREE, Running, Source, TRANSMIT, WorkerGraph};
use crate::driver::{Claim, Due, Port, PortConfig, RxQueue, TxQueue};
use crate::plan::{NodePlan, Plan};
use crate::spec::{Code, Diagnostic, Diagnostics, Value};

/// How a plan is built.
#[derive(Debug, Clone, Copy)]
pub struct BuildOptions<'a> {
    /// Where packets live.
    pub pool: &'a Arc<Pool>,
    /// What relative paths in the graph file are relative to.
    pub directory: &'a Path,
    /// Time is that of the input: for replays and tests.
    pub virtual_time: bool,
}

/// What a frame is longer than its MTU at most: a link-layer header with two tags.
const FRAMING: usize = 14 + 2 * 4;

pub(super) fn build(mut plan: Plan, options: &BuildOptions<'_>, diagnostics: &mut Diagnostics) -> Option<Engine> {
    let errors = diagnostics.errors();
    let workers = u32::from(plan.engine.workers);
    let mut ports = open_ports(&mut plan, options, workers, diagnostics);
    if diagnostics.errors() > errors {
        return None;
    }
    let interfaces: Vec<Interface> = plan.interfaces.iter().zip(&ports).map(|(plan, port)| describe(plan, port.as_ref())).collect();
    let tables = make_tables(&plan, &interfaces, workers, diagnostics);
    if diagnostics.errors() > errors {
        return None;
    }
    let mut sources = assign(ports.iter_mut().map(|port| port.receive_queues()), workers);
    let mut transmit: Vec<Vec<Box<dyn TxQueue>>> = (0..workers).map(|_| Vec::new()).collect();
    for (port, interface) in ports.iter_mut().zip(&interfaces) {
        let queues = port.transmit_queues();
        if queues.len() != workers as usize {
            let defect = format!("the driver of `{}` has {} transmit queues for {workers} workers", interface.name, queues.len());
            diagnostics.push(Diagnostic::error(Code::Refused, defect));
            return None;
        }
        transmit.iter_mut().zip(queues).for_each(|(worker, queue)| worker.push(queue));
    }
    let (mut graphs, mut counters, mut unreceived) = (Vec::new(), Vec::new(), Vec::new());
    for worker in 0..workers {
        let made = make_nodes(&plan, worker, &interfaces, &tables, options.pool, diagnostics)?;
        let mut running = Vec::with_capacity(made.len());
        let mut receivers: HashMap<u16, usize> = HashMap::new();
        for (index, (node, receive)) in made.into_iter().enumerate() {
            running.push(node);
            if let Some(interface) = receive
                && let Some(other) = receivers.insert(interface, index)
            {
                diagnostics.push(shared_interface(
                    &plan.nodes[other],
                    &plan.nodes[index],
                    &interfaces[usize::from(interface)].name,
                ));
                return None;
            }
        }
        let owned = WorkerCounters {
            nodes: plan.nodes.iter().map(|node| NodeCounters::new(node.kind.edges().len())).collect(),
            interfaces: interfaces.iter().map(|_| InterfaceCounters::default()).collect(),
            sweeps: Arc::new([Counter::default(), Counter::default()]),
            buffers: Arc::new(BufferGauges::default()),
        };
        let mut queues = Vec::new();
        for (interface, queue) in std::mem::take(&mut sources[worker as usize]) {
            match receivers.get(&(interface as u16)) {
                Some(node) => queues.push(Source { queue, node: *node, interface }),
                None if queue.due() != Due::Ended && !unreceived.contains(&interface) => unreceived.push(interface),
                None => {}
            }
        }
        let own_tables = match WorkerTables::new(worker, &tables) {
            Ok(made) => made,
            Err(error) => {
                diagnostics.push(Diagnostic::error(Code::Refused, error.to_string()));
                return None;
            }
        };
        let ports = std::mem::take(&mut transmit[worker as usize]);
        graphs.push(WorkerGraph::new(running, queues, ports, own_tables, owned.clone(), options.pool));
        counters.push(owned);
    }
    unreceived.iter().for_each(|interface| warn_unreceived(&plan, *interface, diagnostics));
    Some(Engine::new(plan, Arc::clone(options.pool), interfaces, tables, ports, graphs, counters))
}

fn open_ports(plan: &mut Plan, options: &BuildOptions<'_>, workers: u32, diagnostics: &mut Diagnostics) -> Vec<Box<dyn Port>> {
    let mut ports = Vec::with_capacity(plan.interfaces.len());
    for (index, interface) in plan.interfaces.iter_mut().enumerate() {
        let spec = &interface.spec;
        let settings = spec.settings.to_json_bytes();
        let config = PortConfig {
            name: &spec.name.value,
            index: index as u16,
            settings: &settings,
            mac: spec.mac.as_ref().map(|mac| MacAddr::from(mac.value.0)),
            mtu: spec.mtu.as_ref().map(|mtu| mtu.value),
            workers,
            pool: options.pool,
            directory: options.directory,
            virtual_time: options.virtual_time,
        };
        let opened = match interface.opener.take() {
            Some(opener) => opener.open(&config),
            None => (interface.driver.open)(&config),
        };
        let Some(port) = accept(opened, &spec.settings, diagnostics) else { continue };
        let room = options.pool.region().geometry().data();
        if usize::from(port.mtu()) + FRAMING > room {
            let span = spec.mtu.as_ref().map_or(spec.name.span, |mtu| mtu.span);
            diagnostics.push(
                Diagnostic::error(Code::Refused, format!("packets of {} bytes do not fit into a buffer", port.mtu()))
                    .primary(span, format!("a buffer takes {} bytes, of which {FRAMING} are kept for the link-layer header", room))
                    .help(format!("raise `engine.buffer-size` to {} or lower the MTU", usize::from(port.mtu()) + FRAMING)),
            );
        }
        ports.push(port);
    }
    if ports.len() == plan.interfaces.len() {
        check_claims(plan, &ports, diagnostics);
    }
    ports
}

/// Two interfaces cannot use the same file or device, unless both only read it.
fn check_claims(plan: &Plan, ports: &[Box<dyn Port>], diagnostics: &mut Diagnostics) {
    let mut claimed: Vec<(usize, Claim)> = Vec::new();
    for (interface, port) in ports.iter().enumerate() {
        for claim in port.claims() {
            let rival = |(other, known): &&(usize, Claim)| {
                *other != interface && known.resource == claim.resource && (known.exclusive || claim.exclusive)
            };
            if let Some((other, _)) = claimed.iter().find(rival) {
                let (first, second) = (&plan.interfaces[*other].spec.name, &plan.interfaces[interface].spec.name);
                let message = format!("`{}` and `{}` both use {}", first.value, second.value, claim.resource);
                diagnostics.push(
                    Diagnostic::error(Code::Refused, message).primary(second.span, "the second").secondary(first.span, "the first"),
                );
            }
            claimed.push((interface, claim));
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

fn describe(plan: &crate::plan::InterfacePlan, port: &dyn Port) -> Interface {
    Interface {
        name: plan.spec.name.value.clone(),
        mac: port.mac(),
        mtu: port.mtu(),
        addresses: plan.spec.addresses.iter().map(|address| (address.value.address, address.value.prefix_len)).collect(),
    }
}

fn make_tables(plan: &Plan, interfaces: &[Interface], workers: u32, diagnostics: &mut Diagnostics) -> Vec<Arc<TableInstance>> {
    let mut tables: Vec<Arc<TableInstance>> = Vec::with_capacity(plan.tables.len());
    let mut refused = Vec::new();
    for table in &plan.tables {
        let kind = table.kind.info().kind;
        // What is wrong with a table that it refers to has been said.
        if table.kind.info().uses.as_slice().iter().any(|used| refused.contains(used)) {
            refused.push(kind);
            continue;
        }
        let siblings = plan.tables.iter().filter(|other| other.kind.info().kind == kind).count();
        let settings = table.spec.settings.to_json_bytes();
        let made = table.kind.create(&table.spec.name.value, &settings, interfaces, &tables, siblings, workers);
        match accept(made, &table.spec.settings, diagnostics) {
            Some(made) => tables.push(made),
            None => refused.push(kind),
        }
    }
    tables
}

/// Makes the instances of one worker, with the interface that each wants to receive from. `None` if any refuses.
fn make_nodes(
    plan: &Plan,
    worker: u32,
    interfaces: &[Interface],
    tables: &[Arc<TableInstance>],
    pool: &Arc<Pool>,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<(Running, Option<u16>)>> {
    let workers = u32::from(plan.engine.workers);
    let host = NodeHost { worker, workers, interfaces, tables, slots: &plan.slots, pool };
    let mut made = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let created = node.kind.create(&node.spec.settings.to_json_bytes(), &host);
        let Some((instance, wishes)) = accept(created, &node.spec.settings, diagnostics) else { continue };
        let edges = node.kind.edges().len();
        let running = Running {
            instance,
            to: routes(node, plan.nodes.len()),
            edges,
            slots: slots(node),
            transmit: node.kind.edges().iter().position(|edge| edge.class == EdgeClass::Transmit),
            majority: 0,
            tick: wishes.tick_every.map(|every| (every, 0)),
        };
        made.push((running, wishes.receive));
    }
    (made.len() == plan.nodes.len()).then_some(made)
}

/// The counter slot of each edge: its own, but for what is only said to be held.
fn slots(node: &NodePlan) -> Box<[u16]> {
    let edges = node.kind.edges();
    let fault = slot(reserved::FAULT, edges.len());
    edges.iter().enumerate().map(|(id, edge)| if edge.class == EdgeClass::Held { fault as u16 } else { id as u16 }).collect()
}

/// For each counter slot of a node the index of the vector that its packets go to.
fn routes(node: &NodePlan, nodes: usize) -> Box<[u16]> {
    let edges = node.kind.edges().iter().zip(&node.targets).map(|(edge, target)| match (target, edge.class) {
        (Some(to), _) => *to,
        (None, EdgeClass::Transmit) => nodes + TRANSMIT,
        (None, _) => nodes + FREE,
    });
    let reserved = std::iter::repeat_n(nodes + FREE, reserved::REASONS.len());
    edges.chain(reserved).map(|to| to as u16).collect()
}

/// Receive queues to workers: the first of each interface to the first worker, and so on round.
fn assign(ports: impl Iterator<Item = Vec<Box<dyn RxQueue>>>, workers: u32) -> Vec<Vec<(usize, Box<dyn RxQueue>)>> {
    let mut assigned: Vec<Vec<(usize, Box<dyn RxQueue>)>> = (0..workers).map(|_| Vec::new()).collect();
    for (interface, queues) in ports.enumerate() {
        for (at, queue) in queues.into_iter().enumerate() {
            assigned[at % workers as usize].push((interface, queue));
        }
    }
    assigned
}

fn shared_interface(first: &NodePlan, second: &NodePlan, name: &str) -> Diagnostic {
    Diagnostic::error(Code::SharedInterface, format!("two nodes receive from the interface `{name}`"))
        .primary(second.spec.name.span, "the second")
        .secondary(first.spec.name.span, "the first")
}

fn accept<T>(made: Result<T, ConfigError>, settings: &Value, diagnostics: &mut Diagnostics) -> Option<T> {
    let refused = |error: ConfigError| Diagnostic::at_path(settings, error.path(), error.message());
    diagnostics.ok(made.map_err(refused))
}
