//! The rig of the case `dpdk` works: all four forward, and are asked. How fast anything is, it does not ask.

use std::path::Path;
use std::process::Command;

#[test]
fn all_four_forward() {
    let program = Path::new(env!("CARGO_BIN_EXE_swath-bench"));
    let has = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    // Cargo leaves the library of a build of tests among the dependencies.
    let places = ["deps/libswath_dpdk.so", "libswath_dpdk.so"].map(|file| program.with_file_name(file));
    let library = places.iter().find(|file| file.exists());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let has_tools = ["dpdk-testpmd", "stdbuf", "taskset"].iter().all(|tool| has(tool));
    let (Some(library), true, 2.., true) = (library, program.with_file_name("swath").exists(), cores, has_tools) else {
        let needs =
            "it needs two cores, dpdk-testpmd, coreutils, util-linux, and `swath` with its library for DPDK built beside it";
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{needs}");
        println!("not run: {needs}");
        return;
    };
    let args = ["--case", "dpdk", "--pairs", "2", "--milliseconds", "50", "--any-share"];
    let output = Command::new("timeout")
        .args(["-k", "1", "100"])
        .arg(program)
        .args(args)
        .env("SWATH_DPDK_LIBRARY", library)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("\n| 2 | ") && said.contains("median ratio **") && said.contains("router above io: median **"), "{said}");
}
