//! What a node says about a packet: a few words in a place that is there already, so that nothing is allocated on a worker.

use std::fmt;

use crate::abi::RawWords;
use crate::edges::Edges;

/// Bytes of what one node says, at most.
const ROOM: usize = 240;

/// Where a node writes why it decides so: `write!(words, "route {prefix}")`. What does not fit is cut off.
#[derive(Debug)]
pub struct Words<'a> {
    raw: &'a mut RawWords,
}

impl<'a> Words<'a> {
    /// # Safety
    /// `first` names `room` bytes that nobody else touches during `'a`, of which `len` are UTF-8.
    pub(crate) unsafe fn new(raw: &'a mut RawWords) -> Words<'a> {
        Words { raw }
    }

    /// Says something, behind a comma if something was said already.
    pub fn say(&mut self, what: impl fmt::Display) {
        let comma = if self.raw.len > 0 { ", " } else { "" };
        // It cannot fail: what does not fit is cut off.
        let _ = fmt::Write::write_fmt(self, format_args!("{comma}{what}"));
    }
}

impl fmt::Write for Words<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let (len, room) = (self.raw.len as usize, self.raw.room as usize);
        let fits = text.floor_char_boundary(room - len);
        // SAFETY: `new`'s contract, and len + fits <= room.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), self.raw.first.add(len), fits) };
        self.raw.len = (len + fits) as u32;
        Ok(())
    }
}

/// What was said.
#[derive(Clone)]
pub struct Note {
    bytes: [u8; ROOM],
    len: u32,
}

impl Default for Note {
    fn default() -> Note {
        Note { bytes: [0; ROOM], len: 0 }
    }
}

impl Note {
    /// The words.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.len as usize]).unwrap_or_default()
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// As [`Words::say`].
    pub fn say(&mut self, what: impl fmt::Display) {
        self.with(|raw| {
            // SAFETY: `with` lends bytes of its own.
            unsafe { Words::new(raw) }.say(what);
        });
    }

    /// Lends its place to somebody who says something.
    pub(crate) fn with<R>(&mut self, f: impl FnOnce(&mut RawWords) -> R) -> R {
        let mut raw = RawWords { first: self.bytes.as_mut_ptr(), room: ROOM as u32, len: self.len };
        let result = f(&mut raw);
        // Of what comes from another library nothing is believed.
        self.len = raw.len.min(ROOM as u32);
        result
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// What a node has decided for a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided(u16);

impl Decided {
    /// That it goes this way.
    pub fn of(next: impl Edges) -> Decided {
        Decided(next.id())
    }

    pub(crate) fn new(id: u16) -> Decided {
        Decided(id)
    }

    /// Whether it is this.
    pub fn is(self, next: impl Edges) -> bool {
        self.0 == next.id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[test]
    fn what_does_not_fit_is_cut_off_between_two_letters() {
        let mut note = Note::default();
        note.say("route 10.0.0.0/8");
        note.say(format_args!("via {}", 7));
        assert_eq!(note.as_str(), "route 10.0.0.0/8, via 7");
        note.clear();
        assert_eq!(note.as_str(), "");
        note.with(|raw| {
            // SAFETY: `with` lends bytes of its own.
            let mut words = unsafe { Words::new(raw) };
            write!(words, "{}", "x".repeat(ROOM - 3)).unwrap();
            write!(words, "äü").unwrap();
        });
        assert_eq!(note.as_str(), "x".repeat(ROOM - 3) + "ä");
        note.say("more");
        assert_eq!(note.as_str().len(), ROOM - 1 + 1);
        assert!(note.as_str().ends_with("ä,"));
    }
}
