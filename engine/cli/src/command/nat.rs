//! `swath nat`: address translation.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use swath_ctl::{restore, save};

use super::filter::{SessionsCommand, sessions};
use super::{RemoteTable, TableArgs, done, text_of, write_json};
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
  swath nat forward add --inside 192.168.1.20 --protocol tcp --port 443
  swath nat forward del --protocol tcp --port 443
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
    /// List, add or remove hosts and ports that are reached from outside
    #[command(subcommand)]
    Forward(ForwardCommand),
}

/// What to do with hosts and ports that are reached from outside. It takes effect at once, and lasts until the engine stops or a reload changes the
/// settings of the table.
#[derive(Debug, clap::Subcommand)]
pub enum ForwardCommand {
    /// List them, those of the settings, too
    List,
    /// Add one; a session that has its port ends with its next packet
    Add {
        /// The inside address
        #[arg(long, value_name = "ADDRESS")]
        inside: Ipv4Addr,
        #[command(flatten)]
        outside: OutsideArgs,
        /// The port inside [default: as outside]
        #[arg(long, value_name = "PORT", requires = "port")]
        inside_port: Option<u16>,
    },
    /// Remove one, of the settings, too; its sessions end with their next packets
    Del {
        #[command(flatten)]
        outside: OutsideArgs,
    },
}

/// An address outside, or a port of it.
#[derive(Debug, clap::Args)]
pub struct OutsideArgs {
    /// The address outside [default: the only one of the pool]
    #[arg(long, value_name = "ADDRESS")]
    pub outside: Option<Ipv4Addr>,
    /// The protocol of the port
    #[arg(long, value_parser = ["tcp", "udp"], requires = "port")]
    pub protocol: Option<String>,
    /// The port outside; without it all of the address is meant
    #[arg(long, requires = "protocol")]
    pub port: Option<u16>,
}

impl OutsideArgs {
    fn to_json(&self) -> Map<String, Value> {
        let words = [
            ("outside", self.outside.map(|address| address.to_string().into())),
            ("protocol", self.protocol.clone().map(Value::from)),
            ("port", self.port.map(Value::from)),
        ];
        words.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?))).collect()
    }
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
        NatCommand::Forward(command) => forward(&mut table, command, format, terminal)?,
    }
    Ok(Exit::Ok)
}

fn forward(table: &mut RemoteTable, command: &ForwardCommand, format: Format, terminal: &Terminal) -> Result<(), Failure> {
    let (asked, words) = match command {
        ForwardCommand::List => {
            let answer: Value = table.command(&json!({ "forwards": {} }))?;
            let forwards = &answer["forwards"]["forwards"];
            return if format == Format::Json {
                write_json(&json!({ "forwards": forwards }), terminal)
            } else {
                terminal.data(&forwards.as_array().into_iter().flatten().map(line).collect::<String>())
            };
        }
        ForwardCommand::Add { inside, outside, inside_port } => {
            let mut asked = outside.to_json();
            asked.insert("inside".into(), inside.to_string().into());
            asked.extend(inside_port.map(|port| ("inside-port".into(), port.into())));
            (json!({ "add-forward": asked }), "added to")
        }
        ForwardCommand::Del { outside } => (json!({ "remove-forward": outside.to_json() }), "removed from"),
    };
    let answer: Value = table.command(&asked)?;
    done(&answer, &format!("1 forward {words} `{}`", table.name), format, terminal)
}

/// From where outside to where inside.
fn line(forward: &Value) -> String {
    let end = |address: &str, port: &str| match forward[port].as_u64() {
        Some(port) => format!("{}:{port}", text_of(&forward[address])),
        None => text_of(&forward[address]),
    };
    let protocol = forward["protocol"].as_str().unwrap_or("all");
    format!("{protocol:<3}  {:<21}  {}\n", end("outside", "port"), end("inside", "inside-port"))
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
