//! What a user needs who is not root, and what is left of it when swath runs.

use serde_json::Value;

use super::common;
use super::{router, two_hosts};

/// Bits of linux/capability.h: CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK.
const NET: u64 = 1 << 12 | 1 << 13;
const IPC_LOCK: u64 = 1 << 14;
/// CAP_PERFMON and CAP_BPF, to load a program for an interface that comes with another graph.
const LOAD: u64 = 1 << 38 | 1 << 39;

/// Of a thread: its name, what it may, what it could, what it hands on, and whether it can gain more.
fn privileges(status: &str) -> (String, [u64; 4], String) {
    let field = |name: &str| status.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned())).unwrap();
    let set = |name: &str| u64::from_str_radix(&field(name), 16).unwrap();
    (field("Name:"), ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"].map(set), field("NoNewPrivs:"))
}

/// As root; as another user with no more than the documentation says, with either of what it says of locked memory.
#[test]
fn a_user_with_the_capabilities_is_enough() {
    let Some(net) = two_hosts() else { return };
    // As of a service that runs as a user.
    let sockets = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(&sockets, Some(65534), Some(65534)).unwrap();
    let user = |caps: &str| {
        let caps = format!("-all,+net_admin,+net_raw,+bpf,+perfmon{caps}");
        let sockets = sockets.path().display();
        format!(
            "env RUNTIME_DIRECTORY={sockets} setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps {caps} --ambient-caps {caps} --bounding-set {caps}"
        )
    };
    for (prefix, engine, kept) in [
        (String::new(), "", NET | IPC_LOCK),
        (user(",+ipc_lock"), "", NET | IPC_LOCK),
        // Within the limit of 8 MiB that systems have.
        (user(""), "buffers: 2048, ", NET),
    ] {
        // A filter that reads addresses needs the most; another thread speaks with the kernel for one that leaves it SSH.
        let captures = ["capture: { destinations: [10.0.2.0/24] }, promiscuous: true", "capture: all-but-ssh, promiscuous: true"];
        let graph = router(&format!("{engine}workers: 2, metrics: '127.0.0.1:0'"), captures[0], captures[1]);
        let mut swath = net.swath_by("r", &prefix, &graph);
        assert!(net.comes_back("a", "10.0.2.2"), "{}", swath.log());
        let expected = [
            ("api", 0),
            ("links", kept),
            ("links", kept),
            ("metrics", 0),
            ("neighbours", 1 << 12),
            ("swath", kept | LOAD),
            ("watchdog", 0),
            ("worker-0", 0),
            ("worker-1", 0),
        ];
        let expected = expected.map(|(name, has)| (name.to_owned(), [has, has, 0, 0], "1".to_owned()));
        let mut threads = Vec::new();
        // They may have been made and not have run yet.
        for _ in 0..500 {
            threads = swath.threads().iter().map(|status| privileges(status)).collect();
            threads.sort();
            if threads == expected {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(threads, expected, "{prefix}");

        // What is left does for all that may have to be done again: devices that go and come, a program that is put back.
        for (device, host, n) in [("r-a", "a", 1), ("r-b", "b", 2)] {
            net.ip("r", &format!("link del {device}"));
            swath.says(&format!("`{device}` is gone; waiting for it to return"));
            net.host(host, n);
            swath.says(&format!("`{device}` is back"));
        }
        assert!(net.comes_back("a", "10.0.2.2"), "{}", swath.log());
        if common::has("bpftool") {
            let links: Value = serde_json::from_str(&net.sh("r", "bpftool -j link show")).unwrap();
            let device = net.ip("r", "-d link show r-a");
            let program: u64 = device.split("prog/xdp id ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
            let link = links.as_array().unwrap().iter().find(|link| link["prog_id"] == program).unwrap();
            net.sh("r", &format!("bpftool link detach id {}", link["id"]));
            swath.says("somebody has taken the program off `r-a`; it is attached again");
        }
        assert_eq!(net.ping("a", 10, "10.0.2.2"), 10);
        swath.end();
    }
}
