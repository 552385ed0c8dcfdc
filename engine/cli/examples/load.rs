//! How long it takes from a graph file to a built engine, and where the time goes. Without an argument, for graphs that it makes: of 300
//! and of 10,000 nodes, and with a million routes.
//!
//!     cargo run --release -p swath --example load [FILE]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use swath::{Graph, Time};
use swath_core::plan::Draft;
use swath_core::spec::{Diagnostics, Nothing, SourceMap, Spec, yaml};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(path) = std::env::args().nth(1) {
        return measure(&path, &std::fs::read_to_string(&path)?);
    }
    measure("300 nodes, 40 interfaces", &graph(300, 40, 0))?;
    measure("10,000 nodes, 40 interfaces", &graph(10_000, 40, 0))?;
    measure("1,000,000 routes, 40 interfaces", &graph(300, 40, 1_000_000))
}

fn measure(name: &str, text: &str) -> Result<(), Box<dyn std::error::Error>> {
    println!("{name}: {:.1} MB", text.len() as f64 / 1e6);
    let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
    let file = sources.add("graph.yaml", text);
    let source = sources.get(file).ok_or("just added")?;
    let timed = |what: &str, start: Instant| println!("  {what:<28} {:>9.2} ms", millis(start.elapsed()));

    let start = Instant::now();
    let tree = yaml::read(source, &mut diagnostics);
    timed("YAML to tree", start);
    drop(tree);
    let start = Instant::now();
    let spec = Spec::read(file, &mut sources, &Nothing, &mut diagnostics);
    timed("YAML to spec", start);
    let start = Instant::now();
    let json: usize = spec.tables.iter().map(|table| table.settings.to_json_bytes().len()).sum();
    timed(&format!("settings to JSON ({json} B)"), start);
    let start = Instant::now();
    let plan = Draft::new(spec, &swath::registry(), &mut diagnostics).plan();
    timed("spec to plan", start);
    if let Ok(plan) = plan {
        let start = Instant::now();
        plan.check(&mut diagnostics);
        timed("parts made, to be checked", start);
    }

    let start = Instant::now();
    let mut graph = Graph::from_text(name, text);
    let plan = graph.plan_once(&swath::registry())?;
    timed("text to plan, as a command", start);
    let (pool, _) = swath::packet_memory(&plan.engine)?;
    let built = Instant::now();
    let engine = graph.build(plan, &pool, Time::Virtual)?;
    timed("plan to engine", built);
    timed("text to engine", start);
    drop(engine);
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A router with a chain of nodes behind each interface.
fn graph(nodes: usize, interfaces: usize, routes: usize) -> String {
    let mut text = String::from("version: 1\ninterfaces:\n");
    for port in 0..interfaces {
        let _ = writeln!(text, "  port{port}: {{ driver: memory, addresses: [10.0.{port}.1/24] }}");
    }
    text += "tables:\n  neighbours: { kind: neighbours }\n  routes:\n    kind: fib4\n";
    if routes > 0 {
        text += "    routes:\n";
    }
    for route in 0..routes {
        // Scattered over 16.0.0.0 to 207.255.255.0, each prefix once: the factor has no divisor in common with the number of /24s.
        let prefix = (0x10_0000 + (route * 7_654_321) % 0xc0_0000) << 8;
        let [a, b, c, _] = (prefix as u32).to_be_bytes();
        let _ = writeln!(text, "      - {{ prefix: {a}.{b}.{c}.0/24, via: 10.0.{}.{} }}", route % interfaces, 2 + route % 200);
    }
    text += "nodes:\n";
    let chain = (nodes - 3) / interfaces - 3;
    for port in 0..interfaces {
        let _ = writeln!(text, "  rx{port}: {{ kind: rx, interface: port{port}, to: ethernet{port} }}");
        let _ = writeln!(text, "  ethernet{port}: {{ kind: ethernet-input, to: {{ ip4: ip4-{port} }} }}");
        let _ = writeln!(text, "  ip4-{port}: {{ kind: ip4-input, to: mark{port}-0 }}");
        for at in 0..chain {
            let next = if at + 1 < chain { format!("mark{port}-{}", at + 1) } else { "lookup".into() };
            let _ = writeln!(text, "  mark{port}-{at}: {{ kind: ip4-dscp, dscp: {}, to: {next} }}", at % 64);
        }
    }
    text + "  lookup: { kind: ip4-lookup, to: rewrite }\n  rewrite: { kind: ip4-rewrite, to: tx }\n  tx: { kind: tx }\n"
}
