//! The shipped router under everything at once, for some seconds: TCP, UDP, pings of all sizes and traceroutes through it, while a link flaps,
//! hosts forget their neighbours and move to other hardware addresses. In the end both ledgers add up, nothing has leaked, and all is well.
//! `SWATH_TEST_SCALE=20` makes two minutes of it. Needs root, for network namespaces.

mod common;

use std::process::Stdio;
use std::thread::{scope, sleep};
use std::time::Duration;

use common::hosts::Net;
use common::said;

const A: &str = "192.168.1.20";
const B: &str = "203.0.113.1";
/// What one round adds to the heap at most, from the second on: nothing but what the allocator does not give back.
const HEAP_MARGIN: u64 = 8 << 20;

/// The shipped router on `r-a` and `r-b`, with neighbours that it has to ask again and again.
fn router() -> String {
    let mut graph = said(["new", "router"]).out;
    let first = graph.find("    static:\n").unwrap();
    let last = first + graph[first..].find("\n\n").unwrap() + 1;
    graph.replace_range(
        first..last,
        "    reachable-time: 300ms\n    stale-time: 300ms\n    retry-interval: 100ms\n    failed-time: 300ms\n",
    );
    for (from, to) in [
        ("lan: { driver: memory,", "lan: { driver: af-packet, device: r-a,"),
        ("wan: { driver: memory,", "wan: { driver: af-packet, device: r-b, mtu: 1400,"),
    ] {
        assert!(graph.contains(from), "{from}");
        graph = graph.replacen(from, to, 1);
    }
    graph
}

/// `iperf3`, which may well fail while its link is down.
fn iperf(net: &Net, from: &str, to: &str, address: &str, args: &str) {
    // It ends by itself, in any case.
    let server = net.command(to, "timeout 5 iperf3 -s -1").stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    sleep(Duration::from_millis(200));
    net.try_sh(from, &format!("timeout 4 iperf3 -c {address} --connect-timeout 1000 {args}"));
    let _ = server.unwrap().wait();
}

/// What goes on beside the traffic.
fn disturb(net: &Net, round: u8) {
    for step in 0..3u8 {
        // While packets pass, entries come back faster than `ip` sees the end of them.
        net.try_sh("a", "ip neigh flush dev eth0");
        net.try_sh("b", "ip neigh flush dev eth0");
        sleep(Duration::from_millis(300));
        net.ip("a", &format!("link set eth0 address 02:00:00:01:{round:02x}:{step:02x}"));
        sleep(Duration::from_millis(300));
        net.ip("r", "link set r-b down");
        sleep(Duration::from_millis(50));
        net.ip("r", "link set r-b up");
        sleep(Duration::from_millis(200));
    }
}

#[test]
fn everything_at_once() {
    let Some(net) = Net::new(&["a", "b", "r"]) else { return };
    net.real_host("a", "02:00:00:00:01:20", "192.168.1.20/24", "192.168.1.1");
    net.real_host("b", "02:00:00:00:02:20", "203.0.113.1/30", "203.0.113.2");
    net.ip("b", "link set eth0 mtu 1400");
    net.sh("a", "sysctl -qw net.ipv4.conf.eth0.arp_notify=1");
    let scale: u8 = std::env::var("SWATH_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1);
    let swath = net.swath("r", &router());
    let mut heap = Vec::new();
    // About three seconds each.
    for round in 0..2 * scale.max(1) {
        scope(|threads| {
            threads.spawn(|| iperf(&net, "a", "b", B, "-t 2 -P 2"));
            threads.spawn(|| iperf(&net, "b", "a", A, "-u -b 20M -l 1300 -t 2"));
            threads.spawn(|| {
                for size in [0, 8, 56, 500, 1372, 1373, 1472, 1473, 1900, 3000, 9000] {
                    net.try_sh("a", &format!("ping -n -q -i 0.002 -c 30 -W 1 -w 1 -M dont -s {size} {B}"));
                    net.try_sh("b", &format!("ping -n -q -i 0.002 -c 10 -W 1 -w 1 -M dont -s {size} 192.168.1.1"));
                }
            });
            threads.spawn(|| (0..3).for_each(|_| drop(net.try_sh("a", &format!("traceroute -n -w 0.3 -m 3 {B}")))));
            disturb(&net, round);
        });
        heap.push(swath.heap());
    }
    println!("heap after each round: {heap:?}");
    // All is well again.
    assert!(net.comes_back("a", B) && net.comes_back("b", A));
    for (from, address) in [("a", B), ("a", "192.168.1.1"), ("b", A), ("b", "203.0.113.2")] {
        assert_eq!(net.ping(from, 20, &format!("-s 1900 {address}")), 20, "{from} {address}");
    }
    assert_eq!((net.checksum_errors("a"), net.checksum_errors("b")), (0, 0));
    assert!(heap[heap.len() - 1] < heap[0] + HEAP_MARGIN, "{heap:?}");
    let (report, log) = swath.end();
    println!("{report}");
    assert!(report["received"].as_u64().unwrap() > 1000, "{log}");
    for reason in ["bad-offload", "malformed", "bad-checksum", "no-route", "out-of-buffers", "inbox-full"] {
        assert!(!log.contains(reason), "{reason}:\n{log}");
    }
}
