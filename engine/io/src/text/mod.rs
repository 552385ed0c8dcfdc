//! Packets as short lines of text, for the `tests` of a graph, for error messages and for traces.
//!
//! ```text
//! udp 10.0.0.5:4000 > 8.8.8.8:53 ttl 3 via lan
//! tcp [2001:db8::1]:80 > [2001:db8::2]:4000 flags syn,ack seq 7 ack 8 mss 1400 vlan 10 pcp 3
//! icmp 10.0.0.1 > 10.0.0.2 echo-request id 5 seq 1 payload "hello"
//! arp who-has 10.0.0.1 tell 10.0.0.2
//! ```
//!
//! A packet is a protocol, its endpoints, and then words in any order, each at most once. A `#`
//! starts a comment. Numbers are decimal or `0x` hexadecimal.
//!
//! | packet | |
//! |---|---|
//! | `udp A:PORT > B:PORT`, `tcp ...` | IPv6 addresses with ports stand in brackets |
//! | `icmp A > B`, `icmp6 A > B` | over IPv4 and over IPv6; an echo request unless told otherwise |
//! | `ip A > B` | IPv4 or IPv6 with any payload |
//! | `arp who-has A tell B`, `arp reply A is-at MAC to B` | |
//! | `eth MAC > MAC type N` | any other Ethernet frame |
//! | `hex DIGITS` | the whole frame; only `via` may follow |
//!
//! | word | of | meaning, and what holds without it |
//! |---|---|---|
//! | `via NAME` | all | the interface |
//! | `src-mac MAC`, `dst-mac MAC` | all but `eth` | 02:00:00:00:00:01 and 02:00:00:00:00:02, or what ARP implies |
//! | `vlan ID`, `svlan ID` | all | an 802.1Q (0x8100) or 802.1ad (0x88a8) tag; repeatable, outermost first; `pcp N` and `dei` may follow at once |
//! | `payload "text"`, `payload hex DIGITS` | all but `arp` | empty; in text `\"` and `\\` |
//! | `len N` | all but `arp` | fills the payload with zeros up to this frame length |
//! | `pad N` | all | zeros after the packet, as Ethernet adds to short frames |
//! | `ttl N` | IP | TTL or hop limit; 64 |
//! | `tos N`, `dscp N` | IP | TOS or traffic class; 0 |
//! | `id N`, `ip-id N` | IP | identification; 0. `id` is the echo's in `icmp` and `icmp6` |
//! | `df`, `mf`, `frag N` | IP | don't fragment, more fragments, offset in bytes. With an offset there is no UDP, TCP or ICMP header, and no ports |
//! | `flow-label N` | IPv6 | 0 |
//! | `proto N` | `ip` | 253 (experiments, RFC 3692) |
//! | `flags F,F` | `tcp` | of fin syn rst psh ack urg ece cwr ns; none |
//! | `seq N`, `ack N`, `win N` | `tcp` | 0, 0, 65535 |
//! | `mss N`, `options DIGITS` | `tcp` | no options |
//! | `type N`, `code N` or a name | ICMP | `echo-request`, `echo-reply`, `unreachable`, `time-exceeded`, `packet-too-big`, `redirect`, `parameter-problem` and those of router and neighbor discovery |
//! | `id N`, `seq N`, `mtu N` | ICMP | the first half, second half or all of the word after the checksum; 0 |
//! | `bad-checksum` | IP | a wrong checksum in the header that the packet is named after |
//! | `bad-ip-checksum` | IPv4 | a wrong IPv4 header checksum |
//! | `no-checksum` | `udp` | a checksum of 0, which says that there is none (RFC 768) |
//!
//! Checksums and lengths are right otherwise; those of a fragment are as if it were whole.

mod build;
mod cursor;
mod describe;
mod describe_ip;
mod fields;
mod lex;
mod parse;
mod parse_ip;
mod vocabulary;

pub use describe::{describe, describe_with};
pub use fields::{Field, fields, usual};
pub use lex::TextError;

use std::fmt;
use std::str::FromStr;

use etherparse::{ArpEthIpv4Packet, ArpOperation, EtherType, Ethernet2Header};

