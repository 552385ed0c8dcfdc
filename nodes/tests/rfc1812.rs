//! RFC 1812 clause by clause, through a whole router: what comes in, and what must leave or be dropped, from the words of the clause and by
//! etherparse. `docs/rfc1812.md` lists all clauses of the chapters on forwarding; what it calls tested has a row here.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::Rig;
use common::frames::{SENDER, ethernet, forwarded, header, mac, packet};
use etherparse::{IpDscp, IpFragOffset, IpNumber, Ipv4Header};

const GRAPH: &str = "
version: 1
interfaces:
  lan: { driver: test, mac: 02:00:00:00:00:01, addresses: [192.168.1.1/24] }
  wan: { driver: test, mac: 02:00:00:00:00:02, addresses: [203.0.113.2/30], mtu: 600 }
tables:
  neighbours:
    kind: neighbours
    static: [{ address: 192.168.1.10, mac: 02:00:00:00:00:77 }, { address: 203.0.113.1, mac: 02:00:00:00:00:99 }]
  routes:
    kind: fib4
    routes: [{ prefix: 8.0.0.0/8, via: 203.0.113.1 }, { prefix: 8.8.0.0/16, via: 192.168.1.10 }, { prefix: 8.8.8.0/24, via: 203.0.113.1 }]
nodes:
  lan-rx:   { kind: rx, interface: lan, to: ethernet }
  wan-rx:   { kind: rx, interface: wan, to: ethernet }
  ethernet: { kind: ethernet-input, to: ip4 }
  ip4:      { kind: ip4-input, options: separate, to: { ok: lookup, options: options } }
  options:  { kind: ip4-options, source-route: process, to: { ok: lookup, parameter-problem: error, source-route-failed: error } }
  lookup:   { kind: ip4-lookup, to: { forward: rewrite, local: reassembly, no-route: error } }
  rewrite:  { kind: ip4-rewrite, to: { ok: tx, ttl-expired: error, too-big: fragment, unresolved: error } }
  fragment: { kind: ip4-fragment, to: { ok: own, dont-fragment: error } }
  reassembly: { kind: ip4-reassembly, to: { ok: local, time-exceeded: error } }
  local:    { kind: ip4-local, to: { reply: own, unreachable: error } }
  error:    { kind: icmp-error, host-rate: 1Mpps, host-burst: 100000, rate: 1Mpps, burst: 100000, to: own }
  own:      { kind: ip4-lookup, to: own-rewrite }
  own-rewrite: { kind: ip4-rewrite, to: tx }
  tx:       { kind: tx }
";

const FAR: [u8; 4] = [8, 8, 8, 8];
const OWN: [u8; 4] = [192, 168, 1, 1];
const HOST: [u8; 4] = [192, 168, 1, 10];
const ALL: common::frames::Mac = [0xff; 6];
const GATEWAY: common::frames::Mac = mac(0x99);

