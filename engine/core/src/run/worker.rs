//! A worker thread: sweeps until it is told to stop, and rests when there is nothing to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};

use super::pass::WorkerGraph;
use crate::driver::Due;

/// Empty sweeps after which a worker rests.
const PATIENCE: u32 = 1000;
/// The longest rest: what a packet may wait on a port that was idle.
const REST: Duration = Duration::from_micros(200);

/// A worker that runs.
pub(super) struct Worker {
    pub thread: JoinHandle<WorkerGraph>,
    /// Whether none of its queues will ever have packets again. It says so when it rests.
    pub ended: Arc<AtomicBool>,
}

/// Starts a worker, pinned to a core if one is given. The thread gives the graph back when it ends.
///
/// The graph's clock goes on at `now` nanoseconds.
///
/// # Errors
/// The thread cannot be started (it has taken the graph with it), or not pinned (the graph comes back).
pub(super) fn start(
    index: usize,
    core: Option<usize>,
    mut graph: WorkerGraph,
    stop: Arc<AtomicBool>,
    clock: Instant,
    now: u64,
) -> Result<Worker, Box<(std::io::Error, Option<WorkerGraph>)>> {
    let (report, pinned) = std::sync::mpsc::channel();
    let ended = Arc::new(AtomicBool::new(false));
    let says = Arc::clone(&ended);
    let body = move || {
        // Reported before the first packet: a worker on another core than asked for is refused, not run slowly.
        let done = core.map_or(Ok(()), pin);
        let go = done.is_ok();
        let _ = report.send(done);
        if go {
            run(&mut graph, &stop, &says, clock, now);
        }
        graph
    };
    let thread =
        std::thread::Builder::new().name(format!("worker-{index}")).spawn(body).map_err(|error| Box::new((error, None)))?;
    match pinned.recv() {
        Ok(Ok(())) | Err(_) => Ok(Worker { thread, ended }),
        Ok(Err(error)) => Err(Box::new((error, thread.join().ok()))),
    }
}

fn pin(core: usize) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    if core >= CpuSet::MAX_CPU {
        return Err(std::io::Error::other(format!("there is no core {core}")));
    }
    set.set(core);
    sched_setaffinity(None, &set).map_err(|error| std::io::Error::other(format!("core {core} cannot be had: {error}")))
}

fn run(graph: &mut WorkerGraph, stop: &AtomicBool, ended: &AtomicBool, clock: Instant, start: u64) {
    let mut empty = 0;
    while !stop.load(Ordering::Relaxed) {
        let now = start + clock.elapsed().as_nanos() as u64;
        if graph.sweep(now) {
            empty = 0;
            continue;
        }
        empty += 1;
        if empty < PATIENCE {
            std::hint::spin_loop();
            continue;
        }
        ended.store(graph.ended(), Ordering::Relaxed);
        let rest = match graph.due() {
            Due::At(at) => Duration::from_nanos(at.saturating_sub(now)).min(REST),
            Due::Unknown | Due::Ended => REST,
        };
        std::thread::sleep(rest);
    }
}
