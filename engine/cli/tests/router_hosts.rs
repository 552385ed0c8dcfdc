//! The router that is shipped, `graphs/ip4-router.yaml`, between hosts that are kernels and know nothing of it: they find it by ARP, and take
//! it for any other router.

mod common;

use std::io::Read;
use std::process::Stdio;

use common::hosts::{Net, Swath};
use common::said;
use serde_json::{Value, json};

const A: &str = "02:00:00:00:01:20";
const B: &str = "02:00:00:00:02:20";

/// The shipped router on `r-a` and `r-b`, its neighbours to be found, and with other changes.
fn router(changes: &[(&str, &str)]) -> String {
    let mut graph = said(["new", "router"]).out;
    let first = graph.find("    static:\n").unwrap();
    let last = first + graph[first..].find("\n\n").unwrap() + 1;
    graph.replace_range(first..last, "");
    let devices = [
        ("lan: { driver: memory,", "lan: { driver: af-packet, device: r-a,"),
        ("wan: { driver: memory,", "wan: { driver: af-packet, device: r-b,"),
    ];
    for (from, to) in devices.iter().chain(changes) {
        assert!(graph.contains(from), "{from}\n{graph}");
        graph = graph.replacen(from, to, 1);
    }
    graph
}

/// Times that a test can wait for.
const SHORT: (&str, &str) = (
    "kind: neighbours\n",
    "kind: neighbours\n    reachable-time: 300ms\n    stale-time: 300ms\n    retry-interval: 100ms\n    failed-time: 300ms\n",
);

/// A host at each end, and no router yet.
fn two_hosts() -> Option<Net> {
    let net = Net::new(&["a", "b", "r"])?;
    net.real_host("a", A, "192.168.1.20/24", "192.168.1.1");
    net.real_host("b", B, "203.0.113.1/30", "203.0.113.2");
    Some(net)
}

/// Ends the router, and compares what it says with what its hosts' devices have counted, packet for packet.
fn end_exact(net: &Net, swath: Swath, hosts: &[&str]) -> Value {
    let (report, log) = swath.end();
    let counts: Vec<(u64, u64)> = hosts.iter().map(|name| net.packets(name, "eth0")).collect();
    let (received, sent): (u64, u64) = (counts.iter().map(|(rx, _)| rx).sum(), counts.iter().map(|(_, tx)| tx).sum());
    assert_eq!((&report["received"], &report["sent"]), (&sent.into(), &received.into()), "{log}");
    report
}

#[test]
fn hosts_find_the_router_and_each_other() {
    let Some(net) = two_hosts() else { return };
    let swath = net.swath("r", &router(&[]));
    // The first echo request waits for two hardware addresses, and is not lost.
    assert_eq!(net.ping("a", 20, "203.0.113.1"), 20);
    assert_eq!(net.ping("b", 20, "192.168.1.20"), 20);
    // As long as the MTU says, in one packet; and longer, in fragments of the host.
    assert_eq!(net.ping("a", 5, "-s 1472 -M do 203.0.113.1"), 5);
    assert_eq!(net.ping("a", 5, "-s 5000 203.0.113.1"), 5);
    // The router itself, by both of its addresses.
    for address in ["192.168.1.1", "203.0.113.2"] {
        assert_eq!(net.ping("a", 5, address), 5);
        assert_eq!(net.ping("b", 5, &format!("-s 1472 -M do {address}")), 5);
    }
    assert!(net.ip("a", "neigh show 192.168.1.1").contains("lladdr 02:00:00:00:01:01"));
    let text = net.try_sh("a", "ping -n -c 1 -W 1 -i 0.01 203.0.113.1");
    // 64 at the host, one less behind the router.
    assert!(text.contains(" ttl=63 "), "{text}");
    let report = end_exact(&net, swath, &["a", "b"]);
    assert_eq!(report["dropped"], json!({}));
}

