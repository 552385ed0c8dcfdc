//! Tiny kinds, each with one property that the planner looks at, and how to plan a text with them.
#![allow(dead_code, reason = "each test uses its part")]

use swath_api::memory::{Geometry, Region};
use swath_api::prelude::*;
use swath_api::wire::MacAddr;
use swath_api::{NodeKind, Pool, SlotInfo, Str, TableKind, schemars, serde};
use swath_core::Registry;
use swath_core::driver::{DriverKind, Port, PortConfig, RxQueue, TxQueue};
use swath_core::plan::{Draft, Plan};
use swath_core::run::{BuildOptions, Engine};
use swath_core::spec::{Diagnostics, Nothing, SourceMap, Spec};

/// What is said about a text, and the names of the nodes and the tables of its plan if there is one.
pub struct Planned {
    /// The diagnostics as the user sees them.
    pub shown: String,
    /// Names in the plan's order.
    pub nodes: Vec<String>,
    /// Names in the plan's order.
    pub tables: Vec<String>,
}

/// Plans a text.
pub fn plan(text: &str) -> Planned {
    go(text, false)
}

/// Plans and builds a text.
pub fn build(text: &str) -> Planned {
    go(text, true)
}

/// The plan of a text without mistakes.
pub fn sound(text: &str) -> Plan {
    let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
    let file = sources.add("graph.yaml", format!("version: 1\n{text}"));
    let spec = Spec::read(file, &mut sources, &Nothing, &mut diagnostics);
    let plan = Plan::new(spec, &Registry::new(NODES, TABLES, DRIVERS), &mut diagnostics);
    plan.unwrap_or_else(|| panic!("{}\n{text}", diagnostics.render(&sources, false)))
}

fn go(text: &str, build: bool) -> Planned {
    let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
    let file = sources.add("graph.yaml", format!("version: 1\n{text}"));
    let spec = Spec::read(file, &mut sources, &Nothing, &mut diagnostics);
    let pool = Pool::new(Region::anonymous(Geometry::new(1024, spec.engine.buffer_size)).expect("memory"));
    let plan = match Draft::new(spec, &Registry::new(NODES, TABLES, DRIVERS), &mut diagnostics).plan() {
        Ok(plan) => Some(plan),
        Err(draft) => {
            draft.check(&mut diagnostics);
            None
        }
    };
    let nodes = plan.iter().flat_map(|plan| &plan.nodes).map(|node| node.spec.name.value.clone()).collect();
    let tables = plan.iter().flat_map(|plan| &plan.tables).map(|table| table.spec.name.value.clone()).collect();
    let planned = plan.is_some();
    let engine = plan.filter(|_| build).and_then(|plan| {
        let options = BuildOptions { pool: &pool, virtual_time: true };
        Engine::build(plan, &options, &mut diagnostics)
    });
    assert_eq!(
        if build { engine.is_some() } else { planned },
        diagnostics.errors() == 0,
        "refused if there are errors, and only then"
    );
    drop(engine);
    assert_eq!(pool.free(), 1024, "nothing is left behind");
    Planned { shown: diagnostics.render(&sources, false), nodes, tables }
}

/// Settings of all kinds.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "swath_api::serde", default, deny_unknown_fields)]
#[schemars(crate = "swath_api::schemars")]
pub struct Settings {
    /// An interface to receive from.
    interface: Option<String>,
    /// What a picky kind looks at.
    routes: Vec<Route>,
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "swath_api::serde", deny_unknown_fields)]
#[schemars(crate = "swath_api::schemars")]
pub struct Route {
    via: String,
}

impl Settings {
    /// Refuses `via: nowhere`.
    fn check(&self) -> Result<(), ConfigError> {
        let wrong = self.routes.iter().position(|route| route.via == "nowhere");
        wrong.map_or(Ok(()), |at| Err(ConfigError::at(format!("routes[{at}].via"), "nowhere is no place to go")))
    }
}

/// A kind with edges that a graph names after ports, `p0` to `p299`, or interfaces, and one of its own, `other`.
pub struct Chooser;

edges! {
    /// Where packets go.
    #[allow(dead_code)]
    pub enum ChooserNext {
        /// Ports that have no edge.
        Other = edge("other", layer::SAME),
        /// No port.
        Nothing = drop("nothing"),
    }
}

impl NamedEdges for ChooserNext {
    const NAMED: EdgeInfo = EdgeInfo::named("PORT", "frame").doc("Packets of this port.");
}

impl Node for Chooser {
    const INFO: Info = Info::new("chooser", "For tests.").input("frame");
    type Config = Settings;
    type Next = Branch<ChooserNext>;

    fn new(settings: Settings, setup: &mut Setup<'_>) -> Result<Chooser, ConfigError> {
        settings.check()?;
        if setup.edges().len() == 0 {
            return Err(ConfigError::at("to", "a chooser needs a port"));
        }
        for name in setup.edges() {
            match name.strip_prefix("p").and_then(|number| number.parse().ok()) {
                Some(0..300u32) => {}
                _ if name.starts_with("if") => drop(setup.interface(&format!("to.{name}"), name)?),
                _ => return Err(ConfigError::at(format!("to.{name}"), format!("`{name}` is no port below p300"))),
            }
        }
        Ok(Chooser)
    }

    fn process(&mut self, frame: &mut Frame<'_, Branch<ChooserNext>>, _: &mut Context<'_>) {
        frame.all(Branch::Fixed(ChooserNext::Other));
    }
}

