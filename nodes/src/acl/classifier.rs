//! Finds the first rule that holds for each packet of a frame.
//!
//! Each field of a packet becomes a small number, which stands for the set of rules that take the field's value; the rules that hold are in
//! all of these sets (Lakshman and Stiliadis, "High-speed policy-based packet forwarding", SIGCOMM 1998; Baboescu and Varghese,
//! "Scalable packet classification", SIGCOMM 2001, for the summaries of [`Rows`]). What a set costs is bounded for any rules, other than with
//! decision trees, which some rules make huge.
//!
//! Of up to 1024 rules sets are 1, 4 or 16 words, in the order of the rules: the first rule is the first bit.
//!
//! More of them have summaries, which are of use only where rules that stand together in a word are taken by the same packets. So these rules
//! have their places by their addresses and not by their order: what is looked for is then not the first rule in all sets, but the least of
//! the few that are. A vector goes through in steps, each of which is the same for all packets, so that their loads overlap and hardly a
//! branch is guessed wrong: numbers; summaries; words that may have a rule, of all packets in one list; rules in these words.
//!
//! And of more rules than that most name addresses that few others name: those stand in [`Lists`], and only the rest have sets.

use std::hint::select_unpredictable;

use swath_api::VECTOR;
use swath_api::kernel::nonzero4;

use super::address::Address;
use super::columns::{Asked, Column, Made, columns};
use super::criteria::{Criteria, Key};
use super::fields::{Field, Making};
use super::lists::{Lists, Room};
use super::rows::{PAGE, Paged, Rows, WHOLE};

/// The answer where no rule holds.
pub const NO_RULE: u32 = u32::MAX;

/// Most columns: two addresses, and all small fields by themselves.
const COLUMNS: usize = 10;

/// Rules of one family, compiled.
pub struct Classifier<A> {
    rules: Vec<Criteria<A>>,
    columns: Vec<Column>,
    deciding: Group,
    // Of those that decide, if they are many.
    lists: Option<InLists>,
    // Rules that only count.
    counting: Option<Group>,
    lenient: bool,
}

/// Rules in lists, with the columns of both addresses.
struct InLists {
    lists: Lists,
    source: Option<usize>,
    destination: Option<usize>,
}

/// Rules whose sets are kept together.
struct Group {
    // By place; behind them, up to the end of the last word, `NO_RULE`, and once more.
    rules: Vec<u32>,
    sets: Sets,
}

/// The sets of columns, by the index of the column.
enum Sets {
    One(Vec<(usize, Vec<[u64; 1]>)>),
    Four(Vec<(usize, Vec<[u64; 4]>)>),
    Sixteen(Vec<(usize, Vec<[u64; 16]>)>),
    Paged(Pages),
}

#[derive(Default)]
struct Pages {
    // Those first whose summaries tell words apart.
    columns: Vec<(usize, Paged)>,
    // How many of these do.
    telling: usize,
    // Whether rules ask something that no set says, for want of memory.
    compare: bool,
}

/// Words that are looked at together.
const TOGETHER: usize = 256;

/// Working space of a worker.
pub struct Scratch {
    numbers: [[u32; VECTOR]; COLUMNS],
    candidates: [u64; VECTOR],
    // Words of a page that may have a rule for a packet: the packet, and times 256 the word.
    words: [u16; VECTOR * 64],
    rules: [u64; TOGETHER],
    room: Room,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch {
            numbers: [[0; VECTOR]; COLUMNS],
            candidates: [0; VECTOR],
            words: [0; VECTOR * 64],
            rules: [0; TOGETHER],
            room: Room::default(),
        }
    }
}

