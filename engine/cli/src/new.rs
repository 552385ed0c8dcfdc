//! `swath new`: graphs to start from.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;

use crate::exit::{Exit, Failure};
use crate::table::Table;
use crate::terminal::Terminal;

/// What `graphs/ip4-router.yaml` includes.
const ORIGIN: (&str, &str) = ("include: templates/ip4-origin.yaml\n", include_str!("../../../graphs/templates/ip4-origin.yaml"));

/// What it is called here, its file, and what is in it. What it is for and what to do with it is said by the comment that it opens with.
const STARTERS: &[Starter] = &[
    Starter::new("quickstart", "graphs/quickstart.yaml", include_str!("../../../graphs/quickstart.yaml")),
    Starter::new("router", "graphs/ip4-router.yaml", include_str!("../../../graphs/ip4-router.yaml")),
    Starter::new("firewall", "graphs/firewall.yaml", include_str!("../../../graphs/firewall.yaml")),
    Starter::new("nat", "graphs/nat-gateway.yaml", include_str!("../../../graphs/nat-gateway.yaml")),
    Starter::new("cgnat", "graphs/cgnat.yaml", include_str!("../../../graphs/cgnat.yaml")),
    Starter::new("bridge", "graphs/bridge.yaml", include_str!("../../../graphs/bridge.yaml")),
];

/// Arguments of `new`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  swath new
  swath new router -o router.yaml")]
pub struct NewArgs {
    /// What to start from; without it, all starters are listed
    #[arg(value_parser = PossibleValuesParser::new(STARTERS.iter().map(|starter| starter.kind)), hide_possible_values = true)]
    pub kind: Option<String>,
    /// Write it to a file, instead of to standard output (-)
    #[arg(short, long, value_name = "FILE", requires = "kind")]
    pub output: Option<PathBuf>,
    /// Write over a file that is there already
    #[arg(long, requires = "output")]
    pub force: bool,
}

/// Writes a graph to start from, or lists them.
///
/// # Errors
/// It cannot be written.
pub fn new(args: &NewArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let Some(starter) = STARTERS.iter().find(|starter| args.kind.as_deref() == Some(starter.kind)) else {
        terminal.data(&list(terminal.data_colour))?;
        terminal.say("\nnext:\n  swath new KIND -o FILE");
        return Ok(Exit::Ok);
    };
    let output = args.output.as_deref().filter(|path| *path != Path::new("-"));
    let file = output.map_or(format!("{}.yaml", starter.kind), shell_word);
    let text = starter.named(&file);
    match output {
        Some(path) => {
            write(path, &text, args.force)?;
            terminal.say(format!("{file}: {}\n\nnext:", starter.summary()));
        }
        None => {
            terminal.data(&text)?;
            terminal.say(format!("\nnext:\n  swath new {} -o {file}", starter.kind));
        }
    }
    terminal.say(format!("  swath validate {file}"));
    commands(&text).for_each(|command| terminal.say(format!("  {command}")));
    Ok(Exit::Ok)
}

fn list(colour: bool) -> String {
    let mut table = Table::new(&["KIND", "WHAT IT IS"], 0..0);
    for starter in STARTERS {
        table.row([starter.kind.into(), starter.summary().into()]);
    }
    table.render(colour)
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true);
    let opened = if force { options.create(true).truncate(true) } else { options.create_new(true) }.open(path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::other(format!("{} is there already: choose another name, or --force", path.display())),
        _ => Failure::no_output(path, &error),
    })
}

/// A graph to start from.
#[derive(Debug, Clone, Copy)]
struct Starter {
    kind: &'static str,
    path: &'static str,
    text: &'static str,
}

impl Starter {
    const fn new(kind: &'static str, path: &'static str, text: &'static str) -> Starter {
        Starter { kind, path, text }
    }

    /// The first sentence of the comment.
    fn summary(&self) -> &'static str {
        let line = self.text.lines().next().unwrap_or_default().trim_start_matches("# ");
        line.split_once(". ").map_or(line, |(sentence, _)| sentence).trim_end_matches('.')
    }

    /// The graph in a file of another name, which its comments mention. It is whole: what is included stands in its place.
    fn named(&self, file: &str) -> String {
        let (include, included) = ORIGIN;
        let templates = included.split_once("\nversion: 1\n").map_or(included, |(_, templates)| templates);
        let comment = "\n# What the router itself sends, with a look-up of its own.";
        self.text.replace(include, &format!("{comment}{templates}")).replace(self.path, file)
    }
}

/// The commands in the comment that a graph opens with.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    let comment = text.lines().map_while(|line| line.strip_prefix('#'));
    comment.map(str::trim).filter(|line| line.starts_with("swath "))
}

/// A path as one writes it in a command, and in a comment.
fn shell_word(path: &Path) -> String {
    let path: String = path.display().to_string().chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let is_plain = |c: char| c.is_alphanumeric() || "._-/+:@,".contains(c);
    if path.chars().all(is_plain) { path } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_starter_says_what_it_is_and_what_to_do_with_it() {
        for starter in STARTERS {
            assert!(starter.summary().split(' ').count() > 4, "{}: {}", starter.kind, starter.summary());
            assert!(starter.text.starts_with("# "), "{}", starter.kind);
            assert!(commands(starter.text).count() > 0, "{}", starter.kind);
            assert!(starter.text.contains(starter.path), "{}", starter.kind);
        }
    }

    #[test]
    fn files_are_words_of_a_shell() {
        let table = [("a/b.yaml", "a/b.yaml"), ("my graph.yaml", "'my graph.yaml'"), ("it's", "'it'\\''s'"), ("a\nb", "'a?b'")];
        for (path, word) in table {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }
}
