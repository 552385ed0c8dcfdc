//! What commands write as JSON, against the schemas that `swath schema --of` writes, by an independent validator.

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::running::{ROUTER, Running};
use common::{Place, python, said};
use serde_json::{Value, json};

/// Outputs by name, and the commands that write them. Of some it is a line each.
const OUTPUTS: [(&str, &[&str]); 17] = [
    ("show", &["show"]),
    ("show-interfaces", &["show", "interfaces"]),
    ("show-interface", &["show", "interfaces", "lan"]),
    ("show-tables", &["show", "tables"]),
    ("show-table", &["show", "tables", "routes"]),
    ("show-nodes", &["show", "nodes"]),
    ("show-node", &["show", "nodes", "lookup"]),
    ("show-runtime", &["show", "runtime"]),
    ("show-drops", &["show", "drops"]),
    ("show-config", &["show", "config"]),
    ("drops", &["drops"]),
    ("drops-line", &["drops", "--follow", "-n", "3"]),
    ("tap", &["tap", "lookup", "-n", "3"]),
    ("trace", &["trace", "-n", "3"]),
    ("explain", &["explain", "--in", "lan", "udp 192.168.1.2:1 > 172.16.0.1:2"]),
    ("explain", &["explain", "--in", "lan", "udp 192.168.1.2:1 > 10.0.0.1:2"]),
    ("plan", &["plan", "OTHER"]),
];

/// Reads pairs of schema and value, and says what is wrong with each.
const VALIDATOR: &str = "import json, sys
from jsonschema import Draft202012Validator as V
for pair in json.load(sys.stdin):
    V.check_schema(pair['schema'])
    for error in V(pair['schema']).iter_errors(pair['value']):
        print(pair['name'], error.json_path, error.message)
";

#[test]
fn what_commands_write_is_what_their_schemas_say() {
    let Some(python) = python() else { return };
    let place = Place::new();
    let running = Running::start(&place, ROUTER);
    running.until("/v1/drops/samples", |samples| !samples.as_array().unwrap().is_empty());
    let other = place
        .text("other.yaml", &ROUTER.replace("10.0.0.0/8", "10.0.0.0/9").replace("  tx: ", "  more:     { kind: drop }\n  tx: "));
    let mut pairs = Vec::new();
    for (name, command) in OUTPUTS {
        let schema = said(["schema", "--of", name]);
        assert_eq!((schema.code, &*schema.err), (0, ""), "{name}");
        let schema: Value = serde_json::from_str(&schema.out).unwrap();
        let args: Vec<&str> = command.iter().map(|word| if *word == "OTHER" { other.to_str().unwrap() } else { *word }).collect();
        let said = running.ask(args.iter().chain(&["--format", "json"]));
        // A plan with changes ends with 2.
        assert_eq!(said.code, if name == "plan" { 2 } else { 0 }, "{command:?}: {}", said.err);
        let is_lines = matches!(name, "drops-line" | "tap" | "trace");
        let values: Vec<Value> = match is_lines {
            true => said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            false => vec![serde_json::from_str(&said.out).unwrap()],
        };
        assert_eq!(values.len(), if is_lines { 3 } else { 1 }, "{command:?}");
        // A validator that accepts whatever comes would be of no use.
        pairs.push(json!({ "name": format!("{name}: refused as it should be"), "schema": schema, "value": { "nobody": "knows" } }));
        pairs.extend(values.into_iter().map(|value| json!({ "name": name, "schema": schema, "value": value })));
    }
    let mut validator = Command::new(python).args(["-c", VALIDATOR]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    validator.stdin.take().unwrap().write_all(Value::from(pairs).to_string().as_bytes()).unwrap();
    let output = validator.wait_with_output().unwrap();
    assert!(output.status.success());
    let found = String::from_utf8(output.stdout).unwrap();
    let (refused, wrong): (Vec<&str>, Vec<&str>) = found.lines().partition(|line| line.contains(": refused as it should be"));
    assert_eq!(wrong, Vec::<&str>::new());
    for (name, _) in OUTPUTS {
        assert!(refused.iter().any(|line| line.starts_with(&format!("{name}:"))), "{name} accepts anything");
    }
    running.end();
}
