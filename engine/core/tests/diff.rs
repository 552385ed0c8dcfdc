//! What a change of graphs means: a table of changes, and what holds for any two graphs.

mod common;

use std::collections::BTreeSet;

use common::sound;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use swath_core::plan::{Cause, Change, Diff, Fate, Plan, SettingChange, What};

/// A graph of which every case changes something.
const GRAPH: &str = "
engine: { workers: 2, buffers: 4096 }
interfaces:
  lan: { driver: 'null', mac: '02:00:00:00:00:01', addresses: [10.0.0.1/24], queue: 1 }
tables:
  base: { kind: base, routes: [{ prefix: a, via: x }, { prefix: b, via: x }, { prefix: c, via: y }] }
  top:  { kind: top, base: base }
  mid:  { kind: middle }
nodes:
  in:   { kind: untyped-source, interface: lan, to: pass }
  pass: { kind: pass, depth: 1, to: { out: mark, aside: end } }
  mark: { kind: marker, to: end }
  end:  { kind: end }
";

/// What a change of one part of [`GRAPH`] means: a line for everything that is not kept as it was.
fn change(from: &str, to: &str) -> Vec<String> {
    assert!(GRAPH.contains(from), "{from}");
    lines(&Plan::diff(&sound(GRAPH), &sound(&GRAPH.replacen(from, to, 1))))
}

fn lines(diff: &Diff) -> Vec<String> {
    let mut lines: Vec<String> = diff.engine.iter().map(|setting| format!("engine{}", words(setting))).collect();
    for change in diff.parts().filter(|change| change.fate != Fate::Keep || !change.edges.is_empty()) {
        lines.push(line(change));
    }
    assert_eq!(lines.is_empty(), diff.is_empty());
    lines
}

fn line(change: &Change) -> String {
    let mut line = format!("{} {:?}", change.name, change.fate).to_lowercase();
    if let Some(kind) = &change.replaces {
        line += &format!(" {kind}->{}", change.kind);
    }
    change.settings.iter().for_each(|setting| line += &words(setting));
    for edge in &change.edges {
        let end = |node: &Option<String>| node.clone().unwrap_or("-".into());
        line += &format!(" {}:{}->{}", edge.edge, end(&edge.old), end(&edge.new));
    }
    for cause in &change.because {
        line += &match cause {
            Cause::Interfaces => " (interfaces)".into(),
            Cause::Table { table } => format!(" (table {table})"),
            Cause::OnlyTable { kind, old, new } => format!(" (only {kind}: {old}->{new})"),
            Cause::Siblings => " (siblings)".into(),
            Cause::Edges => " (edges)".into(),
            Cause::Library { old, new } => format!(" library {old} to {new}"),
        };
    }
    if change.drops_held { line + " (held)" } else { line }
}

fn words(setting: &SettingChange) -> String {
    let path = &setting.path;
    match &setting.what {
        What::Added { new } => format!(" {path}+{new}"),
        What::Removed { old } => format!(" {path}-{old}"),
        What::Changed { old, new } => format!(" {path}={old}->{new}"),
        What::Reordered => format!(" {path} reordered"),
    }
}

#[test]
fn what_is_the_same_is_kept() {
    assert_eq!(change("engine", "engine"), [""; 0]);
    // Neither places in the file nor the order of keys and of sections mean anything.
    assert_eq!(change("{ prefix: a, via: x }", "{ via: x,   prefix: a }"), [""; 0]);
    assert_eq!(
        change(
            "  top:  { kind: top, base: base }\n  mid:  { kind: middle }",
            "  mid: {kind: middle}\n  top: {base: base, kind: top}"
        ),
        [""; 0]
    );
    assert_eq!(change("to: { out: mark, aside: end }", "to: { aside: end, out: mark }"), [""; 0]);
    let diff = Plan::diff(&sound(GRAPH), &sound(GRAPH));
    assert!(diff.is_empty());
    assert!(diff.parts().all(|change| change.fate == Fate::Keep));
    assert_eq!(diff.parts().count(), 1 + 3 + 4);
}

