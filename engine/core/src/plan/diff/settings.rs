//! Which settings differ, by path. Where the elements of a list have an identity they are paired by it, else by position.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::ToSchema;

use crate::spec::{Entry, Node, Value};

/// A setting that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SettingChange {
    /// Its path, such as `routes[3].via`. Positions are those of the new settings; of what was removed, those of the old ones.
    pub path: String,
    /// How it differs.
    #[serde(flatten)]
    pub what: What,
    /// The element of a list that it is, or that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<Element>,
}

/// How a setting differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// It was not there.
    Added {
        /// What it is.
        new: Json,
    },
    /// It is not there any more.
    Removed {
        /// What it was.
        old: Json,
    },
    /// It has another value.
    Changed {
        /// What it was.
        old: Json,
        /// What it is.
        new: Json,
    },
    /// The elements of the list that stay are in another order.
    Reordered,
}

/// An element of a list; of lists in lists, the outermost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Element {
    /// The path of the list.
    pub list: String,
    /// Its position there, from 0.
    pub index: usize,
    /// The key by which elements were paired, and its value; without it they were paired by themselves or by position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<(String, Json)>,
}

impl SettingChange {
    /// The change of a setting that may be missing.
    pub(super) fn of(path: &str, old: Option<Json>, new: Option<Json>) -> Option<SettingChange> {
        let what = match (old, new) {
            (old, new) if old == new => return None,
            (Some(old), Some(new)) => What::Changed { old, new },
            (Some(old), None) => What::Removed { old },
            (None, Some(new)) => What::Added { new },
            (None, None) => return None,
        };
        Some(SettingChange { path: path.into(), what, element: None })
    }
}

/// The settings that differ, in the order of the new ones.
pub(super) fn compare(old: &Value, new: &Value) -> Vec<SettingChange> {
    let mut found = Found::default();
    found.values("", old, new, None);
    found.0
}

/// The elements of a list that differ.
pub(super) fn compare_lists(path: &str, old: &[Value], new: &[Value]) -> Vec<SettingChange> {
    let mut found = Found::default();
    found.lists(path, old, new, None);
    found.0
}

#[derive(Default)]
struct Found(Vec<SettingChange>);

impl Found {
    fn push(&mut self, path: &str, what: What, element: Option<&Element>) {
        self.0.push(SettingChange { path: path.into(), what, element: element.cloned() });
    }

    fn values(&mut self, path: &str, old: &Value, new: &Value, element: Option<&Element>) {
        match (&old.node, &new.node) {
            (Node::Map(old), Node::Map(new)) => self.maps(path, old, new, element),
            (Node::Seq(old), Node::Seq(new)) => self.lists(path, old, new, element),
            _ if same(old, new) => {}
            _ => self.push(path, What::Changed { old: old.to_json(), new: new.to_json() }, element),
        }
    }

    fn maps(&mut self, path: &str, old: &[Entry], new: &[Entry], element: Option<&Element>) {
        let member = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        let after: HashSet<&str> = new.iter().map(|entry| &*entry.key).collect();
        for entry in old.iter().filter(|entry| !after.contains(&*entry.key)) {
            self.push(&member(&entry.key), What::Removed { old: entry.value.to_json() }, element);
        }
        let before = by_key(old);
        for entry in new {
            match before.get(&*entry.key) {
                Some(old) => self.values(&member(&entry.key), old, &entry.value, element),
                None => self.push(&member(&entry.key), What::Added { new: entry.value.to_json() }, element),
            }
        }
    }

    fn lists(&mut self, path: &str, old: &[Value], new: &[Value], outer: Option<&Element>) {
        if old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same(old, new)) {
            return;
        }
        let pairs = Pairs::by_identity(old, new).unwrap_or_else(|| Pairs::by_position(old, new));
        let element = |index: usize, value: &Value| {
            let key = pairs.key.and_then(|key| Some((key.to_owned(), value.get(key)?.to_json())));
            outer.cloned().unwrap_or_else(|| Element { list: path.into(), index, key })
        };
        if pairs.is_reordered() {
            self.push(path, What::Reordered, outer);
        }
        let stays: HashSet<usize> = pairs.old_of_new.iter().flatten().copied().collect();
        for (at, value) in old.iter().enumerate().filter(|(at, _)| !stays.contains(at)) {
            self.push(&format!("{path}[{at}]"), What::Removed { old: value.to_json() }, Some(&element(at, value)));
        }
        for (at, (value, before)) in new.iter().zip(&pairs.old_of_new).enumerate() {
            let path = format!("{path}[{at}]");
            match before {
                Some(before) => self.values(&path, &old[*before], value, Some(&element(at, value))),
                None => self.push(&path, What::Added { new: value.to_json() }, Some(&element(at, value))),
            }
        }
    }
}

