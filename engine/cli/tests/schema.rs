//! `swath schema`, by an independent validator: `check-jsonschema` from PyPI, which reads YAML 1.2 and knows draft 2020-12.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{Place, said};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The validator, or none with a word on why. With `CI=true` that is a failure.
fn validator() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_BIN_EXE_swath")).ancestors().nth(2).unwrap();
    let environment = target.join("python");
    let made = Command::new(root().join(".ci/python")).arg(&environment).output().unwrap();
    if made.status.success() {
        return Some(environment.join("bin/check-jsonschema"));
    }
    let why = String::from_utf8_lossy(&made.stderr).into_owned();
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), ".ci/python: {why}");
    eprintln!("skipped: .ci/python cannot make an environment with check-jsonschema: {why}");
    None
}

fn run(validator: &Path, arguments: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) -> Output {
    Command::new(validator).args(arguments).output().unwrap()
}

/// The graphs of a directory.
fn graphs(directory: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(directory)).into_iter().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    found.sort();
    found
}

/// What the validator says of files, by file: nothing of those that it accepts.
fn check(validator: &Path, schema: &Path, files: &[PathBuf]) -> BTreeMap<PathBuf, String> {
    let options = ["--schemafile".as_ref(), schema.as_os_str(), "-o".as_ref(), "json".as_ref()];
    let output = run(validator, options.into_iter().chain(files.iter().map(|file| file.as_os_str())));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!("{}", String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    });
    let mut refused: BTreeMap<PathBuf, String> = BTreeMap::new();
    for error in ["errors", "parse_errors"].iter().flat_map(|list| said[list].as_array().into_iter().flatten()) {
        refused.entry(error["filename"].as_str().unwrap().into()).or_default().push_str(&format!("{error:#}\n"));
    }
    refused
}

/// The schema of graphs, in a file.
fn schema(place: &Place) -> PathBuf {
    let said = said(["schema"]);
    assert_eq!((said.code, &*said.err), (0, ""));
    place.text("swath.schema.json", &said.out)
}

#[test]
fn every_schema_is_one() {
    let Some(validator) = validator() else { return };
    let place = Place::new();
    let mut schemas = vec![schema(&place)];
    let registry = swath::registry();
    let nodes = registry.nodes().iter().map(|kind| kind.info().kind.as_str());
    let tables = registry.tables().iter().map(|kind| kind.info().kind.as_str());
    for kind in nodes.chain(tables).chain(registry.drivers().iter().map(|driver| driver.name)) {
        let said = said(["schema", kind]);
        assert_eq!((said.code, &*said.err), (0, ""), "{kind}");
        schemas.push(place.text(&format!("{kind}.json"), &said.out));
    }
    let output = run(&validator, ["--check-metaschema".into()].into_iter().chain(schemas));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    // An entry of one kind.
    let dscp = place.path("ip4-dscp.json");
    let good = place.text("good.yaml", "{ kind: ip4-dscp, dscp: 46, to: lookup }");
    let bad = place.text("bad.yaml", "{ kind: ip4-dscp, dcsp: 46, to: { no: lookup } }");
    assert_eq!(check(&validator, &dscp, &[good, bad.clone()]).into_keys().collect::<Vec<_>>(), [bad]);
}

#[test]
fn what_swath_accepts_is_accepted() {
    let Some(validator) = validator() else { return };
    let place = Place::new();
    let shipped = ["graphs", "nodes/examples", "engine/io/examples"].into_iter().flat_map(graphs);
    let mut files: Vec<PathBuf> = shipped.collect();
    assert!(files.len() >= 2);
    files.extend(graphs("engine/cli/tests/schema/good"));
    let refused = check(&validator, &schema(&place), &files);
    assert!(refused.is_empty(), "{}", refused.into_values().collect::<String>());
}

/// Each of these files has a mistake: swath refuses it, and so does the schema, unless the file says that no schema can tell.
#[test]
fn what_is_broken_is_refused() {
    const EXEMPT: &str = "# schema: cannot tell\n";
    let own = graphs("engine/cli/tests/schema");
    assert!(own.len() >= 10);
    for file in &own {
        let said = said(["validate".as_ref(), file.as_os_str()]);
        assert_eq!(said.code, 78, "{}: {}", file.display(), said.err);
    }
    let Some(validator) = validator() else { return };
    let place = Place::new();
    let files: Vec<PathBuf> = own.into_iter().chain(graphs("engine/cli/tests/broken")).collect();
    let (exempt, files): (Vec<PathBuf>, Vec<PathBuf>) =
        files.into_iter().partition(|file| std::fs::read(file).unwrap().starts_with(EXEMPT.as_bytes()));
    let all: Vec<PathBuf> = files.iter().chain(&exempt).cloned().collect();
    let refused = check(&validator, &schema(&place), &all);
    let accepted: Vec<&PathBuf> = files.iter().filter(|file| !refused.contains_key(*file)).collect();
    assert!(accepted.is_empty(), "the schema accepts {accepted:?}: mend it, or begin them with `{}`", EXEMPT.trim_end());
    let told: Vec<&PathBuf> = exempt.iter().filter(|file| refused.contains_key(*file)).collect();
    assert!(told.is_empty(), "the schema can tell after all: {told:?}");
}

/// What docs/editors.md tells to type.
#[test]
fn the_command_of_the_guide_works() {
    let guide = std::fs::read_to_string(root().join("docs/editors.md")).unwrap();
    let command = guide.lines().find(|line| line.starts_with("check-jsonschema ")).unwrap();
    let Some(validator) = validator() else { return };
    let place = Place::new();
    schema(&place);
    std::os::unix::fs::symlink(root().join("graphs"), place.path("graphs")).unwrap();
    let path = format!("{}:{}", validator.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh").args(["-c", command]).env("PATH", path).current_dir(place.path("")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// The words between backticks of the help for a wrong key.
fn known(graph: &str) -> BTreeSet<String> {
    let place = Place::new();
    let file = place.text("graph.yaml", graph);
    let said = said(["validate".as_ref(), file.as_os_str()]);
    let help = said.err.lines().find(|line| line.contains("help: ")).unwrap_or_else(|| panic!("{}", said.err));
    help.split('`').skip(1).step_by(2).map(Into::into).collect()
}

/// What stands in the schema by hand is what the engine reads.
#[test]
fn sections_and_the_engine_have_the_same_keys() {
    let schema: Value = serde_json::from_str(&said(["schema"]).out).unwrap();
    let keys = |schema: &Value| schema["properties"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let sections = known("version: 1\nzzzzzzzzzz: 1\nnodes: { sink: { kind: drop } }\n");
    assert!(sections.len() >= 5 && sections.is_subset(&keys(&schema)), "{sections:?}");
    let engine = known("version: 1\nengine: { zzzzzzzzzz: 1 }\nnodes: { sink: { kind: drop } }\n");
    assert_eq!(engine, keys(&schema["$defs"]["engine"]));
}

#[test]
fn an_unknown_kind_is_told() {
    let said = said(["schema", "ip4-lokup"]);
    let expected = "error: there is no kind `ip4-lokup`; did you mean `ip4-lookup`?\n";
    assert_eq!((said.code, &*said.out, &*said.err), (64, "", expected));
}
