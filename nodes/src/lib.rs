//! The nodes and tables of Swath, one file each, and the lists of them.
//!
//! No I/O, no threads, no clock and no `unsafe` here: a node decides, and the engine does the rest.

#![forbid(unsafe_code)]

use swath_api::{NodeKind, TableKind};

pub mod acl;
pub mod acl_filter;
pub mod arp_input;
pub mod bridge;
pub mod bridge_flood;
pub mod bridge_input;
pub mod check_paint;
pub mod classify;
pub mod counter;
pub mod deny;
pub mod deny_list;
pub mod drop;
pub mod ethernet_input;
pub mod ethernet_mirror;
pub mod fib4;
pub mod handoff;
pub mod hash_switch;
pub mod icmp_error;
pub mod ip4_dscp;
pub mod ip4_fragment;
pub mod ip4_input;
pub mod ip4_local;
pub mod ip4_lookup;
pub mod ip4_options;
pub mod ip4_reassembly;
pub mod ip4_resolve;
pub mod ip4_rewrite;
pub mod ip4_urpf;
mod leaf4;
pub mod meter;
pub mod nat44;
pub mod nat44_in2out;
pub mod nat44_out2in;
pub mod neighbours;
mod own4;
mod pace;
pub mod paint;
pub mod punt;
pub mod round_robin;
pub mod routes4;
pub mod rx;
pub mod sessions;
mod shortcuts;
pub mod switch;
pub mod tcp_mss;
pub mod tee;
pub mod tx;

/// All kinds of nodes, in the order in which a packet meets them.
pub const NODES: &[NodeKind] = &[
    NodeKind::of::<rx::Rx>(),
    NodeKind::of::<ethernet_input::EthernetInput>(),
    NodeKind::of::<arp_input::ArpInput>(),
    NodeKind::of::<ip4_input::Ip4Input>(),
    NodeKind::of::<ip4_options::Ip4Options>(),
    NodeKind::of::<deny::Deny>(),
    NodeKind::of::<acl_filter::AclFilter>(),
    NodeKind::of::<nat44_out2in::Nat44Out2in>(),
    NodeKind::of::<ip4_dscp::Ip4Dscp>(),
    NodeKind::of::<ip4_urpf::Ip4Urpf>(),
    NodeKind::of::<ip4_lookup::Ip4Lookup>(),
    NodeKind::of::<tcp_mss::TcpMss>(),
    NodeKind::of::<nat44_in2out::Nat44In2out>(),
    NodeKind::of::<ip4_rewrite::Ip4Rewrite>(),
    NodeKind::of::<ip4_fragment::Ip4Fragment>(),
    NodeKind::of::<ip4_resolve::Ip4Resolve>(),
    NodeKind::of::<ip4_reassembly::Ip4Reassembly>(),
    NodeKind::of::<ip4_local::Ip4Local>(),
    NodeKind::of::<icmp_error::IcmpError>(),
    NodeKind::of::<punt::Punt>(),
    NodeKind::of::<bridge_input::BridgeInput>(),
    NodeKind::of::<bridge_flood::BridgeFlood>(),
    NodeKind::of::<ethernet_mirror::EthernetMirror>(),
    NodeKind::of::<switch::Switch>(),
    NodeKind::of::<classify::Classify>(),
    NodeKind::of::<hash_switch::HashSwitch>(),
    NodeKind::of::<round_robin::RoundRobin>(),
    NodeKind::of::<handoff::Handoff>(),
    NodeKind::of::<meter::Meter>(),
    NodeKind::of::<tee::Tee>(),
    NodeKind::of::<paint::Paint>(),
    NodeKind::of::<check_paint::CheckPaint>(),
    NodeKind::of::<counter::Counter>(),
    NodeKind::of::<tx::Tx>(),
    NodeKind::of::<drop::Drop>(),
];

pub use shortcuts::SHORTCUTS;

/// All kinds of tables, those first that others refer to.
pub const TABLES: &[TableKind] = &[
    TableKind::of::<neighbours::Neighbours>(),
    TableKind::of::<routes4::Routes4>(),
    TableKind::of::<bridge::Bridge>(),
    TableKind::sharded::<acl::Acl>(),
    TableKind::of::<deny_list::DenyList>(),
    TableKind::sharded::<nat44::Nat44>(),
];
