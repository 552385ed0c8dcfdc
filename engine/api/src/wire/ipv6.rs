//! IPv6 (RFC 8200). Extension headers are walked by [`Ipv6::upper`].

use std::net::Ipv6Addr;

use zerocopy::network_endian::{U16, U32, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksum::Pseudo;
use super::{Header, IpProtocol, Upper, WireError, accessors, address, clamp, clamp_mut, ipv6_ext};

pub(super) const FIXED: usize = size_of::<Ipv6>();

/// An IPv6 header. `default` is a bare header with everything else zero.
///
/// `parse` checks version and payload length. A payload length of 0 is an empty payload: jumbograms
/// (RFC 2675) are longer than any buffer here and not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
pub struct Ipv6 {
    version_class_flow: U32,
    payload_len: U16,
    next_header: u8,
    hop_limit: u8,
    src: U128,
    dst: U128,
}

impl Default for Ipv6 {
    fn default() -> Self {
        Self {
            version_class_flow: U32::new(6 << 28),
            payload_len: U16::ZERO,
            next_header: IpProtocol::NO_NEXT_HEADER.0,
            hop_limit: 0,
            src: U128::ZERO,
            dst: U128::ZERO,
        }
    }
}

impl Header for Ipv6 {
    const NAME: &'static str = "IPv6";
    type Array = [u8; 40];

    #[inline]
    fn check(&self, have: usize) -> Result<(), WireError> {
        let header = Self::NAME;
        if self.version() != 6 {
            return Err(WireError::BadVersion { header, version: self.version() });
        }
        let need = FIXED + usize::from(self.payload_len());
        if have < need {
            return Err(WireError::Truncated { header, need, have });
        }
        Ok(())
    }
}

impl Ipv6 {
    accessors! {
        /// Length of all that follows this header in bytes, as stated.
        payload_len, set_payload_len: u16;
        /// The first extension header, or the upper protocol if there is none.
        next_header, set_next_header: IpProtocol;
        /// Hop limit.
        hop_limit, set_hop_limit: u8;
    }

    /// IP version, as stated.
    #[inline]
    pub fn version(&self) -> u8 {
        (self.version_class_flow.get() >> 28) as u8
    }

    /// Traffic class: DSCP and ECN.
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        (self.version_class_flow.get() >> 20) as u8
    }

    /// Sets [`traffic_class`](Self::traffic_class).
    #[inline]
    pub fn set_traffic_class(&mut self, class: u8) {
        self.version_class_flow = U32::new(self.version_class_flow.get() & !(0xff << 20) | u32::from(class) << 20);
    }

    /// Differentiated services code point (RFC 2474), 6 bits.
    #[inline]
    pub fn dscp(&self) -> u8 {
        self.traffic_class() >> 2
    }

    /// Sets [`dscp`](Self::dscp).
    #[inline]
    pub fn set_dscp(&mut self, dscp: u8) {
        self.set_traffic_class(dscp << 2 | self.ecn());
    }

    /// Explicit congestion notification (RFC 3168), 2 bits.
    #[inline]
    pub fn ecn(&self) -> u8 {
        self.traffic_class() & 3
    }

    /// Sets [`ecn`](Self::ecn).
    #[inline]
    pub fn set_ecn(&mut self, ecn: u8) {
        self.set_traffic_class(self.traffic_class() & !3 | ecn & 3);
    }

    /// Flow label (RFC 6437), 20 bits.
    #[inline]
    pub fn flow_label(&self) -> u32 {
        self.version_class_flow.get() & 0x000f_ffff
    }

    /// Sets [`flow_label`](Self::flow_label).
    #[inline]
    pub fn set_flow_label(&mut self, label: u32) {
        self.version_class_flow = U32::new(self.version_class_flow.get() & 0xfff0_0000 | label & 0x000f_ffff);
    }

    address! {
        /// Source address.
        src, set_src, src_bits, set_src_bits: Ipv6Addr, u128
    }

    address! {
        /// Destination address.
        dst, set_dst, dst_bits, set_dst_bits: Ipv6Addr, u128
    }

    /// All that follows this header, extension headers included.
    #[inline]
    pub fn payload<'a>(&self, rest: &'a [u8]) -> &'a [u8] {
        clamp(rest, 0, usize::from(self.payload_len()))
    }

    /// [`payload`](Self::payload), to write.
    #[inline]
    pub fn payload_mut<'a>(&self, rest: &'a mut [u8]) -> &'a mut [u8] {
        clamp_mut(rest, 0, usize::from(self.payload_len()))
    }

    /// Walks the extension headers to what they carry.
    #[inline]
    pub fn upper(&self, rest: &[u8]) -> Result<Upper, WireError> {
        ipv6_ext::walk(self.next_header(), self.payload(rest))
    }

    /// The pseudo header for the checksum of the upper protocol. Where a routing header has
    /// segments left, the destination must be the last of them (RFC 8200 §8.1): use [`Pseudo::v6`]
    /// there.
    #[inline]
    pub fn pseudo(&self, protocol: IpProtocol) -> Pseudo {
        Pseudo::v6(self.src_bits(), self.dst_bits(), protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed() {
        let header = "IPv6";
        let mut bytes = [0; 44];
        bytes[..40].copy_from_slice(Ipv6::default().as_array());
        bytes[5] = 4;
        let refused = |bytes: &[u8]| Ipv6::parse(bytes).map(drop);
        assert_eq!(refused(&bytes), Ok(()));
        assert_eq!(refused(&bytes[..39]), Err(WireError::Truncated { header, need: 40, have: 39 }));
        assert_eq!(refused(&bytes[..43]), Err(WireError::Truncated { header, need: 44, have: 43 }));
        bytes[4] = 0xff;
        assert_eq!(refused(&bytes), Err(WireError::Truncated { header, need: 65324, have: 44 }));
        bytes[0] = 0x45;
        assert_eq!(refused(&bytes), Err(WireError::BadVersion { header, version: 4 }));
    }

    #[test]
    fn payload_excludes_padding() {
        let mut bytes = [0xee; 46];
        bytes[..40].copy_from_slice(Ipv6::default().as_array());
        bytes[5] = 4;
        let (ip, rest) = Ipv6::parse_mut(&mut bytes).unwrap();
        assert_eq!(ip.payload(rest), [0xee; 4]);
        assert_eq!(ip.payload_mut(rest), [0xee; 4]);
        ip.set_payload_len(0);
        assert!(ip.payload(rest).is_empty());
    }

    #[test]
    fn fields_do_not_leak_into_each_other() {
        let mut ip = Ipv6::default();
        ip.set_flow_label(0xffff_ffff);
        assert_eq!(ip.as_array()[..4], [0x60, 0x0f, 0xff, 0xff]);
        ip.set_traffic_class(0xff);
        ip.set_flow_label(0);
        assert_eq!(ip.as_array()[..4], [0x6f, 0xf0, 0, 0]);
        ip.set_dscp(0);
        assert_eq!((ip.dscp(), ip.ecn(), ip.version()), (0, 3, 6));
        ip.set_dscp(0xff);
        ip.set_ecn(0);
        assert_eq!((ip.dscp(), ip.ecn(), ip.traffic_class()), (0x3f, 0, 0xfc));
    }
}
