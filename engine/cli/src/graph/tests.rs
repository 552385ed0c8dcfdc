//! Pictures as a whole: the router of the design with address translation, wide graphs, deep ones, hostile words.

use std::collections::BTreeMap;

use roxmltree::Document;
use serde_json::{Map, Value, json};

use super::picture::{Drop, Edge, Interface, Node, Picture, Role, Table, VERSION};
use super::*;

const LR: Options = Options { direction: Direction::Lr, drops: false };

/// A picture from lines such as `lookup ip4-lookup ip4 routes : forward=rewrite local=local`. Tables that nodes name exist. The first edge of
/// a node is its main one. A node of kind `rx` receives from the interface that stands in the place of its layer.
fn picture(text: &str, interfaces: &[&str]) -> Picture {
    let interface = |name: &&str| Interface {
        name: (*name).into(),
        driver: "memory".into(),
        addresses: vec!["192.168.1.1/24".into()],
        mac: None,
        mtu: None,
    };
    let (mut nodes, mut edges, mut tables): (Vec<Node>, Vec<Edge>, Vec<Table>) = Default::default();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (what, to) = line.split_once(':').unwrap_or((line, ""));
        let words: Vec<&str> = what.split_whitespace().collect();
        let (name, kind, layer) = (words[0], words[1], words[2]);
        for table in &words[3..] {
            if tables.iter().all(|known| known.name != *table) {
                tables.push(Table { name: (*table).into(), kind: format!("{table}-kind"), summary: "Keeps state.".into() });
            }
        }
        let role = match kind {
            "rx" => Role::Receive,
            "tx" => Role::Transmit,
            "drop" => Role::Drop,
            _ => Role::Process,
        };
        nodes.push(Node {
            name: name.into(),
            kind: kind.into(),
            summary: "Does something.".into(),
            role,
            layer: if kind == "rx" { "none" } else { layer }.into(),
            receives: (kind == "rx").then(|| layer.into()),
            transmits: if kind == "tx" { interfaces.iter().map(ToString::to_string).collect() } else { Vec::new() },
            tables: words[3..].iter().map(ToString::to_string).collect(),
            settings: Map::new(),
            drops: ["bad-checksum", "too-short"]
                .map(|name| Drop { name: name.into(), class: "drop".into(), doc: "No.".into(), rate: None, shown: None })
                .into(),
        });
        for (at, edge) in to.split_whitespace().enumerate() {
            let (edge, to) = edge.split_once('=').unwrap();
            edges.push(Edge {
                from: name.into(),
                name: edge.into(),
                to: to.into(),
                class: "edge".into(),
                main: at == 0,
                layer: "ip4".into(),
                doc: "Packets.".into(),
                rate: None,
                shown: None,
            });
        }
    }
    let interfaces = interfaces.iter().map(interface).collect();
    Picture { version: VERSION, graph: "test.yaml".into(), interfaces, tables, layers: Vec::new(), nodes, edges }
}

/// The router of the design, section 2, in topological order.
fn nat() -> Picture {
    picture(
        "
        lan-rx rx lan : out=lan-eth
        wan-rx rx wan : out=wan-eth
        lan-eth ethernet-input ethernet : ip4=lan-ip4 arp=arp-in
        wan-eth ethernet-input ethernet : ip4=wan-ip4 arp=arp-in
        lan-ip4 ip4-input ip4 : ok=lookup ttl-expired=icmp-error
        wan-ip4 ip4-input ip4 : ok=dnat ttl-expired=icmp-error
        dnat nat44-out2in ip4 nat : out=lookup
        lookup ip4-lookup ip4 routes arp : forward=by-port local=local no-route=icmp-error
        by-port switch ip4 : default=rewrite wan=snat
        snat nat44-in2out ip4 nat : out=rewrite
        rewrite ip4-rewrite ip4 arp : ok=tx unresolved=resolve too-big=icmp-error
        resolve ip4-resolve ip4 arp : resolved=tx request=tx failed=icmp-error
        arp-in arp-input arp arp : reply=tx
        local ip4-local ip4 : reply=own-lookup
        icmp-error icmp-error ip4 : out=own-dnat
        own-dnat nat44-out2in ip4 nat : out=own-lookup
        own-lookup ip4-lookup ip4 routes arp : forward=own-rewrite
        own-rewrite ip4-rewrite ip4 arp : ok=tx unresolved=own-resolve
        own-resolve ip4-resolve ip4 arp : resolved=tx request=tx
        tx tx ethernet
        ",
        &["lan", "wan"],
    )
}

