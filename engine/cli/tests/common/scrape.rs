//! An engine as those see it who scrape it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use swath::{Graph, Time, packet_memory, registry};
use swath_core::run::Engine;
use swath_ctl::{Format, Live, Settings};

/// Longer than anything takes.
const LIMIT: Duration = Duration::from_secs(20);

/// An engine of a graph, by virtual time.
pub fn engine(text: &str) -> Engine {
    engine_of(text, Time::Virtual)
}

/// An engine of a graph.
pub fn engine_of(text: &str, time: Time) -> Engine {
    let mut graph = Graph::from_text("graph.yaml", text);
    let plan = graph.plan(&registry()).unwrap_or_else(|failure| panic!("{failure}"));
    let (pool, _) = packet_memory(&plan.engine).unwrap();
    graph.build(plan, &pool, time).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Samples by name and labels.
pub fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_string(), value.parse().unwrap())
        })
        .collect()
}

/// What there is to scrape.
pub fn metrics_of(engine: &Engine, settings: Settings, format: Format) -> String {
    let live = Live::new(settings);
    live.attach(engine.observer());
    live.metrics(format)
}

/// Answers to GET: code, content type, body.
pub fn get(address: SocketAddr, path: &str, accept: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: swath\r\nAccept: {accept}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), kind.into(), body.into())
}
