//! `ip4-local`: packets for the router itself; answers echo requests (RFC 792, RFC 1122 §3.2.2.6, RFC 1812 §4.3.3.6).

use swath_api::prelude::*;
use swath_api::wire::{Header, Icmp, IcmpCause, IpProtocol, Ipv4, Udp, checksum::Pseudo, icmp};
use swath_api::zerocopy::FromBytes;

use crate::icmp_error::own_ttl;
use crate::own4::Own4;

/// IPv4 options (RFC 791 §3.1).
mod option {
    pub const RECORD_ROUTE: u8 = 7;
    pub const LOOSE_SOURCE_ROUTE: u8 = 131;
    pub const STRICT_SOURCE_ROUTE: u8 = 137;
}

/// Answers echo requests, and sorts what else is for the router.
pub struct Ip4Local {
    own: Own4,
    ttl: u8,
    punt: [bool; 256],
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The protocols of packets that go to `punt`: names (`tcp`, `udp`, `icmp`, `igmp`, `gre`, `esp`, `ah`, `ospf`, `pim`, `vrrp`,
    /// `sctp`) or numbers. Of `icmp` the echo requests are answered here all the same. Default: none.
    #[serde(default)]
    punt: Vec<Protocol>,
    /// The time to live that replies leave with, 1 to 254. Default: 64 (RFC 1700).
    #[serde(default = "default_ttl")]
    ttl: u8,
}

fn default_ttl() -> u8 {
    64
}

/// A protocol (IANA, "Assigned Internet Protocol Numbers").
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected the number of a protocol, 0 to 255, or one of `icmp`, `igmp`, `tcp`, `udp`, `gre`, `esp`, `ah`, `ospf`, \
                 `pim`, `vrrp`, `sctp`"
)]
pub enum Protocol {
    /// By its number.
    Number(u8),
    /// By its name.
    Name(Name),
}

/// Protocols that run on routers.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Name {
    /// 1.
    Icmp = 1,
    /// 2.
    Igmp = 2,
    /// 6.
    Tcp = 6,
    /// 17.
    Udp = 17,
    /// 47.
    Gre = 47,
    /// 50.
    Esp = 50,
    /// 51.
    Ah = 51,
    /// 89.
    Ospf = 89,
    /// 103.
    Pim = 103,
    /// 112.
    Vrrp = 112,
    /// 132.
    Sctp = 132,
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// Replies to echo requests, for a look-up of their own.
        Reply = required("reply", layer::IP4),
        /// Packets of the protocols that `punt` lists, unchanged: for somebody who speaks them.
        Punt = edge("punt", layer::IP4),
        /// Packets of other protocols, unchanged, for `icmp-error`: port unreachable for UDP, else protocol unreachable.
        Unreachable = edge("unreachable", layer::IP4),
        /// Fragments, for a node that puts them together again and sends them here.
        Fragment = edge("fragment", layer::IP4),
        /// ICMP messages other than echo requests, which the router itself has no use for: list `icmp` in `punt` if somebody has.
        Icmp = drop("icmp"),
        /// The checksum of an ICMP message, or of a datagram that nobody takes, is wrong: damaged on the way, or a broken sender.
        BadChecksum = drop("bad-checksum"),
        /// An echo request to a broadcast or multicast address is not answered (RFC 1812 §4.3.3.6): it is used to flood others.
        EchoToGroup = drop("echo-to-group"),
        /// The source is not the address of one host, and nobody is there to be answered: a broken or forged sender.
        NotFromHost = drop("not-from-host"),
        /// An echo request with a source route is not answered: its way back could be anybody's choice (RFC 7126 §4.3, §4.4).
        SourceRoute = drop("source-route"),
        /// The IPv4 options cannot be read: a broken sender.
        BadOptions = drop("bad-options"),
        /// No IPv4 packet, one that is cut off, or ICMP or UDP without a whole header: put `ip4-input` before; or a broken sender.
        Malformed = drop("malformed"),
    }
}

