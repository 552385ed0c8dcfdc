//! From a frame back to its text.

use std::fmt::{self, Write};
use std::net::Ipv4Addr;

use etherparse::{ArpHardwareId, ArpOperation, ArpPacketSlice, EtherType, Ethernet2HeaderSlice};

use super::describe_ip::Ip;
use super::{Mac, TextPacket};

/// A payload is given as text or digits up to this length, not counting zeros at its end.
const SHOWN_PAYLOAD: usize = 64;

/// The text of a frame: what [`TextPacket::parse`] makes of it is that frame.
///
/// A frame that has what the text form cannot say, such as IP options, or a payload too long to
/// show, gets the nearest text with `# inexact` at its end.
pub fn describe(frame: &[u8]) -> String {
    describe_with(frame, Mac::SOURCE, Mac::DESTINATION)
}

/// As [`describe`], with other addresses that need not be named: what [`TextPacket::frame_with`] makes of the text with these
/// is that frame.
pub fn describe_with(frame: &[u8], source: Mac, destination: Mac) -> String {
    let is_exact = |text: &String| TextPacket::parse(text).is_ok_and(|packet| packet.frame_with(source, destination) == frame);
    let Some(ethernet) = Ethernet::new(frame, [source, destination]) else {
        return if frame.is_empty() { "hex \"\"".to_owned() } else { format!("hex {}", Hex(frame)) };
    };
    let ip = Ip::new(&ethernet);
    let mut texts = match &ip {
        Some(ip) => ip.texts(&ethernet),
        None => arp_text(&ethernet).into_iter().chain([ethernet.text()]).collect(),
    };
    match texts.iter().position(is_exact) {
        Some(exact) => texts.swap_remove(exact),
        None => format!("{} # inexact", texts.swap_remove(0)),
    }
}

/// A frame with its addresses and tags split off.
pub(super) struct Ethernet<'a> {
    frame: &'a [u8],
    source: Mac,
    destination: Mac,
    /// The source and destination that need not be named.
    pub(super) usual: [Mac; 2],
    tags: Vec<(EtherType, u16)>,
    pub(super) ether_type: EtherType,
    pub(super) rest: &'a [u8],
}

impl<'a> Ethernet<'a> {
    fn new(frame: &'a [u8], usual: [Mac; 2]) -> Option<Self> {
        let header = Ethernet2HeaderSlice::from_slice(frame).ok()?;
        let mut ethernet = Self {
            frame,
            source: Mac(header.source()),
            destination: Mac(header.destination()),
            usual,
            tags: Vec::new(),
            ether_type: header.ether_type(),
            rest: frame.get(14..)?,
        };
        while let (EtherType::VLAN_TAGGED_FRAME | EtherType::PROVIDER_BRIDGING, [t0, t1, e0, e1, rest @ ..]) =
            (ethernet.ether_type, ethernet.rest)
        {
            ethernet.tags.push((ethernet.ether_type, u16::from_be_bytes([*t0, *t1])));
            ethernet.ether_type = EtherType(u16::from_be_bytes([*e0, *e1]));
            ethernet.rest = rest;
        }
        Some(ethernet)
    }

    fn text(&self) -> String {
        let EtherType(ether_type) = self.ether_type;
        let mut text = format!("eth {} > {} type {ether_type:#06x}", self.source, self.destination);
        self.push_payload(&mut text, self.rest, 0);
        self.push_tags(&mut text);
        text
    }

    /// The addresses that are others than the usual ones.
    pub(super) fn push_macs(&self, text: &mut String, [source, destination]: [Mac; 2]) {
        if self.source != source {
            push(text, "src-mac", self.source);
        }
        if self.destination != destination {
            push(text, "dst-mac", self.destination);
        }
    }

    pub(super) fn push_tags(&self, text: &mut String) {
        for (tpid, tci) in &self.tags {
            let name = if *tpid == EtherType::VLAN_TAGGED_FRAME { "vlan" } else { "svlan" };
            push(text, name, tci & 0xfff);
            if tci >> 13 != 0 {
                push(text, "pcp", tci >> 13);
            }
            if tci & 0x1000 != 0 {
                text.push_str(" dei");
            }
        }
    }

    /// The payload of a packet that `pad` bytes follow.
    pub(super) fn push_payload(&self, text: &mut String, payload: &[u8], pad: usize) {
        let shown = payload.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if (1..=SHOWN_PAYLOAD).contains(&shown) {
            let shown = &payload[..shown];
            match str::from_utf8(shown) {
                Ok(shown) if shown.bytes().all(|byte| matches!(byte, b' '..=b'~')) => {
                    push(text, "payload", format_args!("{shown:?}"));
                }
                _ => push(text, "payload hex", Hex(shown)),
            }
        }
        if shown < payload.len() || shown > SHOWN_PAYLOAD {
            push(text, "len", self.frame.len());
        }
        if pad > 0 {
            push(text, "pad", pad);
        }
    }
}

fn arp_text(ethernet: &Ethernet<'_>) -> Option<String> {
    if ethernet.ether_type != EtherType::ARP {
        return None;
    }
    let slice = ArpPacketSlice::from_slice(ethernet.rest).ok()?;
    if slice.hw_addr_type() != ArpHardwareId::ETHERNET || slice.proto_addr_type() != EtherType::IPV4 {
        return None;
    }
    let arp = slice.to_packet().try_eth_ipv4().ok()?;
    let sender = Ipv4Addr::from(arp.sender_ipv4);
    let target = Ipv4Addr::from(arp.target_ipv4);
    let mut text;
    match arp.operation {
        ArpOperation::REQUEST => {
            text = format!("arp who-has {target} tell {sender}");
            ethernet.push_macs(&mut text, [ethernet.usual[0], Mac::BROADCAST]);
        }
        ArpOperation::REPLY => {
            let at = Mac(arp.sender_mac);
            text = format!("arp reply {sender} is-at {at} to {target}");
            ethernet.push_macs(&mut text, [at, ethernet.usual[1]]);
        }
        _ => return None,
    }
    let pad = ethernet.rest.len() - slice.slice().len();
    if pad > 0 {
        push(&mut text, "pad", pad);
    }
    ethernet.push_tags(&mut text);
    Some(text)
}

pub(super) fn push(text: &mut String, word: &str, value: impl fmt::Display) {
    // Writing to a String cannot fail.
    let _ = write!(text, " {word} {value}");
}

/// Bytes as pairs of hexadecimal digits.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
