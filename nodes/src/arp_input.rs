//! `arp-input`: answers ARP requests, and learns who has which hardware address (RFC 826).

use std::net::Ipv4Addr;

use swath_api::prelude::*;
use swath_api::wire::{Arp, ArpOperation, Eth, EtherType, Header, MacAddr};

use crate::neighbours::{Heard, Key, Neighbours, is_on_subnet};

/// Answers requests for the addresses of the interfaces, and tells the table of neighbours what it hears.
pub struct ArpInput {
    neighbours: Handle<Neighbours>,
    worker: u32,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The table of neighbours. Default: the only one.
    #[serde(default)]
    neighbours: Option<String>,
}

edges! {
    /// Where messages go.
    pub enum Next {
        /// Replies, whole frames for the interface that the request came in by.
        Reply = required("reply", layer::ETHERNET),
        /// Announcements of an address of the router that another station has used (RFC 5227 §2.4 (c)), whole frames for its interface: at most one
        /// in 10 s for each address. Find the other station by its hardware address in a capture, and give one of both another address.
        Defence = edge("defence", layer::ETHERNET),
        /// Replies and announcements of neighbours that the table has: it knows their address now.
        Learnt = consumed("learnt"),
        /// Requests for another station's address: a broadcast that all stations get, and no fault.
        NotOurs = drop("not-ours"),
        /// Replies that nobody has asked for, and announcements of stations that the router has no packets for: nothing is learnt from them.
        Unsolicited = drop("unsolicited"),
        /// Fewer than the 28 bytes of an ARP message: cut on the way, or a broken sender.
        TooShort = drop("too-short"),
        /// Not of IPv4 addresses on Ethernet: a station that speaks something else, or a broken sender.
        BadFormat = drop("bad-format"),
        /// Neither request nor reply: RARP and the like, which no router answers.
        BadOperation = drop("bad-operation"),
        /// The sender's hardware address is zero or a group address, or its IPv4 address is that of no host: broken, or an attack.
        BadSender = drop("bad-sender"),
        /// It came from one of the router's own interfaces: there is a loop in the network, or two interfaces are on one link.
        Looped = drop("looped"),
        /// Another station uses one of the router's own addresses, which was defended less than 10 s ago, or belongs to another interface: see
        /// `defence`.
        Conflict = drop("conflict"),
        /// The sender's address is on no subnet of the interface: a station with a wrong address or netmask, or one that belongs to another link.
        OffSubnet = drop("off-subnet"),
        /// The interface that received it is not one that the table of neighbours serves: add it to the table's `interfaces`.
        NotServed = drop("not-served"),
    }
}

