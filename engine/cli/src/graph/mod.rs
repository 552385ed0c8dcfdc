//! `swath graph`: a picture of a graph.

mod dot;
mod layout;
mod live;
mod mermaid;
mod picture;
mod svg;
mod text;
mod words;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;

use crate::args::time;
use crate::exit::{Exit, Failure};
use crate::load::Graph;
use crate::remote::SocketArgs;
use crate::terminal::Terminal;
use live::Readings;
use picture::{Interface, Picture};

/// Arguments of `graph`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It shows interfaces, nodes, wired edges, and tables with the nodes that use them. What is not wired
is only shown by --drops. With --live there are packets per second on the edges, and the drops that
happen now, of an engine that runs. The nodes of a template's instance stand in a frame. A graph with
mistakes is not drawn: they are reported, as by `swath validate`.

The JSON form (`\"version\": 1`; fields may be added) has these lists: interfaces (name, driver,
addresses, mac, mtu); tables (name, kind, summary); layers that nodes take and edges carry; nodes in
topological order (name, kind, summary, role: receive, process, transmit or drop, layer, receives: an
interface, transmits: interfaces, tables, settings, drops: name, class, doc); and the wired edges
(from, name, to, class: edge, required or drop, main, layer, doc).

Examples:
  swath graph graphs/ip4-router.yaml
  swath graph graphs/ip4-router.yaml -o router.svg
  swath graph --live -o now.svg
  swath graph graphs/ip4-router.yaml --format dot | dot -Tpdf -o router.pdf")]
pub struct GraphArgs {
    /// The graph file; with --live not needed, but if it includes by patterns
    #[arg(required_unless_present = "live")]
    pub graph: Option<PathBuf>,
    /// The graph that runs, with packets per second on its edges, and what it drops now
    #[arg(long)]
    pub live: bool,
    /// With --live: the time over which rates are taken
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "1s", requires = "live")]
    pub over: Duration,
    #[command(flatten)]
    pub socket: SocketArgs,
    /// How to draw it; without it, as the name of the output ends (.svg, .dot, .gv, .mmd, .json, .txt), or as text
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<GraphFormat>,
    /// Where to write it; without it, or with -, to standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Which way packets flow in a picture: from left to right, or from top to bottom
    #[arg(long, value_enum, value_name = "WAY", default_value = "lr")]
    pub direction: Direction,
    /// Show the reasons for which each node may drop packets
    #[arg(long)]
    pub drops: bool,
}

/// How to draw a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Columns for a terminal.
    Text,
    /// A picture that browsers show, light or dark.
    Svg,
    /// The language of Graphviz.
    Dot,
    /// The flowcharts of Mermaid.
    Mermaid,
    /// For programs.
    Json,
}

/// Which way packets flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    /// From left to right.
    Lr,
    /// From top to bottom.
    Tb,
}

impl Direction {
    fn word(self) -> &'static str {
        match self {
            Direction::Lr => "lr",
            Direction::Tb => "tb",
        }
    }
}

/// What all formats heed.
#[derive(Debug, Clone, Copy)]
struct Options {
    direction: Direction,
    drops: bool,
}

/// Draws a graph.
///
/// # Errors
/// It cannot be read, it is refused, or the drawing cannot be written.
pub fn graph(args: &GraphArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let output = args.output.as_deref().filter(|path| *path != Path::new("-"));
    let format = format(args.format, output)?;
    let mut client = if args.live { Some(args.socket.connect()?) } else { None };
    let graph = match (&args.graph, &mut client) {
        (Some(path), _) => Graph::open(path)?,
        (None, Some(client)) => live::graph(client)?,
        (None, None) => return Err(Failure::usage("a graph file is missing")),
    };
    let mut graph = graph.colour(terminal.colour);
    let plan = graph.plan(&crate::registry())?;
    let interfaces = plan.interfaces.iter().map(Interface::new).collect();
    let engine = graph.build_unattached(plan)?;
    if graph.diagnostics().warnings() > 0 {
        terminal.say(graph.render());
    }
    let name = Path::new(graph.name()).file_name().map_or(graph.name().into(), |name| name.to_string_lossy());
    let mut picture = Picture::new(name.into_owned(), interfaces, &engine);
    if let Some(client) = &mut client {
        picture.enliven(&Readings::take(client, args.over)?);
    }
    let options = Options { direction: args.direction, drops: args.drops || args.live };
    let drawn = match format {
        GraphFormat::Text => text::text(&picture, options, terminal.data_colour && output.is_none()),
        GraphFormat::Svg => svg::svg(&picture, options),
        GraphFormat::Dot => dot::dot(&picture, options),
        GraphFormat::Mermaid => mermaid::mermaid(&picture, options),
        GraphFormat::Json => serde_json::to_string_pretty(&picture).unwrap_or_default() + "\n",
    };
    match output {
        Some(path) => std::fs::write(path, drawn).map_err(|error| Failure::no_output(path, &error))?,
        None => terminal.data(&drawn)?,
    }
    Ok(Exit::Ok)
}

/// What was asked for, or what the name of the output says.
fn format(asked: Option<GraphFormat>, output: Option<&Path>) -> Result<GraphFormat, Failure> {
    let (Some(path), None) = (output, asked) else { return Ok(asked.unwrap_or(GraphFormat::Text)) };
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => Ok(GraphFormat::Svg),
        Some("dot" | "gv") => Ok(GraphFormat::Dot),
        Some("mmd" | "mermaid") => Ok(GraphFormat::Mermaid),
        Some("json") => Ok(GraphFormat::Json),
        Some("txt") => Ok(GraphFormat::Text),
        _ => Err(Failure::usage(format!(
            "the name `{}` does not say how to draw: end it in .svg, .dot, .mmd, .json or .txt, or add --format",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests;
