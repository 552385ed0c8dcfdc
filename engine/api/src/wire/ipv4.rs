//! IPv4 (RFC 791).

use std::net::Ipv4Addr;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksum::{self, Pseudo, Sum};
use super::{Header, IpProtocol, Options, WireError, accessors, address, clamp, clamp_mut};

const FIXED: usize = size_of::<Ipv4>();

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

/// An IPv4 header without its options. `default` is a bare header with everything else zero.
///
/// `parse` checks version, header length and total length. Bytes past the total length, such as
/// Ethernet padding, are accepted and not part of [`payload`](Self::payload).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
pub struct Ipv4 {
    version_ihl: u8,
    tos: u8,
    total_len: U16,
    id: U16,
    flags_offset: U16,
    ttl: u8,
    protocol: u8,
    checksum: U16,
    src: U32,
    dst: U32,
}

impl Default for Ipv4 {
    fn default() -> Self {
        *Self::from_array(&[0x45, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    }
}

impl Header for Ipv4 {
    const NAME: &'static str = "IPv4";
    type Array = [u8; 20];

    #[inline]
    fn check(&self, have: usize) -> Result<(), WireError> {
        let (header, total) = (self.header_len(), usize::from(self.total_len()));
        // Then the options are covered too: FIXED <= header <= total <= have.
        if self.version() == 4 && header >= FIXED && total >= header && have >= total {
            return Ok(());
        }
        Err(self.refusal(have))
    }
}

impl Ipv4 {
    accessors! {
        /// The whole second octet: DSCP and ECN.
        tos, set_tos: u8;
        /// Length of header and payload in bytes, as stated.
        total_len, set_total_len: u16;
        /// Identification: what the fragments of a packet share.
        id, set_id: u16;
        /// Time to live. See also [`decrement_ttl`](Self::decrement_ttl).
        ttl, set_ttl: u8;
        /// What the packet carries.
        protocol, set_protocol: IpProtocol;
        /// Header checksum, as stated.
        checksum, set_checksum: u16;
    }

    /// IP version, as stated.
    #[inline]
    pub fn version(&self) -> u8 {
        self.version_ihl >> 4
    }

    /// Length of the header with options in bytes, as stated: 0 to 60.
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(self.version_ihl & 0x0f) * 4
    }

    /// Sets [`header_len`](Self::header_len) in bytes, a multiple of four, and the version to 4.
    #[inline]
    pub fn set_header_len(&mut self, bytes: usize) {
        self.version_ihl = 0x40 | (bytes / 4) as u8 & 0x0f;
    }

    /// Differentiated services code point (RFC 2474), 6 bits.
    #[inline]
    pub fn dscp(&self) -> u8 {
        self.tos >> 2
    }

    /// Sets [`dscp`](Self::dscp).
    #[inline]
    pub fn set_dscp(&mut self, dscp: u8) {
        self.tos = dscp << 2 | self.tos & 3;
    }

    /// Explicit congestion notification (RFC 3168), 2 bits.
    #[inline]
    pub fn ecn(&self) -> u8 {
        self.tos & 3
    }

    /// Sets [`ecn`](Self::ecn).
    #[inline]
    pub fn set_ecn(&mut self, ecn: u8) {
        self.tos = self.tos & !3 | ecn & 3;
    }

    /// The DF flag.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        self.flags_offset.get() & DONT_FRAGMENT != 0
    }

    /// Sets [`dont_fragment`](Self::dont_fragment).
    #[inline]
    pub fn set_dont_fragment(&mut self, on: bool) {
        self.set_flag(DONT_FRAGMENT, on);
    }

    /// The MF flag.
    #[inline]
    pub fn more_fragments(&self) -> bool {
        self.flags_offset.get() & MORE_FRAGMENTS != 0
    }

    /// Sets [`more_fragments`](Self::more_fragments).
    #[inline]
    pub fn set_more_fragments(&mut self, on: bool) {
        self.set_flag(MORE_FRAGMENTS, on);
    }

    /// Where in the packet this fragment belongs, in bytes: at most 65528.
    #[inline]
    pub fn fragment_offset(&self) -> u16 {
        self.flags_offset.get() << 3
    }

