//! What a library exports, and what the engine makes sure of before it calls anything in it.

use std::ffi::c_void;
use std::sync::OnceLock;

use super::layout::{Abi, Base, abi, mix};
use super::raw::{Bytes, NodeVTable};
use super::raw_table::TableVTable;
use super::{NodeKind, TableKind};
use crate::edges::MAX_EDGES;
use crate::memory::{DATA, HEAD, LINE, META_AT, WINDOW};
use crate::packet::{PAD, VECTOR};

/// The name of what a library exports.
pub const SYMBOL: &str = "SWATH_PLUGIN";
/// What it begins with.
pub const MAGIC: u64 = u64::from_le_bytes(*b"swathplg");
/// The number of the ABI. Libraries of another one do not fit.
pub const ABI: u32 = 1;
/// How often the ABI has grown at the ends of its structures since. Libraries that know less fit.
pub const MINOR: u32 = 0;

abi! {
    /// What a library exports as `SWATH_PLUGIN`. The part up to `built_with` is the same in all versions.
    pub(crate) struct RawLibrary as "swath_plugin" {
        /// `SWATH_MAGIC`.
        pub magic: u64,
        /// `SWATH_ABI`.
        pub abi: u32,
        /// `SWATH_MINOR`.
        pub minor: u32,
        /// `SWATH_LAYOUT`.
        pub layout: u64,
        /// Bytes of this structure as the library knows it.
        pub size: u32,
        /// 0.
        pub reserved: u32,
        /// Name of the library: text, and zeros behind it.
        pub name: [u8; 64],
        /// Its version.
        pub version: [u8; 32],
        /// What it was built with: `swath-api 0.1.0`, or `swath.h 0.1.0`.
        pub built_with: [u8; 32],
        pub nodes: *const *const NodeVTable,
        pub node_count: usize,
        pub tables: *const *const TableVTable,
        pub table_count: usize,
        /// Optional: called once, before anything else. What it is given stays for ever.
        pub start: Option<unsafe extern "C" fn(*const RawHost) -> i32>,
    }

    /// What a library may call at any time, from any thread.
    pub(crate) struct RawHost as "swath_host" {
        /// Bytes of this structure as the engine knows it.
        pub size: u32,
        /// How often the engine's ABI has grown.
        pub minor: u32,
        /// The first argument of all calls.
        pub to: *const c_void,
        /// `log(to, level, text)`: 1 for an error, 2 for a warning, 3 for information. Not to be called by `process`.
        pub log: Option<unsafe extern "C" fn(*const c_void, u32, Bytes)>,
    }
}

/// Of all structures, and of what else both sides must agree on.
pub const LAYOUT: u64 = {
    let facts = [HEAD, DATA, META_AT, WINDOW, LINE, VECTOR, PAD, MAX_EDGES];
    let (mut hash, mut at) = (RawLibrary::HASH, 0);
    while at < facts.len() {
        hash = mix(hash, facts[at] as u64);
        at += 1;
    }
    hash
};

/// What libraries may ask of who has opened them.
#[derive(Debug, Clone, Copy)]
pub struct Host {
    /// Takes what a library logs: its file, a level (1 for an error, 2 for a warning, 3 for information), and the text. From any thread.
    pub log: fn(&str, u32, &str),
}

/// A library that was opened: it stays as long as the process.
pub struct Library {
    file: String,
    name: String,
    version: String,
    built_with: String,
    nodes: OnceLock<Vec<NodeKind>>,
    tables: OnceLock<Vec<TableKind>>,
}

impl Library {
    /// The file that it was opened from.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What it was built with: `swath-api 0.1.0`.
    pub fn built_with(&self) -> &str {
        &self.built_with
    }

    /// Its kinds of nodes.
    pub fn nodes(&self) -> &[NodeKind] {
        self.nodes.get().map_or(&[], Vec::as_slice)
    }

    /// Its kinds of tables.
    pub fn tables(&self) -> &[TableKind] {
        self.tables.get().map_or(&[], Vec::as_slice)
    }

