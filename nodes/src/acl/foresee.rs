//! What would be decided for a packet, and why, in words: the same as for a real one, and no session, rule or fragment hears of it.

use std::fmt;

use swath_api::prelude::*;

use crate::sessions::{Event, FlowKey, Found, Opening, Probe, Refused, Session, Tracked};

use super::classifier::Scratch;
use super::criteria::{Key, Part};
use super::flowing::{Flowing, is_plain, probe};
use super::flows::{Flows, Ruling};
use super::rules::{Outcome, Verdict};
use super::settings::Fragments as Policy;
use super::{Acl, Shard};

/// Whoever asks, of what, when; with space to work in.
pub struct Asker<'a> {
    pub(super) shard: &'a Shard,
    pub(super) now: u64,
    pub(super) scratch: &'a mut Scratch,
}

impl<'a> Asker<'a> {
    /// Of the worker whose part of the table this is.
    pub fn new(shard: &'a Shard, now: u64, scratch: &'a mut Scratch) -> Asker<'a> {
        Asker { shard, now, scratch }
    }

    /// What is decided for a packet with this key, of these bytes from the IP header on.
    pub fn foresee<A: Flowing>(&mut self, acl: &Acl, key: &Key<A>, packet: &[u8], words: &mut Words<'_>) -> Ruling {
        let shard = self.shard;
        if shard.policy == Policy::Drop && key.part != Part::Whole {
            return Ruling::Fragment;
        }
        let stores = match (acl.is_stateful(), &shard.stores) {
            (true, None) => return Ruling::Full,
            (_, stores) => stores.as_ref().map(A::flows),
        };
        let mut first = None;
        if let Some(flows) = stores {
            let mut probe = if is_plain(key) { probe(key) } else { A::read(packet) };
            flows.of_first_fragment(key, &mut probe, self.now);
            if let Some(ruling) = self.by_session(flows, &probe, words) {
                return ruling;
            }
            first = Some((flows, probe));
        }
        let verdict = match (&shard.first_fragments, key.part) {
            (Some(seen), Part::Later) => match seen.later(key, self.now) {
                Some(verdict) => verdict,
                None => return Ruling::FirstFragmentUnknown,
            },
            _ => self.ask(key),
        };
        words.say(Why { shard, verdict });
        match (verdict.outcome, first) {
            (Outcome::Reflect, Some((flows, probe))) => self.open(flows, &probe, words),
            (outcome, _) => Ruling::Rules(outcome),
        }
    }

    /// By the session of a packet, if it has one that the rules still permit.
    fn by_session<A: Flowing>(&mut self, flows: &Flows<A>, probe: &Probe<A::Flow>, words: &mut Words<'_>) -> Option<Ruling> {
        let found = flows.sessions().find(&probe.key);
        let session = flows.sessions().get(found)?;
        let permits = self.ask(&flows.first_packet(found, session));
        if session.data() != self.shard.version as u32 && permits.outcome != Outcome::Reflect {
            words.say(format_args!(
                "its session {} ends: {}",
                session.forward().flow(),
                Why { shard: self.shard, verdict: permits }
            ));
            return None;
        }
        let ruling = match flows.sessions().would_track(found, probe.event, self.now) {
            Tracked::Pass => Ruling::Session,
            Tracked::Invalid => Ruling::Invalid,
            Tracked::Unknown => return None,
        };
        let about = if probe.event == Event::IcmpError { "about " } else { "" };
        words.say(format_args!("{about}session {} ({})", session.forward().flow(), session.state()));
        if permits.outcome == Outcome::Reflect {
            words.say(format_args!("opened by {}", Rule { shard: self.shard, verdict: permits }));
        }
        Some(ruling)
    }

    fn open<A: Flowing>(&self, flows: &Flows<A>, probe: &Probe<A::Flow>, words: &mut Words<'_>) -> Ruling {
        match flows.sessions().would_open(&Opening::symmetric(probe, 0), self.now) {
            Ok(()) => {
                words.say("a new session");
                Ruling::Session
            }
            Err(refused) => {
                words.say(refused);
                match refused {
                    Refused::SourceLimit => Ruling::SourceLimit,
                    Refused::Full => Ruling::Full,
                    Refused::NotOpening | Refused::Taken | Refused::BadRecord => Ruling::NoSession,
                }
            }
        }
    }

    fn ask<A: Flowing>(&mut self, key: &Key<A>) -> Verdict {
        let mut verdicts = [Verdict { rule: 0, outcome: Outcome::Deny }; VECTOR];
        A::rules(&self.shard.rules).decide(std::slice::from_ref(key), &mut verdicts, self.scratch, |_, _| ());
        verdicts[0]
    }
}

impl<A: Flowing> Flows<A> {
    /// What rules were asked about the first packet of a session.
    fn first_packet(&self, found: Found, session: &Session<A::Flow>) -> Key<A> {
        let origin = found.handle().and_then(|handle| self.origins.get(handle.place())).copied().unwrap_or_default();
        origin.key(session.forward())
    }
}

/// A rule as people know it: by its place in the table, from 1, and its name.
struct Rule<'a> {
    shard: &'a Shard,
    verdict: Verdict,
}

impl fmt::Display for Rule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.verdict.rule;
        write!(f, "rule {}", rule + 1)?;
        match self.shard.rules.entries.get(rule as usize).and_then(|entry| entry.rule.name.as_deref()) {
            Some(name) => write!(f, " `{name}`"),
            None => Ok(()),
        }
    }
}

/// What has decided, and how.
struct Why<'a> {
    shard: &'a Shard,
    verdict: Verdict,
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Why { shard, verdict } = *self;
        let decides = match verdict.outcome {
            Outcome::Permit => "permits it",
            Outcome::Reflect => "permits it and what answers it",
            Outcome::Deny | Outcome::DenyByDefault => "denies it",
            Outcome::Reject => "rejects it",
        };
        if shard.rules.entries.len() <= verdict.rule as usize {
            return write!(f, "no rule holds, and the default {decides}");
        }
        write!(f, "{} {decides}", Rule { shard, verdict })
    }
}
