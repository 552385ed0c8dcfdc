//! What stays with the kernel, where frames are IPv4.

use serde_json::Value;

use super::{DEFAULT, count, router, two_hosts};

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
            // What the receiver had by then is less, by what was under way.
            report["end"]["sum_received"]["bytes"].as_u64().filter(|bytes| *bytes > 0)?;
            report["end"]["sum_sent"]["bytes"].as_u64()
        });
        let _ = server.kill();
        server.wait().unwrap();
        assert!(bytes.is_some_and(|bytes| bytes >= 1 << 20), "{from} to {to}: {bytes:?}");
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
