//! Why a packet deserves an ICMP error, in a word that travels with it.

use super::icmp::{self, parameter_problem, time_exceeded, unreachable};

/// The ICMP error that a packet deserves: what it is refused for, said by the node that refuses it.
///
/// A node puts the [`word`](Self::word) into [`Lane::adj`](crate::Lane::adj) of a packet that it sends on an edge for `icmp-error`: `type:8 | code:8 | parameter:16`, as
/// in the message, where the parameter is the MTU of [`fragmentation_needed`](Self::fragmentation_needed) or the pointer of
/// [`parameter_problem`](Self::parameter_problem). Of the types only those of errors that a router sends are causes, so that no
/// adjacency is taken for one: their indexes are far lower.
///
/// ```
/// use swath_api::wire::IcmpCause;
///
/// let cause = IcmpCause::fragmentation_needed(1400);
/// assert_eq!(cause.word(), 0x03_04_0578);
/// assert_eq!(IcmpCause::from_word(0x03_04_0578), Some(cause));
/// assert_eq!(IcmpCause::from_word(7), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IcmpCause(u32);

impl IcmpCause {
    /// No route leads to the destination (RFC 1812 §5.2.7.1).
    pub const NET_UNREACHABLE: IcmpCause = IcmpCause::unreachable(unreachable::NET);
    /// The destination, or the next hop, does not answer (RFC 1812 §5.2.7.1).
    pub const HOST_UNREACHABLE: IcmpCause = IcmpCause::unreachable(unreachable::HOST);
    /// Nobody here takes this protocol (RFC 1122 §3.2.2.1).
    pub const PROTOCOL_UNREACHABLE: IcmpCause = IcmpCause::unreachable(unreachable::PROTOCOL);
    /// Nobody here listens at this port (RFC 1122 §3.2.2.1).
    pub const PORT_UNREACHABLE: IcmpCause = IcmpCause::unreachable(unreachable::PORT);
    /// A filter forbids it (RFC 1812 §5.2.7.1).
    pub const PROHIBITED: IcmpCause = IcmpCause::unreachable(unreachable::PROHIBITED);
    /// The time to live is used up (RFC 1812 §5.2.7.3).
    pub const TTL_EXCEEDED: IcmpCause = IcmpCause::new(icmp::TIME_EXCEEDED, time_exceeded::TTL, 0);

    /// Not all fragments came in time (RFC 1122 §3.3.2).
    pub const REASSEMBLY_EXCEEDED: IcmpCause = IcmpCause::new(icmp::TIME_EXCEEDED, time_exceeded::REASSEMBLY, 0);
    /// The next address of a source route cannot be reached as it asks (RFC 1812 §5.2.7.1).
    pub const SOURCE_ROUTE_FAILED: IcmpCause = IcmpCause::unreachable(unreachable::SOURCE_ROUTE_FAILED);

    /// Longer than the next hop's MTU, which must not fragment it (RFC 1191 §4).
    #[inline]
    pub const fn fragmentation_needed(mtu: u16) -> IcmpCause {
        IcmpCause::new(icmp::DESTINATION_UNREACHABLE, unreachable::FRAGMENTATION_NEEDED, mtu)
    }

    /// The octet of the header at this place cannot be understood (RFC 1812 §5.2.7.2).
    #[inline]
    pub const fn parameter_problem(pointer: u8) -> IcmpCause {
        IcmpCause::new(icmp::PARAMETER_PROBLEM, parameter_problem::POINTER, pointer as u16)
    }

    /// Destination unreachable with any code.
    #[inline]
    pub const fn unreachable(code: u8) -> IcmpCause {
        IcmpCause::new(icmp::DESTINATION_UNREACHABLE, code, 0)
    }

    const fn new(icmp_type: u8, code: u8, parameter: u16) -> IcmpCause {
        IcmpCause((icmp_type as u32) << 24 | (code as u32) << 16 | parameter as u32)
    }

    /// What travels in the lane.
    #[inline]
    pub const fn word(self) -> u32 {
        self.0
    }

    /// The cause in a lane, if what is there is one.
    #[inline]
    pub const fn from_word(word: u32) -> Option<IcmpCause> {
        match (word >> 24) as u8 {
            icmp::DESTINATION_UNREACHABLE | icmp::TIME_EXCEEDED | icmp::PARAMETER_PROBLEM => Some(IcmpCause(word)),
            _ => None,
        }
    }

    /// The message's type.
    #[inline]
    pub const fn icmp_type(self) -> u8 {
        (self.0 >> 24) as u8
    }

    /// The message's code.
    #[inline]
    pub const fn code(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// The word behind the message's checksum.
    #[inline]
    pub const fn data(self) -> u32 {
        let parameter = self.0 & 0xffff;
        match self.icmp_type() {
            // The pointer is the first of the four octets, the MTU the last two.
            icmp::PARAMETER_PROBLEM => parameter << 24,
            _ => parameter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Icmp;
    use super::*;

    #[test]
    fn the_message_says_what_the_cause_says() {
        let message = |cause: IcmpCause| {
            let mut icmp = Icmp::default();
            icmp.set_data(cause.data());
            (cause.icmp_type(), cause.code(), icmp)
        };
        let (icmp_type, code, icmp) = message(IcmpCause::fragmentation_needed(1400));
        assert_eq!((icmp_type, code, icmp.mtu(), icmp.data()), (3, 4, 1400, 1400));
        let (icmp_type, code, icmp) = message(IcmpCause::parameter_problem(20));
        assert_eq!((icmp_type, code, icmp.pointer(), icmp.data()), (12, 0, 20, 20 << 24));
        let (icmp_type, code, icmp) = message(IcmpCause::TTL_EXCEEDED);
        assert_eq!((icmp_type, code, icmp.data()), (11, 0, 0));
        let (icmp_type, code, icmp) = message(IcmpCause::REASSEMBLY_EXCEEDED);
        assert_eq!((icmp_type, code, icmp.data()), (11, 1, 0));
        let (icmp_type, code, icmp) = message(IcmpCause::SOURCE_ROUTE_FAILED);
        assert_eq!((icmp_type, code, icmp.data()), (3, 5, 0));
    }

    #[test]
    fn only_errors_of_a_router_are_causes() {
        for word in [0, 1, u32::MAX, 1 << 16, 0x00ff_ffff, 0x0400_0000, 0x0500_0000, 0x0800_0000] {
            assert_eq!(IcmpCause::from_word(word), None, "{word:#x}");
        }
        for cause in [IcmpCause::PROHIBITED, IcmpCause::TTL_EXCEEDED, IcmpCause::parameter_problem(255)] {
            assert_eq!(IcmpCause::from_word(cause.word()), Some(cause));
        }
    }
}
