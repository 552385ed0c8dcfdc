//! Time as sessions remember it.

use swath_api::units::Duration;
use zerocopy::FromZeros;

/// Nanoseconds of a unit are 2^22, about 4 ms.
const UNIT: u32 = 22;

/// A moment of the engine's clock in units of about 4 ms. It comes round after 208 days: the longest time-out is a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromZeros)]
#[repr(transparent)]
pub(super) struct Moment(pub u32);

impl Moment {
    #[inline(always)]
    pub fn at(nanoseconds: u64) -> Moment {
        Moment((nanoseconds >> UNIT) as u32)
    }

    /// Units that have passed since; 0 if it is yet to come.
    #[inline(always)]
    pub fn age(self, now: Moment) -> u32 {
        (now.0.wrapping_sub(self.0) as i32).max(0) as u32
    }

    /// Units that have passed since another moment; very many if that is yet to come.
    #[inline(always)]
    pub fn since(self, other: Moment) -> u32 {
        self.0.wrapping_sub(other.0)
    }

    /// A moment so long before.
    pub fn before(self, units: u32) -> Moment {
        Moment(self.0.wrapping_sub(units))
    }
}

/// Units of the engine's clock since it began, which do not come round.
pub(super) fn units_at(nanoseconds: u64) -> u64 {
    nanoseconds >> UNIT
}

/// A duration in units, rounded up.
pub(super) fn units(duration: Duration) -> u32 {
    u32::try_from(duration.nanoseconds().div_ceil(1 << UNIT)).unwrap_or(u32::MAX)
}

/// So many units.
pub(super) fn duration(units: u32) -> Duration {
    Duration::from_nanoseconds(u64::from(units) << UNIT)
}
