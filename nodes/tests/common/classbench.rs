//! Sets of rules in the shapes of ClassBench (Taylor and Turner, INFOCOM 2005), and packets that meet them at their edges.
//!
//! Prefixes are nested picks with the lengths of each family of seeds; ports are of its five classes: any, 1024 and above, below 1024, a range, one
//! port.

use swath_nodes::acl::{ANY_PORT, Address, Criteria, Key, NO_PORT, Others, Part, Ports, Prefix};

/// The families of seed files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Access control lists: specific addresses, destination ports.
    Acl,
    /// Firewalls: many wildcards, ranges of ports on both sides.
    Fw,
    /// IP chains: between the two.
    Ipc,
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// Addresses that dice can make.
pub trait Random: Address {
    /// Any.
    fn random(dice: &mut Dice) -> Self;
    /// Usual lengths of prefixes.
    const LENGTHS: &'static [u8];
    /// The low bits that a length leaves.
    fn low_bits(len: u8) -> Self;
    /// Bit by bit.
    fn or(self, other: Self) -> Self;
    /// Bits of this one that are not in the other.
    fn without(self, other: Self) -> Self;
}

impl Random for u32 {
    const LENGTHS: &'static [u8] = &[8, 12, 16, 16, 19, 20, 21, 22, 23, 24, 24, 24, 25, 26, 27, 28, 29, 30, 31, 32, 32, 32, 32];
    fn random(dice: &mut Dice) -> u32 {
        dice.bits() as u32
    }
    fn low_bits(len: u8) -> u32 {
        u32::MAX.checked_shr(len.into()).unwrap_or(0)
    }
    fn or(self, other: u32) -> u32 {
        self | other
    }
    fn without(self, other: u32) -> u32 {
        self & !other
    }
}

impl Random for u128 {
    const LENGTHS: &'static [u8] = &[19, 29, 32, 32, 32, 36, 40, 44, 48, 48, 48, 52, 56, 60, 64, 64, 64, 96, 120, 127, 128, 128];
    fn random(dice: &mut Dice) -> u128 {
        0x2000_u128 << 112 | (u128::from(dice.bits()) << 64 | u128::from(dice.bits())) >> 3
    }
    fn low_bits(len: u8) -> u128 {
        u128::MAX.checked_shr(len.into()).unwrap_or(0)
    }
    fn or(self, other: u128) -> u128 {
        self | other
    }
    fn without(self, other: u128) -> u128 {
        self & !other
    }
}

/// So many rules of a shape.
pub fn rules<A: Random>(shape: Shape, count: usize, dice: &mut Dice) -> Vec<Criteria<A>> {
    // How often source and destination are any address; addresses are drawn from pools, so that rules share and nest them.
    let (any_source, any_destination, pool) = match shape {
        Shape::Acl => (20, 5, count / 3 + 2),
        Shape::Fw => (40, 30, count / 8 + 2),
        Shape::Ipc => (20, 20, count / 5 + 2),
    };
    let pools: [Vec<Prefix<A>>; 2] = std::array::from_fn(|_| pool_of(pool, dice));
    let pick = |side: usize, any: usize, dice: &mut Dice| match dice.percent(any) {
        true => Prefix::default(),
        false => pools[side][dice.below(pools[side].len())],
    };
    let rule = |dice: &mut Dice| {
        let protocol = [Some(6), Some(6), Some(6), Some(17), Some(17), Some(1), None][dice.below(7)];
        let (mut source_ports, mut destination_ports) = (ANY_PORT, ANY_PORT);
        if matches!(protocol, Some(6 | 17)) {
            destination_ports = ports(dice, if shape == Shape::Acl { [10, 5, 5, 20] } else { [30, 15, 5, 10] });
            if shape != Shape::Acl {
                source_ports = ports(dice, [60, 15, 5, 5]);
            }
        }
        let (source, mut destination) = (pick(0, any_source, dice), pick(1, any_destination, dice));
        if source.len == 0 && destination.len == 0 && destination_ports.0 != destination_ports.1 {
            // Who permits anything to anybody says of which service.
            destination = pick(1, 0, dice);
        }
        let mut others = Others { source_ports, destination_ports, protocol, ..Others::default() };
        if protocol == Some(6) && dice.percent(5) {
            others.tcp_flags = [(0x12, 0x02), (0x10, 0x10), (0x04, 0x04)][dice.below(3)];
        }
        if protocol == Some(1) && dice.percent(50) {
            others.source_ports = (8, 8);
        }
        Criteria { source, destination, others }
    };
    (0..count).map(|_| rule(dice)).collect()
}

