//! What is measured: a graph, and the packets that go into it.

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::sync::OnceLock;

use etherparse::{Ipv4Header, PacketBuilder};
use swath_api::VECTOR;

/// A graph with its traffic.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Its name on the command line.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Which packets.
    pub traffic: Traffic,
    /// Routes beside the default route.
    pub routes: &'static [&'static str],
    /// Rules of a filter before the look-up.
    pub rules: u32,
}

/// Which packets come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// One flow.
    OneFlow,
    /// Each packet to another destination, of so many.
    Destinations(u32),
    /// Each packet to a random destination on a random one of so many random routes, which are /24 to /32.
    Routes(u32),
    /// One flow, from one interface to the other as it came.
    CrossConnect,
    /// One flow, but one packet in 40 is ARP, and another one in 40 has a TTL of 1.
    Exceptions,
    /// One flow, but one packet in 100 is of another one.
    Marked,
    /// Each packet meets another rule of the filter.
    Rules,
    /// Each packet is of another session of an address translator, of so many.
    Translated(u32),
    /// The same; the translator has room for no more.
    Created(u32),
    /// Each packet is of another session of the filter, of so many. Its last rule has opened them all.
    Reflected(u32),
    /// Nine packets in ten are of flows that go on, in both directions; the tenth is of a flood.
    Flooded(Flood),
    /// So many flows, spread over the branches of a graph of 300 nodes.
    Branches(u32),
}

/// What one packet in ten is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flood {
    /// As the others.
    None,
    /// A SYN of a source that there is not.
    Syn,
    /// UDP between any addresses and ports.
    Tuples,
    /// UDP of flows whose numbers have a structure.
    Colliding,
    /// The first fragment of a datagram of a flow that nobody knows.
    Fragments,
}

/// Sessions that go on beside a flood.
const BESIDE: u64 = 8192;
/// The vectors of a flood: its flows are more than there is room for, so that each packet opens one.
const FLOODED: usize = 1024;

/// What a graph of 300 nodes divides into behind its first four, and what each branch is made of; the last node is `tx`.
const BRANCHES: usize = 42;
const BRANCH: [(&str, &str); 7] = [
    ("in", "kind: counter"),
    ("mark", "kind: ip4-dscp, dscp: 0"),
    ("police", "kind: meter, packets: 10000Mpps, burst-packets: 1000000000"),
    ("mss", "kind: tcp-mss"),
    ("lookup", "kind: ip4-lookup"),
    ("rewrite", "kind: ip4-rewrite"),
    ("out", "kind: counter"),
];

const CROSS_CONNECT: &str = "version: 1
engine: { buffers: 4096, buffer-size: 1984 }
interfaces:
  in:  { driver: bench-source }
  out: { driver: bench-sink }
nodes:
  rx: { kind: rx, interface: in, to: tx }
  tx: { kind: tx, interface: out }
";

const INTERFACES: &str = "interfaces:
  in:  { driver: bench-source, mac: '02:00:00:00:00:01', addresses: [198.51.100.1/24] }
  out: { driver: bench-sink, mac: '02:00:00:00:00:02', addresses: [192.0.2.1/24] }
";

/// The tables and the nodes of a graph of 300: behind `ip4-input` flows are spread over branches, which meet before the last node.
pub fn branches() -> String {
    let mut text = "tables:
  neighbours: { kind: neighbours, static: [{ address: 192.0.2.2, mac: '02:00:00:00:00:99' }] }
  routes: { kind: fib4, routes: [{ prefix: 0.0.0.0/0, via: 192.0.2.2 }] }
nodes:
  rx:     { kind: rx, interface: in, to: eth }
  eth:    { kind: ethernet-input, to: { ip4: ip4, arp: spare } }
  ip4:    { kind: ip4-input, to: spread }
  tx:     { kind: tx }
"
    .to_string();
    let edges: Vec<String> = (0..BRANCHES).map(|branch| format!("b{branch}: {}-{branch}", BRANCH[0].0)).collect();
    let _ = writeln!(text, "  spread: {{ kind: hash-switch, layer: ip, to: {{ {} }} }}", edges.join(", "));
    for branch in 0..BRANCHES {
        for (at, (name, what)) in BRANCH.iter().enumerate() {
            let next = BRANCH.get(at + 1).map_or_else(|| "tx".into(), |(next, _)| format!("{next}-{branch}"));
            let _ = writeln!(text, "  {name}-{branch}: {{ {what}, to: {next} }}");
        }
    }
    // What ARP comes to, of which there is none here.
    text + "  spare:  { kind: drop }\n"
}

