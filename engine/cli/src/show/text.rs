//! What is shown, in columns.

use std::fmt::Write as _;
use std::time::Duration;

use swath_ctl::api::{Admin, Drops, Figure, Interface, Node, Process, Runtime, Worker};

use super::attention::attention;
use super::{Overview, Readings};
use crate::figures::{counted, grouped, rate};
use crate::table::{Table, wrap};
use crate::terminal::{Style, paint};

/// Everything in brief.
pub fn overview(process: &Process, readings: &Readings<Overview>, tables: &[swath_ctl::api::Table], colour: bool) -> String {
    let mut text = format!(
        "{}: {} for {}; swath {}, process {}, revision {}\n\n",
        paint(&process.graph, Style::Bold, colour),
        process.not_ready.as_ref().map_or("ready, running".into(), |why| format!("not ready ({why}), running")),
        span(process.uptime),
        process.version,
        process.pid,
        process.revision,
    );
    let found = attention(process, readings, tables);
    if found.is_empty() {
        let _ = writeln!(text, "{}", paint("nothing to worry about", Style::Good, colour));
    }
    for line in found {
        let _ = writeln!(text, "{} {}", paint("!", Style::Warning, colour), wrap(&line, 2).trim_start());
    }
    let _ = write!(text, "\n{}", interface_table(&part(readings, |all| &all.interfaces), colour));
    let of_runtime = |all: &Overview| all.runtime.as_ref().map(|runtime| runtime.workers.clone()).unwrap_or_default();
    let workers = Readings { before: of_runtime(&readings.before), now: of_runtime(&readings.now), seconds: readings.seconds };
    let _ = write!(text, "\n{}", worker_table(&workers, colour));
    if !tables.is_empty() {
        let _ = write!(text, "\n{}", table_table(tables, colour));
    }
    text
}

fn part<T: Clone>(readings: &Readings<Overview>, of: impl Fn(&Overview) -> &Vec<T>) -> Readings<Vec<T>> {
    Readings { before: of(&readings.before).clone(), now: of(&readings.now).clone(), seconds: readings.seconds }
}

/// Interfaces, or all about one.
pub fn interfaces(readings: &Readings<Vec<Interface>>, name: Option<&str>, colour: bool) -> String {
    match name.and_then(|name| readings.now.iter().find(|interface| interface.name == name)) {
        Some(interface) => one_interface(readings, interface, colour),
        None => interface_table(readings, colour),
    }
}

fn interface_table(readings: &Readings<Vec<Interface>>, colour: bool) -> String {
    let headings = ["INTERFACE", "STATE", "RX/s", "RX BIT/s", "TX/s", "TX BIT/s", "RX LOST", "TX LOST", "DRIVER", "ADDRESSES"];
    // What is left out is told of a single one.
    let mut table = Table::new(&headings, 2..8).spare(&[8, 9, 3, 5]);
    for interface in &readings.now {
        let per_second = |of: fn(&Interface) -> u64| rate(rate_of(readings, interface, of));
        let bits = |of: fn(&Interface) -> u64| rate(rate_of(readings, interface, of) * 8.0);
        table.row([
            interface.name.clone(),
            state(interface).into(),
            per_second(|interface| interface.received.packets),
            bits(|interface| interface.received.bytes),
            per_second(|interface| interface.sent.packets),
            bits(|interface| interface.sent.bytes),
            grouped(receive_lost(interface)),
            grouped(transmit_lost(interface)),
            driver(interface),
            if interface.addresses.is_empty() { "-".into() } else { interface.addresses.join(", ") },
        ]);
    }
    table.render(colour)
}

/// The rate of something of an interface.
fn rate_of(readings: &Readings<Vec<Interface>>, interface: &Interface, of: fn(&Interface) -> u64) -> f64 {
    let before = readings.before.iter().find(|before| before.name == interface.name).map_or(0, of);
    of(interface).saturating_sub(before) as f64 / readings.seconds
}

/// Packets that came and were lost at the interface.
pub fn receive_lost(interface: &Interface) -> u64 {
    interface.received.drops + interface.received.errors + interface.received.missed
}

/// Packets that were to leave and were lost at the interface.
pub fn transmit_lost(interface: &Interface) -> u64 {
    interface.sent.drops + interface.sent.oversize + interface.sent.errors
}

