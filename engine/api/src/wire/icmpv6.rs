//! ICMPv6 (RFC 4443).

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksum::{Pseudo, Sum};
use super::{Header, accessors};

/// Type: destination unreachable; codes in [`mod@unreachable`].
pub const DESTINATION_UNREACHABLE: u8 = 1;
/// Type: packet too big; [`Icmpv6::mtu`] says what fits.
pub const PACKET_TOO_BIG: u8 = 2;
/// Type: time exceeded; codes in [`time_exceeded`].
pub const TIME_EXCEEDED: u8 = 3;
/// Type: parameter problem; codes in [`parameter_problem`].
pub const PARAMETER_PROBLEM: u8 = 4;
/// Type: echo request.
pub const ECHO_REQUEST: u8 = 128;
/// Type: echo reply.
pub const ECHO_REPLY: u8 = 129;
/// Type: multicast listener query (RFC 2710, RFC 9777).
pub const LISTENER_QUERY: u8 = 130;
/// Type: multicast listener report (RFC 2710).
pub const LISTENER_REPORT: u8 = 131;
/// Type: multicast listener done (RFC 2710).
pub const LISTENER_DONE: u8 = 132;
/// Type: router solicitation (RFC 4861 §4.1).
pub const ROUTER_SOLICITATION: u8 = 133;
/// Type: router advertisement (RFC 4861 §4.2).
pub const ROUTER_ADVERTISEMENT: u8 = 134;
/// Type: neighbour solicitation (RFC 4861 §4.3).
pub const NEIGHBOR_SOLICITATION: u8 = 135;
/// Type: neighbour advertisement (RFC 4861 §4.4).
pub const NEIGHBOR_ADVERTISEMENT: u8 = 136;
/// Type: redirect (RFC 4861 §4.5).
pub const REDIRECT: u8 = 137;
/// Type: version 2 multicast listener report (RFC 9777).
pub const LISTENER_REPORT_V2: u8 = 143;

/// Codes of [`DESTINATION_UNREACHABLE`].
pub mod unreachable {
    /// No route.
    pub const NO_ROUTE: u8 = 0;
    /// Administratively prohibited.
    pub const PROHIBITED: u8 = 1;
    /// Beyond the scope of the source address.
    pub const BEYOND_SCOPE: u8 = 2;
    /// The address does not answer.
    pub const ADDRESS: u8 = 3;
    /// No such port.
    pub const PORT: u8 = 4;
    /// The source address fails the ingress or egress policy.
    pub const SOURCE_POLICY: u8 = 5;
    /// A reject route.
    pub const REJECT_ROUTE: u8 = 6;
}

/// Codes of [`TIME_EXCEEDED`].
pub mod time_exceeded {
    /// The hop limit in transit.
    pub const HOP_LIMIT: u8 = 0;
    /// The reassembly timer.
    pub const REASSEMBLY: u8 = 1;
}

/// Codes of [`PARAMETER_PROBLEM`].
pub mod parameter_problem {
    /// A header field is wrong.
    pub const HEADER_FIELD: u8 = 0;
    /// An unknown next header.
    pub const NEXT_HEADER: u8 = 1;
    /// An unknown option.
    pub const OPTION: u8 = 2;
    /// The first fragment has not the whole header chain (RFC 7112).
    pub const INCOMPLETE_CHAIN: u8 = 3;
}

/// The eight bytes that all ICMPv6 messages begin with. What the last four mean depends on the
/// type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
pub struct Icmpv6 {
    icmp_type: u8,
    code: u8,
    checksum: U16,
    data: U32,
}

impl Header for Icmpv6 {
    const NAME: &'static str = "ICMPv6";
    type Array = [u8; 8];
}

impl Icmpv6 {
    accessors! {
        /// Type.
        icmp_type, set_icmp_type: u8;
        /// Code.
        code, set_code: u8;
        /// Checksum, as stated.
        checksum, set_checksum: u16;
        /// The last four bytes as they are: the flags of an advertisement; unused in most errors.
        data, set_data: u32;
    }

    /// Whether the type is an error, which must not be answered by another (RFC 4443 §2.4 e.1).
    /// Redirects are informational by number and must not be answered either (e.2).
    #[inline]
    pub fn is_error(&self) -> bool {
        self.icmp_type < 128
    }

    /// Identifier of an echo.
    #[inline]
    pub fn id(&self) -> u16 {
        (self.data() >> 16) as u16
    }

    /// Sets [`id`](Self::id).
    #[inline]
    pub fn set_id(&mut self, id: u16) {
        self.set_data(self.data() & 0xffff | u32::from(id) << 16);
    }

    /// Sequence number of an echo.
    #[inline]
    pub fn seq(&self) -> u16 {
        self.data() as u16
    }

    /// Sets [`seq`](Self::seq).
    #[inline]
    pub fn set_seq(&mut self, seq: u16) {
        self.set_data(self.data() & 0xffff_0000 | u32::from(seq));
    }

    /// The next hop's MTU in [`PACKET_TOO_BIG`].
    #[inline]
    pub fn mtu(&self) -> u32 {
        self.data()
    }

    /// Sets [`mtu`](Self::mtu).
    #[inline]
    pub fn set_mtu(&mut self, mtu: u32) {
        self.set_data(mtu);
    }

    /// The octet of the quoted packet where a [`PARAMETER_PROBLEM`] is.
    #[inline]
    pub fn pointer(&self) -> u32 {
        self.data()
    }

    /// Sets [`pointer`](Self::pointer).
    #[inline]
    pub fn set_pointer(&mut self, pointer: u32) {
        self.set_data(pointer);
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
        pseudo.sum(size_of::<Self>() + rest.len()).add_bytes(self.as_array()).add_bytes(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::WireError;

    #[test]
    fn truncated() {
        let error = WireError::Truncated { header: "ICMPv6", need: 8, have: 7 };
        assert_eq!(Icmpv6::parse(&[0; 7]), Err(error));
    }

    #[test]
    fn last_four_bytes_by_type() {
        let (icmp, _) = Icmpv6::parse(&[2, 0, 0, 0, 0, 0, 0x05, 0]).unwrap();
        assert_eq!((icmp.icmp_type(), icmp.mtu(), icmp.is_error()), (PACKET_TOO_BIG, 1280, true));
        let mut icmp = Icmpv6::default();
        icmp.set_icmp_type(ECHO_REQUEST);
        icmp.set_id(0x1234);
        icmp.set_seq(0x5678);
        assert_eq!(icmp.as_array(), &[128, 0, 0, 0, 0x12, 0x34, 0x56, 0x78]);
        assert_eq!((icmp.id(), icmp.seq(), icmp.is_error()), (0x1234, 0x5678, false));
        icmp.set_pointer(48);
        assert_eq!(icmp.as_array()[4..], [0, 0, 0, 48]);
        icmp.set_mtu(0x0001_0000);
        assert_eq!(icmp.as_array()[4..], [0, 1, 0, 0]);
    }
}
