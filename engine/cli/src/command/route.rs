//! `swath route`: the routes of a table.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use swath_ctl::ClientError;

use super::route_text::{WORDS, parse, parse_which};
use super::{RemoteTable, TableArgs, done, read, text_of, write_json};
use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::figures::{counted, grouped, rate};
use crate::remote::failure;
use crate::table::Table;
use crate::terminal::Terminal;

/// Kinds of tables with routes.
const KINDS: [&str; 1] = ["fib4"];
/// Routes of one request: others have their turn between two.
const BATCH: usize = 8192;

/// Arguments of `route`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
{WORDS}

A file has a route in each line; `#` begins a comment. Routes are changed one after the other while
packets pass; the first that is refused is told with its line, and those before it are in force. They
last until the engine ends: what is to stay belongs into the graph file.

Examples:
  swath route list --within 10.0.0.0/8
  swath route get 10.1.2.3
  swath route add 10.0.0.0/8 via 203.0.113.1
  swath route del 10.0.0.0/8
  swath route add --from routes.txt"))]
pub struct RouteArgs {
    #[command(subcommand)]
    pub command: RouteCommand,
    #[command(flatten)]
    pub table: TableArgs,
}

/// What to do with routes.
#[derive(Debug, clap::Subcommand)]
pub enum RouteCommand {
    /// Add a route, or put it in the place of that with the same prefix and metric
    Add(Words),
    /// Put a route in the place of that with the same prefix and metric, which must be there
    Replace(Words),
    /// Remove a route: all of its prefix, or that of a metric
    Del(Words),
    /// Say which route packets to an address take
    Get {
        /// The address
        address: String,
    },
    /// List routes by prefix
    List {
        /// Only those within this prefix
        #[arg(long, value_name = "PREFIX")]
        within: Option<String>,
        /// The most that are listed
        #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
        limit: usize,
    },
}

/// A route in words, or a file of them.
#[derive(Debug, clap::Args)]
pub struct Words {
    /// The route
    #[arg(value_name = "ROUTE", required_unless_present = "from", conflicts_with = "from")]
    pub words: Vec<String>,
    /// A file with a route in each line, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
}

/// Does something with routes.
///
/// # Errors
/// No engine answers, or the table refuses.
pub fn route(args: &RouteArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut table = args.table.find(&KINDS)?;
    let format = args.table.engine.format;
    match &args.command {
        RouteCommand::Add(words) => change(&mut table, Change::Add, words, format, terminal)?,
        RouteCommand::Replace(words) => change(&mut table, Change::Replace, words, format, terminal)?,
        RouteCommand::Del(words) => change(&mut table, Change::Remove, words, format, terminal)?,
        RouteCommand::Get { address } => {
            let answer: Value = table.command(&json!({ "lookup": { "address": address } }))?;
            if format == Format::Json { write_json(&answer, terminal)? } else { terminal.data(&found(&answer["route"]))? }
        }
        RouteCommand::List { within, limit } => {
            let within = within.as_deref().unwrap_or("0.0.0.0/0");
            let answer: Value = table.command(&json!({ "list": { "within": within, "limit": limit } }))?;
            if format == Format::Json {
                write_json(&answer, terminal)?
            } else {
                terminal.data(&list(&answer, terminal.data_colour))?
            }
            let listed = answer["routes"].as_array().map_or(0, Vec::len);
            if format == Format::Text && listed == *limit {
                terminal.warn(&format!("these are the first {}: --limit says how many are listed", counted(listed, "route")));
            }
        }
    }
    Ok(Exit::Ok)
}

/// What is done to routes.
#[derive(Clone, Copy)]
enum Change {
    Add,
    Replace,
    Remove,
}

impl Change {
    fn command<'a>(self, words: impl IntoIterator<Item = &'a str>) -> Result<Value, String> {
        match self {
            Change::Add => Ok(json!({ "add": parse(words)? })),
            Change::Replace => Ok(json!({ "replace": parse(words)? })),
            Change::Remove => Ok(json!({ "remove": parse_which(words)? })),
        }
    }

    fn past(self) -> &'static str {
        match self {
            Change::Add => "added",
            Change::Replace => "replaced",
            Change::Remove => "removed",
        }
    }
}

fn change(table: &mut RemoteTable, change: Change, words: &Words, format: Format, terminal: &Terminal) -> Result<(), Failure> {
    if let Some(path) = &words.from {
        return change_all(table, change, path, terminal);
    }
    let command = change.command(words.words.iter().flat_map(|word| word.split_whitespace())).map_err(Failure::usage)?;
    let answer: Value = table.command(&command)?;
    done(&answer, &format!("{} in `{}`", change.past(), table.name), format, terminal)
}

