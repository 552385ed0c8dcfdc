//! An ssh server of the host's own, by OpenSSH, on a device that a graph has: who is logged in stays so.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use super::common::Place;
use super::common::hosts::Net;
use super::{DEFAULT, router, two_hosts};

/// A server in a host's namespace, and the key that it lets in.
struct Server {
    child: Child,
    place: Place,
    address: &'static str,
}

impl Server {
    /// `None`, which is said, where there is no OpenSSH.
    fn start(net: &Net, host: &str, address: &'static str) -> Option<Server> {
        if !["/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen"].iter().all(|program| Path::new(program).exists()) {
            let needs = "it needs openssh-server and openssh-client";
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{needs}");
            println!("not run: {needs}");
            return None;
        }
        let place = Place::new();
        for key in ["host", "user"] {
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(place.path(key)).status();
            assert!(made.unwrap().success());
        }
        let path = |name: &str| place.path(name).display().to_string();
        let config = format!(
            "HostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n\
             ListenAddress {address}\n",
            path("host"),
            path("user.pub")
        );
        let config = place.text("config", &config);
        // Where it goes into when it gives its privileges up: its package has the service manager make it.
        std::fs::create_dir_all("/run/sshd").unwrap();
        let log = std::fs::File::create(place.path("log")).unwrap();
        let line = format!("/usr/sbin/sshd -D -e -f {}", config.display());
        let child = net.command(host, &line).stderr(log).spawn().unwrap();
        let server = Server { child, place, address };
        let listens = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            server.log().contains("Server listening")
        });
        assert!(listens, "{}", server.log());
        Some(server)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.place.path("log")).unwrap()
    }

    /// A client of it in another host's namespace that runs a command there.
    fn client(&self, net: &Net, host: &str, command: &str) -> Command {
        let key = self.place.path("user");
        let options =
            "-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=5";
        let mut client = net.command(host, &format!("ssh -F none -i {} {options} root@{}", key.display(), self.address));
        client.arg(command);
        client
    }

    fn run(&self, net: &Net, host: &str, command: &str) -> Output {
        self.client(net, host, command).output().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Host and graph share a device, its address and its MAC address.
fn shared() -> Option<(Net, Server)> {
    let net = two_hosts()?;
    net.ip("r", "link set r-a address 02:00:00:00:00:01");
    net.ip("r", "address add 10.0.1.1/24 dev r-a");
    let server = Server::start(&net, "r", "10.0.1.1")?;
    Some((net, server))
}

/// Sessions in both directions, one that is there before the graph, too, and what takes many packets.
#[test]
fn sessions_go_on_and_begin() {
    let Some((net, server)) = shared() else { return };
    let mut before = server.client(&net, "a", "read line; echo $line; head -c 3000000 /dev/zero | md5sum");
    let mut before = before.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let is_in = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        server.log().contains("Accepted publickey")
    });
    assert!(is_in, "{}", server.log());
    let swath = net.swath("r", &router("", "capture: all-but-ssh", DEFAULT));
    std::io::Write::write_all(&mut before.stdin.take().unwrap(), b"still here\n").unwrap();
    let output = before.wait_with_output().unwrap();
    let expected = Command::new("sh").args(["-c", "echo still here; head -c 3000000 /dev/zero | md5sum"]).output().unwrap();
    assert_eq!(said(&output), said(&expected));
    let output = server.run(&net, "a", "echo $SSH_CONNECTION");
    let text = said(&output);
    assert!(text.starts_with("10.0.1.2 ") && text.ends_with(" 10.0.1.1 22\n"), "{text}");
    // The host itself as the client.
    let other = Server::start(&net, "a", "10.0.1.2").expect("there is one");
    let text = said(&other.run(&net, "r", "echo $SSH_CONNECTION"));
    assert!(text.starts_with("10.0.1.1 ") && text.ends_with(" 10.0.1.2 22\n"), "{text}");
    // All else is the graph's.
    assert_eq!(net.ping("a", 10, "10.0.2.2"), 10);
    assert_eq!(net.ping("a", 1, "10.0.1.1"), 0);
    swath.end();
}

/// Who is logged in does not cut himself off: the device of his session is refused without `force: true`.
#[test]
fn the_device_of_a_session_is_refused() {
    let Some((net, server)) = shared() else { return };
    let place = Place::new();
    std::fs::set_permissions(place.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    let run = |a: &str| {
        let graph = place.text("graph.yaml", &router("", a, DEFAULT));
        format!("{} run {} --duration 1 --stats none 2>&1; echo ended with $?", env!("CARGO_BIN_EXE_swath"), graph.display())
    };
    let text = said(&server.run(&net, "a", &run(DEFAULT)));
    let reason = "your SSH session from 10.0.1.2 comes in by `r-a`";
    let refused = format!("{reason}: say `force: true` to take it all the same, with `capture: all-but-ssh` if in doubt");
    assert!(text.contains(&refused) && text.ends_with("ended with 78\n"), "{text}");
    let text = said(&server.run(&net, "a", &format!("{} doctor r-a; echo ended", env!("CARGO_BIN_EXE_swath"))));
    assert!(text.contains(&format!("{reason}: a graph takes it with `force: true` only")) && text.ends_with("ended\n"), "{text}");
    // The session outlives a graph that takes its device, and leaves ssh to the kernel.
    let text = said(&server.run(&net, "a", &run("force: true, capture: all-but-ssh")));
    assert!(text.contains("the ledger adds up") && text.ends_with("ended with 0\n"), "{text}");
}
