//! Settings and what is wrong with them; all workers at once.

use super::*;
use swath_api::testkit::TestKit;

fn kit() -> TestKit {
    let kit = TestKit::new().interface("lan", "02:00:00:00:00:01", 1500, &["192.168.1.1/24", "192.168.1.129/25"]);
    kit.interface("wan", "02:00:00:00:00:02", 1400, &["203.0.113.2/30"])
}

#[test]
fn mistakes_are_told_with_their_place() {
    let table = [
        (
            r#"{"static": [{"address": "192.168.2.9", "mac": "02:00:00:00:00:09"}]}"#,
            "static[0].address",
            "`192.168.2.9` is on no interface's subnet",
        ),
        (r#"{"static": [{"address": "192.168.1.9", "mac": "03:00:00:00:00:09"}]}"#, "static[0].mac", "group address"),
        (r#"{"static": [{"address": "192.168.1.9", "mac": "02:00:00:00:00"}]}"#, "static[0].mac", ""),
        (
            r#"{"static": [{"address": "1.1.1.1", "mac": "02:00:00:00:00:09", "interface": "dmz"}]}"#,
            "static[0].interface",
            "unknown interface `dmz`",
        ),
        (r#"{"interfaces": ["lan", "dmz"]}"#, "interfaces[1]", "unknown interface `dmz`, expected one of `lan`, `wan`"),
        (r#"{"statik": []}"#, "statik", "unknown field"),
        (r#"{"limit": 0}"#, "limit", "`0` is not in 1 to 32768"),
        (r#"{"limit": 32769}"#, "limit", "`32769` is not in 1 to 32768"),
        (r#"{"retries": 0}"#, "retries", "`0` is not in 1 to 100"),
        (r#"{"requests": 0}"#, "requests", "at least `1pps`"),
        (r#"{"reachable-time": "99ms"}"#, "reachable-time", "`99ms` is not in `100ms` to `1d`"),
        (r#"{"stale-time": "2d"}"#, "stale-time", "`2d` is not in `0ns` to `1d`"),
        (r#"{"failed-time": "2h"}"#, "failed-time", "`2h` is not in `100ms` to `1h`"),
        (r#"{"retry-interval": "9ms"}"#, "retry-interval", "`9ms` is not in `10ms` to `1min`"),
        (r#"{"retry-interval": 1}"#, "retry-interval", "expected `1s` or `1ms`"),
    ];
    for (config, path, message) in table {
        let error = kit().try_table::<Neighbours>("arp", config).unwrap_err();
        assert_eq!(error.path(), path, "{error}");
        assert!(error.message().contains(message), "{error}");
    }
}

#[test]
fn an_address_belongs_to_the_longest_subnet() {
    let setup_and = |address: &str| {
        let interfaces = kit();
        let entry = format!(r#"{{"static": [{{"address": "{address}", "mac": "02:00:00:00:00:09"}}]}}"#);
        interfaces.try_table::<Neighbours>("arp", &entry).is_ok()
    };
    assert!(setup_and("192.168.1.200"));
    assert!(setup_and("203.0.113.1"));
    assert!(!setup_and("203.0.113.4"));
}

/// Four workers take in, learn, probe, give up and forget the same few neighbours all at once, and a fifth thread changes them by command.
#[test]
fn all_workers_at_once() {
    const WORKERS: u32 = 4;
    const ADDRESSES: u32 = 40;
    let table = table(WORKERS);
    let mac = |worker: u32, address: u32| MacAddr::new([2, 0, worker as u8, 0, 0, address as u8]);
    let work = |worker: u32| {
        let mut shard = table.shard(worker);
        let mut state = u64::from(worker) + 1;
        let mut random = |end: u64| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 33) % end
        };
        for sweep in 0..20_000_u64 {
            let now = sweep * 3_000_000;
            table.sync(&mut shard);
            for _ in 0..4 {
                let address = random(ADDRESSES.into()) as u32;
                let key = Key::new(0, address);
                match random(4) {
                    0 => drop(table.hear(worker, key, mac(worker, address), now, true)),
                    1 => drop(table.demand(worker, key, now)),
                    2 => table.age(now, 4, |request| assert!(u32::from(request.address) < ADDRESSES)),
                    _ => {}
                }
                if let Some(place) = table.host(0, address) {
                    // Within a sweep a place that was found leads to this neighbour or to nobody, whatever the others do.
                    shard.catch_up(&table);
                    let adjacency = shard.adjacencies()[place as usize];
                    let leads_to = adjacency.header[5];
                    assert!(adjacency.ready == 0 || u32::from(leads_to) == address, "{adjacency:?} for {address}");
                    assert_eq!(table.next_hop(place), Some(key));
                }
            }
        }
        table.rest(&mut shard);
    };
    std::thread::scope(|scope| {
        (0..WORKERS).for_each(|worker| drop(scope.spawn(move || work(worker))));
        scope.spawn(|| {
            for round in 0..2_000 {
                table.flush(None);
                assert!(table.adjacency(0, Ipv4Addr::from_bits(round % 8)).is_ok());
                table.show();
            }
        });
    });
    // Each neighbour has one place, each place one neighbour, and the next hops of routes are all there.
    let live: Vec<Key> = (1..table.entries.high())
        .filter_map(|place| {
            let entry = table.entries.get(place)?;
            entry.state().is_live().then(|| entry.key())
        })
        .collect();
    let different: std::collections::HashSet<Key> = live.iter().copied().collect();
    assert_eq!((live.len(), table.entries.used(0) as usize), (different.len(), live.len()));
    assert!((0..8).all(|address| different.contains(&Key::new(0, address))));
    for key in live {
        let (place, ..) = table.entries.look(key).unwrap();
        assert_eq!(table.next_hop(place), Some(key));
    }
}

/// A place is used again, but not before every worker has come to the end of the sweep in which it may have found it.
#[test]
fn places_are_used_again() {
    let table = table(2);
    let mac = MacAddr::new([2, 0, 0, 0, 0, 9]);
    let mut shards = [table.shard(0), table.shard(1)];
    let come_and_go = |count: u32, address: u32| {
        for address in (0..count).map(|at| address + at) {
            assert_eq!(table.hear(0, Key::new(0, address), mac, 0, true), Heard::Known);
            let (place, _, state) = table.entries.look(Key::new(0, address)).unwrap();
            assert!(table.forget(place, state));
        }
    };
    shards.iter_mut().for_each(|shard| table.sync(shard));
    come_and_go(100, 0);
    assert_eq!(table.entries.high(), 101, "no worker has come to its next sweep");
    table.sync(&mut shards[0]);
    come_and_go(100, 1000);
    assert_eq!(table.entries.high(), 201, "one has, and the other not");
    for _ in 0..10 {
        shards.iter_mut().for_each(|shard| table.sync(shard));
        come_and_go(20, 2000);
    }
    assert_eq!(table.entries.high(), 201);
    // A worker that rests finds nothing.
    table.rest(&mut shards[1]);
    for _ in 0..10 {
        table.sync(&mut shards[0]);
        come_and_go(20, 3000);
    }
    assert_eq!((table.entries.high(), table.entries.used(0)), (201, 0));
}

/// A table of so many workers with one interface.
fn table(workers: u32) -> Neighbours {
    let interface = Interface { name: "lan".into(), mac: MacAddr::new([2, 0, 0, 0, 1, 0]), mtu: 1500, addresses: Vec::new() };
    let times = serde_json::from_str::<Config>("{}").unwrap().times().unwrap();
    Neighbours {
        entries: Arc::new(Entries::new(PLACES, 1, workers, 42)),
        fixed: Vec::new(),
        same_links: false,
        in_use: true,
        defences: Defences::of(std::slice::from_ref(&interface)),
        interfaces: vec![interface],
        served: vec![0],
        limit: 1000,
        times: Times { reachable: 20_000_000, stale: 20_000_000, failed: 20_000_000, retry: 10_000_000, ..times },
        counts: (0..workers).map(|_| Counts::default()).collect(),
        aged: AtomicU32::new(0),
        clock: AtomicU64::new(0),
        proxies: Vec::new(),
        control: Mutex::new(()),
    }
}
