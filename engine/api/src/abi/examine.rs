//! Looks at what a library says of its kinds, before anything of it is called: texts that are none, numbers that name nothing, entries that
//! are missing.

use super::layout::Base;
use super::library::{Library, RawLibrary};
use super::node::{NodeEntries, NodeParts, Origin};
use super::raw::{Bytes, NodeVTable, RawEdge, RawEdges, RawSlotInfo, RawSlots, RawTexts};
use super::raw_table::TableVTable;
use super::table_kind::{QuestionEntries, TableEntries, TableParts};
use super::{NodeKind, TableKind};
use crate::edges::{EdgeClass, EdgeInfo, MAX_EDGES};
use crate::node::Info;
use crate::owner::Ownership;
use crate::packet::{Meta, SlotInfo};
use crate::table::TableInfo;
use crate::text::{List, Str};

/// Bytes of a text, at most; and entries of a list.
const LONGEST: usize = 1 << 20;
/// Characters of a kind, at most, and of an edge.
const NAME: usize = 63;

/// A kind of node of a library that is not known yet.
pub(super) struct Node {
    info: Info,
    edges: List<EdgeInfo>,
    named: Option<&'static EdgeInfo>,
    state_version: u32,
    entries: NodeEntries,
}

impl Node {
    pub fn into_kind(self, library: &'static Library) -> NodeKind {
        let Node { info, edges, named, state_version, entries } = self;
        NodeKind::from_parts(Box::leak(Box::new(NodeParts {
            info,
            edges,
            named,
            state_version,
            entries,
            origin: Origin::Library(library),
        })))
    }
}

/// A kind of table of a library that is not known yet.
pub(super) struct Table {
    info: TableInfo,
    state_version: u32,
    entries: TableEntries,
    questions: Option<&'static QuestionEntries>,
}

impl Table {
    pub fn into_kind(self, library: &'static Library) -> TableKind {
        let Table { info, state_version, entries, questions } = self;
        TableKind::from_parts(Box::leak(Box::new(TableParts {
            info,
            state_version,
            entries,
            questions,
            origin: Origin::Library(library),
        })))
    }
}

/// All kinds of nodes of a library.
pub(super) fn nodes(raw: &RawLibrary) -> Result<Vec<Node>, String> {
    let mut nodes: Vec<Node> = Vec::new();
    for vtable in list(raw.nodes, raw.node_count, "list of nodes")? {
        let node = node(vtable_of(*vtable, "node", |vtable: &NodeVTable| vtable.size)?)?;
        if nodes.iter().any(|other| other.info.kind == node.info.kind) {
            return Err(format!("it has two kinds of nodes `{}`", node.info.kind));
        }
        nodes.push(node);
    }
    Ok(nodes)
}

/// All kinds of tables of a library.
pub(super) fn tables(raw: &RawLibrary) -> Result<Vec<Table>, String> {
    let mut tables: Vec<Table> = Vec::new();
    for vtable in list(raw.tables, raw.table_count, "list of tables")? {
        let table = table(vtable_of(*vtable, "table", |vtable: &TableVTable| vtable.size)?)?;
        if tables.iter().any(|other| other.info.kind == table.info.kind) {
            return Err(format!("it has two kinds of tables `{}`", table.info.kind));
        }
        tables.push(table);
    }
    Ok(tables)
}

fn vtable_of<T: Base>(vtable: *const T, class: &str, size: impl Fn(&T) -> u32) -> Result<&'static T, String> {
    if vtable.is_null() || !vtable.is_aligned() {
        return Err(format!("a {class} of it is nowhere"));
    }
    // SAFETY: the library's ABI is ours: its lists name structures that are there as long as itself, in which there are only numbers,
    // pointers, and functions that may be missing.
    let vtable = unsafe { &*vtable };
    let (has, want) = (size(vtable) as usize, T::BASE);
    if has < want { Err(format!("a {class} of it has {has} bytes, and plugin ABI 1 has {want}")) } else { Ok(vtable) }
}

