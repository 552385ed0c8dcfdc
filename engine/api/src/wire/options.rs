//! The option format that IPv4 (RFC 791 §3.1) and TCP (RFC 9293 §3.2) share: a kind, and unless it
//! is END or NOP a length that counts both, then data.

use super::WireError;

/// End of the list; what follows is padding.
const END: u8 = 0;
/// No operation: one byte of padding.
const NOP: u8 = 1;

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawOption<'a> {
    /// Its kind. For IPv4 the whole type octet: copied flag, class and number.
    pub kind: u8,
    /// Where its kind stands among the option bytes.
    pub at: usize,
    /// What follows its length.
    pub data: &'a [u8],
}

/// The options of a header, without padding. A malformed option is an error and ends the walk:
/// nothing after it can be found.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    header: &'static str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Options<'a> {
    #[inline]
    pub(super) fn new(header: &'static str, bytes: &'a [u8]) -> Self {
        Self { header, bytes, at: 0 }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<RawOption<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = option_from(self.header, self.bytes, self.at);
        self.at = match &found {
            Some(Ok(option)) => option.at + 2 + option.data.len(),
            _ => self.bytes.len(),
        };
        found
    }
}

/// The first option at or after `at`.
pub(super) fn option_from<'a>(header: &'static str, bytes: &'a [u8], mut at: usize) -> Option<Result<RawOption<'a>, WireError>> {
    while bytes.get(at) == Some(&NOP) {
        at += 1;
    }
    let rest = bytes.get(at..)?;
    let kind = match rest.first() {
        None | Some(&END) => return None,
        Some(&kind) => kind,
    };
    let length = rest.get(1).map_or(0, |&length| usize::from(length));
    let option = match rest.get(2..length) {
        Some(data) => Ok(RawOption { kind, at, data }),
        None => Err(WireError::BadOption { header, kind, length, room: rest.len() }),
    };
    Some(option)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found<'a> = Result<(u8, usize, &'a [u8]), WireError>;

    fn walk(bytes: &[u8]) -> Vec<Found<'_>> {
        Options::new("test", bytes).map(|option| option.map(|RawOption { kind, at, data }| (kind, at, data))).collect()
    }

    fn bad(kind: u8, length: usize, room: usize) -> WireError {
        WireError::BadOption { header: "test", kind, length, room }
    }

    #[test]
    fn well_formed() {
        for (name, bytes, options) in [
            ("none", &[][..], vec![]),
            ("only padding", &[1, 1, 1, 0], vec![]),
            ("router alert (RFC 2113)", &[148, 4, 0, 0], vec![(148, 0, &[0, 0][..])]),
            ("between padding", &[1, 9, 3, 5, 1, 8, 2, 1], vec![(9, 1, &[5][..]), (8, 5, &[])]),
            ("nothing is read after the end", &[9, 2, 0, 9], vec![(9, 0, &[][..])]),
        ] {
            assert_eq!(walk(bytes), options.into_iter().map(Ok).collect::<Vec<_>>(), "{name}");
        }
    }

    #[test]
    fn malformed() {
        for (name, bytes, error) in [
            ("length cut off", &[1, 1, 1, 7][..], bad(7, 0, 1)),
            ("length zero, which would never advance", &[7, 0, 0, 0], bad(7, 0, 4)),
            ("length one", &[7, 1, 0, 0], bad(7, 1, 4)),
            ("one byte past the header", &[7, 5, 4, 0], bad(7, 5, 4)),
            ("far past the header", &[7, 255, 4, 0], bad(7, 255, 4)),
        ] {
            assert_eq!(walk(bytes), [Err(error)], "{name}");
        }
        assert_eq!(walk(&[9, 2, 7, 3]), [Ok((9, 0, &[][..])), Err(bad(7, 3, 2))]);
    }
}
