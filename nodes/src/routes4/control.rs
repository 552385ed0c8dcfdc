//! The control side: which entry each prefix has, under which number, and what becomes of both when an interface goes down.
//!
//! A number stands for an [`Entry`], and all prefixes with equal entries share it. So when an interface goes down, what has another way
//! (a member of a group, a route of a higher metric) goes it with one store for each *entry*, however many prefixes have it. Only
//! prefixes that have no way left are taken out of the look-up, one by one, so that the next shorter prefix decides; they wait here.
//!
//! A number and its buckets are given to another entry when all workers have finished the look-ups that may have answered with it
//! (`fib4/readers.rs`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hashbrown::HashMap;
use swath_api::prelude::*;

use super::buckets::{NOBODY, Space, balance, log2_for, shares};
use super::entry::{Entry, Member, To, Way};
use super::rpf::Rpf;
use crate::fib4::{Fib4, Fib4Error, Prefix4};
use crate::leaf4::{Leaf, LeafStore, MAX_LEAVES, UNIT};

/// Numbers that wait for workers before these are looked at again.
const RECLAIM_EVERY: usize = 64;

/// What workers read.
pub(super) struct Published {
    pub fib: Fib4,
    pub store: LeafStore,
    pub rpf: Rpf,
}

/// What only the control side knows.
pub(super) struct Control {
    known: HashMap<Arc<Entry>, u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// With the epoch that all workers must have seen.
    retired: VecDeque<(u64, u32)>,
    space: Space,
    /// Prefixes without a way.
    waiting: BTreeMap<Prefix4, u32>,
    up: Vec<bool>,
}

/// A number.
struct Slot {
    entry: Arc<Entry>,
    /// How many prefixes have it.
    prefixes: usize,
    /// Of those of its routes that have several next hops.
    blocks: Vec<Block>,
    live: bool,
}

/// The buckets of a group.
struct Block {
    way: usize,
    unit: u32,
    log2: u32,
    /// Of each bucket the place of its member.
    owners: Vec<u8>,
}

impl Control {
    /// Of a table in which these interfaces are up.
    pub(super) fn new(up: Vec<bool>) -> Control {
        // 0 is "no route".
        let none = Slot { entry: Arc::new(Entry::one(To::Fixed(Leaf::NO_ROUTE))), prefixes: 1, blocks: Vec::new(), live: true };
        Control {
            known: HashMap::new(),
            slots: vec![none],
            free: Vec::new(),
            retired: VecDeque::new(),
            space: Space::default(),
            waiting: BTreeMap::new(),
            up,
        }
    }

    /// The number of a prefix.
    pub(super) fn get(&self, published: &Published, prefix: Prefix4) -> Option<u32> {
        published.fib.get(prefix).or_else(|| self.waiting.get(&prefix).copied())
    }

    /// What a number stands for.
    pub(super) fn entry(&self, number: u32) -> &Arc<Entry> {
        &self.slots[number as usize].entry
    }

    pub(super) fn is_up(&self, interface: u16) -> bool {
        self.up[usize::from(interface)]
    }

    /// The place of the route that decides.
    pub(super) fn active(&self, number: u32) -> Option<usize> {
        self.entry(number).active(&self.up)
    }

    /// How many buckets a member of a route has; `None` of one that is no group.
    pub(super) fn buckets(&self, number: u32, way: usize, member: usize) -> Option<usize> {
        let block = self.slots[number as usize].blocks.iter().find(|block| block.way == way)?;
        Some(block.owners.iter().filter(|owner| usize::from(**owner) == member).count())
    }

    /// Prefixes without a way.
    pub(super) fn waiting(&self) -> &BTreeMap<Prefix4, u32> {
        &self.waiting
    }

    /// How many groups there are.
    pub(super) fn groups(&self) -> usize {
        self.slots.iter().filter(|slot| slot.prefixes > 0).map(|slot| slot.blocks.len()).sum()
    }

    /// Bytes of it.
    pub(super) fn memory(&self) -> usize {
        let blocks = self.slots.iter().flat_map(|slot| &slot.blocks);
        let buckets: usize = blocks.map(|block| block.owners.len() * (1 + size_of::<u64>())).sum();
        buckets + self.slots.capacity() * size_of::<Slot>() + self.waiting.len() * size_of::<(Prefix4, u32)>()
    }

    /// The state of the interfaces.
    pub(super) fn up(&self) -> &[bool] {
        &self.up
    }

