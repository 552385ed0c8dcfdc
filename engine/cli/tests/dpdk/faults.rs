//! What is not there, what goes away, and what is too little.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use swath_io::text::Mac;

use super::common::hosts::Net;
use super::common::running::Running;
use super::common::{Place, frame, said_by, swath};
use super::{all_came_back, apply, library, received, start, tester};

/// What is not there is said, with what mends it, and a running graph goes on without.
#[test]
fn what_is_missing_is_said_and_the_running_graph_stays() {
    let Some(library) = library() else { return };
    let place = Place::new();
    // It does not end by itself.
    let flow = "{ sources: [10.9.0.1/32], destinations: [10.8.0.1/32], count: 1 }";
    let plain = tester(&format!("driver: memory, generate: {{ flows: {flow}, rate: 10pps }}"), None);
    let refused = |graph: &str, file: &std::path::Path| {
        let graph = place.text("broken.yaml", graph);
        let said =
            said_by(swath(["run"]).arg(&graph).args(["--stats", "none", "--duration", "1s"]).env("SWATH_DPDK_LIBRARY", file));
        assert_eq!((said.code, &*said.out), (78, ""), "{}", said.err);
        said.err
    };
    let null = tester("driver: dpdk, device: net_null0", None);
    // No library, one that is none, and one of another version.
    let text = refused(&null, &place.path("nowhere.so"));
    assert!(
        text.contains("the library of swath for DPDK is not installed") && text.contains("cargo build --release -p swath-dpdk"),
        "{text}"
    );
    let none = place.text("text.so", "no library");
    assert!(refused(&null, &none).contains("text.so` cannot be opened"));
    // What is checked needs no library.
    let file = place.text("valid.yaml", &null);
    let said = said_by(swath(["validate"]).arg(&file).env("SWATH_DPDK_LIBRARY", place.path("nowhere.so")));
    assert_eq!(said.code, 0, "{}", said.err);

    // Devices that are not there or cannot be, and arguments that DPDK does not know: with what DPDK says itself.
    let text = refused(&tester("driver: dpdk, device: '0000:99:00.0'", None), &library);
    assert!(text.contains("`0000:99:00.0`: DPDK does not find it"), "{text}");
    let text = refused(&tester("driver: dpdk, device: 'net_pcap0,rx_pcap=/nowhere.pcap'", None), &library);
    assert!(text.contains("`net_pcap0,rx_pcap=/nowhere.pcap`: ") && text.contains("Couldn't open"), "{text}");
    let text = refused(&tester("driver: dpdk, device: net_null0, eal: [--no-such-thing]", None), &library);
    assert!(text.contains("DPDK cannot be started: ") && text.contains("unrecognized option '--no-such-thing'"), "{text}");
    let text = refused(&tester("driver: dpdk, device: net_null0, eal: ['--lcores=nobody']", None), &library);
    assert!(text.contains("DPDK cannot be started: ") && text.contains("lcores"), "{text}");

    // The graph that runs takes a device in, refuses what cannot be, and lets it go.
    let running = start(&library, &place, &plain);
    let try_to = |graph: &str| {
        let graph = place.text("next.yaml", graph);
        running.ask(["apply".as_ref(), graph.as_os_str()])
    };
    for round in 1..=3 {
        apply(&running, &place, &tester("driver: dpdk, device: 'net_null0,no-rx=1'", Some(500)));
        running.until("/v1/interfaces", |all| {
            all.as_array().unwrap().iter().any(|one| one["name"] == "peer" && one["sent"]["packets"] == 500 * round)
        });
        let other = try_to(&tester("driver: dpdk, device: 'net_null1,no-rx=1', eal: [--log-level=debug]", None));
        assert!(other.code != 0 && other.err.contains("another one takes a restart of swath"), "{}", other.err);
        let gone = try_to(&tester("driver: dpdk, device: net_nothing0", None));
        assert!(gone.code != 0 && gone.err.contains("DPDK does not find it"), "{}", gone.err);
        apply(&running, &place, &plain);
    }
    // More packets than there is memory for: what the device has taken until then comes home.
    let one = frame("udp 10.9.0.1:1 > 10.8.0.1:1", Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]));
    let many = vec![one; 20_000];
    let capture = place.capture("many.pcap", (0..).zip(&many));
    let device = format!("driver: dpdk, device: 'net_pcap0,rx_pcap={},infinite_rx=1'", capture.display());
    let text = try_to(&tester(&device, None)).err;
    assert!(text.contains("receive queue 0: ") && text.contains("Not enough mbufs"), "{text}");
    // Nobody receives what is in a ring when it goes. Swath ends with the last of its sources, so there is one that does not.
    let flow = "{ sources: [10.0.0.0/24], destinations: [10.1.0.0/16], count: 300 }";
    let unread = "version: 1
interfaces:
  ring: { driver: dpdk, device: net_ring0 }
  from: { driver: memory, generate: { flows: FLOW, limit: 500 } }
  more: { driver: memory, generate: { flows: FLOW, rate: 10pps } }
nodes:
  more-rx: { kind: rx, interface: more, to: end }
  end:     { kind: drop }
  from-rx: { kind: rx, interface: from, to: ring-tx }
  ring-tx: { kind: tx, interface: ring }
