//! The `swath` program as a library: the one crate that sees all the others.
//!
//! ```text
//! YAML ─► Graph ─plan─► Plan ─build─► Engine ─► run: threads and the clock
//!                        │                   └► replay: one thread and virtual time
//!                        └ with other drivers in place of its own, to validate, to replay and to test
//! ```
//!
//! Tests and benchmarks build engines of their own from [`Graph`], [`registry`] and [`packet_memory`]:
//!
//! ```
//! let mut graph = swath::Graph::from_text(
//!     "sink.yaml",
//!     "version: 1
//! interfaces: { lan: { driver: memory } }
//! nodes:
//!   in:   { kind: rx, interface: lan, to: sink }
//!   sink: { kind: drop }",
//! );
//! let plan = graph.plan(&swath::registry())?;
//! let (pool, _) = swath::packet_memory(&plan.engine)?;
//! let mut engine = graph.build(plan, &pool, swath::Time::Virtual)?;
//! engine.step_until(u64::MAX);
//! assert_eq!(engine.ledger().discrepancies(), Vec::<String>::new());
//! # Ok::<(), swath::Failure>(())
//! ```

#![forbid(unsafe_code)]

mod args;
mod attach;
mod catalogue;
mod change;
mod command;
mod compare;
mod completions;
mod diff;
mod doctor;
mod exit;
mod explain_error;
mod figures;
mod graph;
mod help;
mod keep;
mod line;
mod load;
mod logging;
mod look;
mod man;
mod new;
mod nodes;
mod plugin;
mod reload;
mod remote;
mod replay;
mod report;
mod revisions;
mod run;
mod schema;
mod show;
mod signals;
mod table;
mod terminal;
mod test;
mod top;
mod validate;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use clap::FromArgMatches;
use swath_core::Registry;
use swath_plugin::Directories;

use args::{Args, Command};
use terminal::Terminal;

pub use catalogue::catalogue;
pub use exit::{Exit, Failure};
pub use load::{Graph, Time, packet_memory};

/// Where plugins are looked for.
static PLUGINS: OnceLock<Arc<Directories>> = OnceLock::new();

/// All kinds that this program has, and where those of plugins come from.
#[must_use]
pub fn registry() -> Registry {
    let plugins = PLUGINS.get_or_init(|| Arc::new(Directories::usual()));
    Registry::new(swath_nodes::NODES, swath_nodes::TABLES, swath_io::DRIVERS)
        .shortcuts(swath_nodes::SHORTCUTS)
        .plugins(Arc::clone(plugins) as Arc<_>)
}

/// The program: does what its arguments say, the first of which is its own name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let command = help::command().color(terminal::colour_of_help(&args));
    let args = match command.try_get_matches_from(args).and_then(|matches| Args::from_arg_matches(&matches)) {
        Ok(args) => args,
        Err(asked_or_wrong) => {
            // Where nobody listens there is nobody to tell.
            let _ = asked_or_wrong.print();
            return if asked_or_wrong.use_stderr() { Exit::Usage } else { Exit::Ok }.into();
        }
    };
    if let Some(path) = &args.plugin_path {
        let _ = PLUGINS.set(Arc::new(Directories::new(std::env::split_paths(path).collect())));
    }
    let terminal = Terminal::new(args.color);
    let done = match &args.command {
        Command::New(args) => new::new(args, &terminal),
        Command::Run(args) => run::run(args, &terminal),
        Command::Validate(args) => validate::validate(args, &terminal),
        Command::Replay(args) => match args.compare.as_deref() {
            Some([a, b]) => compare::compare(a, b, args.limit, &terminal),
            _ => replay::replay(args, &terminal),
        },
        Command::Test(args) => test::test(args, &terminal),
        Command::Diff(args) => diff::diff(args, &terminal),
        Command::Plan(args) => change::plan(args, &terminal),
        Command::Apply(args) => change::apply(args, &terminal),
        Command::Confirm(args) => change::confirm(args, &terminal),
        Command::Rollback(args) => change::rollback(args, &terminal),
        Command::Revisions(args) => revisions::revisions(args, &terminal),
        Command::Show(args) => show::show(args, &terminal),
        Command::Drops(args) => look::drops(args, &terminal),
        Command::Explain(args) => look::explain(args, &terminal),
        Command::Top(args) => top::top(args, &terminal),
        Command::Trace(args) => look::trace(args, &terminal),
        Command::Tap(args) => look::tap(args, &terminal),
        Command::Route(args) => command::route::route(args, &terminal),
        Command::Neighbour(args) => command::neighbour::neighbour(args, &terminal),
        Command::Nat(args) => command::nat::nat(args, &terminal),
        Command::Acl(args) => command::acl::acl(args, &terminal),
        Command::Deny(args) => command::deny::deny(args, &terminal),
        Command::Bridge(args) => command::bridge::bridge(args, &terminal),
        Command::Interface(args) => command::interface::interface(args, &terminal),
        Command::Table(args) => command::table::table(args, &terminal),
        Command::Nodes(args) => nodes::nodes(args, &terminal),
        Command::Plugin(args) => plugin::plugin(args, &terminal),
        Command::Schema(args) => schema::schema(args, &terminal),
        Command::Graph(args) => graph::graph(args, &terminal),
        Command::Doctor(args) => doctor::doctor(args, &terminal),
        Command::ExplainError(args) => explain_error::explain_error(args, &terminal),
        Command::Completions(args) => completions::completions(args, &terminal),
        Command::Man(args) => man::man(args, &terminal),
    };
    match done {
        Ok(exit) => exit,
        Err(failure) => {
            terminal.fail(&failure);
            failure.exit()
        }
    }
    .into()
}
