//! `swath revisions`: the graphs that an engine has run.

use serde_json::{Value, json};
use swath_ctl::Revision;
use swath_ctl::api::{RevisionChanges, RevisionInfo};

use crate::args::Format;
use crate::command::{EngineArgs, write_json};
use crate::diff;
use crate::exit::{Exit, Failure};
use crate::remote::{failure, graph_failure};
use crate::table::Table;
use crate::terminal::Terminal;

/// Arguments of `revisions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each graph that ran has a number. The last 32 are kept on disk, where `swath run --last-good` finds
the last one that all workers ran and that was confirmed, if it had to be.

Exit codes:
  0  done
  2  `diff --exit-code`: they differ

Examples:
  swath revisions
  swath revisions show 3
  swath revisions diff 3
  swath revisions diff 2 3 --format json")]
pub struct RevisionsArgs {
    #[command(subcommand)]
    pub command: Option<RevisionsCommand>,
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// What to do with revisions.
#[derive(Debug, clap::Subcommand)]
pub enum RevisionsCommand {
    /// List them, the last first
    List,
    /// Write the text of one
    Show {
        /// Its number
        number: u64,
    },
    /// Say what changes from one to another, as `swath diff` says it
    Diff {
        /// The one that is changed
        from: u64,
        /// The one that it is changed to; without it, the one that runs
        to: Option<u64>,
        /// Show everything: what is kept, too, and each element of long lists
        #[arg(long)]
        all: bool,
        /// End with 2 if anything differs
        #[arg(long)]
        exit_code: bool,
    },
}

/// Shows revisions.
///
/// # Errors
/// No engine answers, or there is no such revision.
pub fn revisions(args: &RevisionsArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut client = args.engine.socket.connect()?;
    let format = args.engine.format;
    match args.command.as_ref().unwrap_or(&RevisionsCommand::List) {
        RevisionsCommand::List => {
            let all: Vec<RevisionInfo> = client.get("/v1/revisions").map_err(|error| failure(&error))?;
            match format {
                Format::Text => terminal.data(&list(&all, terminal))?,
                Format::Json => write_json(&json!(all), terminal)?,
            }
        }
        RevisionsCommand::Show { number } => {
            let revision: Revision = client.get(&format!("/v1/revisions/{number}")).map_err(|error| failure(&error))?;
            match format {
                Format::Text => terminal.data(&text(&revision))?,
                Format::Json => write_json(&json!(revision), terminal)?,
            }
        }
        RevisionsCommand::Diff { from, to, all, exit_code } => {
            let to = match to {
                Some(to) => *to,
                None => client.get::<Value>("/v1").map_err(|error| failure(&error))?["revision"].as_u64().unwrap_or_default(),
            };
            let found = client.get(&format!("/v1/revisions/{from}/changes/{to}"));
            let found: RevisionChanges = found.map_err(|error| graph_failure(&error))?;
            match format {
                Format::Text => terminal.data(&diff::in_words(&found.changes, *all, terminal.data_colour))?,
                Format::Json => write_json(&json!(found), terminal)?,
            }
            return Ok(if *exit_code && !found.equal { Exit::Differs } else { Exit::Ok });
        }
    }
    Ok(Exit::Ok)
}

fn list(all: &[RevisionInfo], terminal: &Terminal) -> String {
    let mut table = Table::new(&["REVISION", "TIME", "BY", "STATE", "GRAPH"], 0..1);
    for revision in all {
        let states = [(revision.running, "running"), (revision.good, "last good"), (!revision.kept, "only in memory")];
        let states: Vec<&str> = states.into_iter().filter(|(is_so, _)| *is_so).map(|(_, state)| state).collect();
        let cells =
            [revision.number.to_string(), revision.time(), revision.by.to_string(), states.join(", "), revision.graph.clone()];
        table.row(cells);
    }
    table.render(terminal.data_colour)
}

/// The graph, and behind it what it includes, each with its name as a comment.
fn text(revision: &Revision) -> String {
    let mut files = revision.files.files.iter();
    let root = files.next().map(|file| file.text.to_string()).unwrap_or_default();
    files.fold(root, |text, file| format!("{text}\n# {}\n{}", file.name, &*file.text))
}
