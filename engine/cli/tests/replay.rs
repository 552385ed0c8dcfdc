//! `swath replay`: what comes out of a router is compared with what etherparse builds.

mod common;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use common::{HOST, LAN, Place, Said, UPLINK, WAN, at, forwarder, frame, records, said, without_buffers};
use serde_json::{Value, json};

fn replay(graph: &Path, arguments: &[&str]) -> Said {
    said(["replay".into(), OsString::from(graph)].into_iter().chain(arguments.iter().map(OsString::from)))
}

const START: u64 = 1_700_000_000_000_000_000;

/// Time and frame of what comes in from the LAN: one packet of each fate.
fn from_lan() -> Vec<(u64, Vec<u8>)> {
    let lan = |text: &str| frame(text, HOST, LAN);
    let frames = [
        lan("udp 192.168.1.10:4000 > 8.8.8.8:53 payload \"query\""),
        lan("udp 192.168.1.10:4000 > 8.8.8.8:53 ttl 1"),
        lan("icmp 192.168.1.10 > 192.168.1.1"),
        lan("tcp 192.168.1.10:4000 > 8.8.8.8:80 bad-ip-checksum"),
        lan("arp who-has 192.168.1.1 tell 192.168.1.10"),
        lan("udp 192.168.1.10:1 > 192.168.1.99:2"),
        frame("udp 192.168.1.10:4000 > 8.8.8.8:53", HOST, UPLINK),
        lan("udp 192.168.1.10:4000 > 8.8.8.8:53")[..10].to_vec(),
        lan("udp 192.168.1.10:1 > 127.0.0.1:2"),
        lan("udp 192.168.1.10:4000 > 8.8.8.8:53 len 1514 df"),
    ];
    frames.into_iter().zip(0..).map(|(frame, number)| (START + number * 1000, frame)).collect()
}

#[test]
fn every_packet_has_its_fate_and_its_time() {
    let place = Place::new();
    let lan = place.capture("lan.pcap", from_lan());
    // Earlier than all of the LAN's: it comes first, and is what time 0 is.
    let wan = place.capture(
        "wan.pcap",
        [
            (START - 500, frame("udp 8.8.8.8:53 > 192.168.1.10:4000 payload \"early\"", UPLINK, WAN)),
            (START + 8500, frame("udp 8.8.8.8:53 > 192.168.1.10:4000 payload \"late\"", UPLINK, WAN)),
        ],
    );
    let (to_lan, to_wan, report) = (place.path("to-lan.pcap"), place.path("to-wan.pcap"), place.path("report.json"));
    let said = replay(
        &forwarder(),
        &[
            "--in",
            &at("lan", &lan),
            "--in",
            &at("wan", &wan),
            "--out",
            &at("lan", &to_lan),
            "--out",
            &at("wan", &to_wan),
            "--report",
            report.to_str().unwrap(),
        ],
    );
    assert_eq!((said.code, &*said.out), (0, ""), "{}", said.err);
    let expected = [
        (START, frame("udp 192.168.1.10:4000 > 8.8.8.8:53 payload \"query\" ttl 63", WAN, UPLINK)),
        (START + 9000, frame("udp 192.168.1.10:4000 > 8.8.8.8:53 len 1514 df ttl 63", WAN, UPLINK)),
    ];
    assert_eq!(records(&to_wan), expected);
    let expected = [
        (START - 500, frame("udp 8.8.8.8:53 > 192.168.1.10:4000 payload \"early\" ttl 63", LAN, HOST)),
        (START + 8500, frame("udp 8.8.8.8:53 > 192.168.1.10:4000 payload \"late\" ttl 63", LAN, HOST)),
    ];
    assert_eq!(records(&to_lan), expected);
    let report = std::fs::read_to_string(report).unwrap();
    let dropped = json!({
        "ethernet": { "arp": 1, "not-ours": 1, "too-short": 1 },
        "ip4": { "bad-checksum": 1 },
        "lookup": { "local": 1, "martian": 1 },
        "rewrite": { "ttl-expired": 1, "unresolved": 1 },
    });
    assert_eq!(
        without_buffers(&report),
        json!({
            "received": 12, "made": 0, "sent": 4, "dropped": dropped, "consumed": 0, "held": 0, "in_transit": 0,
            "interfaces": {
                "lan": { "read": { "packets": 10, "truncated": 0, "oversize": 0 }, "sent": 2 },
                "wan": { "read": { "packets": 2, "truncated": 0, "oversize": 0 }, "sent": 2 },
            },
        })
    );
    let buffers = &serde_json::from_str::<Value>(&report).unwrap()["buffers"];
    let part = |name: &str| buffers[name].as_u64().unwrap();
    assert_eq!(part("capacity"), 16384);
    assert_eq!(part("free") + part("cached"), 16384);
    // What people read of it.
    for line in [
        "ethernet.not-ours          1  The destination is the unicast address of another station. A few are usual: a switch floods what \
         it has not learnt. If nothing else comes in, the interface's `mac` is not the address that its neighbours send to: compare \
         the two.",
        "packets: received 12 + made 0 = sent 4 + dropped 8",
        "the ledger adds up",
    ] {
        assert!(said.err.lines().any(|said| said == line), "{line}\n{}", said.err);
    }
}

