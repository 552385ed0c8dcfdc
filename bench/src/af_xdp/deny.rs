//! A list of addresses in the kernel beside the same list in the graph: what it costs to drop a packet of a flood.
//!
//! The flood comes from the core that has the kernel's part of receiving, as fast as that can: it bounds what can be dropped in a second,
//! however little that costs. So the same flood also meets a program that drops everything at once: what a packet costs there is to make it
//! and to take it from the device, and what it costs beyond is to drop it by the list.
//!
//! Dropped by the node, packets are copied to the graph, and what the graph does not get is dropped for want of room: that is no merit of the
//! list, and is not counted as dropped.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::cores::KernelSide;
use super::forwarder::{Forwarder, Kind, Programs};
use super::network::{Drops, IN};
use super::statistics::Summary;
use super::traffic::Traffic;
use super::{LEAST_SHARE, Options, TRIES, prepare, start};
use crate::measure;

/// The name of the case.
pub const NAME: &str = "af-xdp-deny";
/// In a sentence.
pub const ABOUT: &str = "`deny` with `offload: xdp` over `deny` alone: packets that a core drops per second, as a ratio (root)";

/// The least median of ratios.
const MEDIAN: f64 = 5.0;
/// The least that a packet costs by the list: less than this cannot be told from nothing.
const LEAST: f64 = 1.0;

/// What a flood has come to.
#[derive(Debug, Clone, Copy)]
struct Flood {
    /// Packets dropped per second.
    rate: f64,
    /// Nanoseconds of the core that packets come from, for each one that came.
    kernel: f64,
    /// Nanoseconds of the worker, for each one dropped.
    worker: f64,
    /// The part of the time in which the worker wanted to run that it ran.
    share: f64,
    /// The part of all time that the core ran that packets come from: less, where others want it, too. It bounds the rate; what is said of
    /// CPU time it does not touch.
    ran: f64,
}

impl Flood {
    /// Nanoseconds for a packet, beyond what it costs to make and to take it.
    fn beyond(&self, floor: &Flood) -> f64 {
        (self.kernel - floor.kernel + self.worker).max(LEAST)
    }
}

struct Case {
    programs: Programs,
    traffic: Traffic,
    kernel: KernelSide,
    duration: Duration,
}

