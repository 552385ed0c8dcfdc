//! `swath man`: manual pages, made of the same texts as the help.

use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::exit::{Exit, Failure};
use crate::figures::counted;
use crate::help::{self, Part};
use crate::terminal::Terminal;

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
There is a page for the program, swath(1), and one for each command, such as swath-run(1).

Examples:
  swath man | man -l -
  swath man -o ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Write all pages to a directory, which is made; without it, swath(1) goes to standard output
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// Writes manual pages.
///
/// # Errors
/// They could not be written.
pub fn man(args: &ManArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut command = help::command().disable_help_subcommand(true);
    command.build();
    let Some(directory) = &args.output else {
        terminal.data(&page(&command))?;
        return Ok(Exit::Ok);
    };
    std::fs::create_dir_all(directory).map_err(|error| Failure::no_output(directory, &error))?;
    let mut count = 0;
    for command in [&command].into_iter().chain(command.get_subcommands()) {
        let path = directory.join(format!("{}.1", name(command)));
        std::fs::write(&path, page(command)).map_err(|error| Failure::no_output(&path, &error))?;
        count += 1;
    }
    terminal.say(format!("{} in {}", counted(count, "page"), directory.display()));
    terminal.say(format!("\nnext:\n  man {}", Path::new(directory).join("swath.1").display()));
    Ok(Exit::Ok)
}

fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The page of a command. Without a date, so that one build has one text.
fn page(command: &Command) -> String {
    let is_program = is_program(command);
    let man = Man::new(command.clone());
    let mut title = Roff::new();
    let version = concat!("swath ", env!("CARGO_PKG_VERSION"));
    title.control("TH", [name(command).to_uppercase().as_str(), "1", "\"\"", version, "Swath"]);
    let mut page = Vec::new();
    // Writing to memory succeeds.
    let _ = title.to_writer(&mut page);
    let _ = man.render_name_section(&mut page);
    let _ = man.render_synopsis_section(&mut page);
    let _ = man.render_description_section(&mut page);
    let text = if is_program { help::long() } else { command.get_after_long_help().map(ToString::to_string).unwrap_or_default() };
    let parts = help::parts(text.strip_suffix(help::REST).unwrap_or(&text));
    let sections = parts.iter().position(|part| matches!(part, Part::Heading(_))).unwrap_or(parts.len());
    // What stands before the first section belongs to the description.
    render(&parts[..sections], &mut page);
    let _ = man.render_options_section(&mut page);
    if command.has_subcommands() {
        commands(command, &mut page);
    }
    render(&parts[sections..], &mut page);
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]).text(see_also(command));
    let _ = roff.to_writer(&mut page);
    // A backtick of ours is one, and no opening quotation mark. The library's way to leave a line empty makes mandoc complain.
    String::from_utf8_lossy(&page).replace('`', "\\(ga").replace(".br\n\n.br\n", ".sp\n")
}

fn commands(command: &Command, page: &mut Vec<u8>) {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    if is_program(command) {
        for command in command.get_subcommands() {
            roff.control("TP", []).text([bold(name(command)), roman("(1)")]).text([roman(about(command))]);
        }
    } else {
        parts_of(command, &mut roff);
    }
    let _ = roff.to_writer(page);
}

/// The commands within a command, which have no pages of their own.
fn parts_of(command: &Command, roff: &mut Roff) {
    for part in command.get_subcommands().filter(|part| part.get_name() != "help") {
        if part.has_subcommands() {
            parts_of(part, roff);
            continue;
        }
        let usage = part.clone().render_usage().to_string();
        roff.control("TP", []).text([bold(usage.trim_start_matches("Usage: "))]).text([roman(about(part))]);
        // Those of all parts are among the options of the page.
        for option in part.get_opts().filter(|option| !option.is_global_set()) {
            let help = option.get_help().map(ToString::to_string).unwrap_or_default();
            roff.control("br", []).text([bold(format!("--{}", option.get_long().unwrap_or_default())), roman(format!(": {help}"))]);
        }
    }
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn is_program(command: &Command) -> bool {
    name(command) == "swath"
}

fn render(parts: &[Part<'_>], page: &mut Vec<u8>) {
    let mut roff = Roff::new();
    let mut begins = false;
    for part in parts {
        match part {
            Part::Heading(heading) => {
                let heading = match *heading {
                    "Start here" => "EXAMPLES".into(),
                    "Exit codes" => "EXIT STATUS".into(),
                    other => other.to_uppercase(),
                };
                roff.control("SH", [heading.as_str()]);
            }
            Part::Text(lines) | Part::Lines(lines) => {
                let is_literal = matches!(part, Part::Lines(_));
                if !begins {
                    roff.control("PP", []);
                }
                if is_literal {
                    roff.control("nf", []);
                }
                for line in lines {
                    roff.text([roman(*line)]);
                }
                if is_literal {
                    roff.control("fi", []);
                }
            }
        }
        begins = matches!(part, Part::Heading(_));
    }
    let _ = roff.to_writer(page);
}

/// A command refers to the program, the program to its commands.
fn see_also(command: &Command) -> Vec<Inline> {
    let names: Vec<&str> = if is_program(command) { command.get_subcommands().map(name).collect() } else { vec!["swath"] };
    let mut words = Vec::new();
    for name in names {
        if !words.is_empty() {
            words.push(roman(", "));
        }
        words.extend([bold(name), roman("(1)")]);
    }
    words
}
