//! Ports: where at a box its lines start.

use super::{Extent, Input, Layered};

/// Room between two lines of a box, at least.
const PITCH: f64 = 14.0;
/// Room between the outermost line and the border of the box.
const BORDER: f64 = 5.0;

/// Gives the lines of each box their places in the order of what they lead to, so that they do not cross. The box grows with them.
pub(super) fn assign(layered: &mut Layered, input: &Input, rows: &[Vec<usize>]) {
    let mut at = vec![0; layered.items.len()];
    rows.iter().flat_map(|row| row.iter().enumerate()).for_each(|(place, item)| at[*item] = place);
    let mut lines: Vec<Vec<usize>> = vec![Vec::new(); input.boxes.len()];
    input.lines.iter().enumerate().for_each(|(line, one)| lines[one.from].push(line));
    for (from, mut lines) in lines.into_iter().enumerate() {
        lines.sort_by_key(|line| (at[layered.segments[layered.ways[*line][0]].to], *line));
        let mut ports: Vec<(usize, Extent)> = Vec::new();
        for line in &lines {
            let line = &input.lines[*line];
            if !ports.iter().any(|(port, _)| *port == line.port) {
                ports.push((line.port, line.label));
            }
        }
        let main = lines.iter().find(|line| input.lines[**line].main).map(|line| input.lines[*line].port);
        let axis = ports.iter().position(|(port, _)| Some(*port) == main).unwrap_or(ports.len().saturating_sub(1) / 2);
        let mut offsets = vec![0.0; ports.len()];
        let pitch = |upper: usize| f64::max(PITCH, ports[upper].1.below + ports[upper + 1].1.above);
        (axis + 1..ports.len()).for_each(|port| offsets[port] = offsets[port - 1] + pitch(port - 1));
        (0..axis).rev().for_each(|port| offsets[port] = offsets[port + 1] - pitch(port));
        if let (Some((_, upper)), Some((_, lower))) = (ports.first(), ports.last()) {
            let item = &mut layered.items[from];
            item.above = item.above.max(upper.above.max(BORDER) - offsets[0]);
            item.below = item.below.max(lower.below.max(BORDER) + offsets[ports.len() - 1]);
        }
        for line in lines {
            let segment = &mut layered.segments[layered.ways[line][0]];
            segment.offset =
                ports.iter().zip(&offsets).find(|((port, _), _)| *port == segment.port).map_or(0.0, |(_, offset)| *offset);
        }
    }
}
