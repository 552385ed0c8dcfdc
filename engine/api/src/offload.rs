//! What a driver may do in the place of a node, before packets come in.
//!
//! A node asks with [`Setup::offload`](crate::Setup::offload) when it is made. If all its packets come from nodes that receive, the engine
//! asks the drivers of their interfaces. One that can hands back a copy of the list, which the table is told to keep up
//! ([`Table::follow`](crate::Table::follow)); what it drops is counted as if the node had dropped it
//! ([`Node::offloaded`](crate::Node::offloaded)). One that cannot changes nothing: the node sees each packet anyway.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::text::Str;

/// In which ways a driver may count what it drops, at most.
pub const ROLES: usize = 2;
/// Of [`Offload::edges`]: packets are not dropped in this role.
pub const NO_EDGE: u16 = u16::MAX;

/// What is to be done for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Offload {
    /// The work: a word that kinds of nodes and drivers agree upon, as [`Offload::DENY`]; empty if none is asked for.
    pub work: Str,
    /// The index of the table that has the list.
    pub table: u16,
    /// By role the edge under which packets are dropped in it, or [`NO_EDGE`].
    pub edges: [u16; ROLES],
    /// How long the list is now: prefixes, or rules, of IPv4, and of IPv6. It may become longer.
    pub prefixes: [u32; 2],
}

impl Offload {
    /// IP packets in Ethernet frames are dropped whose source (the first role) or else whose destination (the second) is in an
    /// [`AddressSet`].
    pub const DENY: &'static str = "deny";

    /// IP packets in Ethernet frames are dropped (the first role, and the only one) by the rules of a [`DenialSet`].
    pub const RULES: &'static str = "rules";

    pub(crate) const NONE: Offload = Offload { work: Str::new(""), table: 0, edges: [NO_EDGE; ROLES], prefixes: [0; 2] };
}

/// A copy of a table in the hands of a driver, by the work that is done with it.
#[derive(Clone)]
pub enum Copied {
    /// For [`Offload::DENY`].
    Addresses(Arc<dyn AddressSet>),
    /// For [`Offload::RULES`].
    Denials(Arc<dyn DenialSet>),
}

impl Copied {
    /// Whether both are the same copy.
    pub fn is(&self, other: &Copied) -> bool {
        match (self, other) {
            (Copied::Addresses(one), Copied::Addresses(other)) => Arc::ptr_eq(one, other),
            (Copied::Denials(one), Copied::Denials(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// Removes all that is in it. When it returns, no packet is dropped because of it any more, and those that were are counted.
    pub fn clear(&self) {
        match self {
            Copied::Addresses(addresses) => addresses.clear(),
            Copied::Denials(denials) => denials.replace(&[], Parts::All),
        }
    }
}

/// A rule that denies packets by nothing but their addresses.
#[derive(Debug, Clone)]
pub struct Denial {
    /// Of IPv6, or of IPv4, whose addresses are the last 32 bits of those that follow.
    pub is_ip6: bool,
    /// The first of the sources that it is about, and how many of its bits they share.
    pub source: (u128, u8),
    /// As `source`, of destinations.
    pub destination: (u128, u8),
    /// What it has dropped is added to this.
    pub counter: Arc<AtomicU64>,
}

/// What rules may be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// Packets and fragments.
    All,
    /// Packets that are not fragments.
    Whole,
}

/// Rules in the hands of a driver, which drops a packet for which one of them holds, and counts it by the first that does. Called by one
/// thread at a time.
pub trait DenialSet: Send + Sync {
    /// Puts others in the place of all. If there is no room for so many, the first of them stay. When it returns, no packet is dropped by
    /// those before any more, and those that were are counted.
    fn replace(&self, denials: &[Denial], parts: Parts);

    /// Adds to the counters of the rules what they have dropped since that was last done.
    fn settle(&self);
}

/// A copy of a list of IP addresses, in the hands of a driver. It has no address that the list does not have: an address is added to the
/// list first, and removed from it last. Called by one thread at a time.
pub trait AddressSet: Send + Sync {
    /// Adds all IPv4 addresses that begin with these bits.
    fn add4(&self, address: u32, length: u8);

    /// Removes all IPv4 addresses that begin with these bits, of whatever prefixes they came.
    fn remove4(&self, address: u32, length: u8);

    /// Puts other IPv6 addresses in the place of all: of each range the first one, and the first one behind it if there is one, in order.
    fn replace6(&self, borders: &[u128]);

    /// Removes all addresses. When it returns, no packet is dropped by one of them any more, and those that were are counted.
    fn clear(&self) {
        self.remove4(0, 0);
        self.replace6(&[]);
    }
}
