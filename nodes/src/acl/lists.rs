//! Rules in short lists: for each address that rules tell apart those rules that name it, or a network around it.
//!
//! Of many rules, few speak of the same addresses (Gupta and McKeown, "Packet Classification on Multiple Fields", SIGCOMM 1999). A rule goes
//! into the lists of its destinations or of its sources, whichever are fewer, as long as they stay short. The rest are found by sets.
//! So a packet compares the lists of its two addresses, eight rules at a time, and as many sets as the rest need.
//!
//! A rule in a list is a box: a range of the numbers of the other address, of which those of a network and all inside it follow each other, two
//! ranges of ports, and a bit that says which packets it takes by all else that it asks.

use hashbrown::HashMap;
use swath_api::VECTOR;
use swath_api::kernel::{chosen8, prefetch, within8};

use super::address::{Address, Prefix};
use super::criteria::{Criteria, Key, NO_PORT, Others};
use super::fields::{Field, Making, Numbers, told_apart};

/// Rules of a list, at most.
const LONGEST: u8 = 32;
/// Lists that one rule may stand in.
const WIDEST: usize = 1024;
/// Places in all lists of one side.
const MOST_PLACES: usize = 2 << 20;
/// Kinds of what is asked beside addresses and ports.
const MOST_KINDS: usize = 64;
/// Rules of a block.
const EIGHT: usize = 8;
/// Packets between one whose rules are fetched and one that compares them.
const AHEAD: usize = 12;
/// The place of a bit of a rule's index in `bytes`.
const HIGH_BIT: u8 = 4;

/// Eight rules, those first that come first. Of rules that are not there, no bit is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(C, align(128))]
struct Block {
    /// Other address, destination port, source port: where the range begins, and how much longer than one number it is.
    low: [[u16; EIGHT]; 3],
    span: [[u16; EIGHT]; 3],
    /// The bit of its kind: the byte, and the bit there. And the highest bit of the rule's index, at `HIGH_BIT` of the byte.
    bytes: [u8; EIGHT],
    bits: [u8; EIGHT],
    /// The rule's index.
    rules: [u16; EIGHT],
}

const _: () = assert!(size_of::<Block>() == 128, "two cache lines");

/// Lists by one of both addresses.
struct Side {
    field: Field,
    other: Field,
    /// By number of the address: the first block, times eight, and how many there are.
    lists: Vec<u32>,
    /// The first one is empty.
    blocks: Vec<Block>,
}

/// Rules that stand in lists.
pub(super) struct Lists {
    kinds: Vec<(Field, Numbers, Vec<u64>)>,
    sides: Vec<Side>,
}

/// Working space of a worker.
pub(super) struct Room {
    kinds: [u64; VECTOR],
    lists: [u32; VECTOR],
    pending: [u8; VECTOR],
}

impl Default for Room {
    fn default() -> Room {
        Room { kinds: [0; VECTOR], lists: [0; VECTOR], pending: [0; VECTOR] }
    }
}

/// What a rule asks beside addresses and ports.
type Asked = (Option<u8>, u8, bool, (u8, u8), Option<u8>, Option<u16>, Option<u16>, Option<u16>);

fn asked(others: &Others) -> Asked {
    let Others { protocol, parts, tcp_flags, dscp, vlan, rx, tx, .. } = *others;
    (protocol, parts, others.asks_layer4(), tcp_flags, dscp, vlan, rx, tx)
}

