//! Instructions of the passes over vectors, by callgrind: in all, and by function.
//!
//! A program that is asked for a case and a number of vectors runs them, and ends. The difference of two runs, of a few vectors and of many, is
//! what the vectors between cost: set-up cancels out. Only what is called by `graph_pass` counts, and not the sink. valgrind knows no AVX-512,
//! so kernels are those of AVX2 or the scalar ones.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use swath_api::VECTOR;

use crate::cases::Case;

/// Vectors between the two runs.
const VECTORS: usize = 100;
/// Vectors of the shorter run, at least.
const FEW: usize = 20;
/// A case of more vectors than this takes minutes.
const MOST: usize = 2048;

/// What a packet costs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// Instructions.
    pub total: f64,
    /// Those of each function itself, the most first.
    pub functions: Vec<(String, f64)>,
}

/// Whether it can be counted within a minute.
pub fn is_countable(case: &Case) -> bool {
    few(case) <= MOST && !case.is_large()
}

/// Vectors of the shorter run: where packets open sessions each of them comes once before it is counted.
fn few(case: &Case) -> usize {
    if case.keeps_sessions() { case.vectors().max(FEW) } else { FEW }
}

/// Counts with a program that takes `--case` and `--vectors`.
///
/// # Errors
/// There is no valgrind, or the program fails.
pub fn count(program: &Path, case: &Case, kernels: &str) -> Result<Counts, String> {
    let few = few(case);
    let [before, after] = [few, few + VECTORS].map(|vectors| run(program, case.name, vectors, kernels));
    let (before, after) = (before?, after?);
    let per_packet = |before: u64, after: u64| (after as f64 - before as f64) / (VECTORS * VECTOR) as f64;
    let sum = |of: &BTreeMap<String, u64>| of.values().sum::<u64>();
    let of = |(name, after): (&String, &u64)| (name.clone(), per_packet(before.get(name).copied().unwrap_or(0), *after));
    let mut functions: Vec<(String, f64)> = after.iter().map(of).filter(|(_, each)| *each > 0.0).collect();
    functions.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    Ok(Counts { total: per_packet(sum(&before), sum(&after)), functions })
}

fn run(program: &Path, case: &str, vectors: usize, kernels: &str) -> Result<BTreeMap<String, u64>, String> {
    let file = std::env::temp_dir().join(format!("swath-callgrind-{}-{case}-{vectors}-{kernels}", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--compress-strings=no", "--compress-pos=no"])
        .args(["--toggle-collect=*graph_pass*", "--toggle-collect=*SinkQueue*transmit*"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args(["--case", case, "--vectors", &vectors.to_string()])
        .env("SWATH_KERNELS", kernels)
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let written = std::fs::read_to_string(&file);
    let _ = std::fs::remove_file(&file);
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(functions(&written.map_err(|error| format!("{}: {error}", file.display()))?))
}

/// The instructions of each function itself, from what callgrind writes (its manual, "Callgrind Format Specification").
fn functions(text: &str) -> BTreeMap<String, u64> {
    let (mut all, mut current, mut called) = (BTreeMap::<String, u64>::new(), String::new(), false);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            name.clone_into(&mut current);
        } else if line.starts_with("calls=") {
            // The next line is what the call cost, which counts for who is called.
            called = true;
        } else if line.starts_with(|start: char| start.is_ascii_digit()) && !std::mem::take(&mut called) {
            let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<u64>().ok());
            *all.entry(current.clone()).or_default() += cost.unwrap_or(0);
        }
    }
    all
}

/// A name without the modules that things are in: `<swath_nodes::rx::Rx as swath_api::node::Node>::process` is `<Rx as Node>::process`.
pub fn short(name: &str) -> String {
    let is_path = |character: char| character.is_alphanumeric() || matches!(character, '_' | ':');
    let mut short = String::with_capacity(name.len());
    let mut rest = name;
    while !rest.is_empty() {
        let (path, behind) = rest.split_at(rest.find(|next| !is_path(next)).unwrap_or(rest.len()));
        let (other, next) = behind.split_at(behind.find(is_path).unwrap_or(behind.len()));
        short += &last_of(path);
        short += other;
        rest = next;
    }
    short
}

/// The last word of a path, with the type before it if there is one.
fn last_of(path: &str) -> String {
    let words: Vec<&str> = path.split("::").collect();
    let last = words.iter().rposition(|word| !word.is_empty()).unwrap_or(0);
    let goes_with = |word: &str| word.is_empty() || word.starts_with(char::is_uppercase);
    let first = if last > 0 && goes_with(words[last - 1]) { last - 1 } else { last };
    words[first..].join("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As callgrind 3.19 writes it, with what it leaves out left out.
    const WRITTEN: &str = "version: 1
creator: callgrind-3.19.0
positions: line
events: Ir

fl=/src/a.rs
fn=a::graph_pass
10 5
12 7
cfn=<a::Node as b::Node>::process
calls=3 20
12 1000
13 1

fn=<a::Node as b::Node>::process
20 900
fi=/src/c.rs
7 100

totals: 1013
";

    #[test]
    fn functions_have_what_they_cost_themselves() {
        let counted = functions(WRITTEN);
        let expected = [("<a::Node as b::Node>::process", 1000), ("a::graph_pass", 13)];
        assert_eq!(counted, expected.map(|(name, cost)| (name.to_string(), cost)).into());
    }

    #[test]
    fn names_lose_their_modules() {
        for (long, expected) in [
            ("<swath_nodes::rx::Rx as swath_api::node::Node>::process", "<Rx as Node>::process"),
            ("swath_api::kernel::avx2::arrive", "arrive"),
            ("swath_core::run::pass::WorkerGraph::pass::{{closure}}", "WorkerGraph::pass::{{closure}}"),
            ("alloc::vec::Vec<core::option::Option<u8>>::push", "Vec<Option<u8>>::push"),
            ("memcpy", "memcpy"),
            ("", ""),
        ] {
            assert_eq!(short(long), expected);
        }
    }
}