/// How it stands, in a word or two.
pub fn state(interface: &Interface) -> &'static str {
    match (interface.admin, interface.link) {
        (Admin::Up, true) => "up",
        (Admin::Up, false) => "link down",
        (Admin::Down, _) => "switched off",
    }
}

fn driver(interface: &Interface) -> String {
    if interface.mode.is_empty() { interface.driver.clone() } else { format!("{} ({})", interface.driver, interface.mode) }
}

fn one_interface(readings: &Readings<Vec<Interface>>, interface: &Interface, colour: bool) -> String {
    let mut text = format!("{} ({})\n", paint(&interface.name, Style::Bold, colour), driver(interface));
    let addresses = if interface.addresses.is_empty() { "none".into() } else { interface.addresses.join(", ") };
    let changes = match interface.link_changes {
        0 => state(interface).into(),
        1 => format!("{}, which has changed once", state(interface)),
        count => format!("{}, which has changed {} times", state(interface), grouped(count)),
    };
    for (word, value) in [
        ("state", changes),
        ("hardware address", interface.mac.clone()),
        ("MTU", format!("{} bytes", interface.mtu)),
        ("addresses", addresses),
    ] {
        let _ = writeln!(text, "  {word:<17}{value}");
    }
    interface.fallbacks.iter().for_each(|reason| _ = writeln!(text, "  {:<17}{reason}", "without"));
    let mut table = Table::new(&["COUNTED", "PACKETS", "PACKETS/s", "BYTES", "BIT/s"], 1..5);
    type Of = fn(&Interface) -> u64;
    let mut row = |word: &str, packets: Of, bytes: Option<Of>| {
        table.row([
            word.into(),
            grouped(packets(interface)),
            rate(rate_of(readings, interface, packets)),
            bytes.map_or(String::new(), |bytes| grouped(bytes(interface))),
            bytes.map_or(String::new(), |bytes| rate(rate_of(readings, interface, bytes) * 8.0)),
        ]);
    };
    row("received", |interface| interface.received.packets, Some(|interface| interface.received.bytes));
    row("  lost: no buffer", |interface| interface.received.drops, None);
    row("  lost: too long", |interface| interface.received.errors, None);
    row("missed by the device", |interface| interface.received.missed, None);
    row("sent", |interface| interface.sent.packets, Some(|interface| interface.sent.bytes));
    row("  lost afterwards", |interface| interface.sent.errors, None);
    row("not taken: ring full or link down", |interface| interface.sent.drops, None);
    row("not taken: longer than the MTU", |interface| interface.sent.oversize, None);
    let _ = write!(text, "\n{}", table.render(colour));
    text
}

/// Tables, or all about one.
pub fn tables(tables: &[swath_ctl::api::Table], name: Option<&str>, colour: bool) -> String {
    let Some(one) = name.and_then(|name| tables.iter().find(|table| table.name == name)) else {
        return table_table(tables, colour);
    };
    let mut table = Table::new(&["FIGURE", "VALUE", "MEANING"], 1..2);
    for figure in &one.figures {
        table.row([figure_name(figure, ""), grouped(figure.value), figure.help.clone()]);
    }
    format!("{} ({})\n\n{}", paint(&one.name, Style::Bold, colour), one.kind, table.render(colour))
}

fn table_table(tables: &[swath_ctl::api::Table], colour: bool) -> String {
    let mut table = Table::new(&["TABLE", "KIND", "FIGURES"], 0..0);
    for one in tables {
        // What stands still at nothing says nothing.
        let figures = one.figures.iter().filter(|figure| figure.value > 0);
        let figures: Vec<String> =
            figures.map(|figure| format!("{} {}", figure_name(figure, &one.kind), grouped(figure.value))).collect();
        let lines = wrap(&figures.join(", "), 30);
        let mut lines = lines.lines().map(str::trim_start);
        table.row([one.name.clone(), one.kind.clone(), lines.next().unwrap_or_default().into()]);
        lines.for_each(|line| table.row([String::new(), String::new(), line.into()]));
    }
    table.render(colour)
}

/// A figure's name in words, without that of the kind before it.
fn figure_name(figure: &Figure, kind: &str) -> String {
    let name = figure.name.strip_prefix(&format!("{}_", kind.replace('-', "_"))).unwrap_or(&figure.name);
    let name = name.trim_end_matches("_total").replace('_', "-");
    let labels: Vec<&str> = figure.labels.values().map(String::as_str).collect();
    if labels.is_empty() { name } else { format!("{name} ({})", labels.join(", ")) }
}

