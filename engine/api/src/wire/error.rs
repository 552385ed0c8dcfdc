//! Why bytes are not the header that they were taken for.

use std::error::Error;
use std::fmt;

/// Why bytes are not the header that they were taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// Fewer bytes than the header needs, or than it states.
    Truncated {
        /// The header.
        header: &'static str,
        /// Bytes that it needs, from its first byte on.
        need: usize,
        /// Bytes that are there.
        have: usize,
    },
    /// The version field names another protocol.
    BadVersion {
        /// The header.
        header: &'static str,
        /// The version found.
        version: u8,
    },
    /// The header states a header length below its own fixed part.
    BadHeaderLength {
        /// The header.
        header: &'static str,
        /// The length stated, in bytes.
        length: usize,
        /// The least that it can be.
        least: usize,
    },
    /// The header states a packet length that does not cover the header.
    BadLength {
        /// The header.
        header: &'static str,
        /// The length stated, in bytes.
        length: usize,
        /// The least that it can be.
        least: usize,
    },
    /// An option's length is impossible for its kind, or runs past the header.
    BadOption {
        /// The header.
        header: &'static str,
        /// The option's kind.
        kind: u8,
        /// The length stated, in bytes; 0 where the length itself is cut off.
        length: usize,
        /// Bytes of the header that are left for it.
        room: usize,
    },
    /// An ARP packet for other address families than Ethernet and IPv4.
    BadAddressFamily {
        /// Hardware type and address length.
        hardware: (u16, u8),
        /// Protocol type and address length.
        protocol: (u16, u8),
    },
    /// A hop-by-hop options header that does not directly follow the IPv6 header (RFC 8200 §4.1).
    MisplacedHopByHop,
    /// A second fragment header in one chain.
    RepeatedFragment,
    /// More IPv6 extension headers than are walked.
    TooManyHeaders {
        /// How many are walked.
        limit: usize,
    },
    /// More bytes of IPv6 extension headers than are walked.
    ChainTooLong {
        /// How many are walked.
        limit: usize,
    },
    /// Text that is not six hexadecimal pairs.
    BadMac,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { header, need, have } => {
                write!(f, "{header} is cut short: it needs {need} bytes and has {have}")
            }
            Self::BadVersion { header, version } => write!(f, "{header} has version {version}"),
            Self::BadHeaderLength { header, length, least } => {
                write!(f, "{header} states a header of {length} bytes, less than {least}")
            }
            Self::BadLength { header, length, least } => {
                write!(f, "{header} states a length of {length} bytes, less than {least}")
            }
            Self::BadOption { header, kind, length, room } => {
                write!(f, "{header} option {kind} cannot have {length} bytes; {room} are left")
            }
            Self::BadAddressFamily { hardware: (hardware, hardware_len), protocol: (protocol, protocol_len) } => write!(
                f,
                "ARP is not for Ethernet and IPv4: hardware type {hardware} of {hardware_len} bytes, \
                 protocol type {protocol:#06x} of {protocol_len} bytes"
            ),
            Self::MisplacedHopByHop => f.write_str("IPv6 hop-by-hop options do not directly follow the IPv6 header"),
            Self::RepeatedFragment => f.write_str("IPv6 has a second fragment header"),
            Self::TooManyHeaders { limit } => {
                write!(f, "IPv6 has more than {limit} extension headers")
            }
            Self::ChainTooLong { limit } => {
                write!(f, "IPv6 has more than {limit} bytes of extension headers")
            }
            Self::BadMac => f.write_str("a MAC address is six hexadecimal pairs, like `02:00:5e:10:00:01`"),
        }
    }
}

impl Error for WireError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Arp, Header, Ipv4};

    #[test]
    fn messages() {
        let text = |error: WireError| error.to_string();
        assert_eq!(text(Ipv4::parse(&[0x45; 8]).unwrap_err()), "IPv4 is cut short: it needs 20 bytes and has 8");
        assert_eq!(text(Ipv4::parse(&[0x65; 20]).unwrap_err()), "IPv4 has version 6");
        assert_eq!(text(Ipv4::parse(&[0x44; 20]).unwrap_err()), "IPv4 states a header of 16 bytes, less than 20");
        assert_eq!(
            text(Arp::parse(&[8; 28]).unwrap_err()),
            "ARP is not for Ethernet and IPv4: hardware type 2056 of 8 bytes, \
             protocol type 0x0808 of 8 bytes"
        );
    }
}
