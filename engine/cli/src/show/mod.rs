//! `swath show`: what a running engine does, for people, what is wrong first.

mod attention;
mod text;

use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use swath_ctl::Client;
use swath_ctl::api::{Config, Drops, Interface, Node, Process, Runtime, Table};

use crate::args::{Format, time};
use crate::exit::{Exit, Failure};
use crate::remote::{SocketArgs, failure, segment};
use crate::terminal::Terminal;

pub use text::{Since, drops as render_drops, receive_lost, state as interface_state, transmit_lost};

const HELP: &str = "\
Without a subject: the process, what is wrong with it, interfaces, workers and tables. Rates are
those of one second, in which it waits; --over says another time, and with `--over 0` they are those
since the start. As JSON there are no rates, but the counts that the control API has.

Examples:
  swath show
  swath show interfaces
  swath show nodes lookup
  swath show tables --format json
  swath show config > running.yaml";

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct ShowArgs {
    /// What to show; without it, an overview
    #[arg(value_enum)]
    pub what: Option<What>,
    /// Of interfaces, tables or nodes: everything about this one
    #[arg(requires = "what")]
    pub name: Option<String>,
    /// The time over which rates are taken: `500ms`, or a number of seconds
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "1s")]
    pub over: Duration,
    /// How to show it: for people, or as JSON
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// What there is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// State, addresses and rates of interfaces
    Interfaces,
    /// Tables with their figures
    Tables,
    /// Packets, cycles and drops by node
    Nodes,
    /// How workers spend their time, and where packets and buffers are
    Runtime,
    /// Why packets were dropped; as `swath drops`
    Drops,
    /// The text of the graph that runs
    Config,
}

impl What {
    fn resource(self) -> &'static str {
        match self {
            What::Interfaces => "/v1/interfaces",
            What::Tables => "/v1/tables",
            What::Nodes => "/v1/nodes",
            What::Runtime => "/v1/runtime",
            What::Drops => "/v1/drops",
            What::Config => "/v1/config",
        }
    }
}

/// Shows what was asked for.
///
/// # Errors
/// No engine answers, or there is nothing of this name.
pub fn show(args: &ShowArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let named = matches!(args.what, Some(What::Interfaces | What::Tables | What::Nodes));
    if let (Some(name), false) = (&args.name, named) {
        return Err(Failure::usage(format!("only interfaces, tables and nodes have names, such as `{name}`")));
    }
    let mut engine = Remote { client: args.socket.connect()?, over: args.over };
    let text = if args.format == Format::Json { engine.json(args)? } else { engine.text(args, terminal.data_colour)? };
    terminal.data(&text)?;
    Ok(Exit::Ok)
}

/// An engine that is asked, and asked again.
pub struct Remote {
    /// The connection to it.
    pub client: Client,
    /// The time in between.
    pub over: Duration,
}

/// Two readings, and the seconds between them.
pub struct Readings<T> {
    pub before: T,
    pub now: T,
    pub seconds: f64,
}

/// What an overview shows.
#[derive(Default, Clone)]
pub struct Overview {
    pub interfaces: Vec<Interface>,
    pub drops: Vec<Drops>,
    pub runtime: Option<Runtime>,
}

impl Remote {
    /// What a resource is now.
    ///
    /// # Errors
    /// There is no such resource, or no answer.
    pub fn get<T: DeserializeOwned>(&mut self, resource: &str) -> Result<T, Failure> {
        self.client.get(resource).map_err(|error| failure(&error))
    }

    /// Reads twice; without a time between, from nothing on.
    fn twice<T>(
        &mut self,
        nothing: impl FnOnce(&T) -> T,
        read: impl Fn(&mut Remote) -> Result<T, Failure>,
    ) -> Result<Readings<T>, Failure> {
        if self.over.is_zero() {
            let (now, process) = (read(self)?, self.get::<Process>("/v1")?);
            return Ok(Readings { before: nothing(&now), now, seconds: process.uptime.max(f64::MIN_POSITIVE) });
        }
        let (before, start) = (read(self)?, Instant::now());
        std::thread::sleep(self.over);
        let now = read(self)?;
        Ok(Readings { before, now, seconds: start.elapsed().as_secs_f64() })
    }

    /// Reads a list twice.
    ///
    /// # Errors
    /// There is no such list, or no answer.
    pub fn list_twice<T: DeserializeOwned>(&mut self, resource: &str) -> Result<Readings<Vec<T>>, Failure> {
        self.twice(|_| Vec::new(), |remote| remote.get(resource))
    }

    fn json(&mut self, args: &ShowArgs) -> Result<String, Failure> {
        let value: Value = match (args.what, &args.name) {
            (Some(what), None) => self.get(what.resource())?,
            (Some(what), Some(name)) => self.get(&format!("{}/{}", what.resource(), segment(name)))?,
            (None, _) => {
                let mut all = Map::new();
                all.insert("process".into(), self.get("/v1")?);
                for what in [What::Interfaces, What::Tables, What::Runtime, What::Drops] {
                    all.insert(what.resource().trim_start_matches("/v1/").into(), self.get(what.resource())?);
                }
                all.into()
            }
        };
        Ok(serde_json::to_string_pretty(&value).unwrap_or_default() + "\n")
    }

    fn text(&mut self, args: &ShowArgs, colour: bool) -> Result<String, Failure> {
        // Before the wait: a name that there is not is said at once.
        if let (Some(what), Some(name)) = (args.what, &args.name) {
            let _: Value = self.get(&format!("{}/{}", what.resource(), segment(name)))?;
        }
        let name = args.name.as_deref();
        Ok(match args.what {
            None => self.overview(colour)?,
            Some(what @ What::Interfaces) => text::interfaces(&self.list_twice(what.resource())?, name, colour),
            Some(what @ What::Tables) => text::tables(&self.get::<Vec<Table>>(what.resource())?, name, colour),
            Some(what @ What::Nodes) => text::nodes(&self.list_twice::<Node>(what.resource())?, name, colour),
            Some(What::Runtime) => {
                let readings =
                    self.twice(|now: &Runtime| Runtime { workers: Vec::new(), ..now.clone() }, |remote| remote.get("/v1/runtime"))?;
                text::runtime(&readings, colour)
            }
            Some(what @ What::Drops) => text::drops(&self.list_twice(what.resource())?, &|_| Vec::new(), colour),
            Some(What::Config) => {
                let config: Config = self.get("/v1/config")?;
                config.files.first().map(|file| file.text.clone()).unwrap_or_default()
            }
        })
    }

    fn overview(&mut self, colour: bool) -> Result<String, Failure> {
        let read = |remote: &mut Remote| {
            Ok(Overview {
                interfaces: remote.get("/v1/interfaces")?,
                drops: remote.get("/v1/drops")?,
                runtime: Some(remote.get("/v1/runtime")?),
            })
        };
        let readings = self.twice(|_| Overview::default(), read)?;
        let process: Process = self.get("/v1")?;
        let tables: Vec<Table> = self.get("/v1/tables")?;
        Ok(text::overview(&process, &readings, &tables, colour))
    }
}
