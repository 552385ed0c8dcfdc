//! Work that a sender in the same kernel has left to the receiver of a frame: checksums, and cutting into segments.
//!
//! A kernel spares itself both where it takes the receiver for a network card. With each frame comes a header that says what is left to
//! do (virtio 1.2 §5.1.6). All of it is input: packet sockets let anybody forge it.

mod segment;
#[cfg(test)]
mod tests;

pub use segment::Segments;
use swath_api::wire::checksum::{Sum, nonzero};

/// The header in front of each frame: `struct virtio_net_hdr`, in the byte order of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VnetHeader {
    /// Bit 0: the checksum is not complete. Bit 1: it is known to be right.
    pub flags: u8,
    /// What the frame is to be cut into, if anything.
    pub gso_type: u8,
    /// Bytes of headers, as a hint that nobody should trust.
    pub hdr_len: u16,
    /// Bytes of payload in each segment but the last.
    pub gso_size: u16,
    /// Where the checksum begins to count, from the frame's first byte.
    pub csum_start: u16,
    /// Where it stands, from there on.
    pub csum_offset: u16,
}

impl VnetHeader {
    /// Its length in bytes.
    pub const LEN: usize = 10;
    /// `flags`: the checksum field holds the sum of the pseudo header only.
    pub const NEEDS_CSUM: u8 = 1;
    /// `gso_type`: nothing is to be cut.
    pub const GSO_NONE: u8 = 0;
    /// `gso_type`: TCP over IPv4.
    pub const GSO_TCPV4: u8 = 1;
    /// `gso_type`: TCP over IPv6.
    pub const GSO_TCPV6: u8 = 4;
    /// `gso_type`: UDP datagrams, each with its own header, over IPv4 or IPv6.
    pub const GSO_UDP_L4: u8 = 5;
    /// Bit of `gso_type`: TCP with congestion notification.
    pub const GSO_ECN: u8 = 0x80;

    /// From its bytes.
    pub fn from_bytes(bytes: &[u8; VnetHeader::LEN]) -> VnetHeader {
        let word = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        VnetHeader {
            flags: bytes[0],
            gso_type: bytes[1],
            hdr_len: word(2),
            gso_size: word(4),
            csum_start: word(6),
            csum_offset: word(8),
        }
    }

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; VnetHeader::LEN] {
        let mut bytes = [self.flags, self.gso_type, 0, 0, 0, 0, 0, 0, 0, 0];
        let words = [self.hdr_len, self.gso_size, self.csum_start, self.csum_offset];
        for (place, word) in bytes[2..].as_chunks_mut::<2>().0.iter_mut().zip(words) {
            *place = word.to_ne_bytes();
        }
        bytes
    }
}

/// A frame as the kernel hands it over.
#[derive(Debug, Clone, Copy)]
pub struct Handed<'a> {
    /// What is left to do.
    pub header: VnetHeader,
    /// The frame, without its outermost VLAN tag if the kernel has taken that off.
    pub frame: &'a [u8],
    /// The tag that it has taken off: tag protocol identifier, tag control information.
    pub tag: Option<[u8; 4]>,
}

/// Bytes of both MAC addresses, behind which a VLAN tag stands.
const MACS: usize = 12;

impl Handed<'_> {
    /// The frame's length with its tag.
    pub fn len(&self) -> usize {
        self.frame.len() + self.tag.map_or(0, |tag| tag.len())
    }

    /// Whether there is no byte in it.
    pub fn is_empty(&self) -> bool {
        self.frame.is_empty()
    }

    /// Writes the first `count` bytes of the frame, and its tag. Returns what was written. `None` if there is no room, or they do not
    /// hold the place of the tag.
    fn write_head(&self, count: usize, out: &mut [u8]) -> Option<usize> {
        let Some(tag) = self.tag else {
            out.get_mut(..count)?.copy_from_slice(self.frame.get(..count)?);
            return Some(count);
        };
        let (macs, rest) = self.frame.get(..count)?.split_at_checked(MACS)?;
        out.get_mut(..MACS)?.copy_from_slice(macs);
        out.get_mut(MACS..MACS + tag.len())?.copy_from_slice(&tag);
        out.get_mut(MACS + tag.len()..count + tag.len())?.copy_from_slice(rest);
        Some(count + tag.len())
    }

    /// Writes the whole frame with its tag, its checksum complete. Returns its length; `None` if there is no room.
    pub fn write(&self, checksum: Option<Checksum>, out: &mut [u8]) -> Option<usize> {
        let len = self.write_head(self.frame.len(), out)?;
        if let Some(Checksum { start, offset }) = checksum {
            // Never 0, in UDP or not: the kernel does it so, and elsewhere both are the same number.
            complete(&mut out[len - self.frame.len() + start..len], offset, nonzero);
        }
        Some(len)
    }
}

/// A checksum that is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checksum {
    /// Where it begins to count.
    start: usize,
    /// Where it stands, from there on.
    offset: usize,
}

/// What is to be done with a frame.
#[derive(Debug, Clone)]
pub enum Work {
    /// It is one packet, whose checksum may have to be completed.
    Whole(Option<Checksum>),
    /// It is several packets.
    Segments(Segments),
}

/// What is left to do cannot be done: the header and the frame do not belong together, or nobody knows how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadOffload;

impl Work {
    /// What is to be done with a frame.
    ///
    /// # Errors
    /// It cannot be done.
    pub fn new(handed: &Handed<'_>) -> Result<Work, BadOffload> {
        let VnetHeader { flags, gso_type, csum_start, csum_offset, .. } = handed.header;
        let mut checksum = None;
        if flags & VnetHeader::NEEDS_CSUM != 0 {
            let (start, offset) = (usize::from(csum_start), usize::from(csum_offset));
            if start + offset + 2 > handed.frame.len() || start < MACS {
                return Err(BadOffload);
            }
            checksum = Some(Checksum { start, offset });
        }
        if gso_type == VnetHeader::GSO_NONE {
            return Ok(Work::Whole(checksum));
        }
        Segments::new(handed, checksum).map(Work::Segments)
    }
}

/// Completes a checksum over `bytes`, whose field holds the sum of what else it covers, in the form that the protocol asks for.
fn complete(bytes: &mut [u8], offset: usize, form: fn(u16) -> u16) {
    let checksum = form(Sum::new().add_bytes(bytes).checksum());
    if let Some(field) = bytes.get_mut(offset..offset + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}
