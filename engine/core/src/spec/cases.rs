//! The section `tests`: what comes in, and what is expected to leave and to be dropped.
//!
//! What a packet's text means is not known here: it stays a string with its place.

use std::collections::HashMap;
use std::time::Duration;

use swath_api::units;

use super::changes::Changes;
use super::code::Code;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::source::{Span, Spanned};
use super::typed::deserialize;
use super::value::{Entry, Node, Value};

/// The keys of a step.
const STEP: [&str; 6] = ["at", "reload", "links", "in", "out", "drops"];
/// The keys of a test, whose only step may be written without a list.
const TEST: [&str; 8] = ["name", "at", "reload", "links", "in", "out", "drops", "steps"];

/// What is said to who has written something else.
const A_TEST: &str = "a test is written as `- { name: ..., in: ..., out: ..., drops: ... }`";
const A_STEP: &str = "a step is written as `- { at: 30s, in: ..., out: ..., drops: ... }`";

/// A test as written.
#[derive(Debug, Clone, PartialEq)]
pub struct TestSpec {
    /// What it is to show, in words; no other test of the file has the same.
    pub name: Spanned<String>,
    /// What happens, one after the other; at least one.
    pub steps: Vec<StepSpec>,
}

/// A step of a test as written.
#[derive(Debug, Clone, PartialEq)]
pub struct StepSpec {
    /// When it happens, from the start of the test on; without it, directly after the step before. Later than all steps before.
    pub at: Option<Spanned<Duration>>,
    /// To which other graph the engine goes over then, before anything else.
    pub reload: Option<Changes>,
    /// Which interfaces go down or come up then, before anything comes in.
    pub links: Vec<LinkSpec>,
    /// What comes in then.
    pub input: Vec<TrafficSpec>,
    /// What is expected to leave, from the step before on.
    pub output: Vec<TrafficSpec>,
    /// What is expected to be dropped, from the step before on.
    pub drops: Vec<DropSpec>,
}

/// The link of an interface as written.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkSpec {
    /// The interface.
    pub interface: Spanned<String>,
    /// Whether packets can leave by it.
    pub up: bool,
}

/// The packets of an interface as written.
#[derive(Debug, Clone, PartialEq)]
pub struct TrafficSpec {
    /// The interface.
    pub interface: Spanned<String>,
    /// Its packets, in order.
    pub packets: Vec<PacketSpec>,
}

/// A packet, or several of them, as written.
#[derive(Debug, Clone, PartialEq)]
pub enum PacketSpec {
    /// One, as text.
    Text(Spanned<String>),
    /// Those of a capture; a path that is relative to the graph file.
    Capture(Spanned<String>),
}

/// Packets dropped by a node for a reason as written.
#[derive(Debug, Clone, PartialEq)]
pub struct DropSpec {
    /// The node and the reason: `ip4.bad-checksum`.
    pub name: Spanned<String>,
    /// How many packets; not 0.
    pub count: Spanned<u64>,
}

impl DropSpec {
    /// The name of the node and that of the reason, if there are two.
    #[must_use]
    pub fn parts(&self) -> Option<(&str, &str)> {
        self.name.value.split_once('.')
    }
}

impl TestSpec {
    /// Reads the whole section and reports all mistakes in it.
    pub(super) fn read_all(section: Value, diagnostics: &mut Diagnostics) -> Vec<Self> {
        if section.node == Node::Null {
            return Vec::new();
        }
        if diagnostics.ok(section.expect_seq().map(drop)).is_none() {
            return Vec::new();
        }
        let Node::Seq(tests) = section.node else { return Vec::new() };
        let mut first: HashMap<String, Span> = HashMap::new();
        let tests = tests.into_iter().filter_map(|test| {
            let test = Self::read(test, diagnostics)?;
            let Spanned { value: name, span } = &test.name;
            if let Some(before) = first.insert(name.clone(), *span).filter(|_| !name.is_empty()) {
                diagnostics.push(
                    Diagnostic::error(Code::TestName, format!("two tests are named `{name}`"))
                        .primary(*span, "given again")
                        .secondary(before, "first given here")
                        .help("say what is different about this one"),
                );
            }
            Some(test)
        });
        tests.collect()
    }

