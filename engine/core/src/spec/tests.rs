//! Broken graph files and all that is said about them. The snapshots are meant to be read: can
//! somebody who sees only the message mend the file?

use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(text: &str) -> (SourceMap, Spec, Diagnostics) {
    let mut sources = SourceMap::new();
    let id = sources.add("router.yaml", text);
    let mut diagnostics = Diagnostics::new();
    let spec = Spec::read(id, &mut sources, &Nothing, &mut diagnostics);
    (sources, spec, diagnostics)
}

fn check(name: &str, text: &str, codes: &[Code]) {
    let (sources, _, diagnostics) = read(text);
    assert_snapshot!(name, diagnostics.render(&sources, false));
    let found: Vec<_> = diagnostics.sorted().iter().map(|one| one.code).collect();
    assert_eq!(found, codes, "{name}");
}

const ROUTER: &str = "\
version: 1
engine: { workers: 2, cores: [1, 3], buffer-size: 9216, hugepages: never, metrics: '[::1]:9474' }
interfaces:
  lan: { driver: af-xdp, device: eth1, addresses: [192.168.1.1/24, 'fd00::1/64'], mtu: 9000 }
  wan:
    driver: tap
    mac: 02:00:00:00:00:01
    queues: 4
tables:
  routes: { kind: fib4, routes: [{ prefix: 0.0.0.0/0, via: 203.0.113.1 }] }
nodes:
  lan-rx: { kind: rx, interface: lan, to: lookup }
  lookup: { kind: ip4-lookup, table: routes, to: { forward: tx, no-route: edge/in } }
  by-port: { kind: switch, on: tx-interface }
  tx: { kind: tx }
";

#[test]
fn as_many_workers_as_cores() {
    let engine = |text: &str| {
        let (sources, spec, diagnostics) = read(&ROUTER.replace("engine: { workers: 2, cores: [1, 3]", text));
        assert_eq!(diagnostics.render(&sources, false), "");
        (spec.engine.workers, spec.engine.idle)
    };
    assert_eq!(engine("engine: { cores: [1, 3, 0]"), (3, Idle::Adaptive));
    assert_eq!(engine("engine: { workers: 1, idle: busy"), (1, Idle::Busy));
}

#[test]
fn a_graph_without_mistakes() {
    let (sources, spec, diagnostics) = read(ROUTER);
    assert_eq!(diagnostics.render(&sources, false), "");
    assert_eq!(
        spec.engine,
        EngineSpec {
            workers: 2,
            cores: Some(vec![1, 3]),
            idle: Idle::Adaptive,
            buffers: 16384,
            buffer_size: 9216,
            hugepages: Hugepages::Never,
            metrics: Some("[::1]:9474".parse().unwrap()),
            metrics_by_worker: false,
            api: Whereabouts::Usual,
            revisions: Whereabouts::Usual,
        }
    );
    let [lan, wan] = &spec.interfaces[..] else { panic!() };
    assert_eq!((&**lan.name, &**lan.driver, lan.mac), ("lan", "af-xdp", None));
    let addresses: Vec<_> = lan.addresses.iter().map(|address| address.to_string()).collect();
    assert_eq!(addresses, ["192.168.1.1/24", "fd00::1/64"]);
    assert_eq!(lan.mtu.map(|mtu| mtu.value), Some(9000));
    assert_eq!(lan.settings.to_json(), json!({ "device": "eth1" }));
    assert_eq!(wan.mac.unwrap().to_string(), "02:00:00:00:00:01");
    assert_eq!(wan.settings.to_json(), json!({ "queues": 4 }));
    let [routes] = &spec.tables[..] else { panic!() };
    assert_eq!((&**routes.name, &**routes.kind), ("routes", "fib4"));
    let [rx, lookup, switch, tx] = &spec.nodes[..] else { panic!() };
    assert_eq!((&**rx.name, &**rx.kind), ("lan-rx", "rx"));
    assert_eq!(rx.settings.to_json(), json!({ "interface": "lan" }));
    assert_eq!(rx.to.len(), 1);
    assert_eq!((rx.to[0].edge.is_none(), &**rx.to[0].to), (true, "lookup"));
    let edges: Vec<_> = lookup.to.iter().map(|edge| (&**edge.edge.as_deref().unwrap(), &**edge.to)).collect();
    assert_eq!(edges, [("forward", "tx"), ("no-route", "edge/in")]);
    assert_eq!(switch.settings.to_json(), json!({ "on": "tx-interface" }));
    assert!(tx.to.is_empty());

    let source = sources.iter().next().unwrap();
    let at = |span: Span| source.slice(span);
    assert_eq!(at(spec.engine_span.unwrap()), "engine");
    assert_eq!(at(lan.addresses[1].span), "'fd00::1/64'");
    assert_eq!(at(lookup.to[1].span()), "no-route");
    assert_eq!(at(rx.to[0].span()), "lookup");
    let via = routes.settings.locate("routes[0].via");
    assert_eq!((at(via.key_span()), at(via.value.span)), ("via", "203.0.113.1"));
}

