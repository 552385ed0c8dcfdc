//! The router with two uplinks that is shipped, `graphs/multi-wan.yaml`, between hosts that are kernels. Needs root, for network namespaces.

mod common;

use common::graph;
use common::hosts::Net;
use serde_json::json;

/// The shipped graph on devices, with neighbours to be found.
fn multi_wan() -> String {
    let read = |path: &str| std::fs::read_to_string(graph(path)).unwrap();
    let mut text = read("multi-wan.yaml");
    let template = read("templates/ip4-origin.yaml");
    let first = text.find("    # ARP finds everybody else.").unwrap();
    let last = first + text[first..].find("\n\n").unwrap() + 1;
    text.replace_range(first..last, "");
    let templates = template.split_once("\nversion: 1\n").unwrap().1;
    let devices = [
        ("include: templates/ip4-origin.yaml\n", templates),
        ("lan:   { driver: memory,", "lan:   { driver: af-packet, device: r-a,"),
        ("guest: { driver: memory,", "guest: { driver: af-packet, device: r-g,"),
        ("wan1:  { driver: memory,", "wan1:  { driver: af-packet, device: r-u, mtu: 1400,"),
        ("wan2:  { driver: memory,", "wan2:  { driver: af-packet, device: r-v, mtu: 1400,"),
    ];
    for (from, to) in devices {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    text
}

/// Echo requests to 8.8.8.1 to 8.8.8.`count`, all at once. Returns how many were answered, and how many each uplink has had.
fn spread(net: &Net, from: &str, count: u32) -> (u32, [u64; 2]) {
    const SCRIPT: &str = "import subprocess, sys
one = lambda n: subprocess.Popen(['ping', '-n', '-q', '-c', '1', '-W', '3', f'8.8.8.{n}'], stdout=subprocess.DEVNULL)
pings = [one(n) for n in range(1, 1 + int(sys.argv[1]))]
print(sum(ping.wait() == 0 for ping in pings))";
    let echoes = || ["u", "v"].map(|uplink| net.counter(uplink, "Icmp:", "InEchos"));
    let before = echoes();
    let output = net.command(from, "python3 -c").arg(SCRIPT).arg(count.to_string()).output().unwrap();
    let answered = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or_else(|_| panic!("{output:?}"));
    let after = echoes();
    (answered, [after[0] - before[0], after[1] - before[1]])
}

#[test]
fn two_uplinks_and_guests() {
    let Some(net) = Net::new(&["a", "g", "u", "v", "r"]) else { return };
    net.real_host("a", "02:00:00:00:01:20", "192.168.1.20/24", "192.168.1.1");
    net.real_host("g", "02:00:00:00:05:20", "192.168.50.20/24", "192.168.50.1");
    for (uplink, mac, address, router) in
        [("u", "02:00:00:00:0a:20", "203.0.113.1/30", "203.0.113.2"), ("v", "02:00:00:00:0b:20", "198.51.100.1/30", "198.51.100.2")]
    {
        net.real_host(uplink, mac, address, router);
        // Each of them is the rest of the world.
        net.ip(uplink, "route add local 8.8.8.0/24 dev lo");
        net.ip(uplink, "link set eth0 mtu 1400");
    }
    let mut swath = net.swath("r", &multi_wan());
    for (name, address) in [("a", "203.0.113.1"), ("a", "198.51.100.1"), ("g", "203.0.113.1"), ("g", "198.51.100.1")] {
        assert_eq!(net.ping(name, 2, address), 2, "{name} {address}");
    }

    // Both uplinks are used, each by its own flows.
    let (answered, shares) = spread(&net, "a", 64);
    assert_eq!((answered, shares[0] + shares[1]), (64, 64));
    assert!(shares[0] > shares[1] && shares[1] > 0, "{shares:?}");
    // While one is down, the other has them all; when it is back, it gets its share.
    net.ip("r", "link set r-u down");
    swath.says("`r-u` is down");
    assert_eq!(spread(&net, "a", 64), (64, [0, 64]));
    net.ip("r", "link set r-u up");
    swath.says("`r-u` is up");
    assert!(net.comes_back("a", "203.0.113.1"));
    let (answered, shares) = spread(&net, "a", 64);
    assert_eq!((answered, shares[0] + shares[1]), (64, 64));
    assert!(shares[0] > shares[1] && shares[1] > 0, "{shares:?}");

    // Guests leave by the second, and by the first while it is down.
    assert_eq!(spread(&net, "g", 16), (16, [0, 16]));
    assert_eq!(net.ping("g", 3, "-s 1472 -M dont 8.8.8.1"), 3);
    assert_eq!((net.counter("u", "Ip:", "ReasmOKs"), net.counter("v", "Ip:", "ReasmOKs")), (0, 3));
    net.ip("r", "link set r-v down");
    swath.says("`r-v` is down");
    assert_eq!(spread(&net, "g", 16), (16, [16, 0]));
    net.ip("r", "link set r-v up");
    swath.says("`r-v` is up");
    assert!(net.comes_back("a", "198.51.100.1"));
    assert_eq!(spread(&net, "g", 16), (16, [0, 16]));
    // The LAN is not theirs, and they are told.
    let text = net.try_sh("g", "ping -n -c 1 -W 2 192.168.1.20");
    assert!(text.contains("From 192.168.50.1 icmp_seq=1 Packet filtered"), "{text}");

    let (report, log) = swath.end();
    // What a link that was down has lost is no packet of the test.
    assert_eq!(report["dropped"], json!({}), "{log}");
}
