//! The parts of a graph: tables, and the nodes of a worker, made of what the file says of them and of the interfaces.
//!
//! They are made in the same way to be run, and only to see whether they can be made: of a graph whose wiring is wrong, too. A part that
//! cannot be made has a placeholder, so that what refers to it is not mistaken for that.

mod ground;
mod offloads;
mod references;
mod required;
mod search;
mod teller;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use swath_api::memory::{Geometry, Region};
use swath_api::wire::MacAddr;
use swath_api::{
    ConfigError, Interface, Interfaces, NodeHost, NodeInstance, NodeKind, Pool, SlotInfo, TableHost, TableKind, TableTies, Tables,
    Wishes,
};

use crate::driver::{DriverKind, PortConfig, default_mac};
use crate::plan::EdgePlan;
use crate::spec::{Code, Diagnostic, Diagnostics, Doubts, EngineSpec, InterfaceSpec, NodeSpec, TableSpec, Value};
pub(crate) use ground::{Ground, NodeGround, TableGround};
pub(crate) use teller::{Part, Teller};

/// What a frame is longer than its MTU at most: a link-layer header with two tags.
const FRAMING: usize = 14 + 2 * 4;
/// The MTU of an interface that says none, in bytes: that of Ethernet.
const MTU: u16 = 1500;

/// A graph as written, with the kinds that there are.
pub(crate) struct View<'a> {
    pub engine: &'a EngineSpec,
    pub interfaces: Vec<(&'a InterfaceSpec, Option<DriverKind>)>,
    /// Each after those that it refers to.
    pub tables: Vec<(&'a TableSpec, Option<TableKind>)>,
    pub nodes: Vec<NodeView<'a>>,
    pub slots: &'a [(SlotInfo, u16)],
    pub doubts: &'a Doubts,
}

/// A node as written, with its kind if there is such a kind.
#[derive(Clone, Copy)]
pub(crate) struct NodeView<'a> {
    pub spec: &'a NodeSpec,
    pub kind: Option<NodeKind>,
    pub edges: &'a [EdgePlan],
    /// For each edge the node that it leads to, if it is wired.
    pub targets: &'a [Option<usize>],
}

/// The parts that could be made.
pub(crate) struct Parts {
    /// By place.
    pub tables: Tables,
    /// By index in the view.
    pub ties: Ties,
    /// In the order of the view.
    pub nodes: Vec<Option<(NodeInstance, Wishes)>>,
}

/// Looks for mistakes in the settings of all interfaces, tables and nodes. Nothing is attached.
pub(crate) fn check(view: &View<'_>, diagnostics: &mut Diagnostics) {
    let Some(pool) = smallest_pool(view, diagnostics) else { return };
    let mut teller = Teller::new(view);
    check_attachments(view, &pool, &mut teller, diagnostics);
    let described = view.interfaces.iter().enumerate().map(|(index, (spec, _))| describe(spec, index));
    let unreadable = view.doubts.interfaces.without(view.interfaces.iter().map(|(spec, _)| &spec.name.value));
    let unreadable = unreadable.into_iter().map(|name| Interface { name, mac: default_mac(0), mtu: MTU, addresses: Vec::new() });
    let interfaces = Interfaces::new(described.chain(unreadable).collect());
    make(view, &interfaces, &pool, &Ground::empty(view), Purpose::Check, &mut teller, diagnostics);
}

/// Looks for mistakes in the settings of all interfaces. Nothing is attached.
pub(crate) fn check_interfaces(view: &View<'_>, diagnostics: &mut Diagnostics) {
    if let Some(pool) = smallest_pool(view, diagnostics) {
        check_attachments(view, &pool, &mut Teller::new(view), diagnostics);
    }
}

/// Nothing is received: a chunk for the size of its buffer.
fn smallest_pool(view: &View<'_>, diagnostics: &mut Diagnostics) -> Option<Arc<Pool>> {
    let region = Region::anonymous(Geometry::new(1, view.engine.buffer_size));
    let refused = |error| Diagnostic::error(Code::Refused, format!("no memory: {error}"));
    diagnostics.ok(region.map_err(refused)).map(Pool::new)
}

