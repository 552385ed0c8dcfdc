//! Rules that can never decide, because one before them holds for all of their packets.

use hashbrown::{HashMap, HashSet};

use super::address::{Address, Prefix};
use super::criteria::Criteria;

/// Comparisons of two rules, at most: some seconds.
const MOST_COMPARISONS: usize = 100_000_000;

/// For each rule, the first one before it that holds for all of its packets, leaving aside those that only count. Rules without
/// criteria are of the other version of IP. `None` if that would take too long.
pub(super) fn shadows<A: Address>(rules: &[Option<Criteria<A>>], counts: &[bool]) -> Option<Vec<Option<u32>>> {
    let mut before: HashMap<(Prefix<A>, Prefix<A>), Vec<u32>> = HashMap::new();
    let mut lengths: HashSet<(u8, u8)> = HashSet::new();
    let mut found = vec![None; rules.len()];
    let mut comparisons = 0;
    for (index, rule) in rules.iter().enumerate() {
        let Some(rule) = rule else { continue };
        let shorter =
            lengths.iter().filter(|(source, destination)| *source <= rule.source.len && *destination <= rule.destination.len);
        for (source, destination) in shorter {
            let cut = |prefix: Prefix<A>, len: u8| Prefix { address: prefix.address.masked(len), len };
            let around = (cut(rule.source, *source), cut(rule.destination, *destination));
            let others = before.get(&around).map_or(&[][..], Vec::as_slice);
            comparisons += 1 + others.len();
            let first = others.iter().find(|other| rules[**other as usize].is_some_and(|other| other.contains(rule)));
            found[index] = [found[index], first.copied()].into_iter().flatten().min();
        }
        if comparisons > MOST_COMPARISONS {
            return None;
        }
        if !counts[index] {
            before.entry((rule.source, rule.destination)).or_default().push(index as u32);
            lengths.insert((rule.source.len, rule.destination.len));
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::super::criteria::{Others, Ports};
    use super::*;

    fn rule(source: (u32, u8), destination_ports: Ports, protocol: Option<u8>) -> Option<Criteria<u32>> {
        let others = Others { destination_ports, protocol, ..Others::default() };
        Some(Criteria { source: Prefix { address: source.0, len: source.1 }, destination: Prefix::default(), others })
    }

    #[test]
    fn the_first_rule_around_is_named() {
        let any = (0, u16::MAX);
        let rules = [
            rule((0x0a00_0000, 8), any, Some(6)),
            // Inside of the first one.
            rule((0x0a01_0000, 16), (80, 80), Some(6)),
            // Another protocol, any protocol, and addresses around.
            rule((0x0a01_0000, 16), (80, 80), Some(17)),
            rule((0x0a01_0000, 16), any, None),
            rule((0, 0), (443, 443), Some(6)),
            None,
            // Only counts, so it hides nothing.
            rule((0, 0), any, Some(47)),
            rule((0, 0), any, Some(47)),
            rule((0x0a01_0000, 16), (80, 81), Some(17)),
            rule((0x0a01_0200, 24), (443, 443), Some(6)),
        ];
        let counts: Vec<bool> = (0..rules.len()).map(|index| index == 6).collect();
        let shadows = shadows(&rules, &counts).unwrap();
        assert_eq!(shadows, [None, Some(0), None, None, None, None, None, None, Some(3), Some(0)]);
    }
}
