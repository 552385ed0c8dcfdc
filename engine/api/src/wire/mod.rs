//! Header views: packet bytes as typed headers, without a copy.
//!
//! Every header is a `#[repr(C)]` struct of alignment 1 over network-endian fields, so a reference
//! to it *is* a reference to packet bytes and a getter is one whole load. All headers are taken the
//! same way, by the trait [`Header`]:
//!
//! ```
//! use swath_api::wire::{Eth, EtherType, Header, IpProtocol, Ipv4, Udp, WireError};
//!
//! fn dst_port(frame: &[u8]) -> Result<Option<u16>, WireError> {
//!     let (eth, rest) = Eth::parse(frame)?;
//!     if eth.ether_type() != EtherType::IPV4 {
//!         return Ok(None);
//!     }
//!     let (ip, rest) = Ipv4::parse(rest)?;
//!     if ip.protocol() != IpProtocol::UDP || ip.is_fragment() {
//!         return Ok(None);
//!     }
//!     let (udp, _) = Udp::parse(ip.payload(rest))?;
//!     Ok(Some(udp.dst_port()))
//! }
//! # assert!(dst_port(&[0; 13]).is_err());
//! # assert_eq!(dst_port(&[0; 14]), Ok(None));
//! ```
//!
//! # What is promised
//!
//! - `parse` checks once all that the header says about itself against the bytes that are there, and
//!   names what is wrong ([`WireError`]). It does not verify checksums: see [`checksum`].
//! - No accessor panics, for any content, whichever way the view was obtained. Where bytes are
//!   selected by a length that a header states, it is clamped to the bytes given.
//! - A setter of a field narrower than its argument keeps the low bits.
//!
//! The bytes after the fixed part come back as `rest`. Headers with options or a length of their
//! own divide it: `ip.options(rest)`, `ip.payload(rest)`.
//!
//! The header that an ICMP error quotes is cut short, so `parse` refuses it. Take it by
//! `first_chunk` and [`Header::from_array`].

mod arp;
pub mod checksum;
mod error;
mod eth;
pub mod icmp;
mod icmp_cause;
pub mod icmpv6;
mod ipv4;
mod ipv6;
mod ipv6_ext;
mod mac;
mod options;
mod protocol;
mod tcp;
mod tcp_options;
mod udp;
mod vlan;

pub use arp::{Arp, ArpOperation};
pub use error::WireError;
pub use eth::{Eth, EtherType};
pub use icmp::Icmp;
pub use icmp_cause::IcmpCause;
pub use icmpv6::Icmpv6;
pub use ipv4::Ipv4;
pub use ipv6::Ipv6;
pub use ipv6_ext::{Fragment, FragmentHeader, MAX_EXTENSION_BYTES, MAX_EXTENSION_HEADERS, Upper};
pub use mac::MacAddr;
pub use options::{Options, RawOption};
pub use protocol::IpProtocol;
pub use tcp::{Tcp, TcpFlags};
pub use tcp_options::{TcpOption, TcpOptions};
pub use udp::Udp;
pub use vlan::{Vlan, VlanTag};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute_mut, transmute_ref};

/// A header that can be viewed in packet bytes.
pub trait Header: Sized + FromBytes + IntoBytes + KnownLayout + Immutable + Unaligned {
    /// The name that errors give it.
    const NAME: &'static str;

    /// Exactly the bytes of its fixed part: `[u8; N]`. A wrong `N` does not compile.
    type Array: FromBytes + IntoBytes + Immutable;

    /// What the header says about itself, against the `have` bytes from its first byte on.
    #[inline]
    fn check(&self, _have: usize) -> Result<(), WireError> {
        Ok(())
    }

    /// Views the start of `bytes`; also returns what follows the fixed part.
    #[inline]
    fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), WireError> {
        let have = bytes.len();
        let Ok((header, rest)) = Self::ref_from_prefix(bytes) else {
            return Err(truncated::<Self>(have));
        };
        header.check(have)?;
        Ok((header, rest))
    }

    /// [`parse`](Self::parse), to write.
    #[inline]
    fn parse_mut(bytes: &mut [u8]) -> Result<(&mut Self, &mut [u8]), WireError> {
        let have = bytes.len();
        let Ok((header, rest)) = Self::mut_from_prefix(bytes) else {
            return Err(truncated::<Self>(have));
        };
        header.check(have)?;
        Ok((header, rest))
    }

    /// Views exactly its bytes, unchecked: for hot paths where an earlier node has checked.
    #[inline]
    fn from_array(array: &Self::Array) -> &Self {
        transmute_ref!(array)
    }

    /// [`from_array`](Self::from_array), to write.
    #[inline]
    fn from_array_mut(array: &mut Self::Array) -> &mut Self {
        transmute_mut!(array)
    }

    /// Its bytes.
    #[inline]
    fn as_array(&self) -> &Self::Array {
        transmute_ref!(self)
    }
}

fn truncated<H: Header>(have: usize) -> WireError {
    WireError::Truncated { header: H::NAME, need: size_of::<H>(), have }
}

/// Getter and setter of fields that convert with `into`.
macro_rules! accessors {
    ($($(#[$doc:meta])* $field:ident, $set:ident: $type:ty;)*) => {$(
        $(#[$doc])*
        #[inline]
        pub fn $field(&self) -> $type {
            self.$field.into()
        }

        #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ").")]
        #[inline]
        pub fn $set(&mut self, value: $type) {
            self.$field = value.into();
        }
    )*};
}
use accessors;

/// Getters and setters of an IP address, as such and as a number.
macro_rules! address {
    ($(#[$doc:meta])* $field:ident, $set:ident, $bits:ident, $set_bits:ident: $ip:ty, $number:ty) => {
        $(#[$doc])*
        #[inline]
        pub fn $field(&self) -> $ip {
            <$ip>::from_bits(self.$bits())
        }

        #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ").")]
        #[inline]
        pub fn $set(&mut self, address: $ip) {
            self.$set_bits(address.to_bits());
        }

        #[doc = concat!("[`", stringify!($field), "`](Self::", stringify!($field), ") as a number.")]
        #[inline]
        pub fn $bits(&self) -> $number {
            self.$field.get()
        }

        #[doc = concat!("Sets [`", stringify!($bits), "`](Self::", stringify!($bits), ").")]
        #[inline]
        pub fn $set_bits(&mut self, bits: $number) {
            self.$field = bits.into();
        }
    };
}
use address;

/// `bytes[from..to]`, clamped to what is there.
#[inline]
fn clamp(bytes: &[u8], from: usize, to: usize) -> &[u8] {
    let bytes = bytes.get(..to).unwrap_or(bytes);
    bytes.get(from..).unwrap_or_default()
}

/// [`clamp`], to write.
#[inline]
fn clamp_mut(bytes: &mut [u8], from: usize, to: usize) -> &mut [u8] {
    let to = to.min(bytes.len());
    let from = from.min(to);
    bytes.get_mut(from..to).unwrap_or_default()
}
