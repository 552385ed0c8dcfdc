//! The section `templates`: parts of a graph that are written once and used several times.

use super::code::Code;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::entry::{Declared, word};
use super::source::{Span, Spanned};
use super::suggest::suggestion;
use super::value::{Entry, Node, Value};
use super::variables::Scope;

/// A template as written.
pub(super) struct Template {
    pub(super) name: Spanned<String>,
    pub(super) parameters: Vec<Parameter>,
    /// Where packets may be sent into it, the main one first: the name from outside and the node.
    pub(super) entrances: Vec<(Spanned<String>, Spanned<String>)>,
    /// Its edges as seen from outside, the main one first.
    pub(super) exits: Vec<Exit>,
    pub(super) nodes: Vec<Entry>,
    /// How many values an instance copies.
    pub(super) weight: usize,
}

/// A parameter of a template.
pub(super) struct Parameter {
    pub(super) name: Spanned<String>,
    pub(super) kind: Type,
    /// Without it the parameter must be given.
    pub(super) default: Option<Value>,
}

/// An edge of a template, which stands for edges of its nodes.
pub(super) struct Exit {
    pub(super) name: Spanned<String>,
    pub(super) edges: Vec<InnerEdge>,
}

/// An edge of a node of a template.
pub(super) struct InnerEdge {
    pub(super) node: String,
    /// `None` is the main edge.
    pub(super) edge: Option<String>,
    pub(super) span: Span,
}

/// What the argument for a parameter must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Any,
    Boolean,
    Integer,
    Interface,
    List,
    Mapping,
    Number,
    String,
    Table,
}

impl Type {
    const ALL: [(&str, Type); 9] = [
        ("any", Type::Any),
        ("boolean", Type::Boolean),
        ("integer", Type::Integer),
        ("interface", Type::Interface),
        ("list", Type::List),
        ("mapping", Type::Mapping),
        ("number", Type::Number),
        ("string", Type::String),
        ("table", Type::Table),
    ];

    /// What it is, with an article.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Type::Any => "a value",
            Type::Boolean => "`true` or `false`",
            Type::Integer => "an integer",
            Type::Interface => "the name of an interface",
            Type::List => "a list",
            Type::Mapping => "a mapping",
            Type::Number => "a number",
            Type::String => "a string",
            Type::Table => "the name of a table",
        }
    }

    /// Whether a value is of this type; whether a name is known is another question.
    pub(super) const fn fits(self, value: &Node) -> bool {
        match self {
            Type::Any => true,
            Type::Boolean => matches!(value, Node::Bool(_)),
            Type::Integer => matches!(value, Node::Int(_) | Node::Uint(_)),
            Type::List => matches!(value, Node::Seq(_)),
            Type::Mapping => matches!(value, Node::Map(_)),
            Type::Number => matches!(value, Node::Int(_) | Node::Uint(_) | Node::Float(_)),
            Type::Interface | Type::String | Type::Table => matches!(value, Node::Str(_)),
        }
    }
}

impl Template {
    pub(super) fn read(entry: Entry, scope: &Scope<'_>, diagnostics: &mut Diagnostics) -> Option<Self> {
        let errors = diagnostics.errors();
        let keys = ["nodes", "parameters", "in", "out"];
        let mut declared = Declared::read(entry, "a template", &keys, diagnostics)?;
        if let Node::Map(unknown) = &declared.settings.node {
            for entry in unknown {
                diagnostics.push(Diagnostic::unknown_key(&entry.key, entry.key_span, &keys));
            }
        }
        let parameters = declared.take("parameters").map(|value| read_parameters(value, scope, diagnostics));
        let entrances = declared.take("in").map(|value| read_entrances(&value, diagnostics));
        let exits = declared.take("out").map(|value| read_exits(&value, diagnostics));
        let Some(nodes) = declared.take("nodes") else {
            diagnostics.push(
                Diagnostic::error(Code::MissingKey, format!("the template `{}` has no `nodes`", declared.name.value))
                    .primary(declared.name.span, "`nodes` is missing")
                    .help("add `nodes: { ... }`"),
            );
            return None;
        };
        let weight = nodes.count();
        let Node::Map(nodes) = nodes.node else {
            diagnostics.push(nodes.wrong_type("a mapping").help("each node is written as `name: { kind: ... }`"));
            return None;
        };
        let template = Self {
            name: declared.name,
            parameters: parameters.unwrap_or_default(),
            entrances: entrances.unwrap_or_default(),
            exits: exits.unwrap_or_default(),
            nodes,
            weight,
        };
        template.check_inner(diagnostics);
        (diagnostics.errors() == errors).then_some(template)
    }

    /// Whether the nodes exist that stand behind its entrances and edges.
    fn check_inner(&self, diagnostics: &mut Diagnostics) {
        let names: Vec<&str> = self.nodes.iter().map(|entry| &*entry.key).collect();
        // What stands behind a slash is an entrance of an instance.
        let name_of = |node: &'_ str| node.split_once('/').map_or(node.len(), |(name, _)| name.len());
        let entrances = self.entrances.iter().map(|(_, node)| (&node.value[..name_of(&node.value)], node.span));
        let exits = self.exits.iter().flat_map(|exit| &exit.edges).map(|edge| (edge.node.as_str(), edge.span));
        for (node, span) in entrances.chain(exits).filter(|(node, _)| !names.contains(node)) {
            let message = format!("the template `{}` has no node `{node}`", self.name.value);
            let diagnostic = Diagnostic::error(Code::UnknownNode, message).primary(span, "");
            let help = suggestion(node, "its nodes are", &names);
            diagnostics.push(diagnostic.help(help.unwrap_or_else(|| "add nodes to the template".into())));
        }
    }
}

