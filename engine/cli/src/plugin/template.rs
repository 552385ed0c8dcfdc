//! `swath plugin new`: a plugin that builds, tests and loads as it is.

use std::path::Path;

use crate::exit::Failure;
use crate::terminal::Terminal;

/// Files of the template, by path; `@NAME@`, `@TYPE@`, `@LIBRARY@` and `@API@` stand for what is the new one's own.
const FILES: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("template/Cargo.toml.in")),
    ("src/lib.rs", include_str!("template/lib.rs.in")),
    ("graph.yaml", include_str!("template/graph.yaml.in")),
    (".gitignore", "/target\n"),
];

/// Writes them.
///
/// # Errors
/// The name cannot be one, or something is there already.
pub fn new(name: &str, api: Option<&Path>, terminal: &Terminal) -> Result<(), Failure> {
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(is_good) || name.ends_with('-') || name.len() > 40 {
        return Err(Failure::usage(format!(
            "`{name}` cannot be the name of a plugin: it has a to z, 0 to 9 and `-`, a letter first"
        )));
    }
    if crate::registry().node(name).is_some() {
        return Err(Failure::usage(format!("swath has a kind `{name}` already: choose another name")));
    }
    let directory = Path::new(name);
    if directory.exists() {
        return Err(Failure::other(format!("{name} is there already: choose another name")));
    }
    let api = match api {
        None => format!("\"{}\"", env!("CARGO_PKG_VERSION")),
        Some(api) => {
            let api = api.canonicalize().map_err(|error| Failure::no_input(api, &error))?;
            format!("{{ path = {:?} }}", api.display().to_string())
        }
    };
    let library = name.replace('-', "_");
    let camel: String =
        name.split('-').map(|word| word[..1.min(word.len())].to_uppercase() + word.get(1..).unwrap_or_default()).collect();
    for (path, text) in FILES {
        let path = directory.join(path);
        let text = text.replace("@NAME@", name).replace("@LIBRARY@", &library).replace("@TYPE@", &camel).replace("@API@", &api);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text));
        written.map_err(|error| Failure::no_output(&path, &error))?;
    }
    terminal.say(format!(
        "{name}: a node that drops packets by their length, with its tests, and a graph\n\nnext:\n  cd {name}\n  cargo test\n  cargo build --release\n  \
         swath plugin check target/release/lib{library}.so\n  swath --plugin-path target/release test graph.yaml"
    ));
    Ok(())
}
