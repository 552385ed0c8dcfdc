//! Hosts and routers made of network namespaces, with cables between them, and `swath run` in one of them.
//!
//! Needs root. Everything is removed in the end, whatever the end is, and every command is bounded in time.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process, kill_process_group};

use super::Place;

/// Seconds that any command may take.
const LIMIT: &str = "20";

/// Some network namespaces.
pub struct Net {
    prefix: String,
    names: Vec<String>,
}

/// The names of tools that are missing.
fn missing(tools: &[&'static str]) -> Vec<&'static str> {
    let found = |tool: &str| ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|dir| Path::new(dir).join(tool).exists());
    tools.iter().copied().filter(|tool| !found(tool)).collect()
}

impl Net {
    /// Makes namespaces, with IPv6 off so that nothing is sent that the test has not asked for. `None`, which is said, where that cannot
    /// be done; with CI=true that is a failure.
    pub fn new(names: &[&str]) -> Option<Net> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let missing = missing(&["ip", "ping", "ethtool", "iperf3", "timeout", "traceroute", "python3"]);
        if !geteuid().is_root() || !missing.is_empty() {
            let why = if missing.is_empty() { "it needs root".into() } else { format!("not installed: {}", missing.join(", ")) };
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{why}");
            println!("not run: {why}");
            return None;
        }
        let prefix = format!("swath-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut net = Net { prefix, names: Vec::new() };
        for name in names {
            net.names.push(net.namespace(name));
            net.add(name);
        }
        Some(net)
    }

    /// Makes one of the namespaces again that [`Net::remove`] has removed.
    pub fn add(&self, name: &str) {
        succeed(Command::new("ip").args(["netns", "add", &self.namespace(name)]));
        self.sh(name, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
        self.ip(name, "link set lo up");
    }

    /// Removes a namespace, and the devices in it with their other ends.
    pub fn remove(&self, name: &str) {
        succeed(Command::new("ip").args(["netns", "del", &self.namespace(name)]));
    }

    fn namespace(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// `ip` in a namespace; must succeed.
    pub fn ip(&self, name: &str, args: &str) -> String {
        succeed(Command::new("ip").args(["-n", &self.namespace(name)]).args(args.split_whitespace()))
    }

    /// A program within a namespace.
    pub fn command(&self, name: &str, line: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["-k", "1", LIMIT, "ip", "netns", "exec", &self.namespace(name)]).args(line.split_whitespace());
        command
    }

    /// Runs a program within a namespace; it must succeed. Returns what it wrote.
    pub fn sh(&self, name: &str, line: &str) -> String {
        succeed(&mut self.command(name, line))
    }

    /// Connects two namespaces by a pair of devices. Returns when both are up.
    pub fn cable(&self, a: &str, device_a: &str, mac_a: &str, b: &str, device_b: &str) {
        let line = format!("link add {device_a} address {mac_a} type veth peer name {device_b} netns {}", self.namespace(b));
        self.ip(a, &line);
        for (name, device) in [(a, device_a), (b, device_b)] {
            // Else a host asks after some seconds whether its neighbour is still there, which may be after the end of `swath`.
            self.sh(name, &format!("sysctl -qw net/ipv4/neigh/{device}/delay_first_probe_time=300"));
            self.ip(name, &format!("link set {device} up"));
        }
    }

    /// A host with one device `eth0`: 10.0.`n`.2/24, MAC 02:00:00:00:0`n`:02, connected to the device `r-NAME` of `r`, and its way
    /// out through 10.0.`n`.1 at 02:00:00:00:00:0`n`.
    pub fn host(&self, name: &str, n: u8) {
        self.cable(name, "eth0", &format!("02:00:00:00:0{n}:02"), "r", &format!("r-{name}"));
        self.address(name, "eth0", n);
    }

    /// What makes a host of a device.
    pub fn address(&self, name: &str, device: &str, n: u8) {
        self.ip(name, &format!("address add 10.0.{n}.2/24 dev {device}"));
        self.ip(name, &format!("neigh add 10.0.{n}.1 lladdr 02:00:00:00:00:0{n} dev {device} nud permanent"));
        self.ip(name, &format!("route add default via 10.0.{n}.1"));
    }

    /// A host with one device `eth0` of this hardware address, connected to the device `r-NAME` of `r`. It has an address, such as
    /// `192.168.1.20/24`, a way out, and finds its neighbours by itself.
    pub fn real_host(&self, name: &str, mac: &str, address: &str, gateway: &str) {
        self.cable(name, "eth0", mac, "r", &format!("r-{name}"));
        self.configure(name, address, gateway);
    }

    /// Gives `eth0` of a host an address and a way out.
    pub fn configure(&self, name: &str, address: &str, gateway: &str) {
        // A frame that the kernel sends of its own accord would be one more than the test has asked for.
        self.ip(name, "link set eth0 multicast off");
        self.ip(name, &format!("address add {address} dev eth0"));
        self.ip(name, &format!("route add default via {gateway}"));
    }

    /// Runs a program, which may fail, within a namespace. Returns all that it wrote.
    pub fn try_sh(&self, name: &str, line: &str) -> String {
        let output = self.command(name, line).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// What a device of a host has counted: packets received and sent. A frame of many segments is one.
    pub fn packets(&self, name: &str, device: &str) -> (u64, u64) {
        let read =
            |what: &str| self.sh(name, &format!("cat /sys/class/net/{device}/statistics/{what}_packets")).trim().parse().unwrap();
        (read("rx"), read("tx"))
    }

    /// How many of so many echo requests are answered.
    ///
    /// `-W` counts only until the first answer. From then on `ping` waits for the last one as long as for the slowest before it, twice,
    /// or one interval: on a busy machine that has to be much more than what a scheduler takes.
    pub fn ping(&self, name: &str, count: u32, rest: &str) -> u32 {
        let output = self.command(name, &format!("ping -n -q -i 0.1 -c {count} -W 1 {rest}")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let answered = text.split(" packets transmitted, ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
        answered.unwrap_or_else(|| panic!("{text}"))
    }

    /// So many echo requests, which are all answered. `ping` itself waits for the last answer no longer than twice as long as for those before.
    pub fn pings(&self, name: &str, count: u32, rest: &str) {
        let answers = || self.counter(name, "Icmp:", "InEchoReps");
        let before = answers();
        self.ping(name, count, rest);
        let all_came = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(2));
            answers() == before + u64::from(count)
        });
        assert!(all_came, "{name}: {rest}: {} of {count} answers", answers() - before);
    }

    /// Whether an echo request is answered within some seconds: what has been away needs a moment.
    pub fn comes_back(&self, name: &str, address: &str) -> bool {
        (0..50).any(|_| self.ping(name, 1, address) == 1)
    }

    /// `iperf3` from one host to another. Returns its report.
    pub fn iperf(&self, from: &str, to: &str, address: &str, args: &str) -> serde_json::Value {
        let mut server = self.command(to, "iperf3 -s -1").stdout(Stdio::null()).spawn().unwrap();
        let mut report = serde_json::Value::Null;
        for _ in 0..50 {
            let output = self.command(from, &format!("iperf3 -J -c {address} {args}")).output().unwrap();
            report = serde_json::from_slice(&output.stdout).unwrap_or_default();
            // It does not fail with a code where it fails in JSON.
            if report.is_object() && report["error"].is_null() {
                break;
            }
            // The server was not there yet.
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = server.wait();
        assert!(report["error"].is_null(), "{from} to {to}, {args}: {report}");
        report
    }

    /// Segments and datagrams whose checksum a host found to be wrong.
    pub fn checksum_errors(&self, name: &str) -> u64 {
        let text = self.sh(name, "cat /proc/net/snmp");
        let mut lines = text.lines();
        let mut sum = 0;
        while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
            let pairs = names.split(' ').zip(values.split(' '));
            let errors = pairs.filter(|(name, _)| *name == "InCsumErrors").map(|(_, value)| value.parse::<u64>().unwrap());
            sum += errors.sum::<u64>();
        }
        sum
    }

    /// A counter of a host's kernel, such as `ReasmOKs` of `Ip:`.
    pub fn counter(&self, name: &str, of: &str, counter: &str) -> u64 {
        let text = self.sh(name, "cat /proc/net/snmp");
        let mut lines = text.lines().filter(|line| line.split(' ').next() == Some(of));
        let (names, values) = (lines.next().unwrap().split(' '), lines.next().unwrap().split(' '));
        let value = names.zip(values).find(|(name, _)| *name == counter).unwrap().1;
        value.parse().unwrap()
    }

    /// `swath run` of a graph in a namespace. Returns when it runs.
    pub fn swath(&self, name: &str, graph: &str) -> Swath {
        self.swath_by(name, "", graph)
    }

    /// The same, started by a program that becomes it, such as `setpriv`, and perhaps another user.
    pub fn swath_by(&self, name: &str, prefix: &str, graph: &str) -> Swath {
        let place = Place::new();
        let graph = place.text("graph.yaml", graph);
        let (report, log) = (place.path("report.json"), place.path("log"));
        let mut program = PathBuf::from(env!("CARGO_BIN_EXE_swath"));
        if prefix.contains("--reuid") {
            // Another user may not get to where it was built.
            program = place.path("swath");
            std::fs::copy(env!("CARGO_BIN_EXE_swath"), &program).unwrap();
            std::fs::set_permissions(graph.parent().unwrap(), std::fs::Permissions::from_mode(0o777)).unwrap();
        }
        let child = Command::new("ip")
            .args(["netns", "exec", &self.namespace(name)])
            .args(prefix.split_whitespace())
            .args([program.as_os_str(), "run".as_ref()])
            .args([graph.as_os_str(), "--stats".as_ref(), "none".as_ref(), "--duration".as_ref(), "300".as_ref()])
            .args(["--report".as_ref(), report.as_os_str()])
            .env_remove("SWATH_STATS")
            .env_remove("SWATH_COLOR")
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut swath = Swath { child, report, log, _place: place };
        swath.says(" on ");
        swath
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for namespace in &self.names {
            // What still runs there keeps the devices alive.
            if let Ok(output) = Command::new("ip").args(["netns", "pids", namespace]).output() {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                for pid in text.lines().filter_map(|line| Pid::from_raw(line.trim().parse().ok()?)) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            let _ = Command::new("ip").args(["netns", "del", namespace]).output();
        }
    }
}

/// A running `swath`.
pub struct Swath {
    child: Child,
    report: PathBuf,
    log: PathBuf,
    _place: Place,
}

impl Swath {
    /// What it has said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Bytes of its heap, and of its stacks, that are in memory; packet memory is not among them.
    pub fn heap(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// Its threads: what `/proc/PID/task/TID/status` says of each.
    pub fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap()).collect()
    }

    /// Waits until it says something.
    pub fn says(&mut self, text: &str) {
        let start = Instant::now();
        while !self.log().contains(text) {
            assert!(start.elapsed() < Duration::from_secs(10), "it does not say `{text}`:\n{}", self.log());
            assert_eq!(self.child.try_wait().unwrap(), None, "{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it in order. Returns its report, whose ledgers add up, and what it has said.
    pub fn end(self) -> (serde_json::Value, String) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        self.ends()
    }

    /// Waits until it ends by itself, as one does whose inputs end. Returns what [`Swath::end`] does.
    pub fn ends(mut self) -> (serde_json::Value, String) {
        let status = self.wait();
        let log = self.log();
        assert!(status.success() && log.contains("the ledger adds up"), "{log}");
        let mut report = String::new();
        std::fs::File::open(&self.report).unwrap().read_to_string(&mut report).unwrap();
        (serde_json::from_str(&report).unwrap(), log)
    }

    /// Ends it at once.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.wait();
    }

    /// Ends at once the group of processes that it leads.
    pub fn kill_group(mut self) {
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).unwrap();
        self.wait();
    }

    fn wait(&mut self) -> std::process::ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "it does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Swath {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    String::from_utf8_lossy(&stdout).into_owned()
}
