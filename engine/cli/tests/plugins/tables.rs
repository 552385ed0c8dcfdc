//! Tables of plugins in an engine that runs: made, kept, adopted, converted and dropped, each by the thread that should; and panics in all
//! their entries, which harm nobody else.

use rustix::process::Signal;
use swath::{Graph, Time, packet_memory};
use swath_core::plan::Fate;
use swath_core::run::{Engine, Report};
use swath_core::spec::Diagnostics;

use crate::build;
use crate::common::Place;
use crate::common::running::Running;

/// Two ways through the graph: one through a node that counts in the table, one without.
fn graph(library: &str, table: &str) -> String {
    build::two_ways(library, "kind: tallied", &format!("tables:\n  tally: {{ kind: tally, {table} }}\n"))
}

fn try_engine(place: &Place, text: &str) -> Result<Engine, String> {
    let mut graph = Graph::from_text("graph.yaml", text);
    let plan = graph.plan(&build::registry(place)).map_err(|failure| failure.to_string())?;
    let (pool, _) = packet_memory(&plan.engine).unwrap();
    graph.build(plan, &pool, Time::Real).map_err(|failure| failure.to_string())
}

fn fate(report: &Report) -> Fate {
    report.diff.tables.iter().find(|change| change.name == "tally").unwrap().fate
}

/// What a table says to a command that it knows; a defect is a word.
fn answer(engine: &Engine, command: &str) -> String {
    match engine.ask("tally", command) {
        Ok(answer) => answer.reply,
        Err(error) if error.message().ends_with("it panicked (as asked)") => "panicked".into(),
        Err(error) => error.to_string(),
    }
}

fn passes(engine: &mut Engine) {
    engine.start().unwrap();
    while !engine.ended() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    engine.stop();
    let sent = [0, 1].map(|at: usize| engine.counters()[0].interfaces[at].sent.get());
    assert_eq!((sent, build::dropped(engine)), ([1000, 1000], vec![]));
}

