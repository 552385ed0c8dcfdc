//! `swath run` on AF_XDP between hosts that are kernels: network namespaces, veth pairs, default offloads.

#[path = "../common/mod.rs"]
mod common;
mod doctor;
mod faults;
mod ip6;
mod kernel_keeps;
mod modes;
mod own_mac;
mod privileges;
mod ssh;

use common::hosts::Net;
use serde_json::{Value, json};

/// A router between the hosts `a` and `b`, with the engine's settings and what its interfaces have beside their devices.
fn router(engine: &str, a: &str, b: &str) -> String {
    format!(
        "version: 1
engine: {{ {engine} }}
interfaces:
  a: {{ driver: af-xdp, device: r-a, {a}, mac: '02:00:00:00:00:01', addresses: [10.0.1.1/24] }}
  b: {{ driver: af-xdp, device: r-b, {b}, mac: '02:00:00:00:00:02', addresses: [10.0.2.1/24] }}
tables:
  neighbours:
    kind: neighbours
    static:
      - {{ address: 10.0.1.2, mac: '02:00:00:00:01:02' }}
      - {{ address: 10.0.2.2, mac: '02:00:00:00:02:02' }}
  routes: {{ kind: fib4 }}
nodes:
  a-rx:     {{ kind: rx, interface: a, to: ethernet }}
  b-rx:     {{ kind: rx, interface: b, to: ethernet }}
  ethernet: {{ kind: ethernet-input, to: {{ ip4: ip4 }} }}
  ip4:      {{ kind: ip4-input, to: lookup }}
  lookup:   {{ kind: ip4-lookup, to: rewrite }}
  rewrite:  {{ kind: ip4-rewrite, to: tx }}
  tx:       {{ kind: tx }}
"
    )
}

const DEFAULT: &str = "promiscuous: true";

/// Two hosts at a router.
fn two_hosts() -> Option<Net> {
    let net = Net::new(&["a", "b", "r"])?;
    net.host("a", 1);
    net.host("b", 2);
    Some(net)
}