/// The router's address on the side that receives.
pub const OUR_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
/// Its address on the other side.
pub const OUT_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];
/// The next hop's.
pub const NEXT_HOP_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x99];
const SENDER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x77];

impl Case {
    /// All cases.
    pub fn all() -> Vec<Case> {
        let case = |name, about, traffic| Case { name, about, traffic, routes: &[], rules: 0 };
        let filter = |name, about, rules| Case { name, about, traffic: Traffic::Rules, routes: &[], rules };
        let reflect = |name, about, rules, sessions| Case { traffic: Traffic::Reflected(sessions), ..filter(name, about, rules) };
        let flood = |name, about, flood| Case { traffic: Traffic::Flooded(flood), ..filter(name, about, 1) };
        vec![
            case("ip4-1", "IPv4 router, 1 route, 1 flow, header checksum verified", Traffic::OneFlow),
            case("ip4-1-exceptions", "the same with 5 % exceptions at two nodes (ARP, TTL 1)", Traffic::Exceptions),
            case("ip4-marked", "the same with another flow, which is 1 % of the packets", Traffic::Marked),
            case("ip4-131k", "IPv4 router, 1 route, 131,072 destinations", Traffic::Destinations(131_072)),
            case(
                "ip4-100k",
                "IPv4 router, 100,000 random routes /24 to /32, random destinations on them",
                Traffic::Routes(100_000),
            ),
            case("ip4-1m", "the same with 1,000,000 routes", Traffic::Routes(1_000_000)),
            case("l2-cross-connect", "from one interface to another, whatever the frames are", Traffic::CrossConnect),
            filter("acl-router-1", "IPv4 router with a filter of 1 rule, which permits all", 1),
            filter("acl-router-100", "the same with 100 rules, met equally often", 100),
            filter("acl-router-1000", "the same with 1000 rules, met equally often", 1000),
            filter("acl-router-10000", "the same with 10,000 rules, met equally often", 10_000),
            reflect("acl-reflect-1", "IPv4 router with a filter that keeps sessions, 1 session", 1, 1),
            reflect("acl-reflect-10k", "the same with 10,240 sessions in random order", 1, 10_240),
            reflect("acl-reflect-1000-10k", "the same with 1000 rules", 1000, 10_240),
            reflect("acl-reflect-1m", "the same with 1 rule and 1,048,576 sessions", 1, 1 << 20),
            flood(
                "acl-flood-none",
                "IPv4 router with a filter that keeps sessions, 8,192 sessions in both directions",
                Flood::None,
            ),
            flood("acl-flood-syn", "the same; one packet in ten is a SYN that opens another session", Flood::Syn),
            flood("acl-flood-tuples", "the same; one packet in ten is of any flow", Flood::Tuples),
            flood("acl-flood-colliding", "the same; one packet in ten is of a flow that somebody has chosen", Flood::Colliding),
            flood("acl-flood-fragments", "the same; one packet in ten is the first fragment of another flow", Flood::Fragments),
            case("nat-1", "IPv4 router with NAT44, 1 session, leaving", Traffic::Translated(1)),
            case("nat-10k", "the same with 10,240 sessions in random order", Traffic::Translated(10_240)),
            case("nat-1m", "the same with 1,048,576 sessions", Traffic::Translated(1 << 20)),
            case("nodes-300-1", "graph of 300 nodes, of which a packet passes 12, 1 flow", Traffic::Branches(1)),
            case("nodes-300", "the same, flows spread over all 42 branches", Traffic::Branches(4096)),
        ]
    }

