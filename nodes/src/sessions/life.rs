//! How sessions come and go.

use std::fmt;

use super::entry::{Found, Handle, Session};
use super::key::FlowKey;
use super::probe::Probe;
use super::state::{State, YIELDING};
use super::time::{Moment, units_at};
use super::{Sessions, state};

/// How many sessions are looked at to find one that gives way.
pub(super) const LOOKS: usize = 8;

/// A session to be.
#[derive(Debug)]
pub struct Opening<'a, K> {
    /// Its first packet.
    pub probe: &'a Probe<K>,
    /// The key of packets of the other direction. With [`Pairing::Symmetric`](super::Pairing::Symmetric) the key reversed.
    pub reverse: K,
    /// Whatever its owner wants to keep with it.
    pub data: u32,
}

impl<K: FlowKey> Opening<'_, K> {
    /// A session whose other direction has the same key reversed.
    pub fn symmetric(probe: &Probe<K>, data: u32) -> Opening<'_, K> {
        Opening { probe, reverse: probe.key.reversed(), data }
    }
}

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The packet opens none: TCP without SYN, the answer to an ICMP query, an ICMP error, a fragment, or nothing that a host sends.
    NotOpening,
    /// A session has one of the keys.
    Taken,
    /// The source has as many sessions as it may.
    SourceLimit,
    /// There is no room, and no session that gives way to a new one.
    Full,
    /// What was saved is no session of such a store.
    BadRecord,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::NotOpening => "the packet opens no session",
            Refused::Taken => "there is a session with this key",
            Refused::SourceLimit => "the source has as many sessions as it may",
            Refused::Full => "the table is full of established sessions",
            Refused::BadRecord => "this is no session of such a store",
        })
    }
}

impl std::error::Error for Refused {}

/// Why a session has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was silent for too long.
    Expired,
    /// It gave way to a new one.
    Evicted,
    /// Somebody has removed it.
    Removed,
}

/// Who is told of sessions that go.
pub(super) type Gone<'a, K> = &'a mut dyn FnMut(&Session<K>, Cause);

impl<K: FlowKey> Sessions<K> {
    /// Whether a packet is one that [`Sessions::open`] opens a session for, if there is room: for who has to get something for it first.
    pub fn opens(&self, probe: &Probe<K>) -> bool {
        State::opened_by(probe.event, probe.key.flow().protocol, self.pickup).is_some()
    }

    /// Opens a session. A session of the same key that is over makes room for it; and if the store is full, one that is over, or else of
    /// those that may (see [`State`]), in this order: reset, closed by both sides, opening TCP, unanswered UDP, ICMP, other protocols, UDP;
    /// of its kind the one that would be over first, to a hundredth of its time-out. Established TCP never does, and none without
    /// `make_room` of the settings. `gone` is told of it.
    ///
    /// # Errors
    /// Why not; nothing has changed then, but that sessions that are over may have gone, and with [`Refused::Full`] one that gave way.
    pub fn open(&mut self, opening: Opening<'_, K>, now: u64, gone: Gone<'_, K>) -> Result<Found, Refused> {
        let Opening { probe: Probe { key, event, .. }, reverse, data } = opening;
        let Some(state) = State::opened_by(*event, key.flow().protocol, self.pickup) else {
            self.totals.not_opening += 1;
            return Err(Refused::NotOpening);
        };
        let opened = self.enter([*key, reverse], state, data, now, gone);
        match opened {
            Ok(_) => self.totals.opened += 1,
            Err(Refused::SourceLimit) => self.totals.source_limit += 1,
            Err(Refused::Full) => self.totals.full += 1,
            Err(_) => {}
        }
        opened.map(|handle| Found::new(handle, false))
    }

