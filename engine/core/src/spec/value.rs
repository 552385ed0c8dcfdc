//! The tree that a file is read into: values with their places.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use compact_str::CompactString;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::rows::{List, Rows};
use super::source::Span;

/// A value and where it stands. A copy made by an alias keeps the place of its anchor.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// The text of the value.
    pub span: Span,
    /// What it is.
    pub node: Node,
}

/// What a value is, by the core schema of YAML 1.2.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Nothing: `null`, `~`, or no text at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer above the range of [`Node::Int`], and only such a one.
    Uint(u64),
    /// A number with a fraction or an exponent; finite.
    Float(f64),
    /// A string; of a short one nothing is allocated.
    Str(CompactString),
    /// A list.
    Seq(Vec<Value>),
    /// A list, too, of which parts stand in files of data. Graphs are read without any; settings get theirs in the end.
    Rows(Rows),
    /// A mapping in the order of the file; no key stands twice.
    Map(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key; entries that come from one list may share it.
    pub key: Arc<str>,
    /// Where the key stands.
    pub key_span: Span,
    /// Its value.
    pub value: Value,
}

impl Value {
    /// The value of a key, if this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The key and value of a key, if this is a mapping that has it.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.node {
            Node::Map(entries) => entries.iter().find(|entry| &*entry.key == key),
            _ => None,
        }
    }

    /// Takes a key with its value out of a mapping.
    pub fn remove(&mut self, key: &str) -> Option<Entry> {
        match &mut self.node {
            Node::Map(entries) => {
                let at = entries.iter().position(|entry| &*entry.key == key)?;
                Some(entries.remove(at))
            }
            _ => None,
        }
    }

    /// The list, if it is one.
    #[must_use]
    pub fn list(&self) -> Option<List<'_>> {
        match &self.node {
            Node::Seq(values) => Some(List::Seq(values)),
            Node::Rows(rows) => Some(List::Rows(rows)),
            _ => None,
        }
    }

    /// Whether this text is one of the values in it.
    #[must_use]
    pub fn says(&self, word: &str) -> bool {
        match &self.node {
            Node::Str(text) => text == word,
            Node::Seq(values) => values.iter().any(|value| value.says(word)),
            Node::Rows(rows) => rows.says(word),
            Node::Map(entries) => entries.iter().any(|entry| entry.value.says(word)),
            _ => false,
        }
    }

    /// How many values it consists of, itself included.
    #[must_use]
    pub fn count(&self) -> usize {
        1 + match &self.node {
            Node::Seq(values) => values.iter().map(Value::count).sum(),
            Node::Rows(rows) => List::Rows(rows).iter().map(|row| row.value().count()).sum(),
            Node::Map(entries) => entries.iter().map(|entry| entry.value.count()).sum(),
            _ => 0,
        }
    }

    /// The value as a tree of JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The value as the text of JSON, with keys in the order of the file.
    #[must_use]
    pub fn to_json_bytes(&self) -> Vec<u8> {
        // Keys are strings and floats are finite, so there is nothing that JSON cannot say.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The string.
    ///
    /// # Errors
    /// It is another type.
    pub fn expect_str(&self) -> Result<&str, Diagnostic> {
        match &self.node {
            Node::Str(text) => Ok(text),
            _ => Err(self.wrong_type("a string")),
        }
    }

    /// The boolean.
    ///
    /// # Errors
    /// It is another type.
    pub fn expect_bool(&self) -> Result<bool, Diagnostic> {
        match self.node {
            Node::Bool(value) => Ok(value),
            _ => Err(self.wrong_type("`true` or `false`")),
        }
    }

    /// The integer, which must lie in a range.
    ///
    /// # Errors
    /// It is another type, or out of the range.
    pub fn expect_integer(&self, low: u64, high: u64) -> Result<u64, Diagnostic> {
        let expected = format!("an integer from {low} to {high}");
        let value = match self.node {
            Node::Int(value) => u64::try_from(value).ok(),
            Node::Uint(value) => Some(value),
            _ => return Err(self.wrong_type(&expected)),
        };
        match value {
            Some(value) if (low..=high).contains(&value) => Ok(value),
            _ => Err(self.mismatch(Code::BadValue, &expected)),
        }
    }

    /// The values of the list.
    ///
    /// # Errors
    /// It is another type.
    pub fn expect_seq(&self) -> Result<Cow<'_, [Value]>, Diagnostic> {
        match &self.node {
            Node::Seq(values) => Ok(Cow::Borrowed(values)),
            Node::Rows(rows) => Ok(List::Rows(rows).iter().map(|row| row.value().into_owned()).collect()),
            _ => Err(self.wrong_type("a list")),
        }
    }

    /// The entries of the mapping.
    ///
    /// # Errors
    /// It is another type.
    pub fn expect_map(&self) -> Result<&[Entry], Diagnostic> {
        match &self.node {
            Node::Map(entries) => Ok(entries),
            _ => Err(self.wrong_type("a mapping")),
        }
    }

    /// The diagnostic for a value of another type than the expected one.
    #[must_use]
    pub fn wrong_type(&self, expected: &str) -> Diagnostic {
        let diagnostic = self.mismatch(Code::WrongType, expected);
        match (&self.node, expected) {
            (Node::Str(word), "`true` or `false`") => match word.to_lowercase().as_str() {
                "yes" | "y" | "on" | "true" => diagnostic.help("write `true`"),
                "no" | "n" | "off" | "false" => diagnostic.help("write `false`"),
                _ => diagnostic,
            },
            (Node::Bool(_) | Node::Int(_) | Node::Uint(_) | Node::Float(_), "a string") => {
                diagnostic.help("put the value in quotes to make it a string")
            }
            (Node::Str(text), _) if expected.starts_with("an integer") && is_integer(text) => {
                diagnostic.help("remove the quotes to make it an integer")
            }
            (Node::Null, _) => diagnostic.help("a key without a value means `null`: add the value"),
            (Node::Map(_) | Node::Seq(_) | Node::Rows(_), "a list" | "a mapping") => diagnostic,
            (_, "a list") => diagnostic.help("write `[value]` for a list with one value"),
            _ => diagnostic,
        }
    }

    /// The diagnostic for a value that is not what was expected; it shows the value.
    #[must_use]
    pub fn mismatch(&self, code: Code, expected: &str) -> Diagnostic {
        Diagnostic::error(code, format!("expected {expected}, found {self}")).primary(self.span, format!("expected {expected}"))
    }
}

