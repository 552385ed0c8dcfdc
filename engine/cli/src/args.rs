//! The command line: the list of commands, and what they share. The arguments of a command are in its module.

use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use swath_api::units;

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   failed: a test fails, captures differ, a ledger does not add up, output cannot be written
  2   there are differences (diff --exit-code)
  64  the arguments are wrong (EX_USAGE)
  66  a file is not there, or cannot be read (EX_NOINPUT)
  78  the graph is refused (EX_CONFIG)

What is for people goes to standard error, data to standard output.

Start here:
  swath run graphs/quickstart.yaml";

/// Describe a dataplane in YAML, and run it.
#[derive(Debug, Parser)]
#[command(name = "swath", version, after_help = EXIT_CODES, arg_required_else_help = true, subcommand_required = true)]
pub struct Args {
    /// When to use colours; NO_COLOR switches them off, too
    #[arg(long, global = true, value_enum, value_name = "WHEN", env = "SWATH_COLOR", hide_env = true, default_value = "auto")]
    pub color: ColorChoice,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a graph to start from
    New(crate::new::NewArgs),
    /// Run a graph, until Ctrl-C, until its time is over, or until its inputs have ended
    Run(crate::run::RunArgs),
    /// Check graphs, without privileges and without touching an interface
    Validate(crate::validate::ValidateArgs),
    /// Send captures through a graph, by one virtual clock: the same input gives the same output, to the byte
    Replay(crate::replay::ReplayArgs),
    /// Run the tests of graphs, without privileges and by virtual time
    Test(crate::test::TestArgs),
    /// Say what a change from one graph to another would keep, carry over, start afresh and lose
    Diff(crate::diff::DiffArgs),
    /// Show the kinds of nodes, tables and drivers, or everything about one of them
    Nodes(crate::nodes::NodesArgs),
    /// Say what an error code such as SW0204 means, and what to do
    ExplainError(crate::explain_error::ExplainErrorArgs),
}

/// How to show data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
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
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

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
