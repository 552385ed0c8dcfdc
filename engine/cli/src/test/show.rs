//! Results for people.

use std::fmt::Write as _;
use std::time::Duration;

use swath_core::run::Ledger;
use swath_io::text::Mac;

use super::case::Case;
use super::compare::Finding;
use super::diff::{Column, columns, rows};
use super::judge::{Problem, Verdict};
use super::packet::{Packet, text_of};
use super::port::Sent;
use super::run::{Dropped, Outcome, Seen};
use crate::figures::counted;
use crate::table::wrap;
use crate::terminal::{Style, paint};

/// Problems of one step that are shown at most.
const SHOWN: usize = 20;

/// The lines of a test's result.
pub fn result(file: &str, case: &Case, outcome: &Outcome, verdict: &Verdict<'_>, colour: bool) -> String {
    if verdict.passed() {
        return format!("  {}      {}\n", paint("ok", Style::Good, colour), case.name);
    }
    let mut page = Page { text: String::new(), colour };
    page.line(2, &format!("{}  {}", paint("FAILED", Style::Error, colour), paint(&case.name, Style::Bold, colour)));
    page.line(10, &format!("{file}:{}", case.line));
    for step in &verdict.steps {
        let mut indent = 4;
        if case.steps.len() > 1 {
            page.line(4, &format!("step {} of {}, at {}:", step.number, case.steps.len(), time(step.happened.at)));
            indent = 6;
        }
        for problem in step.problems.iter().take(SHOWN) {
            page.problem(indent, problem, step.happened.at);
        }
        match step.problems.len().saturating_sub(SHOWN) {
            0 => {}
            more => page.line(indent, &format!("... and {more} more")),
        }
    }
    for discrepancy in verdict.discrepancies {
        page.line(4, &paint("the ledger does not add up: a defect of a node or of the engine", Style::Error, colour));
        page.line(6, discrepancy);
    }
    page.line(4, &fates(&outcome.ledger));
    page.text
}

/// Where all packets have gone.
fn fates(ledger: &Ledger) -> String {
    let parts = [
        (ledger.sent, "sent"),
        (ledger.dropped_total(), "dropped"),
        (ledger.consumed, "consumed"),
        (ledger.held, "held"),
        (ledger.in_transit, "in transit"),
    ];
    let some = |parts: &[(u64, &str)]| {
        let named: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{name} {count}")).collect();
        named.join(" + ")
    };
    if ledger.received + ledger.made == 0 {
        return "in all: no packet was received".into();
    }
    format!("in all: {} = {}", some(&[(ledger.received, "received"), (ledger.made, "made")]), some(&parts))
}

/// A time in its largest unit.
pub fn time(nanoseconds: u64) -> String {
    if nanoseconds == 0 { "0s".into() } else { format!("{:?}", Duration::from_nanos(nanoseconds)) }
}

struct Page {
    text: String,
    colour: bool,
}

impl Page {
    fn line(&mut self, indent: usize, line: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{:indent$}{line}", "");
    }

    fn heading(&mut self, indent: usize, place: &str, what: &str) {
        let line = format!("{}: {what}", paint(place, Style::Bold, self.colour));
        self.line(indent, &line);
    }

    fn problem(&mut self, indent: usize, problem: &Problem<'_>, at: u64) {
        match problem {
            Problem::Sent(seen, Finding::Differs(packet, sent)) => {
                self.heading(indent, &seen.name, &format!("a packet differs{} ({})", when(sent, at), packet.origin()));
                self.side_by_side(indent + 2, packet, sent, seen.mac);
            }
            Problem::Sent(seen, Finding::Missing(packet)) => {
                self.heading(indent, &seen.name, &format!("a packet is missing ({})", packet.origin()));
                self.side(indent + 2, "expected", &packet.text(seen.mac), Style::Good);
            }
            Problem::Sent(seen, Finding::Unexpected(sent)) => {
                self.heading(indent, &seen.name, &format!("an unexpected packet{}", when(sent, at)));
                self.side(indent + 2, "got", &text_of(&sent.frame, seen.mac), Style::Error);
            }
            Problem::Sent(seen, Finding::Order(flow, moved)) => {
                self.heading(indent, &seen.name, &format!("wrong order within the flow {flow}"));
                for (left_as, wanted_as, sent) in moved.iter().take(SHOWN) {
                    let text = text_of(&sent.frame, seen.mac);
                    self.line(indent + 2, &format!("left as {left_as}, expected as {wanted_as}:  {text}"));
                }
                if moved.len() > SHOWN {
                    self.line(indent + 2, &format!("... and {} more", moved.len() - SHOWN));
                }
            }
            Problem::Elsewhere(seen, packet, by) => {
                self.heading(indent, &seen.name, &format!("a packet has left by `{}` instead ({})", by.name, packet.origin()));
                self.side(indent + 2, "expected", &packet.text(seen.mac), Style::Good);
            }
            Problem::Unreceived(Seen { name, unreceived, .. }) => {
                let packets = counted(*unreceived, "packet");
                self.heading(indent, name, &format!("{packets} came in, and no node receives from this interface"));
            }
            Problem::Dropped(dropped) => self.dropped(indent, dropped),
        }
    }

