//! Programs for packets of the plain shape: IPv4 without options, alone or behind an Ethernet header without tags. All that tests ask for
//! lies at one place there, so that a test is a load, a mask and a comparison; headers are not looked for.

use super::program::{Family, Program, Side, Step, Test, VERDICT};

/// What is left to the long way.
const UNKNOWN: u32 = u32::MAX;
/// The first bytes of an Ethernet header's content.
const ETHERNET: usize = 14;
/// An IPv4 header, and the ports behind it.
const LEAST: usize = 24;
/// Protocols that have ports: TCP, UDP, SCTP.
const WITH_PORTS: [u8; 3] = [6, 17, 132];

/// A program that knows where everything is.
#[derive(Debug, Clone)]
pub(super) struct Plain {
    // As in `Program`: backwards.
    checks: Box<[Check]>,
    start: u32,
    has_ethernet: bool,
}

/// Four bytes from an offset on, of which those of the mask are compared.
#[derive(Debug, Clone, Copy)]
struct Check {
    mask: u32,
    low: u32,
    /// Values above `low` that hold, too.
    span: u32,
    at: u16,
    yes: u32,
    no: u32,
}

/// Checks that are being made, for packets whose IPv4 header is at `ip`.
struct Maker {
    checks: Vec<Check>,
    ip: u16,
}

impl Plain {
    /// Of a program, for IPv4 packets behind an Ethernet header, or alone.
    pub fn new(program: &Program, has_ethernet: bool) -> Plain {
        let mut maker = Maker { checks: Vec::new(), ip: if has_ethernet { ETHERNET as u16 } else { 0 } };
        let mut starts: Vec<u32> = Vec::new();
        // A verdict stays one.
        let to = |starts: &[u32], at: u32| starts.get(at as usize).copied().unwrap_or(at);
        for Step { test, yes, no } in program.steps() {
            starts.push(maker.test(test, to(&starts, *yes), to(&starts, *no)));
        }
        let start = to(&starts, program.start());
        Plain { checks: maker.checks.into(), start, has_ethernet }
    }

    /// The index of the first packet that has this verdict. What takes the long way `judge` is asked.
    #[inline]
    pub fn position<'p>(
        &self,
        verdict: usize,
        packets: impl Iterator<Item = &'p [u8]>,
        judge: impl Fn(&[u8]) -> usize,
    ) -> Option<usize> {
        if self.has_ethernet {
            self.find::<{ ETHERNET + LEAST }>(verdict, is_plain_frame, packets, judge)
        } else {
            self.find::<LEAST>(verdict, |packet| packet[0] == 0x45, packets, judge)
        }
    }

    #[inline]
    fn find<'p, const N: usize>(
        &self,
        verdict: usize,
        is_plain: impl Fn(&[u8; N]) -> bool,
        mut packets: impl Iterator<Item = &'p [u8]>,
        judge: impl Fn(&[u8]) -> usize,
    ) -> Option<usize> {
        let verdict = VERDICT | verdict as u32;
        let first = self.checks.get(self.start as usize).copied();
        if let Some(first) = first.filter(|first| first.no & VERDICT != 0 && first.no != verdict && first.no != UNKNOWN) {
            // The first check lets most packets pass: it is all that they are asked.
            let at = first.place::<N>();
            return packets.position(|packet| match packet.first_chunk::<N>() {
                Some(start) if is_plain(start) => first.holds(start, at) && self.walk(start, first.yes, verdict, &judge, packet),
                _ => VERDICT | judge(packet) as u32 == verdict,
            });
        }
        packets.position(|packet| match packet.first_chunk::<N>() {
            Some(start) if is_plain(start) => self.walk(start, self.start, verdict, &judge, packet),
            _ => VERDICT | judge(packet) as u32 == verdict,
        })
    }

    /// Goes on from a check.
    fn walk<const N: usize>(
        &self,
        start: &[u8; N],
        mut at: u32,
        verdict: u32,
        judge: &impl Fn(&[u8]) -> usize,
        packet: &[u8],
    ) -> bool {
        while let Some(check) = self.checks.get(at as usize) {
            at = if check.holds(start, check.place::<N>()) { check.yes } else { check.no };
        }
        if at == UNKNOWN { VERDICT | judge(packet) as u32 == verdict } else { at == verdict }
    }
}

/// An EtherType and a first byte of a header.
#[inline]
fn is_plain_frame(start: &[u8; ETHERNET + LEAST]) -> bool {
    let [.., a, b, c, d] = *start.first_chunk::<16>().unwrap_or(&[0; 16]);
    u32::from_ne_bytes([a, b, c, d]) & u32::from_ne_bytes([0xff, 0xff, 0xff, 0]) == u32::from_ne_bytes([0x08, 0x00, 0x45, 0])
}

impl Check {
    /// Where its bytes are, within so many.
    #[inline]
    fn place<const N: usize>(&self) -> usize {
        usize::from(self.at).min(N - 4)
    }

