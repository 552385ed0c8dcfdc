//! Edges that a graph names: what is planned of them, and what is said of those that a kind cannot use. The snapshots are meant to be
//! read.

mod common;

use common::{build, plan, sound};
use insta::assert_snapshot;
use swath_core::plan::{Fate, Plan};

const GRAPH: &str = "
nodes:
  in: { kind: source, to: pick }
  pick: { kind: chooser, to: { p7: end, p0: pass, other: end } }
  pass: { kind: pass, to: end }
  end: { kind: end }
";

#[test]
fn they_follow_those_of_the_kind_by_name() {
    let plan = sound(GRAPH);
    let pick = plan.nodes.iter().find(|node| node.spec.name.value == "pick").unwrap();
    let edges: Vec<(&str, bool, Option<&str>)> = pick
        .edges
        .iter()
        .zip(&pick.targets)
        .map(|(edge, to)| (&*edge.name, edge.named, to.map(|to| plan.nodes[to].spec.name.value.as_str())))
        .collect();
    assert_eq!(
        edges,
        [("other", false, Some("end")), ("nothing", false, None), ("p0", true, Some("pass")), ("p7", true, Some("end"))]
    );
    assert_eq!(pick.edges[3].doc, "Packets of this port.");
    assert_eq!(build(GRAPH).shown, "");
}

#[test]
fn what_they_carry_is_checked() {
    let planned = plan(&GRAPH.replace("p7: end", "p7: in"));
    assert_snapshot!(planned.shown, @r"
    error[SW0205]: packets could go round in a circle: in.out → pick.p7 → in
     --> graph.yaml:5:36
      |
    4 |   in: { kind: source, to: pick }
      |                           ----
    5 |   pick: { kind: chooser, to: { p7: in, p0: pass, other: end } }
      |                                    ^^ this edge closes the circle
      |
      = help: what must be looked at again goes to another instance of the node on the same tables: add a second node of the same kind with the same settings and wire this edge to it

    error[SW0206]: `pick.p7` carries frame packets, `in` takes no packets of other nodes
     --> graph.yaml:5:36
      |
    4 |   in: { kind: source, to: pick }
      |               ------ this kind takes no packets of other nodes
    5 |   pick: { kind: chooser, to: { p7: in, p0: pass, other: end } }
      |                                    ^^ frame packets go here
      |
      = help: packets enter the graph there: wire this edge to the node behind it
    ");
}

#[test]
fn names_that_the_kind_cannot_use_are_refused_where_they_stand() {
    let planned = build(
        "
interfaces: { if0: { driver: 'null' }, if1: { driver: 'null' } }
nodes:
  in: { kind: source, interface: if0, to: pick }
  pick: { kind: chooser, routes: [{ via: nowhere }], to: { p1: end, p300: end, othr: end, if2: end, if1: end } }
  end: { kind: end }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0110]: nowhere is no place to go
     --> graph.yaml:6:42
      |
    6 |   pick: { kind: chooser, routes: [{ via: nowhere }], to: { p1: end, p300: end, othr: end, if2: end, if1: end } }
      |                                          ^^^^^^^

    error[SW0203]: `p300` is no port below p300
     --> graph.yaml:6:69
      |
    6 |   pick: { kind: chooser, routes: [{ via: nowhere }], to: { p1: end, p300: end, othr: end, if2: end, if1: end } }
      |                                                                     ^^^^

    error[SW0203]: `othr` is no port below p300
     --> graph.yaml:6:80
      |
    6 |   pick: { kind: chooser, routes: [{ via: nowhere }], to: { p1: end, p300: end, othr: end, if2: end, if1: end } }
      |                                                                                ^^^^
      |
      = help: did you mean `other`?

    error[SW0214]: unknown interface `if2`
     --> graph.yaml:6:91
      |
    6 |   pick: { kind: chooser, routes: [{ via: nowhere }], to: { p1: end, p300: end, othr: end, if2: end, if1: end } }
      |                                                                                           ^^^
      |
      = help: did you mean `if0`?
    ");
}

#[test]
fn a_kind_may_want_some() {
    assert_snapshot!(build(&GRAPH.replace("p7: end, p0: pass, ", "")).shown, @r"
    error[SW0204]: a chooser needs a port
     --> graph.yaml:5:32
      |
    5 |   pick: { kind: chooser, to: { other: end } }
      |                                ^^^^^

    warning[SW0209]: no packet can reach the node `pass`
     --> graph.yaml:6:3
      |
    6 |   pass: { kind: pass, to: end }
      |   ^^^^
      |
      = help: wire an edge of another node to it, or remove it
    ");
    assert_snapshot!(build(&GRAPH.replace("{ p7: end, p0: pass, other: end }", "{ p1: end, p1: end }")).shown, @r"
    error[SW0006]: the key `p1` is given twice
     --> graph.yaml:5:41
      |
    5 |   pick: { kind: chooser, to: { p1: end, p1: end } }
      |                                --       ^^ given again
      |                                |
      |                                first given here
      |
      = help: rename or remove one of the two

    warning[SW0209]: no packet can reach the node `pass`
     --> graph.yaml:6:3
      |
    6 |   pass: { kind: pass, to: end }
      |   ^^^^
      |
      = help: wire an edge of another node to it, or remove it
    ");
}

#[test]
fn their_number_is_limited() {
    let many = |count: u32| (0..count).map(|at| format!("p{at}: end, ")).collect::<String>();
    let graph = |count| GRAPH.replace("p7: end, p0: pass, ", &many(count));
    assert!(!build(&graph(254)).shown.contains("error"), "{}", build(&graph(254)).shown);
    let shown = build(&graph(255)).shown;
    assert!(shown.contains("`pick` has 255 named edges, a node of kind `chooser` has 254 at most"), "{shown}");
}

#[test]
fn other_names_make_a_node_anew_and_other_targets_do_not() {
    let fate = |from: &str, to: &str| {
        let diff = Plan::diff(&sound(GRAPH), &sound(&GRAPH.replace(from, to)));
        let pick = diff.nodes.iter().find(|node| node.name == "pick").unwrap();
        let edges = pick.edges.iter().map(|edge| format!("{}:{:?}->{:?}", edge.edge, edge.old, edge.new));
        (pick.fate, pick.because.len(), edges.collect::<Vec<_>>().join(" "))
    };
    assert_eq!(fate("p7: end, p0: pass", "p0: pass, p7: end"), (Fate::Keep, 0, String::new()));
    assert_eq!(fate("p7: end", "p7: pass"), (Fate::Keep, 0, r#"p7:Some("end")->Some("pass")"#.into()));
    assert_eq!(fate("p7: end", "p8: end"), (Fate::Adopt, 1, r#"p8:None->Some("end") p7:Some("end")->None"#.into()));
    assert_eq!(fate(", other: end", ""), (Fate::Keep, 0, r#"other:Some("end")->None"#.into()));
}
