//! Which CPUs workers run on: those that the graph names, of those that this process may use.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::spec::EngineSpec;

/// Where workers run, and what is worth a word about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// For each worker the CPUs that it is bound to; none if the system chooses.
    pub cpus: Vec<Vec<usize>>,
    /// Warnings.
    pub warnings: Vec<String>,
}

/// What a machine lets this process have.
#[derive(Debug, Clone, Default, PartialEq)]
struct Machine {
    /// CPUs that the process may run on: the machine's, of them those of its cpuset and of its own affinity.
    allowed: Vec<usize>,
    /// CPUs' worth of time that its control group gets, if it is limited.
    quota: Option<f64>,
    /// The CPUs of each NUMA node.
    nodes: Vec<Vec<usize>>,
}

/// Places workers on this machine.
///
/// # Errors
/// The graph names a core that there is not, or that this process may not use.
pub fn place(engine: &EngineSpec) -> Result<Placement, String> {
    let machine = Machine {
        allowed: allowed().map_err(|error| format!("cannot tell which cores there are: {error}"))?,
        quota: quota(Path::new("/proc/self/cgroup"), Path::new("/sys/fs/cgroup")),
        nodes: numa_nodes(Path::new("/sys/devices/system/node")),
    };
    machine.place(engine.workers.into(), engine.cores.as_deref())
}

/// Binds the thread that calls it.
pub(super) fn pin(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    cpus.iter().filter(|cpu| **cpu < CpuSet::MAX_CPU).for_each(|cpu| set.set(*cpu));
    sched_setaffinity(None, &set).map_err(|error| io::Error::other(format!("core {} cannot be had: {error}", in_words(cpus))))
}

fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

impl Machine {
    fn place(&self, workers: usize, cores: Option<&[usize]>) -> Result<Placement, String> {
        let mut placement = Placement { cpus: vec![Vec::new(); workers], warnings: Vec::new() };
        if let Some(cores) = cores {
            if let Some(core) = cores.iter().find(|core| !self.allowed.contains(core)) {
                return Err(format!(
                    "`engine.cores` names core {core}, which this process may not use: it has {} (its cpuset, or `taskset`)",
                    in_words(&self.allowed)
                ));
            }
            placement.cpus = cores.iter().map(|core| vec![*core]).collect();
            let used = self.nodes.iter().filter(|node| node.iter().any(|cpu| cores.contains(cpu))).count();
            if used > 1 {
                placement.warnings.push(format!(
                    "the cores of `engine.cores` are of {used} NUMA nodes: workers of one have the packets of the other far away"
                ));
            }
        } else if self.nodes.len() > 1 {
            // Memory is taken from the node where it is first written: all workers on the one that has most room for them.
            let own = self.nodes.iter().map(|node| node.iter().copied().filter(|cpu| self.allowed.contains(cpu)).collect());
            let widest = own.rev().max_by_key(Vec::len).unwrap_or_default();
            if widest.len() >= workers && widest.len() < self.allowed.len() {
                placement.cpus = vec![widest; workers];
            }
        }
        if workers > self.allowed.len() {
            placement.warnings.push(format!(
                "{workers} workers share {}: more workers than cores make it slower",
                match self.allowed.len() {
                    1 => format!("core {}", in_words(&self.allowed)),
                    count => format!("{count} cores ({})", in_words(&self.allowed)),
                }
            ));
        }
        if let Some(quota) = self.quota.filter(|quota| *quota < workers as f64) {
            placement.warnings.push(format!(
                "the control group gets {quota:.2} cores (cpu.max) for {workers} workers: they will be held up for milliseconds at a time, \
                 and packets lost. Raise cpu.max, or set `engine.workers` to {}",
                (quota as usize).max(1)
            ));
        }
        Ok(placement)
    }
}

/// The tightest limit of a control group and those above it (cgroup v2: `cpu.max` is "QUOTA PERIOD" or "max PERIOD").
fn quota(membership: &Path, root: &Path) -> Option<f64> {
    let membership = fs::read_to_string(membership).ok()?;
    let own = membership.lines().find_map(|line| line.strip_prefix("0::"))?;
    let own: PathBuf = root.join(own.trim().trim_start_matches('/'));
    let limit = |group: &Path| {
        let text = fs::read_to_string(group.join("cpu.max")).ok()?;
        let (quota, period) = text.trim().split_once(' ')?;
        let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
        (period > 0.0).then_some(quota / period)
    };
    let groups = own.ancestors().take_while(|group| group.starts_with(root));
    groups.filter_map(limit).min_by(f64::total_cmp)
}

