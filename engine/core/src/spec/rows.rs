//! Long lists: what stands in files of data is kept as it stands there, and becomes values when somebody wants them.

use std::borrow::Cow;

use serde::ser::{Serialize, Serializer};

use super::records::{Record, Records};
use super::source::Span;
use super::value::{Node, Value};

/// A list of which parts stand in files.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows(Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Values(Vec<Value>),
    Records(Records),
}

/// One entry of a list.
#[derive(Debug, Clone, Copy)]
pub enum Row<'a> {
    /// A value.
    Value(&'a Value),
    /// A line of a file.
    Record(Record<'a>),
}

/// A list in either form.
#[derive(Debug, Clone, Copy)]
pub enum List<'a> {
    /// Values.
    Seq(&'a [Value]),
    /// Rows.
    Rows(&'a Rows),
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Part::Values(values) => values.len(),
            Part::Records(records) => records.len(),
        }
    }
}

/// The list that consists of these; without records it is one of values.
pub(super) fn joined(parts: Vec<Part>) -> Node {
    if parts.iter().any(|part| matches!(part, Part::Records(_))) {
        return Node::Rows(Rows(parts));
    }
    let values = parts.into_iter().flat_map(|part| match part {
        Part::Values(values) => values,
        Part::Records(_) => Vec::new(),
    });
    Node::Seq(values.collect())
}

impl Rows {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(Part::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Row<'_>> {
        let (part, index) = self.part(index)?;
        match &self.0[part] {
            Part::Values(values) => values.get(index).map(Row::Value),
            Part::Records(records) => records.get(index).map(Row::Record),
        }
    }

    /// The part in which one of them stands, and where there.
    fn part(&self, mut index: usize) -> Option<(usize, usize)> {
        for (at, part) in self.0.iter().enumerate() {
            match index.checked_sub(part.len()) {
                Some(behind) => index = behind,
                None => return Some((at, index)),
            }
        }
        None
    }

    /// Which of them a place lies in.
    #[must_use]
    pub fn position(&self, place: Span) -> Option<usize> {
        let mut before = 0;
        for part in &self.0 {
            let found = match part {
                Part::Values(values) => values.iter().position(|value| value.span.covers(place)),
                Part::Records(records) => records.position(place),
            };
            if let Some(index) = found {
                return Some(before + index);
            }
            before += part.len();
        }
        None
    }

    /// Puts a value, or nothing, in the place of one of them.
    pub fn replace(&mut self, index: usize, value: Option<Value>) {
        let Some((part, index)) = self.part(index) else { return };
        match (&mut self.0[part], value) {
            (Part::Values(values), Some(value)) => values[index] = value,
            (Part::Values(values), None) => drop(values.remove(index)),
            (Part::Records(records), value) => {
                let (before, behind) = records.clone().without(index);
                let parts = [Part::Records(before), Part::Values(value.into_iter().collect()), Part::Records(behind)];
                self.0.splice(part..=part, parts.into_iter().filter(|part| part.len() > 0));
            }
        }
    }

    /// Whether this text is one of the values in it.
    pub(super) fn says(&self, word: &str) -> bool {
        self.0.iter().any(|part| match part {
            Part::Values(values) => values.iter().any(|value| value.says(word)),
            Part::Records(records) => records.says(word),
        })
    }
}

impl<'a> List<'a> {
    /// How many entries there are.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            List::Seq(values) => values.len(),
            List::Rows(rows) => rows.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// One of them.
    #[must_use]
    pub fn get(self, index: usize) -> Option<Row<'a>> {
        match self {
            List::Seq(values) => values.get(index).map(Row::Value),
            List::Rows(rows) => rows.get(index),
        }
    }

    /// All of them.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Row<'a>> + Clone {
        (0..self.len()).filter_map(move |index| self.get(index))
    }
}

impl<'a> Row<'a> {
    /// It as a value.
    #[must_use]
    pub fn value(self) -> Cow<'a, Value> {
        match self {
            Row::Value(value) => Cow::Borrowed(value),
            Row::Record(record) => Cow::Owned(record.value()),
        }
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Row::Value(value) => value.serialize(serializer),
            Row::Record(record) => record.serialize(serializer),
        }
    }
}
