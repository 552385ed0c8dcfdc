//! `${NAME}` in strings: environment variables, and inside of a template its parameters.
//!
//! Names tell which is meant: variables are upper case, parameters lower case. A reference is
//! replaced after the text was read, so that no value can change the structure of a file. A string
//! that is nothing but one reference becomes what the value is (a number, say), quoted or not:
//! inside of `{ }` YAML wants the quotes. A reference within a text is put in as text. `$${` is a
//! literal `${`.

use super::code::Code;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::source::{SourceMap, Span};
use super::suggest::suggestion;
use super::value::{Node, Value};
use super::world::World;
use super::yaml;

/// Where references are looked up.
pub(super) struct Scope<'a> {
    pub(super) world: &'a dyn World,
    pub(super) sources: &'a SourceMap,
    /// The arguments of the template around, by parameter.
    pub(super) arguments: Option<&'a [(String, Value)]>,
}

/// A reference: the name, and what holds if it is not set or empty.
struct Reference<'a> {
    name: &'a str,
    default: Option<&'a str>,
}

/// What a reference stands for.
enum Found<'a> {
    Text(String),
    Argument(&'a Value),
    /// What is wrong with it has been said.
    Nothing,
}

impl Scope<'_> {
    /// Replaces all references in a value.
    pub(super) fn substitute(&self, value: &mut Value, diagnostics: &mut Diagnostics) {
        match &mut value.node {
            Node::Seq(values) => values.iter_mut().for_each(|value| self.substitute(value, diagnostics)),
            Node::Map(entries) => entries.iter_mut().for_each(|entry| self.substitute(&mut entry.value, diagnostics)),
            Node::Str(text) if text.contains("${") => match self.replace(text, value.span, diagnostics) {
                Ok(Value { span, node }) => *value = Value { span, node },
                Err(mistake) => {
                    diagnostics.push(*mistake);
                    value.node = Node::Null;
                }
            },
            _ => {}
        }
    }

    /// The value of a string with references.
    fn replace(&self, text: &str, span: Span, diagnostics: &mut Diagnostics) -> Result<Value, Box<Diagnostic>> {
        let (mut result, mut rest) = (String::new(), text);
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                result.push_str(&rest[..at]);
                result.push('{');
                rest = &rest[at + 2..];
                continue;
            }
            let (reference, behind) = self.parse(&rest[at..], span)?;
            let written = &rest[at..rest.len() - behind.len()];
            let place = self.inside(span, written);
            let found = self.look_up(&reference, written, place, diagnostics);
            if written.len() == text.len() {
                return Ok(match found {
                    Found::Text(text) => Value { span, node: resolve(&text) },
                    Found::Argument(value) => value.clone(),
                    Found::Nothing => Value { span, node: Node::Null },
                });
            }
            result.push_str(&rest[..at]);
            match found {
                Found::Text(text) => result.push_str(&text),
                Found::Argument(value) => result.push_str(&as_text(value, &reference, place)?),
                Found::Nothing => {}
            }
            rest = behind;
        }
        result.push_str(rest);
        Ok(Value { span, node: Node::Str(result.into()) })
    }

    /// Reads a reference, and returns what stands behind it.
    fn parse<'t>(&self, text: &'t str, span: Span) -> Result<(Reference<'t>, &'t str), Box<Diagnostic>> {
        let wrong = |written: &str, message: &str| {
            let place = self.inside(span, written);
            Box::new(
                Diagnostic::error(Code::Substitution, format!("`{written}` is not a reference: {message}"))
                    .primary(place, "")
                    .help("write `${NAME}` or `${NAME:-default}`, and `$${` for the characters `${` themselves"),
            )
        };
        let Some((inside, behind)) = text[2..].split_once('}') else {
            return Err(wrong(text, "it has no `}`"));
        };
        let written = &text[..text.len() - behind.len()];
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit() || c == '-') || !name.chars().all(is_name) {
            return Err(wrong(written, "a name is made of letters, digits, `_` and `-`, a letter first"));
        }
        Ok((Reference { name, default }, behind))
    }

    fn look_up(&self, reference: &Reference<'_>, written: &str, place: Span, diagnostics: &mut Diagnostics) -> Found<'_> {
        let Reference { name, default } = *reference;
        if name.starts_with(|c: char| c.is_ascii_lowercase()) {
            return self.argument(name, written, place, diagnostics);
        }
        let value = self.world.variable(name).filter(|value| default.is_none() || !value.is_empty());
        match (value, default) {
            (Some(value), _) => Found::Text(value),
            (None, Some(default)) => Found::Text(default.to_owned()),
            (None, None) => {
                diagnostics.push(
                    Diagnostic::error(Code::Variable, format!("the environment variable `{name}` is not set"))
                        .primary(place, "used here")
                        .help(format!("set it, or say what holds without it: `${{{name}:-default}}`")),
                );
                Found::Nothing
            }
        }
    }

    fn argument(&self, name: &str, written: &str, place: Span, diagnostics: &mut Diagnostics) -> Found<'_> {
        let found = self.arguments.and_then(|all| all.iter().find(|(known, _)| known == name));
        if let Some((_, value)) = found {
            return Found::Argument(value);
        }
        let mut diagnostic = Diagnostic::error(Code::UnknownParameter, format!("unknown parameter `{name}`")).primary(place, "");
        diagnostic = match self.arguments {
            None => {
                let upper = name.to_uppercase().replace('-', "_");
                diagnostic.help(format!(
                    "only templates have parameters; an environment variable is written in upper case: `${{{upper}}}`, and the \
                     characters `{written}` as `${written}`"
                ))
            }
            Some(arguments) => {
                let known: Vec<&str> = arguments.iter().map(|(name, _)| name.as_str()).collect();
                let help = suggestion(name, "the parameters of this template are", &known);
                diagnostic.help(help.unwrap_or_else(|| "this template has no parameters: declare it under `parameters`".into()))
            }
        };
        diagnostics.push(diagnostic);
        Found::Nothing
    }

    /// The place of a part of a string: exactly, where the string stands in the file as it is.
    fn inside(&self, span: Span, part: &str) -> Span {
        let Some(source) = self.sources.get(span.file) else { return span };
        match source.slice(span).find(part) {
            Some(at) => source.span(span.start as usize + at..span.start as usize + at + part.len()),
            None => span,
        }
    }
}

/// What the text of a variable means as a value: as if it stood in the file by itself.
fn resolve(text: &str) -> Node {
    let quoted = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    match quoted('"').or_else(|| quoted('\'')) {
        Some(inside) => Node::Str(inside.into()),
        None => yaml::plain(text).unwrap_or_else(|| Node::Str(text.into())),
    }
}

/// An argument within a text.
fn as_text(value: &Value, reference: &Reference<'_>, place: Span) -> Result<String, Box<Diagnostic>> {
    match &value.node {
        Node::Str(text) => Ok(text.to_string()),
        Node::Int(number) => Ok(number.to_string()),
        Node::Uint(number) => Ok(number.to_string()),
        Node::Float(number) => Ok(format!("{number:?}")),
        Node::Bool(truth) => Ok(truth.to_string()),
        Node::Null | Node::Seq(_) | Node::Rows(_) | Node::Map(_) => Err(Box::new(
            Diagnostic::error(
                Code::Substitution,
                format!("the parameter `{}` is {value}, and stands within a text", reference.name),
            )
            .primary(place, "only a string, a number or a boolean can stand here")
            .secondary(value.span, "its value"),
        )),
    }
}