/// Some thousand packets of many flows: fragments, IPv6, unknown types and frames that were cut among them.
fn mixed(place: &Place) -> PathBuf {
    let packets = (0..4000u64).map(|number| {
        let (flow, id) = (number * 7 % 97, number);
        let host = format!("192.168.1.{}", 20 + flow % 40);
        let port = 1000 + flow;
        let text = match number % 20 {
            0 => format!("udp {host} > 8.8.8.8 mf id {id} payload hex 00112233445566778899aabbccddeeff").replace("udp", "ip"),
            1 => format!("ip {host} > 8.8.8.8 proto 17 frag 16 id {id} payload \"rest\""),
            2 => format!("udp [2001:db8::{port}]:1 > [2001:db8::1]:2 payload \"{id}\""),
            3 => format!("eth 02:00:00:00:01:10 > 02:00:00:00:01:01 type 0x88cc payload \"{id}\""),
            4 => format!("tcp {host}:{port} > 192.168.1.11:80 id {id} seq {id}"),
            5 => format!("udp {host}:{port} > 8.8.4.4:53 id {id} ttl 1"),
            6 => format!("icmp {host} > 9.9.9.9 id {port} seq {id}"),
            7 => format!("tcp {host}:{port} > 198.51.100.7:443 seq {id} vlan 5"),
            _ => format!("udp {host}:{port} > 8.8.8.8:53 id {id} payload \"{id}\""),
        };
        let mut frame = frame(&text, HOST, LAN);
        if number % 41 == 0 {
            frame.truncate((number % 60) as usize);
        }
        // Thirty at a time.
        (START + number / 30 * 1000, frame)
    });
    place.capture("mixed.pcap", packets)
}

/// Replays the mixed capture through a router, and returns what was sent by each interface and the report.
fn route(place: &Place, graph: &Path, input: &Path, name: &str, workers: &str) -> (PathBuf, String) {
    let directory = place.path(name);
    std::fs::create_dir(&directory).unwrap();
    let said = replay(
        graph,
        &[
            "--in",
            &at("lan", input),
            "--out",
            &at("lan", &directory.join("lan.pcap")),
            "--out",
            &at("wan", &directory.join("wan.pcap")),
            "--workers",
            workers,
            "--report",
            "-",
        ],
    );
    assert_eq!(said.code, 0, "{}", said.err);
    (directory, said.out)
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let place = Place::new();
    let input = mixed(&place);
    for workers in ["1", "2"] {
        let runs = ["first", "second"].map(|run| route(&place, &forwarder(), &input, &format!("{run}-{workers}"), workers));
        for file in ["lan.pcap", "wan.pcap"] {
            let [first, second] = [0, 1].map(|run| std::fs::read(runs[run].0.join(file)).unwrap());
            assert!(first.len() > 1000 && first == second, "{workers} workers, {file}");
        }
        assert_eq!(runs[0].1, runs[1].1);
    }
}

/// On queues that packets are dealt to by their flows, and with handoffs that deal them anew.
#[test]
fn the_number_of_workers_makes_no_difference() {
    let place = Place::new();
    let input = mixed(&place);
    let (one, report) = route(&place, &forwarder(), &input, "one", "1");
    let report = without_buffers(&report);
    assert_eq!(report["received"], 4000);
    assert!(report["sent"].as_u64().unwrap() > 3000, "{report}");
    let mut text = std::fs::read_to_string(forwarder()).unwrap();
    for (from, to) in [
        ("to: ethernet }\n  ethernet:", "to: by-frame }\n  by-frame: { kind: handoff, to: ethernet }\n  ethernet:"),
        ("to: lookup }\n", "to: by-packet }\n  by-packet: { kind: handoff, layer: ip, to: lookup }\n"),
    ] {
        assert!(text.contains(from), "{text}");
        text = text.replacen(from, to, 1);
    }
    for (name, graph) in [("dealt", forwarder()), ("handed", place.text("handed.yaml", &text))] {
        for workers in ["1", "2", "4"] {
            let (more, same) = route(&place, &graph, &input, &format!("{name}-{workers}"), workers);
            assert_eq!(without_buffers(&same), report, "{name}, {workers} workers");
            let said = said(["replay".as_ref(), "--compare".as_ref(), one.as_os_str(), more.as_os_str()]);
            assert_eq!(said.code, 0, "{}", said.out);
            assert!(said.out.starts_with("equal: "), "{}", said.out);
        }
    }
}

