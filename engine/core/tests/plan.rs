//! What the planner says of graphs whose wiring is wrong. The snapshots are meant to be read: does somebody who sees only the message
//! know what to change, and where?

mod common;

use common::plan;
use insta::assert_snapshot;

#[test]
fn unknown_words_are_reported_with_what_was_probably_meant() {
    let planned = plan(
        "
interfaces:
  lan: { driver: nul }
  wan: { driver: af-xdp }
tables:
  b: { kind: bass }
nodes:
  in: { kind: sorce, to: pass }
  pass: { kind: pass, to: { aside: ent, asid: end, nowhere: end } }
  end: { kind: end, to: { losst: pass } }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0210]: unknown driver `nul`
     --> graph.yaml:4:18
      |
    4 |   lan: { driver: nul }
      |                  ^^^
      |
      = help: did you mean `null`?

    error[SW0210]: unknown driver `af-xdp`
     --> graph.yaml:5:18
      |
    5 |   wan: { driver: af-xdp }
      |                  ^^^^^^
      |
      = help: a driver is one of: `null`

    error[SW0201]: unknown kind of table `bass`
     --> graph.yaml:7:14
      |
    7 |   b: { kind: bass }
      |              ^^^^
      |
      = help: did you mean `base`?

    error[SW0201]: unknown kind of node `sorce`
     --> graph.yaml:9:15
      |
    9 |   in: { kind: sorce, to: pass }
      |               ^^^^^
      |
      = help: did you mean `source`?

    error[SW0202]: unknown node `ent`
      --> graph.yaml:10:36
       |
    10 |   pass: { kind: pass, to: { aside: ent, asid: end, nowhere: end } }
       |                                    ^^^
       |
       = help: did you mean `end`?

    error[SW0203]: a node of kind `pass` has no edge `asid`
      --> graph.yaml:10:41
       |
    10 |   pass: { kind: pass, to: { aside: ent, asid: end, nowhere: end } }
       |                                         ^^^^
       |
       = help: did you mean `aside`?

    error[SW0203]: a node of kind `pass` has no edge `nowhere`
      --> graph.yaml:10:52
       |
    10 |   pass: { kind: pass, to: { aside: ent, asid: end, nowhere: end } }
       |                                                    ^^^^^^^
       |
       = help: its edges are: `out`, `aside`

    error[SW0203]: a node of kind `end` has no edge `losst`
      --> graph.yaml:11:27
       |
    11 |   end: { kind: end, to: { losst: pass } }
       |                           ^^^^^
       |
       = help: did you mean `lost`?
    ");
}

#[test]
fn targets_of_unknown_kinds_are_checked_all_the_same() {
    let planned = plan(
        "
nodes:
  in: { kind: source, to: strange }
  strange: { kind: something-else, to: { anything: end, other: missing } }
  end: { kind: end }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0201]: unknown kind of node `something-else`
     --> graph.yaml:5:20
      |
    5 |   strange: { kind: something-else, to: { anything: end, other: missing } }
      |                    ^^^^^^^^^^^^^^
      |
      = help: a kind of node is one of: `source`, `untyped-source`, `unwrap`, `read`, `pass`, `end`, `marker`, `reader`, `narrow-reader`, `large`, `larger`, `chooser`

    error[SW0202]: unknown node `missing`
     --> graph.yaml:5:64
      |
    5 |   strange: { kind: something-else, to: { anything: end, other: missing } }
      |                                                                ^^^^^^^
      |
      = help: a node is one of: `in`, `strange`, `end`
    ");
}

#[test]
fn a_required_edge_is_not_wired() {
    let planned = plan(
        "
nodes:
  in: { kind: source }
  too:
    kind: source
    to: {}
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0204]: the edge `out` of `in` is not wired
     --> graph.yaml:4:3
      |
    4 |   in: { kind: source }
      |   ^^ its packets would have nowhere to go: Frames as they come.
      |
      = help: add `to: { out: NODE }`

    error[SW0204]: the edge `out` of `too` is not wired
     --> graph.yaml:5:3
      |
    5 |   too:
      |   ^^^ its packets would have nowhere to go: Frames as they come.
      |
      = help: add `to: { out: NODE }`
    ");
}

#[test]
fn packets_that_do_not_leave_cannot_be_wired() {
    let planned = plan(
        "
nodes:
  in: { kind: source, to: end }
  end: { kind: end, to: { kept: other, arrived: other, sent: other, lost: other } }
  other: { kind: end }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0203]: `kept` of kind `end` cannot be wired: its packets do not leave the node
     --> graph.yaml:5:27
      |
    5 |   end: { kind: end, to: { kept: other, arrived: other, sent: other, lost: other } }
      |                           ^^^^
      |
      = help: its edges are: `lost`

    error[SW0203]: `arrived` of kind `end` cannot be wired: its packets do not leave the node
     --> graph.yaml:5:40
      |
    5 |   end: { kind: end, to: { kept: other, arrived: other, sent: other, lost: other } }
      |                                        ^^^^^^^
      |
      = help: its edges are: `lost`

    error[SW0203]: `sent` of kind `end` cannot be wired: its packets do not leave the node
     --> graph.yaml:5:56
      |
    5 |   end: { kind: end, to: { kept: other, arrived: other, sent: other, lost: other } }
      |                                                        ^^^^
      |
      = help: its edges are: `lost`
    ");
}

#[test]
fn a_kind_without_a_main_edge() {
    let planned = plan(
        "
nodes:
  in: { kind: source, to: end }
  end: { kind: end, to: other }
  other: { kind: end }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0203]: a node of kind `end` has no main edge
     --> graph.yaml:5:25
      |
    5 |   end: { kind: end, to: other }
      |                         ^^^^^
      |
      = help: name the edge: `to: { lost: other }`
    ");
}

