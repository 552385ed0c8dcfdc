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

#[test]
fn all_mistakes_are_found() {
    let root = schema();
    let check = |value: Value| Schema::new(&root).check(&value);
    assert_eq!(check(json!({ "port": 5 })), []);
    let good = json!({
        "port": 5, "name": null, "rules": [{ "prefix": "x", "rules": [] }], "mode": "slow", "sink": { "deep": true, "other": 1 },
        "loop": true,
    });
    assert_eq!(check(good), []);
    let known = "expected one of `port`, `name`, `rules`, `mode`, `sink`, `pace`, `loop`";
    let table = [
        (json!({}), "", "missing field `port`".to_owned()),
        (json!({ "port": 1, "prot": 2 }), "", format!("unknown field `prot`, {known}")),
        (json!({ "port": "1" }), "port", "invalid type: string \"1\", expected an integer from 0 to 65535".into()),
        (json!({ "port": 1.5 }), "port", "invalid type: floating point `1.5`, expected an integer from 0 to 65535".into()),
        (json!({ "port": 65536 }), "port", "invalid value: integer `65536`, expected an integer from 0 to 65535".into()),
        (json!({ "port": 1, "rules": [{ "prefix": "x" }, {}] }), "rules[1]", "missing field `prefix`".into()),
        (json!({ "port": 1, "rules": [{ "prefix": [] }] }), "rules[0].prefix", "invalid type: sequence, expected a string".into()),
        (json!({ "port": 1, "mode": "quick" }), "mode", "unknown variant `quick`, expected one of `fast`, `slow`".into()),
        (json!({ "port": 1, "sink": { "deep": 1 } }), "sink.deep", "invalid type: integer `1`, expected `true` or `false`".into()),
        (json!({ "port": 1, "loop": 0 }), "loop", "invalid value: integer `0`, expected an integer from 1".into()),
        (json!([]), "", "invalid type: sequence, expected a mapping".into()),
    ];
    for (value, path, message) in table {
        assert_eq!(check(value.clone()), [(path.to_owned(), message)], "{value}");
    }
    assert_eq!(check(json!({ "port": -1, "x": 1, "rules": [{}] })).len(), 3);
}
