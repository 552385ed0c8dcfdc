//! `swath-bench`: what the graph costs, in TSC cycles per packet.
//!
//! *Graph cost* is the time from the end of receive to the start of transmit: all nodes, the moving of packets between them, counters.
//! Packets are written just before, 256 per vector, so that their headers are in cache as a NIC with DDIO leaves them. What leaves is
//! checked against an independent implementation after the clock has stopped.

#![forbid(unsafe_code)]

mod af_xdp;
#[path = "../../nodes/tests/common/classbench.rs"]
mod classbench;
mod classifiers;
mod create;
mod dpdk;
mod kernel;
mod latency;
#[path = "../plugin/src/mark.rs"]
mod mark;
mod measure;
mod plugin;
mod reload;
mod results;
mod rte_acl;
mod scrape;
mod start;
mod store;
mod vpp;
mod wake;
mod watched;
mod workers;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser;
use swath_micro::cases::Case;
use swath_micro::{callgrind, cases, rig, verify};

use measure::{Measurement, Settings};
use results::{Outcome, Row};

/// Measures the graph cost of a case, with each set of SIMD kernels that the processor has.
#[derive(Parser, Debug)]
#[command(name = "swath-bench")]
struct Arguments {
    /// The case, or with `*` at its end all whose names begin so; without it, all of graphs, and of classifiers. `--list` shows them.
    #[arg(long)]
    case: Option<String>,
    /// Lists the cases.
    #[arg(long)]
    list: bool,
    /// Instructions per packet of the functions that take most of them, by callgrind, and no times.
    #[arg(long)]
    profile: bool,
    /// Samples, each of one vector. More of them on a noisy machine.
    #[arg(long, default_value_t = 20_000)]
    samples: usize,
    /// With `start`, `latency` and `large`: less of everything, to see that the case works, and not how fast anything is.
    #[arg(long)]
    short: bool,
    /// The core to run on.
    #[arg(long, default_value_t = 1)]
    core: usize,
    /// Writes what graphs and classifiers came to into this directory, too: the day's date as .json, .md and .svg.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Runs so many vectors under callgrind's eyes instead: how this program counts its own instructions.
    #[arg(long, hide = true)]
    vectors: Option<usize>,
    /// With `vectors`: by so many workers, step by step.
    #[arg(long, hide = true)]
    workers: Option<usize>,
    /// With `vectors`: while somebody looks at packets in this way.
    #[arg(long, hide = true)]
    watch: Option<String>,
    /// With `workers`: with a handoff between them.
    #[arg(long, hide = true)]
    handoff: bool,
    /// Measures with the kernels that this process has chosen, and prints JSON: how this program calls itself.
    #[arg(long, hide = true)]
    child: bool,
    /// With the case `plugin`: where its libraries are.
    #[arg(long, default_value = "bench/plugin/target/release")]
    plugins: PathBuf,
    #[command(flatten)]
    af_xdp: af_xdp::Options,
}

/// What is measured of workers as threads, or of several: name, meaning, and how.
type Threads = (&'static str, &'static str, fn() -> Result<(), String>);
const THREADS: [Threads; 8] = [
    ("workers", "packets per second by 1 and 2 workers, with and without a handoff", workers::scale),
    ("overload", "what is forwarded of up to ten times what can be", workers::overload),
    ("overload-af-packet", "the same on devices of the kernel; as root", kernel::report),
    ("scrape", "what it costs the workers of 100 nodes that somebody looks at their metrics", scrape::report),
    ("workers-instructions", "instructions and cache misses per packet of 1, 2, 4 and 8 workers", workers::instructions),
    ("watched", "instructions per packet while somebody traces, taps or captures", watched::report),
    ("reload", "what a NAT gateway loses when another graph is applied, beside Click; as root", reload::report),
    ("wake", "how long packets wait for a worker that sleeps, and what it costs to be idle", wake::report),
];

