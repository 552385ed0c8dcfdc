//! What a library is refused for, byte by byte.

use super::super::node::NodeShims;
use super::super::plugin::{Export, NodeEntry};
use super::super::raw::{Bytes, NodeVTable, RawEdge, RawEdges};
use super::*;
use crate::prelude::*;

/// Passes packets on.
struct Pass;

edges! {
    #[allow(dead_code)]
    enum Next {
        /// All packets.
        Ok = required("ok", layer::SAME),
        /// None.
        Never = drop("never"),
    }
}

impl Node for Pass {
    const INFO: Info = Info::new("pass", "Passes packets on.");
    type Config = NoConfig;
    type Next = Next;

    fn new(_: NoConfig, _: &mut Setup<'_>) -> Result<Pass, ConfigError> {
        Ok(Pass)
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.all(Next::Ok);
    }
}

const HOST: Host = Host { log: |_, _, _| () };
const NODES: &[NodeEntry] = &[NodeEntry::of::<Pass>()];
static GOOD: Export = Export::new("good", "1.2.3", NODES, &[]);

/// A copy of what a good library exports, without what would be started.
fn copy() -> RawLibrary {
    // SAFETY: it is a structure of numbers and pointers, which are good for ever.
    RawLibrary { start: None, ..unsafe { GOOD.address().cast::<RawLibrary>().read() } }
}

fn open(raw: &RawLibrary) -> Result<&'static Library, String> {
    // SAFETY: it is such a structure, whose kinds are there for ever.
    unsafe { Library::of((&raw const *raw).cast(), "libgood.so", HOST) }
}

fn refused(change: impl FnOnce(&mut RawLibrary)) -> String {
    let mut raw = copy();
    change(&mut raw);
    open(&raw).map(|library| library.name().to_owned()).unwrap_err()
}

#[test]
fn what_fits_is_a_library_with_its_kinds() {
    let library = open(&copy()).unwrap();
    let ours = format!("swath-api {}", env!("CARGO_PKG_VERSION"));
    let says = (library.file(), library.name(), library.version(), library.built_with());
    assert_eq!(says, ("libgood.so", "good", "1.2.3", ours.as_str()));
    let [kind] = library.nodes() else { panic!("one kind") };
    assert_eq!((kind.info().kind.as_str(), kind.edges().len(), library.tables().len()), ("pass", 2, 0));
    assert_eq!((kind.edges()[1].name.as_str(), kind.edges()[1].class), ("never", crate::EdgeClass::Drop));
    assert!(kind.library().is_some_and(|known| std::ptr::eq(known, library)));
    assert!(NodeKind::of::<Pass>().library().is_none());
    assert!(kind.is_same(&NodeKind::of::<Pass>()));
}

#[test]
fn who_does_not_fit_is_told_both_sides_and_what_to_do() {
    let who = format!("good 1.2.3, built with swath-api {0},", env!("CARGO_PKG_VERSION"));
    let ours = env!("CARGO_PKG_VERSION");
    let again = format!("build it again with swath-api {ours}, or in C with the header that `swath plugin header` writes");
    assert_eq!(
        refused(|raw| raw.abi = 2),
        format!("{who} has plugin ABI 2, and this swath {ours} has 1: take a newer swath, or {again}")
    );
    assert_eq!(refused(|raw| raw.abi = 0), format!("{who} has plugin ABI 0, and this swath {ours} has 1: {again}"));
    assert_eq!(
        refused(|raw| raw.layout ^= 1),
        format!(
            "{who} has the layout {:016x} of plugin ABI 1, and this swath {ours} has {LAYOUT:016x}: its structures are others; {again}",
            LAYOUT ^ 1
        )
    );
    assert_eq!(
        refused(|raw| raw.minor = MINOR + 1),
        format!("{who} has plugin ABI 1.1, and this swath {ours} has 1.0: take a newer swath, or {again}")
    );
    assert_eq!(refused(|raw| raw.size = 8), format!("{who} exports 8 bytes, and plugin ABI 1 has {}: {again}", RawLibrary::BASE));
    assert!(refused(|raw| raw.magic = 7).contains("does not begin with the magic number"));
    assert_eq!(refused(|raw| raw.node_count = 0), "it has no kinds: name one in `export_nodes!`");
    assert!(open(&RawLibrary { size: 4096, ..copy() }).is_ok(), "one that has grown at its end fits");
    assert!(
        refused(|raw| {
            raw.abi = 9;
            raw.name = *b"\x1b[31m\xffred\n\0.....................................................";
        })
        .starts_with("?[31m\u{fffd}red? 1.2.3")
    );
}

