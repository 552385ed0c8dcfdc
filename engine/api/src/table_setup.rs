//! What a table finds when it is made, and how tables are found by name.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use crate::abi::{Known, RawTable, TableInstance};
use crate::setup::{ConfigError, Interface, TypeKey};
use crate::table::Table;

/// What a table finds when it is made.
pub struct TableSetup<'a> {
    pub(crate) name: &'a str,
    pub(crate) interfaces: &'a Known,
    pub(crate) tables: &'a [RawTable],
    pub(crate) kind: &'a str,
    pub(crate) siblings: usize,
    pub(crate) workers: u32,
    pub(crate) in_use: bool,
    pub(crate) used: &'a [Cell<bool>],
    pub(crate) old: Option<&'a Arc<TableInstance>>,
    pub(crate) serves: Option<Serves>,
    pub(crate) warnings: Vec<ConfigError>,
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

impl TableSetup<'_> {
    /// The table's name.
    pub fn name(&self) -> &str {
        self.name
    }

    /// How many workers there are.
    pub fn workers(&self) -> u32 {
        self.workers
    }

    /// Whether the table will be used. If not, it is made only to see whether it can be: it has to refuse what it would refuse
    /// otherwise, and should not take much memory for it.
    pub fn in_use(&self) -> bool {
        self.in_use
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
            None if self.siblings <= 1 => {
                let all = self.interfaces().iter().enumerate().filter(|(_, interface)| !interface.is_vacant());
                all.map(|(index, _)| index as u16).collect()
            }
            None => return Err(ConfigError::serves_which(path, self.kind)),
        };
        self.serves = Some(Serves { path: path.into(), interfaces: interfaces.clone(), by_address: false });
        Ok(interfaces)
    }

    /// As [`TableSetup::serves`], for a table that lives on the addresses of its interfaces: that none of them has one is worth a
    /// warning.
    ///
    /// # Errors
    /// As [`TableSetup::serves`].
    pub fn serves_addresses(&mut self, path: &str, names: Option<&[String]>) -> Result<Vec<u16>, ConfigError> {
        let interfaces = self.serves(path, names)?;
        self.serves.iter_mut().for_each(|serves| serves.by_address = true);
        Ok(interfaces)
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
        self.warnings.push(ConfigError::at(path, message));
    }

    /// The table whose place this one will take if the graph runs, under the same name and of the same kind: to go on with what it knows. It
    /// is in use, and goes on as it is if the graph is refused: share with it what workers change ([`Arc`]), and change nothing in it before
    /// [`Table::succeed`].
    pub fn old<T: Table>(&self) -> Option<TableRef<T>> {
        let old = self.old.filter(|old| old.key() == TypeKey::of::<T>())?;
        Some(TableRef { instance: Arc::clone(old), table: PhantomData })
    }

    /// Another table, kept alive by the reference. Its kind must be among [`TableInfo::uses`](crate::TableInfo::uses).
    ///
    /// # Errors
    /// As [`Setup::table`](crate::Setup::table).
    pub fn table<T: Table>(&self, path: &str, name: Option<&str>) -> Result<TableRef<T>, ConfigError> {
        let index = find_table::<T>(self.tables, path, name)?;
        self.used[index].set(true);
        let instance = self.tables[index].instance.cast::<TableInstance>();
        // SAFETY: `find_table` has compared the type key, which is that of this build of the crate: the pointer is from `Arc::as_ptr`
        // of an `Arc<TableInstance>` of ours, alive while the setup is. The count that is added is the one that `from_raw` takes over.
        let instance = unsafe {
            Arc::increment_strong_count(instance);
            Arc::from_raw(instance)
        };
        Ok(TableRef { instance, table: PhantomData })
    }
}

impl fmt::Debug for TableSetup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableSetup({})", self.name)
    }
}

/// The shared part of a table, held by another table.
pub struct TableRef<T> {
    instance: Arc<TableInstance>,
    table: PhantomData<fn() -> T>,
}

impl<T: Table> Deref for TableRef<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `TableSetup::table` and `TableSetup::old`, the only constructors, have compared the type key; the instance is alive
        // through the `Arc`.
        unsafe { &*self.instance.shared().cast::<T>() }
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
