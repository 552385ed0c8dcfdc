//! A list in the hands of the driver `test`, by which it drops frames before anybody receives them.

use std::sync::Mutex;

use swath_api::{AddressSet, NO_EDGE, Offload, ROLES};

/// What it was told.
#[derive(Debug)]
pub struct Sieve {
    /// By role whether packets are dropped in it: by their source, by their destination.
    roles: [bool; ROLES],
    // Prefixes, of which the last holds that has an address, and whether it is in the list; and the borders of IPv6.
    said4: Mutex<Vec<(u32, u8, bool)>>,
    borders6: Mutex<Vec<u128>>,
}

impl Sieve {
    /// An empty one.
    pub fn new(offload: &Offload) -> Sieve {
        assert_eq!(offload.work.as_str(), Offload::DENY);
        let roles = offload.edges.map(|edge| edge != NO_EDGE);
        Sieve { roles, said4: Mutex::default(), borders6: Mutex::default() }
    }

    fn has4(&self, address: u32) -> bool {
        let said = self.said4.lock().unwrap();
        let is_of = |(first, length, _): &&(u32, u8, bool)| *length == 0 || (address ^ first) >> (32 - length) == 0;
        said.iter().rev().find(is_of).is_some_and(|(_, _, listed)| *listed)
    }

    fn has6(&self, address: u128) -> bool {
        self.borders6.lock().unwrap().iter().filter(|border| **border <= address).count() % 2 == 1
    }

    /// In which role a frame without a tag is dropped.
    pub fn role_of(&self, frame: &[u8]) -> Option<usize> {
        let has = |role: usize| match frame.get(12..14)? {
            [0x08, 0x00] => Some(self.has4(u32::from_be_bytes(*frame.get(26 + 4 * role..)?.first_chunk()?))),
            [0x86, 0xdd] => Some(self.has6(u128::from_be_bytes(*frame.get(22 + 16 * role..)?.first_chunk()?))),
            _ => None,
        };
        (0..ROLES).find(|role| self.roles[*role] && has(*role) == Some(true))
    }
}

impl AddressSet for Sieve {
    fn add4(&self, address: u32, length: u8) {
        self.said4.lock().unwrap().push((address, length, true));
    }

    fn remove4(&self, address: u32, length: u8) {
        self.said4.lock().unwrap().push((address, length, false));
    }

    fn replace6(&self, borders: &[u128]) {
        *self.borders6.lock().unwrap() = borders.to_vec();
    }
}