    pub(super) fn enter(&mut self, keys: [K; 2], state: State, data: u32, now: u64, gone: Gone<'_, K>) -> Result<Handle, Refused> {
        let [forward, reverse] = keys;
        debug_assert!(!self.symmetric || reverse == forward.reversed());
        for key in &keys[..if self.is_one_key(&forward, &reverse) { 1 } else { 2 }] {
            if let Some(Handle { place, .. }) = self.find(key).handle() {
                if !self.is_over(place, now) {
                    return Err(Refused::Taken);
                }
                self.remove(place, Cause::Expired, gone);
            }
        }
        let source = match &mut self.sources {
            Some(sources) => sources.add(forward.source(), &self.seed).ok_or(Refused::SourceLimit)?,
            None => 0,
        };
        let place = self.take_place(keys, now, gone);
        let Some(place) = place else {
            self.forget_source(source);
            return Err(Refused::Full);
        };
        let (generation, seen) = (self.sessions[place as usize].generation + 1, Moment::at(now));
        self.sessions[place as usize] = Session {
            generation,
            seen,
            created: seen,
            next: 0,
            previous: 0,
            source,
            data,
            state: state as u8,
            slot: 0,
            epoch: self.epoch,
            forward,
            reverse,
        };
        self.states[state as usize] += 1;
        self.link(place, now);
        Ok(Handle { place, generation })
    }

    /// A free place that the index knows under both keys.
    fn take_place(&mut self, [forward, reverse]: [K; 2], now: u64, gone: Gone<'_, K>) -> Option<u32> {
        if self.len == self.capacity && !self.make_room(now, gone) {
            return None;
        }
        let place = if self.free != 0 { self.free } else { self.high };
        let (first, second) = (self.hash(&forward), self.hash(&reverse));
        if !self.index.insert(first, place) {
            return None;
        }
        if !self.is_one_key(&forward, &reverse) && !self.index.insert(second, place) {
            self.index.remove(first, place);
            return None;
        }
        if self.free != 0 {
            self.free = self.sessions[place as usize].next;
        } else {
            self.high += 1;
        }
        self.len += 1;
        Some(place)
    }

    /// Whether the index has one entry for both.
    fn is_one_key(&self, forward: &K, reverse: &K) -> bool {
        self.symmetric || forward == reverse
    }

    /// Removes sessions that are over, looking at `budget` at most: those that lasted on count, too. Returns how many have gone. A session
    /// is found within a hundredth of its time-out, if this is called often enough.
    pub fn expire(&mut self, now: u64, budget: usize, gone: Gone<'_, K>) -> usize {
        let before = self.len;
        let mut looks = 0;
        for class in 0..state::CLASSES {
            while looks < budget && self.expire_one(class, now, gone).is_some() {
                looks += 1;
            }
        }
        (before - self.len) as usize
    }

    /// Removes the session of a key if it is over: for who cares at once that it has gone.
    pub fn expire_key(&mut self, key: &K, now: u64, gone: Gone<'_, K>) {
        if let Some(Handle { place, .. }) = self.find(key).handle().filter(|handle| self.is_over(handle.place, now)) {
            self.remove(place, Cause::Expired, gone);
        }
    }

    /// Looks at one session that is due: whether it has gone.
    fn expire_one(&mut self, class: usize, now: u64, gone: Gone<'_, K>) -> Option<bool> {
        let place = self.wheels.due(class, units_at(now))?;
        let is_over = self.is_over(place, now);
        if is_over {
            self.remove(place, Cause::Expired, gone);
        } else {
            self.relink(place, class, now);
        }
        Some(is_over)
    }

    fn make_room(&mut self, now: u64, gone: Gone<'_, K>) -> bool {
        if self.none_due != units_at(now) {
            let mut more = false;
            for class in 0..state::CLASSES {
                let mut looks = 0;
                while looks < LOOKS
                    && let Some(is_over) = self.expire_one(class, now, gone)
                {
                    if is_over {
                        return true;
                    }
                    looks += 1;
                }
                more |= looks == LOOKS;
            }
            // What is entered or prolonged from here on is not due before another moment.
            if !more {
                self.none_due = units_at(now);
            }
        }
        self.make_room && (0..YIELDING).any(|class| self.evict(class, now, gone))
    }