/// An Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All ones.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// The source of frames whose text names none.
    pub const SOURCE: Self = Self([2, 0, 0, 0, 0, 1]);
    /// The destination of frames whose text names none.
    pub const DESTINATION: Self = Self([2, 0, 0, 0, 0, 2]);
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut mac = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut mac {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(())?;
            match lex::hex(part).as_deref() {
                Some(&[value]) => *byte = value,
                _ => return Err(()),
            }
        }
        if parts.next().is_some() { Err(()) } else { Ok(Self(mac)) }
    }
}

/// A packet given as text.
///
/// ```
/// use swath_io::text::TextPacket;
///
/// let packet = TextPacket::parse("udp 10.0.0.5:4000 > 8.8.8.8:53 ttl 3 via lan")?;
/// assert_eq!(packet.via(), Some("lan"));
/// assert_eq!(packet.frame()[14 + 8], 3);
/// # Ok::<(), swath_io::text::TextError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextPacket {
    via: Option<String>,
    source: Option<Mac>,
    destination: Option<Mac>,
    tags: Vec<Tag>,
    content: Content,
    pad: usize,
}

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tag {
    tpid: EtherType,
    /// Priority, drop eligibility and VLAN identifier.
    tci: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Frame(Vec<u8>),
    Packet { ether_type: EtherType, bytes: Vec<u8> },
    ArpRequest { sender: [u8; 4], target: [u8; 4] },
    ArpReply { sender: [u8; 4], sender_mac: Mac, target: [u8; 4] },
}

impl TextPacket {
    /// Reads a packet from its text. Everything is checked here, so that [`frame`](Self::frame)
    /// cannot fail.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        parse::packet(text)
    }

    /// The interface that the text names with `via`.
    pub fn via(&self) -> Option<&str> {
        self.via.as_deref()
    }

    /// Whether the text gives the bytes of the whole frame, as `hex`.
    pub fn is_hex(&self) -> bool {
        matches!(self.content, Content::Frame(_))
    }

    /// The Ethernet source that the text names or ARP implies.
    pub fn source(&self) -> Option<Mac> {
        self.source.or(match self.content {
            Content::ArpReply { sender_mac, .. } => Some(sender_mac),
            _ => None,
        })
    }

    /// The Ethernet destination that the text names or ARP implies.
    pub fn destination(&self) -> Option<Mac> {
        self.destination.or(match self.content {
            Content::ArpRequest { .. } => Some(Mac::BROADCAST),
            _ => None,
        })
    }

    /// The Ethernet frame, without frame check sequence.
    pub fn frame(&self) -> Vec<u8> {
        self.frame_with(Mac::SOURCE, Mac::DESTINATION)
    }

    /// The Ethernet frame with these addresses where the text and ARP say nothing of them.
    pub fn frame_with(&self, source: Mac, destination: Mac) -> Vec<u8> {
        let source = self.source().unwrap_or(source);
        let destination = self.destination().unwrap_or(destination);
        let arp = |operation, sender_mac: Mac, sender_ipv4, target_mac: Mac, target_ipv4| {
            ArpEthIpv4Packet { operation, sender_mac: sender_mac.0, sender_ipv4, target_mac: target_mac.0, target_ipv4 }
                .to_bytes()
                .to_vec()
        };
        let (ether_type, bytes) = match &self.content {
            Content::Frame(frame) => return frame.clone(),
            Content::Packet { ether_type, bytes } => (*ether_type, bytes.clone()),
            Content::ArpRequest { sender, target } => {
                (EtherType::ARP, arp(ArpOperation::REQUEST, source, *sender, Mac::default(), *target))
            }
            Content::ArpReply { sender, sender_mac, target } => {
                (EtherType::ARP, arp(ArpOperation::REPLY, *sender_mac, *sender, destination, *target))
            }
        };
        let mut frame = Vec::with_capacity(64 + bytes.len() + self.pad);
        let header = Ethernet2Header {
            source: source.0,
            destination: destination.0,
            ether_type: self.tags.first().map_or(ether_type, |tag| tag.tpid),
        };
        frame.extend_from_slice(&header.to_bytes());
        for (index, tag) in self.tags.iter().enumerate() {
            let inner = self.tags.get(index + 1).map_or(ether_type, |tag| tag.tpid);
            frame.extend_from_slice(&tag.tci.to_be_bytes());
            frame.extend_from_slice(&inner.0.to_be_bytes());
        }
        frame.extend_from_slice(&bytes);
        frame.resize(frame.len() + self.pad, 0);
        frame
    }
}

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod tests;
