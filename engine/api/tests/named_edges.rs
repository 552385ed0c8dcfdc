//! Edges that a graph names, across the vtable.

mod common;

use common::{Worker, pool};
use swath_api::prelude::*;
use swath_api::testkit::TestKit;
use swath_api::{Branch, Interfaces, MAX_EDGES, NodeHost, NodeKind, Tables, reserved};

edges! {
    /// Edges that are always there.
    enum Next {
        /// Packets whose first byte names no edge.
        Other = edge("other", layer::SAME),
        /// Empty packets.
        Empty = drop("empty"),
    }
}

impl NamedEdges for Next {
    const NAMED: EdgeInfo = EdgeInfo::named("LETTER", layer::SAME).doc("Packets that begin with it.");
}

/// Sends packets by their first byte to the edge of that letter.
struct ByLetter(Vec<u8>);

impl Node for ByLetter {
    const INFO: Info = Info::new("by-letter", "For tests.");
    type Config = NoConfig;
    type Next = Branch<Next>;

    fn new(_: NoConfig, setup: &mut Setup<'_>) -> Result<ByLetter, ConfigError> {
        let letter = |name: &str| match name.as_bytes() {
            [letter] => Ok(*letter),
            _ => Err(ConfigError::at(format!("to.{name}"), "no letter")),
        };
        setup.edges().map(letter).collect::<Result<_, _>>().map(ByLetter)
    }

    fn process(&mut self, frame: &mut Frame<'_, Branch<Next>>, _: &mut Context<'_>) {
        frame.for_each(|packet| {
            let Some(first) = packet.data().first() else { return Branch::Fixed(Next::Empty) };
            match (first, self.0.iter().position(|letter| letter == first)) {
                // An index that no edge has.
                (b'!', _) => Branch::Named(u16::MAX),
                (_, Some(at)) => Branch::Named(at as u16),
                _ => Branch::Fixed(Next::Other),
            }
        });
    }
}

/// Has only edges that a graph names.
struct First;

edges! {
    /// None.
    enum NoNext {}
}

impl NamedEdges for NoNext {
    const NAMED: EdgeInfo = EdgeInfo::named("NAME", layer::SAME);
}

impl Node for First {
    const INFO: Info = Info::new("first", "For tests.");
    type Config = NoConfig;
    type Next = Branch<NoNext>;

    fn new(_: NoConfig, _: &mut Setup<'_>) -> Result<First, ConfigError> {
        Ok(First)
    }

    fn process(&mut self, frame: &mut Frame<'_, Branch<NoNext>>, _: &mut Context<'_>) {
        frame.all(Branch::Named(0));
    }
}

#[test]
fn the_vtable_says_which_kinds_have_them() {
    let kind = NodeKind::of::<ByLetter>();
    assert_eq!(kind.edges().iter().map(|edge| edge.name.as_str()).collect::<Vec<_>>(), ["other", "empty"]);
    let named = kind.named().unwrap();
    assert_eq!((named.name.as_str(), named.doc.as_str()), ("LETTER", "Packets that begin with it."));
    assert!(NodeKind::of::<First>().edges().is_empty() && NodeKind::of::<First>().named().is_some());

    /// Has none.
    struct Plain;
    impl Node for Plain {
        const INFO: Info = Info::new("plain", "For tests.");
        type Config = NoConfig;
        type Next = Next;
        fn new(_: NoConfig, setup: &mut Setup<'_>) -> Result<Plain, ConfigError> {
            assert_eq!(setup.edges().len(), 0);
            Ok(Plain)
        }
        fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
            frame.all(Next::Other);
        }
    }
    assert!(NodeKind::of::<Plain>().named().is_none());
    assert_eq!(TestKit::new().node::<Plain>("{}").unwrap().edge(b"a"), "other");
}

#[test]
fn a_node_finds_their_names_and_sends_on_them() {
    let mut kit = TestKit::new().edges(&["a", "b"]).node::<ByLetter>("{}").unwrap();
    for (packet, edge) in [("a1", "a"), ("b1", "b"), ("c1", "other"), ("", "empty")] {
        assert_eq!(kit.edge(packet.as_bytes()), edge);
    }
    assert_eq!(TestKit::new().edges(&["only"]).node::<First>("{}").unwrap().edge(b"x"), "only");
    let refused = TestKit::new().edges(&["a", "beta"]).node::<ByLetter>("{}").unwrap_err();
    assert_eq!((refused.path(), refused.message()), ("to.beta", "no letter"));
}

#[test]
fn ids_follow_and_what_is_none_is_no_reserved_id() {
    assert_eq!((Branch::Fixed(Next::Empty).id(), Branch::<Next>::Named(0).id(), Branch::<Next>::Named(253).id()), (1, 2, 255));
    for at in [MAX_EDGES as u16, 1000, u16::MAX - 6, u16::MAX] {
        let id = Branch::<Next>::Named(at).id();
        assert!(usize::from(id) >= MAX_EDGES && id < u16::MAX - reserved::REASONS.len() as u16, "{at}: {id}");
    }
    let pool = pool();
    let (interfaces, tables) = (Interfaces::new(Vec::new()), Tables::new());
    let host = NodeHost {
        name: "node",
        worker: 0,
        workers: 1,
        interfaces: &interfaces,
        tables: &tables,
        slots: &[],
        edges: &["a"],
        pool: &pool,
        keeper: None,
    };
    let (mut node, _) = NodeKind::of::<First>().create(b"{}", &host).unwrap();
    let mut worker = Worker::new(&pool, 0, &[]);
    worker.process(&mut node, 3);
    assert_eq!(worker.nexts.ids(), [0; 3]);
}
