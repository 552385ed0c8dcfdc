//! The settings of a kind, as they may be written in a graph: with variables, and with data in files of their own.

use serde_json::{Map, Value, json};

use super::read::{Schema, one_line};

/// A text with a variable, `${NAME}`, which may stand wherever a value stands.
pub const VARIABLE: &str = r"\$\{";

const IPV4: &str = r"^([0-9]{1,3}\.){3}[0-9]{1,3}$";
const IPV6: &str = r"^[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*$";

/// The settings of a kind.
pub struct Settings {
    pub properties: Map<String, Value>,
    pub required: Vec<String>,
    /// For each setting that must be there, but may be in a file: that one of the two is.
    pub either: Vec<Value>,
}

/// Adapts the schema of a kind's settings, and adds the definitions that it refers to, with `owner` before their names.
pub fn adapt_settings(schema: &Value, owner: &str, with_files: bool, all: &mut Map<String, Value>) -> Settings {
    for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
        all.insert(format!("{owner}.{name}"), adapt(definition, owner));
    }
    let mut properties = Map::new();
    let mut required: Vec<String> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect();
    let mut either = Vec::new();
    for (name, setting) in schema["properties"].as_object().into_iter().flatten() {
        properties.insert(name.clone(), adapt(setting, owner));
        if with_files && types(setting).contains(&"array") {
            let from = format!("{name}-from");
            let about = format!(
                "A file with more of `{name}`, or a list of files: CSV with a header, YAML, JSON, or lines. Relative to the file that says so."
            );
            let either_of = json!({ "anyOf": [{ "required": [name] }, { "required": [&from] }] });
            let file = json!({ "type": "string", "minLength": 1 });
            let files = json!({ "type": "array", "items": file });
            properties.insert(from, json!({ "anyOf": [file, files], "description": about }));
            if let Some(at) = required.iter().position(|required| required == name) {
                required.remove(at);
                either.push(either_of);
            }
        }
    }
    Settings { properties, required, either }
}

/// One of several words, each with what it means, or a variable.
pub fn words(words: Vec<(String, String)>) -> Value {
    let (names, meanings): (Vec<String>, Vec<String>) = words.into_iter().unzip();
    let mut known = json!({ "enum": names });
    if meanings.iter().any(|meaning| !meaning.is_empty()) {
        // Read by editors of the family of Visual Studio Code.
        known["markdownEnumDescriptions"] = meanings.into();
    }
    json!({ "anyOf": [known, variable()] })
}

/// A variable alone.
pub fn variable() -> Value {
    json!({ "type": "string", "pattern": VARIABLE })
}

/// A schema as one of a graph, where references go to the definitions of `owner`.
pub fn adapt(schema: &Value, owner: &str) -> Value {
    let Some(members) = schema.as_object() else { return schema.clone() };
    let each = |list: &Value| list.as_array().into_iter().flatten().map(|value| adapt(value, owner)).collect::<Value>();
    let mut adapted = match listed_words(members) {
        Some(list) => words(list).as_object().cloned().unwrap_or_default(),
        None => Map::new(),
    };
    let is_words = !adapted.is_empty();
    for (key, value) in members {
        match key.as_str() {
            "oneOf" | "enum" | "const" | "type" if is_words => {}
            "$schema" | "$defs" | "format" => {}
            // Editors would put it in.
            "default" if !value.is_boolean() && !value.is_number() && !value.is_string() => {}
            "description" => _ = adapted.insert(key.clone(), value.as_str().map(one_line).into()),
            "$ref" => {
                let name = value.as_str().and_then(|name| name.strip_prefix("#/$defs/")).unwrap_or_default();
                adapted.insert(key.clone(), format!("#/$defs/{owner}.{name}").into());
            }
            "properties" => {
                let members = value.as_object().into_iter().flatten();
                let members = members.map(|(name, value)| (name.clone(), adapt(value, owner)));
                adapted.insert(key.clone(), members.collect());
            }
            "items" | "additionalProperties" => _ = adapted.insert(key.clone(), adapt(value, owner)),
            // A variable fits several of them.
            "oneOf" | "anyOf" => _ = adapted.insert("anyOf".into(), each(value)),
            "allOf" => _ = adapted.insert(key.clone(), each(value)),
            _ => _ = adapted.insert(key.clone(), value.clone()),
        }
    }
    bound(members, &mut adapted);
    admit_variables(&mut adapted);
    if adapted.contains_key("pattern") {
        // Of the same editors. They would show the pattern.
        adapted.insert("patternErrorMessage".into(), format!("expected {}", Schema::new(schema).words()).into());
    }
    Value::Object(adapted)
}

/// The words of an enum without content.
fn listed_words(schema: &Map<String, Value>) -> Option<Vec<(String, String)>> {
    let word = |word: &Value, of: &Map<String, Value>| {
        let meaning = of.get("description").and_then(Value::as_str).map(one_line);
        Some((word.as_str()?.to_owned(), meaning.unwrap_or_default()))
    };
    if let Some(list) = schema.get("enum").and_then(Value::as_array) {
        return list.iter().map(|one| Some((one.as_str()?.to_owned(), String::new()))).collect();
    }
    if let Some(one) = schema.get("const") {
        return word(one, schema).map(|word| vec![word]);
    }
    let alternatives = schema.get("oneOf")?.as_array()?.iter();
    let lists = alternatives.map(|one| listed_words(one.as_object()?)).collect::<Option<Vec<_>>>();
    lists.map(|lists| lists.into_iter().flatten().collect())
}

/// What `format` says in words of its own, as bounds and patterns that every validator knows.
fn bound(schema: &Map<String, Value>, adapted: &mut Map<String, Value>) {
    let mut insert = |key: &str, value: Value| _ = adapted.entry(key).or_insert(value);
    match schema.get("format").and_then(Value::as_str) {
        Some("uint32") => insert("maximum", u32::MAX.into()),
        Some("int32") => {
            insert("minimum", i32::MIN.into());
            insert("maximum", i32::MAX.into());
        }
        Some("ipv4") => insert("pattern", IPV4.into()),
        Some("ipv6") => insert("pattern", IPV6.into()),
        Some("ip") => insert("pattern", format!("{IPV4}|{IPV6}").into()),
        _ => {}
    }
}

/// Keywords say something of values of their own type only, so a type may be added.
fn admit_variables(schema: &mut Map<String, Value>) {
    let Some(known) = schema.get("type").cloned() else { return };
    let mut types = types(&Value::Object(schema.clone())).into_iter().map(Value::from).collect::<Vec<_>>();
    if known == "null" {
        return;
    }
    match schema.get("pattern").and_then(Value::as_str) {
        Some(pattern) => _ = schema.insert("pattern".into(), format!("{pattern}|{VARIABLE}").into()),
        None if types.contains(&"string".into()) => {}
        None => {
            types.push("string".into());
            schema.insert("type".into(), types.into());
            schema.insert("pattern".into(), VARIABLE.into());
        }
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}