    /// The graph file.
    pub fn graph(&self) -> String {
        if self.traffic == Traffic::CrossConnect {
            return CROSS_CONNECT.into();
        }
        if let Traffic::Branches(_) = self.traffic {
            return format!("version: 1\nengine: {{ buffers: 8192, buffer-size: 1984 }}\n{INTERFACES}{}", branches());
        }
        let (filter, after_check) = match self.rules {
            0 => (String::new(), "lookup"),
            _ => ("  filter:  { kind: acl-filter, to: lookup }\n".to_string(), "filter"),
        };
        let rules = (0..self.rules).map(|rule| self.rule(rule));
        let rules = match self.rules {
            0 => String::new(),
            _ => format!("  rules:\n    kind: acl\n{}    rules:\n{}", self.sessions(), rules.collect::<String>()),
        };
        let translator = |capacity: u32| {
            // Enough addresses that each of a million sessions has a port.
            let (inside, pool) = ("10.0.0.0/16", "203.0.113.0/26");
            format!("  nat: {{ kind: nat44, inside-prefixes: [{inside}], pool: [{pool}], sessions: {{ capacity: {capacity} }} }}\n")
        };
        let (nat, before_rewrite) = match self.traffic {
            Traffic::Translated(_) => (translator(1 << 21), "snat"),
            Traffic::Created(sessions) => (translator(sessions), "snat"),
            _ => (String::new(), "rewrite"),
        };
        let snat = if nat.is_empty() { "" } else { "  snat:    { kind: nat44-in2out, to: rewrite }\n" };
        let random = match self.traffic {
            Traffic::Routes(count) => Route::random(count),
            _ => &[],
        };
        let random = random.iter().map(|route| format!("      - {{ prefix: {route}, via: 192.0.2.2 }}\n"));
        let routes: String =
            self.routes.iter().map(|prefix| format!("      - {{ prefix: {prefix}, via: 192.0.2.2 }}\n")).chain(random).collect();
        format!(
            "version: 1
engine: {{ buffers: 4096, buffer-size: 1984 }}
{INTERFACES}tables:
  neighbours: {{ kind: neighbours, static: [{{ address: 192.0.2.2, mac: '02:00:00:00:00:99' }}] }}
  routes:
    kind: fib4
    routes:
      - {{ prefix: 0.0.0.0/0, via: 192.0.2.2 }}
{routes}{rules}{nat}nodes:
  rx:      {{ kind: rx, interface: in, to: eth }}
  eth:     {{ kind: ethernet-input, to: ip4 }}
  ip4:     {{ kind: ip4-input, to: {after_check} }}
{filter}  lookup:  {{ kind: ip4-lookup, to: {before_rewrite} }}
{snat}  rewrite: {{ kind: ip4-rewrite, to: tx }}
  tx:      {{ kind: tx }}
"
        )
    }

