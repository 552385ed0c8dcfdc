//! How the libraries of these tests are built.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use swath::{Graph, Time, packet_memory};
use swath_core::Registry;
use swath_core::run::{Engine, Report};
use swath_core::spec::Diagnostics;
use swath_plugin::Directories;

use crate::common::Place;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Builds a library in C: `libNAME.so` in a directory of the test.
pub fn c(place: &Place, source: &Path, name: &str, defines: &[&str]) -> PathBuf {
    let library = place.path(&format!("lib{name}.so"));
    let include = root().join("engine/api/include");
    let mut command = Command::new("cc");
    command.args(["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]).args(defines);
    command.arg("-I").arg(include).arg("-o").arg(&library).arg(source);
    let output = command.output().expect("a C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

pub fn geneve(place: &Place) -> PathBuf {
    c(place, &root().join("plugins/geneve-strip/geneve_strip.c"), "geneve_strip", &[])
}

/// Cargo as a stranger has it: in a directory of his own, without what this workspace sets. All libraries of these tests share what they depend
/// on. What they need was fetched for this workspace.
pub fn cargo(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(directory).args(arguments).arg("--offline");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_") && name != "CARGO_HOME" || name == "RUSTFLAGS" {
            command.env_remove(name);
        }
    }
    command.env("CARGO_TARGET_DIR", target()).env("CARGO_INCREMENTAL", "0");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &said
}

pub fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins")
}

/// An example in Rust, as somebody has it who has copied its directory: outside of this repository, with its own lock file.
pub fn example(place: &Place, name: &str) -> PathBuf {
    let (from, to) = (root().join("plugins").join(name), place.path(name));
    std::fs::create_dir_all(to.join("src")).unwrap();
    let sources = std::fs::read_dir(from.join("src")).unwrap().map(|entry| Path::new("src").join(entry.unwrap().file_name()));
    for file in sources.chain(["Cargo.lock", "graph.yaml"].map(PathBuf::from)) {
        std::fs::copy(from.join(&file), to.join(&file)).unwrap();
    }
    let manifest = std::fs::read_to_string(from.join("Cargo.toml")).unwrap();
    let api = root().join("engine/api");
    std::fs::write(to.join("Cargo.toml"), manifest.replace("../../engine/api", api.to_str().unwrap())).unwrap();
    to
}

/// The library with defects, in a directory of the test, under a name.
pub fn defects(place: &Place, name: &str) -> PathBuf {
    let source = place.path("defects");
    if !source.exists() {
        let from = root().join("engine/cli/tests/plugins/defects");
        std::fs::create_dir_all(source.join("src")).unwrap();
        for file in ["src/lib.rs", "src/tables.rs"] {
            std::fs::copy(from.join(file), source.join(file)).unwrap();
        }
        let manifest = std::fs::read_to_string(from.join("Cargo.toml")).unwrap();
        let api = root().join("engine/api");
        std::fs::write(source.join("Cargo.toml"), manifest.replace("../../../../api", api.to_str().unwrap())).unwrap();
    }
    cargo(&source, &["build"]);
    let library = place.path(name);
    std::fs::copy(target().join("debug/libdefects.so"), &library).unwrap();
    library
}

/// All kinds, and plugins of a directory.
pub fn registry(place: &Place) -> Registry {
    let directories = Directories::new(vec![place.path("")]);
    Registry::new(swath_nodes::NODES, swath_nodes::TABLES, swath_io::DRIVERS)
        .shortcuts(swath_nodes::SHORTCUTS)
        .plugins(Arc::new(directories))
}

/// An engine for a graph, in virtual time.
pub fn engine(place: &Place, text: &str) -> Engine {
    let mut graph = Graph::from_text("graph.yaml", text);
    let plan = graph.plan(&registry(place)).unwrap_or_else(|failure| panic!("{failure}"));
    let (pool, _) = packet_memory(&plan.engine).unwrap();
    graph.build(plan, &pool, Time::Virtual).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Has it go over to another graph.
pub fn apply(engine: &mut Engine, place: &Place, text: &str) -> Report {
    let mut graph = Graph::from_text("graph.yaml", text);
    let plan = graph.plan(&registry(place)).unwrap_or_else(|failure| panic!("{failure}"));
    let mut diagnostics = Diagnostics::new();
    engine
        .apply(plan, &mut diagnostics)
        .unwrap_or_else(|refusal| panic!("{refusal}: {}", diagnostics.render(graph.sources(), false)))
}

/// Two ways through the graph: one through the node `bad`, which is of a plugin and these settings, and one without. With more sections.
pub fn two_ways(library: &str, node: &str, sections: &str) -> String {
    format!(
        "version: 1
engine: {{ buffers: 4096 }}
plugins: {{ bad: {library} }}
interfaces:
  a: {{ driver: memory, generate: {{ packets: ['udp 10.0.0.1:1 > 10.0.0.2:2'], limit: 1000 }} }}
  b: {{ driver: memory, generate: {{ packets: ['udp 10.0.0.3:1 > 10.0.0.4:2'], limit: 1000 }} }}
{sections}nodes:
  in-a:  {{ kind: rx, interface: a, to: bad }}
  bad:   {{ {node}, to: out-b }}
  out-b: {{ kind: tx, interface: b }}
  in-b:  {{ kind: rx, interface: b, to: out-a }}
  out-a: {{ kind: tx, interface: a }}
"
    )
}

/// What an engine has dropped, of each node and reason.
pub fn dropped(engine: &Engine) -> Vec<(String, u64)> {
    let ledger = engine.ledger();
    assert_eq!(ledger.discrepancies(), Vec::<String>::new());
    let of = |(node, reasons): (String, std::collections::BTreeMap<String, u64>)| {
        reasons.into_iter().map(move |(reason, count)| (format!("{node}.{reason}"), count))
    };
    ledger.dropped.into_iter().flat_map(of).collect()
}
