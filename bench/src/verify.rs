//! What should have left, by an independent implementation (etherparse), in the order in which it came.

use etherparse::{Ethernet2Header, Ipv4Header};

use crate::cases::{Case, NEXT_HOP_MAC, OUT_MAC};

/// Compares what left in one round of the traffic with what should have.
pub fn check(case: &Case, left: &[Vec<u8>]) -> Result<(), String> {
    let count = (case.vectors() * swath_api::VECTOR) as u64;
    let expected: Vec<Vec<u8>> = (0..count).filter_map(|number| forwarded(&case.packet(number))).collect();
    if expected.len() != left.len() {
        return Err(format!("{} packets left, {} should have", left.len(), expected.len()));
    }
    match expected.iter().zip(left).position(|(expected, left)| expected != left) {
        Some(at) => Err(format!("packet {at} should be {:02x?} and is {:02x?}", expected[at], left[at])),
        None => Ok(()),
    }
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
