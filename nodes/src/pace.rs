//! How often something may happen: token buckets, of which each is one number.

use swath_api::units::PacketRate;

/// A rate, and how many may come at once.
///
/// This is the bucket as the *generic cell rate algorithm* has it (ITU-T I.371): in the place of tokens, the time at which the bucket would be full again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    // Nanoseconds for each.
    interval: u64,
    // How far ahead of now a bucket may be for one more to be let through.
    tolerance: u64,
}

/// When a bucket is full, in nanoseconds of the engine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket(u64);

impl Pace {
    /// At most `rate` on average, and `burst` (at least 1) at once.
    pub(crate) fn new(rate: PacketRate, burst: u32) -> Pace {
        let interval = 1_000_000_000 / rate.packets_per_second().max(1);
        Pace { interval, tolerance: interval.saturating_mul(u64::from(burst.max(1)) - 1) }
    }

    /// Whether one more may be let through.
    pub(crate) fn has(&self, bucket: Bucket, now: u64) -> bool {
        bucket.0 <= now.saturating_add(self.tolerance)
    }

    /// Counts one that is let through.
    pub(crate) fn take(&self, bucket: &mut Bucket, now: u64) {
        bucket.0 = bucket.0.max(now).saturating_add(self.interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let pace = Pace::new(PacketRate::from_packets_per_second(10), 3);
        let mut bucket = Bucket::default();
        let mut at = |ms: u64| {
            let now = ms * 1_000_000;
            let has = pace.has(bucket, now);
            if has {
                pace.take(&mut bucket, now);
            }
            has
        };
        let passed = [0, 0, 0, 0, 99, 100, 100, 199, 200, 1000, 1000, 1000, 1000].map(&mut at);
        assert_eq!(
            passed,
            [true, true, true, false, false, true, false, false, true, true, true, true, false],
            "three at once, then one each 100 ms, and three again after a pause"
        );
    }
}
