//! What becomes of a packet that needs more than its session.

use super::End;

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// It gets this address and port, at the end that is translated.
    Translate(End),
    /// It is an ICMP error: what it quotes gets this address and port, and itself the address.
    Quote(End),
    /// It is a fragment without ports: it gets this address.
    Address(u32),
    /// It is a fragment whose first one is not there yet.
    Wait,
    /// It is none that is translated.
    Other,
    /// It is dropped.
    Refuse(Refusal),
}

/// Why a packet is not translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
