//! Packets of a running engine, looked at while they pass: what `tap`, `trace` and `drops` share.

mod capture;
mod drops;
mod explain;
mod packet;
mod tap;
mod trace;

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use swath_api::filter::Filter;
use swath_core::spec::did_you_mean;
use swath_ctl::Client;
use swath_ctl::api::{LookLine, Seen};

use crate::exit::Failure;
use crate::figures::{counted, grouped};
use crate::remote::failure;
use crate::terminal::Terminal;

use capture::Capture;

pub use drops::{DropsArgs, drops};
pub use explain::{ExplainArgs, explain};
pub use tap::{TapArgs, tap};
pub use trace::{TraceArgs, trace};

/// What all of them say about expressions.
macro_rules! filter_help {
    () => {
        "\
A FILTER is an expression as those of tcpdump, pcap-filter(7): `udp port 53 and net 10.0.0.0/8`,
`tcp[tcpflags] & tcp-syn != 0`, `ip[8] < 5`, `not arp`. `and` beside `or` wants parentheses. Behind a
node that took the Ethernet header off there is none: `ether`, `arp` and `vlan` hold for nothing there."
    };
}
pub(crate) use filter_help;

/// Refuses a filter that cannot be read, with the place in it.
fn check_filter(text: Option<&str>) -> Result<(), Failure> {
    let Some(text) = text else { return Ok(()) };
    let Err(error) = Filter::new(text, true) else { return Ok(()) };
    let at = error.at();
    let (before, wrong) = (text[..at.start].chars().count(), text[at.clone()].chars().count().max(1));
    let mut message = format!("{error}\n  {text}\n  {:before$}{}", "", "^".repeat(wrong));
    if let Some(word) = did_you_mean(&text[at], error.words().iter().copied()) {
        let _ = write!(message, " did you mean `{word}`?");
    }
    Err(Failure::usage(message))
}

/// What is done with packets that were seen.
trait Watcher {
    /// From here on they come.
    fn begins(&mut self, terminal: &Terminal);
    /// One of them.
    fn seen(&mut self, seen: Seen) -> Result<(), Failure>;
    /// All that came together are there: others may wait for what was made of them.
    fn pause(&mut self) -> Result<(), Failure>;
}

/// Looks until there is no more, or the time is over. Returns how many were missed.
fn watch(
    client: &mut Client,
    (resource, body): (&str, String),
    time: Option<Duration>,
    terminal: &Terminal,
    watcher: &mut dyn Watcher,
) -> Result<u64, Failure> {
    let (mut missed, mut failed, mut end) = (0, None, None);
    let mut take = |lines: &[&str]| {
        for line in lines {
            let read = serde_json::from_str(line).map_err(|error| Failure::other(format!("a line that cannot be read: {error}")));
            let done = read.and_then(|line| match line {
                LookLine::Begins => {
                    end = time.map(|time| Instant::now() + time);
                    watcher.begins(terminal);
                    Ok(())
                }
                LookLine::Seen(seen) => watcher.seen(*seen),
                LookLine::Missed(count) => {
                    missed += count;
                    Ok(())
                }
            });
            if let Err(error) = done {
                failed = Some(error);
                return ControlFlow::Break(());
            }
        }
        if let Err(error) = watcher.pause() {
            failed = Some(error);
            return ControlFlow::Break(());
        }
        if end.is_some_and(|end| Instant::now() >= end) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    client.lines(resource, body, &mut take).map_err(|error| failure(&error))?;
    match failed {
        Some(failed) => Err(failed),
        None => Ok(missed),
    }
}

/// Says at the end what there was.
fn say_end(terminal: &Terminal, packets: u64, missed: u64) {
    let mut line = if packets == 1 { "1 packet".into() } else { format!("{} packets", grouped(packets)) };
    if missed > 0 {
        let _ = write!(line, "; {} more came faster than they could be taken", grouped(missed));
    }
    terminal.say(line);
}

/// Packets into a capture, or as lines.
struct Packets<'a> {
    capture: Option<Capture>,
    json: bool,
    terminal: &'a Terminal,
    /// What is said when it begins.
    what: String,
    line: fn(&Seen, bool) -> String,
    text: String,
    count: u64,
}

impl<'a> Packets<'a> {
    fn new(
        file: Option<&Path>,
        json: bool,
        terminal: &'a Terminal,
        what: String,
        line: fn(&Seen, bool) -> String,
    ) -> Result<Self, Failure> {
        let capture = file.map(Capture::open).transpose()?;
        Ok(Packets { capture, json, terminal, what, line, text: String::new(), count: 0 })
    }
}

impl Watcher for Packets<'_> {
    fn begins(&mut self, terminal: &Terminal) {
        terminal.say(&self.what);
    }

    fn seen(&mut self, seen: Seen) -> Result<(), Failure> {
        self.count += 1;
        if let Some(capture) = &mut self.capture {
            return capture.write(&seen);
        }
        self.text += &if self.json { packet::json(&seen).to_string() } else { (self.line)(&seen, self.terminal.data_colour) };
        self.text.push('\n');
        Ok(())
    }

    fn pause(&mut self) -> Result<(), Failure> {
        if let Some(capture) = &mut self.capture {
            capture.flush()?;
        }
        if self.text.is_empty() {
            return Ok(());
        }
        let text = std::mem::take(&mut self.text);
        self.terminal.stream(&text)
    }
}

/// `20 packets`, or `packets` for as many as there are.
fn wanted(count: u64, what: &str) -> String {
    if count == 0 { format!("{what}s") } else { counted(count as usize, what) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_in_a_filter_is_pointed_at() {
        let wrong = |text| check_filter(Some(text)).unwrap_err().to_string();
        assert_eq!(wrong("tcp prot 80"), "`and` or `or` is missing before `prot`\n  tcp prot 80\n      ^^^^ did you mean `port`?");
        assert_eq!(wrong("udp port"), "a port, 0 to 65535 is missing at the end\n  udp port\n          ^");
        assert_eq!(wrong("net ü"), "`ü` means nothing here\n  net ü\n      ^");
        assert_eq!(check_filter(Some("udp port 53")), Ok(()));
        assert_eq!(check_filter(None), Ok(()));
    }
}
