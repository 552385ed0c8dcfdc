//! Measuring on a machine that others use too: pinned, before others in the scheduler's eyes, with a calibrator that finds the moments
//! when the processor ran slow.

use std::fmt::Write as _;
use std::time::Instant;

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use swath_api::VECTOR;
use swath_api::kernel::tsc;

use crate::cases::Case;
use crate::rig::Rig;
use crate::verify;

/// How to measure.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Samples, each of one vector.
    pub samples: usize,
    /// The core to run on.
    pub core: usize,
}

/// The least share of the core that makes a measurement.
pub const LEAST_SHARE: f64 = 0.95;
/// A sample is kept if the calibrator beside it took at most so many times its best.
const SLOW: f64 = 1.05;
/// Vectors before the first sample.
const WARM_UP: usize = 2_000;
/// Samples between two runs of the calibrator.
const BLOCK: usize = 8;

/// What was measured, in TSC cycles per packet.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// Median of the samples kept.
    pub total: f64,
    /// Best sample.
    pub best: f64,
    /// By node, the mean over all samples scaled to the median: what each node and the moving on of its packets costs.
    pub nodes: Vec<(String, f64)>,
    /// What is left of the total.
    pub remainder: f64,
    /// CPU time over wall time.
    pub share: f64,
    /// Share of the samples that the calibrator let pass.
    pub kept: f64,
}

/// Measures a case in this process, and checks what it did.
pub fn measure(case: &Case, settings: &Settings) -> Result<Measurement, String> {
    claim_core(settings.core)?;
    let mut rig = Rig::new(case);
    // Each packet once at least: what it opens is there then.
    let warm_up = WARM_UP.max(case.vectors());
    rig.run(warm_up);
    let before = rig.node_cycles();
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let mut blocks: Vec<(u64, u64, [u64; BLOCK])> = Vec::with_capacity(settings.samples / BLOCK + 1);
    let mut calibration = calibrate();
    for _ in 0..settings.samples.div_ceil(BLOCK) {
        let samples = std::array::from_fn(|_| rig.sample());
        let after = calibrate();
        blocks.push((calibration, after, samples));
        calibration = after;
    }
    let share = (cpu_seconds() - cpu) / wall.elapsed().as_secs_f64();
    let after = rig.node_cycles();
    // The rest of the round that the measurement has begun, so that what is checked starts at the first packet.
    let done = warm_up + blocks.len() * BLOCK;
    rig.run(done.next_multiple_of(case.vectors()) - done);
    let left = rig.observe(case.vectors());
    verify::check(case, &left)?;
    let wrong = rig.discrepancies();
    if !wrong.is_empty() {
        return Err(wrong.join("; "));
    }
    if share < LEAST_SHARE {
        return Err(format!("the CPU share was {share:.2}, below {LEAST_SHARE}: the machine is too busy"));
    }
    evaluate(&blocks, &before, &after, share).ok_or_else(|| "the calibrator let no sample pass: the machine is too busy".into())
}

fn evaluate(
    blocks: &[(u64, u64, [u64; BLOCK])],
    before: &[(String, u64)],
    after: &[(String, u64)],
    share: f64,
) -> Option<Measurement> {
    let fastest = blocks.iter().map(|(before, after, _)| *before.min(after)).min().unwrap_or(1) as f64;
    let undisturbed = |(before, after, _): &&(u64, u64, [u64; BLOCK])| (*before.max(after) as f64) <= fastest * SLOW;
    let mut kept: Vec<u64> = blocks.iter().filter(undisturbed).flat_map(|(_, _, samples)| *samples).collect();
    let all: Vec<u64> = blocks.iter().flat_map(|(_, _, samples)| *samples).collect();
    let per_packet = |cycles: f64| cycles / VECTOR as f64;
    kept.sort_unstable();
    let total = per_packet(*kept.get(kept.len() / 2)? as f64);
    let mean = per_packet(all.iter().sum::<u64>() as f64 / all.len() as f64);
    let scale = total / mean;
    let nodes = after
        .iter()
        .zip(before)
        .map(|((name, after), (_, before))| (name.clone(), per_packet((after - before) as f64 / all.len() as f64) * scale));
    let nodes: Vec<(String, f64)> = nodes.collect();
    let remainder = total - nodes.iter().map(|(_, cycles)| cycles).sum::<f64>();
    Some(Measurement {
        total,
        best: per_packet(kept[0] as f64),
        nodes,
        remainder,
        share,
        kept: kept.len() as f64 / all.len() as f64,
    })
}

