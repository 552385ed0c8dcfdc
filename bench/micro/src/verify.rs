//! What should have left, by an independent implementation (etherparse), in the order in which it came.

use std::collections::HashMap;

use etherparse::{Ethernet2Header, Ipv4Header, UdpHeader};

use crate::cases::{Case, NEXT_HOP_MAC, OUT_MAC, Traffic};

/// Compares what left in one round of the traffic with what should have.
pub fn check(case: &Case, left: &[Vec<u8>]) -> Result<(), String> {
    let count = (case.vectors() * swath_api::VECTOR) as u64;
    let left_as = |number| match case.traffic {
        Traffic::CrossConnect => Some(case.packet(number)),
        _ => forwarded(&case.packet(number)),
    };
    let expected: Vec<Vec<u8>> = (0..count).filter_map(left_as).collect();
    if expected.len() != left.len() {
        return Err(format!("{} packets left, {} should have", left.len(), expected.len()));
    }
    if let Traffic::Branches(_) = case.traffic {
        // Branches are visited one after the other, so the order of packets on different ones is theirs.
        let sorted = |mut packets: Vec<Vec<u8>>| {
            packets.sort_unstable();
            packets
        };
        let is_same = sorted(expected) == sorted(left.to_vec());
        return if is_same { Ok(()) } else { Err("what left is not what should have".into()) };
    }
    let expected: Vec<Vec<u8>> = match case.traffic {
        Traffic::Translated(sessions) | Traffic::Created(sessions) => translated(&expected, left, sessions)?,
        _ => expected,
    };
    match expected.iter().zip(left).position(|(expected, left)| expected != left) {
        Some(at) => Err(format!("packet {at} should be {:02x?} and is {:02x?}", expected[at], left[at])),
        None => Ok(()),
    }
}

/// The packets with the source that each has got, which is of the pool, the same for all packets of a session, and of no other's.
fn translated(expected: &[Vec<u8>], left: &[Vec<u8>], sessions: u32) -> Result<Vec<Vec<u8>>, String> {
    let (mut outside_of, mut inside_of) = (HashMap::new(), HashMap::new());
    let one = |(expected, left): (&Vec<u8>, &Vec<u8>)| {
        let source = |frame: &[u8]| -> Option<[u8; 6]> { [frame.get(26..30)?, frame.get(34..36)?].concat().try_into().ok() };
        let (inside, outside) = (source(expected).ok_or("a packet is cut off")?, source(left).ok_or("a packet is cut off")?);
        let is_known =
            *outside_of.entry(inside).or_insert(outside) == outside && *inside_of.entry(outside).or_insert(inside) == inside;
        if !is_known || outside[..3] != [203, 0, 113] || outside[3] >= 64 {
            return Err(format!("{inside:?} became {outside:?}"));
        }
        let mut ip = Ipv4Header::from_slice(&expected[14..]).map_err(|error| error.to_string())?.0;
        ip.source.copy_from_slice(&outside[..4]);
        ip.header_checksum = ip.calc_header_checksum();
        let (mut udp, payload) = UdpHeader::from_slice(&expected[34..]).map_err(|error| error.to_string())?;
        udp.source_port = u16::from_be_bytes([outside[4], outside[5]]);
        udp.checksum = udp.calc_checksum_ipv4(&ip, payload).map_err(|error| error.to_string())?;
        Ok([&expected[..14], &ip.to_bytes(), &udp.to_bytes(), payload].concat())
    };
    let expected = expected.iter().zip(left).map(one).collect::<Result<_, String>>()?;
    if outside_of.len() != sessions as usize {
        return Err(format!("there were {} sessions, and should have been {sessions}", outside_of.len()));
    }
    Ok(expected)
}

/// The packet as a router sends it on, or `None` if it does not.
fn forwarded(frame: &[u8]) -> Option<Vec<u8>> {
    let (ethernet, rest) = Ethernet2Header::from_slice(frame).ok()?;
    if ethernet.ether_type != etherparse::EtherType::IPV4 {
        return None;
    }
    let (mut ip, payload) = Ipv4Header::from_slice(rest).ok()?;
    if ip.time_to_live <= 1 {
        return None;
    }
    ip.time_to_live -= 1;
    ip.header_checksum = ip.calc_header_checksum();
    let ethernet = Ethernet2Header { destination: NEXT_HOP_MAC, source: OUT_MAC, ..ethernet };
    Some([&ethernet.to_bytes()[..], &ip.to_bytes(), payload].concat())
}
