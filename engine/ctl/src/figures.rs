//! The names of the metrics, and what they are made of. Names follow <https://prometheus.io/docs/practices/naming>.

use std::collections::BTreeMap;

use metrics::Label;
use swath_core::driver::PortStatus;
use swath_core::run::{
    COSTS, Counter, InterfaceCounters, NodeCounters, ObservedInterface, ObservedNode, Observer, TimeCounters, VECTOR_SIZES,
};

use crate::clock::tsc_per_second;
use crate::live::Settings;
use crate::sheet::{Bins, Sheet, label};

/// Of the process.
pub fn process(sheet: &mut Sheet, started: f64, ready: bool) {
    let version = vec![label("version", env!("CARGO_PKG_VERSION"))];
    sheet.gauge("swath_build_info", "Which build of swath this is; always 1.", [(version, 1.0)]);
    sheet.gauge("swath_start_time_seconds", "When the process started, in seconds since 1970.", [(vec![], started)]);
    let help = "1 if packets should be sent here: the graph runs, its workers turn, and nobody has asked it to end. As /readyz.";
    sheet.gauge("swath_ready", help, [(vec![], f64::from(u8::from(ready)))]);
}

/// Of the engine that runs.
pub fn engine(sheet: &mut Sheet, engine: &Observer, settings: Settings) {
    nodes(sheet, engine, settings);
    histograms(sheet, engine);
    drops(sheet, engine);
    interfaces(sheet, engine);
    workers(sheet, engine);
    buffers(sheet, engine);
    tables(sheet, engine);
}

fn nodes(sheet: &mut Sheet, engine: &Observer, settings: Settings) {
    let labels = |node: &ObservedNode| vec![label("node", &node.name), label("kind", node.kind)];
    let sums = |pick: fn(&NodeCounters) -> u64| {
        engine.nodes.iter().enumerate().map(move |(index, node)| (labels(node), sum(engine, index, pick)))
    };
    let each = |pick: fn(&NodeCounters) -> u64| -> Vec<(Vec<Label>, u64)> {
        if !settings.by_worker {
            return sums(pick).collect();
        }
        let workers = engine.workers.iter().enumerate();
        let of = |(worker, counters): (usize, &'_ swath_core::run::WorkerCounters)| {
            let worker = worker.to_string();
            let nodes = engine.nodes.iter().zip(counters.nodes.iter());
            nodes
                .map(|(node, counters)| ([labels(node), vec![label("worker", &worker)]].concat(), pick(counters)))
                .collect::<Vec<_>>()
        };
        workers.flat_map(of).collect()
    };
    sheet.counter("swath_node_packets_total", "Packets that came to a node.", each(|node| node.packets.get()));
    let help = "Times that a node of a plugin was made anew because it was out of service.";
    // Of most nodes there is nothing to say, ever.
    sheet.counter("swath_node_restarts_total", help, sums(|node| node.restarts.get()).filter(|(_, restarts)| *restarts > 0));
    let help = "Calls of a node, each with a vector of 1 to 256 packets: packets divided by this is how full vectors are.";
    sheet.counter("swath_node_batches_total", help, sums(NodeCounters::calls));
    let help = "TSC cycles spent in a node and in moving its packets on.";
    sheet.counter("swath_node_cycles_total", help, each(|node| node.cycles.get()));
    let help = "Time spent in a node and in moving its packets on: its cycles by the rate of the TSC.";
    let rate = tsc_per_second();
    sheet.seconds(
        "swath_node_cpu_seconds_total",
        help,
        sums(|node| node.cycles.get()).map(|(labels, cycles)| (labels, cycles as f64 / rate)),
    );
}

fn histograms(sheet: &mut Sheet, engine: &Observer) {
    let bins = |pick: fn(&NodeCounters) -> &[Counter], index: usize| -> Vec<u64> {
        let counters = engine.workers.iter().filter_map(|worker| worker.nodes.get(index)).map(|counters| pick(counters));
        counters.fold(Vec::new(), |mut bins, counters| {
            bins.resize(counters.len(), 0);
            bins.iter_mut().zip(counters).for_each(|(bin, counter)| *bin += counter.get());
            bins
        })
    };
    let of = |pick: fn(&NodeCounters) -> &[Counter], total: &dyn Fn(usize) -> u64| -> Vec<Bins> {
        let nodes = engine.nodes.iter().enumerate();
        nodes
            .map(|(index, node)| Bins { labels: vec![label("node", &node.name)], bins: bins(pick, index), sum: total(index) })
            .collect()
    };
    let costs: fn(&NodeCounters) -> &[Counter] = |node| &node.costs;
    let help = "Sizes of the vectors that a node was called with.";
    // Every packet that was in a vector has a cost.
    let vectors = of(|node| &node.vectors, &|index| bins(costs, index).iter().sum());
    sheet.histogram("swath_node_vector_size_packets", help, &VECTOR_SIZES, vectors);
    let help = "TSC cycles that packets cost in a node: each packet counts with the mean of its vector.";
    sheet.histogram(
        "swath_node_packet_cost_cycles",
        help,
        &COSTS,
        of(costs, &|index| sum(engine, index, |node| node.cycles.get())),
    );
}

