//! Fields that are looked at together: of each packet a number, and for each group of rules the sets of all numbers.
//!
//! Addresses are for themselves. Of the small fields, as many go together as their values, each with each, make few numbers: most rules ask for
//! a few protocols, a few flags and a few ports (the cross-producting of Srinivasan et al., "Fast and Scalable Layer Four Switching",
//! SIGCOMM 1998, for fields that are small enough).

use hashbrown::HashMap;
use swath_api::VECTOR;

use super::address::Address;
use super::criteria::Key;
use super::fields::{Field, Making, Numbers};
use super::rows::{Builder, PAGE, Rows, Set};

/// Most numbers of fields that go together, over all pages: their summaries fit into the nearer caches.
const MOST_TOGETHER: usize = 8192;

/// One field, or several.
pub(super) struct Column {
    first: (Field, Numbers),
    more: Vec<Factor>,
}

/// Another field of a column.
struct Factor {
    field: Field,
    numbers: Numbers,
    count: u32,
    // By the number of what is before it times `count`, plus its own: the number of both.
    together: Box<[u16]>,
}

/// A column, with its sets for each group.
pub(super) struct Made {
    pub(super) column: Column,
    pub(super) rows: Vec<Asked>,
}

/// What a group asks of a column.
pub(super) enum Asked {
    /// Nothing.
    Nothing,
    /// Something; but the sets would take too much memory.
    TooMany,
    /// These sets say what.
    Rows(Rows),
}

impl Column {
    /// The number of each packet.
    #[inline]
    pub(super) fn find<A: Address>(&self, keys: &[Key<A>], numbers: &mut [u32; VECTOR]) {
        match &self.first {
            (field, addresses @ Numbers::Prefixes(_)) => addresses.addresses(*field, keys, numbers),
            (field, others) => others.each(*field, keys, numbers, |slot, number| *slot = number),
        }
        for Factor { field, numbers: own, count, together } in &self.more {
            own.each(*field, keys, numbers, |slot, number| *slot = together[(*slot * count + number) as usize].into());
        }
    }

    fn fields(&self) -> impl Iterator<Item = Field> {
        [self.first.0].into_iter().chain(self.more.iter().map(|factor| factor.field))
    }

    /// Whether it is this address.
    pub(super) fn is(&self, field: Field) -> bool {
        self.first.0 == field
    }

    /// Whether rules that stand together agree in one of its fields.
    pub(super) fn tells_words(&self) -> bool {
        self.fields().any(Field::tells_words)
    }

    /// Bytes.
    pub(super) fn memory(&self) -> usize {
        let more = self.more.iter().map(|factor| factor.numbers.memory() + size_of_val(&*factor.together));
        self.first.1.memory() + more.sum::<usize>()
    }
}

/// All columns of rules.
pub(super) fn columns<A: Address>(making: &Making<'_, A>) -> Vec<Made> {
    let asked = |field: &Field| making.rules.iter().any(|rule| field.is_asked(rule));
    let in_groups = |field: &Field| making.groups.iter().flatten().any(|rule| field.is_asked(&making.rules[*rule as usize]));
    let longest = making.groups.iter().map(Vec::len).max().unwrap_or(0);
    let most = MOST_TOGETHER / longest.div_ceil(PAGE).max(1);
    let mut made: Vec<Made> = Vec::new();
    let mut together: Option<Together> = None;
    for field in [Field::Source, Field::Destination].into_iter().filter(asked) {
        made.push(alone(making, field));
    }
    for field in Field::SMALL.into_iter().filter(in_groups) {
        let mut count = 0;
        making.numbers(field, &mut |_| count += 1);
        if count > most {
            made.push(alone(making, field));
            continue;
        }
        let mut sets = Vec::with_capacity(count);
        let numbers = making.numbers(field, &mut |own| sets.push(own.to_vec()));
        together = Some(match together.take() {
            None => Together { column: Column { first: (field, numbers), more: Vec::new() }, sets },
            Some(before) if before.sets.len() * count <= most => before.with(field, numbers, &sets),
            Some(before) => {
                made.push(before.finish(making));
                Together { column: Column { first: (field, numbers), more: Vec::new() }, sets }
            }
        });
    }
    made.extend(together.map(|together| together.finish(making)));
    // Those first that tell words apart.
    made.sort_by_key(|made| !made.column.tells_words());
    made
}

fn alone<A: Address>(making: &Making<'_, A>, field: Field) -> Made {
    let mut builders = Builders::new(making, &[field]);
    let numbers = making.numbers(field, &mut |sets| builders.push(sets));
    Made { column: Column { first: (field, numbers), more: Vec::new() }, rows: builders.finish() }
}

/// A column that may get more fields.
struct Together {
    column: Column,
    // By number, then by group.
    sets: Vec<Vec<Set>>,
}

impl Together {
    fn with(mut self, field: Field, numbers: Numbers, others: &[Vec<Set>]) -> Together {
        let mut known: HashMap<Vec<Set>, u16> = HashMap::new();
        let mut sets = Vec::new();
        let pairs = self.sets.iter().flat_map(|before| others.iter().map(move |other| (before, other)));
        let number = |(before, other): (&Vec<Set>, &Vec<Set>)| {
            let both: Vec<Set> = before.iter().zip(other).map(|(before, other)| before.and(other)).collect();
            let next = known.len() as u16;
            *known.entry(both).or_insert_with_key(|both| {
                sets.push(both.clone());
                next
            })
        };
        let together = pairs.map(number).collect();
        self.column.more.push(Factor { field, numbers, count: others.len() as u32, together });
        Together { column: self.column, sets }
    }

    fn finish<A: Address>(self, making: &Making<'_, A>) -> Made {
        let fields: Vec<Field> = self.column.fields().collect();
        let mut builders = Builders::new(making, &fields);
        self.sets.iter().for_each(|sets| builders.push(sets));
        Made { column: self.column, rows: builders.finish() }
    }
}

/// What makes the sets of each group that asks.
struct Builders(Vec<Option<Builder>>);

impl Builders {
    fn new<A: Address>(making: &Making<'_, A>, fields: &[Field]) -> Builders {
        let asks =
            |group: &&Vec<u32>| group.iter().any(|rule| fields.iter().any(|field| field.is_asked(&making.rules[*rule as usize])));
        Builders(making.groups.iter().map(|group| Some(group).filter(asks).map(|group| Builder::new(group.len()))).collect())
    }

    fn push(&mut self, sets: &[Set]) {
        for (builder, set) in self.0.iter_mut().zip(sets) {
            if let Some(builder) = builder {
                builder.push(set);
            }
        }
    }

    fn finish(self) -> Vec<Asked> {
        let sets = |builder: Builder| builder.finish().map_or(Asked::TooMany, Asked::Rows);
        self.0.into_iter().map(|builder| builder.map_or(Asked::Nothing, sets)).collect()
    }
}
