//! `swath acl`: rules for packets.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::filter::{SessionsCommand, sessions};
use super::{TableArgs, done, read_yaml, write_json};
use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::figures::{counted, grouped};
use crate::table::Table;
use crate::terminal::Terminal;

const KINDS: [&str; 1] = ["acl"];

/// Arguments of `acl`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Rules are those of a table `acl` in a graph: `swath nodes acl` has all that they may say. A file of
rules is YAML: a list, or a graph's `rules: [...]`. All rules of a file take effect at the same moment, or
none. They last until the engine ends: what is to stay belongs into the graph file.

Examples:
  swath acl show
  swath acl add '{ action: deny, source: 192.0.2.0/24 }' --at 0
  swath acl remove 0
  swath acl replace rules.yaml
  swath acl sessions count --protocol tcp")]
pub struct AclArgs {
    #[command(subcommand)]
    pub command: AclCommand,
    #[command(flatten)]
    pub table: TableArgs,
}

/// What to do with rules.
#[derive(Debug, clap::Subcommand)]
pub enum AclCommand {
    /// List rules in their order, with the packets that each has decided
    Show,
    /// Add a rule
    Add {
        /// The rule, as it stands in a graph
        rule: String,
        /// The place that it gets, from 0; without it, the last
        #[arg(long, value_name = "PLACE")]
        at: Option<usize>,
    },
    /// Remove a rule
    Remove {
        /// Its name, or its place, from 0
        which: String,
    },
    /// Put the rules of a file in the place of all
    Replace {
        /// The file, or `-` for standard input
        file: PathBuf,
    },
    /// List, count or end the sessions of `permit+reflect`
    #[command(subcommand)]
    Sessions(SessionsCommand),
}

/// Does something with rules.
///
/// # Errors
/// No engine answers, or the table refuses.
pub fn acl(args: &AclArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    // Before anybody is asked.
    let rules = match &args.command {
        AclCommand::Replace { file } => Some(rules(read_yaml(file, terminal.colour)?)?),
        _ => None,
    };
    let mut table = args.table.find(&KINDS)?;
    let format = args.table.engine.format;
    let (command, words) = match &args.command {
        AclCommand::Show => {
            let answer: Value = table.command(&json!({ "hits": {} }))?;
            if format == Format::Json {
                write_json(&answer, terminal)?
            } else {
                terminal.data(&list(&answer, terminal.data_colour))?
            }
            return Ok(Exit::Ok);
        }
        AclCommand::Sessions(command) => {
            sessions(&mut table, command, format, terminal)?;
            return Ok(Exit::Ok);
        }
        AclCommand::Add { rule, at } => (json!({ "add": { "rule": rule_of(rule)?, "at": at } }), "added".into()),
        AclCommand::Remove { which } => {
            let which = which.parse::<usize>().map_or_else(|_| json!({ "name": which }), |at| json!({ "at": at }));
            (json!({ "remove": which }), "removed".into())
        }
        AclCommand::Replace { .. } => {
            let rules = rules.unwrap_or_default();
            let count = counted(rules.as_array().map_or(0, Vec::len), "rule");
            (json!({ "replace": { "rules": rules } }), format!("{count} in force"))
        }
    };
    let answer: Value = table.command(&command)?;
    done(&answer, &format!("{words} in `{}`", table.name), format, terminal)?;
    Ok(Exit::Ok)
}

/// A rule in a line of YAML.
fn rule_of(text: &str) -> Result<Value, Failure> {
    let mut sources = swath_core::spec::SourceMap::new();
    let mut diagnostics = swath_core::spec::Diagnostics::new();
    let id = sources.add("rule", text);
    let value = sources.get(id).and_then(|source| swath_core::spec::yaml::read(source, &mut diagnostics));
    value.map(|value| value.to_json()).ok_or_else(|| Failure::usage(diagnostics.render(&sources, false)))
}

/// The list of rules that a file has.
fn rules(mut value: Value) -> Result<Value, Failure> {
    if let Some(rules) = value.get_mut("rules") {
        value = rules.take();
    }
    if value.is_array() { Ok(value) } else { Err(Failure::usage("the file has no list of rules")) }
}

fn list(answer: &Value, colour: bool) -> String {
    let mut table = Table::new(&["PLACE", "PACKETS", "ACTION", "NAME", "RULE"], 0..2);
    let hits = &answer["hits"];
    let rules = hits["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (place, counted) in rules.iter().enumerate() {
        let rule = counted["rule"].as_object().cloned().unwrap_or_default();
        let words = rule.iter().filter(|(key, value)| !["action", "name"].contains(&key.as_str()) && !value.is_null());
        let words: Vec<String> = words.map(|(key, value)| format!("{key} {}", super::text_of(value))).collect();
        let text = |key: &str| rule.get(key).map(super::text_of).unwrap_or_default();
        let packets = grouped(counted["packets"].as_u64().unwrap_or(0));
        table.row([place.to_string(), packets, text("action"), text("name"), words.join(", ")]);
    }
    let default = grouped(hits["default"].as_u64().unwrap_or(0));
    table.row(["-".into(), default, "default".into(), String::new(), "no rule holds".into()]);
    table.render(colour)
}
