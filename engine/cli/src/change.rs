//! `swath plan`, `apply`, `confirm` and `rollback`: another graph in the place of the one that runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use swath_core::spec::{Code, GraphFiles};
use swath_ctl::api::{Applied, ApplyRequest, Confirmed, Diagnostic, PlanRequest, Planned, RollbackRequest};

use crate::args::{Format, time};
use crate::command::{EngineArgs, write_json};
use crate::diff;
use crate::exit::{Exit, Failure};
use crate::load::Graph;
use crate::reload;
use crate::remote::{SocketArgs, failure, graph_failure};
use crate::terminal::Terminal;

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It reads the graph and what it includes here, and sends them: paths in messages are those of this
command, and the engine may run elsewhere and as another user. Variables of the environment have the
values that they have for the engine. Nothing happens to what runs; the words are those of `swath
diff`, whose help explains them. What devices there are is not looked at, nor is how large tables
are that take over others: `swath apply` refuses what does not fit, and changes nothing then.

As JSON: one object with `revision` (that runs), `graph`, `equal`, `restart` (whether `engine`
differs), `diagnostics` (warnings), and the sections of `swath diff`.

Exit codes:
  0   nothing would change
  2   there are changes
  78  the graph is refused: there are mistakes in it, or its section `engine` is another

Examples:
  swath plan router.yaml
  swath plan router.yaml --format json | jq '.tables[] | select(.lost)'")]
