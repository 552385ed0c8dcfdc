//! `acl`: rules in an order, of which the first that holds for a packet decides.
//!
//! Workers see a compiled set of rules that never changes ([`Rules`]). A command compiles another one beside it and puts it in its place;
//! each worker takes it at the top of its next sweep. Old sets are kept until no worker has them, so that none is ever freed by one, and so that
//! what they have counted is not lost.

mod address;
mod classifier;
mod columns;
mod control;
mod criteria;
mod fields;
mod first_fragments;
mod flowing;
mod flows;
mod foresee;
mod lists;
mod packet;
mod plain;
mod rows;
mod rules;
#[cfg(test)]
mod session_tests;
mod settings;
mod shadow;
mod stateful;
#[cfg(test)]
mod tests;
mod trie;
mod words;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use swath_api::prelude::*;
use swath_api::{Copied, Interface, Parts, Str};

pub use address::{Address, Prefix};
pub use classifier::{Classifier, NO_RULE, Scratch};
pub use control::{Command, Reply};
pub use criteria::{ANY_PORT, Criteria, Key, NO_PORT, Others, Part, Ports};
pub use flowing::{Flowing, fragment_hash, is_plain, network, pair_hash, probe};
pub use flows::{Asking, Flows, Ruling};
pub use foresee::Asker;
pub use packet::{Kind, ethernet4, ethernet6, ip4, ip6, plain4};
pub use rules::{Hits, Outcome, Rules, Verdict};
pub use settings::{Action, Config, Fragments, Rule};
pub use stateful::{Question, Row, Shown};
pub use words::IpPrefix;

use first_fragments::FirstFragments;
use plain::Copies;
use rules::Entry;
use settings::{Default_, Keeping, Parsed};
use stateful::{Counts, Stores};

/// Rules of a table, at most.
const MOST_RULES: usize = 1 << 17;
/// Rules that are compiled even if nobody will use them.
const SMALL: usize = 1024;
/// Packets whose first fragment is remembered.
const FRAGMENTED_PACKETS: u32 = 4096;

/// The table.
pub struct Acl {
    default: Default_,
    fragments: Fragments,
    fragmented_packets: u32,
    interfaces: Arc<[Interface]>,
    workers: u32,
    // Of the rules that are current: set after these were replaced. No two sets of one name have the same, those of tables before included.
    version: AtomicU64,
    versions: Arc<AtomicU64>,
    // Held only to take or replace the pointer.
    current: Mutex<Arc<Rules>>,
    control: Mutex<Old>,
    copies: Mutex<Copies>,
    default_hits: Arc<AtomicU64>,
    // Whether a node asks it about packets without their Ethernet header.
    no_vlan: AtomicBool,
    sessions: Option<Stateful>,
}

/// Of a table that keeps sessions.
struct Stateful {
    settings: Keeping,
    // By worker.
    counts: Vec<Arc<Counts>>,
    // Until the workers take them.
    stores: Mutex<Vec<Option<Stores>>>,
}

/// Sets of rules that workers may still have.
type Old = Vec<Arc<Rules>>;

/// A worker's part.
pub struct Shard {
    rules: Arc<Rules>,
    version: u64,
    worker: u32,
    scratch: Box<Scratch>,
    first_fragments: Option<FirstFragments>,
    policy: Fragments,
    // `None` if the table keeps none, or if there is no memory for them.
    stores: Option<Stores>,
}

impl Shard {
    /// The sessions of IPv4, with the rules; `None` if there are none, or if there is no memory for them.
    pub fn flows4(&mut self, now: u64) -> Option<(Asking<'_>, &mut Flows<u32>)> {
        let (asking, stores) = self.asking(now);
        stores.map(|stores| (asking, &mut stores.ip4))
    }

    /// As [`Shard::flows4`], of IPv6.
    pub fn flows6(&mut self, now: u64) -> Option<(Asking<'_>, &mut Flows<u128>)> {
        let (asking, stores) = self.asking(now);
        stores.map(|stores| (asking, &mut stores.ip6))
    }

