//! The table as it is for one frame: its rules, and what is known of addresses outside just now.

use swath_api::prelude::*;
use swath_api::wire::{Header, IpProtocol, Ipv4, icmp};

use crate::sessions::{Event, FlowKey, Key4, Probe, quoted4};

use super::datagrams::First;
use super::forwards::Known;
use super::pool::Ports;
use super::{ASKED_OUTSIDE, End, INSIDE, Nat44, OUTSIDE, rewrite};

/// What a packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Nothing that is translated.
    Other,
    /// A static mapping, whose other end this is.
    Static(End),
    /// A port of the pool.
    Pool,
}

/// The table, just now.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) table: &'a Nat44,
    pub(super) known: &'a Known,
}

impl View<'_> {
    /// Whether an address is one that hosts inside are known by.
    #[inline(always)]
    pub(crate) fn is_ours(&self, address: u32) -> bool {
        self.known.is_ours(address)
    }

    /// What a packet from inside is for.
    pub(super) fn leaving(&self, probe: &Probe<Key4>, hairpin: bool) -> Target {
        let (source, destination) = (End::from(probe.key.source_end()), probe.key.destination_end().0);
        // The answer to a query for the router itself comes back by the session, too.
        let is_ours = || match probe.key.protocol() {
            IpProtocol::ICMP => self.is_ours(destination),
            _ => self.target(probe) != Target::Other,
        };
        if !self.table.leaves(source.address, destination) || hairpin && !is_ours() {
            return Target::Other;
        }
        self.known.statics.outside_of(source, probe.key.protocol()).map_or(Target::Pool, Target::Static)
    }

    /// Whether a session between these ends may be on this worker.
    pub(super) fn allows(&self, (inside, outside): (End, End), protocol: IpProtocol, worker: u32) -> bool {
        if !self.table.is_inside(inside.address) {
            return false;
        }
        match self.known.statics.outside_of(inside, protocol) {
            Some(fixed) => fixed == outside && self.table.rules.owner_of_inside(inside.address) == Owner::worker(worker),
            None => {
                let place = self.table.rules.pool.find(outside.address);
                let owner = place.and_then(|place| self.table.rules.owner_of_port(place, outside.port));
                Ports::has_protocol(protocol) && !self.is_static(outside, protocol) && owner == Some(Owner::worker(worker))
            }
        }
    }

    /// Whether what is outside is that of a static mapping.
    pub(super) fn is_static(&self, outside: End, protocol: IpProtocol) -> bool {
        self.known.statics.inside_of(outside, protocol).is_some()
    }

    /// What a packet from outside is for.
    pub(super) fn target(&self, probe: &Probe<Key4>) -> Target {
        self.target_of(probe.key.destination_end().into(), probe.key.protocol())
    }

    pub(super) fn target_of(&self, outside: End, protocol: IpProtocol) -> Target {
        if let Some(inside) = self.known.statics.inside_of(outside, protocol) {
            return Target::Static(inside);
        }
        let place = self.table.rules.pool.find(outside.address);
        let is_pool = place.is_some_and(|place| self.table.rules.pool.has(place, outside.port));
        if is_pool && Ports::has_protocol(protocol) { Target::Pool } else { Target::Other }
    }

    /// The probe of a packet that is not plain TCP or UDP.
    pub(super) fn read_special<const SIDE: u16>(&self, packet: &[u8]) -> Probe<Key4> {
        let probe = Probe::<Key4>::read(packet, SIDE);
        match probe.event {
            Event::IcmpError => self.of_error::<SIDE>(packet),
            Event::Query if SIDE == OUTSIDE => asked_outside(probe),
            Event::Answer if SIDE == INSIDE => asked_outside(probe),
            Event::Malformed => malformed(packet, SIDE),
            _ => probe,
        }
    }

    /// The probe of an ICMP error: its key is that of packets which answer what it quotes.
    pub(super) fn of_error<const SIDE: u16>(&self, packet: &[u8]) -> Probe<Key4> {
        let none = nobodys(SIDE);
        let Ok((ip, rest)) = Ipv4::parse(packet) else { return none };
        let message = ip.payload(rest);
        let about = about(ip, message, SIDE);
        let concerned = match about {
            Some(key) => self.concerns::<SIDE>(key.source_end().0, key.destination_end().0),
            None => self.concerns::<SIDE>(ip.src_bits(), ip.dst_bits()),
        };
        match about {
            _ if !concerned => none,
            Some(key) if rewrite::is_good_error(message) => Probe { key, event: Event::IcmpError, ..none },
            Some(key) => Probe { key, ..none },
            None => malformed(packet, SIDE),
        }
    }

    /// Whether a packet of these addresses is one to translate.
    pub(super) fn concerns<const SIDE: u16>(&self, source: u32, destination: u32) -> bool {
        if SIDE == INSIDE { self.table.leaves(source, destination) } else { self.is_ours(destination) }
    }

    /// The worker that a packet from inside belongs to.
    pub(crate) fn owner_inside(&self, packet: &[u8], hairpin: bool) -> Owner {
        let Some((ip, message)) = headers(packet) else { return Owner::ANY };
        let (source, destination) = match about(ip, message, INSIDE) {
            Some(key) => (key.source_end().0, key.destination_end().0),
            None => (ip.src_bits(), ip.dst_bits()),
        };
        let concerned = self.table.leaves(source, destination) && (!hairpin || self.is_ours(destination));
        if concerned { self.table.rules.owner_of_inside(source) } else { Owner::ANY }
    }

    /// The worker that a packet from outside belongs to. Of one that is real the others of its fragments are to be found there.
    pub(crate) fn owner_outside(&self, packet: &[u8], now: u64, is_real: bool) -> Owner {
        let Some((ip, message)) = headers(packet) else { return Owner::ANY };
        if !self.is_ours(ip.dst_bits()) {
            return Owner::ANY;
        }
        let datagram = || fragment_key(packet, OUTSIDE);
        if ip.fragment_offset() > 0 {
            return match self.table.datagrams.find(&datagram(), now) {
                Some(First::At(owner)) => owner,
                _ => Owner::ANY,
            };
        }
        let key = about(ip, message, OUTSIDE).unwrap_or_else(|| Probe::<Key4>::read(packet, OUTSIDE).key);
        let (outside, protocol) = (End::from(key.destination_end()), key.protocol());
        let owner = match self.known.statics.inside_of(outside, protocol) {
            Some(inside) => self.table.rules.owner_of_inside(inside.address),
            None => {
                let place = self.table.rules.pool.find(outside.address);
                place.and_then(|place| self.table.rules.owner_of_port(place, outside.port)).unwrap_or(Owner::ANY)
            }
        };
        if is_real && ip.more_fragments() && owner != Owner::ANY {
            self.table.datagrams.on_its_way(&datagram(), owner, now);
        }
        owner
    }
}

