//! How long the core has worked from which packets come.

use std::path::{Path, PathBuf};

/// The generator is a thread of this process, and runs what the kernel does for a packet in its own time (softirq). What is put off is done
/// by a thread of the kernel.
pub struct KernelSide {
    softirqs: PathBuf,
}

impl KernelSide {
    /// Of a core that this thread alone has.
    pub fn of(core: usize) -> Result<KernelSide, String> {
        let name = format!("ksoftirqd/{core}\n");
        let all = std::fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
        let mut all = all.flatten().map(|entry| entry.path());
        let is_it = |path: &PathBuf| std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm == name);
        let found = all.find(is_it).ok_or_else(|| format!("{} is not to be seen in /proc", name.trim()))?;
        Ok(KernelSide { softirqs: found.join("schedstat") })
    }

    /// Nanoseconds that it has worked.
    pub fn worked(&self) -> Result<u64, String> {
        Ok(schedstat(Path::new("/proc/thread-self/schedstat"))?.0 + schedstat(&self.softirqs)?.0)
    }
}

/// How long a thread has run, and has waited for its core, in nanoseconds (`Documentation/scheduler/sched-stats.rst`).
pub fn schedstat(file: &Path) -> Result<(u64, u64), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut fields = text.split_whitespace().map_while(|field| field.parse().ok());
    fields.next().zip(fields.next()).ok_or_else(|| format!("schedstat: {text}"))
}