impl Node for Ip4Local {
    const INFO: Info = Info::new("ip4-local", "Answers echo requests to the router itself, and sorts what else is for it.")
        .about(
            "It takes packets from `local` of `ip4-lookup`. A reply has the data and the options of its request, comes from the \
             address that was asked, and goes through a look-up of its own, behind which `ip4-rewrite` takes from its TTL the one \
             that is put on here. An option that records the route has the router's address added. Packets that nobody takes leave \
             by `unreachable`, so that a traceroute that has reached the router ends here.",
        )
        .input(layer::IP4)
        .pure()
        .example(include_str!("../examples/ip4-local.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Ip4Local, ConfigError> {
        let mut punt = [false; 256];
        for protocol in config.punt {
            punt[usize::from(match protocol {
                Protocol::Number(number) => number,
                Protocol::Name(name) => name as u8,
            })] = true;
        }
        Ok(Ip4Local { own: Own4::new(setup.interfaces())?, ttl: own_ttl(config.ttl)?, punt })
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        let Ok((ip, rest)) = Ipv4::parse(packet.data()) else { return };
        let protocol = ip.protocol();
        if decided.is(Next::Reply) {
            words.say(format_args!("echo reply from {} to {}", ip.src(), ip.dst()));
        } else if decided.is(Next::Punt) {
            words.say(format_args!("`punt` lists {protocol}"));
        } else if decided.is(Next::Unreachable)
            && let Ok((udp, _)) = Udp::ref_from_prefix(ip.payload(rest))
            && protocol == IpProtocol::UDP
        {
            words.say(format_args!("nobody listens at port {} of {}", udp.dst_port(), ip.dst()));
        } else if decided.is(Next::Unreachable) {
            words.say(format_args!("nobody takes {protocol} at {}", ip.dst()));
        } else if decided.is(Next::Icmp)
            && let Ok((message, _)) = Icmp::ref_from_prefix(ip.payload(rest))
        {
            words.say(format_args!("ICMP type {} code {}", message.icmp_type(), message.code()));
        }
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.for_each(|packet| self.take(packet).unwrap_or_else(|dropped| dropped));
    }
}

impl Ip4Local {
    /// Decides for a packet; `Err` if it is of no use.
    fn take(&self, packet: &mut Packet<'_>) -> Result<Next, Next> {
        let (ip, rest) = packet.header::<Ipv4>().map_err(|_| Next::Malformed)?;
        let total = usize::from(ip.total_len());
        if ip.is_fragment() {
            return Ok(Next::Fragment);
        }
        let punted = self.punt[usize::from(ip.protocol().0)];
        if ip.protocol() != IpProtocol::ICMP {
            if punted {
                return Ok(Next::Punt);
            }
            let cause = match ip.protocol() {
                IpProtocol::UDP => {
                    check_udp(ip.pseudo(), ip.payload(rest))?;
                    IcmpCause::PORT_UNREACHABLE
                }
                _ => IcmpCause::PROTOCOL_UNREACHABLE,
            };
            packet.lane().adj = cause.word();
            return Ok(Next::Unreachable);
        }
        let (message, data) = Icmp::ref_from_prefix(ip.payload(rest)).map_err(|_| Next::Malformed)?;
        if !message.checksum_ok(data) {
            return Err(Next::BadChecksum);
        }
        if message.icmp_type() != icmp::ECHO_REQUEST {
            return if punted { Ok(Next::Punt) } else { Err(Next::Icmp) };
        }
        if self.own.is_group(ip.dst_bits()) {
            return Err(Next::EchoToGroup);
        }
        if !self.own.is_host(ip.src_bits()) {
            return Err(Next::NotFromHost);
        }
        self.reply(ip, rest)?;
        packet.truncate(total);
        // The way of the request is not that of the reply.
        *packet.lane() = Lane::received(packet.lane_ref().rx);
        Ok(Next::Reply)
    }

    /// Makes an echo request its reply. It keeps DF and identification: where its sender lets the request be fragmented, it has given it
    /// an identification that is its own (RFC 6864 §4), which is as good for the reply.
    fn reply(&self, ip: &mut Ipv4, rest: &mut [u8]) -> Result<(), Next> {
        let (asker, own) = (ip.src_bits(), ip.dst_bits());
        add_to_route(ip, rest, own)?;
        ip.set_src_bits(own);
        ip.set_dst_bits(asker);
        ip.set_ttl(self.ttl);
        ip.fill_checksum(rest);
        if let Ok((message, data)) = Icmp::mut_from_prefix(ip.payload_mut(rest)) {
            message.set_icmp_type(icmp::ECHO_REPLY);
            message.set_code(0);
            message.fill_checksum(data);
        }
        Ok(())
    }
}

/// Whether a datagram that nobody takes is one at all: what is damaged is no question, and gets no error (RFC 1122 §4.1.3.4).
fn check_udp(pseudo: Pseudo, datagram: &[u8]) -> Result<(), Next> {
    let (udp, rest) = Udp::ref_from_prefix(datagram).map_err(|_| Next::Malformed)?;
    if !(size_of::<Udp>()..=datagram.len()).contains(&usize::from(udp.datagram_len())) {
        return Err(Next::Malformed);
    }
    if udp.checksum_ok(pseudo, rest) { Ok(()) } else { Err(Next::BadChecksum) }
}

/// Adds the router to the routes that the options record (RFC 1122 §3.2.2.6), as far as they have room.
fn add_to_route(ip: &Ipv4, rest: &mut [u8], own: u32) -> Result<(), Next> {
    let mut record = None;
    for found in ip.options(rest) {
        let found = found.map_err(|_| Next::BadOptions)?;
        match found.kind {
            option::LOOSE_SOURCE_ROUTE | option::STRICT_SOURCE_ROUTE => return Err(Next::SourceRoute),
            option::RECORD_ROUTE => {
                // The pointer counts from the option's first octet, from 1: the route begins at 4 (RFC 791 §3.1).
                let pointer = usize::from(*found.data.first().ok_or(Next::BadOptions)?);
                if pointer < 4 {
                    return Err(Next::BadOptions);
                }
                let end = found.at + 2 + found.data.len();
                let place = found.at + pointer - 1;
                record = (place + 4 <= end).then_some((found.at + 2, place)).or(record);
            }
            _ => {}
        }
    }
    if let Some((pointer, place)) = record {
        let options = ip.option_bytes_mut(rest);
        options[pointer] += 4;
        options[place..place + 4].copy_from_slice(&own.to_be_bytes());
    }
    Ok(())
}
