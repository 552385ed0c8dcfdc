//! What a change from one graph to another means for what runs: a pure function over two plans.
//!
//! Parts are paired by name. What a name means on both sides is kept, adopted or replaced:
//!
//! | fate | an interface | a table or a node |
//! |---|---|---|
//! | keep | the same driver, settings, MAC, MTU and addresses | the same kind and settings, and what it sees is the same |
//! | adopt | only its addresses differ: it stays attached | the same kind: the new instance takes over the old one's state |
//! | convert | | the same kind in another build of its plugin, which reads the state that the old one writes |
//! | fresh | new, or attached anew | new, or of another kind |
//! | gone | | |
//!
//! What a table or a node *sees* is what it may have worked out when it was made: the interfaces, all of which a kind may look at; the
//! tables that it refers to; and which table is meant by settings that name none. Of a node also the edges that the
//! graph has named. Where its packets go to is no part of it: an instance that is only rewired is kept.

mod settings;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use swath_api::{EdgeClass, List, Str};
use utoipa::ToSchema;

pub use settings::{Element, SettingChange, What};

use super::{EdgePlan, InterfacePlan, NodePlan, Plan, TablePlan};
use crate::spec::{EngineSpec, InterfaceAddress, InterfaceSpec, Node, Spanned, Value, Whereabouts};

/// What becomes of an interface, a table or a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It goes on as it is. [`Engine::apply`](crate::run::Engine::apply) gives tables and interfaces the places that they had: an instance
    /// refers to them by place.
    Keep,
    /// It is made anew, and takes over the state of the old one.
    Adopt,
    /// It is made anew by another build of a plugin, which reads the state that the old one writes.
    Convert,
    /// It starts without state.
    Fresh,
    /// It ends, and its state with it.
    Gone,
}

/// What changes from one plan to another. Each name of either plan stands in its section once: those of the new plan in its order, then
/// those that are gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Diff {
    /// Changes of the section `engine`. They need a restart.
    pub engine: Vec<SettingChange>,
    /// What becomes of each interface.
    pub interfaces: Vec<Change>,
    /// What becomes of each table.
    pub tables: Vec<Change>,
    /// What becomes of each node.
    pub nodes: Vec<Change>,
}

/// What becomes of one interface, table or node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub fate: Fate,
    /// Its kind, or its driver.
    pub kind: String,
    /// For what is fresh: the kind, or the driver, of the one that had its name, whose state is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// For what is gone or replaced: whether its kind keeps packets. Those that it has are dropped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drops_held: bool,
    /// For what is adopted: what it takes over.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub carried: Cow<'static, str>,
    /// For what is adopted, gone or replaced: what is lost.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub lost: Cow<'static, str>,
    /// Its settings that differ; for an interface also `driver`, `mac`, `mtu` and `addresses`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<SettingChange>,
    /// Its edges that lead to another node than before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<EdgeChange>,
    /// Why it is made anew, besides its settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<Cause>,
}

/// An edge that leads to another node than before. Without a node, what takes it drops by its name; one that the graph names is not there
/// then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeChange {
    /// The edge.
    pub edge: String,
    /// Whether the graph has named it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub named: bool,
    /// The node that it led to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// The node that it leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// What a table or a node sees and is not the same any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Cause {
    /// An interface is not kept: any kind may look at all of them, but for those of tables that say that they do not.
    Interfaces,
    /// It refers, or referred, to a table that is not kept, or does so no more.
    Table {
        /// The table.
        table: String,
    },
    /// The only table of a kind, which is meant where none is named, has another name.
    OnlyTable {
        /// The kind.
        kind: String,
        /// The table that was meant.
        old: String,
        /// The table that is meant.
        new: String,
    },
    /// There is another number of tables of its kind: the only one serves all interfaces, several have to say which.
    Siblings,
    /// The graph names other edges of it: a node works with these names.
    Edges,
    /// Its kind is in another library.
    Library {
        /// The file that it was in.
        old: String,
        /// The file that it is in.
        new: String,
    },
}