/// With another vtable for its only kind.
fn with(change: impl FnOnce(&mut NodeVTable)) -> String {
    let mut vtable = NodeShims::<Pass>::VTABLE;
    change(&mut vtable);
    let vtable: &'static NodeVTable = Box::leak(Box::new(vtable));
    let list: &'static [*const NodeVTable; 1] = Box::leak(Box::new([&raw const *vtable]));
    refused(|raw| raw.nodes = list.as_ptr())
}

fn edge(name: &str, class_id: u8) -> RawEdge {
    let name = Bytes::new(Box::leak(name.to_owned().into_boxed_str()).as_bytes());
    RawEdge { name, doc: Bytes::new(b""), layer: Bytes::new(b""), class_id }
}

fn edges(edges: &[RawEdge]) -> RawEdges {
    let edges: &'static [RawEdge] = edges.to_vec().leak();
    RawEdges { first: edges.as_ptr(), len: edges.len() }
}

#[test]
fn what_is_wrong_with_a_kind_is_found_before_it_is_called() {
    assert_eq!(with(|vtable| vtable.process = None), "in its kind `pass`: the entry `process` is missing");
    assert_eq!(with(|vtable| vtable.destroy = None), "in its kind `pass`: the entry `destroy` is missing");
    assert_eq!(with(|vtable| vtable.info.ownership = 2), "in its kind `pass`: `ownership` is 2");
    assert_eq!(
        with(|vtable| {
            vtable.info.ownership = 1;
            vtable.owner = None;
        }),
        "in its kind `pass`: the entry `owner` is missing"
    );
    assert_eq!(with(|vtable| vtable.info.kind = Bytes::new(b"")), "the name of a kind is empty");
    assert_eq!(
        with(|vtable| vtable.info.kind = Bytes::new(b"Pass it")),
        "`Pass it` cannot be the name of a kind: it has a to z, 0 to 9 and `-`"
    );
    assert_eq!(with(|vtable| vtable.info.about = Bytes::new(b"\xff")), "in its kind `pass`: `about` is not UTF-8");
    assert_eq!(
        with(|vtable| vtable.info.about = Bytes { first: std::ptr::null(), len: 5 }),
        "in its kind `pass`: `about` has 5 entries and is nowhere"
    );
    assert_eq!(
        with(|vtable| vtable.info.summary = Bytes::new(b"")),
        "in its kind `pass`: `summary` is empty: say in a sentence what it does"
    );
    assert_eq!(
        with(|vtable| vtable.edges = edges(&[edge("ok", 6)])),
        "in its kind `pass`: the edge `ok` is of class 6, which there is not"
    );
    assert_eq!(with(|vtable| vtable.edges = edges(&[edge("ok", 0), edge("ok", 2)])), "in its kind `pass`: it has two edges `ok`");
    assert_eq!(with(|vtable| vtable.edges.len = 300), "in its kind `pass`: it has 300 edges, and a kind has 256 at most");
    let want = NodeVTable::BASE;
    assert_eq!(with(|vtable| vtable.size -= 8), format!("a node of it has {} bytes, and plugin ABI 1 has {want}", want - 8));
    let nowhere: &'static [*const NodeVTable; 1] = &[std::ptr::null()];
    assert_eq!(refused(|raw| raw.nodes = nowhere.as_ptr()), "a node of it is nowhere");
    let twice: &'static [NodeEntry; 2] = Box::leak(Box::new([NodeEntry::of::<Pass>(), NodeEntry::of::<Pass>()]));
    assert_eq!(
        refused(|raw| {
            raw.nodes = twice.as_ptr().cast();
            raw.node_count = 2;
        }),
        "it has two kinds of nodes `pass`"
    );
}
