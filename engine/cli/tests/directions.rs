//! The directions of dependencies, and where `unsafe` may be: what ARCHITECTURE.md calls invariants.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The workspace crates that a crate's product code depends on.
fn depends_on(manifest: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join(manifest).join("Cargo.toml")).unwrap();
    let section = text.split("[dependencies]").nth(1).unwrap_or_default().split("\n[").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| line.split([' ', '=', '.']).next())
        .filter(|name| name.starts_with("swath"))
        .map(Into::into)
        .collect()
}

/// The source files of a crate.
fn sources(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn crates_know_only_what_they_may() {
    let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(depends_on("engine/api"), set(&[]));
    assert_eq!(depends_on("engine/core"), set(&["swath-api"]));
    assert_eq!(depends_on("engine/dpdk-abi"), set(&[]));
    assert_eq!(depends_on("engine/dpdk"), set(&["swath-dpdk-abi"]));
    assert_eq!(depends_on("engine/io"), set(&["swath-api", "swath-core", "swath-dpdk-abi"]));
    assert_eq!(depends_on("engine/ctl"), set(&["swath-api", "swath-core"]));
    assert_eq!(depends_on("engine/plugin"), set(&["swath-api", "swath-core"]));
    assert_eq!(depends_on("nodes"), set(&["swath-api"]));
    assert_eq!(depends_on("engine/cli"), set(&["swath-api", "swath-core", "swath-ctl", "swath-io", "swath-nodes", "swath-plugin"]));
}

#[test]
fn crates_without_unsafe_forbid_it() {
    for (krate, file) in [
        ("engine/core", "lib.rs"),
        ("engine/ctl", "lib.rs"),
        ("nodes", "lib.rs"),
        ("engine/cli", "lib.rs"),
        ("engine/cli", "main.rs"),
        ("bench", "main.rs"),
        ("bench/micro", "lib.rs"),
        ("bench/micro", "main.rs"),
    ] {
        let text = std::fs::read_to_string(root().join(krate).join("src").join(file)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{krate}/src/{file}");
    }
}

#[test]
fn core_names_no_protocol_and_nodes_touch_nothing_outside() {
    let check = |path: &str, words: &[&str]| {
        for file in sources(&root().join(path)) {
            if file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            // Tests may say what they like.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                let word = words.iter().find(|word| line.contains(**word));
                assert!(word.is_none(), "{}: {line}", file.display());
            }
        }
    };
    check("engine/core/src/run", &["ipv4", "Ipv4", "ip4", "arp", "Ethernet", "udp", "tcp"]);
    check("engine/core/src/plan", &["ipv4", "Ipv4", "ip4", "arp", "Ethernet", "udp", "tcp"]);
    check(
        "nodes/src",
        &["std::fs", "std::thread", "std::time::Instant", "SystemTime", "println!", "swath_core", "swath_io", "File::"],
    );
}
