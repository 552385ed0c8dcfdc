//! What happens when there is no room; lists, what is saved, and what a million sessions take.

use super::*;

fn udp(number: u32) -> Probe<Key4> {
    let source = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number);
    probe(&format!("{source}:4000 > 192.0.2.1:53 udp"), Event::Datagram)
}

#[test]
fn who_gives_way() {
    // In the order in which they do: one session of each kind, the older ones last.
    let flows: [(&str, &[(Direction, Event)]); 8] = {
        use Direction::{Forward as F, Reverse as R};
        use Event::*;
        [
            ("10.0.0.1:1 > 192.0.2.1:80 tcp", &[(F, Syn), (R, Rst)]),
            ("10.0.0.2:1 > 192.0.2.1:80 tcp", &[(F, Syn), (R, SynAck), (F, Ack), (F, Fin), (R, Fin)]),
            ("10.0.0.3:1 > 192.0.2.1:80 tcp", &[(F, Syn), (R, SynAck)]),
            ("10.0.0.4:1 > 192.0.2.1:53 udp", &[(F, Datagram)]),
            ("10.0.0.5:1 > 192.0.2.1:1 icmp", &[(F, Query)]),
            ("10.0.0.6:0 > 192.0.2.1:0 gre", &[(F, Datagram)]),
            ("10.0.0.7:1 > 192.0.2.1:53 udp", &[(F, Datagram), (R, Datagram)]),
            ("10.0.0.8:1 > 192.0.2.1:80 tcp", &[(F, Syn), (R, SynAck), (F, Ack)]),
        ]
    };
    let mut store = store(|settings| settings.capacity = 8);
    for (flow, events) in flows.iter().rev() {
        let first = probe(flow, events[0].1);
        open(&mut store, &first, START).unwrap();
        for (direction, event) in &events[1..] {
            let key = if *direction == Direction::Forward { first.key } else { first.key.reversed() };
            assert_eq!(store.track(store.find(&key), *event, START), Tracked::Pass);
        }
    }
    // Newcomers that are established at once, so that they do not give way themselves.
    let mut order = Vec::new();
    for number in 0..8_u16 {
        let first = probe(&format!("10.1.0.1:{number} > 192.0.2.1:80 tcp"), Event::Syn);
        let mut gone = |session: &Session<Key4>, cause: Cause| {
            assert_eq!(cause, Cause::Evicted);
            order.push(session.forward().flow().to_string());
        };
        let opened = store.open(Opening::symmetric(&first, 0), START + SECOND, &mut gone);
        if number == 7 {
            assert_eq!(opened, Err(Refused::Full), "established TCP never gives way");
            continue;
        }
        store.track(store.find(&first.key.reversed()), Event::SynAck, START + SECOND);
        store.track(opened.unwrap(), Event::Ack, START + SECOND);
    }
    assert_eq!(order, flows[..7].iter().map(|(flow, _)| *flow).collect::<Vec<_>>());
    assert_eq!((store.totals().evicted, store.totals().full, store.totals().opened), (7, 1, 15));
    // When they are over they do.
    assert!(open(&mut store, &udp(1), START + 8000 * SECOND).is_ok());
    assert_eq!((store.totals().evicted, store.totals().expired), (7, 1));
}

#[test]
fn of_one_kind_the_oldest() {
    let mut store = store(|settings| settings.capacity = 10);
    // 4 s apart, which is more than a slot of 120 s / 128.
    for number in 0..10 {
        open(&mut store, &udp(number), START + u64::from(number) * 4 * SECOND).unwrap();
    }
    // The oldest speaks again.
    let now = START + 50 * SECOND;
    assert_eq!(store.track(store.find(&udp(0).key), Event::Datagram, now), Tracked::Pass);
    let mut order = Vec::new();
    for number in 10..14 {
        let mut gone = |session: &Session<Key4>, _: Cause| order.push(session.forward());
        store.open(Opening::symmetric(&udp(number), 0), now, &mut gone).unwrap();
    }
    assert_eq!(order, [1, 2, 3, 4].map(|number| udp(number).key));
}

#[test]
fn the_limit_of_a_source_is_exact() {
    let mut store = store(|settings| settings.per_source = Some(2));
    let of = |port: u16, zone: u16| probe(&format!("10.0.0.5:{port} > 192.0.2.1:53 udp zone {zone}"), Event::Datagram);
    let first = open(&mut store, &of(1, 0), START).unwrap();
    open(&mut store, &of(2, 0), START).unwrap();
    assert_eq!(open(&mut store, &of(3, 0), START), Err(Refused::SourceLimit));
    assert_eq!(open(&mut store, &of(2, 0), START), Err(Refused::Taken));
    assert!(open(&mut store, &of(3, 1), START).is_ok(), "another zone is another source");
    assert!(store.remove_one(first.handle().unwrap(), &mut |_, _| ()));
    assert_eq!(store.of_source(&of(9, 0).key), 1);
    assert!(open(&mut store, &of(3, 0), START).is_ok());
    assert_eq!((store.of_source(&of(9, 0).key), store.of_source(&of(9, 1).key), store.totals().source_limit), (2, 1, 1));
}