#[test]
fn settings_that_differ_are_adopted() {
    assert_eq!(change("depth: 1", "depth: 2"), ["pass adopt depth=1->2"]);
    assert_eq!(change("depth: 1, ", ""), ["pass adopt depth-1"]);
    assert_eq!(change("mark: { kind: marker, ", "mark: { kind: marker, deep: { x: [] }, "), ["mark adopt deep+{\"x\":[]}"]);
    // An integer is no number with a fraction, and no string.
    assert_eq!(change("depth: 1", "depth: 1.0"), ["pass adopt depth=1->1.0"]);
    assert_eq!(change("depth: 1", "depth: '1'"), ["pass adopt depth=1->\"1\""]);
    assert_eq!(change("mid:  { kind: middle }", "mid: { kind: middle, size: 5 }"), ["mid adopt size+5", "top adopt (table mid)"]);
}

#[test]
fn another_kind_starts_fresh_and_what_the_old_one_had_is_lost() {
    assert_eq!(change("kind: marker", "kind: large"), ["mark fresh marker->large"]);
    assert_eq!(change("end:  { kind: end }", "end:  { kind: pass }"), ["end fresh end->pass (held)"]);
    assert_eq!(change("mid:  { kind: middle }", "mid:  { kind: self }"), ["top adopt (table mid)", "mid fresh middle->self"]);
    let replaced = change("mid:  { kind: middle }", "mid:  { kind: self }\n  other: { kind: middle }");
    let node = |name: &str| format!("{name} adopt (only middle: mid->other)");
    assert_eq!(
        replaced,
        [
            "mid fresh middle->self".into(),
            "other fresh".into(),
            "top adopt (table mid) (table other)".into(),
            node("in"),
            node("pass"),
            node("mark"),
            node("end")
        ]
    );
}

#[test]
fn what_comes_is_fresh_and_what_goes_is_gone() {
    let wires = "out: mark, aside: end } }\n  mark: { kind: marker, to: end }";
    assert_eq!(
        change(wires, "out: new, aside: end } }\n  new: { kind: pass, to: mark }\n  mark: { kind: marker, to: end }"),
        ["pass keep out:mark->new", "new fresh"],
        "what is fresh has no edges that it had before"
    );
    assert_eq!(change(wires, "out: end, aside: end } }"), ["pass keep out:mark->end", "mark gone"]);
    assert_eq!(change("aside: end } }", "aside: rest } }\n  rest: { kind: end }"), ["pass keep aside:end->rest", "rest fresh"]);
    assert_eq!(change("  end:  { kind: end }", "  end:  { kind: end }\n  more: { kind: end }"), ["more fresh"]);
    assert_eq!(change("mid:  { kind: middle }\n", "\n"), ["top adopt (table mid)", "mid gone"]);
}

#[test]
fn a_node_that_is_only_rewired_is_kept() {
    assert_eq!(change("out: mark, aside: end", "out: end, aside: mark"), ["pass keep out:mark->end aside:end->mark"]);
    assert_eq!(change(", aside: end", ""), ["pass keep aside:end->-"]);
    assert_eq!(change("depth: 1, to: { out: mark", "depth: 2, to: { out: end"), ["pass adopt depth=1->2 out:mark->end"]);
    // The main edge by its name, or without it, is the same edge.
    assert_eq!(change("kind: marker, to: end", "kind: marker, to: { out: end }"), [""; 0]);
}

