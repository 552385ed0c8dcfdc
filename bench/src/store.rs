//! The store of sessions alone: what it costs to find the sessions of 256 packets and to move them on, and to open a session.

use swath_api::kernel::tsc;
use swath_api::{VECTOR, wire::IpProtocol};
use swath_nodes::sessions::{
    Event, FlowKey, Found, Key4, Key6, Opening, Pairing, Probe, Seed, Sessions, Settings as Store, Tracked,
};

use crate::measure::{self, Settings};

/// A measurement of the store.
#[derive(Debug, Clone, Copy)]
pub struct StoreCase {
    /// Its name on the command line.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    sessions: u32,
    pairing: Pairing,
    wide: bool,
    opens: bool,
}

/// All of them.
pub fn all() -> Vec<StoreCase> {
    let case = |name, about, sessions, pairing, wide, opens| StoreCase { name, about, sessions, pairing, wide, opens };
    let (symmetric, translated) = (Pairing::Symmetric, Pairing::Translated);
    vec![
        case("sessions-lookup-1", "look up and track, IPv4, 1 session", 1, symmetric, false, false),
        case("sessions-lookup-10k", "look up and track, IPv4, 10,000 sessions in random order", 10_000, symmetric, false, false),
        case("sessions-lookup-1m", "the same, 1,000,000 sessions", 1_000_000, symmetric, false, false),
        case("sessions-translated-10k", "two keys per session, 10,000 sessions", 10_000, translated, false, false),
        case("sessions-translated-1m", "the same, 1,000,000 sessions", 1_000_000, translated, false, false),
        case("sessions-lookup6-10k", "look up and track, IPv6, 10,000 sessions", 10_000, symmetric, true, false),
        case("sessions-lookup6-1m", "the same, 1,000,000 sessions", 1_000_000, symmetric, true, false),
        case("sessions-open-10k", "open a session, IPv4, up to 10,000", 10_000, symmetric, false, true),
        case("sessions-open-1m", "the same, up to 1,000,000", 1_000_000, symmetric, false, true),
        case("sessions-open-translated-1m", "two keys per session, up to 1,000,000", 1_000_000, translated, false, true),
    ]
}

/// Measures one and prints its row.
pub fn report(case: &StoreCase, settings: &Settings) -> Result<(), String> {
    let wide = |number: u64| Key6::new(0x2001_0db8 << 96 | u128::from(number), 7, number as u32, IpProtocol::UDP, 0);
    let narrow = |number: u64| Key4::new(0x0a00_0000_c000_0201 + (number << 32), 0x0fa0_0035, IpProtocol::UDP, 0);
    if case.wide { run(case, settings, wide) } else { run(case, settings, narrow) }
}

fn run<K: FlowKey>(case: &StoreCase, settings: &Settings, key: impl Fn(u64) -> K) -> Result<(), String> {
    measure::claim_core(settings.core)?;
    let probe = |number: u64| Probe { key: key(number), event: Event::Datagram, first_fragment: false };
    let mut store = Sessions::new(Store::new(case.sessions, case.pairing), Seed::random()).map_err(|error| error.to_string())?;
    // The other direction of a translated session has keys that no forward one has.
    let reverse = |number: u64| match case.pairing {
        Pairing::Symmetric => key(number).reversed(),
        Pairing::Translated => key(number + (1 << 24)).reversed(),
    };
    // A first round touches the memory; the second is measured.
    let mut opened = Vec::new();
    for round in 0..2_u64 {
        let now = round << 50;
        store.expire(now, usize::MAX, &mut |_, _| ());
        opened.clear();
        for first in (0..u64::from(case.sessions)).step_by(VECTOR) {
            let numbers = first..u64::from(case.sessions).min(first + VECTOR as u64);
            let (start, count) = (tsc(), numbers.end - numbers.start);
            for number in numbers {
                let opening = Opening { probe: &probe(number), reverse: reverse(number), data: 0 };
                store.open(opening, now, &mut |_, _| ()).map_err(|refused| refused.to_string())?;
            }
            opened.push((tsc() - start) as f64 / count as f64);
        }
    }
    if case.opens {
        return print(case, store.memory() as f64 / f64::from(case.sessions), opened);
    }
    // Both directions, each session as often as any other.
    let mut random = 1_u64;
    let mut pick = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = (random >> 33) % u64::from(case.sessions);
        let key = if random >> 62 & 1 == 0 { key(number) } else { reverse(number) };
        Probe { key, event: Event::Datagram, first_fragment: false }
    };
    let vectors: Vec<Vec<Probe<K>>> = (0..4096).map(|_| (0..VECTOR).map(|_| pick()).collect()).collect();
    let mut samples = Vec::with_capacity(settings.samples);
    let mut found = [Found::NONE; VECTOR];
    for number in 0..settings.samples {
        // Written just before, as the keys that a node gathers are.
        let probes = vectors[number % vectors.len()].clone();
        let now = (1 << 50) + number as u64 * 1000;
        let start = tsc();
        store.look_up(&probes, &mut found);
        let passed = probes.iter().zip(&found).filter(|(probe, found)| store.track(**found, probe.event, now) == Tracked::Pass);
        let passed = passed.count();
        samples.push((tsc() - start) as f64 / VECTOR as f64);
        if passed != VECTOR {
            return Err(format!("{passed} of {VECTOR} packets have found their session"));
        }
    }
    print(case, store.memory() as f64 / f64::from(case.sessions), samples)
}

fn print(case: &StoreCase, bytes: f64, mut samples: Vec<f64>) -> Result<(), String> {
    samples.sort_by(f64::total_cmp);
    let median = samples.get(samples.len() / 2).ok_or("no sample")?;
    println!("| {} | {} | **{median:.1}** | {:.1} | {bytes:.0} |", case.name, case.about, samples[0]);
    Ok(())
}
