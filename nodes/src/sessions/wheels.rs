//! Which sessions may be over: a wheel of 256 slots for each time-out, of lists through the sessions.
//!
//! A packet only writes the time into its session. The session stays in the slot of its old deadline, and goes on to that of its new one
//! when the wheel comes there: about once per time-out. All deadlines of a wheel lie within one time-out, which is at most 129 slots, so
//! that there are no rounds to count and no second level. If the wheel was not turned for long, a slot may hold later deadlines, too:
//! whoever is found early goes back. So it is with those of a wheel whose time-out becomes another one: they are looked at one by one, as if they
//! were due, and find their slots of the new one.

use super::entry::Session;
use super::state::CLASSES;

/// Slots of a wheel.
const SLOTS: usize = 256;
/// Where the list is of a slot that is over and not yet done.
const PENDING: usize = SLOTS;
/// Slots that a time-out reaches over at most, but for one.
const REACH: u32 = 128;

struct Wheel {
    /// First session of each slot, 0 if it is empty.
    heads: Box<[u32; SLOTS + 1]>,
    used: [u64; SLOTS / 64],
    /// A slot is 2^shift units long.
    shift: u32,
    timeout: u32,
    /// The first slot that is not done, counted from the beginning of time.
    cursor: u64,
    /// First sessions of slots of before the time-out was changed, to be looked at.
    before: Vec<u32>,
}

pub(super) struct Wheels([Wheel; CLASSES]);

impl Wheels {
    /// With the time-out of each class, in units.
    pub fn new(timeouts: [u32; CLASSES]) -> Wheels {
        Wheels(timeouts.map(|timeout| Wheel {
            heads: Box::new([0; SLOTS + 1]),
            used: [0; SLOTS / 64],
            shift: shift(timeout),
            timeout,
            cursor: 0,
            before: Vec::with_capacity(SLOTS),
        }))
    }

    pub fn timeout(&self, class: usize) -> u32 {
        self.0[class].timeout
    }

    /// Another time-out for a class, from now on. Takes as long as there are slots, however many sessions there are; memory is asked for only if it is
    /// changed again before all of them have been looked at.
    pub fn set_timeout(&mut self, class: usize, timeout: u32, now: u64) {
        let wheel = &mut self.0[class];
        if wheel.timeout == timeout {
            return;
        }
        wheel.before.extend(wheel.heads[..SLOTS].iter_mut().map(std::mem::take).filter(|first| *first != 0));
        wheel.used = [0; SLOTS / 64];
        (wheel.timeout, wheel.shift) = (timeout, shift(timeout));
        wheel.cursor = now >> wheel.shift;
    }

    /// Puts a session with this deadline into its slot.
    pub fn link<K>(&mut self, sessions: &mut [Session<K>], class: usize, place: u32, deadline: u64) {
        let wheel = &mut self.0[class];
        let slot = (deadline >> wheel.shift) as usize % SLOTS;
        let next = std::mem::replace(&mut wheel.heads[slot], place);
        wheel.used[slot / 64] |= 1 << (slot % 64);
        let session = &mut sessions[place as usize];
        (session.next, session.previous, session.slot) = (next, 0, slot as u8);
        if next != 0 {
            sessions[next as usize].previous = place;
        }
    }

    /// Takes a session out of its slot.
    pub fn unlink<K>(&mut self, sessions: &mut [Session<K>], class: usize, place: u32) {
        let wheel = &mut self.0[class];
        let Session { next, previous, slot, .. } = sessions[place as usize];
        if next != 0 {
            sessions[next as usize].previous = previous;
        }
        if previous != 0 {
            sessions[previous as usize].next = next;
        } else if wheel.heads[PENDING] == place {
            wheel.heads[PENDING] = next;
        } else if wheel.heads[usize::from(slot)] == place {
            wheel.set(slot.into(), next);
        } else if let Some(at) = wheel.before.iter().position(|first| *first == place) {
            match next {
                0 => drop(wheel.before.swap_remove(at)),
                next => wheel.before[at] = next,
            }
        }
    }

    /// A session of a slot that is over: its deadline has passed, unless it has moved. It must be taken out before the next is asked for.
    pub fn due(&mut self, class: usize, now: u64) -> Option<u32> {
        let wheel = &mut self.0[class];
        if wheel.heads[PENDING] == 0
            && let Some(first) = wheel.before.pop()
        {
            wheel.heads[PENDING] = first;
        }
        if wheel.heads[PENDING] == 0 {
            let over = now >> wheel.shift;
            if wheel.cursor >= over {
                return None;
            }
            // After more than a round, each slot is visited once.
            let from = wheel.cursor.max(over.saturating_sub(SLOTS as u64));
            wheel.cursor = wheel.next_used(from).map_or(over, |slot| slot.min(over));
            if wheel.cursor == over {
                return None;
            }
            let slot = wheel.cursor as usize % SLOTS;
            wheel.heads[PENDING] = wheel.heads[slot];
            wheel.set(slot, 0);
            wheel.cursor += 1;
        }
        Some(wheel.heads[PENDING])
    }

    /// As [`Wheels::due`], to be looked at alone.
    pub fn peek_due(&self, class: usize, now: u64) -> Option<u32> {
        let wheel = &self.0[class];
        if wheel.heads[PENDING] != 0 {
            return Some(wheel.heads[PENDING]);
        }
        let over = now >> wheel.shift;
        let slot = wheel.next_used(wheel.cursor.max(over.saturating_sub(SLOTS as u64)))?;
        (slot < over).then(|| wheel.heads[slot as usize % SLOTS])
    }

    /// A session that is among the next of its class to be over, if its deadline has not moved, and the last moment of its slot. Nothing
    /// must be due.
    pub fn next(&self, class: usize) -> Option<(u32, u64)> {
        let wheel = &self.0[class];
        let slot = wheel.next_used(wheel.cursor)?;
        Some((wheel.heads[slot as usize % SLOTS], ((slot + 1) << wheel.shift) - 1))
    }
}

/// How many units a slot has, as a power of two.
fn shift(timeout: u32) -> u32 {
    timeout.div_ceil(REACH).next_power_of_two().trailing_zeros()
}

impl Wheel {
    fn set(&mut self, slot: usize, head: u32) {
        self.heads[slot] = head;
        if head == 0 {
            self.used[slot / 64] &= !(1 << (slot % 64));
        }
    }

    /// The first slot from this one on that is not empty.
    fn next_used(&self, from: u64) -> Option<u64> {
        if self.used == [0; SLOTS / 64] {
            return None;
        }
        let start = from as usize % SLOTS;
        let words = self.used.len();
        // The word of the start comes twice: its bits from there on at first, those before at last.
        for step in 0..=words {
            let at = (start / 64 + step) % words;
            let ahead = !0 << (start % 64);
            let found = self.used[at]
                & match step {
                    0 => ahead,
                    _ if step == words => !ahead,
                    _ => !0,
                };
            if found != 0 {
                let slot = at * 64 + found.trailing_zeros() as usize;
                return Some(from + ((slot + SLOTS - start) % SLOTS) as u64);
            }
        }
        None
    }
}
