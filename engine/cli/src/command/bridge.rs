//! `swath bridge`: the stations of a bridge.

use serde_json::{Map, Value, json};

use super::{TableArgs, done, text_of, write_json};
use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::figures::{counted, grouped};
use crate::table::Table;
use crate::terminal::Terminal;

const KINDS: [&str; 1] = ["bridge"];

/// Arguments of `bridge`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Stations that are forgotten are learnt again from their next frame.

Examples:
  swath bridge list --interface port1
  swath bridge flush
  swath bridge add 02:00:00:00:00:0a port1
  swath bridge del 02:00:00:00:00:0a")]
pub struct BridgeArgs {
    #[command(subcommand)]
    pub command: BridgeCommand,
    #[command(flatten)]
    pub table: TableArgs,
}

/// What to do with stations.
#[derive(Debug, clap::Subcommand)]
pub enum BridgeCommand {
    /// List stations
    List {
        /// Only those behind this interface
        #[arg(long, value_name = "NAME")]
        interface: Option<String>,
    },
    /// Add a static station, in the place of what was known of it
    Add {
        /// Its hardware address
        mac: String,
        /// The interface that it is behind
        interface: String,
        /// Its VLAN
        #[arg(long)]
        vlan: Option<u16>,
    },
    /// Forget a station, static or learnt
    Del {
        /// Its hardware address
        mac: String,
        /// Its VLAN
        #[arg(long)]
        vlan: Option<u16>,
    },
    /// Forget all learnt stations
    Flush {
        /// Only those behind this interface
        #[arg(long, value_name = "NAME")]
        interface: Option<String>,
        /// Only those of this VLAN
        #[arg(long)]
        vlan: Option<u16>,
    },
}

/// Does something with stations.
///
/// # Errors
/// No engine answers, or the table refuses.
pub fn bridge(args: &BridgeArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut table = args.table.find(&KINDS)?;
    let format = args.table.engine.format;
    let given = |pairs: [(&str, Option<Value>); 3]| -> Value {
        pairs.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?))).collect::<Map<_, _>>().into()
    };
    let text = |text: &Option<String>| text.clone().map(Value::from);
    let (command, words) = match &args.command {
        BridgeCommand::List { interface } => {
            let mut stations = Vec::new();
            let mut from = Some(json!(0));
            while let Some(place) = from {
                let question = given([("from", Some(place)), ("interface", text(interface)), ("", None)]);
                let mut answer: Value = table.command(&json!({ "show": question }))?;
                let page = &mut answer["stations"];
                if let Value::Array(some) = page["stations"].take() {
                    stations.extend(some);
                }
                from = Some(page["next"].take()).filter(|next| !next.is_null());
            }
            if format == Format::Json {
                write_json(&json!({ "stations": stations }), terminal)?;
            } else {
                terminal.data(&list(&stations, terminal.data_colour))?;
            }
            return Ok(Exit::Ok);
        }
        BridgeCommand::Add { mac, interface, vlan } => {
            let station = [
                ("mac", Some(mac.as_str().into())),
                ("interface", Some(interface.as_str().into())),
                ("vlan", vlan.map(Value::from)),
            ];
            (json!({ "add": given(station) }), "added")
        }
        BridgeCommand::Del { mac, vlan } => (
            json!({ "remove": given([("mac", Some(mac.as_str().into())), ("vlan", vlan.map(Value::from)), ("", None)]) }),
            "forgotten",
        ),
        BridgeCommand::Flush { interface, vlan } => {
            (json!({ "flush": given([("interface", text(interface)), ("vlan", vlan.map(Value::from)), ("", None)]) }), "forgotten")
        }
    };
    let answer: Value = table.command(&command)?;
    let count = answer["flushed"]["stations"].as_u64().map(|count| counted(count as usize, "station") + " ").unwrap_or_default();
    done(&answer, &format!("{count}{words} in `{}`", table.name), format, terminal)?;
    Ok(Exit::Ok)
}

fn list(stations: &[Value], colour: bool) -> String {
    let mut table = Table::new(&["STATION", "VLAN", "INTERFACE", "HEARD"], 3..4);
    for station in stations {
        let age = station["age"].as_u64().map_or("static".into(), |age| format!("{} s ago", grouped(age)));
        table.row([text_of(&station["mac"]), text_of(&station["vlan"]), text_of(&station["interface"]), age]);
    }
    table.render(colour)
}
