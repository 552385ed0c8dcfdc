//! `swath neighbour`: who is reached by which hardware address.

use serde_json::{Value, json};

use super::{TableArgs, done, text_of, write_json};
use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::table::Table;
use crate::terminal::Terminal;

const KINDS: [&str; 1] = ["neighbours"];

/// Arguments of `neighbour`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is forgotten is asked for again when it is needed. Neighbours that are added are static, and last
until the engine ends.

Examples:
  swath neighbour list
  swath neighbour flush --interface wan
  swath neighbour add 203.0.113.1 02:00:00:00:00:fe
  swath neighbour del 203.0.113.1")]
pub struct NeighbourArgs {
    #[command(subcommand)]
    pub command: NeighbourCommand,
    #[command(flatten)]
    pub table: TableArgs,
}

/// What to do with neighbours.
#[derive(Debug, clap::Subcommand)]
pub enum NeighbourCommand {
    /// List neighbours
    List {
        /// Only those of this interface
        #[arg(long, value_name = "NAME")]
        interface: Option<String>,
    },
    /// Add a static neighbour, in the place of what was known of it
    Add {
        /// Its address
        address: String,
        /// Its hardware address
        mac: String,
        /// The interface that it is reached over; without it, the one whose subnet has the address
        #[arg(long, value_name = "NAME")]
        interface: Option<String>,
    },
    /// Forget a neighbour, static or learnt
    Del {
        /// Its address
        address: String,
        /// The interface that it is reached over; without it, the one whose subnet has the address
        #[arg(long, value_name = "NAME")]
        interface: Option<String>,
    },
    /// Forget all neighbours that are not static
    Flush {
        /// Only those of this interface
        #[arg(long, value_name = "NAME")]
        interface: Option<String>,
    },
}

/// Does something with neighbours.
///
/// # Errors
/// No engine answers, or the table refuses.
pub fn neighbour(args: &NeighbourArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut table = args.table.find(&KINDS)?;
    let format = args.table.engine.format;
    let (command, words) = match &args.command {
        NeighbourCommand::List { interface } => {
            let answer: Value = table.command(&json!({ "show": {} }))?;
            let of = |neighbour: &&Value| interface.as_ref().is_none_or(|name| neighbour["interface"] == name.as_str());
            let neighbours: Vec<&Value> = answer["neighbours"].as_array().into_iter().flatten().filter(of).collect();
            if format == Format::Json {
                write_json(&json!({ "neighbours": neighbours }), terminal)?;
            } else {
                terminal.data(&list(&neighbours, terminal.data_colour))?;
            }
            return Ok(Exit::Ok);
        }
        NeighbourCommand::Add { address, mac, interface } => {
            (json!({ "add": without_null(json!({ "address": address, "mac": mac, "interface": interface })) }), "added")
        }
        NeighbourCommand::Del { address, interface } => {
            (json!({ "remove": { "address": address, "interface": interface } }), "forgotten")
        }
        NeighbourCommand::Flush { interface } => (json!({ "flush": { "interface": interface } }), "flushed"),
    };
    let answer: Value = table.command(&command)?;
    done(&answer, &format!("{words} in `{}`", table.name), format, terminal)?;
    Ok(Exit::Ok)
}

/// An object without what is not given.
fn without_null(value: Value) -> Value {
    let Value::Object(map) = value else { return value };
    map.into_iter().filter(|(_, value)| !value.is_null()).collect::<serde_json::Map<_, _>>().into()
}

fn list(neighbours: &[&Value], colour: bool) -> String {
    let mut table = Table::new(&["ADDRESS", "HARDWARE ADDRESS", "INTERFACE", "STATE", "CONFIRMED"], 4..5);
    for neighbour in neighbours {
        let mac = neighbour["mac"].as_str().unwrap_or("asked for").to_string();
        let age = neighbour["age"].as_u64().map_or("-".into(), |age| format!("{age} s ago"));
        table.row([text_of(&neighbour["address"]), mac, text_of(&neighbour["interface"]), text_of(&neighbour["state"]), age]);
    }
    table.render(colour)
}
