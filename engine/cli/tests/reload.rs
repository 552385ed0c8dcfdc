//! `swath run` and SIGHUP: the file is read again, and what it says is run without losing a packet.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};

use common::{Place, without_buffers};
use rustix::process::{Pid, Signal, kill_process};

const GRAPH: &str = "version: 1
engine: { workers: 2 }
interfaces:
  a: { driver: memory, generate: { flows: { sources: [10.0.0.0/24], destinations: [10.1.0.0/24], count: 100 }, rate: 20kpps, stamp: true } }
  b: { driver: memory, sink: { check: stamps } }
nodes:
  rx: { kind: rx, interface: a, to: tx }
  tx: { kind: tx, interface: b }
";

/// The program; it ends with the test.
struct Run(Child);

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Up to the line that has these words.
fn until(stderr: &mut BufReader<ChildStderr>, words: &str) -> String {
    let mut all = String::new();
    loop {
        let mut line = String::new();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "no {words} in:\n{all}");
        all += &line;
        if line.contains(words) {
            return all;
        }
    }
}

fn hang_up(Run(child): &Run) {
    kill_process(Pid::from_child(child), Signal::HUP).unwrap();
}

#[test]
fn a_hangup_has_the_file_read_again() {
    let place = Place::new();
    let graph = place.text("graph.yaml", GRAPH);
    let child = Command::new(env!("CARGO_BIN_EXE_swath"))
        .args(["run".as_ref(), graph.as_os_str()])
        .args(["--stats", "line", "--report", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Run(child);
    let mut stderr = BufReader::new(child.0.stderr.take().unwrap());
    until(&mut stderr, "  rx ");
    let counter = GRAPH.replace("interface: a, to: tx }", "interface: a, to: count }\n  count: { kind: counter, to: tx }");
    place.text("graph.yaml", &counter);
    hang_up(&child);
    let said = until(&mut stderr, "revision 2 runs: ");
    assert!(
        said.contains(", 2 swaps, worker 0 paused ") && said.ends_with(": 4 kept (1 rewired), 0 adopted, 1 fresh, 0 gone\n"),
        "{said}"
    );
    // The same again is nothing.
    hang_up(&child);
    until(&mut stderr, "is what runs as revision 2");
    // Mistakes, and what needs a restart, change nothing.
    for (bad, why) in [
        (GRAPH.replace("to: tx", "to: nobody"), "nobody"),
        (
            GRAPH.replace("workers: 2", "workers: 1"),
            "`engine` cannot change while it runs, and differs in `workers`: start it again",
        ),
        (GRAPH.replace("check: stamps", "check: everything"), "everything"),
    ] {
        place.text("graph.yaml", &bad);
        hang_up(&child);
        let said = until(&mut stderr, "not applied, and nothing has changed");
        assert!(said.contains(why), "{said}");
    }
    place.text("graph.yaml", GRAPH);
    hang_up(&child);
    let said = until(&mut stderr, "revision 3 runs: ");
    assert!(said.ends_with(": 4 kept (1 rewired), 0 adopted, 0 fresh, 1 gone\n"), "{said}");
    until(&mut stderr, "  rx ");
    kill_process(Pid::from_child(&child.0), Signal::TERM).unwrap();
    let (mut err, mut out) = (String::new(), String::new());
    stderr.read_to_string(&mut err).unwrap();
    child.0.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(child.0.wait().unwrap().code(), Some(0), "{err}");
    assert!(err.ends_with("the ledger adds up\n"), "{err}");
    let report = without_buffers(&out);
    assert!(report["received"].as_u64().unwrap() > 0);
    assert_eq!(report["received"], report["sent"]);
    let checked = &report["interfaces"]["b"];
    let found = ["flows", "missing", "duplicated", "reordered", "unstamped"].map(|what| checked[what].as_u64().unwrap());
    assert_eq!(found, [100, 0, 0, 0, 0], "{out}");
}
