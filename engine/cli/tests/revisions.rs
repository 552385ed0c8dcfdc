//! Graphs that ran, on disk: listed, compared, gone back to, started again, whatever has ended the process.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::running::{LIMIT, Running};
use common::{Place, said_by, swath};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use swath_ctl::Client;

fn text(marker: &str) -> String {
    format!(
        "version: 1
interfaces:
  a: {{ driver: memory, generate: {{ rate: 1kpps, packets: [udp 10.0.0.1:1 > 10.0.0.2:2] }} }}
nodes:
  rx: {{ kind: rx, interface: a, to: {marker} }}
  {marker}: {{ kind: counter, to: sink }}
  sink: {{ kind: drop }}
"
    )
}

/// `swath run` with its revisions in a directory.
fn run(place: &Place, options: &[&str]) -> Running {
    Running::of(command(place, options), place.path("control.sock"))
}

fn command(place: &Place, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swath"));
    command.arg("run").arg(place.path("graph.yaml")).args(["--stats", "none", "--log-format", "json", "--api"]);
    command.arg(place.path("control.sock")).arg("--revisions").arg(place.path("kept")).args(options);
    command
}

fn apply(running: &Running, place: &Place, marker: &str) -> String {
    let graph = place.text("new.yaml", &text(marker));
    let said = running.ask(["apply".as_ref(), graph.as_os_str()]);
    assert_eq!(said.code, 0, "{}", said.err);
    said.err
}

fn marker(running: &Running) -> String {
    running.json("/v1/nodes")[1]["name"].as_str().unwrap().into()
}

/// Waits until the graph that runs is the last good one.
fn good(running: &Running) {
    running.until("/v1/revisions", |all| all[0]["good"] == true && all[0]["running"] == true);
}

#[test]
fn revisions_outlive_the_process() {
    let place = Place::new();
    let graph = place.text("graph.yaml", &text("one"));
    let running = run(&place, &[]);
    apply(&running, &place, "two");
    good(&running);
    let second = said_by(swath(["run"]).arg(&graph).arg("--revisions").arg(place.path("kept")).args(["--api", "off"]));
    assert_eq!((second.code, second.err.contains("another engine keeps its revisions there")), (1, true), "{}", second.err);
    running.end();
    // What the file says has a number of its own, unless it is what ran last.
    let running = run(&place, &[]);
    assert_eq!((running.json("/v1")["revision"].clone(), marker(&running)), (json!(3), "one".into()));
    good(&running);
    running.end();
    let running = run(&place, &[]);
    assert_eq!(running.json("/v1")["revision"], 3);
    let list = running.told(["revisions"]);
    let columns: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(columns[0], ["REVISION", "TIME", "BY", "STATE", "GRAPH"]);
    let graph = graph.to_str().unwrap();
    assert_eq!(columns[1][2..], ["start", "running,", "last", "good", graph]);
    assert_eq!((columns[2][0], columns[2][2], columns[3][0]), ("2", "apply", "1"));
    assert!(columns[1][1].ends_with('Z') && columns.len() == 4, "{list}");
    assert_eq!(running.told(["revisions", "show", "2"]), text("two"));
    let diff = running.told(["revisions", "diff", "2"]);
    let offline = common::said(["diff".as_ref(), place.path("new.yaml").as_os_str(), place.path("graph.yaml").as_os_str()]);
    assert_eq!(diff, offline.out);
    assert_eq!(running.ask(["revisions", "diff", "1", "3", "--exit-code"]).code, 0);
    assert_eq!(running.ask(["revisions", "diff", "1", "2", "--exit-code"]).code, 2);
    let json: Value = serde_json::from_str(&running.told(["revisions", "diff", "1", "2", "--format", "json"])).unwrap();
    assert_eq!((&json["from"], &json["to"], &json["equal"]), (&json!(1), &json!(2), &json!(false)));
    assert!(running.ask(["revisions", "show", "9"]).err.contains("there is no revision 9; there are 3, 2, 1"));
    // Back to one of another process.
    assert_eq!(running.ask(["rollback", "2"]).code, 0);
    assert_eq!(marker(&running), "two");
    running.end();
}

#[test]
fn the_last_good_graph_is_started_again() {
    let place = Place::new();
    place.text("graph.yaml", &text("one"));
    // Without any, the file.
    let running = run(&place, &["--last-good"]);
    assert_eq!(marker(&running), "one");
    apply(&running, &place, "two");
    good(&running);
    let trial = place.text("new.yaml", &text("trial"));
    assert_eq!(running.ask(["apply".as_ref(), trial.as_os_str(), "--confirm".as_ref(), "10min".as_ref()]).code, 0);
    running.kill();
    // What nobody has confirmed is not good, and a file that is wrong does not matter.
    place.text("graph.yaml", "version: 1\nnodes: [\n");
    let running = run(&place, &["--last-good"]);
    assert_eq!((running.json("/v1")["revision"].clone(), marker(&running)), (json!(4), "two".into()));
    running.end();
    place.text("graph.yaml", &text("one"));
    let off = said_by(swath(["run", "--last-good", "--revisions", "off"]).arg(place.path("graph.yaml")));
    assert_eq!(off.code, 64);
}

