//! Instances of templates: their nodes, named `instance/node`, and the edges into and out of them.

use std::collections::{HashMap, HashSet};

use super::code::Code;
use super::data;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::doubts::{Doubt, Doubts};
use super::entry::Declared;
use super::graph::{EdgeSpec, ExitSpec, NodeSpec, read_edges};
use super::source::{Span, Spanned};
use super::suggest::suggestion;
use super::template::{Exit, Template, Type};
use super::value::{Entry, Node, Value};
use super::yaml::MAX_COPIED_VALUES;

/// How deep instances may be nested.
const MAX_NESTED: usize = 16;

/// Turns the section `nodes` into nodes.
pub(super) struct Expander<'a> {
    templates: Vec<Template>,
    /// Which of them have instances.
    used: Vec<bool>,
    /// Templates that have a mistake, which has been said.
    pub(super) bad_templates: HashSet<String>,
    /// Names that arguments may refer to.
    pub(super) interfaces: HashSet<String>,
    pub(super) tables: HashSet<String>,
    pub(super) files: data::Files<'a>,
    pub(super) nodes: Vec<NodeSpec>,
    /// Nodes and instances with mistakes.
    doubt: Doubt,
    /// For each node of `nodes`, what its targets are relative to.
    prefixes: Vec<String>,
    instances: Vec<Instance>,
    /// Indexes of both by full name.
    node_index: HashMap<String, usize>,
    instance_index: HashMap<String, usize>,
    /// How many values the instances have copied.
    copied: usize,
}

struct Instance {
    name: Spanned<String>,
    /// Of `templates`.
    template: usize,
    /// What its own targets are relative to.
    prefix: String,
    to: Vec<EdgeSpec>,
}

/// Where a node stands.
struct Around<'a> {
    /// Empty, or the names of the instances around, each with a slash.
    prefix: &'a str,
    arguments: Option<&'a [(String, Value)]>,
    /// Templates around, from the outermost inwards.
    templates: &'a [usize],
}

impl<'a> Expander<'a> {
    pub(super) fn new(files: data::Files<'a>) -> Self {
        Self {
            templates: Vec::new(),
            used: Vec::new(),
            bad_templates: HashSet::new(),
            interfaces: HashSet::new(),
            tables: HashSet::new(),
            files,
            nodes: Vec::new(),
            doubt: Doubt::default(),
            prefixes: Vec::new(),
            instances: Vec::new(),
            node_index: HashMap::new(),
            instance_index: HashMap::new(),
            copied: 0,
        }
    }

    /// Takes the entries of the section.
    pub(super) fn expand(&mut self, entries: Vec<Entry>, doubts: &mut Doubts, diagnostics: &mut Diagnostics) {
        self.doubt = std::mem::take(&mut doubts.nodes);
        let outside = Around { prefix: "", arguments: None, templates: &[] };
        for entry in entries {
            self.entry(entry, &outside, diagnostics);
        }
        self.wire(diagnostics);
        doubts.nodes = std::mem::take(&mut self.doubt);
        for (template, _) in self.templates.iter().zip(&self.used).filter(|(_, used)| !**used) {
            diagnostics.push(
                Diagnostic::warning(
                    Code::UnusedTemplate,
                    format!("no node is an instance of the template `{}`", template.name.value),
                )
                .primary(template.name.span, "what stands in it is not looked at")
                .help(format!("add a node: `NAME: {{ template: {}, ... }}`", template.name.value)),
            );
        }
    }

    /// Takes a template.
    pub(super) fn declare(&mut self, template: Template) {
        self.templates.push(template);
        self.used.push(false);
    }

    fn entry(&mut self, mut entry: Entry, around: &Around<'_>, diagnostics: &mut Diagnostics) {
        let errors = diagnostics.errors();
        let name = format!("{}{}", around.prefix, entry.key);
        self.files.scope(around.arguments).substitute(&mut entry.value, diagnostics);
        if diagnostics.errors() == errors {
            if entry.value.get("template").is_some() {
                self.instance(entry, around, diagnostics);
            } else if let Some(mut node) = NodeSpec::read(entry, diagnostics) {
                self.files.attach(&mut node.settings, diagnostics);
                node.name.value.insert_str(0, around.prefix);
                self.node_index.insert(name.clone(), self.nodes.len());
                self.nodes.push(node);
                self.prefixes.push(around.prefix.to_owned());
            }
        }
        if diagnostics.errors() > errors {
            self.doubt.doubt(&name);
        }
    }

