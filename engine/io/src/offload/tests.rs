//! What segments look like, by etherparse; that nothing forged does harm. The kernel's own segments are in `tests/offload.rs`.

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use proptest::prelude::*;

use super::*;

/// All packets of a frame.
fn packets(handed: &Handed<'_>) -> Result<Vec<Vec<u8>>, BadOffload> {
    let mut out = vec![0; 70_000];
    let written = match Work::new(handed)? {
        Work::Whole(checksum) => vec![handed.write(checksum, &mut out).map(|len| out[..len].to_vec())],
        Work::Segments(segments) => {
            let all = (0..segments.count()).map(|index| segments.write(handed, index, &mut out).map(|len| out[..len].to_vec()));
            all.collect()
        }
    };
    Ok(written.into_iter().map(|packet| packet.expect("there is room")).collect())
}

/// A TCP frame to be cut, and its payload. Its checksum is that of the pseudo header, as a kernel leaves it.
fn tcp(is_ipv6: bool, payload: usize, size: u16) -> (VnetHeader, Vec<u8>, Vec<u8>) {
    let payload: Vec<u8> = (0..payload).map(|index| (index * 7 + index / 256) as u8).collect();
    let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let network = if is_ipv6 { ethernet.ipv6([1; 16], [2; 16], 9) } else { ethernet.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9) };
    let tcp = network.tcp(1000, 80, u32::MAX - 5000, 77).psh().fin().ack(5);
    let mut frame = Vec::new();
    tcp.write(&mut frame, &payload).unwrap();
    let start = if is_ipv6 { 54 } else { 34 };
    let pseudo = Sum::new().add_bytes(&frame[start - if is_ipv6 { 32 } else { 8 }..start]);
    let pseudo = pseudo.add_u16(6).add_u32((frame.len() - start) as u32).fold();
    frame[start + 16..start + 18].copy_from_slice(&pseudo.to_be_bytes());
    // Congestion window reduced (CWR).
    frame[start + 13] |= 0x80;
    let header = VnetHeader {
        flags: VnetHeader::NEEDS_CSUM,
        gso_type: if is_ipv6 { VnetHeader::GSO_TCPV6 } else { VnetHeader::GSO_TCPV4 },
        gso_size: size,
        csum_start: start as u16,
        csum_offset: 16,
        ..VnetHeader::default()
    };
    (header, frame, payload)
}

#[test]
fn segments_as_etherparse_sees_them() {
    for (is_ipv6, len, size) in
        [(false, 10_000, 1448), (true, 10_000, 1428), (false, 1448, 1448), (false, 1449, 1448), (true, 60_000, 8000)]
    {
        let (header, frame, payload) = tcp(is_ipv6, len, size);
        let segments = packets(&Handed { header, frame: &frame, tag: None }).unwrap();
        assert_eq!(segments.len(), len.div_ceil(size.into()));
        let mut data = Vec::new();
        for (index, segment) in segments.iter().enumerate() {
            let packet = SlicedPacket::from_ethernet(segment).unwrap();
            let Some(TransportSlice::Tcp(tcp)) = packet.transport else { panic!("{packet:?}") };
            let checksum = match packet.net.unwrap() {
                NetSlice::Ipv4(ip) => {
                    assert_eq!(ip.header().identification(), index as u16);
                    assert_eq!(ip.header().header_checksum(), ip.header().to_header().calc_header_checksum());
                    tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination()).unwrap()
                }
                NetSlice::Ipv6(ip) => tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination()).unwrap(),
                NetSlice::Arp(_) => panic!("{segment:?}"),
            };
            assert_eq!(tcp.checksum(), checksum);
            assert_eq!(tcp.sequence_number(), (u32::MAX - 5000).wrapping_add((index * usize::from(size)) as u32));
            let (is_first, is_last) = (index == 0, index + 1 == segments.len());
            assert_eq!((tcp.fin(), tcp.psh(), tcp.cwr(), tcp.ack()), (is_last, is_last, is_first, true));
            data.extend_from_slice(tcp.payload());
        }
        assert!(data == payload);
    }
}

