//! TCP (RFC 9293 §3.1).

use std::fmt;
use std::ops::BitOr;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksum::{Pseudo, Sum};
use super::{Header, TcpOptions, WireError, accessors, clamp, clamp_mut};

pub(super) const FIXED: usize = size_of::<Tcp>();

/// The control bits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement number counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// ECN echo (RFC 3168).
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Self = Self(0x80);

    /// Whether all of `flags` are set.
    #[inline]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether any of `flags` is set.
    #[inline]
    pub const fn intersects(self, flags: Self) -> bool {
        self.0 & flags.0 != 0
    }
}

impl BitOr for TcpFlags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl From<u8> for TcpFlags {
    #[inline]
    fn from(bits: u8) -> Self {
        Self(bits)
    }
}

impl From<TcpFlags> for u8 {
    #[inline]
    fn from(flags: TcpFlags) -> Self {
        flags.0
    }
}

impl fmt::Display for TcpFlags {
    /// `syn|ack`; `-` for none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];
        let mut separator = "";
        for (bit, name) in names.into_iter().enumerate() {
            if self.0 & 1 << bit != 0 {
                write!(f, "{separator}{name}")?;
                separator = "|";
            }
        }
        if self.0 == 0 { f.write_str("-") } else { Ok(()) }
    }
}

impl fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A TCP header without its options. `default` is a bare header with everything else zero.
///
/// `parse` checks the data offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
pub struct Tcp {
    src_port: U16,
    dst_port: U16,
    seq: U32,
    ack: U32,
    offset_reserved: u8,
    flags: u8,
    window: U16,
    checksum: U16,
    urgent: U16,
}

impl Default for Tcp {
    fn default() -> Self {
        *Self::from_array(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0, 0, 0, 0, 0, 0, 0])
    }
}

impl Header for Tcp {
    const NAME: &'static str = "TCP";
    type Array = [u8; 20];

    #[inline]
    fn check(&self, have: usize) -> Result<(), WireError> {
        let header = Self::NAME;
        let length = self.header_len();
        if length < FIXED {
            return Err(WireError::BadHeaderLength { header, length, least: FIXED });
        }
        if have < length {
            return Err(WireError::Truncated { header, need: length, have });
        }
        Ok(())
    }
}

impl Tcp {
    accessors! {
        /// Source port.
        src_port, set_src_port: u16;
        /// Destination port.
        dst_port, set_dst_port: u16;
        /// Sequence number.
        seq, set_seq: u32;
        /// Acknowledgement number.
        ack, set_ack: u32;
        /// The control bits.
        flags, set_flags: TcpFlags;
        /// Window, unscaled.
        window, set_window: u16;
        /// Checksum, as stated.
        checksum, set_checksum: u16;
        /// Urgent pointer.
        urgent, set_urgent: u16;
    }

    /// Length of the header with options in bytes, as stated by the data offset: 0 to 60.
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(self.offset_reserved >> 4) * 4
    }

    /// Sets [`header_len`](Self::header_len) in bytes, a multiple of four.
    #[inline]
    pub fn set_header_len(&mut self, bytes: usize) {
        self.offset_reserved = ((bytes / 4) as u8) << 4 | self.offset_reserved & 0x0f;
    }

    /// The options.
    #[inline]
    pub fn options<'a>(&self, rest: &'a [u8]) -> TcpOptions<'a> {
        TcpOptions::new(self.option_bytes(rest))
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

    /// What the segment carries.
    #[inline]
    pub fn payload<'a>(&self, rest: &'a [u8]) -> &'a [u8] {
        clamp(rest, self.options_end(), rest.len())
    }

    /// [`payload`](Self::payload), to write.
    #[inline]
    pub fn payload_mut<'a>(&self, rest: &'a mut [u8]) -> &'a mut [u8] {
        let end = rest.len();
        clamp_mut(rest, self.options_end(), end)
    }

    /// Whether the checksum is right. `rest` must end with the packet.
    #[inline]
    pub fn checksum_ok(&self, pseudo: Pseudo, rest: &[u8]) -> bool {
        self.sum(pseudo, rest).is_valid()
    }

    /// Computes and sets the checksum. `rest` must end with the packet.
    #[inline]
    pub fn fill_checksum(&mut self, pseudo: Pseudo, rest: &[u8]) {
        self.set_checksum(0);
        self.set_checksum(self.sum(pseudo, rest).checksum());
    }

    #[inline]
    fn sum(&self, pseudo: Pseudo, rest: &[u8]) -> Sum {
        pseudo.sum(FIXED + rest.len()).add_bytes(self.as_array()).add_bytes(rest)
    }

    /// Where the options end in `rest`.
    #[inline]
    fn options_end(&self) -> usize {
        self.header_len().saturating_sub(FIXED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed() {
        let header = "TCP";
        let refused = |offset: u8, have: usize| {
            let mut bytes = [0; 60];
            bytes[12] = offset << 4;
            Tcp::parse(&bytes[..have]).map(drop)
        };
        assert_eq!(refused(5, 19), Err(WireError::Truncated { header, need: 20, have: 19 }));
        assert_eq!(refused(0, 60), Err(WireError::BadHeaderLength { header, length: 0, least: 20 }));
        assert_eq!(refused(4, 60), Err(WireError::BadHeaderLength { header, length: 16, least: 20 }));
        assert_eq!(refused(15, 59), Err(WireError::Truncated { header, need: 60, have: 59 }));
        assert_eq!(refused(5, 20), Ok(()));
        assert_eq!(refused(15, 60), Ok(()));
    }

    #[test]
    fn flags() {
        let flags = TcpFlags::SYN | TcpFlags::ACK;
        assert_eq!(flags, TcpFlags(0x12));
        assert!(flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::SYN | TcpFlags::RST));
        assert!(flags.intersects(TcpFlags::SYN | TcpFlags::RST) && !flags.intersects(TcpFlags::FIN));
        assert_eq!(flags.to_string(), "syn|ack");
        assert_eq!(TcpFlags(0).to_string(), "-");
        assert_eq!(TcpFlags(0xff).to_string(), "fin|syn|rst|psh|ack|urg|ece|cwr");
    }

    #[test]
    fn divides_what_follows() {
        let mut tcp = Tcp { offset_reserved: 0x0f, ..Tcp::default() };
        tcp.set_header_len(28);
        assert_eq!((tcp.header_len(), tcp.offset_reserved), (28, 0x7f));
        let mut rest = [1, 1, 1, 1, 1, 1, 1, 0, 9, 9];
        assert_eq!(tcp.option_bytes(&rest), [1, 1, 1, 1, 1, 1, 1, 0]);
        assert_eq!(tcp.payload(&rest), [9, 9]);
        assert_eq!(tcp.option_bytes_mut(&mut rest).len(), 8);
        assert_eq!(tcp.payload_mut(&mut rest), [9, 9]);
        // More options stated than are there, as in a quoted header.
        assert_eq!((tcp.option_bytes(&rest[..5]).len(), tcp.payload(&rest[..5])), (5, &[][..]));
    }
}
