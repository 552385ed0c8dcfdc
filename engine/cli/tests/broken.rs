//! Graphs with mistakes, and all that the program says of them. The snapshots are meant to be read: can somebody who sees only the
//! message mend the file?

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken")
}

fn graphs() -> Vec<PathBuf> {
    let files = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    let mut graphs: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    graphs.sort();
    graphs
}

/// What `swath COMMAND` says of a graph, which it calls by the name of its file.
fn said(command: &str, graph: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_swath"))
        .current_dir(directory())
        .env_remove("SWATH_COLOR")
        .args([command, graph.file_name().unwrap().to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"", "{}", graph.display());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn every_mistake_is_told() {
    let graphs = graphs();
    assert!(graphs.len() >= 25);
    for graph in graphs {
        let name = graph.file_stem().unwrap().to_str().unwrap();
        let (code, text) = said("validate", &graph);
        let only_warnings = !text.contains("error[");
        assert_eq!(code, Some(if only_warnings { 0 } else { 78 }), "{name}");
        insta::with_settings!({ snapshot_path => "broken", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, text);
        });
    }
}

#[test]
fn all_commands_say_the_same() {
    for graph in graphs() {
        let validated = said("validate", &graph);
        // What has only warnings would run.
        if validated.0 == Some(78) {
            for command in ["run", "replay"] {
                let (code, text) = said(command, &graph);
                assert_eq!((code, text.trim_end()), (Some(78), validated.1.trim_end()), "{command} {}", graph.display());
            }
        }
    }
}

#[test]
fn each_snapshot_is_of_a_graph() {
    let of = |extension: &str| -> BTreeSet<String> {
        let files = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        files.filter_map(|name| name.strip_suffix(extension).map(str::to_owned)).collect()
    };
    assert_eq!(of(".snap"), of(".yaml"));
}
