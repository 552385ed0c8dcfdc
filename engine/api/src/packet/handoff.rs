//! Packets on their way from one worker to another.

use std::fmt;
use std::sync::Arc;

use super::{Desc, Lane, Vector};
use crate::memory::Pool;
use crate::sync::{Gauge, Receiver, Sender, ring_with};

/// A packet with the name, as a number, of where it goes. While it is in the ring it is the ring's.
#[derive(Clone, Copy)]
struct Away {
    desc: Desc,
    lane: Lane,
    to: u32,
}

/// A bounded ring for packets of this pool, from one worker to another. Packets that are in it when both ends are gone go back to the pool.
pub fn handoff(pool: &Arc<Pool>, capacity: usize) -> (HandoffSender, HandoffReceiver) {
    let home = Arc::clone(pool);
    let (sender, receiver) = ring_with(capacity, move |away: Away| home.give_back(&[away.desc.position()]));
    (HandoffSender { ring: sender, pool: Arc::clone(pool) }, HandoffReceiver { ring: receiver, pool: Arc::clone(pool) })
}

/// The end that puts packets in.
pub struct HandoffSender {
    ring: Sender<Away>,
    pool: Arc<Pool>,
}

impl HandoffSender {
    /// Moves packets into the ring, to go to `to`: from the first on, as many as there is room for. The others stay in the
    /// vector. Returns how many were moved.
    pub fn push(&mut self, packets: &mut Vector, to: u32) -> usize {
        packets.assert_pool(&self.pool);
        let (descs, lanes) = (packets.descs(), packets.lanes());
        let moved = self.ring.push_all(descs.len(), |index| Away { desc: descs[index], lane: lanes[index], to });
        packets.forget_first(moved);
        moved
    }

    /// What tells how many packets are in the ring.
    pub fn gauge(&self) -> HandoffGauge {
        HandoffGauge(self.ring.gauge())
    }
}

/// The end that takes packets out.
pub struct HandoffReceiver {
    ring: Receiver<Away>,
    pool: Arc<Pool>,
}

impl HandoffReceiver {
    /// Takes up to `max` packets out, each to the end of the vector that `targets` has for where it was sent to. `taken` is told of each.
    /// A packet for which `targets` has nothing stays, and all that are behind it. One for which there is no vector, or no room in it, is
    /// freed; returns how many those were.
    pub fn pop(&mut self, max: usize, targets: &[Option<u16>], vectors: &mut [Vector], mut taken: impl FnMut(usize)) -> usize {
        let mut lost = 0;
        let Self { ring, pool } = self;
        let target = |to: u32| targets.get(to as usize).copied().flatten();
        ring.pop_while(
            max,
            |away| target(away.to).is_some(),
            |Away { desc, lane, to }| {
                let to = target(to).map_or(usize::MAX, usize::from);
                taken(to);
                // SAFETY: the packet comes from a vector of this pool, which has forgotten it (`push`), so the descriptor keeps the
                // invariant and its chunk is the ring's; `assert_pool` says that the vector is one of the pool.
                let kept = vectors.get_mut(to).is_some_and(|vector| unsafe {
                    vector.assert_pool(pool);
                    vector.push_raw(desc, lane)
                });
                if !kept {
                    pool.give_back(&[desc.position()]);
                    lost += 1;
                }
            },
        );
        lost
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }
}

/// Tells how many packets a ring has.
#[derive(Debug)]
pub struct HandoffGauge(Gauge<Away>);

impl HandoffGauge {
    /// Packets in the ring: exact while both workers stand still.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for HandoffSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ring.fmt(f)
    }
}

impl fmt::Debug for HandoffReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ring.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Geometry, Region};

    fn vector(pool: &Arc<Pool>, numbers: std::ops::Range<u32>) -> Vector {
        let (mut cache, mut vector) = (pool.cache(), Vector::new(pool));
        for number in numbers {
            let mut buffer = cache.take().unwrap();
            buffer.fill(&number.to_be_bytes());
            assert!(buffer.push(&mut vector, Lane { adj: number, ..Lane::default() }));
        }
        vector
    }

    #[test]
    fn packets_arrive_where_they_were_sent_and_none_is_lost() {
        let pool = Pool::new(Region::anonymous(Geometry::new(600, 128)).unwrap());
        let (mut sender, mut receiver) = handoff(&pool, 8);
        let mut packets = vector(&pool, 0..6);
        assert_eq!(sender.push(&mut packets, 1), 6);
        let mut more = vector(&pool, 6..12);
        assert_eq!((sender.push(&mut more, 0), more.len(), sender.gauge().len()), (2, 4, 8));
        assert_eq!(more.lanes()[0].adj, 8);
        let mut vectors = [Vector::new(&pool), Vector::new(&pool)];
        let targets = [Some(0), Some(1), Some(2), None];
        let mut seen = Vec::new();
        assert_eq!(receiver.pop(7, &targets, &mut vectors, |to| seen.push(to)), 0);
        assert_eq!((seen, vectors[0].len(), vectors[1].len()), (vec![1, 1, 1, 1, 1, 1, 0], 1, 6));
        let numbers: Vec<u32> = vectors[1].lanes().iter().map(|lane| lane.adj).collect();
        assert_eq!((numbers, vectors[0].bytes(0)), ((0..6).collect(), Some(&[0, 0, 0, 6][..])));
        // To a node that there is not; and the rest goes home with the ring.
        assert_eq!(sender.push(&mut more, 2), 4);
        assert_eq!(receiver.pop(3, &targets, &mut vectors, |_| ()), 2);
        assert_eq!(vectors[0].len(), 2);
        // What nobody knows waits, and so does what is behind it.
        let mut unknown = vector(&pool, 12..13);
        assert_eq!((sender.push(&mut unknown, 3), receiver.pop(9, &targets, &mut vectors, |_| ())), (1, 2));
        let mut known = vector(&pool, 13..14);
        assert_eq!((sender.push(&mut known, 0), receiver.pop(9, &targets, &mut vectors, |_| ())), (1, 0));
        assert_eq!((sender.gauge().len(), vectors[0].len()), (2, 2));
        assert_eq!(receiver.pop(9, &[Some(0), None, None, Some(1)], &mut vectors, |_| ()), 0);
        assert_eq!((vectors[0].len(), vectors[1].len()), (3, 7));
        drop((sender, receiver, vectors, more, packets));
        assert_eq!(pool.free() + pool.cached(), 600);
    }
}
