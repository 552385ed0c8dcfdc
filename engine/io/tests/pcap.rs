//! The driver `pcap`, through the traits that the engine uses.

mod common;

use std::fs;
use std::path::Path;

use common::{Lab, ROOM, by_flow};
use serde_json::json;
use swath_api::Vector;
use swath_core::driver::{Due, Io, Received};
use swath_io::capture::{Reader, Writer};
use swath_io::text::TextPacket;
use tempfile::TempDir;

/// 2026-11-22 00:00:00 UTC
const MIDNIGHT: u64 = 1_795_305_600_000_000_000;

fn write(path: &Path, records: &[(u64, Vec<u8>)]) {
    let mut writer = Writer::create(path).unwrap();
    for (timestamp, frame) in records {
        writer.write(*timestamp, frame).unwrap();
    }
    writer.finish().unwrap();
}

fn read(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let mut reader = Reader::open(path).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        records.push((record.timestamp_ns, record.data.to_vec()));
    }
    records
}

fn with_capture(records: &[(u64, Vec<u8>)]) -> (TempDir, Lab) {
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("in.pcap"), records);
    let lab = Lab::new(300).directory(directory.path());
    (directory, lab)
}

/// Packets of 20 flows in both directions, with others between them; many at the same time.
fn traffic() -> Vec<(u64, Vec<u8>)> {
    let texts = (0..500).map(|number| match number % 25 {
        0 => "arp who-has 10.0.0.1 tell 10.0.0.2".to_owned(),
        1 => format!("udp 10.0.0.1 > 10.1.0.1 frag 24 id {number} len 100"),
        2 => format!("udp 10.0.0.1:1 > 10.1.0.1:2 mf id {number} len 100"),
        flow if number % 2 == 0 => format!("tcp 10.0.0.1:{flow} > 10.1.0.1:80 seq {number}"),
        flow => format!("tcp 10.1.0.1:80 > 10.0.0.1:{flow} seq {number}"),
    });
    texts.enumerate().map(|(at, text)| (MIDNIGHT + at as u64 / 7 * 1001, TextPacket::parse(&text).unwrap().frame())).collect()
}

