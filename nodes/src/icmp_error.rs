//! `icmp-error`: tells senders what has become of their packets (RFC 792, RFC 1122 §3.2.2, RFC 1812 §4.3.2).

use std::net::Ipv4Addr;

use swath_api::prelude::*;
use swath_api::units::PacketRate;
use swath_api::wire::{Header, Icmp, IcmpCause, IpProtocol, Ipv4, icmp};
use swath_api::zerocopy::FromBytes;

use crate::own4::Own4;
use crate::pace::{Bucket, Pace};

/// The longest error (RFC 1812 §4.3.2.3).
const LONGEST: usize = 576;
/// What goes before the quote.
const HEADERS: usize = size_of::<Ipv4>() + size_of::<Icmp>();
/// Internetwork control (RFC 1812 §4.3.2.5).
const PRECEDENCE: u8 = 6 << 5;
/// The highest ICMP type that has ever been in use. What is beyond may be an error.
const LAST_KNOWN_TYPE: u8 = 18;
/// Hosts that share a bucket are those of one hash.
const HOST_BUCKETS_LOG2: u32 = 10;

/// Makes ICMP errors of packets.
pub struct IcmpError {
    settings: Settings,
    state: State,
}

struct Settings {
    cause: Option<IcmpCause>,
    source: Option<u32>,
    ttl: u8,
    pace: Pace,
    host_pace: Pace,
    own: Own4,
}

/// What another instance goes on with.
struct State {
    bucket: Bucket,
    host_buckets: Box<[Bucket; 1 << HOST_BUCKETS_LOG2]>,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The error that all packets get, whoever has refused them. Default: what the node that has refused a packet says.
    #[serde(default)]
    cause: Option<Cause>,
    /// The address that errors come from, one of the router's own. Default: the one that the packet was for, or else that of the
    /// interface which has received it.
    #[serde(default)]
    source: Option<Ipv4Addr>,
    /// The time to live that errors leave with, 1 to 254. Default: 64 (RFC 1700).
    #[serde(default = "default_ttl")]
    ttl: u8,
    /// Errors per second that each worker sends at most, on average. Default: 1000.
    #[serde(default = "default_rate")]
    rate: PacketRate,
    /// How many of them at once, at least 1. Default: 200.
    #[serde(default = "default_burst")]
    burst: u32,
    /// Errors per second that each worker sends to one host at most, on average, so that one sender does not use up what is meant for
    /// all. Those that tell the MTU (fragmentation needed) do not count. Default: 100.
    #[serde(default = "default_host_rate")]
    host_rate: PacketRate,
    /// How many of them at once, at least 1. Default: 50.
    #[serde(default = "default_host_burst")]
    host_burst: u32,
}

fn default_ttl() -> u8 {
    64
}

fn default_rate() -> PacketRate {
    PacketRate::from_packets_per_second(1000)
}

fn default_burst() -> u32 {
    200
}

fn default_host_rate() -> PacketRate {
    PacketRate::from_packets_per_second(100)
}

fn default_host_burst() -> u32 {
    50
}

/// An error that needs no more to be said.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Destination unreachable: no route (type 3, code 0).
    NetUnreachable,
    /// Destination unreachable: the host does not answer (type 3, code 1).
    HostUnreachable,
    /// Destination unreachable: nobody takes this protocol (type 3, code 2).
    ProtocolUnreachable,
    /// Destination unreachable: nobody listens at this port (type 3, code 3).
    PortUnreachable,
    /// Destination unreachable: forbidden by a filter (type 3, code 13).
    Prohibited,
    /// Time exceeded: the time to live (type 11, code 0).
    TtlExceeded,
}

impl From<Cause> for IcmpCause {
    fn from(cause: Cause) -> IcmpCause {
        match cause {
            Cause::NetUnreachable => IcmpCause::NET_UNREACHABLE,
            Cause::HostUnreachable => IcmpCause::HOST_UNREACHABLE,
            Cause::ProtocolUnreachable => IcmpCause::PROTOCOL_UNREACHABLE,
            Cause::PortUnreachable => IcmpCause::PORT_UNREACHABLE,
            Cause::Prohibited => IcmpCause::PROHIBITED,
            Cause::TtlExceeded => IcmpCause::TTL_EXCEEDED,
        }
    }
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// ICMP errors, for a look-up of their own.
        Ok = required("ok", layer::IP4),
        /// Nothing says what is wrong with the packet: wire edges to this node whose pages say that they can go here, or set `cause`.
        NoCause = drop("no-cause"),
        /// The packet is too big for its way, and its sender lets it be fragmented: wire what is too big to a node that does it.
        MayFragment = drop("may-fragment"),
        /// An ICMP error, or an ICMP message of a type that is not known, is not answered (RFC 1812 §4.3.2.7).
        IcmpError = drop("icmp-error"),
        /// Of a packet in fragments only the first is answered (RFC 1812 §4.3.2.7).
        Fragment = drop("fragment"),
        /// A packet to a broadcast or multicast address is not answered (RFC 1812 §4.3.2.7).
        ToGroup = drop("to-group"),
        /// The source is not the address of one host, and nobody is there to be answered (RFC 1812 §4.3.2.7): a broken or forged sender.
        NotFromHost = drop("not-from-host"),
        /// More errors than `rate` and `burst` allow (RFC 1812 §4.3.2.8): under attack, or in a routing loop.
        RateLimited = drop("rate-limited"),
        /// More errors for one host than `host-rate` and `host-burst` allow.
        HostRateLimited = drop("host-rate-limited"),
        /// No IPv4 packet, one that is cut off, or one without room for headers before it: put `ip4-input` before.
        Malformed = drop("malformed"),
    }
}

