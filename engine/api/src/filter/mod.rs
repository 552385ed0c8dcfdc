//! Expressions as those of tcpdump, such as `udp port 53 and net 10.0.0.0/8`: the one language in which packets are chosen, by nodes and by
//! who looks at packets that pass.
//!
//! ```
//! use swath_api::filter::Filter;
//! use swath_api::layer;
//!
//! let filter = Filter::new("src net 10.0.0.0/8", true)?;
//! let packet = [&[0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0][..], &[10, 0, 0, 1, 8, 8, 8, 8]].concat();
//! assert!(filter.matches(layer::IP4, &packet));
//! let wrong = Filter::new("tcp prot 80", true).unwrap_err();
//! assert_eq!((&"tcp prot 80"[wrong.at()], wrong.to_string().as_str()), ("prot", "`and` or `or` is missing before `prot`"));
//! # Ok::<(), swath_api::filter::FilterError>(())
//! ```

mod arith;
mod parse;
mod plain;
mod program;
mod view;

use std::fmt;
use std::ops::Range;

use plain::Plain;
pub use program::{Expression, Program, View};

use crate::edges::layer;

/// What is wrong with an expression, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    message: String,
    at: Range<usize>,
    words: &'static [&'static str],
}

impl FilterError {
    /// The bytes of the text that are wrong; none at its end, where something is missing.
    pub fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    /// Words that can stand there; none if what is wrong is no word.
    pub fn words(&self) -> &'static [&'static str] {
        self.words
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FilterError {}

impl Expression {
    /// Reads an expression. `has_ethernet` says whether packets have an Ethernet header, so that there can be questions about it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, has_ethernet: bool) -> Result<Expression, FilterError> {
        parse::parse(text, has_ethernet)
    }
}

impl<'a> View<'a> {
    /// Of a packet that starts with an Ethernet header. Addresses and protocols are looked for behind VLAN tags.
    pub fn of_frame(frame: &'a [u8]) -> View<'a> {
        view::ethernet(frame)
    }

    /// Of a packet that starts with an IPv4 or an IPv6 header.
    pub fn of_ip(packet: &'a [u8]) -> View<'a> {
        view::ip(packet)
    }

    /// Of a packet that starts with a [`layer`]; of one that is not known its length alone.
    pub fn of(layer: &str, packet: &'a [u8]) -> View<'a> {
        match layer {
            layer::ETHERNET => view::ethernet(packet),
            layer::IP4 | layer::IP6 => view::ip(packet),
            layer::VLAN => view::vlan(packet),
            layer::ARP => view::arp(packet),
            _ => view::unknown(packet),
        }
    }
}

/// One expression, ready to be asked about packets.
#[derive(Debug, Clone)]
pub struct Filter {
    program: Program,
    frames: Plain,
    packets: Plain,
    text: String,
}

/// A filter for packets that start with one layer.
#[derive(Debug, Clone, Copy)]
pub struct LayerFilter<'a> {
    filter: &'a Filter,
    layer: &'a str,
    plain: Option<&'a Plain>,
}

impl LayerFilter<'_> {
    /// Whether it holds for a packet.
    pub fn matches(&self, packet: &[u8]) -> bool {
        self.position(std::iter::once(packet)).is_some()
    }

    /// The index of the first packet for which it holds.
    #[inline]
    pub fn position<'p>(&self, mut packets: impl Iterator<Item = &'p [u8]>) -> Option<usize> {
        match self.plain {
            Some(plain) => plain.position(0, packets, |packet| self.judge(packet)),
            None => packets.position(|packet| self.judge(packet) == 0),
        }
    }

    /// The long way.
    #[cold]
    #[inline(never)]
    fn judge(&self, packet: &[u8]) -> usize {
        self.filter.program.run(&View::of(self.layer, packet))
    }
}

impl Filter {
    /// Reads an expression, as [`Expression::parse`].
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str, has_ethernet: bool) -> Result<Filter, FilterError> {
        let expression = Expression::parse(text, has_ethernet)?;
        let program = Program::new(std::slice::from_ref(&expression));
        let (frames, packets) = (Plain::new(&program, true), Plain::new(&program, false));
        Ok(Filter { program, frames, packets, text: text.into() })
    }

    /// For packets that start with a [`layer`].
    pub fn of<'a>(&'a self, layer: &'a str) -> LayerFilter<'a> {
        let plain = match layer {
            layer::ETHERNET => Some(&self.frames),
            layer::IP4 => Some(&self.packets),
            _ => None,
        };
        LayerFilter { filter: self, layer, plain }
    }

    /// Whether it holds for a packet that starts with a [`layer`].
    pub fn matches(&self, layer: &str, packet: &[u8]) -> bool {
        self.of(layer).matches(packet)
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_known_from_each_layer_on() {
        let ip =
            [&[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 8, 8, 8, 8][..], &[0x0f, 0xa0, 0, 53, 0, 8, 0, 0]].concat();
        let vlan = [&[0, 7, 8, 0][..], &ip].concat();
        let frame = [&[2; 12][..], &[0x81, 0], &vlan].concat();
        let arp = [&[0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1][..], &[0; 6], &[10, 0, 0, 2]].concat();
        let table: [(&str, &str, &[u8], bool); 12] = [
            ("udp port 53 and src host 10.0.0.1", layer::IP4, &ip, true),
            ("udp port 53 and vlan 7", layer::VLAN, &vlan, true),
            ("udp port 53 and vlan 7", layer::ETHERNET, &frame, true),
            ("udp port 53 and vlan 8", layer::ETHERNET, &frame, false),
            ("vlan or ether host 02:02:02:02:02:02", layer::IP4, &ip, false),
            ("arp and host 10.0.0.2", layer::ARP, &arp, true),
            ("arp", layer::IP4, &ip, false),
            ("ip", layer::ARP, &arp, false),
            ("ip", "mpls", &ip, false),
            ("len = 28", "mpls", &ip, true),
            ("udp", layer::IP4, &[], false),
            ("not udp", layer::VLAN, &vlan[..3], true),
        ];
        for (text, layer, packet, expected) in table {
            let filter = Filter::new(text, true).unwrap();
            assert_eq!(filter.matches(layer, packet), expected, "{text} of {layer}");
            assert_eq!(filter.text(), text);
        }
    }

    #[test]
    fn mistakes_are_where_they_are() {
        for (text, wrong) in [
            ("tcp prot 80", 4..8),
            ("port 65536 or udp", 5..10),
            ("hots 1.2.3.4", 0..4),
            ("tcp port", 8..8),
            ("  (tcp  ", 6..6),
            ("tcp and udp or icmp", 12..14),
            ("", 0..0),
            ("udp; tcp", 3..4),
            ("tcp port ü", 9..11),
            ("net 10.0.0.1/8 and tcp", 4..14),
        ] {
            assert_eq!(Filter::new(text, true).unwrap_err().at(), wrong, "{text}");
        }
        assert!(Filter::new("tcp prot 80", true).unwrap_err().words().contains(&"port"));
        assert!(Filter::new("hots 1.2.3.4", true).unwrap_err().words().contains(&"host"));
        assert!(Filter::new("port 65536", true).unwrap_err().words().is_empty());
    }
}