/// What has a short form, too: name, meaning, and how.
type Scaled = (&'static str, &'static str, fn(bool) -> Result<(), String>);
const SCALED: [Scaled; 3] = [
    (start::NAME, start::ABOUT, start::report),
    (latency::NAME, latency::ABOUT, latency::report),
    (workers::LARGE, workers::ABOUT_LARGE, workers::large),
];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let case = arguments.case.as_deref();
    if case == Some(dpdk::NAME) {
        dpdk::run(arguments.af_xdp, arguments.core).unwrap_or_else(|error| fail(&error));
        return ExitCode::SUCCESS;
    }
    if case == Some(plugin::NAME) {
        plugin_costs(&arguments).unwrap_or_else(|error| fail(&error));
        return ExitCode::SUCCESS;
    }
    if case == Some(vpp::NAME) {
        println!("{}; {}\n", measure::machine(), measure::CYCLES);
        let settings = Settings { samples: arguments.samples, core: arguments.core };
        // The best set of kernels is what a user of this machine gets.
        let best = swath_api::kernel::all_supported()[0].name;
        let measure = |case: &Case| child(case, &settings, best).map(|measured| measured.total);
        vpp::report(&settings, measure).unwrap_or_else(|error| fail(&error));
        return ExitCode::SUCCESS;
    }
    let Some((_, _, run)) = af_xdp::CASES.iter().find(|(name, ..)| case == Some(*name)) else {
        graph_costs(&arguments);
        return ExitCode::SUCCESS;
    };
    if !arguments.child {
        return af_xdp::run_apart().unwrap_or_else(|error| fail(&error));
    }
    match run(arguments.af_xdp, arguments.core) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn plugin_costs(arguments: &Arguments) -> Result<(), String> {
    if let (Some(calls), Some(what)) = (arguments.vectors, &arguments.watch) {
        return plugin::step(what, calls, &arguments.plugins);
    }
    println!("{}\n", measure::machine());
    let Arguments { samples, core, plugins, af_xdp, .. } = arguments;
    plugin::report(&plugin::Settings { samples: *samples, core: *core, any_share: af_xdp.any_share, libraries: plugins })
}

