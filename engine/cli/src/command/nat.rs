//! `swath nat`: address translation.

use serde_json::{Value, json};

use super::filter::{SessionsCommand, sessions};
use super::{TableArgs, text_of, write_json};
use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::figures::grouped;
use crate::terminal::Terminal;

const KINDS: [&str; 1] = ["nat44"];

/// Arguments of `nat`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A session that is ended is gone for its hosts, too: the next packet from inside opens another one, with
another port perhaps. Answers come from all workers, slice by slice, while they forward.

Examples:
  swath nat show
  swath nat sessions list --address 10.0.0.5 --protocol tcp
  swath nat sessions count
  swath nat sessions remove --port 53 --protocol udp")]
pub struct NatArgs {
    #[command(subcommand)]
    pub command: NatCommand,
    #[command(flatten)]
    pub table: TableArgs,
}

/// What to do with address translation.
#[derive(Debug, clap::Subcommand)]
pub enum NatCommand {
    /// Say how full the table is, and how it translates
    Show,
    /// List, count or end sessions
    #[command(subcommand)]
    Sessions(SessionsCommand),
}

/// Does something with address translation.
///
/// # Errors
/// No engine answers, or the table refuses.
pub fn nat(args: &NatArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut table = args.table.find(&KINDS)?;
    let format = args.table.engine.format;
    match &args.command {
        NatCommand::Show => {
            let answer: Value = table.command(&json!({ "show": {} }))?;
            if format == Format::Json { write_json(&answer, terminal)? } else { terminal.data(&words(&answer["table"]))? }
        }
        NatCommand::Sessions(command) => sessions(&mut table, command, format, terminal)?,
    }
    Ok(Exit::Ok)
}

fn words(table: &Value) -> String {
    let number = |key: &str| grouped(table[key].as_u64().unwrap_or(0));
    format!(
        "sessions   {} of {}\nmappings   {}, {}\nports      {} of {} free, of {} addresses, {}\nfiltering  {}\n",
        number("sessions"),
        number("capacity"),
        number("mappings"),
        text_of(&table["mapping"]),
        number("ports-free"),
        number("ports"),
        number("addresses"),
        text_of(&table["pooling"]),
        text_of(&table["filtering"]),
    )
}
