//! What has happened in a test, held against what was expected.

use super::case::Case;
use super::compare::{Finding, compare};
use super::packet::Packet;
use super::run::{Dropped, Happened, Outcome, Seen};

/// Whether a test has passed, and what is wrong if it has not.
#[derive(Debug)]
pub struct Verdict<'a> {
    /// The steps in which something is wrong.
    pub steps: Vec<StepVerdict<'a>>,
    /// What does not add up in the end.
    pub discrepancies: &'a [String],
}

/// What is wrong with a step.
#[derive(Debug)]
pub struct StepVerdict<'a> {
    /// Its number, from 1 on.
    pub number: usize,
    /// What has happened in it.
    pub happened: &'a Happened,
    /// What is wrong.
    pub problems: Vec<Problem<'a>>,
}

/// Something that is wrong.
#[derive(Debug)]
pub enum Problem<'a> {
    /// What an interface has sent.
    Sent(&'a Seen, Finding<'a>),
    /// A packet was sent by the second interface, and not by the first.
    Elsewhere(&'a Seen, &'a Packet, &'a Seen),
    /// Packets that came in on an interface were received by no node.
    Unreceived(&'a Seen),
    /// Drops.
    Dropped(&'a Dropped),
}

impl Verdict<'_> {
    /// Whether all is as expected.
    pub fn passed(&self) -> bool {
        self.steps.is_empty() && self.discrepancies.is_empty()
    }
}

/// Judges a test.
pub fn judge<'a>(case: &'a Case, outcome: &'a Outcome) -> Verdict<'a> {
    let steps = (1..).zip(case.steps.iter().zip(&outcome.steps)).filter_map(|(number, (step, happened))| {
        let sent = happened.interfaces.iter().flat_map(|seen| {
            let expected = step.output.iter().find(|(name, _)| *name == seen.name);
            let expected = expected.map(|(_, packets)| packets.as_slice()).unwrap_or_default();
            compare(expected, &seen.sent, seen.mac).into_iter().map(move |finding| (seen, finding))
        });
        let mut problems = elsewhere(sent.collect());
        problems.extend(happened.interfaces.iter().filter(|seen| seen.unreceived > 0).map(Problem::Unreceived));
        problems.extend(happened.drops.iter().map(Problem::Dropped));
        (!problems.is_empty()).then_some(StepVerdict { number, happened, problems })
    });
    Verdict { steps: steps.collect(), discrepancies: &outcome.discrepancies }
}

/// Of a packet that is missing on one interface and was not expected on another, makes one problem of two.
fn elsewhere<'a>(findings: Vec<(&'a Seen, Finding<'a>)>) -> Vec<Problem<'a>> {
    let mut findings: Vec<Option<(&Seen, Finding<'_>)>> = findings.into_iter().map(Some).collect();
    let mut problems = Vec::with_capacity(findings.len());
    for at in 0..findings.len() {
        let Some((seen, finding)) = &findings[at] else { continue };
        let Finding::Missing(packet) = *finding else { continue };
        let rival = findings.iter().position(|other| {
            let Some((by, Finding::Unexpected(sent))) = other else { return false };
            by.name != seen.name && same_packet(packet, seen, &sent.frame)
        });
        if let Some(rival) = rival {
            let seen = *seen;
            if let Some((by, _)) = findings[rival].take() {
                problems.push((at, Problem::Elsewhere(seen, packet, by)));
                findings[at] = None;
            }
        }
    }
    let others = findings.into_iter().enumerate().filter_map(|(at, finding)| {
        let (seen, finding) = finding?;
        Some((at, Problem::Sent(seen, finding)))
    });
    problems.extend(others);
    problems.sort_by_key(|(at, _)| *at);
    problems.into_iter().map(|(_, problem)| problem).collect()
}

/// Whether a frame is this packet, but for the Ethernet addresses.
fn same_packet(packet: &Packet, seen: &Seen, frame: &[u8]) -> bool {
    let wanted = packet.sent(seen.mac, seen.mac);
    matches!((wanted.get(12..), frame.get(12..)), (Some(wanted), Some(frame)) if wanted == frame)
}
