//! The fields by which rules are told apart, and how a value of each becomes a small number.

use std::hash::Hash;

use hashbrown::HashMap;
use swath_api::VECTOR;

use super::address::{Address, Prefix};
use super::criteria::{ANY_PORT, Criteria, Key, NO_PORT, Others, Part, Ports};
use super::rows::Set;
use super::trie::Trie;

/// A field with a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Source,
    Destination,
    DestinationPort,
    /// Protocol, and which part of a packet.
    Carried,
    TcpFlags,
    SourcePort,
    Rx,
    Tx,
    Dscp,
    Vlan,
}

/// Behind all values of the flags of TCP: a packet of which they are not known.
const NO_FLAGS: u16 = 256;

impl Field {
    /// Those whose values are not addresses.
    pub(super) const SMALL: [Field; 8] = [
        Field::DestinationPort,
        Field::Carried,
        Field::TcpFlags,
        Field::SourcePort,
        Field::Rx,
        Field::Tx,
        Field::Dscp,
        Field::Vlan,
    ];

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
            Field::TcpFlags => rule.others.tcp_flags.0 != 0,
            Field::Rx => rule.others.rx.is_some(),
            Field::Tx => rule.others.tx.is_some(),
            Field::Dscp => rule.others.dscp.is_some(),
            Field::Vlan => rule.others.vlan.is_some(),
        }
    }

    /// The value in a packet of a field that is neither address nor port.
    #[inline(always)]
    fn plain<A>(self, key: &Key<A>) -> u16 {
        match self {
            Field::Carried => key.carried() as u16,
            Field::TcpFlags if key.part == Part::Later => NO_FLAGS,
            Field::TcpFlags => key.tcp_flags.into(),
            Field::Rx => key.rx,
            Field::Tx => key.tx,
            Field::Dscp => key.dscp.into(),
            _ => key.vlan,
        }
    }
}

/// From values of a field to numbers; what no rule tells apart has one number.
pub(super) enum Numbers {
    Prefixes(Trie),
    /// By port, and that of an unknown one.
    Ports(Box<[u16]>, u32),
    /// By value; the last one is also that of all beyond.
    Plain(Box<[u16]>),
}

impl Numbers {
    /// The number of an address in each packet.
    #[inline]
    pub(super) fn addresses<A: Address>(&self, field: Field, keys: &[Key<A>], numbers: &mut [u32; VECTOR]) {
        match self {
            Numbers::Prefixes(trie) if field == Field::Source => trie.lookup(keys, |key| key.source, numbers),
            Numbers::Prefixes(trie) => trie.lookup(keys, |key| key.destination, numbers),
            _ => {}
        }
    }

    /// Changes numbers by the number of a field's value in each packet.
    #[inline(always)]
    pub(super) fn each<A: Address, T>(
        &self,
        field: Field,
        keys: &[Key<A>],
        numbers: &mut [T; VECTOR],
        change: impl Fn(&mut T, u32),
    ) {
        let port = |ports: &[u16], none: u32, port: u32| ports.get(port as usize).map_or(none, |number| (*number).into());
        let plain = |values: &[u16], value: u16| values[usize::from(value).min(values.len() - 1)].into();
        match (self, field) {
            (Numbers::Ports(ports, none), Field::SourcePort) => {
                walk(keys, numbers, |key| port(ports, *none, key.source_port), change)
            }
            (Numbers::Ports(ports, none), _) => walk(keys, numbers, |key| port(ports, *none, key.destination_port), change),
            (Numbers::Plain(values), Field::Carried) => walk(keys, numbers, |key| plain(values, Field::Carried.plain(key)), change),
            (Numbers::Plain(values), Field::TcpFlags) => {
                walk(keys, numbers, |key| plain(values, Field::TcpFlags.plain(key)), change)
            }
            (Numbers::Plain(values), _) => walk(keys, numbers, |key| plain(values, field.plain(key)), change),
            (Numbers::Prefixes(_), _) => {}
        }
    }

    /// Bytes.
    pub(super) fn memory(&self) -> usize {
        match self {
            Numbers::Prefixes(trie) => trie.memory(),
            Numbers::Ports(values, _) | Numbers::Plain(values) => size_of_val(&**values),
        }
    }
}

#[inline(always)]
fn walk<A, T>(keys: &[Key<A>], numbers: &mut [T; VECTOR], number: impl Fn(&Key<A>) -> u32, change: impl Fn(&mut T, u32)) {
    keys.iter().zip(numbers).for_each(|(key, slot)| change(slot, number(key)));
}

/// The prefixes that rules name, each once and before those inside it: the first has number 1.
pub(super) fn told_apart<A: Address>(rules: &[Criteria<A>], prefix: impl Fn(&Criteria<A>) -> Prefix<A>) -> Vec<Prefix<A>> {
    let mut prefixes: Vec<Prefix<A>> = rules.iter().map(prefix).filter(|prefix| prefix.len > 0).collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    prefixes
}

/// The rules whose values are told apart, and those whose sets are made, in groups: of each the rules by their places.
pub(super) struct Making<'a, A> {
    pub(super) rules: &'a [Criteria<A>],
    pub(super) groups: &'a [Vec<u32>],
    /// How many interfaces there are.
    pub(super) interfaces: u16,
    /// See [`Others::takes`].
    pub(super) lenient: bool,
}

