//! `pcap`: an interface that receives the packets of a capture, and writes those that it sends to another.
//!
//! ```yaml
//! interfaces:
//!   lan: { driver: pcap, read: in.pcapng, write: out.pcap }
//! ```
//!
//! With several workers there is one receive queue for each, and a flow always comes in on the same. Packets that are due at the
//! same time come together; others do not, so in virtual time a replay has vectors as full as its timestamps are alike.
//!
//! At the end it says `{read: {packets, truncated, oversize}, sent}`: packets read, those of which the capture holds only a part,
//! and those longer than a buffer, which are not received; and packets sent. `read.cut-off` is there if the capture ends within a
//! packet, and says where. Output that could not be written is an error.

mod read;
mod settings;
mod write;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use swath_api::ConfigError;
use swath_api::wire::MacAddr;
use swath_core::driver::{Claim, DriverKind, Port, PortConfig, RxQueue, TxQueue};

use read::{Input, ReadQueue, ReadTotals, Replay};
use settings::{Settings, Time};
use write::{Output, WriteQueue};

/// The driver.
pub const KIND: DriverKind = DriverKind {
    name: "pcap",
    summary: "Receives the packets of a capture and writes what is sent to another.",
    schema: super::schema::<Settings>,
    example: include_str!("../../../examples/pcap.yaml"),
    paths: &["read", "write"],
    check: super::check::<Settings>,
    open,
};

/// The MTU of Ethernet (RFC 894).
const MTU: u16 = 1500;

struct PcapPort {
    mac: MacAddr,
    mtu: u16,
    receive: Vec<Box<dyn RxQueue>>,
    transmit: Vec<Box<dyn TxQueue>>,
    input: Option<(Arc<Input>, Arc<ReadTotals>)>,
    output: Arc<Output>,
}

fn open(config: &PortConfig<'_>) -> Result<Box<dyn Port>, ConfigError> {
    let settings: Settings = super::settings(config.settings)?;
    let read = settings.read.as_ref().map(|path| config.directory.join(path));
    let write = settings.write.as_ref().map(|path| config.directory.join(path));
    if let (Some(read), Some(write)) = (&read, &write)
        && fs::canonicalize(read).ok().is_some_and(|read| fs::canonicalize(write).ok() == Some(read))
    {
        return Err(ConfigError::at("write", "this is the capture that is read"));
    }
    let input = read.map(Input::scan).transpose().map_err(|error| ConfigError::at("read", error))?.map(Arc::new);
    let base = settings.base.or_else(|| input.as_ref()?.first).unwrap_or_else(|| if config.virtual_time { 0 } else { now() });
    let mut receive: Vec<Box<dyn RxQueue>> = Vec::new();
    let totals = Arc::new(ReadTotals::default());
    if let Some(input) = &input {
        let queues = config.workers as usize;
        let replay = Replay {
            interface: config.index,
            queues,
            rounds: settings.rounds.0,
            base: (config.virtual_time || settings.time == Time::Real).then_some(base),
            virtual_time: config.virtual_time,
        };
        for queue in 0..queues {
            let opened = ReadQueue::open(queue, replay, input, &totals, config.pool);
            receive.push(Box::new(opened.map_err(|error| ConfigError::at("read", error.to_string()))?));
        }
    }
    let output = Output::create(write.as_deref(), base).map_err(|error| {
        let path = write.unwrap_or_default();
        ConfigError::at("write", format!("{}: {error}", path.display()))
    })?;
    let transmit = (0..config.workers).map(|_| Box::new(WriteQueue(Arc::clone(&output))) as Box<dyn TxQueue>).collect();
    Ok(Box::new(PcapPort {
        mac: config.mac.unwrap_or_else(|| config.default_mac()),
        mtu: config.mtu.unwrap_or(MTU),
        receive,
        transmit,
        input: input.map(|input| (input, totals)),
        output,
    }))
}

/// Nanoseconds since 1970-01-01 00:00 UTC.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl Port for PcapPort {
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

    fn claims(&self) -> Vec<Claim> {
        let claim = |path: &Path, exclusive| {
            fs::canonicalize(path).ok().map(|path| Claim { resource: path.display().to_string(), exclusive })
        };
        let read = self.input.as_ref().and_then(|(input, _)| claim(input.path(), false));
        let write = self.output.path().and_then(|path| claim(path, true));
        read.into_iter().chain(write).collect()
    }

    fn finish(&mut self) -> Result<serde_json::Value, String> {
        let mut report = serde_json::json!({ "sent": self.output.finish()? });
        if let Some((input, totals)) = &self.input {
            report["read"] = totals.report(input)?;
        }
        Ok(report)
    }
}
