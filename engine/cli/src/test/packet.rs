//! The packets of tests: what comes in, and what is expected to leave.

use swath_io::capture::{Flow, LinkType, Record};
use swath_io::text::{Mac, TextPacket, describe_with};

/// The shortest Ethernet frame without its check sequence (IEEE 802.3 §3.2.8, §4.2.3.3): shorter ones are padded.
const SHORTEST: usize = 60;

/// A packet of a test.
#[derive(Debug, Clone)]
pub struct Packet {
    /// What it is.
    pub content: Content,
    /// The line of the graph file.
    pub line: usize,
    /// The capture that it is from, and its number there, from 1 on.
    pub capture: Option<(String, usize)>,
}

/// What a packet is.
#[derive(Debug, Clone)]
pub enum Content {
    /// A text, which may leave addresses open.
    Text(TextPacket),
    /// A whole frame: digits, or the record of a capture.
    Bytes(Vec<u8>),
}

impl Packet {
    /// The frame as an interface of this address receives it.
    pub fn received(&self, own: Mac) -> Vec<u8> {
        match &self.content {
            Content::Text(text) => text.frame_with(Mac::SOURCE, own),
            Content::Bytes(bytes) => bytes.clone(),
        }
    }

    /// The frame as an interface of this address is expected to send it. A destination that is left open is this one.
    pub fn sent(&self, own: Mac, destination: Mac) -> Vec<u8> {
        match &self.content {
            Content::Text(text) => text.frame_with(own, destination),
            Content::Bytes(bytes) => bytes.clone(),
        }
    }

    /// Whether this is the frame that an interface of this address was expected to send.
    pub fn is(&self, frame: &[u8], own: Mac) -> bool {
        if let Content::Bytes(bytes) = &self.content {
            return *bytes == frame;
        }
        let Some(rest) = frame.strip_prefix(&*self.in_place_of(frame, own)) else { return false };
        // Padding is of zeros (RFC 894, RFC 1042): anything else is what was in the buffer before.
        rest.is_empty() || frame.len() == SHORTEST && rest.iter().all(|byte| *byte == 0)
    }

    /// The frame as it is expected in the place of another, whose destination it has if that is left open.
    pub fn in_place_of(&self, frame: &[u8], own: Mac) -> Vec<u8> {
        self.sent(own, destination(frame))
    }

    /// Its text as that of a packet to send, and that of a frame in its place. What the text of the packet leaves open is not
    /// named in either.
    pub fn beside(&self, frame: &[u8], own: Mac) -> [String; 2] {
        let there = destination(frame);
        let wanted = self.in_place_of(frame, own);
        let [source, destination] = match &self.content {
            Content::Text(text) => [
                text.source().map_or(own, |named| neither(named, frame)),
                text.destination().map_or(there, |named| neither(named, frame)),
            ],
            Content::Bytes(_) => [own, neither(there, &wanted)],
        };
        [&*wanted, frame].map(|frame| describe_with(frame, source, destination))
    }

    /// Its text as that of a packet to send.
    pub fn text(&self, own: Mac) -> String {
        match &self.content {
            Content::Text(text) if text.destination().is_none() => {
                describe_with(&self.sent(own, Mac::DESTINATION), own, Mac::DESTINATION)
            }
            _ => text_of(&self.sent(own, Mac::DESTINATION), own),
        }
    }

    /// Its flow, as far as it is known.
    pub fn flow(&self, own: Mac) -> Flow {
        flow(&self.sent(own, Mac::DESTINATION))
    }

    /// Where it is written: `line 7`, or `line 7: in.pcap, packet 3`.
    pub fn origin(&self) -> String {
        match &self.capture {
            None => format!("line {}", self.line),
            Some((path, number)) => format!("line {}: {path}, packet {number}", self.line),
        }
    }
}

/// The text of a frame that an interface of this address has sent: what would have to be written to expect it.
pub fn text_of(frame: &[u8], own: Mac) -> String {
    describe_with(frame, own, neither(destination(frame), frame))
}

/// The text of a frame that an interface of this address has received.
pub fn text_of_received(frame: &[u8], own: Mac) -> String {
    describe_with(frame, Mac::SOURCE, own)
}

/// The flow of a frame.
pub fn flow(frame: &[u8]) -> Flow {
    Flow::of(&Record {
        timestamp_ns: 0,
        interface: 0,
        original_len: u32::try_from(frame.len()).unwrap_or(u32::MAX),
        link_type: LinkType::ETHERNET,
        data: frame,
    })
}

