//! Stamps: what a generated packet says of itself, so that a sink can tell what became of the others.
//!
//! A stamp is the first 16 bytes of a UDP payload: magic:32 | interface:16 | flow:32 | sequence:48, in network order.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::ops::Range;

use serde::Serialize;
use swath_api::wire::checksum::{Sum, update_u16, update_udp};
use swath_api::wire::{EtherType, Header, IpProtocol, Ipv4, Ipv6, Udp};

use crate::flow_hash::network;

/// Bytes of a stamp.
pub(super) const STAMP: usize = 16;
/// "swth"
const MAGIC: [u8; 4] = [0x73, 0x77, 0x74, 0x68];
/// Gaps that are remembered of one flow. What came before the oldest of more can no longer be told apart.
const GAPS: usize = 64;

/// Who a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The interface that generated it.
    pub interface: u16,
    /// The flow, by its number there.
    pub flow: u32,
    /// Its number within the flow, from 0, in 48 bits.
    pub sequence: u64,
}

impl Stamp {
    #[inline]
    pub fn to_bytes(self) -> [u8; STAMP] {
        let mut bytes = [0; STAMP];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&self.interface.to_be_bytes());
        // The sequence first: the flow overwrites its upper 16 bits.
        bytes[8..].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[6..10].copy_from_slice(&self.flow.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; STAMP]) -> Option<Stamp> {
        let [m0, m1, m2, m3, i0, i1, f0, f1, f2, f3, sequence @ ..] = *bytes;
        let [s0, s1, s2, s3, s4, s5] = sequence;
        ([m0, m1, m2, m3] == MAGIC).then_some(Stamp {
            interface: u16::from_be_bytes([i0, i1]),
            flow: u32::from_be_bytes([f0, f1, f2, f3]),
            sequence: u64::from_be_bytes([0, 0, s0, s1, s2, s3, s4, s5]),
        })
    }

    /// The stamp of a frame.
    pub fn of(frame: &[u8]) -> Option<Stamp> {
        let udp = udp_at(frame)?;
        Stamp::from_bytes(frame.get(udp + size_of::<Udp>()..)?.first_chunk()?)
    }
}

/// Where the UDP header of a frame is, if a datagram is there as a whole and has room for a stamp.
pub(super) fn udp_at(frame: &[u8]) -> Option<usize> {
    let (ether_type, at) = network(frame)?;
    let packet = frame.get(at..)?;
    let (at, datagram) = match ether_type {
        EtherType::IPV4 => {
            let (ip, rest) = Ipv4::parse(packet).ok()?;
            let whole = ip.protocol() == IpProtocol::UDP && !ip.is_fragment();
            whole.then_some((at + ip.header_len(), ip.payload(rest)))?
        }
        EtherType::IPV6 => {
            let (ip, rest) = Ipv6::parse(packet).ok()?;
            let upper = ip.upper(rest).ok()?;
            let whole = upper.protocol == IpProtocol::UDP && upper.fragment.is_none_or(|fragment| fragment.is_atomic());
            let payload = ip.payload(rest).get(upper.offset.checked_sub(size_of::<Ipv6>())?..)?;
            whole.then_some((at + upper.offset, payload))?
        }
        _ => return None,
    };
    let (udp, rest) = Udp::parse(datagram).ok()?;
    (udp.payload(rest).len() >= STAMP).then_some(at)
}

/// A UDP checksum after 16 bytes of the payload that were zero became the stamp.
#[inline]
pub(super) fn stamped_checksum(check: u16, stamp: &[u8; STAMP]) -> u16 {
    update_udp(check, |check| update_u16(check, 0, Sum::new().add_bytes(stamp).fold()))
}

/// What the stamps of sent packets say.
#[derive(Debug, Default)]
pub(super) struct Check {
    flows: HashMap<(u16, u32), Flow>,
    report: Report,
}

/// What was found in all flows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Report {
    /// Flows seen.
    pub flows: u64,
    /// Packets that others of their flow came after, and that did not come. Those at the end of a flow nobody can miss.
    pub missing: u64,
    /// Packets that came again.
    pub duplicated: u64,
    /// Packets that another of their flow overtook.
    pub reordered: u64,
    /// Packets that came so late, after so many gaps, that they may be either; they count as missing still.
    pub late: u64,
    /// Packets without a stamp.
    pub unstamped: u64,
}

#[derive(Debug, Default)]
struct Flow {
    // The number behind the highest seen.
    next: u64,
    // What is missing below, in order.
    gaps: VecDeque<Range<u64>>,
    // Below it gaps are forgotten.
    known_from: u64,
}

