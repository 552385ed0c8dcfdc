//! What somebody should look at, the worst first.

use swath_ctl::api::{Interface, Process, Table};

use super::text::{Since, drop_rate, name_of, receive_lost, state, transmit_lost};
use super::{Overview, Readings};
use crate::figures::{grouped, rate};

/// A worker that has been busy for this share of the time has no time left for a burst.
const BUSY: f64 = 0.9;
/// The share of a table's capacity that is nearly all.
const FULL: f64 = 0.9;
/// The share of buffers that is nearly none.
const FEW: f64 = 0.05;
/// Drop reasons that are named.
const REASONS: usize = 5;

/// Lines for people.
pub fn attention(process: &Process, readings: &Readings<Overview>, tables: &[Table]) -> Vec<String> {
    let mut found: Vec<String> = process.not_ready.iter().map(|why| format!("not ready: {why}")).collect();
    found.extend(readings.now.interfaces.iter().filter(|interface| state(interface) != "up").map(down));
    found.extend(losses(readings));
    found.extend(drops(readings));
    found.extend(workers(readings));
    found.extend(buffers(readings));
    found.extend(tables.iter().filter_map(full));
    found
}

fn down(interface: &Interface) -> String {
    match state(interface) {
        "switched off" => format!("{0} is switched off: `swath interface up {0}` switches it on", interface.name),
        state => format!("{}: {state}", interface.name),
    }
}

fn losses(readings: &Readings<Overview>) -> Vec<String> {
    let mut found = Vec::new();
    for interface in &readings.now.interfaces {
        let before = readings.before.interfaces.iter().find(|before| before.name == interface.name);
        for (word, of) in [("receives", receive_lost as fn(&Interface) -> u64), ("sends", transmit_lost)] {
            let lost = of(interface).saturating_sub(before.map_or(0, of));
            if lost > 0 {
                let per_second = rate(lost as f64 / readings.seconds);
                found.push(format!("{0} loses {per_second}/s of what it {word}: `swath show interfaces {0}`", interface.name));
            }
        }
    }
    found
}

fn drops(readings: &Readings<Overview>) -> Vec<String> {
    let drops =
        super::Readings { before: readings.before.drops.clone(), now: readings.now.drops.clone(), seconds: readings.seconds };
    let mut found: Vec<(f64, String)> = Vec::new();
    for reason in &drops.now {
        let per_second = drop_rate(&drops, reason);
        let meaning = reason.meaning.split_once(". ").map_or(&*reason.meaning, |(first, _)| first);
        found.push((per_second, format!("{} {}/s: {meaning}", name_of(reason), rate(per_second))));
    }
    found.retain(|(per_second, _)| *per_second > 0.0);
    found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let more = found.len().saturating_sub(REASONS);
    let mut lines: Vec<String> = found.into_iter().take(REASONS).map(|(_, line)| line).collect();
    if more > 0 {
        lines.push(format!("{more} more reasons for drops: `swath drops`"));
    }
    lines
}

fn workers(readings: &Readings<Overview>) -> Vec<String> {
    let (Some(now), before) = (&readings.now.runtime, &readings.before.runtime) else { return Vec::new() };
    let before = before.as_ref().map(|before| &before.workers[..]).unwrap_or_default();
    let share = |since: &Since<'_>| {
        since.seconds(|worker| worker.busy)
            / since.seconds(|worker| worker.busy + worker.polling + worker.asleep).max(f64::MIN_POSITIVE)
    };
    let since = now.workers.iter().map(|now| Since { before: before.iter().find(|before| before.worker == now.worker), now });
    let busy = since.filter(|since| share(since) >= BUSY);
    busy.map(|since| {
        format!(
            "worker {} is busy {:.0} % of the time: `engine.workers` says how many share the work",
            since.now.worker,
            100.0 * share(&since)
        )
    })
    .collect()
}

fn buffers(readings: &Readings<Overview>) -> Option<String> {
    let buffers = readings.now.runtime.as_ref()?.buffers;
    let free = buffers.free + buffers.cached;
    let few = (free as f64) < FEW * buffers.capacity as f64;
    few.then(|| {
        format!("{} of {} buffers are free: `engine.buffers` says how many there are", grouped(free), grouped(buffers.capacity))
    })
}

/// A table that tells its capacity, and has nearly reached it.
fn full(table: &Table) -> Option<String> {
    let capacity = table.figures.iter().find(|figure| figure.name.ends_with("_capacity"))?;
    let name = capacity.name.trim_end_matches("_capacity");
    let used: u64 = table.figures.iter().filter(|figure| figure.name == name).map(|figure| figure.value).sum();
    let is_full = capacity.value > 0 && used as f64 >= FULL * capacity.value as f64;
    is_full.then(|| format!("table `{}` is nearly full: {} of {}", table.name, grouped(used), grouped(capacity.value)))
}