impl Lists {
    /// Puts those rules into lists that fit, and leaves the others. The rules are given by their indexes, in their order.
    pub(super) fn new<A: Address>(making: &Making<'_, A>, given: &mut Vec<u32>) -> Lists {
        let mut sides = [
            Filling::new(Field::Destination, making.rules, |rule| rule.destination),
            Filling::new(Field::Source, making.rules, |rule| rule.source),
        ];
        let mut kinds: HashMap<Asked, u8> = HashMap::new();
        let mut examples: Vec<Criteria<A>> = Vec::new();
        // Those first that are in few lists: they fit best.
        let mut order: Vec<(usize, u32)> =
            given.iter().map(|rule| (narrowest(&sides, &making.rules[*rule as usize]), *rule)).collect();
        order.sort_unstable();
        let mut rest = Vec::new();
        for (_, rule) in order {
            let criteria = &making.rules[rule as usize];
            let of = asked(&criteria.others);
            let known = kinds.get(&of).copied().or((kinds.len() < MOST_KINDS).then_some(kinds.len() as u8));
            let Some(kind) = known.filter(|kind| place(&mut sides, criteria, rule, *kind)) else {
                rest.push(rule);
                continue;
            };
            if kinds.insert(of, kind).is_none() {
                examples.push(*criteria);
            }
        }
        rest.sort_unstable();
        *given = rest;
        let [destinations, sources] = sides;
        let (of_sources, of_destinations) = (sources.ranges.clone(), destinations.ranges.clone());
        let sides = [
            destinations.finish(making.rules, Field::Source, |rule| of_sources.of(rule.source)),
            sources.finish(making.rules, Field::Destination, |rule| of_destinations.of(rule.destination)),
        ];
        Lists { kinds: kinds_of(making, &examples), sides: sides.into_iter().flatten().collect() }
    }

    /// Whether no rule is in any.
    pub(super) fn is_empty(&self) -> bool {
        self.sides.is_empty()
    }

    /// Puts the first rule that holds for each packet into `found`, unless there is one before it already. `numbers` are those of addresses.
    #[inline]
    pub(super) fn find<'n, A: Address>(
        &self,
        keys: &[Key<A>],
        numbers: impl Fn(Field) -> &'n [u32; VECTOR],
        found: &mut [u32],
        room: &mut Room,
    ) {
        let mut kinds = self.kinds.iter();
        match kinds.next() {
            Some((field, numbers, bits)) => {
                numbers.each(*field, keys, &mut room.kinds, |kinds, number| *kinds = bits[number as usize])
            }
            None => room.kinds.fill(u64::MAX),
        }
        for (field, numbers, bits) in kinds {
            numbers.each(*field, keys, &mut room.kinds, |kinds, number| *kinds &= bits[number as usize]);
        }
        for side in &self.sides {
            side.find(keys, numbers(side.field), numbers(side.other), found, room);
        }
    }

    /// Bytes.
    pub(super) fn memory(&self) -> usize {
        let kinds = self.kinds.iter().map(|(_, numbers, bits)| numbers.memory() + size_of_val(&**bits));
        let sides = self.sides.iter().map(|side| size_of_val(&*side.lists) + size_of_val(&*side.blocks));
        kinds.chain(sides).sum()
    }
}

impl Side {
    #[inline(always)]
    fn find<A: Address>(&self, keys: &[Key<A>], own: &[u32; VECTOR], other: &[u32; VECTOR], found: &mut [u32], room: &mut Room) {
        let Room { kinds, lists, pending } = room;
        for (list, number) in lists.iter_mut().zip(own).take(keys.len()) {
            *list = self.lists[*number as usize];
        }
        let mut count = 0;
        for (packet, key) in keys.iter().enumerate() {
            self.fetch(lists[(packet + AHEAD) % VECTOR]);
            let list = lists[packet];
            let rule = self.compare(list, key, other[packet], kinds[packet]);
            found[packet] = found[packet].min(rule);
            pending[count % VECTOR] = packet as u8;
            count += usize::from(rule == u32::MAX && list % 8 > 1);
        }
        while count > 0 {
            let mut left = 0;
            for at in 0..count.min(VECTOR) {
                let packet = usize::from(pending[at]);
                // The next block, of one less.
                let list = lists[packet] + 8 - 1;
                let rule = self.compare(list, &keys[packet], other[packet], kinds[packet]);
                (found[packet], lists[packet]) = (found[packet].min(rule), list);
                pending[left % VECTOR] = packet as u8;
                left += usize::from(rule == u32::MAX && list % 8 > 1);
            }
            count = left;
        }
    }

    #[inline(always)]
    fn fetch(&self, list: u32) {
        if let Some(block) = self.blocks.get(list as usize / 8) {
            prefetch(&block.low);
            prefetch(&block.bytes);
        }
    }

