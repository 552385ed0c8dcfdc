//! What it costs to be watched: packets for each second of CPU that workers have had, with and without somebody who scrapes ten times a
//! second; and what a scrape costs who answers it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use swath_core::run::Engine;
use swath_ctl::{Format, Live, Server, Settings};

use crate::rig::build;
use crate::workers::{seconds_of, worker_seconds};

const SLICE: Duration = Duration::from_millis(1500);
const ROUNDS: usize = 9;
const EVERY: Duration = Duration::from_millis(100);
/// Routers beside each other, six nodes each.
const CHAINS: usize = 16;

/// A hundred nodes. Each interface offers as much as is taken.
fn graph(workers: usize) -> String {
    let mut text = format!("version: 1\nengine: {{ workers: {workers} }}\ninterfaces:\n");
    for chain in 0..CHAINS {
        text += &format!(
            "  i{chain}:
    driver: memory
    mac: '02:00:00:00:01:{chain:02x}'
    addresses: [10.{chain}.0.1/24]
    generate: {{ flows: {{ sources: [10.{chain}.0.0/24], destinations: [192.0.2.0/24], count: 64 }} }}\n"
        );
    }
    text += "tables:
  neighbours: { kind: neighbours, static: [{ address: 10.0.0.9, mac: '02:00:00:00:00:fe' }] }
  routes: { kind: fib4, routes: [{ prefix: 192.0.2.0/24, via: 10.0.0.9 }] }
nodes:
  tx: { kind: tx }\n";
    for chain in 0..CHAINS {
        text += &format!(
            "  rx-{chain}: {{ kind: rx, interface: i{chain}, to: eth-{chain} }}
  eth-{chain}: {{ kind: ethernet-input, to: {{ ip4: ip4-{chain} }} }}
  ip4-{chain}: {{ kind: ip4-input, to: lookup-{chain} }}
  lookup-{chain}: {{ kind: ip4-lookup, to: rewrite-{chain} }}
  rewrite-{chain}: {{ kind: ip4-rewrite, to: count-{chain} }}
  count-{chain}: {{ kind: counter, to: tx }}\n"
        );
    }
    text + "  spare-0: { kind: drop }\n  spare-1: { kind: drop }\n  spare-2: { kind: drop }\n"
}

/// Gets `/metrics`. Returns the size of the answer.
///
/// # Errors
/// There is none.
pub fn scrape(address: SocketAddr) -> std::io::Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: swath\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)
}

/// Packets for each second of CPU over a slice, in which somebody scrapes or nobody does; and how many scrapes there were.
fn slice(engine: &Engine, scraped: Option<SocketAddr>) -> Result<(f64, u32), String> {
    let received = || engine.ledger().received as f64;
    let (packets, seconds, start, mut scrapes) = (received(), worker_seconds(), Instant::now(), 0);
    while start.elapsed() < SLICE {
        let next = Instant::now() + EVERY;
        if let Some(address) = scraped {
            scrape(address).map_err(|error| format!("no answer: {error}"))?;
            scrapes += 1;
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(((received() - packets) / (worker_seconds() - seconds), scrapes))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Measures and prints.
///
/// # Errors
/// There is no server, or it does not answer.
pub fn report() -> Result<(), String> {
    println!("| workers | series | size | Mpps per core | scraped | ratio | CPU for a scrape | of a core |");
    println!("|---|---|---|---|---|---|---|---|");
    for (workers, by_worker) in [(1, false), (8, false), (8, true)] {
        let mut engine = build("scrape", graph(workers), swath_io::DRIVERS, false);
        let live = Live::new(Settings { by_worker });
        let server = Server::start(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::clone(&live)).map_err(|error| error.to_string())?;
        engine.start().map_err(|error| error.to_string())?;
        live.attach(engine.observer());
        let size = scrape(server.address()).map_err(|error| error.to_string())?;
        let series = live.metrics(Format::Text).lines().filter(|line| !line.starts_with('#')).count();
        let (mut without, mut with, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let (before, mut scrapes) = (seconds_of("control"), 0);
        for _ in 0..ROUNDS {
            let ((alone, _), (watched, count)) = (slice(&engine, None)?, slice(&engine, Some(server.address()))?);
            without.push(alone / 1e6);
            with.push(watched / 1e6);
            ratios.push(watched / alone);
            scrapes += count;
        }
        let cost = (seconds_of("control") - before) / f64::from(scrapes);
        println!(
            "| {workers}{} | {series} | {} kB | {:.2} | {:.2} | **{:.3}** | {:.2} ms | {:.1} % |",
            if by_worker { ", each told" } else { "" },
            size / 1000,
            median(&mut without),
            median(&mut with),
            median(&mut ratios),
            cost * 1e3,
            cost / EVERY.as_secs_f64() * 100.0,
        );
        engine.stop();
    }
    Ok(())
}
