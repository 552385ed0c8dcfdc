//! Which IPv6 addresses are in a list: where the list begins and ends, in order.
//!
//! An address is in the list if an odd number of borders is at it or before it. A search halves the borders for all addresses of a vector in
//! step, so that the memory of one is fetched while the others are looked at.

use std::collections::BTreeSet;

use swath_api::VECTOR;

use crate::acl::Prefix;

/// A set of addresses that never changes.
#[derive(Debug, Default)]
pub struct Ranges6 {
    /// Of each range its first address, and the first one behind it if there is one. Neighbours are one range.
    borders: Box<[u128]>,
}

impl Ranges6 {
    /// All addresses of these prefixes.
    pub(super) fn new(prefixes: &BTreeSet<Prefix<u128>>) -> Ranges6 {
        let mut borders: Vec<u128> = Vec::new();
        // The last address of the range that is open.
        let mut open: Option<u128> = None;
        for prefix in prefixes {
            let last = prefix.address | u128::MAX.checked_shr(prefix.len.into()).unwrap_or(0);
            // A prefix stands behind those before it, or lies in one of them.
            match open {
                Some(end) if last <= end => continue,
                Some(end) if end.checked_add(1) == Some(prefix.address) => {}
                _ => {
                    borders.extend(open.map(|end| end + 1));
                    borders.push(prefix.address);
                }
            }
            open = Some(last);
        }
        borders.extend(open.and_then(|end| end.checked_add(1)));
        Ranges6 { borders: borders.into() }
    }

    /// Whether each of these addresses, 256 at most, is in the list.
    pub fn contain(&self, addresses: &[u128], found: &mut [bool; VECTOR]) {
        if self.borders.is_empty() {
            found.fill(false);
            return;
        }
        // How many borders are surely at the address or before it.
        let mut before = [0u32; VECTOR];
        let mut left = self.borders.len();
        while left > 1 {
            let half = left / 2;
            for (address, before) in addresses.iter().zip(&mut before) {
                let middle = self.borders[*before as usize + half - 1];
                *before += if middle <= *address { half as u32 } else { 0 };
            }
            left -= half;
        }
        for ((address, before), found) in addresses.iter().zip(&before).zip(found) {
            *found = (before + u32::from(self.borders[*before as usize] <= *address)) % 2 == 1;
        }
    }

    /// Of each range its first address, and the first one behind it if there is one.
    pub fn borders(&self) -> &[u128] {
        &self.borders
    }

    /// Bytes of it.
    pub(super) fn memory(&self) -> usize {
        size_of_val(&*self.borders)
    }
}
