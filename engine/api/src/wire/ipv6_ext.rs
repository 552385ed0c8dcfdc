//! The chain of IPv6 extension headers (RFC 8200 §4), walked within bounds.
//!
//! Known are hop-by-hop options, routing, destination options, fragment and AH. Any other next
//! header is the upper protocol: also ESP, behind which everything is encrypted, and "no next
//! header".

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Header, IpProtocol, WireError, accessors, ipv6};

/// How many extension headers are walked. RFC 8200 §4.1 lists 7 in its recommended order, ESP
/// included.
pub const MAX_EXTENSION_HEADERS: usize = 8;

/// How many bytes of extension headers are walked: what fits with the IPv6 header into 1280 bytes,
/// which every link carries (RFC 8200 §5). The first fragment must hold the whole chain (RFC 7112).
pub const MAX_EXTENSION_BYTES: usize = 1280 - ipv6::FIXED;

/// What the chain carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper {
    /// The protocol. In a fragment other than the first it is what the fragment header names,
    /// perhaps an extension header: the bytes there are not its start.
    pub protocol: IpProtocol,
    /// Where it begins, counted from the first byte of the IPv6 header.
    pub offset: usize,
    /// The fragment header, if the chain has one.
    pub fragment: Option<Fragment>,
}

/// What a fragment header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Where in the fragmentable part these bytes belong: a multiple of 8.
    pub offset: u16,
    /// Whether more fragments follow.
    pub more: bool,
    /// What the fragments of one packet share.
    pub id: u32,
}

impl Fragment {
    /// Whether it is a whole packet all the same: an atomic fragment (RFC 6946).
    #[inline]
    pub fn is_atomic(self) -> bool {
        self.offset == 0 && !self.more
    }
}

/// A fragment header (RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
pub struct FragmentHeader {
    next_header: u8,
    reserved: u8,
    offset_more: U16,
    id: U32,
}

impl Header for FragmentHeader {
    const NAME: &'static str = "IPv6 fragment header";
    type Array = [u8; 8];
}

impl FragmentHeader {
    accessors! {
        /// What the fragmentable part begins with.
        next_header, set_next_header: IpProtocol;
    }

    /// Offset, more flag and id.
    #[inline]
    pub fn fragment(&self) -> Fragment {
        let word = self.offset_more.get();
        Fragment { offset: word & !7, more: word & 1 != 0, id: self.id.get() }
    }

    /// Sets [`fragment`](Self::fragment).
    #[inline]
    pub fn set_fragment(&mut self, fragment: Fragment) {
        self.offset_more = U16::new(fragment.offset & !7 | u16::from(fragment.more));
        self.id = U32::new(fragment.id);
    }
}

/// What all other extension headers begin with.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Extension {
    next_header: u8,
    len: u8,
}

impl Header for Extension {
    const NAME: &'static str = "IPv6 extension header";
    type Array = [u8; 2];
}

/// The header length that AH states is in units of 4 bytes and less 2 (RFC 4302 §2.2); without any
/// ICV it is 12 bytes.
const AH_LEAST: usize = 12;

