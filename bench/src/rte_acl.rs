//! The classifier of DPDK beside ours, in the same minutes on the same core: `dpdk-test-acl` (Debian: package `dpdk-dev`) with the same rules
//! and the same packets, whose answers are compared.
//!
//! It knows addresses, ports and protocol; rules that ask for flags of TCP are taken without, here and there, and packets are whole.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use swath_api::VECTOR;
use swath_api::kernel::tsc;
use swath_nodes::acl::{Classifier, Criteria, Key, NO_PORT, NO_RULE, Part, Scratch};

use crate::measure::Settings;

/// The program.
const PROGRAM: &str = "dpdk-test-acl";
/// Measurements of each, by turns.
const TURNS: usize = 5;
/// The longest that it may take: some rules make its trees huge.
const PATIENCE: Duration = Duration::from_secs(120);
/// Packets that it classifies in one measurement.
const PACKETS: usize = 20_000_000;

/// What both take, in TSC cycles per packet: ours, and its.
#[derive(Debug, Clone, Copy)]
pub struct Both {
    /// Ours, on the rules that both know.
    pub ours: f64,
    /// Its.
    pub other: f64,
}

/// Whether it is there.
pub fn is_there() -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|directory| directory.join(PROGRAM).is_file())
}

/// Measures both by turns.
///
/// # Errors
/// It does not run, does not end, or gives another answer than ours.
pub fn beside(rules: &[Criteria<u32>], keys: &[Key<u32>], settings: &Settings) -> Result<Both, String> {
    let rules: Vec<Criteria<u32>> = rules.iter().map(without_flags).collect();
    let keys: Vec<Key<u32>> = keys.iter().filter(|key| key.part == Part::Whole).copied().collect();
    let keys = &keys[..keys.len() / VECTOR * VECTOR];
    let classifier = Classifier::new(rules.clone(), &[], 4, false);
    let files = Files::write(&rules, keys)?;
    compare(&classifier, keys, &files.run(settings.core, 1, 3)?)?;
    let (mut ours, mut other) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        ours.push(measure(&classifier, keys, settings.samples / TURNS));
        let said = files.run(settings.core, (PACKETS / keys.len()).max(1), 0)?;
        other.push(cycles(&said).ok_or_else(|| format!("{PROGRAM} says nothing of cycles: {said}"))?);
    }
    Ok(Both { ours: median(ours), other: median(other) })
}

fn without_flags(rule: &Criteria<u32>) -> Criteria<u32> {
    let mut rule = *rule;
    rule.others.tcp_flags = (0, 0);
    rule
}

