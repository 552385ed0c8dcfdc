//! Header views against `etherparse`: what is accepted, every field, and every setter.

mod support;

use etherparse::checksum::Sum16BitWords;
use etherparse::err::ipv4::SliceError;
use etherparse::{
    ArpPacketSlice, Ethernet2HeaderSlice, Icmpv4Slice, Icmpv6Slice, Ipv4Slice, Ipv6HeaderSlice, SingleVlanHeaderSlice,
};
use proptest::collection::vec;
use proptest::prelude::*;
use support::damaged;
use swath_api::wire::{Arp, Eth, EtherType, Header, Icmp, Icmpv6, IpProtocol, Ipv4, Ipv6, MacAddr, Vlan, VlanTag};

fn eth(bytes: &[u8]) {
    let (ours, theirs) = (Eth::parse(bytes), Ethernet2HeaderSlice::from_slice(bytes));
    assert_eq!(ours.is_ok(), theirs.is_ok());
    if let (Ok((ours, rest)), Ok(theirs)) = (ours, theirs) {
        assert_eq!(ours.dst().octets(), theirs.destination());
        assert_eq!(ours.src().octets(), theirs.source());
        assert_eq!(ours.ether_type().0, theirs.ether_type().0);
        assert_eq!(rest, &bytes[14..]);
        let mut copy = Eth::default();
        copy.set_dst(theirs.destination().into());
        copy.set_src(MacAddr::from_bits(ours.src().to_bits()));
        copy.set_ether_type(EtherType(theirs.ether_type().0));
        assert_eq!(copy.as_array(), &bytes[..14]);
    }
}

fn vlan(bytes: &[u8]) {
    let (ours, theirs) = (Vlan::parse(bytes), SingleVlanHeaderSlice::from_slice(bytes));
    assert_eq!(ours.is_ok(), theirs.is_ok());
    if let (Ok((ours, rest)), Ok(theirs)) = (ours, theirs) {
        assert_eq!(ours.pcp(), theirs.priority_code_point().value());
        assert_eq!(ours.dei(), theirs.drop_eligible_indicator());
        assert_eq!(ours.vid(), theirs.vlan_identifier().value());
        assert_eq!(ours.ether_type().0, theirs.ether_type().0);
        assert_eq!(rest, &bytes[4..]);
        let mut copy = Vlan::default();
        copy.set_pcp(ours.pcp());
        copy.set_dei(ours.dei());
        copy.set_vid(ours.vid());
        copy.set_ether_type(ours.ether_type());
        assert_eq!(copy.as_array(), &bytes[..4]);
        let framed = [&[0x88, 0xa8], bytes].concat();
        let (tag, _) = VlanTag::parse(&framed).unwrap();
        assert_eq!((tag.tpid(), tag.tci()), (EtherType::QINQ, ours.tci()));
    }
}

fn arp(bytes: &[u8]) {
    let ours = Arp::parse(bytes);
    // etherparse takes every address family; the view only the one that it has fields for.
    let theirs = ArpPacketSlice::from_slice(bytes).ok().filter(|arp| {
        let hardware = (arp.hw_addr_type().0, arp.hw_addr_size());
        let protocol = (arp.proto_addr_type().0, arp.proto_addr_size());
        hardware == (1, 6) && protocol == (0x0800, 4)
    });
    assert_eq!(ours.is_ok(), theirs.is_some());
    if let (Ok((ours, rest)), Some(theirs)) = (ours, theirs) {
        assert_eq!(ours.operation().0, theirs.operation().0);
        assert_eq!(ours.sender_mac().octets(), theirs.sender_hw_addr());
        assert_eq!(ours.sender_ip().octets(), theirs.sender_protocol_addr());
        assert_eq!(ours.target_mac().octets(), theirs.target_hw_addr());
        assert_eq!(ours.target_ip().octets(), theirs.target_protocol_addr());
        assert_eq!(rest, &bytes[28..]);
        let mut copy = Arp::default();
        copy.set_operation(ours.operation());
        copy.set_sender_mac(ours.sender_mac());
        copy.set_sender_ip(ours.sender_ip());
        copy.set_target_mac(ours.target_mac());
        copy.set_target_ip_bits(ours.target_ip_bits());
        assert_eq!(copy.as_array(), &bytes[..28]);
    }
}

