//! `swath-count` finds what takes more than its limit, and writes limits that hold.

use std::path::Path;
use std::process::Command;

/// Counts the first case against a file. Returns whether it is within its limit, and what was said.
fn count(limits: &Path, options: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swath-count"));
    let output = command.args(["ip4-1", "--limits"]).arg(limits).args(options).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

#[test]
fn more_than_the_limit_is_told_and_an_update_helps() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "it needs valgrind");
        println!("not run: it needs valgrind");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let limits = directory.path().join("limits.txt");
    std::fs::write(&limits, "ip4-1 1.0\n").unwrap();
    let (is_good, said) = count(&limits, &[]);
    assert!(!is_good && said.contains("| 1.0 | **more** |") && said.contains("`make count-update`"), "{said}");
    assert!(said.contains("arrive"), "the functions that take most are named: {said}");
    let (is_good, said) = count(&limits, &["--update"]);
    assert!(is_good && said.contains("| ip4-1 | "), "{said}");
    let (is_good, said) = count(&limits, &[]);
    assert!(is_good && !said.contains("more"), "{said}");
}
