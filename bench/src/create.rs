//! How fast an address translator opens sessions, and what memory they take.

use std::time::Instant;

use swath_api::VECTOR;

use crate::cases::{Case, Traffic};
use crate::measure::{self, Settings};
use crate::rig::Rig;
use crate::verify;

/// Its name on the command line.
pub const NAME: &str = "nat-create";
/// One sentence.
pub const ABOUT: &str = "NAT44, each packet opens a session, up to 1,048,576";

/// Sessions that are opened, which are as many as the table has room for.
const SESSIONS: u32 = 1 << 20;

/// Opens them all twice: a first round touches the memory, the second is measured. Then each packet is looked at as in other cases.
pub fn report(settings: &Settings) -> Result<(), String> {
    measure::claim_core(settings.core)?;
    let case = Case { name: NAME, about: ABOUT, traffic: Traffic::Created(SESSIONS), routes: &[], rules: 0 };
    let mut rig = Rig::new(&case);
    let before = resident()?;
    rig.run(case.vectors());
    let memory = resident()?.saturating_sub(before);
    let ended = rig.command("nat", r#"{"end-sessions": {"which": {}}}"#)?;
    if ended["ended"]["sessions"] != SESSIONS {
        return Err(format!("there should have been {SESSIONS} sessions: {ended}"));
    }
    let snat = |rig: &Rig| rig.node_cycles().into_iter().find(|(node, _)| node == "snat").map_or(0, |(_, cycles)| cycles);
    let (nodes, start) = (snat(&rig), Instant::now());
    let mut samples: Vec<f64> = (0..case.vectors()).map(|_| rig.sample() as f64 / VECTOR as f64).collect();
    let (seconds, snat) = (start.elapsed().as_secs_f64(), (snat(&rig) - nodes) as f64 / f64::from(SESSIONS));
    verify::check(&case, &rig.observe(case.vectors()))?;
    let wrong = rig.discrepancies();
    if !wrong.is_empty() {
        return Err(wrong.join("; "));
    }
    let mean = samples.iter().sum::<f64>() / samples.len() as f64;
    samples.sort_by(f64::total_cmp);
    let (median, best) = (samples[samples.len() / 2], samples[0]);
    let (rate, bytes) = (f64::from(SESSIONS) / seconds / 1e6, memory as f64 / f64::from(SESSIONS));
    println!("| {NAME} | {ABOUT} | **{median:.0}** | {mean:.0} | {best:.0} | {snat:.0} | {rate:.2} M | {bytes:.0} |");
    Ok(())
}

/// Bytes of this process that are in memory.
fn resident() -> Result<u64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("the kernel does not say what is in memory")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().map_err(|_| line.to_string())?;
    Ok(kilobytes * 1024)
}