#[test]
fn a_panic_in_any_entry_of_a_table_is_contained() {
    let place = Place::new();
    let one = build::defects(&place, "libone.so");
    std::fs::copy(&one, place.path("libtwo.so")).unwrap();
    for at in ["settings", "new", "shard"] {
        let refused = try_engine(&place, &graph("libone.so", &format!("at: {at}"))).unwrap_err();
        assert!(refused.contains("this kind has a defect: it panicked (as asked)"), "{at}: {refused}");
    }
    // The place; what a command, a question and figures come to; and whether state is carried within a build, and to the next.
    for (at, command, question, figures, adopts, converts) in [
        ("nowhere", "[1000]", "[1000]", 1, true, true),
        ("sync", "[1000]", "[1000]", 1, true, true),
        ("succeed", "[1000]", "[1000]", 1, false, true),
        ("adopt", "[1000]", "[1000]", 1, false, true),
        ("rest", "[1000]", "[1000]", 1, true, true),
        ("link", "[1000]", "[1000]", 1, true, true),
        ("command", "panicked", "[1000]", 1, true, true),
        ("figures", "[1000]", "[1000]", 0, true, true),
        ("state-file", "[1000]", "[1000]", 1, true, true),
        ("records", "[1000]", "[1000]", 1, true, true),
        ("save", "[1000]", "[1000]", 1, true, false),
        ("save-shard", "[1000]", "[1000]", 1, true, false),
        ("restore", "[1000]", "[1000]", 1, true, false),
        ("restore-shard", "[1000]", "[1000]", 1, true, false),
        ("visit", "[1000]", "`tally` has a defect: it panicked at this question", 1, true, true),
        ("answer", "[1000]", "panicked", 1, true, true),
        ("drop-shard", "[1000]", "[1000]", 1, true, true),
        ("drop", "[1000]", "[1000]", 1, true, true),
    ] {
        let mut engine =
            try_engine(&place, &graph("libone.so", &format!("at: {at}"))).unwrap_or_else(|refused| panic!("{at}: {refused}"));
        passes(&mut engine);
        let table = std::sync::Arc::clone(engine.table("tally").unwrap());
        assert_eq!(answer(&engine, r#"{"total": 1}"#), command, "{at}");
        assert_eq!(answer(&engine, r#"{"shards": 1}"#), question, "{at}");
        for asked in [r#"{"total": 13}"#, r#"{"shards": 13}"#] {
            assert_eq!(answer(&engine, asked), "panicked", "{at}: {asked}");
        }
        assert_eq!((table.figures().len(), table.state_file(), engine.records(9).len()), (figures, None, 0), "{at}");
        engine.set_admin("b", false).unwrap();
        drop(table);
        let report = build::apply(&mut engine, &place, &graph("libone.so", &format!("at: {at}, other: 1")));
        let lost = |carried: bool| if carried { vec![] } else { vec!["tally".to_owned()] };
        assert_eq!((fate(&report), report.not_carried), (Fate::Adopt, lost(adopts)), "{at}");
        let report = build::apply(&mut engine, &place, &graph("libtwo.so", &format!("at: {at}, other: 1")));
        assert_eq!((fate(&report), report.not_carried), (Fate::Convert, lost(converts)), "{at}");
        // In new clothes it serves on.
        assert_eq!(answer(&engine, r#"{"total": 13}"#), "panicked", "{at}");
        drop(engine);
    }
}

#[test]
fn a_table_that_refuses_changes_nothing() {
    let place = Place::new();
    build::defects(&place, "libone.so");
    let mut engine = try_engine(&place, &graph("libone.so", "other: 1")).unwrap();
    passes(&mut engine);
    let mut refused = Graph::from_text("graph.yaml", &graph("libone.so", "other: 7"));
    let plan = refused.plan(&build::registry(&place)).unwrap_or_else(|failure| panic!("{failure}"));
    let mut diagnostics = Diagnostics::new();
    engine.apply(plan, &mut diagnostics).unwrap_err();
    let said = diagnostics.render(refused.sources(), false);
    assert!(said.contains("seven is refused") && said.contains("graph.yaml:8:32"), "{said}");
    assert_eq!(answer(&engine, r#"{"total": 1}"#), "[1000]");
}

/// A packet for each of two workers, and what becomes of them where a node of theirs says who owns them.
#[test]
fn a_panic_of_who_is_asked_about_packets_is_contained() {
    let place = Place::new();
    build::defects(&place, "libone.so");
    let graph = |at: &str| {
        format!(
            "version: 1
engine: {{ workers: 2, buffers: 4096 }}
plugins: {{ bad: libone.so }}
interfaces:
  a: {{ driver: memory, generate: {{ packets: ['udp 10.0.0.1:1 > 10.0.0.2:2', 'udp 10.0.0.1:1 > 10.0.0.2:3'], limit: 1000 }} }}
  b: {{ driver: memory, generate: {{ packets: ['udp 10.0.0.3:1 > 10.0.0.4:2'], limit: 1000 }} }}
nodes:
  in-a:  {{ kind: rx, interface: a, to: bad }}
  bad:   {{ kind: asked, at: {at}, to: out-b }}
  out-b: {{ kind: tx, interface: b }}
  in-b:  {{ kind: rx, interface: b, to: out-a }}
  out-a: {{ kind: tx, interface: a }}
"
        )
    };
    let frame = swath_io::text::TextPacket::parse("udp 10.0.0.1:1 > 10.0.0.2:2").unwrap().frame();
    for (at, sent, words) in [
        ("nowhere", 1000, vec![("in-a", ""), ("handoff-to-bad", "worker 1 owns it"), ("bad", ""), ("out-b", "")]),
        ("owner", 0, vec![]),
        ("reason", 1000, vec![("in-a", ""), ("handoff-to-bad", "worker 1 owns it"), ("bad", ""), ("out-b", "")]),
        ("simulate", 1000, vec![("in-a", ""), ("handoff-to-bad", "worker 1 owns it"), ("bad", "")]),
    ] {
        let mut engine = build::engine(&place, &graph(at));
        // Before there is a packet: what is not real does no harm to those that are.
        let seen = engine.explain("a", &frame).unwrap();
        let names: Vec<(&str, &str)> = seen.iter().map(|seen| (seen.node.as_str(), seen.note.as_str())).collect();
        if at != "owner" {
            assert_eq!(names, words, "{at}");
        }
        engine.step_until(u64::MAX);
        let all = |at: usize| engine.counters().iter().map(|counters| counters.interfaces[at].sent.get()).sum::<u64>();
        let dropped: u64 =
            build::dropped(&engine).iter().map(|(what, count)| if what == "bad.fault" { *count } else { 99_999 }).sum();
        assert_eq!((all(0), all(1), dropped), (1000, sent, 1000 - sent), "{at}");
    }
}

/// Tables and shards are made and dropped by the thread that has the graph, whoever uses them, and each that was made is dropped.
#[test]
fn a_table_lives_as_long_as_graphs_name_it() {
    let place = Place::new();
    let first = build::defects(&place, "libone.so");
    std::fs::copy(&first, place.path("libtwo.so")).unwrap();
    let text = |library: &str, tables: &str| {
        format!(
            "version: 1
engine: {{ workers: 2, buffers: 4096 }}
plugins: {{ it: {library} }}
interfaces:
  a: {{ driver: memory, generate: {{ packets: ['udp 10.0.0.1:1 > 10.0.0.2:2', 'udp 10.0.0.1:1 > 10.0.0.2:3'], limit: 600 }} }}
  b: {{ driver: memory, generate: {{ packets: ['udp 10.0.0.1:1 > 10.0.0.2:2'], rate: 10 }} }}
{tables}
  end:   {{ kind: drop }}
  in-b:  {{ kind: rx, interface: b, to: end }}
"
        )
    };
    let table = |settings: &str| {
        format!(
            "tables: {{ tally: {{ kind: tally, diary: {}{settings} }} }}
nodes:
  in-a:  {{ kind: rx, interface: a, to: count }}
  count: {{ kind: tallied, to: end }}",
            place.path("diary").display()
        )
    };
    let directory = place.path("").display().to_string();
    let mut running = Running::with(&place, &text("libone.so", &table("")), &["--plugin-path", &directory]);
    let total = |running: &Running| running.told(["table", "tally", r#"{"total": 1}"#]).split_whitespace().collect::<String>();
    let shards = |running: &Running| {
        let told: Vec<u64> = serde_json::from_str(&running.told(["table", "tally", r#"{"shards": 1}"#])).unwrap();
        assert_eq!(told.len(), 2);
        told.iter().sum::<u64>()
    };
    while total(&running) != "[600]" {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let mut log = String::new();
    for (number, text) in [
        text("libone.so", &table("")) + "# kept\n",
        text("libone.so", &table(", other: 1")),
        text("libtwo.so", &table(", other: 1")),
    ]
    .iter()
    .enumerate()
    {
        std::fs::write(place.path("graph.yaml"), text).unwrap();
        running.signal(Signal::HUP);
        log += &running.until_logged("another graph runs");
        assert_eq!((total(&running).as_str(), shards(&running)), ("[600]", 600), "{number}: {log}");
    }
    let gone = text("libtwo.so", "nodes:\n  in-a:  { kind: rx, interface: a, to: end }");
    std::fs::write(place.path("graph.yaml"), gone).unwrap();
    running.signal(Signal::HUP);
    log += &running.until_logged("another graph runs");
    log += &running.end();
    let diary = std::fs::read_to_string(place.path("diary")).unwrap();
    let count = |what: &str| diary.lines().filter(|line| *line == what).count();
    // The first of `swath`'s threads is called as the program is. Three tables in all, each with two shards.
    let [made, gone] =
        ["is made", "goes"].map(|what| (count(&format!("a table {what} by swath")), count(&format!("a shard {what} by swath"))));
    assert_eq!((made, gone, diary.lines().count()), ((3, 6), (3, 6), 18), "{diary}{log}");
}
