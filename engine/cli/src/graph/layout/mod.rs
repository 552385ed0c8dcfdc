//! A layered drawing in the manner of Sugiyama (1981): ranks, an order within each that crosses few lines, and places.
//!
//! There are two directions: *along* the flow of packets and *across* it. A box has an axis along, on which its main line leaves and
//! all lines to it come in. Lines that lead to the same box run together as soon as they meet: they end in one inbox. Between two
//! ranks there are only lines; labels stand right behind the box that they belong to, where all lines are straight. So no line
//! runs through a box or a label, whatever the graph.

mod blocks;
mod columns;
mod order;
mod place;
mod ports;
mod ranks;
mod tables;

use std::ops::Range;

/// How much room something takes: along, and across on both sides of its axis.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Extent {
    pub along: f64,
    pub above: f64,
    pub below: f64,
}

/// A box to place.
#[derive(Debug, Clone)]
pub struct BoxIn {
    pub extent: Extent,
    /// The group that it is in.
    pub group: Option<usize>,
    /// Whether it stands in the last rank, whatever is before it.
    pub last: bool,
}

/// A line between boxes, the second of which comes later.
#[derive(Debug, Clone)]
pub struct LineIn {
    pub from: usize,
    pub to: usize,
    /// Lines of one box with the same port start at the same place.
    pub port: usize,
    /// Whether it leaves its box on the axis, if it can.
    pub main: bool,
    /// Its label; nothing along if it has none.
    pub label: Extent,
}

/// A table to place beside all ranks, with the boxes that use it.
#[derive(Debug, Clone)]
pub struct TableIn {
    pub along: f64,
    pub across: f64,
    pub users: Vec<usize>,
}

/// A frame around boxes. Outer ones come first.
#[derive(Debug, Clone)]
pub struct GroupIn {
    pub parent: Option<usize>,
    /// Room for its title, in the direction in which it takes any.
    pub head_along: f64,
    pub head_across: f64,
}

/// What is to be drawn.
#[derive(Debug, Clone, Default)]
pub struct Input {
    pub boxes: Vec<BoxIn>,
    pub lines: Vec<LineIn>,
    pub tables: Vec<TableIn>,
    pub groups: Vec<GroupIn>,
}

/// A place: from where to where along and across.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    pub along: Range<f64>,
    pub across: Range<f64>,
}

/// A point: along and across.
pub type Point = (f64, f64);

/// Where a line runs: straight between points on one height, curved between others.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    pub points: Vec<Point>,
    /// Where its label stands, if it has one.
    pub label: Option<Place>,
}

/// Where everything is.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    pub along: f64,
    pub across: f64,
    pub boxes: Vec<Place>,
    /// The axis of each box.
    pub axes: Vec<f64>,
    pub lines: Vec<Route>,
    pub tables: Vec<Place>,
    /// Between tables and their users: table, box, and a line of right angles.
    pub uses: Vec<(usize, usize, Vec<Point>)>,
    pub groups: Vec<Place>,
    /// Where the titles of groups may stand: no line runs there.
    pub titles: Vec<Place>,
}

/// Room around the drawing.
const MARGIN: f64 = 18.0;
/// Room between a frame and what is in it.
const PAD: f64 = 12.0;

/// Places everything.
pub fn lay_out(input: &Input) -> Layout {
    let mut layered = ranks::layer(input);
    let rows = order::order(&layered, &input.groups);
    ports::assign(&mut layered, input, &rows);
    let (axes, frames) = place::place(&layered, &rows, &input.groups);
    let taps = tables::tap(&layered, input, &rows);
    let columns = columns::columns(&layered, input, &axes, &taps);
    let mut layout = columns::draw(&layered, input, &axes, &frames, &columns);
    tables::draw(input, &taps, &columns, &mut layout);
    layout.shift();
    layout
}

impl Layout {
    /// Moves everything to where coordinates begin, and leaves a margin.
    fn shift(&mut self) {
        let places = || self.boxes.iter().chain(&self.tables).chain(&self.groups);
        let points = || self.lines.iter().flat_map(|line| &line.points).chain(self.uses.iter().flat_map(|(_, _, points)| points));
        let labels = || self.lines.iter().filter_map(|line| line.label.as_ref());
        let low = |one: fn(&Place) -> f64, other: fn(&Point) -> f64| {
            places().chain(labels()).map(one).chain(points().map(other)).fold(f64::INFINITY, f64::min)
        };
        let high = |one: fn(&Place) -> f64, other: fn(&Point) -> f64| {
            places().chain(labels()).map(one).chain(points().map(other)).fold(f64::NEG_INFINITY, f64::max)
        };
        let along = low(|place| place.along.start, |point| point.0) - MARGIN;
        let across = low(|place| place.across.start, |point| point.1) - MARGIN;
        self.along = high(|place| place.along.end, |point| point.0) + MARGIN - along;
        self.across = high(|place| place.across.end, |point| point.1) + MARGIN - across;
        let labels = self.lines.iter_mut().filter_map(|line| line.label.as_mut());
        for place in self.boxes.iter_mut().chain(&mut self.tables).chain(&mut self.groups).chain(&mut self.titles).chain(labels) {
            place.along = place.along.start - along..place.along.end - along;
            place.across = place.across.start - across..place.across.end - across;
        }
        self.axes.iter_mut().for_each(|axis| *axis -= across);
        let points = self.lines.iter_mut().flat_map(|line| &mut line.points);
        for point in points.chain(self.uses.iter_mut().flat_map(|(_, _, points)| points)) {
            *point = (point.0 - along, point.1 - across);
        }
    }
}

/// What stands in a rank.
#[derive(Debug, Clone)]
struct Item {
    rank: usize,
    group: Option<usize>,
    above: f64,
    below: f64,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A box of the input.
    Box,
    /// Where lines pass a rank.
    Bend,
    /// Nothing: a group passes a rank.
    Gap,
}

/// A part of one or more lines, from one rank to the next.
#[derive(Debug, Clone)]
struct Segment {
    from: usize,
    to: usize,
    port: usize,
    /// How far from the axis of `from` it starts.
    offset: f64,
    main: bool,
}

/// Everything in ranks. The first items are the boxes.
#[derive(Debug)]
struct Layered {
    ranks: usize,
    items: Vec<Item>,
    segments: Vec<Segment>,
    /// For each line its segments.
    ways: Vec<Vec<usize>>,
}

#[cfg(test)]
mod tests;
