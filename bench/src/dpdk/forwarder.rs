//! Those who forward, as processes of their own.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use swath_ctl::Client;
use swath_ctl::api::Interface;

use super::Kind;
use crate::af_xdp::cores::schedstat;
use crate::cases::Case;

/// The peer.
const PEER: &str = "dpdk-testpmd";
/// Packets that there is memory for.
const BUFFERS: u32 = 8192;
/// Free huge pages of 2 MiB from which on they are used: swath's packets, and what DPDK takes for itself.
const HUGE_PAGES: u32 = 96;

/// The programs, and the core that they run on.
#[derive(Debug)]
pub struct Programs {
    swath: PathBuf,
    place: PathBuf,
    core: usize,
    other: usize,
    huge: bool,
}

impl Programs {
    /// `swath` and its library for DPDK lie beside this program, but if `SWATH_DPDK_LIBRARY` says where that is.
    pub fn new(core: usize, other: usize) -> Result<Programs, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let swath = own.with_file_name("swath");
        let library = std::env::var_os("SWATH_DPDK_LIBRARY").map_or_else(|| own.with_file_name("libswath_dpdk.so"), PathBuf::from);
        for file in [&swath, &library] {
            if !file.exists() {
                return Err(format!("there is no {}: build it with the same profile", file.display()));
            }
        }
        if Command::new(PEER).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            return Err(format!("there is no {PEER}: apt install dpdk"));
        }
        let place = std::env::temp_dir().join(format!("swath-bench-{}", std::process::id()));
        std::fs::create_dir(&place).map_err(|error| format!("{}: {error}", place.display()))?;
        let free = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
        let huge = free.is_ok_and(|free| free.trim().parse::<u32>().is_ok_and(|free| free >= HUGE_PAGES));
        let programs = Programs { swath, place, core, other, huge };
        let write = |name: &str, what: &[u8]| std::fs::write(programs.place.join(name), what).map_err(|error| error.to_string());
        write("one.pcap", &capture()?)?;
        write("mirror.yaml", programs.mirror().as_bytes())?;
        write("router.yaml", programs.router().as_bytes())?;
        Ok(programs)
    }

    /// What pages there are, in words.
    pub fn pages(&self) -> &'static str {
        if self.huge { "huge pages" } else { "no huge pages" }
    }

    /// The device as DPDK takes it.
    fn device(&self, kind: Kind) -> String {
        match kind {
            Kind::Mac | Kind::Mirror => "net_null0".into(),
            Kind::Io | Kind::Router => format!("net_pcap0,rx_pcap={},infinite_rx=1", self.place.join("one.pcap").display()),
        }
    }

    fn engine(&self) -> String {
        let huge = if self.huge { "required" } else { "never" };
        format!("engine: {{ cores: [{}], idle: busy, buffers: {BUFFERS}, hugepages: {huge} }}", self.core)
    }

    fn mirror(&self) -> String {
        format!(
            "version: 1
{}
interfaces:
  port: {{ driver: dpdk, device: '{}' }}
nodes:
  rx:     {{ kind: rx, interface: port, to: mirror }}
  mirror: {{ kind: ethernet-mirror, to: tx }}
  tx:     {{ kind: tx, interface: port }}
",
            self.engine(),
            self.device(Kind::Mirror)
        )
    }

    fn router(&self) -> String {
        format!(
            "version: 1
{}
interfaces:
  port: {{ driver: dpdk, device: '{}', mac: '02:00:00:00:00:01', addresses: [192.0.2.1/24] }}
tables:
  neighbours: {{ kind: neighbours, static: [{{ address: 192.0.2.2, mac: '02:00:00:00:00:99' }}] }}
  routes: {{ kind: fib4, routes: [{{ prefix: 0.0.0.0/0, via: 192.0.2.2 }}] }}
nodes:
  rx:       {{ kind: rx, interface: port, to: ethernet }}
  ethernet: {{ kind: ethernet-input, to: {{ ip4: ip4 }} }}
  ip4:      {{ kind: ip4-input, to: lookup }}
  lookup:   {{ kind: ip4-lookup, to: rewrite }}
  rewrite:  {{ kind: ip4-rewrite, to: tx }}
  tx:       {{ kind: tx }}
",
            self.engine(),
            self.device(Kind::Router)
        )
    }

    /// Starts one, which forwards when this returns.
    pub fn start(&self, kind: Kind) -> Result<Forwarder, String> {
        match kind {
            Kind::Mac => self.peer(kind, "mac"),
            Kind::Io => self.peer(kind, "io"),
            Kind::Mirror => self.ours("mirror.yaml"),
            Kind::Router => self.ours("router.yaml"),
        }
    }

    fn peer(&self, kind: Kind, mode: &str) -> Result<Forwarder, String> {
        // It asks nobody whether somebody reads, unless its lines are to be seen at once.
        let mut command = Command::new("stdbuf");
        command.args(["-oL", PEER, "-l", &format!("{},{}", self.core, self.other), "--main-lcore", &self.other.to_string()]);
        command.args(["--no-pci", "--no-telemetry", "--iova-mode=va", "--vdev", &self.device(kind), "-m", "128"]);
        command.args(if self.huge { &["--in-memory"][..] } else { &["--no-huge", "--no-shconf"] });
        command.args(["--", "--interactive", "--nb-cores=1", "--burst=256", "--mbcache=512", "--auto-start"]);
        command.args([format!("--forward-mode={mode}"), format!("--total-num-mbufs={BUFFERS}")]);
        let log = std::fs::File::create(self.place.join("log")).map_err(|error| error.to_string())?;
        let failed = |error: std::io::Error| format!("{PEER}: {error}");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().map_err(failed)?;
        let (orders, answers) = child.stdin.take().zip(child.stdout.take()).ok_or("it has no streams")?;
        let mut forwarder = Forwarder { child, by: By::Orders(orders, BufReader::new(answers)), thread: PathBuf::new() };
        forwarder.count()?;
        forwarder.find(&[&format!("lcore-worker-{}\n", self.core), &format!("rte-worker-{}\n", self.core)])?;
        Ok(forwarder)
    }

    fn ours(&self, graph: &str) -> Result<Forwarder, String> {
        let api = self.place.join("api");
        let log = std::fs::File::create(self.place.join("log")).map_err(|error| error.to_string())?;
        let mut command = Command::new("taskset");
        command.args(["-c", &format!("{},{}", self.core, self.other)]).arg(&self.swath).arg("run").arg(self.place.join(graph));
        command.args(["--stats", "none", "--api"]).arg(&api).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().map_err(|error| format!("swath: {error}"))?;
        let mut forwarder = Forwarder { child, by: By::Nobody, thread: PathBuf::new() };
        for _ in 0..500 {
            // Who answers has not necessarily begun.
            if let Ok(client) = Client::connect(&api)
                && forwarder.find(&["worker-0\n"]).is_ok()
            {
                forwarder.by = By::Api(Box::new(client));
                return Ok(forwarder);
            }
            if forwarder.child.try_wait().map_err(|error| error.to_string())?.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("swath does not start: {}", std::fs::read_to_string(self.place.join("log")).unwrap_or_default()))
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.place);
    }
}

