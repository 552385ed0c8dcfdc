//! Workers that stand still.

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// A thread that stands still until this is dropped.
pub struct Stopped(Pid);

impl Stopped {
    /// A worker of a process. `None`, which is said, where the system forbids to trace; with CI=true that is a failure.
    pub fn worker(process: u32, index: usize) -> Option<Stopped> {
        let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
        let named = |task: &std::fs::DirEntry| {
            std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == format!("worker-{index}"))
        };
        let task = tasks.map(Result::unwrap).find(named).expect("the thread");
        let thread = Pid::from_raw(task.file_name().to_str().unwrap().parse().unwrap());
        if let Err(error) = ptrace::seize(thread, ptrace::Options::empty()) {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "ptrace: {error}");
            println!("not run: a thread cannot be stopped: {error}");
            return None;
        }
        ptrace::interrupt(thread).unwrap();
        waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        Some(Stopped(thread))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = ptrace::detach(self.0, None);
    }
}
