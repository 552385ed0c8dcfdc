//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use swath_core::spec::WORKERS;

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   failed: captures differ, a ledger does not add up, output cannot be written
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
    /// Run a graph, until Ctrl-C, until its time is over, or until its inputs have ended
    Run(RunArgs),
    /// Check graphs, without privileges and without touching an interface
    Validate(ValidateArgs),
    /// Send captures through a graph, by one virtual clock: the same input gives the same output, to the byte
    Replay(ReplayArgs),
    /// Show the kinds of nodes, tables and drivers, or everything about one of them
    Nodes(NodesArgs),
    /// Say what an error code such as SW0204 means, and what to do
    ExplainError(ExplainErrorArgs),
}

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each second it says how many packets came, went and were dropped, and why. In the end it says where every packet and every buffer
has gone; if that does not add up, it fails with 1. Ctrl-C (SIGINT) and SIGTERM end it in order, a second one at once.

Example:
  swath run graphs/quickstart.yaml --duration 10 --report report.json")]
pub struct RunArgs {
    /// The graph file
    pub graph: PathBuf,
    /// End after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// What to say each second: a line that is redrawn on a terminal (auto), a line each (line), or nothing (none)
    #[arg(long, value_enum, value_name = "HOW", env = "SWATH_STATS", hide_env = true, default_value = "auto")]
    pub stats: Stats,
    /// Write the ledgers to a file as JSON, or to standard output (-)
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// What to say each second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stats {
    /// One line, redrawn, on a terminal; else as `line`.
    Auto,
    /// A line each second.
    Line,
    /// Nothing.
    None,
}

/// Arguments of `validate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It reads a graph, plans it and makes all its tables and nodes, on interfaces that are not attached to anything. All mistakes are
reported at once. Whether the devices and files of this machine are as the graph says is not looked at.

Example:
  swath validate graphs/*.yaml --deny-warnings")]
pub struct ValidateArgs {
    /// The graph files
    #[arg(required = true, value_name = "GRAPH")]
    pub graphs: Vec<PathBuf>,
    /// Refuse graphs with warnings, too
    #[arg(long)]
    pub deny_warnings: bool,
    /// How to report: for people, or as a JSON list with one entry for each graph
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// How to show data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "swath replay [OPTIONS] <GRAPH>\n       swath replay --compare <A> <B> [--limit <N>]",
    after_help = "\
Every interface is replaced: those named by --in and --out read and write captures, the others neither receive nor keep anything.
Only an interface whose driver is `memory` keeps its generator, unless --in names it. Captures are merged by their times.

Two captures are equal if on each interface the same frames came, and those of each flow in the same order.

Example:
  swath replay graphs/ip4-router.yaml --in lan=in.pcap --out wan=one.pcap --report -
  swath replay graphs/ip4-router.yaml --in lan=in.pcap --out wan=two.pcap --workers 2
  swath replay --compare one.pcap two.pcap"
)]
pub struct ReplayArgs {
    /// The graph file
    #[arg(required_unless_present = "compare")]
    pub graph: Option<PathBuf>,
    /// Receive the records of a capture (pcap or pcapng) on an interface; repeatable
    #[arg(long = "in", value_name = "IF=FILE", value_parser = assignment)]
    pub inputs: Vec<(String, PathBuf)>,
    /// Write what an interface sends to a pcap file; repeatable
    #[arg(long = "out", value_name = "IF=FILE", value_parser = assignment)]
    pub outputs: Vec<(String, PathBuf)>,
    /// The number of workers, instead of the graph's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(i64::from(*WORKERS.start())..=i64::from(*WORKERS.end())))]
    pub workers: Option<u16>,
    /// Stop when so many seconds of virtual time have passed; without it when all inputs have ended
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub until: Option<Duration>,
    /// Write the ledgers to a file as JSON, or to standard output (-)
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Compare two captures, or two directories of captures, instead
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with_all = ["graph", "inputs", "outputs", "workers", "until", "report"])]
    pub compare: Option<Vec<PathBuf>>,
    /// Differences to show at most
    #[arg(long, value_name = "N", default_value_t = 10, conflicts_with = "graph")]
    pub limit: usize,
}

/// Arguments of `nodes`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  swath nodes ip4-lookup")]
pub struct NodesArgs {
    /// A kind of node or table, or a driver
    pub kind: Option<String>,
    /// How to show it: for people, or as JSON
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// Arguments of `explain-error`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every mistake in a graph is reported with a code, which never changes.

Example:
  swath explain-error SW0205")]
pub struct ExplainErrorArgs {
    /// The code; without it, all codes are listed
    pub code: Option<String>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<Duration> = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "a number of seconds is expected, such as `10` or `0.5`".into())
}

fn assignment(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((interface, file)) if !interface.is_empty() && !file.is_empty() => Ok((interface.into(), file.into())),
        _ => Err("an interface and a file are expected, such as `lan=in.pcap`".into()),
    }
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
    fn seconds_are_finite_and_not_negative() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("10"), Ok(Duration::from_secs(10)));
        for text in ["", "-1", "inf", "NaN", "1e99", "10s"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_may_have_an_equals_sign() {
        assert_eq!(assignment("lan=a=b.pcap"), Ok(("lan".into(), "a=b.pcap".into())));
        for text in ["", "lan", "lan=", "=x"] {
            assert!(assignment(text).is_err(), "{text}");
        }
    }
}
