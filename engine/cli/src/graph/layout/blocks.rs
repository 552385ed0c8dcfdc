//! Blocks of variables that move together, under constraints that keep others apart.

use super::{Layered, Segment, What};

/// Moves of all blocks.
const MOVES: usize = 60;
/// Rounds after each in which they move one by one, back and forth.
const POLISHES: usize = 2;

/// A variable is at least so far below another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Apart {
    pub upper: usize,
    pub lower: usize,
    pub by: f64,
}

/// How much it matters that a segment is straight.
fn weight(layered: &Layered, segment: &Segment) -> f64 {
    let bends = [segment.from, segment.to].iter().filter(|item| layered.items[**item].what == What::Bend).count();
    [1.0, 1.5, 4.0][bends] * if segment.main { 2.0 } else { 1.0 }
}

/// Variables in blocks, and what keeps these apart.
pub(super) struct Blocks {
    constraints: Vec<Apart>,
    /// For each variable the constraints that have it above.
    above: Vec<Vec<usize>>,
    /// And those that have it below.
    below: Vec<Vec<usize>>,
    block: Vec<usize>,
    /// Of each variable from its block's place.
    offset: Vec<f64>,
    members: Vec<Vec<usize>>,
    seen: Vec<usize>,
    searches: usize,
}

impl Blocks {
    pub(super) fn new(variables: usize, constraints: Vec<Apart>) -> Blocks {
        let (mut above, mut below) = (vec![Vec::new(); variables], vec![Vec::new(); variables]);
        for (index, apart) in constraints.iter().enumerate() {
            above[apart.upper].push(index);
            below[apart.lower].push(index);
        }
        Blocks {
            constraints,
            above,
            below,
            block: (0..variables).collect(),
            offset: vec![0.0; variables],
            members: (0..variables).map(|variable| vec![variable]).collect(),
            seen: vec![0; variables],
            searches: 0,
        }
    }

    /// Makes one block of those of two variables, the second of which is lower by `by`, if nothing must stand between them.
    pub(super) fn join(&mut self, one: usize, other: usize, by: f64) {
        let (keep, give) = (self.block[one], self.block[other]);
        if keep == give || self.reaches(keep, give) || self.reaches(give, keep) {
            return;
        }
        let shift = self.offset[one] + by - self.offset[other];
        for variable in std::mem::take(&mut self.members[give]) {
            self.block[variable] = keep;
            self.offset[variable] += shift;
            self.members[keep].push(variable);
        }
    }

    /// Whether a block must stand above another.
    fn reaches(&mut self, from: usize, to: usize) -> bool {
        self.searches += 1;
        let mut open = vec![from];
        while let Some(block) = open.pop() {
            for variable in &self.members[block] {
                for apart in &self.above[*variable] {
                    let next = self.block[self.constraints[*apart].lower];
                    if next == to {
                        return true;
                    }
                    if self.seen[next] != self.searches {
                        self.seen[next] = self.searches;
                        open.push(next);
                    }
                }
            }
        }
        false
    }

    /// Moves blocks to their neighbours, and gives the places of all variables.
    pub(super) fn relax(&self, layered: &Layered, groups: usize) -> Vec<f64> {
        let order = self.topological();
        let mut segments: Vec<Vec<usize>> = vec![Vec::new(); self.block.len()];
        for (index, segment) in layered.segments.iter().enumerate() {
            let (one, other) = (self.block[segment.from], self.block[segment.to]);
            if one != other {
                segments[one].push(index);
                segments[other].push(index);
            }
        }
        let mut place = vec![0.0; self.block.len()];
        self.push_down(&order, &mut place);
        for _ in 0..MOVES {
            let mut sums = vec![(0.0, 0.0); place.len()];
            for segment in &layered.segments {
                let (one, other) = (self.block[segment.from], self.block[segment.to]);
                if one == other {
                    continue;
                }
                let (by, weight) = (self.too_low(segment, &place), weight(layered, segment));
                sums[one] = (sums[one].0 + weight * (place[one] + by), sums[one].1 + weight);
                sums[other] = (sums[other].0 + weight * (place[other] - by), sums[other].1 + weight);
            }
            let mut wish: Vec<f64> = place
                .iter()
                .zip(&sums)
                .map(|(place, (sum, weight))| if *weight == 0.0 { *place } else { 0.4 * place + 0.6 * sum / weight })
                .collect();
            self.hug(layered.items.len(), groups, &mut wish);
            let (mut down, mut up) = (wish.clone(), wish);
            self.push_down(&order, &mut down);
            self.push_up(&order, &mut up);
            // Both obey all constraints, which are linear: so does their mean.
            place = down.iter().zip(&up).map(|(down, up)| (down + up) / 2.0).collect();
            self.polish(layered, &segments, &order, &mut place);
        }
        place.iter_mut().for_each(|place| *place = place.round());
        // What rounding has brought too near.
        self.push_down(&order, &mut place);
        self.hug(layered.items.len(), groups, &mut place);
        (0..self.block.len()).map(|variable| place[self.block[variable]] + self.offset[variable]).collect()
    }