    fn instance(&mut self, entry: Entry, around: &Around<'_>, diagnostics: &mut Diagnostics) {
        let what = "an instance of a template";
        let Some(mut declared) = Declared::read(entry, what, &["template", "to", "kind"], diagnostics) else { return };
        let Some(wanted) = declared.word("template", diagnostics) else { return };
        let to = declared.take("to").map(|to| read_edges(to, diagnostics)).unwrap_or_default();
        if let Some(kind) = declared.take("kind") {
            diagnostics.push(
                Diagnostic::error(Code::Conflict, format!("`{}` has a `kind` and a `template`", declared.name.value))
                    .primary(kind.span, "the kind of a node")
                    .secondary(wanted.span, "the template of an instance")
                    .help("remove one of the two"),
            );
            return;
        }
        let Some(template) = self.template(&wanted, around, diagnostics) else { return };
        self.used[template] = true;
        let Some(arguments) = self.arguments(template, &declared, diagnostics) else { return };
        self.copied += self.templates[template].weight;
        if self.copied > MAX_COPIED_VALUES {
            // Said once: what comes behind would be over the budget as well.
            if self.copied - self.templates[template].weight <= MAX_COPIED_VALUES {
                let message = format!("the instances of templates copy more than {MAX_COPIED_VALUES} values");
                diagnostics.push(Diagnostic::error(Code::TemplateBudget, message).primary(wanted.span, "one too many"));
            }
            self.doubt.doubt(&format!("{}{}", around.prefix, declared.name.value));
            return;
        }
        let name = format!("{}{}", around.prefix, declared.name.value);
        let inner_prefix = format!("{name}/");
        let templates: Vec<usize> = around.templates.iter().copied().chain([template]).collect();
        let inner = Around { prefix: &inner_prefix, arguments: Some(&arguments), templates: &templates };
        self.instance_index.insert(name.clone(), self.instances.len());
        diagnostics.know_instances([name.clone()]);
        let name = Spanned::new(name, declared.name.span);
        self.instances.push(Instance { name, template, prefix: around.prefix.to_owned(), to });
        for entry in self.templates[template].nodes.clone() {
            self.entry(entry, &inner, diagnostics);
        }
    }

    fn template(&self, wanted: &Spanned<String>, around: &Around<'_>, diagnostics: &mut Diagnostics) -> Option<usize> {
        let Some(found) = self.templates.iter().position(|template| template.name.value == wanted.value) else {
            if !self.bad_templates.contains(&wanted.value) {
                let names: Vec<&str> = self.templates.iter().map(|template| template.name.value.as_str()).collect();
                let help = suggestion(&wanted.value, "the templates are", &names);
                diagnostics.push(
                    Diagnostic::error(Code::UnknownTemplate, format!("unknown template `{}`", wanted.value))
                        .primary(wanted.span, "")
                        .help(help.unwrap_or_else(|| "add the section `templates`".into())),
                );
            }
            return None;
        };
        let nested = around.templates.iter().position(|template| *template == found);
        if nested.is_some() || around.templates.len() == MAX_NESTED {
            let way = around.templates[nested.unwrap_or(0)..].iter().map(|at| self.templates[*at].name.value.as_str());
            let way: Vec<&str> = way.chain([wanted.value.as_str()]).collect();
            let message = match nested {
                Some(_) => format!("templates contain each other in a circle: {}", way.join(" → ")),
                None => format!("instances are nested more than {MAX_NESTED} deep: {}", way.join(" → ")),
            };
            diagnostics.push(Diagnostic::error(Code::TemplateCycle, message).primary(wanted.span, "this instance is one too many"));
            return None;
        }
        Some(found)
    }

