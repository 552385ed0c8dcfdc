//! The options of a header: which there are, whether they are sound (RFC 791 §3.1, RFC 6274 §3.13), and how addresses are added to them.

/// The most bytes that options take.
pub(super) const LONGEST: usize = 40;

pub(super) const END: u8 = 0;
pub(super) const NOP: u8 = 1;
pub(super) const RECORD_ROUTE: u8 = 7;
pub(super) const TIMESTAMP: u8 = 68;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;
const ROUTER_ALERT: u8 = 148;

/// How an option is called, if it is one of those that routers know.
pub(super) fn name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        RECORD_ROUTE => "record route",
        TIMESTAMP => "timestamp",
        LOOSE_SOURCE_ROUTE => "loose source route",
        STRICT_SOURCE_ROUTE => "strict source route",
        ROUTER_ALERT => "router alert",
        _ => return None,
    })
}

/// What a timestamp option asks for (RFC 791 §3.1).
const ONLY_TIMES: u8 = 0;
const WITH_ADDRESSES: u8 = 1;
const OF_THESE: u8 = 3;

/// The octet of the options, from 0, that cannot be understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) at: usize,
}

/// An option with a pointer: where it stands, and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    at: usize,
    length: usize,
}

/// What is among the options.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct List {
    pub(super) source_route: Option<Area>,
    pub(super) strict: bool,
    pub(super) record_route: Option<Area>,
    pub(super) timestamp: Option<Area>,
    /// Whether one is of a type that is to be dropped.
    pub(super) dropped: bool,
}

impl List {
    /// Reads options. Of those that change on the way there may be one of each (RFC 791 §3.1).
    pub(super) fn read(options: &[u8], dropped: &[bool; 256]) -> Result<List, Unreadable> {
        let mut list = List::default();
        let mut at = 0;
        while let Some(&kind) = options.get(at)
            && kind != END
        {
            if kind == NOP {
                at += 1;
                continue;
            }
            let length = usize::from(*options.get(at + 1).ok_or(Unreadable { at })?);
            if length < 2 || at + length > options.len() {
                return Err(Unreadable { at: at + 1 });
            }
            list.dropped |= dropped[usize::from(kind)];
            let area = Area { at, length };
            let place = match kind {
                LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => {
                    list.strict = kind == STRICT_SOURCE_ROUTE;
                    &mut list.source_route
                }
                RECORD_ROUTE => &mut list.record_route,
                TIMESTAMP => &mut list.timestamp,
                ROUTER_ALERT if length != 4 => return Err(Unreadable { at: at + 1 }),
                _ => {
                    at += length;
                    continue;
                }
            };
            if place.is_some() {
                return Err(Unreadable { at });
            }
            area.check(options)?;
            *place = Some(area);
            at += length;
        }
        Ok(list)
    }
}

impl Area {
    /// Bytes before the entries: type, length and pointer, and of a timestamp overflow and flag.
    fn fixed(self, options: &[u8]) -> usize {
        if options[self.at] == TIMESTAMP { 4 } else { 3 }
    }

    fn check(self, options: &[u8]) -> Result<(), Unreadable> {
        let fixed = self.fixed(options);
        let (length, pointer, flag) = (self.at + 1, self.at + 2, self.at + 3);
        let entry = match fixed {
            4 if self.length < 4 => return Err(Unreadable { at: length }),
            4 => match options[flag] & 15 {
                ONLY_TIMES => 4,
                WITH_ADDRESSES | OF_THESE => 8,
                _ => return Err(Unreadable { at: flag }),
            },
            _ => 4,
        };
        if self.length < fixed || !(self.length - fixed).is_multiple_of(entry) {
            return Err(Unreadable { at: length });
        }
        let before = usize::from(options[pointer]).checked_sub(fixed + 1);
        if before.is_none_or(|before| !before.is_multiple_of(entry)) {
            return Err(Unreadable { at: pointer });
        }
        Ok(())
    }

    /// Where the pointer points, if there is room for as many bytes.
    fn place(self, options: &[u8], bytes: usize) -> Option<usize> {
        // It counts from the option's first octet, from 1.
        let pointer = usize::from(options[self.at + 2]);
        (pointer - 1 + bytes <= self.length).then_some(self.at + pointer - 1)
    }

    fn word(options: &[u8], at: usize) -> u32 {
        options[at..].first_chunk().map_or(0, |word| u32::from_be_bytes(*word))
    }

    /// The next address of a route that is not used up.
    pub(super) fn next(self, options: &[u8]) -> Option<u32> {
        self.place(options, 4).map(|at| Area::word(options, at))
    }

    /// Writes words where the pointer points and moves it behind them; `false` if there is no room.
    pub(super) fn push(self, options: &mut [u8], words: &[u32]) -> bool {
        let Some(at) = self.place(options, words.len() * 4) else { return false };
        for (word, to) in words.iter().zip(options[at..].as_chunks_mut().0) {
            *to = word.to_be_bytes();
        }
        options[self.at + 2] += words.len() as u8 * 4;
        true
    }

    /// Adds a timestamp.
    ///
    /// # Errors
    /// There is no room left even to count who finds no room.
    pub(super) fn stamp(self, options: &mut [u8], own: u32, time: u32, is_own: impl FnOnce(u32) -> bool) -> Result<(), Unreadable> {
        let flag = self.at + 3;
        let stamped = match options[flag] & 15 {
            ONLY_TIMES => self.push(options, &[time]),
            WITH_ADDRESSES => self.push(options, &[own, time]),
            _ => {
                if let Some(at) = self.place(options, 8)
                    && let address = Area::word(options, at)
                    && is_own(address)
                {
                    self.push(options, &[address, time]);
                }
                // Others are not counted: they had not been asked.
                true
            }
        };
        if !stamped {
            options[flag] = options[flag].checked_add(0x10).ok_or(Unreadable { at: flag })?;
        }
        Ok(())
    }
}
