//! Time as the table of stations remembers it.

use swath_api::units::Duration;

/// Nanoseconds of a unit are 2^22, about 4 ms, as long as the kernel's jiffy. A finer one would have entries written more often.
const UNIT: u32 = 22;

/// A moment of the engine's clock in units of about 4 ms. It comes round after 208 days: of two moments within 104 days one is the later.
/// None that is remembered is older than the longest ageing, 11.6 days, and the minutes that it takes to sweep the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub u32);

impl Moment {
    /// The moment at so many nanoseconds.
    #[inline]
    pub fn at(nanoseconds: u64) -> Moment {
        Moment((nanoseconds >> UNIT) as u32)
    }

    /// A duration in units of a moment, rounded up.
    pub fn units(duration: Duration) -> u32 {
        u32::try_from(duration.nanoseconds().div_ceil(1 << UNIT)).unwrap_or(u32::MAX)
    }

    /// Whether it lies before the other.
    #[inline]
    pub fn is_before(self, other: Moment) -> bool {
        other.units_since(self) > 0
    }

    /// Whether more than so many units have passed since.
    #[inline]
    pub fn is_older_than(self, units: u32, now: Moment) -> bool {
        i64::from(now.units_since(self)) > i64::from(units)
    }

    /// Whole seconds that have passed since; 0 if it is yet to come.
    pub fn seconds_before(self, now: Moment) -> u64 {
        (u64::from(now.units_since(self).max(0).unsigned_abs()) << UNIT) / 1_000_000_000
    }

    /// Negative if `before` is the later: the clocks of two workers differ by up to a sweep.
    #[inline]
    fn units_since(self, before: Moment) -> i32 {
        self.0.wrapping_sub(before.0) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_and_older() {
        let second = 1_000_000_000;
        let (early, late) = (Moment::at(0), Moment::at(300 * second));
        assert!(early.is_before(late) && !late.is_before(early) && !late.is_before(late));
        let ageing = Moment::units(Duration::from_nanoseconds(300 * second));
        assert!(!early.is_older_than(ageing, late));
        assert!(early.is_older_than(ageing, Moment::at(300 * second + (3 << UNIT))));
        assert!(!late.is_older_than(0, early), "what is yet to come is not old");
        assert_eq!((early.seconds_before(late), late.seconds_before(early)), (299, 0));
    }

    #[test]
    fn the_clock_comes_round() {
        let before = Moment(u32::MAX - 1);
        let after = Moment(3);
        assert!(before.is_before(after) && !after.is_before(before));
        assert!(before.is_older_than(4, after) && !before.is_older_than(5, after));
        assert!(
            Moment::units(Duration::from_nanoseconds(1_000_000_000_000_000)) < u32::MAX / 8,
            "the longest ageing, and time to sweep"
        );
    }
}
