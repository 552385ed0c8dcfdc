//! `flow-export` beside a collector that others have written: what `nfcapd` has heard is what was sent, flow by flow.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use swath_io::text::TextPacket;

use crate::build;
use crate::common::hosts::Net;
use crate::common::{Place, has, swath};

/// Source, destination, their ports (type and code of ICMP in the place of the second), protocol, TOS, interfaces in and out.
type Key = (String, String, String, String, String, String, String);

/// Records, packets, bytes.
type Counts = BTreeMap<Key, (u64, u64, u64)>;

/// A collector in a namespace.
struct Collector {
    child: Child,
    place: Place,
}

impl Collector {
    fn start(net: &Net) -> Collector {
        let place = Place::new();
        let line = format!("nfcapd -b 127.0.0.1 -p 4739 -t 3600 -w {}", place.path("").display());
        let child = net.command("c", &line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // 4739 in hexadecimal.
        let listens = || net.sh("c", "cat /proc/net/udp").contains("0100007F:1283");
        assert!((0..500).any(|_| listens() || {
            std::thread::sleep(std::time::Duration::from_millis(10));
            false
        }));
        Collector { child, place }
    }

    /// Ends it, and has `nfdump` say what it has heard.
    fn end(mut self, net: &Net) -> Counts {
        // The child is `timeout`, which hands the signal on.
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap();
        let mut counts = Counts::new();
        let files = std::fs::read_dir(self.place.path("")).unwrap().map(|entry| entry.unwrap().path());
        for file in files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("nfcapd.")) {
            let text = net.sh("c", &format!("nfdump -N -o csv -r {}", file.display()));
            let mut names: Vec<&str> = Vec::new();
            for line in text.lines().take_while(|line| *line != "Summary") {
                let values: Vec<&str> = line.split(',').collect();
                if values[0] == "ts" {
                    names = values;
                    continue;
                }
                let value = |name: &str| values[names.iter().position(|known| *known == name).unwrap()].to_string();
                let key = (
                    format!("{}:{}", value("sa"), value("sp")),
                    format!("{}:{}", value("da"), value("dp")),
                    value("pr"),
                    value("flg"),
                    value("stos"),
                    value("in"),
                    value("out"),
                );
                let count = counts.entry(key).or_default();
                let number = |name: &str| value(name).parse::<u64>().unwrap();
                *count = (count.0 + 1, count.1 + number("ipkt"), count.2 + number("ibyt"));
                assert!(value("ts") <= value("te"), "{line}");
            }
        }
        counts
    }
}

/// The namespace, and the directory of the library.
fn ready(place: &Place) -> Option<Net> {
    if !has("nfcapd") || !has("nfdump") {
        return None;
    }
    let net = Net::new(&["c"])?;
    build::cargo(&build::example(place, "flow-export"), &["build", "--locked"]);
    std::fs::copy(build::target().join("debug/libflow_export.so"), place.path("libflow_export.so")).unwrap();
    Some(net)
}

/// What packets of a text are, as a collector has to count them.
fn expected(text: &str, packets: u64, (tx, flags): (u16, &str)) -> (Key, (u64, u64)) {
    let frame = TextPacket::parse(text).unwrap().frame();
    let ip = &frame[14..];
    let words: Vec<&str> = text.split(' ').collect();
    let (source, destination) = match words[0] {
        // Type 8 and code 0, as `nfdump` writes them in the place of a port.
        "icmp" => (format!("{}:0", words[1]), format!("{}:2048", words[3])),
        _ => (words[1].to_string(), words[3].to_string()),
    };
    let bytes = u64::from(u16::from_be_bytes([ip[2], ip[3]]));
    let key = (source, destination, words[0].to_uppercase(), flags.into(), ip[1].to_string(), "1".into(), tx.to_string());
    (key, (packets, packets * bytes))
}

fn without_records(counts: &Counts) -> BTreeMap<Key, (u64, u64)> {
    counts.iter().map(|(key, (_, packets, bytes))| (key.clone(), (*packets, *bytes))).collect()
}

/// Flows of several protocols, of which each lasts longer than the active timeout; and interfaces, DSCP and flags of TCP as they are.
#[test]
fn flows_are_told_as_they_were() {
    let place = Place::new();
    let Some(net) = ready(&place) else { return };
    let collector = Collector::start(&net);
    let packets = [
        ("udp 192.0.2.9:4000 > 198.51.100.9:53 dscp 46 len 100", "........"),
        ("udp 192.0.2.9:4000 > 198.51.100.9:53 len 1400", "........"),
        ("tcp 192.0.2.9:4001 > 198.51.100.9:443 flags syn,ack len 60", "...A..S."),
        ("icmp 192.0.2.9 > 198.51.100.9 echo-request id 1 seq 1 len 98", "........"),
        ("udp 192.0.2.10:4000 > 198.51.100.9:53 len 64", "........"),
    ];
    let graph = std::fs::read_to_string(build::root().join("plugins/flow-export/graph.yaml")).unwrap();
    let graph = graph.split("tests:\n").next().unwrap();
    let list = packets.map(|(packet, _)| format!("'{packet}'")).join(", ");
    let generate = format!("generate: {{ packets: [{list}], rate: 1000, limit: 2500 }}, addresses: [192.0.2.1/24]");
    let graph = graph.replace("addresses: [192.0.2.1/24]", &generate).replace("active-timeout: 60s", "active-timeout: 1s");
    let prefix = format!("env SWATH_PLUGIN_PATH={}", place.path("").display());
    let (_, log) = net.swath_by("c", &prefix, &graph).ends();
    let counts = collector.end(&net);
    let wanted: BTreeMap<_, _> = packets.iter().map(|(packet, flags)| expected(packet, 500, (2, flags))).collect();
    assert_eq!(without_records(&counts), wanted, "{log}");
    // They were told when they had lasted a second, and at the end.
    assert!(counts.values().all(|(records, ..)| *records >= 2), "{counts:?}");
}