impl Node for IcmpError {
    const INFO: Info = Info::new("icmp-error", "Makes of IPv4 packets the ICMP errors that tell their senders what is wrong.")
        .about(
            "Several edges can lead here: `no-route`, `ttl-expired`, `too-big`, `unreachable`. What is wrong with a packet its lane \
             says, in the place of an adjacency (`IcmpCause` of the API). A packet that still has an adjacency has not reached \
             its next hop: `unresolved` and `failed` are host unreachable. The error quotes the packet as it arrived, with as much \
             of it as makes 576 bytes. It goes through a look-up of its own, and `ip4-rewrite` takes from its TTL the one that is \
             put on here.",
        )
        .input(layer::IP4)
        .carries("how many errors it may still send")
        .example(include_str!("../examples/icmp-error.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<IcmpError, ConfigError> {
        let own = Own4::new(setup.interfaces())?;
        if let Some(source) = config.source.filter(|source| !own.is_own(source.to_bits())) {
            return Err(ConfigError::at("source", format!("`{source}` is not an address of this router's interfaces")));
        }
        let pace = |(rate_at, rate): (&str, PacketRate), (burst_at, burst): (&str, u32)| {
            if rate.packets_per_second() == 0 {
                return Err(ConfigError::at(rate_at, "at least `1pps`; to send no errors, wire nothing to this node"));
            }
            if burst == 0 {
                return Err(ConfigError::at(burst_at, "at least 1"));
            }
            Ok(Pace::new(rate, burst))
        };
        let settings = Settings {
            cause: config.cause.map(IcmpCause::from),
            source: config.source.map(Ipv4Addr::to_bits),
            ttl: own_ttl(config.ttl)?,
            pace: pace(("rate", config.rate), ("burst", config.burst))?,
            host_pace: pace(("host-rate", config.host_rate), ("host-burst", config.host_burst))?,
            own,
        };
        let state = State { bucket: Bucket::default(), host_buckets: Box::new([Bucket::default(); _]) };
        Ok(IcmpError { settings, state })
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        if decided.is(Next::Ok)
            && let Ok((ip, rest)) = Ipv4::parse(packet.data())
            && let Ok((message, _)) = Icmp::ref_from_prefix(ip.payload(rest))
        {
            words.say(format_args!("ICMP type {} code {} to {}", message.icmp_type(), message.code(), ip.dst()));
        }
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let now = cx.now();
        let IcmpError { settings, state } = self;
        frame.for_each(|packet| match settings.judge(packet) {
            Ok(error) => state.admit(settings, &error, now).unwrap_or_else(|| error.replace(packet, settings.ttl)),
            Err(silent) => silent,
        });
    }

    fn simulate(&mut self, packet: &mut Packet<'_>, cx: &mut Context<'_>, words: &mut Words<'_>) -> Option<Next> {
        let IcmpError { settings, state } = self;
        Some(match settings.judge(packet) {
            Ok(error) => {
                let (cause, to) = (error.cause, Ipv4Addr::from(error.destination));
                words.say(format_args!("ICMP type {} code {} to {to}", cause.icmp_type(), cause.code()));
                state.limit(settings, &error, cx.now()).unwrap_or_else(|| error.replace(packet, settings.ttl))
            }
            Err(silent) => silent,
        })
    }

    fn adopt(&mut self, old: &mut IcmpError) {
        std::mem::swap(&mut self.state, &mut old.state);
    }
}

/// The TTL to put into what the router itself sends: `ip4-rewrite` takes one off.
pub(crate) fn own_ttl(ttl: u8) -> Result<u8, ConfigError> {
    match ttl {
        1..=254 => Ok(ttl + 1),
        _ => Err(ConfigError::at("ttl", format!("1 to 254, and not {ttl}"))),
    }
}

/// An error that may be sent.
struct Answer {
    cause: IcmpCause,
    source: u32,
    destination: u32,
    id: u16,
    /// Bytes of the packet that it answers.
    quoted: usize,
}

impl Settings {
    /// The error that a packet deserves, or why it gets none.
    fn judge(&self, packet: &mut Packet<'_>) -> Result<Answer, Next> {
        let lane = *packet.lane_ref();
        let (ip, rest) = packet.header::<Ipv4>().map_err(|_| Next::Malformed)?;
        let cause = self.cause.or_else(|| cause_of(lane)).ok_or(Next::NoCause)?;
        if tells_mtu(cause) && !ip.dont_fragment() {
            return Err(Next::MayFragment);
        }
        if ip.fragment_offset() != 0 {
            return Err(Next::Fragment);
        }
        if self.own.is_group(ip.dst_bits()) {
            return Err(Next::ToGroup);
        }
        let destination = ip.src_bits();
        if !self.own.is_host(destination) {
            return Err(Next::NotFromHost);
        }
        if ip.protocol() == IpProtocol::ICMP && !may_be_answered(ip.payload(rest)) {
            return Err(Next::IcmpError);
        }
        let quoted = usize::from(ip.total_len()).min(LONGEST - HEADERS);
        // Who has written to the router itself hears from the address that it knows: what `icmp_send` of Linux does, and traceroute expects.
        let asked = Some(ip.dst_bits()).filter(|asked| self.own.is_own(*asked));
        let source = self.source.or(asked).unwrap_or_else(|| self.own.speak_from(lane.rx, destination));
        Ok(Answer { cause, source, destination, id: ip.id(), quoted })
    }
}

/// Whether an error is one that path MTU discovery waits for (RFC 1191 §4).
fn tells_mtu(cause: IcmpCause) -> bool {
    cause.icmp_type() == icmp::DESTINATION_UNREACHABLE && cause.code() == icmp::unreachable::FRAGMENTATION_NEEDED
}

/// What a lane says of a packet that was refused.
fn cause_of(lane: Lane) -> Option<IcmpCause> {
    IcmpCause::from_word(lane.adj).or((lane.tx != NO_INTERFACE).then_some(IcmpCause::HOST_UNREACHABLE))
}

/// Whether an ICMP message is surely no error. Without its first byte it is not sure.
fn may_be_answered(message: &[u8]) -> bool {
    let mut header = Icmp::default();
    header.set_icmp_type(message.first().copied().unwrap_or(u8::MAX));
    header.icmp_type() <= LAST_KNOWN_TYPE && !header.is_error()
}

/// The bucket of the host that an error is for. Fibonacci hashing: a sender can choose whose bucket it shares, but it can forge the very
/// address, too.
fn host(error: &Answer) -> usize {
    const SHIFT: u32 = u32::BITS - HOST_BUCKETS_LOG2;
    (error.destination.wrapping_mul(0x9e37_79b1) >> SHIFT) as usize
}

impl State {
    /// Counts an error that is sent, or says which limit it exceeds.
    fn admit(&mut self, settings: &Settings, error: &Answer, now: u64) -> Option<Next> {
        let limit = self.limit(settings, error, now);
        if limit.is_none() {
            if !tells_mtu(error.cause) {
                settings.host_pace.take(&mut self.host_buckets[host(error)], now);
            }
            settings.pace.take(&mut self.bucket, now);
        }
        limit
    }

