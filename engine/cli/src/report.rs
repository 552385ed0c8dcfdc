//! What is said at the end: for people a summary, for programs the ledgers as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use swath_api::reserved;
use swath_core::run::{Buffers, Engine, Ledger, NodeTotals};

use crate::exit::{Exit, Failure};
use crate::figures::grouped;
use crate::schema::one_line;
use crate::table::Table;
use crate::terminal::{Style, Terminal, paint};

/// The ledgers of an engine that stands still, and what its drivers have to say.
#[derive(Debug, Serialize)]
pub struct Report {
    #[serde(flatten)]
    ledger: Ledger,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    interfaces: BTreeMap<String, serde_json::Value>,
    // Output of drivers that could not be written.
    #[serde(skip)]
    failed: Option<String>,
}

impl Report {
    /// Lets the drivers finish, and reads the ledgers.
    pub fn of(engine: &mut Engine) -> Report {
        let (mut interfaces, mut failed) = (BTreeMap::new(), Vec::new());
        for (name, said) in engine.finish() {
            match said {
                Ok(report) if report.is_null() => {}
                Ok(report) => _ = interfaces.insert(name, report),
                Err(error) => failed.push(format!("{name}: {error}")),
            }
        }
        let failed = (!failed.is_empty()).then(|| failed.join("\n"));
        Report { ledger: engine.ledger(), interfaces, failed }
    }

    /// Where all packets have gone, as a log event.
    pub fn log(&self) {
        let Ledger { received, made, sent, consumed, held, .. } = self.ledger;
        let (dropped, whole) = (self.ledger.dropped_total(), self.ledger.discrepancies().is_empty());
        let what = if whole { "the ledger adds up" } else { "the ledger does not add up" };
        tracing::info!(target: "swath::engine", received, made, sent, dropped, consumed, held, "{what}");
    }

    /// Says it all, and with what code to end.
    ///
    /// # Errors
    /// Output could not be written, by a driver or here.
    pub fn deliver(&self, engine: &Engine, destination: Option<Destination>, terminal: &Terminal) -> Result<Exit, Failure> {
        terminal.say(self.summary(engine, terminal.colour));
        for (name, report) in &self.interfaces {
            if let Some(cut_off) = report.pointer("/read/cut-off").and_then(serde_json::Value::as_str) {
                terminal.say(format!("warning: what `{name}` has read was cut off: {cut_off}"));
            }
        }
        if let Some(destination) = destination {
            destination.write(&self.to_json(), terminal)?;
        }
        self.judge()
    }

    fn judge(&self) -> Result<Exit, Failure> {
        if let Some(error) = &self.failed {
            return Err(Failure::other(error.clone()));
        }
        let discrepancies = self.ledger.discrepancies();
        if discrepancies.is_empty() {
            return Ok(Exit::Ok);
        }
        Err(Failure::other(format!(
            "THE LEDGER DOES NOT ADD UP\n  {}\nPackets or buffers were lost, or made from nothing. No graph can cause this: it is a \
             defect of a driver, of a node or of the engine. Please report it with the graph.",
            discrepancies.join("\n  ")
        )))
    }

    fn to_json(&self) -> String {
        // Keys are strings and values are integers, so there is nothing that JSON cannot say.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    fn summary(&self, engine: &Engine, colour: bool) -> String {
        let nodes = engine.nodes();
        let mut text = nodes_table(&nodes, &self.ledger).render(colour);
        text.push('\n');
        text.push_str(&interfaces_table(engine).render(colour));
        if engine.workers().iter().any(|worker| worker.sleeps + worker.busy.as_nanos() as u64 > 0) {
            text.push('\n');
            text.push_str(&workers_table(engine).render(colour));
        }
        if !self.ledger.dropped.is_empty() {
            text.push('\n');
            text.push_str(&drops_table(engine, &nodes, &self.ledger).render(colour));
        }
        text.push('\n');
        text.push_str(&verdict(&self.ledger, colour));
        text
    }
}

