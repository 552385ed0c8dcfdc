//! What a node says about a packet: a few words in a place that is there already, so that nothing is allocated on a worker.

use std::fmt;

use crate::abi::RawWords;
use crate::edges::Edges;
use crate::wire::MacAddr;

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
        self.also();
        // It cannot fail: what does not fit is cut off.
        let _ = fmt::Write::write_fmt(self, format_args!("{what}"));
    }

    /// A comma, if something was said already. With [`Words::text`] and the others behind it, it says the same as [`Words::say`] in a fifth of
    /// the instructions: for what is said of every packet.
    #[inline]
    pub fn also(&mut self) -> &mut Self {
        if self.raw.len > 0 { self.text(", ") } else { self }
    }

    /// Text as it is.
    #[inline]
    pub fn text(&mut self, text: &str) -> &mut Self {
        let (len, room) = (self.raw.len as usize, self.raw.room as usize);
        if text.len() > room - len {
            let fits = text.floor_char_boundary(room - len);
            return self.text(&text[..fits]);
        }
        // SAFETY: `new`'s contract, and len + text.len() <= room.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), self.raw.first.add(len), text.len()) };
        self.raw.len = (len + text.len()) as u32;
        self
    }

    /// A number up to 255.
    pub fn octet(&mut self, number: u8) -> &mut Self {
        let (digits, count) = &OCTETS[usize::from(number)];
        self.ascii(digits, usize::from(count - 1))
    }

    /// An IPv4 address.
    pub fn address(&mut self, address: u32) -> &mut Self {
        let (mut text, mut len) = ([0; 16], 0);
        for octet in address.to_be_bytes() {
            let (digits, count) = &OCTETS[usize::from(octet)];
            text[len..len + 4].copy_from_slice(digits);
            len += usize::from(*count);
        }
        self.ascii(&text, len - 1)
    }

    /// A hardware address.
    pub fn mac(&mut self, mac: MacAddr) -> &mut Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b':'; 18];
        for (pair, byte) in text.chunks_exact_mut(3).zip(mac.octets()) {
            (pair[0], pair[1]) = (DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]);
        }
        self.ascii(&text, 17)
    }

    /// The first of these letters of ASCII.
    #[inline]
    fn ascii<const N: usize>(&mut self, letters: &[u8; N], count: usize) -> &mut Self {
        let (len, room) = (self.raw.len as usize, self.raw.room as usize);
        let fits = count.min(N).min(room - len);
        // SAFETY: `new`'s contract, and len + N or len + fits <= room.
        unsafe {
            let end = self.raw.first.add(len);
            // Whole, where there is room for what nobody will read: without a call.
            match room - len >= N {
                true => std::ptr::copy_nonoverlapping(letters.as_ptr(), end, N),
                false => std::ptr::copy_nonoverlapping(letters.as_ptr(), end, fits),
            }
        }
        self.raw.len = (len + fits) as u32;
        self
    }
}

/// Each octet in digits, with a point behind it; and how many letters these are.
static OCTETS: [([u8; 4], u8); 256] = {
    let mut all = [([b'.'; 4], 0); 256];
    let mut octet = 0;
    while octet < 256 {
        let digits = [octet / 100, octet / 10 % 10, octet % 10];
        let first = if octet > 99 {
            0
        } else if octet > 9 {
            1
        } else {
            2
        };
        let mut at = first;
        while at < 3 {
            all[octet].0[at - first] = b'0' + digits[at] as u8;
            at += 1;
        }
        all[octet].1 = (4 - first) as u8;
        octet += 1;
    }
    all
};

impl fmt::Write for Words<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text);
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
    fn numbers_and_addresses_are_written_as_by_the_standard_library() {
        let told = |what: &dyn Fn(&mut Words<'_>)| {
            let mut note = Note::default();
            // SAFETY: `with` lends bytes of its own.
            note.with(|raw| what(&mut unsafe { Words::new(raw) }));
            note.as_str().to_owned()
        };
        for octet in 0..=255_u8 {
            assert_eq!(told(&|words| _ = words.octet(octet)), octet.to_string());
            for address in [[octet, 0, 9, 10], [99, octet, 100, 255], [1, 2, octet, 3], [255, 255, 255, octet]] {
                let said = told(&|words| _ = words.address(u32::from_be_bytes(address)));
                assert_eq!(said, std::net::Ipv4Addr::from(address).to_string());
            }
            let mac = MacAddr::from([octet, 0, 0x1f, 0xa0, !octet, octet]);
            assert_eq!(told(&|words| _ = words.mac(mac)), mac.to_string());
        }
        let said = told(&|words| _ = words.also().text("route ").address(0).text("/").octet(0).also().text("ttl ").octet(63));
        assert_eq!(said, "route 0.0.0.0/0, ttl 63");
        let full = told(&|words| _ = words.text(&"x".repeat(ROOM - 5)).address(u32::MAX).mac(MacAddr::ZERO).octet(1));
        assert_eq!(full, "x".repeat(ROOM - 5) + "255.2");
    }

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