fn node(vtable: &'static NodeVTable) -> Result<Node, String> {
    let raw = &vtable.info;
    let kind = name(raw.kind, "the name of a kind")?;
    let inside = |what: String| format!("in its kind `{kind}`: {what}");
    let node = || {
        let missing = |entry: &str| format!("the entry `{entry}` is missing");
        let ownership = match raw.ownership {
            0 => Ownership::Any,
            1 => Ownership::Owned,
            other => return Err(format!("`ownership` is {other}")),
        };
        if ownership == Ownership::Owned && vtable.owner.is_none() {
            return Err(missing("owner"));
        }
        let info = Info {
            kind,
            summary: text(raw.summary, "summary")?,
            about: text(raw.about, "about")?,
            input: text(raw.input, "input")?,
            reads: slots(&raw.reads, "reads")?,
            writes: slots(&raw.writes, "writes")?,
            uses: texts(&raw.uses, "uses")?,
            carries: text(raw.carries, "carries")?,
            example: text(raw.example, "example")?,
            ownership,
            pure: raw.pure != 0,
        };
        if info.summary.as_str().is_empty() {
            return Err("`summary` is empty: say in a sentence what it does".into());
        }
        let edges = edges(&vtable.edges)?;
        let named = if vtable.named.is_null() {
            None
        } else {
            // SAFETY: as in `vtable_of`.
            let edge: &'static EdgeInfo = Box::leak(Box::new(edge(unsafe { &*vtable.named })?));
            Some(edge)
        };
        let entries = NodeEntries {
            key: vtable.key.ok_or_else(|| missing("key"))?,
            create: vtable.create.ok_or_else(|| missing("create"))?,
            process: vtable.process.ok_or_else(|| missing("process"))?,
            owner: vtable.owner,
            tick: vtable.tick,
            adopt: vtable.adopt,
            save: vtable.save,
            restore: vtable.restore,
            schema: vtable.schema,
            check: vtable.check,
            destroy: vtable.destroy.ok_or_else(|| missing("destroy"))?,
            reason: vtable.reason,
            simulate: vtable.simulate,
        };
        Ok(Node { info, edges, named, state_version: vtable.state_version, entries })
    };
    node().map_err(inside)
}

fn table(vtable: &'static TableVTable) -> Result<Table, String> {
    let raw = &vtable.info;
    let kind = name(raw.kind, "the name of a kind of table")?;
    let inside = |what: String| format!("in its kind of table `{kind}`: {what}");
    let table = || {
        let missing = |entry: &str| format!("the entry `{entry}` is missing");
        let info = TableInfo {
            kind,
            summary: text(raw.summary, "summary")?,
            about: text(raw.about, "about")?,
            uses: texts(&raw.uses, "uses")?,
            carries: text(raw.carries, "carries")?,
            loses: text(raw.loses, "loses")?,
            ignores_interfaces: raw.ignores_interfaces != 0,
            reads: texts(&raw.reads, "reads")?,
            example: text(raw.example, "example")?,
        };
        if info.summary.as_str().is_empty() {
            return Err("`summary` is empty: say in a sentence what it is".into());
        }
        let entries = TableEntries {
            key: vtable.key.ok_or_else(|| missing("key"))?,
            schema: vtable.schema,
            check: vtable.check,
            create: vtable.create.ok_or_else(|| missing("create"))?,
            shard: vtable.shard.ok_or_else(|| missing("shard"))?,
            sync: vtable.sync,
            succeed: vtable.succeed,
            adopt: vtable.adopt,
            rest: vtable.rest,
            link: vtable.link,
            command: vtable.command.ok_or_else(|| missing("command"))?,
            figures: vtable.figures,
            state_file: vtable.state_file,
            records: vtable.records,
            save: vtable.save,
            restore: vtable.restore,
            destroy_shard: vtable.destroy_shard.ok_or_else(|| missing("destroy_shard"))?,
            destroy: vtable.destroy.ok_or_else(|| missing("destroy"))?,
        };
        let questions = if vtable.questions.is_null() {
            None
        } else {
            let questions = vtable_of(vtable.questions, "list of questions", |questions| questions.size)?;
            let entries = QuestionEntries::of(questions).ok_or("an entry of its questions is missing")?;
            let entries: &'static QuestionEntries = Box::leak(Box::new(entries));
            Some(entries)
        };
        Ok(Table { info, state_version: vtable.state_version, entries, questions })
    };
    table().map_err(inside)
}