macro_rules! kinds {
    ($($kind:literal $module:ident, input $input:expr, reads $reads:expr, writes $writes:expr, { $($edge:tt)* })*) => {
        $(mod $module {
            use super::*;

            edges! {
                /// Where packets go.
                #[allow(dead_code)]
                pub enum Next { $($edge)* }
            }

            pub struct Kind;

            impl Node for Kind {
                const INFO: Info = Info::new($kind, "For tests.").input($input).reads($reads).writes($writes);
                type Config = Settings;
                type Next = Next;

                fn new(settings: Settings, setup: &mut Setup<'_>) -> Result<Kind, ConfigError> {
                    settings.check()?;
                    if let Some(interface) = &settings.interface {
                        let interface = setup.interface("interface", interface)?;
                        setup.receive(interface);
                    }
                    Ok(Kind)
                }

                fn process(&mut self, _: &mut Frame<'_, Next>, _: &mut Context<'_>) {}
            }
        })*

        const NODES: &[NodeKind] = &[$(NodeKind::of::<$module::Kind>(),)* NodeKind::of::<Chooser>()];
    };
}

const MARK: SlotInfo = SlotName::<u32>::new("mark").info();
const NARROW_MARK: SlotInfo = SlotName::<u8>::new("mark").info();
const LARGE: SlotInfo = SlotName::<[u64; 4]>::new("large").info();
const LARGER: SlotInfo = SlotName::<[u64; 5]>::new("larger").info();

kinds! {
    "source" source, input layer::NONE, reads &[], writes &[], {
        /// Frames as they come.
        Out = required("out", "frame"),
    }
    "untyped-source" untyped_source, input layer::NONE, reads &[], writes &[], {
        /// Whatever it is.
        Out = required("out", layer::ANY),
    }
    "unwrap" unwrap, input "frame", reads &[], writes &[], {
        /// Letters.
        Letter = edge("letter", "letter"),
        /// Parcels.
        Parcel = edge("parcel", "parcel"),
        /// Torn on the way.
        Torn = drop("torn"),
    }
    "read" read, input "letter", reads &[], writes &[], {
        /// Letters that were read.
        Out = edge("out", layer::SAME),
    }
    "pass" pass, input layer::ANY, reads &[], writes &[], {
        /// As they came.
        Out = edge("out", layer::SAME),
        /// As they came, another way.
        Aside = edge("aside", layer::SAME),
    }
    "end" end, input layer::ANY, reads &[], writes &[], {
        /// It is here.
        Arrived = consumed("arrived"),
        /// It waits.
        Kept = held("kept"),
        /// It leaves.
        Sent = transmit("sent"),
        /// It is lost.
        Lost = drop("lost"),
    }
    "marker" marker, input layer::ANY, reads &[], writes &[MARK], {
        /// With a mark.
        Out = edge("out", layer::SAME),
    }
    "reader" reader, input layer::ANY, reads &[MARK], writes &[], {
        /// As they came.
        Out = edge("out", layer::SAME),
    }
    "narrow-reader" narrow_reader, input layer::ANY, reads &[NARROW_MARK], writes &[], {
        /// As they came.
        Out = edge("out", layer::SAME),
    }
    "large" large, input layer::ANY, reads &[], writes &[LARGE], {
        /// With much beside them.
        Out = edge("out", layer::SAME),
    }
    "larger" larger, input layer::ANY, reads &[], writes &[LARGER], {
        /// With more beside them.
        Out = edge("out", layer::SAME),
    }
}

macro_rules! table {
    ($name:ident, $kind:literal, [$($uses:literal),*]) => {
        struct $name;

        impl Table for $name {
            const INFO: TableInfo = TableInfo::new($kind, "For tests.").uses(&[$(const { Str::new($uses) }),*]);
            type Config = Settings;
            type Shard = ();
            type Command = ();
            type Reply = ();

            fn new(settings: Settings, _: &mut TableSetup<'_>) -> Result<$name, ConfigError> {
                settings.check()?;
                Ok($name)
            }

            fn shard(&self, _: u32) {}

            fn command(&self, (): ()) -> Result<(), ConfigError> {
                Ok(())
            }
        }
    };
}

table!(Base, "base", []);
table!(Middle, "middle", ["base"]);
table!(Top, "top", ["middle", "base"]);
table!(Self_, "self", ["self"]);

const TABLES: &[TableKind] =
    &[TableKind::of::<Base>(), TableKind::of::<Middle>(), TableKind::of::<Top>(), TableKind::of::<Self_>()];

const DRIVERS: &[DriverKind] = &[DriverKind {
    name: "null",
    summary: "No packets.",
    schema: || "{}".into(),
    example: "",
    paths: &[],
    check: |_| Ok(()),
    open,
}];

struct Null {
    mtu: u16,
    workers: u32,
}

fn open(config: &PortConfig<'_>) -> Result<Box<dyn Port>, ConfigError> {
    let settings: serde_json::Value =
        serde_json::from_slice(config.settings).map_err(|error| ConfigError::new(error.to_string()))?;
    match settings["device"].as_str() {
        Some(device) => Err(ConfigError::at("device", format!("there is no device {device}"))),
        None => Ok(Box::new(Null { mtu: config.mtu.unwrap_or(1500), workers: config.workers })),
    }
}

impl Port for Null {
    fn mac(&self) -> MacAddr {
        MacAddr::from([2, 0, 0, 0, 0, 1])
    }

    fn mtu(&self) -> u16 {
        self.mtu
    }

    fn receive_queues(&mut self) -> Vec<Box<dyn RxQueue>> {
        Vec::new()
    }

    fn transmit_queues(&mut self) -> Vec<Box<dyn TxQueue>> {
        (0..self.workers).map(|_| Box::new(Null { ..*self }) as Box<dyn TxQueue>).collect()
    }
}

impl TxQueue for Null {
    fn transmit(&mut self, packets: &mut swath_api::Vector, io: &mut swath_core::driver::Io<'_>) {
        io.cache.free(packets);
    }
}