impl<A: Address> Classifier<A> {
    /// Compiles rules. `counts` says which of them only count; `lenient` that a fragment other than the first is only asked what it
    /// knows. There are so many `interfaces`.
    pub fn new(rules: Vec<Criteria<A>>, counts: &[bool], interfaces: u16, lenient: bool) -> Classifier<A> {
        let is_counting = |rule: &u32| counts.get(*rule as usize).copied().unwrap_or(false);
        let (counting, mut deciding): (Vec<u32>, Vec<u32>) = (0..rules.len() as u32).partition(is_counting);
        let lists = (deciding.len() > WHOLE[2]).then(|| {
            let making = Making { rules: &rules, groups: &[], interfaces, lenient };
            Lists::new(&making, &mut deciding)
        });
        if deciding.len() > WHOLE[2] {
            deciding.sort_by_key(|rule| {
                let Criteria { source, destination, others } = &rules[*rule as usize];
                (*destination, *source, others.destination_ports, *rule)
            });
        }
        let members = [deciding, counting];
        let mut groups = [0, 1].map(|group| Group::new(&members[group]));
        let mut all = Vec::new();
        for Made { column, rows } in columns(&Making { rules: &rules, groups: &members, interfaces, lenient }) {
            groups.iter_mut().zip(rows).for_each(|(group, rows)| group.push(all.len(), &column, rows));
            all.push(column);
        }
        let [deciding, counting] = groups;
        let column = |field: Field| all.iter().position(|column| column.is(field));
        let lists = lists.filter(|lists| !lists.is_empty()).map(|lists| InLists {
            lists,
            source: column(Field::Source),
            destination: column(Field::Destination),
        });
        let counting = Some(counting).filter(|_| !members[1].is_empty());
        Classifier { rules, columns: all, deciding, lists, counting, lenient }
    }

    /// The first rule that holds for each packet, or [`NO_RULE`], into `found`. At most 256 packets.
    #[inline]
    pub fn classify(&self, keys: &[Key<A>], found: &mut [u32; VECTOR], scratch: &mut Scratch) {
        let keys = &keys[..keys.len().min(VECTOR)];
        for (column, numbers) in self.columns.iter().zip(&mut scratch.numbers) {
            column.find(keys, numbers);
        }
        let found = &mut found[..keys.len()];
        let Group { rules, sets } = &self.deciding;
        match sets {
            Sets::One(columns) => first(rules, columns, &scratch.numbers, found),
            Sets::Four(columns) => first(rules, columns, &scratch.numbers, found),
            Sets::Sixteen(columns) => first(rules, columns, &scratch.numbers, found),
            Sets::Paged(pages) => {
                found.fill(NO_RULE);
                self.walk(rules, pages, keys, scratch, |packet, rule| found[packet] = found[packet].min(rule));
            }
        }
        if let Some(InLists { lists, source, destination }) = &self.lists {
            // An address for which no rule asks has no numbers, and all rules take any.
            static NONE: [u32; VECTOR] = [0; VECTOR];
            let Scratch { numbers, room, .. } = scratch;
            let of = |field| {
                let column = if field == Field::Source { source } else { destination };
                column.map_or(&NONE, |column| &numbers[column])
            };
            lists.find(keys, of, found, room);
        }
    }

    /// Calls `count` with each rule that only counts and holds before the one found, by [`Classifier::classify`] just before.
    #[inline]
    pub fn count(&self, keys: &[Key<A>], found: &[u32; VECTOR], scratch: &mut Scratch, mut count: impl FnMut(usize, u32)) {
        let Some(Group { rules, sets }) = &self.counting else { return };
        let keys = &keys[..keys.len().min(VECTOR)];
        let visit = |packet: usize, rule: u32| {
            if rule < found[packet] {
                count(packet, rule);
            }
        };
        match sets {
            Sets::One(columns) => every(rules, columns, &scratch.numbers, keys.len(), visit),
            Sets::Four(columns) => every(rules, columns, &scratch.numbers, keys.len(), visit),
            Sets::Sixteen(columns) => every(rules, columns, &scratch.numbers, keys.len(), visit),
            Sets::Paged(pages) => self.walk(rules, pages, keys, scratch, visit),
        }
    }