fn pool_of<A: Random>(count: usize, dice: &mut Dice) -> Vec<Prefix<A>> {
    let mut pool: Vec<Prefix<A>> = Vec::with_capacity(count);
    for _ in 0..count {
        let len = A::LENGTHS[dice.below(A::LENGTHS.len())];
        let mut address = A::random(dice);
        if !pool.is_empty() && dice.percent(50) {
            // Inside of another one.
            let outer = pool[dice.below(pool.len())];
            let below = A::low_bits(outer.len.min(len));
            address = outer.address.without(below).or(address.without(address.without(below)));
        }
        pool.push(Prefix { address: address.without(A::low_bits(len)), len });
    }
    pool
}

/// Ports, of which so many in a hundred are any, above 1023, below 1024, or a range; the others are one port.
fn ports(dice: &mut Dice, [any, high, low, range]: [usize; 4]) -> Ports {
    const KNOWN: [u16; 12] = [20, 21, 22, 25, 53, 80, 110, 123, 161, 443, 1521, 8080];
    let die = dice.below(100);
    match die {
        _ if die < any => ANY_PORT,
        _ if die < any + high => (1024, u16::MAX),
        _ if die < any + high + low => (0, 1023),
        _ if die < any + high + low + range => {
            let first = dice.bits() as u16;
            (first, first.saturating_add(dice.below(1000) as u16))
        }
        _ if dice.percent(70) => {
            let port = KNOWN[dice.below(KNOWN.len())];
            (port, port)
        }
        _ => {
            let port = dice.bits() as u16;
            (port, port)
        }
    }
}

/// A packet at an edge of a rule, or just beside it; a few are any packet.
pub fn packet<A: Random>(rules: &[Criteria<A>], dice: &mut Dice) -> Key<A> {
    if rules.is_empty() || dice.percent(5) {
        return Key {
            source: A::random(dice),
            destination: A::random(dice),
            source_port: 1,
            destination_port: 2,
            ..Key::default()
        };
    }
    let rule = &rules[dice.below(rules.len())];
    // Of fields that it does not ask for, those of another rule.
    let other = &rules[dice.below(rules.len())];
    let address = |prefix: Prefix<A>, other: Prefix<A>, dice: &mut Dice| {
        let prefix = if prefix.len == 0 { other } else { prefix };
        let low = A::low_bits(prefix.len);
        let any = A::random(dice);
        match dice.below(4) {
            0 => prefix.address,
            1 => prefix.address.or(low),
            _ => prefix.address.or(any.without(any.without(low))),
        }
    };
    let port = |(first, last): Ports, dice: &mut Dice| {
        let inside = u32::from(first) + dice.below(usize::from(last - first) + 1) as u32;
        let near =
            [u32::from(first), u32::from(last), inside, inside, u32::from(first.wrapping_sub(1)), u32::from(last.wrapping_add(1))];
        let of = if dice.percent(20) { 6 } else { 4 };
        near[dice.below(of)]
    };
    let protocol = rule.others.protocol.unwrap_or([6, 17, 1, 47][dice.below(4)]);
    let part = if dice.percent(5) { [Part::First, Part::Later][dice.below(2)] } else { Part::Whole };
    let has_ports = matches!(protocol, 1 | 6 | 17) && part != Part::Later;
    Key {
        source: address(rule.source, other.source, dice),
        destination: address(rule.destination, other.destination, dice),
        source_port: if has_ports { port(rule.others.source_ports, dice) } else { NO_PORT },
        destination_port: if has_ports { port(rule.others.destination_ports, dice) } else { NO_PORT },
        protocol,
        part,
        tcp_flags: if protocol == 6 && has_ports { rule.others.tcp_flags.1 | [0, 0x10, 0x08][dice.below(3)] } else { 0 },
        ..Key::default()
    }
}
