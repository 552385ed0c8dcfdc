//! `swath trace`: the paths of packets through the graph, with what each node decided and why.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use swath_ctl::api::{Becomes, Seen, TraceOrder};

use super::{Watcher, check_filter, filter_help, packet, say_end, wanted, watch};
use crate::args::{Format, time};
use crate::exit::{Exit, Failure};
use crate::remote::SocketArgs;
use crate::terminal::{Style, Terminal, paint};

/// Arguments of `trace`.
#[derive(Debug, clap::Args)]
#[command(after_help = concat!(filter_help!(), "\n
Packets are chosen where they come in, and followed from node to node and from worker to worker until
they are sent, dropped or consumed. A packet that a node makes, such as an ICMP error, is another one.
One that an interface is given counts as sent; if its driver refuses it, the next line says so.

Examples:
  swath trace --in lan --filter 'udp port 53' -n 20
  swath trace --filter 'host 10.0.0.5' --duration 10s
  swath trace --in lan -n 1 --format json"))]
pub struct TraceArgs {
    /// Packets that come in by this interface; without it, by any
    #[arg(long, value_name = "INTERFACE")]
    pub r#in: Option<String>,
    /// Only packets for which this expression of pcap-filter(7) holds when they come in
    #[arg(short, long, value_name = "FILTER")]
    pub filter: Option<String>,
    /// Follow so many packets, and end; 0 for as many as come
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub count: u64,
    /// End after this time: `10s`, `500ms`, or a number of seconds
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub duration: Option<Duration>,
    /// How to show it: for people, or a line of JSON for each packet
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// Shows paths until there were enough of them.
///
/// # Errors
/// No engine answers, or there is no such interface.
pub fn trace(args: &TraceArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    check_filter(args.filter.as_deref())?;
    let mut client = args.socket.connect()?;
    let order = TraceOrder { interface: args.r#in.clone(), filter: args.filter.clone(), count: args.count };
    let body = serde_json::to_string(&order).unwrap_or_default();
    let by = args.r#in.as_deref().map(|interface| format!(" that come in by {interface}")).unwrap_or_default();
    let what = format!("following {}{by}; Ctrl-C ends", wanted(args.count, "packet"));
    let mut paths =
        Paths { json: args.format == Format::Json, terminal, what, open: BTreeMap::new(), text: String::new(), count: 0 };
    let missed = watch(&mut client, ("/v1/trace", body), args.duration, terminal, &mut paths)?;
    paths.finish()?;
    say_end(terminal, paths.count, missed);
    Ok(Exit::Ok)
}

/// Packets that are followed.
struct Paths<'a> {
    json: bool,
    terminal: &'a Terminal,
    what: String,
    /// Of each packet that is on its way, where it was.
    open: BTreeMap<u32, Vec<Seen>>,
    text: String,
    count: u64,
}

impl Watcher for Paths<'_> {
    fn begins(&mut self, terminal: &Terminal) {
        terminal.say(&self.what);
    }

    fn seen(&mut self, seen: Seen) -> Result<(), Failure> {
        let Some(number) = seen.packet else { return Ok(()) };
        self.open.entry(number).or_default().push(seen);
        Ok(())
    }

    fn pause(&mut self) -> Result<(), Failure> {
        // A driver's refusal comes together with what was sent: the path is whole then.
        let over = |hops: &[Seen]| {
            let last = hops.iter().max_by_key(|seen| seen.hop);
            last.is_some_and(|last| !matches!(last.becomes, Becomes::Goes | Becomes::Held))
        };
        let ended: Vec<u32> = self.open.iter().filter(|(_, hops)| over(hops)).map(|(number, _)| *number).collect();
        self.show(&ended)
    }
}

impl Paths<'_> {
    /// Shows those, too, that are still on their way.
    fn finish(&mut self) -> Result<(), Failure> {
        let rest: Vec<u32> = self.open.keys().copied().collect();
        self.show(&rest)
    }

    fn show(&mut self, numbers: &[u32]) -> Result<(), Failure> {
        for number in numbers {
            let Some(mut hops) = self.open.remove(number) else { continue };
            // One worker after the other was read.
            hops.sort_by_key(|seen| seen.hop);
            self.count += 1;
            self.text += &if self.json { in_json(*number, &hops) } else { in_words(*number, &hops, self.terminal.data_colour) };
        }
        let text = std::mem::take(&mut self.text);
        if text.is_empty() { Ok(()) } else { self.terminal.stream(&text) }
    }
}

fn in_json(number: u32, hops: &[Seen]) -> String {
    let hops: Vec<Value> = hops.iter().map(packet::json).collect();
    json!({ "packet": number, "hops": hops }).to_string() + "\n"
}

/// A path with its title.
fn in_words(number: u32, hops: &[Seen], colour: bool) -> String {
    let Some(first) = hops.first() else { return String::new() };
    let by = first.received.as_ref().map(|interface| format!(" by {interface}")).unwrap_or_default();
    let title = format!("packet {number}{by} at {}", packet::clock(&first.time));
    format!("{}\n{}\n", paint(&title, Style::Bold, colour), path(hops, colour))
}