impl Node for ArpInput {
    const INFO: Info = Info::new("arp-input", "Answers ARP requests for the router's addresses, and learns its neighbours.")
        .about(
            "A request for an address of the interface that received it is answered, probes of RFC 5227 §2.1.1 included. Its sender \
             becomes a neighbour, for there will be packets to it. Otherwise a message only changes neighbours that the table has \
             already, because it was asked for them or has heard them before: an answer, an announcement (gratuitous ARP), or any other \
             message of theirs confirms them and may give them another hardware address, which the table counts as moved (RFC 826, \
             \"Packet Reception\"). From all else nothing is learnt, so gossip cannot fill the table. Whoever uses an address of the router has it announced by `defence` \
             (RFC 5227 §2.4), lest hosts send to that station what is for the router. Static neighbours never change. \
             Neighbours that nobody uses are forgotten by `ip4-resolve`, which also asks for those that are missing.",
        )
        .input(layer::ARP)
        .uses(&[const { swath_api::Str::new("neighbours") }])
        .example(include_str!("../examples/arp-input.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<ArpInput, ConfigError> {
        let neighbours = setup.table("neighbours", config.neighbours.as_deref())?;
        Ok(ArpInput { neighbours, worker: setup.worker() })
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, cx: &Context<'_>, words: &mut Words<'_>) {
        let table = cx.table(self.neighbours);
        if decided.is(Next::Reply) || decided.is(Next::Defence) {
            if let Ok((arp, _)) = Arp::parse(packet.data().get(size_of::<Eth>()..).unwrap_or_default()) {
                words.say(format_args!("{} is {}, by {}", arp.sender_ip(), arp.sender_mac(), name(table, packet.lane_ref().tx)));
            }
        } else if let Ok((arp, _)) = Arp::parse(packet.data()) {
            say(table, packet.lane_ref().rx, &Message::of(arp), words);
        }
    }

    fn simulate(&mut self, packet: &mut Packet<'_>, cx: &mut Context<'_>, words: &mut Words<'_>) -> Option<Next> {
        let (table, now, rx) = (cx.table(self.neighbours), cx.now(), packet.lane_ref().rx);
        let message = match read(packet) {
            Ok(message) => message,
            Err(reason) => return Some(reason),
        };
        let Some(interface) = table.interface(rx) else { return Some(Next::NotServed) };
        say(table, rx, &message, words);
        let is_for_us = table.answers_for(rx, message.target);
        match judge(table, rx, &message) {
            Ok(()) => {}
            Err(Next::Conflict) if table.would_defend(rx, message.sender, now) => {
                return Some(defend(packet, &message, interface.mac, rx));
            }
            Err(reason) => return Some(reason),
        }
        let asks = message.operation == ArpOperation::REQUEST;
        let heard = match message.sender {
            Ipv4Addr::UNSPECIFIED => Heard::Stranger,
            sender => {
                let key = Key::new(rx, sender.into());
                let heard = table.would_hear(key, is_for_us && asks);
                table.say_heard(key, message.mac, heard, words);
                heard
            }
        };
        Some(match heard {
            _ if asks && is_for_us => reply(packet, &message, interface.mac, rx),
            heard => unanswered(heard, &message),
        })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let (table, now, worker) = (cx.table(self.neighbours), cx.now(), self.worker);
        frame.for_each(|packet| {
            let rx = packet.lane_ref().rx;
            let message = match read(packet) {
                Ok(message) => message,
                Err(reason) => return reason,
            };
            let Some(interface) = table.interface(rx) else { return Next::NotServed };
            let is_for_us = table.answers_for(rx, message.target);
            match judge(table, rx, &message) {
                Ok(()) => {}
                Err(Next::Conflict) if table.defend(rx, message.sender, now) => return defend(packet, &message, interface.mac, rx),
                Err(reason) => return reason,
            }
            // A probe has no sender yet: it asks whether the address is free.
            let heard = match message.sender {
                Ipv4Addr::UNSPECIFIED => Heard::Stranger,
                sender => {
                    let introduces = is_for_us && message.operation == ArpOperation::REQUEST;
                    table.hear(worker, Key::new(rx, sender.into()), message.mac, now, introduces)
                }
            };
            if message.operation == ArpOperation::REQUEST && is_for_us {
                return reply(packet, &message, interface.mac, rx);
            }
            unanswered(heard, &message)
        });
    }
}

/// What becomes of a message that gets no reply.
fn unanswered(heard: Heard, message: &Message) -> Next {
    match heard {
        Heard::Known | Heard::Static => Next::Learnt,
        _ if message.operation == ArpOperation::REQUEST && message.sender != message.target => Next::NotOurs,
        _ => Next::Unsolicited,
    }
}

/// Says what a message is about.
fn say(table: &Neighbours, rx: u16, message: &Message, words: &mut Words<'_>) {
    let Message { operation, mac, sender, target } = message;
    match *operation {
        ArpOperation::REQUEST => words.say(format_args!("{sender} ({mac}) asks for {target} on {}", name(table, rx))),
        _ => words.say(format_args!("{sender} says that it is {mac} on {}", name(table, rx))),
    }
}

fn name(table: &Neighbours, interface: u16) -> &str {
    table.interface(interface).map_or("?", |interface| &interface.name)
}

/// What matters of a message.
struct Message {
    operation: ArpOperation,
    mac: MacAddr,
    sender: Ipv4Addr,
    target: Ipv4Addr,
}

impl Message {
    fn of(arp: &Arp) -> Message {
        Message { operation: arp.operation(), mac: arp.sender_mac(), sender: arp.sender_ip(), target: arp.target_ip() }
    }
}

/// Reads a message of the right form.
fn read(packet: &mut Packet<'_>) -> Result<Message, Next> {
    if packet.len() < size_of::<Arp>() {
        return Err(Next::TooShort);
    }
    let (arp, _) = packet.header::<Arp>().map_err(|_| Next::BadFormat)?;
    let (operation, mac) = (arp.operation(), arp.sender_mac());
    if operation != ArpOperation::REQUEST && operation != ArpOperation::REPLY {
        return Err(Next::BadOperation);
    }
    if mac.is_group() || mac == MacAddr::ZERO {
        return Err(Next::BadSender);
    }
    Ok(Message::of(arp))
}

/// Whether the sender can be one of the neighbours on this interface.
fn judge(table: &Neighbours, rx: u16, message: &Message) -> Result<(), Next> {
    let sender = message.sender;
    if table.has_mac(message.mac) {
        return Err(Next::Looped);
    }
    if sender.is_unspecified() {
        return if message.operation == ArpOperation::REQUEST { Ok(()) } else { Err(Next::BadSender) };
    }
    if table.is_own(sender) {
        return Err(Next::Conflict);
    }
    if sender.is_multicast() || sender.is_broadcast() || sender.is_loopback() {
        return Err(Next::BadSender);
    }
    match table.own(rx).find(|(own, len)| is_on_subnet(*own, *len, sender)) {
        // The addresses at both ends of a subnet are of no host, but where it has only two (RFC 3021).
        Some((_, len)) if len < 31 && matches!(u32::from(sender) << len, 0) => Err(Next::BadSender),
        Some((_, len)) if len < 31 && u32::from(sender) << len == u32::MAX << len => Err(Next::BadSender),
        // A neighbour of an on-link route is on no subnet: it is in the table before it is heard.
        None if table.host(rx, sender.into()).is_none() => Err(Next::OffSubnet),
        _ => Ok(()),
    }
}

/// Makes the reply of the request, in its place.
fn reply(packet: &mut Packet<'_>, request: &Message, mac: MacAddr, interface: u16) -> Next {
    let mut arp = Arp::default();
    arp.set_operation(ArpOperation::REPLY);
    arp.set_sender_mac(mac);
    arp.set_sender_ip(request.target);
    arp.set_target_mac(request.mac);
    arp.set_target_ip(request.sender);
    replace(packet, &arp, request.mac, interface, Next::Reply)
}

/// Makes the announcement of an address, in the place of the message of another station that claims it.
fn defend(packet: &mut Packet<'_>, claim: &Message, mac: MacAddr, interface: u16) -> Next {
    let mut arp = Arp::default();
    arp.set_operation(ArpOperation::REQUEST);
    arp.set_sender_mac(mac);
    arp.set_sender_ip(claim.sender);
    arp.set_target_ip(claim.sender);
    replace(packet, &arp, MacAddr::BROADCAST, interface, Next::Defence)
}

/// Puts another message in the place of a packet's.
fn replace(packet: &mut Packet<'_>, arp: &Arp, to: MacAddr, interface: u16, next: Next) -> Next {
    // Without what Ethernet has padded.
    packet.truncate(size_of::<Arp>());
    let mut eth = Eth::default();
    eth.set_dst(to);
    eth.set_src(arp.sender_mac());
    eth.set_ether_type(EtherType::ARP);
    let Some(head) = packet.head::<{ size_of::<Arp>() }>() else { return Next::TooShort };
    *head = *arp.as_array();
    // The room that the message's own Ethernet header has left.
    let Some(head) = packet.prepend::<{ size_of::<Eth>() }>() else { return Next::TooShort };
    *head = *eth.as_array();
    packet.lane().set_out(u64::from(interface) << 32);
    next
}
