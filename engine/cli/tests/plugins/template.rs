//! From `swath plugin new` to a node that runs, and the example in C.

use crate::build;
use crate::common::{Place, said, swath};

#[test]
fn a_new_plugin_builds_tests_and_loads_as_it_is() {
    let place = Place::new();
    let api = build::root().join("engine/api");
    let output = swath(["plugin", "new", "my-node", "--api"]).arg(&api).current_dir(place.path("")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let again = swath(["plugin", "new", "my-node"]).current_dir(place.path("")).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    let directory = place.path("my-node");
    let tested = build::cargo(&directory, &["test"]);
    assert!(tested.contains("3 passed; 0 failed"), "{tested}");
    assert!(directory.join("Cargo.lock").exists(), "a lock file of its own");
    build::cargo(&directory, &["build"]);
    let libraries = build::target().join("debug");
    let graph = directory.join("graph.yaml");
    let done = said(["--plugin-path".as_ref(), libraries.as_os_str(), "test".as_ref(), graph.as_os_str()]);
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{}", done.out);
    let checked = said(["plugin".as_ref(), "check".as_ref(), libraries.join("libmy_node.so").as_os_str()]);
    let ours = env!("CARGO_PKG_VERSION");
    assert!(checked.out.starts_with(&format!("my-node 0.1.0, built with swath-api {ours}, plugin ABI 1.0\n")), "{}", checked.out);
    let nodes = said(["nodes".as_ref(), "--library".as_ref(), libraries.join("libmy_node.so").as_os_str(), "my-node".as_ref()]);
    assert!(nodes.out.contains("Library") && nodes.out.contains("libmy_node.so") && nodes.out.contains("bytes: "), "{}", nodes.out);
}

#[test]
fn names_that_cannot_be_are_refused() {
    for name in ["My", "rx", "-x", "x-", "", "x/y"] {
        let refused = said(["plugin", "new", "--", name]);
        assert_eq!(refused.code, 64, "{name}: {}", refused.err);
    }
}

#[test]
fn the_header_is_that_of_the_crate() {
    let header = said(["plugin", "header"]).out;
    assert_eq!(header, std::fs::read_to_string(build::root().join("engine/api/include/swath.h")).unwrap());
}

#[test]
fn the_example_in_c_does_what_its_graph_says() {
    let place = Place::new();
    build::geneve(&place);
    let graph = build::root().join("plugins/geneve-strip/graph.yaml");
    let directory = place.path("");
    let done = said(["--plugin-path".as_ref(), directory.as_os_str(), "test".as_ref(), graph.as_os_str()]);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
}

/// All of them one after the other, as somebody would type them who reads the guide for the first time.
#[test]
fn every_command_of_the_guide_works() {
    let place = Place::new();
    let guide = std::fs::read_to_string(build::root().join("docs/plugins.md")).unwrap();
    let console = guide.split("```console\n").nth(1).unwrap().split("```").next().unwrap();
    let mut script = String::new();
    for command in console.lines().filter_map(|line| line.strip_prefix("$ ")) {
        script += &format!("{command}\n");
        if command.starts_with("cd ") {
            // What it depends on was built for other tests.
            script += &format!("ln -s {} target\n", build::target().display());
        }
    }
    assert_eq!(console.lines().count(), 9, "{console}");
    std::os::unix::fs::symlink(build::root().join("engine"), place.path("engine")).unwrap();
    let told = typed(&place.path(""), &script);
    assert!(told.contains("1 passed") && told.contains("libmy_node.so"), "{told}");
}

/// What a shell says to commands, which must succeed, where `swath` is a command, too.
fn typed(directory: &std::path::Path, script: &str) -> String {
    std::fs::create_dir_all(build::target()).unwrap();
    let mut command = std::process::Command::new("sh");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_") && name != "CARGO_HOME" || name == "RUSTFLAGS" {
            command.env_remove(name);
        }
    }
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_swath")).parent().unwrap();
    let path = std::env::join_paths(
        [programs.to_path_buf()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    command.env("PATH", path.unwrap()).env("CARGO_NET_OFFLINE", "true").env("CARGO_INCREMENTAL", "0").current_dir(directory);
    let output = command.args(["-e", "-x", "-c", script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &said
}

#[test]
fn the_examples_in_rust_do_what_their_graphs_say() {
    for (name, tests) in [("dns-guard", 4), ("flow-export", 17)] {
        let place = Place::new();
        let directory = build::example(&place, name);
        let tested = build::cargo(&directory, &["test", "--locked"]);
        assert!(tested.contains(&format!("{tests} passed; 0 failed")), "{tested}");
        build::cargo(&directory, &["build", "--locked"]);
        let (libraries, graph) = (build::target().join("debug"), directory.join("graph.yaml"));
        let done = said(["--plugin-path".as_ref(), libraries.as_os_str(), "test".as_ref(), graph.as_os_str()]);
        assert_eq!((done.code, &*done.err), (0, ""), "{}", done.out);
    }
}

#[test]
fn every_command_of_an_example_works() {
    let place = Place::new();
    let directory = build::example(&place, "flow-export");
    let read_me = std::fs::read_to_string(build::root().join("plugins/flow-export/README.md")).unwrap();
    let console = read_me.split("```console\n").nth(1).unwrap().split("```").next().unwrap();
    let commands: Vec<&str> = console.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert_eq!(commands.len(), 3, "{console}");
    std::os::unix::fs::symlink(build::target(), directory.join("target")).unwrap();
    let told = typed(&directory, &commands.join("\n"));
    assert!(told.contains("1 passed"), "{told}");
}

#[test]
fn the_schema_has_the_kinds_of_libraries() {
    let place = Place::new();
    let library = build::geneve(&place);
    let schema = |arguments: &[&str]| {
        let mut command = swath(["schema"]);
        let output = command.args(arguments).arg("--library").arg(&library).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let all = schema(&[]);
    let kinds = all["$defs"]["kind-of-node"]["properties"]["kind"].to_string();
    assert!(kinds.contains("\"geneve-strip\"") && kinds.contains("\"ip4-input\""), "{kinds}");
    assert!(all["$defs"]["node.geneve-strip"].is_object());
    assert_eq!(said(["schema", "geneve-strip"]).code, 64, "without the library nobody knows it");
    let one = schema(&["geneve-strip"]).to_string();
    assert!(one.contains("\"inner\"") && !one.contains("ip4-input"), "{one}");
    let missing = said(["schema", "--library", "/nowhere/lib.so"]);
    assert_eq!(missing.code, 66, "{}", missing.err);
}
