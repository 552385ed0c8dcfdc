//! `swath run`: a graph on its interfaces, by threads and the clock.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use swath_core::run::{Engine, Placement, place};

use crate::args::time;
use crate::exit::{Exit, Failure};
use crate::figures::counted;
use crate::line::Line;
use crate::load::{Graph, Time, packet_memory};
use crate::report::{Destination, Report};
use crate::signals::Stop;
use crate::terminal::Terminal;

/// How long a signal may wait for an answer.
const LOOK: Duration = Duration::from_millis(20);
/// Time between two lines.
const SECOND: Duration = Duration::from_secs(1);

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each second it says how many packets came, went and were dropped, and why. In the end it says where
every packet and every buffer has gone; if that does not add up, it fails with 1. Ctrl-C (SIGINT)
and SIGTERM end it in order, a second one at once.

Examples:
  swath run graphs/quickstart.yaml
  swath run graphs/quickstart.yaml --duration 10s --report report.json")]
pub struct RunArgs {
    /// The graph file
    pub graph: PathBuf,
    /// End after this time: `10s`, `500ms`, or a number of seconds
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub duration: Option<Duration>,
    /// What to say each second
    #[arg(long, value_enum, value_name = "HOW", env = "SWATH_STATS", hide_env = true, default_value = "auto")]
    pub stats: Stats,
    /// Write the ledgers to a file as JSON, or to standard output (-)
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// What to say each second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stats {
    /// One line that is redrawn on a terminal; else as `line`
    Auto,
    /// A line each second
    Line,
    /// Nothing
    None,
}

/// Runs a graph until somebody or something ends it.
///
/// # Errors
/// It cannot be read, planned, built or started; or its ledger does not add up.
pub fn run(args: &RunArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut graph = Graph::open(&args.graph)?.colour(terminal.colour);
    let plan = graph.plan_once(&crate::registry())?;
    let (pool, pages) = packet_memory(&plan.engine)?;
    let mut engine = graph.build(plan, &pool, Time::Real)?;
    let destination = args.report.as_deref().map(Destination::open).transpose()?;
    let stop = Stop::on_signals().map_err(|error| Failure::other(format!("cannot wait for signals: {error}")))?;
    if graph.diagnostics().warnings() > 0 {
        terminal.say(graph.render());
    }
    if let Some(warning) = pages.warning() {
        terminal.warn(&warning);
    }
    let plan = engine.plan();
    terminal.say(format!(
        "{}: {} on {}, {}; {pages}",
        graph.name(),
        counted(plan.nodes.len(), "node"),
        counted(plan.interfaces.len(), "interface"),
        counted(plan.engine.workers.into(), "worker"),
    ));
    let placement = place(&engine.plan().engine).map_err(Failure::other)?;
    placement.warnings.iter().for_each(|warning| terminal.warn(warning));
    if engine.queues().len() > 1 {
        say_queues(&engine, &placement, terminal);
    }
    engine.start_on(placement).map_err(|error| Failure::other(format!("a worker could not be started: {error}")))?;
    let end = watch(&engine, &stop, args, terminal);
    let died = !engine.dead_workers().is_empty();
    engine.stop();
    terminal.say(format!("{end}\n"));
    let exit = Report::of(&mut engine).deliver(&engine, destination, terminal)?;
    if died { Err(Failure::other("a worker has died")) } else { Ok(exit) }
}

/// Says which worker receives what.
fn say_queues(engine: &Engine, placement: &Placement, terminal: &Terminal) {
    for (worker, queues) in engine.queues().iter().enumerate() {
        let core = match placement.cpus.get(worker).map(Vec::as_slice) {
            Some([core]) => format!(" on core {core}"),
            _ => String::new(),
        };
        let name = |(interface, queue): &(usize, usize)| format!("{} queue {queue}", engine.interfaces()[*interface].name);
        let queues =
            if queues.is_empty() { "what it is handed".into() } else { queues.iter().map(name).collect::<Vec<_>>().join(", ") };
        terminal.say(format!("worker {worker}{core}: {queues}"));
    }
}

/// Says each second what happens, and returns why it is over.
fn watch(engine: &Engine, stop: &Stop, args: &RunArgs, terminal: &Terminal) -> String {
    let redraw = args.stats == Stats::Auto && terminal.interactive;
    let start = Instant::now();
    let (mut before, mut read_at) = (engine.ledger(), start);
    let mut drawn = false;
    let end = loop {
        let now = Instant::now();
        if now - read_at >= SECOND {
            let ledger = engine.ledger();
            if args.stats != Stats::None {
                let line = Line::new(&before, &ledger, now - read_at, now - start);
                if redraw {
                    terminal.redraw(&line.text(terminal.width()))
                } else {
                    terminal.say(line.text(usize::MAX))
                }
                drawn = redraw;
            }
            (before, read_at) = (ledger, now);
        }
        for (interface, news) in engine.news() {
            if drawn {
                terminal.say("");
            }
            drawn = false;
            terminal.say(format!("{interface}: {news}"));
        }
        if stop.asked() {
            break "ended by a signal".into();
        }
        if let [worker, ..] = engine.dead_workers()[..] {
            break format!("worker {worker} has died: this is a defect of swath, and the message above is what to report");
        }
        if engine.ended() {
            break "all inputs have ended".into();
        }
        if args.duration.is_some_and(|duration| now - start >= duration) {
            break format!("ended after {:.1} s", (now - start).as_secs_f64());
        }
        let left = args.duration.map_or(LOOK, |duration| duration.saturating_sub(start.elapsed()));
        std::thread::sleep(left.min(SECOND.saturating_sub(read_at.elapsed())).min(LOOK));
    };
    // Below the line that was drawn last.
    if drawn { format!("\n{end}") } else { end }
}