    #[inline]
    fn holds<const N: usize>(&self, start: &[u8; N], at: usize) -> bool {
        let bytes = start.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
        (u32::from_be_bytes(bytes) & self.mask).wrapping_sub(self.low) <= self.span
    }
}

impl Maker {
    fn check(&mut self, at: u16, mask: u32, (low, span): (u32, u32), yes: u32, no: u32) -> u32 {
        if yes == no {
            return yes;
        }
        self.checks.push(Check { mask, low, span, at, yes, no });
        self.checks.len() as u32 - 1
    }

    /// Adds the checks of a test that leads to `yes` or `no`. Returns where they begin.
    fn test(&mut self, test: &Test, yes: u32, no: u32) -> u32 {
        let (ip, is_frame) = (self.ip, self.ip > 0);
        let when = |holds: bool| if holds { yes } else { no };
        match *test {
            Test::Mac(side, mac) if is_frame => self.sides(side, (6, 0), no, |maker, at, no| maker.mac(at, mac, yes, no)),
            Test::EtherType(ether_type) => when(ether_type == if is_frame { 0x0800 } else { 0 }),
            Test::Ip4 => yes,
            Test::Mac(..) | Test::Vlan(_) | Test::Ip6 | Test::Arp | Test::Net6 { .. } => no,
            Test::Protocol { ip4: false, .. } | Test::Net4 { family: Family::Arp, .. } => no,
            Test::Protocol { protocol, .. } => self.protocol(protocol, yes, no),
            Test::Net4 { side, net, mask, .. } => {
                self.sides(side, (ip + 12, ip + 16), no, |maker, at, no| maker.check(at, mask, (net, 0), yes, no))
            }
            Test::Port { protocol: Some(protocol), .. } if !WITH_PORTS.contains(&protocol) => no,
            Test::Port { first, last, .. } if first > last => no,
            Test::Port { side, protocol, first, last } => {
                let of = |maker: &mut Maker, protocol: u8, no: u32| maker.protocol(protocol, yes, no);
                let tail = match protocol {
                    Some(protocol) => of(self, protocol, no),
                    None => WITH_PORTS.iter().fold(no, |no, protocol| of(self, *protocol, no)),
                };
                // Of fragments the first has ports, if it is not cut off.
                let tail = self.check(ip + 4, 0x1fff, (0, 0), tail, no);
                let tail = self.check(ip, 0xffff, (LEAST as u32, 0xffff - LEAST as u32), tail, no);
                let (first, last) = (u32::from(first), u32::from(last));
                let range = |shift: u32| (0xffff << shift, (first << shift, (last - first) << shift));
                self.sides(side, (0, 1), no, |maker, side, no| {
                    let (mask, range) = range(if side == 0 { 16 } else { 0 });
                    maker.check(ip + 20, mask, range, tail, no)
                })
            }
            Test::Dscp(dscp) => self.check(ip, 0xfc << 16, (u32::from(dscp) << 18, 0), yes, no),
            Test::Len { .. } | Test::Compare(..) => UNKNOWN,
        }
    }

    /// What holds for the source, the destination, or either of them, which are at two places.
    fn sides(
        &mut self,
        side: Side,
        (source, destination): (u16, u16),
        no: u32,
        mut one: impl FnMut(&mut Maker, u16, u32) -> u32,
    ) -> u32 {
        match side {
            Side::Source => one(self, source, no),
            Side::Destination => one(self, destination, no),
            Side::Either => {
                let otherwise = one(self, destination, no);
                one(self, source, otherwise)
            }
        }
    }

    fn protocol(&mut self, protocol: u8, yes: u32, no: u32) -> u32 {
        self.check(self.ip + 8, 0xff << 16, (u32::from(protocol) << 16, 0), yes, no)
    }

    fn mac(&mut self, at: u16, [a, b, c, d, e, f]: [u8; 6], yes: u32, no: u32) -> u32 {
        let rest = self.check(at + 4, 0xffff_0000, (u32::from_be_bytes([e, f, 0, 0]), 0), yes, no);
        self.check(at, u32::MAX, (u32::from_be_bytes([a, b, c, d]), 0), rest, no)
    }
}

#[cfg(test)]
mod tests {
    use super::super::View;
    use super::super::program::Expression;
    use super::*;

    /// What these bytes are taken from, so that tests hold now and then.
    struct Dice(u64);

    impl Dice {
        fn of<T: Copy>(&mut self, all: &[T]) -> T {
            // Marsaglia's xorshift.
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            all[(self.0 >> 32) as usize % all.len()]
        }

