//! What workers tell of themselves by metrics, and how they answer when there is more to do than they can.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::scrape::{engine, engine_of, get, metrics_of, samples};
use swath::Time;
use swath_ctl::{Format, Live, Server, Settings};

const LIMIT: Duration = Duration::from_secs(20);

/// 500 packets of 100 flows, spread over two workers.
const SPREAD: &str = "version: 1
engine: { workers: 2 }
interfaces:
  in:
    driver: memory
    generate: { flows: { sources: [10.0.0.0/24], destinations: [10.1.0.0/24], count: 100 }, limit: 500 }
  out: { driver: memory }
nodes:
  rx:     { kind: rx, interface: in, to: spread }
  spread: { kind: handoff, to: count }
  count:  { kind: counter, to: tx }
  tx:     { kind: tx, interface: out }
";

#[test]
fn each_figure_of_a_worker_has_a_series_of_its_own() {
    let engine = engine(SPREAD);
    let worker = &engine.counters()[1];
    let time = &worker.time;
    let counters =
        [&time.sweeps, &time.empty_sweeps, &time.busy, &time.idle, &time.asleep, &time.sleeps, &time.woken, &time.slices];
    for (counter, value) in counters.into_iter().zip([11, 22, 3_250_000_000, 4_500_000_000, 5_750_000_000, 66, 77, 88]) {
        counter.add(value);
    }
    time.longest_slice.raise(9_500);
    worker.handed[0].add(99);
    let found = samples(&metrics_of(&engine, Settings::default(), Format::Text));
    for (series, value) in [
        ("sweeps_total", 11.0),
        ("idle_sweeps_total", 22.0),
        ("busy_seconds_total", 3.25),
        ("idle_seconds_total", 4.5),
        ("asleep_seconds_total", 5.75),
        ("sleeps_total", 66.0),
        ("wakes_total", 77.0),
        ("slices_total", 88.0),
        ("longest_slice_seconds", 0.000_009_5),
        ("handoff_packets_total", 99.0),
    ] {
        let of = |worker: u8| found.get(&format!("swath_worker_{series}{{worker=\"{worker}\"}}")).copied();
        assert_eq!((of(0), of(1)), (Some(0.0), Some(value)), "{series}");
    }
}

#[test]
fn packets_between_workers_are_seen_there() {
    let mut engine = engine(SPREAD);
    let scrape = |engine: &swath_core::run::Engine| samples(&metrics_of(engine, Settings { by_worker: true }, Format::Text));
    let handed = |worker: usize| format!("swath_worker_handoff_packets_total{{worker=\"{worker}\"}}");
    let came = |node: &str, kind: &str, worker: usize| {
        format!("swath_node_packets_total{{node=\"{node}\",kind=\"{kind}\",worker=\"{worker}\"}}")
    };
    let (rx, count) = (|worker| came("rx", "rx", worker), |worker| came("count", "counter", worker));
    // Worker 0 has received and handed over; worker 1 has not looked yet.
    while engine.graphs_mut()[0].sweep(0) {}
    let before = scrape(&engine);
    let between = before[&rx(0)] - before[&count(0)];
    // By a hash of many flows: that none or all are its own is as likely as that so many coins fall alike.
    assert!(between > 0.0 && before[&count(0)] > 0.0, "{before:#?}");
    assert_eq!((before[&rx(1)], before[&handed(0)], before[&handed(1)]), (0.0, between, 0.0));
    assert_eq!(before["swath_buffers{state=\"handoff\"}"], between);
    engine.step_until(u64::MAX);
    let after = scrape(&engine);
    assert_eq!(after[&rx(0)] + after[&rx(1)], 500.0);
    assert_eq!(after[&handed(0)], between);
    // What one has counted is what it has received, less what it has handed over, and what the other has.
    for (worker, other) in [(0, 1), (1, 0)] {
        assert_eq!(after[&count(worker)], after[&rx(worker)] - after[&handed(worker)] + after[&handed(other)]);
    }
    assert_eq!(after["swath_buffers{state=\"handoff\"}"], 0.0);
    for found in [before, after] {
        let buffers = found.iter().filter(|(series, _)| series.starts_with("swath_buffers{"));
        assert_eq!(buffers.map(|(_, count)| count).sum::<f64>(), found["swath_buffers_capacity"]);
    }
}

