//! What a table finds when it is made, and how tables are found by name.

use std::ffi::c_void;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use crate::abi::{Bytes, Known, RawTable, RawTableSetup, TypeKey};
use crate::setup::{ConfigError, Interface};
use crate::table::Table;

/// What `in_use` says of a table that is used by a virtual clock.
pub(crate) const BY_VIRTUAL_TIME: u32 = 2;

/// What a table finds when it is made.
pub struct TableSetup<'a> {
    raw: &'a mut RawTableSetup,
    interfaces: Rc<Known>,
}

/// The interfaces that a table serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serves {
    /// The setting that names them.
    pub path: String,
    /// Their indexes.
    pub interfaces: Vec<u16>,
    /// The table lives on their addresses.
    pub by_address: bool,
}

impl<'a> TableSetup<'a> {
    /// # Safety
    /// All pointers of the raw setup are good during `'a`, its texts are those of `str`s, and there is a flag for each table, which nothing else
    /// reaches.
    pub(crate) unsafe fn new(raw: &'a mut RawTableSetup) -> TableSetup<'a> {
        // SAFETY: the caller's contract.
        let interfaces = unsafe { Known::of(raw.interfaces) };
        TableSetup { raw, interfaces }
    }

    /// The table's name.
    pub fn name(&self) -> &'a str {
        // SAFETY: `new`'s contract.
        unsafe { std::str::from_utf8_unchecked(self.raw.name.as_slice()) }
    }

    fn kind(&self) -> &'a str {
        // SAFETY: `new`'s contract.
        unsafe { std::str::from_utf8_unchecked(self.raw.kind.as_slice()) }
    }

    fn tables(&self) -> &'a [RawTable] {
        // SAFETY: `new`'s contract.
        unsafe { std::slice::from_raw_parts(self.raw.tables, self.raw.table_count) }
    }

    /// How many workers there are.
    pub fn workers(&self) -> u32 {
        self.raw.workers
    }

    /// Whether the table will be used. If not, it is made only to see whether it can be: it has to refuse what it would refuse
    /// otherwise, and should not take much memory for it.
    pub fn in_use(&self) -> bool {
        self.raw.in_use != 0
    }

    /// Whether the engine goes by a virtual clock, as in the tests of a graph and in `swath replay`. Then a table that would have threads, or say
    /// something to others by the network, does without: nobody outside of the engine should notice such a run, and it is the same each time.
    pub fn virtual_time(&self) -> bool {
        self.raw.in_use == BY_VIRTUAL_TIME
    }

    /// All interfaces, by index; shared by all tables that keep them.
    pub fn interfaces(&self) -> &Arc<[Interface]> {
        self.interfaces.list()
    }

    /// The indexes of the interfaces that the setting at `path` names; without it all of them, if the table is the only one of its
    /// kind.
    ///
    /// # Errors
    /// A name is unknown; or there are several tables of the kind, so that each has to say which interfaces it serves.
    pub fn serves(&mut self, path: &str, names: Option<&[String]>) -> Result<Vec<u16>, ConfigError> {
        let interfaces: Vec<u16> = match names {
            Some(names) => {
                let find = |(i, name): (usize, &String)| self.interfaces.find(&format!("{path}[{i}]"), name);
                names.iter().enumerate().map(find).collect::<Result<_, _>>()?
            }
            None if self.raw.siblings <= 1 => {
                let all = self.interfaces().iter().enumerate().filter(|(_, interface)| !interface.is_vacant());
                all.map(|(index, _)| index as u16).collect()
            }
            None => return Err(ConfigError::serves_which(path, self.kind())),
        };
        self.say_serves(path, &interfaces, false);
        Ok(interfaces)
    }

    /// As [`TableSetup::serves`], for a table that lives on the addresses of its interfaces: that none of them has one is worth a
    /// warning.
    ///
    /// # Errors
    /// As [`TableSetup::serves`].
    pub fn serves_addresses(&mut self, path: &str, names: Option<&[String]>) -> Result<Vec<u16>, ConfigError> {
        let interfaces = self.serves(path, names)?;
        self.say_serves(path, &interfaces, true);
        Ok(interfaces)
    }

    fn say_serves(&mut self, path: &str, interfaces: &[u16], by_address: bool) {
        if let Some(serves) = self.raw.serves {
            let path = Bytes::new(path.as_bytes());
            // SAFETY: `new`'s contract; the path and the indexes are alive during the call.
            unsafe { serves(self.raw.to, path, interfaces.as_ptr(), interfaces.len(), by_address.into()) };
        }
    }

    /// The index of the interface that the setting at `path` names.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn interface(&self, path: &str, name: &str) -> Result<u16, ConfigError> {
        self.interfaces.find(path, name)
    }

    /// Says that something in the settings, at a place as `routes[3]`, is allowed and hardly meant.
    pub fn warn(&mut self, path: &str, message: &str) {
        if let Some(warn) = self.raw.warn {
            // SAFETY: `new`'s contract; both texts are alive during the call.
            unsafe { warn(self.raw.to, Bytes::new(path.as_bytes()), Bytes::new(message.as_bytes())) };
        }
    }

    /// The table whose place this one will take if the graph runs, under the same name and of the same kind: to go on with what it knows. It
    /// is in use, and goes on as it is if the graph is refused: share with it what workers change ([`Arc`]), and change nothing in it before
    /// [`Table::succeed`].
    pub fn old<T: Table>(&self) -> Option<TableRef<T>> {
        let old = &self.raw.old;
        let same = !old.is_refused() && old.key == TypeKey::of::<T>();
        // SAFETY: the key is that of T, and the table is alive while the setup is.
        same.then(|| unsafe { TableRef::new(old) })
    }

    /// Another table, kept alive by the reference. Its kind must be among [`TableInfo::uses`](crate::TableInfo::uses).
    ///
    /// # Errors
    /// As [`Setup::table`](crate::Setup::table).
    pub fn table<T: Table>(&self, path: &str, name: Option<&str>) -> Result<TableRef<T>, ConfigError> {
        let index = find_table::<T>(self.tables(), path, name)?;
        // SAFETY: `new`'s contract: there is a flag for each table.
        unsafe { *self.raw.used.add(index) = 1 };
        // SAFETY: `find_table` has compared the type key; the table is alive while the setup is.
        Ok(unsafe { TableRef::new(&self.tables()[index]) })
    }
}

