//! A router on devices of the kernel under overload, between pairs of veth devices in a network namespace of their own.

use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use swath_core::run::Engine;

use crate::rig::build;
use crate::workers::worker_seconds;

/// How long one reading takes.
const READING: Duration = Duration::from_millis(1000);
const ROUNDS: usize = 3;
/// Calls of the sender each millisecond: from what is easy to as many as it can.
const SENDS: [u64; 7] = [2, 4, 8, 16, 32, 64, 0];
/// What says that this process is in the namespace.
const INSIDE: &str = "SWATH_BENCH_INSIDE";

/// From `in1` to `out0`. The other ends are `in0`, by which the kernel sends, and `out1`, where it throws them away.
const ROUTER: &str = "version: 1
engine: { cores: [0] }
interfaces:
  in:  { driver: af-packet, device: in1, mac: '02:00:00:00:00:01', addresses: [10.0.1.1/24] }
  out: { driver: af-packet, device: out0, mac: '02:00:00:00:00:02', addresses: [10.0.2.1/24] }
tables:
  neighbours: { kind: neighbours, static: [{ address: 10.0.2.2, mac: '02:00:00:00:00:99' }] }
  routes: { kind: fib4, routes: [{ prefix: 0.0.0.0/0, via: 10.0.2.2 }] }
nodes:
  rx:      { kind: rx, interface: in, to: eth }
  out-rx:  { kind: rx, interface: out, to: eth }
  eth:     { kind: ethernet-input, to: ip4 }
  ip4:     { kind: ip4-input, to: lookup }
  lookup:  { kind: ip4-lookup, to: rewrite }
  rewrite: { kind: ip4-rewrite, to: tx }
  tx:      { kind: tx }
";

/// Packets in one call of the sender: the kernel takes them as one, which only the router cuts (UDP_SEGMENT, udp(7)). So a core can send
/// many times what a core can forward.
const SEGMENTS: u64 = 64;

/// Sends so many times each millisecond, or as often as it can if that is 0, until it is killed.
const SENDER: &str = "
import os, socket, sys, time
os.sched_setaffinity(0, {1})
wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
wire.setsockopt(socket.SOL_UDP, 103, 18)
wire.connect(('10.9.0.1', 9))
data, count, due = bytes(18 * 64), int(sys.argv[1]), time.monotonic()
while True:
    for _ in range(count or 1000):
        try:
            wire.send(data)
        except OSError:
            pass
    due += 0.001
    if count:
        time.sleep(max(0, due - time.monotonic()))
";

/// Ends with whoever has started it.
struct Sender(Child);

impl Sender {
    fn start(sends: u64) -> Result<Sender, String> {
        let child = Command::new("python3").args(["-c", SENDER, &sends.to_string()]).spawn();
        child.map(Sender).map_err(|error| format!("python3 is needed: {error}"))
    }

    /// How many packets have left it, cut or not.
    fn sent() -> Result<u64, String> {
        let text = std::fs::read_to_string("/proc/self/net/dev").map_err(|error| error.to_string())?;
        let line = text.lines().find_map(|line| line.trim().strip_prefix("in0:"));
        // Eight figures of what came in are before it, and the bytes (proc_net_dev(5)).
        let calls = line.and_then(|line| line.split_whitespace().nth(9)?.parse::<u64>().ok());
        calls.map(|calls| calls * SEGMENTS).ok_or_else(|| "the device does not say what it has sent".into())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What was read: packets per second offered and forwarded, and forwarded for each second of CPU of the router.
#[derive(Debug, Clone, Copy)]
struct Reading {
    offered: f64,
    forwarded: f64,
    per_cpu: f64,
    share: f64,
}

fn read(sends: u64) -> Result<Reading, String> {
    let mut router = build("overload", ROUTER.into(), swath_io::DRIVERS, false);
    router.start().map_err(|error| error.to_string())?;
    let sender = Sender::start(sends)?;
    sleep(READING / 2);
    let look = |router: &Engine| Ok::<_, String>((Instant::now(), worker_seconds(), router.ledger().sent, Sender::sent()?));
    let before = look(&router)?;
    sleep(READING);
    let after = look(&router)?;
    drop(sender);
    router.stop();
    let wrong = router.ledger().discrepancies();
    assert!(wrong.is_empty(), "{wrong:?}");
    let (wall, cpu) = ((after.0 - before.0).as_secs_f64(), after.1 - before.1);
    let [forwarded, offered] = [after.2 - before.2, after.3 - before.3].map(|packets| packets as f64);
    Ok(Reading { offered: offered / wall, forwarded: forwarded / wall, per_cpu: forwarded / cpu, share: cpu / wall })
}

/// The reading with the median rate.
fn median(mut readings: Vec<Reading>) -> Reading {
    readings.sort_by(|a, b| a.per_cpu.total_cmp(&b.per_cpu));
    readings[readings.len() / 2]
}

/// Measures and prints.
///
/// # Errors
/// There is no namespace to be had, or no devices in it.
pub fn report() -> Result<(), String> {
    if std::env::var_os(INSIDE).is_none() {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new("unshare");
        let status = command.arg("-n").arg(program).args(["--case", "overload-af-packet", "--child"]).env(INSIDE, "1").status();
        return match status {
            Ok(status) if status.success() => Ok(()),
            _ => Err("a network namespace is needed: run it as root".into()),
        };
    }
    let ip = |line: &str| match Command::new("ip").args(line.split(' ')).status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("`ip {line}` has failed")),
    };
    for pair in ["in", "out"] {
        ip(&format!("link add {pair}0 type veth peer name {pair}1"))?;
        ip(&format!("link set {pair}0 up"))?;
        ip(&format!("link set {pair}1 up"))?;
    }
    ip("address add 10.0.1.2/24 dev in0")?;
    ip("neigh add 10.0.1.1 lladdr 02:00:00:00:00:01 dev in0 nud permanent")?;
    ip("route add 10.9.0.0/16 via 10.0.1.1")?;
    println!("| offered, Mpps | forwarded, Mpps | CPU share | Mpps per core |\n|---|---|---|---|");
    let (mut peak, mut last) = (0.0f64, None);
    for sends in SENDS {
        let reading = median((0..ROUNDS).map(|_| read(sends)).collect::<Result<_, _>>()?);
        let [offered, forwarded, per_cpu] = [reading.offered, reading.forwarded, reading.per_cpu].map(|rate| rate / 1e6);
        println!("| {offered:.3} | {forwarded:.3} | {:.2} | {per_cpu:.3} |", reading.share);
        peak = peak.max(reading.per_cpu);
        last = Some(reading);
    }
    let Some(flooded) = last else { return Ok(()) };
    let (times, share) = (flooded.offered / flooded.per_cpu, flooded.per_cpu / peak * 100.0);
    println!("\nat {times:.1} times what a core can forward, {share:.1} % of the peak, for each second of CPU time");
    Ok(())
}
