//! VPP beside swath: the same packets through the same work, by turns on the same core, if `vpp` and `vppctl` are on the PATH.
//!
//! VPP's packet generator (`packet-generator` in its CLI) reads the packets of a case from a capture and gives them to `ethernet-input` of one
//! interface; they leave by another one, which throws them away. `show runtime` tells calls, packets and TSC cycles per packet of each node.
//! Graph cost are all nodes that packets have passed but the generator and what takes them at the end.

use std::fmt::Write as _;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use swath_api::VECTOR;

use crate::cases::{Case, Traffic, permitted, prefixes};
use crate::measure::Settings;
use crate::workers::Capture;

/// Its name on the command line.
pub const NAME: &str = "vpp";
/// One sentence.
pub const ABOUT: &str = "graph cost beside VPP, by turns, if it is on the PATH";

/// Cases that both can do.
const CASES: [&str; 14] = [
    "ip4-1",
    "ip4-131k",
    "ip4-100k",
    "ip4-1m",
    "l2-cross-connect",
    "acl-router-1",
    "acl-router-100",
    "acl-router-1000",
    "acl-reflect-1",
    "acl-reflect-10k",
    "acl-reflect-1000-10k",
    "nat-1",
    "nat-10k",
    "nat-1m",
];
/// Turns of each.
const TURNS: usize = 5;
/// Packets of a turn, at least.
const PACKETS: u64 = 2_000_000;
/// The longest that it may take to start, and with a million routes, to read them; and to send.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a pcap file begins with whose times are microseconds: the one that VPP reads.
const MICROSECONDS: u32 = 0xa1b2_c3d4;

/// Whether both of its programs are there.
fn is_there() -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let has = |program: &str| std::env::split_paths(&paths).any(|directory| directory.join(program).is_file());
    has("vpp") && has("vppctl")
}

/// Commands that make of VPP what the graph of a case is.
fn commands(case: &Case) -> String {
    let mut text = String::from(
        "create packet-generator interface pg0
create packet-generator interface pg1
set interface state pg0 up
set interface state pg1 up
",
    );
    if case.traffic == Traffic::CrossConnect {
        return text + "set interface l2 xconnect pg0 pg1\nset interface l2 xconnect pg1 pg0\n";
    }
    text += "set interface mac address pg0 02:00:00:00:00:01
set interface mac address pg1 02:00:00:00:00:02
set interface ip address pg0 198.51.100.1/24
set interface ip address pg1 192.0.2.1/24
set ip neighbor pg1 192.0.2.2 02:00:00:00:00:99 static
ip route add 0.0.0.0/0 via 192.0.2.2 pg1
";
    if let Traffic::Routes(count) = case.traffic {
        prefixes(count).for_each(|prefix| text += &format!("ip route add {prefix} via 192.0.2.2 pg1\n"));
    }
    if case.rules > 0 {
        let reflects = matches!(case.traffic, Traffic::Reflected(_));
        let any = if reflects { "permit+reflect" } else { "permit" };
        let rule = |rule: u32| match permitted(rule) {
            _ if rule + 1 == case.rules && (reflects || case.rules == 1) => format!("{any} src 0.0.0.0/0 dst 0.0.0.0/0"),
            (destination, port) => format!("permit src 198.51.100.0/24 dst {destination} proto 17 dport {port}"),
        };
        let rules: Vec<String> = (0..case.rules).map(rule).collect();
        let _ = writeln!(text, "set acl-plugin acl {}\nset acl-plugin interface pg0 input acl 0", rules.join(", "));
    }
    if let Traffic::Translated(_) = case.traffic {
        text += "nat44 plugin enable sessions 2097152
set interface nat44 in pg0 out pg1
nat44 add address 203.0.113.0-203.0.113.63
";
    }
    text
}

/// One that runs.
struct Vpp {
    child: Child,
    place: PathBuf,
}

