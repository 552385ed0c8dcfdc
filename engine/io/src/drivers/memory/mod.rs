//! `memory`: an interface without a network. It generates the packets that it receives, and checks those that it sends.
//!
//! For benchmarks and tests, and for trying a graph out: no kernel, no privilege, and as fast as memory is.
//!
//! ```yaml
//! interfaces:
//!   lan:
//!     driver: memory
//!     generate:
//!       flows: { sources: [10.0.0.0/24], destinations: [10.1.0.0/16], count: 1000, size: imix }
//!       rate: 1Mpps
//!       limit: 5000
//!       stamp: true
//!   wan: { driver: memory, sink: { check: stamps } }
//! ```
//!
//! The packets of an interface are *one* sequence. Each receive queue, one for each worker, takes those of its own flows, so the
//! packets, and their order within each flow, are the same for any number of workers.
//!
//! At the end it says `{generated, packets, bytes}`: packets generated, lost ones included, and packets and bytes sent; with
//! `sink.check: stamps` also `{flows, missing, duplicated, reordered, late, unstamped}`.

mod flows;
mod frames;
mod generator;
mod sequence;
mod settings;
mod sink;
mod stamp;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use swath_api::ConfigError;
use swath_api::wire::MacAddr;
use swath_core::driver::{DriverKind, Port, PortConfig, RxQueue, TxQueue};

use crate::flow_hash::{flow_hash, queue_of};
use crate::text::Mac;
use flows::{Flows, V4, V6};
use frames::{Frames, Limits};
use generator::Generator;
use sequence::{Own, Pace, Sequence};
use settings::{FlowSettings, Generate, Settings};
use sink::{Sink, SinkQueue};
use stamp::STAMP;

/// The driver.
pub const KIND: DriverKind = DriverKind {
    name: "memory",
    summary: "Generates packets and checks what is sent; without a network.",
    schema: super::schema::<Settings>,
    example: include_str!("../../../examples/memory.yaml"),
    paths: &["generate.file"],
    check,
    open,
};

/// The MTU of Ethernet (RFC 894).
const MTU: u16 = 1500;
/// Packets that a queue gives in one call if nothing else is said.
const BURST: u32 = 256;

/// Packets by flow and size.
trait Source: Send + Sync + 'static {
    /// How many flows there are, at least one.
    fn flows(&self) -> u32;

    /// In how many sizes each flow comes, at least one.
    fn sizes(&self) -> u32;

    /// Writes a packet and returns its length.
    fn write(&self, flow: u32, size: u32, stamp: Option<&[u8; STAMP]>, data: &mut [u8]) -> usize;
}

struct MemoryPort {
    mac: MacAddr,
    mtu: u16,
    receive: Vec<Box<dyn RxQueue>>,
    transmit: Vec<Box<dyn TxQueue>>,
    generated: Arc<AtomicU64>,
    sink: Arc<Sink>,
}

/// As far as nothing is read, and no flow is made.
fn check(config: &PortConfig<'_>) -> Result<(), ConfigError> {
    let settings: Settings = super::settings(config.settings)?;
    let Some(generate) = &settings.generate else { return Ok(()) };
    let room = config.pool.region().geometry().data();
    match (&generate.packets, &generate.file, &generate.flows) {
        (None, Some(_), None) => Ok(()),
        (None, None, Some(flows)) => {
            let sizes = if is_ipv4(flows)? { Flows::<V4>::sizes_of } else { Flows::<V6>::sizes_of };
            sizes(flows, generate.stamp, room).map(drop)
        }
        _ => open(config).map(drop),
    }
}

fn open(config: &PortConfig<'_>) -> Result<Box<dyn Port>, ConfigError> {
    let settings: Settings = super::settings(config.settings)?;
    let mac = config.mac.unwrap_or_else(|| config.default_mac());
    let generated = Arc::default();
    let receive = match &settings.generate {
        Some(generate) => open_generator(generate, config, mac, &generated)?,
        None => Vec::new(),
    };
    let sink = Sink::new(&settings.sink);
    let transmit = (0..config.workers).map(|_| Box::new(SinkQueue::new(&sink, config.pool)) as Box<dyn TxQueue>).collect();
    Ok(Box::new(MemoryPort { mac, mtu: config.mtu.unwrap_or(MTU), receive, transmit, generated, sink }))
}

