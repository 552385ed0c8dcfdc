//! Rules that drivers can carry out ([`DenialSet`]): they deny, ask for nothing but addresses, and no rule before them has a say in it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use swath_api::{Denial, DenialSet, Parts};

use super::address::{Address, Prefix};
use super::criteria::{Criteria, Others};
use super::rules::Entry;
use super::settings::Action;

/// Comparisons of two rules, at most: a part of a second. What lies behind them is left to the node.
const MOST_COMPARISONS: usize = 20_000_000;

/// Those that there are, each with the interface whose driver has it.
#[derive(Default)]
pub(super) struct Copies(Vec<(u16, Arc<dyn DenialSet>)>);

impl Copies {
    /// One more, which gets what is current. Those that nobody else has any more are forgotten.
    pub fn push(&mut self, interface: u16, copy: Arc<dyn DenialSet>, entries: &[Arc<Entry>], parts: Parts) {
        self.0.retain(|(_, copy)| Arc::strong_count(copy) > 1);
        copy.replace(&denials(entries, interface), parts);
        self.0.push((interface, copy));
    }

    /// Rules have taken the place of others. What comes in meanwhile is judged by either.
    pub fn replace(&self, entries: &[Arc<Entry>], parts: Parts) {
        self.0.iter().for_each(|(interface, copy)| copy.replace(&denials(entries, *interface), parts));
    }

    /// Has all that was dropped counted.
    pub fn settle(&self) {
        self.0.iter().for_each(|(_, copy)| copy.settle());
    }
}

/// Whether a rule denies by nothing but addresses and the interface that has received the packet.
fn is_plain(action: Action, others: &Others) -> bool {
    action == Action::Deny && Others { rx: None, ..*others } == Others::default()
}

/// How many rules deny by nothing but addresses, of IPv4 and of IPv6.
pub(super) fn count(entries: &[Arc<Entry>]) -> [usize; 2] {
    let plain = |others: Option<&Others>, entry: &Entry| others.is_some_and(|others| is_plain(entry.rule.action, others));
    let four = entries.iter().filter(|entry| plain(entry.parsed.ip4.as_ref().map(|rule| &rule.others), entry));
    let six = entries.iter().filter(|entry| plain(entry.parsed.ip6.as_ref().map(|rule| &rule.others), entry));
    [four.count(), six.count()]
}

/// What the driver of an interface can carry out, in the order of the rules.
pub(super) fn denials(entries: &[Arc<Entry>], interface: u16) -> Vec<Denial> {
    let rules = |entry: &Arc<Entry>| (entry.rule.action, entry.counted());
    let four = of_family(entries.iter().filter_map(|entry| Some((entry.parsed.ip4?, rules(entry)))), interface, false);
    let six = of_family(entries.iter().filter_map(|entry| Some((entry.parsed.ip6?, rules(entry)))), interface, true);
    [four, six].concat()
}

fn of_family<A: Address + Into<u128>>(
    rules: impl Iterator<Item = (Criteria<A>, (Action, Arc<AtomicU64>))>,
    interface: u16,
    is_ip6: bool,
) -> Vec<Denial> {
    let (mut found, mut others, mut comparisons) = (Vec::new(), Vec::new(), 0);
    for (Criteria { source, destination, others: asks }, (action, counter)) in rules {
        if asks.rx.is_some_and(|rx| rx != interface) {
            continue;
        }
        comparisons += others.len();
        if comparisons > MOST_COMPARISONS {
            break;
        }
        let meets = |(sources, destinations): &(Prefix<A>, Prefix<A>)| sources.meets(&source) && destinations.meets(&destination);
        if is_plain(action, &asks) && !others.iter().any(meets) {
            let bits = |prefix: Prefix<A>| (prefix.address.into(), prefix.len);
            found.push(Denial { is_ip6, source: bits(source), destination: bits(destination), counter });
            continue;
        }
        // Of what it may hold for, only the node knows what becomes.
        others.push((source, destination));
        if (source.len, destination.len) == (0, 0) {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::settings::Rule;
    use super::*;

    /// The places of the rules that the driver of an interface can carry out, of IPv4 and of IPv6.
    fn plain(rules: &str, interface: u16) -> Vec<usize> {
        let rules: Vec<Rule> = serde_json::from_str(rules).unwrap();
        let of = |name: &str| swath_api::Interface { name: name.into(), ..swath_api::Interface::vacant() };
        let entries = super::super::entries(rules, &[of("a"), of("b")]).unwrap();
        let place = |denial: &Denial| {
            entries.iter().position(|entry| Arc::ptr_eq(&entry.counted(), &denial.counter)).expect("it has one of them")
        };
        denials(&entries, interface).iter().map(place).collect()
    }

    #[test]
    fn only_what_no_rule_before_has_a_say_in() {
        for (what, rules, found) in [
            (
                "leading",
                r#"[{"action": "deny", "source": "10.0.0.0/8"}, {"action": "deny", "destination": "2001:db8::/32"}]"#,
                &[0, 1][..],
            ),
            ("both versions", r#"[{"action": "deny"}]"#, &[0, 0]),
            ("ports", r#"[{"action": "deny", "source": "10.0.0.0/8", "protocol": "udp"}]"#, &[]),
            ("told", r#"[{"action": "reject", "source": "10.0.0.0/8"}]"#, &[]),
            (
                "an exception before it",
                r#"[{"action": "permit", "source": "10.0.0.1/32", "protocol": "tcp"}, {"action": "deny", "source": "10.0.0.0/8"},
                    {"action": "deny", "source": "11.0.0.0/8"}, {"action": "deny", "source": "10.1.0.0/16"}]"#,
                &[2],
            ),
            (
                "another destination",
                r#"[{"action": "permit", "source": "10.0.0.0/8", "destination": "192.0.2.1/32"},
                    {"action": "deny", "source": "10.0.0.0/8", "destination": "192.0.2.2/32"},
                    {"action": "deny", "destination": "192.0.2.0/24"}]"#,
                &[1],
            ),
            ("who counts must see it", r#"[{"action": "count"}, {"action": "deny", "source": "10.0.0.0/8"}]"#, &[]),
            (
                "another version of IP",
                r#"[{"action": "permit", "family": "ip6"}, {"action": "deny", "source": "10.0.0.0/8"}]"#,
                &[1],
            ),
            (
                "interfaces",
                r#"[{"action": "permit", "rx": "b"}, {"action": "deny", "rx": "a", "source": "10.0.0.0/8"},
                    {"action": "deny", "rx": "b", "source": "10.0.0.0/8"}, {"action": "deny", "tx": "b", "source": "11.0.0.0/8"}]"#,
                &[1],
            ),
        ] {
            assert_eq!(plain(rules, 0), found, "{what}");
        }
    }
}
