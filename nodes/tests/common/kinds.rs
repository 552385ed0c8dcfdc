//! Kinds of nodes that do what no product node does yet, or what none should do.

use std::time::Duration;

use swath_api::NodeKind;
use swath_api::prelude::*;

use super::random::Rng;

/// All of them.
pub const KINDS: &[NodeKind] = &[
    NodeKind::of::<Pass>(),
    NodeKind::of::<Fan>(),
    NodeKind::of::<Flood>(),
    NodeKind::of::<Keep>(),
    NodeKind::of::<Make>(),
    NodeKind::of::<Eat>(),
    NodeKind::of::<Trip>(),
    NodeKind::of::<Stillborn>(),
    NodeKind::of::<Liar>(),
    NodeKind::of::<Forget>(),
    NodeKind::of::<Scramble>(),
];

edges! {
    /// Where packets go.
    #[allow(dead_code)]
    pub enum Next {
        /// On.
        Out = edge("out", layer::SAME),
        /// Another way.
        A = edge("a", layer::SAME),
        /// Another way.
        B = edge("b", layer::SAME),
        /// Another way.
        C = edge("c", layer::SAME),
        /// Kept.
        Kept = held("kept"),
        /// Not kept, for there was no room.
        Full = drop("full"),
        /// Done.
        Done = consumed("done"),
    }
}

/// Settings of all kinds here; each uses some.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How many: copies on each edge, packets of a tick, packets that are kept, packets before a panic, bits to shift.
    count: usize,
    /// Nanoseconds between ticks.
    every: u64,
    /// An interface to receive from, or to send by.
    interface: Option<String>,
}