    fn asking(&mut self, now: u64) -> (Asking<'_>, Option<&mut Stores>) {
        let Shard { rules, version, worker, scratch, first_fragments, policy, stores } = self;
        if let Some(stores) = stores {
            stores.now = now;
        }
        let hits = rules.hits(*worker);
        let epoch = *version as u32;
        (Asking { rules, hits, scratch, first_fragments, policy: *policy, epoch, now }, stores.as_mut())
    }

    /// Removes sessions that are over. To be called by [`Acl::TICK`].
    pub fn tick(&mut self, now: u64) {
        if let Some(stores) = &mut self.stores {
            stores.tick(now);
        }
    }

    /// What is decided for IPv4 packets, 256 at most. Rules that only count do so for packets that are `counted`.
    #[inline]
    pub fn ip4(&mut self, keys: &[Key<u32>], verdicts: &mut [Verdict; VECTOR], counted: impl Fn(usize) -> bool) {
        let hits = self.rules.hits(self.worker);
        let count = |packet: usize, rule: u32| {
            if counted(packet) {
                hits.count(rule, 1);
            }
        };
        self.rules.ip4(keys, verdicts, &mut self.scratch, count);
    }

    /// As [`Shard::ip4`], for IPv6.
    #[inline]
    pub fn ip6(&mut self, keys: &[Key<u128>], verdicts: &mut [Verdict; VECTOR], counted: impl Fn(usize) -> bool) {
        let hits = self.rules.hits(self.worker);
        let count = |packet: usize, rule: u32| {
            if counted(packet) {
                hits.count(rule, 1);
            }
        };
        self.rules.ip6(keys, verdicts, &mut self.scratch, count);
    }

    /// Counts packets for the rules that have decided.
    #[inline]
    pub fn count(&self, verdicts: &[Verdict]) {
        let hits = self.rules.hits(self.worker);
        let Some(first) = verdicts.first().map(|verdict| verdict.rule) else { return };
        if verdicts.iter().fold(0, |differ, verdict| differ | (verdict.rule ^ first)) == 0 {
            // One after the other, each would wait for the store of the one before.
            hits.count(first, verdicts.len() as u64);
        } else {
            verdicts.iter().for_each(|verdict| hits.count(verdict.rule, 1));
        }
    }

    /// For a fragment: remembers what was decided for the first one of a packet, and says what is decided for another one.
    /// `None` if its first one is not known.
    pub fn follow<A: Address + Into<u128>>(&mut self, key: &Key<A>, verdict: Verdict, now: u64) -> Option<Verdict> {
        match (&mut self.first_fragments, key.part) {
            (None, _) | (_, Part::Whole) => Some(verdict),
            (Some(seen), Part::First) => {
                seen.first(key, verdict, now);
                Some(verdict)
            }
            (Some(seen), Part::Later) => seen.later(key, now),
        }
    }
}

impl Acl {
    /// How often sessions that are over are removed.
    pub const TICK: std::time::Duration = std::time::Duration::from_millis(20);

    /// Whether it keeps sessions.
    pub fn is_stateful(&self) -> bool {
        self.sessions.is_some()
    }

    /// What becomes of fragments.
    pub fn fragments(&self) -> Fragments {
        self.fragments
    }

    /// How many rules deny packets by nothing but their addresses, of IPv4 and of IPv6.
    pub fn plain_denials(&self) -> [usize; 2] {
        plain::count(&self.current().entries)
    }

    /// What drivers may ask rules about: of fragments that are all dropped for another reason, nothing.
    fn parts(&self) -> Parts {
        if self.fragments == Fragments::Drop { Parts::Whole } else { Parts::All }
    }

    fn copies(&self) -> MutexGuard<'_, Copies> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a node asks about packets whose VLAN nobody knows.
    ///
    /// # Errors
    /// A rule asks for it.
    pub fn without_vlan(&self) -> Result<(), ConfigError> {
        self.no_vlan.store(true, Ordering::Relaxed);
        self.check_vlan(self.current().entries.iter().map(|entry| &entry.parsed))
    }

