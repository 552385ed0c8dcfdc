//! What the control side may ask of a list.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use swath_api::prelude::*;

use super::copies::Copies;
use super::{DenyList, Entry, LISTED, MOST_PREFIXES, Ranges6};
use crate::acl::{Address as _, IpPrefix, Prefix};
use crate::fib4::{Fib4Error, Prefix4};

/// What the control side may ask. Changes take effect at once for all packets that come in after it, while workers go on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Adds entries.
    Add {
        /// Addresses, prefixes and ranges. Those that are there stay.
        prefixes: Vec<Entry>,
    },
    /// Removes entries.
    Remove {
        /// Prefixes as they were added, and ranges as the prefixes that they are made of. What other prefixes have is denied as before.
        prefixes: Vec<Entry>,
    },
    /// Puts others in the place of all. Packets to and from what is in both lists are denied all the time.
    Replace {
        /// Addresses, prefixes and ranges.
        prefixes: Vec<Entry>,
    },
    /// Says why an address is denied.
    Lookup {
        /// The address.
        address: IpAddr,
    },
    /// Says how large the list is, and what it has counted.
    Show {},
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Done.
    Changed {
        /// Prefixes that were not there before.
        added: usize,
        /// Prefixes that are not there any more.
        removed: usize,
    },
    /// Of an address: the longest prefix that has it, if there is one.
    Listed {
        /// The prefix.
        prefix: Option<String>,
    },
    /// Sizes and counts.
    List {
        /// Prefixes of IPv4.
        ip4: usize,
        /// Prefixes of IPv6.
        ip6: usize,
        /// Bytes.
        memory: usize,
        /// Packets that were denied because of their source.
        sources: u64,
        /// Packets that were denied because of their destination.
        destinations: u64,
    },
}

/// What only the control side knows.
#[derive(Default)]
pub(super) struct Control {
    pub(super) ip6: BTreeSet<Prefix<u128>>,
    /// Sets that workers may still have.
    old: Vec<Arc<Ranges6>>,
    /// What drivers have of the list.
    pub(super) copies: Copies,
}

/// Prefixes, each once.
#[derive(Default)]
pub(super) struct Set {
    ip4: BTreeSet<Prefix4>,
    ip6: BTreeSet<Prefix<u128>>,
}

impl Set {
    /// Those that entries are made of; a list is full before memory is.
    pub(super) fn of(entries: &[Entry]) -> Result<Set, ConfigError> {
        let mut set = Set::default();
        for (at, entry) in entries.iter().enumerate() {
            for prefix in entry.prefixes() {
                match prefix {
                    IpPrefix::V4(Prefix { address, len }) => set.ip4.insert(Prefix4::containing(address, len)),
                    IpPrefix::V6(prefix) => set.ip6.insert(prefix),
                };
            }
            if set.ip4.len() > MOST_PREFIXES || set.ip6.len() > MOST_PREFIXES {
                return Err(full().inside(&format!("prefixes[{at}]")));
            }
        }
        Ok(set)
    }

    pub(super) fn len(&self) -> usize {
        self.ip4.len() + self.ip6.len()
    }
}

fn full() -> ConfigError {
    ConfigError::new(format!("a list has {MOST_PREFIXES} prefixes of each version of IP at most, and this one is too many"))
}

fn refused(error: Fib4Error) -> ConfigError {
    ConfigError::new(error.to_string())
}

impl DenyList {
    pub(super) fn carry_out(&self, command: Command) -> Result<Reply, ConfigError> {
        match command {
            Command::Add { prefixes } => self.add(&Set::of(&prefixes)?),
            Command::Remove { prefixes } => self.remove(&Set::of(&prefixes)?),
            Command::Replace { prefixes } => self.replace(Set::of(&prefixes)?),
            Command::Lookup { address } => Ok(Reply::Listed { prefix: self.longest(address).map(|prefix| prefix.to_string()) }),
            Command::Show {} => {
                let control = self.control();
                let ((sources, destinations), ip6) = (self.hits(), control.ip6.len());
                let memory = self.ip4.memory().total() + self.memory6(&control);
                Ok(Reply::List { ip4: self.ip4.len(), ip6, memory, sources, destinations })
            }
        }
    }

