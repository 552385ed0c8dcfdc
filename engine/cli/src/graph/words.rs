//! What tooltips say.

use super::picture::{Edge, Interface, Node, Table};

/// A node: kind, summary, settings, tables, layer.
pub fn node_words(node: &Node) -> String {
    let mut lines = vec![format!("{} ({})", node.name, node.kind), node.summary.clone()];
    lines.extend(node.settings.iter().map(|(key, value)| format!("{key}: {}", brief(value))));
    match &*node.layer {
        "none" | "any" => {}
        layer => lines.push(format!("takes {layer} packets")),
    }
    if !node.tables.is_empty() {
        lines.push(format!("uses {}", node.tables.join(", ")));
    }
    lines.join("\n")
}

/// An edge: from where to where, what it carries, what it means.
pub fn edge_words(edge: &Edge) -> String {
    let layer = if edge.layer == "any" { String::new() } else { format!(" ({})", edge.layer) };
    format!("{}.{} → {}{layer}\n{}", edge.from, edge.name, edge.to, edge.doc)
}

/// An interface: driver and addresses.
pub fn interface_words(interface: &Interface) -> String {
    let mut lines = vec![format!("interface {}, driver {}", interface.name, interface.driver)];
    lines.extend(interface.addresses.iter().cloned());
    lines.extend(interface.mac.iter().map(|mac| format!("mac {mac}")));
    lines.extend(interface.mtu.iter().map(|mtu| format!("mtu {mtu}")));
    lines.join("\n")
}

/// A table: its kind, and what that is.
pub fn table_words(table: &Table) -> String {
    format!("table {} ({})\n{}", table.name, table.kind, table.summary)
}

/// A setting, as far as a tooltip has room.
fn brief(value: &serde_json::Value) -> String {
    const LONGEST: usize = 80;
    let text = value.as_str().map_or_else(|| value.to_string(), Into::into);
    if text.chars().count() <= LONGEST { text } else { text.chars().take(LONGEST - 1).chain(['…']).collect() }
}
