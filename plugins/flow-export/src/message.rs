//! Messages of IPFIX: their header, sets, templates and records (RFC 7011, section 3). What is in the records is others' business.

/// The version of IPFIX.
const VERSION: u16 = 10;
/// Bytes of the header of a message.
pub const HEADER: usize = 16;
/// Bytes of the header of a set.
pub const SET: usize = 4;
/// The id of sets of templates.
pub const TEMPLATES: u16 = 2;
/// The id of sets of options templates.
pub const OPTIONS: u16 = 3;
/// The length of an element that says its length itself.
pub const VARIABLE: u16 = 0xffff;

/// What a record is made of.
#[derive(Debug, Clone, Copy)]
pub struct Template {
    /// Its id: 256 or more.
    pub id: u16,
    /// How many of the elements say what the others are of; 0 for a template that has no options.
    pub scope: u16,
    /// Numbers of elements in the IANA registry, with their lengths.
    pub elements: &'static [(u16, u16)],
}

impl Template {
    /// The id of the sets that it is told in.
    pub const fn set(&self) -> u16 {
        if self.scope == 0 { TEMPLATES } else { OPTIONS }
    }

    /// The template's own record (sections 3.4.1, 3.4.2.2).
    pub fn record(&self) -> Vec<u8> {
        let mut record = [self.id, self.elements.len() as u16].map(u16::to_be_bytes).concat();
        if self.scope > 0 {
            record.extend(self.scope.to_be_bytes());
        }
        for (element, length) in self.elements {
            record.extend([*element, *length].map(u16::to_be_bytes).concat());
        }
        record
    }

    /// Bytes of a record by this template, if all elements say their lengths.
    pub const fn length(&self) -> usize {
        let (mut length, mut at) = (0, 0);
        while at < self.elements.len() {
            assert!(self.elements[at].1 != VARIABLE, "of a template whose records are of one length");
            length += self.elements[at].1 as usize;
            at += 1;
        }
        length
    }
}

/// Text or bytes as an element of a variable length (section 7).
pub fn variable(value: &[u8]) -> Vec<u8> {
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    let length =
        if value.len() < 255 { vec![value.len() as u8] } else { [&[255][..], &(value.len() as u16).to_be_bytes()].concat() };
    [&length, value].concat()
}

/// A message that grows by records, up to a length.
#[derive(Debug)]
pub struct Message {
    bytes: Vec<u8>,
    most: usize,
    /// The id of the set that is open, and where it begins.
    set: Option<(u16, usize)>,
    /// Data records in it: what sequence numbers count.
    records: u32,
}

impl Message {
    /// An empty one, of which there will never be more than `most` bytes.
    pub fn new(most: usize) -> Message {
        let mut message = Message { bytes: Vec::with_capacity(most), most, set: None, records: 0 };
        message.clear();
        message
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(HEADER, 0);
        (self.set, self.records) = (None, 0);
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER
    }

    /// Data records in it.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// Appends a record to the set of an id, which is opened if another one is open. `false` if there is no room.
    pub fn push(&mut self, set: u16, record: &[u8]) -> bool {
        let is_open = self.set.is_some_and(|(open, _)| open == set);
        let more = record.len() + if is_open { 0 } else { SET };
        if self.bytes.len() + more > self.most {
            return false;
        }
        if !is_open {
            self.close();
            self.set = Some((set, self.bytes.len()));
            self.bytes.extend([set.to_be_bytes(), [0; 2]].concat());
        }
        self.bytes.extend(record);
        self.records += u32::from(set > 255);
        true
    }

    fn close(&mut self) {
        if let Some((_, at)) = self.set.take() {
            let length = (self.bytes.len() - at) as u16;
            self.bytes[at + 2..at + 4].copy_from_slice(&length.to_be_bytes());
        }
    }

    /// The message as it is sent (section 3.1): `sequence` is of the first data record in it, `time` in seconds since 1970.
    pub fn finish(&mut self, time: u32, sequence: u32, domain: u32) -> &[u8] {
        self.close();
        let length = self.bytes.len() as u16;
        self.bytes[..2].copy_from_slice(&VERSION.to_be_bytes());
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
        for (at, word) in [(4, time), (8, sequence), (12, domain)] {
            self.bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
        }
        &self.bytes
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
