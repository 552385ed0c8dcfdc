//! The two ledgers: where every packet and every buffer has gone. Both are exact when the workers stand still.

use std::collections::BTreeMap;

use serde::Serialize;

/// Where packets came from and where they have gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// Packets that drivers received.
    pub received: u64,
    /// Packets that nodes made: copies, replies, fragments. Those that had to be dropped for want of room or buffer included.
    pub made: u64,
    /// Packets that drivers have taken to send.
    pub sent: u64,
    /// Packets dropped, by node and reason.
    pub dropped: BTreeMap<String, BTreeMap<String, u64>>,
    /// Packets that ended in a node that they were for.
    pub consumed: u64,
    /// Packets that nodes keep.
    pub held: u64,
    /// Packets between nodes or between workers.
    pub in_transit: u64,
    /// Where the buffers are.
    pub buffers: Buffers,
}

/// Where the buffers are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Buffers {
    /// All of them.
    pub capacity: u64,
    /// Free in the pool.
    pub free: u64,
    /// Free in caches of workers.
    pub cached: u64,
    /// In rings of drivers.
    pub rings: u64,
    /// In frames between nodes.
    pub frames: u64,
    /// In rings between workers.
    pub handoff: u64,
    /// Kept by nodes.
    pub held: u64,
}

impl Ledger {
    /// Dropped packets in all.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().flat_map(BTreeMap::values).sum()
    }

    /// What does not add up, in words; empty if both ledgers are exact.
    pub fn discrepancies(&self) -> Vec<String> {
        let mut found = Vec::new();
        let came = self.received + self.made;
        let went = [self.sent, self.dropped_total(), self.consumed, self.held, self.in_transit];
        let went = went.iter().fold(0, |sum: u64, part| sum.wrapping_add(*part));
        if came != went {
            found.push(format!(
                "packets: received {} + made {} = {came}, but sent {} + dropped {} + consumed {} + held {} + in transit {} = {went}",
                self.received,
                self.made,
                self.sent,
                self.dropped_total(),
                self.consumed,
                self.held,
                self.in_transit
            ));
        }
        let Buffers { capacity, free, cached, rings, frames, handoff, held } = self.buffers;
        let known = [free, cached, rings, frames, handoff, held].iter().fold(0, |sum: u64, part| sum.wrapping_add(*part));
        if capacity != known {
            found.push(format!(
                "buffers: capacity {capacity}, but free {free} + cached {cached} + in rings {rings} + in frames {frames} + between \
                 workers {handoff} + held {held} = {known}"
            ));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_add_up_is_said() {
        let mut ledger = Ledger { received: 10, made: 2, sent: 7, consumed: 1, held: 1, ..Ledger::default() };
        ledger.dropped.entry("acl".into()).or_default().insert("deny".into(), 3);
        ledger.buffers = Buffers { capacity: 8, free: 4, cached: 2, rings: 0, frames: 0, handoff: 1, held: 1 };
        assert_eq!(ledger.discrepancies(), Vec::<String>::new());
        ledger.sent = 6;
        ledger.buffers.free = 3;
        let found = ledger.discrepancies();
        assert_eq!(found.len(), 2);
        assert!(found[0].contains("= 12, but sent 6 + dropped 3"), "{}", found[0]);
        assert!(found[1].contains("capacity 8"), "{}", found[1]);
    }
}
