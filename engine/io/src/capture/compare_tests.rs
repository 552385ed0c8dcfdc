use std::fs;
use std::io;

use proptest::prelude::*;

use super::*;
use crate::capture::Writer;
use crate::text::TextPacket;

/// A capture of packets in text form, one nanosecond after another from `start_ns` on.
fn capture(start_ns: u64, packets: &[&str]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).unwrap();
    for (time, packet) in (start_ns..).zip(packets) {
        writer.write(time, &TextPacket::parse(packet).unwrap().frame()).unwrap();
    }
    writer.finish().unwrap()
}

fn compared(a: &[&str], b: &[&str]) -> Comparison {
    let (a, b) = (capture(0, a), capture(1 << 40, b));
    let a = Reader::new("a", a.as_slice()).unwrap();
    compare_readers(a, Reader::new("b", b.as_slice()).unwrap(), 10).unwrap()
}

const X1: &str = "udp 10.0.0.1:1 > 10.0.0.2:2 id 1";
const X2: &str = "udp 10.0.0.1:1 > 10.0.0.2:2 id 2";
const X3: &str = "udp 10.0.0.1:1 > 10.0.0.2:2 id 3";
const Y1: &str = "tcp 10.0.0.1:1 > 10.0.0.2:2 id 1";
const BACK: &str = "udp 10.0.0.2:2 > 10.0.0.1:1";
const TAGGED: &str = "udp 10.0.0.1:1 > 10.0.0.2:2 vlan 5";
const ARP: &str = "arp who-has 10.0.0.1 tell 10.0.0.2";
const ARP2: &str = "arp who-has 10.0.0.1 tell 10.0.0.3";
const FIRST: &str = "udp 10.0.0.1:1 > 10.0.0.2:2 mf id 7 len 50";
const LAST: &str = "udp 10.0.0.1 > 10.0.0.2 frag 16 id 7 len 40";
const OTHER: &str = "udp 10.0.0.1 > 10.0.0.2 frag 16 id 8 len 40";

#[test]
fn equal_captures() {
    let cases: [(&[&str], &[&str], u64); 8] = [
        (&[], &[], 0),
        (&[X1, X2, Y1], &[X1, X2, Y1], 2),
        (&[X1, X2, Y1], &[Y1, X1, X2], 2),
        (&[X1, BACK, X2], &[BACK, X1, X2], 2),
        (&[X1, ARP], &[ARP, X1], 2),
        (&[X1, X1, X2], &[X1, X1, X2], 1),
        (&[FIRST, X1, LAST], &[X1, FIRST, LAST], 2),
        (&[LAST, OTHER], &[OTHER, LAST], 2),
    ];
    for (a, b, flows) in cases {
        let comparison = compared(a, b);
        assert!(comparison.equal, "{a:?} {b:?}: {comparison}");
        assert_eq!((comparison.frames, comparison.flows), ([a.len() as u64; 2], flows));
    }
    assert_eq!(compared(&[X1, Y1], &[Y1, X1]).to_string(), "equal: 2 frames in 2 flows");
}

#[test]
fn differences_are_told_with_flow_and_frame() {
    let x = "udp 10.0.0.1:1 > 10.0.0.2:2";
    let order = |flow: &str, position, a, b| {
        format!("{flow}: the order differs from position {position} on (frame {a} of A, frame {b} of B)")
    };
    let missing = |flow: &str, what: &str| format!("{flow}: frame {what}");
    let cases: [(&[&str], &[&str], &[String]); 9] = [
        (&[X1, X2, X3], &[X1, X3, X2], &[order(x, 2, 2, 2)]),
        (&[Y1, X1, X2], &[X2, X1, Y1], &[order(x, 1, 2, 1)]),
        (&[X1, TAGGED], &[TAGGED, X1], &[order(x, 1, 1, 1)]),
        (&[ARP, ARP2], &[ARP2, ARP], &[order("eth 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff type 0x0806", 1, 1, 1)]),
        (&[FIRST, LAST], &[LAST, FIRST], &[order("udp 10.0.0.1 > 10.0.0.2 fragments of id 7", 1, 1, 1)]),
        (&[X1, X2], &[X1], &[missing(x, "2 of A is missing in B")]),
        (&[X1], &[X2, X1], &[missing(x, "1 of B is missing in A")]),
        (&[X1, X1, Y1, X1], &[X1, Y1], &[missing(x, "2 of A is missing in B, 2 times")]),
        (
            &[X1, Y1],
            &[X2],
            &[
                missing(x, "1 of A is missing in B"),
                missing(x, "1 of B is missing in A"),
                missing("tcp 10.0.0.1:1 > 10.0.0.2:2", "2 of A is missing in B"),
            ],
        ),
    ];
    for (a, b, expected) in cases {
        let comparison = compared(a, b);
        assert!(!comparison.equal);
        let told: Vec<_> = comparison.differences.iter().map(ToString::to_string).collect();
        assert_eq!(told, expected, "{a:?} {b:?}");
    }
}