impl Plan {
    /// What changes from one plan to another.
    #[must_use]
    pub fn diff(old: &Plan, new: &Plan) -> Diff {
        let interfaces = pair(&old.interfaces, &new.interfaces, interface);
        let seen: Vec<Cause> =
            interfaces.iter().find(|change| change.fate != Fate::Keep).map(|_| Cause::Interfaces).into_iter().collect();
        let mut kept = HashSet::new();
        let tables = pair(&old.tables, &new.tables, |before, table| {
            let mut because = Vec::new();
            if !table.kind.info().ignores_interfaces {
                because.extend(seen.iter().cloned());
                let of_kind = |plan: &Plan| plan.tables.iter().filter(|other| other.kind() == table.kind()).count();
                because.extend(((of_kind(old) == 1) != (of_kind(new) == 1)).then_some(Cause::Siblings));
            }
            let uses = |table: &TablePlan| table.kind.info().uses;
            let now = held_on_to(&table.spec.settings, uses(table), Some(table.name()), &new.tables);
            let then = held_on_to(&before.spec.settings, uses(before), Some(table.name()), &old.tables);
            because.extend(others(&then, &now, &kept));
            let change = Change::same(table, settings::compare(&before.spec.settings, &table.spec.settings), because);
            if change.fate == Fate::Keep && before.is_same(table) {
                kept.insert(table.name());
            }
            change
        });
        let because: Vec<Cause> = seen.iter().cloned().chain(renamed(&old.tables, &new.tables)).collect();
        let nodes = pair(&old.nodes, &new.nodes, |before, node| {
            let changed = settings::compare(&before.spec.settings, &node.spec.settings);
            let renamed = EdgePlan::names(&before.edges) != EdgePlan::names(&node.edges);
            let uses = |node: &NodePlan| node.kind.info().uses;
            let now = held_on_to(&node.spec.settings, uses(node), None, &new.tables);
            let then = held_on_to(&before.spec.settings, uses(before), None, &old.tables);
            let tables = others(&then, &now, &kept);
            let because = because.iter().cloned().chain(tables).chain(renamed.then_some(Cause::Edges)).collect();
            Change { edges: edges(before, &old.nodes, node, &new.nodes), ..Change::same(node, changed, because) }
        });
        Diff { engine: engine(&old.engine, &new.engine), interfaces, tables, nodes }
    }
}

impl Diff {
    /// Whether nothing changes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.engine.is_empty() && self.parts().all(|change| change.fate == Fate::Keep && change.edges.is_empty())
    }

    /// All interfaces, tables and nodes.
    pub fn parts(&self) -> impl Iterator<Item = &Change> {
        self.interfaces.iter().chain(&self.tables).chain(&self.nodes)
    }
}

impl Change {
    fn new<T: Part>(part: &T, fate: Fate) -> Change {
        Change {
            name: part.name().into(),
            fate,
            kind: part.kind().into(),
            replaces: None,
            drops_held: fate == Fate::Gone && part.holds(),
            carried: "".into(),
            lost: if fate == Fate::Gone { part.state().0 } else { "" }.into(),
            settings: Vec::new(),
            edges: Vec::new(),
            because: Vec::new(),
        }
    }

    /// Of the same name and kind.
    fn same<T: Part>(part: &T, settings: Vec<SettingChange>, because: Vec<Cause>) -> Change {
        let fate = if settings.is_empty() && because.is_empty() { Fate::Keep } else { Fate::Adopt };
        let (carried, lost) = if fate == Fate::Adopt { part.state() } else { ("", "") };
        Change { settings, because, carried: carried.into(), lost: lost.into(), ..Change::new(part, fate) }
    }

    /// In place of one of another build, whose state it reads; `compared` as if both were of one.
    fn converting<T: Part>(old: &T, part: &T, compared: Change) -> Change {
        let (carried, lost) = part.state();
        let library = Cause::Library { old: old.library(), new: part.library() };
        let because = compared.because.into_iter().chain([library]).collect();
        Change { fate: Fate::Convert, carried: carried.into(), lost: lost.into(), drops_held: old.holds(), because, ..compared }
    }

    /// In place of one whose state it cannot take over.
    fn replacing<T: Part>(old: &T, part: &T) -> Change {
        let (lost, _) = old.state();
        Change { replaces: Some(old.kind().into()), drops_held: old.holds(), lost: lost.into(), ..Change::new(part, Fate::Fresh) }
    }
}

/// What has a name and a kind.
trait Part {
    fn name(&self) -> &str;
    fn kind(&self) -> &str;

    /// Whether one can take over the state of the other: not only their kinds have the same name.
    fn is_same(&self, other: &Self) -> bool {
        self.kind() == other.kind()
    }

    /// Whether it is of another build of the same kind, and reads the state that the other writes.
    fn converts(&self, old: &Self) -> bool {
        let _ = old;
        false
    }

    /// The file of the library that its kind is in.
    fn library(&self) -> String {
        String::new()
    }

    /// What it knows beside its settings and takes over from one of its kind, and what it loses then.
    fn state(&self) -> (&'static str, &'static str) {
        ("", "")
    }

    /// Whether it may keep packets.
    fn holds(&self) -> bool {
        false
    }
}

impl Part for InterfacePlan {
    fn name(&self) -> &str {
        &self.spec.name.value
    }