fn measure(classifier: &Classifier<u32>, keys: &[Key<u32>], samples: usize) -> f64 {
    let (mut scratch, mut found) = (Scratch::default(), [0; VECTOR]);
    let sample = |keys: &[Key<u32>]| {
        let start = tsc();
        classifier.classify(keys, &mut found, &mut scratch);
        (tsc() - start) as f64 / VECTOR as f64
    };
    median(keys.chunks(VECTOR).cycle().take(samples.max(1)).map(sample).collect())
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

/// Rules and packets as it reads them; they go when this goes.
struct Files {
    rules: PathBuf,
    packets: PathBuf,
    count: usize,
    rule_count: usize,
}

impl Files {
    fn write(rules: &[Criteria<u32>], keys: &[Key<u32>]) -> Result<Files, String> {
        let path = |what: &str| std::env::temp_dir().join(format!("swath-bench-{}-{what}", std::process::id()));
        let files = Files { rules: path("rules"), packets: path("packets"), count: keys.len(), rule_count: rules.len() };
        let refused = |error: std::io::Error| error.to_string();
        std::fs::write(&files.rules, rules.iter().map(rule).collect::<String>()).map_err(refused)?;
        std::fs::write(&files.packets, keys.iter().map(packet).collect::<String>()).map_err(refused)?;
        Ok(files)
    }

    /// What it says, on a core and so many times over all packets.
    fn run(&self, core: usize, times: usize, verbose: u8) -> Result<String, String> {
        let mut command = Command::new(PROGRAM);
        command.args([
            "--no-huge",
            "--no-pci",
            "--no-telemetry",
            "--no-shconf",
            "--log-level=1",
            "-m",
            "2048",
            "-l",
            &core.to_string(),
        ]);
        command.arg("--");
        command.arg(format!("--rulesf={}", self.rules.display())).arg(format!("--tracef={}", self.packets.display()));
        command.arg(format!("--rulenum={}", self.rule_count + 1)).arg(format!("--tracenum={}", self.count));
        command.args([&format!("--iter={times}"), &format!("--verbose={verbose}"), "--tracestep=256", "--bldcat=1"]);
        let output = std::env::temp_dir().join(format!("swath-bench-{}-said", std::process::id()));
        let file = std::fs::File::create(&output).map_err(|error| error.to_string())?;
        let also = file.try_clone().map_err(|error| error.to_string())?;
        let child = command.stdin(Stdio::null()).stdout(file).stderr(also).spawn();
        let ended = wait(child.map_err(|error| format!("{PROGRAM}: {error}"))?);
        let said = std::fs::read_to_string(&output).map_err(|error| error.to_string());
        let _ = std::fs::remove_file(&output);
        match ended? {
            true => said,
            false => Err(format!("{PROGRAM} refuses the rules: {}", said?.lines().last().unwrap_or_default())),
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.rules);
        let _ = std::fs::remove_file(&self.packets);
    }
}

fn wait(mut child: std::process::Child) -> Result<bool, String> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok(status.success());
        }
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("{PROGRAM} had not ended after {} s", PATIENCE.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A rule in its format, that of ClassBench: `@source/len destination/len first : last first : last protocol/mask`.
fn rule(rule: &Criteria<u32>) -> String {
    let address = |address: u32, len: u8| format!("{}/{len}", std::net::Ipv4Addr::from_bits(address));
    let (source, destination) = (rule.source, rule.destination);
    let others = &rule.others;
    let protocol = others.protocol.map_or_else(|| "0x00/0x00".to_owned(), |protocol| format!("0x{protocol:02x}/0xff"));
    let ports = |(first, last): (u16, u16)| format!("{first} : {last}");
    let mut line = String::new();
    let _ = writeln!(
        line,
        "@{} {} {} {} {protocol}",
        address(source.address, source.len),
        address(destination.address, destination.len),
        ports(others.source_ports),
        ports(others.destination_ports),
    );
    line
}

/// A packet in its format: addresses, ports, protocol, as numbers.
fn packet(key: &Key<u32>) -> String {
    let port = |port: u32| if port == NO_PORT { 0 } else { port };
    let Key { source, destination, protocol, .. } = key;
    format!("{source}\t{destination}\t{}\t{}\t{protocol}\n", port(key.source_port), port(key.destination_port))
}

/// The rule that it has found for each packet is the one that we find.
fn compare(classifier: &Classifier<u32>, keys: &[Key<u32>], said: &str) -> Result<(), String> {
    let answer = |line: &str| line.rsplit_once("result: ").map(|(_, rule)| rule.trim().parse::<u32>().unwrap_or(NO_RULE));
    let theirs: Vec<u32> = said.lines().filter(|line| line.contains("category: 0")).filter_map(answer).collect();
    let (mut scratch, mut found, mut ours) = (Scratch::default(), [0; VECTOR], Vec::with_capacity(keys.len()));
    for keys in keys.chunks(VECTOR) {
        classifier.classify(keys, &mut found, &mut scratch);
        ours.extend_from_slice(&found[..keys.len()]);
    }
    if theirs.len() != ours.len() {
        return Err(format!("{PROGRAM} answers for {} packets of {}", theirs.len(), ours.len()));
    }
    match ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs) {
        Some(at) => {
            Err(format!("{:?} meets rule {} here and {} there", keys[at], ours[at].cast_signed(), theirs[at].cast_signed()))
        }
        None => Ok(()),
    }
}

/// The number before `cycles/pkt`.
fn cycles(said: &str) -> Option<f64> {
    let line = said.lines().rfind(|line| line.contains("cycles/pkt"))?;
    line.split("cycles/pkt").next()?.rsplit([' ', ',']).find(|word| !word.is_empty())?.parse().ok()
}
