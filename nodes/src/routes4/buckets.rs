//! The buckets of groups of next hops: how many each member has, which of them move when a member comes or goes, and where they lie.
//!
//! A flow's hash chooses a bucket, and the bucket names a member (as in Linux's resilient next-hop groups). The number of buckets of a
//! member is in proportion to its weight by Webster's method (Sainte-Laguë): seats are given one after the other to the highest
//! `weight / (2 * seats + 1)`. Of the methods that round, those by divisors are the ones in which nobody loses a seat when somebody
//! else goes, and nobody gains one when somebody comes (Balinski and Young, Fair Representation, 1982). So what moves is the least
//! that can: all buckets of who goes, and what who comes is due.

use crate::leaf4::{MAX_BUCKETS, UNIT};

/// Members of a group at most.
pub(super) const MAX_MEMBERS: usize = 64;
/// Weight of a member at most.
pub(super) const MAX_WEIGHT: u16 = 256;
/// The largest group has `UNIT << MAX_LOG2` buckets, so that each of 64 members of any weights has one at least.
const MAX_LOG2: u32 = 6;
/// Buckets for each unit of weight: shares are right within a few percent.
const PER_WEIGHT: usize = 16;
/// No member yet.
pub(super) const NOBODY: u8 = u8::MAX;

/// How many buckets each member is to have; one of weight 0 has none.
pub(super) fn shares(weights: &[u16], buckets: usize) -> Vec<usize> {
    let sum: usize = weights.iter().copied().map(usize::from).sum();
    if sum == 0 {
        return vec![0; weights.len()];
    }
    // The seats whose claim is above sum / (2 * buckets - members): at most all of them, and the first that are given, so at most one
    // for each member is left.
    let first = |weight: &u16| (usize::from(*weight) * (2 * buckets - weights.len())).div_ceil(sum) / 2;
    let mut shares: Vec<usize> = weights.iter().map(first).collect();
    for _ in shares.iter().sum()..buckets {
        // Of equal claims the first counts, whoever else is there.
        let claim = |index: usize| (usize::from(weights[index]), 2 * shares[index] + 1);
        let better = |a: usize, b: usize| claim(b).0 * claim(a).1 > claim(a).0 * claim(b).1;
        let next = (1..weights.len()).fold(0, |best, index| if better(best, index) { index } else { best });
        shares[next] += 1;
    }
    shares
}

/// Gives buckets to who has too few of them: those of nobody, and of who has too many.
pub(super) fn balance(owners: &mut [u8], shares: &[usize]) {
    let mut surplus: Vec<isize> = shares.iter().map(|share| -(*share as isize)).collect();
    owners.iter().filter(|owner| **owner != NOBODY).for_each(|owner| surplus[usize::from(*owner)] += 1);
    let mut next = 0;
    for owner in owners {
        if *owner != NOBODY && surplus[usize::from(*owner)] <= 0 {
            continue;
        }
        // In turn, so that the flows of one member go to all others.
        let Some(heir) = (0..shares.len()).map(|step| (next + step) % shares.len()).find(|heir| surplus[*heir] < 0) else { break };
        if *owner != NOBODY {
            surplus[usize::from(*owner)] -= 1;
        }
        surplus[heir] += 1;
        *owner = heir as u8;
        next = heir + 1;
    }
}

/// The size of a group for these weights, as the logarithm of its units.
pub(super) fn log2_for(weights: impl Iterator<Item = u16>) -> u32 {
    let wanted = weights.map(usize::from).sum::<usize>() * PER_WEIGHT;
    wanted.div_ceil(UNIT).next_power_of_two().trailing_zeros().min(MAX_LOG2)
}

/// Which units are free.
#[derive(Default)]
pub(super) struct Space {
    free: [Vec<u32>; MAX_LOG2 as usize + 1],
    /// From here on no unit was ever used.
    high: u32,
}

