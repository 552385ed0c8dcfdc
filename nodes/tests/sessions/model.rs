//! Random operations on a store, and on a map that does the same by looking at everything.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// A packet of a flow.
    Packet {
        flow: u8,
        reverse: bool,
    },
    /// Seconds pass.
    Wait(u16),
    Expire(u8),
    Remove(u8),
    /// Other time-outs of sessions without and with an answer, and another limit of sources.
    Change([u16; 2], Option<u32>),
}

/// What the model knows of a session.
#[derive(Clone, Debug)]
struct Known {
    handle: Handle,
    unreplied: bool,
    seen: u64,
}

const CAPACITY: usize = 12;
const TIMEOUTS: [u64; 2] = [120, 300];
const LIMIT: Option<u32> = Some(3);

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (0..20_u8, any::<bool>()).prop_map(|(flow, reverse)| Op::Packet { flow, reverse }),
        3 => (0..200_u16).prop_map(Op::Wait),
        1 => (0..20_u8).prop_map(Op::Expire),
        1 => (0..20_u8).prop_map(Op::Remove),
        1 => ([1..400_u16, 1..400_u16], prop::option::of(1..5_u32)).prop_map(|(timeouts, limit)| Op::Change(timeouts, limit)),
    ]
}

/// Both directions of a flow. Sources are shared by four flows each.
fn keys(flow: u8, pairing: Pairing) -> [Probe<Key4>; 2] {
    let forward = probe(&format!("10.0.0.{}:{flow} > 192.0.2.1:53 udp", flow % 5), Event::Datagram);
    let reverse = match pairing {
        Pairing::Symmetric => back(&forward, Event::Datagram),
        Pairing::Translated => probe(&format!("192.0.2.1:53 > 203.0.113.2:{} udp", 1000 + u16::from(flow)), Event::Datagram),
    };
    [forward, reverse]
}

struct Model {
    known: HashMap<u8, Known>,
    now: u64,
    timeouts: [u64; 2],
    limit: Option<u32>,
}

impl Model {
    /// In whole units of a store's clock, so that no rounding comes in.
    fn is_over(&self, known: &Known) -> bool {
        let unit = |time: u64| time >> 22;
        let timeout = self.timeouts[usize::from(!known.unreplied)];
        unit(self.now) - unit(known.seen) > (timeout * SECOND).div_ceil(1 << 22)
    }

    fn live(&self, flow: u8) -> Option<&Known> {
        self.known.get(&flow).filter(|known| !self.is_over(known))
    }
}

fn run(pairing: Pairing, ops: &[Op], seed: u64) {
    let make = |[udp_unreplied, udp]: [u64; 2], per_source: Option<u32>| -> Sessions<Key4> {
        let timeouts = Timeouts { udp_unreplied: seconds(udp_unreplied), udp: seconds(udp), ..Timeouts::default() };
        Sessions::new(Settings { per_source, timeouts, ..Settings::new(CAPACITY as u32, pairing) }, Seed::fixed(seed)).unwrap()
    };
    let mut store = make(TIMEOUTS, LIMIT);
    let mut model = Model { known: HashMap::new(), now: START, timeouts: TIMEOUTS, limit: LIMIT };
    for op in ops {
        // What has gone, by the flow whose number is its source port.
        let mut gone: Vec<(u8, Cause)> = Vec::new();
        let mut note = |session: &Session<Key4>, cause: Cause| gone.push((session.forward().flow().source_port as u8, cause));
        match *op {
            Op::Change(timeouts, limit) => {
                (model.timeouts, model.limit) = (timeouts.map(u64::from), limit);
                store.take_settings(&mut make(model.timeouts, model.limit), model.now);
            }
            Op::Wait(time) => model.now += u64::from(time) * SECOND,
            Op::Expire(budget) => {
                store.expire(model.now, budget.into(), &mut note);
            }
            Op::Remove(flow) => {
                if let Some(known) = model.known.remove(&flow) {
                    assert!(store.remove_one(known.handle, &mut |_, _| ()));
                    assert!(!store.remove_one(known.handle, &mut |_, _| ()), "a handle names one session");
                    assert!(store.by_handle(known.handle).is_none());
                }
            }
            Op::Packet { flow, reverse } => {
                let probes = keys(flow, pairing);
                let packet = &probes[usize::from(reverse)];
                let mut found = [Found::NONE; 256];
                store.look_up(&[*packet], &mut found);
                assert_eq!(found[0], store.find(&packet.key));
                // Either way, step by step and at once, is the same. Who asks for other data learns and changes nothing.
                let query = store.query(*packet);
                let mut told = [Tracked::Pass; 256];
                assert_eq!(store.follow(&[query], u32::from(flow) + 256, model.now, &mut told), 0);
                assert_eq!(told[0], Tracked::Unknown);
                let tracked = if flow % 2 == 0 {
                    store.track(found[0], packet.event, model.now)
                } else {
                    let passed = store.follow(&[query], flow.into(), model.now, &mut told);
                    assert_eq!(passed == 1, told[0] == Tracked::Pass);
                    told[0]
                };
                let live = model.live(flow).is_some();
                assert_eq!(tracked == Tracked::Pass, live, "{op:?}");
                if live {
                    let direction = if reverse { Direction::Reverse } else { Direction::Forward };
                    assert_eq!(found[0].direction(), direction);
                    let known = model.known.get_mut(&flow).unwrap();
                    assert_eq!(found[0].handle(), Some(known.handle));
                    known.seen = model.now;
                    known.unreplied &= !reverse;
                } else if !reverse {
                    let opening = Opening { probe: packet, reverse: probes[1].key, data: flow.into() };
                    let opened = store.open(opening, model.now, &mut note);
                    check_opened(&mut model, flow, opened, &gone);
                }
            }
        }
        for (flow, cause) in gone {
            // A flow that was opened anew has replaced its old session, which was over.
            let Some(known) = model.known.get(&flow) else { continue };
            if store.by_handle(known.handle).is_none() {
                assert_eq!(cause == Cause::Expired, model.is_over(known));
                model.known.remove(&flow);
            }
        }
        check_all(&store, &model);
    }
}