#[test]
fn a_cycle_of_two() {
    let planned = plan(
        "
nodes:
  in: { kind: source, to: a }
  a: { kind: pass, to: b }
  b: { kind: pass, to: { aside: a } }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0205]: packets could go round in a circle: a.out → b.aside → a
     --> graph.yaml:6:33
      |
    5 |   a: { kind: pass, to: b }
      |                        -
    6 |   b: { kind: pass, to: { aside: a } }
      |                                 ^ this edge closes the circle
      |
      = help: what must be looked at again goes to another instance of the node on the same tables: add a second node of the same kind with the same settings and wire this edge to it
    ");
}

#[test]
fn a_node_that_leads_to_itself() {
    let planned = plan(
        "
nodes:
  in: { kind: untyped-source, to: a }
  a: { kind: pass, to: { out: end, aside: a } }
  end: { kind: end }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0205]: packets could go round in a circle: a.aside → a
     --> graph.yaml:5:43
      |
    5 |   a: { kind: pass, to: { out: end, aside: a } }
      |                                           ^ this edge closes the circle
      |
      = help: what must be looked at again goes to another instance of the node on the same tables: add a second node of the same kind with the same settings and wire this edge to it
    ");
}

#[test]
fn cycles_inside_a_larger_graph() {
    let planned = plan(
        "
nodes:
  in: { kind: untyped-source, to: first }
  first: { kind: pass, to: { out: a, aside: end } }
  a: { kind: pass, to: { out: end, aside: b } }
  b: { kind: pass, to: { out: c, aside: end } }
  c: { kind: pass, to: { out: x, aside: a } }
  x: { kind: pass, to: { aside: y } }
  y: { kind: pass, to: x }
  end: { kind: end }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0205]: packets could go round in a circle: a.aside → b.out → c.aside → a
     --> graph.yaml:8:41
      |
    6 |   a: { kind: pass, to: { out: end, aside: b } }
      |                                           -
    7 |   b: { kind: pass, to: { out: c, aside: end } }
      |                               -
    8 |   c: { kind: pass, to: { out: x, aside: a } }
      |                                         ^ this edge closes the circle
      |
      = help: what must be looked at again goes to another instance of the node on the same tables: add a second node of the same kind with the same settings and wire this edge to it

    error[SW0205]: packets could go round in a circle: x.aside → y.out → x
      --> graph.yaml:10:24
       |
     9 |   x: { kind: pass, to: { aside: y } }
       |                                 -
    10 |   y: { kind: pass, to: x }
       |                        ^ this edge closes the circle
       |
       = help: what must be looked at again goes to another instance of the node on the same tables: add a second node of the same kind with the same settings and wire this edge to it
    ");
}

#[test]
fn an_edge_carries_what_its_target_does_not_take() {
    let planned = plan(
        "
nodes:
  in: { kind: source, to: unwrap }
  unwrap: { kind: unwrap, to: { letter: read, parcel: read2 } }
  read: { kind: read, to: unwrap2 }
  read2: { kind: read }
  unwrap2: { kind: unwrap }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0206]: `unwrap.parcel` carries parcel packets, `read2` takes letter packets
     --> graph.yaml:5:55
      |
    5 |   unwrap: { kind: unwrap, to: { letter: read, parcel: read2 } }
      |                                                       ^^^^^ parcel packets go here
    6 |   read: { kind: read, to: unwrap2 }
    7 |   read2: { kind: read }
      |                  ---- this kind takes letter packets
      |
      = help: wire this edge to a node that takes parcel packets

    error[SW0206]: `read.out` carries letter packets, `unwrap2` takes frame packets
     --> graph.yaml:6:27
      |
    6 |   read: { kind: read, to: unwrap2 }
      |                           ^^^^^^^ letter packets go here
    7 |   read2: { kind: read }
    8 |   unwrap2: { kind: unwrap }
      |                    ------ this kind takes frame packets
      |
      = help: wire this edge to a node that takes letter packets
    ");
}

#[test]
fn a_layer_goes_through_kinds_that_take_any() {
    let planned = plan(
        "
nodes:
  in: { kind: source, to: unwrap }
  unwrap: { kind: unwrap, to: { letter: a, parcel: b, torn: read } }
  a: { kind: pass, to: { out: read, aside: c } }
  b: { kind: pass, to: c }
  c: { kind: pass, to: read2 }
  read: { kind: read, to: end }
  read2: { kind: read }
  end: { kind: end }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0206]: `c.out` carries parcel packets, `read2` takes letter packets
      --> graph.yaml:8:24
       |
     8 |   c: { kind: pass, to: read2 }
       |                        ^^^^^ parcel packets go here
     9 |   read: { kind: read, to: end }
    10 |   read2: { kind: read }
       |                  ---- this kind takes letter packets
       |
       = help: wire this edge to a node that takes parcel packets
    ");
}

#[test]
fn a_source_takes_no_packets() {
    let planned = plan(
        "
nodes:
  in: { kind: source, to: pass }
  pass: { kind: pass, to: in2 }
  in2: { kind: source, to: end }
  end: { kind: end }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0206]: `pass.out` carries frame packets, `in2` takes no packets of other nodes
     --> graph.yaml:5:27
      |
    5 |   pass: { kind: pass, to: in2 }
      |                           ^^^ frame packets go here
    6 |   in2: { kind: source, to: end }
      |                ------ this kind takes no packets of other nodes
      |
      = help: packets enter the graph there: wire this edge to the node behind it
    ");
}
