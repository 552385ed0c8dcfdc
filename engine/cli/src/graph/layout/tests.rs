//! What must hold for every drawing, whatever the graph.

use proptest::prelude::*;

use super::*;

const NODE: Extent = Extent { along: 90.0, above: 21.0, below: 21.0 };
/// Labels from left to right, and from top to bottom.
const LABELS: [Extent; 2] = [Extent { along: 40.0, above: 14.0, below: 3.0 }, Extent { along: 14.0, above: 3.0, below: 50.0 }];

/// A random graph: lines lead to later boxes, groups are nested.
fn graph() -> impl Strategy<Value = Input> {
    let line = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4usize, any::<bool>());
    let group = (any::<prop::sample::Index>(), any::<bool>());
    let boxes = prop::collection::vec((prop::option::of(any::<prop::sample::Index>()), 40..200u16, 20..60u16), 1..40);
    let tables =
        prop::collection::vec(prop::collection::btree_set(any::<prop::sample::Index>().prop_map(|at| at.index(40)), 0..6), 0..4);
    let parts = (boxes, prop::collection::vec(line, 0..80), prop::collection::vec(group, 0..5), tables, 0..2usize);
    parts.prop_map(|(boxes, lines, groups, tables, way)| {
        let count = boxes.len();
        let groups: Vec<GroupIn> = groups
            .iter()
            .enumerate()
            .map(|(at, (outer, nested))| GroupIn {
                parent: (*nested && at > 0).then(|| outer.index(at.max(1))),
                head_along: [0.0, 10.0][way],
                head_across: [10.0, 25.0][way],
            })
            .collect();
        let boxes = boxes.iter().map(|(group, along, below)| BoxIn {
            extent: Extent { along: f64::from(*along), above: 21.0, below: f64::from(*below) },
            group: group.filter(|_| !groups.is_empty()).map(|group| group.index(groups.len())),
            last: false,
        });
        let boxes = boxes.collect();
        let mut wired: Vec<LineIn> = Vec::new();
        for (one, other, port, main) in lines {
            let (one, other) = (one.index(count), other.index(count));
            let (from, to) = (one.min(other), one.max(other));
            let main = main && !wired.iter().any(|line| line.from == from && line.main);
            if from != to && !wired.iter().any(|line| line.from == from && line.port == port) {
                let label = if main { Extent::default() } else { LABELS[way] };
                wired.push(LineIn { from, to, port, main, label });
            }
        }
        let users = |users: std::collections::BTreeSet<usize>| users.into_iter().filter(|user| *user < count).collect();
        let tables = tables.into_iter().map(|all| TableIn { along: 100.0, across: 48.0, users: users(all) }).collect();
        // Groups without boxes do not exist.
        let mut input = Input { boxes, lines: wired, tables, groups };
        drop_empty_groups(&mut input);
        input
    })
}

fn drop_empty_groups(input: &mut Input) {
    let used = |group: usize, input: &Input| {
        input
            .boxes
            .iter()
            .any(|one| std::iter::successors(one.group, |group| input.groups[*group].parent).any(|outer| outer == group))
    };
    let kept: Vec<usize> = (0..input.groups.len()).filter(|group| used(*group, input)).collect();
    let new = |old: usize| kept.iter().position(|group| *group == old);
    input.groups =
        kept.iter().map(|old| GroupIn { parent: input.groups[*old].parent.and_then(new), ..input.groups[*old].clone() }).collect();
    input.boxes.iter_mut().for_each(|one| one.group = one.group.and_then(new));
}

fn overlap(one: &Place, other: &Place) -> bool {
    let meet = |one: &Range<f64>, other: &Range<f64>| one.start < other.end && other.start < one.end;
    meet(&one.along, &other.along) && meet(&one.across, &other.across)
}

fn inside(one: &Place, other: &Place) -> bool {
    let within = |one: &Range<f64>, other: &Range<f64>| other.start <= one.start && one.end <= other.end;
    within(&one.along, &other.along) && within(&one.across, &other.across)
}

/// A curve between two heights stays between them, and is no wider than the way between its ends.
fn touches(points: &[Point], place: &Place) -> bool {
    points.windows(2).any(|pair| {
        let (one, other) = (pair[0], pair[1]);
        let along = one.0.min(other.0) < place.along.end && place.along.start < one.0.max(other.0);
        let same = one.1 == other.1 && place.across.start < one.1 && one.1 < place.across.end;
        let across = one.1.min(other.1) < place.across.end && place.across.start < one.1.max(other.1);
        // Right angles of lines to tables.
        let up = one.0 == other.0 && place.along.start < one.0 && one.0 < place.along.end && across;
        (along && same) || up || (one.1 != other.1 && along && across)
    })
}

