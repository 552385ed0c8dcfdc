//! The search for all mistakes in settings. A kind tells the first that it meets: so what that is about is taken out of a copy of the
//! settings, and the kind is asked again.

use std::sync::Arc;

use swath_api::ConfigError;

use super::references::Reference;
use super::required::required;
use crate::spec::{Node, Span, Value, did_you_mean};

/// Settings from which the mistakes that were found are taken out.
pub(super) struct Search {
    settings: Value,
    json: Vec<u8>,
    removed: Vec<Removed>,
    /// A setting is gone that others may hang on: what these mean is not judged any more.
    unsure: bool,
}

/// What was taken out.
struct Removed {
    span: Span,
    key: Option<Arc<str>>,
    /// It was no key of the kind; one near to it may have been meant.
    unknown: bool,
}

impl Removed {
    fn may_be(&self, key: &str) -> bool {
        let name = self.key.as_deref();
        name == Some(key) || self.unknown && name.is_some_and(|name| did_you_mean(name, [key]).is_some())
    }
}

impl Search {
    pub(super) fn new(settings: &Value) -> Search {
        Search { settings: settings.clone(), json: settings.to_json_bytes(), removed: Vec::new(), unsure: false }
    }

    /// What is left, to be looked at.
    pub(super) fn json(&self) -> &[u8] {
        &self.json
    }

    pub(super) fn settings(&self) -> &Value {
        &self.settings
    }

    /// Whether a mistake, in the form of the settings or in what they mean, may only be there because something was taken out.
    pub(super) fn follows(&self, mistake: &ConfigError, of_form: bool) -> bool {
        let place = self.settings.locate(mistake.path());
        let inside = || self.removed.iter().filter(|removed| place.value.span.covers(removed.span));
        if named(mistake, "unknown field `").is_some() || Reference::read(mistake.message()).is_some_and(|it| it.is_of_name()) {
            return false;
        }
        let absent = named(mistake, "missing field `").unwrap_or_else(|| {
            let rest = place.rest.trim_start_matches('.');
            rest.split(['.', '[']).next().unwrap_or_default()
        });
        if inside().any(|removed| removed.may_be(absent)) {
            return true;
        }
        if named(mistake, "missing field `").is_some() {
            return false;
        }
        inside().any(|removed| !removed.unknown) || !of_form && self.unsure
    }

    /// The other keys that are missing where one is, of which serde tells the first.
    pub(super) fn missing_beside(&self, mistake: &ConfigError, schema: &dyn Fn() -> String) -> Vec<ConfigError> {
        let Some(told) = named(mistake, "missing field `") else { return Vec::new() };
        let place = self.settings.locate(mistake.path());
        let schema = serde_json::from_str(&schema()).unwrap_or_default();
        let missing = required(&schema, mistake.path()).into_iter().filter(|key| *key != told && place.value.get(key).is_none());
        let missing = missing.map(|key| ConfigError::at(mistake.path(), format!("missing field `{key}`")));
        missing.filter(|missing| !self.follows(missing, true)).collect()
    }

    /// Takes out what a mistake is about. `false` if that is all of the settings.
    pub(super) fn remove(&mut self, mistake: &ConfigError) -> bool {
        let path = mistake.path();
        let place = self.settings.locate(path);
        let unknown = named(mistake, "unknown field `");
        let entry = unknown.and_then(|name| place.value.entry(name)).or(place.entry.as_deref());
        let span = entry.map_or(place.value.span, |entry| entry.key_span);
        let key = entry.map(|entry| entry.key.clone());
        // Elements of a list that are mappings do not hang on each other; what hangs on another setting nobody knows.
        let element = path.find(']').map(|end| self.settings.locate(&path[..=end]));
        let alone = element.is_some_and(|element| element.rest.is_empty() && matches!(element.value.node, Node::Map(_)));
        let known = mistake.message().split('`').skip(3).step_by(2);
        let is_stranger = unknown.is_some_and(|key| did_you_mean(key, known).is_none());
        self.unsure |= !alone && !is_stranger;
        if span == self.settings.span || !take_out(&mut self.settings, span) {
            return false;
        }
        self.removed.push(Removed { span, key, unknown: unknown.is_some() });
        self.json = self.settings.to_json_bytes();
        true
    }
}

/// The name in a message that begins so.
fn named<'a>(mistake: &'a ConfigError, beginning: &str) -> Option<&'a str> {
    mistake.message().strip_prefix(beginning)?.split('`').next()
}

/// Removes the entry whose key stands at a place, or the element of a list that does.
fn take_out(value: &mut Value, span: Span) -> bool {
    match &mut value.node {
        Node::Map(entries) => match entries.iter().position(|entry| entry.key_span == span) {
            Some(at) => {
                entries.remove(at);
                true
            }
            None => entries.iter_mut().any(|entry| take_out(&mut entry.value, span)),
        },
        Node::Seq(values) => match values.iter().position(|value| value.span == span) {
            Some(at) => {
                values.remove(at);
                true
            }
            None => values.iter_mut().any(|value| take_out(value, span)),
        },
        Node::Rows(rows) => {
            let Some((at, row)) = rows.position(span).and_then(|at| Some((at, rows.get(at)?))) else { return false };
            let mut row = row.value().into_owned();
            if row.span == span {
                rows.replace(at, None);
                return true;
            }
            let taken = take_out(&mut row, span);
            rows.replace(at, Some(row));
            taken
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spec::rows_tests::{expanded, settings};

    /// The places of all entries and elements.
    fn places(value: &Value, found: &mut Vec<Span>) {
        match &value.node {
            Node::Seq(values) => values.iter().for_each(|value| {
                found.push(value.span);
                places(value, found);
            }),
            Node::Map(entries) => entries.iter().for_each(|entry| {
                found.push(entry.key_span);
                places(&entry.value, found);
            }),
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_out_of_lines_is_gone((_, mut rows) in settings(), picks in prop::collection::vec(any::<prop::sample::Index>(), 1..6)) {
            let mut values = expanded(&rows);
            for pick in picks {
                let mut all = Vec::new();
                places(&values, &mut all);
                if all.is_empty() {
                    break;
                }
                let span = *pick.get(&all);
                prop_assert_eq!(take_out(&mut rows, span), take_out(&mut values, span));
                prop_assert_eq!(&expanded(&rows), &values);
                prop_assert!(!take_out(&mut rows, values.span));
            }
        }
    }
}
