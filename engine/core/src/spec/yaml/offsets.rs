//! From characters, which the scanner counts, to bytes, which spans count.

/// One character in so many is looked up, the rest is walked.
const STEP: usize = 64;

/// The byte of every character of a text.
pub(super) struct Offsets<'a> {
    text: &'a str,
    /// The byte of every [`STEP`]th character; empty for a text of ASCII, where both are the same.
    marks: Vec<u32>,
}

impl<'a> Offsets<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let marks = if text.is_ascii() {
            Vec::new()
        } else {
            let marks = text.char_indices().step_by(STEP);
            marks.map(|(byte, _)| u32::try_from(byte).unwrap_or(u32::MAX)).collect()
        };
        Self { text, marks }
    }

    /// The byte at which a character starts; the end of the text for characters behind it.
    pub(super) fn byte(&self, character: usize) -> usize {
        if self.marks.is_empty() {
            return character.min(self.text.len());
        }
        let Some(&mark) = self.marks.get(character / STEP) else {
            return self.text.len();
        };
        let mark = mark as usize;
        let next = self.marks.get(character / STEP + 1);
        if next.is_some_and(|&next| next as usize == mark + STEP) {
            return mark + character % STEP;
        }
        let rest = self.text.get(mark..).unwrap_or("");
        let walked = rest.char_indices().nth(character % STEP);
        walked.map_or(self.text.len(), |(byte, _)| mark + byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_character_is_found(text in "([aé𝔘\\n]{0,90}|a{0,200}){0,4}") {
            let offsets = Offsets::new(&text);
            for (index, (byte, _)) in text.char_indices().enumerate() {
                prop_assert_eq!(offsets.byte(index), byte);
            }
            let behind = text.chars().count();
            prop_assert_eq!(offsets.byte(behind), text.len());
            prop_assert_eq!(offsets.byte(behind + STEP), text.len());
        }
    }
}
