//! Sessions of a table: which are meant, and how they are shown. What stateful rules and address translation have in common.

use serde_json::{Map, Value, json};

use super::{RemoteTable, done, text_of, write_json};
use crate::args::Format;
use crate::exit::Failure;
use crate::figures::grouped;
use crate::table::Table;
use crate::terminal::Terminal;

/// What to do with sessions.
#[derive(Debug, clap::Subcommand)]
pub enum SessionsCommand {
    /// List sessions
    List {
        #[command(flatten)]
        which: Which,
        /// The most that are listed
        #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
        limit: usize,
    },
    /// Count sessions
    Count {
        #[command(flatten)]
        which: Which,
    },
    /// End sessions
    Remove {
        #[command(flatten)]
        which: Which,
        /// End all of them
        #[arg(long, conflicts_with_all = ["address", "port", "protocol", "state"])]
        all: bool,
    },
}

/// Which sessions: those that every option fits.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// An address of either end, before or after translation
    #[arg(long)]
    pub address: Option<std::net::IpAddr>,
    /// A port of either end, before or after translation
    #[arg(long)]
    pub port: Option<u16>,
    /// The protocol: `tcp`, `udp`, `icmp`, or its number
    #[arg(long, value_parser = protocol)]
    pub protocol: Option<u8>,
    /// The state, as the list shows it
    #[arg(long)]
    pub state: Option<String>,
}

fn protocol(text: &str) -> Result<u8, String> {
    match text {
        "icmp" => Ok(1),
        "tcp" => Ok(6),
        "udp" => Ok(17),
        "icmp6" => Ok(58),
        "sctp" => Ok(132),
        number => number.parse().map_err(|_| "expected `tcp`, `udp`, `icmp`, or a number from 0 to 255".into()),
    }
}

impl Which {
    fn to_json(&self) -> Value {
        let words = [
            ("address", self.address.map(|address| address.to_string().into())),
            ("port", self.port.map(Value::from)),
            ("protocol", self.protocol.map(Value::from)),
            ("state", self.state.clone().map(Value::from)),
        ];
        words.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?))).collect::<Map<_, _>>().into()
    }

    fn is_empty(&self) -> bool {
        self.to_json().as_object().is_none_or(Map::is_empty)
    }
}

/// Does something with sessions.
pub fn sessions(table: &mut RemoteTable, command: &SessionsCommand, format: Format, terminal: &Terminal) -> Result<(), Failure> {
    let ask = |which: &Which, limit: usize| json!({ "sessions": { "which": which.to_json(), "limit": limit } });
    match command {
        SessionsCommand::List { which, limit } => {
            let answer: Value = table.command(&ask(which, *limit))?;
            if format == Format::Json {
                return write_json(&answer, terminal);
            }
            let found = &answer["sessions"];
            let sessions = found["sessions"].as_array().map(Vec::as_slice).unwrap_or_default();
            terminal.data(&list(sessions, terminal.data_colour))?;
            let all = found["found"].as_u64().unwrap_or(0);
            if all > sessions.len() as u64 {
                terminal.warn(&format!("these are {} of {}: --limit says how many are listed", sessions.len(), grouped(all)));
            }
            Ok(())
        }
        SessionsCommand::Count { which } => {
            let answer: Value = table.command(&ask(which, 0))?;
            let found = answer["sessions"]["found"].as_u64().unwrap_or(0);
            if format == Format::Json {
                write_json(&json!({ "found": found }), terminal)
            } else {
                terminal.data(&format!("{found}\n"))
            }
        }
        SessionsCommand::Remove { which, all } => {
            if which.is_empty() && !all {
                return Err(Failure::usage("which sessions? `--all`, or `--address`, `--port`, `--protocol`, `--state`"));
            }
            let answer: Value = table.command(&json!({ "end-sessions": { "which": which.to_json() } }))?;
            let ended = answer["ended"]["sessions"].as_u64().unwrap_or(0);
            let words = if ended == 1 { "session" } else { "sessions" };
            done(&answer, &format!("{} {words} ended in `{}`", grouped(ended), table.name), format, terminal)
        }
    }
}

fn list(sessions: &[Value], colour: bool) -> String {
    let translated = sessions.iter().any(|session| session.get("outside").is_some());
    let mut headings = vec!["SESSION", "STATE", "AGE", "IDLE"];
    headings.insert(1, if translated { "OUTSIDE" } else { "FROM" });
    let mut table = Table::new(&headings, 3..5);
    for session in sessions {
        let from = match session["outside"].as_str() {
            Some(outside) if session["inbound"] == json!(true) => format!("{outside} (called)"),
            Some(outside) => outside.into(),
            None => text_of(&session["rx"]),
        };
        let [flow, state, age, idle] = ["flow", "state", "age", "idle"].map(|key| text_of(&session[key]));
        table.row([flow, from, state, age, idle]);
    }
    table.render(colour)
}
