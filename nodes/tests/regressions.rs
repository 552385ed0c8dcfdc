//! Defects that were found by review, each with the test that would have caught it.

mod common;

use std::time::Duration;

use common::Rig;

fn graph(interfaces: &str, nodes: &str) -> String {
    format!("version: 1\ninterfaces:\n  in: {{ driver: test }}\n  out: {{ driver: test{interfaces} }}\nnodes:\n{nodes}")
}

fn numbers(range: std::ops::Range<u32>) -> impl Iterator<Item = Vec<u8>> {
    range.map(|number| number.to_be_bytes().to_vec())
}

fn sent(rig: &Rig) -> Vec<u32> {
    rig.sent("out").iter().map(|frame| u32::from_be_bytes(frame[..].try_into().unwrap())).collect()
}

/// The clock that nodes see starts again at 0 with each `start`: ticks that were due later than the new clock do not come until it has
/// caught up. (Also from `step_until` to `start`.)
#[test]
fn ticks_go_on_after_a_restart() {
    let nodes = "  make: { kind: make, count: 1, every: 1000000, interface: out, to: tx }\n  tx: { kind: tx }\n";
    let mut rig = Rig::new(&graph("", nodes));
    rig.engine().start().unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    rig.engine().stop();
    let before = rig.count("make+made");
    assert!(before > 10);
    rig.engine().start().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    rig.engine().stop();
    assert!(rig.count("make+made") > before, "no tick in half a second, after {before} in one and a half");
}

/// Two edges of one node that lead to the same node: packets are not moved in their order, since the minority of a vector moves before
/// the majority. A flow whose packets take both (marked and not marked, say) is reordered inside each vector.
#[test]
fn two_edges_to_one_target_keep_the_order() {
    let nodes = "
  rx: { kind: rx, interface: in, to: fan }
  fan: { kind: fan, to: { out: tx, a: tx, b: tx, c: tx } }
  tx: { kind: tx, interface: out }
";
    let mut rig = Rig::new(&graph("", nodes));
    rig.feed("in", numbers(0..256));
    rig.run();
    assert_eq!(sent(&rig), Vec::from_iter(0..256));
}

/// A table of neighbours takes a static neighbour on an interface that it does not serve (`fib4` refuses the like).
#[test]
fn neighbours_are_on_served_interfaces_only() {
    use swath_api::testkit::TestKit;
    let kit = TestKit::new().interface("a", "02:00:00:00:00:01", 1500, &["10.0.0.1/24"]);
    let kit = kit.interface("b", "02:00:00:00:00:02", 1500, &["10.0.1.1/24"]);
    let settings = r#"{"interfaces": ["a"], "static": [{"address": "10.0.1.2", "mac": "02:00:00:00:00:99", "interface": "b"}]}"#;
    assert!(kit.try_table::<swath_nodes::neighbours::Neighbours>("n", settings).is_err());
}

/// While no worker runs (before `start`, after `stop`), nobody passes quiescent points: replaced memory of a `fib4` piles up until
/// changes are refused, though nobody can read it.
#[test]
fn routes_change_for_ever_while_the_engine_stands_still() {
    let text = "
version: 1
interfaces:
  a: { driver: test, addresses: [10.0.0.1/24] }
tables:
  n: { kind: neighbours }
  r: { kind: fib4, memory-mib: 1 }
nodes:
  rx: { kind: rx, interface: a, to: eth }
  eth: { kind: ethernet-input }
";
    let mut rig = Rig::new(text);
    for round in 0..100_000 {
        let add = format!(r#"{{"add": {{"prefix": "11.0.0.{}/32", "interface": "a"}}}}"#, round % 200);
        let remove = format!(r#"{{"remove": {{"prefix": "11.0.0.{}/32"}}}}"#, round % 200);
        for command in [add, remove] {
            rig.engine().command("r", &command).unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
    }
}

/// A drop reason (layer *any*) may be wired to a source, which takes no packets of other nodes: the packets then pass as if the
/// interface had received them.
#[test]
fn a_source_takes_no_packets_of_any_layer() {
    let nodes = "
  rx: { kind: rx, interface: in, to: eth }
  eth: { kind: ethernet-input, to: { not-ours: rx2 } }
  rx2: { kind: rx, interface: out, to: tx }
  tx: { kind: tx, interface: out }
";
    assert!(Rig::build(&graph("", nodes), None, &[]).is_err());
}

/// A failed `start` (a core that cannot be had) loses the graphs of the workers: the engine cannot be started again, and its receive
/// queues are gone.
#[test]
fn a_failed_start_loses_nothing() {
    let nodes = "  rx: { kind: rx, interface: in, to: tx }\n  tx: { kind: tx, interface: out }\n";
    let text = graph("", nodes).replace("version: 1", "version: 1\nengine: { workers: 2, cores: [0, 1000000] }");
    let mut rig = Rig::new(&text);
    assert!(rig.engine().start().is_err());
    assert_eq!(rig.engine().graphs_mut().len(), 2);
}

/// "Nodes that depend on nothing keep the order of the file" (plan/wiring.rs, `sort`): they do not. Whoever comes first has the first
/// claim on the 256 packets that ticks may make, and the message on two receivers of one interface calls the first of the file the second.
#[test]
fn independent_nodes_keep_the_order_of_the_file() {
    let nodes = "
  rx1: { kind: rx, interface: in, to: tx }
  rx2: { kind: rx, interface: out, to: tx }
  tx: { kind: tx, interface: out }
";
    let mut rig = Rig::new(&graph("", nodes));
    let names: Vec<String> = rig.engine().plan().nodes.iter().map(|node| node.spec.name.value.clone()).collect();
    assert_eq!(names, ["rx1", "rx2", "tx"]);
}

/// The router's own address and the martians can be removed by a command, and not be added again (no route can mean `local`).
#[test]
fn what_the_table_stands_for_cannot_be_removed() {
    let text = "
version: 1
interfaces:
  a: { driver: test, addresses: [10.0.0.1/24] }
tables:
  n: { kind: neighbours }
  r: { kind: fib4 }
nodes:
  rx: { kind: rx, interface: a, to: eth }
  eth: { kind: ethernet-input }
";
    let mut rig = Rig::new(text);
    for prefix in ["10.0.0.1/32", "10.0.0.0/24", "10.0.0.255/32", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32"] {
        assert!(rig.engine().command("r", &format!(r#"{{"remove": {{"prefix": "{prefix}"}}}}"#)).is_err(), "{prefix}");
        assert!(
            rig.engine().command("r", &format!(r#"{{"add": {{"prefix": "{prefix}", "blackhole": true}}}}"#)).is_err(),
            "{prefix}"
        );
    }
}
