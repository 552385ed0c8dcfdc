//! The sentences in which references go wrong.
//!
//! A refusal crosses the boundary of a plugin as a path and a sentence. These sentences are known to the loader by their beginning: it
//! says them with a code of their own, with both places where two are involved, and with the name that was probably meant. A kind of
//! node or table may send them, too; [`ConfigError`] makes them.

use std::net::IpAddr;

use crate::setup::ConfigError;

/// Names that a sentence lists at most: the loader knows all of them.
const LISTED: usize = 8;

impl ConfigError {
    /// The setting at `path` names an interface that there is not; `known` are those that there are.
    pub fn unknown_interface<'a>(path: impl Into<String>, name: &str, known: impl IntoIterator<Item = &'a str>) -> ConfigError {
        ConfigError::at(path, format!("unknown interface `{name}`, {}", one_of(known)))
    }

    /// The setting at `path` is an address, and has to be on the subnet of an interface.
    pub fn off_subnet(path: impl Into<String>, address: impl Into<IpAddr>) -> ConfigError {
        ConfigError::at(path, format!("`{}` is on no interface's subnet", address.into()))
    }

    /// The setting at `path` says something again that the one at `first` has said.
    pub fn twice(path: impl Into<String>, what: &str, first: &str) -> ConfigError {
        ConfigError::at(path, format!("`{what}` is given twice, first in `{first}`"))
    }

    pub(crate) fn unknown_table<'a>(path: &str, name: &str, kind: &str, known: impl IntoIterator<Item = &'a str>) -> ConfigError {
        ConfigError::at(path, format!("unknown table `{name}` of kind `{kind}`, {}", one_of(known)))
    }

    pub(crate) fn other_kind<'a>(
        path: &str,
        (name, its): (&str, &str),
        kind: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> ConfigError {
        ConfigError::at(path, format!("the table `{name}` is of kind `{its}` and not of kind `{kind}`, {}", one_of(known)))
    }

    pub(crate) fn no_table(path: &str, kind: &str) -> ConfigError {
        ConfigError::at(path, format!("a table of kind `{kind}` is needed, there is none"))
    }

    pub(crate) fn several_tables<'a>(path: &str, kind: &str, known: impl IntoIterator<Item = &'a str>) -> ConfigError {
        ConfigError::at(path, format!("several tables of kind `{kind}`: say in `{path}` which, {}", one_of(known)))
    }

    pub(crate) fn serves_which(path: &str, kind: &str) -> ConfigError {
        ConfigError::at(path, format!("several tables of kind `{kind}`: say in `{path}` which interfaces this one serves"))
    }

    /// The table is there, and could not be made: why has been said.
    pub(crate) fn table_refused(path: &str, name: &str) -> ConfigError {
        ConfigError::at(path, format!("the table `{name}` was refused"))
    }
}

fn one_of<'a>(known: impl IntoIterator<Item = &'a str>) -> String {
    let mut known = known.into_iter();
    let listed: Vec<String> = known.by_ref().take(LISTED).map(|name| format!("`{name}`")).collect();
    match (listed.is_empty(), known.count()) {
        (true, _) => "there is none".into(),
        (false, 0) => format!("expected one of {}", listed.join(", ")),
        (false, more) => format!("expected one of {}, and {more} more", listed.join(", ")),
    }
}
