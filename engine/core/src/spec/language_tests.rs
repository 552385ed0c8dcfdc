//! Variables, included files, data files and templates: what they mean, and what is said of mistakes in them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use serde_json::json;

use super::*;

/// A machine with these files and variables.
struct Pretended<'a> {
    files: BTreeMap<&'a str, &'a str>,
    variables: &'a [(&'a str, &'a str)],
}

impl World for Pretended<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    fn read(&self, path: &Path) -> io::Result<Content> {
        let found = path.to_str().and_then(|path| self.files.get(path));
        found
            .map(|text| Content::Bytes(text.as_bytes().to_vec()))
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such file"))
    }

    fn matches(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let pattern = glob::Pattern::new(pattern).map_err(|error| error.msg.to_owned())?;
        Ok(self.files.keys().filter(|path| pattern.matches(path)).map(PathBuf::from).collect())
    }

    fn identity(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

const VARIABLES: &[(&str, &str)] =
    &[("WORKERS", "2"), ("DEVICE", "eth7"), ("EMPTY", ""), ("DIGITS", "'007'"), ("TRICK", "x, y: z"), ("LITERAL", "${DEVICE}")];

pub(super) fn read(files: &[(&str, &str)]) -> (SourceMap, Spec, Diagnostics) {
    let world = Pretended { files: files.iter().copied().collect(), variables: VARIABLES };
    let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
    let root = sources.add(files[0].0, files[0].1);
    let spec = Spec::read(root, &mut sources, &world, &mut diagnostics);
    (sources, spec, diagnostics)
}

fn good(files: &[(&str, &str)]) -> (SourceMap, Spec) {
    let (sources, spec, diagnostics) = read(files);
    assert_eq!(diagnostics.render(&sources, false), "");
    (sources, spec)
}

/// Settings of the only node of a graph that are written so.
fn settings(text: &str) -> serde_json::Value {
    let graph = format!("version: 1\nnodes:\n  node:\n    kind: k\n{text}");
    good(&[("router.yaml", &graph)]).1.nodes[0].settings.to_json()
}

fn told(files: &[(&str, &str)]) -> String {
    let (sources, _, diagnostics) = read(files);
    diagnostics.render(&sources, false)
}

/// The wires of all nodes: `node.edge > node`.
fn wires(spec: &Spec) -> Vec<String> {
    let wire = |node: &NodeSpec, wire: &EdgeSpec| {
        let edge = wire.edge.as_ref().map_or(String::new(), |edge| format!(".{}", edge.value));
        format!("{}{edge} > {}", node.name.value, wire.to.value)
    };
    spec.nodes.iter().flat_map(|node| node.to.iter().map(move |to| wire(node, to))).collect()
}

#[test]
fn a_variable_alone_is_what_its_text_means() {
    let text = "    plain: ${WORKERS}\n    flow: { quoted: \"${WORKERS}\", single: '${DEVICE}' }\n    string: ${DIGITS}\n    list: [\"${TRICK}\"]\n";
    let expected = json!({ "plain": 2, "flow": { "quoted": 2, "single": "eth7" }, "string": "007", "list": ["x, y: z"] });
    assert_eq!(settings(text), expected);
}

#[test]
fn defaults_hold_for_what_is_not_set_or_empty() {
    let text =
        "    a: ${NONE:-5}\n    b: ${EMPTY:-x y}\n    c: ${DEVICE:-eth0}\n    d: ${EMPTY}\n    e: ${NONE:-}\n    f: ${NONE:-'1'}\n";
    assert_eq!(settings(text), json!({ "a": 5, "b": "x y", "c": "eth7", "d": null, "e": null, "f": "1" }));
}

#[test]
fn within_a_text_a_variable_is_text() {
    let text = "    a: port-${WORKERS}\n    b: ${DEVICE}.${WORKERS}\n    c: ${EMPTY}1\n    d: \"$5 ${NONE:-a b} $\"\n";
    assert_eq!(settings(text), json!({ "a": "port-2", "b": "eth7.2", "c": "1", "d": "$5 a b $" }));
}

/// A value is never read again, and two dollar signs are one.
#[test]
fn what_was_replaced_is_not_replaced_again() {
    let text = "    a: ${LITERAL}\n    b: $${DEVICE}\n    c: x $${ y\n    d: ${NONE:-$5}\n";
    assert_eq!(settings(text), json!({ "a": "${DEVICE}", "b": "${DEVICE}", "c": "x ${ y", "d": "$5" }));
}

#[test]
fn variables_stand_in_all_sections() {
    let (_, spec) = good(&[
        (
            "router.yaml",
            "version: 1
include: ${NONE:-more}.yaml
engine: { workers: \"${WORKERS}\" }
interfaces: { lan: { driver: \"${NONE:-tap}\", mtu: \"${NONE:-9000}\", addresses: [\"10.0.0.${WORKERS}/24\"] } }
tables: { routes: { kind: fib4, size: \"${WORKERS}\" } }
nodes: { rx: { kind: rx, to: \"${DEVICE}\" }, eth7: { kind: drop } }
",
        ),
        ("more.yaml", "nodes: { more: { kind: \"${DEVICE}\" } }"),
    ]);
    assert_eq!((spec.engine.workers, spec.interfaces[0].mtu.map(|mtu| mtu.value)), (2, Some(9000)));
    assert_eq!(
        (spec.interfaces[0].driver.value.as_str(), spec.interfaces[0].addresses[0].to_string().as_str()),
        ("tap", "10.0.0.2/24")
    );
    assert_eq!(spec.tables[0].settings.to_json(), json!({ "size": 2 }));
    assert_eq!(wires(&spec), ["rx > eth7"]);
    assert_eq!(spec.nodes[0].kind.value, "eth7");
}

#[test]
fn included_files_are_merged_by_section() {
    let (sources, spec) = good(&[
        (
            "net/router.yaml",
            "version: 1\ninclude: [ports/*.yaml, tables.yaml]\nengine: { workers: 2 }\nnodes: { tx: { kind: tx } }",
        ),
        ("net/ports/a.yaml", "interfaces: { a: { driver: tap } }\nnodes: { a-rx: { kind: rx, to: tx } }\ninclude: ../common.yaml"),
        ("net/ports/b.yaml", "version: 1\ninterfaces: { b: { driver: tap } }\ninclude: [../common.yaml]"),
        ("net/ports/../common.yaml", "engine: { buffers: 4096 }\nnodes: { common: { kind: drop } }"),
        ("net/tables.yaml", "tables: { routes: { kind: fib4 } }"),
        ("other.yaml", "not read"),
    ]);
    let names = |entries: &[&str]| entries.join(" ");
    assert_eq!(names(&spec.interfaces.iter().map(|one| one.name.value.as_str()).collect::<Vec<_>>()), "a b");
    assert_eq!(names(&spec.nodes.iter().map(|one| one.name.value.as_str()).collect::<Vec<_>>()), "common a-rx tx");
    assert_eq!((spec.engine.workers, spec.engine.buffers), (2, 4096));
    assert_eq!(spec.tables.len(), 1);
    assert_eq!(sources.iter().count(), 5);
    let place = spec.interfaces[1].name.span;
    let source = sources.get(place.file).unwrap();
    assert_eq!((source.name(), source.slice(place)), ("net/ports/b.yaml", "b"));
}

#[test]
fn mistakes_in_included_files() {
    assert_snapshot!(told(&[(
        "net/router.yaml",
        "version: 1\ninclude:\n  - ports.yaml\n  - none.yaml\n  - none/*.yaml\n  - 'a[.yaml'\n  - 5\n  - ${NONE}.yaml\n"
    ),]));
    assert_snapshot!(told(&[
        ("net/router.yaml", "version: 1\ninclude: [ports.yaml, broken.yaml]\nengine: { workers: 2 }\nnodes:\n  tx: { kind: tx }\n"),
        ("net/ports.yaml", "version: 2\nnodes: { tx: { kind: tx } }\n"),
        ("net/broken.yaml", "engine: { workers: 3 }\nnodes:\n  rx: { kind: [rx }\n"),
    ]));
    assert_snapshot!(told(&[
        ("router.yaml", "version: 1\ninclude: [b.yaml]\nengine: { workers: 2 }\nnodes:\n  tx: { kind: tx }\n"),
        ("b.yaml", "include: [c.yaml]\nengine: { workers: 3 }\nnodes:\n  tx: { kind: tx }\n  bad name: { kind: tx }\n"),
        ("c.yaml", "# the circle\ninclude: b.yaml\n"),
    ]));
}

#[test]
fn mistakes_in_variables() {
    for value in ["${DEVICE}", "${DEVICE:-eth0}", "10.0.0.${N}/8"] {
        let text = format!("version: 1\nnodes:\n  a: {{ kind: rx, x: {value}, to: tx }}\n");
        assert_snapshot!(told(&[("router.yaml", &text)]));
    }
    assert_snapshot!(told(&[(
        "router.yaml",
        "version: 1
engine: { workers: \"${WORKER}\" }
interfaces:
  lan: { driver: tap, device: \"eth${N}\" }
nodes:
  a: { kind: \"${DEV ICE}\", to: b }
  b: { kind: tx, x: \"${DEVICE\" }
  c: { kind: tx, x: '${device}' }
  d: { kind: tx, x: \"${:-5}\" }
",
    )]));
}

#[test]
fn data_stands_in_files() {
    let csv =
        "# routes\nprefix, via, weight\n10.0.0.0/8 , 192.0.2.1,\n\"172.16.0.0/12\",,5\n\n# more\n192.168.0.0/16,192.0.2.2,1\n";
    let (sources, spec) = good(&[
        (
            "net/router.yaml",
            "version: 1\ntables:\n  a: { kind: fib4, routes: [{ prefix: 0.0.0.0/0 }], routes-from: data/routes.csv }\n  b: { kind: fib4, routes-from: routes.yaml }\nnodes: { tx: { kind: tx, names-from: names.json } }",
        ),
        ("net/data/routes.csv", csv),
        ("net/routes.yaml", "- { prefix: 10.0.0.0/8, via: \"${NOT_A_VARIABLE}\" }\n- x"),
        ("net/names.json", "[1, 2]"),
    ]);
    assert_eq!(
        spec.tables[0].settings.to_json(),
        json!({ "routes": [
            { "prefix": "0.0.0.0/0" },
            { "prefix": "10.0.0.0/8", "via": "192.0.2.1" },
            { "prefix": "172.16.0.0/12", "weight": 5 },
            { "prefix": "192.168.0.0/16", "via": "192.0.2.2", "weight": 1 },
        ] })
    );
    assert_eq!(
        spec.tables[1].settings.to_json(),
        json!({ "routes": [{ "prefix": "10.0.0.0/8", "via": "${NOT_A_VARIABLE}" }, "x"] })
    );
    assert_eq!(spec.nodes[0].settings.to_json(), json!({ "names": [1, 2] }));
    let text = |path: &str| {
        let span = spec.tables[0].settings.locate(path).value.span;
        let source = sources.get(span.file).unwrap();
        (source.name(), source.position(span.start as usize), source.slice(span))
    };
    let at = |line, column| Position { line, column };
    assert_eq!(text("routes[1].via"), ("net/data/routes.csv", at(3, 14), "192.0.2.1"));
    assert_eq!(text("routes[1]"), ("net/data/routes.csv", at(3, 1), "10.0.0.0/8 , 192.0.2.1,"));
    assert_eq!(text("routes[3].weight"), ("net/data/routes.csv", at(7, 26), "1"));
    // Where a comma may be part of a field, the line stands for its fields.
    assert_eq!(text("routes[2].weight"), ("net/data/routes.csv", at(4, 1), "\"172.16.0.0/12\",,5"));
}

/// As block lists are published: FireHOL's begin with `#`, Spamhaus' have `;`; some are written on Windows.
#[test]
fn data_stands_in_lines() {
    let (sources, spec) = good(&[
        (
            "router.yaml",
            "version: 1\ntables:\n  a: { kind: list, items: [x], items-from: net/drop.txt }\n  b: { kind: list, items-from: level1.netset }\n  c: { kind: list, items: [y], items-from: [level1.netset, more.yaml, none.ipset, net/drop.txt] }\n  d: { kind: list, items-from: [] }\nnodes: { tx: { kind: tx, items-from: none.ipset } }",
        ),
        ("net/drop.txt", "; Spamhaus DROP List\r\n1.10.16.0/20 ; SBL256894\r\n\r\n  2001:db8::/32;SBL1\r\n5"),
        ("level1.netset", "#\n# firehol_level1\n#\n0.0.0.0/8\n10.0.0.1 - 10.0.0.9 # a range\n${NAME}\n"),
        ("none.ipset", "# nothing\n"),
        ("more.yaml", "[a, 7]"),
    ]);
    let settings = |index: usize| spec.tables[index].settings.to_json();
    assert_eq!(settings(0), json!({ "items": ["x", "1.10.16.0/20", "2001:db8::/32", "5"] }));
    assert_eq!(settings(1), json!({ "items": ["0.0.0.0/8", "10.0.0.1 - 10.0.0.9", "${NAME}"] }));
    // Several files, one after the other.
    let of_all = ["y", "0.0.0.0/8", "10.0.0.1 - 10.0.0.9", "${NAME}", "a"]
        .map(Into::into)
        .into_iter()
        .chain([json!(7)])
        .chain(["1.10.16.0/20", "2001:db8::/32", "5"].map(Into::into));
    assert_eq!(settings(2), json!({ "items": of_all.collect::<Vec<serde_json::Value>>() }));
    assert_eq!(settings(3), json!({ "items": [] }));
    assert_eq!(spec.nodes[0].settings.to_json(), json!({ "items": [] }));
    let text = |path: &str| {
        let span = spec.tables[0].settings.locate(path).value.span;
        let source = sources.get(span.file).unwrap();
        (source.name(), source.position(span.start as usize), source.slice(span))
    };
    assert_eq!(text("items[1]"), ("net/drop.txt", Position { line: 2, column: 1 }, "1.10.16.0/20"));
    assert_eq!(text("items[2]"), ("net/drop.txt", Position { line: 4, column: 3 }, "2001:db8::/32"));
}

#[test]
fn mistakes_in_data_files() {
    assert_snapshot!(told(&[
        (
            "router.yaml",
            "version: 1
tables:
  none: { kind: fib4, routes-from: none.csv }
  text: { kind: fib4, routes-from: routes.dat }
  type: { kind: fib4, routes-from: 5 }
  some: { kind: fib4, routes-from: [head.csv, 7, nobody.csv] }
  many: { kind: fib4, routes-from: many.csv }
  head: { kind: fib4, routes-from: head.csv }
  hole: { kind: fib4, routes-from: hole.csv }
  void: { kind: fib4, routes-from: void.csv }
  list: { kind: fib4, routes-from: list.yaml }
  yaml: { kind: fib4, routes-from: broken.yaml }
nodes: { tx: { kind: tx } }
",
        ),
        ("many.csv", "prefix,via\n10.0.0.0/8,192.0.2.1\n172.16.0.0/12,192.0.2.1,5\n"),
        ("head.csv", "prefix,via,prefix\n"),
        ("hole.csv", "prefix,,via\n"),
        ("void.csv", "# nothing\n"),
        ("list.yaml", "routes: []\n"),
        ("broken.yaml", "- { prefix: 10.0.0.0/8\n- { prefix: 10.0.0.0/8 }\n"),
    ]));
}

/// A port with its checks, as somebody would write it who has many.
const PORTS: &str = "\
version: 1
interfaces: { lan: { driver: tap }, wan: { driver: tap } }
tables: { rules: { kind: acl } }
templates:
  port:
    parameters:
      interface: interface
      rules: { type: table, default: rules }
      limit: { type: integer, default: \"${NONE:-100}\" }
    in: { back: check }
    out: { ip4: [check, eth.ip4], arp: eth.arp }
    nodes:
      rx: { kind: rx, interface: \"${interface}\", to: eth }
      eth: { kind: ethernet-input, name: \"${interface}-${limit}\", to: { ip6: check } }
      check: { kind: acl, table: \"${rules}\", limit: \"${limit}\" }
  pair:
    parameters: { first: interface, second: interface }
    in: one/back
    out: { ip4: [one, two], first: one.arp }
    nodes:
      one: { template: port, interface: \"${first}\", to: { arp: two/back } }
      two: { template: port, interface: \"${second}\", limit: 5 }
nodes:
";

#[test]
fn templates_become_nodes() {
    let graph = format!(
        "{PORTS}  lan: {{ template: port, interface: lan, to: {{ ip4: lookup, arp: lookup }} }}
  wan: {{ template: port, interface: wan, limit: 7, to: lookup }}
  lookup: {{ kind: ip4-lookup, to: {{ a: lan/back, b: wan }} }}
"
    );
    let (_, spec, diagnostics) = read(&[("router.yaml", &graph)]);
    let codes: Vec<Code> = diagnostics.sorted().iter().map(|one| one.code).collect();
    assert_eq!(codes, [Code::UnusedTemplate]);
    let settings = |node: &NodeSpec| String::from_utf8(node.settings.to_json_bytes()).unwrap();
    let kinds: Vec<_> =
        spec.nodes.iter().map(|node| format!("{} {} {}", node.name.value, node.kind.value, settings(node))).collect();
    assert_eq!(
        kinds,
        [
            r#"lan/rx rx {"interface":"lan"}"#,
            r#"lan/eth ethernet-input {"name":"lan-100"}"#,
            r#"lan/check acl {"table":"rules","limit":100}"#,
            r#"wan/rx rx {"interface":"wan"}"#,
            r#"wan/eth ethernet-input {"name":"wan-7"}"#,
            r#"wan/check acl {"table":"rules","limit":7}"#,
            "lookup ip4-lookup {}",
        ]
    );
    assert_eq!(
        wires(&spec),
        [
            "lan/rx > lan/eth",
            "lan/eth.ip6 > lan/check",
            "lan/eth.ip4 > lookup",
            "lan/eth.arp > lookup",
            "lan/check > lookup",
            "wan/rx > wan/eth",
            "wan/eth.ip6 > wan/check",
            "wan/eth.ip4 > lookup",
            "wan/check > lookup",
            "lookup.a > lan/check",
            "lookup.b > wan/check",
        ]
    );
    let open: Vec<_> = spec
        .nodes
        .iter()
        .flat_map(|node| node.open.iter().map(|open| (node.name.value.as_str(), open.exit.as_str(), open.instance.value.as_str())))
        .collect();
    assert_eq!(open, [("wan/eth", "arp", "wan")]);
}

#[test]
fn templates_stand_in_templates() {
    let graph = format!(
        "{PORTS}  both: {{ template: pair, first: lan, second: wan, to: {{ ip4: sink }} }}\n  sink: {{ kind: drop, to: both }}\n"
    );
    let (_, spec) = good(&[("router.yaml", &graph)]);
    assert_eq!(
        wires(&spec),
        [
            "both/one/rx > both/one/eth",
            "both/one/eth.ip6 > both/one/check",
            "both/one/eth.ip4 > sink",
            "both/one/eth.arp > both/two/check",
            "both/one/check > sink",
            "both/two/rx > both/two/eth",
            "both/two/eth.ip6 > both/two/check",
            "both/two/eth.ip4 > sink",
            "both/two/check > sink",
            "sink > both/one/check",
        ]
    );
}

#[test]
fn arguments_may_be_any_value() {
    let (_, spec) = good(&[(
        "router.yaml",
        "version: 1
templates:
  t:
    parameters: { list: list, map: mapping, any: any, flag: boolean, rate: number, text: string }
    nodes: { n: { kind: k, list: \"${list}\", deep: [{ map: \"${map}\" }], any: \"${any}\", text: \"${text} ${flag} ${rate}\" } }
nodes:
  i: { template: t, list: [1, { a: b }], map: { c: [d] }, any: null, flag: true, rate: 1.5, text: '5' }
",
    )]);
    let expected = json!({ "list": [1, { "a": "b" }], "deep": [{ "map": { "c": ["d"] } }], "any": null, "text": "5 true 1.5" });
    assert_eq!(spec.nodes[0].settings.to_json(), expected);
}

#[test]
fn mistakes_in_templates() {
    assert_snapshot!(told(&[(
        "router.yaml",
        "version: 1
templates:
  a: { parameters: [x], nodes: { n: { kind: k } } }
  b: { parameters: { X: string, to: string, y: strnig, z: { default: 1 }, w: { type: integer, default: x, min: 1 } }, nodes: { n: { kind: k } } }
  c: { in: [n], out: n, nodes: { n: { kind: k } }, node: {} }
  d: { in: m, out: { x: n.ok, y: [m.ok, 5] }, nodes: { n: { kind: k } } }
  e: { in: n }
  F: { nodes: [n] }
  g: { nodes: { n: { kind: k } } }
nodes:
  i: { template: a }
  j: { kind: k, to: i }
",
    )]));
}

#[test]
fn mistakes_in_instances() {
    assert_snapshot!(told(&[(
        "router.yaml",
        &format!(
            "{PORTS}  a: {{ template: prot }}
  b: {{ template: port, to: {{ ip4: c, ip7: c }} }}
  c: {{ template: port, interface: lna, limit: many, rule: x, rules: none }}
  d: {{ template: port, kind: rx, interface: lan }}
  e: {{ template: [port], interface: lan }}
  f: {{ template: port, interface: lan, to: {{ ip4: f/check, arp: g, x: k }} }}
  g: {{ template: pair, first: lan, second: wan, to: {{ first: lan, ip4: f/back }} }}
  k: {{ kind: drop, x: \"${{interface}}\" }}
"
        ),
    )]));
    assert_snapshot!(told(&[(
        "router.yaml",
        "version: 1
templates:
  none: { nodes: { n: { kind: \"${knid}\", x: \"a${list}\" } }, parameters: { list: list } }
  a: { nodes: { b: { template: b } } }
  b: { nodes: { n: { kind: k }, a: { template: a } } }
  source: { nodes: { n: { kind: k } } }
nodes:
  i: { template: none, list: [1] }
  j: { template: a }
  k: { template: source, to: i }
  l: { kind: k, to: k }
  m: { kind: k, to: k/n }
",
    )]));
}

/// What is wrong in a template is told once, and not for each instance.
#[test]
fn mistakes_in_the_nodes_of_templates() {
    assert_snapshot!(told(&[(
        "router.yaml",
        "version: 1
templates:
  port:
    parameters: { n: integer }
    nodes:
      rx: { kind: rx, name: \"${nn}\", to: x }
      Bad: { kind: rx }
      by: { to: rx }
nodes:
  a: { template: port, n: 1 }
  b: { template: port, n: 2 }
  c: { template: port, n: 3 }
",
    )]));
}

#[test]
fn what_templates_copy_is_bounded() {
    let mut graph = "version: 1\ntemplates:\n  t0: { nodes: { n: { kind: k } } }\n".to_owned();
    for level in 1..16 {
        let inside: String = (0..10).map(|at| format!("i{at}: {{ template: t{} }}, ", level - 1)).collect();
        graph += &format!("  t{level}: {{ nodes: {{ {inside} }} }}\n");
    }
    graph += "nodes: { all: { template: t15 } }\n";
    let (_, spec, diagnostics) = read(&[("router.yaml", &graph)]);
    let codes: Vec<Code> = diagnostics.sorted().iter().map(|one| one.code).collect();
    assert_eq!(codes, [Code::TemplateBudget]);
    assert!(spec.nodes.len() < 131_072);
}