    /// Bytes.
    pub fn memory(&self) -> usize {
        self.rules.capacity() * size_of::<Criteria<A>>()
            + self.columns.iter().map(Column::memory).sum::<usize>()
            + self.lists.iter().map(|lists| lists.lists.memory()).sum::<usize>()
            + [&self.deciding].into_iter().chain(&self.counting).map(Group::memory).sum::<usize>()
    }

    /// Calls `visit` with the rules of a group that hold for each packet, and perhaps with [`NO_RULE`].
    #[inline(always)]
    fn walk(&self, members: &[u32], pages: &Pages, keys: &[Key<A>], scratch: &mut Scratch, mut visit: impl FnMut(usize, u32)) {
        let Scratch { numbers, candidates, words, rules, .. } = scratch;
        let candidates = &mut candidates[..keys.len()];
        for (page, members) in members[..members.len() - 1].chunks(PAGE).enumerate() {
            candidates.fill(u64::MAX >> (64 - members.len() / 64));
            for (column, sets) in &pages.columns[..pages.telling] {
                let summaries = sets.summaries(page);
                for (candidate, number) in candidates.iter_mut().zip(&numbers[*column]) {
                    *candidate &= summaries[*number as usize];
                }
            }
            let listed = list(candidates, words);
            for words in words[..listed].chunks(TOGETHER) {
                let rules = &mut rules[..words.len()];
                rules.fill(u64::MAX);
                for (column, sets) in &pages.columns {
                    let (places, numbers) = (sets.places(page), &numbers[*column]);
                    for (rules, word) in rules.iter_mut().zip(words) {
                        *rules &= sets.word(&places[numbers[usize::from(*word as u8)] as usize], usize::from(*word >> 8));
                    }
                }
                for (rules, word) in rules.iter().zip(words) {
                    let packet = usize::from(*word as u8);
                    let members = &members[usize::from(*word >> 8) * 64..];
                    if pages.compare {
                        // A bit beyond the last rule is of no rule.
                        let holds =
                            |rule: &u32| self.rules.get(*rule as usize).is_some_and(|rule| rule.holds(&keys[packet], self.lenient));
                        ones(*rules).map(|place| members[place as usize]).filter(holds).for_each(|rule| visit(packet, rule));
                    } else {
                        each(*rules, members, |rule| visit(packet, rule));
                    }
                }
            }
        }
    }
}

impl Group {
    fn new(places: &[u32]) -> Group {
        let (sets, words) = match WHOLE.iter().position(|most| places.len() <= *most) {
            Some(0) => (Sets::One(Vec::new()), 1),
            Some(1) => (Sets::Four(Vec::new()), 4),
            Some(_) => (Sets::Sixteen(Vec::new()), 16),
            None => (Sets::Paged(Pages::default()), places.len().div_ceil(64)),
        };
        let mut rules = places.to_vec();
        rules.resize(words * 64 + 1, NO_RULE);
        Group { rules, sets }
    }

    fn push(&mut self, index: usize, column: &Column, rows: Asked) {
        match (&mut self.sets, rows) {
            (Sets::One(columns), Asked::Rows(Rows::One(rows))) => columns.push((index, rows)),
            (Sets::Four(columns), Asked::Rows(Rows::Four(rows))) => columns.push((index, rows)),
            (Sets::Sixteen(columns), Asked::Rows(Rows::Sixteen(rows))) => columns.push((index, rows)),
            (Sets::Paged(pages), Asked::Rows(Rows::Paged(sets))) => {
                pages.columns.push((index, sets));
                pages.telling += usize::from(column.tells_words());
            }
            (Sets::Paged(pages), Asked::TooMany) => pages.compare = true,
            // Nothing asks.
            _ => {}
        }
    }

