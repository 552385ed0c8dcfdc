//! Where a node's packets can go: one enum per node names its edges and its drop reasons.

use crate::text::Str;

/// Ids that no enum of a node has: what the engine itself does to packets.
pub mod reserved {
    /// The node panicked: it is not called again, its packets drop.
    pub const FAULT: u16 = u16::MAX;
    /// A made packet for which the pass had no room left.
    pub const INBOX_FULL: u16 = u16::MAX - 1;
    /// A made or received packet for which the pool had no chunk.
    pub const OUT_OF_BUFFERS: u16 = u16::MAX - 2;
    /// A packet that the driver's transmit ring did not take.
    pub const RING_FULL: u16 = u16::MAX - 3;

    /// A packet to be transmitted whose lane names no interface.
    pub const NO_INTERFACE: u16 = u16::MAX - 4;

    /// A packet that the node kept and has thrown away with the `Held` that it was in.
    pub const HELD_DROPPED: u16 = u16::MAX - 5;

    /// A packet for an interface whose link is down, or whose device is gone.
    pub const LINK_DOWN: u16 = u16::MAX - 6;

    /// A packet that is longer than a buffer, received, or than the device carries, sent.
    pub const TOO_BIG: u16 = u16::MAX - 7;

    /// A received packet whose sender left work to the receiver that cannot be done.
    pub const BAD_OFFLOAD: u16 = u16::MAX - 8;

    /// A packet for another worker, the ring to which is full.
    pub const HANDOFF_FULL: u16 = u16::MAX - 9;

    /// Name and meaning of each, in the order of counting down from [`FAULT`].
    pub const REASONS: [(&str, &str); 10] = [
        (
            "fault",
            "The node failed: a defect in it, or in the plugin that it comes from. It is out of service until the engine is started again. The log has the message.",
        ),
        (
            "inbox-full",
            "More packets were made in one pass than the engine takes (256), and the rest is dropped: find what makes so many copies or answers.",
        ),
        (
            "out-of-buffers",
            "The buffer pool is exhausted. Raise `engine.buffers`, or find who holds packets: `swath show runtime` says so, and the ledger of buffers at the end of a run.",
        ),
        (
            "ring-full",
            "The interface did not take the packet: it is slower than what is sent to it. Compare the rates (`swath show interfaces`).",
        ),
        ("no-interface", "No node has chosen an interface for this packet: put a look-up before `tx`, or set its `interface`."),
        (
            "held-dropped",
            "The node has thrown away packets that it kept: it is under pressure, or has a defect. Its page says which.",
        ),
        ("link-down", "The interface's link is down, or its device is gone: look at the cable, or at `ip link show DEVICE`."),
        ("too-big", "The packet is longer than a buffer (raise engine.buffer-size), or than the device sends (compare the MTUs)."),
        (
            "bad-offload",
            "The packet came without checksum, or not cut into segments, in a form that nobody can complete. Its sender uses an \
             offload, such as segmentation within a tunnel, that has to be off: `ethtool -K DEVICE ... off`.",
        ),
        (
            "handoff-full",
            "The worker that owns the packet takes less than it is sent: it has too large a share of the traffic, or of a core. Compare the \
             busy times of the workers.",
        ),
    ];
}

/// What becomes of a packet that is given this id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EdgeClass {
    /// It goes on to another node. Unwired, it is dropped by the edge's name.
    Edge = 0,
    /// As `Edge`, but a graph that does not wire it is refused.
    Required = 1,
    /// It is dropped by this name, unless the graph wires it.
    Drop = 2,
    /// The node has taken it into a [`Held`](crate::Held).
    Held = 3,
    /// It has served its purpose here: freed, and not a drop.
    Consumed = 4,
    /// It leaves by the interface that its lane names.
    Transmit = 5,
}

/// One variant of a node's [`Edges`].
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct EdgeInfo {
    /// The YAML key, the metric label and the word in tests and documentation.
    pub name: Str,
    /// What it means; for a drop also what to do. One sentence or two.
    pub doc: Str,
    /// What the packets start with: see [`layer`].
    pub layer: Str,
    /// What becomes of them.
    pub class: EdgeClass,
}

impl EdgeInfo {
    const fn new(class: EdgeClass, name: &'static str, layer: &'static str) -> EdgeInfo {
        EdgeInfo { name: Str::new(name), doc: Str::new(""), layer: Str::new(layer), class }
    }

    /// An edge that may stay unwired, and drops by its name then.
    pub const fn edge(name: &'static str, layer: &'static str) -> EdgeInfo {
        EdgeInfo::new(EdgeClass::Edge, name, layer)
    }

    /// An edge that must be wired.
    pub const fn required(name: &'static str, layer: &'static str) -> EdgeInfo {
        EdgeInfo::new(EdgeClass::Required, name, layer)
    }

    /// A drop reason. A graph may wire it all the same, to a node that takes any layer.
    pub const fn drop(name: &'static str) -> EdgeInfo {
        EdgeInfo::new(EdgeClass::Drop, name, layer::ANY)
    }

    /// Packets that the node keeps for later.
    pub const fn held(name: &'static str) -> EdgeInfo {
        EdgeInfo::new(EdgeClass::Held, name, layer::ANY)
    }

    /// Packets that end here because they have done their work.
    pub const fn consumed(name: &'static str) -> EdgeInfo {
        EdgeInfo::new(EdgeClass::Consumed, name, layer::ANY)
    }

    /// The edges that a graph names ([`NamedEdges`]). `stands_for` is what documentation writes for such a name: `INTERFACE`.
    pub const fn named(stands_for: &'static str, layer: &'static str) -> EdgeInfo {
        EdgeInfo::new(EdgeClass::Edge, stands_for, layer)
    }

