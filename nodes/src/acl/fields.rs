//! The fields by which rules are told apart, and how a value of each becomes a small number.

use hashbrown::HashMap;

use super::address::{Address, Prefix};
use super::criteria::{ANY_PORT, Criteria, Key, NO_PORT, Part, Ports};
use super::rows::{Builder, Rows, Set};
use super::trie::Trie;

/// A field with a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Source,
    Destination,
    SourcePort,
    DestinationPort,
    /// Protocol, and which part of a packet.
    Carried,
    Rx,
    Tx,
}

impl Field {
    pub(super) const ALL: [Field; 7] =
        [Field::Source, Field::Destination, Field::DestinationPort, Field::Carried, Field::SourcePort, Field::Rx, Field::Tx];

    /// Whether rules that stand together agree in it, so that its summaries are sparse.
    pub(super) fn tells_words(self) -> bool {
        matches!(self, Field::Source | Field::Destination | Field::DestinationPort)
    }

    /// Whether a rule asks something of it.
    pub(super) fn is_asked<A: Address>(self, rule: &Criteria<A>) -> bool {
        match self {
            Field::Source => rule.source.len > 0,
            Field::Destination => rule.destination.len > 0,
            Field::SourcePort => rule.others.source_ports != ANY_PORT,
            Field::DestinationPort => rule.others.destination_ports != ANY_PORT,
            Field::Carried => rule.others.protocol.is_some() || rule.others.parts != 0b111 || rule.others.asks_layer4(),
            Field::Rx => rule.others.rx.is_some(),
            Field::Tx => rule.others.tx.is_some(),
        }
    }
}

/// From values of a field to numbers; what no rule tells apart has one number.
pub(super) enum Numbers {
    /// No rule asks.
    None,
    Prefixes(Trie),
    /// By port, and that of an unknown one.
    Ports(Box<[u16]>, u32),
    /// The value is its number.
    Plain(u16),
}

/// The numbers of a field, and for each group of rules their sets.
pub(super) struct Tables {
    pub(super) numbers: Numbers,
    /// By group; `None` if nothing in the group asks, or if it would take too much memory.
    pub(super) rows: Vec<Option<Rows>>,
}

/// Makes the tables of a field. `lenient`: see [`Others::takes`](super::criteria::Others::takes).
pub(super) fn tables<A: Address>(
    field: Field,
    rules: &[Criteria<A>],
    groups: &[Vec<u32>],
    interfaces: u16,
    lenient: bool,
) -> Tables {
    let asks: Vec<bool> = groups.iter().map(|group| group.iter().any(|rule| field.is_asked(&rules[*rule as usize]))).collect();
    if !asks.contains(&true) {
        return Tables { numbers: Numbers::None, rows: groups.iter().map(|_| None).collect() };
    }
    let mut making = Making { groups, builders: groups.iter().map(|group| Builder::new(group.len())).collect(), asks };
    let numbers = match field {
        Field::Source => making.prefixes(|rule| rules[rule as usize].source),
        Field::Destination => making.prefixes(|rule| rules[rule as usize].destination),
        Field::SourcePort => making.ports(|rule| rules[rule as usize].others.source_ports),
        Field::DestinationPort => making.ports(|rule| rules[rule as usize].others.destination_ports),
        Field::Carried => {
            making.plain(Part::ALL.len() as u16 * 256, |rule, value| rules[rule as usize].others.takes(value.into(), lenient))
        }
        Field::Rx => making.plain(interfaces + 1, |rule, value| rules[rule as usize].others.rx.is_none_or(|rx| rx == value)),
        Field::Tx => making.plain(interfaces + 1, |rule, value| rules[rule as usize].others.tx.is_none_or(|tx| tx == value)),
    };
    let rows = making.builders.into_iter().zip(making.asks).map(|(builder, asks)| if asks { builder.finish() } else { None });
    Tables { numbers, rows: rows.collect() }
}

struct Making<'a> {
    groups: &'a [Vec<u32>],
    builders: Vec<Builder>,
    asks: Vec<bool>,
}

