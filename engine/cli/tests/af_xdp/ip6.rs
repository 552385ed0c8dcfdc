//! Captures of IPv6 between hosts and a kernel that has an address of its own beside them.

use std::process::Stdio;

use serde_json::Value;

use super::common::hosts::Net;
use super::count;
use super::faults::wire;

/// Hosts `a` and `b` at both ends of the device `r-a` and `r-b`, in one subnet, of which the kernel of `r` is a host, too: 2001:db8::a, ::b,
/// and ::1. Who asks whom is entered, so that no test depends on who hears a question to a group.
fn hosts() -> Option<Net> {
    let net = Net::new(&["a", "b", "r"])?;
    for (name, number, device) in [("a", 1, "eth0"), ("b", 2, "eth0"), ("r", 0, "r-a")] {
        if name != "r" {
            net.host(name, number);
        }
        let quiet = "net.ipv6.conf.all.router_solicitations=0 net.ipv6.conf.default.router_solicitations=0";
        net.sh(name, &format!("sysctl -qw {quiet} net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.{device}.disable_ipv6=0"));
    }
    // What the kernel would send there of its own accord.
    net.sh("r", "sysctl -qw net.ipv6.conf.r-b.disable_ipv6=1");
    net.ip("r", "link set r-a address 02:00:00:00:00:01");
    let neighbours = [("a", "eth0", "a"), ("b", "eth0", "b"), ("r", "r-a", "1")];
    for (name, device, host) in neighbours {
        net.ip(name, &format!("address add 2001:db8::{host}/64 dev {device} nodad"));
    }
    let macs = [("a", "02:00:00:00:01:02"), ("b", "02:00:00:00:02:02"), ("1", "02:00:00:00:00:01")];
    for (name, device, host) in neighbours {
        for (other, mac) in macs.iter().filter(|(other, _)| *other != host) {
            net.ip(name, &format!("neigh replace 2001:db8::{other} lladdr {mac} dev {device} nud permanent"));
        }
    }
    Some(net)
}

#[test]
fn packets_to_prefixes_are_taken_and_the_kernel_keeps_its_address() {
    let Some(net) = hosts() else { return };
    let (to_b, to_a) = ("capture: { destinations: [2001:db8::b] }", "capture: { destinations: ['2001:db8::a/127'] }");
    let swath = net.swath("r", &wire(&format!("device: r-a, {to_b}"), &format!("device: r-b, {to_a}")));
    let answered = (net.ping("a", 20, "2001:db8::b"), net.ping("a", 10, "2001:db8::1"), net.ping("r", 10, "2001:db8::a"));
    let bytes = net.iperf("b", "a", "2001:db8::a", "-n 1M")["end"]["sum_received"]["bytes"].as_u64().unwrap();
    let (report, log) = swath.end();
    assert_eq!(answered, (20, 10, 10), "{log}{report}");
    assert!(bytes > 0 && count(&report, "/sent") >= 40 + bytes / 1440, "{log}");
    assert_eq!(count(&report, "/received"), count(&report, "/sent"), "{log}");

    // Of a prefix in which neither is.
    let other = "capture: { destinations: ['2001:db8:1::/48', '::/128'] }";
    let swath = net.swath("r", &wire(&format!("device: r-a, {other}"), &format!("device: r-b, {other}")));
    assert_eq!((net.ping("a", 3, "2001:db8::b"), net.ping("a", 10, "2001:db8::1")), (0, 10));
    let (report, log) = swath.end();
    assert_eq!(count(&report, "/received"), 0, "{log}");
}

/// By protocol and port; fragments beyond the first have no ports, and extension headers (RFC 8200 §4) do not hide them.
#[test]
fn protocols_and_ports_are_taken() {
    let Some(net) = hosts() else { return };
    net.ip("a", "link set eth0 mtu 1280");
    let (some, none) = ("capture: { protocols: [udp/5000-5001] }", "capture: { destinations: ['::/128'] }");
    let swath = net.swath("r", &wire(&format!("device: r-a, {some}"), &format!("device: r-b, {none}")));
    let before = net.packets("b", "eth0").0;
    // PadN, in the eight bytes of a header of options for each hop (54: IPV6_HOPOPTS).
    let hops = "s.setsockopt(41,54,bytes([0,0,1,4,0,0,0,0]));";
    for (port, length, options) in [(5000, 100, ""), (5001, 100, hops), (5002, 100, ""), (5002, 100, hops), (5000, 2000, "")] {
        let send = format!("s=__import__('socket').socket(10,2);{options}s.sendto(b'x'*{length},('2001:db8::b',{port}))");
        net.sh("a", &format!("python3 -c {send}"));
    }
    assert_eq!(net.ping("a", 10, "2001:db8::1"), 10, "ICMPv6 is no UDP");
    for _ in 0..500 {
        if net.packets("b", "eth0").0 >= before + 3 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let (report, log) = swath.end();
    let taken = (count(&report, "/received"), count(&report, "/sent"), net.packets("b", "eth0").0 - before);
    assert_eq!(taken, (3, 3, 3), "two datagrams, and the first fragment of a third: {log}");
}

/// SSH by IPv6 to the host's own stack, in both directions. Neighbour discovery is the graph's, and tells the kernel what it has asked for.
#[test]
fn ssh_stays_with_the_kernel() {
    let Some(net) = hosts() else { return };
    let swath = net.swath("r", &wire("device: r-a, capture: all-but-ssh", "device: r-b, promiscuous: true"));
    for (from, to, address) in [("a", "r", "2001:db8::1"), ("r", "a", "2001:db8::a")] {
        // The kernel has to ask for its peer.
        net.try_sh("r", "ip -6 neigh del 2001:db8::a dev r-a");
        let mut server = net.command(to, "iperf3 -s -1 -p 22").stdout(Stdio::null()).spawn().unwrap();
        let client = || net.command(from, &format!("iperf3 -J -c {address} -p 22 -n 1M")).output().unwrap().stdout;
        let bytes = (0..50).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            let report: Value = serde_json::from_slice(&client()).unwrap_or_default();
            report["end"]["sum_received"]["bytes"].as_u64().filter(|bytes| *bytes > 0)?;
            report["end"]["sum_sent"]["bytes"].as_u64()
        });
        let _ = server.kill();
        server.wait().unwrap();
        assert!(bytes.is_some_and(|bytes| bytes >= 1 << 20), "{from} to {to}: {bytes:?}");
    }
    assert_eq!(net.ping("a", 20, "2001:db8::b"), 20);
    assert_eq!(net.ping("a", 1, "2001:db8::1"), 0, "all but ssh is not the kernel's");
    swath.end();
}