/// Which elements of two lists belong together.
struct Pairs<'a> {
    /// For each new element the position of the old one.
    old_of_new: Vec<Option<usize>>,
    /// The key by which that was found.
    key: Option<&'a str>,
}

impl<'a> Pairs<'a> {
    /// By the key whose values are unique in each list and best known in both; by themselves, if they are no mappings.
    fn by_identity(old: &'a [Value], new: &'a [Value]) -> Option<Pairs<'a>> {
        let keys: Vec<Option<&str>> = match &old.first().or(new.first())?.node {
            Node::Map(entries) => entries.iter().map(|entry| Some(&*entry.key)).collect(),
            _ => vec![None],
        };
        let candidates = keys.into_iter().filter_map(|key| {
            let (before, after) = (identities(old, key)?, identities(new, key)?);
            let known = after.keys().filter(|identity| before.contains_key(identity)).count();
            Some((known, key, before, after))
        });
        // Of several that are known as well, the one that is written first.
        let (known, key, before, after) = candidates.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
        // Where no value has stayed, they are no identity but content.
        if known == 0 && key.is_none() {
            return None;
        }
        let mut old_of_new = vec![None; new.len()];
        after.iter().for_each(|(identity, at)| old_of_new[*at] = before.get(identity).copied());
        Some(Pairs { old_of_new, key })
    }

    /// By position, counted from the start and, behind what differs, from the end.
    fn by_position(old: &[Value], new: &[Value]) -> Pairs<'a> {
        let head = old.iter().zip(new).take_while(|(old, new)| same(old, new)).count();
        let behind = old[head..].iter().rev().zip(new[head..].iter().rev());
        let tail = behind.take_while(|(old, new)| same(old, new)).count();
        let (old_middle, new_tail) = (old.len() - tail, new.len() - tail);
        let pair =
            |at: usize| if at >= new_tail { Some(at - new_tail + old_middle) } else { Some(at).filter(|at| *at < old_middle) };
        Pairs { old_of_new: (0..new.len()).map(pair).collect(), key: None }
    }

    fn is_reordered(&self) -> bool {
        !self.old_of_new.iter().flatten().is_sorted()
    }
}

/// What tells a value from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Identity<'a> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Str(&'a str),
}

/// The identity of each element with its position. `None` if one has no identity, or the same as another.
fn identities<'a>(list: &'a [Value], key: Option<&str>) -> Option<HashMap<Identity<'a>, usize>> {
    let mut found = HashMap::with_capacity(list.len());
    for (at, element) in list.iter().enumerate() {
        let value = match key {
            Some(key) => element.get(key)?,
            None => element,
        };
        let identity = match &value.node {
            Node::Bool(value) => Identity::Bool(*value),
            Node::Int(value) => Identity::Int(*value),
            Node::Uint(value) => Identity::Uint(*value),
            Node::Str(text) => Identity::Str(text),
            _ => return None,
        };
        if found.insert(identity, at).is_some() {
            return None;
        }
    }
    Some(found)
}

/// Whether two values are the same, wherever they stand.
fn same(old: &Value, new: &Value) -> bool {
    match (&old.node, &new.node) {
        (Node::Map(old), Node::Map(new)) => same_maps(old, new),
        (Node::Seq(old), Node::Seq(new)) => old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same(old, new)),
        (old, new) => old == new,
    }
}

fn same_maps(old: &[Entry], new: &[Entry]) -> bool {
    if old.len() != new.len() {
        return false;
    }
    // In general keys stand in the same order.
    if old.iter().zip(new).all(|(old, new)| old.key == new.key) {
        return old.iter().zip(new).all(|(old, new)| same(&old.value, &new.value));
    }
    let before = by_key(old);
    new.iter().all(|entry| before.get(&*entry.key).is_some_and(|old| same(old, &entry.value)))
}

fn by_key(entries: &[Entry]) -> HashMap<&str, &Value> {
    entries.iter().map(|entry| (&*entry.key, &entry.value)).collect()
}
