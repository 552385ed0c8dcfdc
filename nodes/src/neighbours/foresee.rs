//! What the table would answer, and what is known of a neighbour in words: nothing is asked, learnt or counted.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;

use swath_api::Words;
use swath_api::wire::MacAddr;

use super::index::Key;
use super::resolve::{Answer, Heard};
use super::state::Kind;
use super::{Neighbours, SECOND};

impl Neighbours {
    /// What [`Neighbours::demand`] would say, with place 0 of a neighbour that would be taken in.
    pub fn would_demand(&self, key: Key, now: u64) -> Option<(u32, Answer)> {
        let Some((place, entry, state)) = self.entries.look(key) else {
            let has_room = self.entries.has_room(key.interface(), self.limit - self.limit / 8);
            return has_room.then_some((0, Answer::Wait { ask: true }));
        };
        let is_failed = now.saturating_sub(entry.since()) < self.times.failed;
        let answer = match state.kind() {
            Kind::Static | Kind::Reachable | Kind::Probe => Answer::Send { mac: state.mac(), probe: false },
            Kind::Stale => Answer::Send { mac: state.mac(), probe: true },
            Kind::Incomplete => Answer::Wait { ask: false },
            Kind::Failed if is_failed => Answer::Failed,
            Kind::Failed | Kind::Idle | Kind::Free | Kind::Busy => Answer::Wait { ask: true },
        };
        Some((place, answer))
    }

    /// What [`Neighbours::hear`] would say.
    pub fn would_hear(&self, key: Key, introduces: bool) -> Heard {
        match self.entries.look(key) {
            Some((_, _, state)) if state.kind() == Kind::Static => Heard::Static,
            Some(_) => Heard::Known,
            None if !introduces => Heard::Stranger,
            None if self.entries.has_room(key.interface(), self.limit) => Heard::Known,
            None => Heard::Full,
        }
    }

    /// What [`Neighbours::defend`] would say.
    pub fn would_defend(&self, interface: u16, address: Ipv4Addr, now: u64) -> bool {
        self.defences.is_due(interface, address, now)
    }

    /// Says what is known of a neighbour.
    pub fn say(&self, key: Key, now: u64, words: &mut Words<'_>) {
        let address = Ipv4Addr::from(key.address());
        let Some((_, entry, state)) = self.entries.look(key) else {
            return words.say(format_args!("neighbour {address} is not known"));
        };
        let (mac, ago) = (state.mac(), now.saturating_sub(entry.since()) / SECOND);
        match state.kind() {
            Kind::Static => words.say(format_args!("neighbour {address} is {mac}, static")),
            Kind::Reachable => words.say(format_args!("neighbour {address} is {mac}, heard {ago} s ago")),
            Kind::Stale => words.say(format_args!("neighbour {address} was {mac}, heard {ago} s ago: stale")),
            Kind::Probe => words.say(format_args!("neighbour {address} was {mac}, heard {ago} s ago: asked again")),
            Kind::Incomplete => {
                let asked = entry.asked.load(Ordering::Relaxed) & 0xff;
                let requests = if asked == 1 { "request" } else { "requests" };
                words.say(format_args!("neighbour {address} has not answered {asked} ARP {requests} yet"));
            }
            Kind::Failed => words.say(format_args!("neighbour {address} was asked in vain {ago} s ago")),
            Kind::Idle | Kind::Free | Kind::Busy => words.say(format_args!("neighbour {address} is not known")),
        }
    }

    /// Says what would be learnt of a message.
    pub fn say_heard(&self, key: Key, mac: MacAddr, heard: Heard, words: &mut Words<'_>) {
        let address = Ipv4Addr::from(key.address());
        let before = self.entries.look(key).map(|(_, _, state)| state).filter(|state| state.is_resolved());
        match (heard, before) {
            (Heard::Known, Some(before)) if before.mac() != mac => {
                words.say(format_args!("neighbour {address} moves from {} to {mac}", before.mac()));
            }
            (Heard::Known, Some(_)) => words.say(format_args!("neighbour {address} is {mac}, as is known")),
            (Heard::Known, None) => words.say(format_args!("neighbour {address} is {mac}, which is learnt")),
            (Heard::Static, _) => words.say(format_args!("neighbour {address} is static, and nothing is learnt")),
            (Heard::Stranger, _) => words.say(format_args!("nobody has asked for {address}")),
            (Heard::Full, _) => words.say(format_args!("there is no room to learn {address}")),
        }
    }
}
