//! Time as the table of stations remembers it.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

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

/// A duration such as `300s`, `5min`, `1h` or `10d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub struct Seconds(pub u64);

impl Seconds {
    /// The duration in units of [`Moment`], rounded up.
    pub fn units(self) -> u32 {
        let units = self.0.saturating_mul(1_000_000_000).div_ceil(1 << UNIT);
        u32::try_from(units).unwrap_or(u32::MAX)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Seconds, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Seconds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with its unit, such as `300s` or `5min`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Seconds, E> {
                const UNITS: [(&str, u64); 4] = [("min", 60), ("s", 1), ("h", 3600), ("d", 86_400)];
                let parse = |(unit, seconds): &(&str, u64)| text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(*seconds);
                let found = UNITS.iter().find_map(parse).map(Seconds);
                found.ok_or_else(|| {
                    E::custom(format!("`{text}` is no duration: write a number and its unit, such as `300s` or `5min`"))
                })
            }
        }

        deserializer.deserialize_any(Text)
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
        let ageing = Seconds(300).units();
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
        assert!(Seconds(1_000_000).units() < u32::MAX / 8, "the longest ageing, and time to sweep");
    }

    #[test]
    fn durations() {
        let read = |text: &str| serde_json::from_value::<Seconds>(text.into()).map(|seconds| seconds.0).ok();
        let table = [("300s", 300), ("5min", 300), ("2h", 7200), ("1d", 86_400)];
        assert!(table.iter().all(|(text, seconds)| read(text) == Some(*seconds)));
        assert!(
            ["300", "s", "-1s", "5m", "1.5s", "1e3s", "99999999999999999999d", " 1s", "1 s"]
                .iter()
                .all(|text| read(text).is_none())
        );
        assert!(serde_json::from_str::<Seconds>("300").unwrap_err().to_string().contains("with its unit, such as `300s`"));
    }
}