    fn kind(&self) -> &str {
        &self.spec.driver.value
    }
}

impl Part for TablePlan {
    fn name(&self) -> &str {
        &self.spec.name.value
    }

    fn kind(&self) -> &str {
        &self.spec.kind.value
    }

    fn is_same(&self, other: &TablePlan) -> bool {
        self.kind.is_same(&other.kind)
    }

    fn converts(&self, old: &TablePlan) -> bool {
        self.kind.converts(&old.kind)
    }

    fn library(&self) -> String {
        self.kind.library().map_or("", |library| library.file()).into()
    }

    fn state(&self) -> (&'static str, &'static str) {
        let info = self.kind.info();
        (info.carries.as_str(), info.loses.as_str())
    }
}

impl Part for NodePlan {
    fn name(&self) -> &str {
        &self.spec.name.value
    }

    fn kind(&self) -> &str {
        &self.spec.kind.value
    }

    fn is_same(&self, other: &NodePlan) -> bool {
        self.kind.is_same(&other.kind)
    }

    fn converts(&self, old: &NodePlan) -> bool {
        self.kind.converts(&old.kind)
    }

    fn library(&self) -> String {
        self.kind.library().map_or("", |library| library.file()).into()
    }

    fn state(&self) -> (&'static str, &'static str) {
        (self.kind.info().carries.as_str(), "")
    }

    fn holds(&self) -> bool {
        self.edges.iter().any(|edge| edge.class == EdgeClass::Held)
    }
}

/// Pairs by name; `compare` is asked about those of the same kind, in the order of the new ones.
fn pair<'a, T: Part>(old: &'a [T], new: &'a [T], mut compare: impl FnMut(&'a T, &'a T) -> Change) -> Vec<Change> {
    let before: HashMap<&str, &T> = old.iter().map(|part| (part.name(), part)).collect();
    let after: HashSet<&str> = new.iter().map(Part::name).collect();
    let stay = new.iter().map(|part| match before.get(part.name()) {
        Some(old) if old.is_same(part) => compare(old, part),
        Some(old) if part.converts(old) => Change::converting(*old, part, compare(old, part)),
        Some(old) => Change::replacing(*old, part),
        None => Change::new(part, Fate::Fresh),
    });
    let gone = old.iter().filter(|part| !after.contains(part.name())).map(|part| Change::new(part, Fate::Gone));
    stay.chain(gone).collect()
}

/// An interface is the same attachment by its driver, the driver's settings, its MAC and its MTU. Addresses are data beside it.
fn interface(old: &InterfacePlan, new: &InterfacePlan) -> Change {
    let (before, after) = (&old.spec, &new.spec);
    let mac = |spec: &InterfaceSpec| spec.mac.as_ref().map(|mac| mac.value.to_string().into());
    let mtu = |spec: &InterfaceSpec| spec.mtu.as_ref().map(|mtu| mtu.value.into());
    let address =
        |address: &Spanned<InterfaceAddress>| Value { span: address.span, node: Node::Str(address.value.to_string().into()) };
    let addresses = |spec: &InterfaceSpec| spec.addresses.iter().map(address).collect::<Vec<_>>();
    let mut changed = attachments(old, new);
    changed.extend(SettingChange::of("mac", mac(before), mac(after)));
    changed.extend(SettingChange::of("mtu", mtu(before), mtu(after)));
    let is_same_attachment = changed.is_empty();
    changed.extend(settings::compare_lists("addresses", &addresses(before), &addresses(after)));
    match is_same_attachment {
        true => Change::same(new, changed, Vec::new()),
        false => Change { settings: changed, ..Change::replacing(old, new) },
    }
}

/// The settings of drivers that differ. A path is what it leads to: the same words beside another graph are another file.
fn attachments(old: &InterfacePlan, new: &InterfacePlan) -> Vec<SettingChange> {
    let written = settings::compare(&old.spec.settings, &new.spec.settings);
    let paths = new.driver.paths;
    if paths.is_empty() {
        return written;
    }
    let meant = settings::compare(&with_paths(&old.spec, paths), &with_paths(&new.spec, paths));
    // As it is written, where that says what is different.
    let shown = |change: SettingChange| written.iter().find(|known| known.path == change.path).cloned().unwrap_or(change);
    meant.into_iter().map(shown).collect()
}

/// Settings in which these paths are absolute.
fn with_paths(spec: &InterfaceSpec, paths: &[&str]) -> Value {
    let mut settings = spec.settings.clone();
    for path in paths {
        let place = path.split('.').try_fold(&mut settings, |value, key| match &mut value.node {
            Node::Map(entries) => entries.iter_mut().find(|entry| &*entry.key == key).map(|entry| &mut entry.value),
            _ => None,
        });
        if let Some(Value { node: Node::Str(text), .. }) = place {
            let file = spec.directory.join(text.as_str());
            *text = std::path::absolute(&file).unwrap_or(file).display().to_string().into();
        }
    }
    settings
}