impl Check {
    /// Looks at a packet.
    pub fn see(&mut self, frame: &[u8]) {
        let Some(Stamp { interface, flow, sequence }) = Stamp::of(frame) else {
            self.report.unstamped += 1;
            return;
        };
        let report = &mut self.report;
        let flow = self.flows.entry((interface, flow)).or_insert_with(|| {
            report.flows += 1;
            Flow::default()
        });
        flow.see(sequence, report);
    }

    /// What was found so far.
    pub fn report(&self) -> Report {
        self.report
    }
}

impl Flow {
    fn see(&mut self, sequence: u64, report: &mut Report) {
        if sequence >= self.next {
            if sequence > self.next {
                report.missing += sequence - self.next;
                self.gaps.push_back(self.next..sequence);
                self.forget();
            }
            self.next = sequence + 1;
            return;
        }
        let at = self.gaps.partition_point(|gap| gap.end <= sequence);
        match self.gaps.get(at).cloned() {
            Some(gap) if gap.contains(&sequence) => {
                report.reordered += 1;
                report.missing -= 1;
                self.gaps.remove(at);
                for part in [sequence + 1..gap.end, gap.start..sequence] {
                    if !part.is_empty() {
                        self.gaps.insert(at, part);
                    }
                }
                self.forget();
            }
            _ if sequence < self.known_from => report.late += 1,
            _ => report.duplicated += 1,
        }
    }

    fn forget(&mut self) {
        while self.gaps.len() > GAPS {
            self.known_from = self.gaps.pop_front().map_or(0, |gap| gap.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::TextPacket;

    fn check(sequences: &[u64]) -> Report {
        let mut report = Report::default();
        let mut flow = Flow::default();
        sequences.iter().for_each(|sequence| flow.see(*sequence, &mut report));
        report
    }

    #[test]
    fn what_became_of_a_flow() {
        let none = Report::default();
        assert_eq!(check(&[0, 1, 2, 3]), none);
        assert_eq!(check(&[0, 1, 3, 4, 7]), Report { missing: 3, ..none });
        assert_eq!(check(&[2]), Report { missing: 2, ..none });
        assert_eq!(check(&[0, 1, 1, 2, 0]), Report { duplicated: 2, ..none });
        assert_eq!(check(&[0, 2, 1, 3]), Report { reordered: 1, ..none });
        assert_eq!(check(&[3, 2, 1, 0]), Report { reordered: 3, ..none });
        assert_eq!(check(&[0, 5, 3, 3, 1]), Report { missing: 2, duplicated: 1, reordered: 2, ..none });
    }

    #[test]
    fn old_gaps_are_forgotten_and_said_to_be() {
        let even: Vec<u64> = (0..2 * 70).step_by(2).collect();
        // 69 gaps, of which those at 1, 3, 5, 7 and 9 are forgotten.
        assert_eq!(check(&even), Report { missing: 69, ..Report::default() });
        let late = check(&[&even[..], &[9, 11, 10]].concat());
        assert_eq!(late, Report { missing: 68, late: 1, reordered: 1, duplicated: 1, ..Report::default() });
    }

    #[test]
    fn a_stamp_is_found_wherever_udp_is() {
        let stamp = Stamp { interface: 0x0102, flow: 0x0304_0506, sequence: 0x0708_090a_0b0c };
        let bytes = stamp.to_bytes();
        assert_eq!(bytes, [0x73, 0x77, 0x74, 0x68, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for header in
            ["udp 10.0.0.1:1 > 10.0.0.2:2", "udp 10.0.0.1:1 > 10.0.0.2:2 vlan 5 pad 9", "udp [2001:db8::1]:1 > [2001:db8::2]:2"]
        {
            let packet = TextPacket::parse(&format!("{header} payload hex {hex}")).unwrap();
            assert_eq!(Stamp::of(&packet.frame()), Some(stamp), "{header}");
        }
        for text in [
            &format!("udp 10.0.0.1:1 > 10.0.0.2:2 payload hex {}", &hex[..30]),
            &format!("udp 10.0.0.1:1 > 10.0.0.2:2 mf payload hex {hex}"),
            &format!("tcp 10.0.0.1:1 > 10.0.0.2:2 payload hex {hex}"),
            "udp 10.0.0.1:1 > 10.0.0.2:2 len 200",
            "arp who-has 10.0.0.1 tell 10.0.0.2",
        ] {
            assert_eq!(Stamp::of(&TextPacket::parse(text).unwrap().frame()), None, "{text}");
        }
    }
}
