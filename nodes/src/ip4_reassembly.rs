//! `ip4-reassembly`: puts the fragments of IPv4 packets together again (RFC 791 §3.2, RFC 815, RFC 1122 §3.3.2).

mod datagram;

use swath_api::prelude::*;
use swath_api::units::Duration;
use swath_api::wire::{Header, IcmpCause, IpProtocol, Ipv4};

use datagram::{Datagram, Finding};

/// How often datagrams are looked at whose time may be over.
const TICK: std::time::Duration = std::time::Duration::from_millis(100);
/// The least that a host must be able to put together (RFC 1122 §3.3.2).
const LEAST: u16 = 576;
/// A first fragment of TCP has at least the whole fixed header, so that no filter is deceived (RFC 1858 §3, RFC 3128 §3).
const TCP_LEAST: usize = 20;
const SECONDS: u64 = 1_000_000_000;

/// Puts fragments together.
pub struct Ip4Reassembly {
    timeout: u64,
    per_source: usize,
    largest: usize,
    datagrams: Box<[Datagram]>,
    open: usize,
    // For fragments that are not real.
    copy: Box<Datagram>,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// How many datagrams each worker puts together at once, 1 to 4096. Default: 256.
    #[serde(default = "default_datagrams")]
    datagrams: usize,
    /// How many of them may be from one source, so that one sender does not use up what is meant for all. Default: 16.
    #[serde(default = "default_per_source")]
    per_source: usize,
    /// The longest datagram in bytes, header included, 576 to 65535. What is longer than a buffer of the pool is dropped in any case.
    /// `datagrams` times this is the memory that each worker takes at most. Default: 10000.
    #[serde(default = "default_largest")]
    largest: u16,
    /// How long fragments are kept for the others, 15s to 120s. Default: 60s (RFC 1122 §3.3.2).
    #[serde(default = "default_timeout")]
    timeout: Duration,
}

fn default_datagrams() -> usize {
    256
}

fn default_per_source() -> usize {
    16
}

fn default_largest() -> u16 {
    10_000
}

fn default_timeout() -> Duration {
    Duration::from_nanoseconds(60 * SECONDS)
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// Packets that were whole, and those that are whole now.
        Ok = required("ok", layer::IP4),
        /// The first fragments of datagrams whose other fragments did not come in time, for `icmp-error`: it tells the sender (time exceeded,
        /// code 1). Fragments get lost on the way: lower the MTU of the sender.
        TimeExceeded = edge("time-exceeded", layer::IP4),
        /// Fragments whose data was taken.
        Collected = consumed("collected"),
        /// Datagrams whose first fragment did not come in time, nor all of the others: nobody can be told (RFC 1122 §3.3.2). One packet for each
        /// is made to be counted here, with its addresses.
        Incomplete = drop("incomplete"),
        /// A fragment says otherwise than those that came before what is in a place, or where the datagram ends: somebody tries to get data past
        /// a filter (RFC 1858, RFC 3128). The whole datagram is given up, with what is still to come of it, as RFC 5722 asks for IPv6.
        Overlap = drop("overlap"),
        /// A fragment that has come before: the network has doubled it.
        Duplicate = drop("duplicate"),
        /// A first fragment of TCP without all of its header, or one that begins within it: somebody tries to get a header past a filter (RFC
        /// 1858 §3, RFC 3128).
        TinyFragment = drop("tiny-fragment"),
        /// A fragment without data, one but the last with a length that is no multiple of eight, or one that ends beyond 65,535 bytes: a broken
        /// sender, or a hostile one.
        BadFragment = drop("bad-fragment"),
        /// The datagram is longer than `largest`, or than a buffer of the pool: raise `largest` and `engine.buffer-size`.
        TooBig = drop("too-big"),
        /// As many datagrams as `datagrams` says wait for fragments: an attack, or much traffic in fragments. Raise it.
        TableFull = drop("table-full"),
        /// As many datagrams of this source as `per-source` says wait for fragments: it loses many, or attacks.
        SourceFull = drop("source-full"),
        /// One fragment says that there was congestion, and another one that its sender does not know of that (RFC 3168 §5.3).
        BadEcn = drop("bad-ecn"),
        /// No IPv4 packet, or one that is cut off: put `ip4-input` before.
        Malformed = drop("malformed"),
    }
}

