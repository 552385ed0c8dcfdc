//! How neighbours become known, stay known, and are forgotten (RFC 826, RFC 1122 §2.3.2), by times of the data path alone.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};

use swath_api::wire::MacAddr;

use super::entries::Newcomer;
use super::index::Key;
use super::state::{Kind, State};
use super::{Counts, Neighbours};

/// Places that one call of [`Neighbours::age`] looks at: 8 KiB of the table.
const SLICE: u32 = 256;
/// How often to try again what another worker has come in between of.
const TRIES: usize = 4;

/// A request to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The interface to send it by.
    pub interface: u16,
    /// Whose hardware address is asked for.
    pub address: Ipv4Addr,
    /// The neighbour itself, if it is only asked whether it is still there.
    pub to: Option<MacAddr>,
}

/// What came of an ARP message's sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It is known: it was already, or is now, or has moved to another hardware address.
    Known,
    /// It is static, and stays what it is.
    Static,
    /// It is not known, and need not be.
    Stranger,
    /// It is not known, for there is no room.
    Full,
}

/// What can be done with a packet for a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Send it to this address. If `probe`, a request is due.
    Send {
        /// The hardware address.
        mac: MacAddr,
        /// Whether it was confirmed too long ago.
        probe: bool,
    },
    /// Keep it. If `ask`, a request is due.
    Wait {
        /// Whether this is the first packet.
        ask: bool,
    },
    /// The neighbour does not answer.
    Failed,
}

/// The settings that are times, in nanoseconds, and when what was asked last.
pub(super) struct Times {
    pub reachable: u64,
    pub stale: u64,
    pub failed: u64,
    pub retry: u64,
    pub retries: u64,
    /// Between requests of the whole table.
    pub gap: u64,
    /// How far requests may run ahead of that.
    pub burst: u64,
    /// When the next request would be due if they came evenly (the virtual scheduling algorithm of ITU-T I.371).
    pub next: AtomicU64,
}