/// Reasons of a node are there from the start, so that a rate over the first drop is right; those that any node has, from the first drop.
fn drops(sheet: &mut Sheet, engine: &Observer) {
    let of = |(index, node): (usize, &ObservedNode)| {
        let edges = node.edges.iter().enumerate().filter(|(_, edge)| edge.drops);
        let counted = edges.map(|(slot, edge)| {
            let count = engine.workers.iter().filter_map(|worker| Some(worker.nodes.get(index)?.dropped(slot))).sum();
            (edge, count)
        });
        let shown = counted.filter(|(edge, count)| !edge.reserved || *count > 0);
        shown.map(|(edge, count)| (vec![label("node", &node.name), label("reason", &*edge.name)], count)).collect::<Vec<_>>()
    };
    let help = "Packets that a node dropped, by reason; `swath nodes KIND` says what each means and what to do.";
    sheet.counter("swath_node_drops_total", help, engine.nodes.iter().enumerate().flat_map(of));
}

fn interfaces(sheet: &mut Sheet, engine: &Observer) {
    let interfaces = || engine.interfaces.iter().map(|interface| vec![label("interface", &interface.name)]);
    let counted = |pick: fn(&InterfaceCounters) -> &Counter| {
        let total = move |index: usize| {
            engine.workers.iter().filter_map(|worker| worker.interfaces.get(index)).map(|counters| pick(counters).get()).sum()
        };
        interfaces().enumerate().map(move |(index, labels)| (labels, total(index)))
    };
    type Pick = fn(&InterfaceCounters) -> &Counter;
    let rows: [(&str, &str, Pick); 9] = [
        ("receive_packets", "Packets received, those lost for want of a buffer included.", |counters| &counters.received),
        ("receive_bytes", "Bytes of received packets, without those that were lost.", |counters| &counters.received_bytes),
        ("receive_drops", "Received packets lost because there was no free buffer.", |counters| &counters.receive_drops),
        (
            "receive_errors",
            "Received packets lost because they were longer than a buffer, or left work to the receiver that cannot be done.",
            |counters| &counters.receive_errors,
        ),
        (
            "receive_offloaded",
            "Received packets that a node would have dropped, and that were dropped in the kernel for it; the node's figures have them, too.",
            |counters| &counters.offloaded,
        ),
        ("transmit_packets", "Packets that the driver has taken to send.", |counters| &counters.sent),
        ("transmit_bytes", "Bytes of packets that the driver has taken to send.", |counters| &counters.sent_bytes),
        (
            "transmit_drops",
            "Packets that the driver did not take to send, because its ring was full or the link down.",
            |counters| &counters.transmit_drops,
        ),
        ("transmit_oversize", "Packets not sent because the device does not carry their length.", |counters| {
            &counters.transmit_oversize
        }),
    ];
    for (name, help, pick) in rows {
        sheet.counter(&format!("swath_interface_{name}_total"), help, counted(pick));
    }
    let told = |pick: fn(&dyn PortStatus) -> u64| {
        let status = |interface: &ObservedInterface| interface.status.as_deref().map_or(0, pick);
        interfaces().zip(engine.interfaces.iter().map(status)).collect::<Vec<_>>()
    };
    let help = "Packets lost before the driver could see them, because its ring was full: workers do not keep up.";
    sheet.counter("swath_interface_receive_missed_total", help, told(|status| status.missed()));
    let help = "Errors of sending after the driver had taken the packet.";
    sheet.counter("swath_interface_transmit_errors_total", help, told(|status| status.transmit_errors()));
    let help = "How often the link of an interface has gone down, come up or changed otherwise.";
    sheet.counter("swath_interface_link_changes_total", help, told(|status| status.link_changes()));
    let counted = engine.interfaces.iter().flat_map(|interface| {
        let counted = interface.status.as_deref().map_or_else(Vec::new, |status| status.counted()).into_iter();
        counted.map(|(counter, value)| (vec![label("interface", &interface.name), label("counter", counter)], value))
    });
    let help = "What the device of an interface has counted by itself, under the names that its driver has for it.";
    sheet.counter("swath_interface_device_total", help, counted);
    let up = engine.interfaces.iter().map(|interface| f64::from(u8::from(interface.is_up())));
    sheet.gauge("swath_interface_up", "1 if packets can come and go.", interfaces().zip(up));
    let info = engine.interfaces.iter().map(|interface| {
        let mode = interface.status.as_deref().map_or("", |status| status.mode());
        let mode = (!mode.is_empty()).then(|| label("mode", mode));
        [label("interface", &interface.name), label("driver", interface.driver)].into_iter().chain(mode).collect()
    });
    let help = "What attaches an interface, and by which of its ways; always 1.";
    sheet.gauge("swath_interface_info", help, info.map(|labels| (labels, 1.0)));
}

