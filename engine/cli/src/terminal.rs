//! Where words go: for people to standard error, data to standard output; with colours where they are wanted.

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
            ColorChoice::Auto => is_terminal && !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
        };
        Terminal { colour: wanted(interactive), data_colour: wanted(io::stdout().is_terminal()), interactive }
    }

    /// Says a line to people.
    pub fn say(&self, line: impl AsRef<str>) {
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

/// <https://no-color.org>: present and not empty.
fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_end_where_the_text_does() {
        assert_eq!(paint("x", Style::Error, true), "\x1b[1;31mx\x1b[0m");
        assert_eq!(paint("x", Style::Error, false), "x");
        assert_eq!(paint("", Style::Bold, true), "");
    }
}