    /// Makes sure that this is a library whose ABI is ours and that everything in it is as it must be; then starts it. Nothing of it is called
    /// before.
    ///
    /// # Errors
    /// What is wrong with it, what would be right, and what to do.
    ///
    /// # Safety
    /// `exported` is the address of the symbol [`SYMBOL`] of a library that was loaded from `file` and is never unloaded.
    pub unsafe fn of(exported: *const c_void, file: &str, host: Host) -> Result<&'static Library, String> {
        // SAFETY: a symbol that a library exports is at least as long as its first word; what is no plugin is not looked at any further.
        if unsafe { exported.cast::<u64>().read_unaligned() } != MAGIC {
            return Err(format!(
                "its symbol {SYMBOL} does not begin with the magic number of a plugin: it is no plugin of swath. Export one with \
                 `export_nodes!`, or in C with `swath.h`"
            ));
        }
        if !exported.cast::<RawLibrary>().is_aligned() {
            return Err(format!("its symbol {SYMBOL} is not aligned as C aligns it: declare it `const struct swath_plugin`"));
        }
        // SAFETY: the magic number says that it is such a structure, whose first part is the same in all versions. Numbers and bytes can have any
        // value.
        let raw = unsafe { &*exported.cast::<RawLibrary>() };
        let (name, version, built_with) = (line(&raw.name), line(&raw.version), line(&raw.built_with));
        check_version(raw, &format!("{name} {version}, built with {built_with},"))?;
        // From here on it is the structure that we know.
        let library = Library { file: file.into(), name, version, built_with, nodes: OnceLock::new(), tables: OnceLock::new() };
        let tables = super::examine::tables(raw)?;
        let nodes = super::examine::nodes(raw)?;
        if tables.is_empty() && nodes.is_empty() {
            return Err("it has no kinds: name one in `export_nodes!`".into());
        }
        if let Some(start) = raw.start {
            // SAFETY: the library's ABI is ours; the host is there for ever.
            if unsafe { start(side_of(file, host)) } != super::DONE {
                return Err("it does not want to start".into());
            }
        }
        // Its kinds know it, and it its kinds. Neither ever goes.
        let library: &'static Library = Box::leak(Box::new(library));
        let _ = library.nodes.set(nodes.into_iter().map(|node| node.into_kind(library)).collect());
        let _ = library.tables.set(tables.into_iter().map(|table| table.into_kind(library)).collect());
        Ok(library)
    }
}

/// What a library is refused for that does not fit, without a look at anything but its first part.
fn check_version(raw: &RawLibrary, who: &str) -> Result<(), String> {
    let ours = env!("CARGO_PKG_VERSION");
    let again = format!("build it again with swath-api {ours}, or in C with the header that `swath plugin header` writes");
    if raw.abi != ABI {
        let mend = if raw.abi > ABI { format!("take a newer swath, or {again}") } else { again };
        return Err(format!("{who} has plugin ABI {}, and this swath {ours} has {ABI}: {mend}", raw.abi));
    }
    if raw.layout != LAYOUT {
        return Err(format!(
            "{who} has the layout {:016x} of plugin ABI {ABI}, and this swath {ours} has {LAYOUT:016x}: its structures are others; {again}",
            raw.layout
        ));
    }
    if raw.minor > MINOR {
        return Err(format!(
            "{who} has plugin ABI {ABI}.{}, and this swath {ours} has {ABI}.{MINOR}: take a newer swath, or {again}",
            raw.minor
        ));
    }
    let size = RawLibrary::BASE as u32;
    if raw.size < size {
        return Err(format!("{who} exports {} bytes, and plugin ABI {ABI} has {size}: {again}", raw.size));
    }
    Ok(())
}

/// What the library can call.
fn side_of(file: &str, host: Host) -> *const RawHost {
    unsafe extern "C" fn log(to: *const c_void, level: u32, text: Bytes) {
        // SAFETY: `to` is the pair below, which is there for ever; the text is good during this call.
        let ((file, host), text) = unsafe { (&*to.cast::<(String, Host)>(), text.as_slice()) };
        // It is the library that is called back from: nothing may unwind through it.
        let _ = std::panic::catch_unwind(|| (host.log)(file, level, &String::from_utf8_lossy(text)));
    }
    let to: &'static (String, Host) = Box::leak(Box::new((file.to_owned(), host)));
    Box::leak(Box::new(RawHost { size: size_of::<RawHost>() as u32, minor: MINOR, to: (&raw const *to).cast(), log: Some(log) }))
}

/// Text up to the first zero, of which a line can be made.
fn line(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Library({} {})", self.name, self.version)
    }
}

#[cfg(test)]
#[path = "library_tests.rs"]
mod tests;
