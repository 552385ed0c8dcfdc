//! `swath nat`: address translation.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use serde_json::{Value, json};
use swath_ctl::{restore, save};

use super::filter::{SessionsCommand, sessions};
use super::{TableArgs, done, text_of, write_json};
use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::figures::{counted, grouped};
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
  swath nat save sessions.nat
  swath nat restore sessions.nat
  swath nat blocks --outside 203.0.113.2:20000
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
    /// List the blocks of ports that hosts have, with `port-blocks`
    Blocks {
        /// Those of an inside address
        #[arg(long, value_name = "ADDRESS")]
        inside: Option<Ipv4Addr>,
        /// The one of an address and port outside: `203.0.113.2:20000`
        #[arg(long, value_name = "ADDRESS:PORT")]
        outside: Option<SocketAddrV4>,
    },
    /// Write all sessions to a file, while it forwards
    Save {
        /// The file; one that is there is replaced when all is written
        file: PathBuf,
    },
    /// Take sessions from a file in, as far as the settings allow them
    Restore {
        /// What `save` has written
        file: PathBuf,
    },
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
        NatCommand::Blocks { inside, outside } => {
            let answer: Value = table.command(&json!({ "blocks": { "inside": inside, "outside": outside } }))?;
            if format == Format::Json {
                write_json(&answer, terminal)?
            } else {
                terminal.data(&blocks(&answer["blocks"]["blocks"]))?
            }
        }
        NatCommand::Save { file } => {
            let name = table.name.clone();
            let saved = save(file, "nat44", &name, &mut |command| table.answer(command)).map_err(Failure::other)?;
            let words = format!("{} saved in {}", counted(saved as usize, "session"), file.display());
            done(&json!({ "saved": saved }), &words, format, terminal)?;
        }
        NatCommand::Restore { file } => {
            let restored = restore(file, "nat44", &mut |command| table.answer(command)).map_err(Failure::other)?;
            let words = format!("{} in `{}`", restored.words(), table.name);
            done(&json!({ "restored": restored.taken, "not-taken": restored.not_taken }), &words, format, terminal)?;
        }
        NatCommand::Sessions(command) => sessions(&mut table, command, format, terminal)?,
    }
    Ok(Exit::Ok)
}

/// A line for each block.
fn blocks(list: &Value) -> String {
    let line = |block: &Value| {
        let text = |key: &str| text_of(&block[key]);
        let outside = format!("{}:{}-{}", text("outside"), text("first-port"), text("last-port"));
        format!("{:<15}  {outside:<27}  {} mappings\n", text("inside"), text("mappings"))
    };
    list.as_array().into_iter().flatten().map(line).collect()
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