#[test]
fn elements_of_lists_are_paired_by_their_identity() {
    let routes = |to: &str| change("{ prefix: a, via: x }, { prefix: b, via: x }, { prefix: c, via: y }", to);
    // `top` and `mid` hold on to `base`: they are made anew with it.
    let base = |what: &str| {
        vec![format!("base adopt {what}"), "mid adopt (table base)".into(), "top adopt (table base) (table mid)".into()]
    };
    assert_eq!(routes("{ prefix: a, via: x }, { prefix: b, via: z }, { prefix: c, via: y }"), base("routes[1].via=\"x\"->\"z\""));
    assert_eq!(
        routes("{ prefix: d, via: x }, { prefix: a, via: x }, { prefix: b, via: x }, { prefix: c, via: y }"),
        base("routes[0]+{\"prefix\":\"d\",\"via\":\"x\"}")
    );
    assert_eq!(
        routes("{ prefix: b, via: x }, { prefix: c, via: y, metric: 1 }"),
        base("routes[0]-{\"prefix\":\"a\",\"via\":\"x\"} routes[1].metric+1")
    );
    assert_eq!(routes("{ prefix: b, via: x }, { prefix: a, via: x }, { prefix: c, via: y }"), base("routes reordered"));
    let diff = Plan::diff(&sound(GRAPH), &sound(&GRAPH.replacen("prefix: b, via: x", "prefix: b, via: z", 1)));
    let element = diff.tables[0].settings[0].element.as_ref().unwrap();
    assert_eq!((element.list.as_str(), element.index, &element.key), ("routes", 1, &Some(("prefix".into(), json!("b")))));
}

#[test]
fn elements_without_identity_are_paired_by_position() {
    // Of a list that holds something twice, the head and the tail that have stayed are left out.
    let (twice, more) = ("depth: [a, b, a, c]", "depth: [a, b, x, y, c]");
    let (old, new) = (GRAPH.replacen("depth: 1", twice, 1), GRAPH.replacen("depth: 1", more, 1));
    let diff = |old: &str, new: &str| lines(&Plan::diff(&sound(old), &sound(new)));
    assert_eq!(diff(&old, &new), ["pass adopt depth[2]=\"a\"->\"x\" depth[3]+\"y\""]);
    assert_eq!(diff(&new, &old), ["pass adopt depth[3]-\"y\" depth[2]=\"x\"->\"a\""]);
    let with = |list: &str| GRAPH.replacen("depth: 1", &format!("depth: {list}"), 1);
    assert_eq!(diff(&with("[1, 2, 3]"), &with("[1, 3]")), ["pass adopt depth[1]-2"], "scalars are their own identity");
    assert_eq!(diff(&with("[1, 2]"), &with("[3, 4]")), ["pass adopt depth[0]=1->3 depth[1]=2->4"], "unless none has stayed");
    assert_eq!(diff(&with("[]"), &with("[{ a: 1 }]")), ["pass adopt depth[0]+{\"a\":1}"]);
    assert_eq!(diff(&with("[[1], [1]]"), &with("[[1], [2]]")), ["pass adopt depth[1][0]=1->2"]);
}

#[test]
fn an_interface_is_the_same_by_driver_settings_mac_and_mtu() {
    // Whatever may look at interfaces is made anew.
    let all = |first: &str| {
        let rest =
            ["base adopt (interfaces)", "mid adopt (interfaces) (table base)", "top adopt (interfaces) (table base) (table mid)"];
        let nodes = ["in", "pass", "mark", "end"].map(|node| format!("{node} adopt (interfaces)"));
        [first.to_owned()].into_iter().chain(rest.map(Into::into)).chain(nodes).collect::<Vec<String>>()
    };
    assert_eq!(change("[10.0.0.1/24]", "[10.0.0.1/24, 10.0.1.1/24]"), all("lan adopt addresses[1]+\"10.0.1.1/24\""));
    assert_eq!(change("queue: 1", "queue: 2"), all("lan fresh null->null queue=1->2"));
    assert_eq!(change("mac: '02:00:00:00:00:01', ", ""), all("lan fresh null->null mac-\"02:00:00:00:00:01\""));
    assert_eq!(change("mac: '02:00:00:00:00:01'", "mtu: 1400, mac: '02:00:00:00:00:01'"), all("lan fresh null->null mtu+1400"));
    // The same address in other letters.
    assert_eq!(change("[10.0.0.1/24]", "['10.0.0.1/24']"), [""; 0]);
}