/// The case, within a namespace of its own.
pub fn run(options: Options, core: usize) -> Result<(), String> {
    let (programs, traffic, other) = prepare(core)?;
    let duration = Duration::from_millis(options.milliseconds);
    let mut case = Case { programs, traffic, kernel: KernelSide::of(other)?, duration };
    println!("{}\n\n### {NAME}: {ABOUT}\n", measure::machine());
    println!("Generator, and what the kernel does to receive, the program included: core {other}. Graph: core {core}.");
    println!("Frames of 60 bytes from one source, a list of 100,001 prefixes of which it is one, a flood.\n");
    println!(
        "CPU is time of both cores for a packet, beyond what it costs to make it and to have it dropped at once by a program without a list"
    );
    println!(
        "(floor). Of the node: time of core {other} for each packet that came, most of which the node never saw, and time that its worker"
    );
    println!(
        "has spent with packets, for each that it dropped. Of the program: time of core {other}, and all time of the worker.\n"
    );
    println!(
        "| round | floor, packets per second | node | program | rates | floor, CPU in ns | node | program | CPU | share of worker, of generator |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let (mut rates, mut costs, mut floors, mut tried) = (Vec::new(), Vec::new(), Vec::new(), 0);
    while rates.len() < options.pairs && tried < TRIES * options.pairs {
        let (floor, node, program) = case.round(tried)?;
        tried += 1;
        let (rate, cost) = (program.rate / node.rate, node.beyond(&floor) / program.beyond(&floor));
        let is_good = options.any_share || node.share >= LEAST_SHARE;
        let least = floor.ran.min(node.ran).min(program.ran);
        let said = |ratio: f64| if is_good { format!("{ratio:.2}") } else { "disturbed".into() };
        println!(
            "| {tried} | {:.0} | {:.0} | {:.0} | {} | {:.0} | {:.0} + {:.0} | {:.0} + {:.0} | {} | {:.2}, {least:.2} |",
            floor.rate,
            node.rate,
            program.rate,
            said(rate),
            floor.kernel,
            node.kernel - floor.kernel,
            node.worker,
            program.kernel - floor.kernel,
            program.worker,
            said(cost),
            node.share
        );
        if is_good {
            rates.push(rate);
            costs.push(cost);
            floors.push(floor.rate / node.rate);
        }
    }
    if rates.len() < options.pairs {
        return Err(format!("{} of {tried} rounds were disturbed: this wants an idle machine", tried - rates.len()));
    }
    let (rates, costs, floors) = (Summary::of(&mut rates), Summary::of(&mut costs), Summary::of(&mut floors));
    println!(
        "\nIn a second, where the generator takes most of core {other}, the program drops **{:.2}** times as many as the node, between {:.2} \
         and {:.2} with 95 %; {:.2} times as many would be all that the generator makes.",
        rates.median, rates.lower, rates.upper, floors.median
    );
    println!(
        "\nmedian ratio **{:.2}** (wanted: {MEDIAN}), between {:.2} and {:.2} with 95 %: as many times more packets are dropped in the same \
         CPU time, that of the generator not counted",
        costs.median, costs.lower, costs.upper
    );
    if costs.median >= MEDIAN { Ok(()) } else { Err("the program drops no more than that".into()) }
}

impl Case {
    /// Floor, node and program, each of which is the first in its turn.
    fn round(&mut self, number: usize) -> Result<(Flood, Flood, Flood), String> {
        let mut floods = [None; 3];
        for turn in 0..3 {
            let which = (number + turn) % 3;
            floods[which] = Some(match which {
                0 => self.floor()?,
                1 => self.deny(false)?,
                _ => self.deny(true)?,
            });
        }
        let [floor, node, program] = floods.map(|flood| flood.ok_or("each has its turn"));
        Ok((floor?, node?, program?))
    }

    /// A program that drops at once.
    fn floor(&mut self) -> Result<Flood, String> {
        let (kernel, duration, before) = (&self.kernel, self.duration, Drops::read()?);
        self.traffic.reset()?;
        self.traffic.discarding(|traffic| {
            let (start, worked) = (Instant::now(), kernel.worked()?);
            traffic.send(duration, u64::MAX)?;
            let (seconds, worked) = (start.elapsed().as_secs_f64(), kernel.worked()? - worked);
            let (sent, devices) = (traffic.settle()?.sent, Drops::read()?.since(before));
            if sent != devices.before + devices.discarded {
                return Err(format!("sent {sent} = not taken {} + dropped {} does not add up", devices.before, devices.discarded));
            }
            let ran = worked as f64 / 1e9 / seconds;
            Ok(Flood { rate: sent as f64 / seconds, kernel: worked as f64 / sent as f64, worker: 0.0, share: 1.0, ran })
        })
    }

    /// The list.
    fn deny(&mut self, offload: bool) -> Result<Flood, String> {
        let (forwarder, before) = start(Kind::Deny { offload }, &self.programs, &mut self.traffic)?;
        let (start, worked, times, busy) = (Instant::now(), self.kernel.worked()?, forwarder.times()?, forwarder.busy()?);
        self.traffic.send(self.duration, u64::MAX)?;
        let (seconds, worked) = (start.elapsed().as_secs_f64(), self.kernel.worked()? - worked);
        let sent = self.traffic.settle()?.sent;
        let (later, busy) = (forwarder.times()?, forwarder.busy()? - busy);
        let dropped = account(forwarder, sent, before, offload)?;
        let (ran, waited) = ((later.0 - times.0) as f64, (later.1 - times.1) as f64);
        Ok(Flood {
            rate: dropped as f64 / seconds,
            kernel: worked as f64 / sent as f64,
            worker: if offload { ran } else { busy * 1e9 } / dropped as f64,
            share: ran / (ran + waited).max(1.0),
            ran: worked as f64 / 1e9 / seconds,
        })
    }
}

/// Ends it, and says how many packets it has dropped by the list; all others are known to somebody, too.
fn account(forwarder: Forwarder<'_>, sent: u64, before: Drops, offload: bool) -> Result<u64, String> {
    let report = forwarder.end()?;
    let devices = Drops::read()?.since(before);
    let count = |path: &str| report.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let dropped = count("/dropped/deny/source-listed");
    let kernel = count("/interfaces/in/kernel-drops") + count("/interfaces/in/receive-ring-full");
    if sent != devices.before + kernel + dropped || offload && count("/interfaces/in/offloaded") != dropped {
        return Err(format!(
            "sent {sent} = not taken by `{IN}` {} + by its socket {kernel} + dropped by the list {dropped} does not add up: {report}",
            devices.before
        ));
    }
    Ok(dropped)
}
