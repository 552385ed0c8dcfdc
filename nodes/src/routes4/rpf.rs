//! Where packets from an address may come from: of each number the interfaces that its routes lead out of (RFC 3704).

use std::sync::atomic::{AtomicU64, Ordering};

use swath_api::prelude::*;
use swath_api::zerocopy::FromZeros;

use super::entry::{Entry, Way};
use crate::leaf4::MAX_LEAVES;

/// The route leads to hosts.
const FORWARD: u64 = 1;
/// It is 0.0.0.0/0.
const DEFAULT: u64 = 2;

/// Of each number a word of flags and two sets of interfaces: those of the route that decides, and those of all routes of the prefix.
pub(super) struct Rpf {
    words: Box<[AtomicU64]>,
    /// Words of a set.
    set: usize,
}

impl Rpf {
    /// For so many interfaces. Its memory is taken when it is written.
    pub(super) fn new(interfaces: usize) -> Result<Rpf, ConfigError> {
        let set = interfaces.div_ceil(64);
        let words = <[AtomicU64]>::new_box_zeroed_with_elems(MAX_LEAVES * (1 + 2 * set));
        Ok(Rpf { words: words.map_err(|_| ConfigError::new("no memory for the ways back"))?, set })
    }

    pub(super) fn store(&self, number: u32, entry: &Entry, active: Option<usize>) {
        let active = active.map(|way| &entry.ways[way]).filter(|way| !way.to.members().is_empty());
        let flags = if active.is_some() { FORWARD } else { 0 } | if entry.is_default { DEFAULT } else { 0 };
        let set = |ways: &[&Way], word: usize| {
            let members = ways.iter().flat_map(|way| way.to.members());
            let here = members.filter(|member| usize::from(member.tx) / 64 == word);
            here.fold(0, |bits, member| bits | 1 << (member.tx % 64))
        };
        let all: Vec<&Way> = entry.ways.iter().collect();
        let (first, words) = (number as usize * (1 + 2 * self.set), &self.words);
        words[first].store(flags, Ordering::Relaxed);
        for word in 0..self.set {
            words[first + 1 + word].store(set(active.as_slice(), word), Ordering::Relaxed);
            words[first + 1 + self.set + word].store(set(&all, word), Ordering::Relaxed);
        }
    }

    #[inline]
    pub(super) fn of(&self, number: u32) -> WayBack<'_> {
        let length = 1 + 2 * self.set;
        let first = number as usize % MAX_LEAVES * length;
        WayBack(self.words.get(first..first + length).unwrap_or_default())
    }
}

/// The ways back to an address.
#[derive(Clone, Copy)]
pub struct WayBack<'a>(&'a [AtomicU64]);

impl WayBack<'_> {
    /// Whether there is any: the longest route leads to hosts.
    #[inline]
    pub fn exists(self) -> bool {
        self.word(0) & FORWARD != 0
    }

    /// Whether the longest route is 0.0.0.0/0.
    #[inline]
    pub fn is_default(self) -> bool {
        self.word(0) & DEFAULT != 0
    }

    /// Whether the route that decides leads out of an interface, by any of its next hops.
    #[inline]
    pub fn is_best(self, interface: u16) -> bool {
        self.has(1, interface)
    }

    /// Whether any route of the prefix leads out of an interface, also one that stands by.
    #[inline]
    pub fn is_feasible(self, interface: u16) -> bool {
        self.has(1 + self.0.len() / 2, interface)
    }

    #[inline]
    fn has(self, first: usize, interface: u16) -> bool {
        let word = usize::from(interface) / 64;
        word < self.0.len() / 2 && self.word(first + word) >> (interface % 64) & 1 != 0
    }

    #[inline]
    fn word(self, index: usize) -> u64 {
        self.0.get(index).map_or(0, |word| word.load(Ordering::Relaxed))
    }
}