enum Expect {
    /// Leaves by `wan`, to the gateway.
    Forwarded,
    /// These leave by `wan` to the gateway.
    Wan(Vec<Vec<u8>>),
    /// These leave by `lan` to the host.
    Lan(Vec<Vec<u8>>),
    /// An ICMP error to the host: type, code and the four octets behind the checksum, quoting the packet as it came.
    Error([u8; 6]),
    /// Dropped, silently, by a node for a reason.
    Drop(&'static str),
}
use Expect::{Drop, Error, Forwarded, Lan, Wan};

/// From the host on `lan`, without DF.
fn ip(to: [u8; 4], change: impl FnOnce(&mut Ipv4Header), options: &[u8], payload: usize) -> Vec<u8> {
    let mut fields = header(to, 64, payload);
    (fields.dont_fragment, fields.identification) = (false, 7);
    change(&mut fields);
    packet(fields, options)
}

fn plain(to: [u8; 4]) -> Vec<u8> {
    ip(to, |_| {}, &[], 20)
}

/// A packet with other bytes from `at` on, and the checksum of its header made right unless that is what was changed.
fn patched(mut bytes: Vec<u8>, at: usize, new: &[u8]) -> Vec<u8> {
    bytes[at..at + new.len()].copy_from_slice(new);
    if at != 10 {
        let sum = common::frames::checksum(&bytes[..20]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

/// UDP of the right length and without a checksum (RFC 768).
fn datagram(to: [u8; 4]) -> Vec<u8> {
    patched(plain(to), 24, &[0, 20, 0, 0])
}

fn to(address: [u8; 4], ethernet_to: common::frames::Mac) -> Vec<u8> {
    ethernet(ethernet_to, 0x0800, &plain(address))
}

fn icmp(from: [u8; 4], message: [u8; 6], quote: &[u8], tos: u8, id: u16) -> Vec<u8> {
    let [kind, code, a, b, c, d] = message;
    let mut body = [&[kind, code, 0, 0, a, b, c, d], quote].concat();
    let sum = etherparse::checksum::Sum16BitWords::new().add_slice(&body).ones_complement().to_be();
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut fields = Ipv4Header::new(body.len() as u16, 64, IpNumber::ICMP, from, HOST).unwrap();
    (fields.dscp, fields.identification, fields.dont_fragment) = (IpDscp::try_new(tos >> 2).unwrap(), id, false);
    fields.header_checksum = fields.calc_header_checksum();
    [&fields.to_bytes()[..], &body].concat()
}

fn echo(destination: [u8; 4]) -> Vec<u8> {
    message(destination, 8)
}

fn message(destination: [u8; 4], kind: u8) -> Vec<u8> {
    let mut bytes = ip(destination, |ip| ip.protocol = IpNumber::ICMP, &[], 12);
    bytes[20..28].copy_from_slice(&[kind, 0, 0, 0, 0, 1, 0, 1]);
    let sum = etherparse::checksum::Sum16BitWords::new().add_slice(&bytes[20..]).ones_complement().to_be();
    bytes[22..24].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn fragments_of(bytes: &[u8], first: usize) -> Vec<Vec<u8>> {
    let cut = |at: usize, end: usize, more: bool| {
        let mut fields = header([0; 4], 64, end - at);
        (fields.dont_fragment, fields.identification, fields.more_fragments) = (false, 7, more);
        fields.fragment_offset = IpFragOffset::try_new((at / 8) as u16).unwrap();
        fields.source.copy_from_slice(&bytes[12..16]);
        fields.destination.copy_from_slice(&bytes[16..20]);
        (fields.protocol, fields.time_to_live) = (IpNumber(bytes[9]), bytes[8]);
        let mut part = packet(fields, &[]);
        part[20..].copy_from_slice(&bytes[20 + at..20 + end]);
        part
    };
    vec![cut(0, first, true), cut(first, bytes.len() - 20, false)]
}

struct Row {
    clause: &'static str,
    what: &'static str,
    rx: &'static str,
    frames: Vec<Vec<u8>>,
    expect: Expect,
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut from = |rx: &'static str, clause: &'static str, what: &'static str, frames: Vec<Vec<u8>>, expect: Expect| {
        rows.push(Row { clause, what, rx, frames, expect });
    };
    let us = |bytes: &[u8]| ethernet(mac(1), 0x0800, bytes);
    let mut row = |clause, what, bytes: Vec<u8>, expect| from("lan", clause, what, vec![us(&bytes)], expect);
    let marked = |tos: u8| ip(FAR, |ip| ip.dscp = IpDscp::try_new(tos >> 2).unwrap(), &[], 20);

    row("4.2.2.1", "a router alert passes", ip(FAR, |_| {}, &[148, 4, 0, 0], 20), Forwarded);
    row("4.2.2.3", "the unused flag is neither checked nor cleared", patched(plain(FAR), 6, &[0x80]), Forwarded);
    row("4.2.2.4", "the type of service is not changed", marked(0xb8), Forwarded);
    row("4.2.2.5", "a wrong checksum is dropped", patched(plain(FAR), 10, &[0, 0]), Drop("ip4.bad-checksum"));
    row("4.2.2.6", "an unknown option passes unchanged", ip(FAR, |_| {}, &[99, 4, 1, 2], 20), Forwarded);
    row("4.2.2.9", "TTL 0 for the router itself is good", patched(echo(OWN), 8, &[0]), Lan(vec![reply(&echo(OWN))]));
    row("4.2.2.11", "network 127 does not leave a host", patched(plain(FAR), 12, &[127, 0, 0, 1]), Drop("ip4.martian-source"));
    row("4.3.2.1", "an unknown message is dropped silently", message(OWN, 99), Drop("local.icmp"));
    row(
        "4.3.2.3",
        "the error quotes the packet as it came",
        ip(FAR, |ip| ip.time_to_live = 1, &[], 20),
        Error([11, 0, 0, 0, 0, 0]),
    );
    row("4.3.2.7", "no error of an error", patched(patched(plain([9; 4]), 9, &[1]), 20, &[3]), Drop("error.icmp-error"));
    row("4.3.2.7", "no error of a later fragment", patched(plain([9; 4]), 6, &[0, 1]), Drop("error.fragment"));
    row("4.3.3.1", "no route", plain([9; 4]), Error([3, 0, 0, 0, 0, 0]));
    row("4.3.3.1", "no such protocol", patched(plain(OWN), 9, &[253]), Error([3, 2, 0, 0, 0, 0]));
    row("4.3.3.1", "nobody at this port", datagram(OWN), Error([3, 3, 0, 0, 0, 0]));
    row("4.3.3.4", "the time to live", ip(FAR, |ip| ip.time_to_live = 1, &[], 20), Error([11, 0, 0, 0, 0, 0]));
    row("4.3.3.5", "an option that cannot be read", ip(FAR, |_| {}, &[7, 3, 3, 0], 20), Error([12, 0, 22, 0, 0, 0]));
    row("4.3.3.6", "an echo request is answered", echo(OWN), Lan(vec![reply(&echo(OWN))]));
    row("4.3.3.6", "not one to all", echo([192, 168, 1, 255]), Drop("local.echo-to-group"));
    row("5.2.1.2", "a packet for somebody else", plain(FAR), Forwarded);
    row("5.2.2", "the version", patched(plain(FAR), 0, &[0x65]), Drop("ip4.bad-version"));
    row("5.2.2", "the header length", patched(plain(FAR), 0, &[0x44]), Drop("ip4.bad-header-length"));
    row("5.2.2", "the total length below the header's", patched(plain(FAR), 2, &[0, 19]), Drop("ip4.bad-length"));
    row("5.2.2", "more than came", patched(plain(FAR), 2, &[0, 41]), Drop("ip4.too-short"));
    row("5.2.3", "any of the router's addresses", echo([203, 0, 113, 2]), Lan(vec![reply(&echo([203, 0, 113, 2]))]));
    row("5.2.3", "a broadcast is for the router", datagram([192, 168, 1, 255]), Drop("error.to-group"));
    row(
        "5.2.4.1",
        "a source route chooses the next destination",
        ip(OWN, |_| {}, &[131, 7, 4, 8, 8, 8, 8, 0], 20),
        Wan(vec![hop(ip(FAR, |_| {}, &[131, 7, 8, 203, 0, 113, 2, 0], 20))]),
    );
    row("5.2.4.3", "the longest match", plain([8, 8, 7, 7]), Lan(vec![hop(plain([8, 8, 7, 7]))]));
    row("5.2.5", "unused bits pass", patched(plain(FAR), 6, &[0x80]), Forwarded);
    row("5.2.7.1", "the next hop does not answer", plain([192, 168, 1, 99]), Error([3, 1, 0, 0, 0, 0]));
    row("5.2.7.1", "DF and too long", ip(FAR, |ip| ip.dont_fragment = true, &[], 620), Error([3, 4, 0, 0, 2, 88]));
    row(
        "5.2.7.1",
        "a source route that cannot be followed",
        ip(OWN, |_| {}, &[137, 7, 4, 8, 8, 8, 8, 0], 20),
        Error([3, 5, 0, 0, 0, 0]),
    );
    row("5.2.7.3", "TTL 0 is not forwarded", ip(FAR, |ip| ip.time_to_live = 0, &[], 20), Error([11, 0, 0, 0, 0, 0]));
    row("5.3.1", "one hop less", ip(FAR, |ip| ip.time_to_live = 2, &[], 20), Forwarded);
    row("5.3.3", "precedence is not changed", marked(0xe0), Forwarded);
    row("5.3.5.1", "the limited broadcast is not forwarded", datagram([255; 4]), Drop("error.to-group"));
    row("5.3.5.2", "nor is a directed one (RFC 2644)", datagram([203, 0, 113, 3]), Drop("error.to-group"));
    row("5.3.7", "from a group", patched(plain(FAR), 12, &[224, 0, 0, 1]), Drop("ip4.martian-source"));
    row("5.3.7", "to network 127", plain([127, 0, 0, 1]), Drop("lookup.martian"));
    row("5.3.7", "to class E", plain([240, 0, 0, 1]), Drop("lookup.martian"));
    row("5.3.13.1", "an unknown option passes unchanged", ip(FAR, |_| {}, &[99, 4, 1, 2], 20), Forwarded);
    row("5.3.13.2", "a security option passes", ip(FAR, |_| {}, &[130, 3, 0xab, 0], 20), Forwarded);
    row("5.3.13.3", "a stream identifier is dropped (RFC 7126)", ip(FAR, |_| {}, &[136, 4, 0, 1], 20), Drop("options.filtered"));
    row(
        "5.3.13.4",
        "several source routes are an error",
        ip(OWN, |_| {}, &[131, 3, 4, 137, 3, 4, 0, 0], 20),
        Error([12, 0, 23, 0, 0, 0]),
    );
    row(
        "5.3.13.5",
        "a route is recorded",
        ip(FAR, |_| {}, &[7, 7, 4, 0, 0, 0, 0, 0], 20),
        Wan(vec![hop(ip(FAR, |_| {}, &[7, 7, 8, 203, 0, 113, 2, 0], 20))]),
    );
    row(
        "5.3.13.6",
        "a timestamp option of others passes",
        ip(FAR, |_| {}, &[68, 12, 5, 3, 10, 0, 0, 1, 0, 0, 0, 0], 20),
        Forwarded,
    );
    let long = ip(FAR, |_| {}, &[], 620);
    let parts: Vec<_> = fragments_of(&long, 576).into_iter().map(hop).collect();
    row("4.2.2.7", "what is too long leaves in fragments", long.clone(), Wan(parts.clone()));
    row("5.2.6", "what is too long leaves in fragments", long, Wan(parts));
    let question = echo(OWN);
    let parts: Vec<_> = fragments_of(&question, 8).iter().map(|part| us(part)).collect();
    from("lan", "4.2.2.8", "fragments are put together", parts.clone(), Lan(vec![reply(&question)]));
    let through: Vec<_> = fragments_of(&plain(FAR), 8);
    let frames = through.iter().map(|part| us(part)).collect();
    from("lan", "5.2.6", "fragments are forwarded as they are", frames, Wan(through.into_iter().map(hop).collect()));
    from("lan", "4.2.3.1", "one host in a frame to all", vec![to(FAR, ALL)], Drop("ethernet.unicast-in-group-frame"));
    from("lan", "5.3.4", "a link layer broadcast is not forwarded", vec![to(FAR, ALL)], Drop("ethernet.unicast-in-group-frame"));
    from("lan", "5.3.4", "nor a multicast", vec![to(FAR, [1, 0, 0x5e, 1, 2, 3])], Drop("ethernet.unicast-in-group-frame"));
    from("lan", "5.3.4", "a group in a frame to all", vec![to([224, 0, 0, 9], ALL)], Drop("lookup.multicast"));
    from("lan", "4.3.2.7", "no error of a link layer broadcast", vec![to([9; 4], ALL)], Drop("ethernet.unicast-in-group-frame"));
    rows
}

/// A packet as the next hop gets it.
fn hop(bytes: Vec<u8>) -> Vec<u8> {
    forwarded(&ethernet(mac(1), 0x0800, &bytes), mac(0), mac(0))[14..].to_vec()
}

/// The echo reply to a request.
fn reply(request: &[u8]) -> Vec<u8> {
    let data = &request[28..];
    icmp(request[16..20].try_into().unwrap(), [0, 0, 0, 1, 0, 1], data, 0, 7)
}

#[test]
fn each_clause() {
    for Row { clause, what, rx, frames, expect } in rows() {
        let name = format!("§{clause}: {what}");
        let mut rig = Rig::new(GRAPH);
        rig.feed(rx, frames.clone());
        rig.run();
        let quoted = &frames[0][14..];
        let (lan, wan, dropped) = match expect {
            Forwarded => (vec![], vec![forwarded(&frames[0], GATEWAY, mac(2))], None),
            Wan(packets) => (vec![], packets.iter().map(|bytes| framed(bytes, GATEWAY, mac(2))).collect(), None),
            Lan(packets) => (packets.iter().map(|bytes| framed(bytes, SENDER, mac(1))).collect(), vec![], None),
            // RFC 1812 §4.3.2.3, §4.3.2.4, §4.3.2.5: 576 bytes at most, from the interface that received it, precedence 6.
            Error(message) => {
                let error = icmp(OWN, message, &quoted[..quoted.len().min(548)], 0xc0, 7);
                (vec![framed(&error, SENDER, mac(1))], vec![], None)
            }
            Drop(reason) => (vec![], vec![], Some(reason)),
        };
        assert_eq!((rig.sent("lan"), rig.sent("wan")), (lan, wan), "{name}: {:?}", rig.counts());
        if let Some(reason) = dropped {
            assert_eq!(rig.count(reason), frames.len() as u64, "{name}: {:?}", rig.counts());
        }
        rig.check();
    }
}

fn framed(bytes: &[u8], destination: common::frames::Mac, source: common::frames::Mac) -> Vec<u8> {
    [&destination[..], &source, &[8, 0], bytes].concat()
}

/// The sections of RFC 1812 that the document has to speak of: 4.2.2, 4.2.3, 4.3.2, 4.3.3, 5.2 and 5.3, as its table of contents has them.
const SECTIONS: [(&str, u8); 7] =
    [("4.2.2", 11), ("4.2.3", 4), ("4.3.2", 8), ("4.3.3", 10), ("5.2", 8), ("5.3", 13), ("5.3.13", 6)];

#[test]
fn the_document_lists_each_clause_and_what_it_calls_tested_is() {
    let document = include_str!("../../docs/rfc1812.md");
    let mut tested = BTreeSet::new();
    let mut spoken_of: BTreeMap<String, usize> = BTreeMap::new();
    for line in document.lines().filter(|line| line.starts_with("| §") && !line.starts_with("| § |")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 3, "{line}");
        let clause = cells[0].trim_start_matches('§').to_string();
        assert!(cells[2].len() > 10 || cells[2] == "tested", "{line}: a reason");
        if cells[2].starts_with("tested") {
            tested.insert(clause.clone());
        }
        *spoken_of.entry(clause).or_default() += 1;
    }
    assert_eq!(tested, rows().iter().map(|row| row.clause.to_string()).collect::<BTreeSet<_>>());
    for (chapter, sections) in SECTIONS {
        for section in 1..=sections {
            let clause = format!("{chapter}.{section}");
            let inside = format!("{clause}.");
            let found = spoken_of.keys().any(|known| *known == clause || known.starts_with(&inside));
            assert!(found, "docs/rfc1812.md says nothing of §{clause}");
        }
    }
}
