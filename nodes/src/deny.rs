//! `deny`: drops packets by a list of addresses.

use swath_api::prelude::*;
use swath_api::wire::{EtherType, Header, Ipv4, Ipv6};
use swath_api::{Offload, ROLES, Str};

use crate::acl;
use crate::deny_list::DenyList;

/// Asks a list of addresses about packets.
pub struct Deny {
    table: Handle<DenyList>,
    layer: Layer,
    sides: Match,
    // Scratch space, kept so that it need not be made for each vector.
    space: Box<Space>,
}

/// Of each packet its source and its destination, and whether they are in the list.
struct Space {
    kinds: [Kind; VECTOR],
    ip4: [[u32; VECTOR]; 2],
    ip6: [[u128; VECTOR]; 2],
    found4: [[u32; VECTOR]; 2],
    found6: [[bool; VECTOR]; 2],
    nexts: [Next; VECTOR],
}

const SOURCE: usize = 0;
const DESTINATION: usize = 1;

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ip4,
    Ip6,
    Other,
    Bad,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The list, of kind `deny-list`. Default: the only one.
    #[serde(default)]
    table: Option<String>,
    /// Which address of a packet is looked up. Default: `source`.
    #[serde(default, rename = "match")]
    sides: Match,
    /// What packets start with at this node: `ip` behind `ip4-input` and its like, or `ethernet`, VLAN tags included. Default: `ip`.
    #[serde(default)]
    layer: Layer,
    /// Whether a driver that can drops packets in the place of the node, before they are copied: `xdp`, by the program in the kernel of
    /// `af-xdp`. The node has to stand right behind `rx` nodes, with `layer: ethernet`, and its drop reasons must not be wired. Counters are
    /// the same. Where the driver is another one, or refuses, the node does all by itself, and the log says so. Default: it does all by itself.
    #[serde(default)]
    offload: Option<Way>,
}

/// In which way packets are dropped before the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Way {
    /// By the program of `af-xdp`.
    Xdp,
}

/// Which address is looked up.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Match {
    /// Who has sent the packet: against what comes in.
    #[default]
    Source,
    /// Whom the packet is for: against what goes out to them.
    Destination,
    /// Either. A packet of which both are in the list counts by its source.
    Both,
}

/// What packets start with.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Layer {
    /// An Ethernet header.
    Ethernet,
    /// An IPv4 or an IPv6 header.
    #[default]
    Ip,
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// Packets whose address is not in the list.
        Ok = required("ok", layer::SAME),
        /// Packets that are neither IPv4 nor IPv6, such as ARP; the list does not speak of them.
        NotIp = edge("not-ip", layer::SAME),
        /// The source is in the list. If it is wanted, ask the table by which prefix (`lookup`), and remove that.
        SourceListed = drop("source-listed"),
        /// The destination is in the list. A host that sends many such is worth a look: it may be infected.
        DestinationListed = drop("destination-listed"),
        /// The IP header is cut off. No honest host sends such: find it by the source in a capture.
        BadHeader = drop("bad-header"),
    }
}

