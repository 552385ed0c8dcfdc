//! What a graph says of a table `nat44`.

use std::net::{IpAddr, Ipv4Addr};

use swath_api::flow::word_hash;
use swath_api::prelude::*;
use swath_api::units::Duration;
use swath_api::wire::IpProtocol;

use crate::fib4::Prefix4;
use crate::sessions::{MAX_SESSIONS, Pairing, Settings, Timeouts};

use super::deterministic::Deterministic;
use super::pool::{Pool, PoolAddress};
use super::rate::Rate;
use super::statics::{Static, Statics};
use super::{BY_WORKER, End};

/// Addresses of a pool, at most.
const MOST_ADDRESSES: usize = 4096;
/// Ports of an address without a range of its own: not those of services.
const PORTS: (u16, u16) = (1024, 65535);

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The interfaces that the hosts are behind whose packets are translated.
    #[serde(default)]
    pub(super) inside: Vec<String>,
    /// The interfaces to the network where those hosts are known by addresses of the pool.
    #[serde(default)]
    pub(super) outside: Vec<String>,
    /// Whose packets are translated: those from these prefixes to others. Default: the subnets of the `inside` interfaces.
    #[serde(default)]
    pub(super) inside_prefixes: Option<Vec<Prefix4>>,
    /// The addresses that inside hosts are known by outside: one, a prefix or a range, each with a range of ports if it is not to be
    /// 1024 to 65535, as `203.0.113.2`, `203.0.113.8/29`, `203.0.113.2-203.0.113.5`, `203.0.113.2:20000-29999`. ICMP identifiers are from
    /// the same range. Each worker has its part of each range. Default: the first address of the first `outside` interface.
    #[serde(default)]
    pub(super) pool: Vec<String>,
    /// Whether an inside address and port have one address and port outside, whoever they speak to. Default: `endpoint-independent`.
    #[serde(default)]
    pub(super) mapping: Mapping,
    /// Who may answer. Default: `address-dependent`.
    #[serde(default)]
    pub(super) filtering: Filtering,
    /// Whether a host has the same address outside for all that it does. Default: `paired`.
    #[serde(default)]
    pub(super) pooling: Pooling,
    /// Gives each inside address ports that follow from it, and it from them (RFC 7422), so that nothing needs to be logged: those
    /// of `inside-prefixes`, in order, get one range of ports after the other of the first address of the pool, then of the next. The commands
    /// `outside-of` and `inside-of` of the table say which. Default: any port that is free.
    #[serde(default)]
    pub(super) deterministic: Option<Fixed>,
    /// Gives each inside address blocks of ports on demand, so that it suffices to log who had which block when (RFC 6888 REQ-14). Default:
    /// any port that is free.
    #[serde(default)]
    pub(super) port_blocks: Option<OnDemand>,
    /// What a host is told that gets no port or no session. Default: `prohibited`.
    #[serde(default)]
    pub(super) refusal: Told,
    /// Hosts and ports that are reached from outside.
    #[serde(default, rename = "static")]
    pub(super) statics: Vec<Forward>,
    /// How sessions are kept.
    #[serde(default)]
    pub(super) sessions: Keeping,
    /// What one inside address may have at most.
    #[serde(default)]
    pub(super) per_user: PerUser,
    /// Packets in fragments that are remembered by their first fragment, 64 to 1048576. Default: 4096.
    #[serde(default = "default_fragmented")]
    pub(super) fragmented_packets: u32,
    /// Fragments that each node and worker keeps until the first one of their packet comes, 1 to 16384. Default: 256.
    #[serde(default = "default_waiting")]
    pub(super) waiting_fragments: usize,
    /// How long a first fragment is remembered, and how long others wait for it: 10ms to 30s. Default: 2s, the least that RFC 6146 §4 wants.
    #[serde(default = "default_fragment_timeout")]
    pub(super) fragment_timeout: Duration,
    /// The file, relative to the graph file, that sessions are saved in when the engine stops, and restored from when it starts; `swath nat save`
    /// and `swath nat restore` do that at any time. Default: they end with the engine.
    #[serde(default)]
    pub(super) persist: Option<String>,
    /// Makes the choice of ports the same in each run: for tests. Default: ports that nobody can guess (RFC 6056).
    #[serde(default)]
    pub(super) port_seed: Option<u64>,
}