#[test]
fn a_generator_is_kept_unless_it_is_replaced() {
    let place = Place::new();
    let text = "version: 1
interfaces:
  a: { driver: memory, generate: { packets: [udp 10.0.0.1:1 > 10.0.0.2:2], rate: 1000, limit: 10 } }
  b: { driver: pcap, read: /no/such/file.pcap }
nodes:
  a-rx: { kind: rx, interface: a, to: b-tx }
  b-rx: { kind: rx, interface: b, to: a-tx }
  a-tx: { kind: tx, interface: a }
  b-tx: { kind: tx, interface: b }
";
    let graph = place.text("graph.yaml", text);
    let report = |arguments: &[&str]| {
        let said = replay(&graph, &[arguments, &["--report", "-"]].concat());
        assert_eq!(said.code, 0, "{}", said.err);
        without_buffers(&said.out)
    };
    assert_eq!((&report(&[])["received"], &report(&[])["sent"]), (&10.into(), &10.into()));
    assert_eq!(report(&["--until", "0.0045"])["received"], 5);
    // Its output side goes to a capture, and it generates all the same.
    let (input, output, other) = (place.path("in.pcap"), place.path("out.pcap"), place.path("other.pcap"));
    place.capture("in.pcap", [(START, [1; 60]), (START, [2; 60])]);
    let both = report(&["--in", &at("b", &input), "--out", &at("b", &output), "--out", &at("a", &other)]);
    assert_eq!((&both["received"], &both["sent"]), (&12.into(), &12.into()));
    assert_eq!(both["interfaces"]["a"], json!({ "generated": 10, "sent": 2 }));
    assert_eq!(records(&other), [(START, vec![1; 60]), (START, vec![2; 60])]);
    let times: Vec<u64> = records(&output).iter().map(|(time, _)| *time - START).collect();
    assert_eq!(times, (0..10).map(|number| number * 1_000_000).collect::<Vec<_>>());
    assert_eq!(report(&["--in", &at("a", &input)])["received"], 2);
    // One that never ends has to be told.
    let graph = place.text("graph.yaml", &text.replace(", limit: 10", ""));
    let said = replay(&graph, &[]);
    assert_eq!(said.code, 64);
    assert!(said.err.contains("`a` generates packets without end: say when to stop (--until TIME)"), "{}", said.err);
    assert_eq!(replay(&graph, &["--until", "0.001"]).code, 0);
}

#[test]
fn wrong_captures_are_refused_in_words() {
    let place = Place::new();
    let (good, missing, out) = (place.capture("good.pcap", [(0, [0; 60])]), place.path("missing.pcap"), place.path("out.pcap"));
    let other = place.text("text.pcap", "this is no capture, but long enough to be one");
    let [read, none, text, write] = [&good, &missing, &other, &out].map(|file| at("lan", file));
    let table: [(&[&str], i32, String); 9] = [
        (&["--in", "lna=x.pcap"], 64, "--in: the graph has no interface `lna`; did you mean `lan`?".into()),
        (&["--out", "dmz=x.pcap"], 64, "--out: the graph has no interface `dmz`; its interfaces are: `lan`, `wan`".into()),
        (&["--in", &read, "--in", &read], 64, "--in: the interface `lan` is named twice".into()),
        (&["--out", &write, "--out", &write], 64, "--out: the interface `lan` is named twice".into()),
        (&["--in", &read, "--out", &read], 64, format!("--out {read}: this file is read or written already")),
        (&["--out", &write, "--out", &at("wan", &out)], 64, format!("--out {}: this file is read or", at("wan", &out))),
        (&["--in", &none], 66, format!("cannot read {}: there is no such file", missing.display())),
        (&["--in", &text], 1, format!("{}: ", other.display())),
        (&["--in", &at("wan", &place.path(""))], 66, "it is a directory".into()),
    ];
    for (arguments, code, message) in table {
        let said = replay(&forwarder(), arguments);
        assert_eq!(said.code, code, "{arguments:?}: {}", said.err);
        assert!(said.err.starts_with("error: ") && said.err.contains(&message), "{arguments:?}: {}", said.err);
    }
    assert!(!out.exists());
    assert_eq!(records(&good).len(), 1, "what is read is not written over");
    // The directory of an output is the machine's affair: the graph is refused by the driver, at the interface.
    let said = replay(&forwarder(), &["--out", &at("lan", &place.path("no/such/out.pcap"))]);
    assert_eq!(said.code, 78, "{}", said.err);
    assert!(said.err.contains("no/such/out.pcap"), "{}", said.err);
}

