//! The walk over IPv6 extension headers against `etherparse`.

mod support;

use etherparse::{IpNumber, Ipv6ExtensionSlice, Ipv6ExtensionsSlice, Ipv6FragmentHeaderSlice, Ipv6Slice};
use proptest::collection::vec;
use proptest::prelude::*;
use support::damaged;
use swath_api::wire::{Fragment, Header, Ipv6, MAX_EXTENSION_BYTES, MAX_EXTENSION_HEADERS, Upper, WireError};

/// One extension header that names `next`, in the least size of its kind and `more` units.
fn extension(kind: u8, more: u8, next: u8, data: &[u8]) -> Vec<u8> {
    let (len, size) = match kind {
        44 => (0, 8),
        51 => (1 + more, (usize::from(more) + 3) * 4),
        _ => (more, (usize::from(more) + 1) * 8),
    };
    let mut bytes: Vec<u8> = [next, len].into_iter().chain(data.iter().copied().cycle()).take(size).collect();
    if kind == 44 {
        // Mostly a first fragment, or atomic: the chain goes on behind those alone.
        bytes[2..4].copy_from_slice(if data[0] < 200 { &[0, 1] } else { &data[..2] });
        bytes[3] &= if data[1] < 128 { 0xf9 } else { 0xf8 };
    }
    bytes
}

/// A whole packet with 0 to 10 extension headers.
fn packets() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![2 => Just(43_u8), 4 => Just(60), 1 => Just(44), 2 => Just(51), 1 => Just(0)];
    let more = prop_oneof![20 => 0..4_u8, 1 => any::<u8>().prop_map(|more| more.min(250))];
    let headers = vec((kind, more, any::<[u8; 9]>()), 0..11);
    let upper = prop_oneof![Just(6_u8), Just(17), Just(58), Just(59), Just(50), any::<u8>()];
    (headers, any::<bool>(), upper, vec(any::<u8>(), 0..40)).prop_map(|(mut headers, hop_by_hop, upper, payload)| {
        if let (true, Some(first)) = (hop_by_hop, headers.first_mut()) {
            first.0 = 0;
        }
        let kinds: Vec<u8> = headers.iter().map(|header| header.0).chain([upper]).collect();
        let mut bytes = Ipv6::default().as_array().to_vec();
        bytes[6] = kinds[0];
        for ((kind, more, data), next) in headers.iter().zip(&kinds[1..]) {
            bytes.extend(extension(*kind, *more, *next, data));
        }
        bytes.extend(payload);
        let payload_len = (bytes.len() - 40) as u16;
        bytes[4..6].copy_from_slice(&payload_len.to_be_bytes());
        bytes
    })
}

fn upper(bytes: &[u8]) -> Result<Upper, WireError> {
    let (ip, rest) = Ipv6::parse(bytes)?;
    ip.upper(rest)
}

fn compare(bytes: &[u8]) {
    let Ok((ip, rest)) = Ipv6::parse(bytes) else {
        assert!(Ipv6Slice::from_slice(bytes).is_err());
        return;
    };
    let rest = ip.payload(rest);
    // Not by `Ipv6Slice`: it takes a payload length of 0 for "all that is there".
    let theirs = Ipv6ExtensionsSlice::from_slice(IpNumber(ip.next_header().0), rest);
    match (upper(bytes), theirs) {
        (Ok(Upper { offset, fragment: Some(fragment), .. }), _) if fragment.offset != 0 => {
            // etherparse reads on into the data of a later fragment; only its header can be compared.
            compare_fragment(fragment, &bytes[offset - 8..]);
        }
        (Ok(upper), Ok((headers, protocol, payload))) => {
            assert_eq!(upper.protocol.0, protocol.0);
            assert_eq!(upper.offset, packet_len(bytes, ip) - payload.len());
            let fragmented = upper.fragment.is_some_and(|fragment| !fragment.is_atomic());
            assert_eq!(fragmented, headers.is_fragmenting_payload());
            let theirs: Vec<_> = fragments(&headers).collect();
            assert_eq!(upper.fragment.is_some(), !theirs.is_empty());
            for (ours, theirs) in upper.fragment.into_iter().zip(theirs) {
                compare_fragment(ours, theirs.slice());
            }
        }
        // The bounds are ours alone: etherparse has none, and lets fragment headers repeat.
        (Err(WireError::TooManyHeaders { .. }), Ok((headers, ..))) => {
            assert!(headers.into_iter().count() > MAX_EXTENSION_HEADERS);
        }
        (Err(WireError::ChainTooLong { .. }), Ok((headers, ..))) => {
            assert!(headers.slice().len() > MAX_EXTENSION_BYTES);
        }
        (Err(WireError::RepeatedFragment), Ok((headers, ..))) => {
            assert!(fragments(&headers).count() > 1);
        }
        (Err(_), Err(_)) => {}
        (ours, theirs) => panic!("{ours:?} is not {theirs:?}"),
    }
}

/// The packet's length by its own header.
fn packet_len(bytes: &[u8], ip: &Ipv6) -> usize {
    bytes.len().min(40 + usize::from(ip.payload_len()))
}

fn fragments<'a>(headers: &Ipv6ExtensionsSlice<'a>) -> impl Iterator<Item = Ipv6FragmentHeaderSlice<'a>> {
    headers.clone().into_iter().filter_map(|header| match header {
        Ipv6ExtensionSlice::Fragment(fragment) => Some(fragment),
        _ => None,
    })
}

fn compare_fragment(ours: Fragment, header: &[u8]) {
    let theirs = Ipv6FragmentHeaderSlice::from_slice(header).unwrap();
    let offset = theirs.fragment_offset().byte_offset();
    let expected = Fragment { offset, more: theirs.more_fragments(), id: theirs.identification() };
    assert_eq!(ours, expected);
    assert_eq!(ours.is_atomic(), !theirs.is_fragmenting_payload());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn chains(bytes in packets()) {
        compare(&bytes);
    }

    #[test]
    fn damaged_chains(bytes in damaged(packets())) {
        compare(&bytes);
    }

    #[test]
    fn any_bytes_as_a_chain(next in 0..64_u8, payload in vec(any::<u8>(), 0..80)) {
        let mut ip = Ipv6::default();
        ip.set_next_header(next.into());
        ip.set_payload_len(payload.len() as u16);
        compare(&[&ip.as_array()[..], &payload].concat());
    }
}