#[test]
fn the_engine_needs_a_restart() {
    assert_eq!(change("workers: 2", "workers: 1"), ["engine workers=2->1"]);
    assert_eq!(
        change("buffers: 4096", "cores: [0, 1], hugepages: never, buffer-size: 4096"),
        [
            "engine cores+[0,1]",
            "engine buffers=4096->16384",
            "engine buffer-size=2048->4096",
            "engine hugepages=\"auto\"->\"never\"",
        ]
    );
    // What is written and what holds without it is the same.
    assert_eq!(change("buffers: 4096", "buffers: 4096, buffer-size: 2048"), [""; 0]);
}

#[test]
fn as_json() {
    let new = GRAPH.replacen("depth: 1, to: { out: mark", "depth: 2, to: { out: end", 1).replacen("kind: marker", "kind: large", 1);
    let json = serde_json::to_value(Plan::diff(&sound(GRAPH), &sound(&new))).unwrap();
    let keep = |name: &str, kind: &str| json!({ "name": name, "fate": "keep", "kind": kind });
    let nodes = json!([
        keep("in", "untyped-source"),
        { "name": "pass", "fate": "adopt", "kind": "pass", "settings": [{ "path": "depth", "what": "changed", "old": 1, "new": 2 }],
          "edges": [{ "edge": "out", "old": "mark", "new": "end" }] },
        { "name": "mark", "fate": "fresh", "kind": "large", "replaces": "marker" },
        keep("end", "end"),
    ]);
    assert_eq!((&json["nodes"], &json["engine"], &json["interfaces"]), (&nodes, &json!([]), &json!([keep("lan", "null")])));
}

/// Values of few kinds, so that equal ones are frequent.
fn values() -> impl Strategy<Value = Json> {
    let word = prop_oneof!["t0", "t1", "a", "b"].prop_map(Json::from);
    let leaf = prop_oneof![Just(Json::Null), any::<bool>().prop_map(Json::from), (0..4).prop_map(Json::from), word];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[abc]", inner.clone(), 0..3).prop_map(|map| Json::Object(map.into_iter().collect())),
            // Lists as kinds have them: elements with the same keys.
            prop::collection::vec((0..5, 0..3), 0..5)
                .prop_map(|list| list.into_iter().map(|(a, b)| json!({ "a": a, "b": b })).collect()),
        ]
    })
}

prop_compose! {
    /// A graph of parts that come and go and are of this or that kind; JSON is YAML.
    fn graphs()(
        interfaces in prop::collection::btree_map("i[0-2]", (0..2, prop::option::of(0..2), any::<bool>()), 0..3),
        tables in prop::collection::btree_map("t[0-3]", (prop_oneof!["base", "middle", "top", "self"], values()), 0..4),
        nodes in prop::collection::btree_map("n[0-5]", (prop_oneof!["pass", "marker", "large"], values(), any::<[prop::sample::Index; 2]>()), 0..6),
    ) -> String {
        let interfaces: serde_json::Map<_, _> = interfaces.into_iter().map(|(name, (queue, mtu, address))| {
            let mut interface = json!({ "driver": "null", "queue": queue });
            if let Some(mtu) = mtu { interface["mtu"] = Json::from(1400 + mtu); }
            if address { interface["addresses"] = json!(["10.0.0.1/24"]); }
            (name, interface)
        }).collect();
        let tables: serde_json::Map<_, _> =
            tables.into_iter().map(|(name, (kind, value))| (name, json!({ "kind": kind, "x": value }))).collect();
        let names: Vec<String> = nodes.keys().cloned().chain(["end".into()]).collect();
        let mut wired = serde_json::Map::new();
        wired.insert("in".into(), json!({ "kind": "untyped-source", "to": names[0] }));
        wired.insert("end".into(), json!({ "kind": "end" }));
        for (at, (name, (kind, value, to))) in nodes.into_iter().enumerate() {
            // To a later one, so that there is no circle.
            let to = to.map(|to| names[at + 1..][to.index(names.len() - at - 1)].clone());
            let mut node = json!({ "kind": kind, "x": value, "to": { "out": to[0] } });
            if kind == "pass" { node["to"]["aside"] = to[1].clone().into(); }
            wired.insert(name, node);
        }
        format!("interfaces: {}\ntables: {}\nnodes: {}\n", Json::from(interfaces), Json::from(tables), Json::from(wired))
    }
}

