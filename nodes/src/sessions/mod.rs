//! The sessions of one worker: what a stateful filter and an address translator remember of flows.
//!
//! A store belongs to one worker: it is part of the shard of a table, has no lock, and allocates nothing after it was made. All sessions
//! lie in one array ([`Session`], a cache line each with IPv4), found by an index of one cache line per look-up. Keys come from packets,
//! so the hash is keyed by a [`Seed`], and a look-up reads two lines of the index at most.
//!
//! The way of a frame: [`ip4`] or [`ip6`] takes a [`Probe`] from each packet, [`Sessions::look_up`] finds the sessions of all of them,
//! fetching ahead, and [`Sessions::track`] moves each session on by its packet. What is not found takes the slow way:
//! [`Sessions::find`] (an earlier packet of the frame may have opened it), then the rules, then [`Sessions::open`]. Who needs nothing of
//! the sessions but that packets pass asks by [`Sessions::query`] as it reads the packets, and does the rest at once by
//! [`Sessions::follow`]; who changes packets by their sessions, by [`Sessions::locate`] and [`Sessions::prolong`]. A tick calls
//! [`Sessions::expire`]; between its calls, a session that is over is as good as gone.
//!
//! # A filter that permits and reflects
//!
//! Both directions belong to one worker, and the key of one is that of the other reversed: [`Pairing::Symmetric`].
//!
//! ```
//! use swath_nodes::sessions::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut sessions: Sessions<Key4> = Sessions::new(Settings::new(1000, Pairing::Symmetric), Seed::random())?;
//! let now = 1_000_000_000;
//! // What `frame.gather` takes from packets by `ip4(packet, zone)`.
//! let out: Probe<Key4> = Probe::flow(&"10.0.0.5:4000 > 192.0.2.1:53 udp".parse()?, Event::Datagram).ok_or("not IPv4")?;
//! let back = Probe { key: out.key.reversed(), ..out };
//! let mut found = [Found::NONE; 256];
//!
//! sessions.look_up(&[out], &mut found);
//! assert_eq!(sessions.track(found[0], out.event, now), Tracked::Unknown);
//! let rule = 7; // The rules permit it; which of them did is kept with the session.
//! sessions.open(Opening::symmetric(&out, rule), now, &mut |_, _| ())?;
//!
//! sessions.look_up(&[out, back], &mut found);
//! assert_eq!(sessions.track(found[0], out.event, now), Tracked::Pass);
//! assert_eq!(sessions.track(found[1], back.event, now), Tracked::Pass);
//! assert_eq!((found[0].direction(), found[1].direction()), (Direction::Forward, Direction::Reverse));
//! assert_eq!(sessions.get(found[1]).map(Session::data), Some(rule));
//! # Ok(())
//! # }
//! ```
//!
//! # A translator
//!
//! Packets of each direction have a key of their own: [`Pairing::Translated`]. What a packet becomes is the other key reversed. `data`
//! says which mapping a session belongs to; when a session is gone, the mapping hears of it by the last argument of [`Sessions::open`]
//! and [`Sessions::expire`], and gives its port back with its last session. Endpoint-independent mappings (RFC 4787 REQ-1) are another
//! table, asked when a session is not found; endpoint-dependent ones need none: the port is free if `open` does not say
//! [`Refused::Taken`].
//!
//! ```
//! use swath_nodes::sessions::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut sessions: Sessions<Key4> = Sessions::new(Settings::new(1000, Pairing::Translated), Seed::random())?;
//! let now = 1_000_000_000;
//! let mut ports_in_use = 1;
//! let mut gone = |_: &Session<Key4>, _: Cause| ports_in_use -= 1;
//! let out: Probe<Key4> = Probe::flow(&"10.0.0.5:4000 > 192.0.2.1:53 udp".parse()?, Event::Datagram).ok_or("not IPv4")?;
//! let back = Probe::flow(&"192.0.2.1:53 > 203.0.113.2:61000 udp".parse()?, Event::Datagram).ok_or("not IPv4")?;
//! let mapping = 1;
//! let opened = sessions.open(Opening { probe: &out, reverse: back.key, data: mapping }, now, &mut gone)?;
//!
//! let found = sessions.find(&back.key);
//! assert_eq!((found.handle(), found.direction()), (opened.handle(), Direction::Reverse));
//! assert_eq!(sessions.track(found, back.event, now), Tracked::Pass);
//! let session = sessions.get(found).ok_or("it is there")?;
//! assert_eq!(session.forward().reversed().flow().to_string(), "192.0.2.1:53 > 10.0.0.5:4000 udp");
//! assert_eq!(session.reverse().reversed().flow().to_string(), "203.0.113.2:61000 > 192.0.2.1:53 udp");
//!
//! // 5 minutes later, and the wheel's slot of 4 s.
//! assert_eq!(sessions.expire(now + 310_000_000_000, 256, &mut gone), 1);
//! assert_eq!(ports_in_use, 0);
//! # Ok(())
//! # }
//! ```

