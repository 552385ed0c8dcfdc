//! `ip4-resolve`: asks for the hardware addresses of next hops, and keeps packets until they are known (RFC 826, RFC 1122 §2.3.2).

use std::net::Ipv4Addr;

use swath_api::prelude::*;
use swath_api::wire::{Arp, Eth, EtherType, Header, IcmpCause, Ipv4, MacAddr};

use crate::neighbours::{Answer, Key, Neighbours, Request, Shard, Wait};

/// What RFC 5227 §1.1 sets for announcements: how many, and how many nanoseconds apart.
const ANNOUNCE_NUM: u8 = 2;
const ANNOUNCE_INTERVAL: u64 = 2_000_000_000;
/// The most packets that one instance keeps.
const HOLD_MAX: usize = 16_384;

/// Keeps packets for neighbours whose hardware address is not known.
pub struct Ip4Resolve {
    neighbours: Handle<Neighbours>,
    worker: u32,
    queue: u16,
    held: Held<Waiter>,
    // The version of the table that all held packets have been looked at by, and whether there was no room to let some go.
    seen: u64,
    left: bool,
    announce: Announce,
    // Scratch space: places to ask for, places that packets were let go to.
    asks: Vec<u32>,
    released: Vec<u32>,
}

/// What a packet waits for.
struct Waiter {
    next_hop: Key,
    _wait: Wait,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The table of neighbours. Default: the only one.
    #[serde(default)]
    neighbours: Option<String>,
    /// The most packets that each worker keeps in all, 1 to 16384. Default: 1024.
    #[serde(default = "default_hold")]
    hold: usize,
    /// The most packets that each worker keeps for one neighbour, 1 to 1024. Default: 8. RFC 1122 §2.3.2.2 wants one at least.
    #[serde(default = "default_queue")]
    queue: u16,
    /// Whether to announce the addresses of the interfaces when the engine starts, twice, 2 s apart (RFC 5227 §2.3), so that stations that
    /// know them at other hardware addresses notice. Default: `false`.
    #[serde(default)]
    announce: bool,
}

fn default_hold() -> usize {
    1024
}

fn default_queue() -> u16 {
    8
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// Packets whose next hop has become known, or was known after all: Ethernet frames for `tx`.
        Resolved = required("resolved", layer::ETHERNET),
        /// ARP requests, for `tx`.
        Request = required("request", layer::ETHERNET),
        /// The next hop has not answered: it is down, or the address is nobody's. The packet is unchanged.
        Failed = edge("failed", layer::IP4),
        /// Kept until the next hop is known, or has failed.
        Held = held("held"),
        /// Longer than the MTU of the interface to leave by. The packet is unchanged.
        TooBig = edge("too-big", layer::IP4),
        /// The time to live is used up. The packet is unchanged.
        TtlExpired = edge("ttl-expired", layer::IP4),
        /// As many packets as `queue` says wait for this next hop already: normal for a burst to a new neighbour, whose sender sends again.
        QueueFull = drop("queue-full"),
        /// As many packets as `hold` says wait already: a scan of empty addresses, or many new neighbours at once. Raise `hold`.
        HoldFull = drop("hold-full"),
        /// The table of neighbours has no room for another one on this interface: a scan of empty addresses, or a large subnet. Raise its `limit`.
        TableFull = drop("table-full"),
        /// The interface to leave by has no IPv4 address to ask from: give it one.
        NoAddress = drop("no-address"),
        /// No look-up has chosen a next hop for this packet, or it is no IPv4 packet: put this node on the edge `unresolved` of `ip4-rewrite`.
        NoNextHop = drop("no-next-hop"),
    }
}

