//! Defects in plugins: whose they are is said, their packets drop as `fault`, and nothing else is harmed.

use std::process::Command;

use swath_core::run::Engine;

use crate::build;
use crate::common::Place;

/// Two ways through the graph: one through a node that is under suspicion, one without.
fn graph(library: &str, node: &str) -> String {
    format!(
        "version: 1
engine: {{ buffers: 4096 }}
plugins: {{ bad: {library} }}
interfaces:
  a: {{ driver: memory, generate: {{ packets: ['udp 10.0.0.1:1 > 10.0.0.2:2'], limit: 1000 }} }}
  b: {{ driver: memory, generate: {{ packets: ['udp 10.0.0.3:1 > 10.0.0.4:2'], limit: 1000 }} }}
nodes:
  in-a:  {{ kind: rx, interface: a, to: bad }}
  bad:   {{ {node}, to: out-b }}
  out-b: {{ kind: tx, interface: b }}
  in-b:  {{ kind: rx, interface: b, to: out-a }}
  out-a: {{ kind: tx, interface: a }}
"
    )
}

/// Packets that were sent, by interface.
fn sent(engine: &Engine) -> (u64, u64) {
    let interface = |at: usize| engine.counters()[0].interfaces[at].sent.get();
    (interface(0), interface(1))
}

#[test]
fn wrong_numbers_of_a_node_are_found() {
    let source = build::root().join("engine/cli/tests/plugins/defects.c");
    for (kind, defect, drops) in [
        ("wrong-next", "frame->next[0] = 200", None),
        ("undecided", "frame->decided = 0", Some(1000)),
        ("failing", "return SWATH_FAILED", Some(1000)),
        ("wrong-made", "frame->outbox->made = 3", Some(1000)),
        ("wrong-length", "frame->outbox->len = frame->outbox->room + 1", Some(1000)),
        ("wrong-spares", "frame->outbox->spares = 70000", Some(1000)),
        ("wrong-released", "frame->outbox->released = 1", Some(1000)),
        ("wrong-taken", "frame->taken = 2; frame->taken_id = 1", Some(1000)),
    ] {
        let place = Place::new();
        build::c(&place, &source, "bad", &[&format!("-DKIND=\"{kind}\""), &format!("-DDEFECT={defect}")]);
        let mut engine = build::engine(&place, &graph("libbad.so", &format!("kind: {kind}")));
        engine.step_until(u64::MAX);
        let dropped = build::dropped(&engine);
        let [(what, count)] = &dropped[..] else { panic!("{kind}: {dropped:?}") };
        assert_eq!(what, "bad.fault", "{kind}");
        // One of each vector, or all.
        match drops {
            Some(drops) => assert_eq!(*count, drops, "{kind}"),
            None => assert!((1..1000).contains(count), "{kind}: {count}"),
        }
        assert_eq!(sent(&engine), (1000, 1000 - count), "{kind}: others are not harmed");
    }
}

#[test]
fn a_panic_in_any_entry_is_contained() {
    let place = Place::new();
    build::defects(&place, "libdefects.so");
    let node = |at: &str| graph("libdefects.so", &format!("kind: panics, at: {at}"));
    for (at, drops) in [("process", 1000), ("tick", 1000), ("drop", 0), ("nowhere", 0)] {
        let mut engine = build::engine(&place, &node(at));
        engine.step_until(u64::MAX);
        let faults: u64 =
            build::dropped(&engine).iter().map(|(what, count)| if what == "bad.fault" { *count } else { 99_999 }).sum();
        // A vector or more may have passed before the hundredth packet.
        if drops == 0 {
            assert_eq!(faults, 0, "{at}")
        } else {
            assert!((700..=1000).contains(&faults), "{at}: {faults}")
        }
        assert_eq!(sent(&engine), (1000, 1000 - faults), "{at}");
        drop(engine);
    }
    let mut refused = swath::Graph::from_text("graph.yaml", &node("new"));
    let plan = refused.plan(&build::registry(&place)).unwrap();
    let (pool, _) = swath::packet_memory(&plan.engine).unwrap();
    let failure = refused.build(plan, &pool, swath::Time::Virtual).unwrap_err().to_string();
    assert!(failure.contains("this kind has a defect: it panicked (as asked)"), "{failure}");
}

#[test]
fn who_reads_where_nothing_is_is_named() {
    let place = Place::new();
    build::defects(&place, "libdefects.so");
    let graph = place.text("graph.yaml", &graph("libdefects.so", "kind: 'null'"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_swath"));
    command.arg("--plugin-path").arg(place.path("")).args(["run", "--stats", "none", "--api", "off"]).arg(&graph);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let library = place.path("libdefects.so").canonicalize().unwrap();
    let line = format!("swath: SIGSEGV in the node `bad` of kind `null` of the library {}\n", library.display());
    assert!(said.contains(&line), "{said}");
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(output.status.signal(), Some(11), "{said}");
}

#[test]
fn the_words_of_a_panic_are_the_engines_to_say() {
    let place = Place::new();
    build::defects(&place, "libdefects.so");
    let graph = place.text("graph.yaml", &graph("libdefects.so", "kind: panics, at: process"));
    let run = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swath"));
        command.arg("--plugin-path").arg(place.path("")).args(["run", "--stats", "none", "--api", "off", "--duration", "1s"]);
        let output = command.args(options).arg(&graph).output().unwrap();
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = run(&[]);
    assert_eq!(said.matches("ERROR panicked at src/lib.rs:").count(), 1, "{said}");
    let line = said.lines().find(|line| line.contains("panicked at")).unwrap();
    assert!(line.contains(": as asked library=") && line.ends_with("libdefects.so"), "{said}");
    let logged = run(&["--log-format", "json"]);
    let line = logged.lines().find(|line| line.contains("panicked at")).unwrap_or_else(|| panic!("{logged}"));
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    assert!(event.to_string().contains("libdefects.so"), "{event}");
}