/// Nodes, or all about one.
pub fn nodes(readings: &Readings<Vec<Node>>, name: Option<&str>, colour: bool) -> String {
    if let Some(node) = name.and_then(|name| readings.now.iter().find(|node| node.name == name)) {
        return one_node(readings, node, colour);
    }
    let mut table = Table::new(&["NODE", "KIND", "PACKETS/s", "PACKETS", "PKTS/VECTOR", "CYCLES/PKT", "DROPS/s", "DROPS"], 2..8)
        .spare(&[1, 3, 4]);
    let ratio = |a: u64, b: u64| if b == 0 { "-".into() } else { format!("{:.1}", a as f64 / b as f64) };
    for node in &readings.now {
        let nothing = |of: fn(&Node) -> u64| readings.before.iter().find(|before| before.name == node.name).map_or(0, of);
        let since = |of: fn(&Node) -> u64| of(node).saturating_sub(nothing(of));
        let (packets, vectors, cycles) = (since(|node| node.packets), since(|node| node.vectors), since(|node| node.cycles));
        table.row([
            node.name.clone(),
            node.kind.clone(),
            rate(packets as f64 / readings.seconds),
            grouped(node.packets),
            ratio(packets, vectors),
            ratio(cycles, packets),
            rate(since(|node| node.drops) as f64 / readings.seconds),
            grouped(node.drops),
        ]);
    }
    table.render(colour)
}

fn one_node(readings: &Readings<Vec<Node>>, node: &Node, colour: bool) -> String {
    let before = readings.before.iter().find(|before| before.name == node.name);
    let mut text = format!("{} ({})\n", paint(&node.name, Style::Bold, colour), node.kind);
    let _ = writeln!(text, "  {} packets came in {} vectors\n", grouped(node.packets), grouped(node.vectors));
    let mut table = Table::new(&["EDGE", "LEADS TO", "PACKETS/s", "PACKETS"], 2..4);
    for edge in &node.edges {
        let known = before.and_then(|before| before.edges.iter().find(|known| known.name == edge.name));
        let grown = edge.packets.saturating_sub(known.map_or(0, |known| known.packets));
        let target = edge.to.clone().unwrap_or_else(|| if edge.drops { "drop" } else { "-" }.into());
        table.row([edge.name.clone(), target, rate(grown as f64 / readings.seconds), grouped(edge.packets)]);
    }
    text + &table.render(colour)
}

/// Workers and both ledgers.
pub fn runtime(readings: &Readings<Runtime>, colour: bool) -> String {
    let workers =
        Readings { before: readings.before.workers.clone(), now: readings.now.workers.clone(), seconds: readings.seconds };
    let (packets, buffers) = (&readings.now.packets, &readings.now.buffers);
    let list = |parts: &[(&str, u64)]| {
        let parts = parts.iter().map(|(word, count)| format!("{word} {}", grouped(*count)));
        parts.collect::<Vec<_>>().join(" + ")
    };
    let mut text = worker_table(&workers, colour);
    let _ = writeln!(
        text,
        "\npackets: {} = {}",
        list(&[("received", packets.received), ("made", packets.made)]),
        list(&[
            ("sent", packets.sent),
            ("dropped", packets.dropped),
            ("consumed", packets.consumed),
            ("held", packets.held),
            ("in transit", packets.in_transit),
        ])
    );
    let _ = writeln!(
        text,
        "buffers: {} = {}",
        grouped(buffers.capacity),
        list(&[
            ("free", buffers.free),
            ("cached", buffers.cached),
            ("in rings", buffers.rings),
            ("in frames", buffers.frames),
            ("between workers", buffers.handoff),
            ("held", buffers.held),
        ])
    );
    text
}