fn workers(sheet: &mut Sheet, engine: &Observer) {
    let each = |pick: fn(&TimeCounters) -> &Counter| {
        let workers = engine.workers.iter().enumerate();
        workers.map(move |(index, worker)| (vec![label("worker", index.to_string())], pick(&worker.time).get()))
    };
    type Pick = fn(&TimeCounters) -> &Counter;
    let counts: [(&str, &str, Pick); 5] = [
        ("sweeps", "How often a worker has looked for packets and processed what there was.", |time| &time.sweeps),
        ("idle_sweeps", "Sweeps of a worker that found nothing to do.", |time| &time.empty_sweeps),
        ("sleeps", "How often a worker has blocked because there was nothing to do.", |time| &time.sleeps),
        ("wakes", "How often another thread has woken a worker.", |time| &time.woken),
        ("slices", "Slices of questions to tables that a worker has answered between sweeps.", |time| &time.slices),
    ];
    for (name, help, pick) in counts {
        sheet.counter(&format!("swath_worker_{name}_total"), help, each(pick));
    }
    let times: [(&str, &str, Pick); 3] = [
        ("busy", "Time that a worker has spent with packets. Its rate is the worker's load, 0 to 1.", |time| &time.busy),
        ("idle", "Time that a worker has spent looking for packets.", |time| &time.idle),
        ("asleep", "Time that a worker was blocked, in which others have the core.", |time| &time.asleep),
    ];
    for (name, help, pick) in times {
        let seconds = each(pick).map(|(labels, nanoseconds)| (labels, nanoseconds as f64 / 1e9));
        sheet.seconds(&format!("swath_worker_{name}_seconds_total"), help, seconds);
    }
    let longest = each(|time| &time.longest_slice).map(|(labels, nanoseconds)| (labels, nanoseconds as f64 / 1e9));
    sheet.gauge("swath_worker_longest_slice_seconds", "The longest slice of a question to a table so far.", longest);
    let handed = engine
        .workers
        .iter()
        .enumerate()
        .map(|(index, worker)| (vec![label("worker", index.to_string())], worker.handed.iter().map(Counter::get).sum::<u64>()));
    sheet.counter("swath_worker_handoff_packets_total", "Packets that a worker has handed to others.", handed);
}

fn buffers(sheet: &mut Sheet, engine: &Observer) {
    let buffers = engine.buffers();
    let states = [
        ("free", buffers.free),
        ("cached", buffers.cached),
        ("rings", buffers.rings),
        ("frames", buffers.frames),
        ("handoff", buffers.handoff),
        ("held", buffers.held),
    ];
    let help = "Packet buffers by where they are: free in the pool or in the cache of a worker, in rings of drivers, in frames between \
                nodes, in rings between workers, or held by nodes. Their sum is the capacity when workers stand still.";
    sheet.gauge("swath_buffers", help, states.map(|(state, count)| (vec![label("state", state)], count as f64)));
    sheet.gauge("swath_buffers_capacity", "Packet buffers that there are.", [(vec![], buffers.capacity as f64)]);
}

/// What tables say of themselves. Several of a kind share their families.
fn tables(sheet: &mut Sheet, engine: &Observer) {
    type Family = (String, bool, Vec<(Vec<Label>, u64)>);
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for table in &engine.tables {
        for figure in table.figures() {
            let family =
                families.entry(format!("swath_{}", figure.name)).or_insert_with(|| (figure.help.into(), figure.total, Vec::new()));
            let of = figure.of.map(|(name, value)| Label::new(name.into_owned(), value.into_owned()));
            family.2.push(([label("table", table.name())].into_iter().chain(of).collect(), figure.value));
        }
    }
    for (name, (help, total, samples)) in families {
        if total {
            sheet.counter(&name, &help, samples);
        } else {
            sheet.gauge(&name, &help, samples.into_iter().map(|(labels, value)| (labels, value as f64)));
        }
    }
}

/// What all workers together have counted of one node.
fn sum(engine: &Observer, node: usize, pick: fn(&NodeCounters) -> u64) -> u64 {
    engine.workers.iter().filter_map(|worker| worker.nodes.get(node)).map(|counters| pick(counters)).sum()
}
