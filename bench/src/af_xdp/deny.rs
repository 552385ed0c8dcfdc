//! A list of addresses in the kernel beside the same list in the graph: how many packets of a flood either drops in a second.
//!
//! The flood comes from the core that has the kernel's part of receiving, as fast as that can. Dropped by the node, packets are copied to the
//! graph, and what the graph does not get is dropped for want of room: that is no merit of the list, and is not counted.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::forwarder::Kind;
use super::statistics::Summary;
use super::{LEAST_SHARE, Options, TRIES, network, prepare, start};
use crate::measure;

/// The name of the case.
pub const NAME: &str = "af-xdp-deny";
/// In a sentence.
pub const ABOUT: &str = "`deny` with `offload: xdp` over `deny` alone: packets of a flood dropped per second, as a ratio (root)";

/// The least median of ratios.
const MEDIAN: f64 = 5.0;

/// The case, within a namespace of its own.
pub fn run(options: Options, core: usize) -> Result<(), String> {
    let (programs, mut traffic, other) = prepare(core)?;
    println!("{}\n\n### {NAME}: {ABOUT}\n", measure::machine());
    println!("Generator, and what the kernel does to receive, the program included: core {other}. Graph: core {core}.");
    println!("Frames of 60 bytes from one source, a list of 100,001 prefixes of which it is one, a flood.\n");
    println!("| pair | node, packets dropped per second | program | ratio | CPU share of either |\n|---|---|---|---|---|");
    let (mut ratios, mut tried) = (Vec::new(), 0);
    while ratios.len() < options.pairs && tried < TRIES * options.pairs {
        let mut take = |offload| -> Result<(f64, f64), String> {
            let (forwarder, before) = start(Kind::Deny { offload }, &programs, &mut traffic)?;
            let (started, times) = (Instant::now(), forwarder.times()?);
            traffic.send(Duration::from_millis(options.milliseconds), u64::MAX)?;
            let (seconds, later) = (started.elapsed().as_secs_f64(), forwarder.times()?);
            let sent = traffic.settle()?.sent;
            let report = forwarder.end()?;
            let devices = network::Drops::read()?.since(before);
            let count = |path: &str| report.pointer(path).and_then(Value::as_u64).unwrap_or(0);
            let (dropped, kernel) = (
                count("/dropped/deny/source-listed"),
                count("/interfaces/in/kernel-drops") + count("/interfaces/in/receive-ring-full"),
            );
            if sent != devices.before + kernel + dropped || (offload && count("/interfaces/in/offloaded") != dropped) {
                let device = network::IN;
                return Err(format!(
                    "sent {sent} = not taken by `{device}` {} + by its socket {kernel} + dropped by the list {dropped} does not add up: {report}",
                    devices.before
                ));
            }
            let (ran, waited) = ((later.0 - times.0) as f64, (later.1 - times.1) as f64);
            Ok((dropped as f64 / seconds, ran / (ran + waited).max(1.0)))
        };
        // Who is first changes.
        let first_offloads = tried % 2 == 1;
        let (first, second) = (take(first_offloads)?, take(!first_offloads)?);
        let (node, program) = if first_offloads { (second, first) } else { (first, second) };
        tried += 1;
        let ratio = program.0 / node.0;
        let is_good = options.any_share || node.1.min(program.1) >= LEAST_SHARE;
        let said = if is_good { format!("{ratio:.3}") } else { "disturbed".into() };
        println!("| {tried} | {:.0} | {:.0} | {said} | {:.2}, {:.2} |", node.0, program.0, node.1, program.1);
        ratios.extend(is_good.then_some(ratio));
    }
    if ratios.len() < options.pairs {
        return Err(format!("{} of {tried} pairs were disturbed: this wants an idle machine", tried - ratios.len()));
    }
    let Summary { median, lower, upper } = Summary::of(&mut ratios);
    println!("\nmedian ratio **{median:.3}** (wanted: {MEDIAN}), between {lower:.3} and {upper:.3} with 95 %");
    if median >= MEDIAN { Ok(()) } else { Err("the program drops no more than that".into()) }
}
