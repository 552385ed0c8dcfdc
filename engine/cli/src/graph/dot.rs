//! Graphviz: <https://graphviz.org/doc/info/lang.html>.

use std::fmt::Write as _;

use super::Options;
use super::picture::{Node, Picture, Role, groups};
use super::words::{edge_words, interface_words, node_words, table_words};

/// The graph in the language of Graphviz.
pub fn dot(picture: &Picture, options: Options) -> String {
    let mut text = format!("digraph {} {{\n", quoted(&picture.graph));
    let _ = write!(
        text,
        "  graph [rankdir={}, fontname=\"Helvetica\", fontsize=11, nodesep=0.3, ranksep=0.6, tooltip={}];
  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"Helvetica\", fontsize=11];
  edge [fontname=\"Helvetica\", fontsize=9, color=\"#5b6770\", fontcolor=\"#444c54\", arrowsize=0.7];
",
        options.direction.word().to_uppercase(),
        quoted(&picture.graph),
    );
    for interface in &picture.interfaces {
        let name = &interface.name;
        let ends = picture.nodes.iter().map(|node| (node.receives.as_ref() == Some(name), node.transmits.contains(name)));
        let (into, out) = ends.fold((false, false), |all, one| (all.0 || one.0, all.1 || one.1));
        for (_, side) in [(into, "in"), (out, "out")].into_iter().filter(|(wired, _)| *wired) {
            let _ = writeln!(
                text,
                "  {} [label={}, shape=box, style=\"rounded,filled\", fillcolor=\"#334155\", fontcolor=white, tooltip={}];",
                id(side, name),
                quoted(name),
                quoted(&interface_words(interface)),
            );
        }
    }
    for table in &picture.tables {
        let label = format!("{}\n{}", table.name, table.kind);
        let (id, label, tooltip) = (id("table", &table.name), quoted(&label), quoted(&table_words(table)));
        let _ = writeln!(text, "  {id} [label={label}, shape=cylinder, style=filled, fillcolor=\"#f6f1e7\", tooltip={tooltip}];");
    }
    cluster(picture, options, None, 1, &groups(&picture.nodes), &mut text);
    for node in &picture.nodes {
        if let Some(interface) = &node.receives {
            let _ = writeln!(text, "  {} -> {};", id("in", interface), id("node", &node.name));
        }
        for edge in picture.edges_of(&node.name) {
            let label = picture.label(edge).map_or(String::new(), |label| format!("label={}, ", quoted(label)));
            let (from, to, tooltip) = (id("node", &edge.from), id("node", &edge.to), quoted(&edge_words(edge)));
            let _ = writeln!(text, "  {from} -> {to} [{label}tooltip={tooltip}{}];", if edge.main { ", weight=4" } else { "" });
        }
        for interface in &node.transmits {
            let _ = writeln!(text, "  {} -> {};", id("node", &node.name), id("out", interface));
        }
        for table in &node.tables {
            let (table, node) = (id("table", table), id("node", &node.name));
            let _ = writeln!(text, "  {table} -> {node} [style=dashed, arrowhead=none, color=\"#9a8866\", constraint=false];");
        }
    }
    text + "}\n"
}

/// The nodes of a group, then those of the groups in it.
fn cluster(picture: &Picture, options: Options, group: Option<&str>, depth: usize, groups: &[String], text: &mut String) {
    let indent = "  ".repeat(depth);
    for node in picture.nodes.iter().filter(|node| node.split().0 == group) {
        let mut label = node.split().1.to_string();
        if node.kind != label {
            label = format!("{label}\n{}", node.kind);
        }
        if options.drops {
            node.drops.iter().for_each(|drop| label += &format!("\n✗ {}", drop.label()));
        }
        let (id, fill, tooltip) = (id("node", &node.name), fill(node), quoted(&node_words(node)));
        let _ = writeln!(text, "{indent}{id} [label={}, fillcolor=\"{fill}\", tooltip={tooltip}];", quoted(&label));
    }
    for inner in groups.iter().filter(|inner| inner.rsplit_once('/').map(|(outer, _)| outer) == group) {
        let _ = writeln!(text, "{indent}subgraph {} {{", quoted(&format!("cluster/{inner}")));
        let label = quoted(inner.rsplit('/').next().unwrap_or_default());
        let _ = writeln!(text, "{indent}  graph [label={label}, labeljust=l, style=\"rounded\", color=\"#9aa5b1\"];");
        cluster(picture, options, Some(inner), depth + 1, groups, text);
        let _ = writeln!(text, "{indent}}}");
    }
}

/// Nodes, tables and interfaces of the same name are different things.
fn id(what: &str, name: &str) -> String {
    quoted(&format!("{what}:{name}"))
}

fn fill(node: &Node) -> &'static str {
    match (node.role, &*node.layer) {
        (Role::Receive, _) => "#dcf3e4",
        (Role::Transmit, _) => "#dde9fb",
        (Role::Drop, _) => "#fbe0e2",
        (_, "ethernet" | "vlan") => "#ebe4fa",
        (_, "arp") => "#fbeccf",
        (_, "ip4") => "#d8f0f4",
        (_, "ip6") => "#e0e4fb",
        _ => "#edf0f3",
    }
}

/// A quoted string: of its escapes only those of the quote, the backslash and the line break are wanted.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{}\"", text.replace(|c: char| c.is_control(), " "))
}