fn ipv4(bytes: &[u8]) {
    let ours = Ipv4::parse(bytes);
    let theirs = Ipv4Slice::from_slice(bytes);
    // etherparse also reads an authentication header behind the IPv4 header, and may refuse that.
    let refused_ah = bytes.get(9) == Some(&51)
        && match &theirs {
            Err(SliceError::Exts(_)) => true,
            Err(SliceError::Len(error)) => error.layer == etherparse::err::Layer::IpAuthHeader,
            _ => false,
        };
    assert_eq!(ours.is_ok(), theirs.is_ok() || refused_ah);
    let (Ok((ours, rest)), Ok(theirs)) = (ours, theirs) else {
        return;
    };
    let header = theirs.header();
    assert_eq!(ours.version(), header.version());
    assert_eq!(ours.header_len(), header.slice().len());
    assert_eq!(ours.total_len(), header.total_len());
    assert_eq!(ours.dscp(), header.dcp().value());
    assert_eq!(ours.ecn(), header.ecn().value());
    assert_eq!(ours.id(), header.identification());
    assert_eq!(ours.dont_fragment(), header.dont_fragment());
    assert_eq!(ours.more_fragments(), header.more_fragments());
    assert_eq!(ours.fragment_offset(), header.fragments_offset().byte_offset());
    assert_eq!(ours.is_fragment(), header.is_fragmenting_payload());
    assert_eq!(ours.ttl(), header.ttl());
    assert_eq!(ours.protocol().0, header.protocol().0);
    assert_eq!(ours.checksum(), header.header_checksum());
    assert_eq!(ours.src(), header.source_addr());
    assert_eq!(ours.dst(), header.destination_addr());
    assert_eq!(ours.option_bytes(rest), header.options());
    if theirs.extensions().auth.is_none() {
        assert_eq!(ours.payload(rest), theirs.payload().payload);
    }
    // By the sum over the header (RFC 1071 §1), not by what a sender would write: 0 has two forms, and both are right.
    let sum = Sum16BitWords::new().add_slice(header.slice()).ones_complement();
    assert_eq!(ours.checksum_ok(rest), sum == 0);

    let mut copy = Ipv4::default();
    copy.set_header_len(ours.header_len());
    copy.set_dscp(ours.dscp());
    copy.set_ecn(ours.ecn());
    copy.set_total_len(ours.total_len());
    copy.set_id(ours.id());
    copy.set_fragment_offset(ours.fragment_offset());
    copy.set_more_fragments(ours.more_fragments());
    copy.set_dont_fragment(ours.dont_fragment());
    copy.set_ttl(ours.ttl());
    copy.set_protocol(ours.protocol());
    copy.set_src(ours.src());
    copy.set_dst_bits(ours.dst_bits());
    copy.fill_checksum(rest);
    assert!(copy.checksum_ok(rest));
    // The reserved flag has no setter: etherparse writes 0 there too.
    assert_eq!(copy.as_array(), &with_checksum(&theirs)[..20]);
}

/// The header that etherparse writes, with the checksum that it computes.
fn with_checksum(ip: &Ipv4Slice<'_>) -> Vec<u8> {
    let mut header = ip.header().to_header();
    header.header_checksum = header.calc_header_checksum();
    header.to_bytes().to_vec()
}

