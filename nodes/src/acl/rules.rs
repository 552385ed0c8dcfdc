//! A set of rules as workers see it, and what it has counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use swath_api::VECTOR;
use swath_api::kernel::tsc;

use super::address::Address;
use super::classifier::{Classifier, Scratch};
use super::criteria::{Criteria, Key};
use super::settings::{Action, Default_, Fragments, Parsed, Rule};

/// A rule of the table, which lives through changes of others.
pub(super) struct Entry {
    pub(super) rule: Rule,
    pub(super) parsed: Parsed,
    /// Packets that sets of rules have counted which nobody uses any more, and those that drivers have dropped. Control alone writes.
    counted: Arc<AtomicU64>,
}

impl Entry {
    pub(super) fn new(rule: Rule, parsed: Parsed) -> Entry {
        Entry { rule, parsed, counted: Arc::default() }
    }

    /// Another rule that goes on with this one's counter.
    pub(super) fn with(&self, other: &Entry) -> Entry {
        Entry { rule: other.rule.clone(), parsed: other.parsed, counted: Arc::clone(&self.counted) }
    }

    /// Where it is kept what others have counted for it.
    pub(super) fn counted(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.counted)
    }

    /// What tells counters apart.
    pub(super) fn counter(&self) -> *const AtomicU64 {
        Arc::as_ptr(&self.counted)
    }
}

/// The rule that has decided, or the default, and what it decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The place in the table; that behind the last rule is the default.
    pub rule: u32,
    /// What it decides.
    pub outcome: Outcome,
}

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The packet passes.
    Permit,
    /// The packet passes, and opens a session.
    Reflect,
    /// A rule denies it.
    Deny,
    /// No rule holds, and the default denies it.
    DenyByDefault,
    /// It is denied, and its sender told.
    Reject,
}

/// The rules of one version of IP.
pub struct Family<A> {
    classifier: Classifier<A>,
    // By place in the classifier; the default last.
    verdicts: Vec<Verdict>,
}

/// A compiled set of rules, which is never changed.
pub struct Rules {
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) ip4: Family<u32>,
    pub(super) ip6: Family<u128>,
    pub(super) compile_cycles: u64,
    // By worker, then by rule; the default last. One worker writes each.
    hits: Vec<Box<[AtomicU64]>>,
    default: Arc<AtomicU64>,
}

/// What a worker's packets are counted by.
#[derive(Clone, Copy)]
pub struct Hits<'a>(&'a [AtomicU64]);

impl Hits<'_> {
    /// Counts packets for a rule.
    #[inline(always)]
    pub fn count(&self, rule: u32, packets: u64) {
        if let Some(hits) = self.0.get(rule as usize) {
            hits.store(hits.load(Ordering::Relaxed) + packets, Ordering::Relaxed);
        }
    }
}

impl Rules {
    /// Compiles them. `default_hits` is what the default has counted in sets that nobody uses any more.
    pub(super) fn new(
        entries: Vec<Arc<Entry>>,
        default: Default_,
        fragments: Fragments,
        interfaces: u16,
        workers: u32,
        default_hits: &Arc<AtomicU64>,
    ) -> Rules {
        let start = tsc();
        let lenient = fragments == Fragments::L3Only;
        let ip4 = Family::new(&entries, |parsed| parsed.ip4, default, interfaces, lenient);
        let ip6 = Family::new(&entries, |parsed| parsed.ip6, default, interfaces, lenient);
        let hits = (0..workers).map(|_| (0..=entries.len()).map(|_| AtomicU64::new(0)).collect()).collect();
        Rules { entries, ip4, ip6, compile_cycles: tsc() - start, hits, default: Arc::clone(default_hits) }
    }