fn default_fragmented() -> u32 {
    4096
}

fn default_waiting() -> usize {
    256
}

fn default_fragment_timeout() -> Duration {
    Duration::from_nanoseconds(2 * SECOND)
}

const SECOND: u64 = 1_000_000_000;

/// Whether an inside address and port have one address and port outside (RFC 4787 §4.1).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mapping {
    /// They have, for all peers: what RFC 4787 REQ-1 and RFC 5382 REQ-1 ask for.
    #[default]
    EndpointIndependent,
    /// They may have another one for each peer, so that one port outside serves many hosts: more sessions than ports, and applications
    /// between peers suffer. Only the peer may answer.
    EndpointDependent,
}

/// Who may answer to an inside address and port (RFC 4787 §5). Static ones are reached by anybody.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Filtering {
    /// Anybody, once it has spoken to anybody: what is best for applications between peers (RFC 4787 REQ-8).
    EndpointIndependent,
    /// Addresses that it has spoken to, from any of their ports.
    #[default]
    AddressDependent,
    /// Addresses and ports that it has spoken to.
    AddressAndPortDependent,
}

/// Which address of the pool a host gets (RFC 4787 §4.1).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Always the same, which follows from its inside address (RFC 4787 REQ-2). When that has no port left, it gets none.
    #[default]
    Paired,
    /// Another one when that has no port left.
    Arbitrary,
}

/// Ports that follow from the inside address.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "NatDeterministic")]
pub(super) struct Fixed {
    /// Ports of each inside address, of TCP, UDP and ICMP each: 1 to 65535. An address of the pool with its 64512 ports serves 64 hosts of 1008.
    pub(super) ports: u16,
}

/// Blocks of ports on demand.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "NatPortBlocks")]
pub(super) struct OnDemand {
    /// Ports of a block, of TCP, UDP and ICMP each: 8 to 32768. Of each address of the pool each worker has as many whole blocks as it can.
    size: u16,
    /// Blocks that an inside address may have at a time, 1 to 64. Default: 4.
    #[serde(default = "default_blocks")]
    per_user: u16,
    /// How long a block stays that of its inside address when its last mapping is gone: up to 1h. Default: 2min (RFC 6888 REQ-8).
    #[serde(default = "default_hold_off")]
    hold_off: Duration,
    /// The file that blocks given and taken back are appended to, a line of JSON each, relative to the graph file. It is made anew when it
    /// was moved away. Default: none; the log of the engine has them in any case, of target `swath::records`.
    #[serde(default)]
    log: Option<String>,
}

fn default_blocks() -> u16 {
    4
}

fn default_hold_off() -> Duration {
    Duration::from_nanoseconds(120 * SECOND)
}

/// [`OnDemand`] as workers need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PortBlocks {
    pub(super) size: u16,
    pub(super) per_user: u16,
    pub(super) hold_off: Duration,
}

/// What a host is told that gets no port or no session: the code of an ICMP destination unreachable.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Told {
    /// Communication is administratively prohibited (RFC 5508 REQ-8).
    #[default]
    Prohibited,
    /// The host is unreachable (RFC 6888 REQ-11 B, for NATs of providers).
    HostUnreachable,
}

/// A host or a port that is reached from outside.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Forward {
    /// The inside address.
    inside: Ipv4Addr,
    /// The address outside. Default: the only one of the pool. Without a `port` it is the host's alone, for all protocols.
    #[serde(default)]
    outside: Option<Ipv4Addr>,
    /// The protocol of the port.
    #[serde(default)]
    protocol: Option<Transport>,
    /// The port outside, 1 to 65535. Default: all of the address.
    #[serde(default)]
    port: Option<u16>,
    /// The port inside, 1 to 65535. Default: as outside. Several ports outside may lead to one inside; what begins there takes the first of them.
    #[serde(default)]
    inside_port: Option<u16>,
}

/// A protocol whose ports are forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    pub(super) fn number(self) -> IpProtocol {
        match self {
            Transport::Tcp => IpProtocol::TCP,
            Transport::Udp => IpProtocol::UDP,
        }
    }

    pub(super) fn of(number: IpProtocol) -> Option<Transport> {
        [Transport::Tcp, Transport::Udp].into_iter().find(|known| known.number() == number)
    }
}

