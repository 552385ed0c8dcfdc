//! What was expected to leave, and what has left.
//!
//! On each interface the same packets, and in the same order within each flow: the order between flows may depend on the number of
//! workers.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use swath_io::capture::Flow;
use swath_io::text::{Mac, fields};

use super::packet::{Content, Packet, flow, text_of};
use super::port::Sent;

/// Packets that found no partner and are compared with each other at most: to find out what is like what costs the square.
const COMPARED: usize = 100;

/// What is not as expected on one interface.
#[derive(Debug)]
pub enum Finding<'a> {
    /// A packet is another one than expected.
    Differs(&'a Packet, &'a Sent),
    /// A packet has not left.
    Missing(&'a Packet),
    /// A packet has left that was not expected.
    Unexpected(&'a Sent),
    /// The packets of a flow have left in another order: the place in which each has left and the place in which it was expected,
    /// from 1 on, where these differ.
    Order(Flow, Vec<(usize, usize, &'a Sent)>),
}

/// Compares what an interface of this address was expected to send with what it has sent.
pub fn compare<'a>(expected: &'a [Packet], sent: &'a [Sent], own: Mac) -> Vec<Finding<'a>> {
    let (pairs, missing, unexpected) = match_up(expected, sent, own);
    let mut findings = wrong_order(&pairs, sent);
    let (alike, missing, unexpected) = pair_up(expected, sent, missing, unexpected, own);
    findings.extend(alike.into_iter().map(|(wanted, got)| Finding::Differs(&expected[wanted], &sent[got])));
    findings.extend(missing.into_iter().map(|wanted| Finding::Missing(&expected[wanted])));
    findings.extend(unexpected.into_iter().map(|got| Finding::Unexpected(&sent[got])));
    findings
}

/// Pairs of indexes.
type Pairs = Vec<(usize, usize)>;

/// Gives each expected packet the first one that it can be. So equal ones keep their order. Returns pairs, and what has no partner.
fn match_up(expected: &[Packet], sent: &[Sent], own: Mac) -> (Pairs, Vec<usize>, Vec<usize>) {
    let (mut pairs, mut missing) = (Vec::new(), Vec::new());
    let mut taken = vec![false; sent.len()];
    // Captures are long: of their packets the bytes are looked up.
    let mut by_bytes: HashMap<&[u8], VecDeque<usize>> = HashMap::new();
    sent.iter().enumerate().for_each(|(got, sent)| by_bytes.entry(&sent.frame).or_default().push_back(got));
    for (wanted, packet) in expected.iter().enumerate() {
        let got = match &packet.content {
            Content::Bytes(bytes) => {
                by_bytes.get_mut(&**bytes).and_then(|all| std::iter::from_fn(|| all.pop_front()).find(|got| !taken[*got]))
            }
            Content::Text(_) => (0..sent.len()).find(|got| !taken[*got] && packet.is(&sent[*got].frame, own)),
        };
        match got {
            Some(got) => {
                taken[got] = true;
                pairs.push((wanted, got));
            }
            None => missing.push(wanted),
        }
    }
    (pairs, missing, (0..sent.len()).filter(|got| !taken[*got]).collect())
}

/// Flows whose packets have not left in the order in which they were expected.
fn wrong_order<'a>(pairs: &Pairs, sent: &'a [Sent]) -> Vec<Finding<'a>> {
    let mut flows: HashMap<Flow, Pairs> = HashMap::new();
    let mut in_order: Vec<Flow> = Vec::new();
    for (wanted, got) in pairs {
        let flow = flow(&sent[*got].frame);
        let members = flows.entry(flow.clone()).or_default();
        if members.is_empty() {
            in_order.push(flow);
        }
        members.push((*wanted, *got));
    }
    let findings = in_order.into_iter().filter_map(|flow| {
        // They come in the order in which they were expected.
        let members = flows.remove(&flow)?;
        let mut by_time: Vec<(usize, usize)> = members.iter().map(|(_, got)| *got).zip(1..).collect();
        by_time.sort_unstable();
        let moved = (1..).zip(by_time).filter(|(left_as, (_, wanted_as))| left_as != wanted_as);
        let moved: Vec<_> = moved.map(|(left_as, (got, wanted_as))| (left_as, wanted_as, &sent[got])).collect();
        (!moved.is_empty()).then_some(Finding::Order(flow, moved))
    });
    findings.collect()
}

/// Of packets that have no partner, puts together what was probably meant to be the same: of one flow if there is such, and alike
/// in most fields otherwise. Returns pairs, and what is left.
fn pair_up(
    expected: &[Packet],
    sent: &[Sent],
    missing: Vec<usize>,
    unexpected: Vec<usize>,
    own: Mac,
) -> (Pairs, Vec<usize>, Vec<usize>) {
    let got: Vec<(usize, Flow, String)> =
        unexpected.iter().take(COMPARED).map(|got| (*got, flow(&sent[*got].frame), text_of(&sent[*got].frame, own))).collect();
    let mut candidates = Vec::new();
    for wanted in missing.iter().take(COMPARED) {
        let packet = &expected[*wanted];
        let (flow, text) = (packet.flow(own), packet.text(own));
        for (got, its_flow, its_text) in &got {
            let (common, all) = likeness(&text, its_text);
            let same_flow = flow == *its_flow;
            if same_flow || common * 2 > all {
                // The best first; of equally good ones, those that come first.
                candidates.push((!same_flow, all - common, *wanted, *got));
            }
        }
    }
    candidates.sort_unstable();
    let (mut pairs, mut taken) = (Pairs::new(), (HashSet::new(), HashSet::new()));
    for (_, _, wanted, got) in candidates {
        if !taken.0.contains(&wanted) && !taken.1.contains(&got) {
            taken.0.insert(wanted);
            taken.1.insert(got);
            pairs.push((wanted, got));
        }
    }
    pairs.sort_unstable();
    let missing = missing.into_iter().filter(|wanted| !taken.0.contains(wanted)).collect();
    let unexpected = unexpected.into_iter().filter(|got| !taken.1.contains(got)).collect();
    (pairs, missing, unexpected)
}

/// How many fields two texts have in common, and how many the one with more of them has. Ethernet addresses do not count: they are
/// those of the interface, whatever the packet.
fn likeness(a: &str, b: &str) -> (usize, usize) {
    let set = |text| {
        let fields = fields(text).into_iter().filter(|field| !matches!(field.name, ">" | "src-mac" | "dst-mac"));
        fields.map(|field| field.text).collect::<BTreeSet<&str>>()
    };
    let (a, b) = (set(a), set(b));
    (a.intersection(&b).count(), a.len().max(b.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use swath_io::text::TextPacket;

    const OWN: Mac = Mac([2, 0, 0, 0, 2, 1]);

    fn packet(text: &str) -> Packet {
        Packet { content: Content::Text(TextPacket::parse(text).unwrap()), line: 1, capture: None }
    }

    fn sent(text: &str) -> Sent {
        Sent { at: 0, frame: packet(text).sent(OWN, Mac::DESTINATION) }
    }

    /// What is found, in short: `= a/b`, `- a`, `+ b`, `~ 2/1 1/2` by payload.
    fn found<S: AsRef<str>>(expected: &[S], got: &[S]) -> Vec<String> {
        let label = |frame: &[u8]| String::from_utf8(frame[14 + 28..].to_vec()).unwrap();
        let text = |name: &S| {
            let (flow, payload) = name.as_ref().split_once(':').unwrap();
            format!("udp 10.0.0.{flow}:1 > 10.0.1.{flow}:2 payload \"{payload}\"")
        };
        let expected: Vec<Packet> = expected.iter().map(|name| packet(&text(name))).collect();
        let got: Vec<Sent> = got.iter().map(|name| sent(&text(name))).collect();
        let of = |packet: &Packet| label(&packet.sent(OWN, Mac::DESTINATION));
        let findings = compare(&expected, &got, OWN);
        let findings = findings.iter().map(|finding| match finding {
            Finding::Differs(wanted, got) => format!("= {}/{}", of(wanted), label(&got.frame)),
            Finding::Missing(wanted) => format!("- {}", of(wanted)),
            Finding::Unexpected(got) => format!("+ {}", label(&got.frame)),
            Finding::Order(_, moved) => {
                moved.iter().fold("~".into(), |text, (left, wanted, got)| format!("{text} {left}/{wanted}{}", label(&got.frame)))
            }
        });
        findings.collect()
    }

    #[test]
    fn the_order_counts_within_a_flow() {
        assert_eq!(found(&["1:a", "2:x", "1:b"], &["2:x", "1:a", "1:b"]), Vec::<String>::new());
        assert_eq!(found(&["1:a", "1:b", "1:c"], &["1:b", "1:a", "1:c"]), ["~ 1/2b 2/1a"]);
        // Equal packets are not in a wrong order.
        assert_eq!(found(&["1:a", "1:b", "1:a"], &["1:a", "1:b", "1:a"]), Vec::<String>::new());
    }

    #[test]
    fn what_has_no_partner_is_put_together_by_likeness() {
        assert_eq!(found(&["1:a", "1:b"], &["1:a", "1:c"]), ["= b/c"]);
        assert_eq!(found(&["1:a", "2:b"], &["2:c"]), ["= b/c", "- a"]);
        assert_eq!(found(&["1:a"], &["1:a", "1:a"]), ["+ a"]);
        assert_eq!(found(&["1:a", "1:a"], &["1:a"]), ["- a"]);
        assert_eq!(found(&["1:a"], &["3:b"]), ["- a", "+ b"]);
        assert_eq!(found(&[], &["3:b"]), ["+ b"]);
    }

    #[test]
    fn another_flow_is_alike_if_most_fields_are() {
        let expected = [packet("udp 203.0.113.2:4000 > 8.8.8.8:53 payload \"query\"")];
        let got = [sent("udp 192.168.1.10:4000 > 8.8.8.8:53 payload \"query\"")];
        assert!(matches!(compare(&expected, &got, OWN)[..], [Finding::Differs(..)]));
        let got = [sent("udp 192.168.1.10:4000 > 9.9.9.9:53 payload \"answer\"")];
        assert!(matches!(compare(&expected, &got, OWN)[..], [Finding::Missing(_), Finding::Unexpected(_)]));
    }

    proptest! {
        /// Against the definition: the same sequence in each flow.
        #[test]
        fn nothing_is_found_exactly_if_each_flow_is_the_same(
            expected in prop::collection::vec((0..3u8, 0..3u8), 0..8),
            got in prop::collection::vec((0..3u8, 0..3u8), 0..8),
            shuffle in any::<bool>(),
        ) {
            // Half of the time the same packets, sorted by flow, which keeps the order within each.
            let got = if shuffle {
                let mut same = expected.clone();
                same.sort_by_key(|(flow, _)| *flow);
                same
            } else {
                got
            };
            let names = |list: &[(u8, u8)]| list.iter().map(|(flow, payload)| format!("{flow}:{payload}")).collect::<Vec<_>>();
            let of = |list: &[(u8, u8)], flow| list.iter().filter(|(f, _)| *f == flow).copied().collect::<Vec<_>>();
            let same = (0..3).all(|flow| of(&expected, flow) == of(&got, flow));
            prop_assert_eq!(found(&names(&expected), &names(&got)).is_empty(), same);
        }
    }
}
