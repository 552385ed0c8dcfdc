//! What becomes of a packet, in one word: it is written and read once for each.

use super::End;

/// `kind:16 | address:32 | port:16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Act(u64);

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It gets this address and port, at the end that is translated.
    Translate(End),
    /// It is an ICMP error: what it quotes gets this address and port, and itself the address.
    Quote(End),
    /// It is a fragment without ports: it gets this address.
    Address(u32),
    /// It is a fragment whose first one is not there yet; its probe has the key of its packet.
    Wait,
    /// It is none that is translated.
    Other,
    /// It is dropped.
    Refuse(Refusal),
}

/// Why a packet is not translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Refusal {
    /// It belongs to no session and opens none.
    NoSession,
    /// Its session does not allow it.
    Invalid,
    /// There is a mapping, and the sender may not answer.
    Filtered,
    /// No port, or no room for a session.
    Exhausted,
    /// The inside address has as much as it may.
    UserLimit,
    /// The inside address opens sessions faster than it may.
    UserRate,
    /// Another session has the addresses and ports that it would have on the other side.
    Taken,
    /// From outside, in the name of a host inside.
    Spoofed,
    /// A protocol without ports.
    Protocol,
    /// Cut short, or an ICMP error that is none.
    Malformed,
}

const REFUSALS: [Refusal; 10] = {
    use Refusal::*;
    [NoSession, Invalid, Filtered, Exhausted, UserLimit, UserRate, Taken, Spoofed, Protocol, Malformed]
};

const TRANSLATE: u64 = 0;
const QUOTE: u64 = 1;
const ADDRESS: u64 = 2;
const WAIT: u64 = 3;
const OTHER: u64 = 4;
const REFUSE: u64 = 5;

impl Act {
    pub(crate) const OTHER: Act = Act(OTHER << 48);
    pub(crate) const WAIT: Act = Act(WAIT << 48);

    #[inline(always)]
    pub(crate) const fn translate(end: End) -> Act {
        Act((end.address as u64) << 16 | end.port as u64)
    }

    pub(crate) const fn quote(end: End) -> Act {
        Act(Act::translate(end).0 | QUOTE << 48)
    }

    pub(crate) const fn address(address: u32) -> Act {
        Act((address as u64) << 16 | ADDRESS << 48)
    }

    pub(crate) const fn refuse(refusal: Refusal) -> Act {
        Act(refusal as u64 | REFUSE << 48)
    }

    /// The address and port that a packet gets, if that is what becomes of it.
    #[inline(always)]
    pub(crate) fn end(self) -> Option<End> {
        (self.0 >> 48 == TRANSLATE).then_some(End { address: (self.0 >> 16) as u32, port: self.0 as u16 })
    }

    /// What it says.
    pub(crate) fn deed(self) -> Deed {
        let end = End { address: (self.0 >> 16) as u32, port: self.0 as u16 };
        match self.0 >> 48 {
            TRANSLATE => Deed::Translate(end),
            QUOTE => Deed::Quote(end),
            ADDRESS => Deed::Address(end.address),
            WAIT => Deed::Wait,
            OTHER => Deed::Other,
            _ => Deed::Refuse(REFUSALS[usize::from(end.port) % REFUSALS.len()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_all() {
        let end = End { address: 0xcb00_7102, port: 65535 };
        assert_eq!((Act::translate(end).end(), Act::translate(end).deed()), (Some(end), Deed::Translate(end)));
        assert_eq!((Act::quote(end).end(), Act::quote(end).deed()), (None, Deed::Quote(end)));
        assert_eq!((Act::address(end.address).end(), Act::address(end.address).deed()), (None, Deed::Address(end.address)));
        assert_eq!([Act::WAIT, Act::OTHER].map(|act| (act.end(), act.deed())), [(None, Deed::Wait), (None, Deed::Other)]);
        for refusal in REFUSALS {
            assert_eq!((Act::refuse(refusal).end(), Act::refuse(refusal).deed()), (None, Deed::Refuse(refusal)));
        }
    }
}
