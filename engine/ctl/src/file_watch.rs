//! Notices when the files of a graph become others, by inotify(7).
//!
//! Directories are watched and not files: editors write another file and rename it, and a ConfigMap of Kubernetes is a link to a link to a
//! directory, of which the one in the middle (`..data`) is replaced. So each directory counts in which a name stands on the way to a file.
//! What an event says is not asked for: when it has been quiet for a moment, the files themselves are looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch};
use rustix::io::Errno;
use swath_core::spec::{GraphFiles, Machine, World};

/// How long nothing may happen before files are looked at: several of them are written one after the other.
const QUIET: Duration = Duration::from_millis(200);
/// How long they are not looked at if something always happens.
const LONGEST: Duration = Duration::from_secs(2);
/// As many links as the kernel follows.
const LINKS: usize = 40;

/// The files of a graph, watched.
#[derive(Debug)]
pub struct FileWatch {
    inotify: OwnedFd,
    /// By directory.
    watches: BTreeMap<PathBuf, i32>,
    files: GraphFiles,
    seen: Sight,
    /// Since when something has happened, and when it did last.
    happened: Option<(Instant, Instant)>,
}

/// Device, number, length, and when it was changed.
type Identity = (u64, u64, u64, i64, i64);

/// What there is to see of files without reading them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sight {
    /// By name, of those that are there.
    files: BTreeMap<PathBuf, Option<Identity>>,
    /// By pattern.
    matches: BTreeMap<String, Vec<PathBuf>>,
}

