//! `check-paint`: a way for each colour.

use std::collections::BTreeMap;

use swath_api::prelude::*;

use crate::paint::PAINT;

/// Sends packets by the colour that `paint` has given them.
pub struct CheckPaint {
    slot: Slot<u32>,
    // In the order of the colours.
    ways: Box<[(u32, Branch<Next>)]>,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The colours that have a way of their own, each by the name of its edge: `{ voice: 3, bulk: 5 }`.
    colors: BTreeMap<String, u32>,
}

edges! {
    /// Where packets go that have no edge of their own.
    pub enum Next {
        /// Packets of any other colour.
        Other = edge("other", layer::SAME),
    }
}

impl NamedEdges for Next {
    const NAMED: EdgeInfo = EdgeInfo::named("COLOR", layer::SAME).doc("Packets of the colour that `colors` has under this name.");
}

impl Node for CheckPaint {
    const INFO: Info = Info::new("check-paint", "Sends packets by their colour.")
        .about("The edges are named in `colors`: `colors: { voice: 3 }` and `to: { voice: fast, other: slow }`.")
        .reads(&[PAINT.info()])
        .pure()
        .example(include_str!("../examples/check-paint.yaml"));
    type Config = Config;
    type Next = Branch<Next>;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<CheckPaint, ConfigError> {
        let mut ways: BTreeMap<u32, (&str, Branch<Next>)> = BTreeMap::new();
        for (name, edge) in setup.edges().zip(0..) {
            if !config.colors.contains_key(name) {
                let message = format!("`{name}` is not among the `colors`: add `{name}: NUMBER` to them");
                return Err(ConfigError::at(format!("to.{name}"), message));
            }
            ways.extend(config.colors.get(name).map(|color| (*color, (name, Branch::Named(edge)))));
        }
        let mut seen: BTreeMap<u32, &str> = BTreeMap::new();
        for (name, color) in &config.colors {
            if let Some(first) = seen.insert(*color, name) {
                return Err(ConfigError::twice(format!("colors.{name}"), &color.to_string(), &format!("colors.{first}")));
            }
            if !ways.contains_key(color) {
                let message = format!("no edge is wired for this colour: add `{name}: NODE` to `to`, or remove it here");
                return Err(ConfigError::at(format!("colors.{name}"), message));
            }
        }
        let ways = ways.into_iter().map(|(color, (_, way))| (color, way)).collect();
        Ok(CheckPaint { slot: setup.slot(&PAINT)?, ways })
    }

    fn reason(&self, packet: &Packet<'_>, _: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        words.say(format_args!("painted {}", packet.meta_ref().get(self.slot)));
    }

    fn process(&mut self, frame: &mut Frame<'_, Branch<Next>>, _: &mut Context<'_>) {
        frame.for_each(|packet| {
            let color = packet.meta().get(self.slot);
            match self.ways.binary_search_by_key(&color, |(color, _)| *color) {
                Ok(at) => self.ways[at].1,
                Err(_) => Branch::Fixed(Next::Other),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_api::testkit::TestKit;

    #[test]
    fn edges_and_colours_belong_together() {
        let refused = |edges, config| {
            let refused = TestKit::new().edges(edges).node::<CheckPaint>(config).unwrap_err();
            (refused.path().to_owned(), refused.message().split(':').next().unwrap_or_default().to_owned())
        };
        let is = |path: &str, message: &str| (path.to_owned(), message.to_owned());
        assert_eq!(refused(&["red"], r#"{"colors": {}}"#), is("to.red", "`red` is not among the `colors`"));
        assert_eq!(refused(&[], r#"{"colors": {"red": 1}}"#), is("colors.red", "no edge is wired for this colour"));
        let twice = is("colors.red", "`1` is given twice, first in `colors.blue`");
        assert_eq!(refused(&["blue", "red"], r#"{"colors": {"red": 1, "blue": 1}}"#), twice);
    }
}
