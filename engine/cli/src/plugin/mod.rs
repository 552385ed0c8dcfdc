//! `swath plugin`: libraries of nodes that others write.

mod check;
mod template;

use std::path::PathBuf;

use clap::Subcommand;

use crate::exit::{Exit, Failure};
use crate::terminal::Terminal;

pub use check::registry;

/// Arguments of `plugin`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A plugin is a library with kinds of nodes and tables that are not swath's own. A graph names it:

  plugins: { mine: libmine.so }

and it is looked for in the directories of --plugin-path, which nobody but root or the one who
runs swath may write to. A library is code that runs with all rights of swath: load what you trust.

Examples:
  swath plugin new my-node --api engine/api
  swath plugin check my-node/target/release/libmy_node.so
  swath plugin header > swath.h")]
pub struct PluginArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write a plugin to start from, in Rust: a node with its tests, and a graph with it
    New {
        /// What it is called, and its kind: a to z, 0 to 9 and `-`
        name: String,
        /// The directory of the crate `swath-api`; without it, the one of a registry
        #[arg(long, value_name = "DIRECTORY")]
        api: Option<PathBuf>,
    },
    /// Look at a library as a graph would that names it, and list its kinds
    Check {
        /// The library
        file: PathBuf,
    },
    /// Write the header for plugins in C
    Header,
}

/// Does it.
///
/// # Errors
/// The library is refused, or something cannot be written.
pub fn plugin(args: &PluginArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    match &args.what {
        What::New { name, api } => template::new(name, api.as_deref(), terminal)?,
        What::Check { file } => terminal.data(&check::check(file)?)?,
        What::Header => terminal.data(&swath_api::c_header())?,
    }
    Ok(Exit::Ok)
}
