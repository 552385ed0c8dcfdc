//! The kernel as the router, beside swath on AF_XDP: plain, with a thousand rules in a row and as a set, and as a translator of sources; and
//! as a bridge.
//!
//! The kernel forwards where packets come in, on the core of the generator, or on the other one, where it is told to steer them
//! (`rps_cpus`): what it does better counts. Swath has its worker on the other core, and the kernel's part of receiving on the first. All
//! take turns, and every packet that was sent has to arrive.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::forwarder::{Kind, Programs};
use super::network::{IN, NEXT_HOP_MAC, OUR_MAC, OUT, run as run_program};
use super::statistics::Summary;
use super::traffic::{Traffic, UNDER_WAY};
use super::{Options, WARM_UP, prepare};
use crate::measure;

/// The name of the case.
pub const NAME: &str = "af-xdp-kernel";
/// In a sentence.
pub const ABOUT: &str = "router on AF_XDP over the kernel's own, plain, with 1000 rules, with NAT, and bridge over bridge: packets per second, as ratios (root)";

/// Rules of which none holds for what is sent.
const RULES: u32 = 1000;

/// What a router has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// To forward.
    Plain,
    /// To ask a thousand rules before.
    Rules,
    /// The same rules; the kernel is told them as one set.
    Set,
    /// To put its own address in the place of the source.
    Nat,
    /// Not to route, but to be a bridge.
    Bridge,
}

impl Work {
    /// All.
    pub const ALL: [Work; 5] = [Work::Plain, Work::Rules, Work::Set, Work::Nat, Work::Bridge];

    fn about(self) -> &'static str {
        match self {
            Work::Plain => "Forwarding alone",
            Work::Rules => "1000 rules, one after the other in the kernel's chain `forward`, of which none holds",
            Work::Set => "The same 1000 rules, in the kernel as one set of addresses and ports",
            Work::Bridge => "A bridge that learns, to a station that it knows",
            Work::Nat => "Source NAT (`masquerade` of the kernel), one session",
        }
    }

    /// What the kernel is told (nft(8)).
    fn rules(self) -> String {
        match self {
            Work::Plain | Work::Bridge => String::new(),
            Work::Set => {
                let elements: Vec<String> = addresses().map(|(address, port)| format!("{address} . {port}")).collect();
                format!(
                    "add table ip bench\nadd set ip bench listed {{ type ipv4_addr . inet_service; elements = {{ {} }}; }}\n\
                     add chain ip bench work {{ type filter hook forward priority 0; }}\n\
                     add rule ip bench work ip saddr . udp dport @listed drop\n",
                    elements.join(", ")
                )
            }
            Work::Rules => {
                let rules =
                    addresses().map(|(address, port)| format!("add rule ip bench work ip saddr {address} udp dport {port} drop\n"));
                "add table ip bench\nadd chain ip bench work { type filter hook forward priority 0; }\n".to_owned()
                    + &rules.collect::<String>()
            }
            Work::Nat => format!(
                "add table ip bench\nadd chain ip bench work {{ type nat hook postrouting priority 100; }}\n\
                 add rule ip bench work oifname {OUT} masquerade\n"
            ),
        }
    }
}

/// A source and a port for each rule.
fn addresses() -> impl Iterator<Item = (std::net::Ipv4Addr, u32)> {
    (0..RULES).map(|number| (std::net::Ipv4Addr::from(0x0b00_0000 | number.wrapping_mul(0x9e37_79b1) >> 8), 1 + number))
}

/// The bridge of swath.
fn bridge(core: usize) -> String {
    let mac = NEXT_HOP_MAC.map(|byte| format!("{byte:02x}")).join(":");
    format!(
        "version: 1
engine: {{ cores: [{core}], idle: busy }}
interfaces:
  in:  {{ driver: af-xdp, device: {IN} }}
  out: {{ driver: af-xdp, device: {OUT} }}
tables:
  stations: {{ kind: bridge, static: [{{ mac: '{mac}', interface: out }}] }}
nodes:
  in-rx:  {{ kind: rx, interface: in, to: bridge }}
  out-rx: {{ kind: rx, interface: out, to: bridge }}
  bridge: {{ kind: bridge-input, to: {{ forward: tx, flood: flood }} }}
  flood:  {{ kind: bridge-flood, to: tx }}
  tx:     {{ kind: tx }}
"
    )
}

