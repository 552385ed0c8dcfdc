//! What a bridge looks at in a frame.

use swath_api::Packet;

const ETHERNET: usize = 14;
const TAG: usize = 4;
/// Types of the tags of 802.1Q and 802.1ad, as a little-endian load reads them.
const TAGS: [u16; 2] = [0x8100_u16.swap_bytes(), 0x88a8_u16.swap_bytes()];
const ADDRESS: u64 = 0xffff_ffff_ffff;

/// Addresses, VLAN and size of a frame. Addresses are as in a [`Key`](super::Key).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The address that it is for.
    pub destination: u64,
    /// The address that it is from.
    pub source: u64,
    /// The identifier in its outermost tag, 0 to 4095; 0 without a tag.
    pub vlan: u16,
    /// What it carries behind the Ethernet header and up to two tags, in bytes.
    pub payload: u16,
}

impl Header {
    /// Reads it. `None` if the frame is shorter than its header, or ends within its tag.
    #[inline(always)]
    pub fn read(packet: &Packet<'_>) -> Option<Header> {
        let len = packet.len();
        // Whatever lies behind a short frame's end is not looked at.
        let bytes = packet.peek::<{ ETHERNET + 2 * TAG }>();
        let (first, second) = (load(bytes, 0), load(bytes, 6));
        let header = |vlan, before: usize| Header {
            destination: first & ADDRESS,
            source: second & ADDRESS,
            vlan,
            payload: len.saturating_sub(before) as u16,
        };
        if !TAGS.contains(&((second >> 48) as u16)) {
            return (len >= ETHERNET).then(|| header(0, ETHERNET));
        }
        let vlan = u16::from_be_bytes([bytes[14], bytes[15]]) & 0xfff;
        let tags = 1 + usize::from(TAGS.contains(&u16::from_le_bytes([bytes[16], bytes[17]])));
        (len >= ETHERNET + TAG).then(|| header(vlan, ETHERNET + tags * TAG))
    }
}

/// Eight bytes in one load.
#[inline(always)]
fn load(bytes: &[u8; ETHERNET + 2 * TAG], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// Whether it is a group address: the I/G bit, the first on the wire.
#[inline]
pub fn is_group(address: u64) -> bool {
    address & 1 != 0
}

/// Whether it is one of 01:80:c2:00:00:00 to 0f, which bridges keep to the link that they are on (IEEE 802.1D-2004 §7.12.6).
#[inline]
pub fn is_reserved(address: u64) -> bool {
    address & !(0xf << 40) == 0x0000_00c2_8001
}

/// That of PAUSE frames (IEEE 802.3 annex 31B), which no bridge of any kind forwards.
pub const PAUSE: u64 = 0x0100_00c2_8001;
