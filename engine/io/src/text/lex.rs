//! Words and their columns, and what goes wrong with them.

use std::fmt;

/// What is wrong with the text of a packet, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// The place in the text, in characters from 1.
    pub column: usize,
    /// What was expected and what stands there.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

impl TextError {
    pub(super) fn new(column: usize, message: impl Into<String>) -> Self {
        Self { column, message: message.into(), suggestion: None }
    }

    /// Suggests the one of `candidates` that is most like `found`, if one is.
    pub(super) fn meant<'a>(mut self, found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        let distance = |candidate| strsim::damerau_levenshtein(found, candidate);
        self.suggestion = candidates
            .into_iter()
            .map(|candidate| (distance(candidate), candidate))
            .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
            .min()
            .map(|(_, candidate)| candidate.to_owned());
        self
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; did you mean `{suggestion}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for TextError {}

/// A word of the text, or the text between quotes.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub text: String,
    pub column: usize,
    pub quoted: bool,
}

/// The words of `text` up to a comment, and the column after them.
pub(super) fn words(text: &str) -> Result<(Vec<Word>, usize), TextError> {
    let mut words = Vec::new();
    let mut end = 1;
    let mut chars = (1..).zip(text.chars()).peekable();
    while let Some((column, first)) = chars.next() {
        let mut word = Word { text: String::new(), column, quoted: false };
        match first {
            '#' => break,
            _ if first.is_whitespace() => continue,
            '>' => word.text.push('>'),
            '"' => {
                word.quoted = true;
                loop {
                    match chars.next().map(|(_, char)| char) {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some((_, escaped @ ('"' | '\\'))) => word.text.push(escaped),
                            Some((column, other)) => {
                                let message = format!("expected `\"` or `\\` after `\\`, found `{other}`");
                                return Err(TextError::new(column, message));
                            }
                            None => {}
                        },
                        Some(char) => word.text.push(char),
                        None => return Err(TextError::new(column, "this quote is not closed")),
                    }
                }
            }
            _ => {
                word.text.push(first);
                while let Some((_, char)) = chars.next_if(|(_, char)| !char.is_whitespace() && !matches!(char, '>' | '"')) {
                    word.text.push(char);
                }
            }
        }
        words.push(word);
        end = chars.peek().map_or(text.chars().count() + 1, |(column, _)| *column);
    }
    Ok((words, end))
}

/// The bytes that pairs of hexadecimal digits stand for.
pub(super) fn hex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
        return None;
    };
    pairs.iter().map(|[high, low]| Some((digit(*high)? << 4 | digit(*low)?) as u8)).collect()
}

/// A decimal or `0x` hexadecimal number.
pub(super) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        None => None,
    }
}
