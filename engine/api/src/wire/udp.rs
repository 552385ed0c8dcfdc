//! UDP (RFC 768).

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksum::{self, Pseudo, Sum};
use super::{Header, WireError, accessors, clamp, clamp_mut};

const FIXED: usize = size_of::<Udp>();

/// A UDP header. `default` has the length of an empty datagram.
///
/// `parse` checks the length. It refuses the first fragment of a datagram, which is not all there,
/// and a length of 0 (an IPv6 jumbogram, RFC 2675).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
pub struct Udp {
    src_port: U16,
    dst_port: U16,
    len: U16,
    checksum: U16,
}

impl Default for Udp {
    fn default() -> Self {
        *Self::from_array(&[0, 0, 0, 0, 0, 8, 0, 0])
    }
}

impl Header for Udp {
    const NAME: &'static str = "UDP";
    type Array = [u8; 8];

    #[inline]
    fn check(&self, have: usize) -> Result<(), WireError> {
        let header = Self::NAME;
        let length = usize::from(self.datagram_len());
        if length < FIXED {
            return Err(WireError::BadLength { header, length, least: FIXED });
        }
        if have < length {
            return Err(WireError::Truncated { header, need: length, have });
        }
        Ok(())
    }
}

impl Udp {
    accessors! {
        /// Source port.
        src_port, set_src_port: u16;
        /// Destination port.
        dst_port, set_dst_port: u16;
        /// Checksum, as stated; 0 is none.
        checksum, set_checksum: u16;
    }

    /// Length of header and payload in bytes, as stated.
    #[inline]
    pub fn datagram_len(&self) -> u16 {
        self.len.get()
    }

    /// Sets [`datagram_len`](Self::datagram_len).
    #[inline]
    pub fn set_datagram_len(&mut self, len: u16) {
        self.len = U16::new(len);
    }

    /// What the datagram carries.
    #[inline]
    pub fn payload<'a>(&self, rest: &'a [u8]) -> &'a [u8] {
        clamp(rest, 0, self.payload_len())
    }

    /// [`payload`](Self::payload), to write.
    #[inline]
    pub fn payload_mut<'a>(&self, rest: &'a mut [u8]) -> &'a mut [u8] {
        clamp_mut(rest, 0, self.payload_len())
    }

    /// Whether the checksum is right, or absent where it may be.
    #[inline]
    pub fn checksum_ok(&self, pseudo: Pseudo, rest: &[u8]) -> bool {
        if self.checksum() == 0 { pseudo.udp_optional() } else { self.sum(pseudo, rest).is_valid() }
    }

    /// Computes and sets the checksum.
    #[inline]
    pub fn fill_checksum(&mut self, pseudo: Pseudo, rest: &[u8]) {
        self.set_checksum(0);
        self.set_checksum(checksum::nonzero(self.sum(pseudo, rest).checksum()));
    }

    #[inline]
    fn sum(&self, pseudo: Pseudo, rest: &[u8]) -> Sum {
        pseudo.sum(self.datagram_len().into()).add_bytes(self.as_array()).add_bytes(self.payload(rest))
    }

    #[inline]
    fn payload_len(&self) -> usize {
        usize::from(self.datagram_len()).saturating_sub(FIXED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::IpProtocol;

    #[test]
    fn malformed() {
        let header = "UDP";
        let refused = |length: u16, have: usize| {
            let mut bytes = [0; 20];
            bytes[4..6].copy_from_slice(&length.to_be_bytes());
            Udp::parse(&bytes[..have]).map(drop)
        };
        assert_eq!(refused(8, 7), Err(WireError::Truncated { header, need: 8, have: 7 }));
        assert_eq!(refused(0, 20), Err(WireError::BadLength { header, length: 0, least: 8 }));
        assert_eq!(refused(7, 20), Err(WireError::BadLength { header, length: 7, least: 8 }));
        assert_eq!(refused(21, 20), Err(WireError::Truncated { header, need: 21, have: 20 }));
        assert_eq!(refused(8, 20), Ok(()));
        assert_eq!(refused(20, 20), Ok(()));
    }

    #[test]
    fn zero_checksum() {
        let udp = Udp::default();
        assert!(udp.checksum_ok(Pseudo::v4(1, 2, IpProtocol::UDP), &[]));
        assert!(!udp.checksum_ok(Pseudo::v6(1, 2, IpProtocol::UDP), &[]));
    }

    #[test]
    fn computed_zero_is_sent_as_ones() {
        // 17 + 8 of the pseudo header, 8 of the header; the source port makes it 0xffff.
        let mut udp = Udp::default();
        udp.set_src_port(0xffff - 17 - 8 - 8);
        for pseudo in [Pseudo::v4(0, 0, IpProtocol::UDP), Pseudo::v6(0, 0, IpProtocol::UDP)] {
            udp.fill_checksum(pseudo, &[]);
            assert_eq!(udp.checksum(), 0xffff);
            assert!(udp.checksum_ok(pseudo, &[]));
        }
    }
}
