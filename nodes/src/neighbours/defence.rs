//! When the router last stood up for its addresses (RFC 5227 §2.4).

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};

use swath_api::Interface;

use super::{Neighbours, SECOND};

/// `DEFEND_INTERVAL` of RFC 5227 §1.1: two stations that both insist on an address must not answer each other without end.
const DEFEND_INTERVAL: u64 = 10 * SECOND;

/// The router's addresses, each with the time from which on it may be defended again.
#[derive(Debug)]
pub(super) struct Defences(Box<[(u16, Ipv4Addr, AtomicU64)]>);

impl Defences {
    pub fn of(interfaces: &[Interface]) -> Defences {
        let own = interfaces.iter().zip(0..).flat_map(|(interface, index)| {
            interface.addresses.iter().filter_map(move |(address, _)| match address {
                IpAddr::V4(address) => Some((index, *address, AtomicU64::new(0))),
                IpAddr::V6(_) => None,
            })
        });
        Defences(own.collect())
    }

    /// Whether an address is one of them, and due.
    pub fn is_due(&self, interface: u16, address: Ipv4Addr, now: u64) -> bool {
        let own = self.0.iter().find(|(index, own, _)| (*index, *own) == (interface, address));
        own.is_some_and(|(_, _, due)| due.load(Ordering::Relaxed) <= now)
    }
}

impl Neighbours {
    /// Whether an address that another station claims on the link of an interface is to be announced now. It is if it is the interface's and
    /// was not defended lately, and of all workers one is told so.
    pub fn defend(&self, interface: u16, address: Ipv4Addr, now: u64) -> bool {
        let own = self.defences.0.iter().find(|(index, own, _)| (*index, *own) == (interface, address));
        own.is_some_and(|(_, _, due)| {
            let next = |due: u64| (due <= now).then(|| now.saturating_add(DEFEND_INTERVAL));
            due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
        })
    }
}
