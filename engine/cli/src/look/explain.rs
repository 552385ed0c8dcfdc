//! `swath explain`: what would become of a packet, node by node, without sending one.

use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::json;
use swath_api::reserved;
use swath_core::run::Engine;
use swath_ctl::api::{Becomes, Drops, ExplainOrder, Explained, Interface, Seen, to_hex};
use swath_io::text::{Mac, TextPacket};

use super::{packet, trace};
use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::load::Graph;
use crate::remote::{SocketArgs, failure, segment};
use crate::terminal::{Style, Terminal, paint};

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The packet is written as in the tests of graphs: a protocol, its ends, and what is not usual of it, such
as `ttl 3`, `vlan 10`, `flags syn`, `df len 1600`, or a whole frame as `hex DIGITS`. It is for the
interface's own hardware address unless `dst-mac` says otherwise. The worker that owns it walks between
two rounds: nothing is sent, counted, learnt or changed. Each node says why: the route, the rule, the
session that there is or would be, the neighbour. Where a NAT would choose a port at random, the packet
goes on with one of those that it may get. A node of a plugin that cannot say what it would do without
doing it is shown as `not simulated`, and the walk ends there. Of an interface with several queues it is
the first one.

Examples:
  swath explain --in lan 'udp 10.0.0.5:4000 > 8.8.8.8:53 ttl 3'
  swath explain 'tcp 10.0.0.5:4000 > 8.8.8.8:443 flags syn via lan' --format json
  swath explain --graph graphs/ip4-router.yaml --in lan 'icmp 192.168.1.10 > 192.168.1.1'")]
pub struct ExplainArgs {
    /// The packet, as text
    #[arg(value_name = "PACKET")]
    pub packet: String,
    /// The interface that it would come in by; not needed if the packet says `via INTERFACE`
    #[arg(long, value_name = "INTERFACE")]
    pub r#in: Option<String>,
    /// Ask a graph file, without privileges and as it is at its start, and not an engine that runs
    #[arg(long, value_name = "GRAPH", conflicts_with_all = ["socket", "server"])]
    pub graph: Option<PathBuf>,
    /// How to show it: for people, or as JSON
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// Shows what would become of a packet.
///
/// # Errors
/// The packet cannot be read, there is no such interface, or no engine answers.
pub fn explain(args: &ExplainArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let text = &args.packet;
    let read = TextPacket::parse(text).map_err(|error| Failure::usage(format!("`{text}`: {error}")))?;
    let interface = args.r#in.as_deref().or(read.via());
    let interface =
        interface.ok_or_else(|| Failure::usage("by which interface: `--in INTERFACE`, or `via INTERFACE` in the packet"))?;
    let (steps, losses) = match &args.graph {
        Some(path) => {
            let mut graph = Graph::open(path)?.colour(terminal.colour);
            let plan = graph.plan(&crate::registry())?;
            (offline(&graph.build_unattached(plan)?, interface, &read)?, Vec::new())
        }
        None => {
            let mut client = args.socket.connect()?;
            let known: Interface =
                client.get(&format!("/v1/interfaces/{}", segment(interface))).map_err(|error| failure(&error))?;
            let mac: Mac = known.mac.parse().unwrap_or(Mac::DESTINATION);
            let order = ExplainOrder { interface: interface.into(), frame: to_hex(&read.frame_with(Mac::SOURCE, mac)) };
            let explained: Result<Explained, _> = client.post("/v1/explain", serde_json::to_string(&order).unwrap_or_default());
            let steps = explained.map_err(|error| failure(&error))?.steps;
            let drops: Vec<Drops> = client.get("/v1/drops").map_err(|error| failure(&error))?;
            let losses = losses(drops, &steps);
            (steps, losses)
        }
    };
    let text = match args.format {
        Format::Json => {
            let steps: Vec<_> = steps.iter().map(packet::json).collect();
            serde_json::to_string_pretty(&json!({ "steps": steps, "losses": losses })).unwrap_or_default() + "\n"
        }
        Format::Text => in_words(&steps, &losses, terminal.data_colour),
    };
    terminal.data(&text)?;
    Ok(Exit::Ok)
}

/// By an engine that was built of a graph file, and does not run.
fn offline(engine: &Engine, interface: &str, read: &TextPacket) -> Result<Vec<Seen>, Failure> {
    let refused = |error: swath_api::ConfigError| Failure::other(error.message().to_string());
    let known = engine.interfaces().iter().find(|known| known.name == interface);
    let mac = known.map_or(Mac::DESTINATION, |known| Mac(known.mac.octets()));
    let steps = engine.explain(interface, &read.frame_with(Mac::SOURCE, mac)).map_err(refused)?;
    Ok(steps.into_iter().map(|seen| Seen::new(seen, SystemTime::UNIX_EPOCH)).collect())
}

/// What the engine has dropped at the nodes of a way for want of room or of a link: of one packet alone nobody can foresee it.
fn losses(mut drops: Vec<Drops>, steps: &[Seen]) -> Vec<Drops> {
    let is_engines = |reason: &str| reserved::REASONS.iter().any(|(name, _)| *name == reason);
    let is_told = |drops: &Drops| steps.last().is_some_and(|last| (&last.node, &last.edge) == (&drops.node, &drops.reason));
    drops.retain(|drops| is_engines(&drops.reason) && steps.iter().any(|step| step.node == drops.node) && !is_told(drops));
    drops
}

/// The way as `trace` shows it, the end of it in a line, and what else may become of it.
fn in_words(steps: &[Seen], losses: &[Drops], colour: bool) -> String {
    let mut text = trace::path(steps, colour);
    if let Some(last) = steps.last() {
        let end = match last.becomes {
            Becomes::Sent => format!("it would be sent by {}", last.leaves.as_deref().unwrap_or("?")),
            Becomes::Dropped => format!("it would be dropped: {}.{}", last.node, last.edge),
            Becomes::Held => format!("{} would keep it for later", last.node),
            Becomes::Consumed => format!("it would end at {}: {}", last.node, last.edge),
            Becomes::NotSimulated => format!("what {} would do it does not say without doing it: not simulated", last.node),
            Becomes::Goes => format!("it would go on from {}", last.node),
        };
        text += &format!("\n{}\n", paint(&end, Style::Bold, colour));
    }
    if !losses.is_empty() {
        text += "\nbut packets on this way have been dropped by the engine:\n";
    }
    for Drops { node, reason, meaning, .. } in losses {
        text += &format!("  {}\n{}\n", paint(&format!("{node}.{reason}"), Style::Error, colour), crate::table::wrap(meaning, 4));
    }
    text
}
