//! ARP for IPv4 over Ethernet (RFC 826).

use std::net::Ipv4Addr;

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{EtherType, Header, MacAddr, WireError, accessors, address};

/// `ar$hrd` of Ethernet.
const ETHERNET: u16 = 1;

/// What an ARP packet asks or says (`ar$op`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArpOperation(pub u16);

impl ArpOperation {
    /// Who has the target address?
    pub const REQUEST: Self = Self(1);
    /// The sender has its address.
    pub const REPLY: Self = Self(2);
}

impl From<U16> for ArpOperation {
    #[inline]
    fn from(value: U16) -> Self {
        Self(value.get())
    }
}

impl From<ArpOperation> for U16 {
    #[inline]
    fn from(value: ArpOperation) -> Self {
        U16::new(value.0)
    }
}

/// An ARP packet. `parse` takes only those for Ethernet and IPv4; `default` is a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
pub struct Arp {
    hardware_type: U16,
    protocol_type: U16,
    hardware_len: u8,
    protocol_len: u8,
    operation: U16,
    sender_mac: MacAddr,
    sender_ip: U32,
    target_mac: MacAddr,
    target_ip: U32,
}

impl Default for Arp {
    fn default() -> Self {
        Self {
            hardware_type: U16::new(ETHERNET),
            protocol_type: EtherType::IPV4.into(),
            hardware_len: 6,
            protocol_len: 4,
            operation: ArpOperation::REQUEST.into(),
            sender_mac: MacAddr::ZERO,
            sender_ip: U32::ZERO,
            target_mac: MacAddr::ZERO,
            target_ip: U32::ZERO,
        }
    }
}

impl Header for Arp {
    const NAME: &'static str = "ARP";
    type Array = [u8; 28];

    #[inline]
    fn check(&self, _have: usize) -> Result<(), WireError> {
        let hardware = (self.hardware_type.get(), self.hardware_len);
        let protocol = (self.protocol_type.get(), self.protocol_len);
        if hardware != (ETHERNET, 6) || protocol != (EtherType::IPV4.0, 4) {
            return Err(WireError::BadAddressFamily { hardware, protocol });
        }
        Ok(())
    }
}

impl Arp {
    accessors! {
        /// Request or reply.
        operation, set_operation: ArpOperation;
        /// The sender's Ethernet address.
        sender_mac, set_sender_mac: MacAddr;
        /// The target's Ethernet address: what a request asks for, so zero there.
        target_mac, set_target_mac: MacAddr;
    }

    address! {
        /// The sender's IPv4 address; unspecified in a probe (RFC 5227).
        sender_ip, set_sender_ip, sender_ip_bits, set_sender_ip_bits: Ipv4Addr, u32
    }

    address! {
        /// The target's IPv4 address.
        target_ip, set_target_ip, target_ip_bits, set_target_ip_bits: Ipv4Addr, u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who has 192.0.2.1? Tell 192.0.2.7. Laid out as RFC 826 says.
    const REQUEST: [u8; 28] = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 7, 192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1];

    #[test]
    fn request_both_ways() {
        let (arp, rest) = Arp::parse(&REQUEST).unwrap();
        assert!(rest.is_empty());
        assert_eq!(arp.operation(), ArpOperation::REQUEST);
        assert_eq!(arp.sender_mac().to_string(), "02:00:00:00:00:07");
        assert_eq!(arp.target_mac(), MacAddr::ZERO);
        assert_eq!(arp.sender_ip(), Ipv4Addr::new(192, 0, 2, 7));
        assert_eq!(arp.target_ip(), Ipv4Addr::new(192, 0, 2, 1));

        let mut built = Arp::default();
        built.set_sender_mac(MacAddr::new([2, 0, 0, 0, 0, 7]));
        built.set_sender_ip(Ipv4Addr::new(192, 0, 2, 7));
        built.set_target_ip(Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(built.as_array(), &REQUEST);
    }

    #[test]
    fn truncated() {
        let error = WireError::Truncated { header: "ARP", need: 28, have: 27 };
        assert_eq!(Arp::parse(&REQUEST[..27]), Err(error));
    }

    #[test]
    fn other_address_families() {
        for (name, at, value, hardware, protocol) in [
            ("hardware type of InfiniBand", 1, 32, (32, 6), (0x0800, 4)),
            ("protocol type of ARP", 3, 6, (1, 6), (0x0806, 4)),
            ("hardware address of 8 bytes", 4, 8, (1, 8), (0x0800, 4)),
            ("protocol address of 16 bytes", 5, 16, (1, 6), (0x0800, 16)),
        ] {
            let mut bytes = REQUEST;
            bytes[at] = value;
            let error = WireError::BadAddressFamily { hardware, protocol };
            assert_eq!(Arp::parse(&bytes), Err(error), "{name}");
        }
    }
}