/// The router of swath that does the same, or the bridge.
pub fn graph(core: usize, work: Work) -> String {
    if work == Work::Bridge {
        return bridge(core);
    }
    let rules = addresses()
        .map(|(address, port)| format!("{{ action: deny, source: {address}/32, protocol: udp, destination-port: {port} }}, "));
    let (table, nodes) = match work {
        Work::Plain | Work::Bridge => {
            (String::new(), "  ip4:      { kind: ip4-input, to: lookup }\n  lookup:   { kind: ip4-lookup, to: rewrite }\n")
        }
        Work::Rules | Work::Set => (
            format!("  rules: {{ kind: acl, default: permit, rules: [{}] }}\n", rules.collect::<String>()),
            "  ip4:      { kind: ip4-input, to: filter }\n  filter:   { kind: acl-filter, to: lookup }\n  \
             lookup:   { kind: ip4-lookup, to: rewrite }\n",
        ),
        Work::Nat => (
            "  nat: { kind: nat44, inside-prefixes: [198.51.100.0/24], pool: [192.0.2.1] }\n".into(),
            "  ip4:      { kind: ip4-input, to: lookup }\n  lookup:   { kind: ip4-lookup, to: snat }\n  \
             snat:     { kind: nat44-in2out, to: rewrite }\n",
        ),
    };
    format!(
        "version: 1
engine: {{ cores: [{core}], idle: busy }}
interfaces:
  in:  {{ driver: af-xdp, device: {IN}, mac: '02:00:00:00:00:01', addresses: [198.51.100.1/24] }}
  out: {{ driver: af-xdp, device: {OUT}, mac: '02:00:00:00:00:02', addresses: [192.0.2.1/24] }}
tables:
  neighbours: {{ kind: neighbours, static: [{{ address: 192.0.2.2, mac: '02:00:00:00:00:99' }}] }}
  routes: {{ kind: fib4, routes: [{{ prefix: 0.0.0.0/0, via: 192.0.2.2 }}] }}
{table}nodes:
  in-rx:    {{ kind: rx, interface: in, to: ethernet }}
  out-rx:   {{ kind: rx, interface: out, to: ethernet }}
  ethernet: {{ kind: ethernet-input, to: {{ ip4: ip4 }} }}
{nodes}  rewrite:  {{ kind: ip4-rewrite, to: tx }}
  tx:       {{ kind: tx }}
"
    )
}

/// Makes a router of the namespace. Frames that a program sends to a veth want that its other end has NAPI, which comes with GRO.
fn route() -> Result<(), String> {
    let mac = NEXT_HOP_MAC.map(|byte| format!("{byte:02x}")).join(":");
    run_program("sysctl", "-qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0")?;
    run_program("ip", &format!("address add 198.51.100.1/24 dev {IN}"))?;
    run_program("ip", &format!("address add 192.0.2.1/24 dev {OUT}"))?;
    run_program("ip", &format!("neigh add 192.0.2.2 lladdr {mac} dev {OUT} nud permanent"))?;
    run_program("ip", "route add 203.0.113.0/24 via 192.0.2.2")?;
    run_program("ethtool", &format!("-K {IN} gro on")).map(drop)
}

/// Makes a bridge of it, which knows who is at the end.
fn enslave() -> Result<(), String> {
    let mac = NEXT_HOP_MAC.map(|byte| format!("{byte:02x}")).join(":");
    run_program("ip", "link add bridge0 type bridge forward_delay 0 mcast_snooping 0")?;
    for device in [IN, OUT] {
        run_program("ip", &format!("link set {device} master bridge0"))?;
    }
    run_program("ip", "link set bridge0 up")?;
    run_program("bridge", &format!("fdb replace {mac} dev {OUT} master static")).map(drop)
}

/// Gives the kernel its rules, in the place of those before.
fn tell_kernel(rules: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("nft: {error}");
    let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().map_err(failed)?;
    let text = format!("flush ruleset\n{rules}");
    nft.stdin.take().ok_or("nft reads nothing")?.write_all(text.as_bytes()).map_err(failed)?;
    if nft.wait().map_err(failed)?.success() { Ok(()) } else { Err("nft takes not all of its rules".into()) }
}