fn graph_costs(arguments: &Arguments) {
    if arguments.list {
        Case::all().iter().for_each(|case| println!("{:<28} {}", case.name, case.about));
        classifiers::ALL.iter().for_each(|rules| println!("{:<28} the classifier of rules alone", rules.name));
        store::all().iter().for_each(|case| println!("{:<28} {}", case.name, case.about));
        println!("{:<28} {}", create::NAME, create::ABOUT);
        THREADS.iter().for_each(|(name, about, _)| println!("{name:<28} {about}"));
        SCALED.iter().for_each(|(name, about, _)| println!("{name:<28} {about}"));
        af_xdp::CASES.iter().for_each(|(name, about, _)| println!("{name:<28} {about}"));
        println!("{:<28} {}", dpdk::NAME, dpdk::ABOUT);
        println!("{:<28} {}", plugin::NAME, plugin::ABOUT);
        println!("{:<28} {}", vpp::NAME, vpp::ABOUT);
        return;
    }
    if let (Some(vectors), Some(way)) = (arguments.vectors, &arguments.watch) {
        watched::step(way, vectors).unwrap_or_else(|error| fail(&error));
        return;
    }
    if let Some((_, _, run)) = THREADS.iter().find(|(name, ..)| arguments.case.as_deref() == Some(*name)) {
        if !arguments.child {
            println!("{}\n", measure::machine());
        }
        run().unwrap_or_else(|error| fail(&error));
        return;
    }
    if let Some((_, _, run)) = SCALED.iter().find(|(name, ..)| arguments.case.as_deref() == Some(*name)) {
        println!("{}\n", measure::machine());
        run(arguments.short).unwrap_or_else(|error| fail(&error));
        return;
    }
    if let (Some(vectors), Some(workers)) = (arguments.vectors, arguments.workers) {
        workers::step(workers, arguments.handoff, vectors);
        return;
    }
    let settings = Settings { samples: arguments.samples, core: arguments.core };
    let named = |name: &str| arguments.case.as_deref().is_some_and(|case| fits(case, name));
    let wanted = |name: &str| arguments.case.is_none() || named(name);
    let cases: Vec<Case> = Case::all().into_iter().filter(|case| wanted(case.name)).collect();
    let classifiers: Vec<_> = classifiers::ALL.iter().filter(|rules| wanted(rules.name)).collect();
    let stores: Vec<_> = store::all().into_iter().filter(|case| named(case.name)).collect();
    let creates = named(create::NAME);
    if cases.is_empty() && classifiers.is_empty() && stores.is_empty() && !creates {
        fail(&format!("there is no case '{}'; --list shows them", arguments.case.as_deref().unwrap_or_default()));
    }
    if let (Some(vectors), Some(case)) = (arguments.vectors, cases.first()) {
        rig::Rig::new(case).run(vectors);
        return;
    }
    if arguments.profile {
        println!("{}", measure::machine());
        profile(&cases).unwrap_or_else(|error| fail(&error));
        return;
    }
    if let (true, Some(case)) = (arguments.child, cases.first()) {
        match measure::measure(case, &settings) {
            Ok(measured) => println!("{}", measured.to_json()),
            Err(error) => fail(&error),
        }
        return;
    }
    let machine = measure::machine();
    println!("{machine}; {}", measure::CYCLES);
    let (mut outcomes, mut failures, mut paper) = (Vec::new(), 0, Paper::default());
    for case in &cases {
        let (outcome, failed) = report(case, &settings, &mut paper);
        outcomes.push(outcome);
        failures += failed;
    }
    floods(&outcomes, &mut paper);
    if !classifiers.is_empty() {
        classify(&classifiers, &settings, &mut paper);
    }
    if cases.len() > 1 {
        println!("\n{}", results::summary(&outcomes));
    }
    if let Some(directory) = &arguments.write {
        let date = measure::today().unwrap_or_else(|| fail("there is no date"));
        let written = results::write(directory, &date, &machine, &outcomes, &paper.0);
        written.unwrap_or_else(|error| fail(&format!("{}: {error}", directory.display())));
    }
    if !stores.is_empty() {
        println!("\n| case | what | median | best | bytes per session |\n|---|---|---|---|---|");
        stores.iter().for_each(|case| store::report(case, &settings).unwrap_or_else(|error| fail(&error)));
    }
    if creates {
        println!("\n| case | what | median | mean | best | of it snat | sessions per second | bytes per session |");
        println!("|---|---|---|---|---|---|---|---|");
        create::report(&settings).unwrap_or_else(|error| fail(&error));
    }
    if failures > 0 {
        fail(&format!("{failures} of the measurements failed"));
    }
}

/// How many packets of flows that go on pass in the same time as without a flood, if both were measured: one in ten less come in, and all cost
/// more.
fn floods(outcomes: &[Outcome], paper: &mut Paper) {
    let total = |outcome: &Outcome| Some((outcome.name.strip_prefix("acl-flood-")?, outcome.rows.first()?.measured.total));
    let totals: Vec<(&str, f64)> = outcomes.iter().filter_map(total).collect();
    let Some((_, without)) = totals.iter().find(|(name, _)| *name == "none") else { return };
    paper.line(
        "\n### What established flows keep of their rate beside a flood of one packet in ten\n\n| flood | they keep |\n|---|---|",
    );
    for (name, total) in totals.iter().filter(|(name, _)| *name != "none") {
        paper.line(&format!("| {name} | {:.0} % |", 100.0 * 0.9 * without / total));
    }
}

/// What is printed, and remembered.
#[derive(Default)]
struct Paper(String);