#[test]
fn only_the_first_differences_are_kept() {
    let (a, b) = (capture(0, &[X1, X2, X3, Y1]), capture(0, &[]));
    let a = Reader::new("a", a.as_slice()).unwrap();
    let comparison = compare_readers(a, Reader::new("b", b.as_slice()).unwrap(), 1).unwrap();
    assert_eq!(
        comparison.to_string(),
        "4 differences: A has 4 frames, B has 0, in 2 flows\
         \n  udp 10.0.0.1:1 > 10.0.0.2:2: frame 1 of A is missing in B\
         \n  and 3 more"
    );
}

#[test]
fn a_cut_frame_is_not_the_whole_one() {
    let whole = capture(0, &[X1]);
    let mut cut = whole.clone();
    cut[36] += 1; // the original length
    let whole = Reader::new("a", whole.as_slice()).unwrap();
    let comparison = compare_readers(whole, Reader::new("b", cut.as_slice()).unwrap(), 9).unwrap();
    assert_eq!(comparison.total_differences, 2);
}

#[test]
fn a_capture_that_ends_too_early_cannot_be_compared() {
    let bytes = capture(0, &[X1]);
    let a = Reader::new("a", bytes.as_slice()).unwrap();
    let b = Reader::new("b", &bytes[..60]).unwrap();
    let Err(CompareError::Capture(error)) = compare_readers(a, b, 9) else { panic!("compared") };
    assert!(error.is_truncated());
    assert_eq!(error.name, "b");
}

#[test]
fn directories_are_compared_file_by_file() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    for (path, captures) in [
        (&a, [("lan.pcap", capture(0, &[X1])), ("wan.pcap", capture(0, &[X1, X2]))]),
        (&b, [("lan.pcap", capture(0, &[X1])), ("dmz.pcap", capture(0, &[Y1]))]),
    ] {
        fs::create_dir(path).unwrap();
        fs::write(path.join("counters.json"), "{}").unwrap();
        for (name, bytes) in captures {
            fs::write(path.join(name), bytes).unwrap();
        }
    }
    assert_eq!(
        compare(&a, &b, 10).unwrap().to_string(),
        "2 differences: A has 3 frames, B has 2, in 3 flows\
         \n  dmz.pcap: missing in A, B has 1 frames\
         \n  wan.pcap: missing in B, A has 2 frames"
    );
    assert!(compare(&a, &a, 10).unwrap().equal);
    assert!(compare(a.join("lan.pcap"), b.join("lan.pcap"), 10).unwrap().equal);
    let error = compare(&a, b.join("lan.pcap"), 10).unwrap_err();
    assert_eq!(error.to_string(), format!("{}: a directory and a file cannot be compared", a.display()));
    for missing in [a.join("none.pcap"), directory.path().join("none")] {
        let Err(CompareError::Path(path, error)) = compare(&a, &missing, 10) else {
            panic!("compared");
        };
        assert_eq!((path, error.kind()), (missing, io::ErrorKind::NotFound));
    }
}

/// The definition, tried on every flow without hashes or sorting.
fn equal_by_definition(a: &[&str], b: &[&str]) -> bool {
    let in_flow = |packets: &[&str], flow: &str| -> Vec<String> {
        packets.iter().filter(|packet| packet.starts_with(flow)).map(|p| (*p).to_owned()).collect()
    };
    ["udp 10.0.0.1:1", "tcp", "udp 10.0.0.2"].into_iter().all(|flow| in_flow(a, flow) == in_flow(b, flow))
}

fn packets() -> impl Strategy<Value = Vec<&'static str>> {
    proptest::collection::vec(proptest::sample::select(vec![X1, X2, X3, Y1, BACK]), 0..6)
}

proptest! {
    #[test]
    fn equal_is_what_the_definition_says(a in packets(), swaps in packets(), shuffle: bool) {
        let b = if shuffle {
            let mut b = a.clone();
            if b.len() > 1 {
                let (i, j) = (swaps.len() % b.len(), a.len() / 2);
                b.swap(i, j);
            }
            b
        } else {
            swaps
        };
        let comparison = compared(&a, &b);
        prop_assert_eq!(comparison.equal, equal_by_definition(&a, &b));
        prop_assert_eq!(comparison.equal, comparison.differences.is_empty());

        // Missing frames are the difference of the multisets.
        let times = |packets: &[&str], packet: &str| packets.iter().filter(|p| **p == packet).count();
        let expected: usize =
            [X1, X2, X3, Y1, BACK].iter().map(|p| times(&a, p).abs_diff(times(&b, p))).sum();
        let found: u64 = comparison.differences.iter().map(|difference| match difference.kind {
            Kind::Missing { count, .. } => count,
            _ => 0,
        }).sum();
        prop_assert_eq!(found, expected as u64);
    }
}
