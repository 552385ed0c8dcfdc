//! Packet memory: one region of equal chunks, the pool that owns the free ones, and arrays on huge pages for tables.
//!
//! A chunk is `[64 B DPDK object header][128 B rte_mbuf][64 B cold Meta][headroom][data]`, so that the same memory serves as an
//! AF_XDP UMEM (unaligned-chunk mode, chunk size = stride) and as a DPDK mempool. Its length, the *stride*, is an odd number of
//! cache lines: with a power of two the headers of all packets fall into a few sets of the L1 cache (measured: 2.5 times slower).

mod huge;
mod pool;
mod region;

pub use huge::HugeArray;
pub use pool::{Buffer, Cache, Pool};
pub use region::{Geometry, Region};

/// Bytes at the start of each chunk that are never packet data: DPDK's object header and mbuf, and the [`Meta`](crate::Meta) line.
pub const HEAD: usize = 256;
/// Where the [`Meta`](crate::Meta) line starts in a chunk.
pub(crate) const META_AT: usize = 192;
/// Bytes that a driver leaves free before the first byte of a received packet, for headers to be prepended.
pub const HEADROOM: usize = 128;
/// Where a received packet starts in its chunk.
pub const DATA: usize = HEAD + HEADROOM;
/// Bytes from the start of a packet's data that may always be read and written, whatever the packet's length: what lets header
/// checks load whole vectors. Every descriptor keeps `offset + WINDOW <= stride`.
pub const WINDOW: usize = 128;
/// Bytes of a cache line; the unit of a chunk's position.
pub const LINE: usize = 64;
