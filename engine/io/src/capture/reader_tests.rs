//! Captures made by hand from the specifications.

use super::*;

#[derive(Clone, Debug, PartialEq)]
struct Owned {
    timestamp_ns: u64,
    interface: u32,
    original_len: u32,
    link_type: u16,
    data: Vec<u8>,
}

fn read(bytes: &[u8]) -> (Vec<Owned>, Option<ReadError>) {
    let mut records = Vec::new();
    let mut reader = match Reader::new("x", bytes) {
        Ok(reader) => reader,
        Err(error) => return (records, Some(error)),
    };
    loop {
        match reader.next_record() {
            Ok(Some(record)) => records.push(Owned {
                timestamp_ns: record.timestamp_ns,
                interface: record.interface,
                original_len: record.original_len,
                link_type: record.link_type.0,
                data: record.data.to_vec(),
            }),
            Ok(None) => return (records, None),
            Err(error) => {
                assert!(matches!(reader.next_record(), Ok(None)), "an error ends the capture");
                return (records, Some(error));
            }
        }
    }
}

fn records(bytes: &[u8]) -> Vec<Owned> {
    let (records, error) = read(bytes);
    assert!(error.is_none(), "{}", error.unwrap());
    records
}

fn message(bytes: &[u8]) -> String {
    read(bytes).1.expect("an error").to_string()
}

const ORDERS: [ByteOrder; 2] = [ByteOrder::Little, ByteOrder::Big];

/// Numbers in a byte order, one after another.
struct Bytes(ByteOrder, Vec<u8>);

impl Bytes {
    fn u16(mut self, value: u16) -> Self {
        self.1.extend(match self.0 {
            ByteOrder::Little => value.to_le_bytes(),
            ByteOrder::Big => value.to_be_bytes(),
        });
        self
    }

    fn u32(mut self, value: u32) -> Self {
        self.1.extend(match self.0 {
            ByteOrder::Little => value.to_le_bytes(),
            ByteOrder::Big => value.to_be_bytes(),
        });
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.1.extend_from_slice(bytes);
        self
    }

    /// A block around what `body` appends.
    fn block(self, kind: u32, body: impl FnOnce(Self) -> Self) -> Self {
        let Self(_, body) = body(Self(self.0, Vec::new()));
        let padding = body.len().next_multiple_of(4) - body.len();
        let len = (12 + body.len() + padding) as u32;
        self.u32(kind).u32(len).bytes(&body).bytes(&[0; 3][..padding]).u32(len)
    }

    fn section(self) -> Self {
        self.block(0x0a0d_0d0a, |body| body.u32(0x1a2b_3c4d).u16(1).u16(0).u32(u32::MAX).u32(u32::MAX))
    }

    /// An interface with the options given as (code, value).
    fn interface(self, link_type: u16, snap_len: u32, options: &[(u16, &[u8])]) -> Self {
        self.block(1, |mut body| {
            body = body.u16(link_type).u16(0).u32(snap_len);
            for (code, value) in options {
                let padding = value.len().next_multiple_of(4) - value.len();
                body = body.u16(*code).u16(value.len() as u16).bytes(value);
                body = body.bytes(&[0; 3][..padding]);
            }
            body
        })
    }

    fn enhanced(self, interface: u32, ticks: u64, data: &[u8]) -> Self {
        let len = data.len() as u32;
        self.block(6, |body| body.u32(interface).u32((ticks >> 32) as u32).u32(ticks as u32).u32(len).u32(len + 1).bytes(data))
    }
}

fn pcap(order: ByteOrder, magic: u32, frames: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Bytes(order, Vec::new());
    bytes = bytes.u32(magic).u16(2).u16(4).u32(0).u32(0).u32(65535).u32(1);
    for (index, frame) in (1..).zip(frames) {
        let len = frame.len() as u32;
        bytes = bytes.u32(index).u32(5).u32(len).u32(len + 1).bytes(frame);
    }
    bytes.1
}

fn owned(timestamp_ns: u64, interface: u32, data: &[u8]) -> Owned {
    let original_len = data.len() as u32 + 1;
    Owned { timestamp_ns, interface, original_len, link_type: 1, data: data.to_vec() }
}

#[test]
fn pcap_in_both_byte_orders_and_both_resolutions() {
    for order in ORDERS {
        for (magic, tick) in [(0xa1b2_c3d4, 1_000), (0xa1b2_3c4d, 1)] {
            let bytes = pcap(order, magic, &[b"first", b"", b"third"]);
            let expected = [
                owned(1_000_000_000 + 5 * tick, 0, b"first"),
                owned(2_000_000_000 + 5 * tick, 0, b""),
                owned(3_000_000_000 + 5 * tick, 0, b"third"),
            ];
            assert_eq!(records(&bytes), expected, "{order:?} {magic:x}");
        }
    }
}

