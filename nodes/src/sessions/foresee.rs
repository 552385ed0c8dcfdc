//! What would become of sessions by a packet that is not real: the same answers as those of [`Sessions::track`] and [`Sessions::open`], and
//! nothing changes.

use std::fmt;

use super::entry::{Found, Handle, Session};
use super::key::FlowKey;
use super::life::{LOOKS, Opening, Refused};
use super::state::{Event, State, Step, YIELDING};
use super::time::{Moment, units_at};
use super::{Sessions, Tracked, state};

impl<K: FlowKey> Sessions<K> {
    /// What [`Sessions::track`] would say.
    pub fn would_track(&self, found: Found, event: Event, now: u64) -> Tracked {
        let Some(session) = self.get(found).filter(|_| found.handle().is_some_and(|handle| !self.is_over(handle.place, now)))
        else {
            return Tracked::Unknown;
        };
        let step = Step::of(session.state, found.is_reverse(), event);
        if step.state() == session.state && step.is_refused() { Tracked::Invalid } else { Tracked::Pass }
    }

    /// The session that was found, if it is there and its time is over.
    pub fn over(&self, found: Found, now: u64) -> Option<&Session<K>> {
        self.get(found).filter(|session| session.seen.age(Moment::at(now)) > self.timeouts[usize::from(session.state & 15)])
    }

    /// Whether [`Sessions::open`] would open a session.
    ///
    /// # Errors
    /// Why not.
    pub fn would_open(&self, opening: &Opening<'_, K>, now: u64) -> Result<(), Refused> {
        let Opening { probe, reverse, .. } = opening;
        if !self.opens(probe) {
            return Err(Refused::NotOpening);
        }
        let mut gone: [Option<Handle>; 2] = [None; 2];
        for (key, gone) in [probe.key, *reverse].iter().zip(&mut gone) {
            *gone = self.find(key).handle();
            if gone.is_some_and(|handle| !self.is_over(handle.place, now)) {
                return Err(Refused::Taken);
            }
        }
        if gone[0] == gone[1] {
            gone[1] = None;
        }
        let gone = || gone.iter().flatten();
        if let Some(sources) = &self.sources {
            let source = probe.key.source();
            let freed = gone().filter(|handle| self.sessions[handle.place()].forward.source() == source).count() as u32;
            if sources.is_full(source, freed, &self.seed) {
                return Err(Refused::SourceLimit);
            }
        }
        let has_room = self.len < self.capacity || gone().next().is_some() || self.could_make_room(now);
        if has_room { Ok(()) } else { Err(Refused::Full) }
    }

    fn could_make_room(&self, now: u64) -> bool {
        let is_due = |class: usize| {
            let mut place = self.wheels.peek_due(class, units_at(now)).unwrap_or(0);
            (0..LOOKS).any(|_| {
                let is_over = place != 0 && self.is_over(place, now);
                place = self.sessions[place as usize].next;
                is_over
            })
        };
        let yields = |state: &State| (state.class() as usize) < YIELDING && self.states[*state as usize] > 0;
        (0..state::CLASSES).any(is_due) || self.make_room && State::ALL.iter().any(yields)
    }
}

/// In the words of people who look for a packet.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::TcpSyn => "SYN seen",
            State::TcpAnswered => "SYN answered",
            State::TcpPickedUp => "picked up",
            State::TcpEstablished => "established",
            State::TcpFinForward | State::TcpFinReverse => "closed by one side",
            State::TcpClosing => "closed by both sides",
            State::TcpResetForward | State::TcpResetReverse => "reset",
            State::TcpRefused => "refused",
            State::UdpUnreplied => "not answered",
            State::Udp => "answered",
            State::IcmpQuery => "query",
            State::Other => "open",
        })
    }
}
