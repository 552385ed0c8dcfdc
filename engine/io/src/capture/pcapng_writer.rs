//! Writes captures in the pcapng format, little-endian, with nanosecond timestamps and a comment for each packet (draft-ietf-opsawg-pcapng).

use std::io::{self, BufWriter, Write};

use super::LinkType;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

const OPT_END: u16 = 0;
const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;

/// The longest comment, in bytes: an option has 16 bits for its length.
const LONGEST: usize = 4096;

/// Writes packets of several interfaces as a pcapng capture, each interface described before its first packet.
///
/// Output is buffered: [`flush`](Self::flush) hands on what was written so far, which is a whole capture at any time.
pub struct PcapngWriter<W: Write> {
    out: BufWriter<W>,
    interfaces: Vec<(String, LinkType)>,
}

/// A packet of a capture.
#[derive(Debug, Clone, Copy)]
pub struct Captured<'a> {
    /// The interface that it is said to be of, and what packets of it begin with.
    pub interface: (&'a str, LinkType),
    /// When, in nanoseconds since 1970.
    pub timestamp_ns: u64,
    /// Its length, of which `bytes` may be the beginning.
    pub length: usize,
    /// The bytes that are kept.
    pub bytes: &'a [u8],
    /// What there is to say of it; empty for nothing.
    pub comment: &'a str,
}

impl<W: Write> PcapngWriter<W> {
    /// Writes the section header, which names the program.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn new(out: W, program: &str) -> io::Result<Self> {
        let mut writer = Self { out: BufWriter::with_capacity(64 << 10, out), interfaces: Vec::new() };
        let mut body = Vec::new();
        body.extend(0x1a2b_3c4d_u32.to_le_bytes());
        body.extend([1, 0, 0, 0]); // version 1.0
        body.extend((-1_i64).to_le_bytes()); // a section of any length
        option(&mut body, SHB_USERAPPL, program.as_bytes());
        option(&mut body, OPT_END, &[]);
        writer.block(SECTION_HEADER, &body)?;
        Ok(writer)
    }

    /// Writes a packet, behind the description of its interface if that is new.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn write(&mut self, packet: &Captured<'_>) -> io::Result<()> {
        let interface = self.interface(packet.interface)?;
        let mut body = Vec::with_capacity(64 + packet.bytes.len() + packet.comment.len());
        body.extend(interface.to_le_bytes());
        body.extend(((packet.timestamp_ns >> 32) as u32).to_le_bytes());
        body.extend((packet.timestamp_ns as u32).to_le_bytes());
        body.extend((packet.bytes.len() as u32).to_le_bytes());
        body.extend((packet.length as u32).to_le_bytes());
        body.extend(packet.bytes);
        pad(&mut body);
        if !packet.comment.is_empty() {
            let cut = packet.comment.floor_char_boundary(LONGEST);
            option(&mut body, OPT_COMMENT, &packet.comment.as_bytes()[..cut]);
            option(&mut body, OPT_END, &[]);
        }
        self.block(ENHANCED_PACKET, &body)
    }

    /// Hands everything written so far to the output.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn interface(&mut self, (name, link): (&str, LinkType)) -> io::Result<u32> {
        if let Some(at) = self.interfaces.iter().position(|(known, its)| known == name && *its == link) {
            return Ok(at as u32);
        }
        let mut body = Vec::new();
        body.extend(link.0.to_le_bytes());
        body.extend([0; 6]); // reserved, and no limit of length
        option(&mut body, IF_NAME, name.as_bytes());
        option(&mut body, IF_TSRESOL, &[9]);
        option(&mut body, OPT_END, &[]);
        self.block(INTERFACE_DESCRIPTION, &body)?;
        self.interfaces.push((name.into(), link));
        Ok(self.interfaces.len() as u32 - 1)
    }

    fn block(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let length = body.len() as u32 + 12;
        self.out.write_all(&kind.to_le_bytes())?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(body)?;
        self.out.write_all(&length.to_le_bytes())
    }
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    pad(body);
}

/// Blocks and options are made of 32 bits.
fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
    use pcap_file::pcapng::blocks::opt_common::CommonOption;
    use pcap_file::pcapng::{Block, PcapNgReader};

    #[test]
    fn another_reader_finds_what_was_written() {
        let mut written = Vec::new();
        {
            let mut writer = PcapngWriter::new(&mut written, "swath test").unwrap();
            let long = "ä".repeat(LONGEST);
            for (interface, timestamp_ns, bytes, comment) in [
                (("lan", LinkType::ETHERNET), 1_700_000_000_123_456_789, &b"abcdef"[..], "lookup.no-route"),
                (("lan", LinkType::RAW), 1, b"", ""),
                (("lan", LinkType::ETHERNET), u64::from(u32::MAX) + 2, b"xyz", &long),
            ] {
                writer.write(&Captured { interface, timestamp_ns, length: bytes.len() + 7, bytes, comment }).unwrap();
            }
            writer.flush().unwrap();
        }
        let mut reader = PcapNgReader::new(&written[..]).unwrap();
        let mut packets = Vec::new();
        while let Some(block) = reader.next_block() {
            if let (Block::EnhancedPacket(packet), _) = block.unwrap() {
                let comment = packet.options.iter().find_map(|option| match option {
                    EnhancedPacketOption::Common(CommonOption::Comment(text)) => Some(text.to_string()),
                    _ => None,
                });
                packets.push((packet.interface_id, packet.timestamp, packet.original_len, packet.data.to_vec(), comment));
            }
        }
        let interfaces: Vec<_> = reader.interfaces().iter().map(|interface| u32::from(interface.linktype)).collect();
        assert_eq!(interfaces, [1, 101]);
        let time = std::time::Duration::from_nanos;
        assert_eq!(packets[0], (0, time(1_700_000_000_123_456_789), 13, b"abcdef".to_vec(), Some("lookup.no-route".into())));
        assert_eq!(packets[1], (1, time(1), 7, Vec::new(), None));
        assert_eq!(packets[2], (0, time(u64::from(u32::MAX) + 2), 10, b"xyz".to_vec(), Some("ä".repeat(LONGEST / 2))));
        assert_eq!(packets.len(), 3);
        // The reader of this crate knows it, too.
        let mut reader = super::super::Reader::new("written", &written[..]).unwrap();
        assert_eq!(reader.next_record().unwrap().unwrap().timestamp_ns, 1_700_000_000_123_456_789);
    }
}