#[test]
fn revisions_have_a_usual_place() {
    let place = Place::new();
    let graph = place.text("router.yaml", &text("one"));
    let started = |variables: &[(&str, PathBuf)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swath"));
        command.arg("run").arg(&graph).args(["--stats", "none", "--log-format", "json", "--api"]).arg(place.path("control.sock"));
        for variable in ["SWATH_REVISIONS", "STATE_DIRECTORY", "XDG_STATE_HOME"] {
            command.env_remove(variable);
        }
        let running = Running::of(
            {
                command.envs(variables.iter().cloned());
                command
            },
            place.path("control.sock"),
        );
        good(&running);
        running.end();
    };
    let service = place.path("service");
    started(&[("STATE_DIRECTORY", PathBuf::from(format!("{}:/no/such", service.display())))]);
    assert_eq!(std::fs::read_to_string(service.join("router/good")).unwrap(), "1\n");
    assert!(service.join("router/000001.json").exists());
    // Relative to the graph's file, if that says where.
    place.text("router.yaml", &text("one").replace("version: 1", "version: 1\nengine: { revisions: here }"));
    started(&[]);
    assert!(place.path("here/000001.json").exists());
}

#[test]
fn a_kill_at_any_time_leaves_whole_revisions() {
    let place = Place::new();
    place.text("graph.yaml", &text("n0"));
    let mut applied = 0;
    for round in 0..8 {
        let running = run(&place, &["--last-good"]);
        let started: u64 = marker(&running)[1..].parse().unwrap();
        assert!(started <= applied, "round {round}: {started} was never applied, of {applied}");
        let (socket, pid) = (running.socket.clone(), running.pid());
        // By threads, so that it is killed in the middle of something.
        let kill = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(40 + 23 * round));
            kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
        });
        let mut client = Client::connect(&socket).unwrap();
        loop {
            applied += 1;
            let graph = json!({ "files": [{ "name": "new.yaml", "text": text(&format!("n{applied}")) }] });
            let answer: Result<Value, _> = client.change("/v1/apply", json!({ "graph": graph }).to_string(), None);
            if answer.is_err() {
                break;
            }
        }
        kill.join().unwrap();
        running.kill();
        // Every file is whole, or not there.
        for entry in std::fs::read_dir(place.path("kept")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let number = name.strip_suffix(".json").filter(|_| !name.starts_with('.')).and_then(|name| name.parse::<u64>().ok());
            let Some(number) = number else { continue };
            let revision: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            assert_eq!(revision["number"], number);
        }
    }
    assert!(applied > 8);
}

/// Runs in a mount namespace of its own, in which the directory of revisions is a small file system.
fn run_on_small_disk(place: &Place) -> Option<Running> {
    let root = rustix::process::geteuid().is_root();
    if !root || !common::has("unshare") || !common::has("nsenter") {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "needs root");
        eprintln!("skipped: needs root");
        return None;
    }
    std::fs::create_dir(place.path("kept")).unwrap();
    let inner = command(place, &[]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", "mount -t tmpfs -o size=64k none \"$0\" && exec \"$@\""]).arg(place.path("kept"));
    command.arg(inner.get_program()).args(inner.get_args());
    Some(Running::of(command, place.path("control.sock")))
}

fn remount(running: &Running, place: &Place, how: &str) {
    let path: PathBuf = place.path("kept");
    let status = Command::new("nsenter")
        .args(["--target", &running.pid().to_string(), "--mount", "mount", "-o", &format!("remount,{how}")])
        .arg(path)
        .status();
    assert!(status.unwrap().success(), "{how}");
}

#[test]
fn a_full_disk_is_said_and_stops_no_change() {
    let place = Place::new();
    place.text("graph.yaml", &text("one"));
    let Some(running) = run_on_small_disk(&place) else { return };
    good(&running);
    let large = place.text("new.yaml", &(text("large") + &"# a comment\n".repeat(10_000)));
    let said = running.ask(["apply".as_ref(), large.as_os_str()]);
    assert_eq!(said.code, 0);
    let warning = "warning: revision 2 runs, and is not kept for the next start: No space left on device (os error 28)\n";
    assert!(said.err.contains(warning), "{}", said.err);
    assert_eq!(marker(&running), "large");
    let list = running.json("/v1/revisions");
    let states = |index: usize| ["number", "running", "good", "kept"].map(|key| list[index][key].clone());
    assert_eq!(states(0), [json!(2), json!(true), json!(false), json!(false)]);
    assert_eq!(states(1), [json!(1), json!(false), json!(true), json!(true)]);
    // What fits is kept again, also what is gone back to.
    assert!(!apply(&running, &place, "three").contains("is not kept"));
    good(&running);
    assert_eq!(running.ask(["rollback", "1"]).code, 0);
    good(&running);
    // And a disk that may only be read is as a full one.
    remount(&running, &place, "ro");
    let said = apply(&running, &place, "five");
    assert!(said.contains("warning: revision 5 runs, and is not kept for the next start: Read-only file system"), "{said}");
    remount(&running, &place, "rw");
    apply(&running, &place, "six");
    good(&running);
    let log = running.end();
    assert!(log.contains("revision 2 runs, and is not kept"), "{log}");
}

#[test]
fn a_directory_that_cannot_be_used_is_said() {
    let place = Place::new();
    place.text("graph.yaml", &text("one"));
    place.text("kept", "a file");
    let refused = said_by(swath(["run", "--api", "off", "--revisions"]).arg(place.path("kept")).arg(place.path("graph.yaml")));
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("error: revisions cannot be kept in "), "{}", refused.err);
    // At the usual place that is a warning.
    let mut usual = swath(["run", "--api", "off", "--duration", "100ms", "--stats", "none"]);
    usual.arg(place.path("graph.yaml")).env_remove("SWATH_REVISIONS").env("STATE_DIRECTORY", place.path("kept"));
    let warned = said_by(usual.timeout(LIMIT));
    assert_eq!(warned.code, 0, "{}", warned.err);
    assert!(warned.err.contains("warning: revisions are known until it ends: "), "{}", warned.err);
    assert!(Path::new(&place.path("kept")).is_file());
}
