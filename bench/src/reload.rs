//! Another graph in the middle of traffic: a NAT gateway on devices of the kernel that is applied anew, beside what Click loses by its hotswap.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use swath_api::Pool;
use swath_api::memory::{Geometry, Region};
use swath_core::Registry;
use swath_core::plan::Plan;
use swath_core::run::{BuildOptions, Engine, Report};
use swath_core::spec::{Diagnostics, Nothing, SourceMap, Spec};

/// Packets of a round, and how many in a second.
const PACKETS: u64 = 100_000;
const RATE: u64 = 50_000;
const FLOWS: u64 = 1000;
const ROUNDS: usize = 10;
/// The core of the gateway, and that of what sends and receives: on one core they would take turns of milliseconds.
const ROUTER: usize = 1;
const ENDS: usize = 0;
/// Packets that a receive ring takes: 80 ms of them, for which a program may have to wait for its core.
const RING: u32 = 4096;
/// How often it is looked what has arrived.
const LOOK: Duration = Duration::from_micros(200);
/// What says that this process is in the namespace.
const INSIDE: &str = "SWATH_BENCH_INSIDE";

/// What the peer was measured to do on this kind of machine (22 November 2026): Click, userlevel, on the same kind of devices, 100,000 packets at
/// 50,000 per second, an IPRewriter among the elements.
const CLICK: [(&str, &str, &str, &str, &str); 2] =
    [("Click, without", "55 to 170", "-", "-", "-"), ("Click, hotswap", "1,300 to 21,500", "20 to 490 ms", "none", "begin at 0")];

/// The gateway; every other one has a node more, other rules and another time-out.
fn gateway(which: usize) -> String {
    let (count, filter) = match which % 2 {
        0 => ("ip4", "[{ action: permit }]"),
        _ => ("count", "[{ action: deny, protocol: tcp }, { action: permit }]"),
    };
    format!(
        "version: 1
engine: {{ cores: [{ROUTER}] }}
interfaces:
  in:  {{ driver: af-packet, device: in1, ring: {RING}, mac: '02:00:00:00:00:01', addresses: [10.0.0.254/8] }}
  out: {{ driver: af-packet, device: out0, mac: '02:00:00:00:00:02', addresses: [203.0.113.2/24] }}
tables:
  neighbours: {{ kind: neighbours, static: [{{ address: 203.0.113.1, mac: '02:00:00:00:00:99' }}] }}
  routes: {{ kind: fib4, routes: [{{ prefix: 0.0.0.0/0, via: 203.0.113.1 }}] }}
  policy: {{ kind: acl, rules: {filter} }}
  nat: {{ kind: nat44, inside: [in], outside: [out], pool: [203.0.113.2] }}
nodes:
  rx:      {{ kind: rx, interface: in, to: eth }}
  out-rx:  {{ kind: rx, interface: out, to: end }}
  end:     {{ kind: drop }}
  eth:     {{ kind: ethernet-input, to: {count} }}
{}  ip4:     {{ kind: ip4-input, to: filter }}
  filter:  {{ kind: acl-filter, table: policy, to: lookup }}
  lookup:  {{ kind: ip4-lookup, to: nat }}
  nat:     {{ kind: nat44-in2out, to: rewrite }}
  rewrite: {{ kind: ip4-rewrite, to: tx }}
  tx:      {{ kind: tx }}
",
        if which % 2 == 1 { "  count:   { kind: counter, to: ip4 }\n" } else { "" }
    )
}

fn generator() -> String {
    format!(
        "version: 1
engine: {{ cores: [{ENDS}] }}
interfaces:
  make: {{ driver: memory, generate: {{ flows: {{ sources: [10.0.0.0/16], destinations: [198.51.100.0/24], count: {FLOWS}, dst-mac: '02:00:00:00:00:01' }}, stamp: true, rate: {RATE}, limit: {PACKETS} }} }}
  net:  {{ driver: af-packet, device: in0 }}
nodes:
  rx: {{ kind: rx, interface: make, to: tx }}
  tx: {{ kind: tx, interface: net }}
"
    )
}

fn sink() -> String {
    format!(
        "version: 1
engine: {{ cores: [{ENDS}] }}
interfaces:
  net:  {{ driver: af-packet, device: out1, ring: {RING} }}
  look: {{ driver: memory, sink: {{ check: stamps }} }}
nodes:
  rx: {{ kind: rx, interface: net, to: tx }}
  tx: {{ kind: tx, interface: look }}
"
    )
}

/// Engines that are started from text, and may be told another one.
struct Bench {
    registry: Registry,
}

impl Bench {
    fn plan(&self, text: &str) -> Result<Plan, String> {
        let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
        let file = sources.add("reload", text);
        let spec = Spec::read(file, &mut sources, &Nothing, &mut diagnostics);
        Plan::new(spec, &self.registry, &mut diagnostics).ok_or_else(|| diagnostics.render(&sources, false))
    }

    fn start(&self, text: &str) -> Result<Engine, String> {
        let plan = self.plan(text)?;
        let geometry = Geometry::new(plan.engine.buffers as u32, plan.engine.buffer_size);
        let pool = Pool::new(Region::anonymous_huge(geometry).map_err(|error| error.to_string())?);
        let mut diagnostics = Diagnostics::new();
        let engine = Engine::build(plan, &BuildOptions { pool: &pool, virtual_time: false }, &mut diagnostics);
        let mut engine = engine.ok_or_else(|| diagnostics.render(&SourceMap::new(), false))?;
        engine.start().map_err(|error| error.to_string())?;
        Ok(engine)
    }

