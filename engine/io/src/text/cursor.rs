//! Reads the words of a text one value at a time.

use std::iter::Peekable;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::vec::IntoIter;

use etherparse::{EtherType, IpFragOffset};

use super::lex::{self, TextError, Word};
use super::vocabulary::{Protocol, TCP_FLAGS};
use super::{Mac, Tag};

/// The words still to be read.
pub(super) struct Words {
    words: Peekable<IntoIter<Word>>,
    end: usize,
}

pub(super) fn unexpected(expected: &str, word: &Word) -> TextError {
    TextError::new(word.column, format!("expected {expected}, found `{}`", word.text))
}

impl Words {
    pub(super) fn new(text: &str) -> Result<Self, TextError> {
        let (words, end) = lex::words(text)?;
        Ok(Self { words: words.into_iter().peekable(), end })
    }

    pub(super) fn next_if_any(&mut self) -> Option<Word> {
        self.words.next()
    }

    pub(super) fn next(&mut self, expected: &str) -> Result<Word, TextError> {
        self.words.next().ok_or_else(|| TextError::new(self.end, format!("expected {expected}, found the end")))
    }

    /// The column of the next word.
    pub(super) fn column(&mut self) -> usize {
        self.words.peek().map_or(self.end, |word| word.column)
    }

    /// The value that `parse` makes of the next word.
    fn value<T>(&mut self, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, TextError> {
        let word = self.next(expected)?;
        parse(&word.text).ok_or_else(|| unexpected(expected, &word))
    }

    pub(super) fn literal(&mut self, literal: &str) -> Result<(), TextError> {
        let expected = format!("`{literal}`");
        let word = self.next(&expected)?;
        if word.text == literal {
            return Ok(());
        }
        Err(unexpected(&expected, &word).meant(&word.text, [literal]))
    }

    pub(super) fn number(&mut self, what: &str, max: u64) -> Result<u64, TextError> {
        let expected = format!("{what}, a number up to {max}");
        self.value(&expected, |text| lex::number(text).filter(|number| *number <= max))
    }

    pub(super) fn number_u32(&mut self, what: &str) -> Result<u32, TextError> {
        Ok(self.number(what, u64::from(u32::MAX))? as u32)
    }

    pub(super) fn hex(&mut self, what: &str) -> Result<Vec<u8>, TextError> {
        self.value(&format!("{what}, two for each byte"), lex::hex)
    }

    pub(super) fn mac(&mut self) -> Result<Mac, TextError> {
        self.value("a MAC address such as 02:00:00:00:00:01", |text| text.parse().ok())
    }

    pub(super) fn ipv4(&mut self) -> Result<[u8; 4], TextError> {
        let parse = |text: &str| text.parse::<Ipv4Addr>().ok();
        Ok(self.value("an IPv4 address", parse)?.octets())
    }

    /// An address, its port if there is one, and its column.
    pub(super) fn endpoint(&mut self, protocol: Protocol) -> Result<(IpAddr, Option<u16>, usize), TextError> {
        let expected = match protocol {
            Protocol::Udp | Protocol::Tcp => "an address and port such as 10.0.0.1:53 or [2001:db8::1]:53",
            _ => "an IPv4 or IPv6 address",
        };
        let column = self.column();
        let (address, port) = self.value(expected, |text| {
            let in_brackets = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
            match text.parse::<SocketAddr>() {
                // A zone is of one host, not of a packet.
                Ok(SocketAddr::V6(v6)) if v6.scope_id() != 0 => None,
                Ok(socket) => Some((socket.ip(), Some(socket.port()))),
                Err(_) => Some((in_brackets.unwrap_or(text).parse().ok()?, None)),
            }
        })?;
        Ok((address, port, column))
    }

    pub(super) fn payload(&mut self) -> Result<Vec<u8>, TextError> {
        let expected = "a quoted text, or `hex` and digits";
        let word = self.next(expected)?;
        match word.text.as_str() {
            text if word.quoted => Ok(text.as_bytes().to_vec()),
            "hex" => self.hex("the payload in hexadecimal digits"),
            text => Err(unexpected(expected, &word).meant(text, ["hex"])),
        }
    }

    /// What follows `vlan` or `svlan`.
    pub(super) fn tag(&mut self, tpid: EtherType) -> Result<Tag, TextError> {
        let mut tci = self.number("a VLAN identifier", 4095)? as u16;
        if self.words.next_if(|word| word.text == "pcp").is_some() {
            tci |= (self.number("a priority", 7)? as u16) << 13;
        }
        if self.words.next_if(|word| word.text == "dei").is_some() {
            tci |= 0x1000;
        }
        Ok(Tag { tpid, tci })
    }

    pub(super) fn fragment_offset(&mut self) -> Result<IpFragOffset, TextError> {
        let parse = |text: &str| {
            let bytes = lex::number(text).filter(|bytes| bytes.is_multiple_of(8))?;
            IpFragOffset::try_new(u16::try_from(bytes / 8).ok()?).ok()
        };
        self.value("a fragment offset, a multiple of 8 up to 65528", parse)
    }

    pub(super) fn tcp_flags(&mut self) -> Result<u16, TextError> {
        let expected = "TCP flags such as `syn,ack`";
        let word = self.next(expected)?;
        let mut column = word.column;
        let mut flags = 0;
        for flag in word.text.split(',') {
            match TCP_FLAGS.iter().find(|(name, _)| *name == flag) {
                Some((_, bit)) => flags |= bit,
                None => {
                    let flag = Word { text: flag.to_owned(), column, quoted: false };
                    let names = TCP_FLAGS.iter().map(|(name, _)| *name);
                    return Err(unexpected(expected, &flag).meant(&flag.text, names));
                }
            }
            column += flag.chars().count() + 1;
        }
        Ok(flags)
    }
}
