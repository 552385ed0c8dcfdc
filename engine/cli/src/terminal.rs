//! Where words go: for people to standard error, data to standard output; with colours where they are wanted.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

use crate::args::ColorChoice;
use crate::exit::{Exit, Failure};

/// Both outputs.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Whether what is said to people may have colours.
    pub colour: bool,
    /// Whether data may have colours.
    pub data_colour: bool,
    /// Whether people read along: lines can be redrawn.
    pub interactive: bool,
    /// Whether nothing is said to people: programs read standard error.
    pub quiet: bool,
}

/// How a text stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Headings.
    Bold,
    /// What is right.
    Good,
    /// What somebody should look at.
    Warning,
    /// What is wrong.
    Error,
}

impl Terminal {
    /// The outputs of this process.
    pub fn new(choice: ColorChoice) -> Terminal {
        let interactive = io::stderr().is_terminal();
        let wanted = |is_terminal: bool| match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => environment(|variable| std::env::var_os(variable)).unwrap_or(is_terminal),
        };
        Terminal { colour: wanted(interactive), data_colour: wanted(io::stdout().is_terminal()), interactive, quiet: false }
    }

    /// Says a line to people.
    pub fn say(&self, line: impl AsRef<str>) {
        if self.quiet {
            return;
        }
        // Where nobody listens there is nobody to tell.
        let _ = writeln!(io::stderr().lock(), "{}", line.as_ref());
    }

    /// Draws over the current line with one that is not wider than [`Terminal::width`].
    pub fn redraw(&self, line: &str) {
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "\r{line}\x1b[K").and_then(|()| stderr.flush());
    }

    /// The longest line that can be drawn over: one that wraps cannot.
    pub fn width(&self) -> usize {
        let columns = rustix::termios::tcgetwinsize(io::stderr()).map_or(0, |size| usize::from(size.ws_col));
        if columns == 0 { 79 } else { columns - 1 }
    }

    /// Says what a failure is.
    pub fn fail(&self, failure: &Failure) {
        // Diagnostics name their level themselves.
        match failure.exit() {
            Exit::Config => self.say(failure.to_string()),
            _ => self.say(format!("{} {failure}", paint("error:", Style::Error, self.colour))),
        }
    }

    /// Says something that somebody should look at.
    pub fn warn(&self, message: &str) {
        self.say(format!("{} {message}", paint("warning:", Style::Warning, self.colour)));
    }

    /// Writes some of the data of a command that goes on for as long as somebody reads it: without a reader it ends.
    ///
    /// # Errors
    /// It could not be written.
    pub fn stream(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
            Err(error) => Err(Failure::other(format!("cannot write to standard output: {error}"))),
            Ok(()) => Ok(()),
        }
    }

    /// Writes data. A reader that has gone away has read enough.
    ///
    /// # Errors
    /// It could not be written.
    pub fn data(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::other(format!("cannot write to standard output: {error}")))
            }
            _ => Ok(()),
        }
    }
}

/// A text in a style, by the control sequences of ECMA-48 §8.3.117.
pub fn paint(text: &str, style: Style, colour: bool) -> String {
    if !colour || text.is_empty() {
        return text.into();
    }
    let code = match style {
        Style::Bold => "1",
        Style::Good => "32",
        Style::Warning => "1;33",
        Style::Error => "1;31",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// What the environment says of colours, by <https://no-color.org> and <https://bixense.com/clicolors>; the first word holds.
fn environment(variable: impl Fn(&str) -> Option<OsString>) -> Option<bool> {
    let is = |name: &str, word: &str| variable(name).is_some_and(|value| value == word);
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    if is_set("NO_COLOR") {
        Some(false)
    } else if is_set("CLICOLOR_FORCE") && !is("CLICOLOR_FORCE", "0") {
        Some(true)
    } else if is("CLICOLOR", "0") || is("TERM", "dumb") {
        Some(false)
    } else {
        None
    }
}

/// Help and complaints about arguments have colours before the arguments are known: their own choice is looked up in them.
pub fn colour_of_help(args: &[OsString]) -> clap::ColorChoice {
    let mut words = args.iter().filter_map(|arg| arg.to_str()).take_while(|arg| *arg != "--");
    let mut choice = std::env::var("SWATH_COLOR").ok();
    while let Some(word) = words.next() {
        match word.strip_prefix("--color") {
            Some("") => choice = words.next().map(Into::into),
            Some(value) if value.starts_with('=') => choice = Some(value[1..].into()),
            _ => {}
        }
    }
    match (choice.as_deref(), environment(|variable| std::env::var_os(variable))) {
        (Some("always"), _) => clap::ColorChoice::Always,
        (Some("never"), _) => clap::ColorChoice::Never,
        (_, Some(true)) => clap::ColorChoice::Always,
        (_, Some(false)) => clap::ColorChoice::Never,
        (_, None) => clap::ColorChoice::Auto,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_says_anything_decides_on_colours() {
        let table = [
            ("", None),
            ("TERM=xterm", None),
            ("TERM=dumb", Some(false)),
            ("CLICOLOR=0", Some(false)),
            ("CLICOLOR=1 TERM=dumb", Some(false)),
            ("CLICOLOR_FORCE=1 CLICOLOR=0 TERM=dumb", Some(true)),
            ("CLICOLOR_FORCE=0", None),
            ("CLICOLOR_FORCE=", None),
            ("NO_COLOR= CLICOLOR_FORCE=1", Some(true)),
            ("NO_COLOR=0 CLICOLOR_FORCE=1", Some(false)),
        ];
        for (set, expected) in table {
            let variables = set.split(' ').filter_map(|variable| variable.split_once('='));
            let value = |name: &str| variables.clone().find(|(known, _)| *known == name).map(|(_, value)| value.into());
            assert_eq!(environment(value), expected, "{set}");
        }
    }

    #[test]
    fn colours_end_where_the_text_does() {
        assert_eq!(paint("x", Style::Error, true), "\x1b[1;31mx\x1b[0m");
        assert_eq!(paint("x", Style::Error, false), "x");
        assert_eq!(paint("", Style::Bold, true), "");
    }
}