/// How sessions are kept.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "NatSessions")]
pub(super) struct Keeping {
    /// Most sessions, for all workers together, each of which has its share: 1 to 268435456. One takes about 200 bytes. Default: 262144.
    pub(super) capacity: u32,
    /// Whether a TCP connection of which the beginning was not seen may go on: after a restart, say. Default: false.
    pub(super) pick_up: bool,
    /// Whether a session gives way to a new one when there is no room, that of an established TCP connection excepted. Default: true. RFC 6888
    /// REQ-11 D wants providers to refuse the new one.
    pub(super) make_room: bool,
    /// How long a session lasts without packets.
    pub(super) timeouts: Timeouts,
}

impl Default for Keeping {
    fn default() -> Keeping {
        Keeping { capacity: 1 << 18, pick_up: false, make_room: true, timeouts: Timeouts::default() }
    }
}

/// What one inside address may have at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct PerUser {
    /// Sessions, at least 1. Default: any number.
    pub(super) sessions: Option<u32>,
    /// Ports outside, of TCP, UDP and ICMP together, at least 1. With endpoint-dependent mapping there is no such limit. Default: any number.
    pub(super) ports: Option<u32>,
    /// Sessions that it may open in a second, 1 to 1000000; those that begin outside are not counted. Default: any number.
    rate: Option<u32>,
    /// Sessions that it may open at once, where there is a `rate`: 1 to 1000000. Default: those of a second.
    burst: Option<u32>,
}

impl PerUser {
    pub(super) fn rate(&self) -> Option<Rate> {
        self.rate.map(|per_second| Rate { per_second, burst: self.burst.unwrap_or(per_second) })
    }

    fn check(&self) -> Result<(), ConfigError> {
        for (path, limit) in [("per-user.sessions", self.sessions), ("per-user.ports", self.ports)] {
            if limit == Some(0) {
                return Err(ConfigError::at(path, "at least 1; leave it out for any number"));
            }
        }
        for (path, limit) in [("per-user.rate", self.rate), ("per-user.burst", self.burst)] {
            if let Some(limit) = limit.filter(|limit| !(1..=1_000_000).contains(limit)) {
                return Err(ConfigError::at(path, format!("1 to 1000000 sessions, and not {limit}")));
            }
        }
        if self.burst.is_some() && self.rate.is_none() {
            return Err(ConfigError::at("per-user.burst", "there is no `rate` that it is of"));
        }
        Ok(())
    }
}

/// What workers need to know, checked.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) inside: Vec<Prefix4>,
    pub(super) pool: Pool,
    pub(super) mapping: Mapping,
    pub(super) filtering: Filtering,
    pub(super) pooling: Pooling,
    pub(super) deterministic: Option<Deterministic>,
    pub(super) port_blocks: Option<PortBlocks>,
    pub(super) block_log: Option<String>,
    pub(super) persist: Option<String>,
    pub(super) refusal: Told,
    pub(super) per_user: PerUser,
    pub(super) sessions: Settings,
    pub(super) capacity: u32,
    pub(super) port_seed: Option<u64>,
    pub(super) workers: u32,
}

impl Rules {
    /// Refuses what cannot change while there are sessions: what is remembered of them is of other size or kind.
    pub(super) fn check_same_stores(&self, old: &Rules) -> Result<(), ConfigError> {
        let (user, old_user) = (self.per_user, old.per_user);
        let comes = |limit: Option<u32>, old: Option<u32>| limit.is_some() && old.is_none();
        let differs = [
            ("mapping", self.mapping != old.mapping),
            ("filtering", self.filtering != old.filtering),
            // The ports of each host follow from inside prefixes and pool, too.
            ("deterministic", self.deterministic != old.deterministic),
            ("port-blocks", self.port_blocks != old.port_blocks),
            // Nobody has counted.
            ("per-user.sessions", comes(user.sessions, old_user.sessions)),
            ("per-user.ports", comes(user.ports, old_user.ports)),
            ("sessions.capacity", self.sessions.capacity != old.sessions.capacity),
        ];
        let text = "cannot change while the table keeps sessions: give the table another name, which ends them, or start again";
        if let Some((path, _)) = differs.into_iter().find(|(_, differs)| *differs) {
            return Err(ConfigError::at(path, text));
        }
        if self.port_blocks.is_some() && self.pool != old.pool {
            let text = "with `port-blocks` the pool cannot change while the table keeps sessions, since blocks are known by their places in \
                        it. Save them (`swath nat save FILE`), give the table another name, and restore those that the new pool \
                        allows (`swath nat restore FILE`)";
            return Err(ConfigError::at("pool", text));
        }
        Ok(())
    }