/// The tables that settings refer to: of each kind that may be referred to those that are named, or the only one. Of a table `before`
/// itself: those that were made before it, as they must be.
fn held_on_to<'a>(settings: &Value, uses: List<Str>, before: Option<&str>, all: &'a [TablePlan]) -> BTreeSet<&'a str> {
    let of_kind = |kind: &Str| {
        let others = all.iter().take_while(|other| Some(other.name()) != before).filter(|other| other.kind() == kind.as_str());
        let others: Vec<&str> = others.map(Part::name).collect();
        let named: Vec<&str> = others.iter().copied().filter(|name| settings.says(name)).collect();
        if named.is_empty() && others.len() == 1 { others } else { named }
    };
    uses.as_slice().iter().flat_map(of_kind).collect()
}

/// Of the tables that something referred to, and refers to now: those that are not the same.
fn others(then: &BTreeSet<&str>, now: &BTreeSet<&str>, kept: &HashSet<&str>) -> Vec<Cause> {
    let all = then.union(now).filter(|table| !kept.contains(*table) || !then.contains(*table) || !now.contains(*table));
    all.map(|table| Cause::Table { table: (*table).into() }).collect()
}

/// Kinds of tables of which either plan has one, by different names.
fn renamed(old: &[TablePlan], new: &[TablePlan]) -> Vec<Cause> {
    let only = |tables: &'_ [TablePlan], kind: &str| {
        let mut of_kind = tables.iter().filter(|table| table.kind() == kind);
        of_kind.next().filter(|_| of_kind.next().is_none()).map(|table| table.name().to_owned())
    };
    let causes = new.iter().filter_map(|table| {
        let (before, after) = (only(old, table.kind())?, only(new, table.kind())?);
        (before != after).then(|| Cause::OnlyTable { kind: table.kind().into(), old: before, new: after })
    });
    causes.collect()
}

/// The edges of a node that are wired, with the nodes that they lead to.
fn wires<'a>(node: &'a NodePlan, nodes: &[NodePlan]) -> Vec<(&'a str, String)> {
    let wired = node.edges.iter().zip(&node.targets);
    wired.filter_map(|(edge, to)| Some((&*edge.name, nodes[(*to)?].name().to_owned()))).collect()
}

fn edges(old: &NodePlan, old_nodes: &[NodePlan], new: &NodePlan, new_nodes: &[NodePlan]) -> Vec<EdgeChange> {
    let (before, after) = (wires(old, old_nodes), wires(new, new_nodes));
    let target = |wires: &[(&str, String)], edge: &str| wires.iter().find(|(name, _)| *name == edge).map(|(_, to)| to.clone());
    let only_before = before.iter().filter(|(edge, _)| target(&after, edge).is_none());
    let changes = after.iter().chain(only_before).map(|(edge, _)| EdgeChange {
        edge: (*edge).into(),
        named: old.edges.iter().chain(&new.edges).any(|known| known.named && known.name == *edge),
        old: target(&before, edge),
        new: target(&after, edge),
    });
    changes.filter(|change| change.old != change.new).collect()
}

fn place_as_written(place: &Whereabouts) -> Option<serde_json::Value> {
    match place {
        Whereabouts::Usual => None,
        Whereabouts::Off => Some("off".into()),
        Whereabouts::At(path) => Some(path.display().to_string().into()),
    }
}

/// By all fields, so that who adds one does not forget this.
fn engine(old: &EngineSpec, new: &EngineSpec) -> Vec<SettingChange> {
    let json = |spec: &EngineSpec| {
        let EngineSpec { workers, cores, idle, buffers, buffer_size, hugepages, metrics, metrics_by_worker, api, revisions } = spec;
        let hugepages = format!("{hugepages:?}").to_lowercase();
        [
            ("workers", Some((*workers).into())),
            ("cores", cores.clone().map(Into::into)),
            ("idle", Some(format!("{idle:?}").to_lowercase().into())),
            ("buffers", Some((*buffers).into())),
            ("buffer-size", Some((*buffer_size).into())),
            ("hugepages", Some(hugepages.into())),
            ("metrics", metrics.map(|address| address.to_string().into())),
            ("metrics-by-worker", Some((*metrics_by_worker).into())),
            ("api", place_as_written(api)),
            ("revisions", place_as_written(revisions)),
        ]
    };
    json(old).into_iter().zip(json(new)).filter_map(|((path, old), (_, new))| SettingChange::of(path, old, new)).collect()
}
