//! All that a packet of an established session needs, in three walks over a frame: [`Sessions::query`] while its header is read, a walk over
//! the index, and one over the sessions. Each fetches what the next one reads.

use swath_api::VECTOR;
use swath_api::kernel::prefetch_slice;

use super::entry::{Found, Session};
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
    /// The hash of its key; after [`Sessions::locate`] the place of its session, if it has one.
    at: u64,
}

impl<K: FlowKey> Query<K> {
    /// Of a packet that has no session.
    pub fn none() -> Query<K> {
        Query { probe: Probe { key: K::new_zeroed(), event: Event::Malformed, first_fragment: false }, at: 0 }
    }
}

impl<K: FlowKey> Sessions<K> {
    /// As [`Sessions::query`], of a store whose sessions have a key for each direction: [`Pairing::Translated`](super::Pairing::Translated).
    #[inline(always)]
    pub fn query_translated(&self, probe: Probe<K>) -> Query<K> {
        debug_assert!(!self.symmetric);
        let hash = probe.key.hash(&self.seed);
        self.index.prefetch(hash);
        Query { probe, at: hash }
    }

    /// Begins the look-up of a packet, which [`Sessions::follow`] ends.
    #[inline(always)]
    pub fn query(&self, probe: Probe<K>) -> Query<K> {
        let hash = self.hash(&probe.key);
        self.index.prefetch(hash);
        Query { probe, at: hash }
    }

    /// Ends the look-up of one packet.
    #[inline]
    pub fn find_queried(&self, query: &Query<K>) -> Found {
        // Of most that are asked for here there is none, and no bucket knows the tag.
        if self.index.candidate(query.at) == 0 { Found::NONE } else { self.find(&query.probe.key) }
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
                if self.goes_on(query, *place, now_units, |session| session.data == data).is_none() {
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
            *place = self.index.candidate(query.at);
            prefetch_slice(&self.sessions, *place as usize);
        }
    }

    /// Goes on with the look-up of the packets of a frame: after it each query says where its session may lie, which is fetched. What
    /// [`Sessions::prolong`] needs.
    #[inline]
    pub fn locate(&self, queries: &mut [Query<K>]) {
        for query in queries {
            let place = self.index.candidate(query.at);
            query.at = place.into();
            prefetch_slice(&self.sessions, place as usize);
        }
    }

    /// Moves the session of a packet on if that prolongs it and it stays as it is, as by nearly all packets; returns the key of packets of
    /// the other direction. `None`, and nothing has changed, if it is otherwise: who wants to know how asks [`Sessions::find`]. So it is
    /// with sessions that other rules have permitted, too (see [`Sessions::set_epoch`]).
    #[inline(always)]
    pub fn prolong(&mut self, query: &Query<K>, now: u64) -> Option<K> {
        let epoch = self.epoch;
        self.goes_on(query, query.at as u32, Moment::at(now), |session| session.epoch == epoch)
    }

    /// What nearly all packets do: they prolong their session, and it stays as it is. Returns the key of packets of the other direction.
    /// `None`, and nothing has changed, if it is otherwise: another key, a session that is over or does not fit, or another step. A free place
    /// has a state that knows no step.
    #[inline(always)]
    fn goes_on(&mut self, query: &Query<K>, place: u32, now: Moment, fits: impl Fn(&Session<K>) -> bool) -> Option<K> {
        let Probe { key, event, .. } = &query.probe;
        let session = self.sessions.get_mut(place as usize)?;
        let state = session.state & 15;
        // Which of both it is nobody can predict, but whether it is one.
        let (forward, reverse) = (session.forward.differs(key), session.reverse.differs(key));
        if forward.min(reverse) != 0
            || !fits(session)
            || now.since(session.seen) > self.timeouts[usize::from(state)]
            || !Step::of(state, forward != 0, *event).only_prolongs(state)
        {
            return None;
        }
        session.seen = now;
        Some(session.forward.either(session.reverse, forward == 0))
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
