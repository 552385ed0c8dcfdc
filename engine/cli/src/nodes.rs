//! `swath nodes`: what a graph can be made of. All of it comes from the kinds themselves.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use swath_api::{EdgeClass, EdgeInfo, List, NodeKind, Str, TableKind, layer};
use swath_core::Registry;
use swath_core::driver::DriverKind;
use swath_core::spec::suggestion;

use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::plugin;
use crate::schema::{Schema, one_line};
use crate::table::{Table, wrap};
use crate::terminal::{Style, Terminal, paint};

/// Arguments of `nodes`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A kind says what its packets start with, its settings with their types and defaults, its edges, and
its drop reasons with what to do about each. All of it comes from the code of the kind.

Examples:
  swath nodes
  swath nodes ip4-lookup
  swath nodes --library target/release/libmy_node.so my-node")]
pub struct NodesArgs {
    /// A kind of node or table, or a driver
    pub kind: Option<String>,
    /// How to show it: for people, or as JSON
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    /// With the kinds of the library of a plugin; may be given several times
    #[arg(long, value_name = "FILE")]
    pub library: Vec<PathBuf>,
}

/// Shows all kinds, or one of them.
///
/// # Errors
/// There is no such kind, or a library is refused.
pub fn nodes(args: &NodesArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let all = pages(&plugin::registry(&args.library)?);
    let text = match (&args.kind, args.format) {
        (None, Format::Text) => overview(&all, terminal.data_colour),
        (None, Format::Json) => pretty(&all.iter().map(Page::brief).collect()),
        (Some(kind), format) => {
            let page = find(kind, &all)?;
            if format == Format::Json { pretty(&page.to_json()) } else { page.text(terminal.data_colour) }
        }
    };
    terminal.data(&text)?;
    Ok(Exit::Ok)
}

/// What is known of a kind.
pub struct Page {
    /// `node`, `table` or `driver`.
    pub class: &'static str,
    pub kind: &'static str,
    pub summary: &'static str,
    pub about: String,
    /// What its packets start with; for a node only.
    pub input: Option<&'static str>,
    pub schema: Value,
    pub edges: &'static [EdgeInfo],
    /// Names of slots.
    pub reads: Vec<&'static str>,
    pub writes: Vec<&'static str>,
    /// What edges are like that a graph names beside these.
    pub named: Option<&'static EdgeInfo>,
    /// Kinds of tables that it refers to.
    pub uses: Vec<&'static str>,
    /// A complete graph.
    pub example: &'static str,
    /// The file of the library that it is in, if it is a plugin's.
    pub library: Option<&'static str>,
}

/// All kinds, in the order of the registry: nodes, tables, drivers.
pub fn pages(registry: &Registry) -> Vec<Page> {
    let nodes = registry.nodes().iter().map(Page::of_node);
    let tables = registry.tables().iter().map(Page::of_table);
    let drivers = registry.drivers().iter().map(Page::of_driver);
    nodes.chain(tables).chain(drivers).collect()
}

/// The page of a kind.
pub fn find<'a>(kind: &str, all: &'a [Page]) -> Result<&'a Page, Failure> {
    all.iter().find(|page| page.kind == kind).ok_or_else(|| unknown(kind, all))
}

fn unknown(kind: &str, all: &[Page]) -> Failure {
    let kinds: Vec<&str> = all.iter().map(|page| page.kind).collect();
    let help = suggestion(kind, "there are", &kinds).map_or(String::new(), |help| format!("; {help}"));
    Failure::usage(format!("there is no kind `{kind}`{help}"))
}

impl Page {
    fn of_node(kind: &NodeKind) -> Page {
        let info = kind.info();
        Page {
            class: "node",
            kind: info.kind.as_str(),
            summary: info.summary.as_str(),
            about: one_line(info.about.as_str()),
            input: Some(info.input.as_str()),
            schema: parse(&kind.schema()),
            edges: kind.edges(),
            reads: info.reads.as_slice().iter().map(|slot| slot.name.as_str()).collect(),
            writes: info.writes.as_slice().iter().map(|slot| slot.name.as_str()).collect(),
            named: kind.named(),
            uses: words(info.uses),
            example: info.example.as_str(),
            library: kind.library().map(|library| library.file()),
        }
    }

    fn of_table(kind: &TableKind) -> Page {
        let info = kind.info();
        Page {
            class: "table",
            kind: info.kind.as_str(),
            summary: info.summary.as_str(),
            about: one_line(info.about.as_str()),
            input: None,
            schema: parse(&kind.schema()),
            edges: &[],
            reads: Vec::new(),
            writes: Vec::new(),
            named: None,
            uses: words(info.uses),
            example: info.example.as_str(),
            library: kind.library().map(|library| library.file()),
        }
    }

    fn of_driver(kind: &DriverKind) -> Page {
        let schema = parse(&(kind.schema)());
        Page {
            class: "driver",
            kind: kind.name,
            summary: kind.summary,
            about: Schema::new(&schema).description(),
            input: None,
            schema,
            edges: &[],
            reads: Vec::new(),
            writes: Vec::new(),
            named: None,
            uses: Vec::new(),
            example: kind.example,
            library: None,
        }
    }

    fn brief(&self) -> Value {
        let mut brief = json!({ "class": self.class, "kind": self.kind, "summary": self.summary });
        if let Some(library) = self.library {
            brief["library"] = library.into();
        }
        brief
    }

