//! ICMP (RFC 792).

use std::net::Ipv4Addr;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksum::Sum;
use super::{Header, accessors};

/// Type: echo reply.
pub const ECHO_REPLY: u8 = 0;
/// Type: destination unreachable; codes in [`mod@unreachable`].
pub const DESTINATION_UNREACHABLE: u8 = 3;
/// Type: source quench, deprecated (RFC 6633).
pub const SOURCE_QUENCH: u8 = 4;
/// Type: redirect; codes in [`redirect`].
pub const REDIRECT: u8 = 5;
/// Type: echo request.
pub const ECHO_REQUEST: u8 = 8;
/// Type: router advertisement (RFC 1256).
pub const ROUTER_ADVERTISEMENT: u8 = 9;
/// Type: router solicitation (RFC 1256).
pub const ROUTER_SOLICITATION: u8 = 10;
/// Type: time exceeded; codes in [`time_exceeded`].
pub const TIME_EXCEEDED: u8 = 11;
/// Type: parameter problem; codes in [`parameter_problem`].
pub const PARAMETER_PROBLEM: u8 = 12;
/// Type: timestamp.
pub const TIMESTAMP: u8 = 13;
/// Type: timestamp reply.
pub const TIMESTAMP_REPLY: u8 = 14;

/// Codes of [`DESTINATION_UNREACHABLE`].
pub mod unreachable {
    /// No route.
    pub const NET: u8 = 0;
    /// The host does not answer.
    pub const HOST: u8 = 1;
    /// No such protocol.
    pub const PROTOCOL: u8 = 2;
    /// No such port.
    pub const PORT: u8 = 3;
    /// Too big, and DF is set; [`Icmp::mtu`](super::Icmp::mtu) says what fits (RFC 1191).
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// The source route failed.
    pub const SOURCE_ROUTE_FAILED: u8 = 5;
    /// Administratively prohibited: network (RFC 1122 §3.2.2.1).
    pub const NET_PROHIBITED: u8 = 9;
    /// Administratively prohibited: host (RFC 1122 §3.2.2.1).
    pub const HOST_PROHIBITED: u8 = 10;
    /// Administratively prohibited by filtering (RFC 1812 §5.2.7.1).
    pub const PROHIBITED: u8 = 13;
}

/// Codes of [`REDIRECT`].
pub mod redirect {
    /// For the network.
    pub const NET: u8 = 0;
    /// For the host.
    pub const HOST: u8 = 1;
}

/// Codes of [`TIME_EXCEEDED`].
pub mod time_exceeded {
    /// The TTL in transit.
    pub const TTL: u8 = 0;
    /// The reassembly timer.
    pub const REASSEMBLY: u8 = 1;
}

/// Codes of [`PARAMETER_PROBLEM`].
pub mod parameter_problem {
    /// [`Icmp::pointer`](super::Icmp::pointer) shows where.
    pub const POINTER: u8 = 0;
    /// A required option is missing (RFC 1108).
    pub const MISSING_OPTION: u8 = 1;
    /// A length is wrong (IANA).
    pub const BAD_LENGTH: u8 = 2;
}

/// The eight bytes that all ICMP messages begin with. What the last four mean depends on the type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
pub struct Icmp {
    icmp_type: u8,
    code: u8,
    checksum: U16,
    data: U32,
}

impl Header for Icmp {
    const NAME: &'static str = "ICMP";
    type Array = [u8; 8];
}

impl Icmp {
    accessors! {
        /// Type.
        icmp_type, set_icmp_type: u8;
        /// Code.
        code, set_code: u8;
        /// Checksum, as stated.
        checksum, set_checksum: u16;
        /// The last four bytes as they are; unused in most errors.
        data, set_data: u32;
    }

    /// Whether the type is an error, which must not be answered by another (RFC 1122 §3.2.2).
    #[inline]
    pub fn is_error(&self) -> bool {
        matches!(self.icmp_type, DESTINATION_UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM)
    }

    /// Identifier of an echo or a timestamp.
    #[inline]
    pub fn id(&self) -> u16 {
        (self.data() >> 16) as u16
    }

    /// Sets [`id`](Self::id).
    #[inline]
    pub fn set_id(&mut self, id: u16) {
        self.set_data(self.data() & 0xffff | u32::from(id) << 16);
    }

