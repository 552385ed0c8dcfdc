//! The graph for a terminal: one line for each edge, nodes in the order in which packets meet them.

use super::Options;
use super::picture::Picture;
use crate::figures::counted;
use crate::table::Table;
use crate::terminal::{Style, paint};

/// The graph in columns.
pub fn text(picture: &Picture, options: Options, colour: bool) -> String {
    let mut headings = vec!["FROM", "NODE", "KIND", "EDGE", "", "TO", "TABLES"];
    if options.drops {
        headings.push("DROPS");
    }
    let mut table = Table::new(&headings, 0..0);
    for node in &picture.nodes {
        let mut ways: Vec<(&str, &str)> =
            picture.edges_of(&node.name).map(|edge| (edge.shown.as_deref().unwrap_or(&edge.name), &*edge.to)).collect();
        let out = node.transmits.join(", ");
        if !out.is_empty() {
            ways.push(("", &out));
        }
        let drops: Vec<&str> = node.drops.iter().filter(|_| options.drops).map(|drop| drop.label()).collect();
        let tables = node.tables.join(", ");
        for line in 0..ways.len().max(drops.len()).max(1) {
            let first = |text: &str| if line == 0 { text.to_owned() } else { String::new() };
            let from = node.receives.as_ref().map_or(String::new(), |interface| format!("{interface} ─►"));
            let (edge, to) = ways.get(line).copied().unwrap_or_default();
            let arrow = if to.is_empty() { "" } else { "─►" };
            let cells = [first(&from), first(&node.name), first(&node.kind), edge.into(), arrow.into(), to.into(), first(&tables)];
            let drop = options.drops.then(|| drops.get(line).copied().unwrap_or_default().to_owned());
            table.row(cells.into_iter().chain(drop));
        }
    }
    let counts = [(picture.nodes.len(), "node"), (picture.interfaces.len(), "interface"), (picture.tables.len(), "table")];
    let counts = counts.map(|(count, what)| counted(count, what)).join(", ");
    format!("{}: {counts}\n\n{}", paint(&picture.graph, Style::Bold, colour), table.render(colour))
}