impl Vpp {
    fn start(case: &Case, core: usize) -> Result<Vpp, String> {
        let words = |error: std::io::Error| error.to_string();
        let place = std::env::temp_dir().join(format!("swath-bench-{}-{NAME}", std::process::id()));
        std::fs::create_dir_all(&place).map_err(words)?;
        let (log, script) = (std::fs::File::create(place.join("log")).map_err(words)?, place.join("commands"));
        std::fs::write(&script, commands(case)).map_err(words)?;
        let socket = place.join("cli");
        let settings = format!(
            "unix {{ nodaemon cli-listen {} exec {} }} api-segment {{ prefix {NAME}-{} }} cpu {{ main-core {core} }} \
             memory {{ main-heap-size 4G }} buffers {{ buffers-per-numa 65536 }} statseg {{ size 256M }} \
             plugins {{ plugin default {{ disable }} plugin acl_plugin.so {{ enable }} plugin nat_plugin.so {{ enable }} }}",
            socket.display(),
            script.display(),
            std::process::id()
        );
        let also = log.try_clone().map_err(words)?;
        let child = Command::new("vpp").args(settings.split(' ')).stdin(Stdio::null()).stdout(log).stderr(also).spawn();
        let mut vpp = Vpp { child: child.map_err(|error| format!("vpp: {error}"))?, place };
        let started = Instant::now();
        // It answers when it has carried out the commands.
        while vpp.ask("show version").is_err() {
            if vpp.child.try_wait().map_err(words)?.is_some() || started.elapsed() > PATIENCE {
                return Err(format!("vpp does not start: {}", vpp.log()));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(vpp)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.place.join("log")).unwrap_or_default()
    }

    /// What it says to a command.
    fn ask(&self, command: &str) -> Result<String, String> {
        let output = Command::new("vppctl").arg("-s").arg(self.place.join("cli")).args(command.split(' ')).output();
        let output = output.map_err(|error| format!("vppctl: {error}"))?;
        if !output.status.success() {
            return Err(format!("vppctl {command}: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Sends so many of the packets in a capture. Returns what the nodes took.
    fn run(&self, capture: &Path, packets: u64) -> Result<Vec<Node>, String> {
        self.ask(&format!("packet-generator new pcap {} source pg0 name s limit {packets}", capture.display()))?;
        self.ask("clear runtime")?;
        self.ask("packet-generator enable")?;
        let started = Instant::now();
        loop {
            let nodes = runtime(&self.ask("show runtime")?);
            let sent = nodes.iter().find(|node| node.name == "pg1-tx").map_or(0, |node| node.packets);
            if sent >= packets {
                self.ask("packet-generator delete s")?;
                return Ok(nodes);
            }
            if started.elapsed() > PATIENCE {
                return Err(format!("vpp has sent {sent} of {packets} packets: {}", self.ask("show errors")?));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Vpp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.place);
    }
}

/// A node of VPP that packets have passed.
#[derive(Debug, PartialEq)]
struct Node {
    name: String,
    packets: u64,
    /// TSC cycles per packet.
    cycles: f64,
}

/// The nodes in what `show runtime` says: name, state, calls, vectors (which are packets), suspends, clocks, vectors per call.
fn runtime(said: &str) -> Vec<Node> {
    let node = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let ["active", _, packets, _, cycles, _] = fields.get(1..7)? else { return None };
        Some(Node { name: fields[0].into(), packets: packets.parse().ok()?, cycles: cycles.parse().ok()? })
    };
    said.lines().filter_map(node).filter(|node| node.packets > 0).collect()
}

/// TSC cycles per packet of all but the end.
fn cost(nodes: &[Node], packets: u64) -> f64 {
    let graph = nodes.iter().filter(|node| node.name != "pg1-tx");
    graph.map(|node| node.cycles * node.packets as f64).sum::<f64>() / packets as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Measures and prints, with `measure` for what a case costs here.
///
/// # Errors
/// VPP does not start, or does not send what it is to send.
pub fn report(settings: &Settings, measure: impl Fn(&Case) -> Result<f64, String>) -> Result<(), String> {
    if !is_there() {
        println!("no vpp on the PATH: nothing to measure beside");
        return Ok(());
    }
    println!("| case | swath | VPP | ratio | nodes of VPP |\n|---|---|---|---|---|");
    for case in Case::all().into_iter().filter(|case| CASES.contains(&case.name)) {
        let capture = capture(&case)?;
        let vpp = Vpp::start(&case, settings.core)?;
        // Whole rounds, so that each session is met as often. The first one opens them.
        let round = (case.vectors() * VECTOR) as u64;
        let packets = PACKETS.next_multiple_of(round);
        vpp.run(&capture.path, round)?;
        let (mut ours, mut theirs, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..TURNS {
            ours.push(measure(&case)?);
            nodes = vpp.run(&capture.path, packets)?;
            theirs.push(cost(&nodes, packets));
        }
        let (ours, theirs) = (median(ours), median(theirs));
        let nodes: Vec<String> = nodes.iter().map(|node| format!("{} {:.1}", node.name, node.cycles)).collect();
        println!("| {} | **{ours:.1}** | {theirs:.1} | {:.1} | {} |", case.name, theirs / ours, nodes.join(", "));
    }
    Ok(())
}

/// The packets of a case, as VPP reads them.
fn capture(case: &Case) -> Result<Capture, String> {
    let capture = Capture::write(case)?;
    let file = std::fs::OpenOptions::new().write(true).open(&capture.path);
    let begin = |mut file: std::fs::File| {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&MICROSECONDS.to_le_bytes())
    };
    file.and_then(begin).map_err(|error| format!("{}: {error}", capture.path.display()))?;
    Ok(capture)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands_of(name: &str) -> Vec<String> {
        let case = Case::all().into_iter().find(|case| case.name == name).unwrap();
        commands(&case).lines().map(String::from).collect()
    }

    #[test]
    fn a_case_is_told_to_vpp() {
        assert_eq!(
            commands_of("l2-cross-connect")[4..],
            ["set interface l2 xconnect pg0 pg1", "set interface l2 xconnect pg1 pg0"]
        );
        assert_eq!(commands_of("ip4-1").last().unwrap(), "ip route add 0.0.0.0/0 via 192.0.2.2 pg1");
        assert_eq!(commands_of("ip4-100k").len(), commands_of("ip4-1").len() + 100_000);
        assert!(commands_of("acl-router-1").contains(&"set acl-plugin acl permit src 0.0.0.0/0 dst 0.0.0.0/0".into()));
        let rules = commands_of("acl-router-100").into_iter().find(|line| line.starts_with("set acl-plugin acl ")).unwrap();
        assert_eq!(rules.matches("permit src 198.51.100.0/24 dst ").count(), 100);
        assert!(rules.starts_with("set acl-plugin acl permit src 198.51.100.0/24 dst 10.0.0.0/24 proto 17 dport 53, "));
        let rules = commands_of("acl-reflect-1000-10k").into_iter().find(|line| line.starts_with("set acl-plugin acl ")).unwrap();
        assert!(rules.ends_with(", permit+reflect src 0.0.0.0/0 dst 0.0.0.0/0") && rules.matches("permit src").count() == 999);
        assert!(commands_of("nat-10k").contains(&"set interface nat44 in pg0 out pg1".into()));
    }

    /// As VPP writes it, with a process and a node that no packet has passed.
    #[test]
    fn what_nodes_took_is_read() {
        let said = "Time 3.2, 10 sec internal node vector rate 256.00 loops/sec 1000.00
  vector rates in 2.8e6, out 2.8e6, drop 0.0000e0, punt 0.0000e0
             Name                 State         Calls          Vectors        Suspends         Clocks       Vectors/Call
acl-plugin-fa-cleaner-process  event wait                0               0               1          5.14e3            0.00
ethernet-input                   active               7813         2000000               0          6.80e0          255.98
ip4-drop                         active                  0               0               0          0.00e0            0.00
ip4-lookup                       active               7813         2000000               0          1.13e1          255.98
pg-input                        polling               7814         2000000               0          1.20e2          255.95
pg1-tx                           active               7813         2000000               0          9.90e0          255.98
";
        let nodes = runtime(said);
        let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["ethernet-input", "ip4-lookup", "pg1-tx"]);
        assert!((cost(&nodes, 2_000_000) - 18.1).abs() < 1e-9);
    }
}
