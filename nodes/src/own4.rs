//! What the router's own IPv4 addresses say of others: who may be answered, and from which address.

use std::net::IpAddr;

use swath_api::{ConfigError, Interface};

use crate::fib4::Prefix4;

/// The addresses and subnets of all interfaces.
pub(crate) struct Own4 {
    // By interface: each address with its subnet.
    interfaces: Vec<Vec<(u32, Prefix4)>>,
    // Sorted.
    broadcasts: Vec<u32>,
    first: u32,
}

impl Own4 {
    /// # Errors
    /// There is no address.
    pub(crate) fn new(interfaces: &[Interface]) -> Result<Own4, ConfigError> {
        let mut broadcasts: Vec<u32> = interfaces.iter().flat_map(broadcasts).collect();
        let subnets = |interface: &Interface| {
            let subnet = |(address, len): &(IpAddr, u8)| match address {
                IpAddr::V4(address) => Some((address.to_bits(), Prefix4::containing(address.to_bits(), *len))),
                IpAddr::V6(_) => None,
            };
            interface.addresses.iter().filter_map(subnet).collect()
        };
        let interfaces: Vec<Vec<(u32, Prefix4)>> = interfaces.iter().map(subnets).collect();
        broadcasts.sort_unstable();
        broadcasts.dedup();
        let Some(&(first, _)) = interfaces.iter().flatten().next() else {
            return Err(ConfigError::new("the router has no IPv4 address to speak from: give an interface `addresses`"));
        };
        Ok(Own4 { interfaces, broadcasts, first })
    }

    /// Whether an address is a multicast group's, or a broadcast as far as the router knows.
    pub(crate) fn is_group(&self, address: u32) -> bool {
        matches!(address >> 28, 14) || address == u32::MAX || self.broadcasts.binary_search(&address).is_ok()
    }

    /// Whether an address can be that of one host: who is answered. Networks 0 and 127 and class E are nobody's (RFC 1812 §5.3.7).
    pub(crate) fn is_host(&self, address: u32) -> bool {
        !matches!(address >> 24, 0 | 127 | 224..) && !self.is_group(address)
    }

    /// Whether an address is the router's.
    pub(crate) fn is_own(&self, address: u32) -> bool {
        self.interfaces.iter().flatten().any(|(own, _)| *own == address)
    }

    /// Whether an address is on the subnet of an interface.
    pub(crate) fn is_neighbour(&self, address: u32) -> bool {
        self.interfaces.iter().flatten().any(|(_, subnet)| subnet.contains(address))
    }

    /// The address to speak from to a host whose packet came in by an interface: that of the host's subnet, or the interface's first;
    /// of an interface without addresses the router's first.
    pub(crate) fn speak_from(&self, rx: u16, host: u32) -> u32 {
        let here = self.interfaces.get(usize::from(rx)).map(Vec::as_slice).unwrap_or_default();
        let neighbour = here.iter().find(|(_, subnet)| subnet.contains(host));
        neighbour.or(here.first()).map_or(self.first, |(address, _)| *address)
    }
}

/// The broadcast addresses of an interface's subnets. Links of two and single addresses have none (RFC 3021).
pub(crate) fn broadcasts(interface: &Interface) -> impl Iterator<Item = u32> {
    interface.addresses.iter().filter_map(|(address, len)| match address {
        IpAddr::V4(address) if *len < 31 => Some(Prefix4::containing(address.to_bits(), *len).last()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn own() -> Own4 {
        let interface = |addresses: &[(&str, u8)]| Interface {
            name: String::new(),
            mac: "02:00:00:00:00:01".parse().unwrap(),
            mtu: 1500,
            addresses: addresses.iter().map(|(address, len)| (address.parse().unwrap(), *len)).collect(),
        };
        Own4::new(&[
            interface(&[("fd00::1", 64), ("192.168.1.1", 24), ("10.0.0.1", 8), ("192.168.1.129", 25)]),
            interface(&[]),
            interface(&[("203.0.113.2", 31), ("198.51.100.1", 32), ("100.64.0.1", 30)]),
        ])
        .unwrap()
    }

    #[test]
    fn who_can_be_answered() {
        for (address, host, group) in [
            ("8.8.8.8", true, false),
            ("192.168.1.254", true, false),
            ("192.168.1.255", false, true),
            ("10.255.255.255", false, true),
            ("10.255.255.254", true, false),
            ("100.64.0.3", false, true),
            // RFC 3021.
            ("203.0.113.3", true, false),
            ("198.51.100.1", true, false),
            // RFC 1812 §5.3.7.
            ("0.0.0.0", false, false),
            ("0.1.2.3", false, false),
            ("127.0.0.1", false, false),
            ("126.255.255.255", true, false),
            ("128.0.0.0", true, false),
            ("223.255.255.255", true, false),
            ("224.0.0.1", false, true),
            ("239.255.255.255", false, true),
            ("240.0.0.1", false, false),
            ("255.255.255.255", false, true),
        ] {
            let bits = address.parse::<Ipv4Addr>().unwrap().to_bits();
            assert_eq!((own().is_host(bits), own().is_group(bits)), (host, group), "{address}");
        }
    }

    #[test]
    fn answers_come_from_where_the_question_went() {
        for (rx, host, source) in [
            (0, "10.1.1.1", "10.0.0.1"),
            (0, "8.8.8.8", "192.168.1.1"),
            (0, "192.168.1.7", "192.168.1.1"),
            (1, "8.8.8.8", "192.168.1.1"),
            (2, "192.168.1.7", "203.0.113.2"),
            (2, "100.64.0.2", "100.64.0.1"),
            (7, "8.8.8.8", "192.168.1.1"),
            (u16::MAX, "8.8.8.8", "192.168.1.1"),
        ] {
            let bits = |text: &str| text.parse::<Ipv4Addr>().unwrap().to_bits();
            assert_eq!(own().speak_from(rx, bits(host)), bits(source), "{rx} {host}");
        }
        assert!(Own4::new(&[]).is_err());
        assert!(own().is_own(0x0a00_0001) && !own().is_own(0x0a00_0002));
        assert!(own().is_neighbour(0x0a00_0002) && !own().is_neighbour(0x0b00_0002));
    }
}
