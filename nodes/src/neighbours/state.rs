//! What is known of one neighbour, in a word that changes as a whole: kind, hardware address and version, so that no reader ever sees the
//! address of one state with the kind of another.

use swath_api::wire::MacAddr;

/// `kind:4 | pinned:1 | version:11 | hardware address:48`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State(pub u64);

/// How far a neighbour's resolution has come: the states of RFC 4861 §7.3.2, as Linux and others use them for ARP, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Kind {
    /// Changing hands: whoever made it so fills or empties it. So are places that have never been used.
    Busy = 0,
    /// Nobody's.
    Free = 1,
    /// The next hop of a route that no packet has asked for.
    Idle = 2,
    /// Asked for, and no answer yet.
    Incomplete = 3,
    /// Asked for in vain, not long ago.
    Failed = 4,
    /// From here on the address is known. This one was confirmed too long ago: the next packet has it probed.
    Stale = 5,
    /// In use, while it is asked itself whether it is still there.
    Probe = 6,
    /// Confirmed not long ago.
    Reachable = 7,
    /// Set by the administrator.
    Static = 8,
}

const KINDS: [Kind; 9] =
    [Kind::Busy, Kind::Free, Kind::Idle, Kind::Incomplete, Kind::Failed, Kind::Stale, Kind::Probe, Kind::Reachable, Kind::Static];

const KIND: u32 = 60;
const PINNED: u64 = 1 << 59;
const VERSION: u64 = 0x7ff << 48;
const NEXT_VERSION: u64 = 1 << 48;
const MAC: u64 = (1 << 48) - 1;

impl State {
    /// A neighbour of this kind.
    pub fn of(kind: Kind, mac: MacAddr) -> State {
        State(0).with(kind).with_mac(mac)
    }

    pub fn kind(self) -> Kind {
        // Only what `with` has made is ever stored.
        KINDS.get((self.0 >> KIND) as usize).copied().unwrap_or(Kind::Busy)
    }

    pub fn mac(self) -> MacAddr {
        MacAddr::from_bits(self.0 & MAC)
    }

    /// Whether a route leads to it: then it keeps its place for ever.
    pub fn is_pinned(self) -> bool {
        self.0 & PINNED != 0
    }

    /// Whether it is somebody's.
    pub fn is_live(self) -> bool {
        self.kind() >= Kind::Idle
    }

    /// Whether the hardware address is known.
    pub fn is_resolved(self) -> bool {
        self.kind() >= Kind::Stale
    }

    /// Whether packets go to it without a question.
    pub fn is_ready(self) -> bool {
        self.kind() >= Kind::Probe
    }

    /// The same neighbour in another state.
    pub fn with(self, kind: Kind) -> State {
        State(self.0 & !(0xf << KIND) | (kind as u64) << KIND)
    }

    pub fn with_mac(self, mac: MacAddr) -> State {
        State(self.0 & !MAC | mac.to_bits())
    }

    pub fn pinned(self) -> State {
        State(self.0 | PINNED)
    }

    /// A new neighbour in a place that had this state: what `new` says, of this version.
    pub fn filled(self, new: State) -> State {
        State(self.0 & VERSION | new.0 & !VERSION)
    }

    /// Nobody's, of the next version: no swap that means the neighbour that was here can succeed any more.
    pub fn freed(self) -> State {
        State(self.0.wrapping_add(NEXT_VERSION) & VERSION).with(Kind::Free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_touch_each_other() {
        let mac = MacAddr::BROADCAST;
        for kind in KINDS {
            let mut state = State(VERSION).with(Kind::Probe).with_mac(mac).pinned().with(kind);
            assert_eq!((state.kind(), state.mac(), state.is_pinned(), state.0 & VERSION), (kind, mac, true, VERSION));
            assert_eq!((state.is_live(), state.is_resolved(), state.is_ready()), (kind as u8 > 1, kind as u8 > 4, kind as u8 > 5));
            state = state.freed();
            assert_eq!(state.0 & VERSION, 0, "the version comes round");
            assert_eq!((state.kind(), state.is_pinned(), state.mac()), (Kind::Free, false, MacAddr::ZERO));
        }
    }
}