    /// The limit that an error exceeds.
    fn limit(&self, settings: &Settings, error: &Answer, now: u64) -> Option<Next> {
        // Without it a connection stalls, and a host may have many of them.
        if !tells_mtu(error.cause) && !settings.host_pace.has(self.host_buckets[host(error)], now) {
            return Some(Next::HostRateLimited);
        }
        (!settings.pace.has(self.bucket, now)).then_some(Next::RateLimited)
    }
}

impl Answer {
    /// Makes the packet the error.
    fn replace(&self, packet: &mut Packet<'_>, ttl: u8) -> Next {
        let length = HEADERS + self.quoted;
        packet.truncate(self.quoted);
        if packet.prepend::<HEADERS>().is_none() {
            return Next::Malformed;
        }
        let Ok((ip, rest)) = Ipv4::mut_from_prefix(packet.data_mut()) else { return Next::Malformed };
        *ip = Ipv4::default();
        ip.set_tos(PRECEDENCE);
        ip.set_total_len(length as u16);
        // Whatever the number of workers, the same: a counter of each worker would not be.
        ip.set_id(self.id);
        ip.set_ttl(ttl);
        ip.set_protocol(IpProtocol::ICMP);
        ip.set_src_bits(self.source);
        ip.set_dst_bits(self.destination);
        ip.fill_checksum(&[]);
        let Ok((message, quote)) = Icmp::mut_from_prefix(rest) else { return Next::Malformed };
        *message = Icmp::default();
        message.set_icmp_type(self.cause.icmp_type());
        message.set_code(self.cause.code());
        message.set_data(self.cause.data());
        message.fill_checksum(quote);
        // The way of the packet that it was is not its way.
        *packet.lane() = Lane::received(packet.lane_ref().rx);
        Next::Ok
    }
}