    fn apply(&self, engine: &mut Engine, text: &str) -> Result<Report, String> {
        engine.apply(self.plan(text)?, &mut Diagnostics::new()).map_err(|refusal| refusal.to_string())
    }

    /// Offers the packets, with a swap in their middle or without.
    fn round(&self, swap: bool) -> Result<Round, String> {
        let mut sink = self.start(&sink())?;
        let mut router = self.start(&gateway(0))?;
        let mut source = self.start(&generator())?;
        let start = Instant::now();
        let (mut seen, mut at, mut stall, mut report) = (0, start, Duration::ZERO, None);
        let (mut sessions, mut counted) = ((0, 0), (0, 0));
        let whole = Duration::from_millis(PACKETS * 1000 / RATE);
        // Until nothing is to come any more.
        while start.elapsed() < whole + Duration::from_millis(500) {
            let now = sink.ledger().received;
            if now > seen {
                // The first packets wait for nobody.
                stall = if seen == 0 { Duration::ZERO } else { stall.max(at.elapsed()) };
                (seen, at) = (now, Instant::now());
            }
            if swap && report.is_none() && start.elapsed() >= whole / 2 {
                (sessions.0, counted.0) = (figure(&router, "nat44_sessions"), packets(&router, "nat"));
                report = Some(self.apply(&mut router, &gateway(1))?);
                (sessions.1, counted.1) = (figure(&router, "nat44_sessions"), packets(&router, "nat"));
            }
            sleep(LOOK);
        }
        source.stop();
        router.stop();
        sink.stop();
        for engine in [&source, &router, &sink] {
            let wrong = engine.ledger().discrepancies();
            assert!(wrong.is_empty(), "{wrong:?}");
        }
        let offered = source.ledger().sent;
        if offered != PACKETS {
            return Err(format!("{offered} packets were offered, and not {PACKETS}"));
        }
        let pause = report.map_or(0.0, |report| report.longest_pause);
        Ok(Round { lost: offered - sink.ledger().received, stall, pause, sessions, counted })
    }
}

/// What has come of the packets.
struct Round {
    lost: u64,
    /// The longest time in which nothing arrived.
    stall: Duration,
    /// Seconds that the worker has not looked after packets.
    pause: f64,
    /// Before and after the swap: sessions, and packets that the node of NAT has counted.
    sessions: (u64, u64),
    counted: (u64, u64),
}

fn figure(engine: &Engine, name: &str) -> u64 {
    let figures = engine.table("nat").map(|table| table.figures()).unwrap_or_default();
    figures.iter().filter(|figure| figure.name == name).map(|figure| figure.value).sum()
}

fn packets(engine: &Engine, node: &str) -> u64 {
    engine.nodes().iter().find(|known| known.name == node).map_or(0, |known| known.packets)
}

/// The median of some figures, and the most.
fn range(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (median, most) = (values[values.len() / 2], values[values.len() - 1]);
    if median == most { format!("{most:.0}") } else { format!("{median:.1}, at most {most:.1}") }
}

fn row(name: &str, rounds: &[Round], swap: bool) -> String {
    let lost = rounds.iter().map(|round| round.lost as f64).collect();
    let stall = rounds.iter().map(|round| round.stall.as_secs_f64() * 1e3).collect();
    let kept = rounds.iter().all(|round| round.sessions.0 == FLOWS && round.sessions.1 == FLOWS);
    let goes_on = rounds.iter().all(|round| round.counted.1 >= round.counted.0 && round.counted.0 > 0);
    let (sessions, counters) = match swap {
        false => ("-", "-"),
        true => (if kept { "all" } else { "not all" }, if goes_on { "go on" } else { "have lost" }),
    };
    format!("| {name} | {} | {} ms | {sessions} | {counters} |", range(lost), range(stall))
}

/// Measures and prints.
///
/// # Errors
/// There is no namespace to be had, or no devices in it.
pub fn report() -> Result<(), String> {
    if std::env::var_os(INSIDE).is_none() {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let status = Command::new("unshare").arg("-n").arg(program).args(["--case", "reload", "--child"]).env(INSIDE, "1").status();
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
        for end in [0, 1] {
            // What the kernel says by itself would be counted.
            ip(&format!("link set {pair}{end} multicast off addrgenmode none up"))?;
        }
    }
    let bench = Bench {
        registry: Registry::new(swath_nodes::NODES, swath_nodes::TABLES, swath_io::DRIVERS).shortcuts(swath_nodes::SHORTCUTS),
    };
    let (mut without, mut with) = (Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS));
    // In turn, so that both have the same machine.
    for _ in 0..ROUNDS {
        without.push(bench.round(false)?);
        with.push(bench.round(true)?);
    }
    println!(
        "{ROUNDS} rounds each, {PACKETS} packets of {FLOWS} flows at {RATE} per second through NAT between devices of the kernel, one swap in the middle\n"
    );
    println!("| | lost | longest time in which nothing arrives | NAT mappings | counters |\n|---|---|---|---|---|");
    println!("{}", row("swath, without", &without, false));
    println!("{}", row("swath, another graph", &with, true));
    for (name, lost, stall, sessions, counters) in CLICK {
        println!("| {name} | {lost} | {stall} | {sessions} | {counters} |");
    }
    let pauses = with.iter().map(|round| round.pause * 1e6).collect();
    println!("\nthe worker has paused for {} us; Click was measured before, and not in this run", range(pauses));
    Ok(())
}