fn count(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// The figures of an interface at which nothing was wrong.
fn quiet(device: &str, mode: &str, copied: u64) -> Value {
    json!({
        "device": device, "mode": mode, "link-changes": 0, "transmit-errors": 0, "kernel-drops": 0, "fill-ring-empty": 0,
        "receive-ring-full": 0, "invalid": 0, "checksums-completed": 0, "copied": copied,
    })
}

#[test]
fn every_ping_is_answered_and_counted() {
    let Some(net) = two_hosts() else { return };
    let swath = net.swath("r", &router("", DEFAULT, DEFAULT));
    assert_eq!(net.ping("a", 20, "10.0.2.2"), 20);
    assert_eq!(net.ping("b", 20, "10.0.1.2"), 20);
    // As long as the MTU says, and no packet longer.
    assert_eq!(net.ping("a", 5, "-s 1472 -M do 10.0.2.2"), 5);
    let (report, log) = swath.end();
    println!("{log}");
    assert_eq!((count(&report, "/received"), count(&report, "/sent")), (90, 90), "{log}");
    assert_eq!(report["dropped"], json!({}));
    let mode = "native, copied by the kernel";
    assert_eq!(report["interfaces"], json!({ "a": quiet("r-a", mode, 0), "b": quiet("r-b", mode, 0) }));
    assert!(log.contains("`r-a` by AF_XDP: native, copied by the kernel, 1 queue interface=a\n"), "{log}");
}

/// The router with ICMP, so that hosts learn of a smaller MTU.
fn router_that_answers(a: &str, b: &str) -> String {
    let template = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../graphs/templates/ip4-origin.yaml");
    let graph = router("", a, b).replace("version: 1\n", &format!("version: 1\ninclude: {}\n", template.display()));
    let graph = graph.replace("kind: ip4-lookup, to: rewrite", "kind: ip4-lookup, to: { forward: rewrite, local: local }");
    graph.replace("kind: ip4-rewrite, to: tx", "kind: ip4-rewrite, to: { ok: tx, too-big: icmp-error }")
        + "  local:      { kind: ip4-local, to: { reply: own, unreachable: icmp-error } }
  icmp-error: { kind: icmp-error, to: own }
  own:        { template: ip4-origin, routes: routes, neighbours: neighbours, to: tx }
"
}

/// What `ip -d link show` says of a program and of promiscuity.
fn state(net: &Net, name: &str, device: &str) -> (bool, String) {
    let text = net.ip(name, &format!("-d link show {device}"));
    let promiscuity = text.split("promiscuity ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    (text.contains("xdp"), promiscuity)
}

/// TCP and UDP in both directions, one queue for two workers and two queues for two: the hosts find no wrong checksum.
#[test]
fn hosts_keep_their_offloads() {
    let Some(net) = two_hosts() else { return };
    for queues in [1, 2] {
        if queues == 2 {
            for (name, device) in [("r", "r-a"), ("r", "r-b"), ("a", "eth0"), ("b", "eth0")] {
                net.sh(name, &format!("ethtool -L {device} rx 2 tx 2"));
            }
        }
        let swath = net.swath("r", &router("workers: 2", DEFAULT, DEFAULT));
        for (from, to, address) in [("a", "b", "10.0.2.2"), ("b", "a", "10.0.1.2")] {
            let report = net.iperf(from, to, address, "-t 1 -P 2");
            println!("TCP {from} to {to}: {} bit/s", report["end"]["sum_received"]["bits_per_second"]);
            assert!(report["end"]["sum_received"]["bytes"].as_u64().unwrap() > 1 << 20);
        }
        let report = net.iperf("a", "b", "10.0.2.2", "-u -b 20M -t 1");
        assert!(report["end"]["sum"]["packets"].as_u64().unwrap() > 10);
        println!("UDP: lost {} of {}", report["end"]["sum"]["lost_packets"], report["end"]["sum"]["packets"]);
        let (report, log) = swath.end();
        println!("{log}{report}");
        assert!(
            count(&report, "/interfaces/a/checksums-completed") > 100 && count(&report, "/interfaces/b/checksums-completed") > 100
        );
        assert_eq!(count(&report, "/interfaces/a/invalid"), 0);
        assert!(log.contains(&format!("copied by the kernel, {queues} queue")), "{log}");
        assert_eq!((net.checksum_errors("a"), net.checksum_errors("b")), (0, 0));
    }
    // What a host has left to a network card, and nobody completes, is wrong.
    let swath = net.swath("r", &router("", "checksum: trust", "checksum: trust"));
    net.command("a", "iperf3 -c 10.0.2.2 --connect-timeout 300").output().unwrap();
    let (report, _) = swath.end();
    assert_eq!(count(&report, "/interfaces/a/checksums-completed"), 0);
    assert!(net.checksum_errors("b") > 0);
}

#[test]
fn hosts_learn_of_a_smaller_mtu() {
    let Some(net) = two_hosts() else { return };
    net.ip("r", "link set r-b mtu 1400");
    net.ip("b", "link set eth0 mtu 1400");
    let swath = net.swath("r", &router_that_answers(DEFAULT, DEFAULT));
    assert_eq!(net.ping("a", 3, "10.0.1.1"), 3);
    assert_eq!(net.ping("a", 1, "-s 1472 -M do 10.0.2.2"), 0);
    assert!(net.ip("a", "route get 10.0.2.2").contains("mtu 1400"));
    assert_eq!(net.ping("a", 3, "-s 1372 -M do 10.0.2.2"), 3);
    let report = net.iperf("a", "b", "10.0.2.2", "-t 1");
    assert!(report["end"]["sum_received"]["bytes"].as_u64().unwrap() > 1 << 20);
    swath.end();
    assert_eq!((net.checksum_errors("a"), net.checksum_errors("b")), (0, 0));
}

/// What `swath run` says first of a graph that it refuses.
fn refused(net: &Net, prefix: &str, graph: &str) -> String {
    let place = common::Place::new();
    let graph = place.text("graph.yaml", graph);
    let line = format!("{prefix} {} run {} --duration 1", env!("CARGO_BIN_EXE_swath"), graph.display());
    let output = net.command("r", &line).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{text}");
    text.lines().next().unwrap_or_default().split_once("]: ").map_or(text.clone(), |(_, message)| message.to_owned())
}

#[test]
fn what_cannot_be_attached_to_is_explained() {
    let Some(net) = two_hosts() else { return };
    let missing = |cap: &str| format!("setpriv --bounding-set -{cap} --inh-caps -{cap}");
    let privileges = "AF_XDP needs CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_PERFMON: run swath as root, or once `setcap \
                      cap_net_admin,cap_net_raw,cap_bpf,cap_perfmon,cap_ipc_lock+ep` on its file";
    for (prefix, a, expected) in [
        (String::new(), "ring: 100", "100 packets, but a ring has a power of two from 64 to 8192"),
        (String::new(), "queues: 3", "3 queues, but `r-a` has 1: `ethtool -L r-a combined 3`, if it can have more"),
        (missing("net_admin,-sys_admin"), DEFAULT, privileges),
        (missing("net_raw"), DEFAULT, privileges),
        (missing("bpf,-sys_admin"), DEFAULT, privileges),
        (missing("perfmon,-sys_admin"), "capture: { destinations: [10.0.2.0/24] }", privileges),
        (
            format!("prlimit --memlock=65536 {}", missing("ipc_lock")),
            DEFAULT,
            "packet memory is more than may be locked: `ulimit -l unlimited`, or CAP_IPC_LOCK, or fewer `engine.buffers`",
        ),
    ] {
        assert_eq!(refused(&net, &prefix, &router("", a, DEFAULT)), expected, "{prefix} {a}");
    }
    net.ip("r", "link set r-a mtu 3000");
    assert_eq!(
        refused(&net, "", &router("", DEFAULT, DEFAULT)),
        "`r-a` has an MTU of 3000 bytes, and a buffer carries 2090: `ip link set r-a mtu 2090`, or set `engine.buffer-size` to 3022"
    );
    net.ip("r", "link set r-a mtu 9000");
    assert_eq!(
        refused(&net, "", &router("", DEFAULT, DEFAULT)),
        "`r-a` has an MTU of 9000 bytes, and a buffer carries 2090: `ip link set r-a mtu 2090`; by AF_XDP no buffers carry more than 3626"
    );
    net.ip("r", "link set r-a mtu 1500");
    // By which this machine is reached.
    net.ip("r", "address add 10.0.1.1/24 dev r-a");
    let session = "env SSH_CONNECTION=10.0.1.2";
    let reason = "your SSH session from 10.0.1.2 comes in by `r-a`: say `force: true` to take it all the same, with \
                  `capture: all-but-ssh` if in doubt";
    assert_eq!(refused(&net, session, &router("", DEFAULT, DEFAULT)), reason);
    net.ip("r", "route add default via 10.0.1.2");
    let reason = "the default route of this machine leads to `r-a`: say `force: true` to take it all the same, with \
                  `capture: all-but-ssh` if in doubt";
    assert_eq!(refused(&net, "", &router("", DEFAULT, DEFAULT)), reason);
    net.swath("r", &router("", "force: true", DEFAULT)).end();
}