fn nodes_table(nodes: &[NodeTotals], ledger: &Ledger) -> Table {
    let mut table = Table::new(&["NODE", "KIND", "PACKETS", "VECTORS", "PKTS/VECTOR", "CYCLES/PKT", "DROPS"], 2..7);
    let ratio = |a: u64, b: u64| if b == 0 { "-".into() } else { format!("{:.1}", a as f64 / b as f64) };
    for node in nodes {
        let drops = ledger.dropped.get(&node.name).map_or(0, |reasons| reasons.values().sum());
        table.row([
            node.name.clone(),
            node.kind.into(),
            grouped(node.packets),
            grouped(node.calls),
            ratio(node.packets, node.calls),
            ratio(node.cycles, node.packets),
            grouped(drops),
        ]);
    }
    table
}

fn interfaces_table(engine: &Engine) -> Table {
    let mut table = Table::new(&["INTERFACE", "DRIVER", "RECEIVED", "BYTES", "SENT", "BYTES"], 2..6);
    for (index, interface) in engine.plan().interfaces.iter().enumerate() {
        let mut sums = [0; 4];
        for worker in engine.counters() {
            let counters = &worker.interfaces[index];
            let counts = [&counters.received, &counters.received_bytes, &counters.sent, &counters.sent_bytes];
            sums.iter_mut().zip(counts).for_each(|(sum, counter)| *sum += counter.get());
        }
        let names = [interface.spec.name.value.clone(), interface.driver.name.into()];
        table.row(names.into_iter().chain(sums.map(grouped)));
    }
    table
}

/// Of workers that have run by the clock.
fn workers_table(engine: &Engine) -> Table {
    let mut table = Table::new(&["WORKER", "CORE", "BUSY", "POLLING", "ASLEEP", "SLEEPS", "HANDED ON"], 2..7);
    let seconds = |time: std::time::Duration| format!("{:.3} s", time.as_secs_f64());
    for figures in engine.workers() {
        let core = if let [core] = figures.cpus[..] { core.to_string() } else { "any".into() };
        table.row([
            figures.worker.to_string(),
            core,
            seconds(figures.busy),
            seconds(figures.idle),
            seconds(figures.asleep),
            grouped(figures.sleeps),
            grouped(figures.handed.iter().sum()),
        ]);
    }
    table
}

fn drops_table(engine: &Engine, nodes: &[NodeTotals], ledger: &Ledger) -> Table {
    let mut table = Table::new(&["DROPPED", "PACKETS", "MEANING"], 1..2);
    // In the order in which packets meet the nodes.
    for node in nodes {
        for (reason, count) in ledger.dropped.get(&node.name).into_iter().flatten() {
            table.row([format!("{}.{reason}", node.name), grouped(*count), meaning(engine, &node.name, reason)]);
        }
    }
    table
}

/// What the documentation says of a reason.
pub fn meaning(engine: &Engine, node: &str, reason: &str) -> String {
    let node = engine.plan().nodes.iter().find(|plan| plan.spec.name.value == node);
    let edges = node.map(|node| &*node.edges).unwrap_or_default();
    let own = edges.iter().find(|edge| edge.name == reason).map(|edge| edge.doc);
    let engines = || reserved::REASONS.iter().find(|(name, _)| *name == reason).map(|(_, doc)| *doc);
    one_line(own.or_else(engines).unwrap_or_default())
}

/// Both ledgers, and whether they add up.
fn verdict(ledger: &Ledger, colour: bool) -> String {
    let sum = |parts: &[(u64, &str)]| {
        let named = parts.iter().enumerate().filter(|(at, (count, _))| *at < 2 || *count > 0);
        named.map(|(_, (count, name))| format!("{name} {}", grouped(*count))).collect::<Vec<_>>().join(" + ")
    };
    let Buffers { capacity, free, cached, rings, frames, handoff, held } = ledger.buffers;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "packets: {} = {}",
        sum(&[(ledger.received, "received"), (ledger.made, "made")]),
        sum(&[
            (ledger.sent, "sent"),
            (ledger.dropped_total(), "dropped"),
            (ledger.consumed, "consumed"),
            (ledger.held, "held"),
            (ledger.in_transit, "in transit")
        ])
    );
    let _ = writeln!(
        text,
        "buffers: {} = {}",
        grouped(capacity),
        sum(&[
            (free, "free"),
            (cached, "cached"),
            (rings, "in rings"),
            (frames, "in frames"),
            (handoff, "between workers"),
            (held, "held")
        ])
    );
    let found = if ledger.discrepancies().is_empty() {
        paint("the ledger adds up", Style::Good, colour)
    } else {
        paint("the ledger does not add up", Style::Error, colour)
    };
    text + &found
}

