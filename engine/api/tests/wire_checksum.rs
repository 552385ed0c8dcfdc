//! Checksums against a naive sum, against `etherparse`, and updates against computing again.

use etherparse::{Icmpv4Type, Icmpv6Type, IpNumber, PacketBuilder, PacketBuilderStep, UdpHeader};
use proptest::collection::vec;
use proptest::prelude::*;
use swath_api::wire::checksum::{Pseudo, Sum, after_ttl_decrement, checksum, update_u16, update_u32, update_udp, verify};
use swath_api::wire::{Eth, Header, Icmp, Icmpv6, IpProtocol, Ipv4, Ipv6, Tcp, Udp};

/// RFC 1071 §1 to the letter: words one by one, every carry at once.
fn naive(bytes: &[u8]) -> u16 {
    let sum = bytes.chunks(2).fold(0_u16, |sum, word| {
        let word = u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)]);
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    });
    !sum
}

/// Bytes with many of the values where carries are decided.
fn bytes(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => any::<u8>(), 1 => Just(0xff), 1 => Just(0)];
    prop_oneof![2 => vec(byte, len.clone()), 1 => vec(Just(0xff), len)]
}

#[test]
fn every_length() {
    for fill in [|_| 0xff, |at| (at as u8).wrapping_mul(151), |at| if at % 2 == 0 { 0 } else { 0xff }] {
        let bytes: Vec<u8> = (0..300).map(fill).collect();
        for len in 0..bytes.len() {
            // Also from every alignment.
            let from = len % 9;
            let part = &bytes[from.min(len)..len];
            assert_eq!(checksum(part), naive(part), "{len}");
        }
    }
}

#[test]
fn a_full_packet_of_ones() {
    assert_eq!(checksum(&[0xff; 65535]), naive(&[0xff; 65535]));
}

#[test]
fn every_change_of_a_word() {
    const OTHER: u16 = 0x1234;
    let computed = |word: u16| naive(&(u32::from(OTHER) << 16 | u32::from(word)).to_be_bytes());
    for old in (0..=0xffff_u16).step_by(4099).chain([1, 0xfffe, 0xffff, !OTHER, OTHER]) {
        for new in 0..=0xffff {
            assert_eq!(update_u16(computed(old), old, new), computed(new), "{old:#x} to {new:#x}");
        }
    }
}

#[test]
fn every_ttl() {
    for ttl in 1..=255_u8 {
        for protocol in 0..=255 {
            let mut ip = Ipv4::default();
            ip.set_ttl(ttl);
            ip.set_protocol(IpProtocol(protocol));
            ip.set_checksum(naive(ip.as_array()));
            let before = ip.checksum();
            ip.decrement_ttl();
            let mut again = ip;
            again.set_checksum(0);
            assert_eq!(ip.ttl(), ttl - 1);
            assert_eq!(ip.checksum(), naive(again.as_array()));
            assert_eq!(ip.checksum(), after_ttl_decrement(before));
        }
    }
}

/// After every checksum, whether or not a TTL could have been behind it.
#[test]
fn ttl_decrement_of_every_checksum() {
    for check in 0..=0xffff {
        assert_eq!(after_ttl_decrement(check), update_u16(check, 0x4011, 0x3f11), "{check:#x}");
    }
}

#[test]
fn all_data_becoming_zero() {
    // The one case where an update and a new computation differ: in which of the two zeros.
    assert_eq!(update_u16(naive(&[0x12, 0x34]), 0x1234, 0), 0x0000);
    assert_eq!(naive(&[0, 0]), 0xffff);
    // And back.
    assert_eq!(update_u16(0xffff, 0, 0x1234), naive(&[0x12, 0x34]));
}

