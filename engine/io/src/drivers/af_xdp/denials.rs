//! Rules in the memory of the program in the kernel, which drops packets that one of them denies before they are copied.
//!
//! The first rule that holds for a packet counts it. A rule that asks for one address, as most do, is found by that address alone: a search
//! among borders, between which the first of these rules is the same. Those that ask for both have classes of addresses, and a table of
//! pairs of classes. All is written to one of two halves of the maps while the program looks at the other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use aya::Ebpf;
use swath_api::{Denial, DenialSet, Parts};

use super::attach::Shared;
use super::sieve::{Shape, Shared32, Shared64, wait_for_programs};

/// There is room for twice as many rules as there are, and for so many at least and at most.
pub(super) const RULES: (u32, u32) = (1 << 10, 1 << 16);
/// Rules of a version of IP that ask for both addresses, at most: bits of a number.
const PAIRED: usize = u128::BITS as usize;
/// Classes of one side, at most: between the borders of so many rules, and none.
const CLASSES: u32 = 2 * PAIRED as u32 + 1;
/// Words of an element of `pairs`, of `bounds` in numbers of 64 bits, and of `denials`.
const ELEMENT: u32 = 16;
const BOUND: usize = 3;
const HEADER: usize = 8;
/// `NO_RULE` in ebpf/rules.h.
const NO_RULE: u32 = u32::MAX;

/// Words of `pairs` of a half, a multiple of those of an element.
const PAIRS: u32 = (2 * CLASSES * CLASSES).next_multiple_of(ELEMENT);

/// Borders of a half: where a rule begins and ends, on both sides, and one more for each version and side.
const fn bounds(rules: u32) -> u32 {
    4 * rules + 4
}

/// Elements of `bounds`, `pairs` and `denied`. An array has one at least.
pub(super) fn lengths([queues, rules]: [u32; 2]) -> [u32; 3] {
    if rules == 0 { [1; 3] } else { [2 * bounds(rules), 2 * PAIRS / ELEMENT, 2 * queues * rules] }
}

/// The rules.
pub(super) struct Denials {
    bounds: Shared64,
    pairs: Shared32,
    denied: Shared64,
    headers: Shared32,
    which: Shared64,
    queues: usize,
    rules: usize,
    control: Mutex<Control>,
    // Tables keep rules; they do not keep sockets open.
    shared: Weak<Shared>,
    device: String,
}

/// What only the writer knows.
#[derive(Default)]
struct Control {
    /// The half that counts.
    half: usize,
    /// Of each rule in it, where its packets are added up, and how many have been.
    counters: Vec<(Arc<AtomicU64>, u64)>,
    /// It was said that there is no room.
    said: bool,
}

impl Denials {
    /// The rules of a program, none yet.
    ///
    /// # Errors
    /// There is no memory.
    pub fn of(program: &mut Ebpf, shape: Shape, shared: Weak<Shared>, device: &str) -> io::Result<Denials> {
        let [queues, rules] = shape.room;
        let denials = Denials {
            bounds: Shared64::of(program, "bounds", 2 * bounds(rules) as usize * BOUND)?,
            pairs: Shared32::of(program, "pairs", 2 * PAIRS as usize)?,
            denied: Shared64::of(program, "denied", (2 * queues * rules) as usize)?,
            headers: Shared32::of(program, "denials", 2 * 2 * HEADER)?,
            which: Shared64::of(program, "which", 1)?,
            queues: queues as usize,
            rules: rules as usize,
            control: Mutex::default(),
            shared,
            device: device.into(),
        };
        denials.write(0, &[Sides::default(), Sides::default()], Parts::All);
        Ok(denials)
    }

    /// Packets of a half, of a rule.
    fn counts(&self, half: usize, rule: usize) -> impl Iterator<Item = &AtomicU64> {
        (0..self.queues).map(move |queue| &self.denied.words()[(half * self.queues + queue) * self.rules + rule])
    }

    /// Fills a half that no program looks at.
    fn write(&self, half: usize, families: &[Sides; 2], parts: Parts) {
        let (mut at, mut pair) = (half * bounds(self.rules as u32) as usize, half * PAIRS as usize);
        for (family, sides) in families.iter().enumerate() {
            let mut header = [0; HEADER];
            for (side, borders) in sides.bounds.iter().enumerate() {
                (header[side], header[2 + side]) = (at as u32, borders.len() as u32);
                for (bound, words) in borders.iter().zip(self.bounds.words()[at * BOUND..].as_chunks::<BOUND>().0) {
                    let (high, low) = ((bound.first >> 64) as u64, bound.first as u64);
                    // `rule` and `class` are words of 32 bits, one behind the other.
                    let both = if cfg!(target_endian = "little") { [bound.rule, bound.class] } else { [bound.class, bound.rule] };
                    let both = u64::from(both[1]) << 32 | u64::from(both[0]);
                    words.iter().zip([high, low, both]).for_each(|(word, value)| word.store(value, Ordering::Relaxed));
                }
                at += borders.len();
            }
            (header[4], header[5], header[6]) = (pair as u32, sides.width, sides.any);
            header[7] = u32::from(parts == Parts::All);
            for (rule, word) in sides.pairs.iter().zip(&self.pairs.words()[pair..]) {
                word.store(*rule, Ordering::Relaxed);
            }
            pair += sides.pairs.len();
            let words = &self.headers.words()[(2 * half + family) * HEADER..];
            words.iter().zip(header).for_each(|(word, value)| word.store(value, Ordering::Relaxed));
        }
    }

    fn add_up(&self, control: &mut Control) {
        let half = control.half;
        for (rule, (counter, before)) in control.counters.iter_mut().enumerate() {
            let now = self.counts(half, rule).map(|count| count.load(Ordering::Relaxed)).sum();
            counter.fetch_add(now - *before, Ordering::Relaxed);
            *before = now;
        }
    }

