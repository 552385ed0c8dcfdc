//! Packets given one by one: from text, or from a capture.

use std::path::Path;

use swath_api::ConfigError;
use swath_api::wire::checksum::update_u16;
use swath_api::wire::{Header, MacAddr, Udp};

use super::Source;
use super::stamp::{STAMP, stamped_checksum, udp_at};
use crate::capture::{LinkType, Reader};
use crate::text::{Mac, TextPacket};

/// Frames, each of which is a flow.
#[derive(Debug)]
pub(super) struct Frames(Vec<Frame>);

#[derive(Debug)]
struct Frame {
    bytes: Box<[u8]>,
    stamp: Option<Place>,
}

/// Where a stamp goes.
#[derive(Debug, Clone, Copy)]
struct Place {
    udp: usize,
    /// The checksum of the datagram with zeros in the place of the stamp.
    checksum: u16,
}

/// What frames have to be like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits<'a> {
    /// The interface that they come in on.
    pub interface: &'a str,
    /// Bytes that a buffer takes.
    pub room: usize,
    /// Whether they are stamped.
    pub stamp: bool,
}

impl Frames {
    /// Packets in text form.
    pub fn from_text(texts: &[String], src: MacAddr, dst: MacAddr, limits: &Limits<'_>) -> Result<Frames, ConfigError> {
        let frames = texts.iter().enumerate().map(|(index, text)| {
            let refuse = |message: String| ConfigError::at(format!("generate.packets[{index}]"), message);
            let packet = TextPacket::parse(text).map_err(|error| refuse(error.to_string()))?;
            if let Some(via) = packet.via().filter(|via| *via != limits.interface) {
                return Err(refuse(format!("`via {via}` is another interface than this one: leave it out")));
            }
            Frame::new(packet.frame_with(Mac(src.octets()), Mac(dst.octets())), limits).map_err(refuse)
        });
        Frames::at_least_one(frames.collect::<Result<_, _>>()?, "generate.packets")
    }

    /// The records of a capture.
    pub fn from_file(path: &Path, limits: &Limits<'_>) -> Result<Frames, ConfigError> {
        let refuse = |message: String| ConfigError::at("generate.file", message);
        let mut reader = Reader::open(path).map_err(|error| refuse(error.to_string()))?;
        let mut frames = Vec::new();
        while let Some(record) = reader.next_record().map_err(|error| refuse(error.to_string()))? {
            let number = frames.len() + 1;
            let refuse = |what: String| refuse(format!("{}: packet {number}: {what}", path.display()));
            if record.link_type != LinkType::ETHERNET {
                return Err(refuse(format!("{} instead of Ethernet", record.link_type)));
            }
            frames.push(Frame::new(record.data.to_vec(), limits).map_err(refuse)?);
        }
        Frames::at_least_one(frames, "generate.file")
    }

    fn at_least_one(frames: Vec<Frame>, path: &str) -> Result<Frames, ConfigError> {
        if frames.is_empty() { Err(ConfigError::at(path, "there are no packets")) } else { Ok(Frames(frames)) }
    }
}

impl Frame {
    fn new(mut bytes: Vec<u8>, limits: &Limits<'_>) -> Result<Frame, String> {
        if bytes.len() > limits.room {
            return Err(format!("{} bytes, and a buffer takes {}", bytes.len(), limits.room));
        }
        let stamp = if limits.stamp { Some(Place::prepare(&mut bytes)?) } else { None };
        Ok(Frame { bytes: bytes.into(), stamp })
    }
}

impl Place {
    /// Makes room for a stamp: zeros, which the checksum counts.
    fn prepare(frame: &mut [u8]) -> Result<Place, String> {
        let refusal = || format!("a stamp needs a whole UDP datagram with a payload of {STAMP} bytes or more");
        let udp = udp_at(frame).ok_or_else(refusal)?;
        let (header, payload) =
            frame.get_mut(udp..).ok_or_else(refusal).and_then(|at| Udp::parse_mut(at).map_err(|_| refusal()))?;
        let stamp = payload.first_chunk_mut::<STAMP>().ok_or_else(refusal)?;
        let words = stamp.as_chunks::<2>().0.iter().map(|word| u16::from_be_bytes(*word));
        // As it was, right or wrong: a checksum of 0 stays none.
        let checksum = match header.checksum() {
            0 => 0,
            checksum => words.fold(checksum, |checksum, word| update_u16(checksum, word, 0)),
        };
        stamp.fill(0);
        Ok(Place { udp, checksum })
    }

