//! Finds the first rule that holds for each packet of a frame.
//!
//! Each field of a packet becomes a small number, which stands for the set of rules that take the field's value; the rules that hold are in
//! all of these sets (Lakshman and Stiliadis, "High-speed policy-based packet forwarding", SIGCOMM 1998; Baboescu and Varghese,
//! "Scalable packet classification", SIGCOMM 2001, for the summaries of [`Rows`]). What a set costs is bounded for any rules, other than with
//! decision trees, which some rules make huge.
//!
//! Summaries are of use only where rules that stand together in a word are taken by the same packets. So rules have their places by
//! their addresses and not by their order: what is looked for is then not the first rule in all sets, but the least of the few that are.

use swath_api::VECTOR;

use super::address::Address;
use super::criteria::{Criteria, Key};
use super::fields::{Field, Numbers, tables};
use super::rows::{PAGE, Rows};

/// The answer where no rule holds.
pub const NO_RULE: u32 = u32::MAX;

/// Rules of one family, compiled.
pub struct Classifier<A> {
    rules: Vec<Criteria<A>>,
    numbers: Vec<(Field, Numbers)>,
    deciding: Group,
    // Rules that only count.
    counting: Option<Group>,
}

/// Rules whose sets are kept together.
struct Group {
    // By place.
    rules: Vec<u32>,
    // Index among `numbers`, and the sets. Those first whose summaries tell words apart.
    fields: Vec<(usize, Rows)>,
    // How many of these do.
    telling: usize,
    // Whether rules ask something that no set says.
    compare: bool,
    // Whether rules ask something that the sets of a field would have said.
    compare_all: bool,
}

/// Working space of a worker.
pub struct Scratch {
    numbers: [[u32; VECTOR]; Field::ALL.len()],
    candidates: [u64; VECTOR],
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch { numbers: [[0; VECTOR]; Field::ALL.len()], candidates: [0; VECTOR] }
    }
}

impl<A: Address> Classifier<A> {
    /// Compiles rules. `counts` says which of them only count; `lenient` that a fragment other than the first is only asked what it
    /// knows. There are so many `interfaces`.
    pub fn new(rules: Vec<Criteria<A>>, counts: &[bool], interfaces: u16, lenient: bool) -> Classifier<A> {
        let is_counting = |rule: &u32| counts.get(*rule as usize).copied().unwrap_or(false);
        let (counting, mut deciding): (Vec<u32>, Vec<u32>) = (0..rules.len() as u32).partition(is_counting);
        deciding.sort_by_key(|rule| {
            let Criteria { source, destination, others } = &rules[*rule as usize];
            (*destination, *source, others.destination_ports, *rule)
        });
        let members = [deciding, counting];
        let mut groups = [0, 1].map(|group| Group::new(&rules, &members[group]));
        let mut numbers = Vec::new();
        for field in Field::ALL {
            let made = tables(field, &rules, &members, interfaces, lenient);
            if matches!(made.numbers, Numbers::None) {
                continue;
            }
            for (group, rows) in groups.iter_mut().zip(made.rows) {
                let asks = group.rules.iter().any(|rule| field.is_asked(&rules[*rule as usize]));
                match rows {
                    Some(rows) => group.fields.push((numbers.len(), rows)),
                    None => group.compare_all |= asks,
                }
            }
            numbers.push((field, made.numbers));
        }
        for group in &mut groups {
            let tells = |(number, _): &&(usize, Rows)| {
                let field: Field = numbers[*number].0;
                group.rules.len() <= 64 || field.tells_words()
            };
            group.telling = group.fields.iter().take_while(tells).count();
        }
        let [deciding, counting] = groups;
        Classifier { rules, numbers, deciding, counting: Some(counting).filter(|group| !group.rules.is_empty()) }
    }

    /// The first rule that holds for each packet, or [`NO_RULE`], into `found`. At most 256 packets.
    #[inline]
    pub fn classify(&self, keys: &[Key<A>], found: &mut [u32; VECTOR], scratch: &mut Scratch) {
        let keys = &keys[..keys.len().min(VECTOR)];
        for ((field, numbers), slots) in self.numbers.iter().zip(&mut scratch.numbers) {
            numbers.find(*field, keys, &mut slots[..keys.len()]);
        }
        found[..keys.len()].fill(NO_RULE);
        self.deciding.walk(&self.rules, keys, scratch, |packet, rule| {
            found[packet] = found[packet].min(rule);
            false
        });
    }