    /// The first rule of a block that holds, or the highest number.
    #[inline(always)]
    fn compare<A: Address>(&self, list: u32, key: &Key<A>, other: u32, kinds: u64) -> u32 {
        let Some(block) = self.blocks.get(list as usize / 8) else { return u32::MAX };
        // What is not known, all ranges take: whether the rule holds then is up to its kind.
        let unknown = |port: u32| if port >= NO_PORT { u16::MAX } else { 0 };
        let values = [other.min(u16::MAX.into()) as u16, key.destination_port as u16, key.source_port as u16];
        let any = [0, unknown(key.destination_port), unknown(key.source_port)];
        let holds = within8(&block.low, &block.span, values, any) & chosen8(kinds, &block.bytes, &block.bits);
        let at = holds.trailing_zeros() as usize % EIGHT;
        let rule = u32::from(block.rules[at]) | u32::from(block.bytes[at] >> HIGH_BIT) << 16;
        std::hint::select_unpredictable(holds != 0, rule, u32::MAX)
    }
}

/// The numbers of a field of addresses: those of a prefix and of all inside it follow each other.
#[derive(Clone)]
struct Ranges<A> {
    prefixes: Vec<Prefix<A>>,
    // By number less one: the last one inside of it.
    last: Vec<u32>,
}

impl<A: Address> Ranges<A> {
    fn new(prefixes: Vec<Prefix<A>>) -> Ranges<A> {
        let mut last: Vec<u32> = (1..=prefixes.len() as u32).collect();
        let mut around: Vec<usize> = Vec::new();
        for (at, prefix) in prefixes.iter().enumerate() {
            while let Some(outer) = around.pop_if(|outer| !prefixes[*outer].contains(prefix)) {
                last[outer] = at as u32;
            }
            around.push(at);
        }
        around.iter().for_each(|outer| last[*outer] = prefixes.len() as u32);
        Ranges { prefixes, last }
    }

    /// The first number and the last. Any address is every number.
    fn of(&self, prefix: Prefix<A>) -> (usize, usize) {
        match self.prefixes.binary_search(&prefix) {
            Ok(at) => (at + 1, self.last[at] as usize),
            Err(_) => (0, u16::MAX.into()),
        }
    }

    /// Whether a number of 16 bits can tell what is in the range.
    fn fits(&self, prefix: Prefix<A>) -> bool {
        prefix.len == 0 || self.of(prefix).1 < usize::from(u16::MAX)
    }
}

/// The lists of a side while rules are put into them.
struct Filling<A> {
    field: Field,
    prefix: fn(&Criteria<A>) -> Prefix<A>,
    ranges: Ranges<A>,
    /// By number: rules of the list.
    lengths: Vec<u8>,
    places: usize,
    /// With their kinds.
    rules: Vec<(u32, u8)>,
}

impl<A: Address> Filling<A> {
    fn new(field: Field, rules: &[Criteria<A>], prefix: fn(&Criteria<A>) -> Prefix<A>) -> Filling<A> {
        let prefixes = told_apart(rules, prefix);
        let lengths = vec![0; prefixes.len() + 1];
        Filling { field, prefix, ranges: Ranges::new(prefixes), lengths, places: 0, rules: Vec::new() }
    }

    /// In how many lists the rule would stand; `None` if it names no address.
    fn width(&self, rule: &Criteria<A>) -> Option<usize> {
        let prefix = (self.prefix)(rule);
        let (first, last) = self.ranges.of(prefix);
        (prefix.len > 0).then(|| last - first + 1)
    }

    /// Puts a rule into its lists if there is room in all of them.
    fn put(&mut self, criteria: &Criteria<A>, rule: u32, kind: u8) -> bool {
        let (first, last) = self.ranges.of((self.prefix)(criteria));
        let lists = &mut self.lengths[first..=last];
        if lists.len() > WIDEST || self.places + lists.len() > MOST_PLACES || lists.contains(&LONGEST) {
            return false;
        }
        lists.iter_mut().for_each(|length| *length += 1);
        self.places += lists.len();
        self.rules.push((rule, kind));
        true
    }

