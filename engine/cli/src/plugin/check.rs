//! What a library says of itself.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use swath_api::Library;
use swath_core::{PluginRefusal, Registry};

use crate::exit::Failure;
use crate::table::Table;

/// All kinds, those of libraries among them.
///
/// # Errors
/// One of the libraries would be refused in a graph, too: with the reason.
pub fn registry(libraries: &[PathBuf]) -> Result<Registry, Failure> {
    libraries.iter().try_fold(crate::registry(), |registry, file| registry.with(open(file)?).map_err(Failure::config))
}

fn open(file: &Path) -> Result<&'static Library, Failure> {
    if let Err(error) = std::fs::metadata(file) {
        return Err(Failure::no_input(file, &error));
    }
    swath_plugin::load(file, None).map_err(|PluginRefusal { code, message, help, .. }| {
        let help = help.map_or(String::new(), |help| format!("\n  help: {help}"));
        Failure::config(format!("{}: {message}{help}", code.text()))
    })
}

/// Loads a library, and lists what it has.
///
/// # Errors
/// It would be refused: with the reason.
pub fn check(file: &Path) -> Result<String, Failure> {
    let library = open(file)?;
    // With what there is already: a graph has both.
    crate::registry().with(library).map_err(Failure::config)?;
    let mut text = format!(
        "{} {}, built with {}, plugin ABI {}.{}\n\n",
        library.name(),
        library.version(),
        library.built_with(),
        swath_api::ABI,
        swath_api::MINOR
    );
    let mut table = Table::new(&["KIND", "CLASS", "SUMMARY"], 0..0);
    for kind in library.nodes() {
        table.row([kind.info().kind.as_str().into(), "node".into(), kind.info().summary.as_str().into()]);
    }
    for kind in library.tables() {
        table.row([kind.info().kind.as_str().into(), "table".into(), kind.info().summary.as_str().into()]);
    }
    text.push_str(&table.render(false));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let sha256 = swath_plugin::sha256(file).map_err(|error| Failure::no_input(file, &error))?;
    let _ = write!(text, "\nplugins:\n  {}: {{ file: {name}, sha256: {sha256} }}\n", library.name());
    Ok(text)
}
