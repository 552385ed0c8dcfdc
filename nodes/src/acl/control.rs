//! What the control side may ask of a table of rules.

use std::sync::Arc;

use hashbrown::HashMap;
use swath_api::prelude::*;

use super::rules::Entry;
use super::settings::{Action, Rule};
use super::shadow::shadows;
use super::stateful::Shown;
use super::{Acl, MOST_RULES, Old, entries, retire};

/// Warnings about single rules of a table, at most.
const MOST_WARNINGS: usize = 20;

/// What the control side may ask. Changes take effect at once for all packets that come in after it, while workers go on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Adds a rule.
    Add {
        /// The place that it gets, from 0. Default: the last one.
        #[serde(default)]
        at: Option<usize>,
        /// The rule.
        rule: Box<Rule>,
    },
    /// Removes a rule.
    Remove(Which),
    /// Puts other rules in the place of all. One that has the name of an old one goes on with its counter.
    Replace {
        /// The rules.
        rules: Vec<Rule>,
    },
    /// Says how large the table is.
    Show {},
    /// Says what was counted.
    Hits {},
}

/// A rule of the table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Which {
    /// By its name.
    Name(String),
    /// By its place, from 0.
    At(usize),
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Done.
    Done {},
    /// Sizes.
    #[serde(rename_all = "kebab-case")]
    Table {
        /// Rules.
        rules: usize,
        /// Bytes of the compiled rules.
        memory: usize,
        /// TSC cycles that compiling them took.
        compile_cycles: u64,
        /// Sets of rules before these that workers still have.
        old: usize,
    },
    /// Sessions.
    Sessions {
        /// How many there are of what was asked for.
        found: u64,
        /// Those, as many as were asked for.
        sessions: Vec<Shown>,
    },
    /// How many sessions were ended.
    Ended {
        /// Sessions.
        sessions: u64,
    },
    /// What was counted.
    Hits {
        /// By rule, in their order.
        rules: Vec<Counted>,
        /// Packets for which no rule held.
        default: u64,
    },
}

/// What a rule has counted.
#[derive(Debug, Serialize)]
pub struct Counted {
    /// Packets that it has decided, or only counted.
    packets: u64,
    /// The rule.
    rule: Rule,
}

impl Acl {
    pub(super) fn carry_out(&self, command: Command, old: &mut Old) -> Result<Reply, ConfigError> {
        // Only control, which is here, replaces them.
        let now = Arc::clone(&self.current());
        let mut rules = now.entries.clone();
        match command {
            Command::Add { at, rule } => {
                let at = at.unwrap_or(rules.len());
                if at > rules.len() {
                    return Err(ConfigError::at(
                        "at",
                        format!("there are {} rules, so a new one gets place 0 to {0}", rules.len()),
                    ));
                }
                if rules.len() == MOST_RULES {
                    return Err(ConfigError::new(format!("the table has {MOST_RULES} rules, and takes no more")));
                }
                if rule.name.is_some() && rules.iter().any(|entry| entry.rule.name == rule.name) {
                    return Err(ConfigError::at("rule.name", "there is a rule of this name"));
                }
                let parsed = rule.parse(&self.interfaces).map_err(|error| error.inside("rule"))?;
                self.check_vlan([&parsed]).map_err(|error| error.inside("rule"))?;
                self.check_action(&rule).map_err(|error| error.inside("rule"))?;
                rules.insert(at, Arc::new(Entry::new(*rule, parsed)));
            }
            Command::Remove(which) => {
                let at = match &which {
                    Which::Name(name) => rules.iter().position(|entry| entry.rule.name.as_ref() == Some(name)),
                    Which::At(at) => Some(*at).filter(|at| *at < rules.len()),
                };
                rules.remove(at.ok_or_else(|| ConfigError::new("there is no such rule"))?);
            }
            Command::Replace { rules: new } => {
                let named: HashMap<&str, &Arc<Entry>> =
                    now.entries.iter().filter_map(|old| old.rule.name.as_deref().map(|name| (name, old))).collect();
                rules = entries(new, &self.interfaces)?;
                self.check_vlan(rules.iter().map(|entry| &entry.parsed))?;
                for (index, entry) in rules.iter().enumerate() {
                    self.check_action(&entry.rule).map_err(|error| error.inside(&format!("rules[{index}]")))?;
                }
                for entry in &mut rules {
                    if let Some(old) = entry.rule.name.as_deref().and_then(|name| named.get(name)) {
                        *entry = Arc::new(old.with(entry));
                    }
                }
            }
            Command::Show {} => {
                drop(now);
                retire(old);
                let now = self.current();
                let compile_cycles = now.compile_cycles;
                return Ok(Reply::Table { rules: now.entries.len(), memory: now.memory(), compile_cycles, old: old.len() });
            }
            Command::Hits {} => return Ok(self.hits(old)),
        }
        drop(now);
        self.publish(old, rules);
        Ok(Reply::Done {})
    }

