//! How the program ends: a code for other programs, and words for people.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// Exit codes; those above 2 are the ones of `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Any failure that has no code of its own; captures that differ; a ledger that does not add up.
    Failed = 1,
    /// There are changes, and somebody asked whether there are.
    Differs = 2,
    /// The arguments are wrong (`EX_USAGE`).
    Usage = 64,
    /// A file is not there, or cannot be read (`EX_NOINPUT`).
    NoInput = 66,
    /// The graph is refused (`EX_CONFIG`).
    Config = 78,
}

impl Exit {
    /// All of them, with what they mean.
    pub const ALL: [(Exit, &'static str); 6] = [
        (Exit::Ok, "done"),
        (Exit::Failed, "anything else failed: tests, ledgers, captures that differ, unwritable output"),
        (Exit::Differs, "there are changes: plan, and diff with --exit-code"),
        (Exit::Usage, "the arguments are wrong (EX_USAGE)"),
        (Exit::NoInput, "a file is not there, or cannot be read (EX_NOINPUT)"),
        (Exit::Config, "the graph is refused (EX_CONFIG)"),
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// A failure without a code of its own.
    pub fn other(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Failed, message: message.into() }
    }

    /// The arguments are wrong.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Usage, message: message.into() }
    }

    /// A file cannot be read.
    pub fn no_input(path: &Path, error: &io::Error) -> Failure {
        Failure { exit: Exit::NoInput, message: format!("cannot read {}: {}", path.display(), in_words(error)) }
    }

    /// A file cannot be written.
    pub fn no_output(path: &Path, error: &io::Error) -> Failure {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "there is no such directory".into(),
            _ => in_words(error),
        };
        Failure::other(format!("cannot write {}: {why}", path.display()))
    }

    /// The graph is refused, for the diagnostics that `rendered` holds.
    pub fn config(rendered: impl Into<String>) -> Failure {
        Failure { exit: Exit::Config, message: rendered.into() }
    }

    /// The code to end with.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The usual errors of the system without its abbreviations and numbers.
fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::IsADirectory => "it is a directory".into(),
        io::ErrorKind::NotADirectory => "a part of the path is not a directory".into(),
        _ => error.to_string(),
    }
}
