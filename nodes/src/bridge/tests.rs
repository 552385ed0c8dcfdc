//! The table: its settings, its commands, and what it holds while several workers write.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;

use swath_api::testkit::{NodeKit, TestKit};

use super::control::PAGE;
use super::stations::Station;
use super::*;
use crate::bridge_input::BridgeInput;

fn interfaces() -> TestKit {
    let kit = TestKit::new().interface("a", "02:00:00:00:00:0a", 1500, &[]).interface("b", "02:00:00:00:00:0b", 1500, &[]);
    kit.interface("c", "02:00:00:00:00:0c", 1500, &[])
}

fn kit(config: &str) -> NodeKit {
    interfaces().table::<Bridge>("bridge", config).node::<BridgeInput>("{}").unwrap()
}

/// Lets a station, given by its last two bytes, be heard.
fn hear(kit: &mut NodeKit, rx: u16, number: u16) {
    let mut frame = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 1];
    frame.extend(number.to_be_bytes());
    frame.resize(60, 0);
    assert_eq!(kit.one(&frame, Lane::received(rx)).edge, "flood");
}

fn show(kit: &NodeKit, command: &str) -> serde_json::Value {
    serde_json::from_str(&kit.command("bridge", command).unwrap()).unwrap()
}

#[test]
fn mistakes_are_told_with_their_place() {
    let table = [
        (r#"{"interfaces": ["a"]}"#, "interfaces", "two interfaces at least"),
        (r#"{"interfaces": ["a", "b", "a"]}"#, "interfaces[2]", "named twice"),
        (r#"{"interfaces": ["a", "d"]}"#, "interfaces[1]", "unknown interface `d`, expected one of `a`, `b`, `c`"),
        (r#"{"entries": 0}"#, "entries", "1 to 1048576 stations, and not 0"),
        (r#"{"entries": 1048577}"#, "entries", "1 to 1048576"),
        (r#"{"ageing": "0s"}"#, "ageing", "`1s` to `1000000s`, and not in `0"),
        (r#"{"ageing": "12d"}"#, "ageing", "`1s` to `1000000s`"),
        (r#"{"ageing": 300}"#, "ageing", "`300s`"),
        (
            r#"{"interfaces": ["a", "b"], "static": [{"mac": "02:00:00:00:01:01", "interface": "c"}]}"#,
            "static[0].interface",
            "it has `a`, `b`",
        ),
        (r#"{"static": [{"mac": "03:00:00:00:01:01", "interface": "c"}]}"#, "static[0].mac", "not the address of one station"),
        (r#"{"static": [{"mac": "00:00:00:00:00:00", "interface": "c"}]}"#, "static[0].mac", "not the address of one station"),
        (r#"{"static": [{"mac": "02:00:00:00:00:0b", "interface": "c"}]}"#, "static[0].mac", "the bridge's own interfaces"),
        (r#"{"static": [{"mac": "02:00:00:00:01:01", "interface": "c", "vlan": 4095}]}"#, "static[0].vlan", "1 to 4094"),
        (
            r#"{"static": [{"mac": "02:00:00:00:01:01", "interface": "c"}, {"mac": "02:00:00:00:01:01", "interface": "b"}]}"#,
            "static[1]",
            "named twice",
        ),
        (
            r#"{"entries": 1, "static": [{"mac": "02:00:00:00:01:01", "interface": "c"}, {"mac": "02:00:00:00:01:02", "interface": "b"}]}"#,
            "",
            "all 1 entries are in use",
        ),
        (r#"{"aging": "300s"}"#, "aging", "unknown field"),
    ];
    for (config, path, message) in table {
        let error = interfaces().try_table::<Bridge>("bridge", config).unwrap_err();
        assert_eq!(error.path(), path, "{error}");
        assert!(error.message().contains(message), "{error}");
    }
    let one = TestKit::new().interface("a", "02:00:00:00:00:0a", 1500, &[]);
    assert!(one.try_table::<Bridge>("bridge", "{}").unwrap_err().message().contains("two interfaces"));
    let second = interfaces().table::<Bridge>("bridge", "{}").try_table::<Bridge>("other", "{}").unwrap_err();
    assert!(second.message().contains("say in `interfaces`"), "{second}");
}

#[test]
fn commands() {
    let mut kit = kit(r#"{"static": [{"mac": "02:00:00:01:00:07", "interface": "c", "vlan": 5}]}"#);
    let refused = |kit: &NodeKit, command: &str| kit.command("bridge", command).unwrap_err().to_string();
    hear(&mut kit, 0, 1);
    hear(&mut kit, 0, 2);
    hear(&mut kit, 1, 2);
    kit.tick(10_000_000_000);
    hear(&mut kit, 1, 3);
    let expected = serde_json::json!({"stations": {
        "stations": [
            {"mac": "02:00:00:01:00:01", "vlan": 0, "interface": "a", "age": 9},
            {"mac": "02:00:00:01:00:02", "vlan": 0, "interface": "b", "age": 9},
            {"mac": "02:00:00:01:00:03", "vlan": 0, "interface": "b", "age": 0},
            {"mac": "02:00:00:01:00:07", "vlan": 5, "interface": "c"},
        ],
        "next": null, "used": 4, "capacity": 16384, "learnt": 3, "moved": 1, "refused": 0,
    }});
    assert_eq!(collected(&kit, "")["stations"], expected["stations"]["stations"]);
    assert_eq!(collected(&kit, "")["moved"], 1);
    let of = |kit: &NodeKit, interface: &str| {
        collected(kit, &format!(r#", "interface": "{interface}""#))["stations"].as_array().unwrap().len()
    };
    assert_eq!((of(&kit, "a"), of(&kit, "b"), of(&kit, "c")), (1, 2, 1));

    assert_eq!(kit.command("bridge", r#"{"add": {"mac": "02:00:00:01:00:02", "interface": "c"}}"#).unwrap(), r#"{"done":{}}"#);
    hear(&mut kit, 1, 2);
    assert_eq!((of(&kit, "b"), of(&kit, "c")), (1, 2), "static in the place of what was learnt");
    assert_eq!(kit.command("bridge", r#"{"remove": {"mac": "02:00:00:01:00:07", "vlan": 5}}"#).unwrap(), r#"{"done":{}}"#);
    assert_eq!(
        refused(&kit, r#"{"remove": {"mac": "02:00:00:01:00:07", "vlan": 5}}"#),
        "mac: 02:00:00:01:00:07 is not known in VLAN 5"
    );
    assert_eq!(
        refused(&kit, r#"{"flush": {"interface": "d"}}"#),
        "interface: the bridge has no interface `d`; it has `a`, `b`, `c`"
    );

    let flush = |kit: &NodeKit, what: &str| show(kit, &format!(r#"{{"flush": {{{what}}}}}"#))["flushed"]["stations"].clone();
    assert_eq!(flush(&kit, r#""vlan": 5"#), 0);
    assert_eq!(flush(&kit, r#""interface": "b""#), 1);
    assert_eq!(flush(&kit, ""), 1);
    assert_eq!(collected(&kit, "")["used"], 1, "the static one stays");
}

/// All pages of an answer as one, which are in the order of the addresses.
fn collected(kit: &NodeKit, more: &str) -> serde_json::Value {
    let mut stations = Vec::new();
    let mut from = 0;
    loop {
        let mut page = show(kit, &format!(r#"{{"show": {{"from": {from}{more}}}}}"#))["stations"].take();
        let listed = page["stations"].as_array().unwrap();
        assert!(listed.len() < PAGE + 4, "an answer of {} stations", listed.len());
        stations.extend(listed.iter().cloned());
        match page["next"].as_u64() {
            Some(next) => from = next,
            None => {
                stations.sort_by_key(|station| station["mac"].to_string());
                page["stations"] = stations.into();
                return page;
            }
        }
    }
}

#[test]
fn many_stations_are_shown_in_pages() {
    let mut kit = kit(r#"{"entries": 5000}"#);
    for number in 0..6000 {
        hear(&mut kit, number % 3, number);
    }
    let all = collected(&kit, "");
    let macs: HashSet<String> = all["stations"].as_array().unwrap().iter().map(|station| station["mac"].to_string()).collect();
    assert_eq!((macs.len(), &all["used"], &all["learnt"], &all["refused"]), (5000, &5000.into(), &5000.into(), &1000.into()));
}

#[test]
fn what_is_old_makes_room() {
    let mut kit = kit(r#"{"entries": 1000, "ageing": "10s"}"#);
    (0..1000).for_each(|number| hear(&mut kit, 0, number));
    hear(&mut kit, 0, 1000);
    assert_eq!(collected(&kit, "")["refused"], 1);
    kit.tick(11_000_000_000);
    assert_eq!(collected(&kit, "")["stations"].as_array().unwrap().len(), 0, "old ones are not shown");
    // A tick sweeps a slice.
    assert!(collected(&kit, "")["used"].as_u64().unwrap() > 500);
    (0..4).for_each(|_| kit.tick(11_000_000_000));
    hear(&mut kit, 0, 1000);
    assert_eq!((&collected(&kit, "")["used"], &collected(&kit, "")["learnt"]), (&1.into(), &1001.into()));
}

#[test]
fn every_number_of_stations_finds_room() {
    for capacity in [1, 2, 3, 64, 1000, 1 << 16] {
        let stations = Stations::new(capacity, 10, RandomState::new().hash_one(capacity));
        let key = |number: u32| Key::new(0x0200_0000_0000 | u64::from(number), 7);
        for number in 0..capacity {
            assert_eq!(stations.hear(key(number), 1, Moment(0), || true), Heard::New, "{number} of {capacity}");
        }
        assert_eq!(stations.hear(key(capacity), 1, Moment(0), || true), Heard::Full);
        assert!((0..capacity).all(|number| stations.port(key(number), Moment(10)) == Some(1)));
    }
}

fn all(stations: &Stations) -> Vec<Station> {
    (0..stations.buckets()).flat_map(|bucket| stations.bucket(bucket, Moment(0))).collect()
}

#[test]
fn workers_that_learn_at_once_corrupt_nothing() {
    const KEYS: u64 = 6;
    const ROUNDS: u32 = 400_000;
    // Few buckets and entries, so that all meet; a port tells whose entry it is.
    let stations = Stations::new(4, 1_000_000, RandomState::new().hash_one(0));
    let (running, full) = (AtomicBool::new(true), AtomicU64::new(0));
    let key = |number: u64| Key::new(0x0200_0000_0000 | number << 8 | 2, (number % 3) as u16);
    let check = |number: u64, port: u16| assert_eq!(u64::from(port) / 4, number, "the port of another station");
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2u64)
            .map(|worker| {
                let (stations, full) = (&stations, &full);
                scope.spawn(move || {
                    let mut random = worker + 1;
                    for round in 0..ROUNDS {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        let (number, now) = ((random >> 33) % KEYS, Moment(round / 8));
                        let of_this = |station: Station| station.key == key(number);
                        match random >> 60 {
                            0..4 => drop(stations.remove(key(number), now)),
                            4 => drop(stations.fix(key(number), (number * 4) as u16)),
                            5 => drop(stations.forget(0..stations.buckets(), of_this)),
                            _ => {
                                let heard = stations.hear(key(number), (number * 4 + worker) as u16, now, || true);
                                full.fetch_add(u64::from(heard == Heard::Full), Ordering::Relaxed);
                            }
                        }
                        stations.port(key(random >> 40 & 3), now).into_iter().for_each(|port| check(random >> 40 & 3, port));
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while running.load(Ordering::Relaxed) {
                for number in 0..KEYS {
                    stations.port(key(number), Moment(0)).into_iter().for_each(|port| check(number, port));
                }
                all(&stations).iter().for_each(|station| check(station.key.address() >> 8 & 0xff, station.port));
            }
        });
        let results: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        running.store(false, Ordering::Relaxed);
        assert!(results.iter().all(Result::is_ok));
    });
    let found: HashSet<u64> = all(&stations).iter().map(|station| station.key.0).collect();
    assert_eq!((all(&stations).len(), stations.used() as usize), (found.len(), found.len()), "a station has one entry");
    assert!(full.load(Ordering::Relaxed) > 0, "the table was never full");
}
