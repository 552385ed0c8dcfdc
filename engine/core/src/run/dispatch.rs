//! From decisions to inboxes, drivers and the pool: the one place where packets move.

use swath_api::{Mask, reserved};

use super::counters::slot;
use super::pass::{FREE, TRANSMIT, WorkerGraph, bytes};
use super::probe::{LOOKS, Leaving, look_at_refused};
use crate::driver::Io;

impl WorkerGraph {
    /// Moves the packets of `current` to where `nexts` says, and counts them: with one addition for each edge that any took. Returns
    /// the edge that most took; `guess` is what it may be.
    ///
    /// A vector whose packets all take one edge moves as a whole. Of another the majority is compacted in place and moves as a whole;
    /// only the others are touched one by one.
    pub(super) fn dispatch(&mut self, index: usize, guess: u16, now: u64) -> u16 {
        if LOOKS && !self.probes.is_empty() {
            self.look(index, now);
        }
        let Self { nodes, vectors, pending, current, nexts, tally, counters, cache, sampler, names, .. } = self;
        let (inboxes, node, counters) = (nodes.len(), &nodes[index], &counters.nodes[index]);
        let len = current.len();
        if len == 0 {
            return guess;
        }
        let (mut majority, mut keep) = (guess, nexts.matching(guess));
        let mut count = keep.count();
        if count * 2 < len {
            majority = vote(nexts.ids());
            keep = nexts.matching(majority);
            count = keep.count();
        }
        let mut mark = |to: usize| {
            if to < inboxes {
                pending[to / 64] |= 1 << (to % 64);
            }
        };
        let (mut lost, mut sample) = (0, false);
        let (main, to) = (node.slot(majority), usize::from(node.to[node.slot(majority)]));
        let majority_count = count;
        if count < len && to < inboxes {
            // Edges that lead to the same node move together, so that packets keep their order.
            for (id, slot) in node.slots.iter().enumerate().filter(|(id, _)| *id != usize::from(majority)) {
                if usize::from(node.to[usize::from(*slot)]) == to {
                    let same = nexts.matching(id as u16);
                    counters.edges()[usize::from(*slot)].add(same.count() as u64);
                    keep = keep.union(&same);
                }
            }
            count = keep.count();
        }
        if count < len {
            let ids = nexts.ids();
            lost = current.split(&keep, vectors, |at| {
                let slot = node.slot(ids[at]);
                tally[slot] += 1;
                usize::from(node.to[slot])
            });
            for (slot, count) in tally.iter_mut().enumerate().filter(|(_, count)| **count > 0) {
                let to = usize::from(node.to[slot]);
                if to != inboxes + TRANSMIT {
                    counters.edges()[slot].add(u64::from(*count));
                }
                if to == inboxes + FREE {
                    sample |= sampler.note(counters, index, slot, now);
                }
                mark(to);
                *count = 0;
            }
        }
        // What is transmitted is counted when the driver has taken it.
        if to != inboxes + TRANSMIT {
            counters.edges()[main].add(majority_count as u64);
        }
        mark(to);
        vectors[to].append(current);
        if lost + current.len() > 0 {
            // Cannot be: see `start_pass`. If it were, the packets would be counted as dropped here.
            let lost = (lost + current.len()) as u64;
            debug_assert_eq!(lost, 0, "an inbox has room for a vector received and one made");
            counters.edges()[slot(reserved::INBOX_FULL, node.edges)].add(lost);
            cache.free(current);
        }
        let freed = &mut vectors[inboxes + FREE];
        if !freed.is_empty() {
            if to == inboxes + FREE {
                sample |= sampler.note(counters, index, main, now);
            }
            if sample {
                sampler.sample((index, node), (freed, inboxes + FREE), (nexts, majority), (names, now));
            }
            cache.free(freed);
        }
        if !self.vectors[inboxes + TRANSMIT].is_empty() {
            self.transmit(index, now);
        }
        majority
    }

