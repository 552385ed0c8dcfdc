use serde_json::json;

use super::*;

/// As schemars makes them: of a struct with a number, a list of structs that contain themselves, an enum with documentation, an
/// optional struct, and a type that is written in several ways.
fn schema() -> Value {
    json!({
        "description": "A thing.\n\nOf several\nlines.",
        "type": "object",
        "additionalProperties": false,
        "required": ["port"],
        "properties": {
            "port": { "description": "Where.", "type": "integer", "format": "uint16", "minimum": 0, "maximum": 65535 },
            "name": { "type": ["string", "null"], "default": null },
            "rules": { "type": "array", "items": { "$ref": "#/$defs/Rule" }, "default": [] },
            "mode": { "$ref": "#/$defs/Mode", "default": "fast" },
            "sink": { "anyOf": [{ "$ref": "#/$defs/Sink" }, { "type": "null" }] },
            "pace": { "title": "duration", "type": ["string", "null"], "pattern": "^[0-9]+(s|ms)$", "examples": ["5s", "500ms"] },
            "loop": { "oneOf": [{ "type": "integer", "minimum": 1 }, { "type": "boolean" }] },
        },
        "$defs": {
            "Rule": {
                "type": "object", "additionalProperties": false, "required": ["prefix"],
                "properties": { "prefix": { "type": "string" }, "rules": { "type": "array", "items": { "$ref": "#/$defs/Rule" } } },
            },
            "Mode": {
                "description": "How fast.",
                "oneOf": [{ "const": "fast", "type": "string" }, { "const": "slow", "type": "string", "description": "At rest." }],
            },
            "Sink": { "description": "Where to.", "type": "object", "properties": { "deep": { "type": "boolean" } } },
        },
    })
}

#[test]
fn settings_come_with_all_that_is_known_of_them() {
    let root = schema();
    let schema = Schema::new(&root);
    assert_eq!(schema.description(), "A thing. Of several lines.");
    let settings = schema.settings();
    let find = |path: &str| settings.iter().find(|setting| setting.path == path).unwrap();
    let port = Setting {
        path: "port".into(),
        kind: "an integer from 0 to 65535".into(),
        required: true,
        default: None,
        doc: "Where.".into(),
    };
    assert_eq!(*find("port"), port);
    assert_eq!((&*find("name").kind, &find("name").default), ("a string", &None));
    assert_eq!(find("rules").kind, "a list of mappings");
    assert!(find("rules[].prefix").required);
    assert!(!find("rules[].rules[].rules").required);
    let mode = find("mode");
    assert_eq!((&*mode.kind, mode.default.as_deref()), ("`fast` or `slow`", Some("\"fast\"")));
    assert_eq!(mode.doc, "How fast. `slow`: At rest.");
    assert_eq!(find("sink.deep").kind, "`true` or `false`");
    assert_eq!(find("sink").doc, "Where to.");
    assert_eq!(find("pace").kind, "a duration such as `5s`");
    assert_eq!(find("loop").kind, "an integer from 1 or `true` or `false`");
}