impl Measurement {
    /// A row of the table.
    pub fn row(&self, kernels: &str, instructions: Option<f64>) -> String {
        let mut nodes = String::new();
        for (name, cycles) in &self.nodes {
            let _ = write!(nodes, "{}{name} {cycles:.1}", if nodes.is_empty() { "" } else { ", " });
        }
        let instructions = instructions.map_or_else(|| "-".into(), |count| format!("{count:.1}"));
        let Measurement { total, best, remainder, share, kept, .. } = self;
        format!(
            "| {kernels} | **{total:.1}** | {nodes} | {remainder:.1} | {instructions} | {share:.2} | {:.0} % | {best:.1} |",
            kept * 100.0
        )
    }

    /// For the process that asked.
    pub fn to_json(&self) -> Value {
        json!({
            "total": self.total, "best": self.best, "nodes": self.nodes, "remainder": self.remainder,
            "share": self.share, "kept": self.kept,
        })
    }

    /// What `to_json` wrote.
    pub fn from_json(text: &str) -> Option<Measurement> {
        let value: Value = serde_json::from_str(text).ok()?;
        let number = |key: &str| value.get(key)?.as_f64();
        let nodes = value.get("nodes")?.as_array()?.iter();
        Some(Measurement {
            total: number("total")?,
            best: number("best")?,
            nodes: nodes.filter_map(|pair| Some((pair[0].as_str()?.to_string(), pair[1].as_f64()?))).collect(),
            remainder: number("remainder")?,
            share: number("share")?,
            kept: number("kept")?,
        })
    }
}

/// A chain of dependent multiplications: it takes the same number of core cycles each time, so its TSC cycles tell how fast the core
/// runs just now.
fn calibrate() -> u64 {
    let start = tsc();
    let mut value = start | 1;
    for _ in 0..500 {
        value = std::hint::black_box(value.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }
    std::hint::black_box(value);
    tsc() - start
}

/// This thread on its core, before others in the scheduler's eyes.
pub fn claim_core(core: usize) -> Result<(), String> {
    pin(core)?;
    prefer_us();
    Ok(())
}

fn pin(core: usize) -> Result<(), String> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).map_err(|error| format!("core {core} cannot be had: {error}"))
}

/// A session of our own gets a scheduling group of its own, which is then put before the others. Both are advice: without them the
/// measurement is only noisier.
fn prefer_us() {
    let _ = rustix::process::setsid();
    let _ = std::fs::write("/proc/self/autogroup", "-20");
}

/// CPU time of this thread.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// What graphs are measured in.
pub const CYCLES: &str = "TSC cycles per packet, 256 per vector";

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program).args(arguments).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// Today's date in UTC, as `2026-11-23`.
pub fn today() -> Option<String> {
    output("date", &["-u", "+%Y-%m-%d"]).filter(|date| !date.is_empty())
}

/// One line on what this ran on.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown CPU", |line| line.trim_matches([' ', '\t', ':']));
    let kernel = read("/proc/sys/kernel/osrelease");
    let commit = output("git", &["describe", "--always", "--dirty"]).unwrap_or_default();
    let date = output("date", &["-u", "+%Y-%m-%d %H:%M UTC"]).unwrap_or_default();
    format!("{model}, Linux {}, commit {commit}, {date}", kernel.trim())
}
