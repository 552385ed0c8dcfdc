//! Tables of text in columns.

use std::io;
use std::sync::LazyLock;

use crate::terminal::{Style, paint};

/// The longest line of prose.
const LONGEST: usize = 100;

/// A table that is as wide as it must be.
#[derive(Debug)]
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    // From this column on, figures stand at the right; the last column of words is not padded.
    figures: std::ops::Range<usize>,
    // Columns that a narrow terminal does not see, the first to go first.
    spare: &'static [usize],
}

impl Table {
    /// A table with these headings, of which those in `figures` have numbers below.
    pub fn new(headings: &[&'static str], figures: std::ops::Range<usize>) -> Table {
        Table { headings: headings.to_vec(), rows: Vec::new(), figures, spare: &[] }
    }

    /// Columns that are left out, in this order, as far as a terminal is too narrow for all.
    pub fn spare(mut self, columns: &'static [usize]) -> Table {
        self.spare = columns;
        self
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as lines, each with its line break.
    pub fn render(&self, colour: bool) -> String {
        self.render_in(colour, columns())
    }

    fn render_in(&self, colour: bool, room: Option<usize>) -> String {
        let headings: Vec<String> = self.headings.iter().map(|heading| (*heading).into()).collect();
        let width = |column: usize| self.rows.iter().chain([&headings]).map(|row| row[column].chars().count()).max().unwrap_or(0);
        let mut shown: Vec<(usize, usize)> = (0..headings.len()).map(|column| (column, width(column))).collect();
        for spare in self.spare {
            let wide = shown.iter().map(|(_, width)| width + 2).sum::<usize>() - 2;
            if room.is_some_and(|room| wide > room) {
                shown.retain(|(column, _)| column != spare);
            }
        }
        let mut text = paint(&self.line(&headings, &shown), Style::Bold, colour);
        text.push('\n');
        for row in &self.rows {
            text.push_str(&self.line(row, &shown));
            text.push('\n');
        }
        text
    }

    fn line(&self, row: &[String], shown: &[(usize, usize)]) -> String {
        let cell = |&(column, width): &(usize, usize)| {
            let cell = &row[column];
            if self.figures.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        };
        shown.iter().map(cell).collect::<Vec<_>>().join("  ").trim_end().into()
    }
}

/// How wide the terminal is that data goes to. Of what is no terminal, nobody knows.
fn columns() -> Option<usize> {
    static COLUMNS: LazyLock<Option<usize>> = LazyLock::new(|| {
        let columns = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
        Some(columns).filter(|columns| *columns > 0)
    });
    *COLUMNS
}

/// How long lines of prose are there: no longer than can be read.
fn width() -> Option<usize> {
    columns().map(|columns| columns.clamp(40, LONGEST))
}

/// A text in lines that are indented, and not longer than a terminal is wide.
pub fn wrap(text: &str, indent: usize) -> String {
    wrap_in(text, indent, width().unwrap_or(LONGEST))
}

/// What is said behind something that takes so many columns: where a terminal has no room for it there, it goes on below, indented.
pub fn beside(text: &str, taken: usize, indent: usize) -> String {
    beside_in(text, (taken, indent), width())
}

fn beside_in(text: &str, (taken, indent): (usize, usize), width: Option<usize>) -> String {
    match width {
        Some(width) if taken + text.chars().count() > width => format!("\n{}", wrap_in(text, indent, width)),
        _ => text.into(),
    }
}

fn wrap_in(text: &str, indent: usize, width: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let length = lines[last].chars().count();
        if length > 0 && indent + length + 1 + word.chars().count() > width {
            lines.push(word.into());
        } else {
            if length > 0 {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    let indented: Vec<String> = lines.iter().map(|line| format!("{:indent$}{line}", "")).collect();
    indented.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["NODE", "PACKETS", "MEANING"], 1..2);
        table.row(["größe".into(), "1".into(), "a".into()]);
        table.row(["x".into(), "12,345,678".into(), "longer".into()]);
        let lines = ["NODE      PACKETS  MEANING", "größe           1  a", "x      12,345,678  longer", ""];
        assert_eq!(table.render(false), lines.join("\n"));
        assert!(table.render(true).starts_with("\x1b[1mNODE"));
    }

    #[test]
    fn a_narrow_terminal_sees_fewer_columns() {
        let mut table = Table::new(&["NODE", "PACKETS", "KIND", "MEANING"], 1..2).spare(&[3, 2]);
        table.row(["x".into(), "12".into(), "ip4-lookup".into(), "what it means".into()]);
        let all = "NODE  PACKETS  KIND        MEANING\nx          12  ip4-lookup  what it means\n";
        assert_eq!([None, Some(40)].map(|room| table.render_in(false, room)), [all; 2]);
        assert_eq!(table.render_in(false, Some(39)), "NODE  PACKETS  KIND\nx          12  ip4-lookup\n");
        for room in [24, 1] {
            assert_eq!(table.render_in(false, Some(room)), "NODE  PACKETS\nx          12\n");
        }
    }

    #[test]
    fn prose_keeps_to_the_width() {
        let text = "a new session, as 203.0.113.2:20001, of 1 that it has";
        assert_eq!(wrap_in(text, 2, 30), "  a new session, as\n  203.0.113.2:20001, of 1 that\n  it has");
        assert_eq!(beside_in(text, (40, 4), Some(80)), format!("\n    {text}"));
        assert_eq!(beside_in(text, (20, 4), Some(80)), text);
        assert_eq!(beside_in(text, (40, 4), None), text);
        assert_eq!(wrap_in("198.51.100.100/32", 4, 10), "    198.51.100.100/32");
    }
}
