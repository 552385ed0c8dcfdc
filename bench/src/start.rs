//! How long `swath run` takes from its start to its first packets, and what memory it has then: a small router, a million routes, ten thousand
//! rules, a million sessions that are restored, and a graph of 300 nodes.
//!
//! A generator has 256 packets of 1500 bytes ready from the first moment. They go into a pipe, by way of the driver of captures, which writes
//! when it has 64 KiB: in the call that transmits the first vector. Who reads the pipe looks at the clock.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};

use crate::cases;

/// Its name on the command line.
pub const NAME: &str = "start";
/// One sentence.
pub const ABOUT: &str =
    "from `swath run` to the first packets, and memory then: small router, 1 M routes, 10 k rules, 1 M sessions, 300 nodes";

/// Starts of each, in turn.
const ROUNDS: usize = 5;
/// The longest that one may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Units of `utime` and `stime` in proc_pid_stat(5): USER_HZ, which is 100 on x86-64.
const TICKS: f64 = 100.0;

/// What is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Router,
    Routes(u32),
    Rules(u32),
    Sessions(u32),
    Nodes,
}

impl What {
    /// All of them; if it is only to be seen that they work, with less in them.
    fn all(short: bool) -> [What; 5] {
        let count = |count: u32| if short { count / 1000 } else { count };
        [What::Router, What::Routes(count(1_000_000)), What::Rules(count(10_000)), What::Sessions(count(1 << 20)), What::Nodes]
    }

    fn about(self) -> String {
        match self {
            What::Router => "router, 1 route".into(),
            What::Routes(count) => format!("the same, {count} random routes /24 to /32 from a CSV file"),
            What::Rules(count) => format!("the same with a filter of {count} rules from a CSV file"),
            What::Sessions(count) => format!("the same with NAT44, {count} sessions restored"),
            What::Nodes => "graph of 300 nodes".into(),
        }
    }

    /// What is wanted at most: seconds to the first packet, seconds of CPU until then, and MB.
    fn wanted(self) -> [Option<f64>; 3] {
        match self {
            What::Router => [Some(0.1), None, None],
            What::Routes(_) => [None, Some(1.0), Some(250.0)],
            _ => [None; 3],
        }
    }

    /// The graph, whose interface `out` is the one that is given.
    fn graph(self, generate: &str, out: &str) -> String {
        let (table, filter, nat) = match self {
            What::Rules(_) => ("  rules: { kind: acl, default: permit, rules-from: rules.csv }\n", true, false),
            What::Sessions(_) => (
                "  nat:
    kind: nat44
    inside-prefixes: [10.0.0.0/8]
    pool: [203.0.113.0/26]
    persist: sessions
    sessions: { capacity: 2097152, timeouts: { udp-unreplied: 1h } }\n",
                false,
                true,
            ),
            _ => ("", false, false),
        };
        let from = if let What::Routes(_) = self { ", routes-from: routes.csv" } else { "" };
        let interfaces = format!(
            "version: 1
interfaces:
  in:
    driver: memory
    mac: '02:00:00:00:00:01'
    addresses: [10.255.255.254/8]
    generate: {{ {generate} }}
  out: {{ {out}, mac: '02:00:00:00:00:02', addresses: [192.0.2.1/24] }}
"
        );
        if self == What::Nodes {
            return interfaces + &cases::branches();
        }
        format!(
            "{interfaces}tables:
  neighbours: {{ kind: neighbours, static: [{{ address: 192.0.2.2, mac: '02:00:00:00:00:99' }}] }}
  routes: {{ kind: fib4, routes: [{{ prefix: 0.0.0.0/0, via: 192.0.2.2 }}]{from} }}
{table}nodes:
  rx:      {{ kind: rx, interface: in, to: eth }}
  eth:     {{ kind: ethernet-input, to: ip4 }}
  ip4:     {{ kind: ip4-input, to: {} }}
{}  lookup:  {{ kind: ip4-lookup, to: {} }}
{}  rewrite: {{ kind: ip4-rewrite, to: tx }}
  tx:      {{ kind: tx }}
",
            if filter { "filter" } else { "lookup" },
            if filter { "  filter:  { kind: acl-filter, to: lookup }\n" } else { "" },
            if nat { "snat" } else { "rewrite" },
            if nat { "  snat:    { kind: nat44-in2out, to: rewrite }\n" } else { "" },
        )
    }
}