impl Space {
    /// The first of `1 << log2` units that nobody uses.
    pub(super) fn take(&mut self, log2: u32) -> Option<u32> {
        let size = 1 << log2;
        if let Some(unit) = self.free[log2 as usize].pop() {
            return Some(unit);
        }
        if self.high as usize + size as usize <= MAX_BUCKETS / UNIT {
            self.high += size;
            return Some(self.high - size);
        }
        let larger = (log2 + 1..=MAX_LOG2).find(|larger| !self.free[*larger as usize].is_empty())?;
        let unit = self.free[larger as usize].pop()?;
        // The first part is taken; behind it stay one of each size between.
        (log2..larger).for_each(|rest| self.free[rest as usize].push(unit + (1 << rest)));
        Some(unit)
    }

    pub(super) fn give(&mut self, unit: u32, log2: u32) {
        self.free[log2 as usize].push(unit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_are_those_of_webster() {
        // The example in which five methods give five results (Balinski and Young): 9061/19, 7179/15 and 5259/11 are the highest claims to
        // the last of 26 seats, and the second of them is the highest.
        assert_eq!(shares(&[9061, 7179, 5259, 3319, 1182], 26), [9, 8, 5, 3, 1]);
        assert_eq!(shares(&[1, 1], 256), [128, 128]);
        assert_eq!(shares(&[3, 0, 1], 256), [192, 0, 64]);
        assert_eq!(shares(&[1, 1, 1], 256), [86, 85, 85]);
        assert_eq!(shares(&[0, 0], 256), [0, 0]);
        assert!(shares(&[1; 64], 1024).iter().all(|share| *share == 16));
    }

    #[test]
    fn the_smallest_member_of_the_largest_group_has_a_bucket() {
        let mut weights = [MAX_WEIGHT; MAX_MEMBERS];
        weights[17] = 1;
        let log2 = log2_for(weights.iter().copied());
        assert_eq!(log2, MAX_LOG2);
        assert!(shares(&weights, UNIT << log2).iter().all(|share| *share > 0));
        assert_eq!((log2_for([1, 1].into_iter()), log2_for([8, 8].into_iter()), log2_for([8, 9].into_iter())), (0, 0, 1));
    }

    proptest! {
        #[test]
        fn only_what_must_move_moves(weights in prop::collection::vec(0..=MAX_WEIGHT, 2..12), steps in prop::collection::vec((0..12usize, 0..=MAX_WEIGHT), 1..8)) {
            let mut weights = weights;
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let mut owners = vec![NOBODY; 4 * UNIT];
            let first = shares(&weights, owners.len());
            balance(&mut owners, &first);
            for (member, weight) in steps {
                let member = member % weights.len();
                let (before, old) = (owners.clone(), weights[member]);
                weights[member] = weight;
                if weights.iter().all(|weight| *weight == 0) {
                    weights[member] = old;
                    continue;
                }
                let due = shares(&weights, owners.len());
                balance(&mut owners, &due);
                for (index, due) in due.iter().enumerate() {
                    prop_assert_eq!(owners.iter().filter(|owner| usize::from(**owner) == index).count(), *due);
                }
                // A bucket that has moved was taken from who has changed, or has gone to it.
                for (before, after) in before.iter().zip(&owners).filter(|(before, after)| before != after) {
                    let moved = (usize::from(*before), usize::from(*after));
                    prop_assert!(if weight < old { moved.0 == member } else { moved.1 == member }, "{:?} of {:?}", moved, weights);
                }
            }
        }

        #[test]
        fn no_two_groups_share_a_unit(sizes in prop::collection::vec((0..=MAX_LOG2, any::<bool>()), 1..3000)) {
            let mut space = Space { high: (MAX_BUCKETS / UNIT) as u32 - 500, ..Space::default() };
            let mut taken: Vec<(u32, u32)> = Vec::new();
            for (log2, give) in sizes {
                if give && !taken.is_empty() {
                    let (unit, log2) = taken.swap_remove(taken.len() / 2);
                    space.give(unit, log2);
                } else if let Some(unit) = space.take(log2) {
                    taken.push((unit, log2));
                }
            }
            taken.sort_unstable();
            for pair in taken.windows(2) {
                prop_assert!(pair[0].0 + (1 << pair[0].1) <= pair[1].0, "{:?}", pair);
            }
            prop_assert!(taken.last().is_none_or(|(unit, log2)| unit + (1 << log2) <= (MAX_BUCKETS / UNIT) as u32));
        }
    }
}
