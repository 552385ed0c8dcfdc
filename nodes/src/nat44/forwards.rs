//! Hosts and ports that are reached from outside, as they are now: what settings say, and what commands have changed since.
//!
//! Control publishes a new [`Known`], and workers take it with their next frame, or the next sweep: then each asks again about the sessions
//! that others have permitted, as after a reload. What was known before is kept until nobody has it any more, so that none is ever freed by a
//! worker.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use swath_api::prelude::*;
use swath_api::wire::IpProtocol;

use super::End;
use super::pool::Pool;
use super::settings::{Forward, Rules, Transport};
use super::statics::{Static, Statics};

/// What is known of addresses outside, of one moment.
pub(crate) struct Known {
    pub(super) statics: Statics,
    /// Addresses that hosts inside are known by, in order, with the first and the last of them.
    addresses: Vec<u32>,
    span: (u32, u32),
    /// Sessions that another one has permitted are asked for again.
    pub(super) epoch: u16,
}

impl Known {
    pub(super) fn new(pool: &Pool, statics: Statics, epoch: u16) -> Known {
        let mut addresses: Vec<u32> = pool.addresses().iter().map(|entry| entry.address).collect();
        addresses.extend(statics.entries().iter().map(|entry| entry.outside.address));
        addresses.sort_unstable();
        addresses.dedup();
        let span = addresses.first().copied().zip(addresses.last().copied()).unwrap_or((1, 0));
        Known { statics, addresses, span, epoch }
    }

    /// Whether an address is one that hosts inside are known by.
    #[inline(always)]
    pub(crate) fn is_ours(&self, address: u32) -> bool {
        let (first, last) = self.span;
        (first..=last).contains(&address) && self.addresses.binary_search(&address).is_ok()
    }
}

/// What there is now.
pub(super) struct Forwards {
    current: ArcSwap<Known>,
    // Those before it that a worker may still have. Only who has the lock publishes.
    before: Mutex<Vec<Arc<Known>>>,
}

impl Forwards {
    pub(super) fn new(known: Known) -> Forwards {
        Forwards { current: ArcSwap::from_pointee(known), before: Mutex::default() }
    }

    #[inline]
    pub(super) fn now(&self) -> Guard<Arc<Known>> {
        self.current.load()
    }

    /// Publishes what `change` makes of what there is.
    fn change(&self, pool: &Pool, change: impl FnOnce(&Statics) -> Result<Statics, ConfigError>) -> Result<(), ConfigError> {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.current.load_full();
        let known = Known::new(pool, change(&now.statics)?, now.epoch.wrapping_add(1));
        drop(now);
        before.push(self.current.swap(Arc::new(known)));
        before.retain(|known| Arc::strong_count(known) > 1);
        Ok(())
    }

    /// Adds one.
    ///
    /// # Errors
    /// What is wrong with it, or that somebody has it.
    pub(super) fn add(&self, forward: &Forward, rules: &Rules) -> Result<(), ConfigError> {
        let entry = forward.check(&rules.pool, &rules.inside)?;
        self.change(&rules.pool, |now| {
            let mut statics = now.clone();
            statics.add(entry)?;
            Ok(statics)
        })
    }

    /// Removes the one of an address outside and a port, or of all of the address.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn remove(&self, which: &Outside, rules: &Rules) -> Result<(), ConfigError> {
        let (outside, protocol) = which.check(&rules.pool)?;
        self.change(&rules.pool, |now| now.without(outside, protocol).ok_or_else(|| ConfigError::new("there is no such forward")))
    }

    /// All of them, in the order in which they were made.
    pub(super) fn list(&self) -> Vec<Shown> {
        self.current.load().statics.entries().iter().map(Shown::of).collect()
    }
}

/// An address outside, and a port of it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Outside {
    /// The address. Default: the only one of the pool.
    #[serde(default)]
    outside: Option<Ipv4Addr>,
    /// The protocol of the port.
    #[serde(default)]
    protocol: Option<Transport>,
    /// The port. Default: all of the address.
    #[serde(default)]
    port: Option<u16>,
}

impl Outside {
    fn check(&self, pool: &Pool) -> Result<(End, IpProtocol), ConfigError> {
        let address = pool.one(self.outside)?;
        match (self.protocol, self.port) {
            (Some(protocol), Some(port)) => Ok((End { address, port }, protocol.number())),
            (None, None) => Ok((End { address, port: 0 }, IpProtocol(0))),
            (None, Some(_)) => Err(ConfigError::at("protocol", "which port it is: `tcp` or `udp`")),
            (Some(_), None) => Err(ConfigError::at("port", "which port it is")),
        }
    }
}

/// A forward as it is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Shown {
    /// The inside address.
    inside: Ipv4Addr,
    /// The address outside.
    outside: Ipv4Addr,
    /// The protocol; none if it is all of the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<Transport>,
    /// The port outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// The port inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    inside_port: Option<u16>,
}

impl Shown {
    fn of(entry: &Static) -> Shown {
        let Static { protocol, inside, outside } = *entry;
        let protocol = Transport::of(protocol);
        let port = |end: End| protocol.map(|_| end.port);
        Shown {
            inside: Ipv4Addr::from_bits(inside.address),
            outside: Ipv4Addr::from_bits(outside.address),
            protocol,
            port: port(outside),
            inside_port: port(inside),
        }
    }
}
