//! What can be said to a table of routes, in a graph and by commands, and what it answers.

use std::fmt;
use std::net::Ipv4Addr;

use hashbrown::HashMap;
use serde::de::{self, SeqAccess, Visitor};
use swath_api::prelude::*;

use crate::fib4::Prefix4;

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The interfaces whose addresses and subnets it knows. An interface may be in several tables. Default: all, if it is the only table of
    /// its kind.
    #[serde(default)]
    pub(super) interfaces: Option<Vec<String>>,
    /// The table of neighbours. Default: the only one.
    #[serde(default)]
    pub(super) neighbours: Option<String>,
    /// Routes beside those to the interfaces' own subnets.
    #[serde(default)]
    #[schemars(with = "Vec<Route>")]
    pub(super) routes: Routes,
    /// Memory for routes longer than /24, in MiB. Default: 512, which is enough for four million of them in random places. It is used as
    /// far as it is needed.
    #[serde(default = "default_memory")]
    pub(super) memory_mib: u16,
    /// Another seed is another distribution of flows over several next hops: routers in a row need different ones, or the second has only
    /// flows of one way. Default: 0.
    #[serde(default)]
    pub(super) hash_seed: u64,
}

fn default_memory() -> u16 {
    512
}

/// A route: `via` a next hop or several, or directly out of an `interface`, or nowhere: `blackhole`, `unreachable`, `prohibit`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The destinations, as `10.0.0.0/8`.
    pub(super) prefix: Prefix4,
    /// The next hop: an address on the subnet of an interface. Or a list of next hops that share the flows, at most 64:
    /// `[{ to: 203.0.113.1, weight: 3 }, { to: 198.51.100.1 }]`.
    #[serde(default)]
    pub(super) via: Option<Via>,
    /// The interface to leave by. Default: the one whose subnet has the next hop. Without a next hop the destinations are themselves
    /// neighbours on this interface.
    #[serde(default)]
    pub(super) interface: Option<String>,
    /// Drop packets to these destinations, counted as `blackhole`, and answer nothing.
    #[serde(default)]
    pub(super) blackhole: bool,
    /// Send packets to these destinations by the edge `unreachable`; `icmp-error` answers that the host is unreachable (type 3, code 1).
    #[serde(default)]
    pub(super) unreachable: bool,
    /// Send packets to these destinations by the edge `prohibit`; `icmp-error` answers that communication is administratively prohibited
    /// (type 3, code 13).
    #[serde(default)]
    pub(super) prohibit: bool,
    /// Of several routes of a prefix the one with the lowest metric counts that has an interface which is up; the others stand by.
    /// Default: 0.
    #[serde(default)]
    pub(super) metric: u32,
}

/// Many routes, most of which are the same but for their prefix: twelve bytes each.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// Each with what it is beside, by place.
    prefixes: Vec<(Prefix4, u32)>,
    /// Those that differ in more, each with some prefix.
    different: Vec<Route>,
}

impl Routes {
    pub(super) fn len(&self) -> usize {
        self.prefixes.len()
    }

    /// How many differ in more than their prefix.
    pub(super) fn different(&self) -> usize {
        self.different.len()
    }

    /// The prefixes, each with a route that is the same but for that, and the place of this among those that differ.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Prefix4, &Route, usize)> {
        self.prefixes.iter().map(|(prefix, place)| (*prefix, &self.different[*place as usize], *place as usize))
    }
}

impl<'de> Deserialize<'de> for Routes {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Routes, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Routes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Routes, A::Error> {
                let mut routes = Routes::default();
                let mut known: HashMap<Route, u32> = HashMap::new();
                while let Some(mut route) = seq.next_element::<Route>()? {
                    let prefix = std::mem::replace(&mut route.prefix, Prefix4::DEFAULT);
                    let place = known.get(&route).copied().unwrap_or_else(|| {
                        let place = routes.different.len() as u32;
                        routes.different.push(route.clone());
                        known.insert(route, place);
                        place
                    });
                    routes.prefixes.push((prefix, place));
                }
                Ok(routes)
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, JsonSchema)]
#[serde(untagged)]
pub enum Via {
    /// One next hop.
    One(Ipv4Addr),
    /// Next hops that share the flows.
    Several(Vec<Hop>),
}

/// One of several next hops.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hop {
    /// The next hop. Without one the destinations are themselves neighbours on the `interface`.
    #[serde(default)]
    pub(super) to: Option<Ipv4Addr>,
    /// The interface to leave by. Default: the one whose subnet has the next hop.
    #[serde(default)]
    pub(super) interface: Option<String>,
    /// How many shares of the flows are its, 1 to 256. Default: 1.
    #[serde(default = "default_weight")]
    pub(super) weight: u16,
}

fn default_weight() -> u16 {
    1
}

impl<'de> Deserialize<'de> for Via {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Via, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Via;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the address of a next hop, or a list of next hops such as `[{ to: 203.0.113.1, weight: 3 }]`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Via, E> {
                text.parse().map(Via::One).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Via, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(Via::Several)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// What the control side may ask. Changes take effect while workers forward.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Adds a route, or replaces that of the same prefix and metric.
    Add(Route),
    /// Replaces the route of the same prefix and metric, which must be there. Of several next hops those that stay keep their flows.
    Replace(Route),
    /// Removes the route of exactly this prefix.
    Remove {
        /// The prefix.
        prefix: Prefix4,
        /// Only the one with this metric. Default: all of the prefix.
        #[serde(default)]
        metric: Option<u32>,
    },
    /// Says what would be done with a packet to this address.
    Lookup {
        /// The destination.
        address: Ipv4Addr,
    },
    /// Says how large the table is.
    Show {},
    /// Lists routes, in the order of their prefixes.
    List {
        /// Those within this prefix. Default: all.
        #[serde(default = "default_within")]
        within: Prefix4,
        /// The most that are listed. Default: 1000.
        #[serde(default = "default_limit")]
        limit: usize,
    },
}

fn default_within() -> Prefix4 {
    Prefix4::DEFAULT
}

fn default_limit() -> usize {
    1000
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Done.
    Done {},
    /// The longest route to an address.
    Route {
        /// Its prefix.
        prefix: Option<Prefix4>,
        /// What it means.
        meaning: &'static str,
        /// The interface to leave by, if there is only one.
        interface: Option<String>,
        /// Its next hops, if there are several.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        via: Vec<ShownHop>,
    },
    /// Sizes.
    Table {
        /// Routes that count, those to subnets and to the router itself included.
        routes: usize,
        /// Prefixes that have no route whose interface is up.
        waiting: usize,
        /// Groups of next hops.
        groups: usize,
        /// Bytes.
        memory: usize,
    },
    /// Routes.
    Routes(Vec<ShownRoute>),
}

/// A route.
#[derive(Debug, Serialize)]
pub struct ShownRoute {
    pub(super) prefix: Prefix4,
    pub(super) meaning: &'static str,
    pub(super) metric: u32,
    /// Whether it decides.
    pub(super) active: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) via: Vec<ShownHop>,
}

/// A next hop.
#[derive(Debug, Serialize)]
pub struct ShownHop {
    /// None if the destinations are themselves neighbours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) to: Option<Ipv4Addr>,
    pub(super) interface: String,
    pub(super) weight: u16,
    /// Whether its interface is up.
    pub(super) up: bool,
    /// How many of the group's buckets are its.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) buckets: Option<usize>,
}
