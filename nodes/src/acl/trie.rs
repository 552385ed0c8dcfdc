//! Longest prefix match over the addresses that rules name: 16 bits by a direct table, then 16 bits at a time by the intervals in which
//! all addresses have the same answer (Lampson, Srinivasan and Varghese, "IP Lookups using Multiway and Multicolumn Search", INFOCOM
//! 1998). A node is a cache line of a B-tree: eight borders, which are compared at once, and what is between them. It is made once and
//! never changed.

use swath_api::VECTOR;
use swath_api::kernel::rank8;

use super::address::{Address, Prefix};
use super::criteria::Key;

/// A table from addresses to numbers of prefixes; 0 is no prefix.
pub(super) struct Trie {
    // A number of a prefix times two, or of a node times two and one.
    root: Box<[u32; 1 << 16]>,
    nodes: Vec<Node>,
}

const BORDERS: usize = 8;

/// Up to nine intervals.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Node {
    // Where the second and the following ones begin. What is behind the last one has its word, too.
    borders: [u16; BORDERS],
    words: [u32; BORDERS + 1],
    // What is compared: the 16 bits that have so many to their right.
    right: u8,
}

const _: () = assert!(size_of::<Node>() == 64, "a cache line");

impl Trie {
    /// Of prefixes that are sorted, with no two the same: the first has number 1.
    pub(super) fn new<A: Address>(prefixes: &[Prefix<A>]) -> Trie {
        let root = vec![0; 1 << 16].into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!("it has this length"));
        let mut trie = Trie { root, nodes: Vec::new() };
        let mut rest: Vec<(Prefix<A>, u32)> = prefixes.iter().copied().zip(1..).collect();
        for (prefix, number) in &rest {
            if prefix.len <= 16 {
                let first = prefix.address.top();
                trie.root[first..first + (1 << (16 - prefix.len))].fill(number << 1);
            }
        }
        rest.retain(|(prefix, _)| prefix.len > 16);
        for group in rest.chunk_by(|a, b| a.0.address.top() == b.0.address.top()) {
            let at = group[0].0.address.top();
            trie.root[at] = trie.chunk(group, 1, trie.root[at]);
        }
        trie
    }

    /// The word for prefixes that agree in so many chunks of 16 bits, where `outer` is what the others have.
    fn chunk<A: Address>(&mut self, mut prefixes: &[(Prefix<A>, u32)], chunk: u8, outer: u32) -> u32 {
        let end = 16 * (chunk + 1);
        let right = A::BITS - end;
        let mut intervals = Intervals { begun: vec![(0, outer)], around: vec![(u16::MAX, outer)] };
        while let Some((prefix, number)) = prefixes.first() {
            let first = prefix.address.bits_above(right);
            let (len, last) = match prefix.len <= end {
                true => (1, first | ((1u32 << (end - prefix.len)) - 1) as u16),
                // All that are longer behind the same bits.
                false => (prefixes.partition_point(|(other, _)| other.address.bits_above(right) == first), first),
            };
            let outer = intervals.up_to(first);
            let (here, later) = prefixes.split_at(len);
            let word = if prefix.len <= end { number << 1 } else { self.chunk(here, chunk + 1, outer) };
            intervals.begin(first, last, word);
            prefixes = later;
        }
        self.tree(intervals.end(), right)
    }

    /// The word of a tree for intervals by where they begin, the first of them at 0.
    fn tree(&mut self, mut intervals: Vec<(u16, u32)>, right: u8) -> u32 {
        while intervals.len() > 1 {
            let node = |intervals: &[(u16, u32)]| {
                let last = intervals[intervals.len() - 1];
                let at = |place: usize| intervals.get(place).copied().unwrap_or((u16::MAX, last.1));
                self.nodes.push(Node {
                    borders: std::array::from_fn(|border| at(border + 1).0),
                    words: std::array::from_fn(|word| at(word).1),
                    right,
                });
                (intervals[0].0, (self.nodes.len() as u32 - 1) << 1 | 1)
            };
            intervals = intervals.chunks(BORDERS + 1).map(node).collect();
        }
        intervals[0].1
    }

    /// The number of the longest prefix around an address of each packet.
    pub(super) fn lookup<A: Address>(&self, keys: &[Key<A>], address: impl Fn(&Key<A>) -> A, numbers: &mut [u32; VECTOR]) {
        let mut addresses = [A::default(); VECTOR];
        // Those that are not found yet, without a branch that nobody can predict.
        let mut pending = [0u8; VECTOR];
        let mut count = 0;
        for (packet, ((key, number), kept)) in keys.iter().zip(&mut *numbers).zip(&mut addresses).enumerate() {
            let address = address(key);
            (*kept, *number) = (address, self.root[address.top()]);
            pending[count % VECTOR] = packet as u8;
            count += (*number & 1) as usize;
        }
        while count > 0 {
            let mut left = 0;
            for at in 0..count.min(VECTOR) {
                let packet = pending[at];
                let number = &mut numbers[usize::from(packet)];
                if let Some(node) = self.nodes.get((*number >> 1) as usize) {
                    let interval = rank8(&node.borders, addresses[usize::from(packet)].bits_above(node.right));
                    *number = node.words[interval.min(BORDERS)];
                }
                pending[left % VECTOR] = packet;
                left += (*number & 1) as usize;
            }
            count = left;
        }
        numbers.iter_mut().take(keys.len()).for_each(|number| *number >>= 1);
    }

    /// Bytes.
    pub(super) fn memory(&self) -> usize {
        size_of_val(&*self.root) + self.nodes.capacity() * size_of::<Node>()
    }
}

/// Intervals of 16 bits, from those of nested prefixes.
struct Intervals {
    // Where one begins, and its word.
    begun: Vec<(u16, u32)>,
    // Prefixes around the place at hand: where they end, and their words.
    around: Vec<(u16, u32)>,
}

impl Intervals {
    /// Ends what ends before a place. Returns what is around it.
    fn up_to(&mut self, place: u16) -> u32 {
        while let [.., outer, inner] = self.around[..]
            && inner.0 < place
        {
            self.around.pop();
            self.push(inner.0 + 1, outer.1);
        }
        self.around[self.around.len() - 1].1
    }

    fn begin(&mut self, first: u16, last: u16, word: u32) {
        self.push(first, word);
        self.around.push((last, word));
    }

    fn push(&mut self, first: u16, word: u32) {
        match self.begun.last_mut() {
            Some(last) if last.0 == first => last.1 = word,
            _ => self.begun.push((first, word)),
        }
    }

    fn end(mut self) -> Vec<(u16, u32)> {
        while let [.., outer, inner] = self.around[..] {
            self.around.pop();
            if inner.0 < u16::MAX {
                self.push(inner.0 + 1, outer.1);
            }
        }
        self.begun.dedup_by_key(|interval| interval.1);
        self.begun
    }
}
