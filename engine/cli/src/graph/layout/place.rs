//! Places across the flow: lines that can be straight are, and the rest is as near to its neighbours as the order permits.
//!
//! What stands in an order is kept apart by constraints (the one at least so far below the other). Items that a straight line joins
//! become one block, as in Brandes and Köpf (2001), unless the constraints forbid it; the graph of blocks stays free of circles. Then
//! blocks move to the mean of their neighbours, pushed apart half upwards and half downwards.

use std::collections::HashMap;

use super::blocks::{Apart, Blocks};
use super::{GroupIn, Layered, PAD, Segment, What};

/// Room between two boxes.
const BETWEEN_BOXES: f64 = 18.0;
/// Room beside a line.
const BETWEEN_LINES: f64 = 9.0;
/// A line that goes across by less is made straight if it can be.
const NEARLY: f64 = 12.0;
/// The axes of all items, and from where to where each group goes.
pub(super) fn place(layered: &Layered, rows: &[Vec<usize>], groups: &[GroupIn]) -> (Vec<f64>, Vec<(f64, f64)>) {
    let constraints = constraints(layered, rows, groups);
    let variables = layered.items.len() + 2 * groups.len();
    let mut blocks = Blocks::new(variables, constraints);
    for segment in straight(layered, rows) {
        let segment = &layered.segments[segment];
        blocks.join(segment.from, segment.to, segment.offset);
    }
    let mut found = blocks.relax(layered, groups.len());
    // What is nearly straight looks like a mistake.
    for segment in nearly_straight(layered, &found) {
        let segment = &layered.segments[segment];
        blocks.join(segment.from, segment.to, segment.offset);
    }
    found = blocks.relax(layered, groups.len());
    let (items, frames) = found.split_at(layered.items.len());
    (items.to_vec(), frames.chunks(2).map(|frame| (frame[0], frame[1])).collect())
}

/// What the order asks for. Variables are the items, then the upper and the lower border of each group.
fn constraints(layered: &Layered, rows: &[Vec<usize>], groups: &[GroupIn]) -> Vec<Apart> {
    let count = layered.items.len();
    let (top, bottom) = (|group: usize| count + 2 * group, |group: usize| count + 2 * group + 1);
    let path = |item: Option<usize>| {
        let group = item.and_then(|item| layered.items[item].group);
        let mut path: Vec<usize> = std::iter::successors(group, |group| groups[*group].parent).collect();
        path.reverse();
        path
    };
    let mut found = Vec::new();
    for row in rows {
        let neighbours = std::iter::once(None).chain(row.iter().copied().map(Some));
        for (one, other) in neighbours.zip(row.iter().copied().map(Some).chain([None])) {
            let (left, right) = (path(one), path(other));
            let shared = left.iter().zip(&right).take_while(|(left, right)| left == right).count();
            // Out of the groups of the one, innermost first.
            let mut upper = one.map(|item| (item, layered.items[item].below, layered.items[item].what));
            for group in left[shared..].iter().rev() {
                if let Some((variable, below, _)) = upper {
                    found.push(Apart { upper: variable, lower: bottom(*group), by: below + PAD });
                }
                upper = Some((bottom(*group), 0.0, What::Box));
            }
            // Into those of the other, outermost first.
            for group in &right[shared..] {
                if let Some((variable, below, what)) = upper {
                    let room = if what == What::Bend { BETWEEN_LINES } else { BETWEEN_BOXES };
                    // The border of the group that the last one entered was: its title and its room.
                    let room = if variable >= count && (variable - count).is_multiple_of(2) { below } else { below + room };
                    found.push(Apart { upper: variable, lower: top(*group), by: room });
                }
                upper = Some((top(*group), PAD + groups[*group].head_across, What::Gap));
            }
            if let (Some((variable, below, what)), Some(item)) = (upper, other) {
                let item_is = layered.items[item].what;
                let entered = variable >= count && (variable - count).is_multiple_of(2);
                let room = match (what, item_is) {
                    _ if entered => 0.0,
                    (What::Bend, _) | (_, What::Bend) => BETWEEN_LINES,
                    _ => BETWEEN_BOXES,
                };
                found.push(Apart { upper: variable, lower: item, by: below + room + layered.items[item].above });
            }
        }
    }
    found
}

/// The segments that should be straight, the most important first.
fn straight(layered: &Layered, rows: &[Vec<usize>]) -> Vec<usize> {
    let mut at = vec![0; layered.items.len()];
    rows.iter().flat_map(|row| row.iter().enumerate()).for_each(|(place, item)| at[*item] = place);
    let (mut into, mut out) = (vec![Vec::new(); at.len()], vec![Vec::new(); at.len()]);
    for (index, segment) in layered.segments.iter().enumerate() {
        into[segment.to].push(index);
        out[segment.from].push(index);
    }
    into.iter_mut().for_each(|list| list.sort_by_key(|segment| at[layered.segments[*segment].from]));
    out.iter_mut().for_each(|list| list.sort_by_key(|segment| at[layered.segments[*segment].to]));
    let mut wanted: Vec<(usize, usize)> = Vec::new();
    for (index, segment) in layered.segments.iter().enumerate() {
        let bends = [segment.from, segment.to].iter().filter(|item| layered.items[**item].what == What::Bend).count();
        let (into, out) = (&into[segment.to], &out[segment.from]);
        // The only main line of several, or the middle one.
        let chosen = |list: &[usize]| {
            let mut mains = list.iter().filter(|other| layered.segments[**other].main);
            match (mains.next(), mains.next()) {
                (Some(main), None) => *main == index,
                _ => list.len() % 2 == 1 && list[list.len() / 2] == index,
            }
        };
        // The only one that starts at its place.
        let alone = |list: &[usize]| list.iter().filter(|other| layered.segments[**other].port == segment.port).count() == 1;
        let class = match (bends, chosen(into), chosen(out)) {
            (2, ..) => 0,
            (_, true, true) if segment.main => 1,
            (_, true, true) => 2,
            (1, true, _) | (1, _, true) => 3,
            (_, true, _) if into.len() == 1 && alone(out) => 4,
            _ => continue,
        };
        wanted.push((class, index));
    }
    wanted.sort_unstable();
    wanted.into_iter().map(|(_, segment)| segment).collect()
}

/// The segments that go across by little, those by the least first.
fn nearly_straight(layered: &Layered, places: &[f64]) -> Vec<usize> {
    let by = |segment: &Segment| (places[segment.to] - places[segment.from] - segment.offset).abs();
    // Of lines that start together none is straight for being near.
    let mut starts: HashMap<(usize, usize), usize> = HashMap::new();
    layered.segments.iter().for_each(|segment| *starts.entry((segment.from, segment.port)).or_insert(0) += 1);
    let alone = |segment: &&Segment| starts[&(segment.from, segment.port)] == 1;
    let near = layered.segments.iter().enumerate().filter(|(_, segment)| alone(segment) && by(segment) <= NEARLY);
    let mut near: Vec<(bool, f64, usize)> = near.map(|(index, segment)| (!segment.main, by(segment), index)).collect();
    near.sort_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)).then(one.2.cmp(&other.2)));
    near.into_iter().map(|(_, _, segment)| segment).collect()
}
