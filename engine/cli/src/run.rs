//! `swath run`: a graph on its interfaces, by threads and the clock.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::value::RawValue;
use swath_api::TableInstance;
use swath_core::privileges::{self, CapabilitySet};
use swath_core::run::{Engine, Placement, place};
use swath_core::spec::Whereabouts;
use swath_ctl::socket::Socket;
use swath_ctl::{
    ApiServer, Control, Live, RecordKeeper, Running, Server, Service, Settings, TcpApiServer, Watchdog, control, restore, save,
};

use crate::args::time;
use crate::exit::{Exit, Failure};
use crate::figures::counted;
use crate::keep;
use crate::load::{Graph, Time, packet_memory};
use crate::logging::LogArgs;
use crate::reload::Reload;
use crate::remote;
use crate::report::{Destination, Report};
use crate::signals::{Hangup, Stop};
use crate::terminal::Terminal;
use crate::watch::Watch;

/// What it takes to attach an interface, by any driver.
const ATTACH: CapabilitySet = CapabilitySet::NET_RAW
    .union(CapabilitySet::NET_ADMIN)
    .union(CapabilitySet::IPC_LOCK)
    .union(CapabilitySet::BPF)
    .union(CapabilitySet::PERFMON);

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each second it says how many packets came, went and were dropped, and why. In the end it says where
every packet and every buffer has gone; if that does not add up, it fails with 1. Ctrl-C (SIGINT)
and SIGTERM end it in order, a second one at once. SIGHUP has it read the graph again and go over to it
without losing a packet; a graph that is refused changes nothing. With --watch-config it does so by
itself when a file of the graph changes, also one that it includes. `swath plan` says before what would
change, and what needs a restart. A service manager that has started it (systemd,
Type=notify) is told when it is up and what it does, and fed its watchdog while all workers turn.

Examples:
  swath run graphs/quickstart.yaml
  swath run graphs/quickstart.yaml --duration 10s --report report.json
  swath run graphs/quickstart.yaml --metrics 127.0.0.1:9474 --log-format json
  swath run graphs/quickstart.yaml --watch-config
  swath run graphs/quickstart.yaml --dry-run")]
