//! The firewall that is shipped, `graphs/firewall.yaml`, between hosts that are kernels: what their programs reach, and what not.

mod common;

use common::hosts::{Net, Swath};
use serde_json::{Value, json};

const A: &str = "02:00:00:00:01:10";
const B: &str = "02:00:00:00:02:02";
const INSIDE: &str = "192.168.1.10";
const WEB: &str = "192.168.1.11";
const OUTSIDE: &str = "203.0.113.1";

/// The shipped firewall on `r-a` and `r-b`, its neighbours to be found, its web server at the port of `iperf3`, and with other changes.
fn firewall(changes: &[(&str, &str)]) -> String {
    let path = common::graph("firewall.yaml");
    let mut graph = std::fs::read_to_string(&path).unwrap();
    let template = path.parent().unwrap().join("templates/ip4-origin.yaml");
    let first = graph.find("    static:\n").unwrap();
    let last = first + graph[first..].find("\n\n").unwrap() + 1;
    graph.replace_range(first..last, "");
    let devices = [
        ("include: templates/ip4-origin.yaml", format!("include: {}", template.display())),
        ("inside:  { driver: memory,", "inside:  { driver: af-packet, device: r-a,".to_owned()),
        ("outside: { driver: memory,", "outside: { driver: af-packet, device: r-b,".to_owned()),
        ("destination-port: 443", "destination-port: 5201".to_owned()),
    ];
    let changes = changes.iter().map(|(from, to)| (*from, (*to).to_owned()));
    for (from, to) in devices.into_iter().chain(changes) {
        assert!(graph.contains(from), "{from}\n{graph}");
        graph = graph.replacen(from, &to, 1);
    }
    graph
}

/// Packets of a host have different workers, which hand them over.
const TWO_WORKERS: (&str, &str) = ("version: 1\n", "version: 1\nengine: { workers: 2 }\n");

/// A host inside, with the address of the web server, too; and one outside.
fn two_hosts(more: &[&str]) -> Option<Net> {
    let net = Net::new(&[&["a", "b", "r"], more].concat())?;
    net.real_host("a", A, &format!("{INSIDE}/24"), "192.168.1.1");
    net.ip("a", &format!("address add {WEB}/24 dev eth0"));
    net.real_host("b", B, &format!("{OUTSIDE}/30"), "203.0.113.2");
    Some(net)
}

/// What a host's program finds; see the script.
fn tries(net: &Net, name: &str, what: &str) -> String {
    script(net, name, &format!("10 {what}"))
}

/// As [`tries`], for what is answered by nobody: whoever did so too late would be missed in what was dropped.
fn in_vain(net: &Net, name: &str, what: &str) -> bool {
    script(net, name, &format!("0.2 {what}")) == "silence"
}

fn script(net: &Net, name: &str, line: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/firewall_hosts.py");
    net.sh(name, &format!("python3 {script} {line}")).trim().to_owned()
}

/// IP packets that a host has sent.
fn sent(net: &Net, name: &str) -> u64 {
    net.counter(name, "Ip:", "OutRequests")
}

/// Ends the firewall. What it has dropped, once it has received and sent what the hosts' devices have counted, packet for packet.
fn end_exact(net: &Net, swath: Swath) -> Value {
    let (report, log) = swath.end();
    let (a, b) = (net.packets("a", "eth0"), net.packets("b", "eth0"));
    assert_eq!((&report["received"], &report["sent"]), (&(a.1 + b.1).into(), &(a.0 + b.0).into()), "{log}");
    report["dropped"].clone()
}