#[test]
fn a_tag_is_put_back_in_front_of_the_ether_type() {
    let tag = [0x81, 0, 0, 7];
    let (header, frame, _) = tcp(false, 3000, 1000);
    let plain = packets(&Handed { header, frame: &frame, tag: None }).unwrap();
    let tagged = packets(&Handed { header, frame: &frame, tag: Some(tag) }).unwrap();
    let expected: Vec<Vec<u8>> = plain.iter().map(|packet| [&packet[..12], &tag, &packet[12..]].concat()).collect();
    assert_eq!(tagged, expected);
}

#[test]
fn a_checksum_is_completed_where_the_header_says() {
    let (mut header, frame, _) = tcp(true, 100, 0);
    header.gso_type = VnetHeader::GSO_NONE;
    for tag in [None, Some([0x88, 0xa8, 0, 1])] {
        let handed = Handed { header, frame: &frame, tag };
        let packet = packets(&handed).unwrap().remove(0);
        assert_eq!(packet.len(), handed.len());
        let sliced = SlicedPacket::from_ethernet(&packet).unwrap();
        let (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Tcp(tcp))) = (sliced.net, sliced.transport) else { panic!() };
        let expected = tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination()).unwrap();
        assert_eq!(tcp.checksum(), expected);
    }
}

#[test]
fn what_nobody_can_do_is_refused() {
    let (header, frame, _) = tcp(false, 3000, 1000);
    let bad = |change: &dyn Fn(&mut VnetHeader), frame: &[u8]| {
        let mut header = header;
        change(&mut header);
        assert_eq!(packets(&Handed { header, frame, tag: None }), Err(BadOffload), "{header:?}");
    };
    bad(&|header| header.gso_size = 0, &frame);
    bad(&|header| header.gso_type = VnetHeader::GSO_TCPV6, &frame);
    bad(&|header| header.gso_type = VnetHeader::GSO_UDP_L4, &frame);
    // Fragmentation of UDP (UFO), which is not asked for.
    bad(&|header| header.gso_type = 3, &frame);
    // A packet in a tunnel.
    bad(&|header| header.csum_start = 84, &frame);
    bad(&|header| header.csum_offset = 6, &frame);
    bad(&|header| header.csum_start = 5000, &frame);
    bad(&|header| (header.gso_type, header.csum_start) = (VnetHeader::GSO_NONE, 4), &frame);
    // Headers and no payload.
    bad(&|_| {}, &frame[..54]);
    // A fragment.
    let mut fragment = frame.clone();
    fragment[20] = 0x20;
    bad(&|_| {}, &fragment);
}

proptest! {
    #[test]
    fn nothing_forged_does_harm(
        seed in (any::<bool>(), 0usize..4000, 1u16..2000),
        header in any::<[u8; 10]>(),
        keep_header in any::<bool>(),
        changes in proptest::collection::vec((0usize..120, any::<u8>()), 0..6),
        cut in 0usize..5000,
        tag in any::<Option<[u8; 4]>>(),
        room in 0usize..2200,
    ) {
        let (right, mut frame, _) = tcp(seed.0, seed.1, seed.2);
        for (at, byte) in changes {
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
        }
        frame.truncate(cut);
        let header = if keep_header { right } else { VnetHeader::from_bytes(&header) };
        let handed = Handed { header, frame: &frame, tag };
        let mut out = vec![0; room];
        match Work::new(&handed) {
            Ok(Work::Whole(checksum)) => {
                if let Some(len) = handed.write(checksum, &mut out) {
                    prop_assert_eq!(len, handed.len());
                }
            }
            Ok(Work::Segments(segments)) => {
                prop_assert!(segments.count() >= 1);
                for index in [0, 1, segments.count() - 1, segments.count(), usize::MAX] {
                    let len = segments.write(&handed, index, &mut out);
                    prop_assert!(len.is_none_or(|len| len <= room && index < segments.count()));
                    // Another frame than the one that was looked at.
                    let other = Handed { frame: &frame[..frame.len() / 2], ..handed };
                    let _ = segments.write(&other, index, &mut out);
                }
            }
            Err(BadOffload) => {}
        }
    }
}