impl Times {
    fn may_ask(&self, now: u64) -> bool {
        let next = |next: u64| (next <= now.saturating_add(self.burst)).then(|| next.max(now) + self.gap);
        self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

impl Neighbours {
    /// The place and state of a neighbour that a packet is for; it is taken in if it is not known. `None` if there is no room: the last
    /// eighth of an interface's is for those who introduce themselves.
    pub fn demand(&self, worker: u32, key: Key, now: u64) -> Option<(u32, Answer)> {
        let limit = self.limit - self.limit / 8;
        for _ in 0..TRIES {
            let Some((place, entry, state)) = self.entries.look(key) else {
                let state = State::of(Kind::Incomplete, MacAddr::ZERO);
                let Some((place, mine)) = self.entries.create(&Newcomer { key, state, now, limit }) else {
                    self.count(worker, |counts| &counts.refused);
                    return None;
                };
                if mine {
                    return Some((place, Answer::Wait { ask: true }));
                }
                continue;
            };
            let send = |probe| Some((place, Answer::Send { mac: state.mac(), probe }));
            match state.kind() {
                Kind::Static | Kind::Reachable | Kind::Probe => return send(false),
                Kind::Incomplete => return Some((place, Answer::Wait { ask: false })),
                Kind::Failed if now.saturating_sub(entry.since()) < self.times.failed => return Some((place, Answer::Failed)),
                Kind::Stale => {
                    if entry.swap(state, state.with(Kind::Probe)) {
                        self.entries.mark(place);
                        return send(true);
                    }
                }
                Kind::Failed | Kind::Idle => {
                    if entry.swap(state, state.with(Kind::Incomplete)) {
                        return Some((place, Answer::Wait { ask: true }));
                    }
                }
                Kind::Free | Kind::Busy => {}
            }
        }
        None
    }

    /// What can be done with a packet that waits: as [`Neighbours::demand`], and nothing is asked.
    pub fn answer(&self, key: Key) -> (u32, Answer) {
        match self.entries.look(key) {
            Some((place, _, state)) if state.is_resolved() => (place, Answer::Send { mac: state.mac(), probe: false }),
            Some((place, _, state)) if state.kind() == Kind::Incomplete => (place, Answer::Wait { ask: false }),
            Some((place, ..)) => (place, Answer::Failed),
            None => (0, Answer::Failed),
        }
    }

    /// A neighbour says that it has this hardware address. `introduces` says whether to take it in if it is not known.
    pub fn hear(&self, worker: u32, key: Key, mac: MacAddr, now: u64, introduces: bool) -> Heard {
        for _ in 0..TRIES {
            let Some((place, entry, state)) = self.entries.look(key) else {
                if !introduces {
                    return Heard::Stranger;
                }
                let newcomer = Newcomer { key, state: State::of(Kind::Reachable, mac), now, limit: self.limit };
                match self.entries.create(&newcomer) {
                    Some((_, true)) => {
                        self.count(worker, |counts| &counts.learnt);
                        return Heard::Known;
                    }
                    Some((_, false)) => continue,
                    None => {
                        self.count(worker, |counts| &counts.refused);
                        return Heard::Full;
                    }
                }
            };
            if state.kind() == Kind::Static {
                return Heard::Static;
            }
            let known = state.with(Kind::Reachable).with_mac(mac);
            // The time first: who sees the state sees the time.
            entry.since.store(now, Ordering::Relaxed);
            if state == known {
                return Heard::Known;
            }
            if entry.swap(state, known) {
                entry.asked.store(0, Ordering::Relaxed);
                self.entries.mark(place);
                if !state.is_resolved() {
                    self.count(worker, |counts| &counts.learnt);
                } else if state.mac() != mac {
                    self.count(worker, |counts| &counts.moved);
                }
                return Heard::Known;
            }
        }
        Heard::Stranger
    }

    /// The request that is due for a place, if one is: of all workers one gets it, the retry interval has passed since the last one, and the
    /// table has not asked too much lately.
    pub fn request(&self, place: u32, now: u64) -> Option<Request> {
        let entry = self.entries.get(place)?;
        let state = entry.state();
        let to = match state.kind() {
            Kind::Incomplete => None,
            Kind::Probe => Some(state.mac()),
            _ => return None,
        };
        let asked = entry.asked.load(Ordering::Relaxed);
        let (count, at) = (asked & 0xff, asked >> 8);
        let due = count == 0 || count < self.times.retries && (now / 1000).saturating_sub(at) >= self.times.retry / 1000;
        if !due || !self.times.may_ask(now) {
            return None;
        }
        let now_asked = (now / 1000) << 8 | (count + 1);
        entry.asked.compare_exchange(asked, now_asked, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        let key = entry.key();
        Some(Request { interface: key.interface(), address: key.address().into(), to })
    }

    /// Looks at the next slice of the table: sends requests that are due, at most `room`, gives up those that were not answered, and forgets
    /// what is too old.
    pub fn age(&self, now: u64, mut room: usize, mut send: impl FnMut(Request)) {
        self.clock.store(now, Ordering::Relaxed);
        let high = self.entries.high();
        let next = |first: u32| Some(if first.saturating_add(SLICE) < high { first + SLICE } else { 0 });
        let first = self.aged.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_default();
        for place in first.max(1)..high.min(first + SLICE) {
            let Some(entry) = self.entries.get(place) else { break };
            let state = entry.state();
            let age = now.saturating_sub(entry.since());
            let Times { reachable, stale, failed, .. } = self.times;
            match state.kind() {
                Kind::Incomplete | Kind::Probe => {
                    if self.is_given_up(entry.asked.load(Ordering::Relaxed), now) {
                        self.give_up(place, state, now);
                    } else if room > 0
                        && let Some(request) = self.request(place, now)
                    {
                        room -= 1;
                        send(request);
                    }
                }
                Kind::Reachable if age >= reachable && entry.swap(state, state.with(Kind::Stale)) => {
                    self.entries.mark(place);
                }
                Kind::Stale if age >= reachable.saturating_add(stale) => drop(self.forget(place, state)),
                Kind::Failed if age >= failed => drop(self.forget(place, state)),
                _ => {}
            }
        }
    }

    /// Whether the last request has had its time.
    fn is_given_up(&self, asked: u64, now: u64) -> bool {
        asked & 0xff >= self.times.retries && (now / 1000).saturating_sub(asked >> 8) >= self.times.retry / 1000
    }

    /// Nobody has answered. One that was known may only have changed its address, so it is asked for anew with the next packet.
    fn give_up(&self, place: u32, state: State, now: u64) {
        let Some(entry) = self.entries.get(place) else { return };
        if state.kind() == Kind::Probe {
            self.forget(place, state);
            return;
        }
        // The time first, as in `hear`; of an incomplete one nobody reads it.
        entry.since.store(now, Ordering::Relaxed);
        if entry.swap(state, state.with(Kind::Failed)) {
            entry.asked.store(0, Ordering::Relaxed);
            // No adjacency has changed, but there may be packets that wait.
            self.entries.mark(place);
        }
    }

    /// Forgets what is known of a neighbour whose state is still the one that was read. The next hop of a route keeps its place.
    pub(super) fn forget(&self, place: u32, state: State) -> bool {
        if !state.is_pinned() {
            return self.entries.free(place, state);
        }
        let Some(entry) = self.entries.get(place) else { return false };
        let forgotten = entry.swap(state, state.with(Kind::Idle).with_mac(MacAddr::ZERO));
        if forgotten {
            entry.asked.store(0, Ordering::Relaxed);
            self.entries.mark(place);
        }
        forgotten
    }

    /// The address of an interface that a neighbour is asked from: the one on whose subnet it is, or else the first (RFC 1812 §4.3.2.4 asks
    /// the like of ICMP).
    pub fn source(&self, interface: u16, neighbour: Ipv4Addr) -> Option<Ipv4Addr> {
        let mut own = self.own(interface);
        let on_its_subnet = own.clone().find(|(own, len)| super::is_on_subnet(*own, *len, neighbour));
        on_its_subnet.or_else(|| own.next()).map(|(address, _)| address)
    }

    /// The IPv4 addresses of an interface that the table serves, with the lengths of their prefixes.
    pub fn own(&self, interface: u16) -> impl Iterator<Item = (Ipv4Addr, u8)> + Clone {
        let addresses = self.interfaces.get(usize::from(interface)).map_or(&[][..], |interface| &interface.addresses);
        addresses.iter().filter_map(|(address, len)| match address {
            IpAddr::V4(address) => Some((*address, *len)),
            IpAddr::V6(_) => None,
        })
    }

    #[cold]
    fn count(&self, worker: u32, counter: impl FnOnce(&Counts) -> &AtomicU64) {
        if let Some(counts) = self.counts.get(worker as usize) {
            let counter = counter(counts);
            counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }
}
