//! Routes in the words of iproute2.

use serde_json::{Map, Value, json};

/// What a route may say.
pub const WORDS: &str = "\
A route is written as ip-route(8) writes it:
  PREFIX via ADDRESS [dev INTERFACE] [metric NUMBER]
  PREFIX dev INTERFACE [metric NUMBER]
  PREFIX [metric NUMBER] nexthop via ADDRESS [dev INTERFACE] [weight NUMBER] nexthop ...
  blackhole|unreachable|prohibit PREFIX [metric NUMBER]
`default` is 0.0.0.0/0, and an address without a length is that of one host.";

/// The setting that a route of a table has, of words.
pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Value, String> {
    let mut words = words.into_iter();
    let mut route = Map::new();
    // What stands beside the next hop of a single one, or of the last `nexthop`.
    let (mut hops, mut single): (Vec<Map<String, Value>>, Map<String, Value>) = (Vec::new(), Map::new());
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("`{word}` wants a word behind it"));
        let hop = hops.last_mut().unwrap_or(&mut single);
        let before = match word {
            "via" => hop.insert("to".into(), value()?.into()),
            "dev" | "interface" => hop.insert("interface".into(), value()?.into()),
            "weight" if !route.is_empty() => hop.insert("weight".into(), number("weight", value()?)?),
            "metric" => route.insert("metric".into(), number("metric", value()?)?),
            "nexthop" => {
                hops.push(Map::new());
                None
            }
            "blackhole" | "unreachable" | "prohibit" => route.insert(word.into(), true.into()),
            prefix if !route.contains_key("prefix") => route.insert("prefix".into(), whole(prefix).into()),
            other => return Err(format!("`{other}` is not expected here")),
        };
        if before.is_some() {
            return Err(format!("`{word}` is said twice"));
        }
    }
    if !route.contains_key("prefix") {
        return Err("there is no prefix".into());
    }
    match (hops.is_empty(), single.is_empty()) {
        (false, false) => return Err("next hops stand either behind `via` or behind `nexthop via`".into()),
        (false, true) => _ = route.insert("via".into(), hops.into()),
        (true, false) if single.contains_key("weight") => _ = route.insert("via".into(), json!([single])),
        (true, _) => {
            for (key, value) in single {
                route.insert(if key == "to" { "via".into() } else { key }, value);
            }
        }
    }
    Ok(route.into())
}

/// A prefix and perhaps a metric: which routes are meant.
pub fn parse_which<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Value, String> {
    let route = parse(words)?;
    let kept = ["prefix", "metric"].into_iter().filter_map(|key| Some((key.to_string(), route.get(key)?.clone())));
    Ok(kept.collect::<Map<_, _>>().into())
}

fn number(what: &str, text: &str) -> Result<Value, String> {
    text.parse::<u32>().map(Into::into).map_err(|_| format!("`{what}` wants a number, and not `{text}`"))
}

fn whole(prefix: &str) -> String {
    match prefix {
        "default" => "0.0.0.0/0".into(),
        prefix if prefix.contains('/') => prefix.into(),
        address => format!("{address}/32"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_those_of_iproute2() {
        for (text, route) in [
            ("10.0.0.0/8 via 203.0.113.1", json!({ "prefix": "10.0.0.0/8", "via": "203.0.113.1" })),
            (
                "default via 1.1.1.1 dev wan metric 7",
                json!({ "prefix": "0.0.0.0/0", "via": "1.1.1.1", "interface": "wan", "metric": 7 }),
            ),
            ("10.1.1.1 dev lan", json!({ "prefix": "10.1.1.1/32", "interface": "lan" })),
            ("blackhole 10.0.0.0/8", json!({ "prefix": "10.0.0.0/8", "blackhole": true })),
            ("10.0.0.0/8 prohibit metric 1", json!({ "prefix": "10.0.0.0/8", "prohibit": true, "metric": 1 })),
            (
                "10.0.0.0/8 metric 2 nexthop via 1.1.1.1 weight 3 nexthop via 2.2.2.2 dev wan",
                json!({ "prefix": "10.0.0.0/8", "metric": 2, "via": [{ "to": "1.1.1.1", "weight": 3 }, { "to": "2.2.2.2", "interface": "wan" }] }),
            ),
        ] {
            assert_eq!(parse(text.split(' ')), Ok(route), "{text}");
        }
        assert_eq!(
            parse_which(["10.0.0.0/8", "via", "1.1.1.1", "metric", "3"]),
            Ok(json!({ "prefix": "10.0.0.0/8", "metric": 3 }))
        );
    }

    #[test]
    fn what_is_no_route_is_refused() {
        for (text, why) in [
            ("", "there is no prefix"),
            ("10.0.0.0/8 via", "`via` wants a word behind it"),
            ("10.0.0.0/8 via 1.1.1.1 via 2.2.2.2", "`via` is said twice"),
            ("10.0.0.0/8 metric high", "`metric` wants a number, and not `high`"),
            ("10.0.0.0/8 via 1.1.1.1 proto", "`proto` is not expected here"),
            ("10.0.0.0/8 via 1.1.1.1 nexthop via 2.2.2.2", "next hops stand either behind `via` or behind `nexthop via`"),
        ] {
            let words = text.split(' ').filter(|word| !word.is_empty());
            assert_eq!(parse(words), Err(why.into()), "{text}");
        }
    }
}
