//! The object that is kept beside its source is what the source makes.

use std::path::Path;
use std::process::Command;

/// The compiler that has made it: another one makes other bytes of the same program.
const COMPILER: &str = "clang version 14.0";

#[test]
fn the_object_is_what_its_source_makes() {
    let version =
        Command::new("clang").arg("--version").output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if !version.as_ref().is_ok_and(|version| version.contains(COMPILER)) {
        let what = format!("it needs {COMPILER}, llvm-strip and libbpf-dev");
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{what}");
        println!("not run: {what}");
        return;
    }
    let place = tempfile::TempDir::new().unwrap();
    let made = place.path().join("traffic.bpf.o");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/af_xdp");
    let output = Command::new(source.join("build")).arg(&made).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let same = std::fs::read(&made).unwrap() == std::fs::read(source.join("traffic.bpf.o")).unwrap();
    assert!(same, "run bench/src/af_xdp/build");
}
