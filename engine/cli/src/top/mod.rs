//! `swath top`: what a running engine does, redrawn each second.

mod columns;
mod draw;
mod state;

use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use swath_ctl::Client;
use swath_ctl::api::{Interface, Node, Process, Runtime};

use crate::args::time;
use crate::exit::{Exit, Failure};
use crate::remote::SocketArgs;
use crate::terminal::Terminal;

use state::{Reading, State, Wish};

/// Arguments of `top`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nodes stand in the order in which packets meet them, with packets a second, packets in a vector, TSC
cycles a packet, and drops. Keys: `s` sorts by the next column, `r` turns the order round, `/` asks for
a part of a name and Enter or Esc ends that, the arrows and the page keys scroll, space holds the
picture, `q` ends. It goes on when another graph is applied, and when the engine is started again.

Examples:
  swath top
  swath top --every 500ms --sort drops
  swath top --filter lookup")]
pub struct TopArgs {
    /// Time between two pictures, over which rates are taken
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "1s")]
    pub every: Duration,
    /// By which column nodes are sorted
    #[arg(long, value_enum, value_name = "COLUMN", default_value = "graph")]
    pub sort: Sort,
    /// Only nodes in whose name or kind this stands
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub filter: String,
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// What nodes are sorted by; figures from the highest down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sort {
    /// The order in which packets meet them.
    Graph,
    /// Packets a second.
    Packets,
    /// TSC cycles a packet.
    Cycles,
    /// Drops a second.
    Drops,
}

/// Shows it until somebody ends it.
///
/// # Errors
/// No engine answers at the start, or there is no terminal.
pub fn top(args: &TopArgs, _: &Terminal) -> Result<Exit, Failure> {
    let mut client = Some(args.socket.connect()?);
    let mut state = State::new(args.sort, args.filter.clone());
    let mut terminal = ratatui::try_init().map_err(|error| Failure::other(format!("no terminal: {error}")))?;
    let done = show(args, &mut client, &mut state, &mut terminal);
    ratatui::restore();
    done
}

fn show(args: &TopArgs, client: &mut Option<Client>, state: &mut State, terminal: &mut DefaultTerminal) -> Result<Exit, Failure> {
    let failed = |error: std::io::Error| Failure::other(format!("the terminal: {error}"));
    // A first reading at once, and the second one soon: rates are those in between.
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next {
            if client.is_none() {
                *client = args.socket.connect().ok();
            }
            match client.as_mut().map(read) {
                Some(Ok(reading)) => state.take(reading),
                Some(Err(why)) => {
                    *client = None;
                    state.lose(why);
                }
                None => {}
            }
            next = Instant::now() + args.every;
        }
        let mut page = 0;
        terminal.draw(|frame| page = draw::draw(frame, state)).map_err(failed)?;
        state.page = page;
        if !event::poll(next.saturating_duration_since(Instant::now())).map_err(failed)? {
            continue;
        }
        if let Event::Key(key) = event::read().map_err(failed)?
            && key.kind == KeyEventKind::Press
            && state.key(key) == Wish::End
        {
            return Ok(Exit::Ok);
        }
    }
}

fn read(client: &mut Client) -> Result<Reading, String> {
    let mut all = || -> Result<Reading, swath_ctl::ClientError> {
        Ok(Reading {
            at: Instant::now(),
            process: client.get::<Process>("/v1")?,
            nodes: client.get::<Vec<Node>>("/v1/nodes")?,
            interfaces: client.get::<Vec<Interface>>("/v1/interfaces")?,
            runtime: client.get::<Runtime>("/v1/runtime")?,
        })
    };
    all().map_err(|error| error.to_string())
}