    /// What the filter remembers.
    fn sessions(&self) -> &'static str {
        match self.traffic {
            Traffic::Reflected(_) => "    sessions: { capacity: 2097152 }\n",
            Traffic::Flooded(_) => "    sessions: { capacity: 16384 }\n",
            _ => "",
        }
    }

    /// A rule of the filter: a network, and a port of a server in it. The last one permits everything if it opens sessions, and so does
    /// the only one.
    fn rule(&self, rule: u32) -> String {
        match self.traffic {
            Traffic::Reflected(_) | Traffic::Flooded(_) if rule + 1 == self.rules => {
                return "      - { action: permit+reflect }\n".into();
            }
            _ if self.rules == 1 => return "      - { action: permit }\n".into(),
            _ => {}
        }
        let (destination, port) = permitted(rule);
        format!(
            "      - {{ action: permit, protocol: udp, source: 198.51.100.0/24, destination: {destination}, destination-port: {port} }}\n"
        )
    }

    /// The packet at a place of the sequence: frames of 60 bytes (64 with the checksum that a NIC adds).
    pub fn packet(&self, number: u64) -> Vec<u8> {
        if let Traffic::Flooded(flood) = self.traffic {
            return flood.packet(number);
        }
        let arp = self.traffic == Traffic::Exceptions && number % 40 == 7;
        if arp {
            let mut frame = [&[0xff; 6], &SENDER_MAC[..], &[0x08, 0x06]].concat();
            frame.resize(60, 0);
            return frame;
        }
        let ttl = if self.traffic == Traffic::Exceptions && number % 40 == 23 { 1 } else { 64 };
        let destination = match self.traffic {
            Traffic::Destinations(count) => 0x0a00_0000 + (number % u64::from(count)) as u32 * 97,
            Traffic::Routes(count) => Route::random(count)[(mixed(number) % u64::from(count)) as usize].host(mixed(!number) as u32),
            _ => 0x0a01_0203,
        };
        // In no order.
        let server = Server::of((number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as u32 % self.rules.max(1));
        let (destination, port) = match self.traffic {
            Traffic::Rules => (server.destination, server.port),
            _ => (destination, 53),
        };
        let (source, source_port) = match self.traffic {
            // In no order: an odd factor visits each of a power of two, or of 10 * 2^10, once.
            Traffic::Translated(count) | Traffic::Created(count) | Traffic::Reflected(count) => {
                let session = (number.wrapping_mul(0x9e37_7a5b) % u64::from(count)) as u32;
                ((0x0a00_0000 + session / 16).to_be_bytes(), 2000 + (session % 16) as u16)
            }
            Traffic::Marked if number % 100 == 37 => ([198, 51, 100, 7], 4001),
            Traffic::Branches(count) => {
                let flow = mixed(number % u64::from(count));
                ([198, 51, 100, 2 + (flow % 250) as u8], 1024 + (flow >> 32) as u16 % 60_000)
            }
            _ => ([198, 51, 100, 7], 4000),
        };
        let builder = PacketBuilder::ethernet2(SENDER_MAC, OUR_MAC).ipv4(source, destination.to_be_bytes(), ttl);
        let mut frame = Vec::with_capacity(60);
        builder.udp(source_port, port).write(&mut frame, &[0u8; 18]).unwrap_or_default();
        frame
    }

    /// Whether packets open what others find.
    pub fn keeps_sessions(&self) -> bool {
        use Traffic::{Created, Flooded, Reflected, Translated};
        matches!(self.traffic, Translated(_) | Created(_) | Reflected(_) | Flooded(_))
    }

    /// Whether it takes seconds to build.
    pub fn is_large(&self) -> bool {
        matches!(self.traffic, Traffic::Routes(_))
    }

    /// The vectors that come in, one after the other and round again.
    pub fn vectors(&self) -> usize {
        match self.traffic {
            Traffic::OneFlow | Traffic::CrossConnect => 1,
            Traffic::Routes(count) => (count as usize * 2).next_power_of_two() / VECTOR,
            Traffic::Destinations(count) => count as usize / VECTOR,
            // So that exceptions stand at other places in each vector.
            Traffic::Exceptions => 5,
            // As many as both 100 and a vector are contained in.
            Traffic::Marked => 25,
            Traffic::Rules => self.rules.div_ceil(VECTOR as u32).max(16) as usize,
            Traffic::Flooded(_) => FLOODED,
            Traffic::Translated(count) | Traffic::Created(count) | Traffic::Reflected(count) | Traffic::Branches(count) => {
                (count as usize / VECTOR).max(1)
            }
        }
    }
}

/// So many random prefixes, /24 to /32.
pub fn prefixes(count: u32) -> impl Iterator<Item = String> {
    Route::random(count).iter().map(Route::to_string)
}

/// A route of many.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Route {
    network: u32,
    length: u32,
}