    fn to_json(&self) -> Value {
        let edge = |edge: &EdgeInfo| {
            json!({
                "name": edge.name.as_str(), "class": class_word(edge.class), "layer": edge.layer.as_str(),
                "doc": one_line(edge.doc.as_str()),
            })
        };
        let mut page = self.brief();
        page["about"] = self.about.as_str().into();
        page["settings"] = self.schema.clone();
        if let Some(input) = self.input {
            page["input"] = input.into();
            page["edges"] = self.edges.iter().map(edge).collect();
            if let Some(named) = self.named {
                page["named-edges"] = edge(named);
            }
        }
        if self.class != "driver" {
            page["uses"] = self.uses.clone().into();
        }
        page["example"] = self.example.into();
        page
    }

    fn text(&self, colour: bool) -> String {
        let bold = |text: &str| paint(text, Style::Bold, colour);
        let mut text = format!("{} ({})\n{}\n", bold(self.kind), self.class, wrap(self.summary, 2));
        if !self.about.is_empty() {
            let _ = writeln!(text, "{}", wrap(&self.about, 2));
        }
        if let Some(library) = self.library {
            let _ = writeln!(text, "\n{}\n  {library}", bold("Library"));
        }
        if let Some(input) = self.input {
            let _ = writeln!(text, "\n{}\n{}", bold("Takes"), wrap(layer_words(input), 2));
        }
        if !self.uses.is_empty() {
            let _ = writeln!(text, "\n{}", bold("Refers to"));
        }
        for uses in &self.uses {
            let _ = writeln!(text, "  a table of kind {uses}");
        }
        let _ = writeln!(text, "\n{}", bold("Settings"));
        let settings = Schema::new(&self.schema).settings();
        if settings.is_empty() {
            text.push_str("  none\n");
        }
        for setting in settings {
            let default = setting.default.map_or(String::new(), |default| format!("; default {default}"));
            let required = if setting.required { "; required" } else { "" };
            let _ = writeln!(text, "  {}: {}{required}{default}", bold(&setting.path), setting.kind);
            if !setting.doc.is_empty() {
                let _ = writeln!(text, "{}", wrap(&setting.doc, 6));
            }
        }
        for (heading, drops) in [("Edges", false), ("Drop reasons", true)] {
            let edges: Vec<&EdgeInfo> = self.edges.iter().filter(|edge| (edge.class == EdgeClass::Drop) == drops).collect();
            let named = self.named.filter(|_| !drops);
            if !edges.is_empty() || named.is_some() {
                let _ = writeln!(text, "\n{}", bold(heading));
            }
            for edge in edges {
                let _ = writeln!(text, "  {}{}", bold(edge.name.as_str()), edge_words(edge));
                let _ = writeln!(text, "{}", wrap(&one_line(edge.doc.as_str()), 6));
            }
            if let Some(edge) = named {
                let _ = writeln!(text, "  {}{}: as many as the graph names", bold(edge.name.as_str()), carries(edge));
                let _ = writeln!(text, "{}", wrap(&one_line(edge.doc.as_str()), 6));
            }
        }
        if !self.example.is_empty() {
            let _ = write!(text, "\n{}\n{}", bold("Example"), self.example);
        }
        text
    }
}

fn words(list: List<Str>) -> Vec<&'static str> {
    list.as_slice().iter().map(|word| word.as_str()).collect()
}

fn overview(all: &[Page], colour: bool) -> String {
    let mut text = String::new();
    for (class, headings) in
        [("node", ["NODE", "TAKES", "SUMMARY"]), ("table", ["TABLE", "", "SUMMARY"]), ("driver", ["DRIVER", "", "SUMMARY"])]
    {
        let mut headings = if class == "node" { headings.to_vec() } else { vec![headings[0], headings[2]] };
        // Of kinds of swath itself nobody asks where they are.
        let libraries = all.iter().any(|page| page.class == class && page.library.is_some());
        if libraries {
            headings.push("LIBRARY");
        }
        let mut table = Table::new(&headings, 0..0);
        for page in all.iter().filter(|page| page.class == class) {
            let input = page.input.map(|input| if input == layer::ANY { "any" } else { input }.to_owned());
            let library = libraries.then(|| page.library.unwrap_or_default().to_owned());
            table.row([Some(page.kind.into()), input, Some(page.summary.into()), library].into_iter().flatten());
        }
        text.push_str(&table.render(colour));
        text.push('\n');
    }
    text + "`swath nodes KIND` says everything about one of them.\n"
}

/// What a node takes, in words where the layer is none.
pub fn layer_words(layer: &str) -> &str {
    match layer {
        layer::ANY => "packets of any kind",
        layer::NONE => "nothing: packets come from an interface",
        other => other,
    }
}

fn carries(edge: &EdgeInfo) -> String {
    match edge.layer.as_str() {
        layer::ANY => String::new(),
        layer::SAME => " (as taken)".into(),
        other => format!(" ({other})"),
    }
}

fn edge_words(edge: &EdgeInfo) -> String {
    let carries = carries(edge);
    match edge.class {
        EdgeClass::Required => format!("{carries}: must be wired"),
        EdgeClass::Edge => format!("{carries}: drops by this name if it is not wired"),
        EdgeClass::Drop => String::new(),
        EdgeClass::Held => ": kept by the node".into(),
        EdgeClass::Consumed => ": ends here, and is no drop".into(),
        EdgeClass::Transmit => ": leaves by an interface".into(),
    }
}

/// The word for a class, in JSON.
pub fn class_word(class: EdgeClass) -> &'static str {
    match class {
        EdgeClass::Edge => "edge",
        EdgeClass::Required => "required",
        EdgeClass::Drop => "drop",
        EdgeClass::Held => "held",
        EdgeClass::Consumed => "consumed",
        EdgeClass::Transmit => "transmit",
    }
}

fn parse(schema: &str) -> Value {
    serde_json::from_str(schema).unwrap_or_default()
}

fn pretty(json: &Value) -> String {
    serde_json::to_string_pretty(json).unwrap_or_default() + "\n"
}