/// A worker without packets sleeps for 10 ms at a time, and sweeps between two sleeps.
#[test]
fn a_worker_that_sleeps_does_not_stand_still() {
    let text = "version: 1
interfaces: { lan: { driver: memory } }
nodes: { rx: { kind: rx, interface: lan, to: drop }, drop: { kind: drop } }
";
    let mut engine = engine_of(text, Time::Real);
    let live = Live::new(Settings::default());
    let started = Instant::now();
    engine.start().unwrap();
    live.attach(engine.observer());
    let count = |series: &str| samples(&live.metrics(Format::Text))[&format!("swath_worker_{series}_total{{worker=\"0\"}}")];
    // Longer than a worker may stand still.
    while count("sleeps") < 300.0 {
        let now = Instant::now();
        live.look(now);
        assert!(now - started < LIMIT, "{} sleeps", count("sleeps"));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(live.ready(), Ok(()));
    let (sleeps, sweeps) = (count("sleeps"), count("sweeps"));
    assert!(sweeps > sleeps, "{sweeps} sweeps, {sleeps} sleeps");
    engine.stop();
    let elapsed = started.elapsed();
    // What the engine itself says, by another way.
    let [worker] = &engine.workers()[..] else { panic!() };
    let times = [("busy", worker.busy), ("idle", worker.idle), ("asleep", worker.asleep)];
    for (name, time) in times {
        assert_eq!(count(&format!("{name}_seconds")), time.as_nanos() as f64 / 1e9, "{name}");
    }
    assert_eq!(count("sleeps"), worker.sleeps as f64);
    // It looks around a thousand times before its first sleep, and once after each: what is left of a core is for others.
    assert!(count("sweeps") <= count("sleeps") + 1002.0, "{} sweeps, {} sleeps", count("sweeps"), count("sleeps"));
    assert!(worker.busy.is_zero() && worker.asleep > worker.idle, "{worker:?}");
    assert!(worker.idle + worker.asleep <= elapsed, "{worker:?}");
}

/// Generators without a rate offer as much as can be taken: each of more workers than there are cores is always busy.
#[test]
fn an_engine_that_is_offered_too_much_is_still_seen() {
    let mut text = "version: 1\nengine: { workers: 4, idle: busy }\ninterfaces:\n".to_string();
    for queue in 0..4 {
        text += &format!("  i{queue}: {{ driver: memory, generate: {{ packets: [udp 10.0.0.1:1 > 10.0.0.2:2] }} }}\n");
    }
    text += "nodes:\n  tx: { kind: tx, interface: i0 }\n";
    for queue in 0..4 {
        text += &format!("  rx-{queue}: {{ kind: rx, interface: i{queue}, to: tx }}\n");
    }
    let mut engine = engine_of(&text, Time::Real);
    let live = Live::new(Settings { by_worker: true });
    let server = Server::start("127.0.0.1:0".parse().unwrap(), Arc::clone(&live)).unwrap();
    engine.start().unwrap();
    live.attach(engine.observer());
    let (start, mut before, mut grown) = (Instant::now(), 0.0, 0);
    // One scrape may come right after another.
    while grown < 5 {
        // Within its limit for an answer.
        let (code, _, text) = get(server.address(), "/metrics", "*/*");
        assert_eq!(code, 200);
        let found = samples(&text);
        let received = (0..4).map(|queue| found[&format!("swath_interface_receive_packets_total{{interface=\"i{queue}\"}}")]).sum();
        assert!(received >= before && start.elapsed() < LIMIT, "{received} after {before}");
        grown += u8::from(received > before);
        before = received;
    }
    drop(server);
    engine.stop();
    assert_eq!(engine.ledger().discrepancies(), Vec::<String>::new());
}
