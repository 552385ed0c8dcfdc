//! What commands write with `--format json`, as JSON Schemas: made of what the control API says of the same structures, so that both are one.

use std::collections::BTreeSet;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::{DRAFT, collect_references, reference};

/// What a command writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// `swath show`
    Show,
    /// `swath show interfaces`
    ShowInterfaces,
    /// `swath show interfaces NAME`
    ShowInterface,
    /// `swath show tables`
    ShowTables,
    /// `swath show tables NAME`
    ShowTable,
    /// `swath show nodes`
    ShowNodes,
    /// `swath show nodes NAME`
    ShowNode,
    /// `swath show runtime`
    ShowRuntime,
    /// `swath show drops`
    ShowDrops,
    /// `swath show config`
    ShowConfig,
    /// `swath drops`
    Drops,
    /// A line of `swath drops --follow`
    DropsLine,
    /// A line of `swath tap`
    Tap,
    /// A line of `swath trace`: a packet with its path
    Trace,
    /// `swath explain`
    Explain,
    /// `swath plan`
    Plan,
}

/// Its schema.
pub fn of_output(output: Output) -> Value {
    let mut all = definitions();
    let packet =
        with(&all, "Seen", &[("text", json!({ "type": "string", "description": "The packet as the tests of graphs have it." }))]);
    all.insert("Packet".into(), packet);
    let list = |name: &str| json!({ "type": "array", "items": reference(name) });
    let own = match output {
        Output::Show => members(&[
            ("process", reference("Process")),
            ("interfaces", list("Interface")),
            ("tables", list("Table")),
            ("runtime", reference("Runtime")),
            ("drops", list("Drops")),
        ]),
        Output::ShowInterfaces => list("Interface"),
        Output::ShowInterface => reference("Interface"),
        Output::ShowTables => list("Table"),
        Output::ShowTable => reference("Table"),
        Output::ShowNodes => list("Node"),
        Output::ShowNode => reference("Node"),
        Output::ShowRuntime => reference("Runtime"),
        Output::ShowDrops => list("Drops"),
        Output::ShowConfig => reference("Config"),
        Output::Drops => json!({ "type": "array", "items": with(&all, "Drops", &[("samples", list("Packet"))]) }),
        Output::DropsLine | Output::Tap => reference("Packet"),
        Output::Trace => members(&[("packet", json!({ "type": "integer", "minimum": 1 })), ("hops", list("Packet"))]),
        Output::Explain => members(&[("steps", list("Packet")), ("losses", list("Drops"))]),
        Output::Plan => flat(&all),
    };
    let mut wanted = BTreeSet::new();
    collect_references(&own, &all, &mut wanted);
    let mut schema = json!({ "$schema": DRAFT });
    if let (Value::Object(schema), Value::Object(own)) = (&mut schema, own) {
        schema.extend(own);
        if !wanted.is_empty() {
            let all: Map<String, Value> = all.into_iter().filter(|(name, _)| wanted.contains(name)).collect();
            schema.insert("$defs".into(), all.into());
        }
    }
    schema
}

/// The structures of the control API. What it does not name is not there.
fn definitions() -> Map<String, Value> {
    let document: Value = serde_json::from_str(&swath_ctl::api::document()).unwrap_or_default();
    let Some(Value::Object(mut all)) = document.pointer("/components/schemas").cloned() else { return Map::new() };
    let mut parts = BTreeSet::new();
    all.values().for_each(|schema| of_wholes(schema, &mut parts));
    for (name, schema) in &mut all {
        close(schema, parts.contains(name));
    }
    all
}

/// The definitions that are parts of others, whose members stand beside those of other parts.
fn of_wholes(schema: &Value, parts: &mut BTreeSet<String>) {
    match schema {
        Value::Array(values) => values.iter().for_each(|value| of_wholes(value, parts)),
        Value::Object(members) => {
            let all = members.get("allOf").and_then(Value::as_array).into_iter().flatten();
            parts.extend(all.filter_map(|part| part["$ref"].as_str()?.rsplit('/').next().map(str::to_owned)));
            members.values().for_each(|value| of_wholes(value, parts));
        }
        _ => {}
    }
}

/// Refers to definitions where they are in a schema, and closes mappings: those that are parts of a whole together.
fn close(schema: &mut Value, is_part: bool) {
    match schema {
        Value::Array(values) => values.iter_mut().for_each(|value| close(value, is_part)),
        Value::Object(members) => {
            if let Some(Value::String(to)) = members.get_mut("$ref") {
                *to = to.replace("#/components/schemas/", "#/$defs/");
            }
            for (key, value) in members.iter_mut() {
                close(value, key == "allOf" || is_part && key == "oneOf");
            }
            if is_part {
                return;
            }
            if members.contains_key("allOf") {
                members.insert("unevaluatedProperties".into(), false.into());
            } else if members.get("properties").is_some_and(Value::is_object) && members.get("type").is_some() {
                members.entry("additionalProperties").or_insert(false.into());
            }
        }
        _ => {}
    }
}

/// A mapping with these members, and no others.
fn members(members: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    let properties: Map<String, Value> = members.iter().map(|(name, schema)| ((*name).into(), schema.clone())).collect();
    json!({ "type": "object", "required": names, "properties": properties, "additionalProperties": false })
}

/// A definition with more members.
fn with(all: &Map<String, Value>, name: &str, more: &[(&str, Value)]) -> Value {
    let mut schema = all.get(name).cloned().unwrap_or_default();
    for (name, member) in more {
        schema["properties"][*name] = member.clone();
        if let Some(required) = schema["required"].as_array_mut() {
            required.push((*name).into());
        }
    }
    schema
}

/// A plan as `swath plan` writes it: what changes stands beside what it says of the whole.
fn flat(all: &Map<String, Value>) -> Value {
    let mut plan = all.get("Planned").cloned().unwrap_or_default();
    let changes = plan["properties"].as_object_mut().and_then(|members| members.remove("changes")).unwrap_or_default();
    let name = changes["$ref"].as_str().unwrap_or_default().trim_start_matches("#/$defs/").to_owned();
    let sections = all.get(&name).cloned().unwrap_or(changes);
    let required: Vec<Value> =
        plan["required"].as_array().into_iter().flatten().filter(|name| *name != "changes").cloned().collect();
    let more = sections["required"].as_array().cloned().unwrap_or_default();
    plan["required"] = required.into_iter().chain(more).chain(["diagnostics".into()]).collect();
    if let (Some(properties), Some(sections)) = (plan["properties"].as_object_mut(), sections["properties"].as_object()) {
        properties.extend(sections.clone());
    }
    plan
}
