//! `swath plan`, `apply`, `confirm` and `rollback`: another graph in the place of the one that runs.

mod common;

use std::io::Write;
use std::os::unix::net::UnixStream;

use common::running::Running;
use common::{Place, Said, said, said_by, swath};
use serde_json::{Value, json};

/// Flows whose packets are numbered, by a table of routes; half of them have none.
const GRAPH: &str = "version: 1
engine: { workers: 2 }
interfaces:
  a: { driver: memory, generate: { flows: { sources: [10.0.0.0/24], destinations: [10.1.0.0/24], count: 100 }, rate: 20kpps, stamp: true } }
  b: { driver: memory, sink: { check: stamps } }
tables:
  paints: { kind: deny-list, prefixes: [192.0.2.0/24] }
nodes:
  rx: { kind: rx, interface: a, to: tx }
  tx: { kind: tx, interface: b }
";

/// The graph with a counter of this name in the way.
fn with_counter(name: &str) -> String {
    GRAPH.replace("interface: a, to: tx }", &format!("interface: a, to: {name} }}\n  {name}: {{ kind: counter, to: tx }}"))
}

/// An engine whose sink checks what it gets.
fn start(place: &Place) -> Running {
    Running::with(place, GRAPH, &["--report", place.path("report.json").to_str().unwrap()])
}

/// The engine ends with a ledger that adds up, and no packet of a flow is missing.
fn ends_well(running: Running, place: &Place) -> String {
    let log = running.end();
    let report: Value = serde_json::from_str(&std::fs::read_to_string(place.path("report.json")).unwrap()).unwrap();
    let found = ["missing", "duplicated", "reordered", "unstamped"].map(|what| report["interfaces"]["b"][what].as_u64());
    assert_eq!(found, [Some(0); 4], "{report:#}");
    log
}

fn apply(running: &Running, text: &str, options: &[&str]) -> Said {
    let place = Place::new();
    let graph = place.text("new.yaml", text);
    running.ask(["apply".as_ref(), graph.as_os_str()].into_iter().chain(options.iter().map(AsRef::as_ref)))
}

fn revision(running: &Running) -> u64 {
    running.json("/v1")["revision"].as_u64().unwrap()
}

#[test]
fn a_plan_says_what_diff_says() {
    let place = Place::new();
    let running = start(&place);
    let old = place.path("graph.yaml");
    let new = place.text("new.yaml", &with_counter("count").replace("192.0.2.0/24", "198.51.100.0/24"));
    let plan =
        |options: &[&str]| running.ask(["plan".as_ref(), new.as_os_str()].into_iter().chain(options.iter().map(AsRef::as_ref)));
    for options in [&[][..], &["--all"]] {
        let planned = plan(options);
        let diff = said(["diff".as_ref(), old.as_os_str(), new.as_os_str()].into_iter().chain(options.iter().map(AsRef::as_ref)));
        assert!(
            planned.code == 2 && planned.err.starts_with("warning[SW0221]: no node uses the table `paints`\n"),
            "{}",
            planned.err
        );
        assert_eq!(planned.out, diff.out);
        assert!(planned.out.contains("lost: prefixes added or removed by commands"), "{}", planned.out);
    }
    let (planned, diff): (Value, Value) = (
        serde_json::from_str(&plan(&["--format", "json"]).out).unwrap(),
        serde_json::from_str(&said(["diff".as_ref(), old.as_os_str(), new.as_os_str(), "--format".as_ref(), "json".as_ref()]).out)
            .unwrap(),
    );
    for member in ["equal", "restart", "engine", "interfaces", "tables", "nodes"] {
        assert_eq!(planned[member], diff[member], "{member}");
    }
    assert_eq!((&planned["revision"], &planned["graph"]), (&json!(1), &json!(new.to_str().unwrap())));
    // Nothing has happened, and nothing would by the same graph.
    assert_eq!(revision(&running), 1);
    let same = running.ask(["plan".as_ref(), old.as_os_str()]);
    assert_eq!((same.code, &*same.out), (0, "nothing differs: 5 kept\n"));
    // What needs a restart is shown, and refused.
    place.text("new.yaml", &GRAPH.replace("workers: 2", "workers: 1"));
    let restart = plan(&[]);
    assert_eq!(restart.code, 78);
    assert!(restart.out.contains("engine: needs a restart\n    workers: 2 → 1\n"), "{}", restart.out);
    assert!(restart.err.ends_with("new.yaml: `engine` cannot change while it runs: start it again\n"), "{}", restart.err);
    ends_well(running, &place);
}