/// Says on which core the kernel processes what comes in; without one, where it comes in.
fn steer(core: Option<usize>) -> Result<(), String> {
    let mask = core.map_or(0, |core| 1u64 << core);
    // What /sys shows is the namespace that it was mounted in.
    let line = format!("mount -t sysfs sysfs /sys && echo {mask:x} > /sys/class/net/{IN}/queues/rx-0/rps_cpus");
    let done =
        Command::new("unshare").args(["--mount", "sh", "-c", &line]).status().map_err(|error| format!("unshare: {error}"))?;
    if done.success() { Ok(()) } else { Err("the kernel does not take `rps_cpus`".into()) }
}

/// Packets per second of whoever forwards now. All arrive, and are as a router sends them, or as they were.
fn rate(traffic: &mut Traffic, work: Work, options: Options) -> Result<f64, String> {
    traffic.send(WARM_UP, UNDER_WAY)?;
    let (started, before) = (Instant::now(), traffic.counts()?);
    traffic.send(Duration::from_millis(options.milliseconds), UNDER_WAY)?;
    let (seconds, now) = (started.elapsed().as_secs_f64(), traffic.counts()?);
    let counts = traffic.settle()?;
    let routed = if work == Work::Bridge { 0 } else { counts.received };
    if counts.sent != counts.received || counts.routed != routed {
        return Err(format!("not all that was sent was forwarded: {counts:?}"));
    }
    Ok((now.received - before.received) as f64 / seconds)
}

/// One of those who take turns.
fn measure_one(
    turn: usize,
    work: Work,
    (programs, traffic): (&Programs, &mut Traffic),
    core: usize,
    options: Options,
) -> Result<f64, String> {
    traffic.reset()?;
    match turn {
        0 => {
            let forwarder = programs.start(Kind::With(work))?;
            let rate = rate(traffic, work, options)?;
            forwarder.end()?;
            Ok(rate)
        }
        turn => {
            steer((turn == 2).then_some(core))?;
            rate(traffic, work, options)
        }
    }
}

/// The case, within a namespace of its own.
pub fn run(options: Options, core: usize) -> Result<(), String> {
    let (programs, traffic, other) = prepare(core)?;
    drop(traffic);
    route()?;
    println!("{}\n\n### {NAME}: {ABOUT}\n", measure::machine());
    println!(
        "Generator, and what the kernel does to receive: core {other}. Worker, and what the kernel does to send for it: core {core}."
    );
    println!("The kernel as the router: on core {other}, or steered to core {core}; the ratio is to the better of both.");
    println!("Frames of 60 bytes, one flow, at most {UNDER_WAY} under way.");
    let mut is_met = true;
    for work in Work::ALL {
        tell_kernel(&work.rules())?;
        if work == Work::Bridge {
            enslave()?;
        }
        // The sink counts what has the source that it was sent with, or any.
        let to = if work == Work::Bridge { NEXT_HOP_MAC } else { OUR_MAC };
        let mut traffic = Traffic::new(work == Work::Nat, to)?;
        println!("\n{}:\n", work.about());
        println!(
            "| round | swath, packets per second | kernel, core {other} | kernel, core {core} | ratio |\n|---|---|---|---|---|"
        );
        let mut ratios = Vec::new();
        for round in 0..options.pairs {
            let mut rates = [0.0; 3];
            for turn in 0..3 {
                let which = (round + turn) % 3;
                rates[which] = measure_one(which, work, (&programs, &mut traffic), core, options)?;
            }
            let [swath, here, there] = rates;
            let ratio = swath / here.max(there);
            println!("| {} | {swath:.0} | {here:.0} | {there:.0} | {ratio:.2} |", round + 1);
            ratios.push(ratio);
        }
        let summary = Summary::of(&mut ratios);
        // Where the kernel has little to do, nobody who has it copy all packets can be faster.
        let wanted = if work == Work::Rules { " (wanted: more than 1)" } else { "" };
        println!(
            "\nmedian ratio **{:.2}**{wanted}, between {:.2} and {:.2} with 95 %",
            summary.median, summary.lower, summary.upper
        );
        is_met &= work != Work::Rules || summary.median > 1.0;
    }
    if is_met { Ok(()) } else { Err("the kernel is faster with rules".into()) }
}
