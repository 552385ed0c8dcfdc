//! Any bytes as packets through the shipped router: it goes on, and both ledgers add up.
#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use swath::{Graph, Time, packet_memory, registry};
use swath_io::capture::Writer;

const GRAPH: &str = include_str!("../../graphs/ip4-router.yaml");
const ORIGIN: &str = include_str!("../../graphs/templates/ip4-origin.yaml");

fuzz_target!(|bytes: &[u8]| {
    let directory = std::env::temp_dir().join(format!("swath-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory for captures");
    let path = directory.join("in.pcap");
    let mut writer = Writer::new(Vec::new()).expect("a capture in memory");
    // Each packet: its length in the first byte, then as many bytes; the router's own address in front of every other one.
    let (mut rest, mut count) = (bytes, 0u64);
    while let [len, tail @ ..] = rest {
        let (packet, tail) = tail.split_at(usize::from(*len).min(tail.len()));
        let ours = [&[2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 0x10, 8, 0][..], packet].concat();
        writer.write(count, if len % 2 == 0 { packet } else { &ours }).expect("memory is never full");
        (rest, count) = (tail, count + 1);
    }
    let capture = writer.finish().expect("memory is never full");
    std::fs::File::create(&path).and_then(|mut file| file.write_all(&capture)).expect("a file for the capture");
    let lan = "lan: { driver: memory, ";
    // Few buffers: they are made anew for each run.
    let graph = GRAPH.replace("version: 1", "version: 1\nengine: { buffers: 1024, hugepages: never }");
    let templates = ORIGIN.split_once("version: 1").expect("a version").1;
    let graph = graph.replace("include: templates/ip4-origin.yaml", templates);
    let graph = graph.replace(lan, &format!("lan: {{ driver: pcap, read: '{}', ", path.display()));
    let mut graph = Graph::from_text("router.yaml", &graph);
    let plan = graph.plan(&registry()).expect("the shipped graph");
    let (pool, _) = packet_memory(&plan.engine).expect("memory for packets");
    let mut engine = graph.build(plan, &pool, Time::Virtual).expect("the shipped graph");
    engine.step_until(u64::MAX);
    let ledger = engine.ledger();
    assert_eq!(ledger.discrepancies(), Vec::<String>::new());
    assert_eq!(ledger.received, count);
});
