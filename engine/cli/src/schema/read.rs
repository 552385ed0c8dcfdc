//! What a JSON Schema says, as a list of settings for people.
//!
//! Of the language (draft 2020-12) this knows what schemas that are made from Rust types consist of.

use serde_json::Value;

/// A schema, or a part of one.
#[derive(Debug, Clone, Copy)]
pub struct Schema<'a> {
    root: &'a Value,
    here: &'a Value,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its place: `routes[].prefix`.
    pub path: String,
    /// What may stand there, in words.
    pub kind: String,
    /// Whether it must be there.
    pub required: bool,
    /// What holds without it, as JSON, where that is more than nothing.
    pub default: Option<String>,
    /// What it means.
    pub doc: String,
}

impl<'a> Schema<'a> {
    /// A whole schema.
    pub fn new(root: &'a Value) -> Schema<'a> {
        Schema { root, here: root }.resolved()
    }

    /// What the schema says of itself.
    pub fn description(&self) -> String {
        self.here["description"].as_str().map(one_line).unwrap_or_default()
    }

    /// All settings, each before those inside of it.
    pub fn settings(&self) -> Vec<Setting> {
        let mut found = Vec::new();
        // Longer than any setting is deep: types may contain themselves.
        self.collect("", 8, &mut found);
        found
    }

    fn collect(&self, path: &str, depth: usize, found: &mut Vec<Setting>) {
        if depth == 0 {
            return;
        }
        for schema in self.alternatives() {
            for (name, here) in properties(schema.here) {
                let member = Schema { here, ..*self };
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let default = here.get("default").filter(|value| !is_nothing(value));
                found.push(Setting {
                    path: path.clone(),
                    kind: member.words(),
                    required: schema.required().any(|required| required == name),
                    default: default.map(Value::to_string),
                    doc: member.doc(),
                });
                member.collect(&path, depth - 1, found);
            }
            if let Some(items) = schema.here.get("items") {
                Schema { here: items, ..*self }.collect(&format!("{path}[]"), depth - 1, found);
            }
        }
    }

    fn resolved(self) -> Schema<'a> {
        let mut schema = self;
        // A chain of references longer than this is a circle.
        for _ in 0..8 {
            let Some(name) = schema.here["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) else { break };
            schema.here = &schema.root["$defs"][name];
        }
        schema
    }

    /// The schemas of which one holds.
    fn alternatives(&self) -> Vec<Schema<'a>> {
        let schema = self.resolved();
        let alternatives = ["oneOf", "anyOf"].iter().find_map(|key| schema.here.get(key)?.as_array());
        match alternatives {
            Some(list) => list.iter().flat_map(|here| Schema { here, ..*self }.alternatives()).collect(),
            None => vec![schema],
        }
    }

    fn types(&self) -> Vec<&'a str> {
        match &self.here["type"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ if self.here.get("const").is_some() || self.here.get("enum").is_some() => vec!["string"],
            _ => Vec::new(),
        }
    }

    fn required(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.here["required"].as_array().into_iter().flatten().filter_map(Value::as_str)
    }

    fn words_allowed(&self) -> Vec<&'a Value> {
        let words = self.here.get("const").into_iter().chain(self.here["enum"].as_array().into_iter().flatten());
        words.collect()
    }

    /// What may stand here, in words.
    pub fn words(&self) -> String {
        self.words_for(false)
    }

    fn words_for(&self, plural: bool) -> String {
        let alternatives = self.alternatives();
        let words = alternatives.iter().flat_map(Schema::words_allowed);
        let mut named: Vec<String> = words.filter_map(|word| Some(format!("`{}`", word.as_str()?))).collect();
        for schema in alternatives.iter().filter(|schema| schema.words_allowed().is_empty()) {
            for word in schema.type_words(plural) {
                if !named.contains(&word) {
                    named.push(word);
                }
            }
        }
        match &named[..] {
            [] => if plural { "values" } else { "any value" }.into(),
            [one] => one.clone(),
            [one, other] => format!("{one} or {other}"),
            [others @ .., last] => format!("{}, or {last}", others.join(", ")),
        }
    }

    /// What may stand here by its types, each in words.
    fn type_words(&self, plural: bool) -> Vec<String> {
        let form = |one: &str, many: &str| if plural { many.to_owned() } else { one.to_owned() };
        // What has a form of its own says its name, and how it looks.
        if let (Some(name), Some(example)) = (self.here["title"].as_str(), self.here["examples"][0].as_str()) {
            let article = if name.starts_with(['I', 'a', 'e', 'i', 'o']) { "an" } else { "a" };
            return vec![form(&format!("{article} {name}"), &plural_of(name)) + &format!(" such as `{example}`")];
        }
        let words = |name: &str| match name {
            "null" => None,
            "boolean" => Some("`true` or `false`".into()),
            "integer" => Some(self.bounded(&form("an integer", "integers"))),
            "number" => Some(form("a number", "numbers")),
            "array" => {
                let items = self.here.get("items").map(|here| Schema { here, ..*self }.words_for(true));
                let list = form("a list", "lists");
                Some(items.map_or(list.clone(), |items| format!("{list} of {items}")))
            }
            "object" => Some(form("a mapping", "mappings")),
            _ if self.here["format"] == "ipv4" => Some(form("an IPv4 address", "IPv4 addresses")),
            _ => Some(form("a string", "strings")),
        };
        self.types().into_iter().filter_map(words).collect()
    }

    fn bounded(&self, what: &str) -> String {
        let bound = |key: &str| self.here.get(key).and_then(Value::as_number).map(ToString::to_string);
        match (bound("minimum"), bound("maximum")) {
            (Some(low), Some(high)) => format!("{what} from {low} to {high}"),
            (Some(low), None) => format!("{what} from {low}"),
            (None, Some(high)) => format!("{what} up to {high}"),
            (None, None) => what.into(),
        }
    }

    /// Its own documentation or that of its type, and what its words mean.
    fn doc(&self) -> String {
        let alternatives = self.alternatives();
        let of_types = alternatives.iter().filter(|schema| schema.words_allowed().is_empty());
        let mut docs = [*self, self.resolved()].into_iter().chain(of_types.copied()).map(|schema| schema.description());
        let mut doc = docs.find(|doc| !doc.is_empty()).unwrap_or_default();
        for (word, meaning) in alternatives.iter().filter_map(|schema| Some((schema.here["const"].as_str()?, schema.description())))
        {
            if !meaning.is_empty() {
                doc += &format!(" `{word}`: {meaning}");
            }
        }
        doc.trim_start().into()
    }
}

fn plural_of(name: &str) -> String {
    let ending = if name.ends_with(['s', 'x']) { "es" } else { "s" };
    format!("{name}{ending}")
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

/// A default that is said by saying nothing.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty) || value.is_object()
}

/// A text whose line breaks mean nothing, as one line.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