fn ipv6(bytes: &[u8]) {
    let ours = Ipv6::parse(bytes);
    // The header slice does not look at the payload length.
    let theirs = Ipv6HeaderSlice::from_slice(bytes).ok().filter(|ip| bytes.len() - 40 >= usize::from(ip.payload_length()));
    assert_eq!(ours.is_ok(), theirs.is_some());
    if let (Ok((ours, rest)), Some(theirs)) = (ours, theirs) {
        assert_eq!(ours.version(), theirs.version());
        assert_eq!(ours.traffic_class(), theirs.traffic_class());
        assert_eq!(ours.dscp(), theirs.dscp().value());
        assert_eq!(ours.ecn(), theirs.ecn().value());
        assert_eq!(ours.flow_label(), theirs.flow_label().value());
        assert_eq!(ours.payload_len(), theirs.payload_length());
        assert_eq!(ours.next_header().0, theirs.next_header().0);
        assert_eq!(ours.hop_limit(), theirs.hop_limit());
        assert_eq!(ours.src(), theirs.source_addr());
        assert_eq!(ours.dst(), theirs.destination_addr());
        assert_eq!(ours.payload(rest), &bytes[40..][..theirs.payload_length().into()]);

        let mut copy = Ipv6::default();
        copy.set_dscp(ours.dscp());
        copy.set_ecn(ours.ecn());
        copy.set_flow_label(ours.flow_label());
        copy.set_payload_len(ours.payload_len());
        copy.set_next_header(ours.next_header());
        copy.set_hop_limit(ours.hop_limit());
        copy.set_src(ours.src());
        copy.set_dst_bits(ours.dst_bits());
        assert_eq!(copy.as_array(), &bytes[..40]);
    }
}

fn icmp(bytes: &[u8]) {
    let ours = Icmp::parse(bytes);
    let theirs = Icmpv4Slice::from_slice(bytes);
    // etherparse wants timestamps to be exactly 20 bytes; the view is of the first eight.
    let odd_timestamp = matches!(bytes, [13 | 14, 0, ..]) && bytes.len() >= 8 && bytes.len() != 20;
    assert_eq!(ours.is_ok(), theirs.is_ok() || odd_timestamp);
    if let (Ok((ours, rest)), Ok(theirs)) = (ours, theirs) {
        let [a, b, c, d] = theirs.bytes5to8();
        assert_eq!(ours.icmp_type(), theirs.type_u8());
        assert_eq!(ours.code(), theirs.code_u8());
        assert_eq!(ours.checksum(), theirs.checksum());
        assert_eq!((ours.id(), ours.seq()), (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])));
        assert_eq!((ours.pointer(), ours.mtu()), (a, u16::from_be_bytes([c, d])));
        assert_eq!(ours.gateway().octets(), [a, b, c, d]);
        assert_eq!(rest, &bytes[8..]);
        let mut copy = Icmp::default();
        copy.set_icmp_type(ours.icmp_type());
        copy.set_code(ours.code());
        copy.set_checksum(ours.checksum());
        copy.set_id(ours.id());
        copy.set_seq(ours.seq());
        assert_eq!(copy.as_array(), &bytes[..8]);
    }
}

fn icmpv6(bytes: &[u8]) {
    let (ours, theirs) = (Icmpv6::parse(bytes), Icmpv6Slice::from_slice(bytes));
    assert_eq!(ours.is_ok(), theirs.is_ok());
    if let (Ok((ours, rest)), Ok(theirs)) = (ours, theirs) {
        let [a, b, c, d] = theirs.bytes5to8();
        assert_eq!(ours.icmp_type(), theirs.type_u8());
        assert_eq!(ours.code(), theirs.code_u8());
        assert_eq!(ours.checksum(), theirs.checksum());
        assert_eq!((ours.id(), ours.seq()), (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])));
        assert_eq!((ours.mtu(), ours.pointer()), (ours.data(), u32::from_be_bytes([a, b, c, d])));
        assert_eq!(rest, &bytes[8..]);
        let mut copy = Icmpv6::default();
        copy.set_icmp_type(ours.icmp_type());
        copy.set_code(ours.code());
        copy.set_checksum(ours.checksum());
        copy.set_id(ours.id());
        copy.set_seq(ours.seq());
        assert_eq!(copy.as_array(), &bytes[..8]);
    }
}

