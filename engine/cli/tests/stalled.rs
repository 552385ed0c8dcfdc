//! A worker that stands still while a graph is applied: what is said, and that the others go on.

mod common;

use common::running::Running;
use common::stopped::Stopped;
use common::{Place, Said};
use serde_json::{Value, json};

/// Each worker has an interface; what it receives goes through a counter of this name.
fn graph(marker: &str, kind: &str) -> String {
    let lan = |n: u8| {
        format!(
            "  in{n}: {{ driver: memory, generate: {{ rate: 5kpps, packets: [udp 10.0.{n}.1:1 > 10.1.0.1:2, udp 10.0.{n}.2:1 > 10.1.0.2:2] }} }}
  out{n}: {{ driver: memory }}
"
        )
    };
    let nodes = |n: u8| {
        format!(
            "  rx{n}: {{ kind: rx, interface: in{n}, to: {marker}{n} }}
  {marker}{n}: {{ kind: {kind}, to: tx{n} }}
  tx{n}: {{ kind: tx, interface: out{n} }}
  idle{n}: {{ kind: rx, interface: out{n}, to: end }}
"
        )
    };
    format!(
        "version: 1
engine: {{ workers: 2, buffers: 32768 }}
interfaces:
{}{}nodes:
{}{}  end: {{ kind: drop }}
",
        lan(0),
        lan(1),
        nodes(0),
        nodes(1)
    )
}

fn apply(running: &Running, place: &Place, text: &str) -> Said {
    let graph = place.text("new.yaml", text);
    running.ask(["apply".as_ref(), graph.as_os_str()])
}

/// Waits until so many more packets have left by the interface of a worker.
fn goes_on(running: &Running, interface: &str) {
    let sent = |found: &Value| found["sent"]["packets"].as_u64().unwrap();
    let resource = format!("/v1/interfaces/{interface}");
    let before = sent(&running.json(&resource));
    running.until(&resource, |found| sent(found) > before + 500);
}

/// The interface of a worker that is not the first one.
fn of_worker_1(running: &Running) -> String {
    let runtime = running.json("/v1/runtime");
    let queues = runtime["workers"][1]["queues"].as_array().unwrap().clone();
    let queue = queues.iter().find_map(|queue| queue.as_str().unwrap().strip_prefix("in")).expect("an interface");
    format!("out{}", queue.split(' ').next().unwrap())
}

fn a_worker_stalls(kind: &str, incomplete: &[usize]) {
    let place = Place::new();
    let running = Running::start(&place, &graph("a", kind));
    let out = of_worker_1(&running);
    running.until("/v1/revisions", |all| all[0]["running"] == true);
    let Some(stopped) = Stopped::worker(running.pid(), 0) else { return };
    goes_on(&running, &out);
    let said = apply(&running, &place, &graph("b", kind));
    assert_eq!(said.code, 1, "{}", said.err);
    for worker in incomplete {
        let warning =
            format!("warning: worker {worker} has not gone over to revision 2 yet: nothing else is applied before it has\n");
        assert!(said.err.contains(&warning), "{}", said.err);
    }
    assert_eq!(said.err.matches("has not gone over").count(), incomplete.len(), "{}", said.err);
    // It holds up nobody else, by whichever graph.
    goes_on(&running, &out);
    goes_on(&running, &out);
    let process = running.json("/v1");
    assert_eq!((&process["ready"], &process["revision"]), (&json!(false), &json!(2)));
    let refused = apply(&running, &place, &graph("c", kind));
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("the last change is incomplete: worker"), "{}", refused.err);
    drop(stopped);
    running.until("/v1", |process| process["ready"] == true);
    let done = apply(&running, &place, &graph("c", kind));
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.err.contains("revision 3 runs: ") && done.err.contains(", 2 swaps, "), "{}", done.err);
    goes_on(&running, "out0");
    goes_on(&running, "out1");
    running.end();
}

#[test]
fn a_worker_that_stands_still_is_named() {
    a_worker_stalls("counter", &[0]);
}

/// Workers that hand each other packets go over together, or not yet.
#[test]
fn workers_that_wait_for_one_that_stands_still_go_on_meanwhile() {
    a_worker_stalls("handoff", &[0, 1]);
}