    fn read(test: Value, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut test = Keys::read(test, A_TEST, &TEST, diagnostics)?;
        let start = test.start();
        let name = test.take("name").map_or_else(
            || {
                let nameless = Diagnostic::error(Code::TestName, "a test has no name").primary(start, "`name` is missing");
                Err(nameless.help("say in a sentence what it shows: `name: a packet without a route is dropped`"))
            },
            |entry| read_name(&entry.value),
        );
        // Without a name the rest is looked at all the same.
        let name = diagnostics.ok(name).unwrap_or(Spanned::new(String::new(), start));
        let steps = match test.take("steps") {
            Some(steps) => {
                for entry in &test.entries {
                    diagnostics.push(
                        Diagnostic::error(Code::Conflict, format!("`{}` stands beside `steps`", entry.key))
                            .primary(entry.key_span, "not in a step")
                            .secondary(steps.key_span, "the steps")
                            .help("put it into one of the steps"),
                    );
                }
                read_steps(steps, diagnostics)
            }
            None => vec![StepSpec::of(test, diagnostics)],
        };
        check_times(&steps, diagnostics);
        Some(Self { name, steps })
    }
}

/// Shown in a line, so it is one.
fn read_name(value: &Value) -> Result<Spanned<String>, Diagnostic> {
    let text = value.expect_str()?.trim();
    if text.is_empty() || text.contains(char::is_control) {
        return Err(value.mismatch(Code::BadValue, "a sentence in one line"));
    }
    Ok(Spanned::new(text.to_owned(), value.span))
}

fn read_steps(steps: Entry, diagnostics: &mut Diagnostics) -> Vec<StepSpec> {
    let Node::Seq(values) = steps.value.node else {
        let wrong = steps.value.wrong_type("a list of steps");
        diagnostics.push(wrong.help(A_STEP));
        return Vec::new();
    };
    if values.is_empty() {
        diagnostics.push(
            Diagnostic::error(Code::BadValue, "a test has no steps")
                .primary(steps.value.span, "there is none")
                .help("add a step: `- { in: ..., out: ... }`"),
        );
    }
    let mut read = Vec::with_capacity(values.len());
    for value in values {
        if let Some(keys) = Keys::read(value, A_STEP, &STEP, diagnostics) {
            read.push(StepSpec::of(keys, diagnostics));
        }
    }
    read
}

/// Time only goes on.
fn check_times(steps: &[StepSpec], diagnostics: &mut Diagnostics) {
    let mut latest: Option<Spanned<Duration>> = None;
    for at in steps.iter().filter_map(|step| step.at) {
        if let Some(before) = latest.filter(|before| at.value <= before.value) {
            diagnostics.push(
                Diagnostic::error(Code::TestTime, "a step is not later than the one before")
                    .primary(at.span, "not later")
                    .secondary(before.span, "the step before")
                    .help("times count from the start of the test; without `at` a step follows at once"),
            );
        } else {
            latest = Some(at);
        }
    }
}

impl StepSpec {
    fn of(mut keys: Keys, diagnostics: &mut Diagnostics) -> Self {
        if !keys.has_any {
            diagnostics.push(
                Diagnostic::error(Code::MissingKey, "nothing comes in here, and nothing is expected")
                    .primary(keys.start(), "neither `in` nor `out` nor `drops`")
                    .help("say what comes in, and what is to leave: `in: { IF: ... }`, `out: { IF: ... }`"),
            );
        }
        let at = keys.take("at").and_then(|entry| diagnostics.ok(read_time(&entry.value)));
        let reload = keys.take("reload").and_then(|entry| Changes::read(entry.value, diagnostics));
        let links = keys.take("links").map(|entry| read_links(entry, diagnostics)).unwrap_or_default();
        let mut traffic = |key| keys.take(key).map(|entry| read_traffic(entry, diagnostics)).unwrap_or_default();
        let (input, output) = (traffic("in"), traffic("out"));
        let drops = keys.take("drops").map(|entry| read_drops(entry, diagnostics));
        Self { at, reload, links, input, output, drops: drops.unwrap_or_default() }
    }
}

fn read_links(entry: Entry, diagnostics: &mut Diagnostics) -> Vec<LinkSpec> {
    let Node::Map(interfaces) = entry.value.node else {
        let wrong = entry.value.wrong_type("a mapping from interfaces to `up` or `down`");
        diagnostics.push(wrong.help("write `links: { INTERFACE: down }`"));
        return Vec::new();
    };
    let links = interfaces.into_iter().filter_map(|Entry { key, key_span, value }| {
        let up = match &value.node {
            Node::Str(state) if &**state == "up" => Ok(true),
            Node::Str(state) if &**state == "down" => Ok(false),
            _ => Err(value.mismatch(Code::BadValue, "`up` or `down`")),
        };
        let up = diagnostics.ok(up)?;
        Some(LinkSpec { interface: Spanned::new(key.to_string(), key_span), up })
    });
    links.collect()
}

