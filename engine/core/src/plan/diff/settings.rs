//! Which settings differ, by path. Where the elements of a list have an identity they are paired by it, else by position.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::ToSchema;

use crate::spec::{Entry, List, Node, Row, Value};

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
    found.lists(path, List::Seq(old), List::Seq(new), None);
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
            _ if same(old, new) => {}
            _ if let (Some(old), Some(new)) = (old.list(), new.list()) => self.lists(path, old, new, element),
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

    fn lists(&mut self, path: &str, old: List<'_>, new: List<'_>, outer: Option<&Element>) {
        if same_lists(old, new) {
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
        let mut stays = vec![false; old.len()];
        pairs.old_of_new.iter().flatten().for_each(|at| stays[*at] = true);
        for (at, row) in old.iter().enumerate().filter(|(at, _)| !stays[*at]) {
            let value = row.value();
            self.push(&format!("{path}[{at}]"), What::Removed { old: value.to_json() }, Some(&element(at, &value)));
        }
        for (at, (row, before)) in new.iter().zip(&pairs.old_of_new).enumerate() {
            let before = before.and_then(|before| old.get(before));
            if before.is_some_and(|before| same_rows(before, row)) {
                continue;
            }
            let (path, value) = (format!("{path}[{at}]"), row.value());
            match before {
                Some(before) => self.values(&path, &before.value(), &value, Some(&element(at, &value))),
                None => self.push(&path, What::Added { new: value.to_json() }, Some(&element(at, &value))),
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
    fn by_identity(old: List<'a>, new: List<'a>) -> Option<Pairs<'a>> {
        let keys: Vec<Option<&str>> = match old.get(0).or(new.get(0))? {
            Row::Record(record) => record.keys().map(Some).collect(),
            Row::Value(Value { node: Node::Map(entries), .. }) => entries.iter().map(|entry| Some(&*entry.key)).collect(),
            Row::Value(_) => vec![None],
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
    fn by_position(old: List<'_>, new: List<'_>) -> Pairs<'a> {
        let head = old.iter().zip(new.iter()).take_while(|(old, new)| same_rows(*old, *new)).count();
        let behind = old.iter().rev().zip(new.iter().rev()).take(old.len().min(new.len()) - head);
        let tail = behind.take_while(|(old, new)| same_rows(*old, *new)).count();
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

impl<'a> Identity<'a> {
    /// That of an element by a key, or by itself.
    fn of(row: Row<'a>, key: Option<&str>) -> Option<Identity<'a>> {
        match row {
            Row::Value(value) => {
                let node = &key.map_or(Some(value), |key| value.get(key))?.node;
                let text = if let Node::Str(text) = node { text } else { "" };
                Identity::new(node, text)
            }
            Row::Record(record) => {
                let (text, node) = record.get(key?)?;
                Identity::new(&node, text)
            }
        }
    }

    fn new(node: &Node, text: &'a str) -> Option<Identity<'a>> {
        match node {
            Node::Bool(value) => Some(Identity::Bool(*value)),
            Node::Int(value) => Some(Identity::Int(*value)),
            Node::Uint(value) => Some(Identity::Uint(*value)),
            Node::Str(_) => Some(Identity::Str(text)),
            _ => None,
        }
    }
}

/// The identity of each element with its position. `None` if one has no identity, or the same as another.
fn identities<'a>(list: List<'a>, key: Option<&str>) -> Option<HashMap<Identity<'a>, usize>> {
    let mut found = HashMap::with_capacity(list.len());
    for (at, element) in list.iter().enumerate() {
        if found.insert(Identity::of(element, key)?, at).is_some() {
            return None;
        }
    }
    Some(found)
}

/// Whether two values are the same, wherever they stand.
fn same(old: &Value, new: &Value) -> bool {
    match (&old.node, &new.node) {
        (Node::Map(old), Node::Map(new)) => same_maps(old, new),
        _ if let (Some(old), Some(new)) = (old.list(), new.list()) => same_lists(old, new),
        (old, new) => old == new,
    }
}

fn same_lists(old: List<'_>, new: List<'_>) -> bool {
    old.len() == new.len() && old.iter().zip(new.iter()).all(|(old, new)| same_rows(old, new))
}

fn same_rows(old: Row<'_>, new: Row<'_>) -> bool {
    match (old, new) {
        (Row::Record(old), Row::Record(new)) if old.is_copy_of(new) => true,
        _ => same(&old.value(), &new.value()),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spec::rows_tests::{expanded, settings};

    proptest! {
        /// Of the same lists the same is told, in whichever form they are.
        #[test]
        fn files_of_data_differ_as_lists_do((_, old) in settings(), (_, new) in settings()) {
            let (old_values, new_values) = (expanded(&old), expanded(&new));
            let told = compare(&old_values, &new_values);
            prop_assert_eq!(&compare(&old, &new), &told);
            prop_assert_eq!(&compare(&old_values, &new), &told);
            prop_assert_eq!(&compare(&old, &new_values), &told);
            prop_assert_eq!(compare(&old, &old_values), []);
            prop_assert_eq!(same(&old, &new), told.is_empty());
        }
    }
}