        /// An IPv4 packet, which may be a fragment, have options, be cut off, or have a total length that is wrong.
        fn packet(&mut self) -> Vec<u8> {
            let first = self.of(&[0x45, 0x45, 0x45, 0x45, 0x46, 0x44, 0x65]);
            let mut packet = vec![first, self.of(&[0, 0xb8, 0xb9]), 0, self.of(&[40, 40, 24, 23, 20])];
            packet.extend([
                0,
                7,
                self.of(&[0, 0, 0x20, 0x40]),
                self.of(&[0, 0, 0, 5]),
                64,
                self.of(&[6, 17, 17, 132, 1, 47]),
                0,
                0,
            ]);
            for _ in 0..2 {
                packet.extend([self.of(&[10, 192]), 0, 0, self.of(&[1, 2])]);
            }
            for _ in 0..2 {
                packet.extend([0, self.of(&[52, 53, 54, 80])]);
            }
            packet.extend([0; 16]);
            let len = packet.len();
            packet.truncate(self.of(&[len, len, len, len, 24, 23, 19, 3]));
            packet
        }

        fn frame(&mut self) -> Vec<u8> {
            let mut frame = vec![2, 0, 0, 0, self.of(&[0, 1]), self.of(&[1, 2]), 2, 0, 0, 0, self.of(&[0, 1]), self.of(&[1, 2])];
            let tag: &[u8] = self.of(&[&[][..], &[], &[], &[0x81, 0, 0, 7], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8]]);
            frame.extend(tag);
            frame.extend(self.of(&[[8, 0], [8, 0], [8, 0], [8, 0], [8, 6], [0x86, 0xdd]]));
            frame.extend(self.packet());
            frame
        }
    }

    #[test]
    fn a_packet_of_the_plain_shape_is_judged_as_by_the_long_way() {
        let texts = [
            "udp src port 53",
            "udp port 53",
            "port 53 or port 80",
            "portrange 53-54 and not tcp",
            "dst portrange 0-65535",
            "tcp dst port 80 and net 10.0.0.0/8",
            "src net 10.0.0.0/31 or dst host 192.0.0.2",
            "not host 10.0.0.1",
            "icmp or sctp",
            "ip proto 47",
            "icmp6 or ip6 or arp",
            "arp host 10.0.0.1",
            "ip host 10.0.0.1 and not (src port 52 or dst port 80)",
            "ether host 02:00:00:00:01:02",
            "ether src 02:00:00:00:00:01 and udp",
            "ether dst 02:00:00:00:00:01 or vlan 7",
            "ether proto 0x0800 and ip",
            "ether proto 0x0806",
            "vlan",
            "dscp 46 or dscp 0",
            "udp and len > 40",
            "ip[9] = 17 and udp",
            "less 38 or udp port 54",
        ];
        let expressions: Vec<Expression> = texts.iter().map(|text| Expression::parse(text, true).unwrap()).collect();
        let mut programs: Vec<(String, Program)> =
            texts.iter().zip(&expressions).map(|(text, one)| (text.to_string(), Program::new(std::slice::from_ref(one)))).collect();
        programs.push(("all of them".into(), Program::new(&expressions)));
        let mut dice = Dice(0x5eed);
        let mut answers = vec![(0, 0, 0); programs.len()];
        for _ in 0..4000 {
            let (frame, packet) = (dice.frame(), dice.packet());
            for ((text, program), (quick, holds, plain)) in programs.iter().zip(&mut answers) {
                let (of_frames, of_packets) = (Plain::new(program, true), Plain::new(program, false));
                for (answer, expected, is_plain) in [
                    (answer(&of_frames, &frame), program.run(&View::of_frame(&frame)), is_plain(&frame, 14)),
                    (answer(&of_packets, &packet), program.run(&View::of_ip(&packet)), is_plain(&packet, 0)),
                ] {
                    assert!(answer.is_none_or(|answer| answer == expected), "{text}: {answer:?} {expected} {frame:x?} {packet:x?}");
                    assert!(is_plain || answer.is_none(), "{text} {frame:x?} {packet:x?}");
                    *quick += usize::from(answer.is_some());
                    *holds += usize::from(answer.is_some() && expected == 0);
                    *plain += usize::from(is_plain);
                }
            }
        }
        for ((text, _), (quick, holds, plain)) in programs.iter().zip(answers) {
            let asks_more = ["len", "[", "less"].iter().any(|word| text.contains(word));
            assert!(if asks_more { quick < plain } else { quick == plain }, "{text}: {quick} of {plain}");
            // Of IPv4 packets nothing of these holds.
            let never =
                ["icmp6", "arp host", "0x0806", "vlan"].iter().any(|word| text.starts_with(word) || text.ends_with("0x0806"));
            assert_eq!(
                holds == 0,
                never || ["ip[9]", "udp and len", "less"].iter().any(|start| text.starts_with(start)),
                "{text}: {holds} of {quick}"
            );
        }
    }

    /// What a program says without the long way.
    fn answer(plain: &Plain, packet: &[u8]) -> Option<usize> {
        let is = |verdict: &usize| plain.position(*verdict, std::iter::once(packet), |_| usize::MAX).is_some();
        (0..100).find(is)
    }

    fn is_plain(packet: &[u8], ip: usize) -> bool {
        let of = |at: usize| packet.get(at).copied().unwrap_or(0);
        packet.len() >= ip + 24 && (ip == 0 || (of(12), of(13)) == (8, 0)) && of(ip) == 0x45
    }
}