impl Route {
    /// Always the same: a million at most, no two alike, none of them to what is no host's or to an interface of the graph.
    fn random(count: u32) -> &'static [Route] {
        static ROUTES: OnceLock<Vec<Route>> = OnceLock::new();
        const MOST: usize = 1_000_000;
        let routes = ROUTES.get_or_init(|| {
            let mut seen = HashSet::with_capacity(MOST);
            let one = |number: u64| {
                let length = 24 + (mixed(number) >> 40) as u32 % 9;
                let network = mixed(number) as u32 >> (32 - length) << (32 - length);
                let top = network >> 24;
                (matches!(top, 1..=126 | 128..=191 | 193..=197 | 199..=223)).then_some(Route { network, length })
            };
            (0..).filter_map(one).filter(|route| seen.insert(*route)).take(MOST).collect()
        });
        &routes[..(count as usize).min(MOST)]
    }

    /// One of its destinations.
    fn host(self, random: u32) -> u32 {
        self.network | random & (u64::from(u32::MAX) >> self.length) as u32
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", std::net::Ipv4Addr::from_bits(self.network), self.length)
    }
}

/// A number for each number, in no order (the last step of `splitmix64`, Steele, Lea and Flood, 2014).
pub fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

impl Flood {
    fn packet(self, number: u64) -> Vec<u8> {
        let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 29;
        let of_flood = number % 10 == 9 && self != Flood::None;
        let (source, destination) = match self {
            _ if !of_flood => {
                // In no order: an odd factor visits each of a power of two once. Every other round is of answers.
                let session = (number / 10 * 9 + number % 10).wrapping_mul(0x9e37_7a5b) % (2 * BESIDE);
                let (inside, outside) = ((0x0a00_0000 + session as u32 / 2, 4000), (0x0a01_0203, 53));
                if session.is_multiple_of(2) { (inside, outside) } else { (outside, inside) }
            }
            Flood::Colliding => ((0x0b00_0001 + ((number as u32) << 12 & 0xff_ffff), number as u16), (0x0a01_0203, 53)),
            _ => (
                (0x0b00_0000 | random as u32 >> 8, (random >> 40) as u16),
                (0x0c00_0000 | (random >> 20) as u32 >> 8, number as u16),
            ),
        };
        let builder = PacketBuilder::ethernet2(SENDER_MAC, OUR_MAC);
        let builder = builder.ipv4(source.0.to_be_bytes(), destination.0.to_be_bytes(), 64);
        let mut frame = Vec::with_capacity(60);
        let written = match self {
            Flood::Syn if of_flood => builder.tcp(source.1, destination.1, 1, 1000).syn().write(&mut frame, &[0; 6]),
            _ => builder.udp(source.1, destination.1).write(&mut frame, &[0; 18]),
        };
        written.unwrap_or_default();
        if of_flood && self == Flood::Fragments {
            fragment(&mut frame);
        }
        frame
    }
}

/// Says that others follow.
fn fragment(frame: &mut [u8]) {
    const IP: usize = 14;
    let Ok((mut ip, _)) = Ipv4Header::from_slice(&frame[IP..]) else { return };
    (ip.more_fragments, ip.dont_fragment) = (true, false);
    ip.header_checksum = ip.calc_header_checksum();
    frame[IP..IP + ip.header_len()].copy_from_slice(&ip.to_bytes());
}

/// The network, and the port of a server in it, that a rule is for.
pub fn permitted(rule: u32) -> (String, u16) {
    let Server { destination, port } = Server::of(rule);
    let [a, b, c, _] = destination.to_be_bytes();
    (format!("{a}.{b}.{c}.0/24"), port)
}

/// Whom a rule is for.
struct Server {
    destination: u32,
    port: u16,
}

impl Server {
    fn of(rule: u32) -> Server {
        const PORTS: [u16; 5] = [53, 123, 161, 443, 4500];
        Server { destination: 0x0a00_0007 + (rule / 5) * 0x0001_0300, port: PORTS[rule as usize % PORTS.len()] }
    }
}