fn read_traffic(entry: Entry, diagnostics: &mut Diagnostics) -> Vec<TrafficSpec> {
    let Node::Map(interfaces) = entry.value.node else {
        let wrong = entry.value.wrong_type("a mapping from interfaces to packets");
        diagnostics.push(wrong.help(format!("write `{}: {{ INTERFACE: [PACKET, ...] }}`", entry.key)));
        return Vec::new();
    };
    let traffic = interfaces.into_iter().map(|Entry { key, key_span, value }| {
        let packets = match value {
            Value { node: Node::Seq(values), .. } => values,
            // A list of one need not be written as a list.
            value => vec![value],
        };
        let packets = packets.into_iter().filter_map(|value| diagnostics.ok(read_packet(value))).collect();
        TrafficSpec { interface: Spanned::new(key.to_string(), key_span), packets }
    });
    traffic.collect()
}

fn read_packet(value: Value) -> Result<PacketSpec, Diagnostic> {
    let expected = "a packet as text, or `{ pcap: FILE }`";
    match &value.node {
        Node::Str(text) => Ok(PacketSpec::Text(Spanned::new(text.to_string(), value.span))),
        Node::Map(entries) => match &entries[..] {
            [Entry { key, value, .. }] if &**key == "pcap" => match value.expect_str()? {
                "" => Err(value.mismatch(Code::BadValue, "the path of a capture")),
                path => Ok(PacketSpec::Capture(Spanned::new(path.to_owned(), value.span))),
            },
            _ => {
                let odd = entries.iter().find(|entry| &*entry.key != "pcap");
                Err(odd.map_or_else(
                    || value.mismatch(Code::WrongType, expected),
                    |odd| Diagnostic::unknown_key(&odd.key, odd.key_span, &["pcap"]),
                ))
            }
        },
        _ => Err(value.wrong_type(expected)),
    }
}

fn read_drops(entry: Entry, diagnostics: &mut Diagnostics) -> Vec<DropSpec> {
    let Node::Map(drops) = entry.value.node else {
        let wrong = entry.value.wrong_type("a mapping from reasons to numbers of packets");
        diagnostics.push(wrong.help("write `drops: { NODE.REASON: 1 }`"));
        return Vec::new();
    };
    let drops = drops.into_iter().filter_map(|Entry { key, key_span, value }| {
        let expected = "a number of packets, 1 or more";
        let count = match value.node {
            Node::Int(count) if count > 0 => Ok(count.unsigned_abs()),
            Node::Uint(count) => Ok(count),
            Node::Int(0) => {
                let zero = value.mismatch(Code::BadValue, expected);
                Err(zero.help("what is not listed must not happen: leave it out"))
            }
            Node::Int(_) => Err(value.mismatch(Code::BadValue, expected)),
            _ => Err(value.wrong_type(expected)),
        };
        let count = diagnostics.ok(count)?;
        Some(DropSpec { name: Spanned::new(key.to_string(), key_span), count: Spanned::new(count, value.span) })
    });
    drops.collect()
}

/// Reads a time: a whole number and its unit.
fn read_time(value: &Value) -> Result<Spanned<Duration>, Diagnostic> {
    deserialize::<units::Duration>(value).map(|time| Spanned::new(time.into(), value.span))
}

/// The keys of a mapping, to be taken out one by one.
struct Keys {
    span: Span,
    entries: Vec<Entry>,
    /// Whether there is more than a name.
    has_any: bool,
}

impl Keys {
    /// Takes a mapping apart. Keys that are not known are reported.
    fn read(value: Value, help: &str, known: &[&str], diagnostics: &mut Diagnostics) -> Option<Self> {
        let Value { span, node: Node::Map(mut entries) } = value else {
            let wrong = value.wrong_type("a mapping");
            diagnostics.push(wrong.help(help));
            return None;
        };
        let has_any = entries.iter().any(|entry| &*entry.key != "name");
        entries.retain(|entry| {
            let is_known = known.contains(&&*entry.key);
            if !is_known {
                diagnostics.push(Diagnostic::unknown_key(&entry.key, entry.key_span, known));
            }
            is_known
        });
        Some(Self { span, entries, has_any })
    }

    fn take(&mut self, key: &str) -> Option<Entry> {
        let at = self.entries.iter().position(|entry| &*entry.key == key)?;
        Some(self.entries.remove(at))
    }

    /// The first key that is left, or the whole mapping.
    fn start(&self) -> Span {
        self.entries.first().map_or(self.span, |entry| entry.key_span)
    }
}

#[cfg(test)]
#[path = "cases_tests.rs"]
mod tests;
