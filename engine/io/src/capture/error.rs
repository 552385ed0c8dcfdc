//! Why a capture could not be read on.

use std::fmt;
use std::io;

/// An error of a [`Reader`](super::Reader): where in which capture, and what.
///
/// Everything that the reader returned before stays valid.
#[derive(Debug)]
pub struct ReadError {
    /// The capture as the user named it, usually its path.
    pub name: String,
    /// Where the record or block begins that could not be read.
    pub offset: u64,
    /// What is wrong there.
    pub kind: ReadErrorKind,
}

/// What is wrong with a capture.
#[derive(Debug)]
pub enum ReadErrorKind {
    /// The input could not be opened or read.
    Io(io::Error),
    /// The input ends inside a header, record or block, as when a capture is still being written
    /// or its disk was full.
    Truncated {
        /// How many bytes of it are there.
        present: u64,
        /// How many bytes it has at least.
        needed: u64,
    },
    /// The input breaks the rules of its format, in the way that the words say.
    Malformed(String),
}

impl ReadError {
    /// Whether the only fault is that the capture ends too early.
    pub fn is_truncated(&self) -> bool {
        matches!(self.kind, ReadErrorKind::Truncated { .. })
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: byte {}: ", self.name, self.offset)?;
        match &self.kind {
            ReadErrorKind::Io(error) => error.fmt(f),
            ReadErrorKind::Truncated { present, needed } => {
                write!(f, "the capture is cut off: {present} of {needed} bytes are there")
            }
            ReadErrorKind::Malformed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            ReadErrorKind::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for ReadErrorKind {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
