//! Graph files of 64 KiB that are as hard on the loader as they can be.

use std::fmt::Write as _;

/// The size up to which a file may cost no more than 64 MiB.
const SIZE: usize = 64 << 10;

/// As many lines as fit between a beginning and an end.
fn fill(beginning: &str, end: &str, line: impl Fn(usize) -> String) -> String {
    let mut text = beginning.to_owned();
    for at in 0.. {
        let line = line(at);
        if text.len() + line.len() + end.len() > SIZE {
            break;
        }
        text += &line;
    }
    text + end
}

/// Two kinds of lines, half of the file each.
fn halves(beginning: &str, first: impl Fn(usize) -> String, middle: &str, second: impl Fn(usize) -> String) -> String {
    let mut text = beginning.to_owned();
    let mut at = 0;
    while text.len() < SIZE / 2 {
        text += &first(at);
        at += 1;
    }
    fill(&(text + middle), "", second)
}

const V: &str = "version: 1\n";
const SINK: &str = "nodes: { s: { kind: drop } }\n";

pub fn files() -> Vec<(&'static str, String)> {
    let nodes = format!("{V}nodes:\n");
    let interfaces = format!("{V}interfaces:\n");
    let tables = format!("{V}tables:\n");
    let port = |at: usize| format!("  p{at}: {{driver: memory}}\n");
    let addressed = |at: usize| format!("  p{at}: {{driver: memory, addresses: [10.{}.{}.1/24]}}\n", at >> 8, at & 255);
    let bomb = {
        let mut text = format!("{V}a: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        (1..8).for_each(|at| {
            let _ = writeln!(text, "b{at}: &a{at} [{}]", vec![format!("*a{}", at - 1); 10].join(", "));
        });
        text
    };
    let copies = fill(
        &format!("{V}nodes:\n  first: &n {{ kind: rx, interface: &long '{}', colour: red }}\n", "x".repeat(20_000)),
        "",
        |at| format!("  n{at}: *n\n"),
    );
    vec![
        ("targets that nearly exist", fill(&nodes, "", |at| format!("  abcdefgh{at}: {{kind: drop, to: abcdefgi{at}}}\n"))),
        ("targets of long names", fill(&nodes, "", |at| format!("  {:a<55}{at:05}: {{kind: rx, to: {:b<50}{at:05}}}\n", "", ""))),
        ("kinds that nearly exist", fill(&nodes, "", |at| format!("  n{at}: {{kind: ip4-rewriet}}\n"))),
        (
            "a receiver for each interface",
            halves(&interfaces, port, "nodes:\n", |at| format!("  n{at}: {{kind: rx, interface: p{at}, to: n{at}}}\n")),
        ),
        (
            "nodes that ask for all interfaces",
            halves(&interfaces, port, "nodes:\n", |at| format!("  n{at}: {{kind: ethernet-input}}\n")),
        ),
        (
            "interfaces that nearly exist",
            halves(&interfaces, port, "nodes:\n", |at| format!("  n{at}: {{kind: rx, interface: q{at}, to: n0}}\n")),
        ),
        (
            "tables that nearly exist",
            halves(
                &tables,
                |at| format!("  t{at}: {{kind: neighbours, interfaces: []}}\n"),
                "nodes:\n",
                |at| format!("  n{at}: {{kind: ip4-rewrite, neighbours: u{at}}}\n"),
            ),
        ),
        (
            "tables of a kind without a name",
            halves(
                &tables,
                |at| format!("  t{at}: {{kind: neighbours}}\n"),
                "nodes:\n",
                |at| format!("  n{at}: {{kind: ip4-rewrite}}\n"),
            ),
        ),
        (
            "forwarding tables",
            fill(&tables, SINK, |at| match at {
                0 => "  n: {kind: neighbours}\n".into(),
                _ => format!("  t{at}: {{kind: fib4, interfaces: []}}\n"),
            }),
        ),
        ("forwarding tables that are refused", fill(&tables, SINK, |at| format!("  t{at}: {{kind: fib4}}\n"))),
        (
            "tables before those that they use",
            halves(&tables, |at| format!("  f{at}: {{kind: fib4}}\n"), "", |at| format!("  t{at}: {{kind: neighbours}}\n")),
        ),
        (
            "tables that copy all interfaces",
            halves(&interfaces, addressed, &format!("{SINK}tables:\n"), |at| {
                format!("  t{at}: {{kind: neighbours, interfaces: [p0]}}\n")
            }),
        ),
        (
            "routes of which each is wrong",
            fill(
                &format!(
                    "{interfaces}  p0: {{driver: memory, addresses: [10.0.0.1/8]}}\n{SINK}tables:\n  n: {{kind: neighbours}}\n  f:\n    kind: fib4\n    routes:\n"
                ),
                "",
                |at| format!("    - {{prefix: 20.{}.{}.0/24, via: 30.0.0.1}}\n", at >> 8, at & 255),
            ),
        ),
        (
            "routes of which each is of the wrong form",
            fill(&format!("{tables}  n: {{kind: neighbours}}\n  f:\n    kind: fib4\n    routes:\n"), SINK, |_| {
                "    - {prefix: 20.0.0.1/24, x: 1}\n".into()
            }),
        ),
        (
            "next hops among many subnets",
            halves(
                &interfaces,
                addressed,
                &format!("{SINK}tables:\n  n: {{kind: neighbours}}\n  f:\n    kind: fib4\n    routes:\n"),
                |at| format!("    - {{prefix: 20.{}.{}.0/24, via: 10.{}.{}.2}}\n", at >> 8, at & 255, at >> 8, at & 255),
            ),
        ),
        ("unknown keys", fill(&format!("{nodes}  n:\n    kind: rx\n"), "", |at| format!("    key{at}: 1\n"))),
        (
            "generators of all sizes",
            fill(&interfaces, SINK, |at| {
                format!(
                    "  p{at}: {{driver: memory, generate: {{flows: {{sources: [10.0.0.0/8], destinations: [11.0.0.0/8], count: 16777216, size: 64-65000}}}}}}\n"
                )
            }),
        ),
        (
            "a long circle",
            fill(&format!("{nodes}  n0: {{kind: ethernet-input, to: {{other: n1}}}}\n"), "", |at| {
                format!("  n{}: {{kind: ethernet-input, to: {{other: n{}}}}}\n", at + 1, (at + 2) % 1000)
            }),
        ),
        (
            "every edge to every node",
            fill(&nodes, "", |at| {
                format!(
                    "  n{at}: {{kind: ip4-lookup, to: {{forward: n{}, local: n{}, no-route: n{}, multicast: n{}}}}}\n",
                    at + 1,
                    at + 2,
                    at + 3,
                    at + 5
                )
            }),
        ),
        (
            "many workers",
            fill(&format!("{V}engine: {{workers: 64, buffers: 4194304}}\nnodes:\n"), "", |at| {
                format!("  n{at}: {{kind: ethernet-input}}\n")
            }),
        ),
        ("aliases of aliases", bomb),
        ("copies of a mistake", copies),
        ("brackets", "[".repeat(SIZE)),
        ("quotes", "'".repeat(SIZE)),
        ("one line", fill(V, "", |at| format!("? {at} ")).replace('\n', " ")),
        ("anchors", fill(V, "", |at| format!("a{at}: &x{at} 1\n"))),
        ("mistakes on one line", fill(&format!("{V}nodes: {{"), "}", |at| format!("n{at}: {{kind: rx, a: 1}},"))),
        ("sections", fill("", "", |at| format!("s{at}: 1\n"))),
        ("addresses", fill(&format!("{interfaces}  p: {{driver: memory, addresses: ["), "]}\n", |_| "10.0.0.1/24,".into())),
    ]
}