pub struct RunArgs {
    /// The graph file
    pub graph: PathBuf,
    /// End after this time: `10s`, `500ms`, or a number of seconds
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub duration: Option<Duration>,
    /// Attach the interfaces, write which worker receives what and on which core, and end before the first packet
    #[arg(long, conflicts_with_all = ["duration", "report"])]
    pub dry_run: bool,
    /// What to say each second
    #[arg(long, value_enum, value_name = "HOW", env = "SWATH_STATS", hide_env = true, default_value = "auto")]
    pub stats: Stats,
    /// Write the ledgers to a file as JSON, or to standard output (-)
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Serve metrics and health by HTTP at this address, and not where the graph says: `127.0.0.1:9474`
    #[arg(long, value_name = "ADDRESS", env = "SWATH_METRICS", hide_env = true)]
    pub metrics: Option<SocketAddr>,
    /// Where the control API listens, and not where the graph says: the path of a unix socket, or `off`
    #[arg(long, value_name = "PATH", env = "SWATH_API", hide_env = true, value_parser = whereabouts)]
    pub api: Option<Whereabouts>,
    /// Serve the control API by TCP, too, to who has the token: an address of this machine, as `127.0.0.1:9475`
    #[arg(long, value_name = "ADDRESS", env = "SWATH_API_TCP", hide_env = true, requires = "api_token_file")]
    pub api_tcp: Option<SocketAddr>,
    /// With `--api-tcp`: the file with the token, which nobody else may read
    #[arg(long, value_name = "FILE", env = "SWATH_API_TOKEN_FILE", hide_env = true)]
    pub api_token_file: Option<PathBuf>,
    /// Where revisions of the graph are kept, and not where the graph says: a directory, or `off`
    #[arg(long, value_name = "PATH", env = "SWATH_REVISIONS", hide_env = true, value_parser = whereabouts)]
    pub revisions: Option<Whereabouts>,
    /// Start with the last revision that was good, and not with what the file says now; with the file if there is none
    #[arg(long)]
    pub last_good: bool,
    /// Read the graph again whenever its files change, and go over to it; a graph that is refused changes nothing
    #[arg(long)]
    pub watch_config: bool,
    /// When asked to end, go on for this time while /readyz says no
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "0s")]
    pub drain: Duration,
    #[command(flatten)]
    pub log: LogArgs,
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
    let events = args.log.start();
    // What stops it from running is said to people in any case.
    let people = Terminal { quiet: events, ..*terminal };
    let mut graph = keep::graph(args, &people)?.colour(terminal.colour);
    let plan = graph.plan_once(&crate::registry())?;
    // Before the first thread is started.
    unprivileged(privileges::gain_no_more())?;
    let live = Live::new(Settings { by_worker: plan.engine.metrics_by_worker });
    // Before interfaces are attached: who cannot be watched as he wants to be touches no network.
    let server = args.metrics.or(plan.engine.metrics).filter(|_| !args.dry_run).map(|address| serve(address, &live)).transpose()?;
    let (control, jobs) = control();
    let listens = args.api.clone().unwrap_or_else(|| beside(&graph, &plan.engine.api));
    let api_tcp = if args.dry_run { None } else { listen_by_tcp(args, &control, &live)? };
    let api = if args.dry_run { None } else { listen(&listens, &args.graph, control, &live, &people)? };
    let disk = if args.dry_run { None } else { keep::disk(args, &graph, &plan.engine.revisions, &people)? };
    let files = keep::watch(args, &graph)?;
    let (pool, pages) = packet_memory(&plan.engine)?;
    let mut engine = graph.build(plan, &pool, Time::Real)?;
    let destination = args.report.as_deref().map(Destination::open).transpose()?;
    let stop = Stop::on_signals().map_err(|error| Failure::other(format!("cannot wait for signals: {error}")))?;
    let hangup = Hangup::on_signal().map_err(|error| Failure::other(format!("cannot wait for signals: {error}")))?;
    if graph.diagnostics().warnings() > 0 {
        terminal.say(graph.render());
    }
    if let Some(warning) = pages.warning() {
        people.warn(&warning);
        if events {
            tracing::warn!(target: "swath::memory", "{warning}");
        }
    }
    let plan = engine.plan();
    let (nodes, interfaces, workers) = (plan.nodes.len(), plan.interfaces.len(), plan.engine.workers);
    people.say(format!(
        "{}: {} on {}, {}; {pages}",
        graph.name(),
        counted(nodes, "node"),
        counted(interfaces, "interface"),
        counted(workers.into(), "worker"),
    ));
    if let Some(api) = &api {
        people.say(format!("control API: {}", api.path().display()));
        if events {
            tracing::info!(target: "swath::http", socket = %api.path().display(), "the control API listens");
        }
    }
    if let Some(api) = &api_tcp {
        people.say(format!("control API: http://{}", api.address()));
        if events {
            tracing::info!(target: "swath::http", address = %api.address(), "the control API listens by TCP");
        }
    }
    let placement = place(&engine.plan().engine).map_err(Failure::other)?;
    for warning in &placement.warnings {
        people.warn(warning);
        if events {
            tracing::warn!(target: "swath::engine", "{warning}");
        }
    }
    let queues = queues(&engine, &placement);
    if args.dry_run {
        terminal.data(&(queues.join("\n") + "\n"))?;
        return Ok(Exit::Ok);
    }
    if queues.len() > 1 {
        queues.iter().for_each(|line| people.say(line));
    }
    // What it takes to attach interfaces this thread keeps, which does so when the graph is another; those who look after an interface keep
    // what it takes to attach that again, and nobody else anything.
    unprivileged(privileges::keep(ATTACH))?;
    let mut records = RecordKeeper::new(graph.directory());
    states(&engine, &graph, |path, table| bring_back(&engine, &mut records, path, table, (&people, events)));
    engine.start_on(placement).map_err(|error| Failure::other(format!("a worker could not be started: {error}")))?;
    live.attach(engine.observer());
    if events {
        tracing::info!(target: "swath::engine", graph = graph.name(), nodes, interfaces, workers, "running");
    }
    let service = Service::of_environment();
    let watchdog = Watchdog::start(Arc::clone(&live), service);
    let watchdog = watchdog.map_err(|error| Failure::other(format!("a thread could not be started: {error}")))?;
    service.ready();
    let mut running = Running::new(engine, graph.files().clone(), crate::registry(), disk);
    let mut watch = Watch {
        terminal: &people,
        stop: &stop,
        hangup: &hangup,
        files,
        reload: Reload { graph: &args.graph, terminal: &people, events },
        live: &live,
        jobs: &jobs,
        records: &mut records,
        service,
        lines: args.stats == Stats::Line || args.stats == Stats::Auto && !events,
        redraw: args.stats == Stats::Auto && terminal.interactive,
        duration: args.duration,
        drain: args.drain,
    };
    let end = watch.until_the_end(&mut running);
    drop(watchdog);
    // Who still waits is told that it has ended.
    drop((jobs, api, api_tcp));
    let mut engine = running.engine;
    let died = !engine.dead_workers().is_empty();
    engine.stop();
    records.end(&engine);
    states(&engine, &graph, |path, table| keep(&engine, path, table, (&people, events)));
    people.say(format!("{end}\n"));
    let report = Report::of(&mut engine);
    if events {
        tracing::info!(target: "swath::engine", "{end}");
        report.log();
    }
    let exit = report.deliver(&engine, destination, &people)?;
    drop(server);
    if died { Err(Failure::other("a worker has died")) } else { Ok(exit) }
}

