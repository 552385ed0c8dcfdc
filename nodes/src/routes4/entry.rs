//! What is known of a prefix: its routes by metric, each with its next hops.

use crate::leaf4::Leaf;
use crate::routes4::buckets::MAX_MEMBERS;

/// All routes of a prefix. Prefixes with equal ones share an entry, and so the number that look-ups answer with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    /// Of 0.0.0.0/0: shared with nobody, so that one can tell.
    pub is_default: bool,
    /// By metric, the lowest first; at least one.
    pub ways: Vec<Way>,
}

/// A route without its prefix.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Way {
    pub metric: u32,
    pub to: To,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum To {
    /// To nobody, or to the router itself.
    Fixed(Leaf),
    /// To one next hop.
    One(Member),
    /// To several, in order.
    Several(Box<[Member]>),
}

/// A next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Member {
    pub tx: u16,
    pub adj: u32,
    pub weight: u16,
}

impl Member {
    pub fn leaf(self) -> Leaf {
        Leaf::new(crate::leaf4::Meaning::Forward, self.tx, self.adj)
    }

    /// Whether it is the same next hop, of any weight.
    pub fn is(self, other: Member) -> bool {
        (self.tx, self.adj) == (other.tx, other.adj)
    }
}

impl To {
    /// Of at least one and at most [`MAX_MEMBERS`].
    pub fn of(mut members: Vec<Member>) -> To {
        debug_assert!((1..=MAX_MEMBERS).contains(&members.len()));
        members.sort_unstable();
        match members[..] {
            [only] => To::One(Member { weight: 1, ..only }),
            _ => To::Several(members.into()),
        }
    }

    pub fn members(&self) -> &[Member] {
        match self {
            To::Fixed(_) => &[],
            To::One(member) => std::slice::from_ref(member),
            To::Several(members) => members,
        }
    }

    /// Whether packets can go there, with these interfaces up.
    pub fn is_live(&self, up: &[bool]) -> bool {
        matches!(self, To::Fixed(_)) || self.members().iter().any(|member| up[usize::from(member.tx)])
    }
}

impl Entry {
    pub fn one(to: To) -> Entry {
        Entry { is_default: false, ways: vec![Way { metric: 0, to }] }
    }

    /// The place of the route that decides, with these interfaces up.
    pub fn active(&self, up: &[bool]) -> Option<usize> {
        self.ways.iter().position(|way| way.to.is_live(up))
    }

    /// Whether any of its next hops is behind an interface.
    pub fn uses(&self, interface: u16) -> bool {
        self.ways.iter().flat_map(|way| way.to.members()).any(|member| member.tx == interface)
    }

    pub fn has(&self, metric: u32) -> bool {
        self.ways.iter().any(|way| way.metric == metric)
    }

    /// With a route in the place of the one with its metric.
    pub fn with(&self, way: Way) -> Entry {
        let mut entry = self.clone();
        match entry.ways.binary_search_by_key(&way.metric, |way| way.metric) {
            Ok(index) => entry.ways[index] = way,
            Err(index) => entry.ways.insert(index, way),
        }
        entry
    }

    /// Without the route of a metric; `None` if there is no other.
    pub fn without(&self, metric: u32) -> Option<Entry> {
        let ways: Vec<Way> = self.ways.iter().filter(|way| way.metric != metric).cloned().collect();
        (!ways.is_empty()).then_some(Entry { is_default: self.is_default, ways })
    }
}
