//! `swath top` on a terminal, by tmux: what it shows, what its keys do, and that it goes on when another graph is applied.

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use common::running::{LIMIT, ROUTER, Running};
use common::{Place, has};

/// A terminal of its own server, which ends with it.
struct Screen {
    server: String,
}

impl Screen {
    fn start(running: &Running, options: &str) -> Screen {
        let screen = Screen { server: format!("swath-test-{}", running.pid()) };
        let command = format!("{} top {options} --socket {}", env!("CARGO_BIN_EXE_swath"), running.socket.display());
        screen.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "110", "-y", "24", &command]);
        screen
    }

    fn tmux(&self, args: &[&str]) -> String {
        let output = Command::new("tmux").args(["-L", &self.server]).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// What is shown, when it is so.
    fn until(&self, so: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let shown = self.tmux(&["capture-pane", "-p"]);
            if so(&shown) {
                return shown;
            }
            assert!(start.elapsed() < LIMIT, "{shown}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// The names of nodes, from above.
fn nodes(shown: &str) -> Vec<&str> {
    let below = shown.lines().skip_while(|line| !line.starts_with("NODE ")).skip(1);
    below.filter_map(|line| line.split_whitespace().next()).take_while(|word| *word != "sorted").collect()
}

#[test]
fn it_is_drawn_sorted_filtered_held_and_goes_on() {
    if !has("tmux") {
        return;
    }
    let place = Place::new();
    let running = Running::start(&place, ROUTER);
    let screen = Screen::start(&running, "--every 200ms");
    let shown = screen.until(|shown| shown.lines().any(|line| line.starts_with("lookup") && line.contains(" k ")));
    println!("{shown}");
    assert_eq!(nodes(&shown), ["rx", "ethernet", "ip4", "lookup", "rewrite", "tx"], "{shown}");
    for heading in ["WORKER  CORE", "INTERFACE", "PACKETS/s  PKTS/VECTOR  CYCLES/PKT", "graph.yaml  revision 1  ready"] {
        assert!(shown.contains(heading), "{heading}: {shown}");
    }
    assert!(shown.lines().any(|line| line.starts_with("lan ") && line.contains(" up ")), "{shown}");
    screen.press(&["s", "s", "s"]);
    let shown = screen.until(|shown| shown.contains("sorted by drops"));
    assert_eq!(nodes(&shown)[0], "lookup", "{shown}");
    screen.press(&["/", "r", "e", "w", "Enter"]);
    let shown = screen.until(|shown| nodes(shown) == ["rewrite"]);
    assert!(shown.contains("sorted by drops  /rew"), "{shown}");
    screen.press(&["Escape"]);
    screen.until(|shown| nodes(shown).len() == 6);
    screen.press(&["Space"]);
    let held = screen.until(|shown| shown.contains("revision 1  held"));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(screen.until(|_| true), held);
    screen.press(&["Space"]);
    let other = ROUTER.replace(
        "{ kind: ip4-lookup, to: rewrite }",
        "{ kind: ip4-lookup, to: count }\n  count:    { kind: counter, to: rewrite }",
    );
    assert_eq!(running.ask(["apply", place.text("other.yaml", &other).to_str().unwrap()]).code, 0);
    let shown = screen.until(|shown| shown.contains("revision 2") && nodes(shown).len() == 7);
    assert!(nodes(&shown).contains(&"count"), "{shown}");
    let socket = running.kill();
    screen.until(|shown| shown.contains("not heard: "));
    // Another process at the same place is found.
    let again = Running::start(&place, ROUTER);
    assert_eq!(again.socket, socket);
    screen.until(|shown| shown.contains("revision 1  ready"));
    screen.press(&["q"]);
    let start = Instant::now();
    while !screen.tmux(&["list-sessions"]).is_empty() {
        assert!(start.elapsed() < LIMIT, "it ends");
        std::thread::sleep(Duration::from_millis(50));
    }
    again.end();
}
