//! What a packet does to its session: one table for TCP, UDP, ICMP queries and all else.
//!
//! TCP as a middlebox sees it that follows both directions (RFC 6146 §3.5.2.2, RFC 5382 §5, RFC 7857 §2), stricter in three places:
//! a session is established by the initiator's answer to the other side's SYN, and not by that SYN; after a reset only the side that
//! seemed to have sent it revives the session; and who was called does not reopen a session. Sequence numbers are not looked at.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use swath_api::wire::{IpProtocol, TcpFlags};

/// What a packet is to its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Event {
    /// TCP: SYN.
    Syn,
    /// TCP: SYN and ACK.
    SynAck,
    /// TCP: ACK, and neither SYN, FIN nor RST.
    Ack,
    /// TCP: FIN and ACK.
    Fin,
    /// TCP: RST.
    Rst,
    /// A packet of UDP or of a protocol of which nothing is known.
    Datagram,
    /// An ICMP query: echo request, timestamp.
    Query,
    /// The answer to an ICMP query.
    Answer,
    /// An ICMP error: its session is that of the packet that it quotes.
    IcmpError,
    /// A fragment without ports: its session is that of the first fragment.
    Fragment,
    /// Nothing that a host sends: cut short, or flags of TCP that exclude each other.
    Malformed,
}

impl Event {
    /// What TCP flags say. RFC 9293 knows no segment without flags, none with SYN and FIN, and no FIN without ACK.
    #[inline(always)]
    pub fn of_tcp(flags: TcpFlags) -> Event {
        const EVENTS: [Event; 32] = {
            let mut events = [Event::Malformed; 32];
            let mut flags = 0;
            while flags < 32 {
                let (fin, syn, rst, ack) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0, flags & 16 != 0);
                events[flags] = match (syn, ack, fin, rst) {
                    (false, _, false, true) | (false, true, true, true) => Event::Rst,
                    (true, false, false, false) => Event::Syn,
                    (true, true, false, false) => Event::SynAck,
                    (false, true, true, false) => Event::Fin,
                    (false, true, false, false) => Event::Ack,
                    _ => Event::Malformed,
                };
                flags += 1;
            }
            events
        };
        EVENTS[usize::from(flags.0 & 31)]
    }
}

/// Where a session stands. *Forward* is the direction of the packet that has opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum State {
    /// TCP: a SYN forward.
    TcpSyn = 1,
    /// TCP: SYNs of both sides; the answer to the second is not there yet.
    TcpAnswered,
    /// TCP: picked up in the middle; only one side was seen.
    TcpPickedUp,
    /// TCP: established.
    TcpEstablished,
    /// TCP: a FIN forward.
    TcpFinForward,
    /// TCP: a FIN in reverse.
    TcpFinReverse,
    /// TCP: FINs of both sides. Lasts over the last ACK and TIME-WAIT.
    TcpClosing,
    /// TCP: a reset forward, of a session that was established.
    TcpResetForward,
    /// TCP: a reset in reverse, of a session that was established.
    TcpResetReverse,
    /// TCP: a reset of a session that was not established.
    TcpRefused,
    /// UDP: packets forward only.
    UdpUnreplied,
    /// UDP: packets of both directions.
    Udp,
    /// An ICMP query and its answers.
    IcmpQuery,
    /// Another protocol.
    Other,
}

/// Sessions with the same time-out, in the order in which they give way to new ones when there is no room; the last never do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Class {
    TcpReset,
    TcpClosing,
    TcpOpening,
    UdpUnreplied,
    IcmpQuery,
    Other,
    Udp,
    TcpEstablished,
}

pub(super) const CLASSES: usize = 8;
/// Those that may give way.
pub(super) const YIELDING: usize = Class::TcpEstablished as usize;
pub(super) const STATES: usize = 16;

