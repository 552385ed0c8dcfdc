//! Devices of DPDK: rings within the process, memory shared with others, the kernel's packet sockets, and what is said when there is none.

#[path = "../common/mod.rs"]
mod common;
mod faults;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::hosts::Net;
use common::running::{LIMIT, Running};
use common::scrape::{engine, metrics_of, samples};
use common::{Place, frame, records, said};
use serde_json::Value;
use swath_ctl::{Format, Settings};
use swath_io::text::Mac;

/// Where the driver is: it was built with the tests. `None`, which is said, without DPDK; with CI=true that is a failure.
fn library() -> Option<PathBuf> {
    let directory = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
    let found = [directory.join("libswath_dpdk.so"), directory.join("../libswath_dpdk.so")].into_iter().find(|file| file.is_file());
    if found.is_none() {
        let why = "the driver for DPDK was not built: apt install libdpdk-dev clang";
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{why}");
        println!("not run: {why}");
    }
    found
}

/// `swath run` of a graph with the driver.
fn start(library: &PathBuf, place: &Place, graph: &str) -> Running {
    let socket = place.path("control.sock");
    let mut command = Command::new(env!("CARGO_BIN_EXE_swath"));
    command
        .arg("run")
        .arg(place.text("graph.yaml", graph))
        .args(["--stats", "none", "--log-format", "json", "--report"])
        .arg(place.path("report.json"))
        .arg("--api")
        .arg(&socket)
        .env("SWATH_DPDK_LIBRARY", library);
    Running::of(command, socket)
}

fn report(place: &Place) -> Value {
    serde_json::from_str(&std::fs::read_to_string(place.path("report.json")).unwrap()).unwrap()
}

/// A figure of an interface, as of now.
fn figure(running: &Running, name: &str, direction: &str, what: &str) -> u64 {
    let interfaces = running.json("/v1/interfaces");
    let found = interfaces.as_array().unwrap().iter().find(|interface| interface["name"] == name);
    found.and_then(|interface| interface[direction][what].as_u64()).unwrap_or_else(|| panic!("{name}: {interfaces:#}"))
}

/// Waits until an interface is up, or down.
fn link(running: &Running, name: &str, is_up: bool) {
    running.until("/v1/interfaces", |interfaces| {
        interfaces.as_array().unwrap().iter().any(|interface| interface["name"] == name && interface["link"] == is_up)
    });
}

/// Waits until an interface has received so many.
fn received(running: &Running, name: &str, packets: u64) {
    running.until("/v1/interfaces", |interfaces| {
        let mut interfaces = interfaces.as_array().unwrap().iter();
        interfaces.any(|interface| interface["name"] == name && interface["received"]["packets"].as_u64() >= Some(packets))
    });
}

/// `swath apply` of another graph, which must succeed.
fn apply(running: &Running, place: &Place, graph: &str) {
    let graph = place.text("next.yaml", graph);
    let applied = running.ask(["apply".as_ref(), graph.as_os_str()]);
    assert_eq!(applied.code, 0, "{}", applied.err);
}

/// Packets of a generator through rings of DPDK, which are memory of this process: with each number of workers, all come back, in order.
#[test]
fn packets_pass_rings_in_order() {
    let Some(library) = library() else { return };
    // SAFETY: no other thread of this test's process reads or writes the environment now.
    unsafe { std::env::set_var("SWATH_DPDK_LIBRARY", library) };
    for workers in [1, 2, 3] {
        let mut engine = engine(&format!(
            "version: 1
engine: {{ workers: {workers} }}
interfaces:
  from:
    driver: memory
    generate: {{ flows: {{ sources: [10.0.0.0/24], destinations: [10.1.0.0/16], count: 300 }}, limit: 20000, stamp: true }}
  out:  {{ driver: dpdk, device: 'net_ring{workers}', mac: 02:00:00:00:00:01 }}
  into: {{ driver: memory, sink: {{ check: stamps }} }}
nodes:
  from-rx: {{ kind: rx, interface: from, to: out-tx }}
  out-tx:  {{ kind: tx, interface: out }}
  out-rx:  {{ kind: rx, interface: out, to: into-tx }}
  into-tx: {{ kind: tx, interface: into }}
"
        ));
        let mut idle = 0;
        while idle < 3 {
            let mut busy = false;
            for graph in engine.graphs_mut() {
                busy |= graph.receive(0) > 0;
                graph.pass(0);
                graph.flush(0);
            }
            idle = if busy { 0 } else { idle + 1 };
            assert_eq!(engine.ledger().discrepancies(), Vec::<String>::new());
        }
        engine.stop();
        let ledger = engine.ledger();
        assert_eq!(ledger.discrepancies(), Vec::<String>::new());
        // Once by the generator, once by the ring.
        assert_eq!((ledger.received, ledger.sent, ledger.dropped_total()), (40_000, 40_000, 0), "{workers} workers");
        let said = engine.finish();
        let sink = said[2].1.as_ref().unwrap();
        let wrong = ["missing", "duplicated", "reordered", "unstamped"].map(|what| sink[what].as_u64());
        assert_eq!(wrong, [Some(0); 4], "{said:?}");
    }
}

