//! What an engine looks like from outside.

use swath_api::{EdgeClass, reserved};
use swath_core::run::{Engine, InterfaceCounters, NodeCounters, NodeTotals, WorkerFigures};

use super::types::{Admin, Buffers, Drops, Edge, Figure, Interface, Node, Packets, Received, Runtime, Sent, Table, Worker};

/// All interfaces, in the order of the graph.
pub fn interfaces(engine: &Engine) -> Vec<Interface> {
    (0..engine.plan().interfaces.len()).map(|index| interface(engine, index)).collect()
}

fn interface(engine: &Engine, index: usize) -> Interface {
    let place = engine.place(index);
    let (known, status) = (&engine.interfaces()[place], engine.port_status(place));
    let sum =
        |pick: &dyn Fn(&InterfaceCounters) -> u64| engine.counters().iter().map(|worker| pick(&worker.interfaces[index])).sum();
    Interface {
        name: known.name.clone(),
        driver: engine.plan().interfaces[index].driver.name.into(),
        mode: status.as_ref().map_or("", |status| status.mode()).into(),
        fallbacks: status.as_ref().map(|status| status.fallbacks()).unwrap_or_default(),
        admin: if engine.is_admin_up(place) { Admin::Up } else { Admin::Down },
        link: status.as_ref().is_none_or(|status| status.is_up()),
        link_changes: status.as_ref().map_or(0, |status| status.link_changes()),
        mac: known.mac.to_string(),
        mtu: known.mtu,
        addresses: known.addresses.iter().map(|(address, length)| format!("{address}/{length}")).collect(),
        received: Received {
            packets: sum(&|counters| counters.received.get()),
            bytes: sum(&|counters| counters.received_bytes.get()),
            drops: sum(&|counters| counters.receive_drops.get()),
            errors: sum(&|counters| counters.receive_errors.get()),
            missed: status.as_ref().map_or(0, |status| status.missed()),
        },
        sent: Sent {
            packets: sum(&|counters| counters.sent.get()),
            bytes: sum(&|counters| counters.sent_bytes.get()),
            drops: sum(&|counters| counters.transmit_drops.get()),
            oversize: sum(&|counters| counters.transmit_oversize.get()),
            errors: status.as_ref().map_or(0, |status| status.transmit_errors()),
        },
    }
}

/// All tables, in the order of the graph.
pub fn tables(engine: &Engine) -> Vec<Table> {
    let tables = engine.plan().tables.iter().filter_map(|plan| engine.table(&plan.spec.name.value));
    let figure = |figure: swath_api::Figure| Figure {
        name: figure.name.into_owned(),
        help: figure.help.into_owned(),
        total: figure.total,
        labels: figure.of.map(|(label, value)| (label.into_owned(), value.into_owned())).into_iter().collect(),
        value: figure.value,
    };
    tables
        .map(|table| Table {
            name: table.name().into(),
            kind: table.info().kind.as_str().into(),
            figures: table.figures().into_iter().map(figure).collect(),
        })
        .collect()
}

/// All nodes, in the order in which packets meet them.
pub fn nodes(engine: &Engine) -> Vec<Node> {
    let plan = engine.plan();
    let node = |(index, totals): (usize, NodeTotals)| {
        let target = |slot: usize| {
            let target = plan.nodes[index].targets.get(slot).copied().flatten();
            target.map(|target| plan.nodes[target].spec.name.value.clone())
        };
        let edge = |(slot, (name, class, wired, packets)): (usize, (_, EdgeClass, bool, u64))| Edge {
            name: std::borrow::Cow::into_owned(name),
            to: target(slot),
            drops: is_drop(class, wired),
            packets,
        };
        let edges: Vec<Edge> = totals.edges.into_iter().enumerate().map(edge).collect();
        Node {
            name: totals.name,
            kind: totals.kind.into(),
            inserted: plan.nodes[index].inserted,
            packets: totals.packets,
            vectors: totals.calls,
            cycles: totals.cycles,
            made: totals.made,
            released: totals.released,
            drops: edges.iter().filter(|edge| edge.drops).map(|edge| edge.packets).sum(),
            edges,
        }
    };
    engine.nodes().into_iter().enumerate().map(node).collect()
}

fn is_drop(class: EdgeClass, wired: bool) -> bool {
    !wired && matches!(class, EdgeClass::Drop | EdgeClass::Edge | EdgeClass::Required)
}

/// Each reason for which packets were dropped, in the order in which packets meet the nodes.
pub fn drops(engine: &Engine) -> Vec<Drops> {
    let mut found = Vec::new();
    for (node, plan) in nodes(engine).into_iter().zip(&engine.plan().nodes) {
        let meaning = |reason: &str| {
            let own = plan.edges.iter().find(|edge| edge.name == reason).map(|edge| edge.doc);
            let engines = || reserved::REASONS.iter().find(|(name, _)| *name == reason).map(|(_, doc)| *doc);
            let words: Vec<&str> = own.or_else(engines).unwrap_or_default().split_whitespace().collect();
            words.join(" ")
        };
        let Node { name, kind, edges, .. } = node;
        found.extend(edges.into_iter().filter(|edge| edge.drops && edge.packets > 0).map(|edge| Drops {
            node: name.clone(),
            kind: kind.clone(),
            packets: edge.packets,
            meaning: meaning(&edge.name),
            reason: edge.name,
        }));
    }
    found
}

/// How the workers spend their time, and where packets and buffers are.
pub fn runtime(engine: &Engine) -> Runtime {
    let ledger = engine.ledger();
    let dropped = ledger.dropped_total();
    let discrepancies = ledger.discrepancies();
    let swath_core::run::Buffers { capacity, free, cached, rings, frames, handoff, held } = ledger.buffers;
    Runtime {
        workers: engine.workers().iter().map(|figures| worker(engine, figures)).collect(),
        packets: Packets {
            received: ledger.received,
            made: ledger.made,
            sent: ledger.sent,
            dropped,
            consumed: ledger.consumed,
            held: ledger.held,
            in_transit: ledger.in_transit,
        },
        buffers: Buffers { capacity, free, cached, rings, frames, handoff, held },
        discrepancies,
    }
}

fn worker(engine: &Engine, figures: &WorkerFigures) -> Worker {
    let nodes = &engine.counters()[figures.worker].nodes;
    let sum = |pick: &dyn Fn(&NodeCounters) -> u64| nodes.iter().map(|node| pick(node)).sum();
    let queue = |(interface, queue): &(usize, usize)| format!("{} queue {queue}", engine.interfaces()[*interface].name);
    Worker {
        worker: figures.worker,
        cores: figures.cpus.clone(),
        queues: engine.queues().get(figures.worker).map(|queues| queues.iter().map(queue).collect()).unwrap_or_default(),
        busy: figures.busy.as_secs_f64(),
        polling: figures.idle.as_secs_f64(),
        asleep: figures.asleep.as_secs_f64(),
        sweeps: figures.sweeps,
        empty_sweeps: figures.empty_sweeps,
        sleeps: figures.sleeps,
        packets: sum(&|node| node.packets.get()),
        vectors: sum(&NodeCounters::calls),
        cycles: sum(&|node| node.cycles.get()),
        handed: figures.handed.iter().sum(),
        slices: figures.slices,
        longest_slice: figures.longest_slice.as_secs_f64(),
        swaps: figures.swaps,
        longest_swap: figures.longest_swap.as_secs_f64(),
    }
}