impl Node for Ip4Resolve {
    const INFO: Info = Info::new("ip4-resolve", "Asks for the hardware addresses of next hops by ARP, and keeps packets meanwhile.")
        .about(
            "It takes what `ip4-rewrite` calls unresolved. For the first packet to a next hop it sends a request, and repeats it each \
             `retry-interval` of the table, until there is an answer (`arp-input` hears it, on any worker) or `retries` were sent: then \
             the packets go by `failed`, and so do those that come in the table's `failed-time` after that. Packets that were kept \
             leave within 2 ms of the answer, in their order, and before those that come later. When a neighbour was not heard for \
             `reachable-time`, the next packet to it still leaves at once, and it is asked itself whether it is there (RFC 1122 \
             §2.3.2.1, unicast poll); if it does not answer it is forgotten, and asked for anew. Neighbours without packets are \
             forgotten. Of several instances on one table each keeps its own packets, and all of them together ask once.",
        )
        .input(layer::IP4)
        .uses(&[const { swath_api::Str::new("neighbours") }])
        .carries("packets that wait for a neighbour")
        .example(include_str!("../examples/ip4-resolve.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Ip4Resolve, ConfigError> {
        if !(1..=HOLD_MAX).contains(&config.hold) {
            return Err(ConfigError::at("hold", format!("`{}` is not in 1 to {HOLD_MAX}", config.hold)));
        }
        if !(1..=1024).contains(&config.queue) {
            return Err(ConfigError::at("queue", format!("`{}` is not in 1 to 1024", config.queue)));
        }
        setup.every(Neighbours::TICK);
        let neighbours = setup.table("neighbours", config.neighbours.as_deref())?;
        // One worker speaks for all.
        let announce =
            if config.announce && setup.worker() == 0 { Announce::of(setup.shared(neighbours)) } else { Announce::default() };
        Ok(Ip4Resolve {
            neighbours,
            worker: setup.worker(),
            queue: config.queue,
            held: setup.held(config.hold),
            seen: 0,
            left: false,
            announce,
            asks: Vec::with_capacity(VECTOR),
            released: Vec::with_capacity(VECTOR),
        })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let (table, now) = (cx.table(self.neighbours), cx.now());
        let shard = cx.shard(self.neighbours);
        let Self { held, asks, queue, worker, .. } = self;
        let waiting = shard.waiting();
        let mut overtaken = false;
        frame.for_each_hold(held, Next::Held, Next::HoldFull, |packet| {
            let next_hop = match next_hop(table, packet) {
                Ok(next_hop) => next_hop,
                Err(reason) => return Verdict::Go(reason),
            };
            let Some((place, answer)) = table.demand(*worker, next_hop, now) else { return Verdict::Go(Next::TableFull) };
            let waits = || Verdict::Hold(Waiter { next_hop, _wait: Wait::new(waiting, place) });
            if matches!(answer, Answer::Send { probe: true, .. } | Answer::Wait { ask: true }) && asks.len() < VECTOR {
                asks.push(place);
            }
            match answer {
                Answer::Send { .. } if waiting.count(place) > 0 => {
                    // Others wait to be let go: this one leaves behind them.
                    overtaken = true;
                    waits()
                }
                Answer::Send { mac, .. } => Verdict::Go(send(packet, table, next_hop, mac)),
                Answer::Wait { .. } if waiting.count(place) >= *queue => Verdict::Go(Next::QueueFull),
                Answer::Wait { .. } => waits(),
                Answer::Failed => Verdict::Go(Next::Failed),
            }
        });
        let mut emit = frame.emit();
        // What finds no room is due when the table ages next.
        for place in self.asks.drain(..) {
            if emit.room() > 0
                && let Some(request) = table.request(place, now)
            {
                ask(&mut emit, table, &request);
            }
        }
        if overtaken {
            self.release(&mut emit, table, shard);
        }
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, cx: &Context<'_>, words: &mut Words<'_>) {
        let (table, lane) = (cx.table(self.neighbours), packet.lane_ref());
        if decided.is(Next::Resolved) {
            packet.data().first_chunk::<6>().into_iter().for_each(|mac| words.say(format_args!("to {}", MacAddr::from(*mac))));
        } else if let Some(key) = key_of(table, packet) {
            table.say(key, cx.now(), words);
        } else if decided.is(Next::TooBig) || decided.is(Next::TtlExpired) {
            let (bytes, ttl) = (packet.len(), packet.data().get(8).copied().unwrap_or_default());
            words.say(format_args!("{bytes} bytes, ttl {ttl}"));
        } else if decided.is(Next::NoAddress)
            && let Some(interface) = table.interface(lane.tx)
        {
            words.say(format_args!("{} has no IPv4 address", interface.name));
        }
    }

    fn simulate(&mut self, packet: &mut Packet<'_>, cx: &mut Context<'_>, words: &mut Words<'_>) -> Option<Next> {
        let (table, now) = (cx.table(self.neighbours), cx.now());
        let next_hop = match next_hop(table, packet) {
            Ok(next_hop) => next_hop,
            Err(reason) => return Some(reason),
        };
        table.say(next_hop, now, words);
        let Some((place, answer)) = table.would_demand(next_hop, now) else { return Some(Next::TableFull) };
        let waiting = cx.peek(self.neighbours).waiting().count(place);
        if waiting > 0 {
            words.say(format_args!("{waiting} packets wait for it"));
        }
        Some(match answer {
            Answer::Send { mac, .. } if waiting == 0 => send(packet, table, next_hop, mac),
            Answer::Failed => Next::Failed,
            Answer::Wait { .. } if waiting >= self.queue => Next::QueueFull,
            _ if self.held.room() == 0 => Next::HoldFull,
            Answer::Wait { ask: true } => {
                words.say("it is asked for by ARP");
                Next::Held
            }
            Answer::Wait { .. } | Answer::Send { .. } => Next::Held,
        })
    }

    fn tick(&mut self, out: &mut Emit<'_, Next>, cx: &mut Context<'_>) {
        let (table, now) = (cx.table(self.neighbours), cx.now());
        let version = table.version();
        if !self.held.is_empty() && (version != self.seen || self.left) {
            self.release(out, table, cx.shard(self.neighbours));
        }
        self.seen = version;
        table.age(now, out.room(), |request| ask(out, table, &request));
        self.announce.tick(out, table, now);
    }

    fn adopt(&mut self, old: &mut Ip4Resolve) {
        std::mem::swap(&mut self.held, &mut old.held);
        // What has changed meanwhile is looked at in any case.
        self.left = true;
    }
}

impl Ip4Resolve {
    /// Lets those packets go whose next hop is known now, or has failed. They are resolved anew, by next hop.
    fn release(&mut self, out: &mut Emit<'_, Next>, table: &Neighbours, shard: &mut Shard) {
        let Self { held, released, .. } = self;
        out.release_with(held, |waiter, packet| {
            let (place, answer) = table.answer(waiter.next_hop);
            let next = match answer {
                Answer::Send { mac, .. } => send(packet, table, waiter.next_hop, mac),
                Answer::Failed => Next::Failed,
                Answer::Wait { .. } => return None,
            };
            if released.last() != Some(&place) && released.len() < VECTOR {
                released.push(place);
            }
            Some(next)
        });
        self.left = out.room() == 0;
        // With none of them left, the next packet goes the fast way.
        for place in released.drain(..) {
            if shard.waiting().count(place) == 0 {
                shard.refresh(table, place);
            }
        }
    }
}

/// Who is next on the way of a packet that is as it came.
pub(crate) fn key_of(table: &Neighbours, packet: &Packet<'_>) -> Option<Key> {
    let (lane, data) = (packet.lane_ref(), packet.data());
    let destination = || data.get(16..20).and_then(|bytes| bytes.first_chunk()).map(|bytes| u32::from_be_bytes(*bytes));
    let is_known = table.interface(lane.tx).is_some() && IcmpCause::from_word(lane.adj).is_none();
    if lane.adj == 0 {
        destination().filter(|_| is_known).map(|to| Key::new(lane.tx, to))
    } else {
        table.next_hop(lane.adj).filter(|_| is_known)
    }
}

/// Who is next on the packet's way: what the look-up has found, or else the destination itself.
fn next_hop(table: &Neighbours, packet: &mut Packet<'_>) -> Result<Key, Next> {
    let lane = *packet.lane_ref();
    let len = packet.len();
    let Some(ip) = packet.ip4() else { return Err(Next::NoNextHop) };
    let next_hop =
        if lane.adj == 0 { Key::new(lane.tx, ip.dst_bits()) } else { table.next_hop(lane.adj).ok_or(Next::NoNextHop)? };
    let interface = table.interface(next_hop.interface()).ok_or(Next::NoNextHop)?;
    if ip.ttl() <= 1 {
        packet.lane().adj = IcmpCause::TTL_EXCEEDED.word();
        return Err(Next::TtlExpired);
    }
    if len > usize::from(interface.mtu) {
        packet.lane().adj = IcmpCause::fragmentation_needed(interface.mtu).word();
        return Err(Next::TooBig);
    }
    if table.own(next_hop.interface()).next().is_none() {
        return Err(Next::NoAddress);
    }
    Ok(next_hop)
}

/// Makes the packet ready to leave, as `ip4-rewrite` does (RFC 1812 §5.3.1).
fn send(packet: &mut Packet<'_>, table: &Neighbours, next_hop: Key, mac: MacAddr) -> Next {
    let Some(interface) = table.interface(next_hop.interface()) else { return Next::NoNextHop };
    let mut eth = Eth::default();
    eth.set_dst(mac);
    eth.set_src(interface.mac);
    eth.set_ether_type(EtherType::IPV4);
    if packet.prepend::<{ size_of::<Eth>() }>().is_none() {
        return Next::NoNextHop;
    }
    let Some(head) = packet.head::<{ size_of::<Eth>() + size_of::<Ipv4>() }>() else { return Next::NoNextHop };
    if let Some(first) = head.first_chunk_mut() {
        *first = *eth.as_array();
    }
    if let Some(ip) = head.last_chunk_mut() {
        Ipv4::from_array_mut(ip).decrement_ttl();
    }
    packet.lane().set_out(u64::from(next_hop.interface()) << 32);
    Next::Resolved
}

/// Sends a request: to all, or to the neighbour that it is about.
fn ask(emit: &mut Emit<'_, Next>, table: &Neighbours, request: &Request) {
    let Some(source) = table.source(request.interface, request.address) else { return };
    make(emit, table, request, source);
}

fn make(emit: &mut Emit<'_, Next>, table: &Neighbours, request: &Request, source: Ipv4Addr) -> bool {
    let Some(interface) = table.interface(request.interface) else { return true };
    let mut arp = Arp::default();
    arp.set_sender_mac(interface.mac);
    arp.set_sender_ip(source);
    arp.set_target_ip(request.address);
    let mut eth = Eth::default();
    eth.set_dst(request.to.unwrap_or(MacAddr::BROADCAST));
    eth.set_src(interface.mac);
    eth.set_ether_type(EtherType::ARP);
    let lane = Lane { tx: request.interface, ..Lane::default() };
    emit.make(Next::Request, lane, |packet| {
        if let Some(bytes) = packet.append(size_of::<Eth>() + size_of::<Arp>()) {
            let (first, second) = bytes.split_at_mut(size_of::<Eth>());
            first.copy_from_slice(eth.as_array());
            second.copy_from_slice(arp.as_array());
        }
    })
}

/// Announcements that are still to be made.
#[derive(Default)]
struct Announce {
    addresses: Vec<(u16, Ipv4Addr)>,
    rounds: u8,
    next: usize,
    due: u64,
}

impl Announce {
    fn of(table: &Neighbours) -> Announce {
        let of = |index: &u16| table.own(*index).map(|(address, _)| (*index, address)).collect::<Vec<_>>();
        Announce { addresses: table.served().iter().flat_map(of).collect(), rounds: ANNOUNCE_NUM, ..Announce::default() }
    }

    fn tick(&mut self, out: &mut Emit<'_, Next>, table: &Neighbours, now: u64) {
        while self.rounds > 0 && now >= self.due && out.room() > 0 {
            let Some((interface, address)) = self.addresses.get(self.next).copied() else {
                (self.rounds, self.next, self.due) = (self.rounds - 1, 0, now + ANNOUNCE_INTERVAL);
                continue;
            };
            self.next += 1;
            make(out, table, &Request { interface, address, to: None }, address);
        }
    }
}
