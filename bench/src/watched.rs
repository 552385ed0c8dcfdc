//! What it costs to look at packets that pass, in instructions: nobody, a trace of one packet in a hundred, taps, and a scrape; and what it costs
//! that one could, beside a build in which nobody can.

use std::path::Path;
use std::process::Command;

use swath_api::filter::Filter;
use swath_core::run::{Order, Place, What};
use swath_ctl::{Format, Live, Settings};

use crate::cases::Case;
use crate::rig::Rig;

/// One route, and two flows.
const CASE: &str = "ip4-marked";
/// One packet in a hundred of the case.
const FEW: &str = "udp src port 4001";
/// Vectors after which a reader takes what was seen.
const READ_EVERY: usize = 4;

/// Ways to look, with what they are.
const WAYS: [(&str, &str); 5] = [
    ("none", "nobody looks"),
    ("trace", "1 % of the packets are traced"),
    ("trace-none", "a trace whose filter holds for no packet"),
    ("tap", "a tap on one edge, whose filter holds for 1 % of the packets"),
    ("drops", "a capture of drops, where nothing is dropped"),
];

/// This program, built with the feature `bare`: it lies beside this one.
const BARE: &str = "swath-bench-bare";
/// Vectors of two runs, whose difference is counted: so set-up cancels out.
const RUNS: (usize, usize) = (52, 452);

/// Instructions per packet.
fn per_packet(program: &Path, way: &str) -> Result<f64, String> {
    let (few, many) = RUNS;
    let (before, after) = (count(program, way, few)?, count(program, way, many)?);
    Ok(after.saturating_sub(before) as f64 / ((many - few) * swath_api::VECTOR) as f64)
}

/// Prints instructions per packet for each way.
pub fn report() -> Result<(), String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    println!("| | instructions per packet | of those while nobody looks |\n|---|---|---|");
    let mut alone = 0.0;
    for (way, about) in WAYS {
        let each = per_packet(&this, way)?;
        if alone == 0.0 {
            alone = each;
        }
        println!("| {about} | {each:.2} | {:.1} % |", each / alone * 100.0);
    }
    let bare = this.with_file_name(BARE);
    if bare.exists() {
        let each = per_packet(&bare, WAYS[0].0)?;
        println!("| nobody can look (feature `bare`) | {each:.2} | {:.2} % |", each / alone * 100.0);
        println!("\nThat one could look costs {:.2} % of what there is without it.", (alone / each - 1.0) * 100.0);
    } else {
        println!("\nThere is no {}: `make bench CASE=watched` builds it.", bare.display());
    }
    let (few, many) = (1, 11);
    let each = count(&this, SCRAPE, many)?.saturating_sub(count(&this, SCRAPE, few)?) / (many - few) as u64;
    let of_second = each as f64 / (PACKETS * alone) * 100.0;
    println!(
        "\nA scrape is {each} instructions, on a thread of its own: once a second, {of_second:.2} % of those for 10 million packets."
    );
    Ok(())
}

/// Looks at the metrics, so many times as there are vectors otherwise.
const SCRAPE: &str = "scrape";
/// Packets of a second.
const PACKETS: f64 = 10e6;

/// Named, so that callgrind can be told to count here.
#[inline(never)]
fn watched_scrape(live: &Live) -> usize {
    live.metrics(Format::Text).len()
}

/// Instructions of the passes over so many vectors, by callgrind.
fn count(program: &Path, way: &str, vectors: usize) -> Result<u64, String> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .args(["--toggle-collect=*graph_pass*", "--toggle-collect=*SinkQueue*transmit*", "--toggle-collect=*watched_scrape*"])
        .arg(program)
        .args(["--case", "watched", "--vectors", &vectors.to_string(), "--watch", way])
        .env("SWATH_KERNELS", "avx2")
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.contains("Collected :")).ok_or_else(|| text.to_string())?;
    line.rsplit(' ').next().and_then(|count| count.parse().ok()).ok_or_else(|| line.to_string())
}

/// Lets so many vectors through the graph while somebody looks in one of these ways: what callgrind looks at.
pub fn step(way: &str, vectors: usize) -> Result<(), String> {
    let case = Case::all().into_iter().find(|case| case.name == CASE).ok_or("the case is there")?;
    let mut rig = Rig::new(&case);
    if way == SCRAPE {
        let live = Live::new(Settings { by_worker: false });
        live.attach(rig.observer());
        let bytes: usize = (0..vectors).map(|_| watched_scrape(&live)).sum();
        eprintln!("{bytes} bytes");
        return Ok(());
    }
    let filter = |text: &str| Filter::new(text, true).map(Some).map_err(|error| error.to_string());
    let order = |what, filter| Some(Order { what, filter, count: 0, snap: 128 });
    let order = match way {
        "trace" => order(What::Trace(None), filter(FEW)?),
        "trace-none" => order(What::Trace(None), filter("udp src port 4002")?),
        "tap" => order(What::Edges(vec![Place::new("*.forward").map_err(|error| error.to_string())?]), filter(FEW)?),
        "drops" => order(What::Drops(Vec::new()), None),
        _ => None,
    };
    let mut sightings = order.map(|order| rig.probe(order)).transpose()?;
    let mut seen = 0;
    for _ in 0..vectors / READ_EVERY {
        rig.run(READ_EVERY);
        if let Some(sightings) = &mut sightings {
            seen += sightings.take(usize::MAX).len();
            assert_eq!(sightings.missed(), 0, "the reader keeps up");
        }
    }
    eprintln!("{seen} seen");
    Ok(())
}
