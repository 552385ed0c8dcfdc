//! The router on AF_XDP beside AF_XDP alone: between two veth pairs, from a generator in the kernel to a sink in the kernel.
//!
//! Both forward the same packets by one thread on the same core, and neither sleeps; generator and what the kernel does to receive are on
//! another core. They take turns, since the machine is not the same from one second to the next, and what is told is the ratio of each pair.
//! Every packet is accounted for.

pub mod cores;
mod deny;
mod forwarder;
mod network;
#[cfg(test)]
mod object_tests;
pub mod statistics;
mod traffic;
mod versus;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use rustix::thread::{CpuSet, sched_getaffinity};
use serde_json::Value;

use crate::measure;
use forwarder::{Forwarder, Kind, Programs};
use network::Drops;
use statistics::Summary;
use traffic::{Counts, Traffic, UNDER_WAY};

/// A case: name, meaning, and how it runs within a namespace of its own.
type XdpCase = (&'static str, &'static str, fn(Options, usize) -> Result<(), String>);
/// All of them.
pub const CASES: [XdpCase; 3] =
    [(NAME, ABOUT, run), (deny::NAME, deny::ABOUT, deny::run), (versus::NAME, versus::ABOUT, versus::run)];

const NAME: &str = "af-xdp";
const ABOUT: &str = "IPv4 router on AF_XDP over a bare AF_XDP forwarder: packets per second, as a ratio (root)";

/// How it is measured.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// af-xdp, dpdk: pairs of measurements, or rounds of them
    #[arg(long, default_value_t = 20)]
    pub pairs: usize,
    /// af-xdp, dpdk: milliseconds of each measurement
    #[arg(long, default_value_t = 1000)]
    pub milliseconds: u64,
    /// af-xdp, dpdk: takes pairs in which a forwarder had not its core to itself
    #[arg(long)]
    pub any_share: bool,
}

/// The least median of ratios, and the least lower end of the interval that it lies in.
const MEDIAN: f64 = 0.95;
const LOWER: f64 = 0.92;
/// The least part of the time in which a forwarder wants to run that it must get.
const LEAST_SHARE: f64 = 0.95;
/// How often as many pairs as wanted are tried at most.
const TRIES: usize = 3;
const WARM_UP: Duration = Duration::from_millis(300);

