//! Copies of the list in the hands of drivers ([`AddressSet`]). What is in a copy is in the list: an address is added to the list first, and
//! removed from it last, so that what a driver drops the node would drop, too.

use std::collections::BTreeSet;
use std::sync::Arc;

use swath_api::AddressSet;

use super::Ranges6;
use crate::acl::Prefix;
use crate::fib4::{Fib4, Prefix4};

/// Those that there are.
#[derive(Default)]
pub(super) struct Copies(Vec<Arc<dyn AddressSet>>);

impl Copies {
    /// One more, which gets all that there is. Those that nobody else has any more are forgotten.
    pub fn push(&mut self, copy: Arc<dyn AddressSet>, ip4: &Fib4, ip6: &Ranges6) {
        self.0.retain(|copy| Arc::strong_count(copy) > 1);
        ip4.routes().into_iter().for_each(|(prefix, _)| copy.add4(prefix.addr(), prefix.len()));
        copy.replace6(ip6.borders());
        self.0.push(copy);
    }

    /// Adds prefixes that are in the list.
    pub fn add4<'a>(&self, prefixes: impl Iterator<Item = &'a Prefix4> + Clone) {
        for copy in &self.0 {
            prefixes.clone().for_each(|prefix| copy.add4(prefix.addr(), prefix.len()));
        }
    }

    /// The prefixes that are in the list and will not be, and those that are not and will be; none if there is no copy.
    pub fn difference4(&self, ip4: &Fib4, then: &BTreeSet<Prefix4>) -> [Vec<Prefix4>; 2] {
        if self.0.is_empty() {
            return Default::default();
        }
        let now = ip4.routes().into_iter().map(|(prefix, _)| prefix);
        let new = then.iter().filter(|prefix| ip4.get(**prefix).is_none());
        [now.filter(|prefix| !then.contains(prefix)).collect(), new.copied().collect()]
    }

    /// Removes prefixes that will be removed from the list. Of their addresses those stay that prefixes have of which `remains` is true.
    pub fn remove4<'a>(&self, gone: impl Iterator<Item = &'a Prefix4>, ip4: &Fib4, remains: impl Fn(Prefix4) -> bool) {
        if self.0.is_empty() {
            return;
        }
        let is_covered = |prefix: &Prefix4| (0..prefix.len()).any(|len| remains(Prefix4::containing(prefix.addr(), len)));
        let gone: Vec<Prefix4> = gone.filter(|prefix| !is_covered(prefix)).copied().collect();
        for copy in &self.0 {
            gone.iter().for_each(|prefix| copy.remove4(prefix.addr(), prefix.len()));
        }
        if gone.iter().all(|prefix| prefix.len() == 32) {
            return;
        }
        // What lies within them and remains was removed with them.
        let gone: BTreeSet<Prefix4> = gone.into_iter().collect();
        let within: Vec<Prefix4> = ip4.inside(&gone).into_iter().filter(|prefix| remains(*prefix)).collect();
        self.add4(within.iter());
    }

    /// As the list is now.
    pub fn replace6(&self, ip6: &Ranges6) {
        self.0.iter().for_each(|copy| copy.replace6(ip6.borders()));
    }

    /// Before the list is replaced: leaves what it has and will have.
    pub fn shrink6(&self, now: &BTreeSet<Prefix<u128>>, then: &BTreeSet<Prefix<u128>>) {
        if !self.0.is_empty() {
            let both: BTreeSet<Prefix<u128>> = now.intersection(then).copied().collect();
            self.replace6(&Ranges6::new(&both));
        }
    }
}
