//! Nodes and a table with defects, and one with state: what the engine must live with.

mod tables;

use swath_api::plugin::{Level, log};
use swath_api::prelude::*;
use swath_api::{schemars, serde};

use tables::{Asked, Tallied, Tally};

edges! {
    pub enum Next {
        /// Packets.
        Ok = required("ok", layer::SAME),
        /// There were enough.
        Enough = drop("enough"),
    }
}

#[derive(Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(crate = "serde", rename_all = "kebab-case")]
#[schemars(crate = "schemars")]
enum Place {
    Nowhere,
    New,
    Process,
    Tick,
    Owner,
    Adopt,
    Save,
    Restore,
    Drop,
}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(crate = "serde", deny_unknown_fields)]
#[schemars(crate = "schemars")]
struct Config {
    at: Place,
    #[serde(default)]
    other: u32,
}

/// Panics where it is told to, after its hundredth packet.
struct Panics {
    config: Config,
    seen: u32,
}

impl Panics {
    fn reach(&self, place: Place) {
        assert!(self.config.at != place, "as asked");
    }
}

impl Node for Panics {
    const INFO: Info = Info::new("panics", "Panics.").carries("how many it has seen");
    type Config = Config;
    type Next = Next;
    const STATE_VERSION: u32 = 1;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Panics, ConfigError> {
        setup.every(std::time::Duration::from_millis(1));
        let panics = Panics { config, seen: 0 };
        panics.reach(Place::New);
        Ok(panics)
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        self.seen += frame.len() as u32;
        if self.seen > 100 {
            self.reach(Place::Process);
        }
        frame.all(Next::Ok);
    }

    fn tick(&mut self, _: &mut Emit<'_, Next>, _: &mut Context<'_>) {
        self.reach(Place::Tick);
    }

    fn adopt(&mut self, old: &mut Panics) {
        self.seen = old.seen;
        self.reach(Place::Adopt);
    }

    fn save(&mut self, _: u64, piece: &mut Vec<u8>) -> Option<u64> {
        self.reach(Place::Save);
        piece.push(0);
        None
    }

    fn restore(&mut self, _: u32, _: &[u8]) -> Result<(), ConfigError> {
        self.reach(Place::Restore);
        Ok(())
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        self.reach(Place::Drop);
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(crate = "serde", deny_unknown_fields)]
#[schemars(crate = "schemars")]
struct Limit {
    packets: u64,
}

/// Passes so many packets, and drops all others: by now, and in the builds before.
struct First {
    packets: u64,
    passed: u64,
}

impl Node for First {
    const INFO: Info = Info::new("first", "Passes the first packets.").carries("how many have passed");
    type Config = Limit;
    type Next = Next;
    const STATE_VERSION: u32 = 3;

    fn new(config: Limit, _: &mut Setup<'_>) -> Result<First, ConfigError> {
        log(Level::Information, "a node is made");
        Ok(First { packets: config.packets, passed: 0 })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.for_each(|_| {
            let fits = self.passed < self.packets;
            self.passed += u64::from(fits);
            if fits { Next::Ok } else { Next::Enough }
        });
    }

    fn adopt(&mut self, old: &mut First) {
        self.passed = old.passed;
    }

    // A byte at a time, so that there are several pieces.
    fn save(&mut self, at: u64, piece: &mut Vec<u8>) -> Option<u64> {
        piece.push(at as u8);
        piece.push(self.passed.to_le_bytes()[at as usize]);
        (at < 7).then_some(at + 1)
    }

    fn restore(&mut self, version: u32, piece: &[u8]) -> Result<(), ConfigError> {
        match (version, piece) {
            (3, [at @ 0..8, byte]) => {
                self.passed |= u64::from(*byte) << (8 * at);
                Ok(())
            }
            _ => Err(ConfigError::new("not known")),
        }
    }
}

/// Reads where nothing is.
struct Null;

impl Node for Null {
    const INFO: Info = Info::new("null", "Reads where nothing is.");
    type Config = NoConfig;
    type Next = Next;

    fn new(_: NoConfig, _: &mut Setup<'_>) -> Result<Null, ConfigError> {
        Ok(Null)
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        let nowhere = std::hint::black_box(std::ptr::null::<u8>());
        // SAFETY: there is nothing safe about it: that is what it is for.
        if unsafe { nowhere.read_volatile() } == 0 {
            frame.all(Next::Ok);
        }
    }
}

swath_api::export_nodes!(nodes: [Panics, First, Null, Tallied, Asked], sharded: [Tally]);
