//! `swath table`: any command to any table.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{read, write_json};
use crate::exit::{Exit, Failure};
use crate::remote::{SocketArgs, failure, segment};
use crate::terminal::Terminal;

/// Arguments of `table`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A command is an object of JSON with one key, or that key alone if it needs nothing more. Several in a
list are carried out one after the other, until one is refused. The answer is JSON. For what people do
every day there are commands of their own, such as `swath route`; commands of any table are in its page
of the catalogue of kinds. What they change lasts until the engine ends.

Examples:
  swath table routes show
  swath table routes '{\"lookup\": {\"address\": \"10.1.2.3\"}}'
  swath table neighbours '[{\"flush\": {}}, {\"show\": {}}]'
  swath table routes --from commands.json")]
pub struct TableCommandArgs {
    /// The table
    pub name: String,
    /// The command, or several in a list
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    pub command: Option<String>,
    /// A file with the command or the list, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// Sends a command to a table.
///
/// # Errors
/// No engine answers, or the table refuses.
pub fn table(args: &TableCommandArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let text = match &args.from {
        Some(path) => read(path)?,
        None => args.command.clone().unwrap_or_default(),
    };
    let text = text.trim();
    let body = if text.starts_with(['{', '[']) { text.to_string() } else { json!({ text: {} }).to_string() };
    let mut client = args.socket.connect()?;
    let answer: Value =
        client.post(&format!("/v1/tables/{}/commands", segment(&args.name)), body).map_err(|error| failure(&error))?;
    write_json(&answer, terminal)?;
    Ok(Exit::Ok)
}
