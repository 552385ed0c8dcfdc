//! Ethernet II (IEEE 802.3 §3.2).

use std::fmt;

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Header, MacAddr, accessors};

/// What an Ethernet frame carries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4 (RFC 894).
    pub const IPV4: Self = Self(0x0800);
    /// ARP (RFC 826).
    pub const ARP: Self = Self(0x0806);
    /// An 802.1Q customer tag.
    pub const VLAN: Self = Self(0x8100);
    /// IPv6 (RFC 2464).
    pub const IPV6: Self = Self(0x86dd);
    /// MPLS unicast (RFC 3032 §5).
    pub const MPLS: Self = Self(0x8847);
    /// PPPoE session stage (RFC 2516).
    pub const PPPOE: Self = Self(0x8864);
    /// An 802.1ad service tag.
    pub const QINQ: Self = Self(0x88a8);
    /// LLDP (IEEE 802.1AB).
    pub const LLDP: Self = Self(0x88cc);

    /// Whether a VLAN tag follows.
    #[inline]
    pub const fn is_vlan(self) -> bool {
        matches!(self, Self::VLAN | Self::QINQ)
    }

    /// Whether it is an 802.3 length and no type at all.
    #[inline]
    pub const fn is_length(self) -> bool {
        self.0 < 0x0600
    }
}

impl From<U16> for EtherType {
    #[inline]
    fn from(value: U16) -> Self {
        Self(value.get())
    }
}

impl From<EtherType> for U16 {
    #[inline]
    fn from(value: EtherType) -> Self {
        U16::new(value.0)
    }
}

impl fmt::Display for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::IPV4 => "ip4",
            Self::ARP => "arp",
            Self::VLAN => "vlan",
            Self::IPV6 => "ip6",
            Self::MPLS => "mpls",
            Self::PPPOE => "pppoe",
            Self::QINQ => "qinq",
            Self::LLDP => "lldp",
            Self(other) => return write!(f, "{other:#06x}"),
        })
    }
}

impl fmt::Debug for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An Ethernet II header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
pub struct Eth {
    dst: MacAddr,
    src: MacAddr,
    ether_type: U16,
}

impl Header for Eth {
    const NAME: &'static str = "Ethernet";
    type Array = [u8; 14];
}

impl Eth {
    accessors! {
        /// Destination address.
        dst, set_dst: MacAddr;
        /// Source address.
        src, set_src: MacAddr;
        /// What follows; a length if [`EtherType::is_length`].
        ether_type, set_ether_type: EtherType;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::WireError;

    #[test]
    fn truncated() {
        for have in 0..14 {
            let error = WireError::Truncated { header: "Ethernet", need: 14, have };
            assert_eq!(Eth::parse(&[0; 14][..have]), Err(error));
            assert_eq!(Eth::parse_mut(&mut [0; 14][..have]), Err(error));
        }
    }

    #[test]
    fn types_by_name() {
        assert_eq!(EtherType(0x86dd).to_string(), "ip6");
        assert_eq!(EtherType(0x9000).to_string(), "0x9000");
        assert!(EtherType(0x88a8).is_vlan() && EtherType(0x8100).is_vlan() && !EtherType::IPV4.is_vlan());
        assert!(EtherType(1500).is_length() && EtherType(1535).is_length() && !EtherType(1536).is_length());
    }
}