/// Seconds to the first packet, seconds of CPU until then, MB in memory then, and the most until then.
type Reading = [f64; 4];

/// A directory for a graph with its files, and the program.
struct Bench {
    swath: PathBuf,
    place: PathBuf,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.place);
    }
}

fn words(error: std::io::Error) -> String {
    error.to_string()
}

impl Bench {
    fn new() -> Result<Bench, String> {
        let swath = std::env::current_exe().map_err(words)?.with_file_name("swath");
        if !swath.exists() {
            return Err(format!("there is no {}: build it with the same profile", swath.display()));
        }
        let place = std::env::temp_dir().join(format!("swath-bench-{}-{NAME}", std::process::id()));
        std::fs::create_dir(&place).map_err(|error| format!("{}: {error}", place.display()))?;
        Ok(Bench { swath, place })
    }

    /// Writes the graph and what it needs. Sessions are those that an engine has opened and saved.
    fn prepare(&self, what: What) -> Result<PathBuf, String> {
        let directory = self.place.join(what.about().replace([' ', ',', '/'], "-"));
        std::fs::create_dir(&directory).map_err(words)?;
        let write = |name: &str, text: &str| std::fs::write(directory.join(name), text).map_err(words);
        if let What::Routes(count) = what {
            let mut text = "prefix,via\n".to_string();
            cases::prefixes(count).for_each(|prefix| text += &format!("{prefix},192.0.2.2\n"));
            write("routes.csv", &text)?;
        }
        if let What::Rules(count) = what {
            let mut text = "action,protocol,source,destination,destination-port\n".to_string();
            for (destination, port) in (0..count).map(cases::permitted) {
                let _ = writeln!(text, "permit,udp,198.51.100.0/24,{destination},{port}");
            }
            write("rules.csv", &text)?;
        }
        if let What::Sessions(count) = what {
            let flows =
                format!("limit: {count}, flows: {{ sources: [10.0.0.0/16], destinations: [198.51.100.7], count: {count} }}");
            let graph = directory.join("open.yaml");
            std::fs::write(&graph, what.graph(&flows, "driver: memory")).map_err(words)?;
            let output = self.command(&graph).output().map_err(words)?;
            let said = String::from_utf8_lossy(&output.stderr);
            if !output.status.success() || !directory.join("sessions").exists() {
                return Err(format!("no sessions are saved: {said}"));
            }
        }
        let pipe = directory.join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).map_err(|error| format!("mknod: {error}"))?;
        let flows =
            "rate: 1kpps, burst: 256, flows: { sources: [10.200.0.0/16], destinations: [198.51.100.7], count: 64, size: 1500 }";
        write("graph.yaml", &what.graph(flows, "driver: pcap, write: pipe"))?;
        Ok(directory)
    }

    fn command(&self, graph: &Path) -> Command {
        let mut command = Command::new(&self.swath);
        command.arg("run").arg(graph).args(["--stats", "none", "--revisions", "off"]).arg("--api").arg(self.place.join("api"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Starts it, and ends it after its first packets.
    fn start(&self, directory: &Path) -> Result<Reading, String> {
        let pipe = directory.join("pipe");
        let (begun, end) = Pipe::read(pipe.clone());
        let start = Instant::now();
        let mut child = self.command(&directory.join("graph.yaml")).spawn().map_err(words)?;
        let reading = first(&mut child, &begun).map(|at| (at, consumed(child.id())));
        if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        // Who waits for somebody to write, if nobody ever has, waits no longer.
        drop(std::fs::OpenOptions::new().read(true).write(true).open(&pipe));
        let output = child.wait_with_output().map_err(words)?;
        end.join().map_err(|_| "nobody has read the pipe")?;
        let said = String::from_utf8_lossy(&output.stderr);
        let (at, consumed) = reading.map_err(|error| format!("{error}: {said}"))?;
        if !output.status.success() {
            return Err(format!("{}: {said}", output.status));
        }
        let [cpu, now, most] = consumed?;
        Ok([(at - start).as_secs_f64(), cpu, now, most])
    }
}

/// Reads a pipe until all who write have gone.
struct Pipe;

impl Pipe {
    /// Tells when the first bytes came.
    fn read(path: PathBuf) -> (Receiver<Instant>, JoinHandle<()>) {
        let (tell, begun) = channel();
        let reader = std::thread::spawn(move || {
            let Ok(mut pipe) = File::open(path) else { return };
            let mut bytes = vec![0; 1 << 16];
            while pipe.read(&mut bytes).is_ok_and(|count| count > 0) {
                // Who has the first needs no more.
                let _ = tell.send(Instant::now());
            }
        });
        (begun, reader)
    }
}

/// When the first packets came.
fn first(child: &mut Child, begun: &Receiver<Instant>) -> Result<Instant, String> {
    let since = Instant::now();
    loop {
        if let Ok(at) = begun.recv_timeout(Duration::from_millis(100)) {
            return Ok(at);
        }
        if let Some(status) = child.try_wait().map_err(words)? {
            return Err(format!("it has ended, {status}"));
        }
        if since.elapsed() > PATIENCE {
            let _ = child.kill();
            return Err(format!("no packet has come within {} s", PATIENCE.as_secs()));
        }
    }
}

/// Seconds of CPU that a process has had, MB that it has in memory, and the most that it has had.
fn consumed(process: u32) -> Result<[f64; 3], String> {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}")).map_err(words);
    let stat = read("stat")?;
    // Behind the name, which may have blanks: `utime` and `stime` are fields 14 and 15.
    let behind = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: Vec<f64> = behind.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    // To the nanosecond, but of threads that live.
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).map_err(words)?;
    let ran = |task: std::fs::DirEntry| {
        std::fs::read_to_string(task.path().join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok()
    };
    let alive = tasks.flatten().filter_map(ran).sum::<u64>() as f64 / 1e9;
    let status = read("status")?;
    let megabytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("the kernel does not say what is in memory")?;
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().map_err(|_| line.to_string())?;
        Ok::<f64, String>(kilobytes * 1024.0 / 1e6)
    };
    Ok([alive.max(ticks.iter().sum::<f64>() / TICKS), megabytes("VmRSS:")?, megabytes("VmHWM:")?])
}