#[test]
fn hosts_inside_reach_what_is_outside_and_not_the_other_way() {
    for changes in [&[][..], &[TWO_WORKERS]] {
        let Some(net) = two_hosts(&[]) else { return };
        let swath = net.swath("r", &firewall(changes));
        // It waits for two hardware addresses, and its session with it.
        net.pings("a", 1, OUTSIDE);
        net.pings("a", 20, OUTSIDE);
        net.pings("a", 5, &format!("-s 1472 -M do {OUTSIDE}"));
        // In fragments there and back: their first ones say whose the others are.
        net.pings("a", 5, &format!("-s 5000 {OUTSIDE}"));
        net.pings("a", 5, "192.168.1.1");
        net.pings("a", 5, "203.0.113.2");
        assert_eq!(tries(&net, "a", &format!("tcp {OUTSIDE} 22")), "refused");
        assert_eq!(tries(&net, "a", &format!("udp 4000 {OUTSIDE} 9")), "refused");
        // Who is pinged may ping back, but asks anew.
        net.pings("b", 5, "203.0.113.2");
        let before = sent(&net, "b");
        for address in [INSIDE, WEB, "192.168.1.1"] {
            assert_eq!(net.ping("b", 3, address), 0, "{address}");
            assert!(in_vain(&net, "b", &format!("tcp {address} 22")), "{address}");
            assert!(in_vain(&net, "b", &format!("udp 53 {address} 53")), "{address}");
        }
        assert!(in_vain(&net, "b", "tcp 203.0.113.2 22"));
        assert!(in_vain(&net, "b", &format!("tcp {INSIDE} 5201")));
        // Nobody listens at the web server's port, which its host says.
        let refused = sent(&net, "b") - before;
        assert_eq!(tries(&net, "b", &format!("tcp {WEB} 5201")), "refused");
        net.pings("a", 5, OUTSIDE);
        assert_eq!(end_exact(&net, swath), json!({ "filter": { "denied-by-default": refused } }));
        assert!(refused >= 17, "3 addresses, 5 packets each, and 2 of TCP: {refused}");
    }
}

/// TCP and UDP with what the kernels have on, in both directions, of connections that begin inside; and those to the web server.
#[test]
fn hosts_keep_their_offloads() {
    let Some(net) = two_hosts(&[]) else { return };
    for changes in [&[][..], &[TWO_WORKERS]] {
        let swath = net.swath("r", &firewall(changes));
        for args in ["-t 1", "-t 1 -R", "-t 1 -P 4"] {
            let report = net.iperf("a", "b", OUTSIDE, args);
            println!("TCP {args}: {} bit/s", report["end"]["sum_received"]["bits_per_second"]);
            assert!(report["end"]["sum_received"]["bytes"].as_u64().unwrap() > 1 << 20);
        }
        for args in ["-u -b 20M -t 1", "-u -b 20M -t 1 -R"] {
            let report = net.iperf("a", "b", OUTSIDE, args);
            println!("UDP {args}: lost {} of {}", report["end"]["sum"]["lost_packets"], report["end"]["sum"]["packets"]);
            assert!(report["end"]["sum"]["packets"].as_u64().unwrap() > 10);
        }
        let report = net.iperf("b", "a", WEB, "-n 4M");
        assert!(report["end"]["sum_received"]["bytes"].as_u64().unwrap() > 1 << 20);
        assert_eq!((net.checksum_errors("a"), net.checksum_errors("b")), (0, 0));
        let (report, log) = swath.end();
        assert!(report["dropped"]["filter"].is_null() && !log.contains("bad-offload") && !log.contains("too-big"), "{log}");
    }
}

