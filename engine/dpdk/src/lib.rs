//! The DPDK driver: a library of its own, linked to DPDK, that Swath opens when a graph first names `driver: dpdk`, `memif` or `vhost-user`.
//!
//! Between both is the C interface of `swath-dpdk-abi`. Swath's pool stays the only owner of chunks: the mempool of DPDK is a view of it.
//!
//! All of this crate is `unsafe` by its nature: it is what lies between two interfaces of C.

mod burst;
mod eal;
mod mbuf;
mod memory;
mod port;
mod statistics;

use swath_dpdk_abi::{ABI, Library, MAGIC};

static LIBRARY: Library = Library {
    magic: MAGIC,
    abi: ABI,
    size: size_of::<Library>() as u32,
    version: eal::version,
    start: eal::start,
    pool: memory::pool,
    forget_pool: memory::forget_pool,
    open: port::open,
    close: port::close,
    receive: burst::receive,
    transmit: burst::transmit,
    revive: port::revive,
    link: port::link,
    counts: statistics::counts,
    figures: statistics::figures,
};

/// What the library can do.
#[unsafe(no_mangle)]
pub extern "C" fn swath_dpdk_library() -> *const Library {
    &raw const LIBRARY
}