/// The case, in a network namespace of its own: this program runs itself there.
pub fn run_apart() -> Result<ExitCode, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let status = network::apart().arg(program).arg("--child").args(std::env::args_os().skip(1)).status();
    let status = status.map_err(|error| format!("unshare: {error}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The programs and the traffic of a case, and the core of what the kernel does, which this thread is on.
fn prepare(core: usize) -> Result<(Programs, Traffic, usize), String> {
    let allowed = sched_getaffinity(None).map_err(|error| error.to_string())?;
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
    let other = *cores.iter().find(|other| **other != core).ok_or("it needs two cores")?;
    measure::claim_core(other)?;
    network::lay().map_err(|error| format!("it needs root, iproute2 and ethtool: {error}"))?;
    Ok((Programs::new(core, &cores)?, Traffic::new(false, network::OUR_MAC)?, other))
}

/// The case, within that namespace.
fn run(options: Options, core: usize) -> Result<(), String> {
    let (programs, mut traffic, other) = prepare(core)?;
    println!("{}\n\n### {NAME}: {ABOUT}\n", measure::machine());
    println!(
        "Generator, and what the kernel does to receive: core {other}. Forwarder, and what the kernel does to send: core {core}."
    );
    println!("Frames of 60 bytes, one flow, at most {UNDER_WAY} under way.\n");
    println!("| pair | bare, packets per second | router | ratio | CPU share of either |\n|---|---|---|---|---|");
    let (mut ratios, mut tried) = (Vec::new(), 0);
    while ratios.len() < options.pairs && tried < TRIES * options.pairs {
        // Who is first changes.
        let first = if tried % 2 == 0 { Kind::Bare } else { Kind::Router };
        let second = if first == Kind::Bare { Kind::Router } else { Kind::Bare };
        let mut take = |kind| measure_one(kind, &programs, &mut traffic, options);
        let (first, second) = (take(first)?, take(second)?);
        let (bare, router) = if tried % 2 == 0 { (first, second) } else { (second, first) };
        tried += 1;
        let ratio = router.rate / bare.rate;
        let is_good = options.any_share || bare.share.min(router.share) >= LEAST_SHARE;
        let said = if is_good { format!("{ratio:.3}") } else { "disturbed".into() };
        println!("| {tried} | {:.0} | {:.0} | {said} | {:.2}, {:.2} |", bare.rate, router.rate, bare.share, router.share);
        ratios.extend(is_good.then_some(ratio));
    }
    flood(&programs, &mut traffic, options)?;
    if ratios.len() < options.pairs {
        return Err(format!("{} of {tried} pairs were disturbed: this wants an idle machine", tried - ratios.len()));
    }
    let summary = Summary::of(&mut ratios);
    println!(
        "\nmedian ratio **{:.3}** (wanted: {MEDIAN}), between {:.3} and {:.3} with 95 % (wanted: {LOWER} at least)",
        summary.median, summary.lower, summary.upper
    );
    let is_met = summary.median >= MEDIAN && summary.lower >= LOWER;
    if is_met { Ok(()) } else { Err("the router is slower than it should be".into()) }
}

/// How one forwarder did.
#[derive(Debug, Clone, Copy)]
struct Measured {
    /// Packets per second.
    rate: f64,
    /// The part of the time in which it wanted to run that it ran.
    share: f64,
}

fn measure_one(kind: Kind, programs: &Programs, traffic: &mut Traffic, options: Options) -> Result<Measured, String> {
    let (forwarder, before) = start(kind, programs, traffic)?;
    traffic.send(WARM_UP, UNDER_WAY)?;
    let (started, counts, times) = (Instant::now(), traffic.counts()?, forwarder.times()?);
    traffic.send(Duration::from_millis(options.milliseconds), UNDER_WAY)?;
    let (seconds, now, later) = (started.elapsed().as_secs_f64(), traffic.counts()?, forwarder.times()?);
    let (ran, waited) = ((later.0 - times.0) as f64, (later.1 - times.1) as f64);
    account(kind, forwarder, traffic, before)?;
    Ok(Measured { rate: (now.received - counts.received) as f64 / seconds, share: ran / (ran + waited).max(1.0) })
}

/// More than anybody can forward: what came through and every counted drop are what was sent.
fn flood(programs: &Programs, traffic: &mut Traffic, options: Options) -> Result<(), String> {
    let (forwarder, before) = start(Kind::Router, programs, traffic)?;
    traffic.send(Duration::from_millis(options.milliseconds), u64::MAX)?;
    let account = account(Kind::Router, forwarder, traffic, before)?;
    println!("\nA flood: {account}");
    Ok(())
}

/// Starts a forwarder, which is then attached to the devices. Returns what devices have dropped before.
fn start<'a>(kind: Kind, programs: &'a Programs, traffic: &mut Traffic) -> Result<(Forwarder<'a>, Drops), String> {
    let before = Drops::read()?;
    traffic.reset()?;
    let forwarder = programs.start(kind)?;
    Ok((forwarder, before))
}

/// Ends a forwarder, and says where every packet is.
fn account(kind: Kind, forwarder: Forwarder<'_>, traffic: &Traffic, before: Drops) -> Result<String, String> {
    let Counts { sent, received, routed } = traffic.settle()?;
    let report = forwarder.end()?;
    let devices = Drops::read()?.since(before);
    let count = |path: &str| report.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    if kind == Kind::Bare {
        return Ok(String::new());
    }
    let kernel = count("/interfaces/in/kernel-drops") + count("/interfaces/in/receive-ring-full");
    let (taken, given) = (count("/received"), count("/sent"));
    let dropped = taken - given;
    let account = format!(
        "sent {sent} = not taken by `{}` {} + by its socket {kernel} + dropped by swath {dropped} + not taken by `{}` {} + received {received}",
        network::IN,
        devices.before,
        network::OUT,
        devices.behind
    );
    if sent != devices.before + kernel + dropped + devices.behind + received || routed != received {
        return Err(format!("{account} does not add up ({routed} routed): {report}"));
    }
    Ok(account)
}