    /// Once: there may be too many.
    fn say(&self, control: &mut Control, taken: usize, all: usize) {
        if taken < all
            && !std::mem::replace(&mut control.said, true)
            && let Some(shared) = self.shared.upgrade()
        {
            let device = &self.device;
            shared.say(format!("`{device}` has room in the kernel for the first {taken} of {all} rules: the node does the rest"));
        }
    }
}

impl DenialSet for Denials {
    fn replace(&self, denials: &[Denial], parts: Parts) {
        let control = &mut *self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = &denials[..room(denials, self.rules)];
        self.say(control, taken.len(), denials.len());
        let half = control.half ^ 1;
        // What was counted in it was added up when it was left.
        for rule in 0..taken.len() {
            self.counts(half, rule).for_each(|count| count.store(0, Ordering::Relaxed));
        }
        self.write(half, &[false, true].map(|is_ip6| Sides::of(taken, is_ip6)), parts);
        self.which.words()[0].store(half as u64, Ordering::Release);
        // One that has begun before drops, and counts.
        wait_for_programs();
        self.add_up(control);
        control.half = half;
        control.counters = taken.iter().map(|denial| (Arc::clone(&denial.counter), 0)).collect();
    }

    fn settle(&self) {
        self.add_up(&mut self.control.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// How many of the rules there is room for, from the first one on.
fn room(denials: &[Denial], rules: usize) -> usize {
    let mut paired = [0; 2];
    let mut is_within = |denial: &Denial| {
        let paired = &mut paired[usize::from(denial.is_ip6)];
        *paired += usize::from(denial.source.1 > 0 && denial.destination.1 > 0);
        *paired <= PAIRED
    };
    denials.iter().take(rules).take_while(|denial| is_within(denial)).count()
}

/// What holds from an address on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bound {
    first: u128,
    /// The first rule that asks for nothing else.
    rule: u32,
    class: u32,
}

/// The rules of a version of IP, as the program looks for them.
struct Sides {
    bounds: [Vec<Bound>; 2],
    /// By class of the source, then of the destination.
    pairs: Vec<u32>,
    /// Classes of destinations.
    width: u32,
    any: u32,
}

impl Default for Sides {
    fn default() -> Sides {
        Sides { bounds: Default::default(), pairs: Vec::new(), width: 0, any: NO_RULE }
    }
}

/// What begins or ends at an address.
#[derive(Default)]
struct Event {
    begin: Vec<Asks>,
    end: Vec<Asks>,
}

/// A rule that asks for one address, or one of those that ask for both.
#[derive(Clone, Copy)]
enum Asks {
    One(u32),
    Both(usize),
}

impl Sides {
    fn of(denials: &[Denial], is_ip6: bool) -> Sides {
        let rules = (0..).zip(denials).filter(|(_, denial)| denial.is_ip6 == is_ip6);
        let (mut any, mut paired, mut events) = (NO_RULE, Vec::new(), [BTreeMap::new(), BTreeMap::new()]);
        for (rule, denial) in rules {
            let asks = match (denial.source.1, denial.destination.1) {
                (0, 0) => {
                    any = any.min(rule);
                    continue;
                }
                (0, _) | (_, 0) => Asks::One(rule),
                _ => {
                    paired.push(rule);
                    Asks::Both(paired.len() - 1)
                }
            };
            for (events, prefix) in events.iter_mut().zip([denial.source, denial.destination]) {
                note(events, prefix, if is_ip6 { 128 } else { 32 }, asks);
            }
        }
        let [(sources, of_sources), (destinations, of_destinations)] = events.map(sweep);
        let first = |both: u128| paired.get(both.trailing_zeros() as usize).copied().unwrap_or(NO_RULE);
        let pairs = of_sources.iter().flat_map(|source| of_destinations.iter().map(move |destination| source & destination));
        let pairs = pairs.map(first).collect();
        Sides { bounds: [sources, destinations], pairs, width: of_destinations.len() as u32, any }
    }
}

/// Notes where a rule begins and ends; nothing if it asks for no such address.
fn note(events: &mut BTreeMap<u128, Event>, (first, length): (u128, u8), bits: u8, asks: Asks) {
    if length == 0 {
        return;
    }
    events.entry(first).or_default().begin.push(asks);
    if let Some(behind) = first.checked_add(1 << (bits - length)) {
        events.entry(behind).or_default().end.push(asks);
    }
}

/// The borders, and for each class the rules that ask for both addresses and for one of its own, a bit each.
fn sweep(events: BTreeMap<u128, Event>) -> (Vec<Bound>, Vec<u128>) {
    let (mut one, mut both) = (BTreeSet::new(), 0);
    let (mut bounds, mut classes, mut numbers) = (Vec::new(), vec![0], HashMap::from([(0, 0)]));
    for (first, Event { begin, end }) in events {
        for asks in end {
            match asks {
                Asks::One(rule) => _ = one.remove(&rule),
                Asks::Both(at) => both &= !(1 << at),
            }
        }
        for asks in begin {
            match asks {
                Asks::One(rule) => _ = one.insert(rule),
                Asks::Both(at) => both |= 1 << at,
            }
        }
        let class = *numbers.entry(both).or_insert_with(|| {
            classes.push(both);
            classes.len() as u32 - 1
        });
        let bound = Bound { first, rule: one.first().copied().unwrap_or(NO_RULE), class };
        if bounds.last().is_none_or(|last: &Bound| (last.rule, last.class) != (bound.rule, bound.class)) {
            bounds.push(bound);
        }
    }
    (bounds, classes)
}
