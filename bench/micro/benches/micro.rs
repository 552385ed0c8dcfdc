//! Microbenchmarks of what packets meet in tables, by criterion: 256 at a time, as nodes ask. `make bench CASE=micro`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use swath_api::VECTOR;
use swath_api::filter::Filter;
use swath_api::flow;
use swath_api::wire::IpProtocol;
use swath_api::wire::checksum::checksum;
use swath_micro::cases::{Case, Traffic, mixed, prefixes};
use swath_nodes::acl::{Classifier, Criteria, Key, Scratch};
use swath_nodes::fib4::{Fib4, Prefix4};
use swath_nodes::sessions::{Event, FlowKey, Found, Key4, Opening, Pairing, Probe, Seed, Sessions, Settings};

#[path = "../../../nodes/tests/common/classbench.rs"]
mod classbench;

use classbench::{Dice, Shape};

/// Vectors that are asked about, one after the other and round again.
const VECTORS: usize = 64;

/// The longest match of addresses among random routes /24 to /32.
fn routes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fib4/lookup_batch");
    group.throughput(Throughput::Elements(VECTOR as u64));
    for count in [1, 100_000] {
        let table = Fib4::new(256 << 20).expect("memory");
        let prefixes: Vec<Prefix4> = prefixes(count).map(|prefix| prefix.parse().expect("a prefix")).collect();
        let with_leaves = prefixes.iter().zip(1..).map(|(prefix, leaf)| (*prefix, leaf));
        table.replace_all(with_leaves).expect("there is room");
        let address = |number: usize| prefixes[mixed(number as u64) as usize % prefixes.len()].addr();
        let addresses: Vec<u32> = (0..VECTORS * VECTOR).map(address).collect();
        let (mut leaves, mut next) = ([0; VECTOR], 0);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                next = (next + VECTOR) % addresses.len();
                table.lookup_batch(black_box(&addresses[next..next + VECTOR]), &mut leaves);
                leaves[0]
            });
        });
        assert!(leaves.iter().all(|leaf| *leaf != 0), "all have a route");
    }
}

/// The checksum of a header, and of a whole packet.
fn checksums(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("checksum");
    for size in [20, 1480] {
        let bytes: Vec<u8> = (0..size).map(|at| mixed(at) as u8).collect();
        group.throughput(Throughput::Bytes(size));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| bencher.iter(|| checksum(black_box(&bytes))));
    }
}

/// The hash by which packets of a flow come to one worker.
fn hashes(criterion: &mut Criterion) {
    let case = Case::all().into_iter().find(|case| case.traffic == Traffic::OneFlow).expect("the case is there");
    let frame = case.packet(0);
    criterion.bench_function("flow/ip_hash", |bencher| bencher.iter(|| flow::ip_hash(black_box(&frame[14..]), 7)));
}

/// The rule that packets meet, of rules in the shapes of ClassBench.
fn classifier(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("acl/classify");
    group.throughput(Throughput::Elements(VECTOR as u64));
    for (shape, count) in [(Shape::Acl, 10), (Shape::Acl, 1000), (Shape::Fw, 1000), (Shape::Ipc, 1000)] {
        let mut dice = Dice(0x0dd_ba11);
        let rules: Vec<Criteria<u32>> = classbench::rules(shape, count, &mut dice);
        let keys: Vec<Key<u32>> = (0..VECTORS * VECTOR).map(|_| classbench::packet(&rules, &mut dice)).collect();
        let classifier = Classifier::new(rules, &[], 4, false);
        let (mut scratch, mut found, mut next) = (Scratch::default(), [0; VECTOR], 0);
        group.bench_function(BenchmarkId::new(format!("{shape:?}"), count), |bencher| {
            bencher.iter(|| {
                next = (next + VECTOR) % keys.len();
                classifier.classify(black_box(&keys[next..next + VECTOR]), &mut found, &mut scratch);
                found[0]
            });
        });
    }
}

/// The sessions of packets.
fn sessions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sessions/look_up");
    group.throughput(Throughput::Elements(VECTOR as u64));
    let key = |number: u64| Key4::new(0x0a00_0000_c000_0201 + (number << 32), 0x0fa0_0035, IpProtocol::UDP, 0);
    let probe = |number: u64| Probe { key: key(number), event: Event::Datagram, first_fragment: false };
    for count in [1, 10_000] {
        let mut store = Sessions::new(Settings::new(count, Pairing::Symmetric), Seed::random()).expect("memory");
        for number in 0..u64::from(count) {
            let opening = Opening { probe: &probe(number), reverse: key(number).reversed(), data: 0 };
            store.open(opening, 0, &mut |_, _| ()).expect("there is room");
        }
        let probes: Vec<_> = (0..(VECTORS * VECTOR) as u64).map(|number| probe(mixed(number) % u64::from(count))).collect();
        let (mut found, mut next) = ([Found::NONE; VECTOR], 0);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                next = (next + VECTOR) % probes.len();
                store.look_up(black_box(&probes[next..next + VECTOR]), &mut found);
            });
        });
    }
}

/// What `classify` and taps ask.
fn filters(criterion: &mut Criterion) {
    let case = Case::all().into_iter().find(|case| case.traffic == Traffic::OneFlow).expect("the case is there");
    let frame = case.packet(0);
    let filter = Filter::new("udp and dst port 53 and src net 198.51.100.0/24", true).expect("a filter");
    let filter = filter.of("ethernet");
    assert!(filter.matches(&frame), "it holds");
    criterion.bench_function("filter/matches", |bencher| bencher.iter(|| filter.matches(black_box(&frame))));
}

criterion_group!(micro, routes, checksums, hashes, classifier, sessions, filters);
criterion_main!(micro);