fn destination(frame: &[u8]) -> Mac {
    frame.first_chunk().map_or(Mac::DESTINATION, |mac| Mac(*mac))
}

/// An address that is neither this one nor in the header of that frame, so that these are named.
fn neither(named: Mac, frame: &[u8]) -> Mac {
    let header = |at: usize| frame.get(at..at + 6);
    let is_free = |mac: &Mac| *mac != named && header(0) != Some(&mac.0) && header(6) != Some(&mac.0);
    (0..4).map(|last| Mac([0, 0, 0, 0, 0, last])).find(is_free).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Mac = Mac([2, 0, 0, 0, 2, 1]);
    const PEER: Mac = Mac([2, 0, 0, 0, 2, 2]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 9, 9]);

    fn packet(text: &str) -> Packet {
        Packet { content: Content::Text(TextPacket::parse(text).unwrap()), line: 1, capture: None }
    }

    fn frame(text: &str, source: Mac, destination: Mac) -> Vec<u8> {
        TextPacket::parse(text).unwrap().frame_with(source, destination)
    }

    #[test]
    fn the_source_is_the_interfaces_own_and_the_destination_open_unless_they_are_named() {
        let udp = "udp 10.0.0.1:1 > 10.0.0.2:2";
        let is = |text: &str, source, destination| packet(text).is(&frame(udp, source, destination), OWN);
        assert!(is(udp, OWN, PEER) && is(udp, OWN, OTHER));
        assert!(!is(udp, OTHER, PEER));
        let named = format!("{udp} dst-mac {PEER}");
        assert!(is(&named, OWN, PEER) && !is(&named, OWN, OTHER));
        let bridged = format!("{udp} src-mac {OTHER} dst-mac {PEER}");
        assert!(is(&bridged, OTHER, PEER) && !is(&bridged, OWN, PEER));
    }

    #[test]
    fn an_arp_message_names_the_addresses_of_its_header() {
        let request = "arp who-has 10.0.0.2 tell 10.0.0.1";
        assert!(packet(request).is(&frame(request, OWN, PEER), OWN));
        assert!(!packet(request).is(&frame(&format!("{request} dst-mac {PEER}"), OWN, PEER), OWN), "not broadcast");
        let reply = format!("arp reply 10.0.0.1 is-at {OWN} to 10.0.0.2");
        assert!(packet(&reply).is(&frame(&reply, OWN, PEER), OWN));
        let mut other_target = frame(&reply, OWN, PEER);
        other_target[32..38].copy_from_slice(&OTHER.0);
        assert!(!packet(&reply).is(&other_target, OWN), "the target is who the frame goes to");
    }

    #[test]
    fn padding_is_of_zeros_up_to_the_shortest_frame() {
        let udp = "udp 10.0.0.1:1 > 10.0.0.2:2";
        let mut padded = frame(&format!("{udp} pad 18"), OWN, PEER);
        assert!(padded.len() == SHORTEST && packet(udp).is(&padded, OWN));
        padded[59] = 1;
        assert!(!packet(udp).is(&padded, OWN));
        assert!(!packet(udp).is(&frame(&format!("{udp} pad 17"), OWN, PEER), OWN));
        assert!(!packet(udp).is(&frame(&format!("{udp} pad 19"), OWN, PEER), OWN));
        assert!(!packet(&format!("{udp} pad 18")).is(&frame(udp, OWN, PEER), OWN));
        let exact = Packet { content: Content::Bytes(frame(udp, OWN, PEER)), ..packet(udp) };
        assert!(exact.is(&frame(udp, OWN, PEER), OWN));
        assert!(!exact.is(&frame(&format!("{udp} pad 18"), OWN, PEER), OWN));
    }

    #[test]
    fn texts_name_what_they_must() {
        let udp = "udp 10.0.0.1:1 > 10.0.0.2:2";
        let sent = frame(udp, OWN, PEER);
        assert_eq!(text_of(&sent, OWN), format!("{udp} dst-mac {PEER}"));
        assert_eq!(packet(udp).text(OWN), udp);
        assert_eq!(packet(udp).beside(&sent, OWN), [udp, udp]);
        let stray = frame(udp, OTHER, PEER);
        assert_eq!(packet(udp).beside(&stray, OWN), [udp.to_owned(), format!("{udp} src-mac {OTHER}")]);
        let named = packet(&format!("{udp} dst-mac {OTHER}"));
        assert_eq!(named.beside(&sent, OWN), [format!("{udp} dst-mac {OTHER}"), format!("{udp} dst-mac {PEER}")]);
    }
}