    fn check_vlan<'a>(&self, rules: impl IntoIterator<Item = &'a Parsed>) -> Result<(), ConfigError> {
        let others = |parsed: &Parsed| parsed.ip4.map(|rule| rule.others).or(parsed.ip6.map(|rule| rule.others));
        let asks = |parsed: &Parsed| others(parsed).is_some_and(|others| others.vlan.is_some());
        if self.no_vlan.load(Ordering::Relaxed) && rules.into_iter().any(asks) {
            let text = "a rule asks for a `vlan`, which a node does not see that gets packets without their Ethernet header:                         put it in front, with `layer: ethernet`";
            return Err(ConfigError::new(text));
        }
        Ok(())
    }

    fn current(&self) -> MutexGuard<'_, Arc<Rules>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compile(&self, entries: Vec<Arc<Entry>>) -> Arc<Rules> {
        let interfaces = self.interfaces.len() as u16;
        Arc::new(Rules::new(entries, self.default, self.fragments, interfaces, self.workers, &self.default_hits))
    }

    /// Puts other rules in the place of those that there are.
    fn publish(&self, old: &mut Old, entries: Vec<Arc<Entry>>) {
        let rules = self.compile(entries);
        old.push(std::mem::replace(&mut *self.current(), rules));
        self.version.store(next(&self.versions), Ordering::Release);
        let now = Arc::clone(&self.current());
        self.copies().replace(&now.entries, self.parts());
        drop(now);
        retire(old);
    }
}

impl Stateful {
    fn new(settings: Keeping, fragmented_packets: u32, setup: &TableSetup<'_>) -> Result<Stateful, ConfigError> {
        settings.check()?;
        let old = setup.old::<Acl>();
        let old = old.as_ref().and_then(|old| Some((old.sessions.as_ref()?, old.fragmented_packets)));
        let (was, were) = old.map_or((settings, fragmented_packets), |(old, packets)| (old.settings, packets));
        let differs =
            [("sessions.capacity", was.capacity != settings.capacity), ("fragmented-packets", were != fragmented_packets)];
        if let Some((path, _)) = differs.into_iter().find(|(_, differs)| *differs) {
            let text = "cannot change while the table keeps sessions: give the table another name, which ends them, or start again";
            return Err(ConfigError::at(path, text));
        }
        let fresh = || (0..setup.workers()).map(|_| Arc::default()).collect();
        let counts: Vec<Arc<Counts>> = old.map_or_else(fresh, |(old, _)| old.counts.clone());
        let store = |counts| {
            Stores::new(settings.share(setup.workers()), fragmented_packets, counts)
                .map_err(|error| ConfigError::at("sessions", format!("there is no memory for so many sessions: {error}")))
        };
        // Whether there is memory is to be known before packets come.
        let used = if setup.in_use() { &counts[..] } else { &[] };
        let stores = used.iter().map(|counts| store(counts).map(Some)).collect::<Result<_, _>>()?;
        Ok(Stateful { settings, counts, stores: Mutex::new(stores) })
    }

    fn take(&self, worker: u32, acl: &Acl) -> Option<Stores> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let made = stores.get_mut(worker as usize).and_then(Option::take);
        let counts = self.counts.get(worker as usize)?;
        made.or_else(|| Stores::new(self.settings.share(acl.workers), acl.fragmented_packets, counts).ok())
    }
}

fn next(versions: &AtomicU64) -> u64 {
    versions.fetch_add(1, Ordering::Relaxed) + 1
}

/// Lets go of sets of rules that no worker has any more.
fn retire(old: &mut Old) {
    old.retain(|rules| {
        // What it has counted is seen: a worker lets its reference go by a release after its last packet.
        let in_use = Arc::strong_count(rules) > 1;
        if !in_use {
            std::sync::atomic::fence(Ordering::Acquire);
            rules.retire();
        }
        in_use
    });
}