impl Paper {
    fn line(&mut self, text: &str) {
        println!("{text}");
        let _ = writeln!(self.0, "{text}");
    }
}

/// Whether the name of a case is the one that was asked for.
fn fits(asked: &str, name: &str) -> bool {
    asked.strip_suffix('*').map_or(asked == name, |start| name.starts_with(start))
}

/// Measures classifiers, which have no SIMD kernels, in this process.
fn classify(classifiers: &[&classifiers::Rules], settings: &Settings, paper: &mut Paper) {
    paper.line("\n### Classifiers of rules, alone\n");
    if !rte_acl::is_there() {
        paper.line("`dpdk-test-acl` is not there (Debian: package `dpdk-dev`): nothing stands beside these figures.\n");
    }
    paper.line("| rules | shape | median | best twentieth | compiled in | memory | same rules without TCP flags, beside rte_acl |");
    paper.line("|---|---|---|---|---|---|---|");
    if let Err(error) = measure::claim_core(settings.core) {
        fail(&error);
    }
    classifiers.iter().for_each(|rules| paper.line(&rules.measure(settings)));
}

/// Measures one case with each set of kernels in a process of its own, since a process chooses its kernels once. Returns what they came to,
/// and how many measurements failed.
fn report(case: &Case, settings: &Settings, paper: &mut Paper) -> (Outcome, usize) {
    let mut outcome = Outcome { name: case.name, about: case.about, rows: Vec::new() };
    let mut failures = 0;
    paper.line(&format!("\n### {}: {}\n", case.name, case.about));
    paper.line("| kernels | total | per node | remainder | instructions | CPU share | samples kept | best |");
    paper.line("|---|---|---|---|---|---|---|---|");
    for kernels in swath_api::kernel::all_supported().iter().map(|kernels| kernels.name) {
        match child(case, settings, kernels) {
            Ok(measured) => {
                let instructions = instructions(case, kernels);
                paper.line(&measured.row(kernels, instructions));
                outcome.rows.push(Row { kernels, measured, instructions });
            }
            Err(error) => {
                paper.line(&format!("| {kernels} | {error} | | | | | | |"));
                failures += 1;
            }
        }
    }
    (outcome, failures)
}

fn child(case: &Case, settings: &Settings, kernels: &str) -> Result<Measurement, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args(["--child", "--case", case.name, "--samples", &settings.samples.to_string(), "--core", &settings.core.to_string()])
        .env("SWATH_KERNELS", kernels)
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().replace('\n', " "));
    }
    Measurement::from_json(text.trim()).ok_or_else(|| format!("no measurement in: {text}"))
}

/// Instructions per packet of the passes alone, by callgrind. `None` without valgrind, for kernels that it cannot run (AVX-512), and for what
/// takes it minutes.
fn instructions(case: &Case, kernels: &str) -> Option<f64> {
    if kernels == "avx512" || !callgrind::is_countable(case) {
        return None;
    }
    let program = std::env::current_exe().ok()?;
    callgrind::count(&program, case, kernels).ok().map(|counts| counts.total)
}

/// Functions of a profile.
const FUNCTIONS: usize = 12;

/// What cases spend their instructions on, with the kernels of AVX2. Large tables take minutes.
fn profile(cases: &[Case]) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    for case in cases {
        let counts = callgrind::count(&program, case, "avx2")?;
        println!("\n### {}: {}\n\n{:.1} instructions per packet\n", case.name, case.about, counts.total);
        println!("| function | instructions per packet | of all |\n|---|---|---|");
        for (name, each) in counts.functions.iter().take(FUNCTIONS) {
            println!("| `{}` | {each:.1} | {:.0} % |", callgrind::short(name), each / counts.total * 100.0);
        }
    }
    Ok(())
}

fn fail(message: &str) -> ! {
    eprintln!("swath-bench: {message}");
    std::process::exit(1)
}