/// So many interfaces, each with its chain, to one router.
fn wide(interfaces: usize) -> Picture {
    let names: Vec<String> = (0..interfaces).map(|at| format!("port-{at}")).collect();
    let mut text = String::new();
    for name in &names {
        text += &format!("{name}-rx rx {name} : out={name}-eth\n");
    }
    for name in &names {
        text += &format!("{name}-eth ethernet-input ethernet : ip4=ip4 arp=arp\n");
    }
    text += "ip4 ip4-input ip4 : ok=lookup\narp arp-input arp neighbours : reply=tx\nlookup ip4-lookup ip4 routes neighbours : ok=rewrite\n\
             rewrite ip4-rewrite ip4 neighbours : ok=tx\ntx tx ethernet\n";
    picture(&text, &names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Two ports made by a template, one of which has a template inside of it.
fn grouped() -> Picture {
    picture(
        "
        lan/rx rx lan : out=lan/eth
        wan/rx rx wan : out=wan/eth
        lan/eth ethernet-input ethernet : ip4=lan/ip4 arp=arp-in
        wan/eth ethernet-input ethernet : ip4=wan/check/ip4 arp=arp-in
        lan/ip4 ip4-input ip4 : ok=lookup
        wan/check/ip4 ip4-input ip4 : ok=wan/check/acl
        wan/check/acl acl ip4 rules : permit=wan/dnat deny=sink
        wan/dnat nat44-out2in ip4 nat : out=lookup
        lookup ip4-lookup ip4 routes arp : forward=rewrite no-route=own/icmp
        rewrite ip4-rewrite ip4 arp : ok=tx ttl-expired=own/icmp
        own/icmp icmp-error ip4 : out=own/lookup
        own/lookup ip4-lookup ip4 routes arp : forward=own/rewrite
        own/rewrite ip4-rewrite ip4 arp : ok=tx
        arp-in arp-input arp arp : reply=tx
        sink drop any
        tx tx ethernet
        ",
        &["lan", "wan"],
    )
}

/// As many nodes, each wired to some of the next ones.
fn many(count: usize) -> Picture {
    let mut text = String::from("node-0 rx lan : out=node-1\n");
    for at in 1..count {
        let to = [1, 2, 7 + at % 5].map(|step| at + step).into_iter().filter(|to| *to < count && at % 3 != 2 || *to == at + 1);
        let edges: Vec<String> =
            to.filter(|to| *to < count).enumerate().map(|(edge, to)| format!("edge-{edge}=node-{to}")).collect();
        text += &format!("node-{at} kind-{} ip4 : {}\n", at % 7, edges.join(" "));
    }
    picture(&text, &["lan"])
}

fn all() -> Vec<(&'static str, Picture)> {
    let long = "a-very-long-name-".repeat(7);
    let long = format!("{long}rx rx lan : out={long}tx\n{long}tx tx ethernet {}\n", "t".repeat(63));
    vec![
        ("nat", nat()),
        ("wide", wide(40)),
        ("grouped", grouped()),
        ("many", many(300)),
        ("single", picture("sink drop any", &[])),
        ("long", picture(&long, &["lan"])),
    ]
}

/// How often each thing with such an attribute is there.
fn counted(xml: &Document<'_>, class: &str, attributes: &[&str]) -> BTreeMap<Vec<String>, usize> {
    let mut found = BTreeMap::new();
    for element in
        xml.descendants().filter(|element| element.attribute("class").is_some_and(|all| all.split(' ').any(|one| one == class)))
    {
        let key: Option<Vec<String>> = attributes.iter().map(|name| element.attribute(*name).map(Into::into)).collect();
        if let Some(key) = key {
            *found.entry(key).or_insert(0) += 1;
        }
    }
    found
}

#[test]
fn every_node_and_every_edge_is_in_the_svg_once() {
    for (name, picture) in all() {
        for direction in [Direction::Lr, Direction::Tb] {
            let svg = svg::svg(&picture, Options { direction, drops: true });
            let xml = Document::parse(&svg).unwrap();
            let nodes = counted(&xml, "box", &["data-node"]);
            let wanted: BTreeMap<Vec<String>, usize> = picture.nodes.iter().map(|node| (vec![node.name.clone()], 1)).collect();
            assert_eq!(nodes, wanted, "{name}");
            let edges = counted(&xml, "edge", &["data-from", "data-edge", "data-to"]);
            let key = |edge: &Edge| (vec![edge.from.clone(), edge.name.clone(), edge.to.clone()], 1);
            assert_eq!(edges, picture.edges.iter().map(key).collect(), "{name}");
            let uses = counted(&xml, "use", &["data-table", "data-node"]);
            let wanted =
                picture.nodes.iter().flat_map(|node| node.tables.iter().map(|table| (vec![table.clone(), node.name.clone()], 1)));
            assert_eq!(uses, wanted.collect(), "{name}");
            let labels = xml
                .descendants()
                .filter(|element| element.attribute("class").is_some_and(|class| class.starts_with("label")))
                .count();
            assert_eq!(labels, picture.edges.iter().filter(|edge| picture.label(edge).is_some()).count(), "{name}");
        }
    }
}

#[test]
fn the_same_picture_is_drawn_twice() {
    for (name, picture) in all() {
        assert_eq!(svg::svg(&picture, LR), svg::svg(&picture, LR), "{name}");
    }
}

/// Every text of a box fits in its box, by an estimate that no common font exceeds; and nothing refers to the outside.
#[test]
fn an_svg_is_complete_in_itself() {
    for (name, picture) in all() {
        let svg = svg::svg(&picture, Options { drops: true, ..LR });
        let xml = Document::parse(&svg).unwrap();
        let number = |element: &roxmltree::Node<'_, '_>, name: &str| element.attribute(name).unwrap().parse::<f64>().unwrap();
        let (width, height) = (number(&xml.root_element(), "width"), number(&xml.root_element(), "height"));
        for element in xml.descendants().filter(|element| element.has_tag_name("rect")) {
            let (x, y) = (
                element.attribute("x").map_or(0.0, |_| number(&element, "x")),
                element.attribute("y").map_or(0.0, |_| number(&element, "y")),
            );
            assert!(
                x >= 0.0 && y >= 0.0 && x + number(&element, "width") <= width && y + number(&element, "height") <= height,
                "{name}"
            );
            let texts = element.next_siblings().filter(|text| text.attribute("text-anchor") == Some("middle"));
            for text in texts {
                let wide = svg::text_width(text.text().unwrap_or_default(), 10.5);
                assert!(
                    wide <= number(&element, "width") && (y..y + number(&element, "height")).contains(&number(&text, "y")),
                    "{name}"
                );
            }
        }
        let style = xml.descendants().find(|element| element.has_tag_name("style")).unwrap().text().unwrap();
        assert!(style.contains("prefers-color-scheme:dark") && !style.contains("url("));
        assert!(xml.descendants().all(|element| element.attributes().all(|one| !one.value().contains("://"))));
    }
}

/// What stands in settings and documents may be anything.
#[test]
fn hostile_words_are_escaped() {
    let mut picture = nat();
    let hostile = "</title><script>\"'&\\\n]]>\u{0}\u{ffff}--> %%{init}%% #quot; `";
    picture.nodes[2].settings.insert("note".into(), json!(hostile));
    picture.nodes[2].summary = hostile.into();
    picture.nodes[2].drops[0].name = hostile.into();
    picture.edges[0].doc = hostile.into();
    picture.edges[2].name = hostile.into();
    picture.interfaces[0].driver = hostile.into();
    picture.tables[0].summary = hostile.into();
    picture.graph = hostile.into();
    let options = Options { drops: true, ..LR };
    let svg = svg::svg(&picture, options);
    let xml = Document::parse(&svg).unwrap();
    assert!(xml.descendants().all(|element| !element.has_tag_name("script")));
    let shown = hostile.replace(['\u{0}', '\u{ffff}'], "");
    let edge =
        xml.descendants().find(|element| element.attribute("data-edge").is_some_and(|name| name.contains("script"))).unwrap();
    // A line break in an attribute is read as a space (XML 1.0 §3.3.3).
    assert_eq!(edge.attribute("data-edge"), Some(&*shown.replace('\n', " ")));
    let titles: Vec<&str> =
        xml.descendants().filter(|element| element.has_tag_name("title")).filter_map(|title| title.text()).collect();
    assert!(titles.iter().any(|title| title.contains(&format!("note: {shown}"))));
    accepted_by_graphviz(&dot::dot(&picture, options));
    let mermaid = mermaid::mermaid(&picture, options);
    // Neither a quote nor a tag gets out of a label, and no line starts where none should.
    assert!(mermaid.lines().all(|line| line.matches('"').count().is_multiple_of(2) && !line.contains("<script")), "{mermaid}");
    assert_eq!(mermaid.lines().count(), mermaid::mermaid(&nat(), options).lines().count());
}

/// Graphviz reads the graph and draws it: nodes, edges and clusters in its own plain output.
#[test]
fn graphviz_draws_every_node_and_every_edge_once() {
    for (name, picture) in all() {
        let Some(drawn) = accepted_by_graphviz(&dot::dot(&picture, LR)) else { return };
        let drawn: Vec<Value> = ["objects", "edges"].iter().map(|key| drawn[*key].clone()).collect();
        let empty = Vec::new();
        let (objects, edges) = (drawn[0].as_array().unwrap_or(&empty), drawn[1].as_array().unwrap_or(&empty));
        let of = |index: &Value| objects[index.as_u64().unwrap() as usize]["name"].as_str().unwrap().to_owned();
        let named =
            |start: &str| objects.iter().filter_map(|object| object["name"].as_str()?.strip_prefix(start)).collect::<Vec<_>>();
        let sorted = |mut list: Vec<String>| {
            list.sort();
            list
        };
        let nodes = named("node:").into_iter().map(Into::into).collect();
        assert_eq!(sorted(nodes), sorted(picture.nodes.iter().map(|node| node.name.clone()).collect()), "{name}");
        let clusters = named("cluster/").into_iter().map(Into::into).collect();
        assert_eq!(sorted(clusters), sorted(picture::groups(&picture.nodes)), "{name}");
        let found = edges.iter().map(|edge| format!("{} {}", of(&edge["tail"]), of(&edge["head"])));
        let wired = picture.edges.iter().map(|edge| format!("node:{} node:{}", edge.from, edge.to));
        let uses =
            picture.nodes.iter().flat_map(|node| node.tables.iter().map(|table| format!("table:{table} node:{}", node.name)));
        let received = picture.nodes.iter().filter_map(|node| Some(format!("in:{} node:{}", node.receives.as_ref()?, node.name)));
        let sent = picture.nodes.iter().flat_map(|node| node.transmits.iter().map(|out| format!("node:{} out:{out}", node.name)));
        assert_eq!(sorted(found.collect()), sorted(wired.chain(uses).chain(received).chain(sent).collect()), "{name}");
    }
}

/// What Graphviz makes of a graph, as JSON. Without Graphviz nothing, which with `CI=true` is a failure.
fn accepted_by_graphviz(dot: &str) -> Option<Value> {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    // `json0` is the graph with its layout, `-Kdot` the engine that knows clusters; the limits spare it to look for a better picture.
    let child = Command::new("dot")
        .args(["-Kdot", "-Tjson0", "-Gmclimit=0.1", "-Gnslimit=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "Graphviz is missing: run .ci/deps as root");
        eprintln!("skipped: Graphviz is not installed (.ci/deps)");
        return None;
    };
    let (mut stdin, text) = (child.stdin.take().unwrap(), dot.to_owned());
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("rror"), "{said}\n{dot}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn mermaid_has_every_node_and_every_edge_once() {
    for (name, picture) in all() {
        let chart = mermaid::mermaid(&picture, LR);
        let ids: BTreeMap<&str, usize> = picture.nodes.iter().enumerate().map(|(at, node)| (&*node.name, at)).collect();
        let lines: Vec<&str> = chart.lines().map(str::trim).collect();
        for (at, node) in picture.nodes.iter().enumerate() {
            let declared = lines.iter().filter(|line| line.starts_with(&format!("node{at}["))).collect::<Vec<_>>();
            assert!(matches!(declared[..], [line] if line.contains(node.split().1)), "{name}: {declared:?}");
        }
        let mut edges: Vec<String> = lines
            .iter()
            .filter(|line| line.starts_with("node") && line.contains("-->") && !line.contains(" out"))
            .map(ToString::to_string)
            .collect();
        let mut wanted: Vec<String> = picture
            .edges
            .iter()
            .map(|edge| {
                let label = picture.label(edge).map_or(String::new(), |label| format!("|\"{label}\"|"));
                format!("node{} -->{label} node{}", ids[&*edge.from], ids[&*edge.to])
            })
            .collect();
        edges.sort();
        wanted.sort();
        assert_eq!(edges, wanted, "{name}");
        let (opened, closed) = (
            lines.iter().filter(|line| line.starts_with("subgraph ")).count(),
            lines.iter().filter(|line| **line == "end").count(),
        );
        assert_eq!((opened, closed), (picture::groups(&picture.nodes).len(), opened), "{name}");
    }
}

#[test]
fn json_is_read_as_it_was_written() {
    for (_, picture) in all() {
        let text = serde_json::to_string(&picture).unwrap();
        assert_eq!(serde_json::from_str::<Picture>(&text).unwrap(), picture);
    }
}

#[test]
fn a_name_says_how_to_draw() {
    let of = |name: &str| super::format(None, Some(Path::new(name))).map_err(|failure| failure.exit());
    for (name, format) in [
        ("a.svg", GraphFormat::Svg),
        ("a.b.gv", GraphFormat::Dot),
        ("a.dot", GraphFormat::Dot),
        ("a.mmd", GraphFormat::Mermaid),
        ("a.json", GraphFormat::Json),
        ("a.txt", GraphFormat::Text),
    ] {
        assert_eq!(of(name), Ok(format), "{name}");
    }
    assert_eq!(of("svg"), Err(Exit::Usage));
    assert_eq!(super::format(None, None), Ok(GraphFormat::Text));
    assert_eq!(super::format(Some(GraphFormat::Dot), Some(Path::new("a.svg"))), Ok(GraphFormat::Dot));
}
