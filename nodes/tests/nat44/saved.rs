//! Sessions that are saved and restored: another gateway goes on with them as the first one would have.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::common::random::Rng;
use crate::packets::{Address, as_seen, ends, ping, pong, source, tcp, udp};
use crate::{A, B, Net, R, S, SECOND, X};

impl Net {
    /// All sessions as they are saved, worker by worker.
    pub fn saved(&mut self) -> Vec<Value> {
        let (mut all, mut worker, mut workers) = (Vec::new(), 0, 1);
        while worker < workers {
            let mut next = Some(0);
            while let Some(from) = next {
                let mut answer = self.ask(&json!({ "save": { "worker": worker, "from": from } }).to_string())["saved"].take();
                workers = answer["workers"].as_u64().expect("a number");
                next = answer["next"].as_u64();
                all.append(answer["sessions"].as_array_mut().expect("a list"));
            }
            worker += 1;
        }
        all
    }

    /// What becomes of sessions that were saved so long ago: how many were taken, and the others by reason.
    fn restored(&mut self, sessions: &[Value], elapsed: &str) -> (u64, Value) {
        // Its clock is not where that of the other was.
        let answer = self.ask(&json!({ "restore": { "sessions": sessions, "elapsed": elapsed } }).to_string());
        (answer["restored"]["restored"].as_u64().expect("a number"), answer["restored"]["not-taken"].clone())
    }
}

fn set(sessions: &[Value]) -> BTreeSet<String> {
    sessions.iter().map(Value::to_string).collect()
}

