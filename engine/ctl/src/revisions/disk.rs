//! Revisions on disk: a file for each, and one that names the last that was good. Whatever ends the process, and whenever, each of these
//! files is as it was or as it was to be: it is written under another name, synchronised and renamed.

use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;

use super::Revision;

/// The directory of root's engines.
const SYSTEM: &str = "/var/lib/swath";
/// The file that names the last good revision.
const GOOD: &str = "good";
/// How many revisions are kept.
const KEPT: usize = 32;

/// A directory of revisions that nobody else writes.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    /// The directory itself, which is locked.
    directory: File,
}

/// Where an engine whose graph has this name keeps its revisions, unless it is told otherwise.
///
/// # Errors
/// The environment names no place for such files.
pub fn usual(name: &str) -> io::Result<PathBuf> {
    let value = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty());
    // systemd lists several with colons.
    let service = value("STATE_DIRECTORY").and_then(|value| env::split_paths(&value).next());
    let system = || geteuid().is_root().then(|| PathBuf::from(SYSTEM));
    let own = || {
        let state = value("XDG_STATE_HOME").map(PathBuf::from);
        let state = state.or_else(|| value("HOME").map(|home| Path::new(&home).join(".local/state")));
        state.map(|state| state.join("swath"))
    };
    let directory = service.or_else(system).or_else(own).map(|directory| directory.join(name));
    directory
        .ok_or_else(|| io::Error::new(ErrorKind::NotFound, "none of STATE_DIRECTORY, XDG_STATE_HOME and HOME names a directory"))
}

/// The last revision in a directory that was good, or if its file is damaged, the last one before it that is whole.
///
/// # Errors
/// There is none, or they cannot be read.
pub fn last_good(path: &Path) -> io::Result<Revision> {
    let good = good(path)?;
    let older = numbers(path)?.into_iter().filter(|number| *number <= good);
    let mut whole = older.filter_map(|number| read(path, number).ok());
    whole.next().ok_or_else(|| io::Error::new(ErrorKind::NotFound, "none of its revisions can be read"))
}

impl Disk {
    /// Uses a directory, and makes it if need be.
    ///
    /// # Errors
    /// It cannot be used, or somebody else uses it.
    pub fn open(path: &Path) -> io::Result<Disk> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let directory = File::open(path)?;
        flock(&directory, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => io::Error::new(ErrorKind::AddrInUse, "another engine keeps its revisions there"),
            _ => error.into(),
        })?;
        // What was being written when a process was killed.
        for entry in fs::read_dir(path)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with('.') {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Disk { path: path.into(), directory })
    }

    /// The revisions that there are, the last first.
    pub fn numbers(&self) -> Vec<u64> {
        numbers(&self.path).unwrap_or_default()
    }

    /// One of them.
    ///
    /// # Errors
    /// It is not there, or damaged.
    pub fn read(&self, number: u64) -> io::Result<Revision> {
        read(&self.path, number)
    }

    /// The number of the last good one.
    pub fn good(&self) -> Option<u64> {
        good(&self.path).ok()
    }

    /// Keeps a revision, and gives up the oldest if there are too many.
    ///
    /// # Errors
    /// It is not kept.
    pub fn write(&self, revision: &Revision) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(revision)?;
        self.replace(&name(revision.number), &text)?;
        let good = self.good();
        for number in self.numbers().into_iter().skip(KEPT).filter(|number| Some(*number) != good) {
            fs::remove_file(self.path.join(name(number)))?;
        }
        Ok(())
    }

    /// Says which revision was good last.
    ///
    /// # Errors
    /// It stays the one before.
    pub fn set_good(&self, number: u64) -> io::Result<()> {
        self.replace(GOOD, format!("{number}\n").as_bytes())
    }

    /// Writes a file as a whole, or not at all.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let hidden = self.path.join(format!(".{name}"));
        let written = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&hidden)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&hidden, self.path.join(name))?;
            self.directory.sync_all()
        };
        written().inspect_err(|_| _ = fs::remove_file(&hidden))
    }
}

fn name(number: u64) -> String {
    format!("{number:06}.json")
}

fn numbers(path: &Path) -> io::Result<Vec<u64>> {
    let number = |name: &str| name.strip_suffix(".json")?.parse().ok();
    let entries = fs::read_dir(path)?.flatten();
    let mut numbers: Vec<u64> = entries.filter_map(|entry| number(&entry.file_name().to_string_lossy())).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    Ok(numbers)
}

fn read(path: &Path, number: u64) -> io::Result<Revision> {
    let revision: Revision = serde_json::from_slice(&fs::read(path.join(name(number)))?)?;
    let is_whole = revision.number == number && !revision.files.files.is_empty();
    if is_whole { Ok(revision) } else { Err(io::Error::new(ErrorKind::InvalidData, "it is not what its name says")) }
}

fn good(path: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(path.join(GOOD))?;
    text.trim().parse().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use swath_core::spec::{GraphFile, GraphFiles};

    use super::super::By;
    use super::*;

    fn revision(number: u64) -> Revision {
        let file = GraphFile { name: "a.yaml".into(), text: format!("# {number}").into(), path: None };
        Revision { number, at: 0.0, by: By::Apply, files: GraphFiles { files: vec![file], ..GraphFiles::default() } }
    }

    #[test]
    fn so_many_are_kept_and_the_good_one() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("deep/router");
        let disk = Disk::open(&path).unwrap();
        assert_eq!((disk.numbers(), disk.good()), (vec![], None));
        assert_eq!(Disk::open(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        disk.write(&revision(1)).unwrap();
        disk.write(&revision(2)).unwrap();
        disk.set_good(2).unwrap();
        (3..=50).for_each(|number| disk.write(&revision(number)).unwrap());
        assert_eq!(disk.numbers(), (19..=50).rev().chain([2]).collect::<Vec<_>>());
        assert_eq!((disk.read(50).unwrap(), disk.read(3).is_err()), (revision(50), true));
        assert_eq!(last_good(&path).unwrap(), revision(2));
    }

    #[test]
    fn what_is_damaged_is_not_used() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path();
        assert!(last_good(path).is_err());
        let disk = Disk::open(path).unwrap();
        (1..=4).for_each(|number| disk.write(&revision(number)).unwrap());
        disk.set_good(3).unwrap();
        drop(disk);
        assert_eq!(last_good(path).unwrap().number, 3);
        // Cut off, of another number, and half written by a process that was killed.
        let text = fs::read(path.join("000003.json")).unwrap();
        fs::write(path.join("000003.json"), &text[..text.len() / 2]).unwrap();
        fs::write(path.join(".000005.json"), "{").unwrap();
        assert_eq!(last_good(path).unwrap().number, 2);
        fs::copy(path.join("000001.json"), path.join("000002.json")).unwrap();
        assert_eq!(last_good(path).unwrap().number, 1);
        Disk::open(path).unwrap();
        assert!(!path.join(".000005.json").exists());
        fs::write(path.join(GOOD), "x").unwrap();
        assert!(last_good(path).is_err());
    }
}