macro_rules! node {
    ($(#[$doc:meta])* $name:ident($kind:literal, $input:expr, $next:ty) { $($field:ident: $type:ty),* } $($body:tt)*) => {
        $(#[$doc])*
        pub struct $name {
            $($field: $type),*
        }

        impl Node for $name {
            const INFO: Info = Info::new($kind, "For tests.").input($input);
            type Config = Settings;
            type Next = $next;
            $($body)*
        }
    };
}

node! {
    /// Sends all packets on.
    Pass("pass", layer::ANY, Next) {}

    fn new(_: Settings, _: &mut Setup<'_>) -> Result<Pass, ConfigError> {
        Ok(Pass {})
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.all(Next::Out);
    }
}

node! {
    /// Sends packets by two bits of their last byte, the lowest of which is bit `count`.
    Fan("fan", layer::ANY, Next) { shift: usize }

    fn new(settings: Settings, _: &mut Setup<'_>) -> Result<Fan, ConfigError> {
        Ok(Fan { shift: settings.count })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        const WAYS: [Next; 4] = [Next::Out, Next::A, Next::B, Next::C];
        frame.for_each(|packet| WAYS[packet.data().last().map_or(0, |byte| usize::from(*byte) >> self.shift & 3)]);
    }
}

node! {
    /// Copies each packet `count` times on each of the edges `a` and `b`, and sends it on by `out`.
    Flood("flood", layer::ANY, Next) { count: usize }

    fn new(settings: Settings, _: &mut Setup<'_>) -> Result<Flood, ConfigError> {
        Ok(Flood { count: settings.count })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.for_each_emit(|packet, emit| {
            for _ in 0..self.count {
                emit.copy(packet, Next::A);
                emit.copy(packet, Next::B);
            }
            Next::Out
        });
    }
}

node! {
    /// Keeps up to `count` packets, and lets those go at a tick that came before it.
    Keep("keep", layer::ANY, Next) { held: Held<u64> }

    fn new(settings: Settings, setup: &mut Setup<'_>) -> Result<Keep, ConfigError> {
        setup.every(Duration::from_nanos(settings.every));
        Ok(Keep { held: setup.held(settings.count) })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        frame.for_each_hold(&mut self.held, Next::Kept, Next::Full, |_| Verdict::Hold(cx.now()));
    }

    fn tick(&mut self, out: &mut Emit<'_, Next>, cx: &mut Context<'_>) {
        out.release(&mut self.held, |since| (*since < cx.now()).then_some(Next::Out));
    }

    fn adopt(&mut self, old: &mut Keep) {
        std::mem::swap(&mut self.held, &mut old.held);
    }
}

node! {
    /// Makes `count` packets at each tick: a number of four bytes, to be sent by the interface.
    Make("make", layer::NONE, MakeNext) { count: usize, tx: u16, number: u32 }

    fn new(settings: Settings, setup: &mut Setup<'_>) -> Result<Make, ConfigError> {
        setup.every(Duration::from_nanos(settings.every));
        let tx = settings.interface.map(|name| setup.interface("interface", &name)).transpose()?;
        Ok(Make { count: settings.count, tx: tx.unwrap_or(NO_INTERFACE), number: 0 })
    }

    fn process(&mut self, frame: &mut Frame<'_, MakeNext>, _: &mut Context<'_>) {
        frame.all(MakeNext::Out);
    }

    fn tick(&mut self, out: &mut Emit<'_, MakeNext>, _: &mut Context<'_>) {
        for _ in 0..self.count {
            let number = self.number.to_be_bytes();
            let lane = Lane { tx: self.tx, ..Lane::default() };
            let made = out.make(MakeNext::Out, lane, |packet| {
                if let Some(bytes) = packet.append(4) {
                    bytes.copy_from_slice(&number);
                }
            });
            self.number += u32::from(made);
        }
    }
}

edges! {
    /// Where packets of a source go.
    pub enum MakeNext {
        /// On.
        Out = required("out", layer::ETHERNET),
    }
}

node! {
    /// Consumes packets whose last byte is odd.
    Eat("eat", layer::ANY, Next) {}

    fn new(_: Settings, _: &mut Setup<'_>) -> Result<Eat, ConfigError> {
        Ok(Eat {})
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.for_each(|packet| if packet.data().last().is_some_and(|byte| byte % 2 == 1) { Next::Done } else { Next::Out });
    }
}

node! {
    /// Copies each packet, keeps every third one, and panics at packet number `count`.
    Trip("trip", layer::ANY, Next) { count: usize, seen: usize, held: Held<()> }

    fn new(settings: Settings, setup: &mut Setup<'_>) -> Result<Trip, ConfigError> {
        Ok(Trip { count: settings.count, seen: 0, held: setup.held(1000) })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.for_each_emit(|packet, emit| {
            emit.copy(packet, Next::A);
            Next::Out
        });
        frame.for_each_hold(&mut self.held, Next::Kept, Next::Full, |_| {
            self.seen += 1;
            assert!(self.seen <= self.count, "packet number {}", self.seen);
            if self.seen.is_multiple_of(3) { Verdict::Hold(()) } else { Verdict::Go(Next::Out) }
        });
    }
}

node! {
    /// Panics when it is made for worker `count`.
    Stillborn("stillborn", layer::ANY, Next) {}

    fn new(settings: Settings, setup: &mut Setup<'_>) -> Result<Stillborn, ConfigError> {
        assert_ne!(setup.worker() as usize, settings.count, "not for this worker");
        Ok(Stillborn {})
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.all(Next::Out);
    }
}

node! {
    /// Says that it has kept the packets whose last byte is odd, and has not.
    Liar("liar", layer::ANY, Next) {}

    fn new(_: Settings, _: &mut Setup<'_>) -> Result<Liar, ConfigError> {
        Ok(Liar {})
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.for_each(|packet| if packet.data().last().is_some_and(|byte| byte % 2 == 1) { Next::Kept } else { Next::Out });
    }
}

node! {
    /// Keeps all packets of a vector, and throws away those of the vector before.
    Forget("forget", layer::ANY, Next) { held: Vec<Held<()>> }

    fn new(_: Settings, setup: &mut Setup<'_>) -> Result<Forget, ConfigError> {
        Ok(Forget { held: (0..4).map(|_| setup.held(VECTOR)).collect() })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        if let Some(held) = self.held.last_mut() {
            frame.for_each_hold(held, Next::Kept, Next::Full, |_| Verdict::Hold(()));
        } else {
            frame.all(Next::Out);
        }
        self.held.pop();
    }
}

node! {
    /// Receives from `interface`, and gives each packet a random lane, start and length.
    Scramble("scramble", layer::NONE, ScrambleNext) { rng: Rng }

    fn new(settings: Settings, setup: &mut Setup<'_>) -> Result<Scramble, ConfigError> {
        let interface = setup.interface("interface", &settings.interface.unwrap_or_default())?;
        setup.receive(interface);
        Ok(Scramble { rng: Rng::new() })
    }

    fn process(&mut self, frame: &mut Frame<'_, ScrambleNext>, _: &mut Context<'_>) {
        let rng = &mut self.rng;
        frame.for_each(|packet| {
            let lane = packet.lane();
            lane.rx = rng.pick(&[lane.rx, 0, 1, 2, NO_INTERFACE]);
            lane.tx = rng.pick(&[0, 1, 2, 1000, NO_INTERFACE]);
            // An adjacency, anything, or why it was refused: longer than 600 bytes.
            lane.adj = rng.pick(&[0, 1, 2, 3, 100, u32::MAX, 0x0304_0258, rng.clone().bits() as u32]);
            // Through all the headroom and up to the end of the chunk.
            match rng.below(8) {
                0 => drop(packet.advance(rng.below(300) as u16)),
                1 => while packet.prepend::<14>().is_some() {},
                2 => drop(packet.prepend::<4>()),
                3 => while packet.advance(64) {},
                4 => packet.truncate(rng.below(60)),
                _ => {}
            }
            ScrambleNext::Out
        });
    }
}

edges! {
    /// Where packets go, whatever they are now.
    pub enum ScrambleNext {
        /// On.
        Out = required("out", layer::ANY),
    }
}