    /// Calls `count` with each rule that only counts and holds before the one found, by [`Classifier::classify`] just before.
    #[inline]
    pub fn count(&self, keys: &[Key<A>], found: &[u32; VECTOR], scratch: &mut Scratch, mut count: impl FnMut(usize, u32)) {
        if let Some(group) = &self.counting {
            let keys = &keys[..keys.len().min(VECTOR)];
            group.walk(&self.rules, keys, scratch, |packet, rule| {
                let before = rule < found[packet];
                if before {
                    count(packet, rule);
                }
                !before
            });
        }
    }

    /// Bytes.
    pub fn memory(&self) -> usize {
        let group = |group: &Group| group.rules.capacity() * 4 + group.fields.iter().map(|(_, rows)| rows.memory()).sum::<usize>();
        self.rules.capacity() * size_of::<Criteria<A>>()
            + self.numbers.iter().map(|(_, numbers)| numbers.memory()).sum::<usize>()
            + [&self.deciding].into_iter().chain(&self.counting).map(group).sum::<usize>()
    }
}

impl Group {
    fn new<A: Address>(rules: &[Criteria<A>], places: &[u32]) -> Group {
        let compare = places.iter().any(|rule| rules[*rule as usize].others.asks_rest());
        Group { rules: places.to_vec(), fields: Vec::new(), telling: 0, compare, compare_all: false }
    }

    /// Calls `found` with the rules that hold for each packet, in the order of their places, until it says that this is enough.
    #[inline(always)]
    fn walk<A: Address>(
        &self,
        rules: &[Criteria<A>],
        keys: &[Key<A>],
        scratch: &mut Scratch,
        mut found: impl FnMut(usize, u32) -> bool,
    ) {
        let small = self.rules.len() <= 64;
        let Scratch { numbers, candidates } = scratch;
        // Packets for which it was enough, a bit each.
        let mut done = [0u64; VECTOR / 64];
        for (page, members) in self.rules.chunks(PAGE).enumerate() {
            let candidates = &mut candidates[..keys.len()];
            let words = members.len().div_ceil(if small { 1 } else { 64 });
            candidates.fill(u64::MAX >> (64 - words));
            for (number, rows) in &self.fields[..self.telling] {
                let summaries = rows.summaries(page);
                for (candidate, value) in candidates.iter_mut().zip(&numbers[*number]) {
                    *candidate &= summaries[*value as usize];
                }
            }
            for (packet, candidate) in candidates.iter().enumerate() {
                if *candidate == 0 || done[packet / 64] >> (packet % 64) & 1 != 0 {
                    continue;
                }
                let holds = |place: usize| {
                    let rule = members[place];
                    let key = &keys[packet];
                    (!self.compare || rules[rule as usize].others.rest_holds(key))
                        && (!self.compare_all || rules[rule as usize].holds(key))
                };
                let mut enough = |first: usize, mut bits: u64| {
                    while bits != 0 {
                        let place = first + bits.trailing_zeros() as usize;
                        if place < members.len() && holds(place) && found(packet, members[place]) {
                            return true;
                        }
                        bits &= bits - 1;
                    }
                    false
                };
                let stop = if small {
                    enough(0, *candidate)
                } else {
                    ones(*candidate).any(|bit| {
                        let bits = self
                            .fields
                            .iter()
                            .fold(u64::MAX, |bits, (number, rows)| bits & rows.word(page, numbers[*number][packet], bit));
                        enough(bit as usize * 64, bits)
                    })
                };
                done[packet / 64] |= u64::from(stop) << (packet % 64);
            }
        }
    }
}

/// The places of the bits that are set.
#[inline(always)]
fn ones(mut bits: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = bits.trailing_zeros();
        let some = bits != 0;
        bits &= bits.wrapping_sub(1);
        some.then_some(bit)
    })
}
