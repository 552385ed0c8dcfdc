//! What the kernels are told: plain data, prepared when a graph is built.

use super::{HEAD_MIN, WINDOW};

/// Most EtherTypes that an [`EthCheck`] tells apart.
pub const ETHER_TYPES_MAX: usize = 8;

/// What `eth_check` looks for, and the edge for each finding. The first that applies decides:
///
/// 1. shorter than 14 bytes: `too_short`;
/// 2. a destination that is neither `mac` nor a group address: `not_ours`;
/// 3. a listed EtherType: its edge, or that of [`EthCheck::group`], and the packet is advanced by 14;
/// 4. anything else: `other`, as it is.
///
/// A packet whose window would leave its chunk if it were advanced goes to `other` too: nobody nests
/// headers that deep.
#[derive(Clone, Debug)]
pub struct EthCheck {
    pub(super) mac: u64,
    pub(super) types: [(u16, u16); ETHER_TYPES_MAX],
    pub(super) count: usize,
    pub(super) other: u16,
    pub(super) not_ours: u16,
    pub(super) too_short: u16,
    pub(super) max_offset: u16,
    pub(super) group: (u16, u16),
}

impl EthCheck {
    /// A check for frames to `mac` (six bytes as a little-endian load) in chunks of `chunk` bytes.
    ///
    /// `types` are pairs of an EtherType in network order, as loaded, and its edge; of two pairs
    /// with the same type the first counts. `None` if there are more than [`ETHER_TYPES_MAX`].
    pub fn new(mac: u64, types: &[(u16, u16)], other: u16, not_ours: u16, too_short: u16, chunk: usize) -> Option<EthCheck> {
        let mut list = [(0, 0); ETHER_TYPES_MAX];
        list.get_mut(..types.len())?.copy_from_slice(types);
        Some(EthCheck {
            mac: mac & MAC_MASK,
            types: list,
            count: types.len(),
            other,
            not_ours,
            too_short,
            max_offset: max_offset(chunk),
            // What they get anyway.
            group: types.first().copied().unwrap_or((0, other)),
        })
    }

    /// With another edge for frames to group addresses that have this EtherType, in network order, if it is a listed one.
    #[must_use]
    pub fn group(mut self, ether_type: u16, edge: u16) -> EthCheck {
        if self.types().iter().any(|(listed, _)| *listed == ether_type) {
            self.group = (ether_type, edge);
        }
        self
    }

    /// The EtherTypes and their edges.
    #[inline]
    pub(super) fn types(&self) -> &[(u16, u16)] {
        &self.types[..self.count]
    }
}

/// The largest offset of a frame in a chunk of so many bytes whose window stays inside when its header is off.
pub(super) fn max_offset(chunk: usize) -> u16 {
    u16::try_from(chunk.saturating_sub(WINDOW + ETHER_LEN)).unwrap_or(u16::MAX)
}

/// The six bytes of an address in a little-endian word.
pub(super) const MAC_MASK: u64 = (1 << 48) - 1;

/// An Ethernet header.
pub(super) const ETHER_LEN: usize = 14;

/// What is added to a descriptor to advance it past an Ethernet header, and taken from it to put
/// one in front: the offset grows by 14, the length shrinks by 14.
pub(super) const ETHER_STEP: u64 = ((ETHER_LEN as u64) << 16) - ETHER_LEN as u64;

/// The least offset of an IPv4 packet that has room for an Ethernet header in front.
pub(super) const FORWARD_OFFSET_MIN: u64 = (HEAD_MIN + ETHER_LEN) as u64;

/// An IPv4 header without options.
pub(super) const IP4_LEN: usize = 20;

/// What `ip4_check` finds in a packet; the order of the checks is that of RFC 1812, 5.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Ip4Class {
    /// A good header without options.
    Ok = 0,
    /// A good header with options.
    Options = 1,
    /// Fewer bytes than a header, or than the total length says.
    TooShort = 2,
    /// The version is not 4.
    BadVersion = 3,
    /// The header length is below 20 bytes.
    BadHeaderLength = 4,
    /// The total length is below the header's.
    BadLength = 5,
    /// The header's checksum is wrong.
    BadChecksum = 6,
    /// A good header, with options or not, whose source is no host's: network 0 or 127, class D or E (RFC 1812, 5.3.7). From
    /// 0.0.0.0 to 255.255.255.255 speaks a host that does not know its address yet (4.2.2.11): it is good.
    BadSource = 7,
}

impl Ip4Class {
    /// Every class, at the index that is its discriminant.
    pub const ALL: [Ip4Class; 8] = [
        Ip4Class::Ok,
        Ip4Class::Options,
        Ip4Class::TooShort,
        Ip4Class::BadVersion,
        Ip4Class::BadHeaderLength,
        Ip4Class::BadLength,
        Ip4Class::BadChecksum,
        Ip4Class::BadSource,
    ];
}

/// An adjacency: the Ethernet header that goes in front, and where the packet then leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(32))]
pub struct EthRewrite {
    /// Destination, source and type, as on the wire.
    pub header: [u8; 14],
    /// The longest IP packet that may leave.
    pub mtu: u16,
    /// The interface to leave by.
    pub tx: u16,
    /// 0 until the neighbour's address is known.
    pub ready: u16,
    /// Initialised, because kernels load entries whole.
    pad: [u8; 12],
}

impl EthRewrite {
    /// An entry.
    #[inline]
    pub const fn new(header: [u8; 14], mtu: u16, tx: u16, ready: bool) -> EthRewrite {
        EthRewrite { header, mtu, tx, ready: ready as u16, pad: [0; 12] }
    }
}

const _: () = assert!(size_of::<EthRewrite>() == 32 && align_of::<EthRewrite>() == 32);

/// The edges of `ip4_forward`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardIds {
    /// Rewritten, to be sent.
    pub ok: u16,
    /// The TTL is used up.
    pub ttl_expired: u16,
    /// Longer than the link's MTU.
    pub too_big: u16,
    /// The neighbour's address is not known.
    pub unresolved: u16,
    /// No IPv4 header, no such adjacency, or no room for the header.
    pub bad: u16,
}
