//! `swath drops`: why packets are dropped, what to do about it, and which packets they are.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use swath_core::run::Place;
use swath_ctl::api::{Drops, Look, Seen};

use super::{Packets, check_filter, filter_help, packet, say_end, wanted, watch};
use crate::args::{Format, time};
use crate::exit::{Exit, Failure};
use crate::remote::SocketArgs;
use crate::show::{Readings, Remote, render_drops};
use crate::terminal::Terminal;

/// Arguments of `drops`.
#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("following").args(["follow", "write"]).multiple(true), after_help = concat!("\
Reasons that happen now come first, by their rate, then those that have happened. Each is told with what
it means, what to do, and the last packet that was sampled; with a PLACE, with all samples that are kept
(16 of each reason, taken at most 100 times a second). `swath nodes KIND` has all reasons of a kind.

With --follow, or with -w, each packet is told as it is dropped, until Ctrl-C.

", filter_help!(), "

Examples:
  swath drops
  swath drops lookup.no-route
  swath drops --over 10s --format json
  swath drops --follow -f 'udp port 53' -n 20
  swath drops 'lan-*' -w drops.pcapng --duration 10s"))]
pub struct DropsArgs {
    /// Only these: nodes, or `NODE.REASON`; `*` stands for any letters
    #[arg(value_name = "PLACE")]
    pub at: Vec<String>,
    /// Tell each packet as it is dropped
    #[arg(long)]
    pub follow: bool,
    /// When following: only packets for which this expression of pcap-filter(7) holds
    #[arg(short, long, value_name = "FILTER", requires = "following")]
    pub filter: Option<String>,
    /// When following: end after so many packets
    #[arg(short = 'n', long, value_name = "N", default_value_t = 0, hide_default_value = true, requires = "following")]
    pub count: u64,
    /// When following: end after this time
    #[arg(long, value_name = "TIME", value_parser = time, requires = "following")]
    pub duration: Option<Duration>,
    /// Write the packets that are dropped to a file, or to standard output (-), as pcapng
    #[arg(short, long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// The time over which rates are taken: `500ms`, or a number of seconds; 0 for those since the start
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "1s", conflicts_with = "following")]
    pub over: Duration,
    /// How to show it: for people, or as JSON
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// Shows why packets are dropped, or which.
///
/// # Errors
/// No engine answers, there is nothing of this name, or the capture cannot be written.
pub fn drops(args: &DropsArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    check_filter(args.filter.as_deref())?;
    if args.follow || args.write.is_some() { follow(args, terminal) } else { list(args, terminal) }
}

fn follow(args: &DropsArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut client = args.socket.connect()?;
    let look = Look { at: args.at.clone(), filter: args.filter.clone(), count: args.count, snap: None };
    let body = serde_json::to_string(&look).unwrap_or_default();
    let at = if args.at.is_empty() { String::new() } else { format!(" at {}", args.at.join(", ")) };
    let what = format!("{} that are dropped{at}; Ctrl-C ends", wanted(args.count, "packet"));
    let mut packets = Packets::new(args.write.as_deref(), args.format == Format::Json, terminal, what, packet::line)?;
    let missed = watch(&mut client, ("/v1/drops/packets", body), args.duration, terminal, &mut packets)?;
    say_end(terminal, packets.count, missed);
    Ok(Exit::Ok)
}

fn list(args: &DropsArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut engine = Remote { client: args.socket.connect()?, over: args.over };
    let places: Result<Vec<Place>, _> = args.at.iter().map(|text| Place::new(text)).collect();
    let places = places.map_err(|error| Failure::usage(error.to_string()))?;
    let wanted = |node: &str, reason: &str| places.is_empty() || places.iter().any(|place| place.has(node, reason));
    if args.format == Format::Json {
        let drops: Vec<Drops> = engine.get("/v1/drops")?;
        let samples: Vec<Seen> = engine.get("/v1/drops/samples")?;
        let one = |drops: &Drops| {
            let mut value = serde_json::to_value(drops).unwrap_or_default();
            let samples = samples.iter().filter(|seen| seen.node == drops.node && seen.edge == drops.reason);
            value["samples"] = samples.map(packet::json).collect();
            value
        };
        let all: Vec<Value> = drops.iter().filter(|drops| wanted(&drops.node, &drops.reason)).map(one).collect();
        terminal.data(&(serde_json::to_string_pretty(&all).unwrap_or_default() + "\n"))?;
        return Ok(Exit::Ok);
    }
    let mut readings: Readings<Vec<Drops>> = engine.list_twice("/v1/drops")?;
    let samples: Vec<Seen> = engine.get("/v1/drops/samples")?;
    readings.now.retain(|drops| wanted(&drops.node, &drops.reason));
    // Of each reason the last one; of those that were asked for, all.
    let last = if places.is_empty() { 1 } else { usize::MAX };
    let below = |drops: &Drops| {
        let of: Vec<&Seen> = samples.iter().filter(|seen| seen.node == drops.node && seen.edge == drops.reason).collect();
        let shown = &of[of.len().saturating_sub(last)..];
        shown.iter().map(|seen| sample(seen)).collect()
    };
    terminal.data(&render_drops(&readings, &below, terminal.data_colour))?;
    Ok(Exit::Ok)
}

/// A line about a packet below its reason.
fn sample(seen: &Seen) -> String {
    let by = seen.received.as_ref().map(|interface| format!(" via {interface}")).unwrap_or_default();
    format!("{}  {}{by}", packet::clock(&seen.time), packet::text(seen))
}
