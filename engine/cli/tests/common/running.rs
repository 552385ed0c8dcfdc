//! A `swath run` that is asked while it runs.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use swath_ctl::Client;

use super::{Place, Said, said_by, swath};

/// A router between two interfaces, which can be switched off; of five packets one has no route.
macro_rules! router {
    ($engine:literal) => {
        concat!(
            "version: 1\n",
            $engine,
            "interfaces:
  lan:
    driver: memory
    mac: '02:00:00:00:01:01'
    addresses: [192.168.1.1/24]
    generate:
      rate: 5kpps
      packets:
        - udp 192.168.1.2:1 > 10.0.0.1:2 len 60
        - udp 192.168.1.2:1 > 10.0.0.2:2 len 60
        - udp 192.168.1.2:1 > 10.0.0.3:2 len 60
        - udp 192.168.1.2:1 > 10.0.0.4:2 len 60
        - udp 192.168.1.2:1 > 172.16.0.1:2 len 60
  wan: { driver: memory, mac: '02:00:00:00:02:01', addresses: [203.0.113.2/30], mtu: 1400 }
tables:
  neighbours: { kind: neighbours, static: [{ address: 203.0.113.1, mac: '02:00:00:00:00:fe' }] }
  routes: { kind: fib4, routes: [{ prefix: 10.0.0.0/8, via: 203.0.113.1 }] }
nodes:
  rx:       { kind: rx, interface: lan, to: ethernet }
  ethernet: { kind: ethernet-input, to: { ip4: ip4 } }
  ip4:      { kind: ip4-input, to: lookup }
  lookup:   { kind: ip4-lookup, to: rewrite }
  rewrite:  { kind: ip4-rewrite, to: tx }
  tx:       { kind: tx }
"
        )
    };
}

/// It with one worker.
pub const ROUTER: &str = router!("");
/// It with two.
pub const ROUTER_OF_TWO: &str = router!("engine: { workers: 2 }\n");

/// One of them with other packets, which `generate` tells, and more settings of the interface that they leave by.
pub fn router_with(router: &str, generate: &str, wan: &str) -> String {
    let (before, rest) = router.split_once("generate:").unwrap();
    let (_, after) = rest.split_once("\n  wan:").unwrap();
    format!("{before}generate: {generate}\n  wan:{after}").replace("mtu: 1400", wan)
}

/// Longer than anything takes.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The program; it ends with the test.
pub struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    pub socket: PathBuf,
}

impl Running {
    /// Runs a graph, whose control API listens in its directory, and waits until it runs.
    pub fn start(place: &Place, graph: &str) -> Running {
        Running::with(place, graph, &[])
    }

    /// As [`Running::start`], with more options.
    pub fn with(place: &Place, graph: &str, options: &[&str]) -> Running {
        let socket = place.path("control.sock");
        let mut command = Command::new(env!("CARGO_BIN_EXE_swath"));
        command
            .arg("run")
            .arg(place.text("graph.yaml", graph))
            .args(["--stats", "none", "--log-format", "json", "--api"])
            .arg(&socket)
            .args(options);
        Running::of(command, socket)
    }

    /// Waits until a command runs, which must log as JSON.
    pub fn of(mut command: Command, socket: PathBuf) -> Running {
        Running::heard(&mut command, socket).0
    }

    /// As [`Running::of`], with what it has logged until then.
    pub fn heard(command: &mut Command, socket: PathBuf) -> (Running, String) {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut heard = String::new();
        while !heard.ends_with('\n') || !heard.lines().next_back().unwrap().contains(r#""msg":"running""#) {
            assert_ne!(stderr.read_line(&mut heard).unwrap(), 0, "{heard}");
        }
        (Running { child, stderr, socket }, heard)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A command to it.
    pub fn ask<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Said {
        said_by(swath(args).env("SWATH_SOCKET", &self.socket))
    }

    /// What a command writes, which must succeed.
    pub fn told<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        let said = self.ask(args);
        assert_eq!((said.code, &*said.err), (0, ""), "{}", said.out);
        said.out
    }

    /// What curl hears: the status and the body.
    pub fn curl(&self, arguments: &[&str], resource: &str) -> (u16, String) {
        curl(&self.socket, arguments, resource)
    }

    /// What a resource is.
    pub fn json(&self, resource: &str) -> serde_json::Value {
        let mut client = Client::connect(&self.socket).unwrap_or_else(|error| panic!("{error}"));
        client.get(resource).unwrap_or_else(|error| panic!("{resource}: {error}"))
    }

    /// Asks until it is so.
    pub fn until(&self, resource: &str, so: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let start = Instant::now();
        loop {
            let found = self.json(resource);
            if so(&found) {
                return found;
            }
            assert!(start.elapsed() < LIMIT, "{resource}: {found:#}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it logs a line with this text, and returns what it has logged until then.
    pub fn until_logged(&mut self, text: &str) -> String {
        let mut heard = String::new();
        while !heard.lines().next_back().is_some_and(|line| line.contains(text)) {
            assert_ne!(self.stderr.read_line(&mut heard).unwrap(), 0, "{heard}");
        }
        heard
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it in order, with a ledger that adds up. Returns what it has logged.
    pub fn end(mut self) -> String {
        self.signal(Signal::TERM);
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{rest}");
        assert!(rest.contains("the ledger adds up"), "{rest}");
        assert!(!self.socket.exists(), "the socket is gone");
        rest
    }

    /// Ends it at once, as the kernel does when there is no memory.
    pub fn kill(mut self) -> PathBuf {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.socket.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What curl hears: the status and the body.
pub fn curl(socket: &Path, arguments: &[&str], resource: &str) -> (u16, String) {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "30", "--write-out", "\n%{http_code}", "--unix-socket"])
        .arg(socket)
        .args(arguments)
        .arg(format!("http://localhost{resource}"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{resource}: {}", String::from_utf8_lossy(&output.stderr));
    let (body, status) = said.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.into())
}
