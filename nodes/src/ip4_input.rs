//! `ip4-input`: the checks that a router makes on every IPv4 header (RFC 1812 §5.2.2, §5.3.7).

use std::net::Ipv4Addr;

use swath_api::prelude::*;
use swath_api::wire::{Header, Ipv4};

/// Checks IPv4 headers.
pub struct Ip4Input {
    martians: Martians,
    options: Options,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What becomes of packets whose source is no host's. Default: `drop`.
    #[serde(default)]
    pub(crate) martians: Martians,
    /// Where packets with options go. Default: `pass`.
    #[serde(default)]
    options: Options,
}

/// Where packets with options go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Options {
    /// By `ok`, like all others: nobody looks at their options.
    #[default]
    Pass,
    /// By `options`, to an `ip4-options`.
    Separate,
}

/// What becomes of packets from 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/4 and 240.0.0.0/4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Martians {
    /// They are dropped, as `martian-source`.
    #[default]
    Drop,
    /// They are dropped, and so are packets from and to the other addresses that are nobody's on the Internet (RFC 6890 §2.2.2): 192.0.0.0/24
    /// but for 192.0.0.0/29, and those of documentation, 192.0.2.0/24, 198.51.100.0/24 and 203.0.113.0/24.
    Special,
    /// They pass, as in a laboratory that uses such addresses.
    Allow,
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// Packets with a sound header, without what Ethernet padded.
        Ok = required("ok", layer::IP4),
        /// Packets with options, if `options` is `separate`: wire it to an `ip4-options`.
        Options = edge("options", layer::IP4),
        /// Fewer bytes than a header has, or than the header's total length says: cut off on the way (by a tunnel, or by a capture with a
        /// short snapshot length), or a broken sender. Find it by the source addresses in a capture of the interface.
        TooShort = drop("too-short"),
        /// The frame says that it carries IPv4, and the header has another version: a broken sender. Find it by the source MAC address in a
        /// capture of the interface.
        BadVersion = drop("bad-version"),
        /// The header length is less than 20 bytes: a broken sender, or a hostile one. Find it by the source MAC address in a capture of the
        /// interface.
        BadHeaderLength = drop("bad-header-length"),
        /// The total length is less than the header length: a broken sender, or a hostile one. Find it by the source MAC address in a
        /// capture of the interface.
        BadLength = drop("bad-length"),
        /// The header's checksum is wrong: the packet was damaged by the link or by the router before this one. Look at their error counters.
        /// If all packets of one machine are wrong, it leaves checksums to a network card that does not fill them in: switch off the offload.
        BadChecksum = drop("bad-checksum"),
        /// The source is not the address of a host: in 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/4 or 240.0.0.0/4 (RFC 1812 §5.3.7): a
        /// broken or forged sender. Find it by the source MAC address in a capture of the interface.
        MartianSource = drop("martian-source"),
        /// The source or the destination is in a block that is nobody's, and `martians` is `special` (RFC 6890 §2.2.2).
        SpecialPurpose = drop("special-purpose"),
    }
}

