//! `swath tap`: packets as they leave a node.

use std::path::PathBuf;
use std::time::Duration;

use swath_ctl::api::Look;

use super::{Packets, check_filter, filter_help, packet, say_end, wanted, watch};
use crate::args::{Format, time};
use crate::exit::{Exit, Failure};
use crate::remote::SocketArgs;
use crate::terminal::Terminal;

/// Arguments of `tap`.
#[derive(Debug, clap::Args)]
#[command(after_help = concat!(filter_help!(), "\n
A place is a node, for all that leaves it, or an edge or a drop reason of one; `*` stands for any
letters. Names are known again when another graph is applied. At most 4 MiB of packets for each worker
wait for a reader that is slow; how many it has missed is said at the end.

Examples:
  swath tap lookup
  swath tap lookup.no-route -f 'not icmp' -n 10
  swath tap 'lan-*' --duration 10s --format json
  swath tap rewrite.ok -w capture.pcapng
  swath tap tx -w - | wireshark -k -i -"))]
pub struct TapArgs {
    /// Where to look: `NODE`, or `NODE.EDGE`
    #[arg(value_name = "NODE[.EDGE]", required = true)]
    pub at: Vec<String>,
    /// Only packets for which this expression of pcap-filter(7) holds
    #[arg(short, long, value_name = "FILTER")]
    pub filter: Option<String>,
    /// End after so many packets
    #[arg(short = 'n', long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub count: u64,
    /// End after this time: `10s`, `500ms`, or a number of seconds
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub duration: Option<Duration>,
    /// Keep so many bytes of each packet, and not all
    #[arg(short, long, value_name = "BYTES")]
    pub snap: Option<usize>,
    /// Write a capture to a file, or to standard output (-), as pcapng
    #[arg(short, long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// How to show packets that are not written: a line each, for people or as JSON
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text", conflicts_with = "write")]
    pub format: Format,
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// Shows packets until there were enough of them.
///
/// # Errors
/// No engine answers, there is nothing of this name, or the capture cannot be written.
pub fn tap(args: &TapArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    check_filter(args.filter.as_deref())?;
    let mut client = args.socket.connect()?;
    let look = Look { at: args.at.clone(), filter: args.filter.clone(), count: args.count, snap: args.snap };
    let body = serde_json::to_string(&look).unwrap_or_default();
    let what = format!("{} at {}; Ctrl-C ends", wanted(args.count, "packet"), args.at.join(", "));
    let mut packets = Packets::new(args.write.as_deref(), args.format == Format::Json, terminal, what, packet::line)?;
    let missed = watch(&mut client, ("/v1/tap", body), args.duration, terminal, &mut packets)?;
    say_end(terminal, packets.count, missed);
    Ok(Exit::Ok)
}