impl Making<'_> {
    fn push(&mut self, sets: &[Set]) {
        let groups = self.builders.iter_mut().zip(sets).zip(&self.asks);
        groups.filter(|(_, asks)| **asks).for_each(|((builder, set), _)| builder.push(set));
    }

    /// For each rule its group and place.
    fn places(&self) -> impl Iterator<Item = (u32, usize, u32)> {
        let groups = self.groups.iter().enumerate();
        groups.flat_map(|(group, rules)| rules.iter().zip(0..).map(move |(rule, place)| (*rule, group, place)))
    }

    fn empty(&self) -> Vec<Set> {
        self.groups.iter().map(|group| Set::new(group.len())).collect()
    }

    fn plain(&mut self, values: u16, takes: impl Fn(u32, u16) -> bool) -> Numbers {
        for value in 0..values {
            let mut sets = self.empty();
            self.places().filter(|(rule, ..)| takes(*rule, value)).for_each(|(_, group, place)| sets[group].insert(place));
            self.push(&sets);
        }
        Numbers::Plain(values - 1)
    }

    fn prefixes<A: Address>(&mut self, prefix: impl Fn(u32) -> Prefix<A>) -> Numbers {
        let mut by_prefix: HashMap<Prefix<A>, Vec<(usize, u32)>> = HashMap::new();
        self.places().for_each(|(rule, group, place)| by_prefix.entry(prefix(rule)).or_default().push((group, place)));
        let mut sets = self.empty();
        let any = by_prefix.remove(&Prefix::default()).unwrap_or_default();
        any.iter().for_each(|(group, place)| sets[*group].insert(*place));
        self.push(&sets);
        let mut prefixes: Vec<Prefix<A>> = by_prefix.keys().copied().collect();
        prefixes.sort_unstable();
        // Those around the one at hand, whose rules are in the sets.
        let mut around: Vec<Prefix<A>> = Vec::new();
        for at in &prefixes {
            while let Some(last) = around.last().filter(|last| !last.contains(at)) {
                by_prefix[last].iter().for_each(|(group, place)| sets[*group].remove(*place));
                around.pop();
            }
            by_prefix[at].iter().for_each(|(group, place)| sets[*group].insert(*place));
            around.push(*at);
            self.push(&sets);
        }
        Numbers::Prefixes(Trie::new(&prefixes))
    }

    fn ports(&mut self, ports: impl Fn(u32) -> Ports) -> Numbers {
        // By port: what begins there, and what has ended before it.
        let mut events: Vec<(u32, bool, u32, usize, u32)> = Vec::new();
        for (rule, group, place) in self.places() {
            let (first, last) = ports(rule);
            events.push((first.into(), true, rule, group, place));
            events.push((u32::from(last) + 1, false, rule, group, place));
        }
        events.sort_unstable();
        let mut sets = self.empty();
        let mut numbers = vec![0u16; NO_PORT as usize].into_boxed_slice();
        // Values with the same rules have the same number: a sum of random words, one for each rule, tells sets apart.
        let (mut known, mut sum) = (HashMap::new(), 0u128);
        if events.first().is_some_and(|(port, ..)| *port > 0) {
            // Ports before those of all rules.
            known.insert(sum, 0);
            self.push(&sets);
        }
        let mut rest = &events[..];
        while let Some((port, ..)) = rest.first().filter(|(port, ..)| *port < NO_PORT) {
            let (now, later) = rest.split_at(rest.partition_point(|(at, ..)| at == port));
            for (_, begins, rule, group, place) in now {
                sum ^= word(*rule);
                if *begins { sets[*group].insert(*place) } else { sets[*group].remove(*place) }
            }
            let end = later.first().map_or(NO_PORT, |(port, ..)| *port);
            let next = known.len() as u16;
            let number = *known.entry(sum).or_insert_with(|| {
                self.push(&sets);
                next
            });
            numbers[*port as usize..end as usize].fill(number);
            rest = later;
        }
        // The last number is an unknown port, which all rules take: whether they hold then is up to `carried`.
        let mut sets = self.empty();
        self.places().for_each(|(_, group, place)| sets[group].insert(place));
        self.push(&sets);
        Numbers::Ports(numbers, known.len() as u32)
    }
}

/// A random word of a rule (SplitMix64, twice).
fn word(rule: u32) -> u128 {
    let half = |seed: u64| {
        let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    };
    u128::from(half(u64::from(rule) * 2 + 1)) << 64 | u128::from(half(u64::from(rule) * 2 + 2))
}

impl Numbers {
    /// The number of the field's value in each packet.
    #[inline]
    pub(super) fn find<A: Address>(&self, field: Field, keys: &[Key<A>], numbers: &mut [u32]) {
        match (self, field) {
            (Numbers::None, _) => {}
            (Numbers::Prefixes(trie), Field::Source) => trie.lookup(|packet| keys.get(packet).map(|key| key.source), numbers),
            (Numbers::Prefixes(trie), _) => trie.lookup(|packet| keys.get(packet).map(|key| key.destination), numbers),
            (Numbers::Ports(ports, none), Field::SourcePort) => {
                fill(keys, numbers, |key| ports.get(key.source_port as usize).map_or(*none, |number| (*number).into()));
            }
            (Numbers::Ports(ports, none), _) => {
                fill(keys, numbers, |key| ports.get(key.destination_port as usize).map_or(*none, |number| (*number).into()));
            }
            (Numbers::Plain(last), Field::Rx) => fill(keys, numbers, |key| key.rx.min(*last).into()),
            (Numbers::Plain(last), Field::Tx) => fill(keys, numbers, |key| key.tx.min(*last).into()),
            (Numbers::Plain(_), _) => fill(keys, numbers, |key| key.carried() as u32),
        }
    }

    /// Bytes.
    pub(super) fn memory(&self) -> usize {
        match self {
            Numbers::None | Numbers::Plain(_) => 0,
            Numbers::Prefixes(trie) => trie.memory(),
            Numbers::Ports(ports, _) => size_of_val(&**ports),
        }
    }
}

#[inline(always)]
fn fill<A: Address>(keys: &[Key<A>], numbers: &mut [u32], number: impl Fn(&Key<A>) -> u32) {
    for (key, slot) in keys.iter().zip(numbers) {
        *slot = number(key);
    }
}
