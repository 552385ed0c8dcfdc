//! Those who forward between the two devices in the middle, as processes of their own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use swath_ctl::Client;
use swath_ctl::api::Runtime;

use super::cores::schedstat;
use super::network::{IN, OUT};
use super::versus::{self, Work};

/// Who forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// forwarder.c: AF_XDP and nothing else.
    Bare,
    /// The router of `swath run`.
    Router,
    /// A list of `swath run` that drops what comes in: the node alone, or the program in the kernel for it.
    Deny { offload: bool },
    /// The router with some work to do on the way.
    With(Work),
}

/// The programs, and the core that they run on.
#[derive(Debug)]
pub struct Programs {
    bare: PathBuf,
    swath: PathBuf,
    graph: PathBuf,
    report: PathBuf,
    api: PathBuf,
    core: usize,
    /// All that this process might run on, which has chosen one.
    cores: String,
    place: PathBuf,
}

impl Programs {
    /// Builds one and looks for the other: `swath` lies beside this program.
    pub fn new(core: usize, cores: &[usize]) -> Result<Programs, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let swath = own.with_file_name("swath");
        if !swath.exists() {
            return Err(format!("there is no {}: build it with the same profile", swath.display()));
        }
        let place = std::env::temp_dir().join(format!("swath-bench-{}", std::process::id()));
        std::fs::create_dir(&place).map_err(|error| format!("{}: {error}", place.display()))?;
        let at = |name: &str| place.join(name);
        let cores = cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let (bare, graph_file, report, api) = (at("forwarder"), at("graph.yaml"), at("report.json"), at("api"));
        let programs = Programs { bare, swath, graph: graph_file, report, api, core, cores, place: place.clone() };
        std::fs::write(&programs.graph, graph(core)).map_err(|error| error.to_string())?;
        for offload in [false, true] {
            std::fs::write(programs.deny(offload), deny(core, offload)).map_err(|error| error.to_string())?;
        }
        for work in Work::ALL {
            std::fs::write(programs.with(work), versus::graph(core, work)).map_err(|error| error.to_string())?;
        }
        let source = at("forwarder.c");
        std::fs::write(&source, include_str!("forwarder.c")).map_err(|error| error.to_string())?;
        let mut compiler = Command::new("cc");
        compiler.args(["-O3", "-march=native", "-Wall", "-Wextra", "-Werror", "-o"]).args([&programs.bare, &source]);
        let output = compiler.output().map_err(|error| format!("cc: {error}"))?;
        if !output.status.success() {
            return Err(format!("cc: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(programs)
    }

    fn deny(&self, offload: bool) -> PathBuf {
        self.place.join(if offload { "offload.yaml" } else { "deny.yaml" })
    }

    fn with(&self, work: Work) -> PathBuf {
        self.place.join(format!("{work:?}.yaml"))
    }

    pub fn start(&self, kind: Kind) -> Result<Forwarder<'_>, String> {
        let mut command = Command::new("taskset");
        command.args(["-c", &self.cores]);
        match kind {
            Kind::Bare => command.arg(&self.bare).args([IN, OUT, &self.core.to_string()]),
            Kind::Router | Kind::Deny { .. } | Kind::With(_) => {
                let graph = match kind {
                    Kind::Deny { offload } => self.deny(offload),
                    Kind::With(work) => self.with(work),
                    _ => self.graph.clone(),
                };
                command.arg(&self.swath).arg("run").arg(graph).args(["--stats", "none", "--report"]).arg(&self.report);
                command.arg("--api").arg(&self.api)
            }
        };
        let log = std::fs::File::create(self.place.join("log")).map_err(|error| error.to_string())?;
        let child = command.stdout(Stdio::piped()).stderr(log).spawn().map_err(|error| format!("{kind:?}: {error}"))?;
        let mut forwarder = Forwarder { programs: self, kind, child };
        forwarder.wait()?;
        Ok(forwarder)
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.place);
    }
}

/// The full router: what `graphs/ip4-router.yaml` does to a packet that is only forwarded.
fn graph(core: usize) -> String {
    format!(
        "version: 1
engine: {{ cores: [{core}], idle: busy }}
interfaces:
  in:  {{ driver: af-xdp, device: {IN}, mac: '02:00:00:00:00:01', addresses: [198.51.100.1/24] }}
  out: {{ driver: af-xdp, device: {OUT}, mac: '02:00:00:00:00:02', addresses: [192.0.2.1/24] }}
tables:
  neighbours: {{ kind: neighbours, static: [{{ address: 192.0.2.2, mac: '02:00:00:00:00:99' }}] }}
  routes: {{ kind: fib4, routes: [{{ prefix: 0.0.0.0/0, via: 192.0.2.2 }}] }}
nodes:
  in-rx:    {{ kind: rx, interface: in, to: ethernet }}
  out-rx:   {{ kind: rx, interface: out, to: ethernet }}
  ethernet: {{ kind: ethernet-input, to: {{ ip4: ip4 }} }}
  ip4:      {{ kind: ip4-input, to: lookup }}
  lookup:   {{ kind: ip4-lookup, to: rewrite }}
  rewrite:  {{ kind: ip4-rewrite, to: tx }}
  tx:       {{ kind: tx }}
"
    )
}

