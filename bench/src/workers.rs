//! Several workers, between interfaces of the driver `memory`: how packets per second grow with workers, what is left of them under
//! overload, and what a packet costs in instructions.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use swath_api::VECTOR;
use swath_core::run::Engine;
use swath_ctl::{Live, Server, Settings};
use swath_io::capture::Writer;

use crate::cases::Case;
use crate::rig::build;
use crate::scrape::scrape;

/// How long one reading takes.
const READING: Duration = Duration::from_millis(500);
/// The longest until all packets of a case have come once.
const PATIENCE: Duration = Duration::from_secs(30);
/// Readings, of which the median counts: one of each kind after the other, for the machine may be slow for a while.
const ROUNDS: usize = 5;

/// A router, all of whose workers receive; with a handoff half or more of the packets go on on another one.
fn graph(workers: usize, handoff: bool, pace: &str) -> String {
    let (first, spread) = if handoff { ("spread", "  spread:  { kind: handoff, to: eth }\n") } else { ("eth", "") };
    format!(
        "version: 1
engine: {{ workers: {workers}, buffers: 65536, buffer-size: 1984 }}
interfaces:
  in:
    driver: memory
    mac: '02:00:00:00:00:01'
    addresses: [198.51.100.1/24]
    generate: {{ flows: {{ sources: [198.51.100.0/24], destinations: [10.0.0.0/16], count: 1024 }}{pace} }}
  out: {{ driver: memory, mac: '02:00:00:00:00:02', addresses: [192.0.2.1/24] }}
tables:
  neighbours: {{ kind: neighbours, static: [{{ address: 192.0.2.2, mac: '02:00:00:00:00:99' }}] }}
  routes: {{ kind: fib4, routes: [{{ prefix: 0.0.0.0/0, via: 192.0.2.2 }}] }}
nodes:
  rx:      {{ kind: rx, interface: in, to: {first} }}
{spread}  eth:     {{ kind: ethernet-input, to: ip4 }}
  ip4:     {{ kind: ip4-input, to: lookup }}
  lookup:  {{ kind: ip4-lookup, to: rewrite }}
  rewrite: {{ kind: ip4-rewrite, to: tx }}
  tx:      {{ kind: tx, interface: out }}
"
    )
}

/// What was read while workers ran.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// Packets sent in a second.
    rate: f64,
    /// Packets sent in a second of CPU time: what the rate would be if nobody else had the cores.
    per_cpu: f64,
    /// CPU time over wall time, of all workers together.
    share: f64,
    /// Of the packets received, those that found the ring to another worker full.
    lost: f64,
    /// The longest that anybody has waited for `/metrics`, in seconds.
    scrape: f64,
}

fn read(workers: usize, handoff: bool, pace: &str) -> Result<Reading, String> {
    watch(graph(workers, handoff, pace), 0)
}

/// Runs a graph, and looks at it when it has received so many packets.
fn watch(graph: String, warm_up: u64) -> Result<Reading, String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut engine = build("workers", graph, swath_io::DRIVERS, false);
    let live = Live::new(Settings { by_worker: true });
    let server = Server::start(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::clone(&live)).map_err(failed)?;
    engine.start().map_err(failed)?;
    live.attach(engine.observer());
    sleep(READING / 5);
    let started = Instant::now();
    while engine.ledger().received < warm_up && started.elapsed() < PATIENCE {
        sleep(READING / 50);
    }
    let look = |engine: &Engine| {
        let ledger = engine.ledger();
        (Instant::now(), worker_seconds(), ledger.sent, ledger.received, ledger.dropped_total())
    };
    let (before, mut longest) = (look(&engine), 0.0f64);
    while before.0.elapsed() < READING {
        let asked = Instant::now();
        scrape(server.address()).map_err(failed)?;
        longest = longest.max(asked.elapsed().as_secs_f64());
        sleep(READING / 10);
    }
    let after = look(&engine);
    engine.stop();
    let wrong = engine.ledger().discrepancies();
    assert!(wrong.is_empty(), "{wrong:?}");
    let (wall, cpu) = ((after.0 - before.0).as_secs_f64(), after.1 - before.1);
    let sent = (after.2 - before.2) as f64;
    let lost = (after.4 - before.4) as f64 / ((after.3 - before.3) as f64).max(1.0);
    Ok(Reading { rate: sent / wall, per_cpu: sent / cpu, share: cpu / wall, lost, scrape: longest })
}

