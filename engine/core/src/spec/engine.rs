//! The section `engine`: what belongs to the process. A change needs a restart.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use swath_api::units::Size;

use super::code::Code;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::typed::{deserialize, deserialize_all};
use super::value::{Node, Value};

/// How many workers an engine may have.
pub const WORKERS: RangeInclusive<u16> = 1..=64;
/// How many buffers a pool may have.
pub const BUFFERS: RangeInclusive<usize> = 1024..=4_194_304;
/// How many bytes of packet data a buffer may hold: at least an Ethernet frame of standard size.
pub const BUFFER_SIZE: RangeInclusive<usize> = 1536..=16384;

/// The settings of the process.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EngineSpec {
    /// How many workers process packets: as many as there are `cores`, or one.
    pub workers: u16,
    /// The core of each worker; without it, the system chooses.
    pub cores: Option<Vec<usize>>,
    /// What a worker does when there is nothing to do.
    pub idle: Idle,
    /// How many packet buffers there are.
    pub buffers: usize,
    /// How many bytes of packet data one buffer holds.
    #[serde(deserialize_with = "bytes")]
    pub buffer_size: usize,
    /// Whether the buffers lie in huge pages.
    pub hugepages: Hugepages,
    /// Where metrics are served by HTTP; without it, nowhere.
    #[serde(deserialize_with = "endpoint")]
    pub metrics: Option<SocketAddr>,
    /// Whether metrics of nodes are told for each worker, and not as one sum.
    pub metrics_by_worker: bool,
    /// Where the control API listens.
    pub api: Whereabouts,
    /// The directory in which revisions of the graph are kept.
    pub revisions: Whereabouts,
}

/// A place for something that the process has beside the graph.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Whereabouts {
    /// The usual one, by the name of the graph.
    #[default]
    Usual,
    /// Nowhere.
    Off,
    /// This one. A relative path in a graph is relative to its file.
    At(PathBuf),
}

impl From<&str> for Whereabouts {
    fn from(text: &str) -> Self {
        if text == "off" { Whereabouts::Off } else { Whereabouts::At(text.into()) }
    }
}

impl<'de> Deserialize<'de> for Whereabouts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Path;
        impl Visitor<'_> for Path {
            type Value = Whereabouts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, or `off`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Whereabouts, E> {
                if text.is_empty() { Err(E::invalid_value(Unexpected::Str(text), &self)) } else { Ok(text.into()) }
            }
        }
        deserializer.deserialize_str(Path)
    }
}

/// What a worker does when there is nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Idle {
    /// It looks for packets for a while, then sleeps until there are some.
    #[default]
    Adaptive,
    /// It never stops looking: a core is always busy, and nothing waits for a worker to wake.
    Busy,
}

/// Whether huge pages are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hugepages {
    /// Where there are any.
    #[default]
    Auto,
    /// Not at all.
    Never,
    /// Without them the engine does not start.
    Required,
}

impl Default for EngineSpec {
    fn default() -> Self {
        Self {
            workers: 1,
            cores: None,
            idle: Idle::Adaptive,
            buffers: 16384,
            buffer_size: 2048,
            hugepages: Hugepages::Auto,
            metrics: None,
            metrics_by_worker: false,
            api: Whereabouts::Usual,
            revisions: Whereabouts::Usual,
        }
    }
}

/// A size with its unit, or a number of bytes.
fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    Size::deserialize(deserializer).map(|size| usize::try_from(size.bytes()).unwrap_or(usize::MAX))
}

/// An address with a port.
fn endpoint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    struct Endpoint;
    impl Visitor<'_> for Endpoint {
        type Value = SocketAddr;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an address with a port, such as `127.0.0.1:9474` or `[::1]:9474`")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<SocketAddr, E> {
            text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
        }
    }
    deserializer.deserialize_str(Endpoint).map(Some)
}

impl EngineSpec {
    /// Reads the section and reports all mistakes in it.
    pub(super) fn read(section: Value, diagnostics: &mut Diagnostics) -> Self {
        if section.node == Node::Null {
            return Self::default();
        }
        if diagnostics.ok(section.expect_map().map(drop)).is_none() {
            return Self::default();
        }
        let mut rest = section.clone();
        let mut check = |key: &str, low: usize, high: usize| {
            let value = section.get(key);
            let checked = value.map_or(Ok(0), |value| value.expect_integer(low as u64, high as u64));
            if let Err(mistake) = checked {
                diagnostics.push(mistake);
                rest.remove(key);
            }
        };
        check("workers", (*WORKERS.start()).into(), (*WORKERS.end()).into());
        check("buffers", *BUFFERS.start(), *BUFFERS.end());
        if let Some(value) = section.get("buffer-size")
            && let Ok(size) = deserialize::<Size>(value)
            && !BUFFER_SIZE.contains(&usize::try_from(size.bytes()).unwrap_or(usize::MAX))
        {
            let (low, high) = (BUFFER_SIZE.start(), BUFFER_SIZE.end());
            diagnostics.push(value.mismatch(Code::BadValue, &format!("a size from {low} to {high} bytes")));
            rest.remove("buffer-size");
        }
        let mut engine: Self = deserialize_all(rest, diagnostics).unwrap_or_default();
        if let Some(cores) = engine.cores.as_ref().filter(|_| section.get("workers").is_none()) {
            // More than there may be are refused below, as more than one worker.
            engine.workers = u16::try_from(cores.len()).ok().filter(|count| WORKERS.contains(count)).unwrap_or(1);
        }
        if let Some(cores) = &engine.cores {
            engine.check_cores(cores, &section, diagnostics);
        }
        engine
    }

    fn check_cores(&self, cores: &[usize], section: &Value, diagnostics: &mut Diagnostics) {
        let Some(Value { span, node: Node::Seq(values) }) = section.get("cores") else {
            return;
        };
        let mut first = HashMap::new();
        for (core, value) in cores.iter().zip(values) {
            if let Some(before) = first.insert(core, value.span) {
                diagnostics.push(
                    Diagnostic::error(Code::Conflict, format!("core {core} is given to two workers"))
                        .primary(value.span, "given again")
                        .secondary(before, "first given here")
                        .help("give each worker a core of its own"),
                );
            }
        }
        if cores.len() != usize::from(self.workers) {
            let message = format!("`workers` is {}, but `cores` lists {}", self.workers, cores.len());
            let conflict = Diagnostic::error(Code::Conflict, message)
                .primary(*span, format!("lists {}", cores.len()))
                .help("list one core per worker, or leave `cores` out");
            diagnostics.push(match section.get("workers") {
                Some(workers) => conflict.secondary(workers.span, "the number of workers"),
                None => conflict,
            });
        }
    }
}