/// Prefixes of the list beside that of the sender.
const LISTED: u32 = 100_000;

/// A wire with a list of addresses before it, in which the sender is. Its worker sleeps when there is nothing to do, as one does unless told
/// otherwise.
fn deny(core: usize, offload: bool) -> String {
    // By a multiplicative generator: all over 11.0.0.0/8, a third of them networks.
    let mut prefixes: Vec<String> = vec!["198.51.100.2".into()];
    prefixes.extend((0..LISTED).map(|number| {
        let address = 0x0b00_0000 | number.wrapping_mul(0x9e37_79b1) >> 8;
        let length = if number % 3 == 0 { 24 } else { 32 };
        format!("{}/{length}", std::net::Ipv4Addr::from(address & u32::MAX << (32 - length)))
    }));
    let offload = if offload { "offload: xdp, " } else { "" };
    format!(
        "version: 1
engine: {{ cores: [{core}] }}
interfaces:
  in:  {{ driver: af-xdp, device: {IN} }}
  out: {{ driver: af-xdp, device: {OUT} }}
tables:
  listed: {{ kind: deny-list, prefixes: [{}] }}
nodes:
  in-rx:  {{ kind: rx, interface: in, to: deny }}
  out-rx: {{ kind: rx, interface: out, to: back }}
  deny:   {{ kind: deny, layer: ethernet, {offload}to: {{ ok: forth, not-ip: forth }} }}
  forth:  {{ kind: tx, interface: out }}
  back:   {{ kind: tx, interface: in }}
",
        prefixes.join(", ")
    )
}

/// One that runs.
pub struct Forwarder<'a> {
    programs: &'a Programs,
    kind: Kind,
    child: Child,
}

impl Forwarder<'_> {
    /// Waits until it says that it has the devices, and its worker, who names itself, can be told from its other threads.
    /// Packets that come before are the kernel's.
    fn wait(&mut self) -> Result<(), String> {
        let word = if self.kind == Kind::Bare { "ready\n" } else { " on 2 interfaces, " };
        for _ in 0..1000 {
            if self.log().contains(word) && self.times().is_ok() {
                return Ok(());
            }
            if self.child.try_wait().map_err(|error| error.to_string())?.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("{:?} does not start: {}", self.kind, self.log()))
    }

    /// How long its thread has run, and has waited for its core, in nanoseconds.
    pub fn times(&self) -> Result<(u64, u64), String> {
        let tasks = PathBuf::from(format!("/proc/{}/task", self.child.id()));
        let name = |task: &Path| std::fs::read_to_string(task.join("comm")).unwrap_or_default();
        let entries = std::fs::read_dir(&tasks).map_err(|error| format!("{}: {error}", tasks.display()))?;
        let mut tasks = entries.flatten().map(|entry| entry.path());
        let task = tasks.find(|task| self.kind == Kind::Bare || name(task) == "worker-0\n").ok_or("it has no worker")?;
        schedstat(&task.join("schedstat"))
    }

    /// Seconds that its worker has spent with packets, as it says itself: without those in which it found none.
    pub fn busy(&self) -> Result<f64, String> {
        let words = |error: swath_ctl::ClientError| format!("{:?}: {error}", self.kind);
        let mut client = Client::connect(&self.programs.api).map_err(words)?;
        let runtime: Runtime = client.get("/v1/runtime").map_err(words)?;
        Ok(runtime.workers.iter().map(|worker| worker.busy).sum())
    }

    /// Ends it. Returns what it reports.
    pub fn end(mut self) -> Result<Value, String> {
        kill_process(Pid::from_child(&self.child), Signal::INT).map_err(|error| error.to_string())?;
        for _ in 0..500 {
            if let Some(status) = self.child.try_wait().map_err(|error| error.to_string())? {
                return if status.success() { self.report() } else { Err(format!("{:?} has failed: {}", self.kind, self.log())) };
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("{:?} does not end", self.kind))
    }

    fn report(&mut self) -> Result<Value, String> {
        let mut text = String::new();
        match (self.kind, self.child.stdout.as_mut()) {
            (Kind::Bare, Some(out)) => drop(std::io::Read::read_to_string(out, &mut text).map_err(|error| error.to_string())?),
            _ => text = std::fs::read_to_string(&self.programs.report).map_err(|error| error.to_string())?,
        }
        serde_json::from_str(&text).map_err(|error| format!("{:?} reports {text}: {error}", self.kind))
    }

    /// What it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.programs.place.join("log")).unwrap_or_default()
    }
}

impl Drop for Forwarder<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
