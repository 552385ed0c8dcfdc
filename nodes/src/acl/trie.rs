//! Longest prefix match over the addresses that rules name: 16 bits by a direct table, then 8 bits at a time by nodes in which equal
//! neighbours are stored once (run-length coding by a bitmap, as in Degermark et al., "Small Forwarding Tables for Fast Routing Lookups",
//! SIGCOMM 1997). It is made once and never changed.

use swath_api::VECTOR;

use super::address::{Address, Prefix};

/// A table from addresses to numbers of prefixes; 0 is no prefix.
pub(super) struct Trie {
    // A number of a prefix times two, or of a node times two and one.
    root: Box<[u32; 1 << 16]>,
    nodes: Vec<Node>,
    values: Vec<u32>,
}

/// 256 values, of which those are stored that differ from the one before.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Node {
    differs: [u64; 4],
    // How many bits are set in the words before.
    before: [u8; 4],
    base: u32,
}

impl Trie {
    /// Of prefixes that are sorted, with no two the same: the first has number 1.
    pub(super) fn new<A: Address>(prefixes: &[Prefix<A>]) -> Trie {
        let root = vec![0; 1 << 16].into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!("it has this length"));
        let mut trie = Trie { root, nodes: Vec::new(), values: Vec::new() };
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
            trie.root[at] = trie.node(group, 0, trie.root[at]);
        }
        trie
    }

    /// The word of a node for prefixes that agree up to its byte, where `outer` is what the others have.
    fn node<A: Address>(&mut self, prefixes: &[(Prefix<A>, u32)], level: u8, outer: u32) -> u32 {
        let end = 16 + 8 * (level + 1);
        let mut slots = [outer; 256];
        for (prefix, number) in prefixes.iter().filter(|(prefix, _)| prefix.len <= end) {
            let first = usize::from(prefix.address.byte(level));
            slots[first..first + (1 << (end - prefix.len))].fill(number << 1);
        }
        let deeper: Vec<(Prefix<A>, u32)> = prefixes.iter().filter(|(prefix, _)| prefix.len > end).copied().collect();
        for group in deeper.chunk_by(|a, b| a.0.address.byte(level) == b.0.address.byte(level)) {
            let at = usize::from(group[0].0.address.byte(level));
            slots[at] = self.node(group, level + 1, slots[at]);
        }
        let mut node = Node { differs: [0; 4], before: [0; 4], base: self.values.len() as u32 };
        for (at, value) in slots.iter().enumerate() {
            if at == 0 || slots[at - 1] != *value {
                node.differs[at / 64] |= 1 << (at % 64);
                self.values.push(*value);
            }
        }
        for word in 1..4 {
            node.before[word] = node.before[word - 1] + node.differs[word - 1].count_ones() as u8;
        }
        self.nodes.push(node);
        (self.nodes.len() as u32 - 1) << 1 | 1
    }

    /// The number of the longest prefix around the address of each packet, 256 at most.
    pub(super) fn lookup<A: Address>(&self, address: impl Fn(usize) -> Option<A>, numbers: &mut [u32]) {
        // Those that are not found yet, without a branch that nobody can predict.
        let mut pending = [0u8; VECTOR];
        let mut count = 0;
        for (packet, number) in numbers.iter_mut().enumerate() {
            *number = address(packet).map_or(0, |address| self.root[address.top()]);
            pending[count % VECTOR] = packet as u8;
            count += (*number & 1) as usize;
        }
        let mut level = 0;
        while count > 0 {
            let mut left = 0;
            for at in 0..count.min(VECTOR) {
                let packet = pending[at];
                let (Some(number), Some(address)) = (numbers.get_mut(usize::from(packet)), address(usize::from(packet))) else {
                    continue;
                };
                if let Some(node) = self.nodes.get((*number >> 1) as usize) {
                    *number = self.values[node.place(address.byte(level))];
                }
                pending[left % VECTOR] = packet;
                left += (*number & 1) as usize;
            }
            count = left;
            level += 1;
        }
        numbers.iter_mut().for_each(|number| *number >>= 1);
        debug_assert!(numbers.len() <= VECTOR);
    }

    /// Bytes.
    pub(super) fn memory(&self) -> usize {
        size_of_val(&*self.root) + self.nodes.capacity() * size_of::<Node>() + self.values.capacity() * size_of::<u32>()
    }
}

impl Node {
    #[inline(always)]
    fn place(&self, byte: u8) -> usize {
        let word = usize::from(byte >> 6);
        let up_to = self.differs[word] & (u64::MAX >> (63 - (byte & 63)));
        (self.base + u32::from(self.before[word]) + up_to.count_ones()) as usize - 1
    }
}
