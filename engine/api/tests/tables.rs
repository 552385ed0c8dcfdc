//! Tables: what nodes share, the shard of each worker, how they are found, and commands.

mod common;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Next, Worker, edges_of, instance, numbered, pool, run};
use swath_api::prelude::*;
use swath_api::testkit::{NodeKit, TestKit};
use swath_api::{Interfaces, NodeInstance, TableHost, TableInstance, TableKind, TableRef, WorkerTables};

thread_local! {
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn log(text: String) {
    LOG.with_borrow_mut(|log| log.push(text));
}

/// Counts packets per worker, each packet by a weight that control sets.
struct Tally {
    name: String,
    weight: AtomicU64,
    total: Arc<AtomicU64>,
    serves: Vec<u16>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "swath_api::schemars")]
#[serde(deny_unknown_fields)]
struct TallyConfig {
    /// What a packet counts.
    weight: Option<u64>,
    /// Whose packets.
    interfaces: Option<Vec<String>>,
}

struct Count {
    worker: u32,
    weight: u64,
    packets: u64,
    name: String,
    total: Arc<AtomicU64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Command {
    Weigh { weight: u64 },
    Show,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Reply {
    Weighed { before: u64 },
    Total { total: u64, serves: Vec<u16> },
}

impl Table for Tally {
    const INFO: TableInfo = TableInfo::new("tally", "Counts packets.");
    type Config = TallyConfig;
    type Shard = Count;
    type Command = Command;
    type Reply = Reply;

    fn new(config: TallyConfig, setup: &mut TableSetup<'_>) -> Result<Tally, ConfigError> {
        let serves = setup.serves("interfaces", config.interfaces.as_deref())?;
        Ok(Tally { name: setup.name().into(), weight: config.weight.unwrap_or(1).into(), total: Arc::default(), serves })
    }

    fn shard(&self, worker: u32) -> Count {
        let weight = self.weight.load(Ordering::Relaxed);
        Count { worker, weight, packets: 0, name: self.name.clone(), total: Arc::clone(&self.total) }
    }

    fn sync(&self, shard: &mut Count) {
        shard.weight = self.weight.load(Ordering::Relaxed);
    }

    fn command(&self, command: Command) -> Result<Reply, ConfigError> {
        match command {
            Command::Weigh { weight: 0 } => Err(ConfigError::at("weight", "a packet weighs at least 1")),
            Command::Weigh { weight } => Ok(Reply::Weighed { before: self.weight.swap(weight, Ordering::Relaxed) }),
            Command::Show => Ok(Reply::Total { total: self.total.load(Ordering::Relaxed), serves: self.serves.clone() }),
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        log(format!("{}: total {}", self.name, self.total.load(Ordering::Relaxed)));
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.total.fetch_add(self.packets, Ordering::Relaxed);
        log(format!("{}: shard {}", self.name, self.worker));
    }
}

/// Refers to a tally.
struct Report {
    tally: TableRef<Tally>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "swath_api::schemars")]
struct ReportConfig {
    /// The tally.
    tally: Option<String>,
}

impl Table for Report {
    const INFO: TableInfo = TableInfo::new("report", "Reports on a tally.").uses(&[<Tally as Table>::INFO.kind]);
    type Config = ReportConfig;
    type Shard = ();
    type Command = ();
    type Reply = String;

    fn new(config: ReportConfig, setup: &mut TableSetup<'_>) -> Result<Report, ConfigError> {
        Ok(Report { tally: setup.table("tally", config.tally.as_deref())? })
    }

    fn shard(&self, _: u32) {}

    fn command(&self, (): ()) -> Result<String, ConfigError> {
        Ok(format!("{} weighs {}", self.tally.name, self.tally.weight.load(Ordering::Relaxed)))
    }
}

/// Counts its packets in one tally or two.
struct Counter {
    first: Handle<Tally>,
    second: Option<Handle<Tally>>,
    report: Option<Handle<Report>>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[schemars(crate = "swath_api::schemars")]
struct CounterConfig {
    /// The tally; the only one, if there is one.
    tally: Option<String>,
    /// Another one.
    second: Option<String>,
    /// A report.
    report: Option<String>,
}

impl Node for Counter {
    const INFO: Info = Info::new("counter", "Counts packets in tallies.");
    type Config = CounterConfig;
    type Next = Next;

    fn new(config: CounterConfig, setup: &mut Setup<'_>) -> Result<Counter, ConfigError> {
        let first = setup.table::<Tally>("tally", config.tally.as_deref())?;
        assert!(config.tally.is_none_or(|name| setup.shared(first).name == name));
        let second = config.second.map(|name| setup.table("second", Some(&name))).transpose()?;
        let report = config.report.map(|name| setup.table("report", Some(&name))).transpose()?;
        Ok(Counter { first, second, report })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let weight = cx.table(self.first).weight.load(Ordering::Relaxed);
        if let Some(second) = self.second {
            let (first, second) = cx.shards(self.first, second);
            return frame.for_each(|packet| {
                let shard = if packet.len() % 2 == 0 { &mut *first } else { &mut *second };
                shard.packets += shard.weight;
                Next::A
            });
        }
        if let Some(report) = self.report {
            let (count, ()) = cx.shards(self.first, report);
            count.packets += 1;
        }
        frame.for_each(|_| {
            let shard = cx.shard(self.first);
            shard.packets += shard.weight;
            if shard.weight == weight { Next::A } else { Next::Bad }
        });
    }

    /// The mistake that the documentation warns of: handles are taken over with the rest.
    fn adopt(&mut self, old: &mut Counter) {
        std::mem::swap(self, old);
    }
}

fn total(kit: &NodeKit, table: &str) -> String {
    kit.command(table, r#""show""#).unwrap()
}

fn table(kind: TableKind, name: &str, config: &str, others: &[Arc<TableInstance>], workers: u32) -> Arc<TableInstance> {
    let (interfaces, tables) = (&Interfaces::new(Vec::new()), &others.iter().cloned().collect());
    kind.create(
        config.as_bytes(),
        &TableHost { name, interfaces, tables, siblings: 1, workers, in_use: true, virtual_time: true, old: None },
    )
    .unwrap()
    .0
}

fn tally(name: &str) -> Arc<TableInstance> {
    table(TableKind::of::<Tally>(), name, "{}", &[], 1)
}

#[test]
fn nodes_of_a_worker_share_its_shard_and_workers_do_not() {
    let pool = pool();
    let tables = [tally("other"), table(TableKind::of::<Tally>(), "t", r#"{"weight": 2}"#, &[], 4)];
    let totals = std::thread::scope(|scope| {
        let workers = (0..4_u32).map(|number| {
            // Made on this thread, which is that of control, and run on the worker's.
            let make = || instance::<Counter>(&pool, r#"{"tally": "t"}"#, &tables, (number, 4)).unwrap().0;
            let (mut one, mut two) = (make(), make());
            let mut worker = Worker::new(&pool, number, &tables);
            scope.spawn(move || {
                for _ in 0..100 {
                    worker.tables.sync();
                    worker.process(&mut one, 16 + number as usize);
                    worker.process(&mut two, 1);
                }
                drop(worker);
                LOG.take()
            })
        });
        workers.collect::<Vec<_>>().into_iter().map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    for (number, log) in totals.into_iter().enumerate() {
        assert_eq!(log, [format!("other: shard {number}"), format!("t: shard {number}")]);
    }
    // 100 rounds, 17 packets and more, each counting 2.
    let counted = 100 * (17 + 18 + 19 + 20) * 2;
    assert_eq!(tables[1].command(r#""show""#).unwrap(), format!(r#"{{"total":{{"total":{counted},"serves":[]}}}}"#));
    assert_eq!(tables[0].command(r#""show""#).unwrap(), r#"{"total":{"total":0,"serves":[]}}"#);
    assert_eq!((pool.free(), pool.cached()), (pool.capacity(), 0));
}

/// Whether a setting names a table, or it is the only one of its kind: what a node has found is known, and no more.
#[test]
fn the_tables_that_a_node_has_found_are_told() {
    let pool = pool();
    let tables = [tally("a"), tally("b"), tally("c")];
    let found = |config: &str, tables: &[Arc<TableInstance>]| instance::<Counter>(&pool, config, tables, (0, 1)).unwrap().1.tables;
    assert_eq!(found(r#"{"tally": "b"}"#, &tables), [1]);
    assert_eq!(found(r#"{"tally": "c", "second": "a"}"#, &tables), [0, 2]);
    assert_eq!(found("{}", &tables[2..]), [0]);
}

#[test]
fn two_shards_at_once_are_of_two_tables() {
    let kit = TestKit::new().table::<Tally>("odd", "{}").table::<Tally>("even", r#"{"interfaces": []}"#);
    let mut kit = kit.node::<Counter>(r#"{"tally": "even", "second": "odd"}"#).unwrap();
    // Packet n has 4 + n bytes.
    assert_eq!(edges_of(&run(&mut kit, &numbered(33))), ["a"; 33]);
    LOG.take();
    drop(kit);
    assert_eq!(LOG.take(), ["odd: shard 0", "even: shard 0", "odd: total 16", "even: total 17"]);

    let kit = TestKit::new().table::<Tally>("t", "{}").table::<Report>("r", "{}");
    let mut kit = kit.node::<Counter>(r#"{"report": "r"}"#).unwrap();
    assert_eq!(edges_of(&run(&mut kit, &numbered(3))), ["a"; 3]);
}

#[test]
fn the_same_table_twice_is_a_fault() {
    let kit = TestKit::new().table::<Tally>("t", "{}");
    let mut kit = kit.node::<Counter>(r#"{"tally": "t", "second": "t"}"#).unwrap();
    assert_eq!(edges_of(&run(&mut kit, &numbered(3))), ["fault"; 3]);
    assert!(kit.called().panicked);
}

/// A counter made for these tables, and what running it with those of `other` comes to.
fn stale(tables: &[Arc<TableInstance>], tally: &str, other: &[Arc<TableInstance>]) -> bool {
    let pool = pool();
    let (mut node, _) = instance::<Counter>(&pool, &format!(r#"{{"tally": "{tally}"}}"#), tables, (0, 1)).unwrap();
    Worker::new(&pool, 0, other).process(&mut node, 3).panicked
}

#[test]
fn a_handle_of_another_graph_is_a_fault() {
    let old = [tally("a"), tally("b")];
    let report = table(TableKind::of::<Report>(), "r", r#"{"tally": "a"}"#, &old, 1);
    assert!(!stale(&old, "b", &old));
    assert!(stale(&old, "b", &old[..1]), "an index that there is not");
    assert!(stale(&old, "a", &[]));
    assert!(stale(&old, "b", &[Arc::clone(&old[0]), report]), "a table of another kind");
}

#[test]
fn a_handle_that_adopt_took_over_is_a_fault() {
    let pool = pool();
    let old_tables = [tally("a"), tally("b")];
    let new_tables = [tally("b")];
    let make = |tables| instance::<Counter>(&pool, r#"{"tally": "b"}"#, tables, (0, 1)).unwrap().0;
    let (mut old, mut new): (NodeInstance, NodeInstance) = (make(&old_tables), make(&new_tables));
    let mut worker = Worker::new(&pool, 0, &new_tables);
    assert!(!worker.process(&mut new, 3).panicked);
    assert!(new.adopt(&mut old));
    assert!(worker.process(&mut new, 3).panicked && new.is_faulty());
}

fn refused(kit: TestKit, config: &str) -> (String, String) {
    let error = kit.node::<Counter>(config).unwrap_err();
    (error.path().into(), error.message().into())
}

#[test]
fn a_table_that_is_not_found_is_told_with_those_that_there_are() {
    let none = TestKit::new;
    let two = || TestKit::new().table::<Tally>("lan", "{}").try_table::<Tally>("wan", r#"{"interfaces": []}"#).unwrap();
    let mixed = || TestKit::new().table::<Tally>("lan", "{}").table::<Report>("r", "{}");
    for (kit, config, path, message) in [
        (none(), "{}", "tally", "a table of kind `tally` is needed, there is none"),
        (none(), r#"{"tally": "x"}"#, "tally", "unknown table `x` of kind `tally`, there is none"),
        (two(), "{}", "tally", "several tables of kind `tally`: say in `tally` which, expected one of `lan`, `wan`"),
        (two(), r#"{"tally": "x"}"#, "tally", "unknown table `x` of kind `tally`, expected one of `lan`, `wan`"),
        (mixed(), r#"{"tally": "r"}"#, "tally", "the table `r` is of kind `report` and not of kind `tally`, expected one of `lan`"),
        (
            mixed(),
            r#"{"second": "r"}"#,
            "second",
            "the table `r` is of kind `report` and not of kind `tally`, expected one of `lan`",
        ),
        (
            two(),
            r#"{"tally": "lan", "report": "wan"}"#,
            "report",
            "the table `wan` is of kind `tally` and not of kind `report`, there is none",
        ),
    ] {
        assert_eq!(refused(kit, config), (path.into(), message.into()), "{config}");
    }
    // Without a name the only one of its kind is meant, whatever else there is.
    let mut kit = mixed().node::<Counter>("{}").unwrap();
    assert_eq!(edges_of(&run(&mut kit, &numbered(2))), ["a"; 2]);
}

#[test]
fn a_table_refers_to_one_that_was_made_before_it_and_keeps_it() {
    let a = table(TableKind::of::<Tally>(), "a", r#"{"weight": 3}"#, &[], 1);
    let report = table(TableKind::of::<Report>(), "r", "{}", &[a], 1);
    assert_eq!(report.command("null").as_deref(), Ok(r#""a weighs 3""#));
    assert_eq!(report.info().uses.as_slice().iter().map(|kind| kind.as_str()).collect::<Vec<_>>(), ["tally"]);
    LOG.take();
    drop(report);
    assert_eq!(LOG.take(), ["a: total 0"]);

    let error = |config| TestKit::new().table::<Tally>("a", "{}").try_table::<Report>("r", config).unwrap_err().to_string();
    assert_eq!(error(r#"{"tally": "b"}"#), "tally: unknown table `b` of kind `tally`, expected one of `a`");
    assert_eq!(error(r#"{"tally": 3}"#), "tally: invalid type: integer `3`, expected a string");
}

fn served(kit: TestKit, name: &str, config: &str) -> Result<String, String> {
    let kit = kit.try_table::<Tally>(name, config).map_err(|error| error.to_string())?;
    let kit = kit.node::<Counter>(&format!(r#"{{"tally": "{name}"}}"#)).map_err(|error| error.to_string())?;
    Ok(total(&kit, name))
}

#[test]
fn a_table_serves_the_interfaces_that_it_names_or_all() {
    let kit = || {
        let kit = TestKit::new().interface("lan", "02:00:00:00:00:01", 1500, &["192.0.2.1/24", "2001:db8::1/64"]);
        kit.interface("wan", "02:00:00:00:00:02", 9000, &[])
    };
    let answer = |serves: &str| Ok(format!(r#"{{"total":{{"total":0,"serves":{serves}}}}}"#));
    assert_eq!(served(kit(), "t", "{}"), answer("[0,1]"));
    assert_eq!(served(TestKit::new(), "t", "{}"), answer("[]"));
    assert_eq!(served(kit(), "t", r#"{"interfaces": ["wan", "lan"]}"#), answer("[1,0]"));
    assert_eq!(served(kit(), "t", r#"{"interfaces": []}"#), answer("[]"));
    let unknown = "interfaces[1]: unknown interface `dmz`, expected one of `lan`, `wan`";
    assert_eq!(served(kit(), "t", r#"{"interfaces": ["lan", "dmz"]}"#), Err(unknown.into()));
    let unknown = "interfaces[0]: unknown interface `lan`, there is none";
    assert_eq!(served(TestKit::new(), "t", r#"{"interfaces": ["lan"]}"#), Err(unknown.into()));
    // With another one of its kind it has to say.
    let several = "interfaces: several tables of kind `tally`: say in `interfaces` which interfaces this one serves";
    let first = || kit().table::<Tally>("first", r#"{"interfaces": ["lan"]}"#);
    assert_eq!(served(first(), "t", "{}"), Err(several.into()));
    assert_eq!(served(first(), "t", r#"{"interfaces": ["wan"]}"#), answer("[1]"));
}

#[test]
fn commands_and_answers_are_json() {
    let kit = TestKit::new().table::<Tally>("t", "{}");
    let mut kit = kit.node::<Counter>("{}").unwrap();
    assert_eq!(kit.command("t", r#"{"weigh": {"weight": 5}}"#).unwrap(), r#"{"weighed":{"before":1}}"#);
    // The shard learns of it at the top of the next sweep.
    assert_eq!(edges_of(&run(&mut kit, &numbered(4))), ["a"; 4]);
    assert_eq!(total(&kit, "t"), r#"{"total":{"total":0,"serves":[]}}"#);
    for (command, path, message) in [
        (r#"{"weigh": {"weight": 0}}"#, "weight", "a packet weighs at least 1"),
        (r#"{"weigh": {"weight": -1}}"#, "weigh.weight", "invalid value: integer `-1`, expected u64"),
        (r#"{"weigh": {}}"#, "weigh", "missing field `weight`"),
        (r#""shew""#, "", "unknown variant `shew`, expected `weigh` or `show`"),
        ("", "", "EOF while parsing a value"),
    ] {
        let error = kit.command("t", command).unwrap_err();
        assert_eq!((error.path(), error.message()), (path, message), "{command}");
    }
    assert_eq!(kit.command("t", r#"{"weigh": {"weight": 6}}"#).unwrap(), r#"{"weighed":{"before":5}}"#);
    LOG.take();
    drop(kit);
    assert_eq!(LOG.take(), ["t: shard 0", "t: total 20"]);
}

#[test]
fn a_shard_goes_before_its_table_though_the_worker_holds_the_last_reference() {
    let tables = [tally("a"), tally("b")];
    let (one, two) = (WorkerTables::new(0, &tables).unwrap(), WorkerTables::new(1, &tables).unwrap());
    drop(tables);
    LOG.take();
    drop(one);
    assert_eq!(LOG.take(), ["a: shard 0", "b: shard 0"]);
    drop(two);
    assert_eq!(LOG.take(), ["a: shard 1", "b: shard 1", "a: total 0", "b: total 0"]);
}

/// Says what it is made for.
struct Purpose(&'static str);

impl Table for Purpose {
    const INFO: TableInfo = TableInfo::new("purpose", "Says what it is made for.");
    type Config = NoConfig;
    type Shard = ();
    type Command = NoConfig;
    type Reply = &'static str;

    fn new(_: NoConfig, setup: &mut TableSetup<'_>) -> Result<Purpose, ConfigError> {
        Ok(Purpose(match (setup.in_use(), setup.virtual_time()) {
            (false, false) => "to see",
            (true, false) => "to run",
            (true, true) => "to run by a virtual clock",
            (false, true) => "no purpose",
        }))
    }

    fn shard(&self, _: u32) {}

    fn command(&self, _: NoConfig) -> Result<&'static str, ConfigError> {
        Ok(self.0)
    }
}

#[test]
fn a_table_knows_whether_anybody_would_notice_what_it_does() {
    let (interfaces, tables) = (&Interfaces::new(Vec::new()), &[].into_iter().collect());
    let purpose = |in_use: bool, virtual_time: bool| {
        let host = TableHost { name: "t", interfaces, tables, siblings: 1, workers: 1, in_use, virtual_time, old: None };
        TableKind::of::<Purpose>().create(b"{}", &host).unwrap().0.command("{}").unwrap()
    };
    let purposes = [(false, false), (false, true), (true, false), (true, true)].map(|(used, by)| purpose(used, by));
    assert_eq!(purposes, [r#""to see""#, r#""to see""#, r#""to run""#, r#""to run by a virtual clock""#]);
}
