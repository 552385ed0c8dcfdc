//! What interfaces, tables and nodes have in common: a name, a few keys that the engine reads, and
//! settings that it hands on.

use super::code::Code;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::source::{Span, Spanned};
use super::value::{Entry, Node, Value};

/// How long a name may be.
pub const MAX_NAME: usize = 63;

/// A named entry of a section, taken apart.
pub(super) struct Declared {
    pub(super) name: Spanned<String>,
    /// The keys that the engine reads.
    common: Vec<Entry>,
    /// All others.
    pub(super) settings: Value,
}

impl Declared {
    /// The name of an entry that has no keys.
    pub(super) fn name(entry: &Entry, what: &str, diagnostics: &mut Diagnostics) -> Spanned<String> {
        diagnostics.ok(check_name(&entry.key, entry.key_span, what));
        Spanned::new(entry.key.to_string(), entry.key_span)
    }

    pub(super) fn read(entry: Entry, what: &str, keys: &[&str], diagnostics: &mut Diagnostics) -> Option<Self> {
        diagnostics.ok(check_name(&entry.key, entry.key_span, what));
        let Value { span, node } = entry.value;
        let Node::Map(entries) = node else {
            let value = Value { span, node };
            let wrong = value.mismatch(Code::WrongType, "a mapping");
            let help = format!("{what} is written as `{}: {{ {}: ... }}`", entry.key, keys.first()?);
            diagnostics.push(wrong.help(help));
            return None;
        };
        let is_common = |entry: &Entry| keys.contains(&&*entry.key);
        let (common, rest) = entries.into_iter().partition(is_common);
        Some(Self {
            name: Spanned::new(entry.key.to_string(), entry.key_span),
            common,
            settings: Value { span, node: Node::Map(rest) },
        })
    }

    /// Takes the value of a key out.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        let at = self.common.iter().position(|entry| &*entry.key == key)?;
        Some(self.common.swap_remove(at).value)
    }

    /// Takes out a word that must be there.
    pub(super) fn word(&mut self, key: &str, diagnostics: &mut Diagnostics) -> Option<Spanned<String>> {
        let Some(value) = self.take(key) else {
            diagnostics.push(
                Diagnostic::error(Code::MissingKey, format!("`{}` has no `{key}`", self.name.value))
                    .primary(self.name.span, format!("`{key}` is missing"))
                    .help(format!("add `{key}: ...`")),
            );
            return None;
        };
        let word = diagnostics.ok(word(&value))?;
        Some(word)
    }
}

/// A string that is not empty.
pub(super) fn word(value: &Value) -> Result<Spanned<String>, Diagnostic> {
    match value.expect_str()? {
        "" => Err(value.mismatch(Code::BadValue, "a name")),
        text => Ok(Spanned::new(text.to_owned(), value.span)),
    }
}

/// Names become metric labels, file names and words of commands.
fn check_name(name: &str, span: Span, what: &str) -> Result<(), Diagnostic> {
    let is_first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_good = |c: char| is_first(c) || matches!(c, '-' | '_');
    let (label, help) = if name.contains('/') {
        ("has a slash", "a slash is reserved for the nodes of templates: use `-`".to_owned())
    } else if name.chars().count() > MAX_NAME {
        ("is too long", format!("a name has at most {MAX_NAME} characters"))
    } else if name.starts_with(is_first) && name.chars().all(is_good) {
        return Ok(());
    } else {
        let mended: String = name.to_lowercase().replace(|c| !is_good(c), "-");
        let mended = mended.trim_matches(['-', '_']);
        let rule = "a name is made of a to z, 0 to 9, `-` and `_`, a letter or digit first";
        let help = match mended {
            "" => rule.to_owned(),
            _ => format!("{rule}: `{mended}`"),
        };
        ("breaks the rule for names", help)
    };
    Err(Diagnostic::error(Code::BadName, format!("`{name}` cannot be the name of {what}")).primary(span, label).help(help))
}

#[cfg(test)]
mod tests {
    use super::super::source::SourceMap;
    use super::*;

    #[test]
    fn names() {
        let mut sources = SourceMap::new();
        let id = sources.add("a.yaml", "");
        let span = sources.get(id).unwrap().span(0..0);
        let check = |name: &str| check_name(name, span, "a node").map_err(|error| error.help.unwrap());
        for name in ["a", "0", "lan-rx", "ip4_input", "10g-port", &"a".repeat(63)] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        let rule = "a name is made of a to z, 0 to 9, `-` and `_`, a letter or digit first";
        for (name, mended) in [
            ("LAN rx", Some("lan-rx")),
            ("-rx", Some("rx")),
            ("eth0.100", Some("eth0-100")),
            ("größe", Some("gr--e")),
            ("", None),
            ("-", None),
        ] {
            let help = mended.map_or(rule.to_owned(), |mended| format!("{rule}: `{mended}`"));
            assert_eq!(check(name), Err(help), "{name}");
        }
        assert!(check("a/b").unwrap_err().starts_with("a slash is reserved"));
        assert!(check(&"a".repeat(64)).unwrap_err().contains("at most 63"));
    }
}