/// Every datagram of one word of payload: the one whose sum is zero is among them.
#[test]
fn every_udp_checksum() {
    let (src, dst) = ([10, 0, 0, 5], [8, 8, 8, 8]);
    let header = etherparse::Ipv4Header::new(2, 64, IpNumber::UDP, src, dst).unwrap();
    let mut ones = 0;
    for word in 0..=0xffff_u16 {
        let payload = word.to_be_bytes();
        let built = UdpHeader::with_ipv4_checksum(4000, 53, &header, &payload).unwrap();
        let mut ip = Ipv4::default();
        ip.set_protocol(IpProtocol::UDP);
        ip.set_src(src.into());
        ip.set_dst(dst.into());
        let mut udp = *Udp::from_array(&built.to_bytes());
        assert!(udp.checksum_ok(ip.pseudo(), &payload));
        udp.fill_checksum(ip.pseudo(), &payload);
        assert_eq!(udp.checksum(), built.checksum);
        ones += u32::from(udp.checksum() == 0xffff);

        // To another word and another source, and what is computed there.
        let check = update_udp(built.checksum, |check| {
            let check = update_u16(check, word, 0xa5a5);
            update_u32(check, ip.src_bits(), 0xc000_0201)
        });
        ip.set_src([192, 0, 2, 1].into());
        udp.fill_checksum(ip.pseudo(), &[0xa5, 0xa5]);
        assert_eq!(check, udp.checksum(), "{word:#x}");
    }
    assert_eq!(ones, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_bytes(bytes in bytes(0..700)) {
        prop_assert_eq!(checksum(&bytes), naive(&bytes));
        let mut whole = bytes;
        if whole.len() % 2 != 0 {
            whole.push(0);
        }
        let check = checksum(&whole);
        whole.extend(check.to_be_bytes());
        prop_assert!(verify(&whole));
        let last = whole.len() - 1;
        whole[last] ^= 1;
        prop_assert!(!verify(&whole));
    }

    #[test]
    fn in_parts(bytes in bytes(0..400), cuts in vec(0..200_usize, 0..4), word: u16, words: u32) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| (cut * 2).min(bytes.len() & !1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let parts = Sum::new().add_u16(word).add_u32(words);
        let sum = cuts.windows(2).fold(parts, |sum, cut| sum.add_bytes(&bytes[cut[0]..cut[1]]));
        let whole = [&word.to_be_bytes()[..], &words.to_be_bytes(), &bytes].concat();
        prop_assert_eq!(sum.checksum(), naive(&whole));
        prop_assert_eq!(sum.is_valid(), naive(&whole) == 0);
    }

    #[test]
    fn changes(mut bytes in bytes(6..60), at: prop::sample::Index, new: u32) {
        // Something that stays, so that the data is never all zero.
        bytes[0] |= 1;
        let check = naive(&bytes);
        let at = 2 + at.index(bytes.len() - 5) / 2 * 2;
        let old = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());

        let [high, low, ..] = new.to_be_bytes();
        let mut changed = bytes.clone();
        changed[at..at + 2].copy_from_slice(&[high, low]);
        prop_assert_eq!(update_u16(check, (old >> 16) as u16, (new >> 16) as u16), naive(&changed));

        bytes[at..at + 4].copy_from_slice(&new.to_be_bytes());
        prop_assert_eq!(update_u32(check, old, new), naive(&bytes));
    }

    #[test]
    fn ipv4_transports(src: [u8; 4], dst: [u8; 4], payload in bytes(0..200), n: [u8; 8]) {
        let ip = || PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(src, dst, n[0]);
        for frame in [
            finish(ip().udp(7, n[1].into()), &payload),
            finish(ip().tcp(7, n[1].into(), u32::from_be_bytes([n[2], n[3], n[4], n[5]]), 99), &payload),
            finish_icmp(ip(), n, &payload),
        ] {
            let (_, rest) = Eth::parse(&frame).unwrap();
            let (ip, rest) = Ipv4::parse(rest).unwrap();
            prop_assert!(ip.checksum_ok(rest));
            let pseudo = ip.pseudo();
            transport_agrees(ip.protocol(), pseudo, ip.payload(rest));
        }
    }

    #[test]
    fn ipv6_transports(src: [u8; 16], dst: [u8; 16], payload in bytes(0..200), n: [u8; 8]) {
        let ip = || PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6(src, dst, n[0]);
        for frame in [
            finish(ip().udp(7, n[1].into()), &payload),
            finish(ip().tcp(7, n[1].into(), u32::from_be_bytes([n[2], n[3], n[4], n[5]]), 99), &payload),
            finish_icmpv6(ip(), n, &payload),
        ] {
            let (_, rest) = Eth::parse(&frame).unwrap();
            let (ip, rest) = Ipv6::parse(rest).unwrap();
            let upper = ip.upper(rest).unwrap();
            let pseudo = ip.pseudo(upper.protocol);
            transport_agrees(upper.protocol, pseudo, ip.payload(rest));
        }
    }

    #[test]
    fn ipv4_options(header: [u8; 20], options in vec(any::<u8>(), 40), words in 0..=10_usize) {
        let mut ip = *Ipv4::from_array(&header);
        ip.set_header_len(20 + words * 4);
        ip.set_checksum(0);
        let options = &options[..words * 4];
        let expected = naive(&[ip.as_array(), options].concat());
        ip.fill_checksum(options);
        prop_assert_eq!(ip.checksum(), expected);
        prop_assert!(ip.checksum_ok(options));
    }
}

