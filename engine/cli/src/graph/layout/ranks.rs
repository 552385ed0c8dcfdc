//! Ranks: how far along the flow each box stands.

use std::collections::HashMap;

use super::{Input, Item, Layered, Segment, What};

/// Half of the room that a passing line takes across.
const BEND: f64 = 3.0;

/// Gives each box a rank, and each line an item in every rank that it passes. Lines to the same box share these.
pub(super) fn layer(input: &Input) -> Layered {
    let rank = ranks(input);
    let count = rank.iter().max().map_or(1, |last| last + 1);
    let in_rank = |(at, one): (usize, &super::BoxIn)| {
        let super::Extent { above, below, .. } = one.extent;
        Item { rank: rank[at], group: one.group, above, below, what: What::Box }
    };
    let items = input.boxes.iter().enumerate().map(in_rank).collect();
    let mut layered = Layered { ranks: count, items, segments: Vec::new(), ways: Vec::new() };
    let mut bends: HashMap<(usize, usize, Option<usize>), usize> = HashMap::new();
    let mut known: HashMap<(usize, usize, usize), usize> = HashMap::new();
    for line in &input.lines {
        let group = common(input, input.boxes[line.from].group, input.boxes[line.to].group);
        let mut way = Vec::with_capacity(rank[line.to] - rank[line.from]);
        let (mut at, mut port) = (line.from, line.port);
        for passed in rank[line.from] + 1..=rank[line.to] {
            let items = &mut layered.items;
            let next = if passed == rank[line.to] {
                line.to
            } else {
                *bends.entry((line.to, passed, group)).or_insert_with(|| {
                    items.push(Item { rank: passed, group, above: BEND, below: BEND, what: What::Bend });
                    items.len() - 1
                })
            };
            let segment = *known.entry((at, port, next)).or_insert_with(|| {
                layered.segments.push(Segment { from: at, to: next, port, offset: 0.0, main: false });
                layered.segments.len() - 1
            });
            layered.segments[segment].main |= line.main;
            way.push(segment);
            (at, port) = (next, 0);
        }
        layered.ways.push(way);
    }
    fill_groups(input, &mut layered);
    layered
}

/// The longest way to each box; what starts a way stands right before what it leads to.
fn ranks(input: &Input) -> Vec<usize> {
    let boxes = input.boxes.len();
    let (mut into, mut out) = (vec![Vec::new(); boxes], vec![Vec::new(); boxes]);
    for line in &input.lines {
        out[line.from].push(line.to);
        into[line.to].push(line.from);
    }
    let mut rank: Vec<usize> = vec![0; boxes];
    for to in 0..boxes {
        rank[to] = into[to].iter().map(|from| rank[*from] + 1).max().unwrap_or(0);
    }
    for from in (0..boxes).rev() {
        if out[from].len() > into[from].len()
            && let Some(first) = out[from].iter().map(|to| rank[*to]).min()
        {
            rank[from] = first - 1;
        }
    }
    let last = (0..boxes).map(|at| rank[at] + usize::from(!input.boxes[at].last)).max().unwrap_or(0);
    (0..boxes).filter(|at| input.boxes[*at].last).for_each(|at| rank[at] = last);
    rank
}

/// The innermost group that both are in.
fn common(input: &Input, one: Option<usize>, other: Option<usize>) -> Option<usize> {
    let outer = |group: usize| input.groups[group].parent;
    let of_other: Vec<usize> = std::iter::successors(other, |group| outer(*group)).collect();
    std::iter::successors(one, |group| outer(*group)).find(|group| of_other.contains(group))
}

/// A group that has nothing in a rank between its first and its last keeps others out of it all the same.
fn fill_groups(input: &Input, layered: &mut Layered) {
    // Inner groups first: what fills them fills the outer ones.
    for group in (0..input.groups.len()).rev() {
        let inside =
            |item: &&Item| std::iter::successors(item.group, |group| input.groups[*group].parent).any(|outer| outer == group);
        let mut used = vec![false; layered.ranks];
        layered.items.iter().filter(inside).for_each(|item| used[item.rank] = true);
        let first = used.iter().position(|used| *used).unwrap_or(0);
        let last = used.iter().rposition(|used| *used).unwrap_or(0);
        for rank in (first..last).filter(|rank| !used[*rank]) {
            layered.items.push(Item { rank, group: Some(group), above: 0.0, below: 0.0, what: What::Gap });
        }
    }
}
