//! `round-robin`: one packet this way, the next one that way.

use swath_api::prelude::*;

/// Deals packets out to its edges in turn.
pub struct RoundRobin {
    ways: u16,
    next: u16,
}

edges! {
    /// It has no edges of its own.
    pub enum Next {}
}

impl NamedEdges for Next {
    const NAMED: EdgeInfo = EdgeInfo::named("NAME", layer::SAME).doc("Every n-th packet, where n is the number of edges.");
}

impl Node for RoundRobin {
    const INFO: Info = Info::new("round-robin", "Deals packets out to its edges in turn.").about(
        "The edges have any names, `to: { a: worker-a, b: worker-b }`, and their turns are in the order of the names. Each worker deals out \
         its own packets. Packets of a flow take different ways and may overtake each other; where that matters take `hash-switch`.",
    )
        .carries("whose turn it is")
        .example(include_str!("../examples/round-robin.yaml"));
    type Config = NoConfig;
    type Next = Branch<Next>;

    fn new(_: NoConfig, setup: &mut Setup<'_>) -> Result<RoundRobin, ConfigError> {
        match setup.edges().len() as u16 {
            0 => Err(ConfigError::at("to", "packets need a way to go: `to: { a: NODE, b: NODE }`")),
            ways => Ok(RoundRobin { ways, next: 0 }),
        }
    }

    fn reason(&self, _: &Packet<'_>, decided: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        if let Some(way) = (0..self.ways).find(|way| decided.is(Branch::<Next>::Named(*way))) {
            self.say(way, words);
        }
    }

    fn simulate(&mut self, _: &mut Packet<'_>, _: &mut Context<'_>, words: &mut Words<'_>) -> Option<Branch<Next>> {
        self.say(self.next, words);
        Some(Branch::Named(self.next))
    }

    fn process(&mut self, frame: &mut Frame<'_, Branch<Next>>, _: &mut Context<'_>) {
        frame.decide_lanes(&[(); VECTOR], |_, ()| {
            let way = self.next;
            self.next = if way + 1 < self.ways { way + 1 } else { 0 };
            Branch::Named(way)
        });
    }

    fn adopt(&mut self, old: &mut RoundRobin) {
        self.next = old.next % self.ways;
    }
}

impl RoundRobin {
    /// Says whose turn it was.
    fn say(&self, way: u16, words: &mut Words<'_>) {
        words.say(format_args!("turn {} of {}", way + 1, self.ways));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_api::testkit::TestKit;

    #[test]
    fn each_way_has_its_turn_across_vectors() {
        let mut kit = TestKit::new().edges(&["a", "b", "c"]).node::<RoundRobin>("{}").unwrap();
        let mut run = |count| kit.run(&vec![(&[][..], Lane::received(0)); count]).iter().map(|out| out.edge).collect::<String>();
        assert_eq!(run(4), "abca");
        assert_eq!(run(1), "b");
        assert_eq!(run(5), "cabca");
        let counts = run(256);
        assert_eq!((counts.matches('a').count(), counts.matches('b').count(), counts.matches('c').count()), (85, 86, 85));
        assert_eq!(TestKit::new().node::<RoundRobin>("{}").unwrap_err().path(), "to");
    }

    #[test]
    fn the_turn_goes_on_with_fewer_ways() {
        let mut new = RoundRobin { ways: 2, next: 0 };
        new.adopt(&mut RoundRobin { ways: 4, next: 3 });
        assert_eq!(new.next, 1);
    }
}
