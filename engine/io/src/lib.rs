//! What packets live in and where they come from: packet memory, interface drivers, captures, and packets in text form.
//!
//! - [`open_region`] maps the memory of all packets, on huge pages where there are any.
//! - [`DRIVERS`] lists the drivers, each of which attaches interfaces as a [`Port`](swath_core::driver::Port) with queues:
//!   [`memory`](drivers::memory) generates packets and checks what comes back, [`pcap`](drivers::pcap) replays and writes captures:
//!   neither needs a privilege, and both keep virtual time. [`af_packet`](drivers::af_packet),
//!   [`af_xdp`](drivers::af_xdp) and [`tap`](drivers::tap) attach to devices of the kernel, [`dpdk`](drivers::dpdk) to those of DPDK.
//! - [`offload`] does the work that senders in the same kernel leave to network cards.
//! - [`doctor`] says what a machine offers to drivers of devices, and what stands in their way.
//! - [`flow_hash()`] says which worker a packet comes in on, alike in every driver that has to decide it itself.
//! - [`capture`] reads, writes and compares captures; [`text`] reads and writes packets as people do.
//!
//! `unsafe` is in `region`, for the mapping, and in the drivers of kernel devices, for rings and calls that no library wraps.

pub mod capture;
pub mod drivers;
mod flow_hash;
pub mod offload;
mod region;
pub mod text;

pub use drivers::doctor;
pub use flow_hash::{flow_hash, queue_of};
pub use region::{PageKind, Pages, RegionError, open_region};

use swath_core::driver::DriverKind;

/// All drivers, in reading order.
pub const DRIVERS: &[DriverKind] = &[
    drivers::af_packet::KIND,
    drivers::af_xdp::KIND,
    drivers::dpdk::KIND,
    drivers::dpdk::memif::KIND,
    drivers::dpdk::vhost::KIND,
    drivers::tap::KIND,
    drivers::memory::KIND,
    drivers::pcap::KIND,
];
