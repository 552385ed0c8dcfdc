//! Where the control API listens: unix sockets that only their owner may use, in a directory where clients find them.

use std::env;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;

/// The directory of root's engines.
const SYSTEM: &str = "/run/swath";

/// A socket that listens; the file goes when this is dropped.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    /// Device and number of the file, which somebody may have replaced.
    file: (u64, u64),
    listener: UnixListener,
}

/// Who is behind a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    Nothing,
    /// A socket of a process that has ended.
    Dead,
    /// Somebody who listens, if not to us.
    Living,
    /// A file that is no socket.
    Else,
}

impl Socket {
    /// Listens at a path. The socket of a process that has ended gives way.
    ///
    /// # Errors
    /// Somebody listens there, or there is a file of another kind; or it cannot be made.
    pub fn at(path: &Path) -> io::Result<Socket> {
        match there(path)? {
            There::Nothing | There::Dead => Socket::replace(path),
            There::Living => Err(io::Error::new(ErrorKind::AddrInUse, "another process listens there")),
            There::Else => Err(io::Error::new(ErrorKind::AlreadyExists, "there is a file that is no socket")),
        }
    }

    /// Listens in the usual directory as `NAME.sock`, or as `NAME-PID.sock` if a living engine has that name. Sockets there of processes
    /// that have ended are removed.
    ///
    /// # Errors
    /// There is no such directory, and it cannot be made; or no socket can.
    pub fn usual(name: &str) -> io::Result<Socket> {
        let directory = own_directory()?;
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        // One engine at a time looks which names are free.
        let lock = File::open(&directory)?;
        flock(&lock, FlockOperation::LockExclusive)?;
        for path in sockets(&directory) {
            if there(&path).is_ok_and(|there| there == There::Dead) {
                let _ = fs::remove_file(path);
            }
        }
        let plain = directory.join(format!("{name}.sock"));
        match there(&plain)? {
            There::Nothing | There::Dead => Socket::replace(&plain),
            _ => Socket::at(&directory.join(format!("{name}-{}.sock", std::process::id()))),
        }
    }

    /// Under another name at first, so that nobody can connect before only its owner may.
    fn replace(path: &Path) -> io::Result<Socket> {
        let hidden = path.with_file_name(format!(".{}", std::process::id()));
        let listener = UnixListener::bind(&hidden)?;
        let made = || {
            fs::set_permissions(&hidden, Permissions::from_mode(0o600))?;
            let file = fs::symlink_metadata(&hidden)?;
            fs::rename(&hidden, path)?;
            listener.set_nonblocking(true)?;
            Ok((file.dev(), file.ino()))
        };
        match made() {
            Ok(file) => Ok(Socket { path: path.into(), file, listener }),
            Err(error) => {
                let _ = fs::remove_file(&hidden);
                Err(error)
            }
        }
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The listener, once more.
    pub(crate) fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn there(path: &Path) -> io::Result<There> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(There::Nothing),
        Err(error) => return Err(error),
        Ok(file) if !file.file_type().is_socket() => return Ok(There::Else),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(There::Dead),
        // It has ended meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(There::Nothing),
        _ => Ok(There::Living),
    }
}

/// The sockets in a directory, by name.
fn sockets(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_socket(path)).collect();
    found.sort();
    found
}

fn is_socket(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "sock")
}

fn directory_of(variable: &str) -> Option<PathBuf> {
    let value = env::var_os(variable).filter(|value| !value.is_empty())?;
    // systemd lists several with colons.
    env::split_paths(&value).next()
}

/// Where engines of this process's user have their sockets.
fn own_directory() -> io::Result<PathBuf> {
    if let Some(directory) = directory_of("RUNTIME_DIRECTORY") {
        return Ok(directory);
    }
    if geteuid().is_root() {
        return Ok(SYSTEM.into());
    }
    let directory = directory_of("XDG_RUNTIME_DIR").map(|directory| directory.join("swath"));
    directory.ok_or_else(|| io::Error::new(ErrorKind::NotFound, "neither RUNTIME_DIRECTORY nor XDG_RUNTIME_DIR names a directory"))
}

/// Where clients look: a directory that the environment names is the only one, as it is for an engine.
pub fn directories() -> Vec<PathBuf> {
    match directory_of("RUNTIME_DIRECTORY") {
        Some(directory) => vec![directory],
        None => {
            directory_of("XDG_RUNTIME_DIR").map(|directory| directory.join("swath")).into_iter().chain([SYSTEM.into()]).collect()
        }
    }
}

/// The sockets of living engines where clients look.
pub fn living() -> Vec<PathBuf> {
    let found = directories().into_iter().flat_map(|directory| sockets(&directory));
    found.filter(|path| there(path).is_ok_and(|there| there == There::Living)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_socket_stays_and_a_dead_one_gives_way() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.sock");
        let first = Socket::at(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Socket::at(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(first);
        assert_eq!(there(&path).unwrap(), There::Nothing);
        // As a process leaves it that was killed.
        drop(UnixListener::bind(&path).unwrap());
        assert_eq!(there(&path).unwrap(), There::Dead);
        let second = Socket::at(&path).unwrap();
        assert_eq!(there(&path).unwrap(), There::Living);
        // Somebody has put another in its place, which is not removed.
        fs::remove_file(&path).unwrap();
        let other = UnixListener::bind(&path).unwrap();
        drop(second);
        assert_eq!(there(&path).unwrap(), There::Living);
        drop(other);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_is_no_socket_stays() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("notes.sock");
        fs::write(&path, "keep").unwrap();
        assert_eq!(Socket::at(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "keep");
        let long = place.path().join("x".repeat(200)).join("a.sock");
        assert!(Socket::at(&long).is_err());
    }
}