fn numa_nodes(root: &Path) -> Vec<Vec<usize>> {
    let mut nodes: Vec<(usize, Vec<usize>)> = Vec::new();
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(number) = name.to_str().and_then(|name| name.strip_prefix("node")?.parse().ok()) else { continue };
        let cpus = fs::read_to_string(entry.path().join("cpulist")).map(|list| cpu_list(&list)).unwrap_or_default();
        // A node may have memory only.
        if !cpus.is_empty() {
            nodes.push((number, cpus));
        }
    }
    nodes.sort();
    nodes.into_iter().map(|(_, cpus)| cpus).collect()
}

/// `0-3,8` as the kernel writes it.
fn cpu_list(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.trim().parse::<usize>().ok()?..=to.trim().parse::<usize>().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().take(CpuSet::MAX_CPU).collect()
}

/// As [`cpu_list`] reads it.
fn in_words(cpus: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => runs.push((cpu, cpu)),
        }
    }
    let words = runs.iter().map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") });
    words.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(cpus: usize, quota: Option<f64>) -> Machine {
        Machine { allowed: (0..cpus).collect(), quota, nodes: vec![(0..cpus).collect()] }
    }

    #[test]
    fn cores_that_may_not_be_used_are_refused() {
        let error = machine(4, None).place(2, Some(&[1, 7])).unwrap_err();
        assert_eq!(error, "`engine.cores` names core 7, which this process may not use: it has 0-3 (its cpuset, or `taskset`)");
        assert_eq!(machine(4, None).place(2, Some(&[1, 3])).unwrap().cpus, [[1], [3]]);
        // Nobody names any: the system chooses.
        assert_eq!(machine(4, None).place(2, None).unwrap(), Placement { cpus: vec![vec![]; 2], warnings: vec![] });
    }

    #[test]
    fn more_workers_than_time_is_worth_a_word() {
        let warnings = machine(2, Some(1.5)).place(3, None).unwrap().warnings;
        assert_eq!(warnings[0], "3 workers share 2 cores (0-1): more workers than cores make it slower");
        assert!(warnings[1].starts_with("the control group gets 1.50 cores (cpu.max) for 3 workers"), "{}", warnings[1]);
        assert!(warnings[1].ends_with("set `engine.workers` to 1"), "{}", warnings[1]);
        assert_eq!(machine(2, Some(2.0)).place(2, None).unwrap().warnings, Vec::<String>::new());
    }

    #[test]
    fn workers_stay_on_one_numa_node_if_they_fit() {
        let machine = Machine { allowed: vec![0, 1, 4, 5, 6], quota: None, nodes: vec![vec![0, 1, 2, 3], vec![4, 5, 6, 7]] };
        assert_eq!(machine.place(3, None).unwrap().cpus, vec![vec![4, 5, 6]; 3]);
        assert_eq!(machine.place(4, None).unwrap().cpus, vec![Vec::<usize>::new(); 4]);
        let far = machine.place(2, Some(&[1, 4])).unwrap().warnings;
        assert!(far[0].starts_with("the cores of `engine.cores` are of 2 NUMA nodes"), "{far:?}");
    }

    #[test]
    fn the_tightest_limit_counts() {
        let root = std::env::temp_dir().join(format!("swath-cpus-{}", std::process::id()));
        let group = root.join("cgroup/a/b");
        fs::create_dir_all(&group).unwrap();
        fs::create_dir_all(root.join("node/node0")).unwrap();
        fs::create_dir_all(root.join("node/node1")).unwrap();
        let write = |path: &str, text: &str| fs::write(root.join(path), text).unwrap();
        write("membership", "12:cpu:/x\n0::/a/b\n");
        write("cgroup/a/b/cpu.max", "max 100000\n");
        write("cgroup/a/cpu.max", "150000 100000\n");
        write("node/node0/cpulist", "0-1,4\n");
        write("node/node1/cpulist", "\n");
        let limit = quota(&root.join("membership"), &root.join("cgroup"));
        let nodes = numa_nodes(&root.join("node"));
        write("cgroup/a/cpu.max", "max 100000\n");
        let none = quota(&root.join("membership"), &root.join("cgroup"));
        fs::remove_dir_all(&root).unwrap();
        assert_eq!((limit, none), (Some(1.5), None));
        assert_eq!(nodes, [[0, 1, 4]]);
        assert_eq!(in_words(&[0, 1, 4]), "0-1,4");
    }

    #[test]
    fn this_machine_has_cores() {
        assert!(!allowed().unwrap().is_empty());
    }
}
