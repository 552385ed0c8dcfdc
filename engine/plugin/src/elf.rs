//! Whether a file is a library that can be loaded here: before it is, because loading runs code of it.

use object::elf::{EM_AARCH64, EM_X86_64, ET_DYN, FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{LittleEndian, Object, ObjectSymbol};

/// The machine that this program was built for.
const MACHINE: (u16, &str) = if cfg!(target_arch = "aarch64") { (EM_AARCH64, "aarch64") } else { (EM_X86_64, "x86-64") };

/// Makes sure that it is a whole library for this machine which exports a symbol.
///
/// # Errors
/// What it is.
pub fn check(bytes: &[u8], symbol: &str) -> Result<(), String> {
    if !bytes.starts_with(b"\x7fELF") {
        return Err("it is no library: it does not begin as an ELF file does".into());
    }
    let cut_off = || format!("it is cut off, or damaged: {} bytes are no whole ELF file. Copy it again", bytes.len());
    let cut = |_: object::Error| cut_off();
    let header = FileHeader64::<LittleEndian>::parse(bytes).map_err(cut)?;
    let endian = header.endian().map_err(cut)?;
    if header.e_machine(endian) != MACHINE.0 {
        return Err(format!("it is for another machine (ELF number {}), and this is {}", header.e_machine(endian), MACHINE.1));
    }
    if header.e_type(endian) != ET_DYN {
        return Err("it is no shared library: build it with `crate-type = [\"cdylib\"]`, or in C with `-shared -fPIC`".into());
    }
    let ends = |offset: u64, size: u64| offset.checked_add(size).is_some_and(|end| end <= bytes.len() as u64);
    let segments = header.program_headers(endian, bytes).map_err(cut)?;
    let whole = segments.iter().filter(|segment| segment.p_type(endian) == PT_LOAD);
    let whole = whole.map(|segment| (segment.p_offset(endian), segment.p_filesz(endian))).all(|(offset, size)| ends(offset, size));
    // The table of sections is the last thing in the file, as linkers write it.
    let sections = (u64::from(header.e_shnum(endian))) * u64::from(header.e_shentsize(endian));
    if !whole || !ends(header.e_shoff(endian), sections) {
        return Err(cut_off());
    }
    let file = object::read::elf::ElfFile64::<LittleEndian>::parse(bytes).map_err(cut)?;
    let exported = file.dynamic_symbols().any(|known| known.is_definition() && known.name() == Ok(symbol));
    if exported { Ok(()) } else { Err(format!("it exports no symbol {symbol}, so it is no plugin: end it with `export_nodes!`")) }
}