/// A busy gateway of each mode and number of workers is another one's beginning: packets of all flows go both ways as before, what was saved is
/// saved again, to the byte, and ports and blocks are as taken as they were.
#[test]
fn another_gateway_goes_on() {
    let mut rng = Rng::new();
    for (workers, nat) in [
        (1, ""),
        (3, ""),
        (2, "mapping: endpoint-dependent"),
        (1, "port-blocks: { size: 64, per-user: 4 }"),
        (4, "port-blocks: { size: 32, per-user: 8 }\n    filtering: endpoint-independent"),
        (2, "per-user: { ports: 40, sessions: 60 }\n    pool: [203.0.113.2, 203.0.113.8/30]\n    pooling: arbitrary"),
    ] {
        let nat = format!(
            "{nat}\n    static: [{{ inside: 192.168.1.11, outside: 203.0.113.2, protocol: tcp, port: 443 }}, {{ inside: 10.0.0.9, outside: 203.0.113.30 }}]"
        );
        let mut first = Net::with(workers, &nat);
        let mut flows = Vec::<(Vec<u8>, Vec<u8>)>::new();
        for _ in 0..400 {
            let host: Address = if rng.below(2) == 0 { A } else { [10, 0, 0, rng.below(12) as u8] };
            let (port, peer) = (2000 + rng.below(30) as u16, [R, S][rng.below(2)]);
            let packet = match rng.below(3) {
                0 => udp((host, port), (peer, 53)),
                1 => tcp((host, port), (peer, 80), "s"),
                _ => ping(host, peer, port),
            };
            let [_, left] = first.inside(std::slice::from_ref(&packet));
            flows.extend(left.into_iter().map(|left| (packet.clone(), left)));
            first.wait(SECOND / 50);
        }
        assert!(flows.len() > 100, "{}", flows.len());
        let inbound = tcp((S, 9), (X, 443), "s");
        let seen = first.enters(&inbound);
        let saved = first.saved();
        let mut second = Net::with(workers, &nat);
        second.wait(SECOND * 1000);
        let (taken, not_taken) = second.restored(&saved, "0s");
        assert_eq!((taken as usize, not_taken), (saved.len(), json!({})), "{nat}");
        assert_eq!(set(&second.saved()).len(), saved.len());
        let (one, other) = (first.ask(r#"{"show": {}}"#), second.ask(r#"{"show": {}}"#));
        assert_eq!(one, other, "{nat}");
        let mut third = Net::with(workers, &nat);
        let again = second.saved();
        assert_eq!(third.restored(&again, "0s").0 as usize, saved.len());
        let mut fourth = Net::with(workers, &nat);
        assert_eq!(fourth.restored(&sorted(&again), "0s").0 as usize, saved.len());
        for net in [&mut second, &mut third, &mut fourth] {
            for (packet, left) in &flows {
                let answer = match packet[9] {
                    17 => udp(ends(left).1, ends(left).0),
                    6 => tcp(ends(left).1, ends(left).0, "sa"),
                    _ => pong(ends(left).1.0, ends(left).0.0, ends(left).0.1),
                };
                // Hosts that the gateway knows where to find: all are behind one of two.
                assert_eq!(net.enters(&answer), as_seen(&answer, None, Some(source(packet))), "{nat}");
                assert_eq!(source(&net.leaves(packet)), source(left), "{nat}");
            }
            assert_eq!(net.enters(&inbound), seen, "{nat}");
        }
    }
}

/// In another order, for places need not be the same.
fn sorted(sessions: &[Value]) -> Vec<Value> {
    set(sessions).iter().map(|text| serde_json::from_str(text).expect("JSON")).collect()
}

/// Time goes on while nobody has them.
#[test]
fn what_has_lasted_long_enough_does_not_come_back() {
    let mut first = Net::new("");
    first.leaves(&udp((A, 4000), (R, 53)));
    first.wait(SECOND * 50);
    first.leaves(&udp((B, 4000), (R, 53)));
    let saved = first.saved();
    let mut second = Net::new("");
    assert_eq!(second.restored(&saved, "80s"), (1, json!({ "over": 1 })));
    assert_eq!(second.sessions(), 1);
    let port = ends(&first.leaves(&udp((B, 4000), (R, 53)))).0.1;
    // Of the 120 s it has 40 left.
    second.wait(SECOND * 38);
    assert_eq!(second.sessions(), 1);
    second.wait(SECOND * 5);
    assert_eq!(second.sessions(), 0);
    second.kept_out(&[udp((R, 53), (X, port))], "dnat.no-session");
    assert_eq!(second.restored(&saved, "100d"), (0, json!({ "over": 2 })));
}

/// What the settings do not allow, and what would be in somebody's way, is left out, and counted by reason.
#[test]
fn what_does_not_fit_is_left_out() {
    let mut first = Net::new("pool: [203.0.113.2]");
    for host in 0..10 {
        first.leaves(&udp(([10, 0, 0, host], 4000 + u16::from(host)), (R, 53)));
        first.leaves(&udp(([10, 0, 0, host], 4000 + u16::from(host)), (S, 53)));
    }
    let saved = first.saved();
    assert_eq!(saved.len(), 20);
    for (nat, taken, not_taken) in [
        ("pool: [203.0.113.9]", 0, json!({ "not-allowed": 20 })),
        ("pool: ['203.0.113.2:4003-4999']", 14, json!({ "not-allowed": 6 })),
        ("inside-prefixes: [10.0.0.8/29]", 4, json!({ "not-allowed": 16 })),
        ("static: [{ inside: 10.0.0.1, protocol: udp, port: 4004 }]", 18, json!({ "not-allowed": 2 })),
        ("sessions: { capacity: 7 }", 7, json!({ "full": 13 })),
        ("per-user: { sessions: 1 }", 10, json!({ "user-limit": 10 })),
        ("port-blocks: { size: 64, per-user: 1 }", 2, json!({ "taken": 18 })),
    ] {
        let nat = if nat.contains("inside-prefixes") { String::new() } else { nat.to_string() };
        let graph = crate::graph(1, &nat);
        let graph = if taken == 4 { graph.replace("[192.168.1.0/24, 10.0.0.0/8]", "[10.0.0.8/29]") } else { graph };
        let mut second = Net::of(&graph);
        assert_eq!(second.restored(&saved, "1s"), (taken, not_taken), "{nat}");
        assert_eq!(second.sessions(), taken, "{nat}");
        // Nothing of those that were left out stays: with the sessions go all ports.
        assert_eq!(second.ask(r#"{"end-sessions": {"which": {}}}"#)["ended"]["sessions"], taken);
        let shown = second.ask(r#"{"show": {}}"#)["table"].clone();
        let fixed = u64::from(nat.contains("static"));
        assert_eq!(shown["ports"].as_u64(), shown["ports-free"].as_u64().map(|free| free + fixed), "{nat}");
        assert_eq!(shown["mappings"], 0, "{nat}");
    }
    // Somebody has the port, or the session, already.
    let mut second = Net::new("pool: [203.0.113.2]");
    let outside = source(&second.leaves(&udp(([10, 0, 0, 99], 4005), (R, 53))));
    assert_eq!(outside.1, 4005);
    assert_eq!(second.restored(&saved, "1s"), (18, json!({ "taken": 2 })));
    assert_eq!(second.restored(&saved, "1s"), (0, json!({ "taken": 20 })));
    // What is no session at all.
    let bad = [("forward", "destination"), ("reverse", "source")].map(|(side, end)| {
        let mut bad = saved[0].clone();
        bad[side][end] = json!("10.0.0.77");
        bad
    });
    let mut state = saved[1].clone();
    state["state"] = json!("tcp-established");
    assert_eq!(Net::new("").restored(&[bad[0].clone(), bad[1].clone(), state], "1s"), (0, json!({ "malformed": 3 })));
}

/// More than one answer has.
#[test]
fn many_sessions_come_in_parts() {
    let many = "sessions: { capacity: 65536 }";
    let mut first = Net::with(2, many);
    let packets: Vec<Vec<u8>> =
        (0..40_000_u16).map(|at| udp(([10, 1, (at / 200) as u8, (at % 200) as u8], 4000), (R, 53))).collect();
    for part in packets.chunks(2000) {
        first.inside(part);
    }
    let saved = first.saved();
    assert_eq!((saved.len() as u64, set(&saved).len()), (first.sessions(), saved.len()));
    assert!(saved.len() > 39_000);
    let mut second = Net::with(2, many);
    assert_eq!(second.restored(&saved, "0s"), (saved.len() as u64, json!({})));
    assert_eq!(second.sessions(), saved.len() as u64);
}
