//! Copies of a list in the hands of drivers: after each command they have the addresses of the list, and at no time one that it has not.

mod common;

use std::sync::{Arc, Mutex, Weak};

use common::random::Rng;
use common::scaled;
use swath_api::testkit::TestKit;
use swath_api::{AddressSet, Copied, TableInstance};
use swath_nodes::deny::Deny;
use swath_nodes::deny_list::DenyList;

/// What was said of IPv4, the last of which holds, and the borders of IPv6.
#[derive(Default)]
struct Copy {
    said: Mutex<Vec<(u32, u8, bool)>>,
    borders: Mutex<Vec<u128>>,
    list: Weak<TableInstance>,
}

impl Copy {
    fn has4(&self, address: u32) -> bool {
        let said = self.said.lock().unwrap();
        let is_of = |(first, length, _): &&(u32, u8, bool)| *length == 0 || (address ^ first) >> (32 - length) == 0;
        said.iter().rev().find(is_of).is_some_and(|(_, _, listed)| *listed)
    }

    fn has6(&self, address: u128) -> bool {
        self.borders.lock().unwrap().iter().filter(|border| **border <= address).count() % 2 == 1
    }

    /// At any change of the copy, its addresses are in the list.
    fn check(&self, first: u32, length: u8) {
        let Some(list) = self.list.upgrade() else { return };
        let last = first | u32::MAX.checked_shr(length.into()).unwrap_or(0);
        for address in [first, last].map(std::net::Ipv4Addr::from) {
            let reply = list.command(&format!(r#"{{"lookup": {{"address": "{address}"}}}}"#)).unwrap();
            assert_ne!(reply, r#"{"listed":{"prefix":null}}"#, "{address}");
        }
    }
}

impl AddressSet for Copy {
    fn add4(&self, address: u32, length: u8) {
        self.check(address, length);
        self.said.lock().unwrap().push((address, length, true));
    }

    fn remove4(&self, address: u32, length: u8) {
        // Still in the list.
        self.check(address, length);
        self.said.lock().unwrap().push((address, length, false));
    }

    fn replace6(&self, borders: &[u128]) {
        assert!(borders.is_sorted());
        *self.borders.lock().unwrap() = borders.to_vec();
    }
}

type Prefix = (bool, u128, u32);

fn has(list: &[Prefix], six: bool, address: u128) -> bool {
    let bits = if six { 128 } else { 32 };
    let is_in = |(of, first, length): &Prefix| *of == six && (address ^ first).checked_shr(bits - length).unwrap_or(0) == 0;
    list.iter().any(is_in)
}

/// Within 256 addresses, so that prefixes lie in each other.
fn prefix(rng: &mut Rng) -> Prefix {
    let six = rng.below(2) == 0;
    let length = if rng.one_in(60) { 0 } else { (if six { 128 } else { 32 }) - rng.below(9) as u32 };
    let free = (if six { 128 } else { 32 }) - length;
    let address = if six { 0x2001_0db8 << 96 } else { 0x0a00_0000 } | rng.below(256) as u128;
    (six, if length == 0 { 0 } else { address >> free << free }, length)
}

fn text((six, first, length): &Prefix) -> String {
    if *six {
        format!("\"{}/{length}\"", std::net::Ipv6Addr::from(*first))
    } else {
        format!("\"{}/{length}\"", std::net::Ipv4Addr::from(*first as u32))
    }
}

#[test]
fn copies_have_what_the_list_has() {
    let mut rng = Rng::new();
    for _ in 0..scaled(20) {
        let mut list: Vec<Prefix> = (0..rng.below(10)).map(|_| prefix(&mut rng)).collect();
        let texts = |list: &[Prefix]| list.iter().map(text).collect::<Vec<_>>().join(", ");
        let kit = TestKit::new().table::<DenyList>("listed", &format!(r#"{{"prefixes": [{}]}}"#, texts(&list)));
        let kit = kit.node::<Deny>("{}").expect("settings");
        // One from the start, and one that comes later.
        let copies = [0, 1].map(|_| Arc::new(Copy { list: Arc::downgrade(kit.table("listed")), ..Copy::default() }));
        kit.table("listed").follow(0, Copied::Addresses(Arc::clone(&copies[0]) as Arc<dyn AddressSet>));
        let rounds = scaled(30);
        for round in 0..rounds {
            let verb = ["add", "add", "remove", "remove", "replace"][rng.below(5)];
            let mut some: Vec<Prefix> = (0..rng.below(6)).map(|_| prefix(&mut rng)).collect();
            if verb == "remove" {
                some.extend(list.iter().filter(|_| rng.below(3) == 0).copied().collect::<Vec<_>>());
            }
            match verb {
                "add" => list.extend(&some),
                "remove" => list.retain(|prefix| !some.contains(prefix)),
                _ => list.clone_from(&some),
            }
            kit.command("listed", &format!(r#"{{"{verb}": {{"prefixes": [{}]}}}}"#, texts(&some))).expect("an answer");
            if round == rounds / 2 {
                kit.table("listed").follow(0, Copied::Addresses(Arc::clone(&copies[1]) as Arc<dyn AddressSet>));
            }
            for copy in &copies[..1 + usize::from(round >= rounds / 2)] {
                for low in 0..=256u32 {
                    let (four, six) = (0x0a00_0000 | low, 0x2001_0db8 << 96 | u128::from(low));
                    assert_eq!(copy.has4(four), has(&list, false, four.into()), "{verb} {list:x?} {low}");
                    assert_eq!(copy.has6(six), has(&list, true, six), "{verb} {list:x?} {low}");
                }
            }
        }
    }
}