/// Our checksum of a segment is the one that it was built with, and a change is noticed.
fn transport_agrees(protocol: IpProtocol, pseudo: Pseudo, segment: &[u8]) {
    macro_rules! agrees {
        ($header:ident, |$copy:ident| $change:expr, $($pseudo:expr)?) => {{
            let (header, rest) = $header::parse(segment).unwrap();
            assert!(header.checksum_ok($($pseudo,)? rest), "{protocol}");
            let mut $copy = *header;
            $copy.set_checksum(!header.checksum());
            $copy.fill_checksum($($pseudo,)? rest);
            assert_eq!($copy.checksum(), header.checksum(), "{protocol}");
            $change;
            assert!(!$copy.checksum_ok($($pseudo,)? rest), "{protocol}");
        }};
    }
    match protocol {
        IpProtocol::UDP => agrees!(Udp, |udp| udp.set_src_port(udp.src_port() ^ 1), pseudo),
        IpProtocol::TCP => agrees!(Tcp, |tcp| tcp.set_src_port(tcp.src_port() ^ 1), pseudo),
        IpProtocol::ICMP => agrees!(Icmp, |icmp| icmp.set_code(icmp.code() ^ 1),),
        _ => agrees!(Icmpv6, |icmp| icmp.set_code(icmp.code() ^ 1), pseudo),
    }
}

fn finish<T>(step: PacketBuilderStep<T>, payload: &[u8]) -> Vec<u8>
where
    PacketBuilderStep<T>: Write,
{
    let mut frame = Vec::new();
    step.write_to(&mut frame, payload);
    frame
}

fn finish_icmp(step: PacketBuilderStep<etherparse::IpHeaders>, n: [u8; 8], payload: &[u8]) -> Vec<u8> {
    let [type_u8, code_u8, a, b, c, d, ..] = n;
    finish(step.icmpv4(Icmpv4Type::Unknown { type_u8, code_u8, bytes5to8: [a, b, c, d] }), payload)
}

fn finish_icmpv6(step: PacketBuilderStep<etherparse::IpHeaders>, n: [u8; 8], payload: &[u8]) -> Vec<u8> {
    let [type_u8, code_u8, a, b, c, d, ..] = n;
    finish(step.icmpv6(Icmpv6Type::Unknown { type_u8, code_u8, bytes5to8: [a, b, c, d] }), payload)
}

/// etherparse's steps end alike, but by no trait.
trait Write {
    fn write_to(self, frame: &mut Vec<u8>, payload: &[u8]);
}

macro_rules! write {
    ($($header:ident)*) => {$(
        impl Write for PacketBuilderStep<etherparse::$header> {
            fn write_to(self, frame: &mut Vec<u8>, payload: &[u8]) {
                self.write(frame, payload).unwrap();
            }
        }
    )*};
}
write!(UdpHeader TcpHeader Icmpv4Header Icmpv6Header);
