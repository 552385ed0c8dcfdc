//! What goes away, comes back, is taken away, or is too much.

use serde_json::Value;

use super::common;
use super::common::hosts::Net;
use super::{DEFAULT, count, refused, router, state, two_hosts};

/// A wire between two devices.
pub fn wire(a: &str, b: &str) -> String {
    format!(
        "version: 1
interfaces:
  a: {{ driver: af-xdp, {a} }}
  b: {{ driver: af-xdp, {b} }}
nodes:
  a-rx: {{ kind: rx, interface: a, to: b-tx }}
  b-rx: {{ kind: rx, interface: b, to: a-tx }}
  a-tx: {{ kind: tx, interface: a }}
  b-tx: {{ kind: tx, interface: b }}
"
    )
}

/// What can be set of the devices of `r`.
fn everything(net: &Net) -> String {
    let of = |device| {
        let features = net.sh("r", &format!("ethtool -k {device}"));
        net.ip("r", &format!("-d link show {device}")) + &features + &net.sh("r", &format!("ethtool -l {device}"))
    };
    of("r-a") + &of("r-b")
}

#[test]
fn after_a_kill_the_kernel_has_everything_again() {
    let Some(net) = two_hosts() else { return };
    net.ip("r", "link set r-a address 02:00:00:00:00:01");
    net.ip("r", "address add 10.0.1.1/24 dev r-a");
    assert!(net.comes_back("a", "10.0.1.1"), "the kernel answers");
    let before = everything(&net);
    for ends in ["kill", "group", "end"] {
        // `setsid` makes it the leader of a group.
        let swath = net.swath_by("r", "setsid", &router("", DEFAULT, DEFAULT));
        assert_eq!(state(&net, "r", "r-a"), (true, "1".into()));
        assert_eq!(net.ping("a", 2, "10.0.2.2"), 2);
        assert_eq!(net.ping("a", 1, "10.0.1.1"), 0, "it is swath that has the device");
        // There is no other process: `ip netns exec` becomes swath.
        match ends {
            "kill" => swath.kill(),
            "group" => swath.kill_group(),
            _ => drop(swath.end()),
        }
        assert!(net.comes_back("a", "10.0.1.1"), "the kernel answers again");
        assert_eq!(everything(&net), before, "{ends}");
        assert_eq!(state(&net, "r", "r-a"), (false, "0".into()));
        if common::has("bpftool") {
            let left = net.sh("r", "bpftool -j net show");
            assert!(left.contains(r#""xdp":[]"#), "{left}");
        }
    }
}

#[test]
fn a_link_goes_down_and_devices_away_and_all_come_back() {
    let Some(net) = two_hosts() else { return };
    let mut swath = net.swath("r", &router("workers: 2", DEFAULT, DEFAULT));
    assert_eq!(net.ping("a", 1, "10.0.2.2"), 1);
    net.ip("r", "link set r-b down");
    swath.says("`r-b` is down: `ip link set r-b up` interface=b\n");
    assert_eq!(net.ping("a", 3, "10.0.2.2"), 0);
    net.ip("r", "link set r-b up");
    swath.says("`r-b` is up interface=b\n");
    assert!(net.comes_back("a", "10.0.2.2"));
    assert_eq!(net.ping("a", 5, "10.0.2.2"), 5);
    // The device's other end goes with its namespace, and the device with that.
    net.remove("b");
    swath.says("`r-b` is gone; waiting for it to return interface=b\n");
    assert_eq!(net.ping("a", 5, "10.0.2.2"), 0);
    net.add("b");
    net.host("b", 2);
    swath.says("`r-b` is back interface=b\n");
    assert!(net.comes_back("a", "10.0.2.2"));
    assert_eq!(net.ping("a", 10, "10.0.2.2"), 10);
    assert_eq!(net.ping("b", 10, "10.0.1.2"), 10);
    // The first of both, whose socket has registered the memory.
    net.ip("r", "link del r-a");
    swath.says("`r-a` is gone; waiting for it to return interface=a\n");
    net.host("a", 1);
    swath.says("`r-a` is back interface=a\n");
    assert!(net.comes_back("b", "10.0.1.2"));
    assert_eq!(net.ping("a", 10, "10.0.2.2"), 10);
    let (report, log) = swath.end();
    // Where a link is down, its routes do not count, once the tables know.
    let lost = count(&report, "/dropped/tx/link-down") + count(&report, "/dropped/lookup/no-route");
    assert!(lost >= 3 + 5, "{log}");
    assert_eq!(count(&report, "/received"), count(&report, "/sent") + lost, "{log}");
}

#[test]
fn a_program_that_somebody_takes_off_is_put_back() {
    let Some(net) = two_hosts() else { return };
    if !common::has("bpftool") {
        return;
    }
    let mut swath = net.swath("r", &router("", DEFAULT, DEFAULT));
    let links: Value = serde_json::from_str(&net.sh("r", "bpftool -j link show")).unwrap();
    let device = net.ip("r", "-d link show r-a");
    let program: u64 = device.split("prog/xdp id ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let link = links.as_array().unwrap().iter().find(|link| link["prog_id"] == program).unwrap_or_else(|| panic!("{links}"));
    net.sh("r", &format!("bpftool link detach id {}", link["id"]));
    swath.says("somebody has taken the program off `r-a`; it is attached again interface=a\n");
    assert!(state(&net, "r", "r-a").0);
    assert_eq!(net.ping("a", 10, "10.0.2.2"), 10);
    swath.end();
}

/// What the program drops for a node it drops again when a device has come back, and when somebody has taken it off.
#[test]
fn what_is_dropped_for_a_node_is_dropped_again() {
    let Some(net) = two_hosts() else { return };
    let graph = wire("device: r-a", "device: r-b")
        .replace(
            "nodes:",
            "tables:\n  rules: { kind: acl, default: permit, rules: [{ action: deny, source: 10.0.1.2/32 }] }\nnodes:",
        )
        .replace("interface: a, to: b-tx", "interface: a, to: filter")
        + "  filter: { kind: acl-filter, layer: ethernet, offload: xdp, to: { permitted: b-tx, not-ip: b-tx } }\n";
    let mut swath = net.swath("r", &graph);
    swath.says("what plain rules of `filter` deny of what comes in is dropped in the kernel, before it is copied interface=a\n");
    assert_eq!(net.ping("a", 5, "10.0.2.2"), 0);
    net.ip("r", "link del r-a");
    swath.says("`r-a` is gone; waiting for it to return interface=a\n");
    net.host("a", 1);
    swath.says("`r-a` is back interface=a\n");
    assert_eq!(net.ping("a", 5, "10.0.2.2"), 0);
    let (report, log) = swath.end();
    let figures = ["/dropped/filter/denied", "/interfaces/a/offloaded"].map(|path| count(&report, path));
    assert_eq!(figures, [10, 10], "{log}\n{report}");
}

/// A second engine on the same device is refused, and the first goes on.
#[test]
fn two_engines_cannot_have_one_device() {
    let Some(net) = two_hosts() else { return };
    let first = net.swath("r", &router("", DEFAULT, DEFAULT));
    assert_eq!(
        refused(&net, "", &router("", DEFAULT, DEFAULT)),
        "another program has `r-a`, or one of its queues, by XDP: `ip -d link show r-a` and `bpftool net` say which"
    );
    assert_eq!(net.ping("a", 5, "10.0.2.2"), 5);
    let (report, _) = first.end();
    assert_eq!(count(&report, "/sent"), 10);
}

/// A queue is busy for a while after it was left: who comes next waits.
#[test]
fn one_engine_follows_the_other_at_once() {
    let Some(net) = two_hosts() else { return };
    for round in 0..6 {
        let swath = net.swath("r", &router("", DEFAULT, DEFAULT));
        assert_eq!(net.ping("a", 2, "10.0.2.2"), 2, "{round}");
        if round % 2 == 0 {
            swath.kill();
        } else {
            swath.end();
        }
    }
}

/// Packets that a device has dropped itself.
fn dropped_by(net: &Net, name: &str, device: &str) -> u64 {
    let links: Value = serde_json::from_str(&net.ip(name, &format!("-s -j link show {device}"))).unwrap();
    count(&links, "/0/stats64/tx/dropped")
}

/// A flood, with a pool so small that it runs out: what came is what was sent and every drop that somebody has counted.
#[test]
fn every_packet_of_a_flood_is_accounted_for() {
    let Some(net) = two_hosts() else { return };
    for engine in ["", "engine: { buffers: 1024 }"] {
        let limit = 200_000u64;
        let generator = format!(
            "version: 1
interfaces:
  generator: {{ driver: memory, generate: {{ packets: ['udp 10.0.1.2:1 > 10.0.2.2:2 len 60'], limit: {limit} }} }}
  eth0: {{ driver: af-xdp, device: eth0, force: true }}
nodes:
  rx: {{ kind: rx, interface: generator, to: tx }}
  tx: {{ kind: tx, interface: eth0 }}
"
        );
        let sink = "version: 1
interfaces:
  eth0: { driver: af-xdp, device: eth0, force: true }
nodes:
  rx: { kind: rx, interface: eth0, to: sink }
  sink: { kind: drop }
";
        let wire = wire("device: r-a", "device: r-b, ring: 64").replace("version: 1", &format!("version: 1\n{engine}"));
        let before = (dropped_by(&net, "a", "eth0"), dropped_by(&net, "r", "r-b"));
        let (sink, wire) = (net.swath("b", sink), net.swath("r", &wire));
        let source = net.swath("a", &generator);
        let source = source.ends().0;
        std::thread::sleep(std::time::Duration::from_secs(1));
        let [wire, sink] = [wire, sink].map(|swath| swath.end().0);
        println!("{source}\n{wire}\n{sink}");
        let dropped = (dropped_by(&net, "a", "eth0") - before.0, dropped_by(&net, "r", "r-b") - before.1);
        let lost = |report: &Value, interface: &str| {
            let of = |figure: &str| count(report, &format!("/interfaces/{interface}/{figure}"));
            of("kernel-drops") + of("receive-ring-full")
        };
        assert_eq!(count(&source, "/received"), limit);
        assert_eq!(count(&source, "/sent"), dropped.0 + lost(&wire, "a") + count(&wire, "/received"), "{dropped:?}");
        assert_eq!(count(&wire, "/sent"), dropped.1 + lost(&sink, "eth0") + count(&sink, "/received"), "{dropped:?}");
        assert!(count(&sink, "/received") > 0);
    }
    // It runs on when the flood is over.
    let swath = net.swath("r", &router("buffers: 1024", DEFAULT, DEFAULT));
    assert_eq!(net.ping("a", 10, "10.0.2.2"), 10);
    swath.end();
}
