//! All that a packet of an established session needs, in three walks over a frame: [`Sessions::query`] while its header is read, a walk over
//! the index, and one over the sessions. Each fetches what the next one reads.

use swath_api::VECTOR;
use swath_api::kernel::prefetch_slice;

use super::entry::Found;
use super::key::FlowKey;
use super::probe::Probe;
use super::state::{Event, Step};
use super::time::Moment;
use super::{Sessions, Tracked};

/// Packets whose sessions are fetched together.
const STRIP: usize = 64;

/// A packet that is about to be looked up.
#[derive(Clone, Copy, Debug)]
pub struct Query<K> {
    /// What it is.
    pub probe: Probe<K>,
    hash: u64,
}

impl<K: FlowKey> Query<K> {
    /// Of a packet that has no session.
    pub fn none() -> Query<K> {
        Query { probe: Probe { key: K::new_zeroed(), event: Event::Malformed, first_fragment: false }, hash: 0 }
    }
}

impl<K: FlowKey> Sessions<K> {
    /// Begins the look-up of a packet, which [`Sessions::follow`] ends.
    #[inline(always)]
    pub fn query(&self, probe: Probe<K>) -> Query<K> {
        let hash = self.hash(&probe.key);
        self.index.prefetch(hash);
        Query { probe, hash }
    }

    /// Ends the look-up of one packet.
    #[inline]
    pub fn find_queried(&self, query: &Query<K>) -> Found {
        // Of most that are asked for here there is none, and no bucket knows the tag.
        if self.index.candidate(query.hash) == 0 { Found::NONE } else { self.find(&query.probe.key) }
    }

    /// Finds the sessions of the packets of a frame, at most 256, and moves each on by its packet, in their order. Of a session whose data
    /// is not `data` nothing is known: it is as it was. Returns how many packets pass.
    #[inline]
    pub fn follow(&mut self, queries: &[Query<K>], data: u32, now: u64, tracked: &mut [Tracked; VECTOR]) -> usize {
        tracked.fill(Tracked::Pass);
        let mut passed = queries.len();
        let now_units = Moment::at(now);
        // The sessions of a strip are fetched while those of the one before it are read.
        let (mut places, mut ahead) = ([0; STRIP], [0; STRIP]);
        let mut strips = queries.chunks(STRIP);
        self.fetch(strips.next().unwrap_or_default(), &mut ahead);
        for (queries, tracked) in queries.chunks(STRIP).zip(tracked.chunks_mut(STRIP)) {
            std::mem::swap(&mut places, &mut ahead);
            self.fetch(strips.next().unwrap_or_default(), &mut ahead);
            for ((query, place), tracked) in queries.iter().zip(&places).zip(tracked) {
                if !self.goes_on(query, *place, data, now_units) {
                    *tracked = self.follow_odd(query, *place, data, now);
                    passed -= usize::from(*tracked != Tracked::Pass);
                }
            }
        }
        passed
    }

    #[inline(always)]
    fn fetch(&self, queries: &[Query<K>], places: &mut [u32; STRIP]) {
        for (place, query) in places.iter_mut().zip(queries) {
            *place = self.index.candidate(query.hash);
            prefetch_slice(&self.sessions, *place as usize);
        }
    }

    /// What nearly all packets do: they prolong their session, and it stays as it is. `false`, and nothing has changed, if it is otherwise:
    /// another key, other data, a session that is over, or another step. A free place has a state that knows no step.
    #[inline(always)]
    fn goes_on(&mut self, query: &Query<K>, place: u32, data: u32, now: Moment) -> bool {
        let Probe { key, event, .. } = &query.probe;
        let Some(session) = self.sessions.get_mut(place as usize) else { return false };
        let state = session.state & 15;
        // Which of both it is nobody can predict, but whether it is one.
        let (forward, reverse) = (session.forward.differs(key), session.reverse.differs(key));
        if forward.min(reverse) != 0
            || session.data != data
            || now.since(session.seen) > self.timeouts[usize::from(state)]
            || !Step::of(state, forward != 0, *event).only_prolongs(state)
        {
            return false;
        }
        session.seen = now;
        true
    }

    /// Of a packet that has no session, or does something else to it.
    #[cold]
    fn follow_odd(&mut self, query: &Query<K>, place: u32, data: u32, now: u64) -> Tracked {
        if place == 0 {
            return Tracked::Unknown;
        }
        // Where there is another one, two tags may have been the same.
        let found = self.find(&query.probe.key);
        match self.get(found) {
            Some(session) if session.data == data => self.track(found, query.probe.event, now),
            _ => Tracked::Unknown,
        }
    }
}
