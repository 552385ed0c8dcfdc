//! What is said about the mistakes that serde, nodes and plugins find.

use serde::Deserialize;

use super::*;
use crate::spec::source::SourceMap;
use crate::spec::yaml;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "only the errors are looked at")]
struct Config {
    routes: Vec<Route>,
    #[serde(default)]
    log: bool,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    share: Option<f64>,
    #[serde(default)]
    pair: (u8, i32),
    #[serde(default)]
    either: Option<Either>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the errors are looked at")]
struct Route {
    prefix: String,
    via: std::net::IpAddr,
    #[serde(default)]
    weight: u8,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only the errors are looked at")]
enum Mode {
    #[default]
    Strict,
    Loose {
        depth: u32,
    },
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
#[expect(dead_code, reason = "only the errors are looked at")]
enum Either {
    A { depth: u32 },
}

fn value(text: &str) -> (SourceMap, Value) {
    let mut sources = SourceMap::new();
    let id = sources.add("a.yaml", text);
    let value = yaml::read(sources.get(id).unwrap(), &mut Diagnostics::new());
    (sources, value.unwrap())
}

/// Code, the text pointed at, message and help.
fn told(sources: &SourceMap, diagnostic: &Diagnostic) -> (Code, String, String, String) {
    let span = diagnostic.span().unwrap();
    let text = sources.get(span.file).unwrap().slice(span);
    let help = diagnostic.help.clone().unwrap_or_default();
    (diagnostic.code, text.to_owned(), diagnostic.message.clone(), help)
}

#[test]
fn errors_of_serde_are_told_in_place() {
    use Code::*;
    for (text, code, place, message, help) in [
        ("rotues: []", UnknownKey, "rotues", "unknown key `rotues`", "did you mean `routes`?"),
        ("log: true", MissingKey, "log: true", "the key `routes` is missing", "add `routes: ...`"),
        ("routes: [{ prefix: a }]", MissingKey, "{ prefix: a }", "the key `via` is missing", "add `via: ...`"),
        (
            "routes: [{ prefix: a, via: ::1 }, { prefix: 5 }]",
            WrongType,
            "5",
            "expected a string, found integer 5",
            "put the value in quotes to make it a string",
        ),
        ("routes: [{ prefix: a, via: 10.0.0 }]", Setting, "10.0.0", "invalid IP address syntax", ""),
        (
            "routes: [{ prefix: a, via: ::1, weight: 256 }]",
            BadValue,
            "256",
            "expected an integer from 0 to 255, found integer 256",
            "",
        ),
        (
            "routes: [{ prefix: a, via: ::1, cost: 1 }]",
            UnknownKey,
            "cost",
            "unknown key `cost`",
            "known keys: `prefix`, `via`, `weight`",
        ),
        ("routes: { prefix: a }", WrongType, "{ prefix: a }", "expected a list, found a mapping", ""),
        ("routes:", WrongType, "", "expected a list, found nothing", "a key without a value means `null`: add the value"),
        ("{ routes: [], log: yes }", WrongType, "yes", "expected `true` or `false`, found string \"yes\"", "write `true`"),
        ("{ routes: [], mode: lose }", BadValue, "lose", "unknown word `lose`", "did you mean `loose`?"),
        (
            "{ routes: [], mode: { loose: { depth: -1 } } }",
            BadValue,
            "-1",
            "expected an integer from 0 to 4294967295, found integer -1",
            "",
        ),
        ("{ routes: [], mode: { loose: { } } }", MissingKey, "loose", "the key `depth` is missing", "add `depth: ...`"),
        ("{ routes: [], mode: 5 }", WrongType, "5", "expected a word or a mapping, found integer 5", ""),
        ("{ routes: [], share: half }", WrongType, "half", "expected a number, found string \"half\"", ""),
        ("{ routes: [], pair: [1] }", BadValue, "[1]", "expected a list of length 2, found length 1", ""),
        (
            "{ routes: [], either: { type: A, depth: x } }",
            WrongType,
            "{ type: A, depth: x }",
            "expected an integer from 0 to 4294967295, found string \"x\"",
            "",
        ),
        ("5", WrongType, "5", "expected a mapping, found integer 5", ""),
    ] {
        let (sources, value) = value(text);
        let error = deserialize::<Config>(&value).unwrap_err();
        let expected = (code, place.to_owned(), message.to_owned(), help.to_owned());
        assert_eq!(told(&sources, &error), expected, "{text}");
    }
}

#[test]
fn messages_of_plugins_are_told_in_place() {
    let (sources, value) = value("routes: [{ via: 10.0.0.1 }]\nlog: no");
    let told = |path, message| {
        let (code, place, message, _) = told(&sources, &Diagnostic::at_path(&value, path, message));
        (code, place, message)
    };
    let expect = |code, place: &str, message: &str| (code, place.to_owned(), message.to_owned());
    assert_eq!(told("routes[0].via", "no interface reaches this"), expect(Code::Setting, "10.0.0.1", "no interface reaches this"));
    assert_eq!(told("routes[0].mtu", "too small"), expect(Code::Setting, "{ via: 10.0.0.1 }", "`mtu`: too small"));
    assert_eq!(
        told("log", "invalid type: string \"no\", expected a boolean at line 3 column 12"),
        expect(Code::WrongType, "no", "expected `true` or `false`, found string \"no\"")
    );
    assert_eq!(told("log", "nothing arrives at line rate"), expect(Code::Setting, "no", "nothing arrives at line rate"));
    assert_eq!(told("", "unknown field `log`, there are no fields"), expect(Code::UnknownKey, "log", "unknown key `log`"));
    assert_eq!(told("routes[9", "odd").0, Code::Setting);
}

#[test]
fn all_mistakes_of_a_mapping_are_found() {
    let (sources, value) = value("{ routes: 1, log: 2, mode: { loose: 3 }, x: 4 }");
    let mut diagnostics = Diagnostics::new();
    assert!(deserialize_all::<Config>(value, &mut diagnostics).is_none());
    let places: Vec<_> = diagnostics.sorted().iter().map(|one| told(&sources, one).1).collect();
    assert_eq!(places, ["1", "2", "3", "x"]);
}
