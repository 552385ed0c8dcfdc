//! From the words of a route to where it leads, and the loading of all routes of a graph.

use std::net::Ipv4Addr;

use hashbrown::HashMap;
use swath_api::prelude::*;

use super::buckets::{MAX_MEMBERS, MAX_WEIGHT};
use super::entry::{Entry, Member, To, Way};
use super::settings::{Hop, Route, Routes, Via};
use super::{BY_DESTINATION, Leaf, Meaning, Routes4};
use crate::fib4::Prefix4;
use crate::neighbours::{Key, find_served};

impl Routes4 {
    /// What a route means.
    pub(super) fn resolve(&self, route: &Route) -> Result<Way, ConfigError> {
        let Route { via, interface, metric, .. } = route;
        let nowhere = [
            (route.blackhole, "blackhole", Meaning::Blackhole),
            (route.unreachable, "unreachable", Meaning::Unreachable),
            (route.prohibit, "prohibit", Meaning::Prohibit),
        ];
        let mut nowhere = nowhere.into_iter().filter_map(|(said, name, meaning)| said.then_some((name, meaning)));
        let way = |to| Ok(Way { metric: *metric, to });
        if let Some((name, meaning)) = nowhere.next() {
            if via.is_some() || interface.is_some() {
                return Err(ConfigError::at(name, format!("a route that says `{name}` has neither next hop nor interface")));
            }
            if let Some((other, _)) = nowhere.next() {
                return Err(ConfigError::at(other, format!("`{name}` or `{other}`: a route has one meaning")));
            }
            return way(To::Fixed(Leaf::nowhere(meaning)));
        }
        match via {
            None if interface.is_none() => {
                let message = "a route says where to: `via`, `interface` or `blackhole: true` (or `unreachable`, or `prohibit`)";
                Err(ConfigError::new(message))
            }
            None => way(To::One(self.member(None, interface.as_deref(), "via")?)),
            Some(Via::One(next_hop)) => way(To::One(self.member(Some(*next_hop), interface.as_deref(), "via")?)),
            Some(Via::Several(_)) if interface.is_some() => {
                Err(ConfigError::at("interface", "of several next hops each names its own: `via: [{ to: ..., interface: ... }]`"))
            }
            Some(Via::Several(hops)) => way(To::of(self.members(hops)?)),
        }
    }

    fn members(&self, hops: &[Hop]) -> Result<Vec<Member>, ConfigError> {
        if !(1..=MAX_MEMBERS).contains(&hops.len()) {
            return Err(ConfigError::at("via", format!("1 to {MAX_MEMBERS} next hops, and not {}", hops.len())));
        }
        let mut known: HashMap<(Option<Ipv4Addr>, u16), usize> = HashMap::new();
        let member = |(index, hop): (usize, &Hop)| {
            let inside = |error: ConfigError| error.inside(&format!("via[{index}]"));
            if !(1..=MAX_WEIGHT).contains(&hop.weight) {
                return Err(inside(ConfigError::at("weight", format!("`{}` is not in 1 to {MAX_WEIGHT}", hop.weight))));
            }
            if hop.to.is_none() && hop.interface.is_none() {
                return Err(inside(ConfigError::new("a next hop has an address in `to`, or an `interface`")));
            }
            let member = self.member(hop.to, hop.interface.as_deref(), "to").map_err(inside)?;
            if let Some(first) = known.insert((hop.to, member.tx), index) {
                let name = hop.to.map_or_else(|| hop.interface.clone().unwrap_or_default(), |to| to.to_string());
                return Err(inside(ConfigError::twice("", &name, &format!("via[{first}]"))));
            }
            Ok(Member { weight: hop.weight, ..member })
        };
        hops.iter().enumerate().map(member).collect()
    }

