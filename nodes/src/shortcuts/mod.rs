//! Shortcuts: the nodes of a router that follow each other in most graphs, as one step for the packets that need no more than each of them
//! usually does.
//!
//! A header is read once and not four times, and between the steps nothing is decided, moved or counted packet by packet. What is not plain
//! (options, an exhausted time to live, a neighbour that is not known, ...) takes the long way, so that all that is said of it is said in one place.

mod arrival;
mod departure;
mod router;

use swath_api::prelude::*;
use swath_api::wire::{Eth, EtherType, Header, MacAddr};
use swath_api::{NodeKind, Passed, Route, Shortcut};

use crate::ip4_input::Martians;
use crate::ip4_lookup::Ip4Lookup;
use crate::neighbours::Neighbours;
use crate::routes4::{BY_DESTINATION, Leaf, Routes4};
use crate::{ip4_input, ip4_lookup, ip4_rewrite};

const ETHERNET_INPUT: (&str, &str) = ("ethernet-input", "ip4");
const IP4_INPUT: (&str, &str) = ("ip4-input", "ok");
const IP4_LOOKUP: (&str, &str) = ("ip4-lookup", "forward");
const IP4_REWRITE: (&str, &str) = ("ip4-rewrite", "ok");

/// All of them, the longest first.
pub const SHORTCUTS: &[Shortcut] = &[
    Shortcut { steps: &[ETHERNET_INPUT, IP4_INPUT, IP4_LOOKUP, IP4_REWRITE], kind: NodeKind::of::<router::Router>() },
    Shortcut { steps: &[ETHERNET_INPUT, IP4_INPUT], kind: NodeKind::of::<arrival::Arrival>() },
    Shortcut { steps: &[IP4_LOOKUP, IP4_REWRITE], kind: NodeKind::of::<departure::Departure>() },
];

/// The stations at which packets arrive, by interface.
struct Stations(Vec<MacAddr>);

impl Stations {
    fn new(config: &ip4_input::Config, setup: &Setup<'_>) -> Result<Stations, ConfigError> {
        // Then a destination may be wrong, too, which is nothing that all look at.
        if config.martians == Martians::Special {
            return Err(ConfigError::at("martians", "each packet is looked at"));
        }
        Ok(Stations(setup.interfaces().iter().map(|interface| interface.mac).collect()))
    }

    /// The address to which all packets of a frame should be, if all came by the same interface.
    fn of(&self, frame: &mut Frame<'_, Passed>) -> Option<MacAddr> {
        self.0.get(usize::from(frame.received_by_one()?)).copied()
    }
}

/// Whether a packet that is not plain may be forwarded all the same, after a closer look: one with options, one from an address that is no
/// host's, or in a frame to a group.
fn may_be_forwarded(packet: &Packet<'_>, mac: MacAddr) -> bool {
    let Ok((eth, data)) = Eth::parse(packet.data()) else { return false };
    if eth.ether_type() != EtherType::IPV4 || eth.dst() != mac && !eth.dst().is_group() {
        return false;
    }
    // Of a whole header without options, from a host, to this station, the checksum or the length is wrong.
    data.first_chunk::<20>().is_none_or(|header| eth.dst() != mac || header[0] != 0x45 || matches!(header[12], 0 | 127 | 224..))
}

/// From destinations to adjacencies.
struct Ways {
    routes: Handle<Routes4>,
    neighbours: Handle<Neighbours>,
    // Scratch space.
    numbers: Box<[u32; 64]>,
}

impl Ways {
    fn new(lookup: ip4_lookup::Config, rewrite: &ip4_rewrite::Config, setup: &mut Setup<'_>) -> Result<Ways, ConfigError> {
        let (routes, neighbours) = Ip4Lookup::tables(&lookup, setup)?;
        let other = setup.table::<Neighbours>("neighbours", rewrite.neighbours.as_deref())?;
        if !std::ptr::eq(setup.shared(neighbours), setup.shared(other)) {
            return Err(ConfigError::at("neighbours", "those of the look-up are others"));
        }
        Ok(Ways { routes, neighbours, numbers: Box::new([0; 64]) })
    }

    /// Looks the packets up.
    #[inline(always)]
    fn find(&mut self, route: &mut Route<'_, Passed>, cx: &Context<'_>) {
        let routes = cx.table(self.routes);
        let table = routes.leaves();
        let mut all = 0;
        route.look_up(|destinations, leaves| {
            let numbers = &mut self.numbers[..destinations.len()];
            routes.lookup(destinations, numbers);
            let ((leaves, last_leaves), (numbers, last_numbers)) = (leaves.as_chunks_mut::<4>(), numbers.as_chunks::<4>());
            let mut find = |found: &mut u64, number: u32| {
                *found = table.get(number).out();
                all |= *found;
            };
            for (leaves, numbers) in leaves.iter_mut().zip(numbers) {
                leaves.iter_mut().zip(numbers).for_each(|(leaf, number)| find(leaf, *number));
            }
            last_leaves.iter_mut().zip(last_numbers).for_each(|(leaf, number)| find(leaf, *number));
        });
        // None is special if all together are not. The other way round it is seldom so, and does no harm.
        if Leaf::from_out(all).may_be_special() {
            self.find_closer(route, cx);
        }
    }

    /// Chooses members of groups, and finds neighbours that are themselves the destination.
    #[cold]
    fn find_closer(&self, route: &mut Route<'_, Passed>, cx: &Context<'_>) {
        let (routes, neighbours) = (cx.table(self.routes), cx.table(self.neighbours));
        let table = routes.leaves();
        table.settle();
        route.look_closer(|destination, packet, found| {
            let leaf = Leaf::from_out(*found);
            let leaf = if leaf.is_group() { table.member(leaf, routes.hash(packet)) } else { leaf };
            let unknown = || leaf.with_adj(0);
            *found = match leaf.adj() {
                BY_DESTINATION => neighbours.host(leaf.tx(), destination).map_or_else(unknown, |adj| leaf.with_adj(adj)).out(),
                _ => leaf.out(),
            };
        });
    }

    /// Has all packets leave that can.
    #[inline(always)]
    fn depart(&self, route: Route<'_, Passed>, cx: &mut Context<'_>) {
        let (table, neighbours) = (cx.table(self.neighbours), cx.shard(self.neighbours));
        // As in `ip4-rewrite`: who has seen a neighbour sees its adjacency.
        neighbours.catch_up(table);
        route.depart(neighbours.adjacencies(), Passed::Done, Passed::Rest);
    }
}
