//! The reader and the writer against the crates `pcap-file` and `pcap-parser`.

use std::borrow::Cow;
use std::time::Duration;

use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::packet::PacketBlock;
use pcap_file::pcapng::blocks::simple_packet::SimplePacketBlock;
use pcap_file::pcapng::{PcapNgBlock, PcapNgWriter};
use pcap_file::{DataLink, Endianness};
use proptest::prelude::*;

use super::*;

#[test]
fn captures_of_pcap_file_are_read_back() {
    for endianness in [Endianness::Little, Endianness::Big] {
        let mut writer = PcapNgWriter::with_endianness(Vec::new(), endianness).unwrap();
        for (is_binary, resolution, offset) in [(false, 9, 0), (true, 10, -5), (false, 6, 7)] {
            let resolution = InterfaceTsResolution::new(is_binary, resolution).unwrap();
            let interface = InterfaceDescriptionBlock {
                linktype: DataLink::ETHERNET,
                snaplen: 0,
                options: vec![InterfaceDescriptionOption::IfTsResol(resolution), InterfaceDescriptionOption::IfTsOffset(offset)],
            };
            writer.write_pcapng_block(interface).unwrap();
        }
        for (interface, timestamp_ns) in [(0, 1_700_000_000_123_456_789), (1, 2_500_000_000), (2, 9_000_001_000)] {
            let packet = EnhancedPacketBlock {
                interface_id: interface,
                timestamp: Duration::from_nanos(timestamp_ns),
                original_len: 6,
                data: Cow::Borrowed(b"hello"),
                options: vec![],
            };
            writer.write_pcapng_block(packet).unwrap();
        }
        let old = PacketBlock {
            interface_id: 2,
            drop_count: 3,
            timestamp: Duration::from_micros(8_000_000),
            original_len: 5,
            data: Cow::Borrowed(b"wxyz"),
            options: vec![],
        };
        writer.write_block(&old.into_block()).unwrap();
        let simple = SimplePacketBlock { original_len: 3, data: Cow::Borrowed(b"abc") };
        writer.write_pcapng_block(simple).unwrap();
        let expected = [
            owned(1_700_000_000_123_456_789, 0, b"hello"),
            owned(2_500_000_000, 1, b"hello"),
            owned(9_000_001_000, 2, b"hello"),
            owned(8_000_000_000, 2, b"wxyz"),
            Owned { original_len: 3, ..owned(0, 0, b"abc") },
        ];
        assert_eq!(records(&writer.into_inner()), expected);
    }
}

fn frames() -> impl Strategy<Value = Vec<(u32, u32, Vec<u8>)>> {
    let frame = proptest::collection::vec(any::<u8>(), 0..80);
    proptest::collection::vec((any::<u32>(), 0_u32..1_000_000_000, frame), 0..6)
}

proptest! {
    #[test]
    fn our_captures_are_read_by_others_and_by_us(frames in frames()) {
        let mut writer = crate::capture::Writer::new(Vec::new()).unwrap();
        let nanoseconds = |s: u32, ns: u32| u64::from(s) * 1_000_000_000 + u64::from(ns);
        for (s, ns, frame) in &frames {
            writer.write(nanoseconds(*s, *ns), frame).unwrap();
        }
        let bytes = writer.finish().unwrap();

        let (mut rest, header) = pcap_parser::parse_pcap_header(&bytes).unwrap();
        prop_assert!(header.is_nanosecond_precision() && !header.is_bigendian());
        prop_assert_eq!((header.version_major, header.version_minor, header.network.0), (2, 4, 1));
        for (s, ns, frame) in &frames {
            let (next, record) = pcap_parser::parse_pcap_frame(rest).unwrap();
            prop_assert_eq!((record.ts_sec, record.ts_usec, record.data), (*s, *ns, frame.as_slice()));
            prop_assert_eq!(record.origlen as usize, frame.len());
            rest = next;
        }
        prop_assert!(rest.is_empty());

        let mut theirs = pcap_file::pcap::PcapReader::new(bytes.as_slice()).unwrap();
        let mut ours = Reader::new("x", bytes.as_slice()).unwrap();
        for (s, ns, frame) in &frames {
            let packet = theirs.next_packet().unwrap().unwrap();
            prop_assert_eq!(packet.timestamp(), Duration::new(u64::from(*s), *ns));
            prop_assert_eq!(packet.data(), frame.as_slice());
            let record = ours.next_record().unwrap().unwrap();
            prop_assert_eq!((record.timestamp_ns, record.data), (nanoseconds(*s, *ns), frame.as_slice()));
        }
        prop_assert!(ours.next_record().unwrap().is_none());
    }

    #[test]
    fn mutated_captures_never_panic_and_never_grow(
        is_pcapng: bool,
        changes in proptest::collection::vec((0_usize..200, any::<u8>()), 1..6),
        len in 0_usize..250,
    ) {
        let mut bytes = match is_pcapng {
            true => pcapng_with_ends().0,
            false => pcap(ByteOrder::Big, 0xa1b2_3c4d, &[b"first", b"", b"third"]),
        };
        for (index, value) in changes {
            let index = index % bytes.len();
            bytes[index] = value;
        }
        bytes.truncate(len);
        let (records, error) = read(&bytes);
        let data: usize = records.iter().map(|record| record.data.len()).sum();
        prop_assert!(data <= bytes.len());
        if let Some(error) = error {
            prop_assert!(error.offset <= bytes.len() as u64);
        }
    }

    #[test]
    fn pcap_parser_sees_the_same_packets_in_a_mutated_pcap(
        changes in proptest::collection::vec((16_usize..70, any::<u8>()), 0..4),
    ) {
        let mut bytes = pcap(ByteOrder::Little, 0xa1b2_3c4d, &[b"first", b"second", b"third"]);
        for (index, value) in changes {
            bytes[index] = value;
        }
        let (ours, _) = read(&bytes);
        let mut theirs = Vec::new();
        let (mut rest, _) = pcap_parser::parse_pcap_header(&bytes).unwrap();
        while let Ok((next, record)) = pcap_parser::parse_pcap_frame(rest) {
            theirs.push(record.data.to_vec());
            rest = next;
        }
        prop_assert_eq!(ours.into_iter().map(|record| record.data).collect::<Vec<_>>(), theirs);
    }
}