/// Walks from `protocol`, the next header of an IPv6 header, over its `payload`.
pub(super) fn walk(mut protocol: IpProtocol, payload: &[u8]) -> Result<Upper, WireError> {
    let mut rest = payload;
    let mut fragment = None;
    for headers in 0.. {
        let walked = payload.len() - rest.len();
        let upper = Upper { protocol, offset: ipv6::FIXED + walked, fragment };
        if fragment.is_some_and(|fragment: Fragment| fragment.offset != 0) {
            return Ok(upper);
        }
        let (next, length) = match protocol {
            IpProtocol::HOP_BY_HOP if headers > 0 => return Err(WireError::MisplacedHopByHop),
            IpProtocol::FRAGMENT if fragment.is_some() => return Err(WireError::RepeatedFragment),
            IpProtocol::FRAGMENT => {
                let (header, _) = FragmentHeader::parse(rest)?;
                fragment = Some(header.fragment());
                (header.next_header, size_of::<FragmentHeader>())
            }
            IpProtocol::HOP_BY_HOP | IpProtocol::ROUTING | IpProtocol::DESTINATION_OPTIONS => {
                let (header, _) = Extension::parse(rest)?;
                (header.next_header, (usize::from(header.len) + 1) * 8)
            }
            IpProtocol::AH => {
                let (header, _) = Extension::parse(rest)?;
                let length = (usize::from(header.len) + 2) * 4;
                if length < AH_LEAST {
                    return Err(WireError::BadHeaderLength { header: "AH", length, least: AH_LEAST });
                }
                (header.next_header, length)
            }
            _ => return Ok(upper),
        };
        if headers == MAX_EXTENSION_HEADERS {
            break;
        }
        if walked + length > MAX_EXTENSION_BYTES {
            return Err(WireError::ChainTooLong { limit: MAX_EXTENSION_BYTES });
        }
        let header = Extension::NAME;
        rest = rest.get(length..).ok_or(WireError::Truncated { header, need: length, have: rest.len() })?;
        protocol = IpProtocol(next);
    }
    Err(WireError::TooManyHeaders { limit: MAX_EXTENSION_HEADERS })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: IpProtocol = IpProtocol::TCP;

    /// Extension headers of 8 bytes each, then 20 bytes of another protocol.
    fn chain(kinds: &[u8], upper: u8) -> (IpProtocol, Vec<u8>) {
        let mut bytes = Vec::new();
        for next in kinds.iter().skip(1).chain([&upper]) {
            bytes.extend([*next, 0, 0, 0, 0, 0, 0, 0]);
        }
        bytes.extend([0xee; 20]);
        (IpProtocol(*kinds.first().unwrap_or(&upper)), bytes)
    }

    fn walk_chain(kinds: &[u8]) -> Result<Upper, WireError> {
        let (first, bytes) = chain(kinds, 6);
        walk(first, &bytes)
    }

    fn upper(protocol: IpProtocol, offset: usize, fragment: Option<Fragment>) -> Upper {
        Upper { protocol, offset, fragment }
    }

    fn truncated(header: &'static str, need: usize, have: usize) -> Result<Upper, WireError> {
        Err(WireError::Truncated { header, need, have })
    }

    #[test]
    fn well_formed() {
        for (name, kinds) in [
            ("no extension header", &[][..]),
            ("one", &[60]),
            ("any order after hop-by-hop, and repeated", &[0, 60, 60, 43, 60, 43]),
            ("as many as are walked", &[0, 60, 60, 60, 60, 60, 60, 60]),
        ] {
            let expected = upper(TCP, 40 + 8 * kinds.len(), None);
            assert_eq!(walk_chain(kinds), Ok(expected), "{name}");
        }
        let atomic = Some(Fragment { offset: 0, more: false, id: 0 });
        assert_eq!(walk_chain(&[0, 60, 43, 44, 60]), Ok(upper(TCP, 80, atomic)));
    }

    #[test]
    fn upper_protocols_without_a_header() {
        for protocol in [IpProtocol::NO_NEXT_HEADER, IpProtocol::ESP, IpProtocol(253)] {
            let (first, bytes) = chain(&[60], protocol.0);
            assert_eq!(walk(first, &bytes[..8]), Ok(upper(protocol, 48, None)), "{protocol}");
        }
    }

    #[test]
    fn malformed() {
        use WireError::{MisplacedHopByHop, RepeatedFragment, TooManyHeaders};
        let short_ah = WireError::BadHeaderLength { header: "AH", length: 8, least: 12 };
        for (name, kinds, error) in [
            ("hop-by-hop second", &[60, 0][..], MisplacedHopByHop),
            ("hop-by-hop twice", &[0, 0], MisplacedHopByHop),
            ("two fragment headers", &[44, 44], RepeatedFragment),
            ("one more than is walked", &[60; 9], TooManyHeaders { limit: 8 }),
            ("far more than are walked", &[60; 99], TooManyHeaders { limit: 8 }),
            ("AH of 8 bytes", &[51], short_ah),
        ] {
            assert_eq!(walk_chain(kinds), Err(error), "{name}");
        }
    }

    #[test]
    fn cut_short() {
        let header = "IPv6 extension header";
        for (have, need) in [(0, 2), (1, 2), (2, 8), (7, 8)] {
            let bytes = &[6, 0, 0, 0, 0, 0, 0, 0][..have];
            assert_eq!(walk(IpProtocol::ROUTING, bytes), truncated(header, need, have));
        }
        assert_eq!(walk(IpProtocol::AH, &[4; 23]), truncated(header, 24, 23));
        let fragment = walk(IpProtocol::FRAGMENT, &[6; 7]);
        assert_eq!(fragment, truncated("IPv6 fragment header", 8, 7));
    }

    #[test]
    fn more_bytes_than_are_walked() {
        // 1240 bytes are 154 units of 8 after the first.
        let mut bytes = [0; 1300];
        bytes[..2].copy_from_slice(&[6, 154]);
        assert_eq!(walk(IpProtocol::ROUTING, &bytes), Ok(upper(TCP, 1280, None)));
        bytes[1] = 155;
        let error = WireError::ChainTooLong { limit: 1240 };
        assert_eq!(walk(IpProtocol::ROUTING, &bytes), Err(error));
    }

    #[test]
    fn fragments() {
        const OPTIONS: IpProtocol = IpProtocol::DESTINATION_OPTIONS;
        let header = |word: u16| {
            let [high, low] = word.to_be_bytes();
            [60, 0xff, high, low, 0xde, 0xad, 0xbe, 0xef, 6, 0, 0, 0, 0, 0, 0, 0]
        };
        let fragment = |offset, more| Some(Fragment { offset, more, id: 0xdead_beef });
        // The first fragment has the rest of the chain. In the others, what looks like it is data.
        for (name, word, expected) in [
            ("first", 0x0001, upper(TCP, 56, fragment(0, true))),
            ("atomic", 0x0000, upper(TCP, 56, fragment(0, false))),
            ("reserved bits", 0x0006, upper(TCP, 56, fragment(0, false))),
            ("middle", 0x0009, upper(OPTIONS, 48, fragment(8, true))),
            ("last", 0xfff8, upper(OPTIONS, 48, fragment(0xfff8, false))),
        ] {
            assert_eq!(walk(IpProtocol::FRAGMENT, &header(word)), Ok(expected), "{name}");
        }
        assert!(fragment(0, false).unwrap().is_atomic());
        assert!(!fragment(0, true).unwrap().is_atomic());
    }

    #[test]
    fn fragment_header_both_ways() {
        let mut header = FragmentHeader::default();
        header.set_next_header(IpProtocol::UDP);
        let fragment = Fragment { offset: 1448, more: true, id: 0x0102_0304 };
        header.set_fragment(fragment);
        assert_eq!(header.as_array(), &[17, 0, 0x05, 0xa9, 1, 2, 3, 4]);
        assert_eq!(header.fragment(), fragment);
    }
}
