//! The command line: the list of commands, and what they share. The arguments of a command are in its module.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use swath_api::units;

/// Describe a dataplane in YAML, and run it.
#[derive(Debug, Parser)]
#[command(name = "swath", version, arg_required_else_help = true, subcommand_required = true, subcommand_value_name = "COMMAND")]
pub struct Args {
    /// When to use colours
    #[arg(long, global = true, value_enum, value_name = "WHEN", env = "SWATH_COLOR", hide_env = true, default_value = "auto")]
    pub color: ColorChoice,
    /// Look for the libraries of plugins in these directories, separated by `:`, and not in the usual ones
    #[arg(long, global = true, value_name = "DIRECTORIES", env = "SWATH_PLUGIN_PATH", hide_env = true)]
    pub plugin_path: Option<OsString>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless the environment says otherwise
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a graph to start from
    New(crate::new::NewArgs),
    /// Run a graph until Ctrl-C, or until its inputs or its time have ended
    Run(crate::run::RunArgs),
    /// Say what a graph would change of what runs, before anything happens
    Plan(crate::change::PlanArgs),
    /// Have a running engine go over to a graph without losing a packet
    Apply(crate::change::ApplyArgs),
    /// Keep a graph that was applied with --confirm
    Confirm(crate::change::ConfirmArgs),
    /// Have a running engine go back to a graph that ran before
    Rollback(crate::change::RollbackArgs),
    /// List, show and compare the graphs that a running engine has run
    Revisions(crate::revisions::RevisionsArgs),
    /// Show what a running engine does, and what is wrong with it
    Show(crate::show::ShowArgs),
    /// Say why a running engine drops packets, and what to do about it
    Drops(crate::look::DropsArgs),
    /// Watch nodes, interfaces and workers of a running engine, redrawn each second
    Top(crate::top::TopArgs),
    /// Say what would become of a packet, node by node, without sending one
    Explain(crate::look::ExplainArgs),
    /// Follow packets through a running engine, with what each node decides and why
    Trace(crate::look::TraceArgs),
    /// Show or capture the packets that leave a node of a running engine
    Tap(crate::look::TapArgs),
    /// Add, remove and list routes of a running engine
    Route(crate::command::route::RouteArgs),
    /// List, add and forget neighbours of a running engine
    Neighbour(crate::command::neighbour::NeighbourArgs),
    /// List, count and end translated sessions of a running engine
    Nat(crate::command::nat::NatArgs),
    /// Show and change rules of a running engine, and their sessions
    Acl(crate::command::acl::AclArgs),
    /// Change lists of addresses to deny of a running engine
    Deny(crate::command::deny::DenyArgs),
    /// List, add and forget stations of a running engine's bridge
    Bridge(crate::command::bridge::BridgeArgs),
    /// Switch interfaces of a running engine off and on
    Interface(crate::command::interface::InterfaceArgs),
    /// Send any command to any table of a running engine
    Table(crate::command::table::TableCommandArgs),
    /// Check graphs, without privileges and without touching an interface
    Validate(crate::validate::ValidateArgs),
    /// Send captures through a graph by a virtual clock: the same output each time
    Replay(crate::replay::ReplayArgs),
    /// Run the tests of graphs, without privileges and by virtual time
    Test(crate::test::TestArgs),
    /// Say what a change of graphs would keep, carry over, start afresh and lose
    Diff(crate::diff::DiffArgs),
    /// Show the kinds of nodes, tables and drivers, or everything about one of them
    Nodes(crate::nodes::NodesArgs),
    /// Write, check and describe libraries of nodes that are not swath's own
    Plugin(crate::plugin::PluginArgs),
    /// Draw a graph in columns, as SVG, for Graphviz or Mermaid, or as JSON
    Graph(crate::graph::GraphArgs),
    /// Write the language of graphs, or one kind of it, as a JSON Schema
    Schema(crate::schema::SchemaArgs),
    /// Say what stands between this machine and AF_XDP, and how to mend it
    Doctor(crate::doctor::DoctorArgs),
    /// Say what an error code such as SW0204 means, and what to do
    ExplainError(crate::explain_error::ExplainErrorArgs),
    /// Write the script that completes commands, options and kinds in a shell
    Completions(crate::completions::CompletionsArgs),
    /// Write manual pages
    Man(crate::man::ManArgs),
}

/// How to show data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Reads a time with its unit, or as a number of seconds.
pub fn time(text: &str) -> Result<Duration, String> {
    let is_bare = text.ends_with(|c: char| c.is_ascii_digit());
    let time: Result<units::Duration, _> = if is_bare { format!("{text}s").parse() } else { text.parse() };
    time.map(Into::into).map_err(|error| format!("{error}, or a number of seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_or_are_seconds() {
        assert_eq!(time("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(time("10"), Ok(Duration::from_secs(10)));
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time("2min"), Ok(Duration::from_secs(120)));
        for text in ["", "-1", "inf", "NaN", "1e99", "10 s"] {
            assert!(time(text).is_err(), "{text}");
        }
        assert_eq!(time("5m").unwrap_err(), "expected `5min` or `5ms`, or a number of seconds");
    }
}
