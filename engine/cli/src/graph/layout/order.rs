//! The order within each rank: sweeps by barycentre (Sugiyama, Tagawa, Toda 1981) and exchanges of neighbours (Gansner et al. 1993).

use std::cmp::Ordering;

use super::{GroupIn, Layered};

/// Sweeps over all ranks, alternately along the flow and against it.
const SWEEPS: usize = 24;
/// Rounds of exchanges after each sweep, at most.
const ROUNDS: usize = 8;

/// The items of each rank in their order. Those of a group stand together, and groups in the same order in all ranks.
pub(super) fn order(layered: &Layered, groups: &[GroupIn]) -> Vec<Vec<usize>> {
    let mut orderer = Orderer::new(layered, groups);
    orderer.settle();
    let mut best = (orderer.crossings(), orderer.rows.clone());
    for sweep in 0..SWEEPS {
        if best.0 == 0 {
            break;
        }
        orderer.sweep(sweep % 2 == 0);
        orderer.settle();
        orderer.exchange();
        let crossings = orderer.crossings();
        if crossings < best.0 {
            best = (crossings, orderer.rows.clone());
        }
    }
    best.1
}

struct Orderer<'a> {
    layered: &'a Layered,
    /// For each item the groups around it, the outermost first.
    paths: Vec<Vec<usize>>,
    /// Where each group stands, in all ranks.
    groups: Vec<f64>,
    /// Items before and behind each, in the ranks next to it.
    before: Vec<Vec<usize>>,
    behind: Vec<Vec<usize>>,
    rows: Vec<Vec<usize>>,
    /// Where each item stands in its rank.
    at: Vec<usize>,
}

impl<'a> Orderer<'a> {
    fn new(layered: &'a Layered, groups: &[GroupIn]) -> Orderer<'a> {
        let count = layered.items.len();
        let path = |group: Option<usize>| {
            let mut path: Vec<usize> = std::iter::successors(group, |group| groups[*group].parent).collect();
            path.reverse();
            path
        };
        let mut rows = vec![Vec::new(); layered.ranks];
        layered.items.iter().enumerate().for_each(|(item, one)| rows[one.rank].push(item));
        let (mut before, mut behind) = (vec![Vec::new(); count], vec![Vec::new(); count]);
        for segment in &layered.segments {
            behind[segment.from].push(segment.to);
            before[segment.to].push(segment.from);
        }
        let paths = layered.items.iter().map(|item| path(item.group)).collect();
        let mut orderer = Orderer { layered, paths, groups: vec![0.0; groups.len()], before, behind, rows, at: vec![0; count] };
        orderer.number();
        orderer
    }

    fn number(&mut self) {
        for row in &self.rows {
            row.iter().enumerate().for_each(|(at, item)| self.at[*item] = at);
        }
    }

    /// Where an item stands, counted from the middle of its rank.
    fn position(&self, item: usize) -> f64 {
        self.at[item] as f64 - (self.rows[self.layered.items[item].rank].len() as f64 - 1.0) / 2.0
    }

    /// Sorts each rank by where its items' neighbours stand in the rank that was sorted before.
    fn sweep(&mut self, along: bool) {
        for step in 0..self.layered.ranks {
            let rank = if along { step } else { self.layered.ranks - 1 - step };
            let neighbours = if along { &self.before } else { &self.behind };
            let key = |item: &usize| match &neighbours[*item][..] {
                [] => (self.position(*item), *item),
                some => (some.iter().map(|other| self.position(*other)).sum::<f64>() / some.len() as f64, *item),
            };
            let keys: Vec<(f64, usize)> = self.rows[rank].iter().map(key).collect();
            self.sort(rank, keys);
        }
    }

    /// Sorts a rank by keys; what stands in groups, by the place of these.
    fn sort(&mut self, rank: usize, mut keys: Vec<(f64, usize)>) {
        let compare = |one: &(f64, usize), other: &(f64, usize)| -> Ordering {
            let (left, right) = (&self.paths[one.1], &self.paths[other.1]);
            let shared = left.iter().zip(right).take_while(|(left, right)| left == right).count();
            let key = |path: &[usize], own: &(f64, usize)| {
                path.get(shared).map_or((own.0, usize::MAX, self.at[own.1]), |group| (self.groups[*group], *group, 0))
            };
            let (left, right) = (key(left, one), key(right, other));
            left.0.total_cmp(&right.0).then_with(|| (left.1, left.2).cmp(&(right.1, right.2)))
        };
        keys.sort_by(compare);
        self.rows[rank] = keys.into_iter().map(|(_, item)| item).collect();
        self.rows[rank].iter().enumerate().for_each(|(at, item)| self.at[*item] = at);
    }

    /// Brings the groups into one order for all ranks.
    fn settle(&mut self) {
        if self.groups.is_empty() {
            return;
        }
        let mut sums = vec![(0.0, 0.0); self.groups.len()];
        for (item, path) in self.paths.iter().enumerate() {
            for group in path {
                sums[*group] = (sums[*group].0 + self.position(item), sums[*group].1 + 1.0);
            }
        }
        self.groups = sums.iter().map(|(sum, count)| sum / f64::max(*count, 1.0)).collect();
        for rank in 0..self.layered.ranks {
            let keys = self.rows[rank].iter().map(|item| (self.position(*item), *item)).collect();
            self.sort(rank, keys);
        }
    }

    /// Exchanges neighbours while that crosses fewer lines.
    fn exchange(&mut self) {
        for _ in 0..ROUNDS {
            let mut better = false;
            for rank in 0..self.layered.ranks {
                for at in 1..self.rows[rank].len() {
                    let (one, other) = (self.rows[rank][at - 1], self.rows[rank][at]);
                    if self.layered.items[one].group == self.layered.items[other].group
                        && self.between(other, one) < self.between(one, other)
                    {
                        self.rows[rank].swap(at - 1, at);
                        (self.at[one], self.at[other]) = (at, at - 1);
                        better = true;
                    }
                }
            }
            if !better {
                break;
            }
        }
    }

    /// How often lines of two items cross, if the first stands before the second.
    fn between(&self, first: usize, second: usize) -> usize {
        let crossings = |neighbours: &[Vec<usize>]| {
            let first = neighbours[first].iter().map(|item| self.at[*item]);
            first.map(|first| neighbours[second].iter().filter(|item| self.at[**item] < first).count()).sum::<usize>()
        };
        crossings(&self.before) + crossings(&self.behind)
    }

    /// How often lines cross.
    fn crossings(&self) -> usize {
        let mut count = 0;
        for rank in 0..self.layered.ranks.saturating_sub(1) {
            let places = self.rows[rank + 1].len();
            // A binary indexed tree (Fenwick 1994) of the ends seen so far.
            let mut tree = vec![0; places + 1];
            let mut seen = 0;
            for item in &self.rows[rank] {
                let mut ends: Vec<usize> = self.behind[*item].iter().map(|to| self.at[*to] + 1).collect();
                ends.sort_unstable();
                for end in &ends {
                    let (mut at, mut not_behind) = (*end, 0);
                    while at > 0 {
                        not_behind += tree[at];
                        at &= at - 1;
                    }
                    count += seen - not_behind;
                }
                for end in ends {
                    let mut at = end;
                    while at <= places {
                        tree[at] += 1;
                        at += at & at.wrapping_neg();
                    }
                    seen += 1;
                }
            }
        }
        count
    }
}
