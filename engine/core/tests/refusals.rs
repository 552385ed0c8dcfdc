//! What is said of graphs whose parts do not fit: slots, interfaces, buffers, and settings that kinds refuse. And what is planned for
//! those that are sound.

mod common;

use common::{build, plan};
use insta::assert_snapshot;

#[test]
fn a_slot_that_is_not_written_on_every_path() {
    let planned = plan(
        "
nodes:
  in: { kind: source, to: fork }
  fork: { kind: pass, to: { out: mark, aside: straight } }
  mark: { kind: marker, to: join }
  straight: { kind: pass, to: join }
  join: { kind: pass, to: read }
  read: { kind: reader }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0207]: `read` reads the slot `mark`, which is not written
     --> graph.yaml:9:17
      |
    9 |   read: { kind: reader }
      |                 ^^^^^^ on the path in → fork → straight → join → read
      |
      = help: put a node that writes `mark` on this path
    ");
}

#[test]
fn a_slot_that_a_node_writes_behind_its_reader() {
    let planned = plan(
        "
nodes:
  in: { kind: untyped-source, to: read }
  read: { kind: reader, to: mark }
  mark: { kind: marker }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0207]: `read` reads the slot `mark`, which is not written
     --> graph.yaml:5:17
      |
    5 |   read: { kind: reader, to: mark }
      |                 ^^^^^^ on the path in → read
      |
      = help: put a node that writes `mark` on this path
    ");
}

#[test]
fn what_is_sound_is_judged_beside_what_is_not() {
    let planned = plan(
        "
interfaces:
  lan: { driver: 'nul' }
tables:
  broken: { kind: bas }
nodes:
  in: { kind: source, interface: lna, to: fork }
  fork: { kind: pass, to: { out: mark, aside: read } }
  mark: { kind: marker, to: raed }
  read: { kind: reader, to: read2 }
  lost: { kind: passs, to: behind }
  behind: { kind: reader, to: a }
  a: { kind: pass, routes: 5, to: b }
  b: { kind: pass, to: a }
  read2: { kind: reader, colour: red }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0210]: unknown driver `nul`
     --> graph.yaml:4:18
      |
    4 |   lan: { driver: 'nul' }
      |                  ^^^^^
      |
      = help: did you mean `null`?

    error[SW0201]: unknown kind of table `bas`
     --> graph.yaml:6:19
      |
    6 |   broken: { kind: bas }
      |                   ^^^
      |
      = help: did you mean `base`?

    error[SW0214]: unknown interface `lna`
     --> graph.yaml:8:34
      |
    8 |   in: { kind: source, interface: lna, to: fork }
      |                                  ^^^
      |
      = help: did you mean `lan`?

    error[SW0202]: unknown node `raed`
      --> graph.yaml:10:29
       |
    10 |   mark: { kind: marker, to: raed }
       |                             ^^^^
       |
       = help: did you mean `read`?

    error[SW0207]: `read` reads the slot `mark`, which is not written
      --> graph.yaml:11:17
       |
    11 |   read: { kind: reader, to: read2 }
       |                 ^^^^^^ on the path in → fork → read
       |
       = help: put a node that writes `mark` on this path

    error[SW0201]: unknown kind of node `passs`
      --> graph.yaml:12:17
       |
    12 |   lost: { kind: passs, to: behind }
       |                 ^^^^^
       |
       = help: did you mean `pass`?

    error[SW0106]: expected a list, found integer 5
      --> graph.yaml:14:28
       |
    14 |   a: { kind: pass, routes: 5, to: b }
       |                            ^ expected a list
       |
       = help: write `[value]` for a list with one value

    error[SW0205]: packets could go round in a circle: a.out → b.out → a
      --> graph.yaml:15:24
       |
    14 |   a: { kind: pass, routes: 5, to: b }
       |                                   -
    15 |   b: { kind: pass, to: a }
       |                        ^ this edge closes the circle
       |
       = help: what must be looked at again goes to another instance of the node on the same tables: add a second node of the same kind with the same settings and wire this edge to it

    error[SW0207]: `read2` reads the slot `mark`, which is not written
      --> graph.yaml:16:18
       |
    16 |   read2: { kind: reader, colour: red }
       |                  ^^^^^^ on the path in → fork → read → read2
       |
       = help: put a node that writes `mark` on this path

    error[SW0104]: unknown key `colour`
      --> graph.yaml:16:26
       |
    16 |   read2: { kind: reader, colour: red }
       |                          ^^^^^^ not known here
       |
       = help: known keys: `interface`, `routes`, `kind`, `to`
    ");
}