#[test]
fn the_engine_has_defaults() {
    let (_, spec, diagnostics) = read("version: 1\nengine:\nnodes: { tx: { kind: tx } }");
    assert_eq!(diagnostics.errors(), 0);
    assert_eq!(spec.engine, EngineSpec::default());
}

#[test]
fn places_are_right_behind_any_text() {
    for (text, line, column) in [
        ("version: 1\nnodes: { tx: { kind: 5 } }", 2, 22),
        ("\u{feff}version: 1\nnodes: { tx: { kind: 5 } }", 2, 22),
        ("version: 1\r\n# größe\r\nnodes: { tx: { kind: 5 } }\r\n", 3, 22),
        ("# 𝔘𝔘𝔘\nversion: 1\nnodes: { tx: { x: 'ééé', kind: 5 } }", 3, 32),
        ("version: 1\nnodes:\n  tx:\n    kind:\n      5\n", 5, 7),
        ("version: 1\nnodes:\n  tx:\n    kind: &a 5 # ü\n", 4, 14),
        ("version: 1\nx: &a\n  - 1\nnodes: { tx: { kind: *a } }", 3, 3),
        ("version: 1\nnodes:\n  tx:\n    kind:\n    x: 1\n", 4, 10),
    ] {
        let (sources, _, diagnostics) = read(text);
        let found = diagnostics.to_json(&sources);
        let wrong = found.as_array().unwrap().iter().find(|one| one["code"] == "SW0106").unwrap();
        assert_eq!((&wrong["line"], &wrong["column"]), (&json!(line), &json!(column)), "{text}");
    }
}

proptest! {
    #[test]
    fn no_mutation_panics(
        cut in 0..ROUTER.len(),
        length in 0..40_usize,
        insert in "([\\[\\]{}:,&*!|>'\"# \\n-]|kind|to|1|~|lan|mtu: |é){0,3}",
    ) {
        let text = format!("{}{insert}{}", &ROUTER[..cut], ROUTER.get(cut + length..).unwrap_or(""));
        let (sources, spec, diagnostics) = read(&text);
        let shown = diagnostics.render(&sources, false);
        prop_assert_eq!(shown.is_empty(), diagnostics.errors() == 0);
        prop_assert!(!shown.is_empty() || !spec.nodes.is_empty());
    }
}