/// The median of each figure.
fn medians(readings: &[Reading]) -> Reading {
    std::array::from_fn(|figure| {
        let mut values: Vec<f64> = readings.iter().map(|reading| reading[figure]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    })
}

/// Measures and prints.
///
/// # Errors
/// There is no `swath`, or it does not start, or ends as it should not.
pub fn report(short: bool) -> Result<(), String> {
    let bench = Bench::new()?;
    let rounds = if short { 1 } else { ROUNDS };
    let all = What::all(short);
    let directories = all.iter().map(|what| bench.prepare(*what)).collect::<Result<Vec<_>, _>>()?;
    let mut readings: [Vec<Reading>; 5] = Default::default();
    for _ in 0..rounds {
        for (directory, readings) in directories.iter().zip(&mut readings) {
            readings.push(bench.start(directory)?);
        }
    }
    println!("Medians of {rounds} starts of each, in turn.\n");
    println!(
        "| what | first packets after, ms | CPU until then, ms | in memory, MB | the most, MB | wanted |\n|---|---|---|---|---|---|"
    );
    for (what, readings) in all.iter().zip(&readings) {
        let [seconds, cpu, now, most] = medians(readings);
        let wanted = what.wanted().into_iter().zip([(seconds, "s"), (cpu, "s of CPU"), (now, "MB")]);
        let wanted = wanted.filter_map(|(wanted, (is, unit))| {
            wanted.map(|wanted| format!("{wanted} {unit}: {}", if is <= wanted { "met" } else { "missed" }))
        });
        println!(
            "| {} | **{:.1}** | {:.1} | **{now:.0}** | {most:.0} | {} |",
            what.about(),
            seconds * 1e3,
            cpu * 1e3,
            wanted.collect::<Vec<_>>().join(", ")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_had_some_of_all() {
        let [cpu, now, most] = consumed(std::process::id()).unwrap();
        assert!(cpu > 0.0 && now > 1.0 && most >= now, "{cpu} {now} {most}");
        assert!(consumed(0).is_err());
    }

    #[test]
    fn a_median_is_one_of_the_middle() {
        assert_eq!(medians(&[[3.0, 1.0, 5.0, 0.0], [1.0, 2.0, 9.0, 0.0], [2.0, 9.0, 1.0, 0.0]]), [2.0, 2.0, 5.0, 0.0]);
    }
}
