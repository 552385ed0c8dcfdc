//! `swath completions`: what a shell offers when somebody presses the tabulator.

use std::fmt::Write as _;

use clap::Command;
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap_complete::{Shell, generate};
use swath_core::spec::Code;

use crate::exit::{Exit, Failure};
use crate::help;
use crate::terminal::Terminal;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Commands, options and files are completed; in bash, zsh and fish also kinds after `swath nodes` and
codes after `swath explain-error`. Where the script goes is the shell's business:

  bash        ~/.local/share/bash-completion/completions/swath
  zsh         a file `_swath` in a directory of $fpath, before `compinit` is called
  fish        ~/.config/fish/completions/swath.fish
  elvish      ~/.config/elvish/rc.elv
  powershell  the file that $PROFILE names

Examples:
  swath completions bash > ~/.local/share/bash-completion/completions/swath
  source <(swath completions bash)")]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Writes the script of a shell.
///
/// # Errors
/// It could not be written.
pub fn completions(args: &CompletionsArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let registry = crate::registry();
    let nodes = registry.nodes().iter().map(|kind| (kind.info().kind.as_str(), kind.info().summary.as_str()));
    let tables = registry.tables().iter().map(|kind| (kind.info().kind.as_str(), kind.info().summary.as_str()));
    let drivers = registry.drivers().iter().map(|driver| (driver.name, driver.summary));
    let kinds = nodes.chain(tables).chain(drivers);
    let codes = Code::ALL.iter().map(|code| (code.text(), code.title()));
    // Only here: who types a word that there is not is answered by the command, with the words that are near.
    let mut command = help::command()
        .mut_subcommand("nodes", |command| command.mut_arg("kind", |kind| kind.value_parser(words(kinds))))
        .mut_subcommand("explain-error", |command| command.mut_arg("code", |code| code.value_parser(words(codes))));
    let mut script = Vec::new();
    generate(args.shell, &mut command, "swath", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if args.shell == Shell::Fish {
        script += &fish_arguments(&command);
    }
    terminal.data(&script)?;
    Ok(Exit::Ok)
}

/// The words that arguments without a name may be, which the generator for fish leaves out.
fn fish_arguments(command: &Command) -> String {
    let mut script = String::new();
    for command in command.get_subcommands() {
        for value in command.get_positionals().flat_map(|argument| argument.get_possible_values()) {
            let help = value.get_help().map(ToString::to_string).unwrap_or_default().replace('\\', "\\\\").replace('\'', "\\'");
            let (name, word) = (command.get_name(), value.get_name());
            let _ = writeln!(script, "complete -c swath -n '__fish_seen_subcommand_from {name}' -f -a '{word}' -d '{help}'");
        }
    }
    script
}

fn words(words: impl Iterator<Item = (&'static str, &'static str)>) -> PossibleValuesParser {
    // A script is no place for line breaks.
    words.map(|(word, help)| PossibleValue::new(word).help(help.replace('\n', " "))).collect::<Vec<_>>().into()
}
