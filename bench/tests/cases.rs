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
