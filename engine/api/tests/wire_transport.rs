//! UDP and TCP views against `etherparse`: what is accepted, every field, every setter, the options.

mod support;

use etherparse::{TcpOptionElement, TcpOptionReadError, TcpSlice, UdpSlice};
use proptest::collection::vec;
use proptest::prelude::*;
use support::damaged;
use swath_api::wire::{Header, Ipv4, Tcp, TcpFlags, TcpOption, Udp};

fn udp(bytes: &[u8]) {
    let ours = Udp::parse(bytes);
    // etherparse takes a length of 0 for "all that is there", as a jumbogram would have it.
    let theirs = UdpSlice::from_slice(bytes).ok().filter(|udp| udp.length() != 0);
    assert_eq!(ours.is_ok(), theirs.is_some());
    if let (Ok((ours, rest)), Some(theirs)) = (ours, theirs) {
        assert_eq!(ours.src_port(), theirs.source_port());
        assert_eq!(ours.dst_port(), theirs.destination_port());
        assert_eq!(ours.datagram_len(), theirs.length());
        assert_eq!(ours.checksum(), theirs.checksum());
        assert_eq!(ours.payload(rest), theirs.payload());
        let mut copy = Udp::default();
        copy.set_src_port(ours.src_port());
        copy.set_dst_port(ours.dst_port());
        copy.set_datagram_len(ours.datagram_len());
        copy.set_checksum(ours.checksum());
        assert_eq!(copy.as_array(), &bytes[..8]);
    }
}

fn tcp(bytes: &[u8]) {
    let (ours, theirs) = (Tcp::parse(bytes), TcpSlice::from_slice(bytes));
    assert_eq!(ours.is_ok(), theirs.is_ok());
    let (Ok((ours, rest)), Ok(theirs)) = (ours, theirs) else {
        return;
    };
    let flags = ours.flags();
    assert_eq!(ours.src_port(), theirs.source_port());
    assert_eq!(ours.dst_port(), theirs.destination_port());
    assert_eq!(ours.seq(), theirs.sequence_number());
    assert_eq!(ours.ack(), theirs.acknowledgment_number());
    assert_eq!(ours.header_len(), theirs.header_slice().len());
    for (flag, theirs) in [
        (TcpFlags::FIN, theirs.fin()),
        (TcpFlags::SYN, theirs.syn()),
        (TcpFlags::RST, theirs.rst()),
        (TcpFlags::PSH, theirs.psh()),
        (TcpFlags::ACK, theirs.ack()),
        (TcpFlags::URG, theirs.urg()),
        (TcpFlags::ECE, theirs.ece()),
        (TcpFlags::CWR, theirs.cwr()),
    ] {
        assert_eq!(flags.contains(flag), theirs, "{flag}");
    }
    assert_eq!(ours.window(), theirs.window_size());
    assert_eq!(ours.checksum(), theirs.checksum());
    assert_eq!(ours.urgent(), theirs.urgent_pointer());
    assert_eq!(ours.option_bytes(rest), theirs.options());
    assert_eq!(ours.payload(rest), theirs.payload());
    tcp_options(ours, rest, theirs.options());

    let mut copy = Tcp::default();
    copy.set_src_port(ours.src_port());
    copy.set_dst_port(ours.dst_port());
    copy.set_seq(ours.seq());
    copy.set_ack(ours.ack());
    copy.set_header_len(ours.header_len());
    copy.set_flags(flags);
    copy.set_window(ours.window());
    copy.set_checksum(ours.checksum());
    copy.set_urgent(ours.urgent());
    // The reserved bits have no setter.
    let mut expected: [u8; 20] = bytes[..20].try_into().unwrap();
    expected[12] &= 0xf0;
    assert_eq!(copy.as_array(), &expected);
}

fn tcp_options(tcp: &Tcp, rest: &[u8], options: &[u8]) {
    let mut ours = tcp.options(rest);
    for theirs in etherparse::TcpOptionsIterator::from_slice(options) {
        let theirs = match theirs {
            Ok(TcpOptionElement::Noop) => continue,
            // etherparse ends at a kind that it does not know; the view yields it and goes on.
            Err(TcpOptionReadError::UnknownId(_)) => return,
            other => other,
        };
        let ours = ours.next().expect("an option");
        use TcpOptionElement as Element;
        match (ours, theirs) {
            (Ok(TcpOption::Mss(mss)), Ok(Element::MaximumSegmentSize(theirs))) => {
                assert_eq!(mss, theirs)
            }
            (Ok(TcpOption::WindowScale(shift)), Ok(Element::WindowScale(theirs))) => {
                assert_eq!(shift, theirs);
            }
            (Ok(TcpOption::SackPermitted), Ok(Element::SelectiveAcknowledgementPermitted)) => {}
            (Ok(TcpOption::Timestamps { value, echo }), Ok(Element::Timestamp(tsval, tsecr))) => {
                assert_eq!((value, echo), (tsval, tsecr));
            }
            (Ok(TcpOption::Sack(blocks)), Ok(Element::SelectiveAcknowledgement(first, others))) => {
                let theirs: Vec<u8> = [Some(first)]
                    .into_iter()
                    .chain(others)
                    .flatten()
                    .flat_map(|(left, right)| [left.to_be_bytes(), right.to_be_bytes()].concat())
                    .collect();
                assert_eq!(blocks, theirs);
            }
            (Err(_), Err(_)) => return,
            (ours, theirs) => panic!("{ours:?} is not {theirs:?} in {options:?}"),
        }
    }
    assert_eq!(ours.next(), None);
}

