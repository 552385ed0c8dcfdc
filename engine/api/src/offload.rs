//! What a driver may do in the place of a node, before packets come in.
//!
//! A node asks with [`Setup::offload`](crate::Setup::offload) when it is made. If all its packets come from nodes that receive, the engine
//! asks the drivers of their interfaces. One that can hands back a copy of the list, which the table is told to keep up
//! ([`Table::follow`](crate::Table::follow)); what it drops is counted as if the node had dropped it
//! ([`Node::offloaded`](crate::Node::offloaded)). One that cannot changes nothing: the node sees each packet anyway.

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
    /// How long the list is now: prefixes of IPv4, and of IPv6. It may become longer.
    pub prefixes: [u32; 2],
}

impl Offload {
    /// IP packets in Ethernet frames are dropped whose source (the first role) or else whose destination (the second) is in an
    /// [`AddressSet`].
    pub const DENY: &'static str = "deny";

    pub(crate) const NONE: Offload = Offload { work: Str::new(""), table: 0, edges: [NO_EDGE; ROLES], prefixes: [0; 2] };
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
