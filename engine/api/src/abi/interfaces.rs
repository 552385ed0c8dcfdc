//! Interfaces on both sides of the vtable: described once for a graph, and read once by each library, however many nodes ask.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::raw::{Bytes, RawAddress, RawInterface, RawInterfaces};
use crate::setup::{ConfigError, Interface};
use crate::wire::MacAddr;

/// All interfaces of a graph as they are handed to nodes and tables, by index.
#[derive(Debug)]
pub struct Interfaces {
    known: Rc<Known>,
    raw: Vec<RawInterface>,
    // What `raw` points to, beside the names in `known`.
    _addresses: Vec<Box<[RawAddress]>>,
    id: u64,
}

impl Interfaces {
    /// Describes them.
    pub fn new(list: Vec<Interface>) -> Interfaces {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let known = Rc::new(Known::new(list));
        let addresses: Vec<Box<[RawAddress]>> =
            known.list.iter().map(|interface| interface.addresses.iter().map(RawAddress::of).collect()).collect();
        let describe = |interface: &Interface, addresses: &[RawAddress]| RawInterface {
            name: Bytes::new(interface.name.as_bytes()),
            mac: interface.mac.octets(),
            mtu: interface.mtu,
            addresses: addresses.as_ptr(),
            address_count: addresses.len(),
        };
        let raw = known.list.iter().zip(&addresses).map(|(interface, addresses)| describe(interface, addresses)).collect();
        Interfaces { known, raw, _addresses: addresses, id: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// All of them, by index.
    pub fn list(&self) -> &[Interface] {
        &self.known.list
    }

    /// As they cross to a node.
    pub(super) fn raw(&self) -> RawInterfaces {
        RawInterfaces { id: self.id, first: self.raw.as_ptr(), count: self.raw.len() }
    }
}

impl Drop for Interfaces {
    fn drop(&mut self) {
        READ.with_borrow_mut(|read| read.take_if(|(id, _)| *id == self.id));
    }
}

impl std::fmt::Debug for RawInterface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RawInterface")
    }
}

impl std::fmt::Debug for RawAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RawAddress")
    }
}

impl RawAddress {
    fn of(&(address, prefix_len): &(IpAddr, u8)) -> RawAddress {
        let (mut octets, version) = ([0; 16], if address.is_ipv4() { 4 } else { 6 });
        match address {
            IpAddr::V4(address) => octets[..4].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => octets = address.octets(),
        }
        RawAddress { octets, version, prefix_len }
    }

    fn read(&self) -> (IpAddr, u8) {
        let [a, b, c, d, ..] = self.octets;
        (if self.version == 4 { IpAddr::from([a, b, c, d]) } else { IpAddr::from(self.octets) }, self.prefix_len)
    }
}

thread_local! {
    /// The interfaces that this copy of the crate has read last.
    static READ: RefCell<Option<(u64, Rc<Known>)>> = const { RefCell::new(None) };
}

/// Interfaces that were read.
#[derive(Debug)]
pub(crate) struct Known {
    list: Arc<[Interface]>,
    index: HashMap<String, u16>,
}

impl Known {
    fn new(list: Vec<Interface>) -> Known {
        // The first of a name, and none that a lane could not name.
        let named = list.iter().zip(0..crate::packet::NO_INTERFACE).rev().filter(|(interface, _)| !interface.is_vacant());
        let index = named.map(|(interface, at)| (interface.name.clone(), at)).collect();
        Known { list: list.into(), index }
    }

    /// Those of a graph, read if they have not been.
    ///
    /// # Safety
    /// The description is good during this call.
    pub(crate) unsafe fn of(raw: RawInterfaces) -> Rc<Known> {
        READ.with_borrow_mut(|read| match read {
            Some((id, known)) if *id == raw.id => Rc::clone(known),
            _ => {
                // SAFETY: the caller's contract; the host made both parts of one slice.
                let list = unsafe { std::slice::from_raw_parts(raw.first, raw.count) };
                // SAFETY: as above.
                let known = Rc::new(Known::new(list.iter().map(|interface| unsafe { interface.read() }).collect()));
                *read = Some((raw.id, Rc::clone(&known)));
                known
            }
        })
    }

    pub(crate) fn list(&self) -> &Arc<[Interface]> {
        &self.list
    }

    /// The index of the interface that the setting at `path` names.
    pub(crate) fn find(&self, path: &str, name: &str) -> Result<u16, ConfigError> {
        let there = || self.list.iter().filter(|interface| !interface.is_vacant());
        let names = || there().map(|interface| interface.name.as_str());
        self.index.get(name).copied().ok_or_else(|| ConfigError::unknown_interface(path, name, names()))
    }
}

impl RawInterface {
    /// # Safety
    /// What it points to is alive.
    unsafe fn read(&self) -> Interface {
        // SAFETY: the caller's contract; the host made both parts of one slice each.
        let (name, addresses) = unsafe { (self.name.as_slice(), std::slice::from_raw_parts(self.addresses, self.address_count)) };
        Interface {
            name: String::from_utf8_lossy(name).into_owned(),
            mac: MacAddr::new(self.mac),
            mtu: self.mtu,
            addresses: addresses.iter().map(RawAddress::read).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, addresses: &[(&str, u8)]) -> Interface {
        let addresses = addresses.iter().map(|(address, len)| (address.parse().unwrap(), *len)).collect();
        Interface { name: name.into(), mac: MacAddr::from([2, 0, 0, 0, 0, 9]), mtu: 1400, addresses }
    }

    #[test]
    fn what_was_described_is_read_once_by_each_list() {
        let list = vec![interface("lan", &[("192.0.2.1", 24), ("2001:db8::1", 64)]), interface("größe", &[])];
        let interfaces = Interfaces::new(list.clone());
        // SAFETY: `interfaces` is alive.
        let read = || unsafe { Known::of(interfaces.raw()) };
        assert_eq!(read().list()[..], list);
        assert!(Rc::ptr_eq(&read(), &read()));
        let (first, other) = (read(), Interfaces::new(Vec::new()));
        // SAFETY: `other` is alive.
        assert!(unsafe { Known::of(other.raw()) }.list().is_empty());
        assert!(!Rc::ptr_eq(&first, &read()));
        assert_eq!(read().find("interface", "größe"), Ok(1));
        let error = read().find("interface", "wan").unwrap_err();
        assert_eq!(error, ConfigError::at("interface", "unknown interface `wan`, expected one of `lan`, `größe`"));
        drop(interfaces);
        assert!(READ.with_borrow(|read| read.is_none()));
    }

    #[test]
    fn of_two_by_one_name_the_first_is_meant() {
        let known = Known::new(vec![interface("a", &[]), interface("b", &[]), interface("a", &[])]);
        assert_eq!(known.find("", "a"), Ok(0));
        let many = (0..20).map(|at| interface(&format!("p{at}"), &[])).collect();
        let error = Known::new(many).find("", "q").unwrap_err();
        assert!(error.message().ends_with("`p7`, and 12 more"), "{error}");
    }
}