macro_rules! broken {
    ($($name:ident: $text:expr => [$($code:ident),*];)*) => {
        $(#[test] fn $name() { check(stringify!($name), &$text, &[$(Code::$code),*]); })*
    };
}

/// A file with one node and something more.
fn with(text: &str) -> String {
    format!("version: 1\nnodes:\n  tx: {{ kind: tx }}\n{text}")
}

/// A file whose only node is this.
fn node(text: &str) -> String {
    format!("version: 1\nnodes:\n{text}\n")
}

/// A file with this value of a setting.
fn setting(text: &str) -> String {
    node(&format!("  lookup:\n    kind: ip4-lookup\n    table: {text}\n    to: tx"))
}

broken! {
    syntax_tab: "version: 1\nnodes:\n\ttx: { kind: tx }\n" => [Syntax];
    syntax_tab_in_list: "version: 1\nnodes:\n  - \t- a\n" => [Syntax];
    syntax_colon_in_value: setting("routes: main") => [Syntax];
    syntax_open_list: "version: 1\nnodes: { tx: { kind: [a, b } }\n" => [Syntax];
    syntax_open_mapping: "version: 1\nnodes: { tx: { kind: tx }\n\n\n" => [Syntax];
    syntax_open_list_and_key: "version: 1\ntables: [a\nnodes: { tx: { kind: tx } }\n" => [Syntax];
    syntax_open_quote: setting("\"main") => [Syntax];
    syntax_quote_in_quotes: setting("'it's'") => [Syntax];
    syntax_escape: setting("\"C:\\main\"") => [Syntax];
    syntax_indentation: "version: 1\nnodes:\n    tx: { kind: tx }\n  rx: { kind: rx }\n" => [Syntax];
    syntax_list_and_key: "version: 1\nnodes:\n  - tx\n  rx: { kind: rx }\n" => [Syntax];
    syntax_no_colon: "version: 1\nnodes:\n  tx: { kind: tx }\n  rx\n  by: { kind: rx }\n" => [Syntax];
    syntax_list_on_line: setting("- a") => [Syntax];
    syntax_reserved: setting("@main") => [Syntax];
    syntax_directive: setting("%main") => [Syntax];
    syntax_bracket: setting("]") => [Syntax];
    syntax_control: setting("\"a\0b\"") => [Syntax];
    syntax_block_scalar: setting("|x\n  y") => [Syntax];
    empty: "" => [Empty];
    only_comments: "# nothing\n\n# at all\n" => [Empty];
    several_documents: format!("{ROUTER}---\n{ROUTER}") => [SeveralDocuments];
    duplicate_node: with("  rx: { kind: rx }\n  tx: { kind: tx }\n") => [DuplicateKey];
    duplicate_section: with("tables: {}\nnodes: {}\n") => [DuplicateKey];
    duplicate_of_many: node(&(0..12).map(|n| format!("  n{}: {{ kind: tx }}\n", n % 11)).collect::<String>()) => [DuplicateKey];
    key_not_string: node("  1: { kind: tx }\n  true: { kind: tx }\n  [a, b]: { kind: tx }\n  : { kind: tx }\n  ok: { kind: tx }\n") => [KeyNotString, KeyNotString, KeyNotString, KeyNotString];
    merge_key: with("  rx: { <<: { kind: rx }, kind: rx }\n") => [MergeKey];
    tag: setting("!!str 5") => [Tag];
    tag_or_text: setting("!main") => [Tag];
    alias_bomb: format!("version: 1\na: &a [x, x, x, x, x, x, x, x, x]\n{}", ["b", "c", "d", "e", "f", "g"].iter().zip(["a", "b", "c", "d", "e", "f"]).map(|(name, of)| format!("{name}: &{name} [{}]\n", vec![format!("*{of}"); 9].join(", "))).collect::<String>()) => [AliasBudget];
    alias_of_text: format!("a: &long {}\nb: [{}]\n", "x".repeat(1 << 20), "*long, ".repeat(9)) => [AliasBudget];
    alias_unknown: format!("x: &main 1\n{}", setting("*mian")) => [UnknownAnchor];
    alias_or_text: setting("*.example.com") => [UnknownAnchor];
    alias_loop: setting("&main { next: [*main] }") => [AliasLoop];
    anchor_on_key: with("  &rx rx: { kind: rx }\n") => [AnchorOnKey];
    too_deep: setting(&format!("{}{}", "[".repeat(100), "]".repeat(100))) => [TooDeep];
    too_deep_by_far: "[".repeat(10_000) => [TooDeep];
    too_deep_in_blocks: "- ".repeat(100) => [TooDeep];
    too_deep_by_alias: format!("a: &a {}x{}\nb: {}*a{}\n", "[".repeat(40), "]".repeat(40), "[".repeat(40), "]".repeat(40)) => [TooDeep];
    numbers: setting("[0xffffffffffffffffff, 1e999, -.inf]") => [Number, Number, Number];
    not_a_mapping: "- version\n- nodes\n" => [WrongType];
    version_missing: "nodes: { tx: { kind: tx } }\n" => [Version];
    version_unknown: "version: 2\nnods: 1\n" => [Version];
    version_quoted: "version: \"1\"\nnodes: { tx: { kind: tx } }\n" => [Version];
    section_unknown: with("interface: {}\nrules: {}\n") => [UnknownSection, UnknownSection];
    section_misspelt: "version: 1\nnode: { tx: { kind: tx } }\n" => [UnknownSection];
    section_is_list: "version: 1\ntables: [a]\nnodes:\n  - kind: tx\n" => [WrongType, WrongType];
    no_nodes: "version: 1\ntables: {}\n" => [NoNodes];
    nodes_empty: "version: 1\nnodes:\n" => [NoNodes];
    engine_unknown_key: with("engine: { worker: 2, buffersize: 9000, pages: x, workers:3 }\n") => [UnknownKey, UnknownKey, UnknownKey, UnknownKey];
    engine_types: with("engine:\n  workers: many\n  cores: 3\n  buffers: \"4096\"\n  buffer-size: 1.5\n  hugepages: yes\n") => [WrongType, WrongType, WrongType, WrongType, BadValue];
    engine_api: with("engine: { api: 9474 }\n") => [WrongType];
    engine_metrics: with("engine: { metrics: 9474, metrics-by-worker: 2 }\n") => [WrongType, WrongType];
    engine_endpoint: with("engine: { metrics: localhost:9474 }\n") => [BadValue];
    engine_ranges: with("engine: { workers: 65, buffers: 100, buffer-size: 70000, cores: [-1] }\n") => [BadValue, BadValue, BadValue, BadValue];
    engine_overflow: with("engine: { workers: 70000 }\n") => [BadValue];
    engine_cores: with("engine:\n  workers: 3\n  cores: [1, 1]\n") => [Conflict, Conflict];
    engine_is_list: with("engine: [workers]\n") => [WrongType];
    interface_addresses: with("interfaces:\n  lan:\n    driver: tap\n    addresses: [10.0.0.1, 10.0.0.1/33, 10.0.0/8, 5, 10.0.0.1/8, 10.0.0.1/24]\n") => [BadValue, BadValue, BadValue, WrongType, Conflict];
    interface_address_alone: with("interfaces:\n  lan: { driver: tap, addresses: 10.0.0.1/8 }\n") => [WrongType];
    interface_mac: with("interfaces:\n  lan: { driver: tap, mac: 01:00:5e:00:00:01 }\n  wan: { driver: tap, mac: 02-00-00-00-00-01 }\n") => [BadValue, BadValue];
    interface_mtu: with("interfaces:\n  lan: { driver: tap, mtu: 65000 }\n  wan: { driver: tap, mtu: 1500B }\n") => [BadValue, WrongType];
    interface_driver: with("interfaces:\n  lan: { device: eth0 }\n  wan: tap\n") => [MissingKey, WrongType];
    names: node("  LAN: { kind: tx }\n  a/b: { kind: tx }\n  eth0.100: { kind: tx }") => [BadName, BadName, BadName];
    kind_missing: node("  rx: { to: tx }\n  tx:\n  by: { kind: '' }") => [MissingKey, WrongType, BadValue];
    edges: node("  rx: { kind: rx, to: [a, b] }\n  tx: { kind: tx, to: { ok: 5, bad: { } } }\n  by: { kind: by, to: }") => [WrongType, WrongType, WrongType, WrongType];
    everything_at_once: "interfaces:\n  lan: { driver: 5, mtu: 9 }\nengine: { wrokers: 2 }\nnodes:\n  Rx: { to: tx }\n  rx: { kind: rx }\n  rx: { kind: rx }\n" => [Version, WrongType, BadValue, UnknownKey, BadName, MissingKey, DuplicateKey];
}
