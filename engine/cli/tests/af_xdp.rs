//! `swath run` on AF_XDP between hosts that are kernels: network namespaces, veth pairs, default offloads.

mod common;

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
    assert!(log.contains("a: `r-a` by AF_XDP: native, copied by the kernel, 1 queue\n"), "{log}");
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

/// A wire between two devices.
fn wire(a: &str, b: &str) -> String {
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

/// Behind the driver; and with buffers that the kernel does not take.
#[test]
fn what_is_not_as_good_as_it_can_be_is_said() {
    let Some(net) = two_hosts() else { return };
    let copies = "a: `r-a` has no buffers of 1984 bytes: the kernel takes 2048 to 4096, as `engine.buffer-size` says\n";
    for (engine, rest, mode, copied, said) in [
        ("", "xdp: generic", "generic, copied by the kernel", 0, ""),
        ("buffer-size: 1536", "xdp: native", "native, copied by the kernel, copied by swath", 100, copies),
        ("buffer-size: 1536", "xdp: generic", "generic, copied by the kernel, copied by swath", 100, copies),
        ("", "zero-copy: false", "native, copied by the kernel", 0, ""),
    ] {
        let swath = net.swath("r", &router(engine, rest, rest));
        assert_eq!(net.ping("a", 25, "10.0.2.2"), 25, "{mode}");
        assert_eq!(net.ping("b", 25, "-s 1400 10.0.1.2"), 25, "{mode}");
        let (report, log) = swath.end();
        assert_eq!(report["interfaces"], json!({ "a": quiet("r-a", mode, copied), "b": quiet("r-b", mode, copied) }));
        assert!(log.contains(said) && log.contains(&format!("`r-a` by AF_XDP: {mode}, 1 queue\n")), "{log}");
    }
}

/// A device that takes no program in its driver: a bridge.
#[test]
fn a_driver_without_xdp_is_passed_by() {
    let Some(net) = Net::new(&["a", "b", "r"]) else { return };
    net.host("a", 1);
    net.host("b", 2);
    net.ip("r", "link set r-a name port");
    net.ip("r", "link add r-a type bridge");
    net.ip("r", "link set port master r-a");
    for device in ["port", "r-a"] {
        net.ip("r", &format!("link set {device} up"));
    }
    net.sh("a", "ethtool -K eth0 tso off gso off");
    let mut swath = net.swath("r", &router("", DEFAULT, DEFAULT));
    swath.says("a: `r-a` has no native XDP: Operation not supported (os error 95)\n");
    assert!(net.comes_back("a", "10.0.2.2"));
    assert_eq!(net.ping("b", 10, "10.0.1.2"), 10);
    let (report, log) = swath.end();
    assert_eq!(report.pointer("/interfaces/a/mode"), Some(&json!("generic, copied by the kernel")), "{log}");
}

#[test]
fn after_a_kill_the_kernel_has_everything_again() {
    let Some(net) = two_hosts() else { return };
    net.ip("r", "link set r-a address 02:00:00:00:00:01");
    net.ip("r", "address add 10.0.1.1/24 dev r-a");
    assert!(net.comes_back("a", "10.0.1.1"), "the kernel answers");
    for ends in ["kill", "end"] {
        let swath = net.swath("r", &router("", DEFAULT, DEFAULT));
        assert_eq!(state(&net, "r", "r-a"), (true, "1".into()));
        assert_eq!(net.ping("a", 2, "10.0.2.2"), 2);
        assert_eq!(net.ping("a", 1, "10.0.1.1"), 0, "it is swath that has the device");
        if ends == "kill" {
            // There is no other process: `ip netns exec` becomes swath.
            swath.kill();
        } else {
            swath.end();
        }
        assert!(net.comes_back("a", "10.0.1.1"), "the kernel answers again");
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
    swath.says("b: `r-b` is down: `ip link set r-b up`\n");
    assert_eq!(net.ping("a", 3, "10.0.2.2"), 0);
    net.ip("r", "link set r-b up");
    swath.says("b: `r-b` is up\n");
    assert!(net.comes_back("a", "10.0.2.2"));
    assert_eq!(net.ping("a", 5, "10.0.2.2"), 5);
    // The device's other end goes with its namespace, and the device with that.
    net.remove("b");
    swath.says("b: `r-b` is gone; waiting for it to return\n");
    assert_eq!(net.ping("a", 5, "10.0.2.2"), 0);
    net.add("b");
    net.host("b", 2);
    swath.says("b: `r-b` is back\n");
    assert!(net.comes_back("a", "10.0.2.2"));
    assert_eq!(net.ping("a", 10, "10.0.2.2"), 10);
    assert_eq!(net.ping("b", 10, "10.0.1.2"), 10);
    // The first of both, whose socket has registered the memory.
    net.ip("r", "link del r-a");
    swath.says("a: `r-a` is gone; waiting for it to return\n");
    net.host("a", 1);
    swath.says("a: `r-a` is back\n");
    assert!(net.comes_back("b", "10.0.1.2"));
    assert_eq!(net.ping("a", 10, "10.0.2.2"), 10);
    let (report, log) = swath.end();
    assert!(count(&report, "/dropped/tx/link-down") >= 3 + 5, "{log}");
    assert_eq!(report["dropped"].as_object().map(serde_json::Map::len), Some(1), "{log}");
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
    swath.says("a: somebody has taken the program off `r-a`; it is attached again\n");
    assert!(state(&net, "r", "r-a").0);
    assert_eq!(net.ping("a", 10, "10.0.2.2"), 10);
    swath.end();
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
    let privileges = "AF_XDP needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF: run swath as root, or once `setcap \
                      cap_net_admin,cap_net_raw,cap_bpf,cap_ipc_lock+ep` on its file";
    for (prefix, a, expected) in [
        (String::new(), "ring: 100", "100 packets, but a ring has a power of two from 64 to 8192"),
        (String::new(), "queues: 3", "3 queues, but `r-a` has 1: `ethtool -L r-a combined 3`, if it can have more"),
        (missing("net_admin,-sys_admin"), DEFAULT, privileges),
        (missing("net_raw"), DEFAULT, privileges),
        (missing("bpf,-sys_admin"), DEFAULT, privileges),
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

/// The host's own stack keeps port 22 in both directions, though it shares address and MAC address with the graph.
#[test]
fn ssh_stays_with_the_kernel() {
    let Some(net) = two_hosts() else { return };
    net.ip("r", "link set r-a address 02:00:00:00:00:01");
    net.ip("r", "address add 10.0.1.1/24 dev r-a");
    let swath = net.swath("r", &router("", "capture: all-but-ssh", DEFAULT));
    for (from, to, address) in [("a", "r", "10.0.1.1"), ("r", "a", "10.0.1.2")] {
        // The kernel has to ask for its peer, and user space has the answer.
        net.ip("r", "neigh flush dev r-a");
        let mut server = net.command(to, "iperf3 -s -1 -p 22").stdout(std::process::Stdio::null()).spawn().unwrap();
        let client = || net.command(from, &format!("iperf3 -J -c {address} -p 22 -n 1M")).output().unwrap().stdout;
        let bytes = (0..50).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            let report: Value = serde_json::from_slice(&client()).unwrap_or_default();
            report["end"]["sum_received"]["bytes"].as_u64()
        });
        let _ = server.kill();
        server.wait().unwrap();
        assert!(bytes.is_some_and(|bytes| bytes >= 1 << 19), "{from} to {to}: {bytes:?}");
    }
    assert_eq!(net.ping("a", 10, "10.0.2.2"), 10);
    assert_eq!(net.ping("a", 1, "10.0.1.1"), 0, "all but ssh is not the kernel's");
    let refused = net.command("a", "iperf3 -c 10.0.1.1 -p 23 --connect-timeout 300").output().unwrap();
    assert!(!refused.status.success());
    swath.end();
}

/// The rest goes to the kernel: by destination, and by protocol and port, where fragments beyond the first have none.
#[test]
fn the_kernel_keeps_what_is_not_captured() {
    let Some(net) = two_hosts() else { return };
    net.ip("r", "link set r-a address 02:00:00:00:00:01");
    net.ip("r", "address add 10.0.1.1/24 dev r-a");
    let swath = net.swath("r", &router("", "capture: { destinations: [10.0.2.0/24] }", DEFAULT));
    assert!(net.comes_back("a", "10.0.1.1"), "the kernel's own address");
    assert_eq!(net.ping("a", 10, "10.0.2.2"), 10);
    let (report, log) = swath.end();
    assert_eq!(count(&report, "/sent"), 20, "{log}");

    net.ip("a", "link set eth0 mtu 576");
    let swath = net.swath("r", &router("", "capture: { protocols: [udp/5000-5001] }", DEFAULT));
    assert!(net.comes_back("a", "10.0.1.1"));
    for (port, length) in [(5000, 100), (5001, 100), (5002, 100), (5000, 1000)] {
        let code = format!("__import__('socket').socket(2,2).sendto(b'x'*{length},('10.0.2.2',{port}))");
        net.sh("a", &format!("python3 -c {code}"));
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
    let (_, log) = swath.end();
    let received = log.lines().find_map(|line| line.strip_prefix("a-rx ")?.split_whitespace().nth(1));
    assert_eq!(received, Some("3"), "two datagrams, and the first fragment of a third: {log}");
}

/// As another user, with no more than the documentation says.
#[test]
fn a_user_with_the_capabilities_is_enough() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(net) = two_hosts() else { return };
    let place = common::Place::new();
    let graph = place.text("graph.yaml", &router("", DEFAULT, DEFAULT));
    let (binary, directory) = (place.path("swath"), graph.parent().unwrap());
    std::fs::copy(env!("CARGO_BIN_EXE_swath"), &binary).unwrap();
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    let caps = "-all,+net_admin,+net_raw,+bpf,+ipc_lock";
    let line = format!(
        "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps {caps} --ambient-caps {caps} --bounding-set {caps} {} run {} \
         --duration 5 --stats none",
        binary.display(),
        graph.display()
    );
    let mut child = net.command("r", &line).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let answered = net.comes_back("a", "10.0.2.2");
    let mut said = String::new();
    std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut said).unwrap();
    child.wait().unwrap();
    assert!(answered && said.contains("the ledger adds up"), "{said}");
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
        while !source.log().contains("the ledger adds up") {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
        let [source, wire, sink] = [source, wire, sink].map(|swath| swath.end().0);
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

/// What `swath doctor` says in the router's namespace: its exit code, and its data.
fn doctor(net: &Net, prefix: &str, args: &str) -> (i32, String) {
    let output = net.command("r", &format!("{prefix} {} doctor {args}", env!("CARGO_BIN_EXE_swath"))).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

/// The commands that it names for a device, by what they mend.
fn mends(report: &Value, device: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["device"] == device);
    findings.filter_map(|finding| Some(finding["mend"].as_str()?.to_owned())).collect()
}

#[test]
fn the_doctor_tries_and_what_it_says_mends() {
    let Some(net) = two_hosts() else { return };
    net.ip("r", "link add plain type bridge");
    net.ip("r", "link set r-a mtu 9000");
    let (code, text) = doctor(&net, "", "--format json");
    assert_eq!(code, 1, "an MTU that is too large: {text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let device = |name: &str| report["devices"].as_array().unwrap().iter().find(|device| device["name"] == name).unwrap();
    assert_eq!(device("r-b")["driver"], "veth");
    assert_eq!(device("r-b")["xdp"]["native"], Value::Null);
    assert_eq!(device("r-b")["xdp"]["generic"], Value::Null);
    assert!(device("r-b")["xdp"]["zero-copy"].is_string(), "no veth has it: {text}");
    assert!(device("plain")["xdp"]["native"].is_string() && device("plain")["xdp"]["generic"].is_null(), "{text}");
    assert_eq!((device("r-a")["mtu"].as_u64(), device("r-a")["queues"].as_u64()), (Some(9000), Some(1)));
    assert_eq!(state(&net, "r", "r-a"), (false, "0".into()), "nothing stays behind");
    for name in ["r-a", "plain"] {
        for mend in mends(&report, name) {
            net.sh("r", &mend);
        }
    }
    let (code, text) = doctor(&net, "", "--format json r-a");
    assert_eq!(code, 0, "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((mends(&report, "r-a"), mends(&report, "r-b")), (vec![], vec![]), "{text}");

    // A device by which the machine is reached is tried only if it is named; one that somebody has is busy.
    net.ip("r", "address add 10.0.1.1/24 dev r-a");
    net.ip("r", "route add default via 10.0.1.2");
    let (_, text) = doctor(&net, "", "");
    assert!(text.lines().any(|line| line.starts_with("r-a ") && line.ends_with("not tried  not tried  not tried")), "{text}");
    assert!(text.contains("`r-a`: the default route of this machine leads to `r-a`: a graph takes it with `force: true` only\n"));
    let swath = net.swath("r", &router("", "force: true", DEFAULT));
    let (code, text) = doctor(&net, "", "r-b");
    assert!(
        code == 1 && text.contains("error: `r-b`: another program has it by XDP\n    ip -d link show r-b; bpftool net\n"),
        "{text}"
    );
    assert_eq!(net.ping("a", 5, "10.0.2.2"), 5, "and keeps it");
    swath.end();
    assert_eq!(doctor(&net, "", "r-x"), (1, "error: there is no device `r-x`\n".into()));
    let (code, text) = doctor(&net, "setpriv --bounding-set -net_raw,-ipc_lock --inh-caps -net_raw,-ipc_lock", "");
    assert!(code == 1 && text.contains("error: the process has not cap_net_raw, which AF_XDP needs\n    sudo setcap "), "{text}");
}