/// Random bytes that begin with `start`.
fn starting(start: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..100).prop_map(move |rest| [start, &rest].concat())
}

/// An IPv4 header of any length with any total length up to what is there.
fn ipv4_packets() -> impl Strategy<Value = Vec<u8>> {
    (5..=15_u8, vec(any::<u8>(), 60..120), 0..60_u8).prop_map(|(ihl, mut bytes, room)| {
        bytes[0] = 0x40 | ihl;
        let total = (bytes.len() as u16 - u16::from(room)).max(u16::from(ihl) * 4);
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        bytes
    })
}

fn ipv6_packets() -> impl Strategy<Value = Vec<u8>> {
    (vec(any::<u8>(), 40..100), 0..60_u16).prop_map(|(mut bytes, room)| {
        bytes[0] = 0x60 | bytes[0] & 0x0f;
        let payload = (bytes.len() as u16 - 40).saturating_sub(room);
        bytes[4..6].copy_from_slice(&payload.to_be_bytes());
        bytes
    })
}

/// A header whose other words sum to negative zero: the sender writes 0 (RFC 1071), and 0xffff verifies as well.
#[test]
fn both_forms_of_a_zero_checksum_are_right() {
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&[0x45, 0, 0, 20]);
    bytes[4..6].copy_from_slice(&(0xffff - 0x4500_u16 - 20).to_be_bytes());
    for (checksum, right) in [(0_u16, true), (0xffff, true), (1, false), (0xfffe, false)] {
        bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
        let (ip, rest) = Ipv4::parse(&bytes).unwrap();
        assert_eq!(ip.checksum_ok(rest), right, "{checksum:#06x}");
        ipv4(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_as_any_header(bytes in vec(any::<u8>(), 0..90)) {
        for header in [eth, vlan, arp, ipv4, ipv6, icmp, icmpv6] {
            header(&bytes);
        }
    }

    #[test]
    fn nearly_arp(bytes in damaged(starting(&[0, 1, 8, 0, 6, 4]))) {
        arp(&bytes);
    }

    #[test]
    fn nearly_ipv4(bytes in damaged(ipv4_packets())) {
        ipv4(&bytes);
    }

    #[test]
    fn nearly_ipv6(bytes in damaged(ipv6_packets())) {
        ipv6(&bytes);
    }

    #[test]
    fn nearly_icmp_timestamps(bytes in damaged(starting(&[13, 0]))) {
        icmp(&bytes);
    }

    /// Views made without a check, over bytes that contradict them: nothing may panic.
    #[test]
    fn unchecked_views_are_total(
        header in any::<[u8; 40]>(),
        mut rest in vec(any::<u8>(), 0..80),
    ) {
        let mut ip = *Ipv4::from_array(header.first_chunk().unwrap());
        let lengths = (ip.option_bytes(&rest).len(), ip.payload(&rest).len());
        prop_assert!(lengths.0 + lengths.1 <= rest.len());
        prop_assert_eq!(ip.option_bytes_mut(&mut rest).len(), lengths.0);
        prop_assert_eq!(ip.payload_mut(&mut rest).len(), lengths.1);
        prop_assert!(ip.options(&rest).count() <= 20);
        ip.decrement_ttl();
        ip.fill_checksum(&rest);
        prop_assert!(ip.checksum_ok(&rest));

        let ip = Ipv6::from_array(&header);
        prop_assert_eq!(ip.payload(&rest).len(), ip.payload_mut(&mut rest.clone()).len());
        if let Ok(upper) = ip.upper(&rest) {
            prop_assert!(upper.offset <= 40 + rest.len());
        }
        let mut icmp = *Icmpv6::from_array(header.first_chunk().unwrap());
        icmp.fill_checksum(ip.pseudo(IpProtocol::ICMPV6), &rest);
        prop_assert!(icmp.checksum_ok(ip.pseudo(IpProtocol::ICMPV6), &rest));
    }
}