impl State {
    /// All of them.
    pub const ALL: [State; 14] = {
        use State::*;
        [
            TcpSyn,
            TcpAnswered,
            TcpPickedUp,
            TcpEstablished,
            TcpFinForward,
            TcpFinReverse,
            TcpClosing,
            TcpResetForward,
            TcpResetReverse,
            TcpRefused,
            UdpUnreplied,
            Udp,
            IcmpQuery,
            Other,
        ]
    };

    #[inline(always)]
    pub(super) fn of(byte: u8) -> Option<State> {
        State::ALL.get(usize::from(byte).wrapping_sub(1)).copied()
    }

    pub(super) const fn class(self) -> Class {
        match self {
            State::TcpSyn | State::TcpAnswered | State::TcpPickedUp => Class::TcpOpening,
            // One FIN: the other side may still send for hours (RFC 6146 §3.5.2.2, V4 FIN RCV and V6 FIN RCV).
            State::TcpEstablished | State::TcpFinForward | State::TcpFinReverse => Class::TcpEstablished,
            State::TcpClosing => Class::TcpClosing,
            State::TcpResetForward | State::TcpResetReverse | State::TcpRefused => Class::TcpReset,
            State::UdpUnreplied => Class::UdpUnreplied,
            State::Udp => Class::Udp,
            State::IcmpQuery => Class::IcmpQuery,
            State::Other => Class::Other,
        }
    }

    /// Whether a session of this protocol can be in this state.
    pub(super) fn fits(self, protocol: u8) -> bool {
        match self {
            State::UdpUnreplied | State::Udp => protocol == IpProtocol::UDP.0,
            State::IcmpQuery => [IpProtocol::ICMP.0, IpProtocol::ICMPV6.0].contains(&protocol),
            State::Other => {
                ![IpProtocol::TCP, IpProtocol::UDP, IpProtocol::ICMP, IpProtocol::ICMPV6].contains(&IpProtocol(protocol))
            }
            _ => protocol == IpProtocol::TCP.0,
        }
    }

    /// The state of a session that this packet opens; `None` if it opens none. `pickup`: sessions may be picked up in the middle.
    pub(super) fn opened_by(event: Event, protocol: u8, pickup: bool) -> Option<State> {
        let state = match event {
            Event::Syn => State::TcpSyn,
            Event::Ack if pickup => State::TcpPickedUp,
            Event::Datagram if protocol == IpProtocol::UDP.0 => State::UdpUnreplied,
            Event::Datagram => State::Other,
            Event::Query => State::IcmpQuery,
            _ => return None,
        };
        state.fits(protocol).then_some(state)
    }
}

/// `refused:1 | refresh:1 | state:4`.
#[derive(Clone, Copy)]
pub(super) struct Step(u8);

impl Step {
    const REFRESH: u8 = 0x10;
    const REFUSED: u8 = 0x20;

    #[inline(always)]
    pub fn of(state: u8, reverse: bool, event: Event) -> Step {
        STEPS[usize::from(state & 15) << 5 | usize::from(reverse) << 4 | event as usize]
    }

    #[inline(always)]
    pub fn state(self) -> u8 {
        self.0 & 15
    }

    /// Whether the session lasts from now on for its whole time-out. So it does whenever its state changes.
    #[inline(always)]
    pub fn refreshes(self) -> bool {
        self.0 & Step::REFRESH != 0
    }

    /// Whether a session in this state stays in it, and lasts from now on for its whole time-out.
    #[inline(always)]
    pub fn only_prolongs(self, state: u8) -> bool {
        self.0 == state | Step::REFRESH
    }

    #[inline(always)]
    pub fn is_refused(self) -> bool {
        self.0 & Step::REFUSED != 0
    }
}

const STEPS: [Step; STATES * 32] = {
    let mut steps = [Step(Step::REFUSED); STATES * 32];
    let mut at = 0;
    while at < State::ALL.len() {
        let state = State::ALL[at];
        let mut event = 0;
        while event < EVENTS.len() {
            let first = (state as usize) << 5;
            steps[first | event] = step(state, false, EVENTS[event]);
            steps[first | 16 | event] = step(state, true, EVENTS[event]);
            event += 1;
        }
        at += 1;
    }
    steps
};

