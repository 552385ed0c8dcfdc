//! How fast the time stamp counter counts.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use swath_api::kernel::tsc;

/// How long it is measured: at a precision of 100 ns at each end, to a hundred-thousandth.
const SPAN: Duration = Duration::from_millis(20);

/// TSC cycles in a second. Measured once, so that seconds made of cycles never run backwards.
pub fn tsc_per_second() -> f64 {
    static RATE: OnceLock<f64> = OnceLock::new();
    *RATE.get_or_init(|| {
        let (start, cycles) = (Instant::now(), tsc());
        std::thread::sleep(SPAN);
        let (elapsed, cycles) = (start.elapsed(), tsc().wrapping_sub(cycles));
        cycles as f64 / elapsed.as_secs_f64()
    })
}