fn list<T>(first: *const T, len: usize, what: &str) -> Result<&'static [T], String> {
    if len == 0 {
        return Ok(&[]);
    }
    if first.is_null() || !first.is_aligned() || len > LONGEST {
        return Err(format!("`{what}` has {len} entries and is nowhere"));
    }
    // SAFETY: the library's ABI is ours: it says so many entries are there as long as itself.
    Ok(unsafe { std::slice::from_raw_parts(first, len) })
}

fn text(raw: Bytes, what: &str) -> Result<Str, String> {
    let bytes = list(raw.first, raw.len, what)?;
    let text = std::str::from_utf8(bytes).map_err(|_| format!("`{what}` is not UTF-8"))?;
    Ok(Str::new(text))
}

/// A word that users write.
fn name(raw: Bytes, what: &str) -> Result<Str, String> {
    let text = text(raw, what)?;
    word(text.as_str(), what).map(|()| text)
}

fn word(word: &str, what: &str) -> Result<(), String> {
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match word {
        "" => Err(format!("{what} is empty")),
        word if word.len() <= NAME && word.chars().all(is_good) && !word.starts_with('-') => Ok(()),
        word => Err(format!("`{}` cannot be {what}: it has a to z, 0 to 9 and `-`", word.escape_debug())),
    }
}

fn texts(raw: &RawTexts, what: &str) -> Result<List<Str>, String> {
    let list = list(raw.first, raw.len, what)?;
    let texts: Vec<Str> = list.iter().map(|raw| text(*raw, what)).collect::<Result<_, _>>()?;
    Ok(List::new(texts.leak()))
}

fn slots(raw: &RawSlots, what: &str) -> Result<List<SlotInfo>, String> {
    let read = |slot: &RawSlotInfo| {
        let name = text(slot.name, what)?;
        let fits = slot.bytes > 0 && usize::from(slot.bytes) <= Meta::CAPACITY && slot.align.is_power_of_two() && slot.align <= 16;
        if fits {
            Ok(SlotInfo { name, size: slot.bytes, align: slot.align })
        } else {
            Err(format!("`{what}`: `{name}` is no slot"))
        }
    };
    let slots: Vec<SlotInfo> = list(raw.first, raw.len, what)?.iter().map(read).collect::<Result<_, String>>()?;
    Ok(List::new(slots.leak()))
}

fn edges(raw: &RawEdges) -> Result<List<EdgeInfo>, String> {
    if raw.len > MAX_EDGES {
        return Err(format!("it has {} edges, and a kind has {MAX_EDGES} at most", raw.len));
    }
    let mut edges: Vec<EdgeInfo> = Vec::new();
    for raw in list(raw.first, raw.len, "edges")? {
        let edge = edge(raw)?;
        if edges.iter().any(|other| other.name == edge.name) {
            return Err(format!("it has two edges `{}`", edge.name));
        }
        edges.push(edge);
    }
    Ok(List::new(edges.leak()))
}

fn edge(raw: &RawEdge) -> Result<EdgeInfo, String> {
    const CLASSES: [EdgeClass; 6] =
        [EdgeClass::Edge, EdgeClass::Required, EdgeClass::Drop, EdgeClass::Held, EdgeClass::Consumed, EdgeClass::Transmit];
    let class = CLASSES.into_iter().find(|class| *class as u8 == raw.class_id);
    // What stands for names that a graph gives is written as `INTERFACE`.
    let name = text(raw.name, "the name of an edge")?;
    word(&name.as_str().to_ascii_lowercase(), "the name of an edge")?;
    let class = class.ok_or_else(|| format!("the edge `{name}` is of class {}, which there is not", raw.class_id))?;
    Ok(EdgeInfo { name, doc: text(raw.doc, "the words on an edge")?, layer: text(raw.layer, "the layer of an edge")?, class })
}
