//! The table against the definition of longest-prefix match: of all routes that
//! contain the address, the one with the most bits.

mod concurrent;
mod limits;

use std::collections::{BTreeMap, BTreeSet};

use super::{Fib4, Fib4Error, Prefix4};

const LIMIT: usize = 4 << 20;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) as u32
    }

    fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }

    fn leaf(&mut self) -> u32 {
        // Few, so that neighbours often have the same one.
        1 + self.below(3) as u32
    }
}

fn p(text: &str) -> Prefix4 {
    text.parse().unwrap()
}

fn a(text: &str) -> u32 {
    text.parse::<std::net::Ipv4Addr>().unwrap().to_bits()
}

type Oracle = BTreeMap<Prefix4, u32>;

fn longest(oracle: &Oracle, addr: u32) -> Option<(Prefix4, u32)> {
    let over = oracle.iter().filter(|(prefix, _)| prefix.contains(addr));
    over.max_by_key(|(prefix, _)| prefix.len()).map(|(&prefix, &leaf)| (prefix, leaf))
}

/// First, last and the addresses around of each.
fn edges<'a>(prefixes: impl IntoIterator<Item = &'a Prefix4>) -> Vec<u32> {
    let mut addrs = vec![0, u32::MAX];
    for prefix in prefixes {
        let (first, last) = (prefix.addr(), prefix.last());
        addrs.extend([first.wrapping_sub(1), first, last, last.wrapping_add(1)]);
    }
    addrs.sort_unstable();
    addrs.dedup();
    addrs
}

fn compare(fib: &Fib4, oracle: &Oracle, addrs: &[u32], context: &str) {
    let mut leaves = vec![0; addrs.len()];
    fib.lookup_batch(addrs, &mut leaves);
    for (&addr, &leaf) in addrs.iter().zip(&leaves) {
        let expected = longest(oracle, addr);
        assert_eq!(leaf, expected.map_or(0, |(_, leaf)| leaf), "{}, {context}", std::net::Ipv4Addr::from_bits(addr));
        assert_eq!(fib.lookup(addr), leaf, "{context}");
    }
    assert_eq!(fib.len(), oracle.len(), "{context}");
}

/// Prefixes of every length around few addresses, so that they nest and touch.
fn nested(random: &mut Random, count: usize) -> Vec<Prefix4> {
    let bases = [0, u32::MAX, random.next(), random.next()];
    let prefix = |_| {
        let len = random.below(33) as u8;
        let near = bases[random.below(bases.len())] ^ random.next() >> random.below(32);
        Prefix4::containing(near, len)
    };
    (0..count).map(prefix).collect()
}

#[test]
fn random_updates_agree_with_the_oracle_after_each() {
    for seed in 0..6 {
        let random = &mut Random(seed);
        let pool = nested(random, 64);
        let addrs = edges(&pool);
        let fib = Fib4::new(LIMIT).unwrap();
        let mut oracle = Oracle::new();
        for step in 0..250 {
            let context = format!("seed {seed}, step {step}");
            let prefix = pool[random.below(pool.len())];
            match random.below(20) {
                0 => {
                    oracle = pool.iter().filter(|_| random.below(2) == 0).map(|&p| (p, 0)).collect();
                    oracle.values_mut().for_each(|leaf| *leaf = random.leaf());
                    fib.replace_all(oracle.iter().map(|(&prefix, &leaf)| (prefix, leaf))).unwrap();
                }
                1..=12 => {
                    let leaf = random.leaf();
                    assert_eq!(fib.insert(prefix, leaf), Ok(oracle.insert(prefix, leaf)), "{context}");
                }
                _ => assert_eq!(fib.remove(prefix), Ok(oracle.remove(&prefix)), "{context}"),
            }
            compare(&fib, &oracle, &addrs, &context);
        }
        assert!(fib.routes().into_iter().eq(oracle.clone()));
        for &addr in &addrs {
            assert_eq!(fib.longest_match(addr), longest(&oracle, addr), "seed {seed}");
        }
        pool.iter().for_each(|&p| assert_eq!(fib.get(p), oracle.get(&p).copied(), "seed {seed}"));
        pool.iter().for_each(|&p| _ = fib.remove(p).unwrap());
        compare(&fib, &Oracle::new(), &addrs, "emptied");
        assert_eq!((fib.memory().blocks_used, fib.memory().overflow, fib.memory().retired), (0, 0, 0));
    }
}

/// One /24 with everything that fits into it, in random order.
#[test]
fn a_crowded_block_agrees_with_the_oracle() {
    let fib = Fib4::new(LIMIT).unwrap();
    let addrs: Vec<_> = (a("192.0.1.255")..=a("192.0.3.0")).collect();
    let random = &mut Random(7);
    let mut oracle = Oracle::new();
    let mut most = 0;
    for step in 0..2400 {
        let prefix = Prefix4::containing(a("192.0.2.0") + random.below(256) as u32, 22 + random.below(11) as u8);
        if random.below(1000) < if step < 1600 { 900 } else { 100 } {
            let leaf = random.next() >> 5 | 1;
            assert_eq!(fib.insert(prefix, leaf), Ok(oracle.insert(prefix, leaf)));
        } else {
            assert_eq!(fib.remove(prefix), Ok(oracle.remove(&prefix)));
        }
        most = most.max(fib.memory().blocks_used);
        if step % 8 == 0 {
            compare(&fib, &oracle, &addrs, &format!("step {step}"));
        }
    }
    assert!(most > 8 * 64, "it did overflow: {most} bytes");
}