    /// The arguments of an instance, one for each parameter. `None` if one is missing or wrong.
    fn arguments(&self, template: usize, given: &Declared, diagnostics: &mut Diagnostics) -> Option<Vec<(String, Value)>> {
        let template = &self.templates[template];
        let errors = diagnostics.errors();
        let names: Vec<&str> = template.parameters.iter().map(|parameter| parameter.name.value.as_str()).collect();
        for entry in given.settings.expect_map().unwrap_or_default().iter().filter(|entry| !names.contains(&&*entry.key)) {
            let message = format!("the template `{}` has no parameter `{}`", template.name.value, entry.key);
            let unknown = Diagnostic::error(Code::UnknownParameter, message).primary(entry.key_span, "");
            let help = suggestion(&entry.key, "its parameters are", &names);
            diagnostics.push(unknown.help(help.unwrap_or_else(|| "it has no parameters: remove it".into())));
        }
        let mut arguments = Vec::with_capacity(names.len());
        for parameter in &template.parameters {
            let name = &parameter.name.value;
            let Some(value) = given.settings.get(name).or(parameter.default.as_ref()) else {
                let missing = format!("the parameter `{name}` of `{}` is missing", given.name.value);
                diagnostics.push(
                    Diagnostic::error(Code::MissingArgument, missing)
                        .primary(given.name.span, format!("add `{name}: ...`"))
                        .secondary(parameter.name.span, format!("{}, without a default", parameter.kind.words())),
                );
                continue;
            };
            if !parameter.kind.fits(&value.node) {
                let wrong = value.mismatch(Code::BadArgument, parameter.kind.words());
                diagnostics.push(wrong.secondary(parameter.name.span, "declared here"));
            }
            match (parameter.kind, &value.node) {
                (Type::Interface, Node::Str(name)) => {
                    known(name, "interface", Code::UnknownInterface, &self.interfaces, value.span, diagnostics)
                }
                (Type::Table, Node::Str(name)) => known(name, "table", Code::UnknownTable, &self.tables, value.span, diagnostics),
                _ => {}
            }
            arguments.push((name.clone(), value.clone()));
        }
        (diagnostics.errors() == errors).then_some(arguments)
    }

    /// Leads all edges to nodes: those that lead to instances, and those that leave them.
    fn wire(&mut self, diagnostics: &mut Diagnostics) {
        for at in 0..self.nodes.len() {
            let mut to = std::mem::take(&mut self.nodes[at].to);
            for wire in &mut to {
                self.lead(wire, &self.prefixes[at], diagnostics);
            }
            self.nodes[at].to = to;
        }
        for at in 0..self.instances.len() {
            let instance = &self.instances[at];
            let mut to = instance.to.clone();
            let template = &self.templates[instance.template];
            let mut wired: Vec<&str> = Vec::new();
            let mut exits: Vec<(usize, EdgeSpec)> = Vec::new();
            for mut wire in to.drain(..) {
                self.lead(&mut wire, &instance.prefix, diagnostics);
                let Some(exit) = exit_of(template, &wire, diagnostics) else { continue };
                wired.push(&template.exits[exit].name.value);
                exits.push((exit, wire));
            }
            let open = template.exits.iter().enumerate().filter(|(_, exit)| !wired.contains(&exit.name.value.as_str()));
            let open: Vec<usize> = open.map(|(at, _)| at).collect();
            let name = instance.name.clone();
            let template = instance.template;
            for (exit, wire) in exits {
                self.attach(template, exit, &name.value, &wire, diagnostics);
            }
            for exit in open {
                self.leave_open(template, exit, &name.value, &name, diagnostics);
            }
        }
    }

    /// Replaces the target of an edge by the full name of a node.
    fn lead(&self, wire: &mut EdgeSpec, prefix: &str, diagnostics: &mut Diagnostics) {
        let written = std::mem::take(&mut wire.to.value);
        wire.to.value = self.node_behind(&written, wire.to.span, prefix, diagnostics);
    }

    /// The full name of the node that a target means. One that names nothing stays, and is reported where the graph is wired.
    fn node_behind(&self, written: &str, span: Span, prefix: &str, diagnostics: &mut Diagnostics) -> String {
        let (name, entrance) = match written.split_once('/') {
            Some((name, entrance)) => (name, Some(entrance)),
            None => (written, None),
        };
        let full = format!("{prefix}{name}");
        let Some(instance) = self.instance_index.get(&full) else {
            // Of an instance with a mistake nothing more can be said.
            return if self.doubt.has(&full) { full } else { format!("{prefix}{written}") };
        };
        let template = &self.templates[self.instances[*instance].template];
        let found = match entrance {
            None => template.entrances.first(),
            Some(entrance) => template.entrances.iter().find(|(name, _)| name.value == entrance),
        };
        let inside = format!("{full}/");
        if let Some((_, node)) = found {
            return self.node_behind(&node.value, node.span, &inside, diagnostics);
        }
        let names: Vec<&str> = template.entrances.iter().map(|(name, _)| name.value.as_str()).collect();
        let (template, wrong) = (&template.name, entrance.unwrap_or(name));
        let (message, help) = match entrance {
            Some(entrance) => (
                format!("`{name}` has no entrance `{entrance}`"),
                suggestion(entrance, &format!("the entrances of the template `{}` are", template.value), &names),
            ),
            None => (format!("nothing can be sent to `{name}`"), None),
        };
        let help = help.unwrap_or_else(|| format!("the template `{}` has no entrance: add `in: NODE` to it", template.value));
        diagnostics
            .push(Diagnostic::error(Code::Entrance, message).primary(span, "").secondary(template.span, "the template").help(help));
        format!("{inside}{wrong}")
    }

