//! A table that panics where it is told to, and counts what has passed: all workers together, and each in its shard.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use swath_api::prelude::*;
use swath_api::{Records, schemars, serde};

use crate::Next;

#[derive(Clone, Copy, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(crate = "serde", rename_all = "kebab-case")]
#[schemars(crate = "schemars")]
pub enum At {
    #[default]
    Nowhere,
    Settings,
    New,
    Shard,
    Sync,
    Succeed,
    Adopt,
    Rest,
    Link,
    ReadCommand,
    Command,
    Figures,
    StateFile,
    Records,
    Save,
    SaveShard,
    Restore,
    RestoreShard,
    ReadQuestion,
    Visit,
    Answer,
    DropShard,
    Drop,
}

fn reach(at: At, place: At) {
    assert!(at != place, "as asked");
}

#[derive(Deserialize, JsonSchema)]
#[serde(crate = "serde", deny_unknown_fields, try_from = "Given")]
#[schemars(crate = "schemars")]
pub struct Config {
    #[serde(default)]
    at: At,
    #[serde(default)]
    other: u32,
    /// A file that it writes down in when it is made and dropped, and by which thread.
    diary: Option<PathBuf>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(crate = "serde", deny_unknown_fields)]
#[schemars(crate = "schemars")]
struct Given {
    #[serde(default)]
    at: At,
    #[serde(default)]
    other: u32,
    diary: Option<PathBuf>,
}

impl TryFrom<Given> for Config {
    type Error = String;

    fn try_from(given: Given) -> Result<Config, String> {
        reach(given.at, At::Settings);
        Ok(Config { at: given.at, other: given.other, diary: given.diary })
    }
}

/// What has passed by all workers.
pub struct Tally {
    at: At,
    diary: Option<PathBuf>,
    passed: AtomicU64,
}

/// What has passed by one.
pub struct Shard {
    at: At,
    diary: Option<PathBuf>,
    passed: u64,
}

/// Commands and questions; a number that is 13 cannot be read without a panic.
#[derive(Clone, Deserialize)]
#[serde(crate = "serde", rename_all = "kebab-case")]
pub enum Command {
    Total(Number),
}

#[derive(Clone, Deserialize)]
#[serde(crate = "serde", rename_all = "kebab-case")]
pub enum Question {
    Shards(Number),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(crate = "serde", try_from = "u32")]
pub struct Number;

impl TryFrom<u32> for Number {
    type Error = String;

    fn try_from(number: u32) -> Result<Number, String> {
        assert!(number != 13, "as asked");
        Ok(Number)
    }
}

/// Writes a line, with the name of the thread as the system has it: this library's own library has none for threads of others.
fn note(diary: &Option<PathBuf>, what: &str) {
    let Some(diary) = diary else { return };
    let thread = std::fs::read_to_string("/proc/thread-self/comm").expect("the name of a thread");
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(diary).expect("a diary");
    file.write_all(format!("{what} by {thread}").as_bytes()).expect("room for a line");
}

impl Table for Tally {
    const INFO: TableInfo =
        TableInfo::new("tally", "Counts.").ignores_interfaces().carries("its counts").reads(&[swath_api::Str::new("total")]);
    type Config = Config;
    type Shard = Shard;
    type Command = Command;
    type Reply = Vec<u64>;
    const STATE_VERSION: u32 = 2;

    fn new(config: Config, setup: &mut TableSetup<'_>) -> Result<Tally, ConfigError> {
        reach(config.at, At::New);
        let passed = setup.old::<Tally>().map_or(0, |old| old.passed.load(Ordering::Relaxed));
        if config.other == 7 {
            return Err(ConfigError::at("other", "seven is refused"));
        }
        let diary = config.diary.filter(|_| setup.in_use());
        note(&diary, "a table is made");
        Ok(Tally { at: config.at, diary, passed: AtomicU64::new(passed) })
    }

    fn shard(&self, _: u32) -> Shard {
        reach(self.at, At::Shard);
        note(&self.diary, "a shard is made");
        Shard { at: self.at, diary: self.diary.clone(), passed: 0 }
    }

    fn sync(&self, _: &mut Shard) {
        reach(self.at, At::Sync);
    }

    fn succeed(&self, _: &Tally) {
        reach(self.at, At::Succeed);
    }

    fn adopt(&self, shard: &mut Shard, old: &mut Shard) {
        shard.passed = old.passed;
        reach(self.at, At::Adopt);
    }

    fn rest(&self, _: &mut Shard) {
        reach(self.at, At::Rest);
    }

    fn link(&self, _: u16, _: bool) {
        reach(self.at, At::Link);
    }

