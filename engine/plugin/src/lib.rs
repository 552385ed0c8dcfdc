//! Loads libraries of third-party nodes and tables.
//!
//! A library is code that the engine runs with all its rights. So it comes from directories that the one who runs the engine has named, which
//! nobody else can write to; and before anything of it is called it is looked at: the file (`elf`), what it has to be ([`Directories::load`]), and what it
//! exports ([`swath_api::Library`]). It is never unloaded.

#![deny(unsafe_op_in_unsafe_fn)]

mod crash;
mod elf;
mod trust;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use libloading::os::unix::{self, RTLD_LOCAL, RTLD_NOW};
use sha2::{Digest, Sha256};
use swath_api::{Host, Library, SYMBOL};
use swath_core::spec::Code;
use swath_core::{PluginRefusal, Plugins};

/// Where libraries are if nobody says otherwise.
pub const USUAL: [&str; 2] = ["/usr/local/lib/swath/plugins", "/usr/lib/swath/plugins"];

/// Directories in which libraries are looked for, in this order.
#[derive(Debug, Clone)]
pub struct Directories(Vec<PathBuf>);

/// A library that was loaded.
struct Loaded {
    library: &'static Library,
    sha256: String,
}

/// By file.
static LOADED: Mutex<BTreeMap<PathBuf, Loaded>> = Mutex::new(BTreeMap::new());

impl Directories {
    /// These.
    pub fn new(directories: Vec<PathBuf>) -> Directories {
        Directories(directories)
    }

    /// The usual ones.
    pub fn usual() -> Directories {
        Directories(USUAL.map(PathBuf::from).to_vec())
    }

    /// The file of a library.
    fn find(&self, file: &str) -> Result<PathBuf, PluginRefusal> {
        if file.contains('/') || file == "." || file == ".." {
            let message = format!("`{file}` is a path, and a plugin is named by the file alone");
            return Err(refusal(Code::PluginFile, message, Some(self.help())));
        }
        let found = self.0.iter().map(|directory| directory.join(file)).find(|path| path.exists());
        let path = found.ok_or_else(|| refusal(Code::PluginFile, format!("there is no library `{file}`"), Some(self.help())))?;
        path.canonicalize().map_err(|error| unreadable(&path, &error))
    }

    fn help(&self) -> String {
        let directories: Vec<String> = self.0.iter().map(|directory| format!("`{}`", directory.display())).collect();
        let looked = if directories.is_empty() { "nowhere".into() } else { directories.join(", ") };
        format!("libraries are looked for in {looked}: `--plugin-path DIRECTORY` says where else")
    }
}

impl Plugins for Directories {
    fn load(&self, file: &str, sha256: Option<&str>) -> Result<&'static Library, PluginRefusal> {
        let path = self.find(file)?;
        load(&path, sha256)
    }
}

/// Loads the library in a file, if it has not been loaded.
///
/// # Errors
/// Why it is not used.
pub fn load(path: &Path, sha256: Option<&str>) -> Result<&'static Library, PluginRefusal> {
    let path = &path.canonicalize().map_err(|error| unreadable(path, &error))?;
    let bytes = trust::read(path).map_err(|(what, help)| refusal(Code::PluginFile, what, help))?;
    let is = hexadecimal(&Sha256::digest(&bytes));
    if let Some(expected) = sha256 {
        pinned(path, expected, &is)?;
    }
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = loaded.get(path) {
        if known.sha256 == is {
            return Ok(known.library);
        }
        let message = format!("`{}` has changed since it was loaded, and what was loaded stays", path.display());
        let help = "give the new build a new file name, and name that in the graph".to_owned();
        return Err(refusal(Code::PluginChanged, message, Some(help)));
    }
    let said = |what: String| refusal(Code::PluginRefused, format!("`{}` is refused: {what}", path.display()), None);
    elf::check(&bytes, SYMBOL).map_err(said)?;
    drop(bytes);
    let library = open(path).map_err(said)?;
    crash::watch(library);
    loaded.insert(path.clone(), Loaded { library, sha256: is });
    Ok(library)
}

/// The SHA-256 of a file, as a graph names it.
///
/// # Errors
/// It cannot be read.
pub fn sha256(path: &Path) -> std::io::Result<String> {
    Ok(hexadecimal(&Sha256::digest(std::fs::read(path)?)))
}

fn open(path: &Path) -> Result<&'static Library, String> {
    // SAFETY: the one who runs the engine has put the library where only he can: its code is trusted as that of the engine is.
    let shared = unsafe { unix::Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|error| format!("it cannot be opened: {error}"))?;
    // SAFETY: an address, of which nothing is believed yet.
    let symbol = unsafe { shared.get::<*const std::ffi::c_void>(SYMBOL.as_bytes()) };
    let exported = symbol.map_err(|_| format!("it exports no symbol {SYMBOL}"))?.as_raw_ptr().cast_const();
    // It may have threads, and its code is called as long as there are instances: it is never unloaded.
    std::mem::forget(shared);
    // SAFETY: it is the address of the symbol, and the library stays.
    unsafe { Library::of(exported, &path.display().to_string(), Host { log }) }
}

/// What a library logs.
fn log(library: &str, level: u32, text: &str) {
    if !tracing::dispatcher::has_been_set() {
        eprintln!("swath: {library}: {text}");
        return;
    }
    match level {
        1 => tracing::error!(target: "swath::plugin", library, "{text}"),
        2 => tracing::warn!(target: "swath::plugin", library, "{text}"),
        _ => tracing::info!(target: "swath::plugin", library, "{text}"),
    }
}

fn pinned(path: &Path, expected: &str, is: &str) -> Result<(), PluginRefusal> {
    let refused = |message: String, help: &str| {
        Err(PluginRefusal { code: Code::PluginHash, setting: "sha256", message, help: Some(help.to_owned()) })
    };
    if expected.len() != 64 || !expected.chars().all(|c| c.is_ascii_hexdigit()) {
        let message = format!("`{expected}` is no SHA-256, which has 64 hexadecimal digits");
        return refused(message, &format!("`sha256sum {}` says what it is", path.display()));
    }
    if !expected.eq_ignore_ascii_case(is) {
        let message = format!("`{}` is not the library that is meant: its SHA-256 is {is}", path.display());
        return refused(message, "install the build that is meant, or write this one here if it is");
    }
    Ok(())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> PluginRefusal {
    refusal(Code::PluginFile, format!("`{}` cannot be read: {error}", path.display()), None)
}

fn refusal(code: Code, message: String, help: Option<String>) -> PluginRefusal {
    PluginRefusal { code, setting: "file", message, help }
}