impl<A: Address> Making<'_, A> {
    /// The numbers of a field. `sink` gets the sets of each group for each number, in order.
    pub(super) fn numbers(&self, field: Field, sink: &mut dyn FnMut(&[Set])) -> Numbers {
        let lenient = self.lenient;
        let behind_interfaces = self.interfaces + 1;
        let is = |own: &Option<u16>, value: u16| own.is_none_or(|own| own == value);
        match field {
            Field::Source => self.prefixes(|rule| rule.source, sink),
            Field::Destination => self.prefixes(|rule| rule.destination, sink),
            Field::SourcePort => self.ports(|others| others.source_ports, sink),
            Field::DestinationPort => self.ports(|others| others.destination_ports, sink),
            Field::Carried => {
                let asked = |others: &Others| (others.protocol, others.parts, others.asks_layer4());
                let takes = |asked: &(Option<u8>, u8, bool), value| Others::takes(*asked, usize::from(value), lenient);
                self.plain(Part::ALL.len() as u16 * 256, asked, takes, sink)
            }
            Field::TcpFlags => {
                let takes = |(mask, flags): &(u8, u8), value| value == NO_FLAGS || value as u8 & mask == *flags;
                self.plain(NO_FLAGS + 1, |others| others.tcp_flags, takes, sink)
            }
            Field::Rx => self.plain(behind_interfaces, |others| others.rx, is, sink),
            Field::Tx => self.plain(behind_interfaces, |others| others.tx, is, sink),
            Field::Dscp => self.plain(64, |others| others.dscp.map(u16::from), is, sink),
            Field::Vlan => self.plain(1 << 12, |others| others.vlan, is, sink),
        }
    }

    fn empty(&self) -> Vec<Set> {
        self.groups.iter().map(|group| Set::new(group.len())).collect()
    }

    /// For each rule its group and place.
    fn places(&self) -> impl Iterator<Item = (u32, usize, u32)> {
        let groups = self.groups.iter().enumerate();
        groups.flat_map(|(group, rules)| rules.iter().zip(0..).map(move |(rule, place)| (*rule, group, place)))
    }

    /// By what rules ask, of which there is little, as a rule.
    fn plain<K: Hash + Eq + Copy>(
        &self,
        values: u16,
        asked: impl Fn(&Others) -> K,
        takes: impl Fn(&K, u16) -> bool,
        sink: &mut dyn FnMut(&[Set]),
    ) -> Numbers {
        let mut by_asked: HashMap<K, Vec<Set>> = HashMap::new();
        for (rule, group, place) in self.places() {
            let sets = by_asked.entry(asked(&self.rules[rule as usize].others)).or_insert_with(|| self.empty());
            sets[group].insert(place);
        }
        let by_asked: Vec<(K, Vec<Set>)> = by_asked.into_iter().collect();
        let mut known: HashMap<Vec<u32>, u16> = HashMap::new();
        let number = |value: u16| {
            let taken: Vec<u32> = (0..).zip(&by_asked).filter(|(_, (asked, _))| takes(asked, value)).map(|(at, _)| at).collect();
            let next = known.len() as u16;
            *known.entry(taken).or_insert_with_key(|taken| {
                let mut sets = self.empty();
                for at in taken {
                    sets.iter_mut().zip(&by_asked[*at as usize].1).for_each(|(set, other)| set.add(other));
                }
                sink(&sets);
                next
            })
        };
        Numbers::Plain((0..values).map(number).collect())
    }

    fn prefixes(&self, prefix: impl Fn(&Criteria<A>) -> Prefix<A>, sink: &mut dyn FnMut(&[Set])) -> Numbers {
        let mut by_prefix: HashMap<Prefix<A>, Vec<(usize, u32)>> = HashMap::new();
        for (rule, group, place) in self.places() {
            by_prefix.entry(prefix(&self.rules[rule as usize])).or_default().push((group, place));
        }
        let mut sets = self.empty();
        let any = by_prefix.remove(&Prefix::default()).unwrap_or_default();
        any.iter().for_each(|(group, place)| sets[*group].insert(*place));
        sink(&sets);
        let prefixes = told_apart(self.rules, &prefix);
        let of = |prefix: &Prefix<A>| by_prefix.get(prefix).map_or(&[][..], Vec::as_slice);
        // Those around the one at hand, whose rules are in the sets.
        let mut around: Vec<Prefix<A>> = Vec::new();
        for at in &prefixes {
            while let Some(last) = around.last().filter(|last| !last.contains(at)) {
                of(last).iter().for_each(|(group, place)| sets[*group].remove(*place));
                around.pop();
            }
            of(at).iter().for_each(|(group, place)| sets[*group].insert(*place));
            around.push(*at);
            sink(&sets);
        }
        Numbers::Prefixes(Trie::new(&prefixes))
    }

    fn ports(&self, ports: impl Fn(&Others) -> Ports, sink: &mut dyn FnMut(&[Set])) -> Numbers {
        // By port: what begins there, and what has ended before it.
        let mut events: Vec<(u32, bool, u32, usize, u32)> = Vec::new();
        for (rule, group, place) in self.places() {
            let (first, last) = ports(&self.rules[rule as usize].others);
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
            sink(&sets);
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
                sink(&sets);
                next
            });
            numbers[*port as usize..end as usize].fill(number);
            rest = later;
        }
        // The last number is an unknown port, which all rules take: whether they hold then is up to `carried`.
        let mut sets = self.empty();
        self.places().for_each(|(_, group, place)| sets[group].insert(place));
        sink(&sets);
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