    /// The session of the class whose deadline was the first, unless it has moved; after a few that have, the last one looked at.
    fn evict(&mut self, class: usize, now: u64, gone: Gone<'_, K>) -> bool {
        for look in 1..=LOOKS {
            let pending = self.wheels.due(class, units_at(now)).map(|place| (place, units_at(now)));
            let Some((place, end)) = pending.or_else(|| self.wheels.next(class)) else { return false };
            if look == LOOKS || self.deadline(place, now) <= end {
                let cause = if self.is_over(place, now) { Cause::Expired } else { Cause::Evicted };
                self.remove(place, cause, gone);
                return true;
            }
            self.relink(place, class, now);
        }
        false
    }

    /// Another state, from now on.
    #[cold]
    pub(super) fn change(&mut self, place: u32, to: u8, now: u64) {
        let session = &mut self.sessions[place as usize];
        let from = std::mem::replace(&mut session.state, to);
        session.seen = Moment::at(now);
        self.states[usize::from(from & 15)] -= 1;
        self.states[usize::from(to & 15)] += 1;
        let (old, new) = (class_of(from), class_of(to));
        if old != new {
            self.wheels.unlink(&mut self.sessions, old, place);
            self.link(place, now);
        }
    }

    pub(super) fn remove(&mut self, place: u32, cause: Cause, gone: Gone<'_, K>) {
        let session = self.sessions[place as usize];
        self.wheels.unlink(&mut self.sessions, class_of(session.state), place);
        self.index.remove(self.hash(&session.forward), place);
        if !self.is_one_key(&session.forward, &session.reverse) {
            self.index.remove(self.hash(&session.reverse), place);
        }
        self.forget_source(session.source);
        self.states[usize::from(session.state & 15)] -= 1;
        self.len -= 1;
        let free = &mut self.sessions[place as usize];
        free.generation = free.generation.wrapping_add(1);
        free.state = 0;
        free.next = std::mem::replace(&mut self.free, place);
        match cause {
            Cause::Expired => self.totals.expired += 1,
            Cause::Evicted => self.totals.evicted += 1,
            Cause::Removed => self.totals.removed += 1,
        }
        gone(&session, cause);
    }

    fn forget_source(&mut self, source: u32) {
        if let Some(sources) = &mut self.sources
            && source != 0
        {
            sources.remove(source, &self.seed);
        }
    }

    pub(super) fn is_over(&self, place: u32, now: u64) -> bool {
        let session = &self.sessions[place as usize];
        session.seen.age(Moment::at(now)) > self.timeouts[usize::from(session.state & 15)]
    }

    /// When it will be over, in units of the engine's clock.
    fn deadline(&self, place: u32, now: u64) -> u64 {
        let session = &self.sessions[place as usize];
        let left = i64::from(self.timeouts[usize::from(session.state & 15)]) - i64::from(session.seen.age(Moment::at(now)));
        units_at(now).saturating_add_signed(left.max(0))
    }

    pub(super) fn link(&mut self, place: u32, now: u64) {
        let deadline = self.deadline(place, now);
        let class = class_of(self.sessions[place as usize].state);
        self.wheels.link(&mut self.sessions, class, place, deadline);
    }

    pub(super) fn relink(&mut self, place: u32, class: usize, now: u64) {
        self.wheels.unlink(&mut self.sessions, class, place);
        self.link(place, now);
    }
}

impl<K> Session<K> {
    #[inline(always)]
    pub(super) fn handle(&self, place: u32) -> Handle {
        Handle { place, generation: self.generation }
    }
}

fn class_of(state: u8) -> usize {
    State::of(state).map_or(state::CLASSES - 1, |state| state.class() as usize)
}
