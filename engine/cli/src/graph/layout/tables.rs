//! Tables stand below all ranks. A line goes straight up to a box that has none below it, and to others by a lane before their rank.

use super::columns::Column;
use super::{Input, Layered, Layout, Place, Point, What};

/// Room between the ranks and the tables, and between two tables.
const BELOW: f64 = 30.0;
const BETWEEN: f64 = 22.0;
/// Room between two lines that run along.
const BUS: f64 = 9.0;
/// How near to its corner a line may leave a table or a box.
const CORNER: f64 = 10.0;

/// Where a box is tapped by a line to a table.
#[derive(Debug, Clone)]
pub(super) struct Tap {
    pub table: usize,
    pub user: usize,
    pub rank: usize,
    /// The lane by which the line comes; none if it comes from below.
    pub lane: Option<usize>,
    /// Which of how many lines to tables this is at its box.
    nth: (usize, usize),
}

/// Decides how the line to each user of each table goes.
pub(super) fn tap(layered: &Layered, input: &Input, rows: &[Vec<usize>]) -> Vec<Tap> {
    let is_box = |item: &&usize| layered.items[**item].what == What::Box;
    let lowest: Vec<Option<usize>> = rows.iter().map(|row| row.iter().rev().find(is_box).copied()).collect();
    let mut lanes: Vec<Vec<usize>> = vec![Vec::new(); layered.ranks];
    let mut count = vec![0; input.boxes.len()];
    let mut taps: Vec<Tap> = Vec::new();
    // In the order in which they will stand, so that few lines cross.
    let middle = |table: usize| {
        let users = &input.tables[table].users;
        users.iter().map(|user| layered.items[*user].rank).sum::<usize>() as f64 / users.len() as f64
    };
    let mut order: Vec<usize> = (0..input.tables.len()).collect();
    order.sort_by(|one, other| middle(*one).total_cmp(&middle(*other)));
    for table in order {
        for &user in &input.tables[table].users {
            let rank = layered.items[user].rank;
            let lane = (lowest[rank] != Some(user)).then(|| {
                let lanes = &mut lanes[rank];
                lanes.iter().position(|other| *other == table).unwrap_or_else(|| {
                    lanes.push(table);
                    lanes.len() - 1
                })
            });
            taps.push(Tap { table, user, rank, lane, nth: (count[user], 0) });
            count[user] += 1;
        }
    }
    taps.iter_mut().for_each(|tap| tap.nth.1 = count[tap.user]);
    taps
}

/// Places the tables, and draws the lines to them.
pub(super) fn draw(input: &Input, taps: &[Tap], columns: &[Column], layout: &mut Layout) {
    if input.tables.is_empty() {
        return;
    }
    let share = |tap: &Tap| (tap.nth.0 as f64 + 1.0) / (tap.nth.1 as f64 + 1.0);
    let along = |tap: &Tap| match tap.lane {
        Some(lane) => columns[tap.rank].lane(lane),
        None => {
            let place = &layout.boxes[tap.user].along;
            (place.start + (place.end - place.start) * share(tap)).round()
        }
    };
    let of = |table: usize| taps.iter().filter(move |tap| tap.table == table);
    let places = spread(input, &|table| {
        let all: Vec<f64> = of(table).map(along).collect();
        if all.is_empty() { f64::INFINITY } else { all.iter().sum::<f64>() / all.len() as f64 }
    });
    let straight = |table: usize| {
        let start = places[table] + CORNER..=places[table] + input.tables[table].along - CORNER;
        of(table).all(|tap| start.contains(&along(tap)))
    };
    let lines = layout.lines.iter().flat_map(|line| &line.points).map(|point| point.1);
    let ends = layout.boxes.iter().chain(&layout.groups).map(|place| place.across.end);
    let below = ends.chain(lines).fold(f64::NEG_INFINITY, f64::max) + BELOW;
    let mut order: Vec<usize> = (0..input.tables.len()).collect();
    order.sort_by(|one, other| places[*one].total_cmp(&places[*other]));
    let buses: Vec<usize> = order.into_iter().filter(|table| !straight(*table)).collect();
    let top = below + BUS * buses.len() as f64;
    for (table, one) in input.tables.iter().enumerate() {
        let place = Place { along: places[table]..places[table] + one.along, across: top..top + one.across };
        let bus = buses.iter().position(|other| *other == table).map(|bus| below + BUS * bus as f64);
        let stem = stem(&place, of(table).map(along), taps.iter().filter(|tap| tap.table != table).map(along));
        for tap in of(table) {
            let user = &layout.boxes[tap.user];
            let at = along(tap);
            let mut points: Vec<Point> = match bus {
                Some(bus) if at != stem => vec![(stem, top), (stem, bus), (at, bus)],
                _ => vec![(at, top)],
            };
            match tap.lane {
                None => points.push((at, user.across.end)),
                Some(_) => {
                    // Between the arrow on the axis and the corner.
                    let (axis, end) = (layout.axes[tap.user] + 8.0, user.across.end - 3.0);
                    let across = (axis + (end - axis) * share(tap)).round();
                    points.extend([(at, across), (user.along.start, across)]);
                }
            }
            layout.uses.push((table, tap.user, points));
        }
        layout.tables.push(place);
    }
}

/// Where the line of a table leaves it: straight below one of its users, and not on another table's line.
fn stem(place: &Place, own: impl Iterator<Item = f64>, others: impl Iterator<Item = f64>) -> f64 {
    let (start, end) = (place.along.start + CORNER, place.along.end - CORNER);
    let middle = ((start + end) / 2.0).round();
    let others: Vec<f64> = others.collect();
    let own = own.filter(|at| (start..=end).contains(at));
    let steps = (0..).map(|step| 4.0 * f64::from(step)).take_while(|step| middle + step <= end);
    let free = |at: &f64| others.iter().all(|other| (other - at).abs() >= 4.0);
    let tries = steps.flat_map(|step| [middle + step, middle - step]);
    own.min_by(|one, other| (one - middle).abs().total_cmp(&(other - middle).abs()))
        .or_else(|| tries.into_iter().find(free))
        .unwrap_or(middle)
}

/// Where each table starts along: as near to the middle of its users as the others permit.
fn spread(input: &Input, middle: &dyn Fn(usize) -> f64) -> Vec<f64> {
    let mut wish: Vec<(f64, usize)> = (0..input.tables.len()).map(|table| (middle(table), table)).collect();
    wish.sort_by(|one, other| one.0.total_cmp(&other.0));
    let last = wish.iter().map(|(at, _)| *at).filter(|at| at.is_finite()).fold(0.0, f64::max);
    let along = |table: usize| input.tables[table].along;
    let mut starts: Vec<f64> =
        wish.iter().map(|(at, table)| if at.is_finite() { *at } else { last } - along(*table) / 2.0).collect();
    let (mut right, mut left) = (starts.clone(), starts.clone());
    for at in 1..wish.len() {
        right[at] = right[at].max(right[at - 1] + along(wish[at - 1].1) + BETWEEN);
    }
    for at in (1..wish.len()).rev() {
        left[at - 1] = left[at - 1].min(left[at] - along(wish[at - 1].1) - BETWEEN);
    }
    for ((_, table), (right, left)) in wish.iter().zip(right.iter().zip(&left)) {
        starts[*table] = ((right + left) / 2.0).round();
    }
    starts
}