#[test]
fn a_slot_of_two_types() {
    let planned = plan(
        "
nodes:
  in: { kind: source, to: mark }
  mark: { kind: marker, to: read }
  read: { kind: narrow-reader }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0208]: the slot `mark` has another type in another kind
     --> graph.yaml:6:17
      |
    6 |   read: { kind: narrow-reader }
      |                 ^^^^^^^^^^^^^ this kind declares it, with 1 byte
    ");
}

#[test]
fn slots_that_do_not_fit() {
    let planned = plan(
        "
nodes:
  in: { kind: source, to: large }
  large: { kind: large, to: larger }
  larger: { kind: larger, to: mark }
  mark: { kind: marker, to: end }
  end: { kind: end }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0208]: no room for the slot `larger`: all slots of a graph together have 48 bytes
     --> graph.yaml:6:19
      |
    6 |   larger: { kind: larger, to: mark }
      |                   ^^^^^^ this kind declares it, with 40 bytes
    ");
}

#[test]
fn nodes_that_no_packet_reaches() {
    let planned = plan(
        "
nodes:
  in: { kind: source, to: end }
  alone: { kind: pass, to: after }
  after: { kind: pass, to: end }
  end: { kind: end }
",
    );
    assert_snapshot!(planned.shown, @r"
    warning[SW0209]: no packet can reach the node `alone`
     --> graph.yaml:5:3
      |
    5 |   alone: { kind: pass, to: after }
      |   ^^^^^
      |
      = help: wire an edge of another node to it, or remove it

    warning[SW0209]: no packet can reach the node `after`
     --> graph.yaml:6:3
      |
    6 |   after: { kind: pass, to: end }
      |   ^^^^^
      |
      = help: wire an edge of another node to it, or remove it
    ");
}

#[test]
fn two_nodes_receive_from_one_interface() {
    let planned = build(
        "
interfaces:
  lan: { driver: 'null' }
nodes:
  one: { kind: source, interface: lan, to: end }
  two:
    kind: source
    interface: lan
    to: end
  end: { kind: end }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0212]: two nodes receive from the interface `lan`
     --> graph.yaml:7:3
      |
    6 |   one: { kind: source, interface: lan, to: end }
      |   --- the first
    7 |   two:
      |   ^^^ the second
      |
      = help: remove `two`, and lead the edge of `one` to where both have theirs
    ");
}

#[test]
fn an_mtu_that_no_buffer_holds() {
    let planned = build(
        "
engine: { buffer-size: 1536 }
interfaces:
  lan: { driver: 'null', mtu: 9000 }
  wan: { driver: 'null' }
nodes:
  one: { kind: source, interface: lan, to: end }
  end: { kind: end }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0211]: packets of 9000 bytes do not fit into a buffer
     --> graph.yaml:5:31
      |
    5 |   lan: { driver: 'null', mtu: 9000 }
      |                               ^^^^ a buffer takes 1600 bytes, of which 22 are kept for the link-layer header
      |
      = help: raise `engine.buffer-size` to 9022 or lower the MTU
    ");
}

#[test]
fn settings_that_kinds_refuse() {
    let planned = build(
        "
interfaces:
  lan: { driver: 'null' }
nodes:
  one: { kind: source, interface: lam, to: end }
  two:
    kind: source
    to: end
    routes:
      - { via: somewhere }
      - via: nowhere
  three: { kind: source, to: end, colour: red }
  four: { kind: source, to: end, routes: [{ by: car }] }
  five: { kind: source, to: end, routes: 7 }
  end: { kind: end }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0214]: unknown interface `lam`
     --> graph.yaml:6:35
      |
    6 |   one: { kind: source, interface: lam, to: end }
      |                                   ^^^
      |
      = help: did you mean `lan`?

    error[SW0110]: nowhere is no place to go
      --> graph.yaml:12:14
       |
    12 |       - via: nowhere
       |              ^^^^^^^

    error[SW0104]: unknown key `colour`
      --> graph.yaml:13:35
       |
    13 |   three: { kind: source, to: end, colour: red }
       |                                   ^^^^^^ not known here
       |
       = help: known keys: `interface`, `routes`, `kind`, `to`

    error[SW0105]: the key `via` is missing
      --> graph.yaml:14:43
       |
    14 |   four: { kind: source, to: end, routes: [{ by: car }] }
       |                                           ^^^^^^^^^^^ `via` is missing
       |
       = help: add `via: ...`

    error[SW0104]: unknown key `by`
      --> graph.yaml:14:45
       |
    14 |   four: { kind: source, to: end, routes: [{ by: car }] }
       |                                             ^^ not known here
       |
       = help: known keys: `via`

    error[SW0106]: expected a list, found integer 7
      --> graph.yaml:15:42
       |
    15 |   five: { kind: source, to: end, routes: 7 }
       |                                          ^ expected a list
       |
       = help: write `[value]` for a list with one value
    ");
}

#[test]
fn settings_that_tables_refuse() {
    let planned = build(
        "
tables:
  good: { kind: base }
  bad: { kind: base, routes: [{ via: there }, { via: nowhere }] }
nodes:
  in: { kind: source, to: end }
  end: { kind: end }
",
    );
    assert_snapshot!(planned.shown, @r"
    warning[SW0221]: no node uses the table `good`
     --> graph.yaml:4:3
      |
    4 |   good: { kind: base }
      |   ^^^^
      |
      = help: name it in the settings of a node, or remove it

    warning[SW0221]: no node uses the table `bad`
     --> graph.yaml:5:3
      |
    5 |   bad: { kind: base, routes: [{ via: there }, { via: nowhere }] }
      |   ^^^
      |
      = help: name it in the settings of a node, or remove it

    error[SW0110]: nowhere is no place to go
     --> graph.yaml:5:54
      |
    5 |   bad: { kind: base, routes: [{ via: there }, { via: nowhere }] }
      |                                                      ^^^^^^^
    ");
}

#[test]
fn settings_that_drivers_refuse() {
    let planned = build(
        "
interfaces:
  lan: { driver: 'null', device: eth7 }
  wan: { driver: 'null', device: eth8 }
nodes:
  in: { kind: source, to: end }
  end: { kind: end }
",
    );
    assert_snapshot!(planned.shown, @r"
    error[SW0110]: there is no device eth7
     --> graph.yaml:4:34
      |
    4 |   lan: { driver: 'null', device: eth7 }
      |                                  ^^^^

    error[SW0110]: there is no device eth8
     --> graph.yaml:5:34
      |
    5 |   wan: { driver: 'null', device: eth8 }
      |                                  ^^^^
    ");
}

#[test]
fn sound_graphs() {
    let planned = build(
        "
interfaces:
  lan: { driver: 'null', mtu: 1500 }
nodes:
  end: { kind: end }
  read: { kind: reader, to: end }
  mark: { kind: marker, to: read }
  other-mark: { kind: marker, to: read }
  letters: { kind: read, to: mark }
  unwrap: { kind: unwrap, to: { letter: letters, parcel: other-mark, torn: end } }
  in: { kind: source, interface: lan, to: unwrap }
",
    );
    assert_eq!(planned.shown, "");
    let at = |name: &str| planned.nodes.iter().position(|node| node == name).expect("a node of the graph");
    for (from, to) in
        [("in", "unwrap"), ("unwrap", "letters"), ("unwrap", "other-mark"), ("letters", "mark"), ("mark", "read"), ("read", "end")]
    {
        assert!(at(from) < at(to), "{from} before {to}: {:?}", planned.nodes);
    }
    assert_eq!(planned.nodes.len(), 7);
}

#[test]
fn tables_come_after_those_that_they_use() {
    let order = |tables: &str| {
        let planned = build(&format!("tables:\n{tables}nodes:\n  in: {{ kind: source, to: end }}\n  end: {{ kind: end }}\n"));
        assert!(!planned.shown.contains("error"), "{}", planned.shown);
        planned.tables.join(" ")
    };
    assert_eq!(order("  t: { kind: top }\n  m: { kind: middle }\n  b: { kind: base }\n"), "b m t");
    assert_eq!(order("  m2: { kind: middle }\n  b2: { kind: base }\n  t: { kind: top }\n  b1: { kind: base }\n"), "b2 b1 m2 t");
    // Those that depend on nothing keep their order.
    assert_eq!(order("  c: { kind: base }\n  a: { kind: base }\n  b: { kind: base }\n"), "c a b");
    // A kind that uses itself: the file's order decides.
    assert_eq!(order("  y: { kind: self }\n  x: { kind: self }\n"), "y x");
}

#[test]
fn all_nodes_of_a_long_cycle_are_named() {
    let mut text = "nodes:\n  in: { kind: untyped-source, to: n0 }\n".to_string();
    (0..50).for_each(|at| text += &format!("  n{at}: {{ kind: pass, to: n{} }}\n", (at + 1) % 50));
    let way: String = (0..50).map(|at| format!("n{at}.out → ")).collect();
    assert!(plan(&text).shown.contains(&format!("packets could go round in a circle: {way}n0\n")));
}
