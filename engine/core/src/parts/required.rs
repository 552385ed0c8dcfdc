//! Which keys a JSON Schema wants, for serde tells only the first that is missing.

use serde_json::Value;

/// The keys that a mapping at a path, such as `routes[3]`, must have. None where the schema leaves more than one form to choose from.
pub(super) fn required<'a>(schema: &'a Value, path: &str) -> Vec<&'a str> {
    let mut here = resolve(schema, schema);
    for step in path.split(['.', '[']).filter(|step| !step.is_empty() && *step != ".") {
        let Some(schema_here) = here else { return Vec::new() };
        let next = if step.ends_with(']') { schema_here.get("items") } else { schema_here["properties"].get(step) };
        here = next.and_then(|next| resolve(schema, next));
    }
    let keys = here.and_then(|here| here["required"].as_array());
    keys.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Behind references, and of the alternatives the only one that is not `null`.
fn resolve<'a>(root: &'a Value, mut here: &'a Value) -> Option<&'a Value> {
    // A chain of references longer than this is a circle.
    for _ in 0..8 {
        if let Some(name) = here["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
            here = &root["$defs"][name];
        } else if let Some(list) = ["anyOf", "oneOf"].iter().find_map(|key| here.get(key)?.as_array()) {
            let mut others = list.iter().filter(|one| one["type"] != "null");
            here = others.next()?;
            if others.next().is_some() {
                return None;
            }
        } else {
            return Some(here);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_found_behind_lists_references_and_options() {
        let schema = json!({
            "properties": {
                "list": { "type": "array", "items": { "$ref": "#/$defs/Item" } },
                "maybe": { "anyOf": [{ "$ref": "#/$defs/Item" }, { "type": "null" }] },
                "either": { "oneOf": [{ "required": ["x"] }, { "required": ["y"] }] },
                "circle": { "$ref": "#/$defs/Circle" },
            },
            "required": ["list", "maybe"],
            "$defs": { "Item": { "required": ["a", "b"] }, "Circle": { "$ref": "#/$defs/Circle" } },
        });
        let keys = |path| required(&schema, path);
        assert_eq!(keys(""), ["list", "maybe"]);
        assert_eq!(keys("list[3]"), ["a", "b"]);
        assert_eq!(keys("maybe"), ["a", "b"]);
        for none in ["either", "circle", "other", "list", "list[0].a"] {
            assert_eq!(keys(none), [""; 0], "{none}");
        }
    }
}
