//! What the loader asks of the machine: environment variables and files.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use glob::{MatchOptions, glob_with};

use super::text::Text;
use super::yaml::MAX_TEXT;

/// What a file holds.
#[derive(Debug)]
pub enum Content {
    /// Bytes that somebody has read.
    Bytes(Vec<u8>),
    /// A text that somebody has, too.
    Text(Text),
}

/// The machine as the loader sees it.
pub trait World {
    /// The value of an environment variable, if it is set.
    fn variable(&self, name: &str) -> Option<String>;

    /// What a file holds. One that is larger than the loader reads may be cut off behind
    /// [`MAX_TEXT`].
    ///
    /// # Errors
    /// It cannot be read.
    fn read(&self, path: &Path) -> io::Result<Content>;

    /// The files that a pattern with `*`, `?` or `[...]` matches, in alphabetical order.
    ///
    /// # Errors
    /// It is no pattern: says why.
    fn matches(&self, pattern: &str) -> Result<Vec<PathBuf>, String>;

    /// A path by which a file is known that can be reached by several.
    fn identity(&self, path: &Path) -> PathBuf;
}

/// This machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine;

impl World for Machine {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn read(&self, path: &Path) -> io::Result<Content> {
        let mut bytes = Vec::new();
        // A device may have no end.
        File::open(path)?.take(MAX_TEXT as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Content::Bytes(bytes))
    }

    fn matches(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        // As a shell: what begins with a dot is matched only by a dot.
        let options = MatchOptions { require_literal_leading_dot: true, require_literal_separator: true, case_sensitive: true };
        let paths = glob_with(pattern, options).map_err(|error| error.msg.to_owned())?;
        Ok(paths.filter_map(Result::ok).filter(|path| path.is_file()).collect())
    }

    fn identity(&self, path: &Path) -> PathBuf {
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    }
}

/// A machine without variables and files: for texts that must not reach outside.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nothing;

impl World for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn read(&self, _: &Path) -> io::Result<Content> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn matches(&self, _: &str) -> Result<Vec<PathBuf>, String> {
        Ok(Vec::new())
    }

    fn identity(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}