impl Node for Deny {
    const INFO: Info = Info::new("deny", "Drops IP packets whose source or destination is in a list.")
        .about(
            "Put it before whatever costs more, such as `acl-filter`, behind a `switch` if interfaces differ. For several lists, so that each \
             has its counter, put several nodes one behind the other. \
             Against a flood, `offload: xdp` drops in the kernel what no worker then has to look at.",
        )
        .uses(&[const { Str::new("deny-list") }])
        .example(include_str!("../examples/deny.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Deny, ConfigError> {
        let space = Space {
            kinds: [Kind::Bad; VECTOR],
            ip4: [[0; VECTOR]; 2],
            ip6: [[0; VECTOR]; 2],
            found4: [[0; VECTOR]; 2],
            found6: [[false; VECTOR]; 2],
            nexts: [Next::Ok; VECTOR],
        };
        let table: Handle<DenyList> = setup.table("table", config.table.as_deref())?;
        if let Some(Way::Xdp) = config.offload {
            if config.layer != Layer::Ethernet {
                let what = "a driver drops frames as they arrive: put the node right behind `rx`, with `layer: ethernet`";
                return Err(ConfigError::at("offload", what));
            }
            let edge = |side: usize, edge: Next| config.sides.sides().contains(&side).then_some(edge);
            let edges = [edge(SOURCE, Next::SourceListed), edge(DESTINATION, Next::DestinationListed)];
            let prefixes = setup.shared(table).len();
            setup.offload(Offload::DENY, table, edges, prefixes);
        }
        Ok(Deny { table, layer: config.layer, sides: config.sides, space: Box::new(space) })
    }

    fn simulate(&mut self, packet: &mut Packet<'_>, cx: &mut Context<'_>, words: &mut Words<'_>) -> Option<Next> {
        let (version, ip) = self.layer.network(packet.data());
        let Space { ip4, ip6, found4, found6, .. } = &mut *self.space;
        let is_4 = match version {
            Some(4) => {
                let Ok((ip, _)) = Ipv4::parse(ip) else { return Some(Next::BadHeader) };
                (ip4[SOURCE][0], ip4[DESTINATION][0]) = (ip.src_bits(), ip.dst_bits());
                true
            }
            Some(6) => {
                let Ok((ip, _)) = Ipv6::parse(ip) else { return Some(Next::BadHeader) };
                (ip6[SOURCE][0], ip6[DESTINATION][0]) = (ip.src_bits(), ip.dst_bits());
                false
            }
            _ => return Some(Next::NotIp),
        };
        let list = cx.table(self.table);
        for side in self.sides.sides() {
            let listed = if is_4 {
                list.contain4(&ip4[*side][..1], &mut found4[*side]);
                found4[*side][0] != 0
            } else {
                cx.shard(self.table).ip6().contain(&ip6[*side][..1], &mut found6[*side]);
                found6[*side][0]
            };
            if listed {
                say_listed(self.layer.network(packet.data()), *side, words);
                return Some(if *side == SOURCE { Next::SourceListed } else { Next::DestinationListed });
            }
        }
        Some(Next::Ok)
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        let side = if decided.is(Next::SourceListed) {
            SOURCE
        } else if decided.is(Next::DestinationListed) {
            DESTINATION
        } else {
            return;
        };
        say_listed(self.layer.network(packet.data()), side, words);
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let list = cx.table(self.table);
        let shard = cx.shard(self.table);
        let count = frame.len();
        let has6 = self.space.gather(frame, self.layer);
        let Space { kinds, ip4, ip6, found4, found6, nexts } = &mut *self.space;
        for side in self.sides.sides() {
            list.contain4(&ip4[*side][..count], &mut found4[*side]);
            if has6 {
                shard.ip6().contain(&ip6[*side][..count], &mut found6[*side]);
            }
        }
        let mut denied = [0; 2];
        for (packet, (kind, next)) in kinds[..count].iter().zip(&mut *nexts).enumerate() {
            let listed = |side: usize| match kind {
                Kind::Ip4 => found4[side][packet] != 0,
                _ => found6[side][packet],
            };
            *next = match kind {
                Kind::Other => Next::NotIp,
                Kind::Bad => Next::BadHeader,
                Kind::Ip4 | Kind::Ip6 => match self.sides.sides().iter().find(|side| listed(**side)) {
                    None => Next::Ok,
                    Some(side) => {
                        denied[*side] += 1;
                        if *side == SOURCE { Next::SourceListed } else { Next::DestinationListed }
                    }
                },
            };
        }
        shard.count(denied[SOURCE], denied[DESTINATION]);
        frame.decide_lanes(&nexts[..count], |_, next| *next);
    }

    fn offloaded(&mut self, packets: [u64; ROLES], cx: &mut Context<'_>) {
        cx.shard(self.table).count(packets[SOURCE], packets[DESTINATION]);
    }
}

/// Says which address of a packet is in the list.
fn say_listed((version, ip): (Option<u8>, &[u8]), side: usize, words: &mut Words<'_>) {
    let what = ["source", "destination"][side];
    if let (Some(4), Ok((ip, _))) = (version, Ipv4::parse(ip)) {
        words.say(format_args!("{what} {} is in the list", [ip.src(), ip.dst()][side]));
    } else if let (Some(6), Ok((ip, _))) = (version, Ipv6::parse(ip)) {
        words.say(format_args!("{what} {} is in the list", [ip.src(), ip.dst()][side]));
    }
}

impl Match {
    fn sides(self) -> &'static [usize] {
        match self {
            Match::Source => &[SOURCE],
            Match::Destination => &[DESTINATION],
            Match::Both => &[SOURCE, DESTINATION],
        }
    }
}

impl Layer {
    /// The version of IP of a packet, and the packet.
    fn network(self, bytes: &[u8]) -> (Option<u8>, &[u8]) {
        match self {
            Layer::Ip => (bytes.first().map(|first| first >> 4), bytes),
            Layer::Ethernet => match acl::network(bytes) {
                Some((EtherType::IPV4, _, packet)) => (Some(4), packet),
                Some((EtherType::IPV6, _, packet)) => (Some(6), packet),
                _ => (None, &[]),
            },
        }
    }
}

impl Space {
    /// Takes the addresses of all packets. `true` if there is one of IPv6 among them.
    fn gather(&mut self, frame: &mut Frame<'_, Next>, layer: Layer) -> bool {
        let Space { kinds, ip4, ip6, .. } = self;
        let (mut at, mut has6) = (0, false);
        frame.gather(kinds, |packet| {
            let bytes = packet.data();
            let (version, packet) = layer.network(bytes);
            let kind = match version {
                Some(4) => Ipv4::parse(packet).map_or(Kind::Bad, |(ip, _)| {
                    (ip4[SOURCE][at], ip4[DESTINATION][at]) = (ip.src_bits(), ip.dst_bits());
                    Kind::Ip4
                }),
                Some(6) => Ipv6::parse(packet).map_or(Kind::Bad, |(ip, _)| {
                    (ip6[SOURCE][at], ip6[DESTINATION][at]) = (ip.src_bits(), ip.dst_bits());
                    Kind::Ip6
                }),
                _ => Kind::Other,
            };
            has6 |= kind == Kind::Ip6;
            at += 1;
            kind
        });
        has6
    }
}