#[test]
fn captures_differ_by_a_lost_packet() {
    let place = Place::new();
    let packet = |number: u64| (START + number, frame(&format!("udp 10.0.0.1:1 > 10.0.0.2:2 payload \"{number}\""), HOST, LAN));
    let all = place.capture("all.pcap", (0..20).map(packet));
    let later = place.capture("later.pcap", (0..20).map(packet).map(|(time, frame)| (time + 5, frame)));
    let less = place.capture("less.pcap", (0..20).filter(|number| *number != 7 && *number != 11).map(packet));
    let compare = |a: &Path, b: &Path, more: &[&str]| {
        let files = ["replay".into(), "--compare".into(), OsString::from(a), OsString::from(b)];
        said(files.into_iter().chain(more.iter().map(OsString::from)))
    };
    let equal = compare(&all, &later, &[]);
    assert_eq!((equal.code, &*equal.out, &*equal.err), (0, "equal: 20 frames in 1 flows\n", ""));
    let different = compare(&all, &less, &[]);
    assert_eq!((different.code, &*different.err), (1, ""));
    assert!(different.out.starts_with("2 differences: A has 20 frames, B has 18"), "{}", different.out);
    assert!(different.out.contains("frame 8 of A is missing in B\n"), "{}", different.out);
    assert!(different.out.contains("frame 12 of A is missing in B\n"), "{}", different.out);
    let limited = compare(&all, &less, &["--limit", "1"]);
    assert!(limited.out.ends_with("frame 8 of A is missing in B\n  and 1 more\n"), "{}", limited.out);
    let missing = compare(&all, &place.path("missing.pcap"), &[]);
    assert_eq!((missing.code, missing.err.ends_with("there is no such file\n")), (66, true), "{}", missing.err);
    assert_eq!(compare(&all, &place.path(""), &[]).code, 64);
    assert_eq!(compare(&all, &place.text("text.pcap", "no capture, but bytes all the same"), &[]).code, 1);
}

#[test]
fn two_interfaces_do_not_share_a_file() {
    let place = Place::new();
    let graph = "version: 1
interfaces:
  lan: { driver: pcap, read: one.pcap }
  wan: { driver: pcap, write: one.pcap }
nodes:
  rx: { kind: rx, interface: lan, to: tx }
  tx: { kind: tx, interface: wan }
";
    place.text("graph.yaml", graph);
    let capture = place.capture("one.pcap", [(START, frame("udp 10.0.0.1:1 > 10.0.0.2:2", HOST, LAN))]);
    let before = std::fs::read(&capture).unwrap();
    let said = said(["run".as_ref(), place.path("graph.yaml").as_os_str()]);
    assert_eq!(said.code, 78, "{}", said.err);
    assert!(said.err.contains("`lan` and `wan` both use"), "{}", said.err);
    assert_eq!(std::fs::read(&capture).unwrap(), before);
}

#[test]
fn input_that_no_node_receives_is_said() {
    let place = Place::new();
    let graph = "version: 1
interfaces:
  lan: { driver: pcap, read: one.pcap }
nodes:
  tx: { kind: tx, interface: lan }
";
    place.text("graph.yaml", graph);
    let capture = place.capture("one.pcap", [(START, frame("udp 10.0.0.1:1 > 10.0.0.2:2", HOST, LAN))]);
    let input = format!("lan={}", capture.display());
    let graph = place.path("graph.yaml");
    let named = said(["replay".as_ref(), graph.as_os_str(), "--in".as_ref(), input.as_ref()]);
    assert!(named.err.contains("no node receives the packets of `lan`"), "{}", named.err);
    let not_named = said(["replay".as_ref(), graph.as_os_str()]);
    assert!(not_named.err.contains("use `--in lan=FILE`"), "{}", not_named.err);
}