fn read_parameters(value: Value, scope: &Scope<'_>, diagnostics: &mut Diagnostics) -> Vec<Parameter> {
    let Node::Map(entries) = value.node else {
        let wrong = value.wrong_type("a mapping");
        diagnostics.push(wrong.help("write `parameters: { interface: interface, mtu: { type: integer, default: 1500 } }`"));
        return Vec::new();
    };
    entries.into_iter().filter_map(|entry| read_parameter(entry, scope, diagnostics)).collect()
}

fn read_parameter(entry: Entry, scope: &Scope<'_>, diagnostics: &mut Diagnostics) -> Option<Parameter> {
    let Entry { key, key_span, mut value } = entry;
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let is_reserved = ["template", "kind", "to"].contains(&&*key);
    if is_reserved || !key.starts_with(|c: char| c.is_ascii_lowercase()) || !key.chars().all(is_name) {
        let help = match is_reserved {
            true => "`template`, `kind` and `to` are keys of every node: choose another name",
            false => "a parameter is made of a to z, 0 to 9, `-` and `_`, a letter first",
        };
        let bad = Diagnostic::error(Code::BadName, format!("`{key}` cannot be the name of a parameter"));
        diagnostics.push(bad.primary(key_span, "").help(help));
        return None;
    }
    let name = Spanned::new(key.to_string(), key_span);
    if let Node::Str(_) = value.node {
        let kind = diagnostics.ok(read_type(&value))?;
        return Some(Parameter { name, kind, default: None });
    }
    let default = value.remove("default").map(|entry| entry.value);
    for entry in diagnostics.ok(value.expect_map())?.iter().filter(|entry| &*entry.key != "type") {
        diagnostics.push(Diagnostic::unknown_key(&entry.key, entry.key_span, &["type", "default"]));
    }
    let Some(kind) = value.get("type") else {
        diagnostics.push(
            Diagnostic::error(Code::MissingKey, format!("the parameter `{}` has no `type`", name.value))
                .primary(name.span, "`type` is missing")
                .help(format!("add `type: ...`: {}", type_names())),
        );
        return None;
    };
    let kind = diagnostics.ok(read_type(kind))?;
    let default = default.map(|mut default| {
        scope.substitute(&mut default, diagnostics);
        default
    });
    if let Some(default) = default.as_ref().filter(|default| !kind.fits(&default.node)) {
        diagnostics.push(default.mismatch(Code::BadArgument, kind.words()));
    }
    Some(Parameter { name, kind, default })
}

fn type_names() -> String {
    let names: Vec<String> = Type::ALL.iter().map(|(name, _)| format!("`{name}`")).collect();
    names.join(", ")
}

fn read_type(value: &Value) -> Result<Type, Diagnostic> {
    let written = value.expect_str()?;
    let found = Type::ALL.iter().find(|(name, _)| *name == written);
    found.map(|(_, kind)| *kind).ok_or_else(|| {
        let names: Vec<&str> = Type::ALL.iter().map(|(name, _)| *name).collect();
        let help = suggestion(written, "a parameter is one of", &names);
        Diagnostic::error(Code::BadValue, format!("unknown type `{written}`"))
            .primary(value.span, "")
            .help(help.unwrap_or_default())
    })
}

fn read_entrances(value: &Value, diagnostics: &mut Diagnostics) -> Vec<(Spanned<String>, Spanned<String>)> {
    match &value.node {
        Node::Str(_) => {
            let node = diagnostics.ok(word(value));
            node.map(|node| (Spanned::new("in".into(), value.span), node)).into_iter().collect()
        }
        Node::Map(entries) => {
            let entrance =
                |entry: &Entry| Some((Spanned::new(entry.key.to_string(), entry.key_span), diagnostics.ok(word(&entry.value))?));
            entries.iter().filter_map(entrance).collect()
        }
        _ => {
            let wrong = value.wrong_type("the name of a node, or a mapping from names to nodes");
            diagnostics.push(wrong.help("write `in: NODE`, or `in: { NAME: NODE }`"));
            Vec::new()
        }
    }
}

fn read_exits(value: &Value, diagnostics: &mut Diagnostics) -> Vec<Exit> {
    let Node::Map(entries) = &value.node else {
        diagnostics.push(value.wrong_type("a mapping from names to edges").help("write `out: { NAME: NODE.EDGE }`"));
        return Vec::new();
    };
    let mut exits = Vec::with_capacity(entries.len());
    for entry in entries {
        let edges = match &entry.value.node {
            Node::Seq(edges) => edges.as_slice(),
            _ => std::slice::from_ref(&entry.value),
        };
        let edges = edges.iter().filter_map(|value| {
            let written = diagnostics.ok(word(value))?;
            let (node, edge) = match written.value.split_once('.') {
                Some((node, edge)) => (node, Some(edge.to_owned())),
                None => (written.value.as_str(), None),
            };
            Some(InnerEdge { node: node.to_owned(), edge, span: value.span })
        });
        exits.push(Exit { name: Spanned::new(entry.key.to_string(), entry.key_span), edges: edges.collect() });
    }
    exits
}