    /// The worker of an inside address.
    pub(super) fn owner_of_inside(&self, address: u32) -> Owner {
        Owner::of(word_hash(address.into(), BY_WORKER), self.workers)
    }

    /// The worker of a port of the address of the pool at a place.
    pub(super) fn owner_of_port(&self, place: usize, port: u16) -> Option<Owner> {
        match &self.deterministic {
            Some(all) => all.of_outside(place, port, &self.pool).map(|inside| self.owner_of_inside(inside)),
            None => self.pool.owner(place, port),
        }
    }
}

impl Config {
    /// Checks what serde cannot.
    pub(super) fn check(&self, setup: &mut TableSetup<'_>) -> Result<(Rules, Statics), ConfigError> {
        let inside_interfaces = interfaces("inside", &self.inside, setup)?;
        let outside_interfaces = interfaces("outside", &self.outside, setup)?;
        if let Some(both) = self.outside.iter().position(|name| self.inside.contains(name)) {
            let text = format!("`{}` is inside, too", self.outside[both]);
            return Err(ConfigError::at(format!("outside[{both}]"), text));
        }
        let inside = self.inside_prefixes(&inside_interfaces, setup)?;
        let pool = self.pool(&outside_interfaces, &inside, setup)?;
        let statics = self.statics(&pool, &inside)?;
        let deterministic = self.deterministic(&pool, &inside)?;
        let port_blocks = self.port_blocks(&pool)?;
        if pool.is_empty() && statics.is_empty() {
            let text = "there is no address to translate to: give it a `pool`, or an `outside` interface with an address";
            return Err(ConfigError::at("pool", text));
        }
        if !(1..=MAX_SESSIONS / 2).contains(&self.sessions.capacity) {
            let text = format!("a table has 1 to {} sessions, and not {}", MAX_SESSIONS / 2, self.sessions.capacity);
            return Err(ConfigError::at("sessions.capacity", text));
        }
        self.sessions.timeouts.check("sessions.timeouts")?;
        self.per_user.check()?;
        if self.mapping == Mapping::EndpointDependent && self.per_user.ports.is_some() {
            let text = "with `mapping: endpoint-dependent` ports are nobody's: limit `sessions`";
            return Err(ConfigError::at("per-user.ports", text));
        }
        if !(64..=1 << 20).contains(&self.fragmented_packets) {
            let text = format!("64 to 1048576 packets, and not {}", self.fragmented_packets);
            return Err(ConfigError::at("fragmented-packets", text));
        }
        if !(1..=16_384).contains(&self.waiting_fragments) {
            let text = format!("1 to 16384 fragments, and not {}", self.waiting_fragments);
            return Err(ConfigError::at("waiting-fragments", text));
        }
        if !(SECOND / 100..=30 * SECOND).contains(&self.fragment_timeout.nanoseconds()) {
            return Err(ConfigError::at("fragment-timeout", format!("`{}` is not in `10ms` to `30s`", self.fragment_timeout)));
        }
        let workers = setup.workers().max(1);
        let Keeping { capacity, pick_up: pickup, make_room, timeouts } = self.sessions;
        let sessions = Settings { pickup, make_room, timeouts, ..Settings::new(capacity.div_ceil(workers), Pairing::Translated) };
        let rules = Rules {
            inside,
            pool,
            mapping: self.mapping,
            filtering: self.filtering,
            pooling: self.pooling,
            deterministic,
            port_blocks,
            block_log: self.port_blocks.as_ref().and_then(|blocks| blocks.log.clone()),
            persist: self.persist.clone(),
            refusal: self.refusal,
            per_user: self.per_user,
            sessions,
            capacity,
            port_seed: self.port_seed,
            workers,
        };
        Ok((rules, statics))
    }

