//! `swath replay --compare`: whether two captures hold the same traffic.

use std::io;
use std::path::Path;

use swath_io::capture::{CompareError, ReadError, ReadErrorKind, compare as compare_captures};

use crate::exit::{Exit, Failure};
use crate::terminal::Terminal;

/// Compares two captures, or two directories of captures.
///
/// # Errors
/// They cannot be read.
pub fn compare(a: &Path, b: &Path, limit: usize, terminal: &Terminal) -> Result<Exit, Failure> {
    let comparison = compare_captures(a, b, limit).map_err(unreadable)?;
    if comparison.frames == [0, 0] {
        return Err(Failure::other(format!(
            "neither {} nor {} holds a frame: there is nothing to compare",
            a.display(),
            b.display()
        )));
    }
    terminal.data(&format!("{comparison}\n"))?;
    Ok(if comparison.equal { Exit::Ok } else { Exit::Failed })
}

fn unreadable(error: CompareError) -> Failure {
    match error {
        CompareError::Path(path, error) => Failure::no_input(&path, &error),
        CompareError::Mixed(_) => Failure::usage(error.to_string()),
        CompareError::Capture(error) => unreadable_capture(error),
    }
}

/// The failure for a capture that cannot be read: as a file, or as a capture.
pub fn unreadable_capture(error: ReadError) -> Failure {
    match error {
        ReadError { name, kind: ReadErrorKind::Io(error), .. } if error.kind() != io::ErrorKind::Other => {
            Failure::no_input(Path::new(&name), &error)
        }
        error => Failure::other(error.to_string()),
    }
}