#[test]
fn traceroute_shows_the_way() {
    let Some(net) = two_hosts() else { return };
    let swath = net.swath("r", &router(&[]));
    let hops = |name: &str, args: &str| -> Vec<String> {
        let text = net.sh(name, &format!("traceroute -n -N 1 -q 1 -w 2 {args}"));
        text.lines().skip(1).map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect()
    };
    // By UDP and by echo requests; and to the router itself, where port unreachable ends it.
    for args in ["203.0.113.1", "-I 203.0.113.1"] {
        assert_eq!(hops("a", args), ["192.168.1.1", "203.0.113.1"], "{args}");
    }
    assert_eq!(hops("b", "192.168.1.20"), ["203.0.113.2", "192.168.1.20"]);
    assert_eq!(hops("a", "192.168.1.1"), ["192.168.1.1"]);
    assert_eq!(hops("a", "203.0.113.2"), ["203.0.113.2"]);
    let report = end_exact(&net, swath, &["a", "b"]);
    assert_eq!(report["dropped"], json!({}));
}

/// With what traceroute does by itself: 16 probes at once, and one run after the other.
#[test]
fn traceroute_shows_the_router_every_time() {
    let Some(net) = two_hosts() else { return };
    let swath = net.swath("r", &router(&[]));
    // Else some of the probes for a host that is not known yet find no place to wait in (`resolve.queue-full`).
    assert_eq!(net.ping("a", 2, "203.0.113.1"), 2);
    for _ in 0..5 {
        let text = net.sh("a", "traceroute -n -w 2 203.0.113.1");
        let first = text.lines().nth(1).unwrap();
        assert!(first.starts_with(" 1  192.168.1.1 ") && !first.contains('*'), "{text}");
        let text = net.sh("a", "traceroute -n -w 2 192.168.1.1");
        assert!(text.lines().count() == 2 && !text.contains('*'), "{text}");
        // Somebody watches, and does not start twice within a few milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(250));
    }
    let report = end_exact(&net, swath, &["a", "b"]);
    assert_eq!(report["dropped"], json!({}));
}

/// The router answers what has come in fragments, in fragments; the largest that its buffers hold.
#[test]
fn long_pings_to_the_router() {
    let Some(net) = two_hosts() else { return };
    let swath = net.swath("r", &router(&[]));
    for address in ["192.168.1.1", "203.0.113.2"] {
        assert_eq!(net.ping("a", 5, &format!("-s 2000 {address}")), 5);
    }
    assert_eq!(net.counter("a", "Ip:", "ReasmOKs"), 10);
    assert_eq!(end_exact(&net, swath, &["a", "b"])["dropped"], json!({}));
    let swath = net.swath("r", &router(&[("version: 1\n", "version: 1\nengine: { buffer-size: 16384 }\n")]));
    assert_eq!(net.ping("a", 5, "-s 9900 192.168.1.1"), 5);
    assert_eq!(net.ping("b", 5, "-s 9900 192.168.1.1"), 5);
    assert_eq!(net.counter("a", "Ip:", "ReasmOKs"), 15);
    swath.end();
}