";
    apply(&running, &place, &unread.replace("FLOW", flow));
    running.until("/v1/interfaces", |all| {
        all.as_array().unwrap().iter().any(|one| one["name"] == "ring" && one["sent"]["packets"] == 500)
    });
    apply(&running, &place, &plain);
    assert_eq!(running.json("/v1/runtime")["buffers"]["rings"], 0);
    // With a ledger that adds up.
    running.end();
}

/// A device of the kernel that DPDK has goes away: that is said, the rest goes on, and no chunk is lost.
#[test]
fn a_device_goes_away() {
    let Some(library) = library() else { return };
    let Some(net) = Net::new(&["r", "a"]) else { return };
    net.host("a", 1);
    let place = Place::new();
    let flow = "{ sources: [10.0.0.0/24], destinations: [10.1.0.0/16], count: 300 }";
    let graph = format!(
        "version: 1
interfaces:
  peer: {{ driver: dpdk, device: 'net_af_packet0,iface=r-a' }}
  ring: {{ driver: dpdk, device: net_ring0 }}
  test: {{ driver: memory, generate: {{ flows: {flow}, rate: 1kpps }} }}
nodes:
  test-rx: {{ kind: rx, interface: test, to: tee }}
  tee:     {{ kind: tee, to: {{ out: ring-tx, copy: peer-tx }} }}
  ring-tx: {{ kind: tx, interface: ring }}
  ring-rx: {{ kind: rx, interface: ring, to: test-tx }}
  peer-rx: {{ kind: rx, interface: peer, to: test-tx }}
  peer-tx: {{ kind: tx, interface: peer }}
  test-tx: {{ kind: tx, interface: test }}
"
    );
    let (file, socket) = (place.text("graph.yaml", &graph), place.path("control.sock"));
    let swath = env!("CARGO_BIN_EXE_swath");
    let line = format!("{swath} run {} --stats none --log-format json --api {}", file.display(), socket.display());
    // Without `timeout`, which would hand on each signal twice.
    let bounded = net.command("r", &line);
    let mut command = Command::new("ip");
    command.args(bounded.get_args().skip(4));
    command.env("SWATH_DPDK_LIBRARY", &library);
    let mut running = Running::of(command, socket);
    let find = |all: &Value, name: &str| all.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
    running.until("/v1/interfaces", |all| find(all, "peer")["sent"]["packets"].as_u64() > Some(100));
    net.ip("r", "link del r-a");
    running.until_logged("the device `net_af_packet0` is ");
    let gone = running.until("/v1/interfaces", |all| find(all, "peer")["link"] == false && find(all, "peer")["sent"]["drops"] != 0);
    let before = find(&gone, "ring")["received"]["packets"].as_u64();
    running.until("/v1/interfaces", |all| find(all, "ring")["received"]["packets"].as_u64() > before.map(|count| count + 200));
    running.end();
}

/// Whether so many huge pages are free. They are not made here: who else starts meanwhile would see them come and go.
fn has_huge_pages(count: usize) -> bool {
    let free = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    let has = free.is_ok_and(|free| free.trim().parse::<usize>().is_ok_and(|free| free >= count));
    if !has {
        println!("not run: there are not {count} free huge pages: sysctl vm.nr_hugepages={count}");
    }
    has
}

/// Packet memory and DPDK's own on huge pages.
#[test]
fn all_memory_is_on_huge_pages() {
    let Some(library) = library() else { return };
    if !has_huge_pages(64) {
        return;
    }
    let place = Place::new();
    let graph = tester("driver: dpdk, device: net_ring0", Some(1000));
    let graph = graph.replace("version: 1\n", "version: 1\nengine: { hugepages: required, buffers: 4096 }\n");
    let running = start(&library, &place, &graph);
    received(&running, "peer", 1000);
    let mapped = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", running.pid())).unwrap();
    let huge = mapped.lines().filter(|line| line.contains("_Hugetlb:"));
    let huge: u64 = huge.map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()).sum();
    assert!(huge > 4096 * 2368 / 1024, "packet memory, and something of DPDK: {huge} KiB");
    running.end();
    all_came_back(&place);
}

/// What `swath doctor` says of DPDK: the library and its release, and what is in the way of it.
#[test]
fn the_doctor_knows_each_step() {
    let Some(library) = library() else { return };
    let doctor = |file: &Path, arguments: &[&str]| {
        let said = said_by(swath(["doctor", "--dpdk", "--format", "json"]).args(arguments).env("SWATH_DPDK_LIBRARY", file));
        (said.code, serde_json::from_str::<Value>(&said.out).unwrap_or_default(), said.err)
    };
    let (_, found, _) = doctor(&library, &[]);
    assert_eq!(found["library"], library.display().to_string(), "{found:#}");
    assert!(found["version"].as_str().unwrap().starts_with("DPDK "), "{found:#}");
    let (code, found, _) = doctor(Path::new("/nowhere.so"), &[]);
    assert_eq!((code, &found["library"], &found["version"]), (1, &Value::Null, &Value::Null), "{found:#}");
    let first = &found["findings"][0];
    assert_eq!(first["level"], "error");
    assert_eq!(first["mend"], "apt install libdpdk-dev clang && cargo build --release -p swath-dpdk", "{found:#}");
    let (code, _, err) = doctor(&library, &["0000:99:00.0"]);
    assert_eq!(code, 1);
    assert!(err.contains("there is no network card `0000:99:00.0`"), "{err}");
    let said = said_by(swath(["doctor", "--dpdk"]).env("SWATH_DPDK_LIBRARY", &library));
    assert!(said.out.starts_with("DPDK "), "{}", said.out);
}
