//! From one build of a plugin to the next, without a restart: a new file name, and the state goes over.

use swath_core::plan::Fate;
use swath_core::run::{Engine, Report};

use crate::build;
use crate::common::Place;

fn graph(library: &str, node: &str) -> String {
    format!(
        "version: 1
engine: {{ buffers: 4096 }}
plugins: {{ it: {library} }}
interfaces:
  a: {{ driver: memory, generate: {{ packets: ['udp 10.0.0.1:1 > 10.0.0.2:2'], rate: 100kpps, limit: 3000 }} }}
  b: {{ driver: memory }}
nodes:
  in:  {{ kind: rx, interface: a, to: it }}
  it:  {{ {node}, to: out }}
  out: {{ kind: tx, interface: b }}
"
    )
}

fn fate(report: &Report) -> Fate {
    report.diff.nodes.iter().find(|change| change.name == "it").unwrap().fate
}

fn sent(engine: &Engine) -> u64 {
    engine.counters()[0].interfaces[1].sent.get()
}

#[test]
fn state_goes_over_to_the_next_build_and_on_to_the_one_after() {
    let place = Place::new();
    let first = build::defects(&place, "libfirst.so");
    for name in ["libfirst-2.so", "libfirst-3.so"] {
        std::fs::copy(&first, place.path(name)).unwrap();
    }
    let limit = |library: &str, packets: u32| graph(library, &format!("kind: first, packets: {packets}"));
    let mut engine = build::engine(&place, &limit("libfirst.so", 1500));
    engine.step_until(10_000_000);
    assert!((900..=1100).contains(&sent(&engine)), "{}", sent(&engine));
    // The same build: kept, and then adopted.
    assert_eq!(fate(&build::apply(&mut engine, &place, &limit("libfirst.so", 1500))), Fate::Keep);
    assert_eq!(fate(&build::apply(&mut engine, &place, &limit("libfirst.so", 1600))), Fate::Adopt);
    let report = build::apply(&mut engine, &place, &limit("libfirst-2.so", 1600));
    assert_eq!((fate(&report), &report.not_carried[..]), (Fate::Convert, &[][..]));
    let report = build::apply(&mut engine, &place, &limit("libfirst-3.so", 1700));
    assert_eq!((fate(&report), &report.not_carried[..]), (Fate::Convert, &[][..]));
    engine.step_until(u64::MAX);
    // Had one of them started without state, more would have passed.
    assert_eq!((sent(&engine), build::dropped(&engine)), (1700, vec![("it.enough".into(), 1300)]));
}

#[test]
fn who_fails_on_the_way_starts_without_state_or_is_out_of_service() {
    let place = Place::new();
    let first = build::defects(&place, "libone.so");
    std::fs::copy(&first, place.path("libtwo.so")).unwrap();
    for (before, after, faults) in [("save", "nowhere", false), ("nowhere", "restore", false), ("nowhere", "nowhere", false)] {
        let node = |library: &str, at: &str| graph(library, &format!("kind: panics, at: {at}"));
        let mut engine = build::engine(&place, &node("libone.so", before));
        engine.step_until(10_000_000);
        let report = build::apply(&mut engine, &place, &node("libtwo.so", after));
        assert_eq!(fate(&report), Fate::Convert);
        let lost = before == "save" || after == "restore";
        assert_eq!(report.not_carried, if lost { vec!["it".to_owned()] } else { Vec::new() }, "{before} {after}");
        engine.step_until(u64::MAX);
        assert_eq!((sent(&engine) == 3000, build::dropped(&engine).is_empty()), (!faults, !faults), "{before} {after}");
    }
    // Within one build a panic in `adopt` takes the node out of service.
    let mut engine = build::engine(&place, &graph("libone.so", "kind: panics, at: adopt"));
    engine.step_until(10_000_000);
    let report = build::apply(&mut engine, &place, &graph("libone.so", "kind: panics, at: adopt, other: 1"));
    assert_eq!((fate(&report), report.not_carried), (Fate::Adopt, vec!["it".to_owned()]));
    engine.step_until(u64::MAX);
    let faults = 3000 - sent(&engine);
    assert!(faults > 1000);
    assert_eq!(build::dropped(&engine), vec![("it.fault".into(), faults)]);
}