#[test]
fn mistakes_are_told_as_validate_tells_them() {
    let place = Place::new();
    let running = start(&place);
    let bad = [
        GRAPH.replace("to: tx", "to: nobody"),
        GRAPH.replace("check: stamps", "check: everything"),
        GRAPH.replace("kind: deny-list,", "kind: deny-lsit,"),
        GRAPH.replace("192.0.2.0/24", "192.0.2.0/33"),
        format!("include: [missing.yaml, 'a[.yaml']\n{GRAPH}"),
        "version: 1\nnodes: [".into(),
        String::new(),
    ];
    for text in bad {
        let graph = place.text("bad.yaml", &text);
        let validate = said(["validate".as_ref(), graph.as_os_str()]);
        assert_eq!(validate.code, 78, "{text}");
        let plan = running.ask(["plan".as_ref(), graph.as_os_str()]);
        assert_eq!((plan.code, &*plan.out, plan.err), (78, "", validate.err.clone()));
        let apply = running.ask(["apply".as_ref(), graph.as_os_str()]);
        assert_eq!((apply.code, &*apply.out, apply.err), (78, "", validate.err));
    }
    // Latin 1 is not sent at all.
    std::fs::write(place.path("bad.yaml"), b"# \xe4\n").unwrap();
    let said = running.ask(["plan".as_ref(), place.path("bad.yaml").as_os_str()]);
    assert!(said.code == 78 && said.err.contains("the byte 0xe4 is not UTF-8"), "{}", said.err);
    assert_eq!(running.ask(["plan", "/no/such/file.yaml"]).code, 66);
    assert_eq!(revision(&running), 1);
    ends_well(running, &place);
}