fn check_opened(model: &mut Model, flow: u8, opened: Result<Found, Refused>, gone: &[(u8, Cause)]) {
    // As it was before: what is over counts until it is removed.
    let of_source = model.known.keys().filter(|other| **other != flow && **other % 5 == flow % 5).count();
    match opened {
        Ok(found) => {
            assert!(model.limit.is_none_or(|limit| of_source < limit as usize));
            for (victim, cause) in gone.iter().filter(|(_, cause)| *cause == Cause::Evicted) {
                let victim_is_unreplied = model.known[victim].unreplied;
                // Nobody who was answered gives way while there is somebody who was not.
                let others = model.known.iter().filter(|(other, _)| *other != victim && **other != flow);
                assert!(others.into_iter().all(|(_, known)| victim_is_unreplied || !known.unreplied), "{victim} {cause:?}");
            }
            let handle = found.handle().unwrap();
            model.known.insert(flow, Known { handle, unreplied: true, seen: model.now });
        }
        Err(refused) => {
            assert_eq!(refused, Refused::SourceLimit);
            assert!(model.limit.is_some_and(|limit| of_source >= limit as usize));
        }
    }
}

fn check_all(store: &Sessions<Key4>, model: &Model) {
    assert_eq!(store.len(), model.known.len());
    let mut listed = Vec::new();
    assert_eq!(store.list(0, model.now, &Filter::default(), |handle, record| listed.push((handle, record))), None);
    assert_eq!(listed.len(), model.known.values().filter(|known| !model.is_over(known)).count());
    for (handle, record) in listed {
        let known = &model.known[&(record.data as u8)];
        assert_eq!((handle, record.state == State::UdpUnreplied), (known.handle, known.unreplied));
        assert_eq!(store.of_source(&Key4::of(&record.forward).unwrap()) as usize, {
            model.known.keys().filter(|flow| **flow % 5 == record.data as u8 % 5).count()
        });
    }
    let unreplied = model.known.values().filter(|known| known.unreplied).count() as u32;
    let counts = store.counts();
    assert_eq!((counts.udp, counts.tcp, counts.icmp, counts.other), (counts.sessions, 0, 0, 0));
    let states = [(State::UdpUnreplied, unreplied), (State::Udp, counts.sessions - unreplied)];
    assert_eq!(counts.states, Vec::from_iter(states.into_iter().filter(|(_, count)| *count > 0)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn as_a_map_would_do_it(translated: bool, ops in prop::collection::vec(op(), 1..250), seed: u64) {
        run(if translated { Pairing::Translated } else { Pairing::Symmetric }, &ops, seed);
    }
}
