//! Help: what clap makes of the command line, with the commands in groups and with what a newcomer asks next.
//!
//! A command gives its text once, as `after_help`: paragraphs, then sections such as `Examples:` whose lines are indented. `-h` shows its
//! examples, `--help` all of it, and its manual page has the same sections.

use clap::{Command, CommandFactory};

use crate::args::Args;
use crate::exit::Exit;

/// What commands are for. One that is not named here is listed behind these.
const GROUPS: [(&str, &[&str]); 9] = [
    ("Start", &["new"]),
    ("Work on a graph", &["validate", "test", "diff", "graph", "schema"]),
    ("Run it", &["run", "replay"]),
    ("Ask what runs", &["show", "top", "drops", "explain", "trace", "tap"]),
    ("Change the graph that runs", &["plan", "apply", "confirm", "rollback", "revisions"]),
    ("Change what runs", &["route", "neighbour", "nat", "acl", "deny", "bridge", "interface", "table"]),
    ("Look up", &["nodes", "explain-error", "doctor"]),
    ("Extend it", &["plugin"]),
    ("Set up a shell", &["completions", "man"]),
];

const START: &str = "\
Start here:
  swath new quickstart -o quickstart.yaml
  swath run quickstart.yaml
  swath new router -o router.yaml
  swath validate router.yaml";

const GUIDE: &str = "\
A graph file says which interfaces there are, which tables of routes and other state, and through
which nodes packets go. A node is what Click calls an element, and VPP a node of its graph:

  version: 1
  interfaces:
    lan: { driver: memory, generate: { packets: ['udp 10.0.0.1:1 > 10.0.0.2:2'], limit: 1000 } }
  nodes:
    in:   { kind: rx, interface: lan, to: sink }
    sink: { kind: drop }

`swath nodes` lists the kinds that a graph can be made of, and `swath nodes KIND` says everything
about one of them. A mistake in a graph is told with its place and a code, which
`swath explain-error` explains. No packet is lost silently: what is dropped is counted by the node
that dropped it and the reason, and at the end of each run it is accounted for.

What is for people goes to standard error, data to standard output. Each has colours as --color
says, or else the first of SWATH_COLOR, NO_COLOR, CLICOLOR_FORCE, CLICOLOR and TERM that says
anything, or else if it is a terminal.";

const ENVIRONMENT: &str = "\
Environment:
  SWATH_COLOR     `auto`, `always` or `never`, as --color
  NO_COLOR        no colours, if it is not empty
  CLICOLOR_FORCE  colours, if it is neither empty nor `0`
  CLICOLOR        no colours, if it is `0`
  TERM            no colours, if it is `dumb`
  SWATH_STATS     `auto`, `line` or `none`, as --stats of `swath run`
  SWATH_METRICS   an address with a port, as --metrics of `swath run`
  SWATH_API       a path or `off`, as --api of `swath run`
  SWATH_DPDK_LIBRARY
                  the file of the driver for DPDK, if it is not beside swath
  SWATH_API_TCP   an address with a port, as --api-tcp of `swath run`
  SWATH_API_TOKEN_FILE
                  a file, as --api-token-file of `swath run`
  SWATH_REVISIONS a directory or `off`, as --revisions of `swath run`
  SWATH_PLUGIN_PATH
                  directories, separated by `:`, as --plugin-path
  SWATH_SOCKET    the socket of an engine, as --socket of `swath show` and other commands
  SWATH_SERVER    the URL of an engine, as --server of `swath show` and other commands
  SWATH_TOKEN_FILE
                  a file, as --token-file of `swath show` and other commands
  SWATH_LOG       what to log, as --log of `swath run`
  SWATH_LOG_FORMAT
                  `text` or `json`, as --log-format of `swath run`
  SWATH_KERNELS   `scalar`, `avx2` or `avx512`: the implementation that checks and forwards packets,
                  to compare them; without it, the best that the processor has";

const FILES: &str = "\
Files:
  *.yaml          graphs: UTF-8, YAML 1.2. Relative paths in one are relative to its directory
  /run/swath/NAME.sock, $XDG_RUNTIME_DIR/swath/NAME.sock
                  where `swath run NAME.yaml` of root, or of another user, can be asked; a service
                  that has $RUNTIME_DIRECTORY has its socket there
  /var/lib/swath/NAME/, $XDG_STATE_HOME/swath/NAME/
                  the last 32 graphs that `swath run NAME.yaml` of root, or of another user, has run; a
                  service that has $STATE_DIRECTORY keeps them there
  *.pcap, *.pcapng
                  captures of Ethernet frames; written are pcap files with nanoseconds";

/// The end of each command's help.
pub const REST: &str = "`swath --help` has the exit codes, the environment and where to start.";

