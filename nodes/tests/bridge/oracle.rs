//! What IEEE 802.1D asks of a bridge, frame by frame, with a map.

use std::collections::{BTreeMap, HashMap};

use super::{Mac, SMALL_MTU, Sent};

/// What IEEE 802.1D asks of a bridge without spanning tree.
#[derive(Default)]
pub struct Oracle {
    pub stations: HashMap<(u16, Mac), Entry>,
    pub capacity: usize,
    pub drops: BTreeMap<&'static str, u64>,
    pub moved: u64,
}

#[derive(Clone, Copy)]
pub struct Entry {
    pub port: usize,
    /// `None`: static.
    pub seen: Option<u64>,
}

impl Oracle {
    pub fn expire(&mut self, now: u64) {
        self.stations.retain(|_, entry| entry.seen.is_none_or(|seen| now - seen <= 300));
    }

    /// The frames of one vector, which came in at these ports in this order: what leaves by each port.
    pub fn bridge(&mut self, now: u64, frames: &[(usize, Vec<u8>)]) -> Sent {
        self.expire(now);
        for (port, frame) in frames.iter().filter(|(_, frame)| fault(frame).is_none()) {
            let key = (vlan(frame), source(frame));
            let full = self.stations.len() >= self.capacity;
            match self.stations.get_mut(&key) {
                Some(Entry { seen: None, .. }) => {}
                Some(entry) => {
                    self.moved += u64::from(entry.port != *port);
                    *entry = Entry { port: *port, seen: Some(now) };
                }
                None if full || is_own(key.1) => {}
                None => drop(self.stations.insert(key, Entry { port: *port, seen: Some(now) })),
            }
        }
        let mut out: Sent = Default::default();
        for (port, frame) in frames {
            let mut lost = |reason| *self.drops.entry(reason).or_default() += 1;
            let fits = |port: usize| port != 3 || frame.len() - if vlan(frame) > 0 { 18 } else { 14 } <= SMALL_MTU;
            if let Some(reason) = fault(frame) {
                lost(reason);
                continue;
            }
            let destination: Mac = frame[..6].try_into().unwrap();
            if destination[..5] == [1, 0x80, 0xc2, 0, 0] && destination[5] < 16 {
                lost("bridge.reserved");
                continue;
            }
            match self.stations.get(&(vlan(frame), destination)) {
                Some(entry) if entry.port == *port => lost("bridge.same-port"),
                Some(entry) if !fits(entry.port) => lost("bridge.too-big"),
                Some(entry) => out[entry.port].push(frame.clone()),
                None if is_own(destination) => lost("bridge.local"),
                None => (0..4).filter(|other| other != port).for_each(|other| match fits(other) {
                    true => out[other].push(frame.clone()),
                    false => lost("flood.too-big"),
                }),
            }
        }
        out
    }
}

fn source(frame: &[u8]) -> Mac {
    frame[6..12].try_into().unwrap()
}

pub fn vlan(frame: &[u8]) -> u16 {
    if frame[12..14] == [0x81, 0] { u16::from_be_bytes([frame[14], frame[15]]) & 0xfff } else { 0 }
}

fn is_own(mac: Mac) -> bool {
    mac[..5] == [2, 0, 0, 0, 0]
}

fn fault(frame: &[u8]) -> Option<&'static str> {
    match frame {
        _ if frame.len() < 14 || frame[12..14] == [0x81, 0] && frame.len() < 18 => Some("bridge.too-short"),
        _ if frame[6] & 1 == 1 || source(frame) == [0; 6] => Some("bridge.bad-source"),
        _ if vlan(frame) == 4095 => Some("bridge.bad-vlan"),
        _ => None,
    }
}