fn check_attachments(view: &View<'_>, pool: &Arc<Pool>, teller: &mut Teller<'_>, diagnostics: &mut Diagnostics) {
    for (index, (spec, driver)) in view.interfaces.iter().enumerate() {
        if let Some(mtu) = &spec.mtu {
            check_mtu(spec, mtu.value, pool, diagnostics);
        }
        let Some(driver) = driver else { continue };
        let check = |settings: &[u8]| {
            driver.check(&PortConfig {
                name: &spec.name.value,
                index: index as u16,
                settings,
                mac: spec.mac.as_ref().map(|mac| MacAddr::from(mac.value.0)),
                mtu: spec.mtu.as_ref().map(|mtu| mtu.value),
                workers: 1,
                pool,
                directory: &spec.directory,
                virtual_time: false,
                leaving: &[],
            })
        };
        teller.make(&Part::interface(spec, driver), check, None, diagnostics);
    }
}

/// An interface as the file describes it.
pub(crate) fn describe(spec: &InterfaceSpec, index: usize) -> Interface {
    Interface {
        name: spec.name.value.clone(),
        mac: spec.mac.as_ref().map_or_else(|| default_mac(index as u16), |mac| MacAddr::from(mac.value.0)),
        mtu: spec.mtu.as_ref().map_or(MTU, |mtu| mtu.value),
        addresses: spec.addresses.iter().map(|address| (address.value.address, address.value.prefix_len)).collect(),
    }
}

/// Packets of an interface fit into a buffer.
pub(crate) fn check_mtu(spec: &InterfaceSpec, mtu: u16, pool: &Pool, diagnostics: &mut Diagnostics) {
    let room = pool.region().geometry().data();
    if usize::from(mtu) + FRAMING > room {
        let span = spec.mtu.as_ref().map_or(spec.name.span, |mtu| mtu.span);
        diagnostics.push(
            Diagnostic::error(Code::Refused, format!("packets of {mtu} bytes do not fit into a buffer"))
                .primary(span, format!("a buffer takes {room} bytes, of which {FRAMING} are kept for the link-layer header"))
                .help(format!("raise `engine.buffer-size` to {} or lower the MTU", usize::from(mtu) + FRAMING)),
        );
    }
}

/// What parts are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To see whether they can be made.
    Check,
    /// To be used, by a virtual clock.
    VirtualTime,
    /// To be used.
    RealTime,
}

/// Makes all tables, and the nodes of the first worker, to be used or not, and says everything that is wrong with them. Of what goes on
/// from another graph a node has no instance here.
pub(crate) fn make(
    view: &View<'_>,
    interfaces: &Interfaces,
    pool: &Arc<Pool>,
    ground: &Ground,
    purpose: Purpose,
    teller: &mut Teller<'_>,
    diagnostics: &mut Diagnostics,
) -> Parts {
    let (tables, ties) = make_tables(view, interfaces, ground, purpose, teller, diagnostics);
    let workers = u32::from(view.engine.workers);
    let mut nodes = Vec::with_capacity(view.nodes.len());
    for (node, ground) in view.nodes.iter().zip(&ground.nodes) {
        let made = node.kind.and_then(|kind| {
            if let Some(wishes) = &ground.kept {
                tables.mark_used(&wishes.tables);
                return Some((NodeInstance::vacant(kind, pool), wishes.clone()));
            }
            let keeper = ground.keepers.first();
            let part = Part::node(node.spec, &kind);
            let make = |settings: &[u8]| {
                let edges = part.without_refused(EdgePlan::names(node.edges));
                let tables = &tables;
                let slots = view.slots;
                kind.create(
                    settings,
                    &NodeHost {
                        name: &node.spec.name.value,
                        worker: 0,
                        workers,
                        interfaces,
                        tables,
                        slots,
                        edges: &edges,
                        pool,
                        keeper,
                    },
                )
            };
            teller.make(&part, make, Some(&|settings| kind.check(settings)), diagnostics)
        });
        nodes.push(made);
    }
    check_receivers(view, interfaces, &nodes, diagnostics);
    offloads::check(view, &nodes, diagnostics);
    warn_unused(view, teller, (&tables, &ties, ground), &nodes, diagnostics);
    Parts { tables, ties, nodes }
}

