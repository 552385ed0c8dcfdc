//! The cold line of a packet: slots, and the count of accesses in debug builds.

mod common;

use common::{Next, ROOM, numbered, run, walker};
use swath_api::prelude::*;
use swath_api::testkit::{NodeKit, TestKit};
use swath_api::wire::EtherType;

/// Bytes before a received packet that may be used: the headroom.
const HEADROOM: usize = 128;

const WIDE: SlotName<u64> = SlotName::new("wide");
const SMALL: SlotName<u8> = SlotName::new("small");
/// The name of another slot, and another type.
const NOT_SMALL: SlotName<u16> = SlotName::new("small");
const HUGE: SlotName<[u64; 7]> = SlotName::new("huge");

#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "swath_api::schemars")]
struct SlotConfig {
    /// Asks for a slot that the node has not declared.
    undeclared: Option<String>,
}

struct Slots {
    wide: Slot<u64>,
    small: Slot<u8>,
}

impl Node for Slots {
    const INFO: Info =
        Info::new("slots", "Writes slots and reads them.").reads(&[SMALL.info()]).writes(&[WIDE.info(), SMALL.info()]);
    type Config = SlotConfig;
    type Next = Next;

    fn new(config: SlotConfig, setup: &mut Setup<'_>) -> Result<Slots, ConfigError> {
        match config.undeclared.as_deref() {
            Some("type") => drop(setup.slot(&NOT_SMALL)?),
            Some("name") => drop(setup.slot(&HUGE)?),
            _ => (),
        }
        Ok(Slots { wide: setup.slot(&WIDE)?, small: setup.slot(&SMALL)? })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.for_each(|packet| {
            let number = u64::from(packet.lane().adj);
            packet.meta().set(self.wide, !number);
            packet.meta().set(self.small, number as u8);
            Next::A
        });
        frame.for_each(|packet| {
            // All of the headroom and of the chunk: what is written there is not the line.
            packet.prepend::<HEADROOM>().unwrap().fill(0xff);
            let room = ROOM + HEADROOM - packet.len();
            packet.append(room).unwrap().fill(0xff);
            let number = u64::from(packet.lane().adj);
            let meta = packet.meta();
            if (meta.get(self.wide), meta.get(self.small)) == (!number, number as u8) { Next::A } else { Next::Bad }
        });
    }
}

fn slots(undeclared: &str) -> Result<NodeKit, ConfigError> {
    TestKit::new().node::<Slots>(&format!(r#"{{"undeclared": "{undeclared}"}}"#))
}

#[test]
fn slots_hold_what_is_set_and_each_access_is_counted() {
    let mut kit = slots("").unwrap();
    #[cfg(debug_assertions)]
    let before = swath_api::meta_accesses();
    let outcomes = run(&mut kit, &numbered(100));
    assert!(outcomes.iter().all(|outcome| outcome.edge == "a"));
    #[cfg(debug_assertions)]
    assert_eq!(swath_api::meta_accesses() - before, 300);
}

#[cfg(debug_assertions)]
#[test]
fn nothing_but_meta_touches_the_cold_line() {
    let before = swath_api::meta_accesses();
    let mut kit = walker(TestKit::new(), |frame, _| {
        frame.eth_check(&[], &[(EtherType::IPV4, Next::A)], Next::A, Next::A, Next::A);
        frame.ip4_check(|_| Next::A);
        frame.for_each_emit(
            |packet, emit| if packet.prepend::<14>().is_some() && emit.copy(packet, Next::A) { Next::A } else { Next::B },
        );
    });
    run(&mut kit, &numbered(256));
    assert_eq!(swath_api::meta_accesses(), before);
}

#[test]
fn a_slot_that_is_not_declared_is_an_error() {
    for (undeclared, slot) in [("name", "huge"), ("type", "small")] {
        let error = slots(undeclared).unwrap_err();
        assert_eq!(error.message(), format!("the node uses the slot `{slot}` and does not declare it in its INFO"));
    }
}

struct Greedy;

impl Node for Greedy {
    const INFO: Info = Info::new("greedy", "Wants more than there is.").writes(&[HUGE.info()]);
    type Config = NoConfig;
    type Next = Next;

    fn new(_: NoConfig, _: &mut Setup<'_>) -> Result<Greedy, ConfigError> {
        Ok(Greedy)
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.all(Next::A);
    }
}

#[test]
fn slots_beyond_the_line_are_refused() {
    assert_eq!(TestKit::new().node::<Greedy>("{}").unwrap_err().to_string(), "no room for the node's slots");
}
