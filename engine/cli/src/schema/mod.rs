//! `swath schema`: the language of graphs as a JSON Schema (draft 2020-12), for editors and other programs. All that it says of kinds
//! comes from the kinds themselves.
//!
//! Editors read draft 7: what is written here means the same in both. So `if` and `then` choose the settings of a kind, which gives
//! better messages than `oneOf` does, and each of them closes its mapping by `additionalProperties`.

mod adapt;
mod language;
mod outputs;
mod read;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use swath_api::{EdgeClass, EdgeInfo};
use swath_core::Registry;

use crate::exit::{Exit, Failure};
use crate::nodes::{Page, find, pages};
use crate::plugin;
use crate::terminal::Terminal;

use adapt::{adapt_settings, words};
pub use read::{Schema, one_line};

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Editors with a YAML language server complete and check graphs with it, see docs/editors.md. Of every
kind it has the settings, and the edges by name.

Examples:
  swath schema > swath.schema.json
  swath schema ip4-lookup
  swath schema --library target/release/libmy_node.so my-node
  swath schema --of explain")]
pub struct SchemaArgs {
    /// A kind of node or table, or a driver: what may stand in an entry of it
    pub kind: Option<String>,
    /// With the kinds of the library of a plugin; may be given several times
    #[arg(long, value_name = "FILE")]
    pub library: Vec<PathBuf>,
    /// What a command writes with `--format json`, in the place of graphs
    #[arg(long, value_enum, value_name = "OUTPUT", conflicts_with_all = ["kind", "library"])]
    pub of: Option<outputs::Output>,
}

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Writes the schema of graph files, that of one kind, or that of what a command writes.
///
/// # Errors
/// There is no such kind, or a library is refused.
pub fn schema(args: &SchemaArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let registry = plugin::registry(&args.library)?;
    let schema = match (&args.kind, args.of) {
        (_, Some(output)) => outputs::of_output(output),
        (None, None) => document(&registry),
        (Some(kind), None) => of_kind(&registry, kind)?,
    };
    terminal.data(&(serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"))?;
    Ok(Exit::Ok)
}

/// The schema of a whole graph file.
fn document(registry: &Registry) -> Value {
    let mut schema = language::root();
    schema["$defs"] = Value::Object(definitions(registry));
    schema
}

/// The schema of an interface, a table or a node of one kind, as it stands in the whole one.
fn of_kind(registry: &Registry, kind: &str) -> Result<Value, Failure> {
    let pages = pages(registry);
    let page = find(kind, &pages)?;
    let all = definitions(registry);
    let mut schema = json!({ "$schema": DRAFT });
    let own = all.get(&name_of(page)).and_then(Value::as_object).cloned().unwrap_or_default();
    let mut wanted = BTreeSet::new();
    collect_references(&Value::Object(own.clone()), &all, &mut wanted);
    for (key, value) in own {
        schema[key] = value;
    }
    if !wanted.is_empty() {
        schema["$defs"] = all.into_iter().filter(|(name, _)| wanted.contains(name)).collect();
    }
    Ok(schema)
}

fn collect_references(schema: &Value, all: &Map<String, Value>, found: &mut BTreeSet<String>) {
    match schema {
        Value::Array(values) => values.iter().for_each(|value| collect_references(value, all, found)),
        Value::Object(members) => {
            if let Some(name) = members.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix("#/$defs/"))
                && found.insert(name.into())
                && let Some(definition) = all.get(name)
            {
                collect_references(definition, all, found);
            }
            members.values().for_each(|value| collect_references(value, all, found));
        }
        _ => {}
    }
}

/// All definitions: those of the language, and three families of kinds.
fn definitions(registry: &Registry) -> Map<String, Value> {
    let pages = pages(registry);
    let of = |class: &str| pages.iter().filter(|page| page.class == class).collect::<Vec<_>>();
    let (nodes, tables, drivers) = (of("node"), of("table"), of("driver"));
    let mut all = language::definitions();
    all.insert("interface".into(), chosen("driver", &drivers, language::interface()));
    all.insert("table".into(), chosen("kind", &tables, language::table()));
    all.insert("kind-of-node".into(), chosen("kind", &nodes, language::node()));
    all.insert("wired".into(), wired(&nodes));
    for page in &pages {
        define(page, &mut all);
    }
    all
}

fn name_of(page: &Page) -> String {
    format!("{}.{}", page.class, page.kind)
}

/// What a word chooses: one of several definitions.
fn chosen(key: &str, pages: &[&Page], mut base: Value) -> Value {
    let kinds = pages.iter().map(|page| (page.kind.to_owned(), page.summary.to_owned())).collect();
    base["properties"][key] = words(kinds);
    let choice = |page: &&Page| {
        json!({
            "if": { "properties": { key: { "const": page.kind } }, "required": [key] },
            "then": reference(&name_of(page)),
        })
    };
    base["required"] = json!([key]);
    base["allOf"] = pages.iter().map(choice).collect();
    base
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// The definition of a kind, with those that its settings refer to.
fn define(page: &Page, all: &mut Map<String, Value>) {
    let name = name_of(page);
    let (key, common) = match page.class {
        "node" => ("kind", Map::from_iter([("to".to_owned(), targets(page.edges, page.named))])),
        "table" => ("kind", Map::new()),
        _ => ("driver", language::interface_properties()),
    };
    let mut settings = adapt_settings(&page.schema, &name, page.class != "driver", all);
    let about = if page.about.is_empty() { page.summary.to_owned() } else { format!("{}\n\n{}", page.summary, page.about) };
    let mut properties = Map::from_iter([(key.to_owned(), json!({ "const": page.kind, "description": about }))]);
    properties.extend(common);
    properties.append(&mut settings.properties);
    let mut definition = json!({ "type": "object", "description": about, "properties": properties });
    let mut required = vec![key.to_owned()];
    required.append(&mut settings.required);
    definition["required"] = required.into();
    definition["additionalProperties"] = false.into();
    if !settings.either.is_empty() {
        definition["allOf"] = settings.either.into();
    }
    all.insert(name, definition);
}

fn can_be_wired(edge: &&EdgeInfo) -> bool {
    matches!(edge.class, EdgeClass::Edge | EdgeClass::Required | EdgeClass::Drop)
}

/// `to`: the main edge, or edges by name, also by names of the graph's own.
fn targets(edges: &[EdgeInfo], named: Option<&EdgeInfo>) -> Value {
    let edge = |edge: &EdgeInfo| {
        let what = match edge.class {
            EdgeClass::Required => "It must be wired.",
            EdgeClass::Drop => "Packets are dropped for this reason, unless it is wired.",
            _ => "Where it is not wired, it drops by this name.",
        };
        let mut target = reference("node-name");
        target["description"] = format!("{} {what}", one_line(edge.doc.as_str())).into();
        (edge.name.as_str().to_owned(), target)
    };
    let edges: Vec<&EdgeInfo> = edges.iter().filter(can_be_wired).collect();
    let mut to = language::targets();
    to["properties"] = edges.iter().copied().map(edge).collect::<Map<String, Value>>().into();
    to["additionalProperties"] = named.map_or(false.into(), |named| {
        let mut target = reference("node-name");
        target["description"] = one_line(named.doc.as_str()).into();
        target
    });
    match edges.first() {
        Some(main) if main.class != EdgeClass::Drop => {
            to["description"] =
                format!("Where packets go: the node for the main edge, `{}`, or `{{ EDGE: NODE }}`.", main.name).into();
        }
        _ => {
            to["description"] = "Where packets go: `{ EDGE: NODE }`.".into();
            to["type"] = "object".into();
        }
    }
    to
}

/// That required edges are wired. Nodes of templates may be wired by the template's `out`.
fn wired(nodes: &[&Page]) -> Value {
    let rule = |page: &&Page| {
        let required = page.edges.iter().filter(|edge| edge.class == EdgeClass::Required);
        let required: Vec<&str> = required.map(|edge| edge.name.as_str()).collect();
        if required.is_empty() {
            return None;
        }
        let named = json!({ "if": { "type": "object" }, "then": { "required": required } });
        Some(json!({
            "if": { "properties": { "kind": { "const": page.kind } }, "required": ["kind"] },
            "then": { "required": ["to"], "properties": { "to": named } },
        }))
    };
    json!({ "allOf": nodes.iter().filter_map(rule).collect::<Vec<_>>() })
}
