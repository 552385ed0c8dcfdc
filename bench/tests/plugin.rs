//! The rig of the case `plugin` works: all four nodes do the same. What they cost it does not ask.

use std::path::{Path, PathBuf};
use std::process::Command;

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

#[test]
fn all_four_do_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("plugin");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--offline", "--manifest-path"]).arg(root.join("bench/plugin/Cargo.toml"));
    succeed(cargo.arg("--target-dir").arg(&target).env("CARGO_INCREMENTAL", "0"));
    let libraries = target.join("debug");
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-I"]).arg(root.join("engine/api/include"));
    succeed(cc.arg("-o").arg(libraries.join("libmark_c.so")).arg(root.join("bench/plugin/mark.c")));
    let mut bench = Command::new(env!("CARGO_BIN_EXE_swath-bench"));
    bench.args(["--case", "plugin", "--samples", "20", "--core", "0", "--any-share", "--plugins"]).arg(&libraries);
    // Without valgrind: it is looked for where it is not.
    let said = succeed(bench.env("PATH", &libraries));
    for start in ["| 1 | ", "| 16 | ", "| 256 | "] {
        let row = said.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{said}"));
        assert_eq!(row.split('|').count(), 8, "{row}");
    }
    assert!(said.contains("wanted: 1.05 at 256 at most: "), "{said}");
}
