//! The settings of the driver, and their words.

use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// An interface that receives the packets of a capture, and writes those that it sends to another.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Settings {
    /// The capture (pcap or pcapng, Ethernet) whose packets it receives. Relative to the graph file. Default: none.
    pub read: Option<PathBuf>,
    /// The capture (pcap, nanoseconds) that is written; a file of that name is replaced. Relative to the graph file. Default: what
    /// is sent is counted only.
    pub write: Option<PathBuf>,
    /// How often the capture is read, or `true`: for ever. The times go on: each round begins a mean distance between two packets
    /// after the last packet of the round before. Default: 1.
    #[serde(rename = "loop")]
    pub rounds: Rounds,
    /// When packets come. In virtual time always by their timestamps. Default: `real`.
    pub time: Time,
    /// What time 0 of the engine is in the captures, in nanoseconds since 1970-01-01 00:00 UTC: a packet of `read` comes at its
    /// timestamp less this, one before it at once; a packet in `write` has the time at which it was sent plus this. Interfaces that
    /// are replayed together need the same. Default: the timestamp of the first packet of `read`; without `read` the time of the
    /// start, or 0 in virtual time.
    pub base: Option<u64>,
}

/// When packets come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Time {
    /// By their timestamps, from the start on.
    #[default]
    Real,
    /// As fast as they are taken.
    Fast,
}

/// How often a capture is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rounds(pub u64);

impl Rounds {
    /// For ever.
    const ENDLESS: Rounds = Rounds(u64::MAX);
}

impl Default for Rounds {
    fn default() -> Rounds {
        Rounds(1)
    }
}

impl<'de> Deserialize<'de> for Rounds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rounds, D::Error> {
        struct Words;

        impl Visitor<'_> for Words {
            type Value = Rounds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of rounds from 1, `true` or `false`")
            }

            fn visit_bool<E: de::Error>(self, endless: bool) -> Result<Rounds, E> {
                Ok(if endless { Rounds::ENDLESS } else { Rounds::default() })
            }

            fn visit_u64<E: de::Error>(self, rounds: u64) -> Result<Rounds, E> {
                if rounds == 0 { Err(E::invalid_value(de::Unexpected::Unsigned(0), &self)) } else { Ok(Rounds(rounds)) }
            }
        }

        deserializer.deserialize_any(Words)
    }
}

impl JsonSchema for Rounds {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rounds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [{ "type": "integer", "minimum": 1 }, { "type": "boolean" }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_in_all_their_forms() {
        let rounds = |json: &str| serde_json::from_str::<Rounds>(json);
        assert_eq!(rounds("3").unwrap(), Rounds(3));
        assert_eq!(rounds("true").unwrap(), Rounds::ENDLESS);
        assert_eq!(rounds("false").unwrap(), Rounds(1));
        for json in ["0", "-1", "\"twice\"", "1.5"] {
            let error = rounds(json).unwrap_err().to_string();
            assert!(error.contains("a number of rounds from 1, `true` or `false`"), "{error}");
        }
    }
}