/// CPU time of the threads whose names begin so, in seconds.
pub fn seconds_of(name: &str) -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten().map(|entry| entry.path());
    let named = tasks.filter(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.starts_with(name)));
    let time = |task: std::path::PathBuf| {
        let text = std::fs::read_to_string(task.join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    named.filter_map(time).sum::<u64>() as f64 / 1e9
}

/// CPU time of the threads of workers, in seconds.
pub fn worker_seconds() -> f64 {
    seconds_of("worker-")
}

/// The median of each figure, and the longest scrape, each case read in turn.
fn medians(cases: usize, rounds: usize, read: impl Fn(usize) -> Result<Reading, String>) -> Result<Vec<Reading>, String> {
    let rounds = (0..rounds).map(|_| (0..cases).map(&read).collect::<Result<Vec<_>, _>>()).collect::<Result<Vec<_>, _>>()?;
    let of = |case: usize| {
        let median = |figure: fn(&Reading) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(|round| figure(&round[case])).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Reading {
            rate: median(|reading| reading.rate),
            per_cpu: median(|reading| reading.per_cpu),
            share: median(|reading| reading.share),
            lost: median(|reading| reading.lost),
            scrape: rounds.iter().map(|round| round[case].scrape).fold(0.0, f64::max),
        }
    };
    Ok((0..cases).map(of).collect())
}

/// The name of the case of large tables.
pub const LARGE: &str = "large";
/// One sentence.
pub const ABOUT_LARGE: &str =
    "packets per second by 1 and 2 workers with 1 M routes, 1 M sessions, 10 k rules, and in a graph of 300 nodes";
/// Rounds of these, of which each takes as long as the tables are large.
const LARGE_ROUNDS: usize = 3;

/// The graph of a case between interfaces of the driver `memory`, its packets from a capture.
fn of_case(case: &Case, workers: usize, capture: &Path) -> String {
    let graph = case.graph().replacen("engine: {", &format!("engine: {{ workers: {workers},"), 1);
    let graph = graph.replacen("buffers: 4096", "buffers: 65536", 1).replacen("buffers: 8192", "buffers: 65536", 1);
    let source = format!("driver: memory, generate: {{ file: '{}' }}", capture.display());
    graph.replacen("driver: bench-source", &source, 1).replacen("driver: bench-sink", "driver: memory", 1)
}

/// Packets per second with one worker and with two, of graphs with large tables.
///
/// # Errors
/// A thread cannot be had, or does not answer; a capture cannot be written.
pub fn large(short: bool) -> Result<(), String> {
    let names = if short {
        ["ip4-131k", "nat-10k", "acl-router-100", "nodes-300"]
    } else {
        ["ip4-1m", "nat-1m", "acl-router-10000", "nodes-300"]
    };
    let rounds = if short { 1 } else { LARGE_ROUNDS };
    println!("| case | workers | Mpps | CPU share | Mpps per core | of one worker's, per core | lost between workers |");
    println!("|---|---|---|---|---|---|---|");
    for case in Case::all().into_iter().filter(|case| names.contains(&case.name)) {
        let capture = Capture::write(&case)?;
        let readings = medians(2, rounds, |index| watch(of_case(&case, index + 1, &capture.path), capture.packets))?;
        for (workers, reading) in (1..).zip(&readings) {
            println!(
                "| {} | {workers} | **{:.2}** | {:.2} | {:.2} | {:.2} | {:.1} % |",
                case.name,
                reading.rate / 1e6,
                reading.share,
                reading.per_cpu / 1e6,
                reading.per_cpu / readings[0].per_cpu,
                reading.lost * 100.0
            );
        }
    }
    Ok(())
}

/// The packets of a case in a file, which goes when this goes.
#[derive(Debug)]
pub struct Capture {
    pub path: PathBuf,
    packets: u64,
}

impl Capture {
    /// # Errors
    /// What the system says.
    pub fn write(case: &Case) -> Result<Capture, String> {
        let path = std::env::temp_dir().join(format!("swath-bench-{}-{}.pcap", std::process::id(), case.name));
        let capture = Capture { packets: (case.vectors() * VECTOR) as u64, path };
        let failed = |error: std::io::Error| format!("{}: {error}", capture.path.display());
        let mut writer = Writer::create(&capture.path).map_err(failed)?;
        for number in 0..capture.packets {
            writer.write(number, &case.packet(number)).map_err(failed)?;
        }
        writer.finish().map_err(failed)?;
        Ok(capture)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Packets per second with one worker and with two.
///
/// # Errors
/// A thread cannot be had, or does not answer.
pub fn scale() -> Result<(), String> {
    const CASES: [(usize, bool); 3] = [(1, false), (2, false), (2, true)];
    println!("| workers | handoff | Mpps | CPU share | Mpps per core | of one worker's, per core | lost between workers |");
    println!("|---|---|---|---|---|---|---|");
    let all = medians(CASES.len(), ROUNDS, |case| read(CASES[case].0, CASES[case].1, ""))?;
    for ((workers, handoff), reading) in CASES.into_iter().zip(&all) {
        println!(
            "| {workers} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} % |",
            if handoff { "yes" } else { "no" },
            reading.rate / 1e6,
            reading.share,
            reading.per_cpu / 1e6,
            reading.per_cpu / all[0].per_cpu,
            reading.lost * 100.0
        );
    }
    Ok(())
}

/// What is forwarded when more comes than can be: the highest rate is that of any row.
///
/// # Errors
/// As of [`scale`].
pub fn overload() -> Result<(), String> {
    const OFFERED: [f64; 5] = [0.5, 0.8, 1.0, 2.0, 10.0];
    for (workers, handoff) in [(1, false), (2, true)] {
        let capacity = medians(1, ROUNDS, |_| read(workers, handoff, ""))?[0].per_cpu;
        println!("\n{workers} worker{}\n", if handoff { "s, with a handoff" } else { "" });
        println!(
            "| offered, of {:.2} Mpps | Mpps sent | CPU share | Mpps per core | lost between workers | longest scrape |",
            capacity / 1e6
        );
        println!("|---|---|---|---|---|---|");
        let pace = |case: usize| format!(", rate: {}, burst: 32", (capacity * OFFERED[case]) as u64);
        let all = medians(OFFERED.len(), ROUNDS, |case| read(workers, handoff, &pace(case)))?;
        let peak = all.iter().map(|reading| reading.per_cpu).fold(0.0, f64::max);
        for (offered, reading) in OFFERED.iter().zip(&all) {
            println!(
                "| {offered} | {:.2} | {:.2} | {:.2} | {:.1} % | {:.1} ms |",
                reading.rate / 1e6,
                reading.share,
                reading.per_cpu / 1e6,
                reading.lost * 100.0,
                reading.scrape * 1e3
            );
        }
        println!("\nat ten times the capacity {:.1} % of the peak, for each second of CPU time", all[4].per_cpu / peak * 100.0);
    }
    Ok(())
}

/// Passes of a worker between two flushes, as in a sweep.
const PASSES: usize = 16;

/// Lets so many workers step through so many vectors: what callgrind looks at. Prints how many packets a look-up has had at a time.
pub fn step(workers: usize, handoff: bool, vectors: usize) {
    let pace = format!(", limit: {}", vectors * VECTOR);
    let mut engine = build("workers", graph(workers, handoff, &pace), swath_io::DRIVERS, true);
    run_steps(&mut engine);
    let ledger = engine.ledger();
    assert_eq!((ledger.sent, ledger.dropped_total()), ((vectors * VECTOR) as u64, 0), "all is sent");
    let nodes = engine.nodes();
    let lookup = nodes.iter().find(|node| node.name == "lookup").expect("a node of the graph");
    println!("{}", lookup.packets as f64 / lookup.calls as f64);
}

/// One pass each in turn, as threads do that are equally fast. Named, so that callgrind can be told to count here.
#[inline(never)]
fn run_steps(engine: &mut Engine) {
    let graphs = engine.graphs_mut();
    for round in 1.. {
        let mut busy = false;
        for graph in &mut *graphs {
            if graph.receive(0) > 0 {
                graph.pass(0);
                busy = true;
            }
            if round % PASSES == 0 || !busy {
                graph.flush(0);
            }
        }
        if !busy {
            break;
        }
    }
}

/// What callgrind has counted, in all.
#[derive(Debug, Clone, Copy)]
struct Counted {
    instructions: f64,
    /// Misses of the first data cache, and of the last cache.
    misses: [f64; 2],
    /// Packets in a vector.
    vector: f64,
}

/// Instructions and cache misses for each packet with more and more workers, receive and transmit included.
pub fn instructions() -> Result<(), String> {
    println!(
        "| workers | handoff | instructions | misses of L1 | of the last cache | packets per vector |\n|---|---|---|---|---|---|"
    );
    for (handoff, workers) in [false, true].into_iter().flat_map(|handoff| [1, 2, 4, 8].map(|workers| (handoff, workers))) {
        let (few, many) = (64, 320);
        let count = |vectors| count(workers, handoff, vectors).ok_or("valgrind is needed: see .ci/deps");
        let (before, after) = (count(few)?, count(many)?);
        let per_packet = |before: f64, after: f64| (after - before) / ((many - few) * VECTOR) as f64;
        let [first, last] = [0, 1].map(|cache| per_packet(before.misses[cache], after.misses[cache]));
        println!(
            "| {workers} | {} | {:.1} | {first:.2} | {last:.2} | {:.0} |",
            if handoff { "yes" } else { "no" },
            per_packet(before.instructions, after.instructions),
            after.vector
        );
    }
    Ok(())
}

fn count(workers: usize, handoff: bool, vectors: usize) -> Option<Counted> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no", "--toggle-collect=*run_steps*"]);
    // Caches of a size that does not depend on the machine: of one core each, as callgrind knows one core.
    command.args(["--cache-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,16,64"]);
    command.arg(std::env::current_exe().ok()?).args(["--vectors", &vectors.to_string(), "--workers", &workers.to_string()]);
    if handoff {
        command.arg("--handoff");
    }
    let output = command.env("SWATH_KERNELS", "avx2").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = |word| text.lines().find_map(|line| line.split_once(word)).map(|(_, rest)| rest.split_whitespace());
    let events: Vec<&str> = line("Events    :")?.collect();
    let counts: Vec<f64> = line("Collected :")?.map(|count| count.parse().ok()).collect::<Option<_>>()?;
    let of = |event: &str| events.iter().zip(&counts).find(|(name, _)| **name == event).map(|(_, count)| *count);
    let misses = [of("D1mr")? + of("D1mw")?, of("DLmr")? + of("DLmw")?];
    let vector = String::from_utf8_lossy(&output.stdout).trim().parse().ok()?;
    Some(Counted { instructions: of("Ir")?, misses, vector })
}