    fn inside_prefixes(&self, interfaces: &[u16], setup: &TableSetup<'_>) -> Result<Vec<Prefix4>, ConfigError> {
        let known = setup.interfaces();
        let inside = match &self.inside_prefixes {
            Some(prefixes) => prefixes.clone(),
            None => interfaces.iter().flat_map(|index| subnets(&known[usize::from(*index)])).collect(),
        };
        if inside.is_empty() {
            let text = "nobody is inside: give it `inside` interfaces with addresses, or `inside-prefixes`";
            return Err(ConfigError::at("inside", text));
        }
        Ok(inside)
    }

    fn pool(&self, outside: &[u16], inside: &[Prefix4], setup: &TableSetup<'_>) -> Result<Pool, ConfigError> {
        let mut addresses: Vec<PoolAddress> = Vec::new();
        for (index, text) in self.pool.iter().enumerate() {
            let inside_error = |error: String| ConfigError::at(format!("pool[{index}]"), error);
            let (first, last, ports) = parse_entry(text).map_err(inside_error)?;
            if (last - first) as usize >= MOST_ADDRESSES - addresses.len() {
                return Err(inside_error(format!("a pool has {MOST_ADDRESSES} addresses at most")));
            }
            for address in first..=last {
                if inside.iter().any(|prefix| prefix.contains(address)) {
                    return Err(inside_error(format!("`{}` is an inside address", Ipv4Addr::from_bits(address))));
                }
                if addresses.iter().any(|known| known.address == address) {
                    return Err(inside_error(format!("`{}` is in the pool already", Ipv4Addr::from_bits(address))));
                }
                addresses.push(PoolAddress { address, first: ports.0, last: ports.1 });
            }
        }
        if self.pool.is_empty() {
            let own = outside.iter().flat_map(|index| &setup.interfaces()[usize::from(*index)].addresses);
            let first =
                own.into_iter().find_map(|(address, _)| if let IpAddr::V4(own) = address { Some(own.to_bits()) } else { None });
            addresses.extend(first.map(|address| PoolAddress { address, first: PORTS.0, last: PORTS.1 }));
        }
        Ok(Pool::new(addresses, setup.workers().max(1)))
    }

    fn deterministic(&self, pool: &Pool, inside: &[Prefix4]) -> Result<Option<Deterministic>, ConfigError> {
        let Some(Fixed { ports }) = self.deterministic else { return Ok(None) };
        if ports == 0 {
            return Err(ConfigError::at("deterministic.ports", "at least 1"));
        }
        if self.pooling == Pooling::Arbitrary {
            let text = "with `deterministic` ports the address outside follows from the inside one";
            return Err(ConfigError::at("pooling", text));
        }
        let all = Deterministic::new(inside, pool, ports);
        all.map(Some).map_err(|error| ConfigError::at("deterministic", error))
    }

    fn port_blocks(&self, pool: &Pool) -> Result<Option<PortBlocks>, ConfigError> {
        let Some(OnDemand { size, per_user, hold_off, .. }) = self.port_blocks else { return Ok(None) };
        let at = |key: &str, text: String| Err(ConfigError::at(format!("port-blocks.{key}"), text));
        if !(8..=32_768).contains(&size) {
            return at("size", format!("8 to 32768 ports, and not {size}"));
        }
        if !(1..=64).contains(&per_user) {
            return at("per-user", format!("1 to 64 blocks, and not {per_user}"));
        }
        if hold_off.nanoseconds() > 3600 * SECOND {
            return at("hold-off", format!("`{hold_off}` is more than `1h`"));
        }
        if self.deterministic.is_some() {
            return Err(ConfigError::at("port-blocks", "with `deterministic` each host has its ports for good"));
        }
        if self.mapping == Mapping::EndpointDependent {
            return Err(ConfigError::at("port-blocks", "with `mapping: endpoint-dependent` ports are nobody's"));
        }
        if let Some((address, ports)) = pool.least_part(size) {
            let address = Ipv4Addr::from_bits(address);
            return at("size", format!("of `{address}` a worker has {ports} ports: not one block of {size}"));
        }
        Ok(Some(PortBlocks { size, per_user, hold_off }))
    }