/// Checks rules one by one, and their names together.
fn entries(rules: Vec<Rule>, interfaces: &[Interface]) -> Result<Vec<Arc<Entry>>, ConfigError> {
    if rules.len() > MOST_RULES {
        let text = format!("a table has {MOST_RULES} rules at most, and not {}", rules.len());
        return Err(ConfigError::at(format!("rules[{MOST_RULES}]"), text));
    }
    let mut names: HashMap<String, usize> = HashMap::new();
    let rules = rules.into_iter().enumerate().map(|(index, rule)| {
        let inside = |error: ConfigError| error.inside(&format!("rules[{index}]"));
        if let Some(name) = &rule.name
            && let Some(first) = names.insert(name.clone(), index)
        {
            return Err(inside(ConfigError::twice("name", name, &format!("rules[{first}].name"))));
        }
        let parsed = rule.parse(interfaces).map_err(inside)?;
        Ok(Arc::new(Entry::new(rule, parsed)))
    });
    rules.collect()
}

/// Rules that were there before go on with what they have counted: those of the same name, and those without that say the same.
fn go_on(entries: Vec<Arc<Entry>>, old: Option<&Acl>) -> Vec<Arc<Entry>> {
    let Some(old) = old else { return entries };
    let key = |entry: &Entry| match &entry.rule.name {
        Some(name) => name.clone(),
        None => format!("{:?}", entry.rule),
    };
    let mut before: HashMap<String, Vec<Arc<Entry>>> = HashMap::new();
    for entry in old.current().entries.iter().rev() {
        before.entry(key(entry)).or_default().push(Arc::clone(entry));
    }
    // Of several that say the same, each goes on with another one.
    let go_on = |entry: Arc<Entry>| match before.get_mut(&key(&entry)).and_then(Vec::pop) {
        Some(before) => Arc::new(before.with(&entry)),
        None => entry,
    };
    entries.into_iter().map(go_on).collect()
}

impl Drop for Acl {
    fn drop(&mut self) {
        // What its rules have counted others may go on with. No worker has them any more.
        let old = self.control.get_mut().unwrap_or_else(PoisonError::into_inner);
        old.push(Arc::clone(self.current.get_mut().unwrap_or_else(PoisonError::into_inner)));
        old.iter().for_each(|rules| rules.retire());
    }
}

impl Table for Acl {
    const INFO: TableInfo = TableInfo::new("acl", "Rules that permit or deny packets; the first one that holds decides.")
        .about(
            "A rule holds for a packet for which all holds that it says; one that says only its action holds for every packet. `acl-filter` asks \
             the table. Up to 131072 rules are compiled, and looked up for a whole vector of packets at once, so that their number costs \
             little. Many rules stand best in a file, or in several: `rules-from: rules.csv`. A rule that can never decide, since another one before \
             it holds for all of its packets, is worth a warning. A rule `permit+reflect` opens a session, by which the answers come in, \
             and which is looked up before the rules: TCP connections by their states, UDP, ICMP queries and other protocols by time, \
             ICMP errors by the packet that they quote, fragments by their first one. When rules change, a session goes on only if they \
             would permit it again; when other settings change, too. Other time-outs hold at once; where there was no `per-source`, sessions that are there do not \
             count. How many sessions there can be, and `fragmented-packets`, cannot change while there are any. If the table is full, those give way that are over first, and established TCP never does.",
        )
        .carries("sessions, first fragments, and what rules of the same name, or of the same words, have counted")
        .loses("rules added or removed by commands")
        .reads(&[const { Str::new("show") }, const { Str::new("hits") }, const { Str::new("sessions") }])
        .example(include_str!("../../examples/acl.yaml"));
    type Config = Config;
    type Shard = Shard;
    type Command = Command;
    type Reply = Reply;