    /// Sends the packets of the transmit vector, interface by interface.
    #[inline(never)]
    fn transmit(&mut self, index: usize, now: u64) {
        let at = self.nodes.len() + TRANSMIT;
        loop {
            let packets = &mut self.vectors[at];
            let Some(first) = packets.lanes().first() else { break };
            let tx = first.tx;
            if !packets.same_tx() {
                let same = Mask::from_fn(packets.len(), |at| packets.lanes()[at].tx == tx);
                packets.split(&same, std::slice::from_mut(&mut self.other_ports), |_| 0);
            }
            self.send(index, usize::from(tx), now);
            std::mem::swap(&mut self.vectors[at], &mut self.other_ports);
        }
    }

    /// Sends the packets of the transmit vector, which are all for one interface. What its driver does not take is dropped.
    fn send(&mut self, index: usize, tx: usize, now: u64) {
        let packets = &mut self.vectors[self.nodes.len() + TRANSMIT];
        let (len, size) = (packets.len(), bytes(packets, 0));
        let (node, edges) = (&self.nodes[index], self.counters.nodes[index].edges());
        if let Some(port) = self.ports.get_mut(tx) {
            port.transmit(packets, &mut Io { cache: &mut self.cache, now });
            let (interface, sent) = (&self.interfaces[tx], (len - packets.len()) as u64);
            interface.sent.add(sent);
            interface.sent_bytes.add(size - bytes(packets, 0));
            if let Some(slot) = node.transmit {
                edges[slot].add(sent);
            }
        }
        if !packets.is_empty() {
            self.refused(index, tx, now);
        }
    }

    /// Drops what is left of the transmit vector, which a driver has not taken.
    #[cold]
    fn refused(&mut self, index: usize, tx: usize, now: u64) {
        let worker = self.worker();
        let Self { nodes, vectors, nexts, counters, cache, ports, interfaces, sampler, names, probes, tables, number, .. } = self;
        let (packets, node, counters) = (&mut vectors[nodes.len() + TRANSMIT], &nodes[index], &counters.nodes[index]);
        let graph = *number as u16;
        let refused = ports.get(tx).map(|port| port.refused()).unwrap_or_default();
        let rest = (packets.len() as u64).saturating_sub(u64::from(refused.link_down) + u64::from(refused.too_big));
        let reason = if tx < ports.len() { reserved::RING_FULL } else { reserved::NO_INTERFACE };
        if let Some(interface) = interfaces.get(tx) {
            interface.transmit_drops.add(rest + u64::from(refused.link_down));
            interface.transmit_oversize.add(refused.too_big.into());
        }
        for (reason, count) in
            [(reason, rest), (reserved::LINK_DOWN, refused.link_down.into()), (reserved::TOO_BIG, refused.too_big.into())]
        {
            if count == 0 {
                continue;
            }
            let slot = slot(reason, node.edges);
            counters.edges()[slot].add(count);
            counters.seen(slot, now);
            // Where there are several reasons nobody says which packet has which.
            if count == packets.len() as u64 {
                sampler.take(names, (index, slot), Some((packets, 0)), now);
                if LOOKS && !probes.is_empty() {
                    let leaving = Leaving { index, node, packets, nexts, names, tables, graph, worker, now, receives: None };
                    look_at_refused(probes, &leaving, slot);
                }
            }
        }
        cache.free(packets);
    }
}

/// An id that more than half of the packets have, if there is one (Boyer and Moore's vote); else any that occurs.
fn vote(ids: &[u16]) -> u16 {
    let (mut candidate, mut lead) = (ids[0], 0u32);
    for &id in ids {
        if lead == 0 {
            candidate = id;
        }
        lead = if id == candidate { lead + 1 } else { lead - 1 };
    }
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vote_finds_a_majority() {
        assert_eq!(vote(&[1, 2, 1, 2, 1]), 1);
        assert_eq!(vote(&[3, 3, 1, 2, 3]), 3);
        assert_eq!(vote(&[7]), 7);
        let spread = [1, 2, 3, 4];
        assert!(spread.contains(&vote(&spread)));
    }
}