/// The command line, with all its help.
pub fn command() -> Command {
    let mut command = Args::command().max_term_width(100);
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(&name, |command| {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let more = format!("`swath help {name}` says more.");
            let short = [section(&text, "Examples").unwrap_or_default(), &more].join("\n\n");
            command.after_help(short.trim_start().to_owned()).after_long_help([&text, REST].join("\n\n").trim_start().to_owned())
        });
    }
    let grouped = grouped(&command);
    command
        .help_template(format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{grouped}{{options}}{{after-help}}"))
        .after_help([START, "`swath --help` says more, `swath help COMMAND` everything about a command."].join("\n\n"))
        .after_long_help(long())
}

/// All sections of the program's own help.
pub fn long() -> String {
    [GUIDE, START, &exit_codes(), ENVIRONMENT, FILES].join("\n\n")
}

fn exit_codes() -> String {
    let mut text = String::from("Exit codes:\n");
    for (exit, meaning) in Exit::ALL {
        text += &format!("  {:<8}  {meaning}\n", exit as u8);
    }
    text + "  130, 143  a second SIGINT or SIGTERM has ended it at once"
}

/// The list of commands by what they are for.
fn grouped(command: &Command) -> String {
    let header = command.get_styles().get_header();
    let literal = command.get_styles().get_literal();
    let all: Vec<&Command> = command.get_subcommands().collect();
    let width = all.iter().map(|command| command.get_name().len()).max().unwrap_or(0).max("help".len());
    let line = |name: &str, about: &str| format!("  {literal}{name:<width$}{literal:#}  {about}\n");
    let named = |name: &&str| all.iter().find(|command| command.get_name() == *name);
    let about = |command: &Command| line(command.get_name(), &command.get_about().map(ToString::to_string).unwrap_or_default());
    let mut text = String::new();
    for (group, names) in GROUPS {
        text += &format!("{header}{group}:{header:#}\n");
        names.iter().filter_map(named).for_each(|command| text += &about(command));
        text.push('\n');
    }
    let is_other = |command: &&&Command| !GROUPS.iter().any(|(_, names)| names.contains(&command.get_name()));
    text += &format!("{header}More:{header:#}\n");
    all.iter().filter(is_other).for_each(|command| text += &about(command));
    text += &line("help", "Print this, or everything about a command");
    text + &format!("\n{header}Options:{header:#}\n")
}

/// A part of a command's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'a> {
    /// The heading of a section.
    Heading(&'a str),
    /// A paragraph.
    Text(Vec<&'a str>),
    /// Lines that stay as they are.
    Lines(Vec<&'a str>),
}

/// The parts of a text.
pub fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    let mut lines = text.lines().peekable();
    let mut empty = true;
    while let Some(line) = lines.next() {
        let is_indented = line.starts_with(' ');
        let is_heading = !is_indented && line.split(' ').count() <= 2 && lines.peek().is_some_and(|next| next.starts_with(' '));
        match (line.strip_suffix(':').filter(|_| is_heading), parts.last_mut()) {
            _ if line.is_empty() => {}
            (Some(heading), _) => parts.push(Part::Heading(heading)),
            (None, Some(Part::Lines(lines))) if is_indented => {
                // An empty line inside of it is part of it.
                lines.extend(empty.then_some(""));
                lines.push(line);
            }
            (None, Some(Part::Text(lines))) if !is_indented && !empty => lines.push(line),
            (None, _) if is_indented => parts.push(Part::Lines(vec![line])),
            (None, _) => parts.push(Part::Text(vec![line])),
        }
        empty = line.is_empty();
    }
    parts
}

/// A section of a text with its heading.
fn section<'a>(text: &'a str, heading: &str) -> Option<&'a str> {
    let start = text.find(&format!("{heading}:\n"))?;
    let section = &text[start..];
    Some(section.split("\n\n").next().unwrap_or(section))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does_and_shows_how() {
        for command in command().get_subcommands() {
            let name = command.get_name();
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty() && !about.ends_with('.') && about.len() <= 80, "{name}: {about}");
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = section(&help, "Examples").unwrap_or_else(|| panic!("{name} has no examples"));
            for line in examples.lines().skip(1) {
                assert!(line.starts_with("  ") && line.contains(&format!("swath {name}")), "{name}: {line}");
            }
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.is_empty() && !help.ends_with('.'), "{name}: {}: {help}", argument.get_id());
                for value in argument.get_possible_values().iter().filter(|_| argument.get_action().takes_values()) {
                    let help = value.get_help().map(ToString::to_string);
                    assert!(
                        argument.is_hide_possible_values_set() || argument.get_id() == "shell" || help.is_some(),
                        "{name}: {value:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn texts_have_parts() {
        let text = "One\ntwo:\n\n  a\n\n  b\n\nSee this:\n  c\n    d\nThree words here:\n  e";
        let expected = [
            Part::Text(vec!["One", "two:"]),
            Part::Lines(vec!["  a", "", "  b"]),
            Part::Heading("See this"),
            Part::Lines(vec!["  c", "    d"]),
            Part::Text(vec!["Three words here:"]),
            Part::Lines(vec!["  e"]),
        ];
        assert_eq!(parts(text), expected);
        assert_eq!(section(text, "See this"), Some("See this:\n  c\n    d\nThree words here:\n  e"));
        assert_eq!(section(text, "See that"), None);
    }
}
