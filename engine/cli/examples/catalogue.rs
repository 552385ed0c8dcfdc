//! Writes docs/nodes, the catalogue of kinds: `make docs`.

use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/nodes");
    if directory.exists() {
        std::fs::remove_dir_all(&directory)?;
    }
    std::fs::create_dir_all(&directory)?;
    for (name, text) in swath::catalogue() {
        std::fs::write(directory.join(name), text)?;
    }
    Ok(())
}
