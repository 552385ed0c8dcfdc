//! Every command and every graph that the documentation shows, run.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The blocks of a language in all documents for people, with the document's name.
fn blocks(language: &str) -> Vec<(String, String)> {
    let documents =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/editors.md", "docs/performance.md", "docs/tests-of-graphs.md"];
    let mut found = Vec::new();
    for document in documents {
        let text = std::fs::read_to_string(root().join(document)).unwrap();
        let mut inside: Option<String> = None;
        for line in text.lines() {
            match (&mut inside, line.strip_prefix("```")) {
                (None, Some(tag)) if tag == language => inside = Some(String::new()),
                (Some(block), Some(_)) => {
                    found.push((document.to_string(), std::mem::take(block)));
                    inside = None;
                }
                (Some(block), None) => *block += &format!("{line}\n"),
                (None, _) => {}
            }
        }
    }
    found
}

#[test]
fn every_command_works() {
    let mut count = 0;
    for (document, block) in blocks("console") {
        for line in block.lines().filter_map(|line| line.strip_prefix("$ swath ")) {
            let (arguments, file) = line.split_once(" > ").map_or((line, None), |(arguments, file)| (arguments, Some(file)));
            let output = Command::new(env!("CARGO_BIN_EXE_swath")).args(arguments.split(' ')).current_dir(root()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{document}: swath {line}: {said}");
            assert!(file.is_none() || !output.stdout.is_empty(), "{document}: swath {line} writes nothing");
            count += 1;
        }
    }
    assert!(count >= 5, "{count} commands were found");
}

#[test]
fn every_graph_is_accepted() {
    let graphs = blocks("yaml");
    assert!(!graphs.is_empty());
    for (document, graph) in graphs {
        let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
        std::fs::write(file.path(), &graph).unwrap();
        let output =
            Command::new(env!("CARGO_BIN_EXE_swath")).arg("validate").arg("--deny-warnings").arg(file.path()).output().unwrap();
        assert!(output.status.success(), "{document}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The error that the README shows is the one that is given.
#[test]
fn the_error_that_is_shown_is_the_one_that_is_given() {
    let graph = blocks("yaml").remove(0).1.replace("to: rewrite", "to: { forwrad: rewrite }");
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("router.yaml"), graph).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_swath"))
        .args(["validate", "--color", "never", "router.yaml"])
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stderr);
    let shown = blocks("text").into_iter().find(|(_, block)| block.starts_with("error[")).unwrap().1;
    assert!(said.contains(shown.trim_end()), "shown:\n{shown}\ngiven:\n{said}");
}

/// Runs a command in a directory where a graph is `router.yaml`.
fn run_on(graph: &str, arguments: &[&str]) -> std::process::Output {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("router.yaml"), graph).unwrap();
    Command::new(env!("CARGO_BIN_EXE_swath")).args(arguments).current_dir(directory.path()).output().unwrap()
}

#[test]
fn every_graph_with_tests_passes_them() {
    let graphs: Vec<_> = blocks("yaml").into_iter().filter(|(_, graph)| graph.contains("\ntests:\n")).collect();
    assert!(graphs.len() >= 2);
    for (document, graph) in graphs {
        let output = run_on(&graph, &["test", "--require-tests", "router.yaml"]);
        assert!(output.status.success(), "{document}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

/// The failure that the chapter on tests shows is the one that is given.
#[test]
fn the_failure_that_is_shown_is_the_one_that_is_given() {
    let graph = blocks("yaml").into_iter().find(|(_, graph)| graph.contains("\ntests:\n")).unwrap().1;
    let output = run_on(&graph.replace("prefix: 8.0.0.0/8", "prefix: 7.0.0.0/8"), &["test", "--color", "never", "router.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let shown = blocks("text").into_iter().find(|(_, block)| block.contains("FAILED")).unwrap().1;
    assert_eq!(String::from_utf8_lossy(&output.stdout), shown);
}