    /// What the packets of a worker are counted by.
    #[inline]
    pub fn hits(&self, worker: u32) -> Hits<'_> {
        Hits(self.hits.get(worker as usize).map_or(&[], |hits| hits))
    }

    /// What is decided for IPv4 packets, 256 at most, each with its rule; rules that only count do so.
    #[inline]
    pub fn ip4(&self, keys: &[Key<u32>], verdicts: &mut [Verdict; VECTOR], scratch: &mut Scratch, count: impl FnMut(usize, u32)) {
        self.ip4.decide(keys, verdicts, scratch, count);
    }

    /// As [`Rules::ip4`], for IPv6.
    #[inline]
    pub fn ip6(&self, keys: &[Key<u128>], verdicts: &mut [Verdict; VECTOR], scratch: &mut Scratch, count: impl FnMut(usize, u32)) {
        self.ip6.decide(keys, verdicts, scratch, count);
    }

    /// Bytes of the classifiers.
    pub(super) fn memory(&self) -> usize {
        self.ip4.classifier.memory() + self.ip6.classifier.memory()
    }

    /// Packets of each rule, and of the default at the end, with those of sets before that nobody uses any more.
    pub(super) fn counted(&self) -> Vec<u64> {
        let before = self.entries.iter().map(|entry| &*entry.counted).chain([&*self.default]);
        let before: Vec<u64> = before.map(|counted| counted.load(Ordering::Relaxed)).collect();
        before.iter().enumerate().map(|(rule, before)| before + self.own(rule)).collect()
    }

    /// Packets of a rule by place.
    pub(super) fn own(&self, rule: usize) -> u64 {
        self.hits.iter().map(|hits| hits[rule].load(Ordering::Relaxed)).sum()
    }

    /// Keeps what was counted, when no worker uses this set any more.
    pub(super) fn retire(&self) {
        let entries = self.entries.iter().map(|entry| &*entry.counted).chain([&*self.default]);
        for (rule, counted) in entries.enumerate() {
            counted.fetch_add(self.own(rule), Ordering::Relaxed);
        }
    }
}

impl<A: Address> Family<A> {
    fn new(
        entries: &[Arc<Entry>],
        of: impl Fn(&Parsed) -> Option<Criteria<A>>,
        default: Default_,
        interfaces: u16,
        lenient: bool,
    ) -> Family<A> {
        let outcome = match default {
            Default_::Permit => Outcome::Permit,
            Default_::Deny => Outcome::DenyByDefault,
            Default_::Reject => Outcome::Reject,
        };
        let (mut rules, mut counts, mut verdicts) = (Vec::new(), Vec::new(), Vec::new());
        for (entry, rule) in entries.iter().zip(0..) {
            if let Some(criteria) = of(&entry.parsed) {
                let outcome = match entry.rule.action {
                    Action::Permit => Outcome::Permit,
                    Action::PermitReflect => Outcome::Reflect,
                    // Who only counts decides nothing.
                    Action::Deny | Action::Count => Outcome::Deny,
                    Action::Reject => Outcome::Reject,
                };
                rules.push(criteria);
                counts.push(entry.rule.action == Action::Count);
                verdicts.push(Verdict { rule, outcome });
            }
        }
        verdicts.push(Verdict { rule: entries.len() as u32, outcome });
        Family { classifier: Classifier::new(rules, &counts, interfaces, lenient), verdicts }
    }

    #[inline]
    pub(super) fn decide(
        &self,
        keys: &[Key<A>],
        verdicts: &mut [Verdict; VECTOR],
        scratch: &mut Scratch,
        mut count: impl FnMut(usize, u32),
    ) {
        let mut found = [0; VECTOR];
        self.classifier.classify(keys, &mut found, scratch);
        self.classifier.count(keys, &found, scratch, |packet, rule| count(packet, self.verdicts[rule as usize].rule));
        let last = self.verdicts.len() - 1;
        for (verdict, found) in verdicts.iter_mut().zip(&found[..keys.len()]) {
            *verdict = self.verdicts[(*found as usize).min(last)];
        }
    }
}
