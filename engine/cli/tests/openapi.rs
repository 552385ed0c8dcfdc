//! The OpenAPI document of the control API: that it describes what there is, and that others can read it.

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::running::Running;
use common::{Place, has, python};
use serde_json::json;

const GRAPH: &str = "version: 1
interfaces: { lan: { driver: memory, generate: { rate: 1, packets: [udp 10.0.0.1:1 > 10.0.0.2:2] } } }
tables:
  neighbours: { kind: neighbours }
  routes: { kind: fib4 }
nodes:
  in:  { kind: rx, interface: lan, to: out }
  out: { kind: drop }
";

#[test]
fn every_resource_that_is_described_is_there_and_as_described() {
    if !has("curl") {
        return;
    }
    let place = Place::new();
    let running = Running::start(&place, GRAPH);
    let (status, served) = running.curl(&[], "/v1/openapi.json");
    assert_eq!((status, &served), (200, &swath_ctl::api::document()));
    let document: serde_json::Value = serde_json::from_str(&served).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let names = [
        ("/v1/interfaces/{name}", "lan"),
        ("/v1/tables/{name}", "routes"),
        ("/v1/tables/{name}/commands", "routes"),
        ("/v1/nodes/{name}", "in"),
        ("/v1/revisions/{number}", ""),
        ("/v1/revisions/{from}/changes/{to}", ""),
    ];
    let graph = json!({ "files": [{ "name": "new.yaml", "text": GRAPH.replace("rate: 1,", "rate: 2,") }] });
    let plan = json!({ "graph": graph }).to_string();
    let apply = json!({ "graph": graph, "confirm": 600 }).to_string();
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let name = names.iter().find(|(known, _)| known == path).map(|(_, name)| *name);
        assert_eq!(path.contains('{'), name.is_some(), "{path}: which one?");
        let resource = path.replace("{name}", name.unwrap_or_default());
        let resource = ["{number}", "{from}", "{to}"].iter().fold(resource, |resource, number| resource.replace(number, "1"));
        for (method, described) in methods.as_object().unwrap() {
            let body = match method.as_str() {
                "get" => None,
                "patch" => Some(r#"{"admin": "up"}"#),
                "post" => Some(match path.as_str() {
                    "/v1/plan" => &plan,
                    "/v1/apply" => &apply,
                    // Of the graph that was applied, which stands before it.
                    "/v1/confirm" => "",
                    "/v1/rollback" => "{}",
                    "/v1/tap" => r#"{"at": ["in"], "count": 1}"#,
                    "/v1/drops/packets" => r#"{"count": 1}"#,
                    "/v1/trace" => r#"{"count": 1}"#,
                    "/v1/explain" => r#"{"in": "lan", "frame": "020000000001020000000002ffff"}"#,
                    _ => r#"{"show": {}}"#,
                }),
                other => panic!("{other} {path}"),
            };
            let method = method.to_uppercase();
            let mut arguments = vec!["--request", &method];
            arguments.extend(body.iter().flat_map(|body| ["--data", body]));
            let (status, answer) = running.curl(&arguments, &resource);
            assert_eq!(status, 200, "{method} {resource}: {answer}");
            let content = &described["responses"]["200"]["content"];
            // Of lines, what is seen is what has members.
            let is_lines = content.get("application/x-ndjson").is_some();
            let answers: Vec<&str> = if is_lines { answer.lines().collect() } else { vec![&answer] };
            for answer in answers {
                let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
                let (schema, answer) = match is_lines {
                    true => (&document["components"]["schemas"]["Seen"], &answer["seen"]),
                    false => (&content["application/json"]["schema"], &answer),
                };
                if !answer.is_null() {
                    fits(&document, schema, answer, &format!("{method} {path}"));
                }
            }
            for (status, response) in
                described["responses"].as_object().unwrap().iter().filter(|(status, _)| status.as_str() >= "400")
            {
                let problem = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(problem, "#/components/schemas/Problem", "{method} {path}: {status}");
            }
            asked += 1;
        }
    }
    assert_eq!(asked, 25);
    running.end();
}

/// Whether an answer has all members that its schema requires, and no others.
fn fits(document: &serde_json::Value, schema: &serde_json::Value, answer: &serde_json::Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        return fits(document, document.pointer(reference.trim_start_matches('#')).unwrap(), answer, at);
    }
    if let Some(items) = schema.get("items") {
        let list = answer.as_array().unwrap_or_else(|| panic!("{at}: {answer}"));
        return list.iter().for_each(|item| fits(document, items, item, at));
    }
    let Some(properties) = schema["properties"].as_object() else { return };
    let members = answer.as_object().unwrap_or_else(|| panic!("{at}: {answer}"));
    for (name, value) in members {
        let property = properties.get(name).unwrap_or_else(|| panic!("{at}: `{name}` is not described"));
        assert!(!property["description"].as_str().unwrap_or(" ").is_empty());
        fits(document, property, value, &format!("{at}: {name}"));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(members.contains_key(name.as_str().unwrap()), "{at}: {name} is missing");
    }
}

#[test]
fn a_validator_of_others_finds_nothing_wrong() {
    let Some(python) = python() else { return };
    let script = "import json, sys\nfrom openapi_spec_validator import OpenAPIV31SpecValidator as V\n\
                  errors = [e.message for e in V(json.load(sys.stdin)).iter_errors()]\nprint(errors)\nsys.exit(bool(errors))";
    let mut validator = Command::new(python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    validator.stdin.take().unwrap().write_all(swath_ctl::api::document().as_bytes()).unwrap();
    let output = validator.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