    fn command(&self, Command::Total(_): Command) -> Result<Vec<u64>, ConfigError> {
        reach(self.at, At::Command);
        Ok(vec![self.passed.load(Ordering::Relaxed)])
    }

    fn figures(&self) -> Vec<Figure> {
        reach(self.at, At::Figures);
        vec![Figure::total("tally_total", "What has passed.", self.passed.load(Ordering::Relaxed))]
    }

    fn state_file(&self) -> Option<&str> {
        reach(self.at, At::StateFile);
        None
    }

    fn records(&self, _: usize) -> Records {
        reach(self.at, At::Records);
        Records::default()
    }

    fn save(&self, shard: Option<&mut Shard>, at: u64, piece: &mut Vec<u8>) -> Option<u64> {
        let passed = match shard {
            Some(shard) => {
                reach(shard.at, At::SaveShard);
                shard.passed
            }
            None => {
                reach(self.at, At::Save);
                self.passed.load(Ordering::Relaxed)
            }
        };
        // A byte at a time, so that there are several pieces.
        piece.extend([at as u8, passed.to_le_bytes()[at as usize]]);
        (at < 7).then_some(at + 1)
    }

    fn restore(&self, shard: Option<&mut Shard>, version: u32, piece: &[u8]) -> Result<(), ConfigError> {
        let (2, [at @ 0..8, byte]) = (version, piece) else { return Err(ConfigError::new("not known")) };
        let part = u64::from(*byte) << (8 * at);
        match shard {
            Some(shard) => {
                reach(self.at, At::RestoreShard);
                shard.passed += part;
            }
            None => {
                reach(self.at, At::Restore);
                self.passed.fetch_add(part, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

impl Sharded for Tally {
    type Question = Question;
    type Row = u64;

    fn visit(&self, shard: &mut Shard, _: &Question, _: u64, rows: &mut Rows<u64>) -> Option<u64> {
        reach(self.at, At::Visit);
        rows.push(shard.passed);
        None
    }

    fn answer(&self, _: Question, rows: Vec<Vec<u64>>) -> Result<Vec<u64>, ConfigError> {
        reach(self.at, At::Answer);
        Ok(rows.concat())
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        note(&self.diary, "a table goes");
        reach(self.at, At::Drop);
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        note(&self.diary, "a shard goes");
        reach(self.at, At::DropShard);
    }
}

/// Counts in a table.
pub struct Tallied {
    tally: Handle<Tally>,
}

const TALLY: swath_api::Str = swath_api::Str::new("tally");

impl Node for Tallied {
    const INFO: Info = Info::new("tallied", "Counts in a table.").uses(&[TALLY]);
    type Config = NoConfig;
    type Next = Next;

    fn new(_: NoConfig, setup: &mut Setup<'_>) -> Result<Tallied, ConfigError> {
        Ok(Tallied { tally: setup.table("tally", None)? })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let count = frame.len() as u64;
        cx.table(self.tally).passed.fetch_add(count, Ordering::Relaxed);
        cx.shard(self.tally).passed += count;
        frame.all(Next::Ok);
    }
}

/// Of an owned kind, and asked for its reasons: panics where it is told to, and sends on what it can.
pub struct Asked {
    at: AskedAt,
}

#[derive(Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(crate = "serde", rename_all = "kebab-case")]
#[schemars(crate = "schemars")]
pub enum AskedAt {
    Nowhere,
    Owner,
    Reason,
    Simulate,
}

#[derive(Deserialize, JsonSchema)]
#[serde(crate = "serde", deny_unknown_fields)]
#[schemars(crate = "schemars")]
pub struct AskedConfig {
    at: AskedAt,
}

impl Asked {
    fn reach(&self, place: AskedAt) {
        assert!(self.at != place, "as asked");
    }
}

impl Node for Asked {
    const INFO: Info = Info::new("asked", "Panics when it is asked.").owned();
    type Config = AskedConfig;
    type Next = Next;

    fn new(config: AskedConfig, _: &mut Setup<'_>) -> Result<Asked, ConfigError> {
        Ok(Asked { at: config.at })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.all(Next::Ok);
    }

    fn owner(&self, frame: &mut Frame<'_, Owner>, _: &Context<'_>) {
        self.reach(AskedAt::Owner);
        frame.all(Owner::worker(1));
    }

    fn reason(&self, _: &Packet<'_>, _: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        self.reach(AskedAt::Reason);
        words.say("as usual");
    }

    fn simulate(&mut self, _: &mut Packet<'_>, _: &mut Context<'_>, _: &mut Words<'_>) -> Option<Next> {
        self.reach(AskedAt::Simulate);
        Some(Next::Ok)
    }
}
