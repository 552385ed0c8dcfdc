//! `dns-guard`: what is no DNS message (RFC 1035), or too long a one, does not reach a name server; and which types are asked for is counted.
//!
//! Two kinds: the node, and the table `dns-counts` with what all workers have counted.

#![deny(unsafe_code)]

mod counts;
mod message;

use counts::Counts;
use message::Verdict;
use swath_api::prelude::*;
use swath_api::{schemars, serde};

/// Looks at IPv4 packets with UDP from or to port 53.
pub struct DnsGuard {
    longest: usize,
    counts: Handle<Counts>,
    worker: usize,
}

/// What stands beside `kind: dns-guard`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(crate = "serde", deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(crate = "schemars")]
pub struct Config {
    /// The longest message that passes, in bytes: 12 to 65507. 1232 is what fits into any network without fragments.
    #[serde(default = "longest")]
    longest: usize,
    /// The table that counts queries; without it, the only one of kind `dns-counts`.
    counts: Option<String>,
}

fn longest() -> usize {
    1232
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// Sound DNS messages, and packets that are no DNS over UDP, or fragments.
        Ok = required("ok", layer::SAME),
        /// No DNS message: its header or its question is cut off, or a name in it is none. Somebody probes, or is broken.
        Malformed = drop("malformed"),
        /// A message longer than `longest`: an answer for an amplification attack, as a rule. Let who needs such answers ask by TCP.
        Oversized = drop("oversized"),
    }
}

impl Node for DnsGuard {
    const INFO: Info = Info::new("dns-guard", "Drops DNS messages that are malformed or too long, and counts queries by type.")
        .about("Fragments pass unseen: put `ip4-reassembly` before it. DNS over TCP passes, too.")
        .input(layer::IP4)
        .uses(&[COUNTS]);
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<DnsGuard, ConfigError> {
        if !(message::HEADER..=65507).contains(&config.longest) {
            return Err(ConfigError::at("longest", "a message has 12 to 65507 bytes"));
        }
        let counts = setup.table::<Counts>("counts", config.counts.as_deref())?;
        Ok(DnsGuard { longest: config.longest, counts, worker: setup.worker() as usize })
    }

    fn simulate(&mut self, packet: &mut Packet<'_>, _: &mut Context<'_>, words: &mut Words<'_>) -> Option<Next> {
        let Some(message) = dns(packet.data()) else { return Some(Next::Ok) };
        words.say(format_args!("a message of {} bytes", message.len()));
        Some(if message.len() > self.longest {
            Next::Oversized
        } else if message::check(message) == Verdict::Malformed {
            Next::Malformed
        } else {
            Next::Ok
        })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let counts = cx.table(self.counts).of(self.worker);
        let longest = self.longest;
        frame.for_each(|packet| {
            let Some(message) = dns(packet.data()) else { return Next::Ok };
            if message.len() > longest {
                return Next::Oversized;
            }
            match message::check(message) {
                Verdict::Query(of_type) => {
                    counts.add(of_type);
                    Next::Ok
                }
                Verdict::Answer => Next::Ok,
                Verdict::Malformed => Next::Malformed,
            }
        });
    }
}

const COUNTS: swath_api::Str = swath_api::Str::new("dns-counts");
const IP4_HEADER: usize = 20;
const UDP: u8 = 17;
const PORT: u16 = 53;

/// The message in an IPv4 packet, if it is one of DNS over UDP. What UDP says is longer than the packet is cut off, so that it is malformed.
fn dns(packet: &[u8]) -> Option<&[u8]> {
    let header = usize::from(packet.first()? & 15) * 4;
    let fixed = packet.first_chunk::<IP4_HEADER>()?;
    let be16 = |at: usize| Some(u16::from_be_bytes(*packet.get(at..)?.first_chunk()?));
    let is_fragment = be16(6)? & 0x3fff != 0;
    if header < IP4_HEADER || fixed[9] != UDP || is_fragment {
        return None;
    }
    if be16(header)? != PORT && be16(header + 2)? != PORT {
        return None;
    }
    let end = usize::from(be16(2)?).min(header + usize::from(be16(header + 4)?)).min(packet.len());
    Some(packet.get(header + 8..end).unwrap_or_default())
}

swath_api::export_nodes!(nodes: [DnsGuard], tables: [Counts]);

#[cfg(test)]
mod tests;
