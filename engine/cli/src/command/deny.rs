//! `swath deny`: lists of addresses to deny.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{TableArgs, done, read, text_of, write_json};
use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::figures::grouped;
use crate::terminal::Terminal;

const KINDS: [&str; 1] = ["deny-list"];

/// Arguments of `deny`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
An entry is an address, a prefix or a range such as 192.0.2.1-192.0.2.9. A file has one in each line;
`#` and `;` begin comments. What is in a list before and after it is replaced is denied all the time.

Examples:
  swath deny show
  swath deny lookup 192.0.2.1
  swath deny add 192.0.2.0/24 2001:db8::/32
  swath deny remove 192.0.2.0/24
  swath deny replace --from drop.txt")]
pub struct DenyArgs {
    #[command(subcommand)]
    pub command: DenyCommand,
    #[command(flatten)]
    pub table: TableArgs,
}

/// What to do with a list.
#[derive(Debug, clap::Subcommand)]
pub enum DenyCommand {
    /// Say how long the list is, and what it has counted
    Show,
    /// Say why an address is denied
    Lookup {
        /// The address
        address: String,
    },
    /// Add entries
    Add(Entries),
    /// Remove entries
    Remove(Entries),
    /// Put others in the place of all
    Replace(Entries),
}

/// Entries, or a file of them.
#[derive(Debug, clap::Args)]
pub struct Entries {
    /// Addresses, prefixes and ranges
    #[arg(value_name = "ENTRY", required_unless_present = "from", conflicts_with = "from")]
    pub entries: Vec<String>,
    /// A file with one in each line, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
}

impl Entries {
    fn read(&self) -> Result<Vec<String>, Failure> {
        let Some(path) = &self.from else { return Ok(self.entries.clone()) };
        let text = read(path)?;
        let lines = text.lines().map(|line| line.split(['#', ';']).next().unwrap_or_default().trim());
        Ok(lines.filter(|line| !line.is_empty()).map(Into::into).collect())
    }
}

/// Does something with a list.
///
/// # Errors
/// No engine answers, or the table refuses.
pub fn deny(args: &DenyArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let command = match &args.command {
        DenyCommand::Show => json!({ "show": {} }),
        DenyCommand::Lookup { address } => json!({ "lookup": { "address": address } }),
        DenyCommand::Add(entries) => json!({ "add": { "prefixes": entries.read()? } }),
        DenyCommand::Remove(entries) => json!({ "remove": { "prefixes": entries.read()? } }),
        DenyCommand::Replace(entries) => json!({ "replace": { "prefixes": entries.read()? } }),
    };
    let mut table = args.table.find(&KINDS)?;
    let format = args.table.engine.format;
    let answer: Value = table.command(&command)?;
    let number = |value: &Value| grouped(value.as_u64().unwrap_or(0));
    if format == Format::Json {
        write_json(&answer, terminal)?;
    } else if let Some(changed) = answer.get("changed") {
        let words = format!("{} added and {} removed in `{}`", number(&changed["added"]), number(&changed["removed"]), table.name);
        done(&answer, &words, format, terminal)?;
    } else if let Some(listed) = answer.get("listed") {
        let prefix = Some(text_of(&listed["prefix"])).filter(|prefix| !prefix.is_empty());
        terminal.data(&prefix.map_or("not denied\n".into(), |prefix| format!("denied by {prefix}\n")))?;
    } else {
        let list = &answer["list"];
        terminal.data(&format!(
            "prefixes  {} of IPv4, {} of IPv6\ndenied    {} packets by their source, {} by their destination\n",
            number(&list["ip4"]),
            number(&list["ip6"]),
            number(&list["sources"]),
            number(&list["destinations"]),
        ))?;
    }
    Ok(Exit::Ok)
}
