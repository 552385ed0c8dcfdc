//! `ip4-dscp`: marks IPv4 packets with a differentiated services code point (RFC 2474).

use swath_api::prelude::*;
use swath_api::wire::checksum::update_u16;

/// Sets the DSCP and keeps the ECN bits (RFC 3168) as they are.
pub struct Ip4Dscp {
    dscp: u8,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The code point, 0 to 63. 46 is expedited forwarding (RFC 3246), 0 is best effort.
    dscp: u8,
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// Packets with the new mark.
        Ok = required("ok", layer::IP4),
        /// Shorter than an IPv4 header, so nobody has checked it: put an `ip4-input` before this node.
        TooShort = drop("too-short"),
    }
}

impl Node for Ip4Dscp {
    const INFO: Info = Info::new("ip4-dscp", "Sets the DSCP of IPv4 packets.")
        .about("The class by which others queue them (RFC 2474). The ECN bits stay as they are (RFC 3168).")
        .input(layer::IP4)
        .pure()
        .example(include_str!("../examples/ip4-dscp.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, _: &mut Setup<'_>) -> Result<Ip4Dscp, ConfigError> {
        if config.dscp > 63 {
            return Err(ConfigError::at("dscp", format!("a DSCP has 6 bits, 0 to 63, and not {}", config.dscp)));
        }
        Ok(Ip4Dscp { dscp: config.dscp })
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        if decided.is(Next::Ok) {
            words.say(format_args!("marked {}", Dscp(self.dscp)));
        } else {
            words.say(format_args!("{} bytes, where a header has 20", packet.len()));
        }
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.for_each(|packet| {
            let Some(head) = packet.head::<20>() else { return Next::TooShort };
            let old = u16::from_be_bytes([head[0], head[1]]);
            head[1] = self.dscp << 2 | head[1] & 0b11;
            let new = u16::from_be_bytes([head[0], head[1]]);
            let checksum = update_u16(u16::from_be_bytes([head[10], head[11]]), old, new);
            head[10..12].copy_from_slice(&checksum.to_be_bytes());
            Next::Ok
        });
    }
}

/// A code point by the name that it has, and by its number.
struct Dscp(u8);

impl std::fmt::Display for Dscp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Dscp(number) = *self;
        match (number >> 3, number & 0b111) {
            // RFC 2474 §4.2.2.
            (class, 0) => write!(f, "CS{class} ({number})"),
            // RFC 2597 §6.
            (class @ 1..=4, precedence @ (2 | 4 | 6)) => write!(f, "AF{class}{} ({number})", precedence / 2),
            // RFC 8622, RFC 5865, RFC 3246.
            (0, 1) => write!(f, "LE ({number})"),
            (5, 4) => write!(f, "VOICE-ADMIT ({number})"),
            (5, 6) => write!(f, "EF ({number})"),
            _ => write!(f, "DSCP {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{IpNumber, Ipv4Header};
    use swath_api::testkit::TestKit;

    #[test]
    fn the_mark_changes_and_nothing_else() {
        let mut header = Ipv4Header::new(0, 64, IpNumber::UDP, [10, 0, 0, 1], [10, 0, 0, 2]).unwrap();
        (header.dscp, header.ecn) = (0.try_into().unwrap(), 2.try_into().unwrap());
        header.header_checksum = header.calc_header_checksum();
        let mut expected = header.clone();
        expected.dscp = 46.try_into().unwrap();
        expected.header_checksum = expected.calc_header_checksum();
        let mut kit = TestKit::new().node::<Ip4Dscp>(r#"{"dscp": 46}"#).unwrap();
        assert_eq!(kit.one(&header.to_bytes(), Lane::received(0)).bytes, expected.to_bytes().to_vec());
        assert_eq!(kit.edge(&header.to_bytes()[..19]), "too-short");
        assert!(TestKit::new().node::<Ip4Dscp>(r#"{"dscp": 64}"#).unwrap_err().message().contains("0 to 63"));
    }
}