    /// Sequence number of an echo or a timestamp.
    #[inline]
    pub fn seq(&self) -> u16 {
        self.data() as u16
    }

    /// Sets [`seq`](Self::seq).
    #[inline]
    pub fn set_seq(&mut self, seq: u16) {
        self.set_data(self.data() & 0xffff_0000 | u32::from(seq));
    }

    /// The next hop's MTU in [`unreachable::FRAGMENTATION_NEEDED`] (RFC 1191 §4).
    #[inline]
    pub fn mtu(&self) -> u16 {
        self.data() as u16
    }

    /// Sets [`mtu`](Self::mtu).
    #[inline]
    pub fn set_mtu(&mut self, mtu: u16) {
        self.set_data(self.data() & 0xffff_0000 | u32::from(mtu));
    }

    /// The octet of the quoted header where a [`PARAMETER_PROBLEM`] is.
    #[inline]
    pub fn pointer(&self) -> u8 {
        (self.data() >> 24) as u8
    }

    /// Sets [`pointer`](Self::pointer).
    #[inline]
    pub fn set_pointer(&mut self, pointer: u8) {
        self.set_data(self.data() & 0x00ff_ffff | u32::from(pointer) << 24);
    }

    /// The better gateway of a [`REDIRECT`].
    #[inline]
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.data())
    }

    /// Sets [`gateway`](Self::gateway).
    #[inline]
    pub fn set_gateway(&mut self, gateway: Ipv4Addr) {
        self.set_data(gateway.to_bits());
    }

    /// Whether the checksum is right. `rest` must end with the packet.
    #[inline]
    pub fn checksum_ok(&self, rest: &[u8]) -> bool {
        self.sum(rest).is_valid()
    }

    /// Computes and sets the checksum. `rest` must end with the packet.
    #[inline]
    pub fn fill_checksum(&mut self, rest: &[u8]) {
        self.set_checksum(0);
        self.set_checksum(self.sum(rest).checksum());
    }

    #[inline]
    fn sum(&self, rest: &[u8]) -> Sum {
        Sum::new().add_bytes(self.as_array()).add_bytes(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::WireError;

    #[test]
    fn truncated() {
        let error = WireError::Truncated { header: "ICMP", need: 8, have: 7 };
        assert_eq!(Icmp::parse(&[0; 7]), Err(error));
    }

    #[test]
    fn last_four_bytes_by_type() {
        let (icmp, _) = Icmp::parse(&[3, 4, 0, 0, 0, 0, 0x05, 0x78]).unwrap();
        assert_eq!((icmp.icmp_type(), icmp.code(), icmp.mtu()), (3, unreachable::FRAGMENTATION_NEEDED, 1400));
        let (icmp, _) = Icmp::parse(&[12, 0, 0, 0, 20, 0, 0, 0]).unwrap();
        assert_eq!(icmp.pointer(), 20);
        let (icmp, _) = Icmp::parse(&[5, 1, 0, 0, 192, 0, 2, 1]).unwrap();
        assert_eq!(icmp.gateway(), Ipv4Addr::new(192, 0, 2, 1));

        let mut icmp = Icmp::default();
        icmp.set_id(0x1234);
        icmp.set_seq(0x5678);
        assert_eq!(icmp.as_array(), &[0, 0, 0, 0, 0x12, 0x34, 0x56, 0x78]);
        icmp.set_mtu(9000);
        icmp.set_pointer(1);
        assert_eq!(icmp.as_array(), &[0, 0, 0, 0, 0x01, 0x34, 0x23, 0x28]);
        icmp.set_gateway(Ipv4Addr::LOCALHOST);
        assert_eq!((icmp.id(), icmp.seq(), icmp.data()), (0x7f00, 1, 0x7f00_0001));
    }

    #[test]
    fn errors_are_not_answered() {
        let errors: Vec<u8> = (0..=255)
            .filter(|icmp_type| {
                let mut icmp = Icmp::default();
                icmp.set_icmp_type(*icmp_type);
                icmp.is_error()
            })
            .collect();
        assert_eq!(errors, [3, 4, 5, 11, 12]);
    }
}
