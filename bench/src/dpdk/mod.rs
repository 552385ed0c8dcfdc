//! Devices of DPDK beside `dpdk-testpmd` (Debian: package `dpdk`) on the same ones: in turns, by one thread on the same core, in bursts of 256, with
//! huge pages for both if the machine has some free, and for none of them if not.
//!
//! What is told of each is how many packets per second it forwards, and how many cycles of its core each takes: those that its thread has run, by the
//! kernel's account, whatever it did in them.

mod forwarder;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity};
use swath_api::kernel::tsc;

use crate::af_xdp::Options;
use crate::af_xdp::statistics::Summary;
use crate::measure;
use forwarder::{Forwarder, Programs};

pub const NAME: &str = "dpdk";
pub const ABOUT: &str = "L2 mirror and IPv4 router on devices of DPDK, beside testpmd on the same ones";

/// The least ratio of rates: ours to that of testpmd's mode `mac`.
const RATE: f64 = 1.0;
/// TSC cycles per packet that the router may take beyond testpmd's mode `io`, which sends what it receives.
const ABOVE: f64 = 17.0;
/// The least part of the time in which a thread wants to run that it must get.
const LEAST_SHARE: f64 = 0.95;
/// How often as many rounds as wanted are tried at most.
const TRIES: usize = 3;
const WARM_UP: Duration = Duration::from_millis(300);

/// Who forwards, and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `testpmd --forward-mode=mac` on `net_null`: sets both addresses.
    Mac,
    /// `ethernet-mirror` between rx and tx on `net_null`.
    Mirror,
    /// `testpmd --forward-mode=io` on `net_pcap`, which brings the same packet again and again and drops what it is to send.
    Io,
    /// The IPv4 router on that, which verifies header checksums.
    Router,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Mac, Kind::Mirror, Kind::Io, Kind::Router];

    fn name(self) -> &'static str {
        match self {
            Kind::Mac => "testpmd `mac`, net_null",
            Kind::Mirror => "swath mirror, net_null",
            Kind::Io => "testpmd `io`, net_pcap",
            Kind::Router => "swath router, net_pcap",
        }
    }
}

/// How one forwarder did.
#[derive(Debug, Clone, Copy, Default)]
struct Measured {
    /// Packets per second.
    rate: f64,
    /// TSC cycles per packet.
    cycles: f64,
    /// The part of the time in which its thread wanted to run that it ran.
    share: f64,
}

/// The case.
pub fn run(options: Options, core: usize) -> Result<(), String> {
    let allowed = sched_getaffinity(None).map_err(|error| error.to_string())?;
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
    let other = *cores.iter().find(|other| **other != core).ok_or("it needs two cores")?;
    let programs = Programs::new(core, other)?;
    // This process asks, and its children are put before others with it.
    measure::claim_core(other)?;
    let frequency = frequency();
    println!("{}\n\n### {NAME}: {ABOUT}\n", measure::machine());
    println!(
        "One thread on core {core}, bursts of 256, frames of 60 bytes; {}; TSC {:.3} GHz.\n",
        programs.pages(),
        frequency / 1e9
    );
    println!("Mpps and TSC cycles per packet:\n");
    println!("| round |{} mirror to mac | router above io | least CPU share |", cells(Kind::ALL.map(Kind::name)));
    println!("|---|{}", "---|".repeat(7));
    let (mut ratios, mut above, mut tried) = (Vec::new(), Vec::new(), 0);
    while ratios.len() < options.pairs && tried < TRIES * options.pairs {
        let all = round(&programs, tried, options, frequency)?;
        tried += 1;
        let [mac, mirror, io, router] = all;
        let share = all.iter().map(|one| one.share).fold(1.0, f64::min);
        let (ratio, more) = (mirror.rate / mac.rate, router.cycles - io.cycles);
        let is_good = options.any_share || share >= LEAST_SHARE;
        let said = if is_good { format!("{ratio:.3} | {more:.1}") } else { "disturbed | disturbed".into() };
        let figures = cells(all.map(|one| format!("{:.1}, {:.1}", one.rate / 1e6, one.cycles)));
        println!("| {tried} |{figures} {said} | {share:.2} |");
        if is_good {
            ratios.push(ratio);
            above.push(more);
        }
    }
    if ratios.len() < options.pairs {
        return Err(format!("{} of {tried} rounds were disturbed: this wants an idle machine", tried - ratios.len()));
    }
    tell(Summary::of(&mut ratios), Summary::of(&mut above))
}

/// Cells of a table.
fn cells<T: std::fmt::Display>(of: [T; 4]) -> String {
    of.iter().fold(String::new(), |mut cells, cell| {
        let _ = write!(cells, " {cell} |");
        cells
    })
}

/// All of them, of whom another one is first in each round.
fn round(programs: &Programs, number: usize, options: Options, frequency: f64) -> Result<[Measured; 4], String> {
    let mut all = [Measured::default(); 4];
    for turn in 0..4 {
        let which = (number + turn) % 4;
        all[which] = measure_one(programs, Kind::ALL[which], options, frequency)?;
    }
    Ok(all)
}

fn tell(ratio: Summary, above: Summary) -> Result<(), String> {
    println!(
        "\nmirror to mac: median ratio **{:.3}** (wanted: {RATE:.1} at least), between {:.3} and {:.3} with 95 %",
        ratio.median, ratio.lower, ratio.upper
    );
    println!(
        "router above io: median **{:.1}** TSC cycles per packet (wanted: {ABOVE} at most), between {:.1} and {:.1} with 95 %",
        above.median, above.lower, above.upper
    );
    if ratio.median >= RATE && above.median <= ABOVE { Ok(()) } else { Err("it costs more than it should".into()) }
}

fn measure_one(programs: &Programs, kind: Kind, options: Options, frequency: f64) -> Result<Measured, String> {
    let mut forwarder: Forwarder = programs.start(kind)?;
    std::thread::sleep(WARM_UP);
    let before = (forwarder.times()?, forwarder.count()?);
    std::thread::sleep(Duration::from_millis(options.milliseconds));
    let after = (forwarder.times()?, forwarder.count()?);
    forwarder.end()?;
    let ((ran_before, waited_before), (packets_before, at_before)) = before;
    let ((ran, waited), (packets, at)) = after;
    let (ran, waited) = ((ran - ran_before) as f64, (waited - waited_before) as f64);
    let rate = (packets - packets_before) as f64 / at.duration_since(at_before).as_secs_f64();
    let share = ran / (ran + waited).max(1.0);
    Ok(Measured { rate, cycles: frequency * share / rate, share })
}

/// Of the time stamp counter, in hertz.
fn frequency() -> f64 {
    let (started, before) = (Instant::now(), tsc());
    std::thread::sleep(Duration::from_millis(100));
    let after = tsc();
    (after - before) as f64 / started.elapsed().as_secs_f64()
}
