//! Tables that are as wide as they must be, and say less where a terminal is narrow.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Cell, Row, Table};

use super::draw::bold;

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    heading: &'static str,
    figures: bool,
    // The higher, the sooner it goes where there is no room; 0 never.
    goes: u8,
    // How narrow it may be, cut off, before another one goes.
    least: Option<u16>,
}

impl Column {
    /// One of words.
    pub fn words(heading: &'static str) -> Column {
        Column { heading, figures: false, goes: 0, least: None }
    }

    /// One of figures, which stand at the right.
    pub fn figures(heading: &'static str) -> Column {
        Column { heading, figures: true, goes: 0, least: None }
    }

    /// Which may be left out; those of the highest number first.
    pub fn goes(mut self, goes: u8) -> Column {
        self.goes = goes;
        self
    }

    /// Whose words may be cut off behind so many letters before a column is left out.
    pub fn down_to(mut self, least: u16) -> Column {
        self.least = Some(least);
        self
    }
}

/// A table.
#[derive(Debug)]
pub struct Columns {
    columns: Vec<Column>,
    rows: Vec<Vec<(String, Style)>>,
}

impl Columns {
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Columns {
        Columns { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| (cell, Style::default())).collect());
    }

    /// Gives a cell of the last row another look.
    pub fn style_last(&mut self, column: usize, style: Style) {
        if let Some((_, of)) = self.rows.last_mut().and_then(|row| row.get_mut(column)) {
            *of = style;
        }
    }

    /// The columns that there is room for, and how wide each is.
    fn widths(&self, room: u16) -> Vec<(usize, u16)> {
        let natural = |at: usize| {
            let cells = self.rows.iter().map(|row| row[at].0.chars().count());
            cells.chain([self.columns[at].heading.chars().count()]).max().unwrap_or(0) as u16
        };
        let mut all: Vec<(usize, u16)> = (0..self.columns.len()).map(|at| (at, natural(at))).collect();
        loop {
            let between = all.len().saturating_sub(1) as u16;
            let wide = all.iter().map(|(_, width)| *width).sum::<u16>() + between;
            let Some(over) = wide.checked_sub(room).filter(|over| *over > 0) else { return all };
            let may_give = |(at, width): &(usize, u16)| self.columns[*at].least.map_or(0, |least| width.saturating_sub(least));
            if all.iter().map(may_give).sum::<u16>() >= over {
                let mut over = over;
                for one in all.iter_mut().rev() {
                    let give = may_give(one).min(over);
                    one.1 -= give;
                    over -= give;
                }
                return all;
            }
            let first = all.iter().enumerate().max_by_key(|(number, (at, _))| (self.columns[*at].goes, *number));
            match first {
                Some((number, (at, _))) if self.columns[*at].goes > 0 => _ = all.remove(number),
                // The narrowest terminal shows the beginning of names, and figures.
                _ => {
                    all[0].1 = all[0].1.saturating_sub(over).max(4);
                    return all;
                }
            }
        }
    }

    /// Draws it; what there are too many rows for is told by their number.
    pub fn render(&self, frame: &mut Frame<'_>, area: Rect) {
        let widths = self.widths(area.width);
        // As in other tables, where there is room for it.
        let wide = widths.iter().map(|(_, width)| width + 2).sum::<u16>() <= area.width;
        let room = usize::from(area.height.saturating_sub(1));
        let shown = if self.rows.len() > room { room.saturating_sub(1) } else { room };
        let cell = |at: usize, width: u16, (text, style): &(String, Style)| {
            let text = cut(text, width.into());
            let line = if self.columns[at].figures { Line::from(text).right_aligned() } else { Line::from(text) };
            Cell::from(line).style(*style)
        };
        let row = |cells: &Vec<(String, Style)>| Row::new(widths.iter().map(|(at, width)| cell(*at, *width, &cells[*at])));
        let header =
            Row::new(widths.iter().map(|(at, width)| cell(*at, *width, &(self.columns[*at].heading.to_owned(), Style::default()))));
        let table = Table::new(self.rows.iter().take(shown).map(row), widths.iter().map(|(_, width)| Constraint::Length(*width)));
        frame.render_widget(table.header(header.style(bold())).column_spacing(if wide { 2 } else { 1 }), area);
        if shown < self.rows.len() && area.height > 1 {
            let last = Rect { y: area.y + area.height - 1, height: 1, ..area };
            frame.render_widget(Line::from(format!("… and {} more", self.rows.len() - shown)), last);
        }
    }
}

/// A text of so many letters at most; where it was longer, the last one says so.
fn cut(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => text.into(),
    }
}