mod entry;
mod flow;
mod follow;
mod foresee;
mod fragments;
mod hash;
mod index;
mod inspect;
mod key;
mod life;
mod probe;
mod quote;
mod settings;
mod sources;
mod state;
mod time;
mod wheels;

use swath_api::VECTOR;
use swath_api::kernel::prefetch_slice;
use swath_api::memory::HugeArray;

pub use entry::{Direction, Found, Handle, Session};
pub use flow::{Flow, FlowError};
pub use follow::Query;
pub use fragments::Fragments;
pub use hash::Seed;
pub(crate) use index::Index;
pub use inspect::{Counts, Filter, Record, Totals};
pub use key::{FlowKey, Key4, Key6};
pub use life::{Cause, Opening, Refused};
pub use probe::{Probe, ip4, ip4_plain, ip6};
pub use quote::{quoted4, quoted6};
pub use settings::{Pairing, Settings, Timeouts};
pub(crate) use sources::Sources;
pub use state::{Event, State};
use state::{STATES, Step};
use time::Moment;
use wheels::Wheels;

/// Most sessions of a store.
pub const MAX_SESSIONS: u32 = 1 << 28;

/// The sessions of one worker.
pub struct Sessions<K> {
    sessions: HugeArray<Session<K>>,
    index: Index,
    seed: Seed,
    symmetric: bool,
    /// Time-out by state, in units.
    timeouts: [u32; STATES],
    /// How many there are by state.
    states: [u32; STATES],
    wheels: Wheels,
    /// A moment, in units, at which no session was due any more.
    none_due: u64,
    sources: Option<Sources>,
    pickup: bool,
    make_room: bool,
    epoch: u16,
    capacity: u32,
    len: u32,
    /// The first free place below `high`.
    free: u32,
    /// Places from here on were never used.
    high: u32,
    totals: Totals,
}

/// What [`Sessions::track`] says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracked {
    /// It belongs to its session.
    Pass,
    /// Its session does not allow it: the packet should be dropped.
    Invalid,
    /// There is no such session, or no longer.
    Unknown,
}

impl<K: FlowKey> Sessions<K> {
    /// An empty store. Memory for sessions is used as there are more of them, that of the index when there are any.
    ///
    /// # Errors
    /// What `mmap` says when the address space cannot be had.
    ///
    /// # Panics
    /// If the capacity is not between 1 and [`MAX_SESSIONS`].
    pub fn new(settings: Settings, seed: Seed) -> std::io::Result<Sessions<K>> {
        let Settings { capacity, pairing, per_source, pickup, make_room, timeouts } = settings;
        assert!((1..=MAX_SESSIONS).contains(&capacity), "{capacity} sessions");
        let symmetric = pairing == Pairing::Symmetric;
        let wheels = Wheels::new(timeouts.by_class().map(time::units));
        let mut by_state = [0; STATES];
        State::ALL.iter().for_each(|state| by_state[*state as usize] = wheels.timeout(state.class() as usize));
        Ok(Sessions {
            sessions: HugeArray::new(capacity as usize + 1)?,
            index: Index::new(capacity as usize * if symmetric { 1 } else { 2 })?,
            seed,
            symmetric,
            timeouts: by_state,
            states: [0; STATES],
            wheels,
            none_due: 0,
            sources: per_source.map(|limit| Sources::new(capacity, limit)).transpose()?,
            pickup,
            make_room,
            epoch: 0,
            capacity,
            len: 0,
            free: 0,
            high: 1,
            totals: Totals::default(),
        })
    }

    /// Goes on with the settings of another store, which was made with them and stays empty, but for capacity and pairing. Time-outs hold for the
    /// sessions that are there, too. Where no source had a limit those that are there do not count. Takes no longer the more sessions there are.
    pub fn take_settings(&mut self, other: &mut Sessions<K>, now: u64) {
        (self.pickup, self.make_room, self.timeouts) = (other.pickup, other.make_room, other.timeouts);
        for class in 0..state::CLASSES {
            self.wheels.set_timeout(class, other.wheels.timeout(class), time::units_at(now));
        }
        self.none_due = 0;
        let limit = other.sources.as_ref().map_or(u32::MAX, Sources::limit);
        match &mut self.sources {
            Some(sources) => sources.set_limit(limit),
            none => *none = other.sources.take(),
        }
    }