    fn memory(&self) -> usize {
        let sets = match &self.sets {
            Sets::One(columns) => columns.iter().map(|(_, rows)| size_of_val(&**rows)).sum(),
            Sets::Four(columns) => columns.iter().map(|(_, rows)| size_of_val(&**rows)).sum(),
            Sets::Sixteen(columns) => columns.iter().map(|(_, rows)| size_of_val(&**rows)).sum(),
            Sets::Paged(pages) => pages.columns.iter().map(|(_, sets)| sets.memory()).sum::<usize>(),
        };
        self.rules.capacity() * 4 + sets
    }
}

/// The rules that hold for a packet, of those that are there.
#[inline(always)]
fn holding<const WORDS: usize>(
    columns: &[(usize, Vec<[u64; WORDS]>)],
    numbers: &[[u32; VECTOR]; COLUMNS],
    packet: usize,
) -> [u64; WORDS] {
    let mut rules = [u64::MAX; WORDS];
    for (column, rows) in columns {
        let row = &rows[numbers[*column][packet] as usize];
        rules.iter_mut().zip(row).for_each(|(rules, row)| *rules &= row);
    }
    rules
}

/// The first rule that holds for each packet.
#[inline(always)]
fn first<const WORDS: usize>(
    members: &[u32],
    columns: &[(usize, Vec<[u64; WORDS]>)],
    numbers: &[[u32; VECTOR]; COLUMNS],
    found: &mut [u32],
) {
    for (packet, found) in found.iter_mut().enumerate() {
        let rules = holding(columns, numbers, packet);
        let (words, _) = rules.as_chunks();
        let some = words.iter().zip(0..).fold(0, |some, (words, at)| some | nonzero4(words) << (4 * at));
        let word = if WORDS == 1 { 0 } else { some.trailing_zeros() as usize % WORDS };
        let place = word * 64 + rules[word].trailing_zeros() as usize;
        *found = members[if WORDS == 1 { place } else { select_unpredictable(some != 0, place, WORDS * 64) }];
    }
}

/// Calls `visit` with each rule that holds for each packet.
#[inline(always)]
fn every<const WORDS: usize>(
    members: &[u32],
    columns: &[(usize, Vec<[u64; WORDS]>)],
    numbers: &[[u32; VECTOR]; COLUMNS],
    packets: usize,
    mut visit: impl FnMut(usize, u32),
) {
    for packet in 0..packets {
        for (word, rules) in holding(columns, numbers, packet).into_iter().enumerate() {
            ones(rules).for_each(|place| visit(packet, members[word * 64 + place as usize]));
        }
    }
}

/// Lists the words that may have a rule: the packet, and times 256 the word. Returns how many they are. Most packets have one or two, for
/// which there is no branch.
#[inline(always)]
fn list(candidates: &[u64], words: &mut [u16; VECTOR * 64]) -> usize {
    let mut count = 0;
    let mut push = |packet: usize, bits: u64| {
        words[count % (VECTOR * 64)] = packet as u16 | (bits.trailing_zeros() as u16) << 8;
        count += usize::from(bits != 0);
        bits & bits.wrapping_sub(1)
    };
    for (packet, bits) in candidates.iter().enumerate() {
        let mut rest = push(packet, *bits);
        rest = push(packet, rest);
        while rest != 0 {
            rest = push(packet, rest);
        }
    }
    count
}

/// Calls `visit` with the members that bits stand for; with [`NO_RULE`] for the first and the second, where there is none, instead of a
/// branch.
#[inline(always)]
fn each(bits: u64, members: &[u32], mut visit: impl FnMut(u32)) {
    let first = bits & bits.wrapping_sub(1);
    for bits in [bits, first] {
        let member = members[bits.trailing_zeros() as usize % 64];
        visit(select_unpredictable(bits != 0, member, NO_RULE));
    }
    ones(first & first.wrapping_sub(1)).for_each(|place| visit(members[place as usize]));
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