    /// A next hop; `path` is where its address stands.
    fn member(&self, next_hop: Option<Ipv4Addr>, interface: Option<&str>, path: &str) -> Result<Member, ConfigError> {
        let names = || self.interfaces.iter().map(|interface| interface.name.as_str());
        let named = interface.map(|name| find_served(names(), &self.served, name)).transpose()?;
        let Some(next_hop) = next_hop else {
            return Ok(Member { tx: named.unwrap_or(NO_INTERFACE), adj: BY_DESTINATION, weight: 1 });
        };
        if self.neighbours.is_own(next_hop) {
            return Err(ConfigError::at(path, format!("the next hop `{next_hop}` is the router's own address")));
        }
        let found = named.or_else(|| self.neighbours.interface_of(next_hop).filter(|index| self.served.contains(index)));
        let tx = found.ok_or_else(|| ConfigError::off_subnet(path, next_hop))?;
        Ok(Member { tx, adj: self.neighbours.adjacency(tx, next_hop)?, weight: 1 })
    }

    /// The numbers of all prefixes of a graph: those that stand by themselves, and those of the settings. Flows stay with the next hops that they
    /// have in the `old` table.
    pub(super) fn load(
        &self,
        standing: Vec<(Prefix4, Entry)>,
        routes: &Routes,
        old: Option<&Routes4>,
    ) -> Result<Vec<(Prefix4, u32)>, ConfigError> {
        let control = &mut *self.control();
        let mut numbers: HashMap<Prefix4, u32> = HashMap::with_capacity(standing.len() + routes.len());
        for (prefix, entry) in standing {
            numbers.insert(prefix, control.number(&self.published, entry, None, &|_| None)?);
        }
        // A million routes lead to few places: what one of them means the others do, but for a default route and those that share a prefix, and
        // for groups, which take over what each prefix has had.
        let mut meant: Vec<Option<u32>> = vec![None; routes.different()];
        for (index, (prefix, route, place)) in routes.iter().enumerate() {
            let mut read = || {
                self.check_standing(prefix)?;
                let before = numbers.get(&prefix).copied();
                let is_default = prefix == Prefix4::DEFAULT;
                let plain = before.is_none() && !is_default && !matches!(route.via, Some(Via::Several(_)));
                if let Some(number) = meant[place].filter(|_| plain) {
                    return Ok(number);
                }
                let entry = match before {
                    None => Entry { is_default, ways: vec![self.resolve(route)?] },
                    Some(number) if control.entry(number).has(route.metric) => return Err(twice(routes, prefix, route.metric)),
                    Some(number) => control.entry(number).with(self.resolve(route)?),
                };
                let inherited = |way: &Way| self.inherited(old?, prefix, way);
                let number = control.number(&self.published, entry, before, &inherited)?;
                if plain {
                    meant[place] = Some(number);
                }
                Ok(number)
            };
            let number = read().map_err(|error| error.inside(&format!("routes[{index}]")))?;
            numbers.insert(prefix, number);
        }
        numbers.values().for_each(|number| control.count(*number));
        control.tidy(&self.published);
        Ok(numbers.into_iter().collect())
    }
}

impl Routes4 {
    /// The owners of the buckets that a route has had in an old table, by the places of its next hops now.
    fn inherited(&self, old: &Routes4, prefix: Prefix4, way: &Way) -> Option<Vec<u8>> {
        let control = old.control();
        let number = control.get(&old.published, prefix)?;
        let hops: Vec<_> = way.to.members().iter().map(|member| self.hop(member)).collect();
        control.owners(number, way.metric, |member| hops.iter().position(|hop| *hop == old.hop(member)))
    }

    /// What a next hop is, whatever the number of its adjacency; without an address, where it is the packet's destination.
    fn hop(&self, member: &Member) -> (u16, Option<Key>) {
        (member.tx, self.neighbours.next_hop(member.adj))
    }
}

/// A route of this prefix and metric has been given before.
fn twice(routes: &Routes, prefix: Prefix4, metric: u32) -> ConfigError {
    let first = routes.iter().position(|(other, route, _)| other == prefix && route.metric == metric).unwrap_or_default();
    ConfigError::twice("prefix", &prefix.to_string(), &format!("routes[{first}].prefix"))
}
