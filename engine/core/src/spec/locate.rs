//! From the path of a value, such as `routes[3].via`, to its place in the file.

use super::source::Span;
use super::value::{Entry, Node, Value};

/// What a path leads to: the deepest part of it that exists.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The value there.
    pub value: &'a Value,
    /// The entry whose value it is, unless it stands in a list or is the value that the path starts
    /// at.
    pub entry: Option<&'a Entry>,
    /// What is left of the path; empty if all of it exists.
    pub rest: &'a str,
}

impl Place<'_> {
    /// The place of the key, or of the value where there is no key.
    #[must_use]
    pub fn key_span(&self) -> Span {
        self.entry.map_or(self.value.span, |entry| entry.key_span)
    }
}

impl Value {
    /// Follows a path: keys joined by dots, positions in lists in brackets. A key may contain dots:
    /// where several keys fit, the longest is meant.
    #[must_use]
    pub fn locate<'a>(&'a self, path: &'a str) -> Place<'a> {
        let (mut value, mut entry) = (self, None);
        let mut rest = if path == "." { "" } else { path };
        while !rest.is_empty() {
            let Some((next, next_entry, next_rest)) = step(value, rest) else {
                break;
            };
            (value, entry, rest) = (next, next_entry, next_rest);
        }
        Place { value, entry, rest }
    }
}

fn step<'a>(value: &'a Value, path: &'a str) -> Option<(&'a Value, Option<&'a Entry>, &'a str)> {
    match &value.node {
        Node::Seq(values) => {
            let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
            let value = values.get(index.parse::<usize>().ok()?)?;
            Some((value, None, rest))
        }
        Node::Map(entries) => {
            let path = path.strip_prefix('.').unwrap_or(path);
            let fits = |entry: &&Entry| {
                let rest = path.strip_prefix(&*entry.key);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            let entry = entries.iter().filter(fits).max_by_key(|entry| entry.key.len())?;
            Some((&entry.value, Some(entry), &path[entry.key.len()..]))
        }
        _ => None,
    }
}
