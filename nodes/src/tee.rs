//! `tee`: a copy of each packet for every further way.

use swath_api::prelude::*;

/// Copies packets.
pub struct Tee {
    copies: u16,
}

edges! {
    /// Where the packets themselves go.
    pub enum Next {
        /// The packets themselves, in any case.
        Out = required("out", layer::SAME),
    }
}

impl NamedEdges for Next {
    const NAMED: EdgeInfo = EdgeInfo::named("NAME", layer::SAME).doc("A copy of each packet, with all that the graph knows of it.");
}

impl Node for Tee {
    const INFO: Info = Info::new("tee", "Copies packets.").about(
        "Packets go on by `out`, and a copy of each by every other edge, which have any names: `to: { out: lookup, mirror: mirror-tx }`. \
         The engine takes 256 made packets a pass: the copies that are too many are counted as `inbox-full` and dropped, those for which the \
         pool has no buffer as `out-of-buffers`. The packets themselves are never dropped for their copies.",
    )
        .example(include_str!("../examples/tee.yaml"));
    type Config = NoConfig;
    type Next = Branch<Next>;

    fn new(_: NoConfig, setup: &mut Setup<'_>) -> Result<Tee, ConfigError> {
        match setup.edges().len() as u16 {
            0 => Err(ConfigError::at("to", "copies need a way to go: `to: { out: NODE, copy: NODE }`")),
            copies => Ok(Tee { copies }),
        }
    }

    fn reason(&self, _: &Packet<'_>, decided: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        if decided.is(Branch::Fixed(Next::Out)) {
            self.say(words);
        }
    }

    fn simulate(&mut self, _: &mut Packet<'_>, _: &mut Context<'_>, words: &mut Words<'_>) -> Option<Branch<Next>> {
        self.say(words);
        words.say(format_args!("of the {VECTOR} packets that a pass can make"));
        Some(Branch::Fixed(Next::Out))
    }

    fn process(&mut self, frame: &mut Frame<'_, Branch<Next>>, _: &mut Context<'_>) {
        frame.for_each_emit(|packet, emit| {
            for copy in 0..self.copies {
                emit.copy(packet, Branch::Named(copy));
            }
            Branch::Fixed(Next::Out)
        });
    }
}

impl Tee {
    /// Says how many copies there are.
    fn say(&self, words: &mut Words<'_>) {
        match self.copies {
            1 => words.say("1 copy goes by the other edge"),
            copies => words.say(format_args!("{copies} copies go by the other edges")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_api::testkit::{Outcome, TestKit};

    fn edges(out: &[Outcome]) -> Vec<&'static str> {
        out.iter().map(|out| out.edge).collect()
    }

    #[test]
    fn every_way_gets_the_same() {
        let mut kit = TestKit::new().edges(&["a", "b"]).node::<Tee>("{}").unwrap();
        let lane = Lane { adj: 1, tx: 2, rx: 3 };
        let out = kit.run(&[(b"one", lane), (b"", Lane::received(0))]);
        assert_eq!(edges(&out), ["out", "out"]);
        assert_eq!(edges(kit.emitted()), ["a", "b", "a", "b"]);
        for (copy, original) in kit.emitted().iter().zip([&out[0], &out[0], &out[1], &out[1]]) {
            assert_eq!((&copy.bytes, copy.lane), (&original.bytes, original.lane));
        }
        assert_eq!(TestKit::new().node::<Tee>("{}").unwrap_err().path(), "to");
    }

    #[test]
    fn copies_beyond_what_there_is_room_for_are_counted() {
        let mut kit = TestKit::new().edges(&["a", "b"]).node::<Tee>("{}").unwrap();
        let out = kit.run(&[(&b"x"[..], Lane::received(0)); 200]);
        assert_eq!(edges(&out), ["out"; 200]);
        assert_eq!((kit.called().made, kit.called().no_room, kit.called().no_buffer), (256, 144, 0));
        // Four buffers for three packets leave one for copies.
        let mut kit = TestKit::with_buffers(4).edges(&["a"]).node::<Tee>("{}").unwrap();
        assert_eq!(edges(&kit.run(&[(&b"x"[..], Lane::received(0)); 3])), ["out"; 3]);
        assert_eq!((kit.called().made, kit.called().no_room, kit.called().no_buffer), (1, 0, 2));
    }
}
