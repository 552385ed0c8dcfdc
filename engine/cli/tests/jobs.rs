//! The control thread: jobs one after the other, whatever becomes of one.

mod common;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use common::scrape::engine_of;
use swath::Time;
use swath_core::spec::GraphFiles;
use swath_ctl::{Control, Gone, Jobs, Running, control};

const GRAPH: &str = "version: 1
interfaces:
  lan: { driver: memory, addresses: [192.168.1.1/24] }
  wan: { driver: memory, addresses: [203.0.113.2/30] }
tables:
  neighbours: { kind: neighbours }
  nat: { kind: nat44, inside: [lan], outside: [wan] }
nodes:
  in:   { kind: rx, interface: lan, to: eth }
  eth:  { kind: ethernet-input, to: { ip4: ip4 } }
  ip4:  { kind: ip4-input, to: snat }
  snat: { kind: nat44-in2out, to: sink }
  sink: { kind: drop }
";

fn running() -> Running {
    Running::new(engine_of(GRAPH, Time::Real), GraphFiles::default(), swath::registry(), None)
}

/// Waits for an answer, as who has no executor.
fn wait<T>(answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    loop {
        if let Poll::Ready(value) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Does jobs while another thread asks; returns what that returns, and how often there was something else to do.
fn serve<T: Send>(running: &mut Running, jobs: &Jobs, asks: impl FnOnce() -> T + Send) -> (T, usize) {
    let mut meanwhile = 0;
    let answer = std::thread::scope(|scope| {
        let asker = scope.spawn(asks);
        while !asker.is_finished() {
            jobs.work(running, &mut || meanwhile += 1, Instant::now() + Duration::from_millis(5));
        }
        asker.join().unwrap()
    });
    (answer, meanwhile)
}

#[test]
fn jobs_are_done_one_after_the_other() {
    let (control, jobs) = control();
    let mut running = running();
    let inside = Arc::new(AtomicUsize::new(0));
    let count = |control: Control| {
        for _ in 0..100 {
            let inside = Arc::clone(&inside);
            let before = wait(control.ask(move |desk| {
                let others = inside.fetch_add(1, Ordering::SeqCst);
                desk.running.graph.push('.');
                inside.fetch_sub(1, Ordering::SeqCst);
                others
            }));
            assert_eq!(before, Ok(0), "nobody else is at it");
        }
    };
    let ask = || {
        std::thread::scope(|scope| (0..4).for_each(|_| _ = scope.spawn(|| count(control.clone()))));
    };
    serve(&mut running, &jobs, ask);
    assert_eq!(running.graph.len(), 400);
}

#[test]
fn a_job_that_panics_takes_nothing_with_it() {
    let (control, jobs) = control();
    let mut running = running();
    let asked = || {
        let panicked = wait(control.ask(|_| -> u64 { panic!("a defect, which is part of the test") }));
        (panicked, wait(control.ask(|desk| desk.running.revision())))
    };
    assert_eq!(serve(&mut running, &jobs, asked).0, (Err(Gone::Panicked), Ok(1)));
    // Who asks when there is nobody any more, or is not answered, is told so.
    let unanswered = control.ask(|desk| desk.running.revision());
    let unanswered = std::thread::scope(|scope| {
        let asker = scope.spawn(|| wait(unanswered));
        std::thread::sleep(Duration::from_millis(20));
        drop(jobs);
        asker.join().unwrap()
    });
    assert_eq!(unanswered, Err(Gone::Ended));
    assert_eq!(wait(control.ask(|desk| desk.running.revision())), Err(Gone::Ended));
}

#[test]
fn there_is_time_for_other_things_while_workers_answer() {
    let (control, jobs) = control();
    let mut running = running();
    running.engine.start().unwrap();
    let question = r#"{"sessions": {"limit": 1000}}"#;
    let asked = || {
        let ask =
            control.ask(move |desk| desk.running.engine.ask_while("nat", question, desk.meanwhile).map(|answer| answer.reply));
        wait(ask)
    };
    let (answer, meanwhile) = serve(&mut running, &jobs, asked);
    assert_eq!(answer, Ok(Ok(r#"{"sessions":{"found":0,"sessions":[]}}"#.into())));
    assert!(meanwhile > 0);
    running.engine.stop();
}