    fn statics(&self, pool: &Pool, inside: &[Prefix4]) -> Result<Statics, ConfigError> {
        let mut statics = Statics::default();
        for (index, forward) in self.statics.iter().enumerate() {
            let entry = forward.check(pool, inside).map_err(|error| error.inside(&format!("static[{index}]")))?;
            statics.add(entry).map_err(|error| error.inside(&format!("static[{index}]")))?;
        }
        Ok(statics)
    }
}

impl Forward {
    pub(super) fn check(&self, pool: &Pool, prefixes: &[Prefix4]) -> Result<Static, ConfigError> {
        let outside = pool.one(self.outside)?;
        let inside = self.inside.to_bits();
        if !prefixes.iter().any(|prefix| prefix.contains(inside)) {
            return Err(ConfigError::at("inside", format!("`{}` is not inside", self.inside)));
        }
        if prefixes.iter().any(|prefix| prefix.contains(outside)) {
            return Err(ConfigError::at("outside", format!("`{}` is an inside address", Ipv4Addr::from_bits(outside))));
        }
        let (protocol, port) = match (self.protocol, self.port, self.inside_port) {
            (None, None, None) if pool.find(outside).is_some() => {
                let text = "the address is in the pool: a host that has all of an address needs one of its own";
                return Err(ConfigError::at("outside", text));
            }
            (None, None, None) => (IpProtocol(0), 0),
            (Some(protocol), Some(port), _) => (protocol.number(), port),
            (None, ..) => return Err(ConfigError::at("protocol", "which port is forwarded: `tcp` or `udp`")),
            (_, None, _) => return Err(ConfigError::at("port", "which port is forwarded")),
        };
        let inside_port = self.inside_port.unwrap_or(port);
        for (path, port) in [("port", port), ("inside-port", inside_port)] {
            if protocol != IpProtocol(0) && port == 0 {
                return Err(ConfigError::at(path, "0 is no port: 1 to 65535"));
            }
        }
        let (inside, outside) = (End { address: inside, port: inside_port }, End { address: outside, port });
        Ok(Static { protocol, inside, outside })
    }
}

fn interfaces(path: &str, names: &[String], setup: &TableSetup<'_>) -> Result<Vec<u16>, ConfigError> {
    names.iter().enumerate().map(|(index, name)| setup.interface(&format!("{path}[{index}]"), name)).collect()
}

fn subnets(interface: &swath_api::Interface) -> impl Iterator<Item = Prefix4> {
    interface.addresses.iter().filter_map(|(address, len)| match address {
        IpAddr::V4(address) => Some(Prefix4::containing(address.to_bits(), *len)),
        IpAddr::V6(_) => None,
    })
}

/// The first and the last address, and the ports.
fn parse_entry(text: &str) -> Result<(u32, u32, (u16, u16)), String> {
    let wrong = || {
        format!("`{text}` is not an address such as `203.0.113.2`, a prefix, or a range, with or without `:FIRST-LAST` of ports")
    };
    let (addresses, ports) = match text.split_once(':') {
        Some((addresses, ports)) => {
            let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
            let port = |text: &str| text.parse::<u16>().map_err(|_| wrong());
            (addresses, (port(first)?, port(last)?))
        }
        None => (text, PORTS),
    };
    let address = |text: &str| text.parse::<Ipv4Addr>().map(Ipv4Addr::to_bits).map_err(|_| wrong());
    let (first, last) = if let Some((first, last)) = addresses.split_once('-') {
        (address(first)?, address(last)?)
    } else if addresses.contains('/') {
        let prefix: Prefix4 = addresses.parse().map_err(|_| wrong())?;
        (prefix.addr(), prefix.last())
    } else {
        (address(addresses)?, address(addresses)?)
    };
    if first > last || ports.0 > ports.1 {
        return Err(format!("`{text}` is empty: the first comes first"));
    }
    if ports.0 == 0 {
        return Err("0 is no port: 1 to 65535".into());
    }
    Ok((first, last, ports))
}