/// A TCP header with options that are mostly well-formed.
fn tcp_segments() -> impl Strategy<Value = Vec<u8>> {
    let option = prop_oneof![
        Just(vec![1]),
        Just(vec![4, 2]),
        any::<u8>().prop_map(|shift| vec![3, 3, shift]),
        any::<[u8; 2]>().prop_map(|mss| vec![2, 4, mss[0], mss[1]]),
        any::<[u8; 8]>().prop_map(|data| [&[8, 10][..], &data].concat()),
        (1..=4_usize, any::<[u8; 32]>()).prop_map(|(blocks, data)| [&[5, 2 + 8 * blocks as u8][..], &data[..8 * blocks]].concat()),
        vec(any::<u8>(), 0..4).prop_map(|data| [&[200, 2 + data.len() as u8][..], &data].concat()),
    ];
    (vec(option, 0..5), any::<[u8; 20]>(), vec(any::<u8>(), 0..30)).prop_map(|(options, header, payload)| {
        let mut options = options.concat();
        options.resize(options.len().next_multiple_of(4).min(40), 0);
        let mut bytes = [&header[..], &options, &payload].concat();
        bytes[12] = ((20 + options.len()) as u8 / 4) << 4 | bytes[12] & 0x0f;
        bytes
    })
}

fn udp_datagrams() -> impl Strategy<Value = Vec<u8>> {
    (vec(any::<u8>(), 8..60), 0..60_u16).prop_map(|(mut bytes, room)| {
        let length = (bytes.len() as u16).saturating_sub(room);
        bytes[4..6].copy_from_slice(&length.to_be_bytes());
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_as_any_header(bytes in vec(any::<u8>(), 0..90)) {
        udp(&bytes);
        tcp(&bytes);
    }

    #[test]
    fn nearly_udp(bytes in damaged(udp_datagrams())) {
        udp(&bytes);
    }

    #[test]
    fn nearly_tcp(bytes in damaged(tcp_segments())) {
        tcp(&bytes);
    }

    /// Views made without a check, over bytes that contradict them: nothing may panic.
    #[test]
    fn unchecked_views_are_total(
        header in any::<[u8; 40]>(),
        mut rest in vec(any::<u8>(), 0..80),
    ) {
        let pseudo = Ipv4::from_array(header.last_chunk().unwrap()).pseudo();
        let mut tcp = *Tcp::from_array(header.first_chunk().unwrap());
        let lengths = (tcp.option_bytes(&rest).len(), tcp.payload(&rest).len());
        prop_assert_eq!(lengths.0 + lengths.1, rest.len());
        prop_assert_eq!(tcp.option_bytes_mut(&mut rest).len(), lengths.0);
        prop_assert_eq!(tcp.payload_mut(&mut rest).len(), lengths.1);
        prop_assert!(tcp.options(&rest).count() <= 20);
        tcp.fill_checksum(pseudo, &rest);
        tcp.clamp_mss(&mut rest, 536);
        prop_assert!(tcp.checksum_ok(pseudo, &rest));

        let mut udp = *Udp::from_array(header.first_chunk().unwrap());
        prop_assert_eq!(udp.payload(&rest).len(), udp.payload_mut(&mut rest.clone()).len());
        udp.fill_checksum(pseudo, &rest);
        prop_assert!(udp.checksum_ok(pseudo, &rest));
    }

    /// Whatever the options, none above the limit is left and the checksum follows.
    #[test]
    fn clamped_mss(bytes in tcp_segments(), most in any::<u16>(), ip in any::<[u8; 20]>()) {
        let pseudo = Ipv4::from_array(&ip).pseudo();
        let mut bytes = bytes;
        let Ok((tcp, rest)) = Tcp::parse_mut(&mut bytes) else { return Ok(()) };
        tcp.fill_checksum(pseudo, rest);
        let above = |option: &TcpOption<'_>| matches!(option, TcpOption::Mss(mss) if *mss > most);
        let any_above = tcp.options(rest).flatten().any(|option| above(&option));
        prop_assert_eq!(tcp.clamp_mss(rest, most), any_above);
        prop_assert!(!tcp.options(rest).flatten().any(|option| above(&option)));
        prop_assert!(tcp.checksum_ok(pseudo, rest));
    }
}
