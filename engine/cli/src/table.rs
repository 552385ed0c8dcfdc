//! Tables of text in columns.

use crate::terminal::{Style, paint};

/// A table that is as wide as it must be.
#[derive(Debug)]
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    // From this column on, figures stand at the right; the last column of words is not padded.
    figures: std::ops::Range<usize>,
}

impl Table {
    /// A table with these headings, of which those in `figures` have numbers below.
    pub fn new(headings: &[&'static str], figures: std::ops::Range<usize>) -> Table {
        Table { headings: headings.to_vec(), rows: Vec::new(), figures }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as lines, each with its line break.
    pub fn render(&self, colour: bool) -> String {
        let headings: Vec<String> = self.headings.iter().map(|heading| (*heading).into()).collect();
        let width = |column: usize| self.rows.iter().chain([&headings]).map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..headings.len()).map(width).collect();
        let mut text = paint(&self.line(&headings, &widths), Style::Bold, colour);
        text.push('\n');
        for row in &self.rows {
            text.push_str(&self.line(row, &widths));
            text.push('\n');
        }
        text
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let cells = row.iter().zip(widths).enumerate();
        let cells: Vec<String> = cells
            .map(
                |(column, (cell, &width))| {
                    if self.figures.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
                },
            )
            .collect();
        cells.join("  ").trim_end().into()
    }
}

/// A text in lines that are indented, and not longer than a terminal is wide.
pub fn wrap(text: &str, indent: usize) -> String {
    const WIDTH: usize = 100;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let length = lines[last].chars().count();
        if length > 0 && indent + length + 1 + word.chars().count() > WIDTH {
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
}