#[test]
fn default_route_and_single_addresses() {
    let fib = Fib4::new(LIMIT).unwrap();
    assert_eq!((fib.lookup(0), fib.lookup(u32::MAX), fib.longest_match(0)), (0, 0, None));
    assert_eq!(fib.insert(Prefix4::DEFAULT, 9), Ok(None));
    assert_eq!(fib.insert(p("255.255.255.255/32"), 1), Ok(None));
    assert_eq!(fib.insert(p("0.0.0.0/32"), 2), Ok(None));
    for (addr, leaf) in [("0.0.0.0", 2), ("0.0.0.1", 9), ("127.0.0.1", 9), ("255.255.255.254", 9), ("255.255.255.255", 1)] {
        assert_eq!(fib.lookup(a(addr)), leaf, "{addr}");
    }
    assert_eq!(fib.remove(Prefix4::DEFAULT), Ok(Some(9)));
    assert_eq!((fib.lookup(a("0.0.0.1")), fib.lookup(0), fib.lookup(u32::MAX)), (0, 2, 1));
    assert_eq!(fib.remove(Prefix4::DEFAULT), Ok(None));
}

#[test]
fn ten_deep() {
    let fib = Fib4::new(LIMIT).unwrap();
    let chain = [0, 8, 12, 13, 16, 24, 25, 27, 30, 32].map(|len| Prefix4::containing(a("10.8.1.77"), len));
    for (prefix, leaf) in chain.into_iter().zip(1..) {
        fib.insert(prefix, leaf).unwrap();
        assert_eq!(fib.lookup(a("10.8.1.77")), leaf);
    }
    for (prefix, leaf) in chain.into_iter().zip(1..11).rev() {
        assert_eq!(fib.lookup(a("10.8.1.77")), leaf);
        assert_eq!(fib.longest_match(a("10.8.1.77")), Some((prefix, leaf)));
        assert_eq!(fib.remove(prefix), Ok(Some(leaf)));
    }
    assert!(fib.is_empty());
}

#[test]
fn the_last_of_a_prefix_counts_when_all_are_replaced() {
    let fib = Fib4::new(LIMIT).unwrap();
    fib.replace_all([(p("10.0.0.0/8"), 1), (p("10.0.0.0/30"), 3), (p("10.0.0.0/8"), 2)]).unwrap();
    assert_eq!(fib.routes(), [(p("10.0.0.0/8"), 2), (p("10.0.0.0/30"), 3)]);
    assert_eq!((fib.lookup(a("10.0.0.4")), fib.lookup(a("10.0.0.3"))), (2, 3));
    fib.replace_all([]).unwrap();
    assert_eq!((fib.lookup(a("10.0.0.4")), fib.lookup(a("10.0.0.3")), fib.len()), (0, 0, 0));
}

#[test]
fn a_batch_reaches_as_far_as_both_slices() {
    let fib = Fib4::new(LIMIT).unwrap();
    fib.insert(p("10.0.0.0/25"), 4).unwrap();
    for (count, room) in [(0, 3), (3, 0), (3, 5), (5, 3), (256, 256), (257, 600), (1000, 1000)] {
        let mut leaves = vec![u32::MAX; room];
        fib.lookup_batch(&vec![a("10.0.0.1"); count], &mut leaves);
        let reach = count.min(room);
        assert!(leaves[..reach].iter().all(|&leaf| leaf == 4) && leaves[reach..].iter().all(|&leaf| leaf == u32::MAX));
    }
}

#[test]
fn leaves_have_27_bits() {
    let fib = Fib4::new(LIMIT).unwrap();
    for prefix in ["10.0.0.0/8", "10.0.0.0/24", "10.0.0.0/32"].map(p) {
        assert_eq!(fib.insert(prefix, 0), Err(Fib4Error::Leaf { leaf: 0 }));
        assert_eq!(fib.insert(prefix, 1 << 27), Err(Fib4Error::Leaf { leaf: 1 << 27 }));
        assert_eq!(fib.replace_all([(prefix, 1), (prefix, 0)]), Err(Fib4Error::Leaf { leaf: 0 }));
        assert_eq!(fib.insert(prefix, (1 << 27) - 1), Ok(None));
        assert_eq!(fib.lookup(a("10.0.0.0")), (1 << 27) - 1);
    }
    assert_eq!(fib.len(), 3);
    let error = Fib4Error::Leaf { leaf: 0 };
    assert_eq!(error.to_string(), "leaf 0 is not between 1 and 134217727");
}

/// What lies inside of prefixes, few and long ones as many and short ones, against the definition.
#[test]
fn routes_inside_of_prefixes() {
    let mut random = Random(7);
    let fib = Fib4::new(LIMIT).unwrap();
    let prefix = |random: &mut Random| Prefix4::containing(a("10.0.0.0") + random.below(4096) as u32, 32 - random.below(13) as u8);
    let routes: BTreeSet<Prefix4> = (0..3000).map(|_| prefix(&mut random)).collect();
    routes.iter().for_each(|route| _ = fib.insert(*route, 1).unwrap());
    for round in 0..400 {
        let of: BTreeSet<Prefix4> =
            (0..1 + round % 7).map(|_| prefix(&mut random)).chain((round % 50 == 0).then_some(Prefix4::DEFAULT)).collect();
        let mut found = fib.inside(&of);
        found.sort_unstable();
        let is_inside = |route: &&Prefix4| of.iter().any(|of| of.len() < route.len() && of.contains(route.addr()));
        let expected: Vec<Prefix4> = routes.iter().filter(is_inside).copied().collect();
        assert_eq!(found, expected, "{of:?}");
    }
}
