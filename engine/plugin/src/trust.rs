//! Whose a file is: a library that others can change is theirs.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Bytes of a library, at most.
const LONGEST: u64 = 512 << 20;
/// Write permission of the group and of others.
const OTHERS: u32 = 0o022;
/// In a directory with this bit only the owner of a file removes it.
const STICKY: u32 = 0o1000;

/// What is wrong, and what to do.
type Refused = (String, Option<String>);

/// Reads a library, of which and of whose directories it is made sure that nobody else can write to them.
pub fn read(path: &Path) -> Result<Vec<u8>, Refused> {
    let shown = path.display();
    let cannot = |error: std::io::Error| (format!("`{shown}` cannot be read: {error}"), None);
    // A pipe would let us wait for whoever writes it.
    let mut file: File =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path).map_err(cannot)?;
    let about = file.metadata().map_err(cannot)?;
    if !about.is_file() {
        return Err((format!("`{shown}` is no file"), None));
    }
    own(path, &about, "library")?;
    if about.mode() & OTHERS != 0 {
        return Err(open_to_others(path, "library", &about));
    }
    let mut is_first = true;
    for directory in path.ancestors().skip(1).filter(|directory| !directory.as_os_str().is_empty()) {
        let about = directory.metadata().map_err(cannot)?;
        own(directory, &about, "directory")?;
        if about.mode() & OTHERS != 0 && (is_first || about.mode() & STICKY == 0) {
            return Err(open_to_others(directory, "directory", &about));
        }
        is_first = false;
    }
    if about.len() > LONGEST {
        return Err((format!("`{shown}` has {} bytes, and a library has {LONGEST} at most", about.len()), None));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(cannot)?;
    Ok(bytes)
}

fn own(path: &Path, about: &Metadata, what: &str) -> Result<(), Refused> {
    // SAFETY: it has no arguments and cannot fail.
    let us = unsafe { libc::geteuid() };
    if about.uid() == 0 || about.uid() == us {
        return Ok(());
    }
    let message =
        format!("the {what} `{}` belongs to user {}, who is neither root nor the one who runs swath", path.display(), about.uid());
    Err((message, Some(format!("`chown root {}`, if it is to be trusted", path.display()))))
}

fn open_to_others(path: &Path, what: &str, about: &Metadata) -> Refused {
    let message = format!("others can write to the {what} `{}`, whose mode is {:04o}", path.display(), about.mode() & 0o7777);
    (message, Some(format!("`chmod go-w {}`, if it is to be trusted", path.display())))
}