    fn new(config: Config, setup: &mut TableSetup<'_>) -> Result<Acl, ConfigError> {
        let Config { default, fragments, fragmented_packets, sessions, rules } = config;
        let reflects = rules.iter().any(|rule| rule.action == Action::PermitReflect);
        let sessions = sessions.or_else(|| reflects.then(Keeping::default));
        if let Some(packets) = fragmented_packets {
            if fragments != Fragments::FollowFirst && sessions.is_none() {
                let text = "first fragments are remembered only with `fragments: follow-first`, and with sessions";
                return Err(ConfigError::at("fragmented-packets", text));
            }
            if !(64..=1 << 20).contains(&packets) {
                let text = format!("a worker remembers 64 to 1048576 packets, and not {packets}");
                return Err(ConfigError::at("fragmented-packets", text));
            }
        }
        let interfaces = Arc::clone(setup.interfaces());
        let entries = go_on(entries(rules, &interfaces)?, setup.old::<Acl>().as_deref());
        control::warn_of_shadows(&entries, setup);
        let used = if setup.in_use() || entries.len() <= SMALL { &entries[..] } else { &[] };
        let old = setup.old::<Acl>();
        let workers = setup.workers();
        let default_hits = old.as_ref().map(|old| Arc::clone(&old.default_hits)).unwrap_or_default();
        let versions = old.as_ref().map(|old| Arc::clone(&old.versions)).unwrap_or_default();
        let fragmented_packets = fragmented_packets.unwrap_or(FRAGMENTED_PACKETS);
        let sessions = sessions.map(|settings| Stateful::new(settings, fragmented_packets, setup)).transpose()?;
        let rules = Rules::new(used.to_vec(), default, fragments, interfaces.len() as u16, workers, &default_hits);
        Ok(Acl {
            default,
            fragments,
            fragmented_packets,
            no_vlan: AtomicBool::new(false),
            interfaces,
            workers,
            version: AtomicU64::new(next(&versions)),
            versions,
            current: Mutex::new(Arc::new(rules)),
            control: Mutex::default(),
            copies: Mutex::default(),
            default_hits,
            sessions,
        })
    }

    fn shard(&self, worker: u32) -> Shard {
        let follows = self.fragments == Fragments::FollowFirst;
        Shard {
            rules: Arc::clone(&self.current()),
            version: self.version.load(Ordering::Acquire),
            worker,
            scratch: Box::default(),
            first_fragments: follows.then(|| FirstFragments::new(self.fragmented_packets as usize)),
            policy: self.fragments,
            stores: self.sessions.as_ref().and_then(|sessions| sessions.take(worker, self)),
        }
    }

    fn adopt(&self, shard: &mut Shard, old: &mut Shard) {
        // Sessions have the version of the rules that permitted them, and are asked for again when their next packets come.
        if let (Some(new), Some(old)) = (&mut shard.stores, &mut old.stores) {
            std::mem::swap(new, old);
            new.take_settings(old);
        }
        if let (Some(new), Some(old)) = (&mut shard.first_fragments, &mut old.first_fragments) {
            new.adopt(old);
        }
    }

    fn sync(&self, shard: &mut Shard) {
        let version = self.version.load(Ordering::Acquire);
        // If control has the pointer just now, the next sweep will find it.
        if version != shard.version
            && let Ok(current) = self.current.try_lock()
        {
            // Not the last reference: control keeps one of each set until nobody else has one.
            shard.rules = Arc::clone(&current);
            shard.version = version;
        }
    }

    fn follow(&self, interface: u16, copy: Copied) {
        let Copied::Denials(copy) = copy else { return };
        let now = Arc::clone(&self.current());
        self.copies().push(interface, copy, &now.entries, self.parts());
    }

    fn figures(&self) -> Vec<Figure> {
        let of = |sessions: &Stateful| stateful::figures(&sessions.counts, sessions.settings.capacity);
        self.sessions.as_ref().map(of).unwrap_or_default()
    }

    fn command(&self, command: Command) -> Result<Reply, ConfigError> {
        let mut old = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        self.carry_out(command, &mut old)
    }
}