const EVENTS: [Event; 11] = {
    use Event::*;
    [Syn, SynAck, Ack, Fin, Rst, Datagram, Query, Answer, IcmpError, Fragment, Malformed]
};

/// What becomes of a session by a packet, forward or in reverse.
const fn step(state: State, reverse: bool, event: Event) -> Step {
    use Event::*;
    use State::*;
    match (state, event) {
        // It belongs to its session, and says nothing of how that goes on.
        (_, IcmpError | Fragment) => pass(state),

        // A reset ends what is not established for good, and what is for as long as its sender is silent (RFC 6146 §3.5.2.2, TRANS).
        (TcpSyn | TcpAnswered | TcpPickedUp, Rst) => go(TcpRefused),
        (TcpEstablished | TcpFinForward | TcpFinReverse, Rst) => go(if reverse { TcpResetReverse } else { TcpResetForward }),
        (TcpResetForward, Ack | Fin) if !reverse => go(TcpEstablished),
        (TcpResetReverse, Ack | Fin) if reverse => go(TcpEstablished),
        // A new incarnation (RFC 9293 §3.10.7.4: a SYN in TIME-WAIT), of the side that has opened the last.
        (TcpClosing | TcpResetForward | TcpResetReverse | TcpRefused, Syn) => {
            if reverse {
                refuse(state)
            } else {
                go(TcpSyn)
            }
        }
        // What is left of the last one.
        (TcpClosing | TcpResetForward | TcpResetReverse | TcpRefused, SynAck | Ack | Fin | Rst) => pass(state),

        (TcpSyn, Syn) if !reverse => go(TcpSyn),
        // An answer, or a simultaneous open (RFC 9293 §3.5, RFC 5382 REQ-2).
        (TcpSyn, Syn | SynAck) if reverse => go(TcpAnswered),
        // To a SYN for a connection that it still has, a host answers with an ACK (RFC 9293 §3.5.1, RFC 5961 §4).
        (TcpSyn, Ack) if reverse => pass(TcpSyn),

        (TcpAnswered, Ack | SynAck) if !reverse => go(TcpEstablished),
        (TcpAnswered, Syn | SynAck | Ack) => go(TcpAnswered),
        (TcpAnswered | TcpEstablished, Fin) => go(if reverse { TcpFinReverse } else { TcpFinForward }),

        (TcpPickedUp, Syn) if !reverse => go(TcpSyn),
        (TcpPickedUp, Ack | Fin) if !reverse => go(TcpPickedUp),
        (TcpPickedUp, Ack) => go(TcpEstablished),
        (TcpPickedUp, Fin) => go(TcpFinReverse),

        (TcpEstablished | TcpFinForward | TcpFinReverse, Ack) => go(state),
        // The hosts deal with it by a challenge ACK (RFC 5961 §4).
        (TcpEstablished | TcpFinForward | TcpFinReverse, Syn | SynAck) => pass(state),
        (TcpFinForward, Fin) => go(if reverse { TcpClosing } else { TcpFinForward }),
        (TcpFinReverse, Fin) => go(if reverse { TcpFinReverse } else { TcpClosing }),

        (UdpUnreplied, Datagram) => go(if reverse { Udp } else { UdpUnreplied }),
        (Udp | Other, Datagram) => go(state),
        // A query the other way is one of its own: RFC 5508 §3.2 has a session per direction that asks.
        (IcmpQuery, Query) if !reverse => go(IcmpQuery),
        (IcmpQuery, Answer) if reverse => go(IcmpQuery),
        _ => refuse(state),
    }
}

const fn go(state: State) -> Step {
    Step(state as u8 | Step::REFRESH)
}

const fn pass(state: State) -> Step {
    Step(state as u8)
}

const fn refuse(state: State) -> Step {
    Step(state as u8 | Step::REFUSED)
}
