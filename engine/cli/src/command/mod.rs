//! Commands to the tables and interfaces of a running engine. What they change lasts until it ends: the graph file stays as it is.

pub mod acl;
pub mod bridge;
pub mod deny;
mod filter;
pub mod interface;
pub mod nat;
pub mod neighbour;
pub mod route;
mod route_text;
pub mod table;

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use swath_core::spec::{Diagnostics, SourceMap, suggestion, yaml};
use swath_ctl::api::Table;
use swath_ctl::{Client, ClientError};

use crate::args::Format;
use crate::exit::Failure;
use crate::remote::{SocketArgs, failure, segment};
use crate::terminal::Terminal;

/// Which table a command goes to.
#[derive(Debug, Clone, clap::Args)]
pub struct TableArgs {
    /// The table; not needed if the graph has only one of the kind
    #[arg(long, value_name = "NAME", global = true)]
    pub table: Option<String>,
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Which engine a command goes to, and how its answer is shown.
#[derive(Debug, Clone, clap::Args)]
pub struct EngineArgs {
    /// How to show the answer: for people, or as JSON
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text", global = true)]
    pub format: Format,
    #[command(flatten)]
    pub socket: SocketArgs,
}

impl TableArgs {
    /// The table of this name, or the only one of these kinds.
    fn find(&self, kinds: &[&str]) -> Result<RemoteTable, Failure> {
        let mut client = self.engine.socket.connect()?;
        let tables: Vec<Table> = client.get("/v1/tables").map_err(|error| failure(&error))?;
        let fit: Vec<&str> = tables.iter().filter(|table| kinds.contains(&&*table.kind)).map(|table| &*table.name).collect();
        let name = choose(self.table.as_deref(), &fit, &kinds.join("` or `"))?.to_string();
        Ok(RemoteTable { client, name })
    }
}

/// The name of the table that is meant, of those that fit.
fn choose<'a>(name: Option<&'a str>, fit: &[&'a str], kinds: &str) -> Result<&'a str, Failure> {
    match (name, fit) {
        (Some(name), _) if fit.contains(&name) => Ok(name),
        (Some(name), _) => {
            let help = suggestion(name, "there are", fit).map_or(String::new(), |help| format!("; {help}"));
            Err(Failure::usage(format!("there is no table `{name}` of kind `{kinds}`{help}")))
        }
        (None, [only]) => Ok(only),
        (None, []) => Err(Failure::other(format!("the graph has no table of kind `{kinds}`"))),
        (None, several) => {
            let names = several.join("`, `");
            Err(Failure::usage(format!("there are several tables of kind `{kinds}`: `--table` says which of `{names}`")))
        }
    }
}

/// A table that commands go to.
#[derive(Debug)]
struct RemoteTable {
    client: Client,
    name: String,
}

impl RemoteTable {
    /// Sends a command, and returns the answer.
    fn command<T: DeserializeOwned>(&mut self, command: &impl Serialize) -> Result<T, Failure> {
        let text = serde_json::to_string(command).map_err(|error| Failure::other(error.to_string()))?;
        self.send(text).map_err(|error| failure(&error))
    }

    /// Sends a command, and returns the answer as it stands, or why there is none.
    fn answer(&mut self, command: &str) -> Result<Box<RawValue>, String> {
        self.send(command.into()).map_err(|error| error.to_string())
    }

    /// Sends a command, or several in a list.
    fn send<T: DeserializeOwned>(&mut self, text: String) -> Result<T, ClientError> {
        self.client.post(&format!("/v1/tables/{}/commands", segment(&self.name)), text)
    }
}

/// Writes an answer as JSON.
pub fn write_json(answer: &Value, terminal: &Terminal) -> Result<(), Failure> {
    terminal.data(&(serde_json::to_string_pretty(answer).unwrap_or_default() + "\n"))
}

/// Says that something is done; as JSON, what the table has answered.
fn done(answer: &Value, words: &str, format: Format, terminal: &Terminal) -> Result<(), Failure> {
    if format == Format::Json {
        return write_json(answer, terminal);
    }
    terminal.say(words);
    Ok(())
}

/// Reads a file, or standard input for `-`.
fn read(path: &Path) -> Result<String, Failure> {
    let text = if path == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    text.map_err(|error| Failure::no_input(path, &error))
}

/// Reads a file of YAML, of which JSON is a part.
fn read_yaml(path: &Path, colour: bool) -> Result<Value, Failure> {
    let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
    let id = sources.add(path.display().to_string(), read(path)?);
    let value = sources.get(id).and_then(|source| yaml::read(source, &mut diagnostics));
    match value.filter(|_| diagnostics.errors() == 0) {
        Some(value) => Ok(value.to_json()),
        None => Err(Failure::config(diagnostics.render(&sources, colour))),
    }
}

/// A text of an answer, or nothing.
fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_that_is_meant() {
        assert_eq!(choose(None, &["routes"], "fib4"), Ok("routes"));
        assert_eq!(choose(Some("b"), &["a", "b"], "fib4"), Ok("b"));
        let why = |name, fit: &[&str]| choose(name, fit, "fib4").unwrap_err().to_string();
        assert_eq!(why(None, &[]), "the graph has no table of kind `fib4`");
        assert_eq!(why(None, &["a", "b"]), "there are several tables of kind `fib4`: `--table` says which of `a`, `b`");
        assert_eq!(why(Some("rotes"), &["routes"]), "there is no table `rotes` of kind `fib4`; did you mean `routes`?");
    }
}
