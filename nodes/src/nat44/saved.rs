//! Sessions that are saved and restored, a part at a time. A mapping lasts as long as its sessions and a block as its mappings, so these come
//! back with them.

use swath_api::prelude::*;
use swath_api::units::Duration;
use swath_api::wire::IpProtocol;

use crate::sessions::{FlowKey, Key4, Record, Refused};

use super::flows::{Behind, Flows, inside_key, is_of_inside, outside_key, user};
use super::pool::Ports;
use super::settings::Mapping;
use super::{End, Nat44};

/// Places of a worker's store that are looked at for one answer.
const PART: u32 = 1 << 14;

/// Why a session is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// It is no session of such a table.
    Malformed,
    /// It has been silent for too long.
    Over,
    /// The settings do not allow it: the host is not inside, the address or port outside not of the pool or somebody else's by the settings,
    /// or another worker's.
    NotAllowed,
    /// Another session or host has the address and port.
    Taken,
    /// The host has as much as it may.
    UserLimit,
    /// There is no room.
    Full,
}

pub(super) const NOT_TAKEN: [&str; 6] = ["malformed", "over", "not-allowed", "taken", "user-limit", "full"];

/// How many were restored, and were not, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    pub(super) taken: u64,
    pub(super) not_taken: [u64; NOT_TAKEN.len()],
}

impl Restored {
    pub(super) fn add(&mut self, other: &Restored) {
        self.taken += other.taken;
        self.not_taken.iter_mut().zip(other.not_taken).for_each(|(sum, more)| *sum += more);
    }
}

/// Where the part ends that begins at a place of a worker's store.
pub(super) fn end_of_part(from: u32) -> u32 {
    from.max(1).saturating_add(PART)
}

/// A session as it is saved: which mapping it belongs to follows from its keys.
pub(super) fn saved(record: Record) -> Record {
    Record { data: u32::from(record.data != 0), ..record }
}

impl Nat44 {
    /// Takes those sessions in that are of this worker. `elapsed` is how long ago they were saved.
    pub(super) fn restore(&self, flows: &mut Flows, records: &[Record], elapsed: Duration, now: u64) -> Restored {
        let mut restored = Restored::default();
        flows.behind.now = now;
        for record in records {
            let idle = Duration::from_nanoseconds(record.idle.nanoseconds().saturating_add(elapsed.nanoseconds()));
            let age = Duration::from_nanoseconds(record.age.nanoseconds().saturating_add(elapsed.nanoseconds()));
            match self.restore_one(flows, &Record { idle, age, ..*record }, now) {
                None => {}
                Some(Ok(())) => restored.taken += 1,
                Some(Err(reason)) => restored.not_taken[reason as usize] += 1,
            }
        }
        restored
    }

    /// `None` if it is another worker's to say.
    fn restore_one(&self, flows: &mut Flows, record: &Record, now: u64) -> Option<Result<(), NotTaken>> {
        let keys = Key4::of(&record.forward).zip(record.reverse.as_ref().and_then(Key4::of));
        let Some((forward, reverse)) = keys else { return (flows.worker == 0).then_some(Err(NotTaken::Malformed)) };
        let (inside_is, outside_is) = if is_of_inside(&forward) { (forward, reverse) } else { (reverse, forward) };
        let (inside, outside) = (End::from(inside_is.source_end()), End::from(outside_is.destination_end()));
        if self.rules.owner_of_inside(inside.address) != Owner::worker(flows.worker) {
            return None;
        }
        let expected = match is_of_inside(&forward) {
            true => outside_key(&forward, outside),
            false => inside_key(&forward, inside),
        };
        if expected != reverse || is_of_inside(&reverse) == is_of_inside(&forward) {
            return Some(Err(NotTaken::Malformed));
        }
        Some(self.put_back(flows, record, (inside_is, outside_is), now))
    }

    fn put_back(&self, flows: &mut Flows, record: &Record, keys: (Key4, Key4), now: u64) -> Result<(), NotTaken> {
        let known = self.known();
        let view = self.view(&known);
        let (inside, outside) = (End::from(keys.0.source_end()), End::from(keys.1.destination_end()));
        let protocol = keys.0.protocol();
        let is_static = view.known.statics.inside_of(outside, protocol) == Some(inside);
        if !is_static && (!view.allows((inside, outside), protocol, flows.worker) || !self.is_own_port(inside, outside)) {
            return Err(NotTaken::NotAllowed);
        }
        if flows.sessions.len() >= self.rules.sessions.capacity as usize {
            return Err(NotTaken::Full);
        }
        // Before it gets a port: what is over would not have one.
        if flows.sessions.is_record_over(record) {
            return Err(NotTaken::Over);
        }
        let mapping = match self.rules.mapping {
            Mapping::EndpointIndependent if !is_static => flows.map_again((inside, outside), protocol)?,
            _ => 0,
        };
        if !flows.behind.hold(keys.0, keys.1, mapping) {
            return Err(NotTaken::UserLimit);
        }
        let Flows { sessions, behind, .. } = flows;
        let restored = sessions.restore(&Record { data: mapping, ..*record }, now, &mut |gone, _| behind.gone(gone));
        restored.map(|_| ()).map_err(|refused| {
            behind.release(keys.0, keys.1, mapping);
            match refused {
                Refused::Taken => NotTaken::Taken,
                Refused::Full => NotTaken::Full,
                _ => NotTaken::Malformed,
            }
        })
    }

    /// Whether a host may have this port where ports follow from hosts.
    fn is_own_port(&self, inside: End, outside: End) -> bool {
        let Some(all) = &self.rules.deterministic else { return true };
        let place = self.rules.pool.find(outside.address);
        place.and_then(|place| all.of_outside(place, outside.port, &self.rules.pool)) == Some(inside.address)
    }
}

impl Flows {
    /// The mapping of these ends: that which is there, or a new one.
    fn map_again(&mut self, (inside, outside): (End, End), protocol: IpProtocol) -> Result<u32, NotTaken> {
        let Behind { mappings, ports, blocks, user_ports, seed, now, .. } = &mut self.behind;
        match (mappings.of_inside(inside, protocol), mappings.of_outside(outside, protocol)) {
            (Some(first), Some(second)) if first == second => return Ok(first),
            (None, None) => {}
            _ => return Err(NotTaken::Taken),
        }
        let place = ports.place(outside.address).filter(|_| Ports::has_protocol(protocol)).ok_or(NotTaken::NotAllowed)?;
        if user_ports.as_mut().is_some_and(|users| users.add(user(inside.address), seed).is_none()) {
            return Err(NotTaken::UserLimit);
        }
        let made = match ports.take_one(place, outside.port, protocol) {
            false => Err(NotTaken::Taken),
            true => {
                let block = blocks.as_mut().map_or(Ok(()), |blocks| blocks.take((place, outside.port), inside.address, *now));
                let block = block.map_err(|is_limit| if is_limit { NotTaken::UserLimit } else { NotTaken::Taken });
                let made = block.and_then(|()| {
                    let mapping = mappings.enter(inside, outside, protocol);
                    if let (None, Some(blocks)) = (mapping, blocks) {
                        blocks.release(place, outside.port, *now);
                    }
                    mapping.ok_or(NotTaken::Full)
                });
                if made.is_err() {
                    ports.give_back(outside, protocol);
                }
                made
            }
        };
        if let (Err(_), Some(users)) = (made, user_ports) {
            users.remove_key(user(inside.address), seed);
        }
        made
    }
}