#[test]
fn pcapng_with_every_kind_of_block_in_both_byte_orders() {
    for order in ORDERS {
        let offset = match order {
            ByteOrder::Little => (-2_i64).to_le_bytes(),
            ByteOrder::Big => (-2_i64).to_be_bytes(),
        };
        let bytes = Bytes(order, Vec::new())
            .section()
            .interface(1, 6, &[])
            .interface(1, 0, &[(2, b"eth1"), (9, &[9]), (14, &offset), (0, b"")])
            .block(0x0bad, |body| body.bytes(b"unknown"))
            .enhanced(0, 3_000_001, b"micro")
            .enhanced(1, 3_000_000_001, b"nano")
            .block(3, |body| body.u32(8).bytes(b"simple"))
            .block(2, |body| body.u16(1).u16(9).u32(1).u32(0).u32(3).u32(4).bytes(b"old\0").u16(0).u16(0))
            .1;
        let simple = Owned { original_len: 8, ..owned(0, 0, b"simple") };
        let expected = [
            owned(3_000_001_000, 0, b"micro"),
            owned(1_000_000_001, 1, b"nano"),
            simple,
            owned((1 << 32) - 2_000_000_000, 1, b"old"),
        ];
        assert_eq!(records(&bytes), expected, "{order:?}");
    }
}

#[test]
fn sections_have_their_own_byte_orders_and_interfaces() {
    let little = Bytes(ByteOrder::Little, Vec::new()).section().interface(1, 0, &[]).interface(1, 0, &[]).enhanced(1, 1, b"a");
    let both = Bytes(ByteOrder::Big, little.1).section().interface(101, 0, &[]).enhanced(0, 2, b"b");
    let second = Owned { link_type: 101, ..owned(2_000, 2, b"b") };
    assert_eq!(records(&both.1), [owned(1_000, 1, b"a"), second]);
}

#[test]
fn timestamps_of_every_resolution() {
    // Ticks, if_tsresol, if_tsoffset in seconds, and the exact nanoseconds, rounded down.
    let cases: [(u64, u8, i64, u64); 12] = [
        (7, 0, 0, 7_000_000_000),
        (7, 3, 0, 7_000_000),
        (7, 6, 1, 1_000_007_000),
        (7, 9, 0, 7),
        (7_999, 12, 0, 7),
        (u64::MAX, 19, 0, 1_844_674_407),
        (u64::MAX, 127, 0, 0),
        (3, 0x81, 0, 1_500_000_000),
        (1 << 32, 0xa0, -1, 0),
        (u64::MAX, 0xff, 0, 0),
        (1, 0, -2, 0),
        (u64::MAX, 0, i64::MAX, u64::MAX),
    ];
    for order in ORDERS {
        for (ticks, resolution, offset, expected) in cases {
            let offset = match order {
                ByteOrder::Little => offset.to_le_bytes(),
                ByteOrder::Big => offset.to_be_bytes(),
            };
            let bytes =
                Bytes(order, Vec::new()).section().interface(1, 0, &[(9, &[resolution]), (14, &offset)]).enhanced(0, ticks, b"x");
            assert_eq!(records(&bytes.1)[0].timestamp_ns, expected, "{ticks} {resolution:#x}");
        }
    }
}

/// A pcapng capture and the offsets at which its blocks end.
fn pcapng_with_ends() -> (Vec<u8>, Vec<usize>) {
    let start = Bytes(ByteOrder::Big, Vec::new()).section();
    let mut ends = vec![start.1.len()];
    let mut bytes = start.interface(1, 0, &[]);
    ends.push(bytes.1.len());
    for data in [b"one".as_slice(), b"two", b""] {
        bytes = bytes.enhanced(0, 0, data);
        ends.push(bytes.1.len());
    }
    bytes = bytes.block(99, |body| body.bytes(&[0; 8]));
    ends.push(bytes.1.len());
    (bytes.1, ends)
}

