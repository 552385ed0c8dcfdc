//! Which implementation runs: the best that the processor has, or the one asked for.

use std::sync::OnceLock;

use super::{Kernels, scalar};

/// Forces an implementation by name, for tests and comparisons.
const VARIABLE: &str = "SWATH_KERNELS";

/// What was chosen at the first use, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The name of the kernels in use.
    pub chosen: &'static str,
    /// What `SWATH_KERNELS` asked for.
    pub requested: Option<String>,
    /// Why these, in words for a log line.
    pub reason: String,
}

/// The kernels of this process, chosen once.
#[inline]
pub fn kernels() -> &'static Kernels {
    choice().0
}

/// How [`kernels`] was chosen.
pub fn selection() -> Selection {
    choice().1.clone()
}

/// Every implementation that this processor can run, best first.
pub fn all_supported() -> Vec<&'static Kernels> {
    #[cfg(target_arch = "x86_64")]
    let vector = [(super::avx512::supported(), &super::avx512::KERNELS), (super::avx2::supported(), &super::avx2::KERNELS)];
    #[cfg(not(target_arch = "x86_64"))]
    let vector: [(bool, &'static Kernels); 0] = [];
    let vector = vector.into_iter().filter(|(supported, _)| *supported);
    vector.map(|(_, kernels)| kernels).chain([&scalar::KERNELS]).collect()
}

fn choice() -> &'static (&'static Kernels, Selection) {
    static CHOICE: OnceLock<(&'static Kernels, Selection)> = OnceLock::new();
    CHOICE.get_or_init(|| {
        let requested = std::env::var_os(VARIABLE).map(|v| v.to_string_lossy().into_owned());
        select(requested, &all_supported())
    })
}

/// Picks from `supported` (best first, `scalar` always last).
fn select(requested: Option<String>, supported: &[&'static Kernels]) -> (&'static Kernels, Selection) {
    let best = supported.first().copied().unwrap_or(&scalar::KERNELS);
    let found = supported.iter().find(|k| Some(k.name) == requested.as_deref());
    let kernels = found.copied().unwrap_or(best);
    let reason = match (&requested, found) {
        (None, _) => format!("{} is the best that this processor has", best.name),
        (Some(name), Some(_)) => format!("{VARIABLE}={name}"),
        (Some(name), None) if ["scalar", "avx2", "avx512"].contains(&name.as_str()) => {
            format!("{VARIABLE}={name} is not supported by this processor; {} is its best", best.name)
        }
        (Some(name), None) => {
            format!("{VARIABLE}={name:?} is none of scalar, avx2, avx512; {} is the best", best.name)
        }
    };
    (kernels, Selection { chosen: kernels.name, requested, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_asked_gives_the_best() {
        let all = all_supported();
        let (kernels, selection) = select(None, &all);
        assert!(std::ptr::eq(kernels, all[0]));
        assert_eq!((selection.chosen, selection.requested), (all[0].name, None));
    }

    #[test]
    fn every_supported_name_can_be_forced() {
        let all = all_supported();
        for k in &all {
            let (kernels, selection) = select(Some(k.name.into()), &all);
            assert!(std::ptr::eq(kernels, *k));
            assert_eq!(selection.reason, format!("SWATH_KERNELS={}", k.name));
        }
    }

    #[test]
    fn the_unknown_and_the_unsupported_fall_to_the_best_and_say_so() {
        let scalar: &[&'static Kernels] = &[&scalar::KERNELS];
        let (kernels, selection) = select(Some("avx512".into()), scalar);
        assert_eq!((kernels.name, selection.chosen), ("scalar", "scalar"));
        assert!(selection.reason.contains("avx512 is not supported"), "{}", selection.reason);
        let (kernels, selection) = select(Some("sse9".into()), scalar);
        assert_eq!((kernels.name, selection.requested.as_deref()), ("scalar", Some("sse9")));
        assert!(selection.reason.contains("none of"), "{}", selection.reason);
    }

    #[test]
    fn the_process_choice_is_stable_and_supported() {
        assert!(std::ptr::eq(kernels(), kernels()));
        assert_eq!(selection().chosen, kernels().name);
        assert!(all_supported().iter().any(|k| std::ptr::eq(*k, kernels())));
    }
}