fn open_generator(
    generate: &Generate,
    config: &PortConfig<'_>,
    mac: MacAddr,
    generated: &Arc<AtomicU64>,
) -> Result<Vec<Box<dyn RxQueue>>, ConfigError> {
    if config.virtual_time && generate.rate.is_none() && generate.limit.is_none() {
        return Err(ConfigError::at("generate", "without `rate` and `limit` it never ends, and virtual time never moves on"));
    }
    let pace = pace(generate)?;
    let room = config.pool.region().geometry().data();
    let limits = Limits { interface: config.name, room, stamp: generate.stamp };
    let src = MacAddr::new(Mac::SOURCE.0);
    match (&generate.packets, &generate.file, &generate.flows) {
        (Some(packets), None, None) => {
            Ok(queues(Frames::from_text(packets, src, mac, &limits)?, generate, pace, config, generated))
        }
        (None, Some(file), None) => {
            Ok(queues(Frames::from_file(&config.directory.join(file), &limits)?, generate, pace, config, generated))
        }
        (None, None, Some(flows)) => {
            let (src, dst) = (flows.src_mac.unwrap_or(src), flows.dst_mac.unwrap_or(mac));
            Ok(if is_ipv4(flows)? {
                queues(Flows::<V4>::new(flows, generate.stamp, src, dst, room)?, generate, pace, config, generated)
            } else {
                queues(Flows::<V6>::new(flows, generate.stamp, src, dst, room)?, generate, pace, config, generated)
            })
        }
        _ => Err(ConfigError::at("generate", "exactly one of `packets`, `file` and `flows` says what is generated")),
    }
}

fn pace(generate: &Generate) -> Result<Pace, ConfigError> {
    let rate = generate.rate.map(|rate| {
        let rate = NonZeroU64::new(rate.packets_per_second());
        rate.ok_or_else(|| ConfigError::at("generate.rate", "at a rate of 0 nothing ever comes: leave `generate` out"))
    });
    let rate = rate.transpose()?;
    let default_burst = if rate.is_some() { 1 } else { BURST };
    Ok(Pace { rate, burst: generate.burst.map_or(default_burst, |burst| burst.get()).into() })
}

fn is_ipv4(flows: &FlowSettings) -> Result<bool, ConfigError> {
    for (name, prefixes) in [("sources", &flows.sources), ("destinations", &flows.destinations)] {
        if prefixes.is_empty() {
            return Err(ConfigError::at(format!("generate.flows.{name}"), "there is none"));
        }
    }
    let is_ipv4 = flows.sources[0].is_ipv4;
    if flows.sources.iter().chain(&flows.destinations).any(|prefix| prefix.is_ipv4 != is_ipv4) {
        return Err(ConfigError::at("generate.flows", "sources and destinations are of IPv4 and of IPv6"));
    }
    Ok(is_ipv4)
}

/// One receive queue for each worker.
fn queues<S: Source>(
    source: S,
    generate: &Generate,
    pace: Pace,
    config: &PortConfig<'_>,
    generated: &Arc<AtomicU64>,
) -> Vec<Box<dyn RxQueue>> {
    let workers = config.workers as usize;
    let mut frame = vec![0; config.pool.region().geometry().data()];
    let own = Own::divide(source.flows(), workers, |flow| {
        let length = source.write(flow, 0, None, &mut frame);
        queue_of(flow_hash(&frame[..length]), workers)
    });
    // Virtual time begins with the engine.
    let start = config.virtual_time.then_some(0);
    let source = Arc::new(source);
    let queues = own.into_iter().map(|own| {
        let sequence = Sequence::new(source.flows(), source.sizes(), own, generate.pattern, generate.seed, generate.limit);
        Box::new(Generator::new(&source, sequence, pace, config.index, generate.stamp, start, generated)) as Box<dyn RxQueue>
    });
    queues.collect()
}

impl Port for MemoryPort {
    fn mac(&self) -> MacAddr {
        self.mac
    }

    fn mtu(&self) -> u16 {
        self.mtu
    }

    fn receive_queues(&mut self) -> Vec<Box<dyn RxQueue>> {
        std::mem::take(&mut self.receive)
    }

    fn transmit_queues(&mut self) -> Vec<Box<dyn TxQueue>> {
        std::mem::take(&mut self.transmit)
    }

    fn finish(&mut self) -> Result<serde_json::Value, String> {
        let generated = self.generated.load(Ordering::Relaxed);
        let mut report = serde_json::to_value(self.sink.seen()).map_err(|error| error.to_string())?;
        report["generated"] = generated.into();
        Ok(report)
    }
}
