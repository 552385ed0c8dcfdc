//! The driver `memory`, through the traits that the engine uses.

mod common;

use common::{Lab, ROOM, by_flow, frames};
use serde_json::json;
use swath_api::Vector;
use swath_core::driver::{Due, Received};
use swath_io::capture::Writer;
use swath_io::text::{Mac, TextPacket};

const FLOWS: &str = r#""flows": {"sources": ["10.0.0.0/24"], "destinations": ["10.1.0.0/16"], "count": 50}"#;

fn generate(rest: &str) -> String {
    format!(r#"{{"generate": {{{rest}}}}}"#)
}

#[test]
fn without_settings_nothing_is_received_and_everything_is_sent() {
    let mut lab = Lab::new(300);
    let mut port = lab.open("memory", "{}");
    assert_eq!((port.mac().to_string().as_str(), port.mtu()), ("02:53:57:00:00:03", 1500));
    assert!(port.receive_queues().is_empty());
    let mut queues = port.transmit_queues();
    assert_eq!(queues.len(), 1);
    assert_eq!(lab.transmit(queues[0].as_mut(), &vec![vec![7; 100]; 300], 0), 0);
    assert_eq!(port.finish().unwrap(), json!({"generated": 0, "packets": 300, "bytes": 30_000}));
}

#[test]
fn packets_in_text_come_in_turn_up_to_the_limit() {
    let texts = ["udp 10.0.0.1:1000 > 10.1.0.1:53 len 60", "arp who-has 10.0.0.1 tell 10.0.0.2", "tcp 10.0.0.1:9 > 10.1.0.1:80"];
    let mac = Mac([2, 0x53, 0x57, 0, 0, 3]);
    let frame = |text: &str| TextPacket::parse(text).unwrap().frame_with(Mac([2, 0, 0, 0, 0, 1]), mac);
    for max in [1, 7, 256] {
        let mut lab = Lab::new(300);
        let mut port = lab.open("memory", &generate(&format!(r#""packets": {}, "limit": 1000"#, json!(texts))));
        let mut queue = port.receive_queues().remove(0);
        assert_eq!(queue.due(), Due::At(0));
        let mut all = Vec::new();
        loop {
            let some = lab.receive(queue.as_mut(), max, 5);
            if some.is_empty() {
                break;
            }
            assert_eq!(some.len(), max.min(1000 - all.len()));
            all.extend(some);
        }
        let expected: Vec<_> = (0..1000).map(|index| frame(texts[index % 3])).collect();
        assert_eq!(all, expected);
        assert_eq!(queue.due(), Due::Ended);
        assert_eq!(port.finish().unwrap(), json!({"generated": 1000, "packets": 0, "bytes": 0}));
    }
}

#[test]
fn a_capture_can_be_the_template() {
    let directory = tempfile::tempdir().unwrap();
    let records = [vec![1; 60], vec![2; 1514], vec![3; ROOM]];
    let mut writer = Writer::create(directory.path().join("in.pcap")).unwrap();
    for record in &records {
        writer.write(77, record).unwrap();
    }
    writer.finish().unwrap();
    let mut lab = Lab::new(300).directory(directory.path());
    let mut port = lab.open("memory", &generate(r#""file": "in.pcap", "limit": 5"#));
    let all: Vec<_> = lab.drain(port.receive_queues()[0].as_mut()).into_iter().map(|(_, frame)| frame).collect();
    assert_eq!(all, [0, 1, 2, 0, 1].map(|index: usize| records[index].clone()));
}

#[test]
fn addresses_are_those_of_the_settings() {
    let mut lab = Lab::new(300);
    lab.mac = Some("02:aa:00:00:00:01".parse().unwrap());
    let first = |lab: &mut Lab, settings: &str| {
        let mut port = lab.open("memory", &generate(settings));
        let frame = lab.receive(port.receive_queues()[0].as_mut(), 1, 0).remove(0);
        (frame[..6].to_vec(), frame[6..12].to_vec())
    };
    let own = vec![2, 0xaa, 0, 0, 0, 1];
    assert_eq!(first(&mut lab, &format!(r#"{FLOWS}, "limit": 1"#)), (own, vec![2, 0, 0, 0, 0, 1]));
    let given = r#""flows": {"sources": ["::1"], "destinations": ["::2"], "src-mac": "02:00:00:00:00:07", "dst-mac": "02:00:00:00:00:08"},
        "limit": 1"#;
    assert_eq!(first(&mut lab, given), (vec![2, 0, 0, 0, 0, 8], vec![2, 0, 0, 0, 0, 7]));
}

#[test]
fn packets_come_at_their_rate() {
    let mut lab = Lab::new(300);
    let times = |lab: &mut Lab, rest: &str| -> Vec<u64> {
        let mut port = lab.open("memory", &generate(&format!("{FLOWS}, {rest}")));
        lab.drain(port.receive_queues()[0].as_mut()).into_iter().map(|(at, _)| at).collect()
    };
    assert_eq!(times(&mut lab, r#""rate": 1000000, "limit": 5"#), [0, 1000, 2000, 3000, 4000]);
    // A third of a second is not a whole number of nanoseconds.
    assert_eq!(times(&mut lab, r#""rate": 3, "limit": 4"#), [0, 333_333_334, 666_666_667, 1_000_000_000]);
    assert_eq!(times(&mut lab, r#""rate": "1Mpps", "burst": 2, "limit": 5"#), [0, 0, 2000, 2000, 4000]);
    assert_eq!(times(&mut lab, r#""limit": 300"#), [0; 300]);
    // A burst above a vector takes two calls.
    assert_eq!(times(&mut lab, r#""rate": 1000, "burst": 300, "limit": 301"#), [&[0; 300][..], &[300_000_000]].concat());
}

#[test]
fn what_was_not_taken_in_time_is_taken_later() {
    let mut lab = Lab::new(300);
    let mut port = lab.open("memory", &generate(&format!(r#"{FLOWS}, "rate": 1000000"#)));
    let mut queue = port.receive_queues().remove(0);
    assert_eq!(lab.receive(queue.as_mut(), 10, 99_999).len(), 10);
    assert_eq!(lab.receive(queue.as_mut(), 256, 99_999).len(), 90);
    assert_eq!(lab.receive(queue.as_mut(), 256, 99_999).len(), 0);
    assert_eq!(queue.due(), Due::At(100_000));
}

#[test]
fn real_time_begins_when_the_queue_is_first_asked() {
    let mut lab = Lab::new(300).real_time();
    let mut port = lab.open("memory", &generate(&format!(r#"{FLOWS}, "rate": 1000000"#)));
    let mut queue = port.receive_queues().remove(0);
    assert_eq!(queue.due(), Due::At(0));
    assert_eq!(lab.receive(queue.as_mut(), 256, 1_000_000_000).len(), 1);
    assert_eq!(queue.due(), Due::At(1_000_001_000));
    assert_eq!(lab.receive(queue.as_mut(), 256, 1_000_009_999).len(), 9);
}

#[test]
fn without_a_rate_a_call_gives_no_more_than_a_burst() {
    let mut lab = Lab::new(300).real_time();
    let mut port = lab.open("memory", &generate(&format!(r#"{FLOWS}, "burst": 32"#)));
    let mut queue = port.receive_queues().remove(0);
    assert_eq!([256, 256, 8].map(|max| lab.receive(queue.as_mut(), max, 0).len()), [32, 32, 8]);
}

#[test]
fn any_number_of_workers_gets_the_same_packets_in_the_same_order_of_each_flow() {
    for settings in [
        r#""flows": {"sources": ["10.0.0.0/24"], "destinations": ["10.1.0.0/16"], "count": 50, "size": "imix"}, "stamp": true"#,
        r#""flows": {"sources": ["2001:db8::/64"], "destinations": ["2001:db8:1::/64"], "count": 50, "size": "78-90"},
           "pattern": "random", "seed": 7, "stamp": true, "rate": 1000000, "burst": 3"#,
        r#""packets": ["udp 10.0.0.1:1 > 10.0.0.2:2", "udp 10.0.0.2:2 > 10.0.0.1:1", "arp who-has 10.0.0.1 tell 10.0.0.2",
           "tcp [::1]:1 > [::2]:2 mss 9", "udp 10.0.0.1:1 > 10.0.0.2:3", "udp 10.0.0.3:1 > 10.0.0.2:3"]"#,
    ] {
        let settings = generate(&format!(r#"{settings}, "limit": 3001"#));
        let mut expected = None;
        for workers in [1, 2, 4] {
            let mut lab = Lab::new(300).workers(workers);
            let mut port = lab.open("memory", &settings);
            let mut queues = port.receive_queues();
            assert_eq!((queues.len(), port.transmit_queues().len()), (workers as usize, workers as usize));
            let parts: Vec<Vec<Vec<u8>>> =
                queues.iter_mut().map(|queue| lab.drain(queue.as_mut()).into_iter().map(|(_, frame)| frame).collect()).collect();
            assert!(workers == 1 || parts.iter().filter(|part| !part.is_empty()).count() > 1, "work is divided");
            let flows: Vec<_> = parts.iter().map(|part| by_flow(part.clone())).collect();
            let count = flows.iter().map(|flows| flows.len()).sum::<usize>();
            let all = by_flow(parts.into_iter().flatten());
            assert_eq!(all.len(), count, "no flow comes in on two queues");
            assert_eq!(all.values().map(Vec::len).sum::<usize>(), 3001);
            let expected = expected.get_or_insert_with(|| all.clone());
            assert!(*expected == all, "{workers} workers: {settings}");
        }
    }
}

#[test]
fn packets_without_a_buffer_are_lost_and_counted() {
    let mut lab = Lab::new(100);
    let settings = format!(r#"{{"generate": {{{FLOWS}, "limit": 400, "stamp": true}}, "sink": {{"check": "stamps"}}}}"#);
    let mut port = lab.open("memory", &settings);
    let (mut receive, mut transmit) = (port.receive_queues().remove(0), port.transmit_queues().remove(0));
    let mut first = Vector::new(&lab.pool);
    let received = lab.receive_into(receive.as_mut(), &mut first, 256, 0);
    assert_eq!(received, Received { packets: 100, no_buffer: 156, ..Received::default() });
    let mut second = Vector::new(&lab.pool);
    let received = lab.receive_into(receive.as_mut(), &mut second, 44, 0);
    assert_eq!(received, Received { no_buffer: 44, ..Received::default() });
    // Packets 0 to 99 of the 50 flows are here, 100 to 299 lost: 0 and 1 of each flow are here, 2 to 5 lost.
    let mut sent = frames(&first);
    lab.cache.free(&mut first);
    sent.extend(lab.receive(receive.as_mut(), 60, 0));
    sent.extend(lab.receive(receive.as_mut(), 60, 0));
    assert_eq!(receive.due(), Due::Ended);
    for frame in &sent {
        lab.transmit(transmit.as_mut(), std::slice::from_ref(frame), 0);
    }
    let expected = json!({
        "generated": 400, "packets": 200, "bytes": 200 * 60, "flows": 50, "missing": 50 * 4,
        "duplicated": 0, "reordered": 0, "late": 0, "unstamped": 0,
    });
    assert_eq!(port.finish().unwrap(), expected);
}

#[test]
fn the_sink_sees_what_is_missing_duplicated_reordered_and_unstamped() {
    let mut lab = Lab::new(300);
    let mut generator = lab.open("memory", &generate(&format!(r#"{FLOWS}, "limit": 250, "stamp": true"#)));
    let whole = lab.receive(generator.receive_queues()[0].as_mut(), 256, 0);
    assert_eq!(whole.len(), 250);
    let none = json!({
        "generated": 0, "packets": 250, "bytes": 250 * 60, "flows": 50, "missing": 0, "duplicated": 0, "reordered": 0, "late": 0,
        "unstamped": 0,
    });
    /// What happens to the packets on the way, and what the report says of it.
    type Case = (&'static str, fn(&mut Vec<Vec<u8>>), &'static [(&'static str, u64)]);
    // Packet n is number n / 50 of flow n mod 50.
    let cases: [Case; 6] = [
        ("as it was", |_| (), &[]),
        ("dropped", |all| drop(all.remove(100)), &[("packets", 249), ("bytes", 249 * 60), ("missing", 1)]),
        ("duplicated", |all| all.push(all[100].clone()), &[("packets", 251), ("bytes", 251 * 60), ("duplicated", 1)]),
        ("reordered", |all| all.swap(100, 150), &[("reordered", 1)]),
        ("flows may overtake each other", |all| all.swap(100, 101), &[]),
        ("unstamped", |all| all[249][42] = 0, &[("unstamped", 1)]),
    ];
    for (name, change, expected) in cases {
        let mut sent = whole.clone();
        change(&mut sent);
        let mut sink = lab.open("memory", r#"{"sink": {"check": "stamps"}}"#);
        assert_eq!(lab.transmit(sink.transmit_queues()[0].as_mut(), &sent, 0), 0);
        let mut report = none.clone();
        for (key, value) in expected {
            report[key] = (*value).into();
        }
        assert_eq!(sink.finish().unwrap(), report, "{name}");
    }
}

#[test]
fn several_workers_send_one_flow_to_one_sink() {
    let mut lab = Lab::new(300).workers(2);
    let mut generator = lab.open("memory", &generate(&format!(r#"{FLOWS}, "limit": 200, "stamp": true"#)));
    let mut all = Vec::new();
    for queue in &mut generator.receive_queues() {
        all.extend(lab.receive(queue.as_mut(), 256, 0));
    }
    let mut sink = lab.open("memory", r#"{"sink": {"check": "stamps"}}"#);
    let mut queues = sink.transmit_queues();
    for (index, frame) in all.iter().enumerate() {
        lab.transmit(queues[index % 2].as_mut(), std::slice::from_ref(frame), 0);
    }
    let report = sink.finish().unwrap();
    assert_eq!((&report["packets"], &report["flows"], &report["missing"]), (&json!(200), &json!(50), &json!(0)));
    assert_eq!((&report["duplicated"], &report["reordered"]), (&json!(0), &json!(0)));
}

#[test]
fn a_sink_of_little_capacity_leaves_the_rest() {
    let mut lab = Lab::new(300);
    for (capacity, left) in [(0, 256), (10, 246), (255, 1), (256, 0), (1000, 0)] {
        let mut port = lab.open("memory", &format!(r#"{{"sink": {{"capacity": {capacity}}}}}"#));
        let mut queue = port.transmit_queues().remove(0);
        let sent: Vec<Vec<u8>> = (0..=255).map(|number| vec![number; 60]).collect();
        let mut vector = lab.vector(&sent);
        queue.transmit(&mut vector, &mut swath_core::driver::Io { cache: &mut lab.cache, now: 0 });
        assert_eq!(frames(&vector), sent[256 - left..], "the first are taken");
        lab.cache.free(&mut vector);
        assert_eq!(port.finish().unwrap()["packets"], 256 - left);
    }
}

#[test]
fn settings_that_cannot_be_are_refused_with_their_place() {
    let lab = Lab::new(300);
    let one = "exactly one of `packets`, `file` and `flows` says what is generated";
    let endless = "without `rate` and `limit` it never ends, and virtual time never moves on";
    for (settings, expected) in [
        (r#"{"genrate": {}}"#.to_owned(), "genrate: unknown field `genrate`, expected `generate` or `sink`".to_owned()),
        (generate(r#""limit": 1"#), format!("generate: {one}")),
        (generate(&format!(r#"{FLOWS}, "file": "x.pcap", "limit": 1"#)), format!("generate: {one}")),
        (generate(FLOWS), format!("generate: {endless}")),
        (generate(r#""packets": [], "limit": 1"#), "generate.packets: there are no packets".to_owned()),
        (
            generate(r#""flows": {"sources": [], "destinations": ["10.0.0.1"]}, "limit": 1"#),
            "generate.flows.sources: there is none".to_owned(),
        ),
        (
            generate(r#""flows": {"sources": ["10.0.0.1"], "destinations": ["10.0.0.1", "::1"]}, "limit": 1"#),
            "generate.flows: sources and destinations are of IPv4 and of IPv6".to_owned(),
        ),
        (
            generate(r#""flows": {"sources": ["10.0.0.1"], "destinations": ["10.0.0.1"], "size": 59}, "limit": 1"#),
            format!("generate.flows.size: 59 bytes, but a UDP packet has 60 or more, and a buffer takes {ROOM}"),
        ),
        (
            r#"{"sink": {"check": "stamp"}}"#.to_owned(),
            "sink.check: unknown variant `stamp`, expected `none` or `stamps`".to_owned(),
        ),
    ] {
        assert_eq!(lab.refused("memory", &settings), expected);
    }
    for (settings, start) in [
        (generate(&format!(r#"{FLOWS}, "rate": 0"#)), "generate.rate: at a rate of 0 nothing ever comes"),
        (generate(&format!(r#"{FLOWS}, "rate": "1M""#)), "generate.rate: invalid value: string \"1M\", expected `1Mpps`"),
        (generate(r#""file": "nowhere.pcap", "limit": 1"#), "generate.file: nowhere.pcap: byte 0: No such file"),
        (
            generate(r#""flows": {"sources": ["10.0.0.1/8"], "destinations": ["10.0.0.1"]}"#),
            "generate.flows.sources[0]: `10.0.0.1/8` has bits behind its prefix",
        ),
        (
            generate(r#""flows": {"sources": ["10.0.0.1"], "destinations": ["10.0.0.1"], "size": "big"}"#),
            "generate.flows.size: invalid value: string \"big\", expected a number of bytes, a list of them",
        ),
        (
            generate(r#""flows": {"sources": ["10.0.0.1"], "destinations": ["10.0.0.1"], "src-mac": "x"}"#),
            "generate.flows.src-mac: a MAC address is six hexadecimal pairs",
        ),
    ] {
        let refused = lab.refused("memory", &settings);
        assert!(refused.starts_with(start), "{refused}");
    }
}

#[test]
fn every_setting_of_every_driver_is_described() {
    fn check(path: &str, schema: &serde_json::Value) {
        if let Some(properties) = schema["properties"].as_object() {
            for (name, property) in properties {
                assert!(property["description"].is_string(), "{path}.{name} has no description");
            }
            assert_eq!(schema["additionalProperties"], false, "{path}");
        }
    }
    for kind in swath_io::DRIVERS {
        let schema: serde_json::Value = serde_json::from_str(&(kind.schema)()).unwrap();
        check(kind.name, &schema);
        for (name, schema) in schema["$defs"].as_object().unwrap() {
            check(name, schema);
        }
    }
}
