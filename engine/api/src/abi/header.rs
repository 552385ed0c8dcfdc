//! The ABI in C: a header made of the declarations that Rust is compiled from.

use std::fmt::Write as _;

use super::layout::Definition;
use super::library::{ABI, LAYOUT, MAGIC, MINOR, RawHost, RawLibrary, SYMBOL};
use super::raw::{
    Bytes, NodeVTable, RawAddress, RawContext, RawEdge, RawEdges, RawEntry, RawFrame, RawInfo, RawInterface, RawInterfaces,
    RawOutbox, RawPool, RawSetup, RawSlot, RawSlotInfo, RawSlots, RawTable, RawTexts, RawWords, Sink, TypeKey,
};
use super::raw_table::{QuestionVTable, RawTableInfo, RawTableSetup, TableVTable};
use super::{DONE, NOT_SIMULATED, PANICKED};
use crate::edges::EdgeClass;
use crate::edges::Edges;
use crate::memory::{DATA, HEAD, LINE, WINDOW};
use crate::owner::{Owner, Ownership};
use crate::packet::{Desc, Lane, NO_INTERFACE, VECTOR};

/// What C has beside structures.
const HELPERS: &str = include_str!("helpers.h");

/// All structures, each behind those that it has in it.
fn definitions() -> Vec<Definition> {
    vec![
        Bytes::definition(),
        Sink::definition(),
        TypeKey::definition(),
        RawTexts::definition(),
        RawSlotInfo::definition(),
        RawSlots::definition(),
        RawSlot::definition(),
        RawEdge::definition(),
        RawEdges::definition(),
        RawInfo::definition(),
        RawAddress::definition(),
        RawInterface::definition(),
        RawInterfaces::definition(),
        RawTable::definition(),
        RawPool::definition(),
        RawSetup::definition(),
        RawEntry::definition(),
        RawContext::definition(),
        Lane::definition(),
        RawOutbox::definition(),
        RawFrame::definition(),
        RawWords::definition(),
        NodeVTable::definition(),
        RawTableInfo::definition(),
        RawTableSetup::definition(),
        QuestionVTable::definition(),
        TableVTable::definition(),
        RawHost::definition(),
        RawLibrary::definition(),
    ]
}

/// The numbers that both sides must agree on.
fn constants() -> Vec<(&'static str, String, &'static str)> {
    let class = |class: EdgeClass| (class as u8).to_string();
    let hex = |number: u64| format!("0x{number:016x}ull");
    vec![
        ("SWATH_MAGIC", hex(MAGIC), "What `struct swath_plugin` begins with."),
        ("SWATH_ABI", ABI.to_string(), "The number of this ABI."),
        ("SWATH_MINOR", MINOR.to_string(), "How often it has grown at the ends of its structures."),
        ("SWATH_LAYOUT", hex(LAYOUT), "The hash of all structures."),
        ("SWATH_DONE", DONE.to_string(), "An entry has done what it is for."),
        ("SWATH_FAILED", PANICKED.to_string(), "An entry has failed, or refuses."),
        ("SWATH_NOT_SIMULATED", NOT_SIMULATED.to_string(), "A node cannot say what it would do with a packet without doing it."),
        ("SWATH_EDGE", class(EdgeClass::Edge), "Packets go on to another node; unwired they drop by the name of the edge."),
        ("SWATH_REQUIRED", class(EdgeClass::Required), "As `SWATH_EDGE`, and a graph has to wire it."),
        ("SWATH_DROP", class(EdgeClass::Drop), "Packets are dropped by this name, unless the graph wires it."),
        ("SWATH_HELD", class(EdgeClass::Held), "The node has kept the packet."),
        ("SWATH_CONSUMED", class(EdgeClass::Consumed), "The packet has served its purpose, and is no drop."),
        ("SWATH_TRANSMIT", class(EdgeClass::Transmit), "The packet leaves by the interface that its lane names."),
        ("SWATH_ANY_WORKER", (Ownership::Any as u8).to_string(), "It does not matter which worker packets are on."),
        ("SWATH_OWNED", (Ownership::Owned as u8).to_string(), "Each packet has an owner."),
        ("SWATH_NO_OWNER", Owner::ANY.id().to_string(), "Of `owner`: any worker may have the packet."),
        ("SWATH_NO_INTERFACE", NO_INTERFACE.to_string(), "Names no interface."),
        ("SWATH_VECTOR", VECTOR.to_string(), "Packets of a frame, at most."),
        ("SWATH_WINDOW", WINDOW.to_string(), "Bytes from the start of a packet that may always be read and written."),
        ("SWATH_HEAD", HEAD.to_string(), "Bytes at the start of a chunk that are never packet data."),
        ("SWATH_DATA", DATA.to_string(), "Where a packet that is made begins in its chunk."),
        ("SWATH_LINE", LINE.to_string(), "Bytes that positions of chunks count in."),
        ("SWATH_NONE", format!("0x{:x}ull", u64::MAX), "The descriptor in the place of a packet that was kept."),
    ]
}