    /// Packets for a driver.
    pub const fn transmit(name: &'static str) -> EdgeInfo {
        EdgeInfo::new(EdgeClass::Transmit, name, layer::ETHERNET)
    }

    /// The same with its documentation; [`edges!`](crate::edges) takes it from the variant's doc comment.
    pub const fn doc(mut self, doc: &'static str) -> EdgeInfo {
        self.doc = Str::new(doc);
        self
    }
}

/// What a packet starts with. The engine compares these words and knows nothing else of them; plugins may use their own.
pub mod layer {
    /// Whatever it is: no check.
    pub const ANY: &str = "";
    /// The input of a kind that takes no packets from other nodes: a source.
    pub const NONE: &str = "none";
    /// What the node itself was given.
    pub const SAME: &str = "=";
    /// An Ethernet header.
    pub const ETHERNET: &str = "ethernet";
    /// The rest of a VLAN tag: TCI and inner EtherType.
    pub const VLAN: &str = "vlan";
    /// An ARP message.
    pub const ARP: &str = "arp";
    /// An IPv4 header.
    pub const IP4: &str = "ip4";
    /// An IPv6 header.
    pub const IP6: &str = "ip6";
}

/// Edges and drop reasons of a node. Implemented by [`edges!`](crate::edges).
pub trait Edges: Copy + 'static {
    /// All of them, in the order of their ids. The first is the main edge, which YAML may wire as `to: NODE`.
    const EDGES: &'static [EdgeInfo];

    /// What the edges are like that a graph names beside these: see [`Branch`].
    const NAMED: Option<&'static EdgeInfo> = None;

    /// Index in [`Edges::EDGES`]; named edges follow.
    fn id(self) -> u16;
}

/// Edges of a node, its own and named ones, at most.
pub const MAX_EDGES: usize = 256;

/// Edges and drop reasons of a kind that has edges beside them which each graph names for itself.
///
/// ```
/// use swath_api::prelude::*;
///
/// edges! {
///     /// Edges that are always there.
///     pub enum Next {
///         /// Packets of all other interfaces.
///         Default = edge("default", layer::SAME),
///     }
/// }
/// impl NamedEdges for Next {
///     const NAMED: EdgeInfo = EdgeInfo::named("INTERFACE", layer::SAME).doc("Packets of this interface.");
/// }
/// assert_eq!(Branch::Fixed(Next::Default).id(), 0);
/// assert_eq!(Branch::<Next>::Named(0).id(), 1);
/// ```
pub trait NamedEdges: Edges {
    /// What all of them are like, by [`EdgeInfo::named`]. One that is not wired does not exist.
    const NAMED: EdgeInfo;
}

/// The [`Node::Next`](crate::Node::Next) of a kind whose edges a graph may name. A node finds their names in
/// [`Setup::edges`](crate::Setup::edges).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch<N> {
    /// An edge or drop reason of the kind.
    Fixed(N),
    /// An edge that the graph has named, by its index in [`Setup::edges`](crate::Setup::edges). Packets for one that there is not are
    /// dropped as a `fault`.
    Named(u16),
}

impl<N: NamedEdges> Edges for Branch<N> {
    const EDGES: &'static [EdgeInfo] = N::EDGES;
    const NAMED: Option<&'static EdgeInfo> = Some(&<N as NamedEdges>::NAMED);

    #[inline(always)]
    fn id(self) -> u16 {
        match self {
            Branch::Fixed(next) => next.id(),
            // The limit keeps an index that is none away from the reserved ids.
            Branch::Named(at) => N::EDGES.len() as u16 + if (at as usize) < MAX_EDGES { at } else { MAX_EDGES as u16 },
        }
    }
}

/// Declares the enum of a node's edges and drop reasons.
///
/// Each variant says its class and name ([`EdgeInfo`] has one function per class: `edge`, `required`, `drop`, `held`, `consumed`,
/// `transmit`), edges also their [`layer`]. The doc comment of a variant is what users read in `swath nodes` and at the end of a run: say what it
/// means, and for a drop what to do.
///
/// ```
/// use swath_api::prelude::*;
///
/// edges! {
///     /// Where packets of `ttl-check` go.
///     pub enum Next {
///         /// Packets that may travel on.
///         Ok = required("ok", layer::IP4),
///         /// The time to live has run out: a routing loop, or a traceroute.
///         Expired = drop("ttl-expired"),
///     }
/// }
/// assert_eq!(Next::Expired.id(), 1);
/// assert_eq!(Next::EDGES[1].name.as_str(), "ttl-expired");
/// ```
///
/// An enum without variants is for a kind all of whose edges are named by graphs: see [`Branch`](crate::Branch).
#[macro_export]
macro_rules! edges {
    ($(#[$meta:meta])* $visibility:vis enum $name:ident {}) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $visibility enum $name {}

        impl $crate::Edges for $name {
            const EDGES: &'static [$crate::EdgeInfo] = &[];

            fn id(self) -> u16 {
                match self {}
            }
        }
    };
    ($(#[$meta:meta])* $visibility:vis enum $name:ident {
        $($(#[doc = $doc:literal])* $variant:ident = $class:ident($($argument:expr),+ $(,)?)),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u16)]
        $visibility enum $name { $($(#[doc = $doc])* $variant),+ }

        impl $crate::Edges for $name {
            const EDGES: &'static [$crate::EdgeInfo] =
                &[$($crate::EdgeInfo::$class($($argument),+).doc(concat!($($doc, "\n"),*))),+];

            #[inline(always)]
            fn id(self) -> u16 {
                self as u16
            }
        }
    };
}
