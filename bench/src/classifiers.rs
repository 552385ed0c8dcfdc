//! The classifier of `acl` alone, in TSC cycles per packet: rules in the shape of ClassBench's access control lists, nine packets in ten meet
//! one.

use std::time::Instant;

use swath_api::VECTOR;
use swath_api::kernel::tsc;
use swath_nodes::acl::{Classifier, Criteria, Key, NO_RULE, Scratch};

use crate::classbench::{Dice, Random, Shape, packet, rules};
use crate::measure::Settings;
use crate::rte_acl;

/// A set of rules.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Its name on the command line.
    pub name: &'static str,
    shape: Shape,
    count: usize,
    ip6: bool,
}

/// Packets that are looked up, in vectors of 256, round and round.
const PACKETS: usize = 16 * VECTOR;

/// All sets.
pub const ALL: &[Rules] = &[
    Rules { name: "acl-10", shape: Shape::Acl, count: 10, ip6: false },
    Rules { name: "acl-1k", shape: Shape::Acl, count: 1_000, ip6: false },
    Rules { name: "acl-10k", shape: Shape::Acl, count: 10_000, ip6: false },
    Rules { name: "acl-100k", shape: Shape::Acl, count: 100_000, ip6: false },
    Rules { name: "acl-fw-1k", shape: Shape::Fw, count: 1_000, ip6: false },
    Rules { name: "acl-fw-10k", shape: Shape::Fw, count: 10_000, ip6: false },
    Rules { name: "acl-ipc-10k", shape: Shape::Ipc, count: 10_000, ip6: false },
    Rules { name: "acl-ip6-1k", shape: Shape::Acl, count: 1_000, ip6: true },
    Rules { name: "acl-ip6-10k", shape: Shape::Acl, count: 10_000, ip6: true },
];

impl Rules {
    /// Measures it: a row of the table. IPv4 is measured beside DPDK, if its program is there.
    pub fn measure(&self, settings: &Settings) -> String {
        if self.ip6 {
            return self.measured::<u128>(settings.samples).0 + " |";
        }
        let (row, rules, keys) = self.measured::<u32>(settings.samples);
        let beside = match rte_acl::is_there() {
            true => rte_acl::beside(&rules, &keys, settings),
            false => return row + " |",
        };
        match beside {
            Ok(both) => format!("{row} {:.1} / {:.1} = **{:.2}** |", both.ours, both.other, both.ours / both.other),
            Err(error) => format!("{row} {error} |"),
        }
    }

    fn measured<A: Random>(&self, samples: usize) -> (String, Vec<Criteria<A>>, Vec<Key<A>>) {
        let mut dice = Dice(0x0dd_ba11);
        let rules: Vec<Criteria<A>> = rules(self.shape, self.count, &mut dice);
        let start = Instant::now();
        let classifier = Classifier::new(rules.clone(), &[], 4, false);
        let compiled = start.elapsed();
        let (mut scratch, mut found) = (Scratch::default(), [0; VECTOR]);
        let keys = packets(&classifier, &rules, &mut dice);
        let mut vectors: Vec<u64> = keys
            .chunks(VECTOR)
            .cycle()
            .take(samples)
            .map(|keys| {
                let start = tsc();
                classifier.classify(keys, &mut found, &mut scratch);
                tsc() - start
            })
            .collect();
        vectors.sort_unstable();
        let per_packet = |at: usize| vectors[at] as f64 / VECTOR as f64;
        let (median, best) = (per_packet(vectors.len() / 2), per_packet(vectors.len() / 20));
        let memory = classifier.memory() >> 10;
        let row = format!(
            "| {} | {:?} | **{median:.1}** | {best:.1} | {:.1} ms | {memory} KiB |",
            self.name,
            self.shape,
            compiled.as_secs_f64() * 1e3
        );
        (row, rules, keys)
    }
}

/// Packets of which nine in ten meet a rule.
fn packets<A: Random>(classifier: &Classifier<A>, rules: &[Criteria<A>], dice: &mut Dice) -> Vec<Key<A>> {
    let (mut scratch, mut found) = (Scratch::default(), [0; VECTOR]);
    let (mut keys, mut misses) = (Vec::with_capacity(PACKETS), 0);
    while keys.len() < PACKETS {
        let meet = misses * 9 >= keys.len() - misses;
        loop {
            let mut key = packet(rules, dice);
            if !meet {
                (key.source, key.destination) = (A::random(dice), A::random(dice));
            }
            classifier.classify(&[key], &mut found, &mut scratch);
            let hit = found[0] != NO_RULE;
            if hit == meet {
                keys.push(key);
                misses += usize::from(!hit);
                break;
            }
        }
    }
    keys
}