/// The packet as it came, and a line for each node; where it is another behind a node, what it is then.
pub fn path(hops: &[Seen], colour: bool) -> String {
    let Some(first) = hops.first() else { return String::new() };
    let mut before = packet::text(first);
    let mut text = format!("  {before}\n");
    let wide = |of: &dyn Fn(&Seen) -> usize| hops.iter().map(of).max().unwrap_or(0);
    let (nodes, decisions) = (wide(&|hop| hop.node.chars().count()), wide(&|hop| decision(hop).chars().count()));
    for hop in hops {
        let decision = decision(hop);
        let padded = format!("{decision:<decisions$}");
        let padded = match hop.becomes {
            Becomes::Dropped => paint(&padded, Style::Error, colour),
            Becomes::Sent => paint(&padded, Style::Good, colour),
            Becomes::NotSimulated => paint(&padded, Style::Warning, colour),
            _ => padded,
        };
        let why = crate::table::beside(hop.why.as_deref().unwrap_or_default(), nodes + decisions + 6, nodes + 4);
        let line = format!("  {:<nodes$}  {padded}  {why}", hop.node);
        let _ = writeln!(text, "{}", line.trim_end());
        if let Some(meaning) = &hop.meaning {
            let _ = writeln!(text, "{}", crate::table::wrap(meaning, nodes + 4));
        }
        let now = packet::text(hop);
        if hop.becomes != Becomes::NotSimulated && without_addresses(&now) != without_addresses(&before) {
            let _ = writeln!(text, "  {:<nodes$}  {now}", "");
            before = now;
        }
    }
    text
}

/// What the node has decided: `forward -> rewrite`, `sent by wan`, `dropped: no-route`.
fn decision(hop: &Seen) -> String {
    match (hop.becomes, &hop.to) {
        (Becomes::Goes, Some(to)) => format!("{} -> {to}", hop.edge),
        (Becomes::Sent, _) => format!("sent by {}", hop.leaves.as_deref().unwrap_or("?")),
        (Becomes::Dropped, _) => format!("dropped: {}", hop.edge),
        (Becomes::Held, _) => format!("{}: kept for later", hop.edge),
        (Becomes::Consumed, _) => format!("{}: done", hop.edge),
        (Becomes::Goes, None) => hop.edge.clone(),
        (Becomes::NotSimulated, _) => "not simulated".into(),
    }
}

/// A text without hardware addresses and padding: where a node has taken the header off, there are none.
fn without_addresses(text: &str) -> String {
    // Of one that was cut, the length is that of what is left.
    let mut words = text.split(" (").next().unwrap_or(text).split(' ');
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if matches!(word, "src-mac" | "dst-mac" | "pad") {
            words.next();
        } else {
            kept.push(word);
        }
    }
    kept.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(hop: u32, node: &str, edge: &str, becomes: Becomes, to: Option<&str>, ttl: u8) -> Seen {
        let packet = swath_io::text::TextPacket::parse(&format!("udp 10.0.0.5:4000 > 8.8.8.8:53 ttl {ttl}")).unwrap().frame();
        Seen {
            time: "2026-11-23T17:35:02.123456789Z".into(),
            packet: Some(1),
            hop: Some(hop),
            worker: 0,
            node: node.into(),
            kind: "kind".into(),
            edge: edge.into(),
            becomes,
            to: to.map(Into::into),
            why: (node == "lookup").then(|| "route 0.0.0.0/0".into()),
            meaning: (becomes == Becomes::Dropped).then(|| "The driver is slow.".into()),
            received: Some("lan".into()),
            leaves: Some("wan".into()),
            layer: if node == "rx" || node == "tx" { "ethernet" } else { "ip4" }.into(),
            length: packet.len() as u16 - if node == "rx" || node == "tx" { 0 } else { 14 },
            bytes: packet[if node == "rx" || node == "tx" { 0 } else { 14 }..].iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    #[test]
    fn a_path_is_told_line_by_line() {
        let hops = [
            hop(0, "rx", "out", Becomes::Goes, Some("lookup"), 64),
            hop(1, "lookup", "forward", Becomes::Goes, Some("tx"), 64),
            hop(2, "tx", "sent", Becomes::Sent, None, 63),
            hop(3, "tx", "ring-full", Becomes::Dropped, None, 63),
        ];
        let expected = "\
packet 1 by lan at 17:35:02.123456
  udp 10.0.0.5:4000 > 8.8.8.8:53
  rx      out -> lookup
  lookup  forward -> tx       route 0.0.0.0/0
  tx      sent by wan
          udp 10.0.0.5:4000 > 8.8.8.8:53 ttl 63
  tx      dropped: ring-full
          The driver is slow.

";
        assert_eq!(in_words(1, &hops, false), expected);
        let read: Value = serde_json::from_str(&in_json(1, &hops)).unwrap();
        assert_eq!((&read["packet"], &read["hops"][1]["why"]), (&json!(1), &json!("route 0.0.0.0/0")));
        assert_eq!(read["hops"][2]["text"], "udp 10.0.0.5:4000 > 8.8.8.8:53 ttl 63");
    }
}
