//! Readers beside a writer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

/// Runs `write` while two threads look these up and hold each answer against
/// those allowed.
fn while_reading(fib: &Fib4, allowed: &[(u32, Vec<u32>)], write: impl FnOnce()) {
    let done = AtomicBool::new(false);
    let addrs: Vec<_> = allowed.iter().map(|(addr, _)| *addr).collect();
    let read = || {
        let mut reader = fib.register_reader();
        let mut leaves = vec![0; addrs.len()];
        let mut sweeps = 0u64;
        while !done.load(Ordering::Relaxed) || sweeps == 0 {
            fib.lookup_batch(&addrs, &mut leaves);
            for ((addr, allowed), leaf) in allowed.iter().zip(&leaves) {
                let addr = std::net::Ipv4Addr::from_bits(*addr);
                assert!(allowed.contains(leaf), "{addr} had {leaf}, not one of {allowed:?}");
            }
            reader.quiescent();
            sweeps += 1;
        }
    };
    thread::scope(|scope| {
        let readers = [scope.spawn(read), scope.spawn(read)];
        write();
        done.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn updates_of_others_do_not_disturb_a_route() {
    let fib = Fib4::new(LIMIT).unwrap();
    let stable = [
        ("0.0.0.0/0", "99.1.2.3", 1),
        ("10.0.0.0/8", "10.255.0.1", 2),
        ("10.1.0.0/16", "10.1.255.1", 3),
        ("10.1.1.0/24", "10.1.1.250", 4),
        ("10.1.1.64/26", "10.1.1.65", 5),
        ("10.1.1.77/32", "10.1.1.77", 6),
        ("10.1.1.255/32", "10.1.1.255", 7),
    ];
    let mut allowed: Vec<_> = stable.iter().map(|&(_, addr, leaf)| (a(addr), vec![leaf])).collect();
    for (prefix, _, leaf) in stable {
        fib.insert(p(prefix), leaf).unwrap();
    }
    let flips = ["10.1.1.80/28", "10.1.2.0/24", "10.2.0.0/16", "11.0.0.0/8"].map(p);
    for flip in flips {
        fib.insert(flip, 20).unwrap();
        allowed.push((flip.addr(), vec![20, 21]));
        allowed.push((flip.last(), vec![20, 21]));
    }
    let stays = |prefix: Prefix4| {
        !allowed.iter().any(|&(addr, _)| prefix.contains(addr)) && !stable.iter().any(|&(other, ..)| prefix == p(other))
    };
    while_reading(&fib, &allowed, || {
        let random = &mut Random(3);
        for step in 0..40_000 {
            fib.insert(flips[step % 4], 20 + step as u32 / 4 % 2).unwrap();
            let near = a("10.1.1.0") ^ random.next() >> [24, 26, 20, 14][random.below(4)];
            let prefix = Prefix4::containing(near, 10 + random.below(23) as u8);
            if stays(prefix) {
                if random.below(2) == 0 {
                    fib.insert(prefix, 100 + random.below(9) as u32).unwrap();
                } else {
                    fib.remove(prefix).unwrap();
                }
            }
        }
    });
    assert!(fib.memory().blocks <= LIMIT);
}

/// Blocks go to and fro between two /24s; one reused too early would show the
/// leaf of the other.
#[test]
fn a_block_is_not_reused_under_a_reader() {
    let fib = Fib4::new(LIMIT).unwrap();
    let networks = [(p("10.0.0.0/25"), 1), (p("10.9.9.0/25"), 2)];
    let mut allowed = Vec::new();
    for (network, leaf) in networks {
        fib.insert(network, leaf).unwrap();
        allowed.extend((0..120).map(|host| (network.addr() + host, vec![leaf])));
    }
    while_reading(&fib, &allowed, || {
        for _ in 0..20_000 {
            for (network, _) in networks {
                fib.insert(Prefix4::containing(network.last(), 32), 3).unwrap();
            }
            for (network, _) in networks {
                fib.remove(Prefix4::containing(network.last(), 32)).unwrap();
            }
        }
    });
}

/// A new route before the old one goes: at no moment is there none, although
/// the answer moves between the tiers.
#[test]
fn make_before_break_never_shows_a_gap() {
    let fib = Fib4::new(LIMIT).unwrap();
    let routes = [(p("10.0.0.0/8"), 1), (p("10.1.0.0/16"), 2), (p("10.1.1.0/25"), 3)];
    let leaves = vec![1, 2, 3];
    let allowed: Vec<_> = (0..200).map(|n| (a("10.1.1.0") + n % 128, leaves.clone())).collect();
    fib.insert(routes[0].0, routes[0].1).unwrap();
    while_reading(&fib, &allowed, || {
        let mut now = 0;
        let random = &mut Random(5);
        for _ in 0..30_000 {
            let next = (now + 1 + random.below(2)) % 3;
            fib.insert(routes[next].0, routes[next].1).unwrap();
            fib.remove(routes[now].0).unwrap();
            now = next;
        }
    });
}

/// While all routes are replaced, an address has its old or its new answer.
#[test]
fn replacing_all_shows_old_or_new() {
    let random = &mut Random(9);
    let mut pool = nested(random, 60);
    pool.push(p("10.0.0.0/8"));
    let addrs = edges(&pool);
    let table = |random: &mut Random, from: u32| -> Oracle {
        let chosen = pool.iter().filter(|_| random.below(2) == 0).copied();
        chosen.zip(from..).collect()
    };
    for round in 0..6 {
        let tables = [table(random, 1000 * round + 1), table(random, 1000 * round + 501)];
        let answer = |table, addr| longest(table, addr).map_or(0, |(_, leaf)| leaf);
        let both = |addr: &u32| (*addr, tables.iter().map(|table| answer(table, *addr)).collect());
        let allowed: Vec<_> = addrs.iter().map(both).collect();
        let fib = Fib4::new(LIMIT).unwrap();
        let replace = |n: usize| fib.replace_all(tables[n].clone()).unwrap();
        replace(1);
        while_reading(&fib, &allowed, || (0..4).for_each(|n| replace(n % 2)));
    }
}