#[test]
fn a_recorded_route_has_the_router() {
    let Some(net) = two_hosts() else { return };
    let swath = net.swath("r", &router(&[]));
    let route = |address: &str| -> Vec<String> {
        let text = net.sh("a", &format!("ping -n -R -c 1 -W 2 {address}"));
        let from = text.find("RR:").unwrap_or_else(|| panic!("{text}"));
        let lines = text[from + 3..].lines().map(str::trim).take_while(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    };
    // Each router says by which address it has sent the packet on, and back (RFC 791 §3.1).
    assert_eq!(route("203.0.113.1"), ["192.168.1.20", "203.0.113.2", "203.0.113.1", "203.0.113.1", "192.168.1.1", "192.168.1.20"]);
    assert_eq!(route("192.168.1.1"), ["192.168.1.20", "192.168.1.1", "192.168.1.20"]);
    let report = end_exact(&net, swath, &["a", "b"]);
    assert_eq!(report["dropped"], json!({}));
}

/// TCP and UDP in both directions with what the kernels have on, through ARP and all.
#[test]
fn hosts_keep_their_offloads() {
    let Some(net) = two_hosts() else { return };
    for name in ["a", "b"] {
        println!("{name}: {}", net.sh(name, "ethtool -k eth0"));
    }
    let swath = net.swath("r", &router(&[]));
    for (from, to, address) in [("a", "b", "203.0.113.1"), ("b", "a", "192.168.1.20")] {
        let report = net.iperf(from, to, address, "-t 1");
        println!("TCP {from} to {to}: {} bit/s", report["end"]["sum_received"]["bits_per_second"]);
        assert!(report["end"]["sum_received"]["bytes"].as_u64().unwrap() > 1 << 20);
        let report = net.iperf(from, to, address, "-u -b 20M -t 1");
        println!("UDP {from} to {to}: lost {} of {}", report["end"]["sum"]["lost_packets"], report["end"]["sum"]["packets"]);
        assert!(report["end"]["sum"]["packets"].as_u64().unwrap() > 10);
    }
    assert_eq!((net.checksum_errors("a"), net.checksum_errors("b")), (0, 0));
    let latency = net.sh("a", "ping -n -q -i 0.002 -c 200 203.0.113.1");
    println!("ping through the router: {}", latency.lines().last().unwrap_or_default());
    let (report, log) = swath.end();
    assert!(!log.contains("bad-offload") && !log.contains("too-big"), "{log}");
    println!("{report}");
}

#[test]
fn the_mtu_of_a_path_is_found() {
    let Some(net) = two_hosts() else { return };
    let swath = net.swath("r", &router(&[("device: r-b,", "device: r-b, mtu: 1300,")]));
    let text = net.try_sh("a", "ping -n -c 1 -W 1 -s 1472 -M do 203.0.113.1");
    assert!(text.contains("From 192.168.1.1 icmp_seq=1 Frag needed and DF set (mtu = 1300)"), "{text}");
    let route = net.ip("a", "route get 203.0.113.1");
    assert!(route.contains(" mtu 1300"), "{route}");
    assert_eq!(net.ping("a", 3, "-s 1272 -M do 203.0.113.1"), 3);
    // Without DF the router cuts them, in pieces those that the host has cut already; the other host puts them together.
    net.ip("b", "link set eth0 mtu 1300");
    assert_eq!(net.ping("a", 5, "-s 1400 -M dont 203.0.113.1"), 5);
    assert_eq!(net.ping("a", 5, "-s 5000 -M dont 203.0.113.1"), 5);
    assert_eq!(net.counter("b", "Ip:", "ReasmOKs"), 10);
    net.ip("b", "link set eth0 mtu 1500");
    // Forgotten, so that TCP finds it anew.
    net.ip("a", "route flush cache");
    let report = net.iperf("a", "b", "203.0.113.1", "-n 1M");
    assert!(report["end"]["sum_sent"]["bytes"].as_u64().unwrap() >= 1 << 20);
    assert_eq!(report["intervals"][0]["streams"][0]["pmtu"], 1300, "{report}");
    let (report, log) = swath.end();
    assert_eq!(report["dropped"], json!({}), "{log}");
}

#[test]
fn neighbours_are_asked_whether_they_are_there_and_those_that_are_not_are_unreachable() {
    let Some(net) = two_hosts() else { return };
    let swath = net.swath("r", &router(&[SHORT]));
    // Six times as long as a neighbour is believed: it is asked again and again, and no packet is lost by that.
    let text = net.sh("a", "ping -n -q -i 0.1 -c 20 203.0.113.1");
    assert!(text.contains("20 received"), "{text}");
    let text = net.try_sh("b", "ping -n -c 2 -W 2 -i 0.5 192.168.1.99");
    assert!(text.contains("From 203.0.113.2 icmp_seq=1 Destination Host Unreachable"), "{text}");
    let report = end_exact(&net, swath, &["a", "b"]);
    assert!(report["consumed"].as_u64().unwrap() >= 6, "{report}");
    assert_eq!(report["dropped"], json!({}));
}

#[test]
fn a_host_moves_to_another_hardware_address() {
    let Some(net) = two_hosts() else { return };
    let swath = net.swath("r", &router(&[]));
    assert_eq!(net.ping("b", 2, "192.168.1.20"), 2);
    // It announces itself (RFC 5227 §2.3), so that not one packet goes to the old address.
    net.sh("a", "sysctl -qw net.ipv4.conf.eth0.arp_notify=1");
    net.ip("a", "link set eth0 address 02:00:00:00:01:77");
    assert_eq!(net.ping("b", 5, "192.168.1.20"), 5);
    end_exact(&net, swath, &["a", "b"]);
    // It does not: the router finds out when it does not answer any more.
    let swath = net.swath("r", &router(&[SHORT]));
    assert_eq!(net.ping("b", 2, "192.168.1.20"), 2);
    net.sh("a", "sysctl -qw net.ipv4.conf.eth0.arp_notify=0");
    net.ip("a", "link set eth0 address 02:00:00:00:01:78");
    assert!(net.comes_back("b", "192.168.1.20"));
    assert_eq!(net.ping("b", 5, "192.168.1.20"), 5);
    swath.end();
}

#[test]
fn a_host_without_arp_is_a_static_neighbour() {
    let Some(net) = two_hosts() else { return };
    net.ip("a", "link set eth0 arp off");
    net.ip("a", "neigh add 192.168.1.1 lladdr 02:00:00:00:01:01 dev eth0 nud permanent");
    let known = format!("kind: neighbours\n    static: [{{ address: 192.168.1.20, mac: '{A}' }}]\n");
    let swath = net.swath("r", &router(&[("kind: neighbours\n", &known)]));
    assert_eq!(net.ping("a", 5, "203.0.113.1"), 5);
    assert_eq!(net.ping("b", 5, "192.168.1.20"), 5);
    let report = end_exact(&net, swath, &["a", "b"]);
    assert_eq!(report["dropped"], json!({}));
}

#[test]
fn three_networks() {
    let net = Net::new(&["a", "b", "c", "r"]);
    let Some(net) = net else { return };
    net.real_host("a", A, "192.168.1.20/24", "192.168.1.1");
    net.real_host("b", B, "203.0.113.1/30", "203.0.113.2");
    net.real_host("c", "02:00:00:00:03:20", "10.0.3.2/24", "10.0.3.1");
    let graph = router(&[
        ("\ntables:\n", "  dmz: { driver: af-packet, device: r-c, mac: 02:00:00:00:03:01, addresses: [10.0.3.1/24] }\n\ntables:\n"),
        ("nodes:\n  lan-rx:", "nodes:\n  dmz-rx:   { kind: rx, interface: dmz, to: ethernet }\n  lan-rx:"),
        ("version: 1\n", "version: 1\nengine: { workers: 2 }\n"),
    ]);
    let swath = net.swath("r", &graph);
    let hosts = [("a", "192.168.1.20"), ("b", "203.0.113.1"), ("c", "10.0.3.2")];
    for (name, _) in hosts {
        for (_, address) in hosts.iter().filter(|(other, _)| *other != name) {
            assert_eq!(net.ping(name, 5, address), 5, "{name} to {address}");
        }
    }
    let report = end_exact(&net, swath, &["a", "b", "c"]);
    assert_eq!(report["dropped"], json!({}));
}

#[test]
fn links_and_devices_come_and_go() {
    let Some(net) = two_hosts() else { return };
    let mut swath = net.swath("r", &router(&[SHORT]));
    assert_eq!(net.ping("a", 2, "203.0.113.1"), 2);
    for _ in 0..3 {
        net.ip("r", "link set r-b down");
        swath.says("`r-b` is down");
        net.ip("r", "link set r-b up");
        assert!(net.comes_back("a", "203.0.113.1"));
    }
    net.ip("r", "link del r-b");
    swath.says("`r-b` is gone; waiting for it to return");
    // Another machine at the same address.
    net.real_host("b", "02:00:00:00:02:99", "203.0.113.1/30", "203.0.113.2");
    swath.says("`r-b` is back");
    assert!(net.comes_back("a", "203.0.113.1"));
    assert_eq!(net.ping("a", 5, "203.0.113.1"), 5);
    assert_eq!(net.ping("b", 5, "192.168.1.20"), 5);
    swath.end();
}

/// RFC 5227 §2.4: a host that has come to believe another station is put right at once.
#[test]
fn the_address_of_the_router_is_defended() {
    let Some(net) = Net::new(&["a", "x", "r", "s"]) else { return };
    // `s` is a switch, between the hosts `a` and `x` and the router.
    net.ip("s", "link add br0 type bridge");
    net.ip("s", "link set br0 up");
    for (name, device, mac) in [("a", "eth0", A), ("x", "eth0", "02:00:00:00:01:66"), ("r", "r-a", "02:00:00:00:01:f0")] {
        net.cable(name, device, mac, "s", &format!("s-{name}"));
        net.ip("s", &format!("link set s-{name} master br0"));
    }
    net.ip("r", "link add r-b type veth peer name other");
    net.configure("a", "192.168.1.20/24", "192.168.1.1");
    // It believes the last that it hears, however soon.
    net.sh("a", "sysctl -qw net.ipv4.neigh.eth0.locktime=0");
    net.sh("x", "sysctl -qw net.ipv4.conf.eth0.arp_notify=1");
    let swath = net.swath("r", &router(&[]));
    assert_eq!(net.ping("a", 2, "192.168.1.1"), 2);
    net.ip("x", "address add 192.168.1.1/24 dev eth0");
    // Changing the hardware address announces both.
    net.ip("x", "link set eth0 address 02:00:00:00:01:67");
    assert_eq!(net.ping("a", 5, "192.168.1.1"), 5);
    let neighbour = net.ip("a", "neigh show 192.168.1.1");
    assert!(neighbour.contains("02:00:00:00:01:01"), "{neighbour}");
    net.ip("x", "link set eth0 address 02:00:00:00:01:68");
    let (report, log) = swath.end();
    // The second claim within ten seconds is left alone.
    assert_eq!(report["dropped"]["arp"], json!({ "conflict": 1 }), "{log}");
}

/// A TCP server of the router's own kernel is reached, and reaches others, while the router forwards.
#[test]
fn the_kernel_serves_what_is_punted() {
    let Some(net) = two_hosts() else { return };
    // Else the kernel would answer on the device itself, too.
    net.ip("r", "link set r-a arp off");
    let graph = router(&[
        (
            "\ntables:\n",
            "  lan-kernel: { driver: tap, device: lan0, mac: 02:00:00:00:fe:01, kernel-mac: 02:00:00:00:01:01, \
             kernel-addresses: [192.168.1.1/24] }\n\ntables:\n",
        ),
        ("arp: arp }", "arp: arp-copy }"),
        ("kind: neighbours\n", "kind: neighbours\n    interfaces: [lan, wan]\n"),
        ("kind: fib4\n", "kind: fib4\n    interfaces: [lan, wan]\n"),
        ("kind: ip4-local, to: { reply: own,", "kind: ip4-local, punt: [tcp], to: { reply: own, punt: punt,"),
        (
            "nodes:\n  lan-rx:",
            "nodes:
  arp-copy:  { kind: tee, to: { out: arp, kernel: punt } }
  punt:      { kind: punt, interfaces: { lan: lan-kernel }, to: tx }
  kernel-rx: { kind: rx, interface: lan-kernel, to: kernel-tx }
  kernel-tx: { kind: tx, interface: lan }
  lan-rx:",
        ),
    ]);
    let swath = net.swath("r", &graph);
    let mut forwarded = net.command("a", "ping -n -q -i 0.1 -c 20 203.0.113.1").stdout(Stdio::piped()).spawn().unwrap();
    for (from, to, address) in [("a", "r", "192.168.1.1"), ("r", "a", "192.168.1.20")] {
        let report = net.iperf(from, to, address, "-n 4M");
        assert!(report["end"]["sum_received"]["bytes"].as_u64().unwrap() > 1 << 20, "{report}");
    }
    let mut text = String::new();
    forwarded.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(forwarded.wait().unwrap().success() && text.contains(" 20 received"), "{text}");
    // Echo requests are answered by the graph; on the other link nobody has a tap.
    assert_eq!(net.ping("a", 5, "192.168.1.1"), 5);
    assert_eq!(net.checksum_errors("r") + net.checksum_errors("a"), 0);
    let (report, log) = swath.end();
    for reason in ["no-tap", "malformed", "bad-offload"] {
        assert!(!log.contains(reason), "{log}");
    }
    // The kernel's questions are not the router's, and so are the answers.
    assert!(report["dropped"].as_object().unwrap().keys().all(|node| node == "arp"), "{log}");
    net.swath("r", &graph).kill();
    assert!(!net.command("r", "ip link show lan0").output().unwrap().status.success());
}
