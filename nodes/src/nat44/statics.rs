//! Mappings that settings make: hosts that have an address of their own outside, and ports that are forwarded.

use hashbrown::HashMap;
use swath_api::prelude::*;
use swath_api::wire::IpProtocol;

use super::End;

/// One of them. With protocol 0 it is of all of both addresses, and ports stay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Static {
    pub(super) protocol: IpProtocol,
    pub(super) inside: End,
    pub(super) outside: End,
}

/// All of them.
#[derive(Debug, Default, Clone)]
pub(super) struct Statics {
    by_inside: HashMap<u64, End>,
    by_outside: HashMap<u64, End>,
    // Addresses outside, in order.
    addresses: Vec<u32>,
    entries: Vec<Static>,
}

impl Statics {
    /// Adds one. Of several that lead to the same port inside, packets from there take the first.
    ///
    /// # Errors
    /// Another one has the address and port outside.
    pub(super) fn add(&mut self, entry: Static) -> Result<(), ConfigError> {
        let Static { protocol, inside, outside } = entry;
        let whole = self.by_outside.contains_key(&word(End { port: 0, ..outside }, IpProtocol(0)));
        let parts = protocol == IpProtocol(0) && self.addresses.binary_search(&outside.address).is_ok();
        if whole || parts || self.by_outside.insert(word(outside, protocol), inside).is_some() {
            return Err(ConfigError::at("outside", "another `static` has it already"));
        }
        self.by_inside.entry(word(inside, protocol)).or_insert(outside);
        if let Err(at) = self.addresses.binary_search(&outside.address) {
            self.addresses.insert(at, outside.address);
        }
        self.entries.push(entry);
        Ok(())
    }

    /// The same without the one of an address and port outside; `None` if there is none.
    pub(super) fn without(&self, outside: End, protocol: IpProtocol) -> Option<Statics> {
        let is_it = |entry: &Static| (entry.outside, entry.protocol) == (outside, protocol);
        let mut less = Statics::default();
        for entry in self.entries.iter().filter(|entry| !is_it(entry)) {
            // They were there together.
            less.add(*entry).ok()?;
        }
        (less.entries.len() < self.entries.len()).then_some(less)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All of them, in the order in which they were added.
    pub(super) fn entries(&self) -> &[Static] {
        &self.entries
    }

    /// Ports that are forwarded.
    pub(super) fn ports(&self) -> impl Iterator<Item = &Static> {
        self.entries.iter().filter(|entry| entry.protocol != IpProtocol(0))
    }

    /// What is outside for what is inside.
    pub(super) fn outside_of(&self, inside: End, protocol: IpProtocol) -> Option<End> {
        find(&self.by_inside, inside, protocol)
    }

    /// What is inside for what is outside.
    pub(super) fn inside_of(&self, outside: End, protocol: IpProtocol) -> Option<End> {
        find(&self.by_outside, outside, protocol)
    }
}

fn find(map: &HashMap<u64, End>, end: End, protocol: IpProtocol) -> Option<End> {
    if map.is_empty() {
        return None;
    }
    let whole = || map.get(&word(End { port: 0, ..end }, IpProtocol(0))).map(|to| End { port: end.port, ..*to });
    map.get(&word(end, protocol)).copied().or_else(whole)
}

fn word(end: End, protocol: IpProtocol) -> u64 {
    u64::from(end.address) << 32 | u64::from(end.port) << 16 | u64::from(protocol.0)
}