/// What each table that was made has bound itself to, by index.
pub(crate) type Ties = HashMap<usize, TableTies>;

fn make_tables(
    view: &View<'_>,
    interfaces: &Interfaces,
    ground: &Ground,
    purpose: Purpose,
    teller: &mut Teller<'_>,
    diagnostics: &mut Diagnostics,
) -> (Tables, Ties) {
    let (mut tables, mut all_ties) = (Tables::vacant(ground.table_places), Ties::new());
    let mut siblings: HashMap<&str, usize> = HashMap::new();
    for kind in view.tables.iter().filter_map(|(_, kind)| *kind) {
        *siblings.entry(kind.info().kind.as_str()).or_default() += 1;
    }
    for (index, (spec, kind)) in view.tables.iter().enumerate() {
        let TableGround { place, old, kept } = &ground.tables[index];
        let (name, Some(kind)) = (&spec.name.value, kind) else {
            tables.put_refused(*place, &spec.name.value, None);
            continue;
        };
        if let (Some(old), Some(ties)) = (old, kept) {
            tables.put(*place, Arc::clone(old));
            all_ties.insert(index, ties.clone());
            continue;
        }
        let siblings = siblings.get(kind.info().kind.as_str()).copied().unwrap_or(1);
        let host = TableHost {
            name,
            interfaces,
            tables: &tables,
            siblings,
            workers: view.engine.workers.into(),
            in_use: purpose != Purpose::Check,
            virtual_time: purpose == Purpose::VirtualTime,
            old: old.as_ref(),
        };
        let part = Part::table(spec, kind);
        let made = teller.make(&part, |settings| kind.create(settings, &host), Some(&|settings| kind.check(settings)), diagnostics);
        match made {
            Some((table, ties)) => {
                check_serves(view, ground, teller.doubts(), spec, interfaces, &ties, diagnostics);
                ties.warnings.iter().for_each(|warning| diagnostics.push(doubtful(spec, warning)));
                tables.put(*place, table);
                all_ties.insert(index, ties);
            }
            None => tables.put_refused(*place, name, Some(kind.info().kind.as_str())),
        }
    }
    for name in view.doubts.tables.without(view.tables.iter().map(|(spec, _)| &spec.name.value)) {
        tables.push_refused(&name, None);
    }
    (tables, all_ties)
}

/// What a table finds allowed and hardly meant in its settings.
fn doubtful(spec: &TableSpec, warning: &ConfigError) -> Diagnostic {
    let place = spec.settings.locate(warning.path()).value;
    Diagnostic::warning(Code::Doubtful, format!("{}: {}", spec.name.value, warning.message())).primary(place.span, "")
}

/// A table that is about interfaces is of no use without any.
fn check_serves(
    view: &View<'_>,
    ground: &Ground,
    doubts: &Doubts,
    spec: &TableSpec,
    interfaces: &Interfaces,
    ties: &TableTies,
    diagnostics: &mut Diagnostics,
) {
    let Some(serves) = &ties.serves else { return };
    let (name, place) = (&spec.name.value, spec.settings.get(&serves.path));
    let addresses = |index: &u16| interfaces.list().get(usize::from(*index)).is_some_and(|served| !served.addresses.is_empty());
    if serves.interfaces.is_empty() {
        let message = format!("the table `{name}` serves no interface");
        if let Some(list) = place {
            let diagnostic = Diagnostic::error(Code::ServesNone, message).primary(list.span, "the list is empty");
            diagnostics.push(diagnostic.help(format!("list the interfaces that it is for: `{}: [NAME]`", serves.path)));
        } else if !doubts.interfaces.is_any() {
            let diagnostic = Diagnostic::warning(Code::ServesNone, message).primary(spec.name.span, "the graph has no interfaces");
            diagnostics.push(diagnostic.help("add the section `interfaces:`"));
        }
    } else if serves.by_address && !serves.interfaces.iter().any(addresses) && !doubts.interfaces.is_any() {
        let message = format!("no interface that the table `{name}` serves has an address");
        let at = ground.interfaces.iter().position(|place| *place == usize::from(serves.interfaces[0]));
        let first = at.and_then(|at| view.interfaces.get(at));
        let first = first.map_or("an interface", |(spec, _)| &spec.name.value);
        diagnostics.push(
            Diagnostic::warning(Code::ServesNone, message)
                .primary(place.map_or(spec.name.span, |list| list.span), "none of its interfaces has an address")
                .help(format!("give one an address: `{first}: {{ ..., addresses: [ADDRESS/LENGTH] }}`")),
        );
    }
}

