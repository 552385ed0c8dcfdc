//! `drop`: drops what it is given, on purpose.

use swath_api::prelude::*;

/// Drops everything.
pub struct Drop;

edges! {
    /// What becomes of packets.
    pub enum Next {
        /// The graph wires an edge to this node in order to drop its packets. If they are wanted, look at which edges lead here.
        Dropped = drop("dropped"),
    }
}

impl Node for Drop {
    const INFO: Info = Info::new("drop", "Drops packets on purpose.")
        .about(
            "An edge that is not wired drops its packets by its own name, so this node is needed only to wire a required edge, or to \
             collect several edges under one name.",
        )
        .pure()
        .example(include_str!("../examples/drop.yaml"));
    type Config = NoConfig;
    type Next = Next;

    fn new(_: NoConfig, _: &mut Setup<'_>) -> Result<Drop, ConfigError> {
        Ok(Drop)
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.all(Next::Dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_dropped() {
        let mut kit = swath_api::testkit::TestKit::new().node::<Drop>("{}").unwrap();
        assert_eq!(kit.edge(b"x"), "dropped");
        assert_eq!(kit.edge(b""), "dropped");
    }
}
