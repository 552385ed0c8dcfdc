//! `tcp-mss`: lowers the maximum segment size that TCP connections agree on, so that their segments fit the link (RFC 9293 §3.7.1).

use swath_api::prelude::*;
use swath_api::wire::{Header, IpProtocol, Ipv4, Tcp, TcpFlags, TcpOption};

/// What the headers take from an MTU: IPv4 and TCP without options (RFC 6691).
const HEADERS: u16 = (size_of::<Ipv4>() + size_of::<Tcp>()) as u16;
/// Of the least MTU, 68 (RFC 791 §3.2), and of the largest.
const RANGE: std::ops::RangeInclusive<u16> = 68 - HEADERS..=u16::MAX - HEADERS;

/// Lowers the MSS option of SYNs.
pub struct TcpMss {
    max: Option<u16>,
    // By interface.
    mtus: Vec<u16>,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The largest segment, in bytes of data, 28 to 65495. Default: what fits the MTU of the interface that received the packet and of the
    /// one that it leaves by, whichever is less: 40 bytes less than that.
    #[serde(default)]
    max: Option<u16>,
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// All packets.
        Ok = required("ok", layer::IP4),
    }
}

impl Node for TcpMss {
    const INFO: Info = Info::new("tcp-mss", "Lowers the maximum segment size of TCP connections to what a link carries.")
        .about(
            "Put it behind `ip4-lookup`, where both interfaces of a packet are known: it helps where ICMP errors about the MTU get lost, \
             as on PPPoE links and tunnels. Only segments with SYN that say a larger size are changed, and their checksum with them, by \
             difference: a wrong one stays wrong. Options that cannot be read are left as they are, and so is what follows them. A \
             segment without the option keeps the default of 536 bytes.",
        )
        .input(layer::IP4)
        .pure()
        .example(include_str!("../examples/tcp-mss.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<TcpMss, ConfigError> {
        if let Some(max) = config.max.filter(|max| !RANGE.contains(max)) {
            return Err(ConfigError::at("max", format!("`{max}` is not in {} to {}", RANGE.start(), RANGE.end())));
        }
        Ok(TcpMss { max: config.max, mtus: setup.interfaces().iter().map(|interface| interface.mtu).collect() })
    }

    fn reason(&self, packet: &Packet<'_>, _: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        if let Ok((ip, rest)) = Ipv4::parse(packet.data())
            && ip.protocol() == IpProtocol::TCP
            && ip.fragment_offset() == 0
            && let Ok((tcp, rest)) = Tcp::parse(ip.payload(rest))
            && tcp.flags().contains(TcpFlags::SYN)
        {
            let mss = tcp.options(rest).find_map(|option| match option {
                Ok(TcpOption::Mss(mss)) => Some(mss),
                _ => None,
            });
            match mss {
                Some(mss) => words.say(format_args!("segments of up to {mss} bytes")),
                None => words.say("it says nothing of its segments"),
            }
            if let Some(max) = self.max.or_else(|| self.fits(*packet.lane_ref())) {
                words.say(format_args!("{max} bytes fit"));
            }
        }
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.for_each(|packet| {
            let lane = *packet.lane_ref();
            if let Ok((ip, rest)) = packet.header::<Ipv4>()
                && ip.protocol() == IpProtocol::TCP
                && ip.fragment_offset() == 0
                && let Ok((tcp, rest)) = Tcp::parse_mut(ip.payload_mut(rest))
                && tcp.flags().contains(TcpFlags::SYN)
                && let Some(max) = self.max.or_else(|| self.fits(lane))
            {
                tcp.clamp_mss(rest, max);
            }
            Next::Ok
        });
    }
}

impl TcpMss {
    /// What fits both interfaces, as far as they are known.
    fn fits(&self, lane: Lane) -> Option<u16> {
        let mtu = |index: u16| self.mtus.get(usize::from(index)).copied();
        let mtu = mtu(lane.tx).into_iter().chain(mtu(lane.rx)).min()?;
        Some(mtu.saturating_sub(HEADERS).max(*RANGE.start()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{PacketBuilder, TcpOptionElement, TcpOptionElement::*};
    use swath_api::testkit::{NodeKit, TestKit};

    const LANE: Lane = Lane { adj: 7, tx: 1, rx: 0 };

    fn kit(config: &str) -> NodeKit {
        let kit = TestKit::new().interface("lan", "02:00:00:00:00:01", 1500, &[]);
        kit.interface("ppp", "02:00:00:00:00:02", 1492, &[]).node::<TcpMss>(config).unwrap()
    }

    /// By an independent implementation, which also computes the checksums.
    fn segment(flags: &str, options: &[TcpOptionElement]) -> Vec<u8> {
        let builder = PacketBuilder::ipv4([10, 0, 0, 1], [8, 8, 8, 8], 64).tcp(4000, 80, 7, 1024);
        let builder = if flags.contains('s') { builder.syn() } else { builder };
        let builder = if flags.contains('a') { builder.ack(9) } else { builder };
        let mut bytes = Vec::new();
        builder.options(options).unwrap().write(&mut bytes, b"data").unwrap();
        bytes
    }

    #[test]
    fn only_what_a_syn_says_is_lowered() {
        for (config, flags, says, leaves_with) in [
            (r#"{"max": 1400}"#, "s", 1460, 1400),
            (r#"{"max": 1400}"#, "sa", 1460, 1400),
            (r#"{"max": 1400}"#, "a", 1460, 1460),
            (r#"{"max": 1400}"#, "s", 1400, 1400),
            (r#"{"max": 1400}"#, "s", 536, 536),
            (r#"{"max": 1400}"#, "s", 65535, 1400),
            // By the MTUs: 1492 - 40.
            ("{}", "s", 1460, 1452),
            ("{}", "s", 1452, 1452),
            ("{}", "s", 1451, 1451),
        ] {
            // Before it and behind it, at an even and at an odd place.
            for odd in [false, true] {
                let options = |mss| match odd {
                    true => vec![Noop, MaximumSegmentSize(mss), Noop, WindowScale(7)],
                    false => vec![MaximumSegmentSize(mss), SelectiveAcknowledgementPermitted, Timestamp(1, 2)],
                };
                let out = kit(config).one(&segment(flags, &options(says)), LANE);
                assert_eq!((out.edge, out.lane), ("ok", LANE));
                assert_eq!(out.bytes, segment(flags, &options(leaves_with)), "{config} {flags} {says}");
            }
        }
    }

    #[test]
    fn everything_else_passes_untouched() {
        let whole = segment("s", &[MaximumSegmentSize(1460)]);
        let changed = |at: usize, value: u8| {
            let mut bytes = whole.clone();
            bytes[at] = value;
            bytes
        };
        for (name, bytes) in [
            ("no option", segment("s", &[])),
            ("udp", changed(9, 17)),
            ("a later fragment", changed(7, 1)),
            ("a length that is not its own", changed(41, 3)),
            ("a length past the header", changed(41, 40)),
            ("a length of zero", changed(41, 0)),
            ("a TCP header longer than the packet", changed(32, 0xf0)),
            ("a TCP header that is too short", changed(32, 0x40)),
            ("cut off in the TCP header", whole[..30].to_vec()),
            ("no packet", Vec::new()),
        ] {
            let out = kit(r#"{"max": 100}"#).one(&bytes, LANE);
            assert_eq!((out.edge, out.bytes), ("ok", bytes), "{name}");
        }
        let out = kit("{}").one(&whole, Lane::default());
        assert_eq!(out.bytes, whole, "by no known interface");
        // A wrong checksum is as wrong as before: RFC 1624 corrects it by the difference.
        let damaged = kit(r#"{"max": 1400}"#).one(&changed(44, 1), LANE).bytes;
        let mut mended = damaged.clone();
        mended[44] = whole[44];
        assert_eq!(mended, segment("s", &[MaximumSegmentSize(1400)]));
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for max in [0, 27, 65496] {
            let error = TestKit::new().node::<TcpMss>(&format!(r#"{{"max": {max}}}"#)).err().unwrap();
            assert_eq!((error.path(), error.message()), ("max", &*format!("`{max}` is not in 28 to 65495")));
        }
    }
}