/// An IPv4 header and the first 8 bytes of UDP, as an error quotes them.
fn quote(source: &str, source_port: u16, destination: &str, destination_port: u16) -> String {
    let address = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let mut bytes = Vec::new();
    let builder = etherparse::PacketBuilder::ipv4(address(source), address(destination), 63).udp(source_port, destination_port);
    builder.write(&mut bytes, b"question").unwrap();
    bytes[..28].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn errors_come_in_about_what_was_sent_and_forged_ones_do_not() {
    let Some(net) = two_hosts(&[]) else { return };
    let swath = net.swath("r", &firewall(&[]));
    let errors = || net.counter("a", "Icmp:", "InDestUnreachs");
    // The host outside says that nobody is at port 9.
    assert_eq!((tries(&net, "a", &format!("udp 4000 {OUTSIDE} 9")), errors()), ("refused".to_owned(), 1));
    let forge = |kind: &str, quote: &str| tries(&net, "b", &format!("error {INSIDE} {kind} 0 {quote}"));
    // A second time, by hand; then about what nobody has sent, or has not sent like that.
    let known = quote(INSIDE, 4000, OUTSIDE, 9);
    forge("3.3", &known);
    let forged = [
        ("3.3", quote(INSIDE, 4001, OUTSIDE, 9)),
        ("3.3", quote(INSIDE, 4000, OUTSIDE, 10)),
        ("3.1", quote(INSIDE, 4000, "198.51.100.1", 9)),
        ("3.4", quote(WEB, 4000, OUTSIDE, 9)),
        // The answer of the other side is nothing that the host inside has sent.
        ("3.3", quote(OUTSIDE, 9, INSIDE, 4000)),
        // A redirect and a source quench (RFC 6633 §4) are of no session, whatever they quote.
        ("5.1", known.clone()),
        ("4.0", known),
    ];
    for (kind, quote) in &forged {
        forge(kind, quote);
    }
    // All before it has been looked at when this comes back.
    net.pings("a", 1, OUTSIDE);
    assert_eq!(errors(), 2);
    assert_eq!(net.counter("a", "Icmp:", "InRedirects") + net.counter("a", "Icmp:", "InSrcQuenchs"), 0);
    assert_eq!(end_exact(&net, swath), json!({ "filter": { "denied-by-default": forged.len() } }));
}

/// Whoever says to be from inside, TCP that begins in the middle, and flags that no host sets.
#[test]
fn what_no_host_sends_is_told_apart() {
    let Some(net) = two_hosts(&[]) else { return };
    let swath = net.swath("r", &firewall(&[]));
    net.pings("a", 2, OUTSIDE);
    // Ports 5000 and 22, or the other way round; a number of 1, and flags.
    let tcp = |flags: u8, back: bool| {
        let ports = if back { "00161388" } else { "13880016" };
        format!("{ports}000000010000000050{flags:02x}100000000000")
    };
    let send = |from: &str, source: &str, to: &str, segment: &str| tries(&net, from, &format!("raw {source} {to} 6 {segment}"));
    let [syn, ack, fin] = [0x02, 0x10, 0x01];
    // From outside, in the name of somebody inside.
    send("b", "192.168.1.77", INSIDE, &tcp(syn, false));
    send("b", "192.168.1.77", "203.0.113.2", &tcp(syn, false));
    // In the middle: from inside a rule would permit it, and from outside none does.
    send("a", INSIDE, OUTSIDE, &tcp(ack, false));
    send("b", OUTSIDE, INSIDE, &tcp(syn | ack, true));
    // A connection that begins, and flags that exclude each other.
    send("a", INSIDE, OUTSIDE, &tcp(syn, false));
    send("b", OUTSIDE, INSIDE, &tcp(syn | fin, true));
    net.pings("a", 2, OUTSIDE);
    let dropped = end_exact(&net, swath);
    assert_eq!(dropped, json!({ "filter": { "denied": 2, "denied-by-default": 1, "no-session": 1, "invalid": 1 } }));
}

/// Behind the host outside is another one, over a link of a smaller MTU.
#[test]
fn a_path_is_found_by_the_errors_of_routers_outside() {
    let Some(net) = two_hosts(&["c"]) else { return };
    net.cable("c", "eth0", "02:00:00:00:03:02", "b", "b-c");
    net.configure("c", "198.51.100.2/24", "198.51.100.1");
    net.ip("b", "link set b-c multicast off");
    net.ip("b", "address add 198.51.100.1/24 dev b-c");
    net.sh("b", "sysctl -qw net.ipv4.ip_forward=1");
    // Its other end says nothing of it in the MSS of TCP.
    net.ip("b", "link set b-c mtu 1300");
    let swath = net.swath("r", &firewall(&[]));
    net.pings("a", 5, "198.51.100.2");
    for args in ["198.51.100.2", "-I 198.51.100.2"] {
        let text = net.sh("a", &format!("traceroute -n -N 1 -q 1 -w 2 {args}"));
        let hops: Vec<&str> = text.lines().skip(1).map(|line| line.split_whitespace().nth(1).unwrap()).collect();
        assert_eq!(hops, ["192.168.1.1", OUTSIDE, "198.51.100.2"], "{args}");
    }
    // Somebody outside tells of a small MTU that nobody has asked for; then the router there does, about a packet.
    let forged = quote(INSIDE, 4000, "198.51.100.2", 9);
    tries(&net, "b", &format!("error {INSIDE} 3.4 600 {forged}"));
    let text = net.try_sh("a", "ping -n -c 1 -W 1 -s 1472 -M do 198.51.100.2");
    assert!(text.contains("From 203.0.113.1 icmp_seq=1 Frag needed and DF set (mtu = 1300)"), "{text}");
    assert!(net.ip("a", "route get 198.51.100.2").contains(" mtu 1300"));
    net.pings("a", 3, "-s 1272 -M do 198.51.100.2");
    assert_eq!(end_exact(&net, swath), json!({ "filter": { "denied-by-default": 1 } }));
    // Forgotten, so that TCP finds it anew; many of its segments are one packet to the hosts' devices.
    net.ip("a", "route flush cache");
    let swath = net.swath("r", &firewall(&[]));
    let report = net.iperf("a", "c", "198.51.100.2", "-n 1M");
    assert_eq!(report["intervals"][0]["streams"][0]["pmtu"], 1300, "{report}");
    let (report, log) = swath.end();
    assert_eq!(report["dropped"], json!({}), "{log}");
}