/// The tables that are kept while no engine runs, each with the file.
fn states(engine: &Engine, graph: &Graph, mut each: impl FnMut(&Path, &TableInstance)) {
    for table in &engine.plan().tables {
        let table = engine.table(&table.spec.name.value);
        if let Some((table, file)) = table.and_then(|table| Some((table, table.state_file()?))) {
            each(&graph.directory().join(file), table);
        }
    }
}

/// What a table has known when an engine ended. Without it, it begins with nothing, as ever; a file that is refused is kept under another name.
fn bring_back(
    engine: &Engine,
    records: &mut RecordKeeper,
    path: &Path,
    table: &TableInstance,
    (people, events): (&Terminal, bool),
) {
    if !path.exists() {
        return;
    }
    let restored = restore(path, table.info().kind.as_str(), &mut |command| {
        let answer = ask(engine, table, command);
        records.keep(engine);
        answer
    });
    match restored {
        Ok(restored) => {
            people.say(format!("`{}`: {}", table.name(), restored.words()));
            if events {
                tracing::info!(target: "swath::engine", table = table.name(), "{}", restored.words());
            }
        }
        Err(error) => {
            let mut aside = path.as_os_str().to_os_string();
            aside.push(".refused");
            let moved =
                std::fs::rename(path, &aside).map_or_else(|error| error.to_string(), |()| Path::new(&aside).display().to_string());
            warn(people, events, &format!("`{}`: {error} ({moved})", table.name()));
        }
    }
}

/// Keeps what a table knows for the next engine.
fn keep(engine: &Engine, path: &Path, table: &TableInstance, (people, events): (&Terminal, bool)) {
    match save(path, table.info().kind.as_str(), table.name(), &mut |command| ask(engine, table, command)) {
        Ok(entries) => {
            let words = format!("{} saved in {}", counted(entries as usize, "session"), path.display());
            people.say(format!("`{}`: {words}", table.name()));
            if events {
                tracing::info!(target: "swath::engine", table = table.name(), "{words}");
            }
        }
        Err(error) => warn(people, events, &format!("`{}` is not saved: {error}", table.name())),
    }
}