    /// Sets [`fragment_offset`](Self::fragment_offset) in bytes, a multiple of eight.
    #[inline]
    pub fn set_fragment_offset(&mut self, bytes: u16) {
        self.flags_offset = U16::new(self.flags_offset.get() & !OFFSET | bytes >> 3);
    }

    /// Whether this is a part of a packet: MF is set or the offset is not zero.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.flags_offset.get() & (MORE_FRAGMENTS | OFFSET) != 0
    }

    address! {
        /// Source address.
        src, set_src, src_bits, set_src_bits: Ipv4Addr, u32
    }

    address! {
        /// Destination address.
        dst, set_dst, dst_bits, set_dst_bits: Ipv4Addr, u32
    }

    /// Lowers the TTL by one and corrects the checksum. A TTL of 0 stays.
    #[inline]
    pub fn decrement_ttl(&mut self) {
        if self.ttl > 0 {
            self.ttl -= 1;
            self.set_checksum(checksum::after_ttl_decrement(self.checksum()));
        }
    }

    /// The options.
    #[inline]
    pub fn options<'a>(&self, rest: &'a [u8]) -> Options<'a> {
        Options::new(Self::NAME, self.option_bytes(rest))
    }

    /// The bytes of the options, with their padding.
    #[inline]
    pub fn option_bytes<'a>(&self, rest: &'a [u8]) -> &'a [u8] {
        clamp(rest, 0, self.options_end())
    }

    /// [`option_bytes`](Self::option_bytes), to write.
    #[inline]
    pub fn option_bytes_mut<'a>(&self, rest: &'a mut [u8]) -> &'a mut [u8] {
        clamp_mut(rest, 0, self.options_end())
    }

    /// What the packet carries: `rest` from the end of the options to the total length.
    #[inline]
    pub fn payload<'a>(&self, rest: &'a [u8]) -> &'a [u8] {
        clamp(rest, self.options_end(), self.end())
    }

    /// [`payload`](Self::payload), to write.
    #[inline]
    pub fn payload_mut<'a>(&self, rest: &'a mut [u8]) -> &'a mut [u8] {
        clamp_mut(rest, self.options_end(), self.end())
    }

    /// Whether the header checksum is right.
    #[inline]
    pub fn checksum_ok(&self, rest: &[u8]) -> bool {
        self.sum(rest).is_valid()
    }

    /// Computes and sets the header checksum.
    #[inline]
    pub fn fill_checksum(&mut self, rest: &[u8]) {
        self.set_checksum(0);
        self.set_checksum(self.sum(rest).checksum());
    }

    /// The pseudo header for the checksum of what the packet carries.
    #[inline]
    pub fn pseudo(&self) -> Pseudo {
        Pseudo::v4(self.src_bits(), self.dst_bits(), self.protocol())
    }

    #[inline]
    fn sum(&self, rest: &[u8]) -> Sum {
        let sum = Sum::new().add_bytes(self.as_array());
        match self.option_bytes(rest) {
            [] => sum,
            options => sum.add_bytes(options),
        }
    }

    /// Where the options end in `rest`.
    #[inline]
    fn options_end(&self) -> usize {
        self.header_len().saturating_sub(FIXED)
    }

    /// Where the packet ends in `rest`.
    #[inline]
    fn end(&self) -> usize {
        usize::from(self.total_len()).saturating_sub(FIXED)
    }

    #[inline]
    fn set_flag(&mut self, flag: u16, on: bool) {
        let others = self.flags_offset.get() & !flag;
        self.flags_offset = U16::new(if on { others | flag } else { others });
    }

    /// The first reason to refuse a header that does not pass.
    #[cold]
    fn refusal(&self, have: usize) -> WireError {
        let header = Self::NAME;
        let (length, total) = (self.header_len(), usize::from(self.total_len()));
        if self.version() != 4 {
            WireError::BadVersion { header, version: self.version() }
        } else if length < FIXED {
            WireError::BadHeaderLength { header, length, least: FIXED }
        } else if total < length {
            WireError::BadLength { header, length: total, least: length }
        } else {
            WireError::Truncated { header, need: total, have }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A UDP header of 8 bytes, with a router alert option, padded to Ethernet's least.
    fn packet() -> [u8; 46] {
        let mut bytes = [0xee; 46];
        let (ip, rest) = Ipv4::mut_from_prefix(&mut bytes).unwrap();
        *ip = Ipv4::default();
        ip.set_header_len(24);
        ip.set_total_len(32);
        rest[..4].copy_from_slice(&[148, 4, 0, 0]);
        ip.fill_checksum(rest);
        bytes
    }

    #[test]
    fn divides_what_follows() {
        let mut bytes = packet();
        let (ip, rest) = Ipv4::parse(&bytes).unwrap();
        assert!(ip.checksum_ok(rest));
        assert_eq!(ip.option_bytes(rest), [148, 4, 0, 0]);
        let options: Vec<_> = ip.options(rest).map(|option| option.unwrap().kind).collect();
        assert_eq!(options, [148]);
        assert_eq!(ip.payload(rest), [0xee; 8]);
        let (ip, rest) = Ipv4::parse_mut(&mut bytes).unwrap();
        assert_eq!(ip.option_bytes_mut(rest), [148, 4, 0, 0]);
        assert_eq!(ip.payload_mut(rest), [0xee; 8]);
    }

    #[test]
    fn malformed() {
        let header = "IPv4";
        let version = |version| WireError::BadVersion { header, version };
        let short_header = |length| WireError::BadHeaderLength { header, length, least: 20 };
        let short = |length, least| WireError::BadLength { header, length, least };
        let truncated = |need, have| WireError::Truncated { header, need, have };
        for (name, at, value, error) in [
            ("version 6", 0, 0x66, version(6)),
            ("version 0", 0, 0x06, version(0)),
            ("header length 0", 0, 0x40, short_header(0)),
            ("header length 16", 0, 0x44, short_header(16)),
            ("total length inside options", 3, 23, short(23, 24)),
            ("total length 0", 3, 0, short(0, 24)),
            ("total length past the bytes", 3, 47, truncated(47, 46)),
            ("options past the total length", 0, 0x4f, short(32, 60)),
        ] {
            let mut bytes = packet();
            bytes[at] = value;
            assert_eq!(Ipv4::parse(&bytes).map(drop), Err(error), "{name}");
        }
        assert_eq!(Ipv4::parse(&packet()[..19]).map(drop), Err(truncated(20, 19)));
        assert_eq!(Ipv4::parse(&packet()[..31]).map(drop), Err(truncated(32, 31)));
        assert!(Ipv4::parse(&packet()[..32]).is_ok());
    }

    #[test]
    fn fields_do_not_leak_into_each_other() {
        let mut ip = Ipv4::default();
        ip.set_dscp(0xff);
        assert_eq!((ip.tos(), ip.dscp(), ip.ecn()), (0xfc, 0x3f, 0));
        ip.set_ecn(0xff);
        ip.set_dscp(0);
        assert_eq!((ip.tos(), ip.dscp(), ip.ecn()), (0x03, 0, 3));
        ip.set_fragment_offset(0xffff);
        assert_eq!(ip.as_array()[6..8], [0x1f, 0xff]);
        ip.set_dont_fragment(true);
        ip.set_fragment_offset(8);
        assert_eq!(ip.as_array()[6..8], [0x40, 0x01]);
        ip.set_more_fragments(true);
        ip.set_dont_fragment(false);
        assert_eq!(ip.as_array()[6..8], [0x20, 0x01]);
        assert_eq!((ip.fragment_offset(), ip.is_fragment()), (8, true));
        ip.set_header_len(60);
        assert_eq!((ip.version(), ip.header_len()), (4, 60));
    }

    #[test]
    fn ttl_does_not_go_below_zero() {
        let mut ip = Ipv4::default();
        ip.set_ttl(2);
        ip.fill_checksum(&[]);
        for left in [1, 0, 0] {
            ip.decrement_ttl();
            assert_eq!(ip.ttl(), left);
            assert!(ip.checksum_ok(&[]));
        }
    }
}