#[test]
fn lists_go_in_steps_and_what_is_saved_comes_back() {
    let mut store = store(|settings| settings.capacity = 1000);
    (0..1000).for_each(|number| _ = open(&mut store, &udp(number), START).unwrap());
    let now = START + 20 * SECOND;
    store.track(store.find(&udp(7).key.reversed()), Event::Datagram, now);
    let (mut saved, mut cursor, mut steps) = (Vec::new(), Some(0), Vec::new());
    while let Some(at) = cursor {
        let before = saved.len();
        cursor = store.list(at, now, &Filter::default(), |_, record| saved.push(record));
        steps.push(saved.len() - before);
    }
    assert_eq!(steps, [256, 256, 256, 232]);
    let text = serde_json::to_string(&saved).unwrap();
    let mut other: Sessions<Key4> = Sessions::new(Settings::new(1000, Pairing::Symmetric), Seed::fixed(9)).unwrap();
    // Another process, whose clock begins anew.
    for record in serde_json::from_str::<Vec<Record>>(&text).unwrap() {
        other.restore(&record, 100 * SECOND, &mut |_, _| ()).unwrap();
    }
    let mut again = Vec::new();
    let mut cursor = Some(0);
    while let Some(at) = cursor {
        cursor = other.list(at, 100 * SECOND, &Filter::default(), |_, record| again.push(record));
    }
    assert_eq!((again == saved, other.counts()), (true, store.counts()));
    // 100 s of the 120 s are left of those that were not answered.
    assert_eq!(other.expire(199 * SECOND, 2000, &mut |_, _| ()), 0);
    assert_eq!(other.expire(203 * SECOND, 2000, &mut |_, _| ()), 999);
    let bad = Record { state: State::TcpSyn, ..saved[0] };
    assert_eq!(other.restore(&bad, 100 * SECOND, &mut |_, _| ()), Err(Refused::BadRecord));

    let filter: Filter = serde_json::from_str(r#"{"address": "10.0.0.9", "port": 53}"#).unwrap();
    let mut removed = Vec::new();
    assert_eq!(store.remove_where(0, &filter, &mut |session, cause| removed.push((session.forward(), cause))), Some(257));
    assert_eq!((removed, store.len()), (vec![(udp(9).key, Cause::Removed)], 999));
}

#[test]
fn fragments_follow_the_first_and_the_oldest_packet_is_forgotten() {
    let mut fragments: Fragments<Key4> = Fragments::new(3, seconds(2), Seed::fixed(1)).unwrap();
    let packet = |id: u16| Key4::fragment(0x0a00_0005_c000_0201, id, swath_api::wire::IpProtocol::UDP, 0);
    (1..=4).for_each(|id| fragments.learn(packet(id), udp(id.into()).key, START));
    assert_eq!(fragments.find(&packet(1), START), None);
    for id in 2..=4 {
        assert_eq!(fragments.find(&packet(id), START + SECOND), Some(udp(id.into()).key));
        assert_eq!(fragments.find(&packet(id), START + 3 * SECOND), None);
    }
    fragments.learn(packet(2), udp(9).key, START + 3 * SECOND);
    assert_eq!(fragments.find(&packet(2), START + 3 * SECOND), Some(udp(9).key));
}

/// Of a thousand sessions, those that are over so long after the start, looked at in steps.
fn over(store: &mut Sessions<Key4>, after: u64) -> usize {
    let before = store.len();
    while store.expire(START + after * SECOND, 100, &mut |_, _| ()) > 0 {}
    before - store.len()
}

#[test]
fn other_timeouts_hold_for_the_sessions_that_are_there() {
    let with = |unreplied| store(|settings| (settings.capacity, settings.timeouts.udp_unreplied) = (1000, seconds(unreplied)));
    let mut store = with(120);
    (0..1000).for_each(|number| _ = open(&mut store, &udp(number), START).unwrap());
    store.take_settings(&mut with(10), START + 5 * SECOND);
    assert_eq!((over(&mut store, 9), over(&mut store, 11)), (0, 1000));
    // Twice at once, and there and back; those that are removed in between are in no slot.
    (0..1000).for_each(|number| _ = open(&mut store, &udp(number), START).unwrap());
    for (number, timeout) in [(3, 1000), (1, 2), (4, 500)] {
        store.take_settings(&mut with(timeout), START + SECOND);
        let handle = store.find(&udp(number).key).handle().unwrap();
        assert!(store.remove_one(handle, &mut |_, _| ()));
    }
    assert_eq!((over(&mut store, 499), over(&mut store, 505)), (0, 997));
}

#[test]
fn a_million_sessions() {
    let mut store: Sessions<Key4> = Sessions::new(Settings::new(1_000_000, Pairing::Symmetric), Seed::random()).unwrap();
    assert!(store.memory() < 100, "nothing is used at first");
    (0..1_000_000).for_each(|number| assert!(open(&mut store, &udp(number), START).is_ok()));
    println!("{} bytes per session", store.memory() / 1_000_000);
    // A line each, and 2^19 lines of the index.
    assert_eq!(store.memory(), (1_000_001 + (1 << 19)) * 64);
    assert!((0..1_000_000).step_by(997).all(|number| store.find(&udp(number).key.reversed()).direction() == Direction::Reverse));
    // In steps of 256, whatever is due.
    let mut steps = 0;
    while store.expire(START + 125 * SECOND, 256, &mut |_, _| ()) > 0 {
        steps += 1;
    }
    assert_eq!((steps, store.len()), (1_000_000_usize.div_ceil(256), 0));
}
