//! What threads may do beyond what their user may: capabilities(7). A thread has its own, and what it starts inherits them.

use std::io;

use rustix::thread::{CapabilitySets, capabilities, set_capabilities, set_no_new_privs};

pub use rustix::thread::CapabilitySet;

/// From here on this thread and those that it starts get no privileges by running another program: not by its file, and not as root.
///
/// # Errors
/// The kernel knows nothing of it (before Linux 3.5), or a filter of system calls forbids it.
pub fn gain_no_more() -> io::Result<()> {
    Ok(set_no_new_privs(true)?)
}

/// Of the capabilities that this thread has it keeps these alone, for good, and so do threads that it starts from here on.
///
/// # Errors
/// A filter of system calls forbids it; without one, less is always granted.
pub fn keep(wanted: CapabilitySet) -> io::Result<()> {
    let permitted = capabilities(None)?.permitted & wanted;
    // What is not inheritable is not ambient (capabilities(7), "Thread capability sets").
    Ok(set_capabilities(None, CapabilitySets { effective: permitted, permitted, inheritable: CapabilitySet::empty() })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_is_granted_and_more_is_not() {
        let body = || {
            gain_no_more().unwrap();
            let had = capabilities(None).unwrap().permitted;
            for wanted in [CapabilitySet::NET_RAW | CapabilitySet::NET_ADMIN, CapabilitySet::NET_RAW, CapabilitySet::all()] {
                keep(wanted).unwrap();
                let now = capabilities(None).unwrap();
                let expected = if wanted == CapabilitySet::all() { CapabilitySet::NET_RAW } else { wanted } & had;
                assert_eq!((now.permitted, now.effective, now.inheritable), (expected, expected, CapabilitySet::empty()));
            }
            keep(CapabilitySet::empty()).unwrap();
            let started = std::thread::spawn(|| capabilities(None).unwrap().permitted).join().unwrap();
            assert_eq!(started, CapabilitySet::empty());
        };
        // In a thread of its own: others go on with what they have.
        std::thread::spawn(body).join().unwrap();
    }
}
