//! The reader against independent ones, its spans, and its limits.

use proptest::prelude::*;
use saphyr::LoadableYamlNode;

use super::*;
use crate::spec::source::SourceMap;

fn read_all(text: &str) -> (SourceMap, Option<Value>, Diagnostics) {
    let mut sources = SourceMap::new();
    let id = sources.add("a.yaml", text);
    let mut diagnostics = Diagnostics::new();
    let value = read(sources.get(id).unwrap(), &mut diagnostics);
    (sources, value, diagnostics)
}

fn good(text: &str) -> (SourceMap, Value) {
    let (sources, value, diagnostics) = read_all(text);
    assert_eq!(diagnostics.render(&sources, false), "");
    (sources, value.unwrap())
}

/// Every construct of YAML that graph files may use and on which the schemas agree.
const EVERYTHING: &str = r#"
# a comment – with é and 𝔘
plain: a b  c
folded: a
  b

  c
numbers: [1, -2, 0x1F, 0o17, 1.5, -2.5e3, .5, 18446744073709551615, 9223372036854775808]
words: [true, false, null, ~, "true", 'null', yes, no, on, off]
quoted: ["é\u00e9\n\t\"", 'it''s', "two
  lines", ""]
literal: |
  one
    two

  three
stripped: |-
  one
kept: |+
  one

folded-text: >
  one
  two

  three
empty:
flow: {a: 1, "b": {c: [d, {e: f}], g: }, ::1: x, h: fd00::1/64, }
list:
- 1
-
- - 2
  - 3
- a: 4
  b:
  - 5
anchored: &list [1, {a: &inner x}]
alias: *list
nested: [*inner, *list]
größe: 𝔘
? explicit
: value
"#;

fn from_saphyr(yaml: &saphyr::Yaml<'_>) -> serde_json::Value {
    use saphyr::{Scalar, Yaml};
    match yaml {
        Yaml::Value(Scalar::Null) => serde_json::Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => (*value).into(),
        Yaml::Value(Scalar::Integer(value)) => (*value).into(),
        Yaml::Value(Scalar::FloatingPoint(value)) => value.into_inner().into(),
        Yaml::Value(Scalar::String(text)) => text.as_ref().into(),
        Yaml::Sequence(values) => values.iter().map(from_saphyr).collect(),
        Yaml::Mapping(entries) => {
            let entry = |(key, value): (&Yaml<'_>, _)| (key.as_str().unwrap().to_owned(), from_saphyr(value));
            serde_json::Value::Object(entries.iter().map(entry).collect())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_tree_is_that_of_libyaml() {
    for text in [EVERYTHING, &EVERYTHING.replace('\n', "\r\n")] {
        // It takes no key that starts with a colon.
        let text = text.replace("::1: x, ", "");
        let theirs: serde_json::Value = serde_yaml_ng::from_str(&text).unwrap();
        assert_eq!(good(&text).1.to_json(), theirs);
    }
}

#[test]
fn the_tree_is_that_of_saphyr() {
    // Its integers end at 2^63.
    let text = EVERYTHING.replace(", 18446744073709551615, 9223372036854775808", "");
    let theirs = saphyr::Yaml::load_from_str(&text).unwrap();
    assert_eq!(good(&text).1.to_json(), from_saphyr(&theirs[0]));
}

#[test]
fn json_is_yaml() {
    let text = "{\"a\": [1, 2.5, true, null, \"x\\u00e9\\\"\"], \"b\":{\"c\":{}}, \"d\":[]}";
    let (_, value) = good(text);
    assert_eq!(value.to_json(), serde_json::from_str::<serde_json::Value>(text).unwrap());
    let bytes = value.to_json_bytes();
    let compact = r#"{"a":[1,2.5,true,null,"xé\""],"b":{"c":{}},"d":[]}"#;
    assert_eq!(bytes, compact.as_bytes());
}

/// Every value of the tree whose text is the value itself.
fn assert_spans(value: &Value, source: &Source) {
    let text = source.slice(value.span);
    match &value.node {
        Node::Null => assert!(["", "~", "null"].contains(&text), "{text:?}"),
        Node::Bool(value) => assert_eq!(text, value.to_string()),
        Node::Int(_) | Node::Uint(_) | Node::Float(_) => {
            assert_eq!(scalar::resolve(text).as_ref(), Some(&value.node));
        }
        Node::Str(string) if text == &**string => {}
        // Quoted, folded, or the lines of a block scalar.
        Node::Str(string) => assert_eq!(text.trim_matches(['"', '\'']).get(..1), string.get(..1)),
        Node::Seq(values) => {
            assert!(text.starts_with(['[', '-']), "{text:?}");
            assert!(!text.starts_with('[') || text.ends_with(']'), "{text:?}");
            values.iter().for_each(|value| assert_spans(value, source));
        }
        Node::Rows(_) => panic!("no file of data is read here"),
        Node::Map(entries) => {
            assert!(!text.starts_with('{') || text.ends_with('}'), "{text:?}");
            for entry in entries {
                let key = source.slice(entry.key_span);
                assert_eq!(key.trim_matches('"'), &*entry.key);
                assert_spans(&entry.value, source);
            }
        }
    }
}

#[test]
fn spans_cover_exactly_the_text() {
    let mark = format!("\u{feff}{EVERYTHING}");
    for text in [EVERYTHING, &mark, &EVERYTHING.replace('\n', "\r\n")] {
        let (sources, value) = good(text);
        let source = sources.iter().next().unwrap();
        assert_spans(&value, source);
        let text = |path: &str| source.slice(value.locate(path).value.span).replace('\r', "");
        assert_eq!(text("plain"), "a b  c");
        assert_eq!(text("folded"), "a\n  b\n\n  c");
        assert_eq!(text("quoted[2]"), "\"two\n  lines\"");
        assert_eq!(text("literal"), "one\n    two\n\n  three");
        assert_eq!(text("flow.b"), "{c: [d, {e: f}], g: }");
        assert_eq!(text("list"), "- 1\n-\n- - 2\n  - 3\n- a: 4\n  b:\n  - 5");
        assert_eq!(text("list[2]"), "- 2\n  - 3");
        assert_eq!(text("anchored"), "[1, {a: &inner x}]");
        assert_eq!(text("nested[0]"), "x");
        let at = |path: &str| {
            let position = source.position(value.locate(path).value.span.start as usize);
            (position.line, position.column)
        };
        // Values without a text stand where their text would.
        assert_eq!(at("empty"), (27, 7));
        assert_eq!(at("flow.b.g"), (28, 38));
        assert_eq!(at("list[1]"), (31, 2));
        assert_eq!(at("größe"), (40, 8));
    }
}

#[test]
fn paths_lead_to_places() {
    let (sources, value) = good("a.b: { c: 1 }\na: { b: { d: 2 }, x-y: [0, { z: 3 }] }\n");
    let source = sources.iter().next().unwrap();
    let locate = |path: &str| {
        let place = value.locate(path);
        let rest = place.rest.to_owned();
        (source.slice(place.value.span), source.slice(place.key_span()), rest)
    };
    let found = |value, key, rest: &str| (value, key, rest.to_owned());
    assert_eq!(locate("a.b.c"), found("1", "c", ""));
    assert_eq!(locate("a.x-y[1].z"), found("3", "z", ""));
    assert_eq!(locate("a.x-y[1]"), found("{ z: 3 }", "{ z: 3 }", ""));
    assert_eq!(locate("a.x-y[7].z"), found("[0, { z: 3 }]", "x-y", "[7].z"));
    assert_eq!(locate("a.x-y[1].q"), found("{ z: 3 }", "{ z: 3 }", ".q"));
    assert_eq!(locate("a.x.z").2, ".x.z");
    assert_eq!(locate("a.x-y[18446744073709551616]").2, "[18446744073709551616]");
    assert_eq!(locate(".").2, "");
    assert_eq!(locate("q[é").2, "q[é");
}

#[test]
fn aliases_copy_what_is_anchored() {
    for (text, json) in [
        ("a: &x 1\nb: *x", r#"{"a":1,"b":1}"#),
        ("- &x [1]\n- &x [2]\n- *x", "[[1],[2],[2]]"),
        ("a: {b: [0, &x {c: &y d}]}\ne: [*y, *x]", r#"{"a":{"b":[0,{"c":"d"}]},"e":["d",{"c":"d"}]}"#),
        ("a: [[&x 1, *x], *x]", r#"{"a":[[1,1],1]}"#),
        ("a: &x\nb: *x", r#"{"a":null,"b":null}"#),
        ("- &x\n- *x\n- b", r#"[null,null,"b"]"#),
        ("a: &x # no\n  # value\n  b: 1\nc: *x", r#"{"a":{"b":1},"c":{"b":1}}"#),
        ("a: &x k\n*x : 1", r#"{"a":"k","k":1}"#),
    ] {
        assert_eq!(String::from_utf8(good(text).1.to_json_bytes()).unwrap(), json, "{text}");
    }
}

#[test]
fn the_budget_of_aliases_is_exact() {
    // Of each copy 1024 values: the list and its 1023 entries.
    let text = |copies: usize| {
        let list = vec!["x"; 1023].join(",");
        format!("a: &a [{list}]\nb: [{}]", vec!["*a"; copies].join(","))
    };
    assert_eq!(read_all(&text(128)).2.errors(), 0);
    assert_eq!(read_all(&text(129)).2.sorted()[0].code, Code::AliasBudget);
}

#[test]
fn depth_is_bounded_exactly() {
    let text = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(read_all(&text(MAX_DEPTH)).2.errors(), 0);
    assert_eq!(read_all(&text(MAX_DEPTH + 1)).2.sorted()[0].code, Code::TooDeep);
}

#[test]
fn what_was_refused_is_left_out_and_the_rest_is_kept() {
    let (_, value, diagnostics) = read_all("a: 1\na: 2\n1: x\n<<: { q: 1 }\n[k]: 3\nb: &b { c: !t d }\ne: *b\n");
    assert_eq!(diagnostics.errors(), 5);
    let json = r#"{"a":1,"b":{"c":"d"},"e":{"c":"d"}}"#;
    assert_eq!(String::from_utf8(value.unwrap().to_json_bytes()).unwrap(), json);
}

#[test]
fn too_large_texts_are_not_read() {
    let (_, value, diagnostics) = read_all(&"#".repeat(MAX_TEXT + 1));
    assert!(value.is_none());
    assert_eq!(diagnostics.sorted()[0].code, Code::TooLarge);
}

/// Inputs that make careless readers quadratic, or exhaust the memory or the stack.
#[test]
fn hostile_texts_come_to_an_end() {
    let size = 64 << 10;
    for unit in [
        "[",
        "{",
        "- ",
        "? ",
        "[a, ",
        "{a: ",
        "a: ",
        "&a ",
        "!a ",
        "*a",
        "'",
        "\"",
        "\"\\",
        "|\n",
        ">\n \n",
        "#\n",
        "# ",
        "\t",
        " ",
        "\r",
        "\n",
        "a\n",
        "a: b\n",
        "[],",
        "- - \n",
        "? a\n",
        "{}: ",
        "--- a\n",
        "...\n",
        "%a\n",
        "é",
        "\u{feff}",
        "a:\n ",
        "- &a a\n",
        "1: 2\n",
        "a: &a\n",
        "- [",
        "- {a: [",
        ",",
        "a #",
        "<<: 1\n",
        "\\",
        "'' ",
        "- !!a b\n",
        "x: - ",
    ] {
        let text = unit.repeat(size / unit.len());
        for text in [format!("[{text}"), format!("a: [{text}]"), text] {
            let (sources, _, diagnostics) = read_all(&text);
            let shown = diagnostics.render(&sources, false);
            let json = diagnostics.to_json(&sources);
            assert!(json.as_array().unwrap().len() <= crate::spec::MAX_SHOWN && shown.len() < 1 << 20);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let (sources, _, diagnostics) = read_all(&text);
        prop_assert_eq!(diagnostics.render(&sources, true).is_empty(), diagnostics.errors() == 0);
    }

    #[test]
    fn no_text_of_indicators_panics(text in "[\\[\\]{}:,?&*!|>'\"%@`#~<. \\t\\r\\na0é\\\\-]{0,80}") {
        let (sources, _, diagnostics) = read_all(&text);
        prop_assert_eq!(diagnostics.render(&sources, false).is_empty(), diagnostics.errors() == 0);
        prop_assert!(diagnostics.to_json(&sources).is_array());
    }

    #[test]
    fn no_mutation_panics(
        cut in 0..EVERYTHING.len(),
        length in 0..20_usize,
        insert in "[\\[\\]{}:,?&*!|>'\"#<. \\t\\r\\na-]{0,4}",
    ) {
        let (from, to) = (EVERYTHING.floor_char_boundary(cut), EVERYTHING.floor_char_boundary(cut + length));
        let text = format!("{}{insert}{}", &EVERYTHING[..from], &EVERYTHING[to.max(from)..]);
        let (sources, value, diagnostics) = read_all(&text);
        prop_assert_eq!(diagnostics.render(&sources, false).is_empty(), diagnostics.errors() == 0);
        if let Some(value) = value.filter(|_| diagnostics.errors() == 0) {
            // What is accepted is what another reader of the same grammar accepts.
            prop_assert!(saphyr::Yaml::load_from_str(&text).is_ok());
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&value.to_json_bytes()).is_ok());
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut sources = SourceMap::new();
        let diagnostics = match sources.add_bytes("a.yaml", bytes) {
            Ok(id) => {
                let mut diagnostics = Diagnostics::new();
                read(sources.get(id).unwrap(), &mut diagnostics);
                diagnostics
            }
            Err(diagnostic) => diagnostic.into(),
        };
        prop_assert_eq!(diagnostics.render(&sources, false).is_empty(), diagnostics.errors() == 0);
    }
}
