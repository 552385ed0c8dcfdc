//! Packet captures in files: [`Reader`] for pcap and pcapng, [`Writer`] for pcap,
//! [`PcapngWriter`] for packets with comments, and [`compare`] to say whether two captures hold the same traffic.
//!
//! Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.

mod compare;
mod difference;
mod error;
mod flow;
mod input;
mod pcapng;
mod pcapng_writer;
mod reader;
mod writer;

pub use compare::{CompareError, compare, compare_readers};
pub use difference::{Comparison, Difference, Kind, Side};
pub use error::{ReadError, ReadErrorKind};
pub use flow::{Detail, Flow};
pub use pcapng_writer::{Captured, PcapngWriter};
pub use reader::{Reader, Record};
pub use writer::Writer;

use std::fmt;

/// What the frames of a record begin with: a number of the tcpdump.org link-type registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// LINKTYPE_ETHERNET: frames begin with a destination MAC address.
    pub const ETHERNET: Self = Self(1);
    /// LINKTYPE_RAW: packets begin with an IPv4 or an IPv6 header.
    pub const RAW: Self = Self(101);
    /// LINKTYPE_USER0: packets begin with what nobody else knows.
    pub const USER: Self = Self(147);
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ETHERNET => f.write_str("Ethernet"),
            Self(number) => write!(f, "link type {number}"),
        }
    }
}
