//! Defects in plugins: whose they are is said, their packets drop as `fault`, and nothing else is harmed.

use std::process::Command;

use swath_core::run::Engine;
use swath_ctl::{Format, Settings};

use crate::build;
use crate::common::Place;
use crate::common::running::Running;
use crate::common::scrape::metrics_of;

/// Two ways through the graph: one through a node that is under suspicion, one without.
fn graph(library: &str, node: &str) -> String {
    build::two_ways(library, node, "")
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
    let event: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {logged}"));
    assert!(event.to_string().contains("libdefects.so"), "{event}");
}

/// A node that panics at its hundred and first packet, in the graph of others, where it may come back after a second.
fn restarting(restart: &str) -> String {
    let plugin = format!("{{ bad: {{ file: libdefects.so, restart: {restart} }} }}");
    let graph = graph("libdefects.so", "kind: panics, at: process").replace("{ bad: libdefects.so }", &plugin);
    graph.replace("limit: 1000", "rate: 100, limit: 1000")
}

#[test]
fn a_node_comes_back_after_waits_that_grow() {
    let place = Place::new();
    build::defects(&place, "libdefects.so");
    let mut engine = build::engine(&place, &restarting("1s"));
    let mut revived = Vec::new();
    for step in 1..=100_u64 {
        engine.step_until(step * 100_000_000);
        revived.extend(engine.revive().into_iter().map(|revived| (step, revived)));
    }
    let told: Vec<_> =
        revived.iter().map(|(_, it)| (it.node.as_str(), it.worker, it.faults, it.refused.clone(), it.next.as_secs())).collect();
    assert_eq!(told, [("bad", 0, 1, None, 2), ("bad", 0, 2, None, 4)]);
    // Its hundred packets, three times: at first, and each time that it was new. In tenths of a second: out at 10, back at 20, and so on.
    let faults = 1000 - 300;
    assert_eq!((sent(&engine), build::dropped(&engine)), ((1000, 300), vec![("bad.fault".into(), faults)]));
    let steps: Vec<u64> = revived.iter().map(|(step, _)| *step).collect();
    assert!(steps[0] >= 20 && steps[1] >= steps[0] + 30, "{steps:?}");
    let bad = engine.plan().nodes.iter().position(|node| node.spec.name.value == "bad").unwrap();
    assert_eq!(engine.counters()[0].nodes[bad].restarts.get(), 2);
    let metrics = metrics_of(&engine, Settings::default(), Format::Text);
    let series: Vec<&str> = metrics.lines().filter(|line| line.starts_with("swath_node_restarts_total")).collect();
    assert_eq!(series, [r#"swath_node_restarts_total{node="bad",kind="panics"} 2"#]);
}

#[test]
fn without_a_word_it_stays_out_of_service() {
    let place = Place::new();
    build::defects(&place, "libdefects.so");
    let graph = restarting("1s").replace(", restart: 1s", "");
    let mut engine = build::engine(&place, &graph);
    for step in 1..=100_u64 {
        engine.step_until(step * 100_000_000);
        assert_eq!(engine.revive(), []);
    }
    assert_eq!((sent(&engine), build::dropped(&engine)), ((1000, 100), vec![("bad.fault".into(), 900)]));
}

/// Who takes its place by a reload meanwhile is left alone; and what is new has the word of its own graph.
#[test]
fn a_node_that_was_replaced_is_not_made_anew() {
    let place = Place::new();
    build::defects(&place, "libdefects.so");
    let mut engine = build::engine(&place, &restarting("1s"));
    engine.step_until(1_500_000_000);
    assert_eq!(engine.revive(), []);
    let text = restarting("1s").replace("at: process", "at: nowhere");
    let mut graph = swath::Graph::from_text("graph.yaml", &text);
    let plan = graph.plan(&build::registry(&place)).unwrap_or_else(|failure| panic!("{failure}"));
    engine.apply(plan, &mut swath_core::spec::Diagnostics::new()).unwrap();
    for step in 16..=100_u64 {
        engine.step_until(step * 100_000_000);
        assert_eq!(engine.revive(), []);
    }
    let faults: u64 = build::dropped(&engine).iter().map(|(_, count)| count).sum();
    assert_eq!(sent(&engine), (1000, 1000 - faults));
    assert!((40..=60).contains(&faults), "{faults}");
}

#[test]
fn who_comes_back_is_logged() {
    let place = Place::new();
    build::defects(&place, "libdefects.so");
    let directory = place.path("").display().to_string();
    let graph = restarting("100ms").replace("rate: 100,", "rate: 2000,").replace("limit: 1000", "limit: 2000");
    let mut running = Running::with(&place, &graph, &["--plugin-path", &directory]);
    let log = running.until_logged("is made anew");
    let line = log.lines().last().unwrap();
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    let known = ["node", "worker", "faults", "next"].map(|key| event[key].clone());
    assert_eq!(known, [serde_json::json!("bad"), 0.into(), 1.into(), 0.2.into()], "{line}");
    assert_eq!((event["level"].as_str(), event["target"].as_str()), (Some("warn"), Some("swath::plugin")));
    running.end();
}