/// A device's own figures are metrics, under its names for them.
#[test]
fn what_a_device_counts_is_a_metric() {
    let Some(library) = library() else { return };
    // SAFETY: no other thread of this test's process reads or writes the environment now.
    unsafe { std::env::set_var("SWATH_DPDK_LIBRARY", library) };
    let flows = "{ sources: [10.0.0.0/24], destinations: [10.1.0.0/16], count: 300 }";
    let mut engine = engine(&format!(
        "version: 1
interfaces:
  from: {{ driver: memory, generate: {{ flows: {flows}, limit: 300 }} }}
  out:  {{ driver: dpdk, device: net_ring9 }}
nodes:
  from-rx: {{ kind: rx, interface: from, to: out-tx }}
  out-tx:  {{ kind: tx, interface: out }}
  out-rx:  {{ kind: rx, interface: out, to: end }}
  end:     {{ kind: drop }}
"
    ));
    for _ in 0..10 {
        for graph in engine.graphs_mut() {
            graph.receive(0);
            graph.pass(0);
            graph.flush(0);
        }
    }
    let start = Instant::now();
    let series = |counter: &str| format!("swath_interface_device_total{{interface=\"out\",counter=\"{counter}\"}}");
    loop {
        let metrics = samples(&metrics_of(&engine, Settings::default(), Format::Text));
        let found = ["tx_good_packets", "rx_good_packets"].map(|counter| metrics.get(&series(counter)).copied());
        if found == [Some(300.0); 2] {
            break;
        }
        assert!(start.elapsed() < LIMIT, "{found:?}: {metrics:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Sends all back that comes by `peer`.
fn mirror(peer: &str) -> String {
    format!(
        "version: 1
interfaces:
  peer: {{ {peer} }}
nodes:
  rx: {{ kind: rx, interface: peer, to: tx }}
  tx: {{ kind: tx, interface: peer }}
"
    )
}

/// Sends numbered packets by `peer`, as soon as it has a generator, and checks those that come back.
fn tester(peer: &str, limit: Option<u32>) -> String {
    let flows = "{ sources: [10.0.0.0/24], destinations: [10.1.0.0/16], count: 300 }";
    let generate = limit
        .map_or_else(String::new, |limit| format!("generate: {{ flows: {flows}, rate: 20kpps, limit: {limit}, stamp: true }}, "));
    format!(
        "version: 1
interfaces:
  peer: {{ {peer} }}
  test: {{ driver: memory, {generate}sink: {{ check: stamps }} }}
nodes:
  test-rx: {{ kind: rx, interface: test, to: peer-tx }}
  peer-tx: {{ kind: tx, interface: peer }}
  peer-rx: {{ kind: rx, interface: peer, to: test-tx }}
  test-tx: {{ kind: tx, interface: test }}
"
    )
}

/// The report of a tester, all of whose packets have come back, in their order.
fn all_came_back(place: &Place) {
    let report = report(place);
    let sink = &report["interfaces"]["test"];
    let wrong = ["missing", "duplicated", "reordered", "unstamped"].map(|what| sink[what].as_u64());
    assert_eq!(wrong, [Some(0); 4], "{report:#}");
}

/// Shared memory between two processes: both ways, and over the end of either. Rings have room for all that is sent, however slow the machine is.
#[test]
fn memif_joins_two_processes_and_waits_for_them() {
    let Some(library) = library() else { return };
    let (here, there) = (Place::new(), Place::new());
    let socket = there.path("peer.sock");
    let server = mirror("driver: memif, socket: peer.sock, role: server, secret: shared, ring-size: 14");
    let peer = format!("driver: memif, socket: '{}', role: client, secret: shared, ring-size: 14", socket.display());
    let tester_running = start(&library, &here, &tester(&peer, None));
    link(&tester_running, "peer", false);
    // The client is first, and finds the server.
    let mirror_running = start(&library, &there, &server);
    link(&tester_running, "peer", true);
    link(&mirror_running, "peer", true);
    // The interface is kept while the graph changes.
    apply(&tester_running, &here, &tester(&peer, Some(10_000)));
    received(&tester_running, "peer", 10_000);
    assert_eq!(figure(&mirror_running, "peer", "received", "packets"), 10_000);
    // The server ends, and another one comes.
    mirror_running.end();
    link(&tester_running, "peer", false);
    let mirror_running = start(&library, &there, &server);
    link(&tester_running, "peer", true);
    link(&mirror_running, "peer", true);
    apply(&tester_running, &here, &tester(&peer, None));
    apply(&tester_running, &here, &tester(&peer, Some(10_000)));
    received(&tester_running, "peer", 20_000);
    assert_eq!(figure(&mirror_running, "peer", "received", "packets"), 10_000);
    // The client is killed, and another one comes.
    tester_running.kill();
    link(&mirror_running, "peer", false);
    let place = Place::new();
    let tester_running = start(&library, &place, &tester(&peer, None));
    link(&tester_running, "peer", true);
    link(&mirror_running, "peer", true);
    apply(&tester_running, &place, &tester(&peer, Some(10_000)));
    received(&tester_running, "peer", 10_000);
    tester_running.end();
    all_came_back(&place);
    mirror_running.end();
    let report = report(&there);
    assert_eq!(report["interfaces"]["peer"]["driver"], "net_memif", "{report:#}");
}

/// Ends with the test.
struct Guest(Child);

impl Guest {
    /// testpmd behind a socket, as a guest with a driver of virtio, which sends everything back.
    fn start(socket: &std::path::Path, prefix: &str) -> Guest {
        let device = format!("--vdev=net_virtio_user0,path={},server=0,queue_size=1024", socket.display());
        let child = Command::new("timeout")
            .args(["-k", "1", "60", "dpdk-testpmd", "--no-huge", "-m", "256", "--no-pci", "--no-shconf", "--no-telemetry"])
            .args(["--file-prefix", prefix, "--iova-mode=va", &device])
            .args(["--", "--forward-mode=io", "--total-num-mbufs=8192", "--stats-period=1", "--auto-start"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Guest(child)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // `timeout` hands it on.
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

/// A guest's network card: its driver comes, goes and comes back.
#[test]
fn a_guest_by_vhost_user_comes_and_goes() {
    let Some(library) = library() else { return };
    if !common::has("dpdk-testpmd") {
        println!("not run: dpdk-testpmd is not installed");
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"));
        return;
    }
    let place = Place::new();
    let peer = "driver: vhost-user, socket: vm.sock";
    let running = start(&library, &place, &tester(peer, None));
    link(&running, "peer", false);
    // What the guest's rings have no room for is counted; of the rest the guest may drop some.
    let taken = |running: &Running| figure(running, "peer", "sent", "packets");
    for round in 1..=2 {
        let guest = Guest::start(&place.path("vm.sock"), &format!("guest{}-{round}", std::process::id()));
        link(&running, "peer", true);
        // Until the guest has begun, and some time longer.
        apply(&running, &place, &tester(peer, Some(1_000_000)));
        received(&running, "peer", 2000 * round);
        apply(&running, &place, &tester(peer, None));
        let offered = figure(&running, "test", "received", "packets");
        assert_eq!(taken(&running) + figure(&running, "peer", "sent", "drops"), offered);
        assert!(figure(&running, "peer", "received", "packets") <= taken(&running));
        drop(guest);
        link(&running, "peer", false);
    }
    running.end();
    let report = report(&place);
    assert_eq!(report["interfaces"]["peer"]["driver"], "net_vhost", "{report:#}");
    assert_eq!(report["interfaces"]["test"]["reordered"], 0, "{report:#}");
}

/// DPDK on the kernel's devices: hosts on both sides of a router, by packet sockets, and the kernel itself at the other end of a tap.
#[test]
fn hosts_of_the_kernel_reach_each_other() {
    let Some(library) = library() else { return };
    let Some(net) = Net::new(&["r", "a", "b"]) else { return };
    net.host("a", 1);
    net.host("b", 2);
    let router = |a: &str, b: &str| {
        format!(
            "version: 1
interfaces:
  a: {{ {a}, mac: 02:00:00:00:00:01, addresses: [10.0.1.1/24] }}
  b: {{ {b}, mac: 02:00:00:00:00:02, addresses: [10.0.2.1/24] }}
tables:
  routes: {{ kind: fib4 }}
  neighbours: {{ kind: neighbours }}
nodes:
  a-rx: {{ kind: rx, interface: a, to: ethernet }}
  b-rx: {{ kind: rx, interface: b, to: ethernet }}
  ethernet: {{ kind: ethernet-input, to: {{ ip4: ip4, arp: arp }} }}
  arp: {{ kind: arp-input, to: {{ reply: tx }} }}
  ip4: {{ kind: ip4-input, to: lookup }}
  lookup: {{ kind: ip4-lookup, table: routes, to: {{ forward: rewrite }} }}
  rewrite: {{ kind: ip4-rewrite, to: {{ ok: tx, unresolved: resolve }} }}
  resolve: {{ kind: ip4-resolve, to: {{ request: tx, resolved: tx }} }}
  tx: {{ kind: tx }}
"
        )
    };
    // SAFETY: no other thread of this test's process reads or writes the environment now.
    unsafe { std::env::set_var("SWATH_DPDK_LIBRARY", &library) };
    for host in ["a", "b"] {
        // DPDK's packet sockets take no more than a frame of the wire.
        net.sh(host, "ethtool -K eth0 tso off gso off");
    }
    let graph = router(
        "driver: dpdk, device: 'net_af_packet0,iface=r-a'",
        "driver: dpdk, device: 'net_af_packet1,iface=r-b', checksum: complete",
    );
    let swath = net.swath("r", &graph);
    net.pings("a", 20, "10.0.2.2");
    let report = net.iperf("a", "b", "10.0.2.2", "-n 2M");
    assert_eq!(report["end"]["sum_sent"]["bytes"], 2 << 20, "{report}");
    net.iperf("b", "a", "10.0.1.2", "-u -b 5M -l 1000 -t 1");
    assert_eq!((net.checksum_errors("a"), net.checksum_errors("b")), (0, 0));
    let (report, _) = swath.end();
    assert_eq!(report["interfaces"]["a"]["driver"], "net_af_packet", "{report:#}");
}

/// The shipped router, with other interfaces.
fn router_on(place: &Place, lan: &str, wan: &str) -> PathBuf {
    let shipped = std::fs::read_to_string(common::graph("ip4-router.yaml")).unwrap();
    let graph = shipped
        .replace("lan: { driver: memory,", &format!("lan: {{ {lan},"))
        .replace("wan: { driver: memory,", &format!("wan: {{ {wan},"));
    assert_eq!(graph.matches("driver: memory").count(), [lan, wan].iter().filter(|driver| **driver == "driver: memory").count());
    let template = std::fs::read_to_string(common::graph("templates/ip4-origin.yaml")).unwrap();
    std::fs::create_dir_all(place.path("templates")).unwrap();
    place.text("templates/ip4-origin.yaml", &template);
    place.text("router.yaml", &graph)
}

/// What a host of `lan` sends: datagrams of all lengths, and some that must not pass: too old, damaged, for somebody else.
fn sent_by_a_host() -> Vec<Vec<u8>> {
    let (host, router) = (Mac([2, 0, 0, 0, 1, 0x10]), Mac([2, 0, 0, 0, 1, 1]));
    (0..300_u32)
        .map(|number| {
            let text = format!(
                "udp 192.168.1.10:{} > 8.8.{}.{}:9 ttl {} len {}",
                1000 + number,
                number % 7,
                number % 250,
                if number % 30 == 10 { 1 } else { 2 + number % 60 },
                60 + number * 4
            );
            match number % 30 {
                20 => frame(&text, host, Mac([2, 0, 0, 0, 9, 9])),
                25 => {
                    let mut frame = frame(&text, host, router);
                    frame[24] ^= 0x40;
                    frame
                }
                _ => frame(&text, host, router),
            }
        })
        .collect()
}

/// UDP datagrams among frames; what the router sends by itself, such as questions after neighbours, is as it may be.
fn datagrams(frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    frames.into_iter().filter(|frame| frame[12..14] == [8, 0] && frame[23] == 17).collect()
}

/// The frames of one host through the router, by two devices of the kernel in a namespace that swath attaches to in this way.
fn by_devices(net: &Net, frames: &Path, lan: &str, wan: &str, count: usize) -> Vec<Vec<u8>> {
    const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire.py");
    let place = Place::new();
    let graph = std::fs::read_to_string(router_on(&place, lan, wan)).unwrap();
    let template = place.path("templates/ip4-origin.yaml").display().to_string();
    let swath = net.swath("r", &graph.replace("include: templates/ip4-origin.yaml", &format!("include: {template}")));
    let mut receiver = net.command("b", &format!("python3 {SCRIPT} receive {count}")).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(receiver.stdout.take().unwrap());
    let mut text = String::new();
    out.read_line(&mut text).unwrap();
    assert_eq!(text, "ready\n");
    net.sh("a", &format!("python3 {SCRIPT} send 0 {}", frames.display()));
    text.clear();
    out.read_to_string(&mut text).unwrap();
    receiver.wait().unwrap();
    swath.end();
    let bytes = |line: &str| (0..line.len() / 2).map(|at| u8::from_str_radix(&line[2 * at..2 * at + 2], 16).unwrap()).collect();
    text.lines().map(bytes).collect()
}

/// One graph, of which only `interfaces` changes: the same packets out, to the byte and in order, on each driver.
#[test]
fn a_graph_does_the_same_on_all_drivers() {
    let Some(library) = library() else { return };
    let place = Place::new();
    let frames = sent_by_a_host();
    let capture = place.capture("in.pcap", (0..).map(|at| at * 1000).zip(&frames));
    // Without privileges, by virtual time: the one that the others are compared with.
    let graph = router_on(&place, "driver: memory", "driver: memory");
    let replayed = said([
        "replay".as_ref(),
        graph.as_os_str(),
        "--in".as_ref(),
        common::at("lan", &capture).as_ref(),
        "--out".as_ref(),
        common::at("wan", &place.path("replayed.pcap")).as_ref(),
    ]);
    assert_eq!(replayed.code, 0, "{}", replayed.err);
    let read = |name: &str| datagrams(records(&place.path(name)).into_iter().map(|(_, frame)| frame));
    let expected = read("replayed.pcap");
    assert_eq!(expected.len(), 270);

    let by_pcap = |lan: &str, wan: &str| {
        let graph = std::fs::read_to_string(router_on(&place, lan, wan)).unwrap();
        let template = place.path("templates/ip4-origin.yaml").display().to_string();
        let at = Place::new();
        let running = start(&library, &at, &graph.replace("include: templates/ip4-origin.yaml", &format!("include: {template}")));
        received(&running, "lan", 300);
        running.until("/v1/interfaces", |all| {
            all.as_array().unwrap().iter().any(|one| one["name"] == "wan" && one["sent"]["packets"].as_u64() >= Some(270))
        });
        running.end();
    };
    let device = |number: u32, what: &str, name: &str| {
        format!("driver: dpdk, device: 'net_pcap{number},{what}={}'", place.path(name).display())
    };
    std::fs::write(place.path("nothing.pcap"), &std::fs::read(&capture).unwrap()[..24]).unwrap();
    by_pcap(
        &(device(0, "rx_pcap", "in.pcap").trim_end_matches('\'').to_owned()
            + &format!(",tx_pcap={}'", place.path("back.pcap").display())),
        &(device(1, "rx_pcap", "nothing.pcap").trim_end_matches('\'').to_owned()
            + &format!(",tx_pcap={}'", place.path("dpdk.pcap").display())),
    );
    assert_eq!(read("dpdk.pcap"), expected, "DPDK's pcap");

    let Some(net) = Net::new(&["r", "a", "b"]) else { return };
    net.real_host("a", "02:00:00:00:01:10", "192.168.1.10/24", "192.168.1.1");
    net.real_host("b", "02:00:00:00:02:02", "203.0.113.1/30", "203.0.113.2");
    let hex = |frame: &Vec<u8>| frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let file = place.text("frames.hex", &frames.iter().map(hex).collect::<Vec<_>>().join("\n"));
    // SAFETY: no other thread of this test's process reads or writes the environment now.
    unsafe { std::env::set_var("SWATH_DPDK_LIBRARY", &library) };
    for (name, lan, wan) in [
        ("af-packet", "driver: af-packet, device: r-a", "driver: af-packet, device: r-b"),
        ("af-xdp", "driver: af-xdp, device: r-a", "driver: af-xdp, device: r-b"),
        (
            "DPDK's af_packet",
            "driver: dpdk, device: 'net_af_packet0,iface=r-a'",
            "driver: dpdk, device: 'net_af_packet1,iface=r-b'",
        ),
        ("both", "driver: af-xdp, device: r-a", "driver: dpdk, device: 'net_af_packet1,iface=r-b'"),
    ] {
        let got = by_devices(&net, &file, lan, wan, expected.len());
        assert_eq!(got.len(), expected.len(), "{name}");
        assert!(got == expected, "{name}");
    }
}
