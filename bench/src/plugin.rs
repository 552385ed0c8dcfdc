//! What the border of a plugin costs: one node that does next to nothing, four times. Built in; through the vtable that it exports, within
//! this program; as a library in Rust; and as one in C. All take turns in one run, on the same packets.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use swath_api::kernel::tsc;
use swath_api::memory::{Geometry, Region};
use swath_api::plugin::{Export, NodeEntry};
use swath_api::{
    Cache, Call, Called, Host, Interfaces, Lane, Nexts, NodeHost, NodeInstance, NodeKind, Outbox, Pool, Tables, VECTOR, Vector,
    WorkerTables,
};

use crate::mark::Mark;
use crate::measure::{LEAST_SHARE, claim_core, cpu_seconds};

/// Its name on the command line.
pub const NAME: &str = "plugin";
/// What it is.
pub const ABOUT: &str = "a node built in, through the vtable, as a library in Rust, and in C, at vectors of 1, 16 and 256";

/// Packets in a call, and calls in a sample: enough that the clock itself does not count.
const VECTORS: [(usize, usize); 3] = [(1, 256), (16, 64), (256, 16)];
/// Who takes turns.
const NAMES: [&str; 4] = ["built in", "its vtable", "Rust library", "C library"];
/// A library costs at most so many times what is built in, at 256.
const WANTED: f64 = 1.05;
/// What the nodes write.
const MARK: u32 = 4711;

const NODES: &[NodeEntry] = &[NodeEntry::of::<Mark>()];
static EXPORT: Export = Export::new("mark", "0.1.0", NODES, &[]);

/// How it is measured.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// Samples of each node and length.
    pub samples: usize,
    /// The core to run on.
    pub core: usize,
    /// Whether a share of it will do.
    pub any_share: bool,
    /// Where the libraries are.
    pub libraries: &'a Path,
}

/// Measures and prints.
///
/// # Errors
/// A library is not there, a node does not do what it is for, or the machine is too busy.
pub fn report(settings: &Settings<'_>) -> Result<(), String> {
    claim_core(settings.core)?;
    let mut rig = Rig::new(settings.libraries)?;
    println!("| packets in a call | {} | {} of built in |", NAMES.join(" | "), NAMES[1..].join(", "));
    println!("|---|{}---|", "---|".repeat(NAMES.len()));
    let mut missed = Vec::new();
    for (packets, calls) in VECTORS {
        let medians = rig.measure(packets, calls, settings)?;
        let ratios = medians[1..].iter().map(|median| median / medians[0]);
        let cycles: Vec<String> = medians.iter().map(|median| format!("{median:.2}")).collect();
        let shown: Vec<String> = ratios.clone().map(|ratio| format!("{ratio:.3}")).collect();
        println!("| {packets} | {} | {} |", cycles.join(" | "), shown.join(", "));
        if packets == VECTOR {
            missed.extend(ratios.zip(&NAMES[1..]).filter(|(ratio, _)| *ratio > WANTED).map(|(_, name)| *name));
        }
    }
    println!("\nTSC cycles per packet, medians of {} samples", settings.samples);
    println!("\n| instructions per packet | {} |\n|---|{}", NAMES.join(" | "), "---|".repeat(NAMES.len()));
    for (packets, _) in VECTORS {
        let counted = (0..NAMES.len()).map(|node| instructions(node, packets, settings.libraries));
        let shown: Vec<String> = counted.map(|count| count.map_or_else(|| "-".into(), |count| format!("{count:.2}"))).collect();
        println!("| {packets} | {} |", shown.join(" | "));
    }
    let verdict = if missed.is_empty() { "met".into() } else { format!("missed: {}", missed.join(", ")) };
    println!("\nwanted: {WANTED} at {VECTOR} at most: {verdict}");
    Ok(())
}

/// So many calls of one node, for who counts instructions: `NODE-PACKETS`.
///
/// # Errors
/// There is no such node, or a library is not there.
pub fn step(what: &str, calls: usize, libraries: &Path) -> Result<(), String> {
    let parsed = what.split_once('-').and_then(|(node, packets)| Some((node.parse::<usize>().ok()?, packets.parse().ok()?)));
    let (node, packets) = parsed.filter(|(node, _)| *node < NAMES.len()).ok_or("it is NODE-PACKETS")?;
    let mut rig = Rig::new(libraries)?;
    rig.fill(packets);
    rig.calls(node, calls);
    Ok(())
}

/// The nodes, and what they are called with.
struct Rig {
    nodes: Vec<NodeInstance>,
    packets: Vector,
    nexts: Nexts,
    outbox: Outbox,
    tables: WorkerTables,
    cache: Cache,
}