    fn check_action(&self, rule: &Rule) -> Result<(), ConfigError> {
        if rule.action == Action::PermitReflect && !self.is_stateful() {
            return Err(ConfigError::at("action", "the table keeps no sessions: give it `sessions: {}`"));
        }
        Ok(())
    }

    fn hits(&self, old: &mut Old) -> Reply {
        self.copies().settle();
        retire(old);
        let now = Arc::clone(&self.current());
        let mut counted = now.counted();
        // Workers may still count in sets before this one.
        let places: HashMap<_, usize> = now.entries.iter().map(|entry| entry.counter()).zip(0..).collect();
        for old in old.iter() {
            let rules = old.entries.iter().map(|entry| places.get(&entry.counter()).copied());
            for (rule, place) in rules.chain([Some(now.entries.len())]).enumerate() {
                if let Some(counted) = place.and_then(|place| counted.get_mut(place)) {
                    *counted += old.own(rule);
                }
            }
        }
        let default = counted.pop().unwrap_or(0);
        let rules = counted.iter().zip(&now.entries);
        Reply::Hits {
            rules: rules.map(|(packets, entry)| Counted { packets: *packets, rule: entry.rule.clone() }).collect(),
            default,
        }
    }
}

/// Warns of rules that can never decide.
pub(super) fn warn_of_shadows(entries: &[Arc<Entry>], setup: &mut TableSetup<'_>) {
    let counts: Vec<bool> = entries.iter().map(|entry| entry.rule.action == Action::Count).collect();
    let ip4: Vec<_> = entries.iter().map(|entry| entry.parsed.ip4).collect();
    let ip6: Vec<_> = entries.iter().map(|entry| entry.parsed.ip6).collect();
    let (Some(by4), Some(by6)) = (shadows(&ip4, &counts), shadows(&ip6, &counts)) else {
        setup.warn("rules", "there are too many rules with the same addresses to see which of them can never decide");
        return;
    };
    let mut unreachable = 0;
    for (index, entry) in entries.iter().enumerate() {
        let shadow4 = by4[index].filter(|_| entry.parsed.ip4.is_some());
        let shadow6 = by6[index].filter(|_| entry.parsed.ip6.is_some());
        let others = match (entry.parsed.ip4.is_some(), entry.parsed.ip6.is_some()) {
            (true, true) => shadow4.zip(shadow6),
            (true, false) => shadow4.map(|rule| (rule, rule)),
            _ => shadow6.map(|rule| (rule, rule)),
        };
        let Some((first, second)) = others else { continue };
        unreachable += 1;
        if unreachable > MOST_WARNINGS {
            continue;
        }
        let name = |rule: u32| match &entries[rule as usize].rule.name {
            Some(name) => format!("`{name}` (`rules[{rule}]`)"),
            None => format!("`rules[{rule}]`"),
        };
        let both = if first == second { name(first) } else { format!("{} and {}", name(first), name(second)) };
        let path = format!("rules[{index}]");
        setup.warn(&path, &format!("this rule can never decide: {both} before it holds for all of its packets"));
    }
    if unreachable > MOST_WARNINGS {
        setup.warn("rules", &format!("{} more rules can never decide", unreachable - MOST_WARNINGS));
    }
}