    /// Wires the edges of nodes for which an edge of an instance stands.
    fn attach(&mut self, template: usize, exit: usize, instance: &str, wire: &EdgeSpec, diagnostics: &mut Diagnostics) {
        for at in 0..self.templates[template].exits[exit].edges.len() {
            let edge = &self.templates[template].exits[exit].edges[at];
            let full = format!("{instance}/{}", edge.node);
            let inner = EdgeSpec { edge: edge.edge.clone().map(|name| Spanned::new(name, edge.span)), to: wire.to.clone() };
            if let Some(node) = self.node_index.get(&full) {
                self.nodes[*node].to.push(inner);
            } else if let Some((nested, exit)) = self.nested_exit(&full, &inner, diagnostics) {
                self.attach(nested, exit, &full, wire, diagnostics);
            }
        }
    }

    /// Notes edges of nodes that could have been wired at an instance, and are not.
    fn leave_open(&mut self, template: usize, exit: usize, instance: &str, at: &Spanned<String>, diagnostics: &mut Diagnostics) {
        for edge in 0..self.templates[template].exits[exit].edges.len() {
            let Exit { name, edges } = &self.templates[template].exits[exit];
            let (edge, name) = (&edges[edge], name.value.clone());
            let full = format!("{instance}/{}", edge.node);
            let to = Spanned::new(String::new(), edge.span);
            let inner = EdgeSpec { edge: edge.edge.clone().map(|name| Spanned::new(name, edge.span)), to };
            if let Some(node) = self.node_index.get(&full) {
                let open = ExitSpec { edge: edge.edge.clone(), exit: name, instance: at.clone() };
                self.nodes[*node].open.push(open);
            } else if let Some((nested, exit)) = self.nested_exit(&full, &inner, diagnostics) {
                self.leave_open(nested, exit, &full, at, diagnostics);
            }
        }
    }

    /// The edge of an instance inside of another, as the template of that other names it.
    fn nested_exit(&self, instance: &str, edge: &EdgeSpec, diagnostics: &mut Diagnostics) -> Option<(usize, usize)> {
        let template = self.instances[*self.instance_index.get(instance)?].template;
        Some((template, exit_of(&self.templates[template], edge, diagnostics)?))
    }
}

/// The edge of a template that is wired.
fn exit_of(template: &Template, wire: &EdgeSpec, diagnostics: &mut Diagnostics) -> Option<usize> {
    let names: Vec<&str> = template.exits.iter().map(|exit| exit.name.value.as_str()).collect();
    let found = match &wire.edge {
        None => (!names.is_empty()).then_some(0),
        Some(edge) => names.iter().position(|name| *name == edge.value),
    };
    if found.is_none() {
        let (message, help) = match &wire.edge {
            None => (format!("the template `{}` has no edges", template.name.value), None),
            Some(edge) => (
                format!("the template `{}` has no edge `{}`", template.name.value, edge.value),
                suggestion(&edge.value, "its edges are", &names),
            ),
        };
        let help = help.unwrap_or_else(|| "add `out: { NAME: NODE.EDGE }` to the template".into());
        diagnostics.push(
            Diagnostic::error(Code::UnknownEdge, message)
                .primary(wire.span(), "")
                .secondary(template.name.span, "the template")
                .help(help),
        );
    }
    found
}

fn known(name: &str, what: &str, code: Code, names: &HashSet<String>, span: Span, diagnostics: &mut Diagnostics) {
    if names.contains(name) {
        return;
    }
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    let help = suggestion(name, &format!("the {what}s are"), &names);
    diagnostics.push(
        Diagnostic::error(code, format!("unknown {what} `{name}`"))
            .primary(span, "")
            .help(help.unwrap_or_else(|| format!("add it to the section `{what}s`"))),
    );
}
