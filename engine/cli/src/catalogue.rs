//! The catalogue of kinds, docs/nodes: a page for each, made from the kinds themselves.

use std::fmt::Write as _;

use swath_api::{EdgeClass, EdgeInfo, layer, reserved};

use crate::nodes::{Page, layer_words, pages};
use crate::schema::{Schema, one_line};

const MADE: &str = "<!-- Made by `make docs` from the kinds themselves: change them, and not this file. -->\n\n";

/// The pages of all kinds of this program, by file name, the index first.
pub fn catalogue() -> Vec<(String, String)> {
    let pages = pages(&crate::registry());
    let mut files = vec![("README.md".to_owned(), index(&pages))];
    files.extend(pages.iter().map(|page| (format!("{}.md", page.kind), page_of(page, &pages))));
    files
}

/// A link to the page of a kind.
fn link(kind: &str) -> String {
    format!("[`{kind}`]({kind}.md)")
}

/// A text as one cell of a table.
fn cell(text: &str) -> String {
    one_line(text).replace('|', "\\|")
}

fn index(pages: &[Page]) -> String {
    let mut text = MADE.to_owned();
    text += "# Nodes, tables and drivers\n\n\
        What a graph can be made of. `swath nodes KIND` shows the same in a terminal, `swath schema KIND` as a JSON Schema.\n";
    let mut layers: Vec<&str> = Vec::new();
    for page in pages.iter().filter(|page| page.class == "node") {
        let takes = page.input.unwrap_or_default();
        if !layers.contains(&takes) {
            layers.push(takes);
        }
    }
    for takes in layers {
        let heading = match takes {
            layer::NONE => "Nodes where packets come in".into(),
            layer::ANY => "Nodes for packets of any kind".into(),
            takes => format!("Nodes that take `{takes}`"),
        };
        list(&heading, pages.iter().filter(|page| page.class == "node" && page.input == Some(takes)), &mut text);
    }
    list("Tables", pages.iter().filter(|page| page.class == "table"), &mut text);
    list("Drivers", pages.iter().filter(|page| page.class == "driver"), &mut text);
    text += "\n## Drop reasons of the engine\n\n\
        Packets that a node cannot be blamed for, or that it has lost: every node may have them, beside its own.\n\n\
        | reason | what it means, and what to do |\n|---|---|\n";
    for (name, meaning) in reserved::REASONS {
        let _ = writeln!(text, "| `{name}` | {} |", cell(meaning));
    }
    text
}

fn list<'a>(heading: &str, pages: impl Iterator<Item = &'a Page>, text: &mut String) {
    let _ = write!(text, "\n## {heading}\n\n| kind | |\n|---|---|\n");
    for page in pages {
        let _ = writeln!(text, "| {} | {} |", link(page.kind), cell(page.summary));
    }
}

fn page_of(page: &Page, all: &[Page]) -> String {
    let mut text = format!("{MADE}# {}\n\n{}\n", page.kind, page.summary);
    if !page.about.is_empty() {
        let _ = write!(text, "\n{}\n", page.about);
    }
    let (key, what) = if page.class == "driver" {
        ("driver", "interfaces")
    } else if page.class == "table" {
        ("kind", "tables")
    } else {
        ("kind", "nodes")
    };
    let _ = write!(text, "\n| | |\n|---|---|\n| in {what} | `{key}: {}` |\n", page.kind);
    let mut row = |name: &str, value: String| _ = writeln!(text, "| {name} | {value} |");
    if let Some(takes) = page.input {
        let words = layer_words(takes);
        row("takes", if words == takes { format!("`{takes}`") } else { words.into() });
    }
    for (name, slots) in [("reads slots", &page.reads), ("writes slots", &page.writes)] {
        if !slots.is_empty() {
            row(name, slots.iter().map(|slot| format!("`{slot}`")).collect::<Vec<_>>().join(", "));
        }
    }
    if !page.uses.is_empty() {
        row("refers to tables", page.uses.iter().map(|kind| link(kind)).collect::<Vec<_>>().join(", "));
    }
    let users: Vec<String> = all.iter().filter(|other| other.uses.contains(&page.kind)).map(|other| link(other.kind)).collect();
    if page.class == "table" && !users.is_empty() {
        row("referred to by", users.join(", "));
    }
    settings(page, &mut text);
    edges(page, &mut text);
    let _ = write!(text, "\n## Example\n\n```yaml\n{}```\n", page.example);
    text
}