impl Node for Ip4Reassembly {
    const INFO: Info = Info::new("ip4-reassembly", "Puts the fragments of IPv4 packets together again.")
        .about(
            "Put it before what has to see whole packets: `ip4-local`, a filter, address translation. Packets that are whole pass. \
             Fragments belong together by source, destination, protocol and identification (RFC 791 §3.2, RFC 6864), and may come in any \
             order; their data is copied, so that none of them occupies a buffer. Each worker puts together what it \
             receives: all fragments of a datagram have to come by queues of one worker, as they do where the network card chooses \
             the queue of a fragment by its addresses.",
        )
        .input(layer::IP4)
        .carries("fragments that wait for others")
        .example(include_str!("../examples/ip4-reassembly.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Ip4Reassembly, ConfigError> {
        if !(1..=4096).contains(&config.datagrams) {
            return Err(ConfigError::at("datagrams", format!("`{}` is not in 1 to 4096", config.datagrams)));
        }
        if config.per_source == 0 {
            return Err(ConfigError::at("per-source", "at least 1"));
        }
        if config.largest < LEAST {
            return Err(ConfigError::at("largest", format!("`{}` is not in {LEAST} to 65535", config.largest)));
        }
        if !(15 * SECONDS..=120 * SECONDS).contains(&config.timeout.nanoseconds()) {
            return Err(ConfigError::at("timeout", format!("`{}` is not in 15s to 120s", config.timeout)));
        }
        setup.every(TICK);
        let largest = usize::from(config.largest);
        Ok(Ip4Reassembly {
            timeout: config.timeout.nanoseconds(),
            per_source: config.per_source,
            largest,
            datagrams: (0..config.datagrams).map(|_| Datagram::new(largest)).collect(),
            open: 0,
            copy: Box::new(Datagram::new(largest)),
        })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let now = cx.now();
        frame.for_each(|packet| self.take(packet, now).unwrap_or_else(|dropped| dropped));
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        let Some((ip, rest)) = Ipv4::parse(packet.data()).ok().filter(|_| !decided.is(Next::Malformed)) else { return };
        let (first, length) = (usize::from(ip.fragment_offset()), ip.payload(rest).len());
        if ip.is_fragment() {
            let last = if ip.more_fragments() { "" } else { " and last" };
            words.say(format_args!("bytes {first} to {}{last} of datagram {}", first + length, ip.id()));
        } else {
            words.say(format_args!("whole, {} bytes", packet.len()));
        }
    }

    fn simulate(&mut self, packet: &mut Packet<'_>, cx: &mut Context<'_>, words: &mut Words<'_>) -> Option<Next> {
        Some(self.foresee(packet, cx.now(), words).unwrap_or_else(|dropped| dropped))
    }

    fn tick(&mut self, out: &mut Emit<'_, Next>, cx: &mut Context<'_>) {
        if self.open == 0 {
            return;
        }
        for datagram in self.datagrams.iter_mut().filter(|datagram| datagram.is_open() && cx.now() >= datagram.due) {
            if !datagram.refused() {
                if out.room() == 0 {
                    return;
                }
                give_up(datagram, out);
            }
            datagram.close();
            self.open -= 1;
        }
    }

    fn adopt(&mut self, old: &mut Ip4Reassembly) {
        if self.largest == old.largest && self.datagrams.len() == old.datagrams.len() {
            std::mem::swap(&mut self.datagrams, &mut old.datagrams);
            std::mem::swap(&mut self.open, &mut old.open);
        }
    }
}

impl Ip4Reassembly {
    /// Whether a packet that is a fragment is sound.
    fn check(&self, ip: &Ipv4, payload: &[u8]) -> Result<(), Next> {
        let (offset, more) = (usize::from(ip.fragment_offset()), ip.more_fragments());
        let end = offset + payload.len();
        if payload.is_empty() || more && !payload.len().is_multiple_of(8) || ip.header_len() + end > usize::from(u16::MAX) {
            return Err(Next::BadFragment);
        }
        if ip.protocol() == IpProtocol::TCP && (offset == 0 && payload.len() < TCP_LEAST || (1..TCP_LEAST).contains(&offset)) {
            return Err(Next::TinyFragment);
        }
        if ip.header_len() + end > self.largest {
            return Err(Next::TooBig);
        }
        Ok(())
    }