    fn write(self, stamp: &[u8; STAMP], frame: &mut [u8]) {
        let Some((header, payload)) = frame.get_mut(self.udp..).and_then(|at| Udp::parse_mut(at).ok()) else { return };
        // A sum of zero is written as all ones in `checksum`, so that it is not taken for none.
        header.set_checksum(stamped_checksum(self.checksum, stamp));
        if let Some(place) = payload.first_chunk_mut() {
            *place = *stamp;
        }
    }
}

impl Source for Frames {
    fn flows(&self) -> u32 {
        self.0.len() as u32
    }

    fn sizes(&self) -> u32 {
        1
    }

    #[inline]
    fn write(&self, flow: u32, _: u32, stamp: Option<&[u8; STAMP]>, data: &mut [u8]) -> usize {
        let frame = &self.0[flow as usize];
        let Some(data) = data.get_mut(..frame.bytes.len()) else { return 0 };
        data.copy_from_slice(&frame.bytes);
        if let Some((place, stamp)) = frame.stamp.zip(stamp) {
            place.write(stamp, data);
        }
        data.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::memory::stamp::Stamp;

    const LIMITS: Limits<'_> = Limits { interface: "lan", room: 2048, stamp: false };
    const MAC: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 9]);

    fn frames(texts: &[&str], limits: &Limits<'_>) -> Result<Frames, ConfigError> {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        Frames::from_text(&texts, MacAddr::new(Mac::SOURCE.0), MAC, limits)
    }

    #[test]
    fn what_is_wrong_with_a_text_is_said_with_its_place() {
        let refused = |texts: &[&str], limits| frames(texts, limits).unwrap_err().to_string();
        assert_eq!(refused(&[], &LIMITS), "generate.packets: there are no packets");
        assert_eq!(
            refused(&["udp 1.2.3.4:5 > 1.2.3.5:6 via wan"], &LIMITS),
            "generate.packets[0]: `via wan` is another interface than this one: leave it out"
        );
        assert_eq!(
            refused(&["udp 1.2.3.4:5 > 1.2.3.5:6 via lan", "udp 1.2.3.4:5 > 1.2.3.5:6 len 2049"], &LIMITS),
            "generate.packets[1]: 2049 bytes, and a buffer takes 2048"
        );
        assert!(refused(&["upd 1.2.3.4:5 > 1.2.3.5:6"], &LIMITS).starts_with("generate.packets[0]: column 1: "));
        let stamped = Limits { stamp: true, ..LIMITS };
        for text in ["udp 1.2.3.4:5 > 1.2.3.5:6 len 57", "tcp 1.2.3.4:5 > 1.2.3.5:6 len 100"] {
            assert_eq!(
                refused(&[text], &stamped),
                "generate.packets[0]: a stamp needs a whole UDP datagram with a payload of 16 bytes or more"
            );
        }
    }

    #[test]
    fn stamped_frames_keep_what_their_checksum_was() {
        let stamp = Stamp { interface: 3, flow: 70_000, sequence: 1 << 40 };
        let base = "udp 10.0.0.1:1000 > 10.1.0.1:53 payload \"0123456789abcdef and more\"";
        let v6 = "udp [2001:db8::1]:1000 > [2001:db8::2]:53 payload \"0123456789abcdefg\"";
        for (text, ok) in [
            (base.to_owned(), Some(true)),
            (format!("{base} vlan 5"), Some(true)),
            (v6.to_owned(), Some(true)),
            (format!("{base} bad-checksum"), Some(false)),
            (format!("{base} no-checksum"), None),
        ] {
            let frames = frames(&[&text], &Limits { stamp: true, ..LIMITS }).unwrap();
            let mut data = [0xee; 256];
            let len = frames.write(0, 0, Some(&stamp.to_bytes()), &mut data);
            let (frame, original) = (&data[..len], TextPacket::parse(&text).unwrap().frame_with(Mac::SOURCE, Mac(MAC.octets())));
            assert_eq!(len, original.len());
            assert_eq!(Stamp::of(frame), Some(stamp));
            let sliced = etherparse::PacketHeaders::from_ethernet_slice(frame).unwrap();
            let (Some(net), Some(etherparse::TransportHeader::Udp(udp))) = (sliced.net, sliced.transport) else { panic!("{text}") };
            let payload = sliced.payload.slice();
            let computed = match net {
                etherparse::NetHeaders::Ipv4(ip, _) => udp.calc_checksum_ipv4(&ip, payload).unwrap(),
                etherparse::NetHeaders::Ipv6(ip, _) => udp.calc_checksum_ipv6(&ip, payload).unwrap(),
                etherparse::NetHeaders::Arp(_) => panic!("{text}"),
            };
            match ok {
                Some(ok) => assert_eq!(udp.checksum == computed, ok, "{text}"),
                None => assert_eq!(udp.checksum, 0, "{text}"),
            }
        }
    }
}
