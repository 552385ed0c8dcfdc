//! A service manager as systemd is one: what it is told, when, and that it is told nothing good of a worker that stands still.

mod common;

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self, UnixDatagram};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use common::Place;
use common::scrape::get;
use common::stopped::Stopped;
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);

/// Worker 0 has packets, worker 1 has none and sleeps.
const GRAPH: &str = "version: 1
engine: { workers: 2 }
interfaces:
  lan: { driver: memory, generate: { rate: 10kpps, packets: [udp 10.0.0.1:1 > 10.0.0.2:2] } }
  wan: { driver: memory }
nodes:
  lan-rx: { kind: rx, interface: lan, to: tx }
  wan-rx: { kind: rx, interface: wan, to: drop }
  tx:     { kind: tx, interface: wan }
  drop:   { kind: drop }
";

/// The end of the socket that systemd has.
struct Manager {
    socket: UnixDatagram,
    address: OsString,
    place: Place,
}

impl Manager {
    fn new() -> Manager {
        let place = Place::new();
        let path = place.path("notify");
        Manager { socket: UnixDatagram::bind(&path).unwrap(), address: path.into(), place }.patient()
    }

    fn with_abstract_name() -> Manager {
        let name = format!("swath-test-{}", std::process::id());
        let address = net::SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        Manager { socket, address: format!("@{name}").into(), place: Place::new() }.patient()
    }

    fn patient(self) -> Manager {
        self.socket.set_read_timeout(Some(LIMIT)).unwrap();
        self
    }

    /// The next message.
    fn hear(&self) -> String {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("a message");
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// Starts the program, with what else is in the environment of a service.
    fn start(&self, options: &[&str], environment: &[(&str, &str)]) -> Service {
        let graph = self.place.text("graph.yaml", GRAPH);
        let mut child = Command::new(env!("CARGO_BIN_EXE_swath"))
            .args([OsStr::new("run"), graph.as_os_str()])
            .args(["--metrics", "127.0.0.1:0", "--log-format", "json"])
            .args(options)
            .env("NOTIFY_SOCKET", &self.address)
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        let http = event["address"].as_str().unwrap_or_else(|| panic!("{line}")).parse().unwrap();
        Service { child, stderr, http }
    }
}

/// The program; it ends with the test.
struct Service {
    child: Child,
    stderr: BufReader<ChildStderr>,
    http: SocketAddr,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    /// Code and body.
    fn get(&self, path: &str) -> (u16, String) {
        let (code, _, body) = get(self.http, path, "*/*");
        (code, body)
    }

    /// Waits until it logs this.
    fn hears(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert_ne!(self.stderr.read_line(&mut line).unwrap(), 0, "it has ended");
        }
    }

    fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// The exit code, and what it has said.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

#[test]
fn the_life_of_a_service() {
    let manager = Manager::new();
    let limit = Duration::from_secs(3);
    let service = manager.start(&["--drain", "3s"], &[("WATCHDOG_USEC", &limit.as_micros().to_string())]);
    assert_eq!(manager.hear(), "READY=1\n");
    // When it says so, it is.
    assert_eq!(service.get("/readyz"), (200, "ready\n".into()));
    assert!(service.get("/metrics").1.contains("\nswath_interface_up{interface=\"lan\"} 1\n"));

    // One worker is busy, the other sleeps: all is well. systemd would wait for `limit`, by the clock of the program: a status each second.
    let (mut statuses, mut beats, mut since) = (Vec::new(), 0, 0);
    while beats < 4 || statuses.len() < 2 {
        match &*manager.hear() {
            "WATCHDOG=1\n" => (beats, since) = (beats + 1, 0),
            message => {
                statuses.push(message.strip_prefix("STATUS=").unwrap_or_else(|| panic!("{message}")).to_string());
                since += 1;
                assert!(since <= limit.as_secs(), "{since} statuses without a beat");
            }
        }
    }
    for status in &statuses {
        let rest = status.strip_prefix("2 workers; ").unwrap_or_else(|| panic!("{status}"));
        assert!(rest.contains(" s  rx ") && rest.contains("/s  tx ") && rest.ends_with("/s\n"), "{status}");
    }
    let sleeps = |metrics: &str, worker: usize| {
        let sample =
            metrics.lines().find_map(|line| line.strip_prefix(&format!("swath_worker_sleeps_total{{worker=\"{worker}\"}} ")));
        sample.unwrap().parse::<u64>().unwrap()
    };
    assert!(sleeps(&service.get("/metrics").1, 1) > 0);

    if let Some(stopped) = Stopped::worker(service.child.id(), 0) {
        // What was said before, and for a third of the limit after; there is a status each second.
        let mut heard = 0;
        while heard < 3 {
            heard += usize::from(manager.hear().starts_with("STATUS="));
        }
        // The program itself goes on, and a second worker that turns is not enough.
        for _ in 0..3 {
            assert!(manager.hear().starts_with("STATUS=2 workers; "));
        }
        assert_eq!(service.get("/readyz"), (503, "not ready: worker 0 stands still\n".into()));
        assert_eq!(service.get("/livez").0, 200);
        drop(stopped);
        while manager.hear() != "WATCHDOG=1\n" {}
        assert_eq!(service.get("/readyz").0, 200);
    }

    service.terminate();
    while manager.hear() != "STOPPING=1\n" {}
    assert_eq!(service.get("/readyz"), (503, "not ready: draining\n".into()));
    let (code, said) = service.end();
    assert_eq!(code, Some(0), "{said}");
    let events: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for event in &events {
        let keys: Vec<_> = event.as_object().unwrap().keys().take(4).collect();
        assert_eq!(keys, ["ts", "level", "target", "msg"], "{event}");
    }
    let last = events.last().unwrap();
    assert_eq!((&last["msg"], &last["level"]), (&"the ledger adds up".into(), &"info".into()), "{said}");
    assert_eq!((&last["sent"], &last["dropped"]), (&last["received"], &0.into()), "{said}");
}

/// The control thread reads a graph that takes long to read, and nothing is wrong with the data path.
#[test]
fn a_graph_that_takes_long_is_no_reason_to_start_it_again() {
    let manager = Manager::new();
    let mut service = manager.start(&[], &[("WATCHDOG_USEC", "900000")]);
    assert_eq!(manager.hear(), "READY=1\n");
    // Whoever opens it waits for somebody who writes.
    let graph = manager.place.path("graph.yaml");
    std::fs::remove_file(&graph).unwrap();
    mkfifoat(CWD, &graph, Mode::RUSR | Mode::WUSR).unwrap();
    kill_process(Pid::from_child(&service.child), Signal::HUP).unwrap();
    // Its last words before that, and from then on it says no more what it does. Five times a manager would have lost patience since.
    let mut beats = 0;
    while beats < 15 {
        match &*manager.hear() {
            "WATCHDOG=1\n" => beats += 1,
            status => {
                assert!(status.starts_with("STATUS="), "{status}");
                beats = 0;
            }
        }
    }
    // Nor does it count as a worker that stands still.
    assert_eq!(service.get("/readyz"), (200, "ready\n".into()));
    std::fs::write(&graph, GRAPH.replace("10kpps", "20kpps")).unwrap();
    service.hears("another graph runs: ");
    while !manager.hear().starts_with("STATUS=") {}

    if let Some(stopped) = Stopped::worker(service.child.id(), 0) {
        kill_process(Pid::from_child(&service.child), Signal::HUP).unwrap();
        std::fs::write(&graph, GRAPH.replace("10kpps", "30kpps")).unwrap();
        // A worker that does not go over to it is: of the ten seconds in which the engine waits for it, nothing is said in three.
        manager.socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        let silent = (0..30).any(|_| manager.socket.recv(&mut [0; 4096]).is_err());
        assert!(silent, "the manager is told that all is well");
        service.hears("has not gone over to the graph yet");
        drop(stopped);
    }
}

#[test]
fn abstract_names_and_the_watchdog_of_another_process() {
    let manager = Manager::with_abstract_name();
    // 1 is the manager: systemd says so to children of a service that have inherited its variables.
    let service = manager.start(&[], &[("WATCHDOG_USEC", "300000"), ("WATCHDOG_PID", "1")]);
    assert_eq!(manager.hear(), "READY=1\n");
    for _ in 0..2 {
        let status = manager.hear();
        assert!(status.starts_with("STATUS="), "{status}");
    }
    service.terminate();
    assert_eq!(manager.hear(), "STOPPING=1\n");
    assert_eq!(service.end().0, Some(0));
}

/// Links are looked after and signals answered by the thread that talks to the manager.
#[test]
fn a_manager_that_does_not_read_is_not_waited_for() {
    let manager = Manager::new();
    // Until there is no room for one more.
    let sender = UnixDatagram::unbound().unwrap();
    sender.set_nonblocking(true).unwrap();
    while sender.send_to(b"X=1", &manager.address).is_ok() {}
    let service = manager.start(&["--duration", "1500ms"], &[]);
    let (code, said) = service.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the service manager cannot be told") && said.contains("the ledger adds up"), "{said}");
}

#[test]
fn a_manager_that_has_gone_is_said_and_no_reason_to_end() {
    let mut manager = Manager::new();
    manager.address = manager.place.path("gone").into();
    let (code, said) = manager.start(&["--duration", "100ms"], &[]).end();
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains(r#""msg":"the service manager cannot be told","error":"No such file or directory (os error 2)""#),
        "{said}"
    );
}