    /// Decides for a packet; `Err` if it is of no use.
    fn take(&mut self, packet: &mut Packet<'_>, now: u64) -> Result<Next, Next> {
        let lane = *packet.lane_ref();
        let (ip, rest) = packet.header::<Ipv4>().map_err(|_| Next::Malformed)?;
        if !ip.is_fragment() {
            return Ok(Next::Ok);
        }
        let payload = ip.payload(rest);
        self.check(ip, payload)?;
        let datagram = self.datagram(ip, now)?;
        let finding = datagram.add(ip, ip.option_bytes(rest), payload, lane);
        match finding {
            Finding::More => Ok(Next::Collected),
            Finding::Duplicate => Err(Next::Duplicate),
            Finding::Overlap => Err(Next::Overlap),
            Finding::Whole => {
                let whole = datagram.write(packet);
                datagram.close();
                self.open -= 1;
                whole
            }
        }
    }

    /// As [`Ip4Reassembly::take`], of a packet that is not real.
    fn foresee(&mut self, packet: &mut Packet<'_>, now: u64, words: &mut Words<'_>) -> Result<Next, Next> {
        let lane = *packet.lane_ref();
        let (ip, rest) = packet.header::<Ipv4>().map_err(|_| Next::Malformed)?;
        if !ip.is_fragment() {
            return Ok(Next::Ok);
        }
        let payload = ip.payload(rest);
        self.check(ip, payload)?;
        match self.place(ip)? {
            (at, true) => self.copy.be(&self.datagrams[at]),
            (_, false) => self.copy.start(ip, now + self.timeout),
        }
        let finding = self.copy.add(ip, ip.option_bytes(rest), payload, lane);
        words.say(format_args!("{} bytes of datagram {} from {}", self.copy.bytes(), ip.id(), ip.src()));
        match finding {
            Finding::More => Ok(Next::Collected),
            Finding::Duplicate => Err(Next::Duplicate),
            Finding::Overlap => Err(Next::Overlap),
            Finding::Whole => {
                words.say("none is missing");
                self.copy.write(packet)
            }
        }
    }

    /// Where the datagram is that a fragment belongs to, and whether it is there already; else the place is free.
    fn place(&self, ip: &Ipv4) -> Result<(usize, bool), Next> {
        if let Some(at) = self.datagrams.iter().position(|datagram| datagram.is_of(ip)) {
            return Ok((at, true));
        }
        let of_source = |datagram: &&Datagram| datagram.is_open() && datagram.source() == ip.src_bits();
        if self.open >= self.per_source && self.datagrams.iter().filter(of_source).count() >= self.per_source {
            return Err(Next::SourceFull);
        }
        let free = self.datagrams.iter().position(|datagram| !datagram.is_open()).ok_or(Next::TableFull)?;
        Ok((free, false))
    }

    /// The datagram that a fragment belongs to.
    fn datagram(&mut self, ip: &Ipv4, now: u64) -> Result<&mut Datagram, Next> {
        let (at, is_there) = self.place(ip)?;
        if !is_there {
            self.datagrams[at].start(ip, now + self.timeout);
            self.open += 1;
        }
        Ok(&mut self.datagrams[at])
    }
}

/// Says what has become of a datagram that is not whole in time.
fn give_up(datagram: &Datagram, out: &mut Emit<'_, Next>) {
    let (next, mut lane) = match datagram.first() {
        Some(lane) => (Next::TimeExceeded, Lane::received(lane.rx)),
        None => (Next::Incomplete, Lane::default()),
    };
    lane.adj = IcmpCause::REASSEMBLY_EXCEEDED.word();
    out.make(next, lane, |packet| datagram.write_first(packet));
}
