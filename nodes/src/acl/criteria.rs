//! What a rule asks of a packet, and what is known of a packet.

use super::address::{Address, Prefix};

/// The port of a packet of which it is not known: it has none, or is a fragment other than the first.
pub const NO_PORT: u32 = 1 << 16;

/// Which part of a packet something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u16)]
pub enum Part {
    /// All of it.
    #[default]
    Whole = 0,
    /// The fragment that begins it.
    First = 1,
    /// Another fragment.
    Later = 2,
}

impl Part {
    /// All.
    pub const ALL: [Part; 3] = [Part::Whole, Part::First, Part::Later];
}

/// What is known of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Key<A> {
    /// Source address.
    pub source: A,
    /// Destination address.
    pub destination: A,
    /// Source port; of ICMP the type; or [`NO_PORT`].
    pub source_port: u32,
    /// Destination port; of ICMP the code; or [`NO_PORT`].
    pub destination_port: u32,
    /// The upper protocol.
    pub protocol: u8,
    /// What it is of a packet.
    pub part: Part,
    /// Flags of TCP; 0 of others.
    pub tcp_flags: u8,
    /// The code point.
    pub dscp: u8,
    /// The VLAN; 0 without a tag.
    pub vlan: u16,
    /// The interface that has received it.
    pub rx: u16,
    /// The interface that it will leave by, if that is decided.
    pub tx: u16,
    /// What the fragments of a packet share.
    pub id: u32,
}

impl<A> Key<A> {
    /// Protocol and part, in 0 to 767.
    #[inline(always)]
    pub(super) fn carried(&self) -> usize {
        usize::from(self.part as u16) << 8 | usize::from(self.protocol)
    }
}

/// Ports, from and to.
pub type Ports = (u16, u16);

/// Every port, and none.
pub const ANY_PORT: Ports = (0, u16::MAX);

/// What a rule asks of a packet of one family. `Default` asks nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Criteria<A> {
    /// Sources.
    pub source: Prefix<A>,
    /// Destinations.
    pub destination: Prefix<A>,
    /// The rest.
    pub others: Others,
}

/// What a rule asks of a packet beside addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Others {
    /// Source ports or ICMP types.
    pub source_ports: Ports,
    /// Destination ports or ICMP codes.
    pub destination_ports: Ports,
    /// The protocol.
    pub protocol: Option<u8>,
    /// Which of the flags of TCP are looked at, and how they must be.
    pub tcp_flags: (u8, u8),
    /// Which parts of packets, a bit each.
    pub parts: u8,
    /// The code point.
    pub dscp: Option<u8>,
    /// The VLAN.
    pub vlan: Option<u16>,
    /// The interface that has received it.
    pub rx: Option<u16>,
    /// The interface that it will leave by.
    pub tx: Option<u16>,
}

impl Default for Others {
    fn default() -> Others {
        Others {
            source_ports: ANY_PORT,
            destination_ports: ANY_PORT,
            protocol: None,
            tcp_flags: (0, 0),
            parts: 0b111,
            dscp: None,
            vlan: None,
            rx: None,
            tx: None,
        }
    }
}

impl Others {
    /// Whether it asks something of the header behind IP.
    pub(super) fn asks_layer4(&self) -> bool {
        self.source_ports != ANY_PORT || self.destination_ports != ANY_PORT || self.tcp_flags.0 != 0
    }

    /// Whether a rule that asks for this protocol, these parts, and something of the header behind IP, or not, holds for such a protocol and
    /// part ([`Key::carried`]); `lenient` if what is not known is not asked.
    pub(super) fn takes((own, parts, layer4): (Option<u8>, u8, bool), carried: usize, lenient: bool) -> bool {
        let (part, protocol) = (carried >> 8, carried as u8);
        let known = lenient || part != Part::Later as usize || !layer4;
        parts >> part & 1 != 0 && own.is_none_or(|own| own == protocol) && known
    }

    /// Whether every packet for which the other one holds is one for which this holds.
    fn contains(&self, other: &Others) -> bool {
        fn option<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
            a.is_none() || a == b
        }
        let ports = |a: Ports, b: Ports| a.0 <= b.0 && b.1 <= a.1;
        ports(self.source_ports, other.source_ports)
            && ports(self.destination_ports, other.destination_ports)
            && option(self.protocol, other.protocol)
            && self.tcp_flags.0 & !other.tcp_flags.0 == 0
            && self.tcp_flags.0 & other.tcp_flags.1 == self.tcp_flags.1
            && other.parts & !self.parts == 0
            && option(self.dscp, other.dscp)
            && option(self.vlan, other.vlan)
            && option(self.rx, other.rx)
            && option(self.tx, other.tx)
    }
}

impl<A: Address> Criteria<A> {
    /// Whether it holds. Of fragments other than the first, ports and flags are not asked.
    pub(super) fn holds(&self, key: &Key<A>, lenient: bool) -> bool {
        let inside = |prefix: &Prefix<A>, address: A| address.masked(prefix.len) == prefix.address;
        let port = |(first, last): Ports, port: u32| port == NO_PORT || (u32::from(first)..=u32::from(last)).contains(&port);
        let Others { source_ports, destination_ports, protocol, tcp_flags: (mask, flags), parts, dscp, vlan, rx, tx } = self.others;
        inside(&self.source, key.source)
            && inside(&self.destination, key.destination)
            && port(source_ports, key.source_port)
            && port(destination_ports, key.destination_port)
            && Others::takes((protocol, parts, self.others.asks_layer4()), key.carried(), lenient)
            && (key.tcp_flags & mask == flags || key.part == Part::Later)
            && dscp.is_none_or(|dscp| dscp == key.dscp)
            && vlan.is_none_or(|vlan| vlan == key.vlan)
            && rx.is_none_or(|rx| rx == key.rx)
            && tx.is_none_or(|tx| tx == key.tx)
    }

    /// Whether every packet for which the other one holds is one for which this holds.
    pub(super) fn contains(&self, other: &Criteria<A>) -> bool {
        self.source.contains(&other.source) && self.destination.contains(&other.destination) && self.others.contains(&other.others)
    }
}