fn worker_table(readings: &Readings<Vec<Worker>>, colour: bool) -> String {
    let headings =
        ["WORKER", "CORE", "BUSY", "POLLING", "ASLEEP", "SWEEPS/s", "PKTS/VECTOR", "CYCLES/PKT", "HANDED ON", "RECEIVES"];
    let mut table = Table::new(&headings, 2..9).spare(&[9, 8, 5]);
    for worker in &readings.now {
        let since = Since { before: readings.before.iter().find(|before| before.worker == worker.worker), now: worker };
        let all = since.seconds(|worker| worker.busy + worker.polling + worker.asleep).max(f64::MIN_POSITIVE);
        let share = |of: fn(&Worker) -> f64| format!("{:.1} %", 100.0 * since.seconds(of) / all);
        let ratio = |a: u64, b: u64| if b == 0 { "-".into() } else { format!("{:.1}", a as f64 / b as f64) };
        let (packets, vectors) = (since.count(|worker| worker.packets), since.count(|worker| worker.vectors));
        table.row([
            worker.worker.to_string(),
            if let [core] = worker.cores[..] { core.to_string() } else { "any".into() },
            share(|worker| worker.busy),
            share(|worker| worker.polling),
            share(|worker| worker.asleep),
            rate(since.count(|worker| worker.sweeps) as f64 / readings.seconds),
            ratio(packets, vectors),
            ratio(since.count(|worker| worker.cycles), packets),
            grouped(worker.handed),
            if worker.queues.is_empty() { "what it is handed".into() } else { worker.queues.join(", ") },
        ]);
    }
    table.render(colour)
}

/// A worker, and what it was.
pub struct Since<'a> {
    pub before: Option<&'a Worker>,
    pub now: &'a Worker,
}

impl Since<'_> {
    fn count(&self, of: fn(&Worker) -> u64) -> u64 {
        of(self.now).saturating_sub(self.before.map_or(0, of))
    }

    /// Seconds in between.
    pub fn seconds(&self, of: fn(&Worker) -> f64) -> f64 {
        (of(self.now) - self.before.map_or(0.0, of)).max(0.0)
    }
}

/// Drop reasons that happen now, and those that have, each with what there is to say below it.
pub fn drops(readings: &Readings<Vec<Drops>>, below: &dyn Fn(&Drops) -> Vec<String>, colour: bool) -> String {
    if readings.now.is_empty() {
        return "no packet was dropped\n".into();
    }
    let mut all: Vec<(f64, &Drops)> = readings.now.iter().map(|drops| (drop_rate(readings, drops), drops)).collect();
    // Stable: where the rates are equal, in the order in which packets meet the nodes.
    all.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let mut table = Table::new(&["DROPPED", "KIND", "PACKETS/s", "PACKETS", "LAST SEEN (UTC)"], 2..4).spare(&[1]);
    for (per_second, drops) in &all {
        let last = drops.last_seen.as_deref().map(|time| time.get(..19).unwrap_or(time).replace('T', " "));
        table.row([name_of(drops), drops.kind.clone(), rate(*per_second), grouped(drops.packets), last.unwrap_or("-".into())]);
    }
    let mut text = table.render(colour);
    for (_, drops) in all {
        let _ = write!(text, "\n{}\n{}\n", paint(&name_of(drops), Style::Bold, colour), wrap(&drops.meaning, 2));
        below(drops).iter().for_each(|line| _ = writeln!(text, "  {line}"));
    }
    text
}

/// A reason with its node.
pub fn name_of(drops: &Drops) -> String {
    format!("{}.{}", drops.node, drops.reason)
}

/// Packets dropped a second.
pub fn drop_rate(readings: &Readings<Vec<Drops>>, drops: &Drops) -> f64 {
    let same = |before: &&Drops| before.node == drops.node && before.reason == drops.reason;
    let before = readings.before.iter().find(same).map_or(0, |before| before.packets);
    drops.packets.saturating_sub(before) as f64 / readings.seconds
}

/// A time in the two largest units that it has.
fn span(seconds: f64) -> String {
    let seconds = Duration::from_secs_f64(seconds.max(0.0)).as_secs();
    let units = [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let largest = units.iter().position(|(length, _)| seconds >= *length).unwrap_or(units.len() - 1);
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (length, word) in &units[largest..units.len().min(largest + 2)] {
        let count = rest / length;
        rest %= length;
        if count > 0 || parts.is_empty() {
            parts.push(counted(count as usize, word));
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_units() {
        let table =
            [(0.4, "0 seconds"), (1.0, "1 second"), (61.0, "1 minute 1 second"), (7200.0, "2 hours"), (90_061.0, "1 day 1 hour")];
        for (seconds, text) in table {
            assert_eq!(span(seconds), text);
        }
    }
}
