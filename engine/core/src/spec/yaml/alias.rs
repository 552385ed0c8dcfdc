//! Aliases: copies of values that were read before, within a budget.

use saphyr_parser::Span as Marks;

use super::{MAX_DEPTH, Reader, Stop};
use crate::spec::code::Code;
use crate::spec::diagnostic::Diagnostic;
use crate::spec::source::Span;
use crate::spec::value::{Node, Value};

/// The most values that all aliases together may copy.
pub const MAX_COPIED_VALUES: usize = 128 << 10;
/// The most text that all aliases together may copy, in bytes.
pub const MAX_COPIED_TEXT: usize = 8 << 20;

/// A value that aliases may refer to.
pub(super) struct Anchor {
    pub(super) name: Box<str>,
    pub(super) span: Span,
    /// The way from the root to the value: positions in lists and mappings.
    pub(super) path: Vec<usize>,
}

impl Reader<'_> {
    pub(super) fn alias(&mut self, anchor: usize, marks: Marks) -> Result<(), Stop> {
        let span = self.span(marks);
        self.behind = self.behind.max(span.end as usize);
        let Some(anchor) = self.anchors.get(&anchor) else {
            // Its value was refused for a tag.
            return self.put(Value { span, node: Node::Null });
        };
        let Some(value) = self.anchored(&anchor.path) else {
            let message = format!("the alias `*{}` stands inside of its own anchor", anchor.name);
            return Err(Box::new(
                Diagnostic::error(Code::AliasLoop, message)
                    .primary(span, "the alias")
                    .secondary(anchor.span, "its anchor")
                    .help("write the value out"),
            ));
        };
        let mut copied = self.copied;
        let depth = copied.add(value);
        if depth.is_none_or(|depth| self.open.len() + depth > MAX_DEPTH) {
            let (code, what) = match depth {
                None => (Code::AliasBudget, "copies too much"),
                Some(_) => (Code::TooDeep, "nests values too deep"),
            };
            let message = format!("the alias `*{}` {what}", anchor.name);
            return Err(Box::new(
                Diagnostic::error(code, message).primary(span, "copied here").secondary(anchor.span, "this value").help(format!(
                    "aliases may copy {MAX_COPIED_VALUES} values and {MAX_COPIED_TEXT} bytes of \
                         text in all, and nest them {MAX_DEPTH} deep"
                )),
            ));
        }
        let value = value.clone();
        self.values += copied.values - self.copied.values;
        self.copied = copied;
        self.put(value)
    }

    /// The value that a path leads to, unless it is still being read.
    fn anchored(&self, path: &[usize]) -> Option<&Value> {
        let mut levels = path.iter().zip(&self.open);
        let level = levels.position(|(&index, open)| index < open.len())?;
        let mut value = self.open.get(level)?.child(*path.get(level)?)?;
        for &index in path.get(level + 1..)? {
            value = match &value.node {
                Node::Seq(values) => values.get(index)?,
                Node::Map(entries) => &entries.get(index)?.value,
                _ => return None,
            };
        }
        Some(value)
    }
}

/// What copies cost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weight {
    values: usize,
    text: usize,
}

impl Weight {
    /// Adds a value with all that it holds and returns its depth; `None` beyond the budget.
    fn add(&mut self, value: &Value) -> Option<usize> {
        self.values += 1;
        let mut depth = 0;
        match &value.node {
            Node::Str(text) => self.text += text.len(),
            Node::Seq(values) => {
                for value in values {
                    depth = depth.max(self.add(value)?);
                }
                depth += 1;
            }
            Node::Map(entries) => {
                for entry in entries {
                    self.text += entry.key.len();
                    depth = depth.max(self.add(&entry.value)?);
                }
                depth += 1;
            }
            _ => {}
        }
        (self.values <= MAX_COPIED_VALUES && self.text <= MAX_COPIED_TEXT).then_some(depth)
    }
}