impl Node for Ip4Input {
    const INFO: Info = Info::new("ip4-input", "Checks IPv4 headers, checksum included.")
        .about(
            "The checks and their order are those of RFC 1812 §5.2.2. The time to live is not among them: a packet for the router \
             itself is good whatever its TTL (§4.2.2.9), so it is checked where a packet is forwarded, in `ip4-rewrite`. A host that does not know its \
             address yet may speak from 0.0.0.0 to 255.255.255.255 (§4.2.2.11).",
        )
        .input(layer::IP4)
        .pure()
        .example(include_str!("../examples/ip4-input.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, _: &mut Setup<'_>) -> Result<Ip4Input, ConfigError> {
        Ok(Ip4Input { martians: config.martians, options: config.options })
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        let data = packet.data();
        let Some(header) = data.first_chunk::<20>() else {
            return words.say(format_args!("{} bytes, where a header has 20", data.len()));
        };
        let (length, total) = (usize::from(header[0] & 15) * 4, u16::from_be_bytes([header[2], header[3]]));
        let address = |at: usize| Ipv4Addr::from(header[at..].first_chunk().copied().unwrap_or([0; 4]));
        if decided.is(Next::TooShort) {
            words.say(format_args!("{} bytes, where the header says {total}", data.len()));
        } else if decided.is(Next::BadVersion) {
            words.say(format_args!("version {}", header[0] >> 4));
        } else if decided.is(Next::BadHeaderLength) {
            words.say(format_args!("a header of {length} bytes"));
        } else if decided.is(Next::BadLength) {
            words.say(format_args!("{total} bytes in all, {length} of them the header"));
        } else if decided.is(Next::BadChecksum) {
            if let Ok((ip, rest)) = Ipv4::parse(data) {
                let mut right = *ip;
                right.fill_checksum(rest);
                let (found, right) = (ip.checksum(), right.checksum());
                words.say(format_args!("checksum {found:#06x}, where {right:#06x} is right"));
            }
        } else if decided.is(Next::MartianSource) {
            words.say(format_args!("from {}", address(12)));
        } else if decided.is(Next::SpecialPurpose) {
            words.say(format_args!("from {} to {}", address(12), address(16)));
        } else if decided.is(Next::Options) {
            words.say(format_args!("{} bytes of options", length - header.len()));
        }
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        let Ip4Input { martians, options } = *self;
        let with_options = if options == Options::Separate { Next::Options } else { Next::Ok };
        frame.ip4_check(|class| match class {
            Ip4Class::Ok => Next::Ok,
            Ip4Class::Options => with_options,
            Ip4Class::TooShort => Next::TooShort,
            Ip4Class::BadVersion => Next::BadVersion,
            Ip4Class::BadHeaderLength => Next::BadHeaderLength,
            Ip4Class::BadLength => Next::BadLength,
            Ip4Class::BadChecksum => Next::BadChecksum,
            Ip4Class::BadSource if martians == Martians::Allow && options == Options::Pass => Next::Ok,
            Ip4Class::BadSource => Next::MartianSource,
        });
        match martians {
            Martians::Drop => {}
            Martians::Allow if options == Options::Pass => {}
            // Those with options are not known by their class.
            Martians::Allow => frame.revise(Next::MartianSource, |packet| match packet.ip4() {
                Some(ip) if ip.header_len() > size_of::<Ipv4>() => Next::Options,
                _ => Next::Ok,
            }),
            Martians::Special => {
                let mut check = |of| {
                    frame.revise(of, |packet| match packet.ip4() {
                        Some(ip) if is_special(ip.src_bits()) || is_special(ip.dst_bits()) => Next::SpecialPurpose,
                        _ => of,
                    });
                };
                check(Next::Ok);
                if options == Options::Separate {
                    check(Next::Options);
                }
            }
        }
    }
}

/// Whether an address is neither a source nor a destination (RFC 6890 §2.2.2, tables 7 to 12), beside those that are never forwarded.
fn is_special(address: u32) -> bool {
    let in_block = |block: [u8; 4], len: u32| (address ^ u32::from_be_bytes(block)) >> (32 - len) == 0;
    match address >> 24 {
        192 => in_block([192, 0, 0, 0], 24) && !in_block([192, 0, 0, 0], 29) || in_block([192, 0, 2, 0], 24),
        198 => in_block([198, 51, 100, 0], 24),
        203 => in_block([203, 0, 113, 0], 24),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{IpNumber, Ipv4Header, Ipv4Options};
    use swath_api::testkit::{NodeKit, TestKit};

    /// A packet of 28 bytes, by an independent implementation.
    fn packet(options: &[u8]) -> Vec<u8> {
        let mut header = Ipv4Header::new(8, 64, IpNumber::UDP, [10, 0, 0, 1], [10, 0, 0, 2]).unwrap();
        header.options = Ipv4Options::try_from(options).unwrap();
        header.header_checksum = header.calc_header_checksum();
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend([0; 8]);
        bytes
    }

    fn kit() -> NodeKit {
        TestKit::new().node::<Ip4Input>("{}").unwrap()
    }

    /// With its header's checksum made right again.
    fn changed(at: usize, value: u8) -> Vec<u8> {
        let mut bytes = packet(&[]);
        bytes[at] = value;
        bytes[10..12].fill(0);
        let sum: u32 = bytes[..20].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        bytes[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
        bytes
    }

    #[test]
    fn rfc_1812_5_2_2() {
        let good = packet(&[]);
        let mut padded = good.clone();
        padded.extend([0xaa; 18]);
        let mut damaged = good.clone();
        damaged[15] ^= 1;
        let with_options = packet(&[1, 1, 1, 0]);
        let mut damaged_options = with_options.clone();
        damaged_options[21] ^= 2;
        let table = [
            ("a sound packet", good.clone(), "ok"),
            ("padding is cut", padded, "ok"),
            ("(1) shorter than a header", good[..19].to_vec(), "too-short"),
            ("an empty frame", Vec::new(), "too-short"),
            ("(2) the checksum", damaged, "bad-checksum"),
            ("(3) the version", changed(0, 0x65), "bad-version"),
            ("(4) the header length", changed(0, 0x44), "bad-header-length"),
            ("(5) the total length below the header", changed(3, 19), "bad-length"),
            ("the total length beyond the frame", changed(3, 29), "too-short"),
            ("options are part of the checksum", with_options, "ok"),
            ("damage in the options", damaged_options, "bad-checksum"),
            ("TTL 0 may be for us", changed(8, 0), "ok"),
        ];
        for (name, bytes, edge) in table {
            let out = kit().one(&bytes, Lane::received(0));
            assert_eq!(out.edge, edge, "{name}");
            let total = if edge == "ok" { usize::from(bytes[3]) } else { bytes.len() };
            assert_eq!(out.bytes, bytes[..total], "{name}");
        }
    }

    #[test]
    fn rfc_1812_5_3_7_sources() {
        let broadcast = [255; 4];
        let host = [10, 0, 0, 2];
        for (source, destination, martian) in [
            ([0, 0, 0, 0], host, true),
            ([0, 0, 0, 1], broadcast, true),
            ([0, 255, 255, 255], host, true),
            ([1, 0, 0, 0], host, false),
            ([126, 255, 255, 255], host, false),
            ([127, 0, 0, 0], host, true),
            ([127, 255, 255, 255], broadcast, true),
            ([128, 0, 0, 0], host, false),
            ([223, 255, 255, 255], host, false),
            ([224, 0, 0, 0], host, true),
            ([239, 255, 255, 255], host, true),
            ([240, 0, 0, 0], host, true),
            (broadcast, broadcast, true),
            // §4.2.2.11, RFC 2131 §4.1: DHCP.
            ([0; 4], broadcast, false),
            ([0; 4], [255, 255, 255, 254], true),
        ] {
            for options in [&[][..], &[1, 1, 1, 0]] {
                let mut header = Ipv4Header::new(8, 64, IpNumber::UDP, source, destination).unwrap();
                header.options = Ipv4Options::try_from(options).unwrap();
                header.set_payload_len(8).unwrap();
                header.header_checksum = header.calc_header_checksum();
                let bytes = [&header.to_bytes()[..], &[0; 8]].concat();
                let padded = [&bytes[..], &[0xaa; 9]].concat();
                // Alone, and beside a good one.
                let good = packet(&[]);
                let out = kit().run(&[(&good, Lane::received(0)), (&padded, Lane::received(0))]);
                assert_eq!(
                    (out[0].edge, out[1].edge),
                    ("ok", if martian { "martian-source" } else { "ok" }),
                    "{source:?} > {destination:?}"
                );
                let mut allow = TestKit::new().node::<Ip4Input>(r#"{"martians": "allow"}"#).unwrap();
                let out = allow.one(&padded, Lane::received(0));
                assert_eq!((out.edge, out.bytes), ("ok", bytes), "without padding");
            }
        }
    }

    fn between(source: [u8; 4], destination: [u8; 4], options: &[u8]) -> Vec<u8> {
        let mut header = Ipv4Header::new(8, 64, IpNumber::UDP, source, destination).unwrap();
        header.options = Ipv4Options::try_from(options).unwrap();
        header.set_payload_len(8).unwrap();
        header.header_checksum = header.calc_header_checksum();
        [&header.to_bytes()[..], &[0; 8]].concat()
    }

    #[test]
    fn options_go_apart_if_asked_to() {
        let (host, martian) = ([10, 0, 0, 1], [127, 0, 0, 1]);
        let router_alert = [148, 4, 0, 0];
        for (settings, source, options, edge) in [
            ("{}", host, &router_alert[..], "ok"),
            (r#"{"options": "separate"}"#, host, &[], "ok"),
            (r#"{"options": "separate"}"#, host, &router_alert, "options"),
            (r#"{"options": "separate"}"#, martian, &router_alert, "martian-source"),
            (r#"{"options": "separate", "martians": "allow"}"#, martian, &router_alert, "options"),
            (r#"{"options": "separate", "martians": "allow"}"#, martian, &[], "ok"),
            (r#"{"options": "separate", "martians": "special"}"#, host, &router_alert, "options"),
            (r#"{"options": "separate", "martians": "special"}"#, [192, 0, 2, 1], &router_alert, "special-purpose"),
        ] {
            let bytes = between(source, [10, 0, 0, 2], options);
            let mut kit = TestKit::new().node::<Ip4Input>(settings).unwrap();
            assert_eq!(kit.edge(&bytes), edge, "{settings} {source:?} {options:?}");
        }
    }

    /// The table of RFC 6890 §2.2.2: whether an address of the block may be a source, and a destination.
    #[test]
    fn rfc_6890_2_2_2() {
        let mut kit = TestKit::new().node::<Ip4Input>(r#"{"martians": "special"}"#).unwrap();
        for (address, source, destination) in [
            ([10, 0, 0, 0], "ok", "ok"),
            ([100, 64, 0, 0], "ok", "ok"),
            ([127, 0, 0, 0], "martian-source", "ok"),
            ([169, 254, 0, 1], "ok", "ok"),
            ([172, 16, 0, 0], "ok", "ok"),
            ([192, 0, 0, 0], "ok", "ok"),
            ([192, 0, 0, 7], "ok", "ok"),
            ([192, 0, 0, 8], "special-purpose", "special-purpose"),
            ([192, 0, 0, 255], "special-purpose", "special-purpose"),
            ([192, 0, 1, 0], "ok", "ok"),
            ([192, 0, 1, 255], "ok", "ok"),
            ([192, 0, 2, 0], "special-purpose", "special-purpose"),
            ([192, 0, 2, 255], "special-purpose", "special-purpose"),
            ([192, 0, 3, 0], "ok", "ok"),
            ([192, 88, 99, 1], "ok", "ok"),
            ([192, 168, 0, 0], "ok", "ok"),
            ([198, 18, 0, 0], "ok", "ok"),
            ([198, 51, 99, 255], "ok", "ok"),
            ([198, 51, 100, 0], "special-purpose", "special-purpose"),
            ([198, 51, 100, 255], "special-purpose", "special-purpose"),
            ([198, 51, 101, 0], "ok", "ok"),
            ([203, 0, 113, 0], "special-purpose", "special-purpose"),
            ([203, 0, 113, 255], "special-purpose", "special-purpose"),
            ([203, 0, 114, 0], "ok", "ok"),
            // As a destination these are for `ip4-lookup` to refuse.
            ([240, 0, 0, 0], "martian-source", "ok"),
            ([255; 4], "martian-source", "ok"),
        ] {
            let host = [10, 0, 0, 2];
            let edges = (kit.edge(&between(address, host, &[])), kit.edge(&between(host, address, &[])));
            assert_eq!(edges, (source, destination), "{address:?}");
        }
    }
}
