//! `swath run` between hosts that are kernels: network namespaces with their default offloads.

mod common;

use common::hosts::Net;
use serde_json::{Value, json};

/// A router between the hosts `a` and `b`, with the engine's settings and the drivers of its interfaces.
fn router(engine: &str, a: &str, b: &str) -> String {
    format!(
        "version: 1
engine: {{ {engine} }}
interfaces:
  a: {{ {a}, mac: '02:00:00:00:00:01', addresses: [10.0.1.1/24] }}
  b: {{ {b}, mac: '02:00:00:00:00:02', addresses: [10.0.2.1/24] }}
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

const A: &str = "driver: af-packet, device: r-a";
const B: &str = "driver: af-packet, device: r-b";

/// A wire between two devices.
fn wire(a: &str, b: &str) -> String {
    format!(
        "version: 1
interfaces:
  a: {{ driver: af-packet, device: {a} }}
  b: {{ driver: af-packet, device: {b} }}
nodes:
  a-rx: {{ kind: rx, interface: a, to: b-tx }}
  b-rx: {{ kind: rx, interface: b, to: a-tx }}
  a-tx: {{ kind: tx, interface: a }}
  b-tx: {{ kind: tx, interface: b }}
"
    )
}

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

/// Offloads of a host, for the log, and that those are on which a kernel has on by default.
fn offloads(net: &Net, name: &str, device: &str) {
    let features = net.sh(name, &format!("ethtool -k {device}"));
    println!("{name}: {features}");
    for feature in ["tx-checksumming", "tcp-segmentation-offload", "tx-udp-segmentation", "generic-segmentation-offload"] {
        assert!(features.contains(&format!("{feature}: on")), "{feature}\n{features}");
    }
}

/// Packets that a device's kernel side has received: a frame of many segments is one.
fn received_by_kernel(net: &Net, name: &str, device: &str) -> u64 {
    let text = net.sh(name, &format!("cat /sys/class/net/{device}/statistics/rx_packets"));
    text.trim().parse().unwrap()
}

#[test]
fn every_ping_is_answered_and_counted() {
    let Some(net) = two_hosts() else { return };
    let swath = net.swath("r", &router("", A, B));
    assert_eq!(net.ping("a", 20, "10.0.2.2"), 20);
    assert_eq!(net.ping("b", 20, "10.0.1.2"), 20);
    // As long as the MTU says, and no packet longer.
    assert_eq!(net.ping("a", 5, "-s 1472 -M do 10.0.2.2"), 5);
    let (report, log) = swath.end();
    assert_eq!((count(&report, "/received"), count(&report, "/sent")), (90, 90), "{log}");
    assert_eq!(report["dropped"], json!({}));
    let quiet = |device: &str| json!({ "device": device, "kernel-drops": 0, "link-changes": 0, "transmit-errors": 0 });
    assert_eq!(report["interfaces"], json!({ "a": quiet("r-a"), "b": quiet("r-b") }));
}

/// TCP and UDP in both directions: the hosts find no wrong checksum, and what one left to be cut was cut.
#[test]
fn hosts_keep_their_offloads() {
    let Some(net) = two_hosts() else { return };
    offloads(&net, "a", "eth0");
    offloads(&net, "b", "eth0");
    let frames = || received_by_kernel(&net, "r", "r-a") + received_by_kernel(&net, "r", "r-b");
    let before = frames();
    let swath = net.swath("r", &router("workers: 2", A, &format!("{B}, fanout: cpu")));
    for (from, to, address) in [("a", "b", "10.0.2.2"), ("b", "a", "10.0.1.2")] {
        let report = net.iperf(from, to, address, "-t 1");
        println!("TCP {from} to {to}: {} bit/s", report["end"]["sum_received"]["bits_per_second"]);
        assert!(report["end"]["sum_received"]["bytes"].as_u64().unwrap() > 1 << 20);
        let report = net.iperf(from, to, address, "-u -b 20M -t 1");
        assert!(report["end"]["sum"]["packets"].as_u64().unwrap() > 10);
        println!("UDP {from} to {to}: lost {} of {}", report["end"]["sum"]["lost_packets"], report["end"]["sum"]["packets"]);
    }
    let frames = frames() - before;
    let (report, log) = swath.end();
    println!("{log}");
    assert!(count(&report, "/received") > 2 * frames, "{frames} frames of the kernel, {} packets", report["received"]);
    for reason in ["bad-offload", "too-big"] {
        assert!(!log.contains(reason), "{log}");
    }
    assert_eq!((net.checksum_errors("a"), net.checksum_errors("b")), (0, 0));
}

/// The kernel of a receiver takes the outermost tag off before a packet socket sees the frame.
#[test]
fn tags_that_the_kernel_took_off_are_put_back() {
    let Some(net) = two_hosts() else { return };
    let packets = [
        "udp 10.0.1.2:1 > 10.0.2.2:2 len 60",
        "udp 10.0.1.2:1 > 10.0.2.2:2 vlan 7 len 100",
        "udp 10.0.1.2:1 > 10.0.2.2:2 svlan 9 vlan 8 len 1500",
        "arp who-has 10.0.1.1 tell 10.0.1.2",
    ];
    let place = common::Place::new();
    let capture = place.path("b.pcap");
    let receiver = format!(
        "version: 1
interfaces:
  eth0: {{ driver: af-packet, device: eth0, mac: '02:00:00:00:00:77' }}
  file: {{ driver: pcap, write: {} }}
nodes:
  rx: {{ kind: rx, interface: eth0, to: tx }}
  tx: {{ kind: tx, interface: file }}
",
        capture.display()
    );
    let sender = format!(
        "version: 1
interfaces:
  generator: {{ driver: memory, generate: {{ packets: {}, limit: 400, rate: 10000 }} }}
  eth0: {{ driver: af-packet, device: eth0 }}
nodes:
  rx: {{ kind: rx, interface: generator, to: tx }}
  tx: {{ kind: tx, interface: eth0 }}
",
        json!(packets)
    );
    let (wire, receiver) = (net.swath("r", &wire("r-a", "r-b")), net.swath("b", &receiver));
    let sent = net.swath("a", &sender).ends().0;
    assert_eq!(count(&sent, "/sent"), 400);
    let start = std::time::Instant::now();
    while net.packets("b", "eth0").0 < 400 && start.elapsed().as_secs() < 10 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    // Until the last of them is read there.
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(count(&wire.end().0, "/sent"), 400);
    assert_eq!(count(&receiver.end().0, "/sent"), 400);
    let frames: Vec<Vec<u8>> = common::records(&capture).into_iter().map(|(_, frame)| frame).collect();
    // What the generator says for itself, where the text names no MAC addresses.
    let (from, to) = (swath_io::text::Mac([2, 0, 0, 0, 0, 1]), swath_io::text::Mac([2, 0x53, 0x57, 0, 0, 0]));
    let expected: Vec<Vec<u8>> = packets.iter().map(|text| common::frame(text, from, to)).cycle().take(400).collect();
    assert!(frames == expected, "{:?}\n{:?}", frames.first(), expected.first());
}

#[test]
fn a_link_goes_down_and_a_device_away_and_both_come_back() {
    let Some(net) = two_hosts() else { return };
    let mut swath = net.swath("r", &router("", A, B));
    assert_eq!(net.ping("a", 1, "10.0.2.2"), 1);
    net.ip("r", "link set r-b down");
    swath.says("`r-b` is down: `ip link set r-b up` interface=b\n");
    assert_eq!(net.ping("a", 3, "10.0.2.2"), 0);
    net.ip("r", "link set r-b up");
    swath.says("`r-b` is up interface=b\n");
    // The host's kernel notices a little later.
    assert!(net.comes_back("a", "10.0.2.2"));
    assert_eq!(net.ping("a", 5, "10.0.2.2"), 5);
    net.ip("b", "link set eth0 down");
    swath.says("`r-b` has no carrier: nothing is connected, or the other end is down interface=b\n");
    assert_eq!(net.ping("a", 4, "10.0.2.2"), 0);
    net.ip("r", "link del r-b");
    swath.says("`r-b` is gone; waiting for it to return interface=b\n");
    assert_eq!(net.ping("a", 5, "10.0.2.2"), 0);
    net.host("b", 2);
    swath.says("`r-b` is back interface=b\n");
    assert!(net.comes_back("a", "10.0.2.2"));
    assert_eq!(net.ping("a", 10, "10.0.2.2"), 10);
    assert_eq!(net.ping("b", 10, "10.0.1.2"), 10);
    let (report, log) = swath.end();
    // The route to the subnet goes with the link. Until the table knows, the driver refuses what is sent.
    let dropped = |path| report.pointer(path).and_then(serde_json::Value::as_u64).unwrap_or(0);
    let (routes, link) = (dropped("/dropped/lookup/no-route"), dropped("/dropped/tx/link-down"));
    assert!(routes > 0 && routes + link >= 3 + 4 + 5, "{log}");
    assert_eq!(count(&report, "/received"), count(&report, "/sent") + routes + link, "{log}");
    assert!(count(&report, "/interfaces/b/link-changes") >= 5, "{log}");
}

#[test]
fn a_device_that_is_down_is_waited_for() {
    let Some(net) = two_hosts() else { return };
    net.ip("r", "link set r-b down");
    let mut swath = net.swath("r", &router("", A, B));
    swath.says("`r-b` is down: `ip link set r-b up` interface=b\n");
    net.ip("r", "link set r-b up");
    swath.says("`r-b` is up interface=b\n");
    // The host's kernel notices a little later.
    assert!(net.comes_back("a", "10.0.2.2"));
    assert_eq!(net.ping("a", 5, "10.0.2.2"), 5);
    swath.end();
}

#[test]
fn what_the_device_does_not_carry_is_said() {
    let Some(net) = two_hosts() else { return };
    let mut swath = net.swath("r", &router("", A, B));
    net.ip("r", "link set r-b mtu 1400");
    swath.says("the MTU of `r-b` is 1400 bytes now, was 1500: the graph goes by what it was at the start interface=b\n");
    assert_eq!(net.ping("a", 3, "-s 1472 -M do 10.0.2.2"), 0);
    assert_eq!(net.ping("a", 3, "-s 1000 10.0.2.2"), 3);
    let (report, log) = swath.end();
    assert_eq!(report["dropped"], json!({ "tx": { "too-big": 3 } }), "{log}");
}

#[test]
fn a_device_is_as_before_after_a_kill() {
    let Some(net) = two_hosts() else { return };
    let promiscuity = || {
        let text = net.ip("r", "-d link show r-a");
        text.split("promiscuity ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
    };
    assert_eq!(promiscuity(), "0");
    let swath = net.swath("r", &router("", A, B));
    assert_eq!(promiscuity(), "1");
    swath.kill();
    assert_eq!(promiscuity(), "0");
    let swath = net.swath("r", &router("", "driver: af-packet, device: r-a, promiscuous: true, queues: 2", B));
    assert_eq!(promiscuity(), "2");
    assert_eq!(net.ping("a", 5, "10.0.2.2"), 5);
    swath.end();
    assert_eq!(promiscuity(), "0");
}

#[test]
fn two_engines_in_a_row() {
    let Some(net) = Net::new(&["a", "r", "s", "b"]) else { return };
    net.host("a", 1);
    net.cable("r", "r-s", "02:00:00:00:09:01", "s", "s-r");
    net.cable("b", "eth0", "02:00:00:00:02:02", "s", "s-b");
    net.address("b", "eth0", 2);
    let first = net.swath("r", &router("", A, "driver: af-packet, device: r-s"));
    let second = net.swath("s", &wire("s-r", "s-b"));
    assert_eq!(net.ping("a", 20, "10.0.2.2"), 20);
    for swath in [first, second] {
        let (report, log) = swath.end();
        assert_eq!((count(&report, "/received"), count(&report, "/sent")), (40, 40), "{log}");
    }
}

#[test]
fn the_kernel_at_the_other_end_of_a_tap() {
    let Some(net) = Net::new(&["r", "b"]) else { return };
    net.host("b", 2);
    let tap = "driver: tap, device: eth0, kernel-addresses: [10.0.1.2/24], kernel-mac: '02:00:00:00:01:02'";
    let graph = router("workers: 2", tap, B);
    let swath = net.swath("r", &graph);
    net.ip("r", "neigh add 10.0.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent");
    net.ip("r", "route add default via 10.0.1.1");
    assert_eq!(net.ping("r", 20, "10.0.2.2"), 20);
    assert_eq!(net.ping("b", 20, "10.0.1.2"), 20);
    for (from, to, address) in [("r", "b", "10.0.2.2"), ("b", "r", "10.0.1.2")] {
        let report = net.iperf(from, to, address, "-t 1");
        println!("TCP {from} to {to}: {} bit/s", report["end"]["sum_received"]["bits_per_second"]);
    }
    assert_eq!((net.checksum_errors("r"), net.checksum_errors("b")), (0, 0));
    let (report, log) = swath.end();
    assert!(count(&report, "/received") > 80 && !log.contains("bad-offload"), "{log}");
    // It was made, and is gone.
    let gone = net.command("r", "ip link show eth0").output().unwrap();
    assert!(!gone.status.success());
    net.swath("r", &graph).kill();
    assert!(!net.command("r", "ip link show eth0").output().unwrap().status.success());
}

#[test]
fn a_tap_that_was_deleted_is_made_again_and_one_that_exists_is_left() {
    let Some(net) = Net::new(&["r", "b"]) else { return };
    net.host("b", 2);
    let tap = "driver: tap, device: eth0, kernel-addresses: [10.0.1.2/24], kernel-mac: '02:00:00:00:01:02'";
    let mut swath = net.swath("r", &router("", tap, B));
    net.ip("r", "link del eth0");
    swath.says("`eth0` is back interface=a\n");
    net.ip("r", "neigh add 10.0.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent");
    net.ip("r", "route add default via 10.0.1.1");
    assert!(net.comes_back("r", "10.0.2.2"));
    swath.end();

    net.ip("r", "tuntap add eth0 mode tap");
    net.ip("r", "link set eth0 address 02:00:00:00:01:02");
    let mut swath = net.swath("r", &router("", "driver: tap, device: eth0", B));
    swath.says("`eth0` is down: `ip link set eth0 up` interface=a\n");
    net.ip("r", "link set eth0 up");
    net.address("r", "eth0", 1);
    swath.says("`eth0` is up interface=a\n");
    assert!(net.comes_back("r", "10.0.2.2"));
    swath.end();
    net.ip("r", "link show eth0");
}

#[test]
fn what_cannot_be_attached_to_is_explained() {
    let Some(net) = Net::new(&["r"]) else { return };
    net.ip("r", "link add uplink0 type veth peer name other");
    net.ip("r", "tuntap add here mode tap");
    let place = common::Place::new();
    let refused = |prefix: &str, a: &str| {
        let graph = place.text("graph.yaml", &router("", a, "driver: memory"));
        let line = format!("{prefix} {} run {}", env!("CARGO_BIN_EXE_swath"), graph.display());
        let output = net.command("r", &line).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{text}");
        text.lines().next().unwrap_or_default().split_once("]: ").map_or(text.clone(), |(_, message)| message.to_owned())
    };
    let unprivileged = "setpriv --bounding-set -net_raw,-net_admin --inh-caps -net_raw,-net_admin";
    for (prefix, a, expected) in [
        ("", "driver: af-packet, device: uplnk0", "there is no device `uplnk0`; did you mean `uplink0`?"),
        ("", "driver: af-packet, device: x", "there is no device `x`; there are: `here`, `lo`, `other`, `uplink0`"),
        (
            "",
            "driver: af-packet, device: a/b",
            "`a/b` cannot be the name of a device: 1 to 15 bytes without `/`, `:`, `%` and white space",
        ),
        ("", "driver: af-packet, device: uplink0, ring: 1", "1 packets, but a ring has 16 to 8192"),
        ("", "driver: af-packet, device: uplink0, queues: 99", "99 queues, but there are at most 64"),
        (
            "",
            "driver: af-packet, device: uplink0, mtu: 9000",
            "`uplink0` has an MTU of 1500 bytes, and the graph says 9000: `ip link set uplink0 mtu 9000`",
        ),
        (
            unprivileged,
            "driver: af-packet, device: uplink0",
            "packet sockets need CAP_NET_RAW: run swath as root, or once `setcap cap_net_raw+ep` on its file",
        ),
        (
            unprivileged,
            "driver: tap, device: new",
            "a tap needs CAP_NET_ADMIN: run swath as root, or once `setcap cap_net_admin+ep` on its file",
        ),
        (
            "",
            "driver: tap, device: uplink0",
            "`uplink0` is not a tap, or was not made with `multi_queue` for several queues, or with it for one",
        ),
        (
            "",
            "driver: tap, device: here, kernel-addresses: [10.0.1.2/24]",
            "`here` exists already, and is left as it is: delete it for swath to make it, or leave out this setting",
        ),
        (
            "",
            "driver: tap, device: new, kernel-addresses: [10.0.1.2]",
            "`10.0.1.2` is not an address with the length of its prefix, such as `192.168.1.10/24`",
        ),
    ] {
        assert_eq!(refused(prefix, a), expected, "{a}");
    }
    let twice = router("", "driver: af-packet, device: uplink0", "driver: af-packet, device: uplink0");
    let graph = place.text("twice.yaml", &twice);
    let output = net.command("r", &format!("{} run {}", env!("CARGO_BIN_EXE_swath"), graph.display())).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("`a` and `b` both use the device `uplink0`"));
}