/// The packets of an interface go to one node.
fn check_receivers(
    view: &View<'_>,
    interfaces: &Interfaces,
    nodes: &[Option<(NodeInstance, Wishes)>],
    diagnostics: &mut Diagnostics,
) {
    let mut receivers: BTreeMap<u16, &NodeSpec> = BTreeMap::new();
    for (NodeView { spec: node, .. }, made) in view.nodes.iter().zip(nodes) {
        let Some(interface) = made.as_ref().and_then(|(_, wishes)| wishes.receive) else { continue };
        let Some(first) = receivers.get(&interface) else {
            receivers.insert(interface, node);
            continue;
        };
        let name = interfaces.list().get(usize::from(interface)).map_or("", |interface| interface.name.as_str());
        diagnostics.push_error(|| {
            Diagnostic::error(Code::SharedInterface, format!("two nodes receive from the interface `{name}`"))
                .primary(node.name.span, "the second")
                .secondary(first.name.span, "the first")
                .help(format!(
                    "remove `{}`, and lead the edge of `{}` to where both have theirs",
                    node.name.value, first.name.value
                ))
        });
    }
}

/// Warns of tables that no node uses, directly or through another table.
fn warn_unused(
    view: &View<'_>,
    teller: &Teller<'_>,
    (tables, ties, ground): (&Tables, &Ties, &Ground),
    nodes: &[Option<(NodeInstance, Wishes)>],
    diagnostics: &mut Diagnostics,
) {
    if !view.doubts.nodes.without(view.nodes.iter().map(|node| &node.spec.name.value)).is_empty() || view.doubts.nodes.is_all() {
        return;
    }
    // What could not be made may use a table that it names, and the only one of a kind without naming it.
    let refused_nodes = view.nodes.iter().zip(nodes).filter(|(_, made)| made.is_none()).map(|(node, _)| &node.spec.settings);
    let refused_tables =
        (0..view.tables.len()).filter(|index| !ties.contains_key(index)).map(|index| &view.tables[index].0.settings);
    let refused: Vec<&Value> = refused_nodes.chain(refused_tables).collect();
    let mut kinds: HashMap<&str, usize> = HashMap::new();
    view.tables.iter().for_each(|(spec, _)| *kinds.entry(&spec.kind.value).or_default() += 1);
    let may_be_used = |spec: &TableSpec| {
        refused.iter().any(|settings| settings.says(&spec.name.value))
            || teller.is_unclear(&spec.kind.value)
            || !refused.is_empty() && kinds.get(spec.kind.value.as_str()) == Some(&1)
    };
    let mut used: Vec<bool> = vec![false; view.tables.len()];
    let mut waiting: Vec<usize> =
        (0..used.len()).filter(|index| tables.is_used(ground.tables[*index].place) || may_be_used(view.tables[*index].0)).collect();
    let at_place = |place: &usize| ground.tables.iter().position(|table| table.place == *place);
    while let Some(index) = waiting.pop() {
        if !std::mem::replace(&mut used[index], true) {
            waiting.extend(ties.get(&index).into_iter().flat_map(|ties| &ties.tables).filter_map(at_place));
        }
    }
    for ((spec, _), _) in view.tables.iter().zip(used).filter(|((_, kind), used)| kind.is_some() && !used) {
        diagnostics.push(
            Diagnostic::warning(Code::UnusedTable, format!("no node uses the table `{}`", spec.name.value))
                .primary(spec.name.span, "")
                .help("name it in the settings of a node, or remove it"),
        );
    }
}
