//! Results for programs.

use serde_json::{Value, json};

use super::case::Case;
use super::compare::Finding;
use super::diff::columns;
use super::judge::{Problem, Verdict};
use super::packet::{Packet, text_of};
use super::port::Sent;
use super::run::{Outcome, Seen};

/// A test that was not run.
pub fn listed(case: &Case) -> Value {
    json!({ "name": case.name, "line": case.line })
}

/// A test's result.
pub fn result(case: &Case, outcome: &Outcome, verdict: &Verdict<'_>) -> Value {
    let mut result = listed(case);
    result["result"] = if verdict.passed() { "ok" } else { "failed" }.into();
    if !verdict.passed() {
        let problems = verdict.steps.iter().flat_map(|step| {
            step.problems.iter().map(|found| {
                let mut json = problem(found);
                json["step"] = step.number.into();
                json["at_ns"] = step.happened.at.into();
                json
            })
        });
        let ledgers = verdict.discrepancies.iter().map(|discrepancy| json!({ "problem": "ledger", "message": discrepancy }));
        result["problems"] = problems.chain(ledgers).collect();
        let mut ledger = serde_json::to_value(&outcome.ledger).unwrap_or_default();
        ledger.as_object_mut().and_then(|ledger| ledger.remove("buffers"));
        result["ledger"] = ledger;
    }
    result
}

fn problem(problem: &Problem<'_>) -> Value {
    match problem {
        Problem::Sent(seen, Finding::Differs(packet, got)) => {
            let [a, b] = packet.beside(&got.frame, seen.mac);
            let columns = columns(&a, &b, seen.mac).into_iter().filter(|column| !column.is_same());
            let fields: Vec<Value> = columns.map(|column| json!({ "expected": column.expected, "got": column.got })).collect();
            json!({
                "problem": "differs", "interface": seen.name, "expected": expected(packet, seen), "got": sent(got, seen),
                "fields": fields,
            })
        }
        Problem::Sent(seen, Finding::Missing(packet)) => {
            json!({ "problem": "missing", "interface": seen.name, "expected": expected(packet, seen) })
        }
        Problem::Sent(seen, Finding::Unexpected(got)) => {
            json!({ "problem": "unexpected", "interface": seen.name, "got": sent(got, seen) })
        }
        Problem::Sent(seen, Finding::Order(flow, moved)) => {
            let moved = moved
                .iter()
                .map(|(left_as, wanted_as, got)| json!({ "left_as": left_as, "expected_as": wanted_as, "got": sent(got, seen) }));
            json!({ "problem": "order", "interface": seen.name, "flow": flow.to_string(), "packets": moved.collect::<Vec<_>>() })
        }
        Problem::Elsewhere(seen, packet, by) => {
            json!({ "problem": "elsewhere", "interface": seen.name, "expected": expected(packet, seen), "left_by": by.name })
        }
        Problem::Unreceived(seen) => json!({ "problem": "unreceived", "interface": seen.name, "packets": seen.unreceived }),
        Problem::Dropped(dropped) => json!({
            "problem": "dropped", "node": dropped.node, "reason": dropped.reason, "expected": dropped.expected, "got": dropped.got,
            "meaning": dropped.meaning,
            "first": dropped.first.as_ref().map(|(text, origin)| json!({ "text": text, "origin": origin })),
        }),
    }
}

fn expected(packet: &Packet, seen: &Seen) -> Value {
    let frame = packet.sent(seen.mac, swath_io::text::Mac::DESTINATION);
    json!({ "text": packet.text(seen.mac), "hex": hex(&frame), "origin": packet.origin() })
}

fn sent(got: &Sent, seen: &Seen) -> Value {
    json!({ "text": text_of(&got.frame, seen.mac), "hex": hex(&got.frame), "at_ns": got.at })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
