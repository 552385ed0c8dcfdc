//! What can be said of some ratios without knowing how they are distributed.

/// The median, and the interval that the median of all ratios lies in with 95 %: by the signs alone, so that no outlier moves it far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    pub median: f64,
    pub lower: f64,
    pub upper: f64,
}

impl Summary {
    /// Of one ratio or more, which are sorted.
    pub fn of(ratios: &mut [f64]) -> Summary {
        ratios.sort_by(f64::total_cmp);
        let (count, at) = (ratios.len(), cut(ratios.len()));
        let median = f64::midpoint(ratios[(count - 1) / 2], ratios[count / 2]);
        Summary { median, lower: ratios[at], upper: ratios[count - 1 - at] }
    }
}

/// How many may be left out at either end: one less than the least number of ratios on one side of the median that is not rare (2.5 %).
fn cut(count: usize) -> usize {
    // The part of all ways to fall on either side that have so many on one side, or fewer.
    let (mut sum, mut ways) = (0.0, 1.0);
    for at in 0..count {
        sum += ways / 2f64.powi(count as i32);
        if sum > 0.025 {
            return at.saturating_sub(1);
        }
        ways *= (count - at) as f64 / (at + 1) as f64;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_sign_test() {
        // Tables of it: of 6 the least, of 20 the 6th, of 50 the 18th.
        assert_eq!([1, 5, 6, 20, 50].map(cut), [0, 0, 0, 5, 17]);
        let mut ratios: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        assert_eq!(Summary::of(&mut ratios), Summary { median: 10.5, lower: 6.0, upper: 15.0 });
        assert_eq!(Summary::of(&mut [1.0]), Summary { median: 1.0, lower: 1.0, upper: 1.0 });
    }
}
