//! Places along the flow, and the ways of the lines between them.

use std::ops::Range;

use super::tables::Tap;
use super::{Input, Layered, Layout, PAD, Place, Point, Route, What};

/// Straight room before a box, for the head of an arrow.
const ARROW: f64 = 12.0;
/// Room between a box and the labels behind it, and behind these.
const LABEL_GAP: f64 = 6.0;
/// How long the way between two ranks is: at least, at most, and by how much longer for each unit that a line goes across.
const WAY: Range<f64> = 22.0..200.0;
const SLOPE: f64 = 0.28;
/// Room for a line to a table, before the boxes of a rank.
const LANE: f64 = 8.0;

/// Where the parts of a rank are along the flow: lanes to tables, then arrows, then boxes, then labels.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub lanes: f64,
    pub boxes: Range<f64>,
    pub labels: f64,
    /// Where lines may turn before it, and behind it.
    pub enter: f64,
    pub leave: f64,
}

impl Column {
    /// Where a lane runs.
    pub(super) fn lane(&self, lane: usize) -> f64 {
        self.lanes + LANE * (lane as f64 + 0.5)
    }
}

/// Of no rank so far.
const NOTHING: Range<usize> = Range { start: usize::MAX, end: 0 };

/// From which rank to which each group goes, and how far its frame is from these columns.
struct Frame {
    ranks: Range<usize>,
    before: f64,
    after: f64,
}

pub(super) fn columns(layered: &Layered, input: &Input, axes: &[f64], taps: &[Tap]) -> Vec<Column> {
    let frames = frames(layered, input);
    let mut columns: Vec<Column> = Vec::with_capacity(layered.ranks);
    let mut at = 0.0;
    for rank in 0..layered.ranks {
        let boxes = || (0..input.boxes.len()).filter(|one| layered.items[*one].rank == rank);
        let before = frames.iter().filter(|frame| frame.ranks.start == rank).map(|frame| frame.before).fold(0.0, f64::max);
        let after = frames.iter().filter(|frame| frame.ranks.end == rank + 1).map(|frame| frame.after).fold(0.0, f64::max);
        let lanes = taps
            .iter()
            .filter(|tap| tap.rank == rank)
            .filter_map(|tap| tap.lane)
            .max()
            .map_or(0.0, |last| LANE * (last as f64 + 1.0));
        let along = boxes().map(|one| input.boxes[one].extent.along).fold(0.0, f64::max);
        let label = input.lines.iter().filter(|line| layered.items[line.from].rank == rank).map(|line| line.label.along);
        let label = label.fold(0.0, f64::max);
        let enter = at;
        let lanes_at = enter + before;
        let start = lanes_at + lanes + if rank == 0 { 0.0 } else { ARROW };
        let end = start + along;
        let labels = if label > 0.0 { end + LABEL_GAP + label + LABEL_GAP } else { end };
        let leave = labels + after;
        let across = layered.segments.iter().filter(|segment| layered.items[segment.from].rank == rank);
        let across = across.map(|segment| (axes[segment.to] - axes[segment.from] - segment.offset).abs()).fold(0.0, f64::max);
        at = (leave + (WAY.start + SLOPE * across).min(WAY.end)).round();
        columns.push(Column { lanes: lanes_at, boxes: start..end, labels, enter, leave });
    }
    columns
}

fn frames(layered: &Layered, input: &Input) -> Vec<Frame> {
    let mut frames: Vec<Frame> =
        input.groups.iter().map(|group| Frame { ranks: NOTHING, before: PAD + group.head_along, after: PAD }).collect();
    for item in &layered.items {
        for group in std::iter::successors(item.group, |group| input.groups[*group].parent) {
            let ranks = &mut frames[group].ranks;
            *ranks = ranks.start.min(item.rank)..ranks.end.max(item.rank + 1);
        }
    }
    for group in (0..frames.len()).rev() {
        if let Some(parent) = input.groups[group].parent {
            let (before, after) = (frames[group].before, frames[group].after);
            if frames[group].ranks.start == frames[parent].ranks.start {
                frames[parent].before = frames[parent].before.max(PAD + input.groups[parent].head_along + before);
            }
            if frames[group].ranks.end == frames[parent].ranks.end {
                frames[parent].after = frames[parent].after.max(PAD + after);
            }
        }
    }
    frames
}

/// Boxes, lines and frames in their places.
pub(super) fn draw(layered: &Layered, input: &Input, axes: &[f64], groups: &[(f64, f64)], columns: &[Column]) -> Layout {
    let mut layout = Layout {
        along: 0.0,
        across: 0.0,
        boxes: Vec::new(),
        axes: axes[..input.boxes.len()].to_vec(),
        lines: Vec::new(),
        tables: Vec::new(),
        uses: Vec::new(),
        groups: Vec::new(),
        titles: Vec::new(),
    };
    for (item, axis) in layered.items.iter().zip(axes).filter(|(item, _)| item.what == What::Box) {
        layout.boxes.push(Place { along: columns[item.rank].boxes.clone(), across: axis - item.above..axis + item.below });
    }
    for (line, way) in input.lines.iter().zip(&layered.ways) {
        let mut points: Vec<Point> = Vec::with_capacity(2 * way.len() + 2);
        for segment in way.iter().map(|segment| &layered.segments[*segment]) {
            let (column, next) = (&columns[layered.items[segment.from].rank], &columns[layered.items[segment.to].rank]);
            let start = axes[segment.from] + segment.offset;
            if points.is_empty() {
                points.push((column.boxes.end, start));
            }
            points.push((column.leave, start));
            points.push((next.enter, axes[segment.to]));
        }
        let to = columns[layered.items[line.to].rank].boxes.start;
        points.push((to, axes[line.to]));
        let (along, across) = points[0];
        let label = (line.label.along > 0.0).then_some(Place {
            along: along + LABEL_GAP..along + LABEL_GAP + line.label.along,
            across: across - line.label.above..across + line.label.below,
        });
        layout.lines.push(Route { points, label });
    }
    for ((frame, group), across) in frames(layered, input).iter().zip(&input.groups).zip(groups) {
        let (first, last) = (&columns[frame.ranks.start], &columns[frame.ranks.end - 1]);
        let place = Place { along: first.lanes - frame.before..last.labels + frame.after, across: across.0..across.1 };
        // Where neither lines to tables nor lines between boxes run.
        let next = columns.get(frame.ranks.start + 1).filter(|_| frame.ranks.len() > 1);
        let title = if group.head_along > 0.0 {
            let lines = input.lines.iter().zip(&layered.ways).filter(|(line, _)| layered.items[line.to].rank == frame.ranks.start);
            let axis = lines.map(|(line, _)| axes[line.to]).filter(|axis| *axis > across.0 && *axis < across.1);
            let end = axis.fold(across.1, f64::min);
            Place { along: place.along.start..place.along.start + group.head_along, across: across.0 + PAD..end - LABEL_GAP }
        } else {
            let end = next.map_or(last.labels, |next| next.lanes);
            Place { along: first.boxes.start..end, across: across.0..across.0 + group.head_across + PAD }
        };
        layout.groups.push(place);
        layout.titles.push(title);
    }
    layout
}
