//! What an expression becomes: tests, each of which says where to go on.

use super::arith::{Number, Sign};

/// What an expression knows of a packet. What is cut off is not there.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct View<'a> {
    pub(super) bytes: &'a [u8],
    /// Where headers begin, as far as they are there.
    pub(super) network_at: Option<u16>,
    pub(super) transport_at: Option<u16>,
    /// Destination and source, in this order.
    pub(super) macs: Option<[[u8; 6]; 2]>,
    pub(super) ether_type: u16,
    /// The id of the outer VLAN tag.
    pub(super) vlan: Option<u16>,
    pub(super) network: Network,
    pub(super) dscp: u8,
    /// Protocol, or next header behind the extension headers.
    pub(super) protocol: u8,
    /// Source and destination; of fragments but the first there are none.
    pub(super) ports: Option<[u16; 2]>,
}

/// A header whose bytes are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    Ethernet,
    Ip4,
    Ip6,
    Arp,
    /// Of a protocol above IP: its number, and whether it is one above IPv4, and above IPv6.
    Transport(u8, bool, bool),
}

const ARP: u16 = 0x0806;

impl<'a> View<'a> {
    /// The packet from a header on, if it has that.
    pub(super) fn header(&self, header: Header) -> Option<&'a [u8]> {
        let at = match (header, self.network) {
            (Header::Ethernet, _) => self.macs.map(|_| 0),
            (Header::Ip4, Network::Ip4(_)) | (Header::Ip6, Network::Ip6(_)) => self.network_at,
            (Header::Arp, _) if self.ether_type == ARP => self.network_at,
            (Header::Transport(protocol, true, _), Network::Ip4(_)) | (Header::Transport(protocol, _, true), Network::Ip6(_)) => {
                self.transport_at.filter(|_| self.protocol == protocol)
            }
            _ => None,
        };
        self.bytes.get(usize::from(at?)..)
    }
}

/// Source and destination.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    #[default]
    Other,
    Ip4([u32; 2]),
    Arp([u32; 2]),
    Ip6([u128; 2]),
}

/// Which of source and destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Destination,
    Either,
}

impl Side {
    fn any<T: Copy>(self, [source, destination]: [T; 2], is: impl Fn(T) -> bool) -> bool {
        match self {
            Side::Source => is(source),
            Side::Destination => is(destination),
            Side::Either => is(source) || is(destination),
        }
    }
}

/// Whose addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Ip4,
    Arp,
    Any,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    Mac(Side, [u8; 6]),
    EtherType(u16),
    Vlan(Option<u16>),
    Ip4,
    Ip6,
    Arp,
    Protocol {
        protocol: u8,
        ip4: bool,
        ip6: bool,
    },
    Net4 {
        side: Side,
        family: Family,
        net: u32,
        mask: u32,
    },
    Net6 {
        side: Side,
        net: u128,
        mask: u128,
    },
    /// Without a protocol TCP, UDP and SCTP.
    Port {
        side: Side,
        protocol: Option<u8>,
        first: u16,
        last: u16,
    },
    Len {
        least: usize,
        most: usize,
    },
    Compare(Number, Sign, Number),
    Dscp(u8),
}

impl Test {
    fn holds(&self, view: &View<'_>) -> bool {
        match *self {
            Test::Mac(side, mac) => view.macs.is_some_and(|[dst, src]| side.any([src, dst], |one| one == mac)),
            Test::EtherType(ether_type) => view.ether_type == ether_type,
            Test::Vlan(None) => view.vlan.is_some(),
            Test::Vlan(id) => view.vlan == id,
            Test::Ip4 => matches!(view.network, Network::Ip4(_)),
            Test::Ip6 => matches!(view.network, Network::Ip6(_)),
            Test::Arp => matches!(view.network, Network::Arp(_)),
            Test::Protocol { protocol, ip4, ip6 } => {
                view.protocol == protocol
                    && match view.network {
                        Network::Ip4(_) => ip4,
                        Network::Ip6(_) => ip6,
                        _ => false,
                    }
            }
            Test::Net4 { side, family, net, mask } => match view.network {
                Network::Ip4(ends) if family != Family::Arp => side.any(ends, |end| end & mask == net),
                Network::Arp(ends) if family != Family::Ip4 => side.any(ends, |end| end & mask == net),
                _ => false,
            },
            Test::Net6 { side, net, mask } => {
                matches!(view.network, Network::Ip6(ends) if side.any(ends, |end| end & mask == net))
            }
            Test::Port { side, protocol, first, last } => {
                protocol.is_none_or(|protocol| view.protocol == protocol)
                    && view.ports.is_some_and(|ports| side.any(ports, |port| (first..=last).contains(&port)))
            }
            Test::Len { least, most } => (least..=most).contains(&view.bytes.len()),
            Test::Compare(ref left, sign, ref right) => {
                left.of(view).zip(right.of(view)).is_some_and(|(left, right)| sign.holds(left, right))
            }
            Test::Dscp(dscp) => matches!(view.network, Network::Ip4(_) | Network::Ip6(_)) && view.dscp == dscp,
        }
    }
}

/// An expression as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression(pub(super) Term);

/// It, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Term {
    Test(Test),
    Not(Box<Term>),
    And(Vec<Term>),
    Or(Vec<Term>),
}

impl Expression {
    /// Tests in it.
    pub fn tests(&self) -> usize {
        self.0.tests()
    }
}

impl Term {
    fn tests(&self) -> usize {
        match self {
            Term::Test(_) => 1,
            Term::Not(one) => one.tests(),
            Term::And(all) | Term::Or(all) => all.iter().map(Term::tests).sum(),
        }
    }
}

/// Where a test leads: to a test further on, or behind the last one to a verdict.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub test: Test,
    pub yes: u32,
    pub no: u32,
}

/// Expressions in their order: all tests in one list, in which every way leads forward.
#[derive(Debug, Default, Clone)]
pub struct Program {
    // Backwards: a test leads to lower indexes, so that it is made after those that it leads to. Verdicts are above `VERDICT`.
    steps: Vec<Step>,
    start: u32,
}

pub(super) const VERDICT: u32 = 1 << 31;

impl Program {
    /// The program that answers with the index of the first expression that holds.
    pub fn new(expressions: &[Expression]) -> Program {
        let mut program = Program::default();
        let mut next = VERDICT | expressions.len() as u32;
        for (index, expression) in expressions.iter().enumerate().rev() {
            next = program.add(&expression.0, VERDICT | index as u32, next);
        }
        program.start = next;
        program
    }

    /// Backwards, as they are kept.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Where it begins.
    pub(super) fn start(&self) -> u32 {
        self.start
    }

    /// Adds a term that leads to `yes` or `no`. Returns where it begins.
    fn add(&mut self, term: &Term, yes: u32, no: u32) -> u32 {
        match term {
            Term::Test(test) => {
                self.steps.push(Step { test: test.clone(), yes, no });
                self.steps.len() as u32 - 1
            }
            Term::Not(one) => self.add(one, no, yes),
            Term::And(all) => all.iter().rev().fold(yes, |yes, one| self.add(one, yes, no)),
            Term::Or(all) => all.iter().rev().fold(no, |no, one| self.add(one, yes, no)),
        }
    }

    /// The index of the first expression that holds; their number if none does.
    #[inline]
    pub fn run(&self, view: &View<'_>) -> usize {
        let mut at = self.start;
        while let Some(step) = self.steps.get(at as usize) {
            at = if step.test.holds(view) { step.yes } else { step.no };
        }
        (at & !VERDICT) as usize
    }
}
