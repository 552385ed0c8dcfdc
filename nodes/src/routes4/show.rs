//! What the table says of itself.

use std::net::Ipv4Addr;

use super::control::Control;
use super::entry::{Member, To, Way};
use super::settings::{Reply, ShownHop, ShownRoute};
use super::{BY_DESTINATION, Leaf, Meaning, Routes4};
use crate::fib4::Prefix4;

impl Routes4 {
    pub(super) fn show(&self) -> Reply {
        let control = self.control();
        Reply::Table {
            routes: self.published.fib.len(),
            waiting: control.waiting().len(),
            groups: control.groups(),
            memory: self.published.fib.memory().total() + control.memory(),
        }
    }

    pub(super) fn show_route_to(&self, address: Ipv4Addr) -> Reply {
        let control = self.control();
        let found = self.published.fib.longest_match(u32::from(address));
        let Some((prefix, number, active)) = found.and_then(|(prefix, number)| Some((prefix, number, control.active(number)?)))
        else {
            let meaning = Leaf::NO_ROUTE.meaning().name();
            return Reply::Route { prefix: None, meaning, interface: None, via: Vec::new() };
        };
        let way = &control.entry(number).ways[active];
        let interface = match &way.to {
            To::One(member) => Some(self.interface_name(member.tx)),
            _ => None,
        };
        let via = if interface.is_some() { Vec::new() } else { self.hops(&control, number, active, way) };
        Reply::Route { prefix: Some(prefix), meaning: meaning(way).name(), interface, via }
    }

    /// The routes of all prefixes within one, also those that do not count, as far as the limit goes.
    pub(super) fn list(&self, within: Prefix4, limit: usize) -> Vec<ShownRoute> {
        let control = self.control();
        let is_within = |prefix: &Prefix4| within.contains(prefix.addr()) && within.len() <= prefix.len();
        let mut prefixes = self.published.fib.routes();
        prefixes.extend(control.waiting().iter().map(|(prefix, number)| (*prefix, *number)));
        prefixes.retain(|(prefix, _)| is_within(prefix));
        prefixes.sort_unstable();
        prefixes.dedup();
        let ways = |(prefix, number): (Prefix4, u32)| {
            let (entry, active, control) = (control.entry(number).clone(), control.active(number), &control);
            let show = move |index: usize| ShownRoute {
                prefix,
                meaning: meaning(&entry.ways[index]).name(),
                metric: entry.ways[index].metric,
                active: active == Some(index),
                via: self.hops(control, number, index, &entry.ways[index]),
            };
            (0..control.entry(number).ways.len()).map(show)
        };
        prefixes.into_iter().flat_map(ways).take(limit).collect()
    }

    fn hops(&self, control: &Control, number: u32, index: usize, way: &Way) -> Vec<ShownHop> {
        let hop = |(place, member): (usize, &Member)| ShownHop {
            to: match member.adj {
                BY_DESTINATION => None,
                adjacency => self.neighbours.next_hop(adjacency).map(|key| key.address().into()),
            },
            interface: self.interface_name(member.tx),
            weight: member.weight,
            up: control.is_up(member.tx),
            buckets: control.buckets(number, index, place),
        };
        way.to.members().iter().enumerate().map(hop).collect()
    }

    fn interface_name(&self, index: u16) -> String {
        self.interfaces.get(usize::from(index)).map(|interface| interface.name.clone()).unwrap_or_default()
    }
}

fn meaning(way: &Way) -> Meaning {
    match way.to {
        To::Fixed(leaf) => leaf.meaning(),
        _ => Meaning::Forward,
    }
}
