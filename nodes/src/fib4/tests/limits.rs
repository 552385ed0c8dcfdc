//! The limit of the second level, what is committed, and reclamation.

use super::*;

/// The smallest table: 64 lines, of which inserts may take 47.
const SMALL: usize = 64 * 64;

/// A host route in a /24 of its own.
fn host(n: u32) -> Prefix4 {
    Prefix4::containing(a("10.0.0.1") + (n << 8), 32)
}

fn fill(fib: &Fib4) -> u32 {
    (0..).find(|&n| fib.insert(host(n), n + 1).is_err()).unwrap()
}

#[test]
fn a_full_table_refuses_and_stays_as_it_was() {
    let fib = Fib4::new(SMALL).unwrap();
    fib.insert(p("10.0.0.0/8"), 99).unwrap();
    let count = fill(&fib);
    assert_eq!(count, 47);
    let before: Oracle = fib.routes().into_iter().collect();
    let memory = fib.memory();
    let unchanged = |context: &str| {
        compare(&fib, &before, &edges((0..100).map(host).collect::<Vec<_>>().iter()), context);
        assert_eq!(fib.memory(), memory, "{context}");
    };

    let full = Fib4Error::Full { limit: SMALL, retired: 0 };
    assert_eq!(fib.insert(host(count), 1), Err(full));
    unchanged("insert");
    assert_eq!(fib.replace_all((0..100).map(|n| (host(n), 1000))), Err(full));
    unchanged("replace");
    assert_eq!(
        full.to_string(),
        "the memory for routes of /25 to /32 is full (4096 bytes, of which 0 wait for readers); raise its limit"
    );

    assert_eq!(fib.insert(host(3), 5000), Ok(Some(4)), "another leaf takes no room");
    assert_eq!(fib.insert(p("10.0.3.0/24"), 5001), Ok(None), "nor do shorter prefixes");
    assert_eq!((fib.lookup(host(3).addr()), fib.lookup(host(3).addr() + 1)), (5000, 5001));
    for n in 0..count {
        assert!(fib.remove(host(n)).unwrap().is_some());
    }
    assert_eq!(fill(&fib), count);
}

#[test]
fn the_same_routes_again_take_no_room() {
    let fib = Fib4::new(SMALL).unwrap();
    fill(&fib);
    let routes = fib.routes();
    fib.replace_all(routes.iter().copied()).unwrap();
    assert_eq!(fib.routes(), routes);
}

#[test]
fn replaced_blocks_wait_for_the_slowest_reader() {
    let fib = Fib4::new(SMALL).unwrap();
    let (mut fast, mut slow) = (fib.register_reader(), fib.register_reader());
    let churn = |readers: &mut dyn FnMut()| {
        (0..400).try_for_each(|_| {
            fib.insert(host(0), 1)?;
            readers();
            fib.remove(host(0))?;
            readers();
            Ok(())
        })
    };
    let both = &mut || {
        fast.quiescent();
        slow.quiescent();
    };
    assert_eq!(churn(both), Ok(()));

    let stuck = churn(&mut || fast.quiescent());
    assert_eq!(stuck, Err(Fib4Error::Full { limit: SMALL, retired: 47 * 64 }));
    slow.quiescent();
    fib.remove(host(0)).unwrap();
    slow.offline();
    assert_eq!(churn(&mut || fast.quiescent()), Ok(()), "one that is offline holds nothing up");
    slow.quiescent();
    assert!(churn(&mut || fast.quiescent()).is_err());
    drop(slow);
    assert_eq!(churn(&mut || fast.quiescent()), Ok(()), "nor does one that is gone");
}

#[test]
fn memory_stays_bounded_over_many_updates() {
    let fib = Fib4::new(1 << 20).unwrap();
    let mut reader = fib.register_reader();
    let random = &mut Random(11);
    let mut oracle = Oracle::new();
    let mut most = 0;
    for step in 0..30_000 {
        let prefix = Prefix4::containing(a("10.0.0.0") + random.below(64 << 8) as u32, 24 + random.below(9) as u8);
        if random.below(2) == 0 {
            oracle.insert(prefix, 1 + step);
            fib.insert(prefix, 1 + step).unwrap();
        } else {
            oracle.remove(&prefix);
            fib.remove(prefix).unwrap();
        }
        if step % 16 == 0 {
            reader.quiescent();
        }
        let memory = fib.memory();
        most = most.max(memory.blocks_used + memory.retired);
    }
    // 64 blocks of 17 lines at most, and what 48 updates replace.
    assert!(most <= (64 + 48) * 17 * 64, "{most} bytes");
    compare(&fib, &oracle, &edges(oracle.keys().take(200)), "at the end");
    for prefix in oracle.into_keys() {
        fib.remove(prefix).unwrap();
        reader.quiescent();
    }
    fib.replace_all([]).unwrap();
    assert_eq!((fib.memory().blocks_used, fib.memory().retired), (0, 0));
}

#[test]
fn few_routes_commit_little() {
    let fib = Fib4::new(LIMIT).unwrap();
    let committed = || (fib.memory().level1, fib.memory().blocks);
    for prefix in ["0.0.0.0/0", "128.0.0.0/1", "10.0.0.0/8", "172.16.0.0/12"] {
        fib.insert(p(prefix), 1).unwrap();
    }
    assert_eq!(committed(), (0, 0), "short prefixes stay out of level 1");
    fib.insert(p("192.168.0.0/16"), 1).unwrap();
    assert_eq!(committed(), (2 << 20, 0));
    fib.insert(p("192.168.0.1/32"), 2).unwrap();
    assert_eq!(committed(), (2 << 20, 2 << 20));
    let memory = fib.memory();
    assert_eq!((memory.short, memory.blocks_used, memory.overflow, memory.retired), (16 << 10, 64, 0, 0));
    assert_eq!(memory.total(), (4 << 20) + (16 << 10) + memory.rib + memory.bookkeeping);
}