    /// Finds the sessions of the packets of a frame, at most 256, and fetches them into the cache.
    #[inline]
    pub fn look_up(&self, probes: &[Probe<K>], found: &mut [Found; VECTOR]) {
        // Two loops rather than a test per packet.
        match self.symmetric {
            true => self.look_up_by(probes, found, |key| key.ordered().hash(&self.seed)),
            false => self.look_up_by(probes, found, |key| key.hash(&self.seed)),
        }
    }

    #[inline(always)]
    fn look_up_by(&self, probes: &[Probe<K>], found: &mut [Found; VECTOR], hash: impl Fn(K) -> u64) {
        let mut hashes = [0; VECTOR];
        for (probe, hashed) in probes.iter().zip(&mut hashes) {
            *hashed = hash(probe.key);
            self.index.prefetch(*hashed);
        }
        let mut places = [0; VECTOR];
        for ((place, hash), _) in places.iter_mut().zip(&hashes).zip(probes) {
            *place = self.index.candidate(*hash);
            prefetch_slice(&self.sessions, *place as usize);
        }
        for ((probe, place), found) in probes.iter().zip(places).zip(found) {
            let Some(session) = self.sessions.get(place as usize) else { continue };
            // Which of both it is nobody can predict, but whether it is one.
            let (forward, reverse) = (session.forward.differs(&probe.key), session.reverse.differs(&probe.key));
            // A free place still has its keys.
            let free = u64::from(session.generation & 1 ^ 1);
            *found = match forward.min(reverse) | free == 0 {
                true => Found::new(session.handle(place), forward != 0),
                false if place == 0 => Found::NONE,
                // Two tags were the same.
                false => self.find(&probe.key),
            };
        }
    }

    /// Finds one session.
    pub fn find(&self, key: &K) -> Found {
        let known = |session: &Session<K>| session.forward == *key || session.reverse == *key;
        match self.index.find(self.hash(key), |place| known(&self.sessions[place as usize])) {
            Some(place) => {
                let session = &self.sessions[place as usize];
                Found::new(session.handle(place), session.forward != *key)
            }
            None => Found::NONE,
        }
    }

    fn hash(&self, key: &K) -> u64 {
        if self.symmetric { key.ordered().hash(&self.seed) } else { key.hash(&self.seed) }
    }

    /// Moves the session on by a packet that was found to belong to it. `now` is the time of the frame in nanoseconds.
    #[inline(always)]
    pub fn track(&mut self, found: Found, event: Event, now: u64) -> Tracked {
        let Handle { place, generation } = found.raw_handle();
        let Some(session) = self.sessions.get_mut(place as usize) else { return Tracked::Unknown };
        let now_units = Moment::at(now);
        let state = session.state;
        // It may have gone, or been replaced, since it was looked up.
        if session.generation != generation || session.seen.age(now_units) > self.timeouts[usize::from(state & 15)] {
            return Tracked::Unknown;
        }
        let step = Step::of(state, found.is_reverse(), event);
        if step.state() == state {
            if step.refreshes() {
                session.seen = now_units;
            }
            return if step.is_refused() { Tracked::Invalid } else { Tracked::Pass };
        }
        self.change(place, step.state(), now);
        Tracked::Pass
    }

    /// The session that was found, if it is still there.
    #[inline(always)]
    pub fn get(&self, found: Found) -> Option<&Session<K>> {
        let Handle { place, generation } = found.raw_handle();
        self.sessions.get(place as usize).filter(|session| session.generation == generation)
    }

    /// Changes what its owner keeps with a session, if it is still there.
    pub fn set_data(&mut self, found: Found, data: u32) {
        let Handle { place, generation } = found.raw_handle();
        if let Some(session) = self.sessions.get_mut(place as usize).filter(|session| session.generation == generation) {
            session.data = data;
        }
    }

    /// From here on other rules permit sessions: those that are there are old, until they are [renewed](Sessions::renew). Epochs come round
    /// after 65,536 of them.
    pub fn set_epoch(&mut self, epoch: u16) {
        self.epoch = epoch;
    }

    /// The session that was found, if other rules than those that are asked now have permitted it.
    pub fn old(&self, found: Found) -> Option<&Session<K>> {
        self.get(found).filter(|session| session.epoch != self.epoch)
    }

    /// The rules permit a session again, if it is still there.
    pub fn renew(&mut self, found: Found) {
        let (Handle { place, generation }, epoch) = (found.raw_handle(), self.epoch);
        if let Some(session) = self.sessions.get_mut(place as usize).filter(|session| session.generation == generation) {
            session.epoch = epoch;
        }
    }

    /// The session that a handle names, if it is still there.
    pub fn by_handle(&self, handle: Handle) -> Option<&Session<K>> {
        self.get(Found::new(handle, false))
    }
}

impl<K> std::fmt::Debug for Sessions<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sessions({} of {})", self.len, self.capacity)
    }
}
