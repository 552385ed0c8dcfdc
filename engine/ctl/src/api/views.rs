//! What an engine looks like from outside.

use std::time::{Duration, SystemTime};

use swath_api::{EdgeClass, reserved};
use swath_core::run::{Engine, InterfaceCounters, NodeCounters, NodeTotals, WorkerFigures};

use super::look::{time, words};
use super::seen::Seen;
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
    let (mut found, began) = (Vec::new(), began(engine));
    for (index, (node, plan)) in nodes(engine).into_iter().zip(&engine.plan().nodes).enumerate() {
        let Node { name, kind, edges, .. } = node;
        for edge in edges.into_iter().filter(|edge| edge.drops && edge.packets > 0) {
            let own = plan.edges.iter().position(|own| own.name == edge.name);
            let reserved = reserved::REASONS.iter().position(|(name, _)| *name == edge.name);
            let (slot, meaning) = match (own, reserved) {
                (Some(slot), _) => (slot, plan.edges[slot].doc),
                (None, Some(reason)) => (plan.edges.len() + reason, reserved::REASONS[reason].1),
                (None, None) => continue,
            };
            let last = engine.counters().iter().filter_map(|worker| worker.nodes[index].last_seen(slot)).max();
            found.push(Drops {
                node: name.clone(),
                kind: kind.clone(),
                packets: edge.packets,
                last_seen: last.map(|at| time(at, began)),
                meaning: words(meaning),
                reason: edge.name,
            });
        }
    }
    found
}

/// The last packets that were sampled of each reason, in the order of `drops`.
pub fn drop_samples(engine: &Engine) -> Vec<Seen> {
    let began = began(engine);
    let nodes = engine.nodes().into_iter();
    let samples = nodes.flat_map(|node| {
        let edges = node.edges.into_iter().filter(|(_, _, _, packets)| *packets > 0);
        edges.flat_map(move |(edge, ..)| engine.samples(&node.name, node.kind, &edge)).collect::<Vec<_>>()
    });
    samples.map(|seen| Seen::new(seen, began)).collect()
}

/// When the engine's clock began.
fn began(engine: &Engine) -> SystemTime {
    SystemTime::now() - Duration::from_nanos(engine.clock())
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