pub struct PlanArgs {
    /// The graph file
    pub graph: PathBuf,
    /// Show everything: what is kept, too, and each element of long lists
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Arguments of `apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The engine makes the new graph while the old one runs, and goes over to it between two packets.
What is refused changes nothing. It is one transaction, which is carried out to its end even if this
command is ended; of two at the same time, one comes after the other. It says what `swath plan`
says, and how it went.

With --confirm the engine goes back by itself to the last graph that was confirmed, unless `swath
confirm` comes in time. Meanwhile, only `swath apply --confirm` is accepted, which gives the time
anew, and `swath rollback`.

As JSON: one object with `revision` (that runs now), `by`, `report` (missing if these files ran
already), `confirm-within` (seconds) and `diagnostics` (warnings).

Exit codes:
  0   it runs
  1   another revision runs than --if-revision says; or a worker has not gone over to it in time
  78  the graph is refused, and nothing has changed

Examples:
  swath apply router.yaml
  swath apply router.yaml --confirm 60s
  swath apply router.yaml --if-revision 3")]
pub struct ApplyArgs {
    /// The graph file
    pub graph: PathBuf,
    /// Go back unless `swath confirm` comes within this time: `60s`, `5min`
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub confirm: Option<Duration>,
    /// Only if this revision runs, which `swath plan` and `swath show` tell
    #[arg(long, value_name = "REVISION")]
    pub if_revision: Option<u64>,
    /// Show everything: what is kept, too, and each element of long lists
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Arguments of `confirm`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  swath confirm
  swath apply router.yaml --confirm 60s && ping -c 3 192.0.2.1 && swath confirm")]
pub struct ConfirmArgs {
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Arguments of `rollback`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without a number it goes back to the last graph that was confirmed, if the one that runs waits for
that, or else to the one that ran before. What it goes back to becomes a new revision. The graph file
stays as it is.

Examples:
  swath rollback
  swath rollback 3")]
pub struct RollbackArgs {
    /// The revision to go back to
    pub revision: Option<u64>,
    /// Go forth again unless `swath confirm` comes within this time: `60s`, `5min`
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub confirm: Option<Duration>,
    /// Show everything: what is kept, too, and each element of long lists
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Says what a graph would change.
///
/// # Errors
/// It cannot be read or is refused, or no engine answers.
pub fn plan(args: &PlanArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let planned: Planned = send(&args.engine.socket, "/v1/plan", &PlanRequest { graph: read(&args.graph, terminal)? }, None)?;
    tell_warnings(&planned.diagnostics, terminal);
    match args.engine.format {
        Format::Text => terminal.data(&diff::in_words(&planned.changes, args.all, terminal.data_colour))?,
        Format::Json => write_json(&flat(&planned), terminal)?,
    }
    if planned.restart {
        return Err(Failure::config(format!("{}: `engine` cannot change while it runs: start it again", planned.graph)));
    }
    Ok(if planned.equal { Exit::Ok } else { Exit::Differs })
}

/// As `swath diff` has it: sections beside each other.
fn flat(planned: &Planned) -> Value {
    let Planned { revision, graph, equal, restart, changes, diagnostics } = planned;
    let mut json = json!({ "revision": revision, "graph": graph, "equal": equal, "restart": restart, "diagnostics": diagnostics });
    if let (Some(json), Ok(Value::Object(sections))) = (json.as_object_mut(), serde_json::to_value(changes)) {
        json.extend(sections);
    }
    json
}

/// Has the engine go over to a graph.
///
/// # Errors
/// As of [`plan`].
pub fn apply(args: &ApplyArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let confirm = args.confirm.map(|time| time.as_secs_f64());
    let request = ApplyRequest { graph: read(&args.graph, terminal)?, confirm };
    let applied: Applied = send(&args.engine.socket, "/v1/apply", &request, args.if_revision)?;
    tell(&applied, args.all, args.engine.format, terminal)
}

/// Keeps a graph.
///
/// # Errors
/// There is nothing to confirm, or no engine answers.
pub fn confirm(args: &ConfirmArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut client = args.engine.socket.connect()?;
    let confirmed: Confirmed = client.post("/v1/confirm", "").map_err(|error| failure(&error))?;
    match args.engine.format {
        Format::Text => terminal.say(format!("revision {} is kept", confirmed.revision)),
        Format::Json => write_json(&json!(confirmed), terminal)?,
    }
    Ok(Exit::Ok)
}

/// Has the engine go back to a graph.
///
/// # Errors
/// There is none, or it is refused, or no engine answers.
pub fn rollback(args: &RollbackArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let request = RollbackRequest { revision: args.revision, confirm: args.confirm.map(|time| time.as_secs_f64()) };
    let applied: Applied = send(&args.engine.socket, "/v1/rollback", &request, None)?;
    tell(&applied, args.all, args.engine.format, terminal)
}

/// The files of a graph, whatever is wrong with them: that is for the engine to say, but where a file is no text.
fn read(path: &Path, terminal: &Terminal) -> Result<GraphFiles, Failure> {
    let graph = Graph::open(path)?.colour(terminal.colour);
    let is_text = |code: Code| code != Code::NotUtf8;
    if graph.diagnostics().sorted().iter().all(|found| is_text(found.code)) {
        Ok(graph.files().clone())
    } else {
        Err(graph.refused())
    }
}

fn send<T: DeserializeOwned>(
    socket: &SocketArgs,
    resource: &str,
    request: &impl Serialize,
    allowed: Option<u64>,
) -> Result<T, Failure> {
    let body = serde_json::to_string(request).map_err(|error| Failure::other(error.to_string()))?;
    socket.connect()?.change(resource, body, allowed).map_err(|error| graph_failure(&error))
}

fn tell_warnings(diagnostics: &[Diagnostic], terminal: &Terminal) {
    diagnostics.iter().filter_map(|found| found.rendered.as_ref()).for_each(|text| terminal.say(format!("{text}\n")));
}

/// Says what has come of a graph.
fn tell(applied: &Applied, all: bool, format: Format, terminal: &Terminal) -> Result<Exit, Failure> {
    tell_warnings(&applied.diagnostics, terminal);
    let incomplete = applied.report.as_ref().is_some_and(|report| !report.incomplete.is_empty());
    let exit = if incomplete { Exit::Failed } else { Exit::Ok };
    if format == Format::Json {
        write_json(&json!(applied), terminal)?;
        return Ok(exit);
    }
    match &applied.report {
        Some(report) => {
            terminal.data(&diff::in_words(&report.diff, all, terminal.data_colour))?;
            terminal.say(reload::outcome(applied, report));
            reload::problems(report, applied.revision).iter().chain(&applied.warnings).for_each(|problem| terminal.warn(problem));
        }
        None => terminal.say(format!("nothing to do: these files run as revision {}", applied.revision)),
    }
    if let Some(seconds) = applied.confirm_within {
        terminal.say(format!("the engine goes back unless `swath confirm` comes within {seconds} s"));
    }
    Ok(exit)
}