/// The header for plugins in C, `swath.h`.
#[must_use]
pub fn c_header() -> String {
    let mut text = format!(
        "/* The plugin ABI of Swath {}, in C. Generated: do not edit. `swath plugin header` writes it.\n *\n * A library exports one `const struct swath_plugin {SYMBOL}`. */\n\
         #ifndef SWATH_H\n#define SWATH_H\n\n#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n",
        env!("CARGO_PKG_VERSION")
    );
    for (name, value, doc) in constants() {
        let _ = writeln!(text, "/* {doc} */\n#define {name} {value}");
    }
    let _ = writeln!(text, "#define SWATH_BUILT_WITH \"swath.h {}\"", env!("CARGO_PKG_VERSION"));
    text.push_str(
        "\n/* Which bytes are a packet: `position:32 | offset:16 | length:16`, from the highest bits on. The position is that of the chunk, in lines from\n \
         * the base; the offset that of the first byte in its chunk. */\ntypedef uint64_t swath_desc;\n\n",
    );
    let definitions = definitions();
    for definition in &definitions {
        let _ = writeln!(text, "struct {};", definition.name);
    }
    for definition in &definitions {
        let _ = write!(text, "\n{}struct {} {{\n", comment(&definition.doc, ""), definition.name);
        for field in &definition.fields {
            let _ = writeln!(text, "{}    {};", comment(&field.doc, "    "), field.declaration);
        }
        text.push_str("};\n");
    }
    text.push('\n');
    text.push_str(HELPERS);
    text.push_str("\n/* The structures are what the engine was compiled with. */\n#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L\n");
    for definition in &definitions {
        let _ = writeln!(text, "_Static_assert(sizeof(struct {0}) == {1}, \"{0}\");", definition.name, definition.size);
        for field in &definition.fields {
            let (name, field_name, offset) = (definition.name, field.name, field.offset);
            let _ = writeln!(text, "_Static_assert(offsetof(struct {name}, {field_name}) == {offset}, \"{name}.{field_name}\");");
        }
    }
    text.push_str("#endif\n\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    text
}

/// What must not change any more, a line for each field: lines are added behind those of a structure, and none goes or changes.
#[must_use]
pub fn frozen() -> String {
    let mut text = String::new();
    for definition in definitions() {
        for field in definition.fields {
            let _ = writeln!(text, "{}+{} {}", definition.name, field.offset, field.declaration);
        }
    }
    text
}

/// Words as a comment of C, which they cannot end.
fn comment(doc: &str, indent: &str) -> String {
    let lines: Vec<&str> = doc.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return String::new();
    }
    format!("{indent}/* {} */\n", lines.join(&format!("\n{indent} * ")).replace("*/", "* /"))
}

const _: () = assert!(size_of::<Desc>() == 8);

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(path: &str, text: &str) {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if std::env::var_os("SWATH_BLESS").is_some() {
            std::fs::write(&file, text).expect("the file can be written");
        }
        let there = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(there, text, "{path} is stale: SWATH_BLESS=1 cargo test -p swath-api --lib header");
    }

    #[test]
    fn the_header_is_the_one_that_is_committed() {
        committed("include/swath.h", &c_header());
    }

    #[test]
    fn what_is_out_there_does_not_change() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("include/abi-1.txt");
        let known = std::fs::read_to_string(&file).unwrap_or_default();
        let now = frozen();
        let lines: Vec<&str> = now.lines().collect();
        for line in known.lines() {
            assert!(lines.contains(&line), "ABI 1 has `{line}`: what is there may not change, only grow at the end");
        }
        committed("include/abi-1.txt", &now);
    }

    #[test]
    fn c_and_cpp_agree_on_every_size_and_place() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("include/swath.h");
        for (compiler, arguments) in [("cc", ["-std=c11", "-xc"]), ("cc", ["-std=c99", "-xc"]), ("c++", ["-std=c++17", "-xc++"])] {
            let mut command = std::process::Command::new(compiler);
            let command = command.args(arguments).args(["-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]).arg(&file);
            let Ok(done) = command.output() else {
                assert!(std::env::var_os("CI").is_none(), "no {compiler}");
                eprintln!("skipped: no {compiler}");
                continue;
            };
            assert!(done.status.success(), "{compiler}: {}", String::from_utf8_lossy(&done.stderr));
        }
    }
}