#[test]
fn a_cut_capture_gives_its_whole_records_and_says_that_it_is_cut() {
    let pcap = pcap(ByteOrder::Little, 0xa1b2_c3d4, &[b"first", b"", b"third"]);
    let pcap_ends = vec![24, 24 + 16 + 5, 24 + 16 + 5 + 16, pcap.len()];
    let (pcapng, pcapng_ends) = pcapng_with_ends();
    for (bytes, ends) in [(pcap, pcap_ends), (pcapng, pcapng_ends)] {
        let all = records(&bytes);
        for len in 0..bytes.len() {
            let (records, error) = read(&bytes[..len]);
            let whole = ends.iter().filter(|end| **end <= len).count();
            assert_eq!(records, all[..records.len()], "cut at {len}");
            match error {
                None => assert!(ends.contains(&len), "cut at {len}"),
                Some(error) => {
                    assert!(error.is_truncated(), "cut at {len}: {error}");
                    assert!(!ends.contains(&len), "cut at {len}: {error}");
                    let start = if whole == 0 { 0 } else { ends[whole - 1] };
                    assert_eq!(error.offset, start as u64, "cut at {len}");
                }
            }
        }
    }
    let cut = message(&pcapng_with_ends().0[..100]);
    assert_eq!(cut, "x: byte 84: the capture is cut off: 16 of 36 bytes are there");
}

#[test]
fn malformed_captures_are_refused_with_offset_and_reason() {
    let section = || Bytes(ByteOrder::Little, Vec::new()).section();
    let described = || section().interface(1, 0, &[]);
    let head = |kind: u32, len: u32| described().u32(kind).u32(len).bytes(&[0; 64]).1;
    let broken_tail = |mut bytes: Vec<u8>| {
        *bytes.last_mut().unwrap() = 1;
        bytes
    };
    let cases = [
        (b"#!/bin/sh".to_vec(), "byte 0: neither pcap nor pcapng: it begins with 23 21 2f 62"),
        (vec![0x1f, 0x8b, 8, 0], "byte 0: the capture is compressed: gunzip it first"),
        (Vec::new(), "byte 0: the capture is cut off: 0 of 4 bytes are there"),
        (
            Bytes(ByteOrder::Big, Vec::new()).u32(0xa1b2_c3d4).u16(3).bytes(&[0; 18]).1,
            "byte 0: pcap version 3 is not known, only 2",
        ),
        (
            Bytes(ByteOrder::Big, Vec::new()).u32(0x0a0d_0d0a).u32(28).u32(7).bytes(&[0; 8]).1,
            "byte 0: 00 00 00 07 is not the byte-order magic of a section",
        ),
        (
            Bytes(ByteOrder::Big, Vec::new()).u32(0x0a0d_0d0a).u32(28).u32(0x1a2b_3c4d).u16(2).bytes(&[0; 8]).1,
            "byte 0: pcapng version 2 is not known, only 1",
        ),
        (head(6, 17), "byte 48: block length 17 is not a multiple of 4"),
        (head(6, 8), "byte 48: block length 8 is less than 12"),
        (head(6, 0), "byte 48: block length 0 is less than 12"),
        (head(6, 0xffff_fffc), "byte 48: block length 4294967292 is above the limit of 16777216"),
        (head(1, 12), "byte 48: block length 12 is repeated as 0 at its end"),
        (head(99, 12), "byte 48: block length 12 is repeated as 0 at its end"),
        (described().block(6, |body| body.u32(0)).1, "byte 48: block length 16 is less than the 32 of an enhanced packet block"),
        (section().enhanced(0, 0, b"x").1, "byte 28: packet of interface 0, but 0 are described"),
        (section().block(3, |body| body.u32(0)).1, "byte 28: packet of interface 0, but 0 are described"),
        (
            described().block(6, |body| body.bytes(&[0; 12]).u32(5).u32(5).bytes(b"four")).1,
            "byte 48: captured length 5 is more than the 4 bytes that its block has left",
        ),
        (
            described().block(3, |body| body.u32(0xffff_ffff).bytes(b"four")).1,
            "byte 48: packet length 4294967295 is more than the 4 bytes that its block has left",
        ),
        (broken_tail(described().enhanced(0, 0, b"x").1), "byte 48: block length 36 is repeated as 16777252 at its end"),
        (
            Bytes(ByteOrder::Little, pcap(ByteOrder::Little, 0xa1b2_c3d4, &[b"x"]))
                .bytes(&[0; 8])
                .u32(0xffff_ffff)
                .bytes(&[0; 80])
                .1,
            "byte 41: captured length 4294967295 is above the limit of 16777216",
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(message(&bytes), format!("x: {expected}"));
    }
}

#[test]
fn a_file_that_is_not_there_is_an_error_with_its_name() {
    let Err(error) = Reader::open("/nowhere/lan.pcap") else { panic!("opened") };
    assert!(error.to_string().starts_with("/nowhere/lan.pcap: byte 0: No such file"), "{error}");
}

#[path = "reader_oracle_tests.rs"]
mod oracles;