/// Changes what a file lists, many in each request.
fn change_all(table: &mut RemoteTable, change: Change, path: &Path, terminal: &Terminal) -> Result<(), Failure> {
    let text = read(path)?;
    let at = |line: usize, why: &str| Failure::other(format!("{}:{line}: {why}", path.display()));
    // All of it is read before the first is changed.
    let mut commands: Vec<(usize, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let route = line.split('#').next().unwrap_or_default();
        if !route.trim().is_empty() {
            let command = change.command(route.split_whitespace()).map_err(|why| at(index + 1, &why))?;
            commands.push((index + 1, command.to_string()));
        }
    }
    let start = Instant::now();
    let mut changed = 0;
    for batch in commands.chunks(BATCH) {
        let list: Vec<&str> = batch.iter().map(|(_, command)| command.as_str()).collect();
        let sent: Result<Box<RawValue>, ClientError> = table.send(format!("[{}]", list.join(",")));
        match sent {
            Ok(_) => changed += batch.len(),
            Err(ClientError::Refused(problem)) if problem.done.is_some_and(|done| done < batch.len()) => {
                let done = problem.done.unwrap_or(0);
                let why = problem.detail.unwrap_or(problem.title);
                let before = format!("{why}; {} before it {}", counted(changed + done, "route"), change.past());
                return Err(at(batch[done].0, &before));
            }
            Err(error) => return Err(failure(&error)),
        }
    }
    let seconds = start.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
    let routes = if changed == 1 { "route" } else { "routes" };
    let per_second = rate(changed as f64 / seconds);
    terminal.say(format!("{} {routes} {} in `{}`, {per_second}/s", grouped(changed as u64), change.past(), table.name));
    Ok(())
}

/// The route of an address, in a line.
fn found(route: &Value) -> String {
    let Some(prefix) = route["prefix"].as_str() else { return "no route\n".into() };
    let interface = route["interface"].as_str().map(|interface| format!(" dev {interface}")).unwrap_or_default();
    let hops: String = route["via"].as_array().into_iter().flatten().map(|hop| format!("\n  {}", next_hop(hop))).collect();
    let meaning = Some(text_of(&route["meaning"])).filter(|meaning| meaning != "forward");
    let meaning = meaning.map(|meaning| format!(" {meaning}")).unwrap_or_default();
    format!("{prefix}{meaning}{interface}{hops}\n")
}

fn next_hop(hop: &Value) -> String {
    let to = hop["to"].as_str().map(|to| format!("via {to} ")).unwrap_or_default();
    let state = if hop["up"] == json!(false) { ", down" } else { "" };
    let buckets =
        hop["buckets"].as_u64().map(|buckets| format!(", {} of its flows' buckets", grouped(buckets))).unwrap_or_default();
    format!("{to}dev {} weight {}{buckets}{state}", text_of(&hop["interface"]), hop["weight"])
}

fn list(answer: &Value, colour: bool) -> String {
    let mut table = Table::new(&["PREFIX", "NEXT HOP", "METRIC", "STATE"], 2..3);
    for route in answer["routes"].as_array().into_iter().flatten() {
        let hops = route["via"].as_array().map(Vec::as_slice).unwrap_or_default();
        let hop = |hop: &Value| match hop["to"].as_str() {
            Some(to) => format!("{to} dev {}", text_of(&hop["interface"])),
            None => format!("dev {}", text_of(&hop["interface"])),
        };
        let mut lines: Vec<String> = match hops {
            [] => vec![text_of(&route["meaning"])],
            [one] => vec![hop(one)],
            several => several.iter().map(|one| format!("{} weight {}", hop(one), one["weight"])).collect(),
        };
        let down = hops.iter().filter(|hop| hop["up"] == json!(false)).count();
        let state = match (route["active"] == json!(true), down) {
            (true, 0) => "active".into(),
            (true, down) => format!("active, {} down", counted(down, "next hop")),
            (false, down) if down > 0 && down == hops.len() => "down".into(),
            (false, _) => "stands by".into(),
        };
        table.row([text_of(&route["prefix"]), lines.remove(0), route["metric"].to_string(), state]);
        lines.into_iter().for_each(|line| table.row([String::new(), line, String::new(), String::new()]));
    }
    table.render(colour)
}