#[test]
fn a_client_reads_its_own_files_and_the_engine_its_own_variables() {
    let place = Place::new();
    let running = start(&place);
    std::fs::create_dir(place.path("parts")).unwrap();
    let (head, nodes) = GRAPH.split_once("nodes:").unwrap();
    place.text("parts/nodes.yaml", &format!("nodes:{nodes}"));
    place.text("parts/prefixes.txt", "203.0.113.0/24\n");
    let root = format!("{head}include: 'parts/*.yaml'\n").replace("prefixes: [192.0.2.0/24]", "prefixes-from: parts/prefixes.txt");
    place.text(
        "root.yaml",
        &root.replace("deny-list,", "deny-list, tag: '${SWATH_TEST_TAG:-none}',").replace(", tag: '${SWATH_TEST_TAG:-none}'", ""),
    );
    // From a directory in which the engine does not run.
    let mut command = swath(["apply", "root.yaml"]);
    command.current_dir(place.path("")).env("SWATH_SOCKET", &running.socket);
    let applied = said_by(&mut command);
    assert_eq!(applied.code, 0, "{}", applied.err);
    let config = running.json("/v1/config");
    let names: Vec<&str> = config["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["root.yaml", "parts/nodes.yaml", "parts/prefixes.txt"]);
    let found = running.told(["deny", "lookup", "203.0.113.9"]);
    assert!(found.contains("203.0.113.0/24"), "{found}");
    // A mistake in an included file has the client's name of it.
    place.text("parts/prefixes.txt", "203.0.113.0/44\n");
    let mut command = swath(["plan", "root.yaml"]);
    let refused = said_by(command.current_dir(place.path("")).env("SWATH_SOCKET", &running.socket));
    assert!(refused.code == 78 && refused.err.contains("--> parts/prefixes.txt:1:1\n"), "{}", refused.err);
    // Which file a variable names is for the engine to say: one that the client has not read is not taken for another.
    place.text("parts/prefixes.txt", "203.0.113.0/24\n");
    place.text("root.yaml", &root.replace("parts/*.yaml", "parts/${SWATH_TEST_PART:-nodes}.yaml"));
    let mut command = swath(["plan", "root.yaml"]);
    command.current_dir(place.path("")).env("SWATH_SOCKET", &running.socket);
    assert_eq!(said_by(&mut command).code, 0, "only the text differs");
    command.env("SWATH_TEST_PART", "prefixes");
    let refused = said_by(&mut command);
    assert!(refused.code == 78 && refused.err.contains("which another variable may name"), "{}", refused.err);
    ends_well(running, &place);
}

#[test]
fn a_graph_is_applied_once_and_by_revision() {
    let place = Place::new();
    let running = start(&place);
    let first = apply(&running, &with_counter("one"), &[]);
    assert_eq!(
        (first.code, &*first.out),
        (
            0,
            "nodes\n  keep   rx   rx: rewired, and keeps its state\n           out: `tx` → `one`\n  fresh  one  counter: starts without state\n5 kept (1 rewired), 0 adopted, 1 fresh, 0 gone\n"
        )
    );
    assert!(
        first.err.contains("\nrevision 2 runs: made in ") && first.err.contains(", 2 swaps, worker 0 paused "),
        "{}",
        first.err
    );
    let graph = place.text("new.yaml", &with_counter("one"));
    let json: Value =
        serde_json::from_str(&running.ask(["apply".as_ref(), graph.as_os_str(), "--format".as_ref(), "json".as_ref()]).out)
            .unwrap();
    assert_eq!((&json["revision"], json["report"]["number"].as_u64()), (&json!(3), Some(2)), "by another name: {json}");
    let again = running.ask(["apply".as_ref(), graph.as_os_str()]);
    assert_eq!((again.code, &*again.out, &*again.err), (0, "", "nothing to do: these files run as revision 3\n"));
    let refused = apply(&running, GRAPH, &["--if-revision", "2"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("revision 3 runs, and `If-Match` asks for another"), "{}", refused.err);
    assert_eq!(apply(&running, GRAPH, &["--if-revision", "3"]).code, 0);
    let back = running.ask(["rollback"]);
    assert!(back.code == 0 && back.err.contains("revision 5 runs: "), "{}", back.err);
    assert_eq!(running.json("/v1/config")["files"][0]["text"], with_counter("one"));
    assert!(running.ask(["rollback", "1"]).err.contains("revision 6 runs: "));
    assert_eq!(running.json("/v1/config")["files"][0]["text"], GRAPH);
    let unknown = running.ask(["rollback", "77"]);
    assert_eq!((unknown.code, &*unknown.err), (1, "error: there is no revision 77; there are 6, 5, 4, 3, 2, 1\n"));
    let log = ends_well(running, &place);
    assert!(log.contains(r#""by":"rollback""#) && log.contains(r#""by":"apply""#), "{log}");
}

#[test]
fn of_two_at_once_one_comes_after_the_other_or_is_refused() {
    let place = Place::new();
    let running = start(&place);
    for round in 1..=5 {
        // By revision, one of four wins.
        let texts: Vec<String> = (0..4).map(|n| with_counter(&format!("round-{round}-{n}"))).collect();
        let base = revision(&running).to_string();
        let done: Vec<Said> = std::thread::scope(|scope| {
            let applies: Vec<_> =
                texts.iter().map(|text| scope.spawn(|| apply(&running, text, &["--if-revision", &base]))).collect();
            applies.into_iter().map(|apply| apply.join().unwrap()).collect()
        });
        let winners: Vec<usize> = (0..4).filter(|n| done[*n].code == 0).collect();
        assert_eq!(winners.len(), 1, "{:?}", done.iter().map(|said| &said.err).collect::<Vec<_>>());
        assert_eq!(running.json("/v1/config")["files"][0]["text"], texts[winners[0]]);
    }
    // Without, all of them do, and what runs is one of them.
    let texts: Vec<String> = (0..4).map(|n| with_counter(&format!("all-{n}"))).collect();
    let base = revision(&running);
    std::thread::scope(|scope| texts.iter().for_each(|text| drop(scope.spawn(|| assert_eq!(apply(&running, text, &[]).code, 0)))));
    assert_eq!(revision(&running), base + 4);
    let text = running.json("/v1/config")["files"][0]["text"].as_str().unwrap().to_string();
    let last = texts.iter().position(|known| *known == text).unwrap();
    let nodes = running.json("/v1/nodes");
    let names: Vec<&str> = nodes.as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["rx", &format!("all-{last}"), "tx"]);
    ends_well(running, &place);
}

#[test]
fn what_nobody_confirms_is_given_up() {
    let place = Place::new();
    let mut running = start(&place);
    let nothing = running.ask(["confirm"]);
    assert_eq!((nothing.code, &*nothing.err), (1, "error: revision 1 runs, and does not wait to be confirmed\n"));
    let tried = apply(&running, &with_counter("tried"), &["--confirm", "1s"]);
    assert_eq!(tried.code, 0);
    assert!(tried.err.ends_with("the engine goes back unless `swath confirm` comes within 1 s\n"), "{}", tried.err);
    running.until("/v1", |process| process["revision"] == 3);
    assert_eq!(running.json("/v1/config")["files"][0]["text"], GRAPH);
    // In time it is kept, by its number.
    assert_eq!(apply(&running, &with_counter("kept"), &["--confirm", "10min"]).code, 0);
    // Nothing comes between, but another one on trial and the way back.
    let refused = apply(&running, &with_counter("other"), &[]);
    assert!(refused.code == 1 && refused.err.contains("revision 4 waits to be confirmed, for "), "{}", refused.err);
    running.signal(rustix::process::Signal::HUP);
    let unconfirmed = running.until_logged(" waits to be confirmed, for ");
    assert!(unconfirmed.contains("nobody has confirmed the graph in time: the engine goes back"), "{unconfirmed}");
    assert_eq!(apply(&running, &with_counter("second"), &["--confirm", "10min"]).code, 0);
    let back = running.ask(["rollback"]);
    assert!(back.err.contains("revision 6 runs: "), "{}", back.err);
    assert_eq!(running.json("/v1/config")["files"][0]["text"], GRAPH, "the last that was confirmed");
    assert_eq!(apply(&running, &with_counter("kept"), &["--confirm", "10min"]).code, 0);
    let kept = running.ask(["confirm"]);
    assert_eq!((kept.code, &*kept.err), (0, "revision 7 is kept\n"));
    assert_eq!(running.ask(["confirm"]).code, 1);
    for bad in ["0.5s", "25h"] {
        assert_eq!(apply(&running, GRAPH, &["--confirm", bad]).code, 1, "{bad}");
    }
    ends_well(running, &place);
}

#[test]
fn a_client_that_dies_leaves_all_of_it_or_nothing() {
    let place = Place::new();
    let running = start(&place);
    let body = json!({ "graph": { "files": [{ "name": "new.yaml", "text": with_counter("dying") }] }, "confirm": 2 }).to_string();
    let head = format!(
        "POST /v1/apply HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    // In the middle of a request: nothing has been asked.
    for length in [10, head.len(), head.len() + 1, head.len() + body.len() - 1] {
        let request = head.clone() + &body;
        let mut stream = UnixStream::connect(&running.socket).unwrap();
        stream.write_all(&request.as_bytes()[..length]).unwrap();
    }
    assert_eq!(revision(&running), 1);
    // Behind it: either it had begun, and is carried out as a whole, and given up in time; or it had not.
    let mut stream = UnixStream::connect(&running.socket).unwrap();
    stream.write_all((head + &body).as_bytes()).unwrap();
    drop(stream);
    running.until("/v1/config", |config| config["files"][0]["text"] == GRAPH);
    assert_eq!(apply(&running, &with_counter("after"), &["--confirm", "10min"]).code, 0);
    assert_eq!(running.ask(["confirm"]).code, 0);
    ends_well(running, &place);
}

/// Bytes of the engine's heap that are in memory.
fn heap(running: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Whatever they are refused for, at whichever stage.
#[test]
fn a_thousand_refused_graphs_leave_nothing() {
    let place = Place::new();
    let running = start(&place);
    let refused = [
        (GRAPH.replace("nodes:", "nodes: ["), "urn:swath:problem:graph"),
        (GRAPH.replace("to: tx", "to: nobody"), "urn:swath:problem:graph"),
        (GRAPH.replace("workers: 2", "workers: 1"), "urn:swath:problem:restart"),
        // Behind a table that can be made, a node that cannot, and an interface that cannot be attached.
        (GRAPH.replace("192.0.2.0/24", "192.0.2.0/33"), "urn:swath:problem:graph"),
        (GRAPH.replace("kind: rx, interface: a,", "kind: paint, colour: 1,"), "urn:swath:problem:graph"),
        (GRAPH.replace("driver: memory, sink", "driver: af-packet, device: not-there, sink"), "urn:swath:problem:graph"),
        (
            GRAPH.replace(
                "b: { driver: memory, sink: { check: stamps } }",
                "b: { driver: memory }\n  c: { driver: af-packet, device: not-there }",
            ),
            "urn:swath:problem:graph",
        ),
    ];
    let mut client = swath_ctl::Client::connect(&running.socket).unwrap();
    let mut refuse = |count: usize| {
        for n in 0..count {
            let (text, kind) = &refused[n % refused.len()];
            let body = json!({ "graph": { "files": [{ "name": "new.yaml", "text": text }] } }).to_string();
            let resource = if n % 2 == 0 { "/v1/apply" } else { "/v1/plan" };
            match client.change::<Value>(resource, body, None) {
                Err(swath_ctl::ClientError::Refused(problem)) => assert_eq!(&problem.kind, kind, "{problem:?}"),
                // Whether an interface can be attached, and `engine` changed, is for `apply` to say.
                Ok(planned) => {
                    assert!(resource == "/v1/plan" && (planned["restart"] == true || text.contains("not-there")), "{text}")
                }
                Err(other) => panic!("{other}"),
            }
        }
    };
    // Allocators and threads take what they need.
    refuse(210);
    let (before, buffers) = (heap(&running), running.json("/v1/runtime")["buffers"]["capacity"].clone());
    refuse(1001);
    let after = heap(&running);
    assert!(after < before + (8 << 20), "{before} bytes before, {after} after");
    assert_eq!((revision(&running), &running.json("/v1/runtime")["buffers"]["capacity"]), (1, &buffers));
    // And it is as able as before.
    assert_eq!(apply(&running, &with_counter("last"), &[]).code, 0);
    ends_well(running, &place);
}