    /// The finished lists; `None` if no rule is in them. `other` says which numbers of the other address a rule takes.
    fn finish(mut self, rules: &[Criteria<A>], other: Field, of_other: impl Fn(&Criteria<A>) -> (usize, usize)) -> Option<Side> {
        if self.rules.is_empty() {
            return None;
        }
        self.rules.sort_unstable();
        let mut lists: Vec<Vec<(u32, u8)>> = self.lengths.iter().map(|length| Vec::with_capacity((*length).into())).collect();
        for (rule, kind) in &self.rules {
            let (first, last) = self.ranges.of((self.prefix)(&rules[*rule as usize]));
            lists[first..=last].iter_mut().for_each(|list| list.push((*rule, *kind)));
        }
        let mut blocks = vec![Block::default()];
        let mut known: HashMap<Vec<(u32, u8)>, u32> = HashMap::new();
        let lists = lists.into_iter().map(|list| {
            if list.is_empty() {
                return 0;
            }
            *known.entry(list).or_insert_with_key(|list| {
                let (first, eights) = (blocks.len(), list.chunks(EIGHT));
                let word = (first << 3 | eights.len()) as u32;
                blocks.extend(eights.map(|eight| Block::new(rules, eight, &of_other)));
                word
            })
        });
        let lists = lists.collect();
        Some(Side { field: self.field, other, lists, blocks })
    }
}

impl Block {
    fn new<A: Address>(rules: &[Criteria<A>], eight: &[(u32, u8)], of_other: impl Fn(&Criteria<A>) -> (usize, usize)) -> Block {
        let mut block = Block::default();
        for (at, (rule, kind)) in eight.iter().enumerate() {
            let criteria = &rules[*rule as usize];
            let (first, last) = of_other(criteria);
            let ports = [criteria.others.destination_ports, criteria.others.source_ports];
            for (field, (first, last)) in [(first as u16, last as u16)].into_iter().chain(ports).enumerate() {
                (block.low[field][at], block.span[field][at]) = (first, last - first);
            }
            let (byte, high) = (kind / 8, (rule >> 16) as u8);
            block.bytes[at] = byte | high << HIGH_BIT;
            block.bits[at] = 1 << (kind % 8);
            block.rules[at] = *rule as u16;
        }
        block
    }
}

/// In how many lists a rule would stand at least.
fn narrowest<A: Address>(sides: &[Filling<A>; 2], rule: &Criteria<A>) -> usize {
    sides.iter().filter_map(|side| side.width(rule)).min().unwrap_or(usize::MAX)
}

/// Puts a rule where it stands in fewer lists, or else into the others.
fn place<A: Address>(sides: &mut [Filling<A>; 2], criteria: &Criteria<A>, rule: u32, kind: u8) -> bool {
    let widths = [0, 1].map(|side| sides[side].width(criteria));
    let mut order = [0, 1];
    order.sort_by_key(|side| widths[*side].unwrap_or(usize::MAX));
    order.into_iter().any(|side| {
        let (other, own) = (&sides[1 - side], &sides[side]);
        let fits = widths[side].is_some() && other.ranges.fits((other.prefix)(criteria));
        debug_assert!(own.field != other.field);
        fits && sides[side].put(criteria, rule, kind)
    })
}

/// For each field that some kind asks, and each of its numbers, the kinds that take it.
fn kinds_of<A: Address>(making: &Making<'_, A>, examples: &[Criteria<A>]) -> Vec<(Field, Numbers, Vec<u64>)> {
    let all = [(0..examples.len() as u32).collect()];
    let making = Making { rules: examples, groups: &all, interfaces: making.interfaces, lenient: making.lenient };
    let fields = Field::SMALL.into_iter().filter(|field| !matches!(field, Field::SourcePort | Field::DestinationPort));
    let asked = fields.filter(|field| examples.iter().any(|rule| field.is_asked(rule)));
    let bits = asked.map(|field| {
        let mut bits = Vec::new();
        let numbers = making.numbers(field, &mut |sets| bits.push(sets[0].words::<1>()[0]));
        (field, numbers, bits)
    });
    bits.collect()
}
