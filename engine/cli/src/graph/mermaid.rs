//! Mermaid, which README files and wikis draw: <https://mermaid.js.org/syntax/flowchart.html>.

use std::fmt::Write as _;

use super::Options;
use super::picture::{Node, Picture, Role, groups};

/// Classes of boxes with their styles: readable on white and on black.
const CLASSES: [(&str, &str); 9] = [
    ("interface", "fill:#334155,stroke:#334155,color:#ffffff"),
    ("table", "fill:#f6f1e7,stroke:#9a8866,color:#1f2933"),
    ("receive", "fill:#dcf3e4,stroke:#2f9e5b,color:#1f2933"),
    ("transmit", "fill:#dde9fb,stroke:#3b78d8,color:#1f2933"),
    ("drop", "fill:#fbe0e2,stroke:#d1495b,color:#1f2933"),
    ("ethernet", "fill:#ebe4fa,stroke:#7a5bd0,color:#1f2933"),
    ("arp", "fill:#fbeccf,stroke:#c98a1b,color:#1f2933"),
    ("ip", "fill:#d8f0f4,stroke:#1f8ea3,color:#1f2933"),
    ("process", "fill:#edf0f3,stroke:#7b8794,color:#1f2933"),
];

/// The graph as a flowchart.
pub fn mermaid(picture: &Picture, options: Options) -> String {
    let mut chart = Chart { picture, options, text: format!("flowchart {}\n", options.direction.word().to_uppercase()) };
    for (class, style) in CLASSES {
        chart.line(1, &format!("classDef {class} {style}"));
    }
    let (mut entries, mut exits) = (Vec::new(), Vec::new());
    for (index, interface) in picture.interfaces.iter().enumerate() {
        let name = &interface.name;
        if picture.nodes.iter().any(|node| node.receives.as_ref() == Some(name)) {
            entries.push((name, format!("in{index}")));
        }
        if picture.nodes.iter().any(|node| node.transmits.contains(name)) {
            exits.push((name, format!("out{index}")));
        }
    }
    for (name, id) in entries.iter().chain(&exits) {
        chart.line(1, &format!("{id}([\"{}\"]):::interface", escaped(name)));
    }
    for (index, table) in picture.tables.iter().enumerate() {
        chart.line(1, &format!("table{index}[(\"{}<br>{}\")]:::table", escaped(&table.name), escaped(&table.kind)));
    }
    let groups = groups(&picture.nodes);
    chart.group(None, 1, &groups);
    let of = |list: &[(&String, String)], name: &String| list.iter().find(|(known, _)| *known == name).map(|(_, id)| id.clone());
    for (at, node) in picture.nodes.iter().enumerate() {
        let id = format!("node{at}");
        if let Some(interface) = node.receives.as_ref().and_then(|name| of(&entries, name)) {
            chart.line(1, &format!("{interface} --> {id}"));
        }
        for edge in picture.edges_of(&node.name) {
            let to = picture.nodes.iter().position(|node| node.name == edge.to).unwrap_or(at);
            let label = picture.label(edge).map_or(String::new(), |label| format!("|\"{}\"|", escaped(label)));
            chart.line(1, &format!("{id} -->{label} node{to}"));
        }
        for interface in node.transmits.iter().filter_map(|name| of(&exits, name)) {
            chart.line(1, &format!("{id} --> {interface}"));
        }
        for table in node.tables.iter().filter_map(|name| picture.tables.iter().position(|table| table.name == *name)) {
            chart.line(1, &format!("table{table} -.- {id}"));
        }
    }
    chart.text
}

struct Chart<'a> {
    picture: &'a Picture,
    options: Options,
    text: String,
}

impl Chart<'_> {
    fn line(&mut self, depth: usize, line: &str) {
        let _ = writeln!(self.text, "{}{line}", "  ".repeat(depth));
    }

    /// The nodes of a group, then those of the groups in it.
    fn group(&mut self, group: Option<&str>, depth: usize, groups: &[String]) {
        for (at, node) in self.picture.nodes.iter().enumerate().filter(|(_, node)| node.split().0 == group) {
            let mut label = escaped(node.split().1);
            if node.kind != node.split().1 {
                label += &format!("<br><small>{}</small>", escaped(&node.kind));
            }
            if self.options.drops {
                node.drops.iter().for_each(|drop| label += &format!("<br>✗ {}", escaped(drop.label())));
            }
            self.line(depth, &format!("node{at}[\"{label}\"]:::{}", class(node)));
        }
        for (index, inner) in groups.iter().enumerate().filter(|(_, inner)| inner.rsplit_once('/').map(|(outer, _)| outer) == group)
        {
            self.line(depth, &format!("subgraph group{index}[\"{}\"]", escaped(inner.rsplit('/').next().unwrap_or_default())));
            self.group(Some(inner), depth + 1, groups);
            self.line(depth, "end");
        }
    }
}

fn class(node: &Node) -> &'static str {
    match (node.role, &*node.layer) {
        (Role::Receive, _) => "receive",
        (Role::Transmit, _) => "transmit",
        (Role::Drop, _) => "drop",
        (_, "ethernet" | "vlan") => "ethernet",
        (_, "arp") => "arp",
        (_, "ip4" | "ip6") => "ip",
        _ => "process",
    }
}

/// Text between quotes, where characters are written by number or name between `#` and `;`.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '#' => escaped.push_str("#35;"),
            '"' => escaped.push_str("#quot;"),
            '<' => escaped.push_str("#lt;"),
            '>' => escaped.push_str("#gt;"),
            '&' => escaped.push_str("#amp;"),
            '`' => escaped.push_str("#96;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