fn check(input: &Input, layout: &Layout) -> Result<(), TestCaseError> {
    let labels: Vec<&Place> = layout.lines.iter().filter_map(|line| line.label.as_ref()).collect();
    let solid: Vec<&Place> = layout.boxes.iter().chain(&layout.tables).chain(labels.iter().copied()).collect();
    for (at, one) in solid.iter().enumerate() {
        prop_assert!(
            one.along.start >= 0.0 && one.along.end <= layout.along && one.across.start >= 0.0 && one.across.end <= layout.across
        );
        for other in &solid[at + 1..] {
            prop_assert!(!overlap(one, other), "{one:?} {other:?}");
        }
    }
    for (line, route) in input.lines.iter().zip(&layout.lines) {
        let (from, to) = (&layout.boxes[line.from], &layout.boxes[line.to]);
        let (start, end) = (route.points[0], route.points[route.points.len() - 1]);
        prop_assert_eq!(start.0, from.along.end);
        prop_assert!(from.across.start < start.1 && start.1 < from.across.end);
        prop_assert_eq!(end, (to.along.start, layout.axes[line.to]));
        prop_assert!(to.across.start < end.1 && end.1 < to.across.end);
        prop_assert!(route.points.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{:?}", route.points);
        for place in layout.boxes.iter().chain(labels.iter().copied()) {
            // Its own label stands on the line: it touches its border only.
            prop_assert!(
                !touches(&route.points, &shrunk(place)) || route.label.as_ref() == Some(place),
                "{:?} {place:?}",
                route.points
            );
        }
    }
    for (table, user, points) in &layout.uses {
        let (table, user) = (&layout.tables[*table], &layout.boxes[*user]);
        let (start, end) = (points[0], points[points.len() - 1]);
        prop_assert!(start.1 == table.across.start && table.along.contains(&start.0));
        prop_assert!(
            end.1 == user.across.end && user.along.contains(&end.0) || end.0 == user.along.start && user.across.contains(&end.1)
        );
        for place in layout.boxes.iter().chain(labels.iter().copied()).chain(&layout.titles) {
            prop_assert!(!touches(points, place), "{points:?} {place:?}");
        }
    }
    let uses: usize = input.tables.iter().map(|table| table.users.len()).sum();
    prop_assert_eq!(layout.uses.len(), uses);
    let around = |group: Option<usize>| std::iter::successors(group, |group| input.groups[*group].parent);
    for (group, frame) in layout.groups.iter().enumerate() {
        for (one, place) in input.boxes.iter().zip(&layout.boxes) {
            let member = around(one.group).any(|outer| outer == group);
            prop_assert!(if member { inside(place, frame) } else { !overlap(place, frame) }, "{group} {frame:?} {place:?}");
            prop_assert!(!overlap(place, &layout.titles[group]));
        }
        for (other, place) in layout.groups.iter().enumerate().filter(|(other, _)| *other != group) {
            let (within, around_it) = (around(Some(other)).any(|one| one == group), around(Some(group)).any(|one| one == other));
            prop_assert!(
                !overlap(place, frame) || within && inside(place, frame) || around_it,
                "{group} {other} {frame:?} {place:?}"
            );
        }
    }
    Ok(())
}

fn shrunk(place: &Place) -> Place {
    Place { along: place.along.start + 0.1..place.along.end - 0.1, across: place.across.start + 0.1..place.across.end - 0.1 }
}

proptest! {
    #[test]
    fn nothing_lies_on_anything_else(input in graph()) {
        let layout = lay_out(&input);
        check(&input, &layout)?;
        prop_assert_eq!(&lay_out(&input), &layout);
    }
}

fn lines(pairs: &[(usize, usize)]) -> Input {
    let count = pairs.iter().map(|pair| pair.0.max(pair.1) + 1).max().unwrap_or(1);
    let boxes = vec![BoxIn { extent: NODE, group: None, last: false }; count];
    let line =
        |(port, (from, to)): (usize, &(usize, usize))| LineIn { from: *from, to: *to, port, main: false, label: Extent::default() };
    Input { boxes, lines: pairs.iter().enumerate().map(line).collect(), ..Input::default() }
}

#[test]
fn a_box_alone_has_a_margin_around_it() {
    let layout = lay_out(&lines(&[]));
    assert_eq!((layout.along, layout.across), (90.0 + 2.0 * MARGIN, 42.0 + 2.0 * MARGIN));
}

#[test]
fn a_chain_is_straight() {
    let layout = lay_out(&lines(&[(0, 1), (1, 2), (2, 3)]));
    assert!(layout.axes.iter().all(|axis| *axis == layout.axes[0]), "{:?}", layout.axes);
}

/// A long way beside a short one is straight as well, and the target stands on the short one.
#[test]
fn a_fan_is_symmetrical() {
    let layout = lay_out(&lines(&[(0, 3), (1, 3), (2, 3)]));
    assert_eq!(layout.axes[1], layout.axes[3]);
    assert_eq!(layout.axes[1] - layout.axes[0], layout.axes[2] - layout.axes[1]);
    let layout = lay_out(&lines(&[(0, 2), (1, 2)]));
    assert_eq!(layout.axes[0] + layout.axes[1], 2.0 * layout.axes[2]);
}

/// K(2,2) crosses once, whatever one does; two chains need not cross (Garey and Johnson 1983 speak of the minimum).
#[test]
fn lines_that_need_not_cross_do_not() {
    let crossed = lines(&[(0, 3), (1, 2), (2, 4), (3, 5)]);
    let layout = lay_out(&crossed);
    let up = |one: usize, other: usize| layout.axes[one] < layout.axes[other];
    assert_eq!(up(0, 1), up(3, 2));
    assert_eq!(up(3, 2), up(5, 4));
}
