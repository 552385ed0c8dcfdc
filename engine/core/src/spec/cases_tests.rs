//! The section `tests`: what is read, and what is said of mistakes in it.

use insta::assert_snapshot;

use super::super::{SourceMap, Spec};
use super::*;

fn read(tests: &str) -> (Vec<TestSpec>, Vec<String>, String) {
    let mut sources = SourceMap::new();
    let id = sources.add("router.yaml", format!("version: 1\nnodes: {{ sink: {{ kind: drop }} }}\n{tests}"));
    let mut diagnostics = Diagnostics::new();
    let spec = Spec::read(id, &mut sources, &crate::spec::Nothing, &mut diagnostics);
    let codes = diagnostics.sorted().iter().map(|one| one.code.text().to_owned()).collect();
    (spec.tests, codes, diagnostics.render(&sources, false))
}

#[test]
fn a_test_is_a_step_or_a_list_of_them() {
    let (tests, _, said) = read(
        "tests:
  - name: one
    in: { lan: udp 10.0.0.1:1 > 10.0.0.2:2 }
    out: { wan: [a, { pcap: out.pcap }], lan: [] }
    drops: { a/b.no-route: 18446744073709551615, x: 1 }
  - name: ' two '
    steps:
      - { in: { lan: a } }
      - { at: 30s }
      - { at: 1min, out: {} }
",
    );
    assert_eq!(said, "");
    let [one, two] = &tests[..] else { panic!("{tests:?}") };
    let [step] = &one.steps[..] else { panic!("{one:?}") };
    let text = |packet: &PacketSpec| match packet {
        PacketSpec::Text(text) => text.value.clone(),
        PacketSpec::Capture(path) => format!("pcap {}", path.value),
    };
    let traffic = |traffic: &[TrafficSpec]| -> Vec<(String, Vec<String>)> {
        traffic.iter().map(|one| (one.interface.value.clone(), one.packets.iter().map(text).collect())).collect()
    };
    assert_eq!(traffic(&step.input), [("lan".into(), vec!["udp 10.0.0.1:1 > 10.0.0.2:2".into()])]);
    assert_eq!(traffic(&step.output), [("wan".into(), vec!["a".into(), "pcap out.pcap".into()]), ("lan".into(), vec![])]);
    let drops: Vec<_> = step.drops.iter().map(|drop| (drop.parts(), drop.count.value)).collect();
    assert_eq!(drops, [(Some(("a/b", "no-route")), u64::MAX), (None, 1)]);
    assert_eq!((&*one.name.value, &*two.name.value), ("one", "two"));
    let times: Vec<_> = two.steps.iter().map(|step| step.at.map(|at| at.value.as_secs())).collect();
    assert_eq!(times, [None, Some(30), Some(60)]);
    for nothing in ["tests:", "tests: []"] {
        let (tests, _, said) = read(nothing);
        assert_eq!((tests, &*said), (Vec::new(), ""));
    }
}

#[test]
fn times_have_units() {
    let at = |text: &str| {
        let (tests, codes, _) = read(&format!("tests: [{{ name: x, at: {text} }}]"));
        match &codes[..] {
            [] => Ok(tests[0].steps[0].at.unwrap().value.as_nanos()),
            [code] => Err(code.clone()),
            _ => panic!("{text}: {codes:?}"),
        }
    };
    for (text, nanoseconds) in [
        ("0s", 0),
        ("7ns", 7),
        ("7us", 7_000),
        ("500ms", 500_000_000),
        ("30s", 30_000_000_000),
        ("2min", 120_000_000_000),
        ("1.5s", 1_500_000_000),
        ("1h", 3_600_000_000_000),
        ("18446744073709551615ns", u128::from(u64::MAX)),
    ] {
        assert_eq!(at(text), Ok(nanoseconds), "{text}");
    }
    for text in ["s", "''", "5", "1.5", "'2 min'", "-1s", "5 parsecs", "5S", "99999999999h", "18446744073709551616ns", "[]", "null"]
    {
        let code = at(text).expect_err(text);
        assert!(["SW0106", "SW0107"].contains(&code.as_str()), "{text}: {code}");
    }
}

#[test]
fn all_mistakes_are_reported() {
    let (tests, _, said) = read(
        "tests:
  - in: { lan: a }
    ut: 1
  - name: twice
    at: 30
    out: [wan]
  - name: twice
    in: { lan: [a, 17, { file: x }, { pcap: '' }] }
    drops: { a.b: two, a.c: 0, a.d: -1 }
  - name: steps
    out: {}
    steps:
      - { at: 5s }
      - { at: 5s }
      - { }
      - 7
  - name: \"a\\nb\"
    steps: {}
  - name: nothing
  - what
",
    );
    assert_snapshot!(said);
    assert_eq!(tests.len(), 6, "what can be read is read");
}

#[test]
fn the_section_is_a_list() {
    assert_snapshot!(read("tests: { a: {} }").2, @r"
    error[SW0106]: expected a list, found a mapping
     --> router.yaml:3:8
      |
    3 | tests: { a: {} }
      |        ^^^^^^^^^ expected a list
    ");
}
