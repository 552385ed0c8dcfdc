//! Hosts and ports that commands add and remove while sessions last: as other settings would do it.

use crate::packets::{as_seen, ping, pong, source, tcp, udp};
use crate::{A, Address, B, Net, R, S, X};

const OWN: Address = [203, 0, 113, 9];

impl Net {
    fn refused(&mut self, command: &str) -> String {
        self.rig.engine().command("nat", command).expect_err("it is refused").to_string()
    }

    fn add(&mut self, forward: &str) {
        assert_eq!(self.ask(&format!(r#"{{"add-forward": {forward}}}"#)), serde_json::json!({ "done": {} }));
    }

    fn remove(&mut self, outside: &str) {
        assert_eq!(self.ask(&format!(r#"{{"remove-forward": {outside}}}"#)), serde_json::json!({ "done": {} }));
    }

    fn forwards(&mut self) -> String {
        self.ask(r#"{"forwards": {}}"#)["forwards"]["forwards"].to_string()
    }
}

#[test]
fn a_port_is_forwarded_and_then_it_is_not() {
    for workers in [1, 3] {
        for nat in ["", "mapping: endpoint-dependent", "port-blocks: { size: 64 }", "deterministic: { ports: 100 }"] {
            // Of the ports of one address, only so many hosts have a hundred.
            let mut net = Net::of(&crate::graph(workers, nat).replace("192.168.1.0/24, 10.0.0.0/8", "192.168.1.0/24"));
            let asks = tcp((R, 9), (X, 8443), "s");
            net.kept_out(std::slice::from_ref(&asks), "dnat.no-session");
            net.add(r#"{"inside": "192.168.1.11", "protocol": "tcp", "port": 8443, "inside-port": 443}"#);
            assert_eq!(
                net.forwards(),
                r#"[{"inside":"192.168.1.11","outside":"203.0.113.2","protocol":"tcp","port":8443,"inside-port":443}]"#
            );
            assert_eq!(net.enters(&asks), as_seen(&asks, None, Some((B, 443))), "{nat}");
            let answer = tcp((B, 443), (R, 9), "sa");
            assert_eq!(net.leaves(&answer), as_seen(&answer, Some((X, 8443)), None));
            // UDP of the same number is another port.
            net.kept_out(&[udp((R, 9), (X, 8443))], "dnat.no-session");
            // What begins at the port inside has the port outside, too.
            let own = tcp((B, 443), (S, 7), "s");
            assert_eq!(net.leaves(&own), as_seen(&own, Some((X, 8443)), None));
            net.remove(r#"{"protocol": "tcp", "port": 8443}"#);
            assert_eq!(net.forwards(), "[]");
            // Its sessions end with their next packets.
            net.kept_out(&[tcp((R, 9), (X, 8443), "a")], "dnat.no-session");
            net.kept_in(&[tcp((B, 443), (R, 9), "a")], "snat.no-session");
            net.kept_out(&[asks], "dnat.no-session");
        }
    }
}

#[test]
fn a_port_that_somebody_has_is_taken_from_it() {
    for workers in [1, 3] {
        let mut net = Net::with(workers, "");
        let hosts: Vec<(Address, u16)> = (0..40).map(|at| ([10, 0, 0, at], 4000)).collect();
        let outside: Vec<(Address, u16)> = hosts.iter().map(|host| source(&net.leaves(&udp(*host, (R, 53))))).collect();
        let (gone, port) = (hosts[17], outside[17].1);
        net.add(&format!(r#"{{"inside": "192.168.1.11", "protocol": "udp", "port": {port}}}"#));
        let packet = udp((R, 53), (X, port));
        assert_eq!(net.enters(&packet), as_seen(&packet, None, Some((B, port))));
        for (host, end) in hosts.iter().zip(&outside) {
            let now = source(&net.leaves(&udp(*host, (R, 53))));
            assert_eq!(now == *end, *host != gone, "{host:?}: {end:?} is {now:?}");
        }
        // Nobody gets it as long as it is forwarded, and who has it by rights goes on.
        assert_ne!(source(&net.leaves(&udp(([10, 1, 0, 1], port), (R, 53)))).1, port);
        assert_eq!(net.leaves(&udp((B, port), (R, 53))), as_seen(&udp((B, port), (R, 53)), Some((X, port)), None));
        net.remove(&format!(r#"{{"protocol": "udp", "port": {port}}}"#));
        net.kept_out(&[packet], "dnat.no-session");
        // Then one of the worker that has the port may get it.
        let again = (0..=255).any(|host| source(&net.leaves(&udp(([10, 2, 0, host], port), (R, 53)))).1 == port);
        assert!(again, "{workers} workers");
    }
}

/// Of each port at each time there is one owner, whatever comes and goes.
#[test]
fn all_ports_are_still_given_away_once() {
    let mut net = Net::new("pool: ['203.0.113.2:2000-2099']");
    for round in 0..5_u8 {
        net.add(&format!(r#"{{"inside": "192.168.1.11", "protocol": "udp", "port": {}}}"#, 2000 + u16::from(round) * 7));
        net.ask(r#"{"end-sessions": {"which": {}}}"#);
        let got: std::collections::BTreeSet<u16> = (0..100)
            .flat_map(|host| net.inside(&[udp(([10, round, 0, host], 5000), (R, 53))]))
            .flatten()
            .map(|left| source(&left).1)
            .collect();
        // Those that are not forwarded; with the last hosts the gateway has none left, and says so.
        let free: Vec<u16> = (2000..2100).filter(|port| (0..=round).all(|at| *port != 2000 + u16::from(at) * 7)).collect();
        assert!(free.iter().all(|port| got.contains(port)), "{round}: {got:?}");
        assert_eq!(net.ask(r#"{"show": {}}"#)["table"]["mappings"], free.len());
    }
    for round in 0..5_u16 {
        net.remove(&format!(r#"{{"protocol": "udp", "port": {}}}"#, 2000 + round * 7));
    }
    net.ask(r#"{"end-sessions": {"which": {}}}"#);
    assert_eq!(net.ask(r#"{"show": {}}"#)["table"]["ports-free"], 300);
}

#[test]
fn a_host_gets_an_address_of_its_own() {
    for workers in [1, 3] {
        let mut net = Net::with(workers, "static: [{ inside: 192.168.1.10, outside: 203.0.113.5 }]");
        let before = udp((R, 9), (OWN, 5000));
        net.add(r#"{"inside": "192.168.1.11", "outside": "203.0.113.9"}"#);
        assert_eq!(net.enters(&before), as_seen(&before, None, Some((B, 5000))));
        let question = ping(R, OWN, 7);
        assert_eq!(net.enters(&question), as_seen(&question, None, Some((B, 7))));
        let answer = pong(B, R, 7);
        assert_eq!(net.leaves(&answer), as_seen(&answer, Some((OWN, 7)), None));
        let begins = udp((B, 77), (S, 53));
        assert_eq!(net.leaves(&begins), as_seen(&begins, Some((OWN, 77)), None));
        net.remove(r#"{"outside": "203.0.113.9"}"#);
        assert_eq!(source(&net.leaves(&begins)).0, X);
        // The one of the settings goes on, until it is removed, too.
        let of_settings = udp((A, 77), (S, 53));
        assert_eq!(source(&net.leaves(&of_settings)), ([203, 0, 113, 5], 77));
        net.remove(r#"{"outside": "203.0.113.5"}"#);
        assert_eq!(source(&net.leaves(&of_settings)).0, X);
        assert_eq!(net.forwards(), "[]");
    }
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let mut net = Net::new("static: [{ inside: 192.168.1.10, protocol: tcp, port: 80 }]");
    let before = net.forwards();
    for (command, said) in [
        (r#"{"add-forward": {"inside": "192.168.1.11", "protocol": "tcp", "port": 80}}"#, "another `static` has it already"),
        (r#"{"add-forward": {"inside": "192.0.2.1", "protocol": "tcp", "port": 81}}"#, "`192.0.2.1` is not inside"),
        (r#"{"add-forward": {"inside": "192.168.1.11", "protocol": "tcp", "port": 0}}"#, "0 is no port: 1 to 65535"),
        (r#"{"add-forward": {"inside": "192.168.1.11", "port": 81}}"#, "which port is forwarded: `tcp` or `udp`"),
        (r#"{"add-forward": {"inside": "192.168.1.11", "protocol": "tcp"}}"#, "which port is forwarded"),
        (r#"{"add-forward": {"inside": "192.168.1.11"}}"#, "the address is in the pool"),
        (
            r#"{"add-forward": {"inside": "192.168.1.11", "outside": "192.168.1.9", "protocol": "udp", "port": 1}}"#,
            "is an inside address",
        ),
        (r#"{"remove-forward": {"protocol": "udp", "port": 80}}"#, "there is no such forward"),
        (r#"{"remove-forward": {}}"#, "there is no such forward"),
        (r#"{"remove-forward": {"port": 80}}"#, "which port it is: `tcp` or `udp`"),
        (r#"{"remove-forward": {"protocol": "tcp"}}"#, "which port it is"),
    ] {
        let error = net.refused(command);
        assert!(error.contains(said), "{command}: {error}");
    }
    assert_eq!(net.forwards(), before);
    let packet = tcp((R, 9), (X, 80), "s");
    assert_eq!(net.enters(&packet), as_seen(&packet, None, Some((A, 80))));
}