    /// Moves one block after the other, as far as those around it permit: to push heeds no weights.
    fn polish(&self, layered: &Layered, segments: &[Vec<usize>], order: &[usize], place: &mut [f64]) {
        for turn in 0..POLISHES {
            for at in 0..order.len() {
                let block = order[if turn % 2 == 0 { at } else { order.len() - 1 - at }];
                let members = || self.members[block].iter();
                let above = members().flat_map(|variable| &self.below[*variable]).map(|apart| &self.constraints[*apart]);
                let low = above.map(|apart| place[self.block[apart.upper]] + self.step(apart)).fold(f64::NEG_INFINITY, f64::max);
                let below = members().flat_map(|variable| &self.above[*variable]).map(|apart| &self.constraints[*apart]);
                let high = below.map(|apart| place[self.block[apart.lower]] - self.step(apart)).fold(f64::INFINITY, f64::min);
                let (mut sum, mut all) = (0.0, 0.0);
                for segment in segments[block].iter().map(|segment| &layered.segments[*segment]) {
                    let by = self.too_low(segment, place);
                    let weight = weight(layered, segment);
                    sum += weight * (place[block] + if self.block[segment.from] == block { by } else { -by });
                    all += weight;
                }
                let is_border = self.members[block][0] >= layered.items.len();
                // Borders of groups leave half of the room to each side.
                let wish = match (all > 0.0, is_border && low.is_finite() && high.is_finite()) {
                    (true, _) => sum / all,
                    (false, true) => (low + high) / 2.0,
                    (false, false) => place[block],
                };
                place[block] = wish.min(high).max(low);
            }
        }
    }

    /// How far a segment's end is too low for it to be straight.
    fn too_low(&self, segment: &Segment, place: &[f64]) -> f64 {
        let at = |item: usize| place[self.block[item]] + self.offset[item];
        at(segment.to) - at(segment.from) - segment.offset
    }

    /// Draws the borders of groups as near to what is in them as can be. Borders are blocks of their own.
    fn hug(&self, items: usize, groups: usize, place: &mut [f64]) {
        let at = |place: &[f64], variable: usize| place[self.block[variable]] + self.offset[variable];
        for group in (0..groups).rev() {
            let (top, bottom) = (items + 2 * group, items + 2 * group + 1);
            let inside = self.above[top].iter().map(|apart| &self.constraints[*apart]);
            place[self.block[top]] = inside.map(|apart| at(place, apart.lower) - apart.by).fold(f64::INFINITY, f64::min);
            let inside = self.below[bottom].iter().map(|apart| &self.constraints[*apart]);
            place[self.block[bottom]] = inside.map(|apart| at(place, apart.upper) + apart.by).fold(f64::NEG_INFINITY, f64::max);
        }
    }

    fn step(&self, apart: &Apart) -> f64 {
        apart.by + self.offset[apart.upper] - self.offset[apart.lower]
    }

    fn push_down(&self, order: &[usize], place: &mut [f64]) {
        for block in order {
            for apart in self.members[*block].iter().flat_map(|variable| &self.above[*variable]) {
                let apart = &self.constraints[*apart];
                let lower = self.block[apart.lower];
                place[lower] = place[lower].max(place[*block] + self.step(apart));
            }
        }
    }

    fn push_up(&self, order: &[usize], place: &mut [f64]) {
        for block in order.iter().rev() {
            for apart in self.members[*block].iter().flat_map(|variable| &self.above[*variable]) {
                let apart = &self.constraints[*apart];
                place[*block] = place[*block].min(place[self.block[apart.lower]] - self.step(apart));
            }
        }
    }

    /// The blocks, each before those below it.
    fn topological(&self) -> Vec<usize> {
        let mut waits = vec![0; self.block.len()];
        self.constraints.iter().for_each(|apart| waits[self.block[apart.lower]] += 1);
        let mut order: Vec<usize> =
            (0..waits.len()).filter(|block| waits[*block] == 0 && !self.members[*block].is_empty()).collect();
        let mut next = 0;
        while next < order.len() {
            for apart in self.members[order[next]].iter().flat_map(|variable| &self.above[*variable]) {
                let lower = self.block[self.constraints[*apart].lower];
                waits[lower] -= 1;
                if waits[lower] == 0 {
                    order.push(lower);
                }
            }
            next += 1;
        }
        order
    }
}