impl fmt::Debug for TableSetup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableSetup({})", self.name())
    }
}

/// The shared part of a table, held by another table.
pub struct TableRef<T> {
    shared: *const c_void,
    instance: *const c_void,
    release: Option<unsafe extern "C" fn(*const c_void)>,
    table: PhantomData<fn() -> T>,
}

// SAFETY: it is a counted reference to a `T: Table`, which is `Send + Sync`; the host's functions may be called from any thread.
unsafe impl<T: Table> Send for TableRef<T> {}
// SAFETY: as above.
unsafe impl<T: Table> Sync for TableRef<T> {}

impl<T: Table> TableRef<T> {
    /// # Safety
    /// The description is of a table whose key is that of `T`, and which is alive.
    unsafe fn new(raw: &RawTable) -> TableRef<T> {
        if let Some(retain) = raw.retain {
            // SAFETY: the table is alive by the caller's contract.
            unsafe { retain(raw.instance) };
        }
        TableRef { shared: raw.shared, instance: raw.instance, release: raw.release, table: PhantomData }
    }
}

impl<T> Drop for TableRef<T> {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: `new` has counted this reference, which is dropped once.
            unsafe { release(self.instance) };
        }
    }
}

impl<T: Table> Deref for TableRef<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `new`'s contract; the table is alive through the reference.
        unsafe { &*self.shared.cast::<T>() }
    }
}

impl<T> fmt::Debug for TableRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TableRef")
    }
}

/// The index of the table that the setting at `path` names; without a name, of the only one of the kind. What is found was made.
pub(crate) fn find_table<T: Table>(tables: &[RawTable], path: &str, name: Option<&str>) -> Result<usize, ConfigError> {
    let (kind, key) = (T::INFO.kind.as_str(), TypeKey::of::<T>());
    let is_ours = |table: &&RawTable| table.key == key || table.is_refused() && table.kind() == kind;
    let names = || tables.iter().filter(is_ours).map(RawTable::name);
    let index = match name {
        Some(name) => match tables.iter().position(|table| table.is_named(name)) {
            None => return Err(ConfigError::unknown_table(path, name, kind, names())),
            Some(index) => index,
        },
        None => {
            let mut found = tables.iter().enumerate().filter(|(_, table)| is_ours(table));
            match (found.next(), found.next()) {
                (Some((index, _)), None) => index,
                // What somebody meant to be of this kind may be among those whose kind nobody knows.
                (None, _) => match tables.iter().position(|table| table.is_refused() && table.kind().is_empty()) {
                    Some(index) => index,
                    None => return Err(ConfigError::no_table(path, kind)),
                },
                _ => return Err(ConfigError::several_tables(path, kind, names())),
            }
        }
    };
    let table = &tables[index];
    if table.key == key {
        Ok(index)
    } else if table.kind().is_empty() || table.is_refused() && table.kind() == kind {
        Err(ConfigError::table_refused(path, table.name()))
    } else {
        Err(ConfigError::other_kind(path, (table.name(), table.kind()), kind, names()))
    }
}