    fn dropped(&mut self, indent: usize, Dropped { node, reason, expected, got, meaning, first }: &Dropped) {
        let expected = if *expected == 0 { "none".into() } else { expected.to_string() };
        let got = if *got == 0 { "none".into() } else { got.to_string() };
        self.heading(indent, &format!("{node}.{reason}"), &format!("expected {expected} to be dropped, got {got}"));
        if let Some((text, origin)) = first {
            self.line(indent + 2, &format!("first     {text} ({origin})"));
        }
        for line in wrap(meaning, indent + 2).lines() {
            let _ = writeln!(self.text, "{line}");
        }
    }

    fn side(&mut self, indent: usize, side: &str, text: &str, style: Style) {
        let text = paint(text, style, self.colour);
        self.line(indent, &format!("{side:<8}  {text}"));
    }

    /// Both packets, and marks under what differs.
    fn side_by_side(&mut self, indent: usize, packet: &Packet, sent: &Sent, own: Mac) {
        let [expected, got] = packet.beside(&sent.frame, own);
        let inexact = |text: &str| text.trim_end_matches(" # inexact").to_owned();
        self.columns(indent, &columns(&expected, &got, own));
        if inexact(&expected) == inexact(&got) {
            let (rows, more) = rows(&packet.in_place_of(&sent.frame, own), &sent.frame);
            rows.iter().for_each(|row| self.columns(indent, &row.columns()));
            if more {
                self.line(indent, "... and more bytes");
            }
        }
    }

    fn columns(&mut self, indent: usize, columns: &[Column]) {
        let width = |column: &Column| column.expected.chars().count().max(column.got.chars().count());
        for (side, pick, style) in [
            ("expected", (|column| &column.expected) as fn(&Column) -> &String, Style::Good),
            ("got", |column| &column.got, Style::Error),
        ] {
            let cells = columns.iter().map(|column| {
                let (text, width) = (pick(column), width(column));
                let blanks = " ".repeat(width - text.chars().count());
                let text = if column.is_same() { text.clone() } else { paint(text, style, self.colour) };
                text + &blanks
            });
            let line = cells.collect::<Vec<_>>().join(" ");
            self.line(indent, format!("{side:<8}  {line}").trim_end());
        }
        let mark = |column: &Column| if column.is_same() { " " } else { "^" }.repeat(width(column));
        let marks = columns.iter().map(mark).collect::<Vec<_>>().join(" ");
        if columns.iter().any(|column| !column.is_same()) {
            self.line(indent, format!("{:<8}  {}", "", paint(marks.trim_end(), Style::Warning, self.colour)).trim_end());
        }
    }
}

/// When a packet was sent, if not in this moment.
fn when(sent: &Sent, at: u64) -> String {
    if sent.at == at { String::new() } else { format!(", sent at {}", time(sent.at)) }
}

#[cfg(test)]
mod tests {
    use super::super::judge::judge;
    use super::*;

    fn case() -> Case {
        Case { name: "whatever".into(), line: 7, steps: Vec::new() }
    }

    #[test]
    fn a_ledger_that_does_not_add_up_fails_the_test() {
        let ledger = Ledger { received: 3, made: 1, sent: 1, consumed: 1, held: 1, ..Ledger::default() };
        let discrepancies = ledger.discrepancies();
        let (case, outcome) = (case(), Outcome { steps: Vec::new(), ledger, discrepancies });
        let verdict = judge(&case, &outcome);
        assert!(!verdict.passed());
        let lines = "  FAILED  whatever
          a.yaml:7
    the ledger does not add up: a defect of a node or of the engine
      packets: received 3 + made 1 = 4, but sent 1 + dropped 0 + consumed 1 + held 1 + in transit 0 = 3
    in all: received 3 + made 1 = sent 1 + consumed 1 + held 1
";
        assert_eq!(result("a.yaml", &case, &outcome, &verdict, false), lines);
    }

    #[test]
    fn packets_that_were_sent_by_time_say_when() {
        let sent = Sent { at: 1_500_000_000, frame: vec![0] };
        assert_eq!((when(&sent, 1_500_000_000), when(&sent, 0)), (String::new(), ", sent at 1.5s".into()));
        assert_eq!([0, 500_000_000, 30_000_000_000].map(time), ["0s", "500ms", "30s"]);
    }
}