/// Many flows by two workers, then more than there is room for, and each packet is in one record.
#[test]
fn many_flows_are_told_to_the_byte() {
    let place = Place::new();
    let Some(net) = ready(&place) else { return };
    for (workers, flows, room, rate, evicts) in [(2, 1200, 65536, "200kpps", false), (1, 2000, 1024, "10kpps", true)] {
        let collector = Collector::start(&net);
        let graph = format!(
            "version: 1
engine: {{ workers: {workers} }}
plugins: {{ flow-export: libflow_export.so }}
interfaces:
  in:
    driver: memory
    generate:
      flows: {{ sources: [10.0.0.0/24], destinations: [10.1.0.0/16], count: {flows}, size: [60, 590, 1514] }}
      rate: {rate}
      limit: {}
  out: {{ driver: memory }}
tables:
  flows: {{ kind: ipfix, collector: '127.0.0.1:4739', flows: {room}, domain: 7 }}
nodes:
  rx:    {{ kind: rx, interface: in, to: eth }}
  eth:   {{ kind: ethernet-input, to: {{ ip4: count }} }}
  count: {{ kind: flow-export, to: end }}
  end:   {{ kind: drop }}
",
            flows * 3
        );
        let prefix = format!("env SWATH_PLUGIN_PATH={}", place.path("").display());
        let (_, log) = net.swath_by("c", &prefix, &graph).ends();
        let counts = collector.end(&net);
        let wanted: BTreeMap<_, _> = (0..flows)
            .map(|flow| {
                let (source, destination) = (format!("10.0.0.{}:{}", 1 + flow % 254, 1024 + flow), flow + 1);
                let destination = format!("10.1.{}.{}:9", destination >> 8, destination & 255);
                let key = (source, destination, "UDP".into(), "........".into(), "0".into(), "1".into(), "0".into());
                // Each size once, without Ethernet's header.
                (key, (3, 60 + 590 + 1514 - 3 * 14))
            })
            .collect();
        assert_eq!(without_records(&counts), wanted, "{log}");
        let records: u64 = counts.values().map(|(records, ..)| records).sum();
        assert!(if evicts { records > flows } else { records <= flows * workers }, "{records} records");
    }
}

/// While packets pass the graph is changed, and each is in one record: other timeouts, room for more, another domain, another build, and no table at all.
#[test]
fn no_packet_is_lost_or_told_twice_by_a_change() {
    let place = Place::new();
    let Some(net) = ready(&place) else { return };
    std::fs::copy(place.path("libflow_export.so"), place.path("libflow_export-2.so")).unwrap();
    let collector = Collector::start(&net);
    let graph = |library: &str, settings: &str| {
        format!(
            "version: 1
engine: {{ workers: 2 }}
plugins: {{ flow-export: {library} }}
interfaces:
  in:
    driver: memory
    generate:
      flows: {{ sources: [10.0.0.1], destinations: [10.1.0.1], count: 8 }}
      rate: 2kpps
      limit: 8000
tables:
  flows: {{ kind: ipfix, collector: '127.0.0.1:4739', {settings} }}
nodes:
  rx:    {{ kind: rx, interface: in, to: eth }}
  eth:   {{ kind: ethernet-input, to: {{ ip4: count }} }}
  count: {{ kind: flow-export, to: end }}
  end:   {{ kind: drop }}
"
        )
    };
    let (socket, log) = (place.path("socket"), place.path("log"));
    let first = place.text("graph.yaml", &graph("libflow_export.so", "idle-timeout: 20s"));
    let line = format!(
        "{} --plugin-path {} run {} --stats none --api {}",
        env!("CARGO_BIN_EXE_swath"),
        place.path("").display(),
        first.display(),
        socket.display()
    );
    let mut child = net.command("c", &line).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let said = || std::fs::read_to_string(&log).unwrap();
    let mut outcomes = Vec::new();
    for (library, settings) in [
        ("libflow_export.so", "idle-timeout: 30s"),
        ("libflow_export.so", "idle-timeout: 30s, flows: 1024"),
        ("libflow_export.so", "idle-timeout: 30s, flows: 1024, domain: 9"),
        ("libflow_export-2.so", "idle-timeout: 30s, flows: 1024, domain: 9"),
    ] {
        std::thread::sleep(std::time::Duration::from_millis(500));
        let next = place.text("next.yaml", &graph(library, settings));
        let done = crate::common::said_by(swath(["apply"]).arg(&next).env("SWATH_SOCKET", &socket));
        assert_eq!(done.code, 0, "{}{}{}", done.out, done.err, said());
        outcomes.push(done.out);
    }
    assert!(child.wait().unwrap().success() && said().contains("the ledger adds up"), "{}", said());
    let counts = collector.end(&net);
    let wanted: BTreeMap<_, _> = (0..8)
        .map(|flow| {
            let (source, destination) = (format!("10.0.0.1:{}", 1024 + flow), "10.1.0.1:9".into());
            ((source, destination, "UDP".into(), "........".into(), "0".into(), "1".into(), "0".into()), (1000, 46 * 1000))
        })
        .collect();
    assert_eq!(without_records(&counts), wanted, "{}{outcomes:#?}", said());
    // Of each flow, by one worker at least: when its room changed, its domain did not matter, its build changed, and at the end.
    assert!(counts.values().all(|(records, ..)| *records >= 3), "{counts:?}");
}
