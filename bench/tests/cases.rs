//! The rigs of cases that need no privileges work, on little of everything. How fast anything is, they do not ask.

use std::path::Path;
use std::process::Command;

/// Runs a case in its short form. Returns what it has printed.
fn short(case: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_swath-bench"));
    let output = Command::new("timeout").args(["-k", "1", "100"]).arg(program).args(["--case", case, "--short"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    said
}

/// The rows of the tables in it, without their heads.
fn rows(said: &str) -> Vec<&str> {
    let (mut rows, mut inside) = (Vec::new(), false);
    for line in said.lines() {
        inside = line.starts_with("|---") || inside && line.starts_with('|');
        rows.extend((inside && !line.starts_with("|---")).then_some(line));
    }
    rows
}

#[test]
fn start_sees_the_first_packets_of_each() {
    if !Path::new(env!("CARGO_BIN_EXE_swath-bench")).with_file_name("swath").exists() {
        let needs = "it needs `swath` built beside it";
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{needs}");
        println!("not run: {needs}");
        return;
    }
    let said = short("start");
    let rows = rows(&said);
    let starts = [
        "| router, 1 route | **",
        "| the same, 1000 random routes /24 to /32 from a CSV file | **",
        "| the same with a filter of 10 rules from a CSV file | **",
        "| the same with NAT44, 1048 sessions restored | **",
        "| graph of 300 nodes | **",
    ];
    assert_eq!(rows.len(), starts.len(), "{said}");
    assert!(rows.iter().zip(starts).all(|(row, start)| row.starts_with(start)), "{said}");
}

#[test]
fn every_packet_of_latency_leaves() {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        println!("not run: it needs two cores");
        return;
    }
    let said = short("latency");
    let rows = rows(&said);
    assert!(!said.contains("inf Mpps") && !said.contains("NaN"), "{said}");
    let starts = ["adaptive | 10 %", "adaptive | 50 %", "adaptive | 90 %", "busy | 10 %", "busy | 50 %", "busy | 90 %"];
    assert_eq!(rows.len(), starts.len(), "{said}");
    for (row, start) in rows.iter().zip(starts) {
        assert!(row.starts_with(&format!("| {start} | ")) && row.split('|').count() == 14, "{row}");
    }
}

#[test]
fn both_workers_of_large_tables_send() {
    let said = short("large");
    let rows = rows(&said);
    let cases = ["ip4-131k", "acl-router-100", "nat-10k", "nodes-300"];
    let starts: Vec<String> = cases.iter().flat_map(|case| [1, 2].map(|workers| format!("| {case} | {workers} | **"))).collect();
    assert_eq!(rows.len(), starts.len(), "{said}");
    assert!(rows.iter().zip(&starts).all(|(row, start)| row.starts_with(start)), "{said}");
}

/// What the documents and the Makefile tell to run is there.
#[test]
fn each_case_that_is_named_is_listed() {
    let program = Path::new(env!("CARGO_BIN_EXE_swath-bench"));
    let listed = Command::new(program).arg("--list").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let listed: Vec<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut count = 0;
    for document in ["README.md", "docs/performance.md", "docs/dpdk.md", "CHANGELOG.md"] {
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        for named in text.split("CASE=").skip(1) {
            let named = named.trim_start_matches('\'');
            let end = named.find(|next: char| !next.is_ascii_alphanumeric() && !"-*".contains(next)).unwrap_or(named.len());
            let named = &named[..end];
            // `micro` is criterion's, and `peers` are several.
            let is_ours =
                named.strip_suffix('*').map_or(listed.contains(&named), |start| listed.iter().any(|case| case.starts_with(start)));
            assert!(is_ours || ["micro", "peers"].contains(&named), "{document}: CASE={named}");
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

#[test]
fn without_vpp_nothing_stands_beside() {
    let program = Path::new(env!("CARGO_BIN_EXE_swath-bench"));
    let output = Command::new(program).args(["--case", "vpp"]).env("PATH", "/nonexistent").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("no vpp on the PATH"), "{said}");
}

#[test]
fn a_profile_names_functions() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "it needs valgrind");
        println!("not run: it needs valgrind");
        return;
    }
    let program = Path::new(env!("CARGO_BIN_EXE_swath-bench"));
    let output = Command::new(program).args(["--case", "ip4-1", "--profile"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = rows(&said);
    assert!(output.status.success() && said.contains(" instructions per packet\n"), "{said}");
    assert!(rows.len() == 12 && rows.iter().any(|row| row.contains("arrive")), "{said}");
}