impl Rig {
    fn new(libraries: &Path) -> Result<Rig, String> {
        let host = Host { log: |file, _, text| eprintln!("{file}: {text}") };
        let here = EXPORT.open("swath-bench", host)?;
        let load = |file: &str| {
            swath_plugin::load(&libraries.join(file), None)
                .map_err(|refused| format!("{}; `make bench CASE={NAME}` builds it", refused.message))
        };
        let (rust, c) = (load("libmark.so")?, load("libmark_c.so")?);
        let pool = Pool::new(Region::anonymous_huge(Geometry::new(1024, 2048)).map_err(|error| error.to_string())?);
        let kinds = [NodeKind::of::<Mark>(), here.nodes()[0], rust.nodes()[0], c.nodes()[0]];
        let nodes = kinds.map(|kind| instance(kind, &pool)).into_iter().collect::<Result<_, _>>()?;
        let mut cache = pool.cache();
        cache.ensure(2 * VECTOR);
        let tables = WorkerTables::new(0, &[]).map_err(|error| error.to_string())?;
        Ok(Rig { nodes, packets: Vector::new(&pool), nexts: Nexts::default(), outbox: Outbox::new(&pool), tables, cache })
    }

    /// Has so many packets.
    fn fill(&mut self, packets: usize) {
        self.cache.free(&mut self.packets);
        for number in 0..packets {
            let mut buffer = self.cache.take().expect("there are enough");
            buffer.fill(&[number as u8 & 0x7f; 60]);
            buffer.push(&mut self.packets, Lane::received(0));
        }
    }

    /// Calls a node so often, with all packets. Named, so that callgrind can be told to count here.
    #[inline(never)]
    fn calls(&mut self, node: usize, calls: usize) -> Called {
        let Rig { nodes, packets, nexts, outbox, tables, cache } = self;
        let mut called = Called::default();
        for _ in 0..calls {
            called = nodes[node].process(packets, nexts, Call { outbox, room: VECTOR, cache, tables, now: 0 });
        }
        called
    }

    /// TSC cycles per packet of each node: medians.
    fn measure(&mut self, packets: usize, calls: usize, settings: &Settings<'_>) -> Result<Vec<f64>, String> {
        self.fill(packets);
        let mut samples = vec![Vec::with_capacity(settings.samples); NAMES.len()];
        let (wall, cpu) = (Instant::now(), cpu_seconds());
        for round in 0..settings.samples {
            for turn in 0..NAMES.len() {
                // Nobody is always behind the same one.
                let node =
                    if round % 2 == 0 { (turn + round / 2) % NAMES.len() } else { (NAMES.len() + round / 2 - turn) % NAMES.len() };
                // Whose code was away has it again.
                self.calls(node, 1);
                let start = tsc();
                self.calls(node, calls);
                samples[node].push(tsc() - start);
            }
        }
        let share = (cpu_seconds() - cpu) / wall.elapsed().as_secs_f64();
        if share < LEAST_SHARE && !settings.any_share {
            return Err(format!("the CPU share was {share:.2}, below {LEAST_SHARE}: the machine is too busy"));
        }
        self.verify()?;
        let median = |mut samples: Vec<u64>| {
            samples.sort_unstable();
            samples[samples.len() / 2] as f64 / (packets * calls) as f64
        };
        Ok(samples.into_iter().map(median).collect())
    }

    /// Each node marks all packets, and sends them on.
    fn verify(&mut self) -> Result<(), String> {
        for (node, name) in NAMES.iter().enumerate() {
            self.packets.lanes_mut().iter_mut().for_each(|lane| lane.adj = 0);
            let called = self.calls(node, 1);
            let marked = self.packets.lanes().iter().all(|lane| lane.adj == MARK);
            let sent = self.nexts.ids().len() == self.packets.len() && self.nexts.ids().iter().all(|next| *next == 0);
            if !marked || !sent || called != Called::default() {
                return Err(format!("{name} does not do what it is for"));
            }
        }
        Ok(())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.cache.free(&mut self.packets);
    }
}

fn instance(kind: NodeKind, pool: &Arc<Pool>) -> Result<NodeInstance, String> {
    let (interfaces, tables) = (&Interfaces::new(Vec::new()), &Tables::new());
    let host = NodeHost { name: "mark", worker: 0, workers: 1, interfaces, tables, slots: &[], edges: &[], pool, keeper: None };
    let (instance, _) = kind.create(format!("{{\"mark\":{MARK}}}").as_bytes(), &host).map_err(|error| error.to_string())?;
    Ok(instance)
}

/// Instructions per packet of the calls alone, by callgrind: the difference of two runs, so that set-up cancels out. `None` without valgrind.
fn instructions(node: usize, packets: usize, libraries: &Path) -> Option<f64> {
    let (few, many) = (100, 1100);
    let count = |calls: usize| -> Option<u64> {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no", "--toggle-collect=*Rig*calls*"])
            .arg(std::env::current_exe().ok()?)
            .args(["--case", NAME, "--vectors", &calls.to_string(), "--watch", &format!("{node}-{packets}"), "--plugins"])
            .arg(libraries)
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().find(|line| line.contains("Collected :"))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    Some(count(many)?.checked_sub(count(few)?)? as f64 / ((many - few) * packets) as f64)
}
