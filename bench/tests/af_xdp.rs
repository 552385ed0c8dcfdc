//! The rig of the cases `af-xdp`, `af-xdp-deny` and `af-xdp-kernel` works, and accounts for every packet. How fast anything is, it does not ask.

use std::path::Path;
use std::process::Command;

#[test]
fn every_packet_is_accounted_for() {
    let program = Path::new(env!("CARGO_BIN_EXE_swath-bench"));
    let has = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !is_root
        || !["ip", "ethtool", "cc", "unshare", "taskset", "nft"].iter().all(|tool| has(tool))
        || !program.with_file_name("swath").exists()
    {
        let needs = "it needs root, two cores, iproute2, ethtool, nftables, cc, util-linux, and `swath` built beside it";
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{needs}");
        println!("not run: {needs}");
        return;
    }
    for (case, flood) in [("af-xdp", "\nA flood: sent "), ("af-xdp-deny", "a flood.\n"), ("af-xdp-kernel", "\nSource NAT")] {
        let args = ["--case", case, "--pairs", "2", "--milliseconds", "50", "--any-share"];
        let output = Command::new("timeout").args(["-k", "1", "100"]).arg(program).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        // It has measured, whatever it has found: a sum that does not add up is told instead.
        assert!(said.contains("\n| 2 | ") && said.contains(flood) && said.contains("\nmedian ratio **"), "{said}");
    }
}