impl FileWatch {
    /// Watches these files.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new(files: &GraphFiles) -> io::Result<FileWatch> {
        let inotify = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let seen = Sight::of(files);
        let mut watch = FileWatch { inotify, watches: BTreeMap::new(), files: files.clone(), seen, happened: None };
        watch.watch()?;
        Ok(watch)
    }

    /// Whether files are others than when this was last said, and nothing has happened to them for a moment. To be asked often.
    ///
    /// # Errors
    /// The system refuses to watch them.
    pub fn is_due(&mut self, now: Instant) -> io::Result<bool> {
        if self.has_happened()? {
            let since = self.happened.map_or(now, |(since, _)| since);
            self.happened = Some((since, now));
        }
        let Some((since, last)) = self.happened else { return Ok(false) };
        if now.saturating_duration_since(last) < QUIET && now.saturating_duration_since(since) < LONGEST {
            return Ok(false);
        }
        self.happened = None;
        // Before it is looked: what happens then is an event.
        self.watch()?;
        let sight = Sight::of(&self.files);
        let is_other = sight != self.seen;
        self.seen = sight;
        Ok(is_other)
    }

    /// Watches the files that have been read since.
    ///
    /// # Errors
    /// The system refuses.
    pub fn follow(&mut self, files: &GraphFiles) -> io::Result<()> {
        self.files = files.clone();
        self.watch()?;
        let sight = Sight::of(files);
        // Which of them were read, if they have changed meanwhile, nobody knows.
        let has_changed = sight.files.iter().any(|(name, file)| self.seen.files.get(name).is_some_and(|seen| seen != file));
        if has_changed {
            let now = Instant::now();
            self.happened = Some((now, now));
        } else {
            self.seen = sight;
        }
        Ok(())
    }

    /// Takes all events; whether there were any that matter.
    fn has_happened(&mut self) -> io::Result<bool> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let mut any = false;
        loop {
            match reader.next() {
                Ok(event) => {
                    let directory = self.watches.iter().find(|(_, watch)| **watch == event.wd()).map(|(path, _)| path.clone());
                    if event.events().contains(ReadFlags::IGNORED) {
                        self.watches.retain(|_, watch| *watch != event.wd());
                    }
                    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                    let path = directory.zip(name).map(|(directory, name)| directory.join(name));
                    // A file that is made is written next, and then closed.
                    let is_empty = event.events() == ReadFlags::CREATE
                        && path
                            .and_then(|path| fs::symlink_metadata(path).ok())
                            .is_some_and(|file| file.is_file() && file.nlink() == 1);
                    any |= !is_empty;
                }
                Err(Errno::AGAIN) => return Ok(any),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Watches the directories that matter now, and no others.
    fn watch(&mut self) -> io::Result<()> {
        let directories: BTreeSet<PathBuf> = self.files.paths().iter().flat_map(|path| directories(path)).collect();
        let needless = self.watches.extract_if(.., |path, _| !directories.contains(path));
        needless.for_each(|(_, watch)| _ = remove_watch(&self.inotify, watch));
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ATTRIB
            | WatchFlags::ONLYDIR;
        for directory in directories {
            match add_watch(&self.inotify, &directory, flags) {
                Ok(watch) => _ = self.watches.insert(directory, watch),
                // It has gone meanwhile, which the one above it tells.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => _ = self.watches.remove(&directory),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl Sight {
    fn of(files: &GraphFiles) -> Sight {
        let file = |path: PathBuf| {
            let found = fs::metadata(&path).ok();
            let found = found.map(|file| (file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec()));
            (path, found)
        };
        let matches = |pattern: &String| (pattern.clone(), Machine.matches(pattern).unwrap_or_default());
        // Of a directory only what matches in it counts.
        let names = files.files.iter().map(|file| &file.name).chain(files.unreadable.keys());
        Sight {
            files: names.map(|name| file(Path::new(&files.directory).join(name))).collect(),
            matches: files.patterns.keys().map(matches).collect(),
        }
    }
}

/// Each directory in which a name stands on the way to a file, links followed, up to the first that is not there.
fn directories(path: &Path) -> Vec<PathBuf> {
    let (mut found, mut links) = (Vec::new(), 0);
    let mut rest: Vec<PathBuf> = parts(path);
    let mut at = PathBuf::from("/");
    let mut is_deep = false;
    while let Some(part) = rest.pop() {
        match part.components().next() {
            Some(Component::ParentDir) => _ = at.pop(),
            Some(Component::Normal(name)) => {
                let next = at.join(name);
                let target = fs::read_link(&next);
                // Directories above the last one count where a link, or nothing, is in them.
                if target.is_ok() || rest.is_empty() || !next.exists() {
                    found.push(at.clone());
                }
                match target {
                    Ok(target) if links < LINKS => {
                        links += 1;
                        if target.is_absolute() {
                            at = PathBuf::from("/");
                        }
                        rest.extend(parts(&target));
                    }
                    _ if !next.exists() => return found,
                    _ => at = next,
                }
                is_deep = true;
            }
            _ => {}
        }
    }
    // A pattern looks in the last one itself.
    if is_deep && at.is_dir() {
        found.push(at);
    }
    found
}

/// The parts of a path, the first one last.
fn parts(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    let mut parts: Vec<PathBuf> = parts.map(|part| PathBuf::from(part.as_os_str())).collect();
    parts.reverse();
    parts
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::thread::sleep;

    use swath_core::spec::GraphFile;

    use super::*;

    fn watch(names: &[&Path], patterns: &[&str]) -> FileWatch {
        let file = |name: &&Path| GraphFile { name: name.display().to_string(), text: String::new().into(), path: None };
        let patterns = patterns.iter().map(|pattern| ((*pattern).into(), Vec::new())).collect();
        FileWatch::new(&GraphFiles { files: names.iter().map(file).collect(), patterns, ..GraphFiles::default() }).unwrap()
    }

    /// What it says once it has been quiet for longer than it waits.
    fn due(watch: &mut FileWatch) -> bool {
        let now = Instant::now();
        assert!(!watch.is_due(now).unwrap(), "not at once");
        watch.is_due(now + QUIET).unwrap()
    }

    #[test]
    fn files_that_are_written_renamed_or_gone() {
        let place = tempfile::tempdir().unwrap();
        let graph = place.path().join("graph.yaml");
        fs::write(&graph, "1").unwrap();
        let mut watched = watch(&[&graph], &[]);
        assert!(!due(&mut watched));
        // What is beside it does not matter.
        fs::write(place.path().join("other.yaml"), "1").unwrap();
        assert!(!due(&mut watched));
        fs::write(&graph, "22").unwrap();
        assert!(due(&mut watched));
        assert!(!due(&mut watched), "once");
        // As editors do it.
        fs::write(place.path().join("graph.yaml~"), "333").unwrap();
        fs::rename(place.path().join("graph.yaml~"), &graph).unwrap();
        assert!(due(&mut watched));
        fs::remove_file(&graph).unwrap();
        assert!(due(&mut watched));
        fs::write(&graph, "22").unwrap();
        assert!(due(&mut watched));
        // With its directory.
        let directory = place.path().join("deep");
        fs::create_dir(&directory).unwrap();
        let inner = directory.join("graph.yaml");
        fs::write(&inner, "1").unwrap();
        let mut watched = watch(&[&inner], &[]);
        fs::remove_dir_all(&directory).unwrap();
        assert!(due(&mut watched));
        fs::create_dir(&directory).unwrap();
        due(&mut watched);
        fs::write(&inner, "22").unwrap();
        assert!(due(&mut watched));
    }

    #[test]
    fn a_config_map_is_replaced_by_a_link_in_the_middle() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let version = |name: &str, text: &str| {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("graph.yaml"), text).unwrap();
        };
        version("..2026_1", "1");
        symlink("..2026_1", at("..data")).unwrap();
        symlink("..data/graph.yaml", at("graph.yaml")).unwrap();
        let graph = at("graph.yaml");
        let mut watched = watch(&[&graph], &[]);
        for n in 2..5 {
            version(&format!("..2026_{n}"), "same");
            symlink(format!("..2026_{n}"), at("..data_tmp")).unwrap();
            fs::rename(at("..data_tmp"), at("..data")).unwrap();
            fs::remove_dir_all(at(&format!("..2026_{}", n - 1))).unwrap();
            assert!(due(&mut watched), "{n}");
        }
    }

    #[test]
    fn files_that_a_pattern_matches_now() {
        let place = tempfile::tempdir().unwrap();
        let (graph, pattern) = (place.path().join("graph.yaml"), place.path().join("ports/*.yaml").display().to_string());
        fs::write(&graph, "1").unwrap();
        let mut watched = watch(&[&graph], &[&pattern]);
        fs::create_dir(place.path().join("ports")).unwrap();
        due(&mut watched);
        fs::write(place.path().join("ports/a.txt"), "1").unwrap();
        assert!(!due(&mut watched));
        fs::write(place.path().join("ports/a.yaml"), "1").unwrap();
        assert!(due(&mut watched));
        // A file that is read from now on.
        let more = place.path().join("ports/a.yaml");
        let files = watch(&[&graph, &more], &[&pattern]).files;
        watched.follow(&files).unwrap();
        assert!(!due(&mut watched));
        fs::write(&more, "22").unwrap();
        assert!(due(&mut watched));
    }

    #[test]
    fn it_waits_until_it_is_quiet_but_not_for_ever() {
        let place = tempfile::tempdir().unwrap();
        let graph = place.path().join("graph.yaml");
        fs::write(&graph, "0").unwrap();
        let mut watched = watch(&[&graph], &[]);
        let start = Instant::now();
        for step in 0..50u32 {
            fs::write(&graph, "x".repeat(step as usize)).unwrap();
            if watched.is_due(start + QUIET / 2 * step).unwrap() {
                assert_eq!(QUIET / 2 * step, LONGEST);
                return;
            }
            sleep(Duration::from_millis(1));
        }
        panic!("never");
    }
}
