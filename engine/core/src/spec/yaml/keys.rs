//! Keys of mappings: strings, each given once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Items, Open, Reader, scalar};
use crate::spec::code::Code;
use crate::spec::diagnostic::Diagnostic;
use crate::spec::source::Span;
use crate::spec::value::{Entry, Node, Value};

/// How many keys are remembered.
pub(super) const RECENT_KEYS: usize = 64;

/// A key that waits for its value.
pub(super) struct Key {
    pub(super) text: Arc<str>,
    pub(super) span: Span,
}

impl Reader<'_> {
    pub(super) fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { items: Items::Map(_, None), .. }))
    }

    pub(super) fn key(&mut self, text: &str, is_plain: bool, span: Span) {
        let is_string = !is_plain || scalar::is_string(text);
        if is_plain && text == "<<" {
            self.refuse(
                Diagnostic::error(Code::MergeKey, "merge keys are not supported")
                    .primary(span, "")
                    .help("write the keys out, or use an alias for a whole value"),
                span,
            );
        } else if !is_string {
            let (message, help) = if text.is_empty() {
                ("a key is missing".to_owned(), "write a key before the `:`".to_owned())
            } else {
                let message = format!("the key {text} is not a string");
                (message, format!("put the key in quotes: `\"{text}\"`"))
            };
            self.refuse(Diagnostic::error(Code::KeyNotString, message).primary(span, "").help(help), span);
        }
        let text = self.shared(text);
        self.set_key(text, span);
    }

    /// The text of a key; the entries of a long list have the same few keys, and share them.
    fn shared(&mut self, text: &str) -> Arc<str> {
        let first = text.bytes().next().unwrap_or_default();
        let slot = &mut self.recent_keys[(usize::from(first) + 8 * text.len()) % RECENT_KEYS];
        if &**slot != text {
            *slot = text.into();
        }
        Arc::clone(slot)
    }

    /// Reports a key, and has its entry taken out in the end.
    pub(super) fn refuse(&mut self, diagnostic: Diagnostic, key: Span) {
        self.refused.insert(key.start);
        self.diagnostics.push(diagnostic);
    }

    pub(super) fn set_key(&mut self, text: Arc<str>, span: Span) {
        if let Some(Open { items: Items::Map(_, key), .. }) = self.open.last_mut() {
            *key = Some(Key { text, span });
        }
    }

    pub(super) fn check_duplicates(&mut self, entries: &[Entry]) {
        // Nearly all mappings are small; a table costs more than it saves there.
        let is_small = entries.len() <= 8;
        let mut first: HashMap<&str, Span> = HashMap::new();
        if !is_small {
            first.reserve(entries.len());
        }
        for (index, entry) in entries.iter().enumerate() {
            let before = if is_small {
                let before = entries[..index].iter().find(|before| before.key == entry.key);
                before.map(|before| before.key_span)
            } else {
                let span = *first.entry(&entry.key).or_insert(entry.key_span);
                (span != entry.key_span).then_some(span)
            };
            if let Some(before) = before.filter(|_| !self.refused.contains(&entry.key_span.start)) {
                self.refuse(
                    Diagnostic::error(Code::DuplicateKey, format!("the key `{}` is given twice", entry.key))
                        .primary(entry.key_span, "given again")
                        .secondary(before, "first given here")
                        .help("rename or remove one of the two"),
                    entry.key_span,
                );
            }
        }
    }
}

/// Takes out the entries whose keys were refused.
pub(super) fn prune(value: &mut Value, refused: &HashSet<u32>) {
    match &mut value.node {
        Node::Seq(values) => values.iter_mut().for_each(|value| prune(value, refused)),
        Node::Map(entries) => {
            entries.retain(|entry| !refused.contains(&entry.key_span.start));
            entries.iter_mut().for_each(|entry| prune(&mut entry.value, refused));
        }
        _ => {}
    }
}