/// Where the report goes.
#[derive(Debug)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file, open from the start: who has waited for an hour wants the report.
    File(PathBuf, File),
}

impl Destination {
    /// Opens it.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn open(path: &Path) -> Result<Destination, Failure> {
        if path == Path::new("-") {
            return Ok(Destination::Stdout);
        }
        let file = File::create(path).map_err(|error| Failure::no_output(path, &error))?;
        Ok(Destination::File(path.into(), file))
    }

    fn write(self, json: &str, terminal: &Terminal) -> Result<(), Failure> {
        match self {
            Destination::Stdout => terminal.data(json),
            Destination::File(path, mut file) => file.write_all(json.as_bytes()).map_err(|error| Failure::no_output(&path, &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let mut ledger = Ledger { received: 12_000, sent: 11_000, ..Ledger::default() };
        ledger.dropped.entry("lookup".into()).or_default().insert("no-route".into(), 1000);
        ledger.buffers = Buffers { capacity: 1024, free: 1000, cached: 24, ..Buffers::default() };
        ledger
    }

    #[test]
    fn the_verdict_has_both_ledgers() {
        let mut ledger = ledger();
        assert_eq!(
            verdict(&ledger, false),
            "packets: received 12,000 + made 0 = sent 11,000 + dropped 1,000\n\
             buffers: 1,024 = free 1,000 + cached 24\n\
             the ledger adds up"
        );
        ledger.held = 1;
        assert!(verdict(&ledger, false).ends_with(
            "packets: received 12,000 + made 0 = sent 11,000 + dropped 1,000 + held 1\n\
             buffers: 1,024 = free 1,000 + cached 24\n\
             the ledger does not add up"
        ));
    }

    #[test]
    fn a_ledger_that_does_not_add_up_is_a_failure() {
        let judge = |ledger, failed| Report { ledger, interfaces: BTreeMap::new(), failed }.judge();
        assert_eq!(judge(ledger(), None), Ok(Exit::Ok));
        assert_eq!(judge(ledger(), Some("the disk is full".into())), Err(Failure::other("the disk is full")));
        let failure = judge(Ledger { sent: 10_999, ..ledger() }, None).unwrap_err();
        assert_eq!(failure.exit(), Exit::Failed);
        let message = failure.to_string();
        assert!(message.starts_with("THE LEDGER DOES NOT ADD UP\n  packets: received 12000 + made 0 = 12000, but"), "{message}");
    }

    #[test]
    fn json_has_the_keys_of_the_ledger() {
        let mut report = Report { ledger: ledger(), interfaces: BTreeMap::new(), failed: None };
        let buffers =
            serde_json::json!({"capacity": 1024, "free": 1000, "cached": 24, "rings": 0, "frames": 0, "handoff": 0, "held": 0});
        let mut expected = serde_json::json!({
            "received": 12_000, "made": 0, "sent": 11_000, "dropped": {"lookup": {"no-route": 1000}}, "consumed": 0, "held": 0,
            "in_transit": 0, "buffers": buffers,
        });
        let json = |report: &Report| serde_json::from_str::<serde_json::Value>(&report.to_json()).unwrap();
        assert_eq!(json(&report), expected);
        assert!(report.to_json().starts_with("{\n  \"received\": 12000,\n  \"made\": 0,\n  \"sent\": 11000,\n"));
        report.interfaces.insert("lan".into(), serde_json::json!({"records": 5}));
        expected["interfaces"] = serde_json::json!({"lan": {"records": 5}});
        assert_eq!(json(&report), expected);
    }
}