/// The settings of a part as JSON: what the diff must tell apart, by another library's idea of equality.
fn settings(plan: &Plan, name: &str) -> Json {
    let table = plan.tables.iter().find(|table| table.spec.name.value == name).map(|table| &table.spec.settings);
    let node = plan.nodes.iter().find(|node| node.spec.name.value == name).map(|node| &node.spec.settings);
    table.or(node).unwrap().to_json()
}

fn names(plan: &Plan) -> [Vec<&str>; 3] {
    [
        plan.interfaces.iter().map(|interface| interface.spec.name.value.as_str()).collect(),
        plan.tables.iter().map(|table| table.spec.name.value.as_str()).collect(),
        plan.nodes.iter().map(|node| node.spec.name.value.as_str()).collect(),
    ]
}

/// What stands at a path of the form `a.b[3]`.
fn at<'a>(mut value: &'a Json, path: &str) -> &'a Json {
    for step in path.split(['.', '[']) {
        value = match step.strip_suffix(']') {
            Some(index) => &value[index.parse::<usize>().unwrap()],
            None => &value[step],
        };
    }
    value
}

proptest! {
    #[test]
    fn a_graph_is_kept_by_itself(text in graphs()) {
        let moved = format!("# Moved by a line.\n{}", text.replace(",", ",  "));
        let diff = Plan::diff(&sound(&text), &sound(&moved));
        prop_assert!(diff.is_empty(), "{diff:?}");
        prop_assert!(diff.parts().all(|change| change.fate == Fate::Keep));
    }

    #[test]
    fn every_name_has_one_fate(old in graphs(), new in graphs()) {
        let (old, new) = (sound(&old), sound(&new));
        let (diff, back) = (Plan::diff(&old, &new), Plan::diff(&new, &old));
        let sections = [&diff.interfaces, &diff.tables, &diff.nodes].into_iter().zip([&back.interfaces, &back.tables, &back.nodes]);
        for ((changes, backward), (before, after)) in sections.zip(names(&old).into_iter().zip(names(&new))) {
            let stay: Vec<&str> = changes.iter().filter(|change| change.fate != Fate::Gone).map(|change| change.name.as_str()).collect();
            prop_assert_eq!(&stay, &after, "what stays and what comes is the new graph");
            let all: BTreeSet<&str> = changes.iter().map(|change| change.name.as_str()).collect();
            prop_assert_eq!(all.len(), changes.len(), "once");
            prop_assert_eq!(all, before.iter().chain(&after).copied().collect::<BTreeSet<_>>());
            for change in changes {
                let back = backward.iter().find(|back| back.name == change.name).unwrap();
                let mirrored = match (change.fate, &change.replaces) {
                    (Fate::Fresh, None) => back.fate == Fate::Gone,
                    (Fate::Gone, _) => back.fate == Fate::Fresh && back.replaces.is_none(),
                    (fate, _) => back.fate == fate,
                };
                prop_assert!(mirrored, "{change:?} {back:?}");
            }
        }
    }

    #[test]
    fn settings_that_differ_are_found_and_only_those(old in graphs(), new in graphs()) {
        let (old, new) = (sound(&old), sound(&new));
        let diff = Plan::diff(&old, &new);
        let kept = |change: &&Change| change.fate != Fate::Gone && change.fate != Fate::Fresh;
        for change in diff.tables.iter().chain(&diff.nodes).filter(kept) {
            let (before, after) = (settings(&old, &change.name), settings(&new, &change.name));
            prop_assert_eq!(before == after, change.settings.is_empty(), "{:?}", change);
            for setting in &change.settings {
                match &setting.what {
                    What::Added { new } | What::Changed { new, .. } => prop_assert_eq!(at(&after, &setting.path), new),
                    What::Removed { old } if !setting.path.contains('[') => prop_assert_eq!(at(&before, &setting.path), old),
                    _ => {}
                }
            }
        }
    }
}