/// A capture of one packet: that of the case `ip4-1`.
fn capture() -> Result<Vec<u8>, String> {
    let case = Case::all().into_iter().find(|case| case.name == "ip4-1").ok_or("there is no case `ip4-1`")?;
    let packet = case.packet(0);
    let length = packet.len() as u32;
    // Of the file: magic, version 2.4, two that are 0, the longest, Ethernet; and of the record: when, twice how long.
    let words = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 65_535, 1, 0, 0, length, length];
    Ok(words.iter().flat_map(|word: &u32| word.to_le_bytes()).chain(packet).collect())
}

/// One that runs.
pub struct Forwarder {
    child: Child,
    by: By,
    thread: PathBuf,
}

/// How it is asked.
enum By {
    Nobody,
    Orders(ChildStdin, BufReader<ChildStdout>),
    Api(Box<Client>),
}

impl Forwarder {
    /// Finds the thread that forwards.
    fn find(&mut self, names: &[&str]) -> Result<(), String> {
        let tasks = PathBuf::from(format!("/proc/{}/task", self.child.id()));
        let is_it = |task: &Path| std::fs::read_to_string(task.join("comm")).is_ok_and(|name| names.contains(&name.as_str()));
        let entries = std::fs::read_dir(&tasks).map_err(|error| format!("{}: {error}", tasks.display()))?;
        let found = entries.flatten().map(|entry| entry.path()).find(|task| is_it(task));
        self.thread = found.ok_or("nobody forwards")?.join("schedstat");
        Ok(())
    }

    /// How long its thread has run, and has waited for its core, in nanoseconds.
    pub fn times(&self) -> Result<(u64, u64), String> {
        schedstat(&self.thread)
    }

    /// Packets that it has received, and when it said so.
    pub fn count(&mut self) -> Result<(u64, Instant), String> {
        match &mut self.by {
            By::Nobody => Err("nobody forwards".into()),
            By::Api(client) => {
                let interfaces: Vec<Interface> = client.get("/v1/interfaces").map_err(|error| error.to_string())?;
                Ok((interfaces.iter().map(|interface| interface.received.packets).sum(), Instant::now()))
            }
            By::Orders(orders, answers) => {
                orders.write_all(b"show port stats 0\n").map_err(|error| format!("{PEER}: {error}"))?;
                let lines = answers.lines().map_while(Result::ok);
                let count = |line: String| line.trim().strip_prefix("RX-packets: ")?.split_whitespace().next()?.parse().ok();
                let packets = lines.into_iter().find_map(count);
                Ok((packets.ok_or_else(|| format!("{PEER} has ended"))?, Instant::now()))
            }
        }
    }

    /// Ends it.
    pub fn end(mut self) -> Result<(), String> {
        match &mut self.by {
            By::Orders(orders, _) => orders.write_all(b"stop\nquit\n").map_err(|error| format!("{PEER}: {error}"))?,
            _ => kill_process(Pid::from_child(&self.child), Signal::INT).map_err(|error| error.to_string())?,
        }
        if let By::Orders(_, answers) = &mut self.by {
            // It ends when all that it says is read.
            let _ = std::io::copy(answers, &mut std::io::sink());
        }
        for _ in 0..500 {
            if let Some(status) = self.child.try_wait().map_err(|error| error.to_string())? {
                return if status.success() { Ok(()) } else { Err(format!("a forwarder has failed: {status}")) };
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err("a forwarder does not end".into())
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