    fn add(&self, set: &Set) -> Result<Reply, ConfigError> {
        let control = &mut *self.control();
        let new4: Vec<Prefix4> = set.ip4.iter().filter(|prefix| self.ip4.get(**prefix).is_none()).copied().collect();
        let new6 = set.ip6.difference(&control.ip6).count();
        if self.ip4.len() + new4.len() > MOST_PREFIXES || control.ip6.len() + new6 > MOST_PREFIXES {
            return Err(full().inside("prefixes"));
        }
        for (at, prefix) in new4.iter().enumerate() {
            if let Err(error) = self.ip4.insert(*prefix, LISTED) {
                for prefix in &new4[..at] {
                    self.ip4.remove(*prefix).map_err(refused)?;
                }
                return Err(refused(error));
            }
        }
        control.copies.add4(new4.iter());
        if new6 > 0 {
            control.ip6.extend(&set.ip6);
            self.publish6(control);
        }
        Ok(Reply::Changed { added: new4.len() + new6, removed: 0 })
    }

    fn remove(&self, set: &Set) -> Result<Reply, ConfigError> {
        let control = &mut *self.control();
        let mut removed = 0;
        let known = |prefix: &&Prefix4| self.ip4.get(**prefix).is_some();
        let remains = |prefix: Prefix4| self.ip4.get(prefix).is_some() && !set.ip4.contains(&prefix);
        control.copies.remove4(set.ip4.iter().filter(known), &self.ip4, remains);
        for prefix in &set.ip4 {
            removed += usize::from(self.ip4.remove(*prefix).map_err(refused)?.is_some());
        }
        let before = control.ip6.len();
        if !control.ip6.is_disjoint(&set.ip6) {
            control.copies.shrink6(&control.ip6, &control.ip6.difference(&set.ip6).copied().collect());
        }
        set.ip6.iter().for_each(|prefix| _ = control.ip6.remove(prefix));
        let removed6 = before - control.ip6.len();
        if removed6 > 0 {
            self.publish6(control);
        }
        Ok(Reply::Changed { added: 0, removed: removed + removed6 })
    }

    /// Puts other prefixes in the place of all.
    pub(super) fn replace(&self, set: Set) -> Result<Reply, ConfigError> {
        let control = &mut *self.control();
        let before = self.ip4.len() + control.ip6.len();
        let kept =
            set.ip4.iter().filter(|prefix| self.ip4.get(**prefix).is_some()).count() + set.ip6.intersection(&control.ip6).count();
        let now = set.len();
        let [gone, new] = control.copies.difference4(&self.ip4, &set.ip4);
        control.copies.remove4(gone.iter(), &self.ip4, |prefix| set.ip4.contains(&prefix) && self.ip4.get(prefix).is_some());
        if let Err(error) = self.ip4.replace_all(set.ip4.iter().map(|prefix| (*prefix, LISTED))) {
            // It is as it was.
            control.copies.add4(gone.iter());
            return Err(refused(error));
        }
        control.copies.add4(new.iter());
        control.copies.shrink6(&control.ip6, &set.ip6);
        if set.ip6 != control.ip6 {
            control.ip6 = set.ip6;
            self.publish6(control);
        }
        Ok(Reply::Changed { added: now - kept, removed: before - kept })
    }

    fn publish6(&self, control: &mut Control) {
        let ranges = Arc::new(Ranges6::new(&control.ip6));
        let current = Arc::clone(&ranges);
        control.old.push(std::mem::replace(&mut *self.current6(), ranges));
        self.version.fetch_add(1, Ordering::Release);
        control.old.retain(|ranges| Arc::strong_count(ranges) > 1);
        control.copies.replace6(&current);
    }

    fn longest(&self, address: IpAddr) -> Option<IpPrefix> {
        match address {
            IpAddr::V4(address) => {
                let (prefix, _) = self.ip4.longest_match(address.to_bits())?;
                Some(IpPrefix::V4(Prefix { address: prefix.addr(), len: prefix.len() }))
            }
            IpAddr::V6(address) => {
                let control = self.control();
                let prefix = |len| Prefix { address: address.to_bits().masked(len), len };
                (0..=128).rev().map(prefix).find(|prefix| control.ip6.contains(prefix)).map(IpPrefix::V6)
            }
        }
    }

    /// Bytes of the IPv6 prefixes, those of sets included that workers still have.
    pub(super) fn memory6(&self, control: &Control) -> usize {
        let ranges = self.current6().memory() + control.old.iter().map(|ranges| ranges.memory()).sum::<usize>();
        // Of a tree of nodes of 11 that are three quarters full.
        ranges + control.ip6.len() * size_of::<Prefix<u128>>() * 4 / 3
    }
}
