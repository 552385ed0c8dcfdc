//! `counter`: a named point in the graph.

use swath_api::prelude::*;

/// Sends all packets on: the engine counts them.
pub struct Counter;

edges! {
    /// Where packets go.
    pub enum Next {
        /// All packets.
        Ok = required("ok", layer::SAME),
    }
}

impl Node for Counter {
    const INFO: Info = Info::new("counter", "Counts the packets that pass, under a name.").about(
        "The engine counts the packets of every node and every edge by itself. This node does nothing: put it on an edge whose packets \
         should stand under a name of their own in the report, or to see apart what several edges bring to one node.",
    )
        .pure()
        .example(include_str!("../examples/counter.yaml"));
    type Config = NoConfig;
    type Next = Next;

    fn new(_: NoConfig, _: &mut Setup<'_>) -> Result<Counter, ConfigError> {
        Ok(Counter)
    }

    fn reason(&self, _: &Packet<'_>, _: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        words.say("counted");
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.all(Next::Ok);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_api::testkit::TestKit;

    #[test]
    fn packets_pass_as_they_are() {
        let mut kit = TestKit::new().node::<Counter>("{}").unwrap();
        let lane = Lane { adj: 7, tx: 1, rx: 2 };
        let out = kit.one(b"\x45", lane);
        assert_eq!((out.edge, &out.bytes[..], out.lane), ("ok", &b"\x45"[..], lane));
    }
}