#[test]
fn what_goes_in_comes_out_to_the_byte() {
    let records = traffic();
    let (directory, mut lab) = with_capture(&records);
    let mut port = lab.open("pcap", r#"{"read": "in.pcap", "write": "out.pcap"}"#);
    assert_eq!((port.mac().to_string().as_str(), port.mtu()), ("02:53:57:00:00:03", 1500));
    let (mut receive, mut transmit) = (port.receive_queues().remove(0), port.transmit_queues().remove(0));
    let mut vectors = 0;
    while let Due::At(now) = receive.due() {
        let mut vector = Vector::new(&lab.pool);
        lab.receive_into(receive.as_mut(), &mut vector, 256, now);
        transmit.transmit(&mut vector, &mut Io { cache: &mut lab.cache, now });
        assert!(vector.is_empty());
        vectors += 1;
    }
    assert_eq!(vectors, 500_u64.div_ceil(7), "what has the same timestamp comes together");
    let report = json!({"sent": 500, "read": {"packets": 500, "truncated": 0, "oversize": 0}});
    assert_eq!(port.finish().unwrap(), report);
    assert_eq!(fs::read(directory.path().join("out.pcap")).unwrap(), fs::read(directory.path().join("in.pcap")).unwrap());
    assert_eq!(port.finish().unwrap(), report, "asked again it says the same");
}

#[test]
fn interfaces_with_one_base_are_merged_by_time() {
    let (directory, mut lab) = with_capture(&[(MIDNIGHT + 500, vec![1; 60]), (MIDNIGHT + 900, vec![2; 60])]);
    let settings = format!(r#"{{"read": "in.pcap", "write": "out.pcap", "base": {}}}"#, MIDNIGHT + 100);
    let mut port = lab.open("pcap", &settings);
    let mut queue = port.receive_queues().remove(0);
    assert_eq!(lab.drain(queue.as_mut()), [(400, vec![1; 60]), (800, vec![2; 60])]);
    lab.transmit(port.transmit_queues()[0].as_mut(), &[vec![3; 60]], 7);
    port.finish().unwrap();
    assert_eq!(read(&directory.path().join("out.pcap")), [(MIDNIGHT + 107, vec![3; 60])]);
    // What lies before the base comes at once.
    let mut port = lab.open("pcap", &format!(r#"{{"read": "in.pcap", "base": {}}}"#, MIDNIGHT + 600));
    assert_eq!(lab.drain(port.receive_queues()[0].as_mut()), [(0, vec![1; 60]), (300, vec![2; 60])]);
}

#[test]
fn time_does_not_run_backwards() {
    let (_directory, mut lab) = with_capture(&[(5000, vec![1; 60]), (4000, vec![2; 60]), (7000, vec![3; 60])]);
    let mut port = lab.open("pcap", r#"{"read": "in.pcap"}"#);
    assert_eq!(lab.drain(port.receive_queues()[0].as_mut()), [(0, vec![1; 60]), (0, vec![2; 60]), (2000, vec![3; 60])]);
}

#[test]
fn rounds_follow_each_other() {
    let records = [(1000, vec![1; 60]), (1400, vec![2; 60]), (1600, vec![3; 60])];
    let (_directory, mut lab) = with_capture(&records);
    let mut port = lab.open("pcap", r#"{"read": "in.pcap", "loop": 3}"#);
    let times: Vec<u64> = lab.drain(port.receive_queues()[0].as_mut()).into_iter().map(|(at, _)| at).collect();
    // 600 long, and 300 between two packets on average.
    assert_eq!(times, [0, 400, 600, 900, 1300, 1500, 1800, 2200, 2400]);
    assert_eq!(port.finish().unwrap()["read"]["packets"], 9);
    let mut port = lab.open("pcap", r#"{"read": "in.pcap", "loop": true}"#);
    let mut queue = port.receive_queues().remove(0);
    assert_eq!(lab.receive(queue.as_mut(), 256, 900 * 20).len(), 61);
    assert_eq!(queue.due(), Due::At(900 * 20 + 400));
}

#[test]
fn a_capture_without_packets_is_at_its_end() {
    let (_directory, mut lab) = with_capture(&[]);
    for settings in [r#"{"read": "in.pcap"}"#, r#"{"read": "in.pcap", "loop": true}"#] {
        let mut port = lab.open("pcap", settings);
        assert_eq!(lab.drain(port.receive_queues()[0].as_mut()), []);
    }
    let mut port = lab.open("pcap", "{}");
    assert!(port.receive_queues().is_empty());
    lab.transmit(port.transmit_queues()[0].as_mut(), &[vec![3; 60]], 7);
    assert_eq!(port.finish().unwrap(), json!({"sent": 1}));
}

#[test]
fn any_number_of_workers_gets_the_same_packets_in_the_same_order_of_each_flow() {
    let records = traffic();
    let expected = by_flow(records.iter().map(|(_, frame)| frame.clone()));
    for workers in [1, 2, 4] {
        let (directory, lab) = with_capture(&records);
        let mut lab = lab.workers(workers);
        let mut port = lab.open("pcap", r#"{"read": "in.pcap", "write": "out.pcap"}"#);
        let (mut receive, mut transmit) = (port.receive_queues(), port.transmit_queues());
        assert_eq!((receive.len(), transmit.len()), (workers as usize, workers as usize));
        let mut parts = Vec::new();
        for (queue, transmit) in receive.iter_mut().zip(&mut transmit) {
            let part = lab.drain(queue.as_mut());
            assert!(part.iter().all(|(at, frame)| records.contains(&(MIDNIGHT + at, frame.clone()))));
            for (at, frame) in &part {
                lab.transmit(transmit.as_mut(), std::slice::from_ref(frame), *at);
            }
            parts.push(part.into_iter().map(|(_, frame)| frame).collect::<Vec<_>>());
        }
        assert!(parts.iter().all(|part| !part.is_empty()));
        // Both directions, and all fragments, are on one queue: 22 flows and ARP.
        let undirected: usize = parts
            .iter()
            .map(|part| {
                let mut ports: Vec<(u16, u16)> = part
                    .iter()
                    .filter_map(|frame| frame.get(34..38).filter(|_| frame[23] == 6))
                    .map(|ports| (u16::from_be_bytes([ports[0], ports[1]]), u16::from_be_bytes([ports[2], ports[3]])))
                    .map(|(a, b)| (a.min(b), a.max(b)))
                    .collect();
                ports.sort_unstable();
                ports.dedup();
                ports.len()
            })
            .sum();
        assert_eq!(undirected, 22);
        assert_eq!(parts.iter().filter(|part| part.iter().any(|frame| frame[23] == 17)).count(), 1);
        assert!(by_flow(parts.into_iter().flatten()) == expected, "{workers} workers");
        let report = port.finish().unwrap();
        assert_eq!(report, json!({"sent": 500, "read": {"packets": 500, "truncated": 0, "oversize": 0}}));
        let mut written = read(&directory.path().join("out.pcap"));
        let mut sorted = records.clone();
        written.sort();
        sorted.sort();
        assert!(written == sorted);
    }
}

#[test]
fn fast_does_not_wait_but_in_virtual_time() {
    let (_directory, mut lab) = with_capture(&[(1000, vec![1; 60]), (2_000_000_000, vec![2; 60])]);
    let settings = r#"{"read": "in.pcap", "time": "fast"}"#;
    let mut port = lab.open("pcap", settings);
    assert_eq!(lab.drain(port.receive_queues()[0].as_mut()), [(0, vec![1; 60]), (1_999_999_000, vec![2; 60])]);
    let mut lab = lab.real_time();
    let mut port = lab.open("pcap", settings);
    assert_eq!(lab.receive(port.receive_queues()[0].as_mut(), 256, 55).len(), 2);
    let mut port = lab.open("pcap", r#"{"read": "in.pcap", "time": "real"}"#);
    let mut queue = port.receive_queues().remove(0);
    assert_eq!(lab.receive(queue.as_mut(), 256, 55), [vec![1; 60]]);
    assert_eq!(queue.due(), Due::At(55 + 1_999_999_000));
}

#[test]
fn packets_without_a_buffer_are_lost_and_counted() {
    let records: Vec<_> = (0..200).map(|number| (5000, vec![number; 60])).collect();
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("in.pcap"), &records);
    let mut lab = Lab::new(50).directory(directory.path());
    let mut port = lab.open("pcap", r#"{"read": "in.pcap"}"#);
    let mut queue = port.receive_queues().remove(0);
    let mut vector = Vector::new(&lab.pool);
    assert_eq!(
        lab.receive_into(queue.as_mut(), &mut vector, 120, 0),
        Received { packets: 50, no_buffer: 70, ..Received::default() }
    );
    lab.cache.free(&mut vector);
    assert_eq!(lab.receive(queue.as_mut(), 50, 0), records[120..170].iter().map(|(_, frame)| frame.clone()).collect::<Vec<_>>());
    assert_eq!(lab.receive(queue.as_mut(), 50, 0).len(), 30);
    assert_eq!(queue.due(), Due::Ended);
    assert_eq!(port.finish().unwrap()["read"]["packets"], 200);
}

#[test]
fn truncated_and_oversize_packets_are_counted() {
    let (directory, mut lab) = with_capture(&[(1, vec![1; 60]), (2, vec![2; ROOM]), (3, vec![3; ROOM + 1]), (4, vec![4; 60])]);
    // The original length of the first record: four bytes at 12 of its header, behind the file's 24.
    let path = directory.path().join("in.pcap");
    let mut bytes = fs::read(&path).unwrap();
    bytes[36..40].copy_from_slice(&1000_u32.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let mut port = lab.open("pcap", r#"{"read": "in.pcap", "loop": 2}"#);
    let received: Vec<_> = lab.drain(port.receive_queues()[0].as_mut()).into_iter().map(|(at, frame)| (at, frame.len())).collect();
    // Four packets in 3 ns: a round each 4 ns.
    assert_eq!(received, [(0, 60), (1, ROOM), (3, 60), (4, 60), (5, ROOM), (7, 60)]);
    assert_eq!(port.finish().unwrap(), json!({"sent": 0, "read": {"packets": 6, "truncated": 2, "oversize": 2}}));
}

#[test]
fn a_capture_that_is_cut_off_is_replayed_up_to_there() {
    let (directory, mut lab) = with_capture(&[(1, vec![1; 60]), (2, vec![2; 60])]);
    let path = directory.path().join("in.pcap");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let mut port = lab.open("pcap", r#"{"read": "in.pcap", "loop": 2}"#);
    assert_eq!(lab.drain(port.receive_queues()[0].as_mut()), [(0, vec![1; 60]), (1, vec![1; 60])]);
    let report = port.finish().unwrap();
    let cut_off = report["read"]["cut-off"].as_str().unwrap();
    assert!(cut_off.ends_with("in.pcap: byte 100: the capture is cut off: 75 of 76 bytes are there"), "{cut_off}");
}

#[test]
fn what_cannot_be_replayed_is_refused_at_once() {
    let (directory, lab) = with_capture(&[(1, vec![1; 60]), (2, vec![2; 60])]);
    let path = directory.path().join("in.pcap");
    let good = fs::read(&path).unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(&path, changed).unwrap();
        let refused = lab.refused("pcap", r#"{"read": "in.pcap"}"#);
        refused.replace(&directory.path().display().to_string(), "DIR")
    };
    // LINKTYPE_RAW
    assert_eq!(with(20, &101_u32.to_le_bytes()), "read: DIR/in.pcap: packet 1: link type 101 instead of Ethernet");
    assert!(with(0, b"abcd").starts_with("read: DIR/in.pcap: byte 0: neither pcap nor pcapng"));
    assert!(with(100 + 8, &u32::MAX.to_le_bytes()).starts_with("read: DIR/in.pcap: byte 100: captured length 4294967295"));
    fs::write(&path, &good).unwrap();
    assert!(lab.refused("pcap", r#"{"read": "no.pcap"}"#).starts_with("read: "));
    assert!(lab.refused("pcap", r#"{"write": "no/such/directory.pcap"}"#).starts_with("write: "));
    assert_eq!(lab.refused("pcap", r#"{"read": "in.pcap", "write": "./in.pcap"}"#), "write: this is the capture that is read");
    assert_eq!(fs::read(&path).unwrap(), good, "it is as it was");
    assert!(lab.refused("pcap", r#"{"loop": 0}"#).starts_with("loop: invalid value: integer `0`"));
    assert!(lab.refused("pcap", r#"{"file": "in.pcap"}"#).starts_with("file: unknown field `file`"));
}

#[test]
fn output_that_cannot_be_written_is_an_error_at_the_end() {
    let mut lab = Lab::new(300);
    let mut port = lab.open("pcap", r#"{"write": "/dev/full"}"#);
    let mut queue = port.transmit_queues().remove(0);
    let many = vec![vec![1; 1500]; 100];
    assert_eq!(lab.transmit(queue.as_mut(), &many, 0), 0, "the packets are gone all the same");
    let error = port.finish().unwrap_err();
    assert!(error.starts_with("/dev/full is not complete: No space left on device"), "{error}");
    // A pcap has 32 bits for the second.
    let directory = tempfile::tempdir().unwrap();
    let mut lab = lab.directory(directory.path());
    let mut port = lab.open("pcap", &format!(r#"{{"write": "out.pcap", "base": {}}}"#, u64::MAX));
    lab.transmit(port.transmit_queues()[0].as_mut(), &many[..2], 5);
    let error = port.finish().unwrap_err();
    assert!(error.ends_with("a pcap cannot hold a time after 2106; 2 packets or more are missing"), "{error}");
}

#[test]
fn what_is_in_the_output_stays_while_the_engine_may_be_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.pcap");
    std::fs::write(&path, "precious").unwrap();
    let lab = common::Lab::new(64);
    let settings = format!(r#"{{"write": "{}"}}"#, path.display());
    drop(lab.open("pcap", &settings));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    lab.open("pcap", &settings).finish().unwrap();
    assert_eq!(std::fs::read(&path).unwrap().len(), 24, "a capture without packets");
}