fn headers(packet: &[u8]) -> Option<(&Ipv4, &[u8])> {
    let (ip, rest) = Ipv4::parse(packet).ok()?;
    Some((ip, ip.payload(rest)))
}

/// The probe of a packet that is not to be translated.
fn nobodys(side: u16) -> Probe<Key4> {
    Probe { key: Key4::new(0, 0, IpProtocol(0), side), event: Event::Malformed, first_fragment: false }
}

/// Of a packet that was translated, on its other side: the answers of hosts outside are told from their queries there, too.
pub(super) fn asked_by<const SIDE: u16>(probe: Probe<Key4>) -> Probe<Key4> {
    match probe.event {
        Event::Query if SIDE == OUTSIDE => asked_outside(probe),
        Event::Answer if SIDE == INSIDE => asked_outside(probe),
        _ => probe,
    }
}

/// Of a query that a host outside asks, or of its answer.
fn asked_outside(probe: Probe<Key4>) -> Probe<Key4> {
    Probe { key: with_zone(probe.key, probe.key.zone() | ASKED_OUTSIDE), ..probe }
}

/// A key with another zone.
fn with_zone(key: Key4, zone: u16) -> Key4 {
    let (source, destination) = (key.source_end(), key.destination_end());
    let addresses = u64::from(source.0) << 32 | u64::from(destination.0);
    Key4::new(addresses, u32::from(source.1) << 16 | u32::from(destination.1), key.protocol(), zone)
}

/// The probe of what no host sends: of its addresses.
fn malformed(packet: &[u8], side: u16) -> Probe<Key4> {
    let addresses = packet.first_chunk().map_or(0, |header| addresses(Ipv4::from_array(header)));
    let key = Key4::new(addresses, 0, IpProtocol(0), side);
    Probe { key, event: Event::Malformed, first_fragment: false }
}

fn addresses(ip: &Ipv4) -> u64 {
    u64::from(ip.src_bits()) << 32 | u64::from(ip.dst_bits())
}

/// What the fragments of a packet are known by.
pub(super) fn fragment_key(packet: &[u8], side: u16) -> Key4 {
    let ip = packet.first_chunk().map_or(Ipv4::default(), |header| *Ipv4::from_array(header));
    Key4::fragment(addresses(&ip), ip.id(), ip.protocol(), side)
}

/// For an ICMP error, the key of packets that answer what it quotes. Errors that hosts must not be told by others (RFC 5508 REQ-10, RFC 6633)
/// are about nothing, nor is one that is not for the sender of what it quotes (RFC 5927 §4).
fn about(ip: &Ipv4, message: &[u8], side: u16) -> Option<Key4> {
    let told = [icmp::DESTINATION_UNREACHABLE, icmp::TIME_EXCEEDED, icmp::PARAMETER_PROBLEM];
    if ip.protocol() != IpProtocol::ICMP || ip.fragment_offset() > 0 || !told.contains(message.first()?) {
        return None;
    }
    let quote = message.get(8..)?;
    let quoted = quoted4(quote, side)?;
    (quoted.source_end().0 == ip.dst_bits()).then(|| with_zone(quoted.reversed(), side | who_asked(quote, side)))
}

/// [`ASKED_OUTSIDE`] if an error from `side` quotes an ICMP query of a host outside, or an answer to one.
fn who_asked(quote: &[u8], side: u16) -> u16 {
    let Some(ip) = quote.first_chunk().map(Ipv4::from_array) else { return 0 };
    let is_query = quote.get(ip.header_len()).is_some_and(|kind| [icmp::ECHO_REQUEST, icmp::TIMESTAMP].contains(kind));
    // The other side has sent it.
    if ip.protocol() == IpProtocol::ICMP && is_query == (side == INSIDE) { ASKED_OUTSIDE } else { 0 }
}
