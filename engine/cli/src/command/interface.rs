//! `swath interface`: switches interfaces off and on.

use serde_json::{Value, json};

use super::{EngineArgs, done};
use crate::exit::{Exit, Failure};
use crate::remote::{failure, segment};
use crate::terminal::Terminal;

/// Arguments of `interface`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
No route leads to an interface that is down: flows go another way where there is one. What it receives
is processed as before. It stays so until it is switched on, or the engine ends.

Examples:
  swath interface down wan
  swath interface up wan")]
pub struct InterfaceArgs {
    #[command(subcommand)]
    pub command: InterfaceCommand,
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// What to do with an interface.
#[derive(Debug, clap::Subcommand)]
pub enum InterfaceCommand {
    /// Let routes lead there again
    Up {
        /// The interface
        name: String,
    },
    /// Let no route lead there
    Down {
        /// The interface
        name: String,
    },
}

/// Switches an interface.
///
/// # Errors
/// No engine answers, or it has no such interface.
pub fn interface(args: &InterfaceArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let (name, admin) = match &args.command {
        InterfaceCommand::Up { name } => (name, "up"),
        InterfaceCommand::Down { name } => (name, "down"),
    };
    let mut client = args.engine.socket.connect()?;
    let change = json!({ "admin": admin }).to_string();
    let answer: Value = client.patch(&format!("/v1/interfaces/{}", segment(name)), change).map_err(|error| failure(&error))?;
    done(&answer, &format!("`{name}` is switched {}", if admin == "up" { "on" } else { "off" }), args.engine.format, terminal)?;
    Ok(Exit::Ok)
}