    /// The number of an entry. A new one's groups take over what they can from those of the number that a prefix has had `before`; or else from
    /// what was `inherited` of another table.
    pub(super) fn number(
        &mut self,
        published: &Published,
        entry: Entry,
        before: Option<u32>,
        inherited: &dyn Fn(&Way) -> Option<Vec<u8>>,
    ) -> Result<u32, ConfigError> {
        if let Some(number) = self.known.get(&entry) {
            return Ok(*number);
        }
        if self.free.is_empty() || self.retired.len() >= RECLAIM_EVERY {
            self.reclaim(published);
        }
        if self.free.is_empty() && self.slots.len() >= MAX_LEAVES {
            return Err(ConfigError::new(format!("the table has room for {} different next hops", MAX_LEAVES - 1)));
        }
        let blocks = self.blocks(&entry, before, inherited)?;
        let entry = Arc::new(entry);
        let slot = Slot { entry: Arc::clone(&entry), prefixes: 0, blocks, live: false };
        let number = match self.free.pop() {
            Some(number) => {
                self.slots[number as usize] = slot;
                number
            }
            None => {
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        };
        self.known.insert(entry, number);
        self.refresh(published, number);
        Ok(number)
    }

    /// The owners of the buckets that the route of a metric has, each by the place that its next hop has now. A single next hop has all.
    pub(super) fn owners(&self, number: u32, metric: u32, place: impl Fn(&Member) -> Option<usize>) -> Option<Vec<u8>> {
        let Slot { entry, blocks, .. } = &self.slots[number as usize];
        let way = entry.ways.iter().position(|way| way.metric == metric)?;
        let members = entry.ways[way].to.members().iter();
        let places: Vec<u8> = members.map(|member| place(member).map_or(NOBODY, |place| place as u8)).collect();
        let now = |owner: &u8| places.get(usize::from(*owner)).copied().unwrap_or(NOBODY);
        match blocks.iter().find(|block| block.way == way) {
            Some(block) => Some(block.owners.iter().map(now).collect()),
            None => places.first().map(|place| vec![*place; UNIT]),
        }
    }

    /// Makes the buckets of an entry's groups.
    fn blocks(
        &mut self,
        entry: &Entry,
        before: Option<u32>,
        inherited: &dyn Fn(&Way) -> Option<Vec<u8>>,
    ) -> Result<Vec<Block>, ConfigError> {
        let mut blocks = Vec::new();
        for (way, route) in entry.ways.iter().enumerate() {
            let To::Several(members) = &route.to else { continue };
            let place = |old: &Member| members.iter().position(|member| member.is(*old));
            let old = before.and_then(|number| self.owners(number, route.metric, place)).or_else(|| inherited(route));
            let wanted = log2_for(members.iter().map(|member| member.weight));
            // Never smaller than it was: to halve it would move flows.
            let log2 = wanted.max(old.as_ref().map_or(0, |old| (old.len() / UNIT).trailing_zeros()));
            let mut owners = vec![NOBODY; UNIT << log2];
            if let Some(old) = old {
                owners.iter_mut().zip(old.iter().cycle()).for_each(|(owner, old)| *owner = *old);
            }
            let Some(unit) = self.space.take(log2) else {
                blocks.iter().for_each(|block: &Block| self.space.give(block.unit, block.log2));
                return Err(ConfigError::new("the table has no room for another group of next hops"));
            };
            blocks.push(Block { way, unit, log2, owners });
        }
        Ok(blocks)
    }

    /// Stores what a number means as the interfaces are now.
    fn refresh(&mut self, published: &Published, number: u32) {
        let Control { slots, up, .. } = self;
        let Slot { entry, blocks, live, .. } = &mut slots[number as usize];
        let is_up = |member: &Member| up[usize::from(member.tx)];
        for Block { way, unit, owners, .. } in blocks.iter_mut() {
            let members = entry.ways[*way].to.members();
            let weights: Vec<u16> = members.iter().map(|member| if is_up(member) { member.weight } else { 0 }).collect();
            let due = shares(&weights, owners.len());
            balance(owners, &due);
            for (bucket, owner) in (*unit as usize * UNIT..).zip(owners.iter()) {
                // With all of them down nobody has one yet.
                let leaf = members.get(usize::from(*owner)).map_or(Leaf::NO_ROUTE, |member| member.leaf());
                published.store.store_bucket(bucket, leaf);
            }
        }
        let active = entry.active(up);
        let leaf = active.map_or(Leaf::NO_ROUTE, |way| match &entry.ways[way].to {
            To::Fixed(leaf) => *leaf,
            To::One(member) => member.leaf(),
            To::Several(_) => match blocks.iter().find(|block| block.way == way) {
                Some(block) => Leaf::group(block.unit, block.log2),
                None => Leaf::NO_ROUTE,
            },
        });
        *live = active.is_some();
        published.rpf.store(number, entry, active);
        published.store.store(number, leaf);
    }

    /// Counts a prefix of a table that is being loaded.
    pub(super) fn count(&mut self, number: u32) {
        self.slots[number as usize].prefixes += 1;
    }

    /// Forgets what no prefix has, when a table has been loaded.
    pub(super) fn tidy(&mut self, published: &Published) {
        for number in 1..self.slots.len() as u32 {
            self.drop_unused(published, number);
        }
    }

    /// Gives a prefix the entry of a number, or none.
    pub(super) fn put(&mut self, published: &Published, prefix: Prefix4, new: Option<u32>) -> Result<(), Fib4Error> {
        let old = self.get(published, prefix);
        if old == new {
            return Ok(());
        }
        let done = match new.filter(|number| self.slots[*number as usize].live) {
            Some(number) => published.fib.insert(prefix, number),
            None => published.fib.remove(prefix),
        };
        if let Err(error) = done {
            new.inspect(|number| self.drop_unused(published, *number));
            return Err(error);
        }
        match new.filter(|number| !self.slots[*number as usize].live) {
            Some(number) => _ = self.waiting.insert(prefix, number),
            None => _ = self.waiting.remove(&prefix),
        }
        if let Some(number) = new {
            self.slots[number as usize].prefixes += 1;
        }
        if let Some(number) = old {
            self.slots[number as usize].prefixes -= 1;
            self.drop_unused(published, number);
        }
        Ok(())
    }

    fn drop_unused(&mut self, published: &Published, number: u32) {
        let slot = &self.slots[number as usize];
        if slot.prefixes == 0 && self.known.get(&slot.entry) == Some(&number) {
            self.known.remove(&slot.entry);
            self.retired.push_back((published.fib.unlinked(), number));
        }
    }

    /// Takes back the numbers that no worker can have any more.
    fn reclaim(&mut self, published: &Published) {
        let seen = published.fib.seen_by_all();
        while let Some((_, number)) = self.retired.pop_front_if(|(epoch, _)| *epoch <= seen) {
            for block in self.slots[number as usize].blocks.drain(..) {
                self.space.give(block.unit, block.log2);
            }
            self.free.push(number);
        }
    }

    /// An interface has gone up or down.
    pub(super) fn link(&mut self, published: &Published, interface: u16, up: bool) {
        match self.up.get_mut(usize::from(interface)) {
            Some(known) if *known != up => *known = up,
            _ => return,
        }
        let concerned = |slot: &Slot| slot.prefixes > 0 && slot.entry.uses(interface);
        let numbers: Vec<u32> = (0..).zip(&self.slots).filter(|(_, slot)| concerned(slot)).map(|(number, _)| number).collect();
        let (mut dying, mut rest) = (vec![false; self.slots.len()], Vec::new());
        for number in numbers {
            let slot = &self.slots[number as usize];
            if slot.live && slot.entry.active(&self.up).is_none() {
                dying[number as usize] = true;
            } else {
                rest.push(number);
            }
        }
        // What has another way first: it is done soonest.
        rest.iter().for_each(|number| self.refresh(published, *number));
        if dying.contains(&true) {
            let gone = published.fib.routes().into_iter().filter(|(_, number)| dying[*number as usize]);
            for (prefix, number) in gone {
                // That there is no room to remove it takes workers that stand still; then it says "no route" itself.
                let _ = published.fib.remove(prefix);
                self.waiting.insert(prefix, number);
            }
            for number in (0..).zip(&dying).filter(|(_, dying)| **dying).map(|(number, _)| number) {
                self.refresh(published, number);
            }
        }
        if up {
            let Control { slots, waiting, .. } = self;
            // What does not fit waits on: the table was filled meanwhile.
            waiting.retain(|prefix, number| !slots[*number as usize].live || published.fib.insert(*prefix, *number).is_err());
        }
    }
}