fn is_integer(text: &str) -> bool {
    text.parse::<i64>().is_ok()
}

/// The value as messages show it: `string "eth0"`, `integer 5`, `a list`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 40;
        match &self.node {
            Node::Null => f.write_str("nothing"),
            Node::Bool(value) => write!(f, "boolean {value}"),
            Node::Int(value) => write!(f, "integer {value}"),
            Node::Uint(value) => write!(f, "integer {value}"),
            Node::Float(value) => write!(f, "number {value:?}"),
            Node::Str(text) => match text.char_indices().nth(SHOWN) {
                None => write!(f, "string {text:?}"),
                Some((end, _)) => write!(f, "string {:?}...", &text[..end]),
            },
            Node::Seq(_) | Node::Rows(_) => f.write_str("a list"),
            Node::Map(_) => f.write_str("a mapping"),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.node.serialize(serializer)
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Node::Null => serializer.serialize_unit(),
            Node::Bool(value) => serializer.serialize_bool(*value),
            Node::Int(value) => serializer.serialize_i64(*value),
            Node::Uint(value) => serializer.serialize_u64(*value),
            Node::Float(value) => serializer.serialize_f64(*value),
            Node::Str(text) => serializer.serialize_str(text),
            Node::Seq(values) => serializer.collect_seq(values),
            Node::Rows(rows) => serializer.collect_seq(List::Rows(rows).iter()),
            Node::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for entry in entries {
                    map.serialize_entry(&*entry.key, &entry.value)?;
                }
                map.end()
            }
        }
    }
}
