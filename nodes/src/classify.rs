//! `classify`: ways by expressions such as `udp port 53`.

#[cfg(test)]
mod tests;

use swath_api::filter::{Expression, Program, View};
use swath_api::prelude::*;

/// Tests of all rules of a node, at most.
const MOST_TESTS: usize = 10_000;

/// Sends packets by the first of its rules that holds.
pub struct Classify {
    layer: Layer,
    program: Program,
    // By rule, and for packets for which none holds.
    ways: Box<[Branch<Next>]>,
    // As they were written.
    rules: Box<[String]>,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What packets start with at this node: `ethernet`, VLAN tags included, or `ip` behind `ip4-input` and its like. Default: `ethernet`.
    #[serde(default)]
    layer: Layer,
    /// The rules. The first one that holds for a packet chooses its way.
    rules: Vec<Rule>,
}

/// What packets start with.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Layer {
    /// An Ethernet header.
    #[default]
    Ethernet,
    /// An IPv4 or an IPv6 header.
    Ip,
}

impl Layer {
    #[inline(always)]
    fn view(self, bytes: &[u8]) -> View<'_> {
        match self {
            Layer::Ethernet => View::of_frame(bytes),
            Layer::Ip => View::of_ip(bytes),
        }
    }
}

/// A rule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// For which packets it holds: an expression such as `tcp dst port 443 and net 10.0.0.0/8`.
    r#match: String,
    /// The edge of these packets, which `to` wires. Several rules may have the same, and `default` is one, too.
    edge: String,
}

edges! {
    /// Where packets go that have no edge of their own.
    pub enum Next {
        /// Packets for which no rule holds.
        Default = edge("default", layer::SAME),
    }
}

impl NamedEdges for Next {
    const NAMED: EdgeInfo = EdgeInfo::named("EDGE", layer::SAME).doc("Packets of the rules that have this `edge`.");
}

impl Node for Classify {
    const INFO: Info = Info::new("classify", "Sends packets by expressions as those of tcpdump.").about(
        "An expression is made of tests with `and`, `or`, `not` and parentheses. `and` beside `or` needs them. The tests are those of \
         pcap-filter(7): `ip`, `ip6`, `arp`, `tcp`, `udp`, `sctp`, `icmp`, `icmp6`, `ip proto N`, `ip6 proto N`; `[src|dst] host A` and \
         `[src|dst] net A/LEN`, also behind `ip`, `ip6` or `arp`; `[tcp|udp|sctp] [src|dst] port N`, or `portrange N-M`; bytes of headers, \
         `tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn`, `ip[9] == 47`, `ether[12:2] > 0x0600`, `ip[2:2] - (ip[0] & 0xf) * 4 > 8`; `ether [src|dst] MAC`, `ether host MAC`, `ether proto N`; `less N`, `greater N` and `len < N` in \
         bytes; and beside these `dscp N`. Other than there, `vlan [N]` is a test like any other, IP is found behind VLAN tags and behind \
         IPv6 extension headers, and of a packet that is cut off all that is there can be asked.",
    )
        .pure()
        .example(include_str!("../examples/classify.yaml"));
    type Config = Config;
    type Next = Branch<Next>;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Classify, ConfigError> {
        let (mut expressions, mut ways, mut tests) = (Vec::new(), Vec::new(), 0);
        for (at, rule) in config.rules.iter().enumerate() {
            let refuse = |key: &str, why: String| ConfigError::at(format!("rules[{at}].{key}"), why);
            let expression = Expression::parse(&rule.r#match, config.layer == Layer::Ethernet);
            let expression = expression.map_err(|why| refuse("match", why.to_string()))?;
            tests += expression.tests();
            if tests > MOST_TESTS {
                return Err(refuse("match", format!("the rules have more than {MOST_TESTS} tests")));
            }
            expressions.push(expression);
            let named = setup.edges().position(|edge| edge == rule.edge).map(|edge| Branch::Named(edge as u16));
            let way = named.or((rule.edge == "default").then_some(Branch::Fixed(Next::Default)));
            ways.push(way.ok_or_else(|| refuse("edge", format!("no edge `{0}` is wired: add `{0}: NODE` to `to`", rule.edge)))?);
        }
        if let Some(edge) = setup.edges().find(|edge| !config.rules.iter().any(|rule| rule.edge == *edge)) {
            return Err(ConfigError::at(format!("to.{edge}"), format!("no rule has the edge `{edge}`")));
        }
        ways.push(Branch::Fixed(Next::Default));
        let rules = config.rules.into_iter().map(|rule| rule.r#match).collect();
        Ok(Classify { layer: config.layer, program: Program::new(&expressions), ways: ways.into(), rules })
    }

    fn reason(&self, packet: &Packet<'_>, _: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        let rule = self.program.run(&self.layer.view(packet.data()));
        match self.rules.get(rule) {
            Some(expression) => words.say(format_args!("rule {}: {expression}", rule + 1)),
            None => words.say("no rule holds"),
        }
    }

    fn process(&mut self, frame: &mut Frame<'_, Branch<Next>>, _: &mut Context<'_>) {
        frame.for_each(|packet| {
            let view = self.layer.view(packet.data());
            self.ways.get(self.program.run(&view)).copied().unwrap_or(Branch::Fixed(Next::Default))
        });
    }
}