fn warn(people: &Terminal, events: bool, text: &str) {
    people.warn(text);
    if events {
        tracing::warn!(target: "swath::engine", "{text}");
    }
}

fn ask(engine: &Engine, table: &TableInstance, command: &str) -> Result<Box<RawValue>, String> {
    let answer = engine.command(table.name(), command).map_err(|error| error.to_string())?;
    RawValue::from_string(answer).map_err(|error| error.to_string())
}

fn unprivileged(done: std::io::Result<()>) -> Result<(), Failure> {
    done.map_err(|error| Failure::other(format!("privileges cannot be given up: {error}")))
}

/// Which worker receives what: a line for each.
fn queues(engine: &Engine, placement: &Placement) -> Vec<String> {
    let line = |(worker, queues): (usize, &Vec<(usize, usize)>)| {
        let core = match placement.cpus.get(worker).map(Vec::as_slice) {
            Some([core]) => format!(" on core {core}"),
            _ => String::new(),
        };
        let name = |(interface, queue): &(usize, usize)| format!("{} queue {queue}", engine.interfaces()[*interface].name);
        let queues =
            if queues.is_empty() { "what it is handed".into() } else { queues.iter().map(name).collect::<Vec<_>>().join(", ") };
        format!("worker {worker}{core}: {queues}")
    };
    engine.queues().iter().enumerate().map(line).collect()
}

/// Reads where something is to be.
fn whereabouts(text: &str) -> Result<Whereabouts, String> {
    if text.is_empty() { Err("expected a path or `off`".into()) } else { Ok(text.into()) }
}

/// A place as a graph says it, whose paths are relative to the file.
pub fn beside(graph: &Graph, place: &Whereabouts) -> Whereabouts {
    match place {
        Whereabouts::At(path) => Whereabouts::At(graph.directory().join(path)),
        other => other.clone(),
    }
}

/// The control API. Who cannot have it at the usual place is warned; who asks for a place has it there or nothing.
fn listen(
    place: &Whereabouts,
    graph: &Path,
    control: Control,
    live: &Arc<Live>,
    people: &Terminal,
) -> Result<Option<ApiServer>, Failure> {
    let cannot = |path: &Path, error| Failure::other(format!("the control API cannot listen at {}: {error}", path.display()));
    let socket = match place {
        Whereabouts::Off => return Ok(None),
        Whereabouts::At(path) => Socket::at(path).map_err(|error| cannot(path, error))?,
        Whereabouts::Usual => match Socket::usual(&graph.file_stem().unwrap_or_default().to_string_lossy()) {
            Ok(socket) => socket,
            Err(error) => {
                people.warn(&format!(
                    "no control API, so `swath show` cannot ask: {error}; `--api PATH` says where, `--api off` is quiet"
                ));
                tracing::warn!(target: "swath::http", %error, "no control API");
                return Ok(None);
            }
        },
    };
    let path = socket.path().to_path_buf();
    let server = ApiServer::start(socket, control, crate::registry(), Arc::clone(live)).map_err(|error| cannot(&path, error))?;
    Ok(Some(server))
}

fn listen_by_tcp(args: &RunArgs, control: &Control, live: &Arc<Live>) -> Result<Option<TcpApiServer>, Failure> {
    let Some((address, file)) = args.api_tcp.zip(args.api_token_file.as_deref()) else { return Ok(None) };
    let token = remote::token(file)?;
    let started = TcpApiServer::start(address, token, control.clone(), crate::registry(), Arc::clone(live));
    started.map(Some).map_err(|error| Failure::other(format!("the control API cannot listen at {address}: {error}")))
}

fn serve(address: SocketAddr, live: &Arc<Live>) -> Result<Server, Failure> {
    let server = Server::start(address, Arc::clone(live));
    let server = server.map_err(|error| Failure::other(format!("metrics cannot be served at {address}: {error}")))?;
    tracing::info!(target: "swath::http", address = %server.address(), "metrics are served");
    Ok(server)
}
