//! From values to types, and from the errors of serde, nodes and plugins back to places.
//!
//! Settings travel as JSON: a node or plugin gets bytes and answers with a path and a message. A type
//! of the engine's own goes the same way, so that both are told alike.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::code::Code;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::locate::Place;
use super::suggest::suggestion;
use super::value::{Node, Value};

/// How many mistakes [`deserialize_all`] looks for.
const MAX_ROUNDS: usize = 32;

/// Reads a value as a type.
///
/// # Errors
/// The first mistake in it.
pub fn deserialize<T: DeserializeOwned>(value: &Value) -> Result<T, Diagnostic> {
    let json = value.to_json_bytes();
    let mut reader = serde_json::Deserializer::from_slice(&json);
    serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| Diagnostic::at_path(value, &error.path().to_string(), &error.inner().to_string()))
}

/// Reads a mapping as a type and reports all mistakes: a key with a mistake is reported, left out,
/// and the rest read again. Returns what the rest says, if it says enough.
pub fn deserialize_all<T: DeserializeOwned>(mut value: Value, diagnostics: &mut Diagnostics) -> Option<T> {
    let mut left_out: Vec<Arc<str>> = Vec::new();
    for _ in 0..MAX_ROUNDS {
        let mistake = match deserialize(&value) {
            Ok(typed) => return Some(typed),
            Err(mistake) => mistake,
        };
        let is_ours = mistake.code == Code::MissingKey && left_out.iter().any(|key| mistake.message == missing(key));
        if is_ours {
            return None;
        }
        let (span, mut culprit) = (mistake.span()?, None);
        diagnostics.push(mistake);
        if let Node::Map(entries) = &mut value.node {
            culprit = entries
                .iter()
                .position(|entry| entry.key_span.start <= span.start && span.end <= entry.value.span.end)
                .map(|index| entries.remove(index).key);
        }
        left_out.push(culprit?);
    }
    None
}

impl Diagnostic {
    /// The diagnostic for a message about the value at a path, as serde, a node or a plugin gives it.
    /// The well-known messages of serde are told in the words of graph files, with a suggestion.
    #[must_use]
    pub fn at_path(value: &Value, path: &str, message: &str) -> Self {
        let message = without_position(message);
        let place = value.locate(path);
        if let Some((name, known)) = split(message, "unknown field `") {
            return unknown_key(&place, name, &quoted(known));
        }
        if let Some((name, known)) = split(message, "unknown variant `") {
            return unknown_word(&place, name, &quoted(known));
        }
        if let Some((name, _)) = split(message, "missing field `") {
            return Diagnostic::error(Code::MissingKey, missing(name))
                .primary(place.key_span(), format!("`{name}` is missing"))
                .help(format!("add `{name}: ...`"));
        }
        for (prefix, code) in
            [("invalid type: ", Code::WrongType), ("invalid value: ", Code::BadValue), ("invalid length ", Code::BadValue)]
        {
            let rest = message.strip_prefix(prefix);
            if let Some((found, expected)) = rest.and_then(|rest| rest.split_once(", expected ")) {
                return mismatch(&place, code, found, &in_words(expected));
            }
        }
        // What serde_json says where an enum is expected.
        if message == "expected value" {
            return place.value.wrong_type("a word or a mapping");
        }
        let message = match place.rest.trim_start_matches('.') {
            "" => message.to_owned(),
            rest => format!("`{rest}`: {message}"),
        };
        Diagnostic::error(Code::Setting, message).primary(place.value.span, "")
    }

    /// The diagnostic for a key that is not one of the known ones.
    #[must_use]
    pub(super) fn unknown_key(key: &str, span: super::Span, known: &[&str]) -> Self {
        let diagnostic = Diagnostic::error(Code::UnknownKey, format!("unknown key `{key}`")).primary(span, "not known here");
        match suggestion(key, "known keys", known) {
            Some(help) => diagnostic.help(help),
            None => diagnostic.help("no keys are known here: remove it"),
        }
    }
}

fn missing(key: &str) -> String {
    format!("the key `{key}` is missing")
}

fn unknown_key(place: &Place<'_, '_>, name: &str, known: &[&str]) -> Diagnostic {
    let span = match place.value.entry(name) {
        Some(entry) => entry.key_span,
        None => place.key_span(),
    };
    Diagnostic::unknown_key(name, span, known)
}

fn unknown_word(place: &Place<'_, '_>, name: &str, known: &[&str]) -> Diagnostic {
    let diagnostic =
        Diagnostic::error(Code::BadValue, format!("unknown word `{name}`")).primary(place.value.span, "not known here");
    match suggestion(name, "known words", known) {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

fn mismatch(place: &Place<'_, '_>, code: Code, found: &str, expected: &str) -> Diagnostic {
    let found = found_in_words(found);
    // Behind untagged and tagged enums, serde knows less of the path than of the value.
    if place.rest.is_empty() && found == place.value.to_string() {
        return match code {
            Code::WrongType => place.value.wrong_type(expected),
            _ => place.value.mismatch(code, expected),
        };
    }
    Diagnostic::error(code, format!("expected {expected}, found {found}")).primary(place.value.span, format!("expected {expected}"))
}

/// `PREFIX` NAME `` ` `` REST.
fn split<'a>(message: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    message.strip_prefix(prefix)?.split_once('`')
}

/// All that stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// A message without the place in the JSON text, which nobody has seen.
fn without_position(message: &str) -> &str {
    let Some((before, place)) = message.rsplit_once(" at line ") else {
        return message;
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match place.split_once(" column ") {
        Some((line, column)) if is_number(line) && is_number(column) => before,
        _ => message,
    }
}

/// What serde says it found, in the words of [`Value`]'s display.
fn found_in_words(found: &str) -> String {
    match found {
        "map" => "a mapping".to_owned(),
        "sequence" => "a list".to_owned(),
        "null" | "unit value" | "Option value" => "nothing".to_owned(),
        _ if found.bytes().all(|b| b.is_ascii_digit()) => format!("length {found}"),
        _ => found.replace("floating point", "number").replace('`', ""),
    }
}

/// What serde says it expected, in the words of graph files.
fn in_words(expected: &str) -> String {
    let words = match expected {
        "i8" => "an integer from -128 to 127",
        "u8" => "an integer from 0 to 255",
        "i16" => "an integer from -32768 to 32767",
        "u16" => "an integer from 0 to 65535",
        "i32" => "an integer from -2147483648 to 2147483647",
        "u32" => "an integer from 0 to 4294967295",
        "u64" | "usize" | "u128" => "an integer, 0 or more",
        "i64" | "isize" | "i128" => "an integer",
        "f32" | "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a borrowed string" => "a string",
        "a sequence" => "a list",
        "a map" => "a mapping",
        "path string" => "a path",
        "string or map" => "a word or a mapping",
        _ => match expected.split_once(' ') {
            Some(("struct", _)) => "a mapping",
            Some(("tuple", _)) => "a list",
            Some(("a", rest)) if rest.starts_with("tuple of size ") => {
                return expected.replace("a tuple of size", "a list of length");
            }
            Some(("enum", _)) => "a word or a mapping",
            Some(("a", rest)) if rest.starts_with("nonzero ") => "an integer other than 0",
            _ => expected,
        },
    };
    words.to_owned()
}

#[cfg(test)]
mod tests;
