//! From the path of a value, such as `routes[3].via`, to its place in the file.

use std::borrow::Cow;

use super::source::Span;
use super::value::{Entry, Node, Value};

/// What a path leads to: the deepest part of it that exists.
#[derive(Debug, Clone)]
pub struct Place<'a, 'p> {
    /// The value there.
    pub value: Cow<'a, Value>,
    /// The entry whose value it is, unless it stands in a list or is the value that the path starts
    /// at.
    pub entry: Option<Cow<'a, Entry>>,
    /// What is left of the path; empty if all of it exists.
    pub rest: &'p str,
}

impl<'p> Place<'_, 'p> {
    /// The place of the key, or of the value where there is no key.
    #[must_use]
    pub fn key_span(&self) -> Span {
        self.entry.as_ref().map_or(self.value.span, |entry| entry.key_span)
    }

    fn into_owned(self) -> Place<'static, 'p> {
        let Place { value, entry, rest } = self;
        Place { value: Cow::Owned(value.into_owned()), entry: entry.map(|entry| Cow::Owned(entry.into_owned())), rest }
    }
}

impl Value {
    /// Follows a path: keys joined by dots, positions in lists in brackets. A key may contain dots:
    /// where several keys fit, the longest is meant.
    #[must_use]
    pub fn locate<'a, 'p>(&'a self, path: &'p str) -> Place<'a, 'p> {
        let mut place = Place { value: Cow::Borrowed(self), entry: None, rest: if path == "." { "" } else { path } };
        while !place.rest.is_empty() {
            let next = match &place.value {
                Cow::Borrowed(value) => step(value, place.rest),
                // A line of a file, which is there for the moment.
                Cow::Owned(value) => step(value, place.rest).map(Place::into_owned),
            };
            match next {
                Some(next) => place = next,
                None => break,
            }
        }
        place
    }
}

fn step<'v, 'p>(value: &'v Value, path: &'p str) -> Option<Place<'v, 'p>> {
    if let Some(list) = value.list() {
        let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
        let row = list.get(index.parse::<usize>().ok()?)?;
        return Some(Place { value: row.value(), entry: None, rest });
    }
    let Node::Map(entries) = &value.node else { return None };
    let path = path.strip_prefix('.').unwrap_or(path);
    let fits = |entry: &&Entry| {
        let rest = path.strip_prefix(&*entry.key);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let entry = entries.iter().filter(fits).max_by_key(|entry| entry.key.len())?;
    Some(Place { value: Cow::Borrowed(&entry.value), entry: Some(Cow::Borrowed(entry)), rest: &path[entry.key.len()..] })
}