fn settings(page: &Page, text: &mut String) {
    *text += "\n## Settings\n\n";
    let settings = Schema::new(&page.schema).settings();
    if settings.is_empty() {
        *text += "None.\n";
        return;
    }
    *text += "| setting | what | default | meaning |\n|---|---|---|---|\n";
    for setting in settings {
        let default = match setting.default {
            Some(default) => format!("`{default}`"),
            None if setting.required => "must be given".into(),
            None => String::new(),
        };
        let _ = writeln!(text, "| `{}` | {} | {default} | {} |", setting.path, cell(&setting.kind), cell(&setting.doc));
    }
}

fn edges(page: &Page, text: &mut String) {
    let (drops, edges): (Vec<&EdgeInfo>, Vec<&EdgeInfo>) = page.edges.iter().partition(|edge| edge.class == EdgeClass::Drop);
    if !edges.is_empty() {
        *text += "\n## Edges\n\n| edge | carries | if it is not wired | what goes there |\n|---|---|---|---|\n";
    }
    for edge in edges {
        let unwired = match edge.class {
            EdgeClass::Required => "the graph is refused",
            EdgeClass::Edge => "drops by this name",
            EdgeClass::Held => "cannot be: the node keeps the packet",
            EdgeClass::Consumed => "cannot be: the packet ends here, and is no drop",
            _ => "cannot be: the packet leaves by an interface",
        };
        let carries = match edge.layer.as_str() {
            layer::ANY => String::new(),
            layer::SAME => "what was taken".into(),
            name => format!("`{name}`"),
        };
        let _ = writeln!(text, "| `{}` | {carries} | {unwired} | {} |", edge.name, cell(edge.doc.as_str()));
    }
    if page.class == "node" {
        let those = "[those of the engine](README.md#drop-reasons-of-the-engine)";
        let _ = match drops[..] {
            [] => write!(text, "\n## Drop reasons\n\nOnly {those}.\n"),
            _ => {
                let heading = "| reason | what it means, and what to do |\n|---|---|";
                write!(text, "\n## Drop reasons\n\nBeside {those}:\n\n{heading}\n")
            }
        };
    }
    for drop in drops {
        let _ = writeln!(text, "| `{}` | {} |", drop.name, cell(drop.doc.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    #[test]
    fn docs_nodes_is_what_the_kinds_say() {
        let directory = root().join("docs/nodes");
        let files = catalogue();
        for (name, text) in &files {
            let there = std::fs::read_to_string(directory.join(name)).unwrap_or_default();
            assert!(there == *text, "docs/nodes/{name} is not what the kind says: run `make docs`");
        }
        let known: BTreeSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(known.len(), files.len(), "two kinds have one name");
        for entry in std::fs::read_dir(&directory).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(known.contains(&*name), "docs/nodes/{name} is of no kind: run `make docs`");
        }
    }

    #[test]
    fn every_kind_says_everything_of_itself() {
        let is_sentence = |text: &str| text.starts_with(|c: char| !c.is_lowercase()) && text.trim_end().ends_with('.');
        for page in pages(&crate::registry()) {
            let kind = page.kind;
            assert!(is_sentence(page.summary) && !page.summary.contains('\n'), "the summary of {kind}: {}", page.summary);
            assert!(page.about.is_empty() || is_sentence(&page.about), "{kind}: {}", page.about);
            for edge in page.edges {
                assert!(is_sentence(edge.doc.as_str()), "`{}` of {kind} says: {:?}", edge.name, edge.doc);
            }
            for setting in Schema::new(&page.schema).settings() {
                assert!(is_sentence(&setting.doc), "`{}` of {kind} says: {:?}", setting.path, setting.doc);
            }
            let example = page.example;
            assert!(example.starts_with("# ") && example.ends_with('\n'), "{kind} has an example, which opens with prose");
            let word = if page.class == "driver" { "driver" } else { "kind" };
            let named = |end: char| example.contains(&format!("{word}: {kind}{end}"));
            assert!([' ', ',', '\n'].into_iter().any(named), "the example of {kind} is of another kind");
            assert!(example.contains("\ntests:\n"), "the example of {kind} has tests");
            for uses in &page.uses {
                assert!(example.contains(&format!("kind: {uses}")), "the example of {kind} has no table {uses}");
            }
        }
    }
}
