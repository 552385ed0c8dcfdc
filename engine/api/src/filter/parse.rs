//! The language of expressions: the part of pcap-filter(7) that is used every day.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::FilterError;
use super::program::{Expression, Family, Side, Term, Test};
use crate::wire::MacAddr;

/// Parentheses and negations within each other, at most.
const DEPTH: usize = 32;

/// What a question about the Ethernet header comes to where there is none.
const NO_ETHERNET: &str = "packets have no Ethernet header here";

/// What a test begins with.
const BEGINNINGS: &[&str] = &[
    "host",
    "net",
    "port",
    "portrange",
    "src",
    "dst",
    "tcp",
    "udp",
    "icmp",
    "ip",
    "ip6",
    "arp",
    "icmp6",
    "sctp",
    "ether",
    "vlan",
    "less",
    "greater",
    "len",
    "dscp",
    "not",
];
/// What goes on behind a test, or within one.
const CONTINUATIONS: &[&str] = &["and", "or", "port", "portrange", "host", "net", "proto", "src", "dst"];

/// Reads an expression. `has_ethernet` says whether packets have an Ethernet header.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn parse(text: &str, has_ethernet: bool) -> Result<Expression, FilterError> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, end: text.trim_end().len(), has_ethernet };
    let expression = parser.expression(0)?;
    match parser.peek() {
        None => Ok(Expression(expression)),
        Some(more) => Err(parser.wrong(format!("`and` or `or` is missing before `{more}`"), parser.at, CONTINUATIONS)),
    }
}

/// A word, a number or a sign, and where it begins.
#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    at: usize,
}

/// All of them.
fn tokens(text: &str) -> Result<Vec<Token<'_>>, FilterError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let at = text.len() - rest.len();
        let word =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '/' | '-' | '_'))).unwrap_or(rest.len());
        let sign = ["&&", "||", "==", "!=", "<=", ">="].iter().find(|sign| rest.starts_with(**sign)).map(|sign| sign.len());
        let one = rest.starts_with(['(', ')', '!', '[', ']', '&', '|', '<', '>', '=']).then_some(1);
        let Some(len) = sign.or(one).or((word > 0).then_some(word)) else {
            let sign = rest.chars().next().unwrap_or_default();
            return Err(wrong(format!("`{sign}` means nothing here"), at..at + sign.len_utf8(), &[]));
        };
        tokens.push(Token { text: &rest[..len], at });
        rest = rest[len..].trim_start();
    }
    if tokens.is_empty() {
        return Err(wrong("an expression is missing, such as `udp port 53`", 0..0, &[]));
    }
    Ok(tokens)
}

fn wrong(message: impl Into<String>, at: Range<usize>, words: &'static [&'static str]) -> FilterError {
    FilterError { message: message.into(), at, words }
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    /// Where something is that is missing at the end.
    end: usize,
    has_ethernet: bool,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).map(|token| token.text)
    }

    fn next(&mut self) -> Option<&'a str> {
        let token = self.peek()?;
        self.at += 1;
        Some(token)
    }

    fn take(&mut self, words: &[&str]) -> Option<&'a str> {
        let found = self.peek().filter(|token| words.contains(token))?;
        self.at += 1;
        Some(found)
    }

    /// What is wrong with the token of an index, or missing at the end.
    fn wrong(&self, message: impl Into<String>, token: usize, words: &'static [&'static str]) -> FilterError {
        let at = self.tokens.get(token).map_or(self.end..self.end, |token| token.at..token.at + token.text.len());
        wrong(message, at, words)
    }

    /// What is wrong with the next token.
    fn here(&self, message: impl Into<String>) -> FilterError {
        self.wrong(message, self.at, &[])
    }

    /// What is wrong with the token before.
    fn last(&self, message: impl Into<String>) -> FilterError {
        self.wrong(message, self.at.saturating_sub(1), &[])
    }

    fn expect(&mut self, word: &str) -> Result<(), FilterError> {
        match self.peek() {
            Some(token) if token == word => {
                self.at += 1;
                Ok(())
            }
            Some(token) => Err(self.here(format!("`{word}` is expected, and not `{token}`"))),
            None => Err(self.here(format!("`{word}` is missing at the end"))),
        }
    }

    fn value<T>(&mut self, what: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, FilterError> {
        let Some(token) = self.next() else { return Err(self.here(format!("{what} is missing at the end"))) };
        read(token).ok_or_else(|| self.last(format!("`{token}` is not {what}")))
    }

    /// pcap-filter(7) gives `and` and `or` the same precedence, most languages do not: who means one of them says so.
    fn expression(&mut self, depth: usize) -> Result<Term, FilterError> {
        let first = self.operand(depth)?;
        let Some(is_and) = self.operator() else { return Ok(first) };
        let mut all = vec![first];
        while let Some(operator) = self.operator() {
            if operator != is_and {
                return Err(self.here("`and` and `or` stand side by side: put what belongs together in parentheses"));
            }
            self.at += 1;
            all.push(self.operand(depth)?);
        }
        Ok(if is_and { Term::And(all) } else { Term::Or(all) })
    }

    /// Whether an `and` comes next, or an `or`.
    fn operator(&self) -> Option<bool> {
        match self.peek()? {
            "and" | "&&" => Some(true),
            "or" | "||" => Some(false),
            _ => None,
        }
    }

    fn operand(&mut self, depth: usize) -> Result<Term, FilterError> {
        if depth == DEPTH {
            return Err(self.here(format!("more than {DEPTH} parentheses and negations within each other")));
        }
        if self.take(&["not", "!"]).is_some() {
            return Ok(Term::Not(Box::new(self.operand(depth + 1)?)));
        }
        if self.take(&["("]).is_some() {
            let inner = self.expression(depth + 1)?;
            self.expect(")")?;
            return Ok(inner);
        }
        self.test()
    }

    fn test(&mut self) -> Result<Term, FilterError> {
        const QUALIFIERS: &[&str] = &["ether", "ip", "ip6", "arp", "tcp", "udp", "sctp", "icmp", "icmp6"];
        if let Some(word) = self.take(&["less", "greater", "len", "dscp", "vlan"]) {
            return self.simple(word).map(Term::Test);
        }
        let qualifier = self.take(QUALIFIERS);
        if matches!(qualifier, Some("ether" | "arp")) && !self.has_ethernet {
            return Err(self.last(NO_ETHERNET));
        }
        if qualifier == Some("tcp") && self.take(&["["]).is_some() {
            return self.tcp_flags().map(Term::Test);
        }
        let side = match self.take(&["src", "dst"]) {
            Some("src") => Side::Source,
            Some(_) => Side::Destination,
            None => Side::Either,
        };
        let kind = self.take(&["host", "net", "port", "portrange", "proto"]);
        match (qualifier, kind) {
            (Some("ether"), Some("proto")) if side == Side::Either => {
                Ok(Term::Test(Test::EtherType(self.value("an EtherType such as 0x0800", number)?)))
            }
            (Some("ether"), Some("host")) => self.mac(side),
            (Some("ether"), None) if side != Side::Either => self.mac(side),
            (Some("ip" | "ip6"), Some("proto")) if side == Side::Either => {
                let protocol = self.value("the number or name of a protocol", protocol)?;
                let is_4 = qualifier == Some("ip");
                Ok(Term::Test(Test::Protocol { protocol, ip4: is_4, ip6: !is_4 }))
            }
            (None | Some("ip" | "ip6" | "arp"), Some("host" | "net")) => self.net(qualifier, side, kind),
            (None | Some("ip" | "ip6" | "arp"), None) if side != Side::Either => self.net(qualifier, side, kind),
            (None | Some("tcp" | "udp" | "sctp"), Some("port" | "portrange")) => {
                let what = "a port, 0 to 65535";
                let (first, last) = match kind {
                    Some("port") => self.value(what, |token| number(token).map(|port: u16| (port, port)))?,
                    _ => self.value("a range of ports such as `1000-2000`", |token| {
                        let (first, last) = token.split_once('-')?;
                        let (first, last) = (number(first)?, number(last)?);
                        (first <= last).then_some((first, last))
                    })?,
                };
                Ok(Term::Test(Test::Port { side, protocol: qualifier.and_then(protocol), first, last }))
            }
            (Some(word), None) if side == Side::Either && word != "ether" => Ok(Term::Test(match word {
                "ip" => Test::Ip4,
                "ip6" => Test::Ip6,
                "arp" => Test::Arp,
                "icmp" => Test::Protocol { protocol: 1, ip4: true, ip6: false },
                "icmp6" => Test::Protocol { protocol: 58, ip4: false, ip6: true },
                _ => Test::Protocol { protocol: protocol(word).unwrap_or_default(), ip4: true, ip6: true },
            })),
            _ => Err(self.unknown()),
        }
    }

    /// What cannot go on as it does.
    fn unknown(&self) -> FilterError {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map(|token| token.text);
        match (before, self.peek()) {
            (None | Some("(" | "not" | "!" | "and" | "or" | "&&" | "||"), Some(token)) => self.wrong(
                format!("`{token}` is no beginning of a test: these are `host`, `net`, `port`, `tcp` and others"),
                self.at,
                BEGINNINGS,
            ),
            (Some(before), Some(token)) => self.wrong(format!("`{token}` cannot follow `{before}`"), self.at, CONTINUATIONS),
            (Some(before), None) => self.here(format!("something is missing after `{before}`")),
            (None, None) => self.here("an expression is missing"),
        }
    }

    fn simple(&mut self, word: &str) -> Result<Test, FilterError> {
        let length = "a length in bytes";
        Ok(match word {
            "less" => Test::Len { least: 0, most: self.value(length, number)? },
            "greater" => Test::Len { least: self.value(length, number)?, most: usize::MAX },
            "len" => {
                let sign = self.take(&["<", "<=", ">", ">=", "=", "=="]);
                let sign = sign.ok_or_else(|| self.here("`<`, `<=`, `>`, `>=` or `=` is missing after `len`"))?;
                let len: usize = self.value(length, number)?;
                let (least, most) = match sign {
                    // Nothing is shorter than 0, nor longer than the longest: a range that is empty.
                    "<" => len.checked_sub(1).map_or((1, 0), |most| (0, most)),
                    "<=" => (0, len),
                    ">" => len.checked_add(1).map_or((1, 0), |least| (least, usize::MAX)),
                    ">=" => (len, usize::MAX),
                    _ => (len, len),
                };
                Test::Len { least, most }
            }
            "dscp" => Test::Dscp(self.value("a code point, 0 to 63", |token| number(token).filter(|dscp| *dscp < 64))?),
            _ if !self.has_ethernet => return Err(self.last(NO_ETHERNET)),
            _ => match self.peek().and_then(number::<u16>) {
                Some(id) if id < 4096 => {
                    self.at += 1;
                    Test::Vlan(Some(id))
                }
                Some(id) => return Err(self.here(format!("`{id}` is not the id of a VLAN, 0 to 4095"))),
                None => Test::Vlan(None),
            },
        })
    }

    fn mac(&mut self, side: Side) -> Result<Term, FilterError> {
        let read = |token: &str| token.parse::<MacAddr>().ok();
        Ok(Term::Test(Test::Mac(side, self.value("a hardware address", read)?.octets())))
    }

    /// An address, or a prefix.
    fn net(&mut self, qualifier: Option<&str>, side: Side, kind: Option<&str>) -> Result<Term, FilterError> {
        let what = if kind == Some("net") { "a prefix such as 10.0.0.0/8" } else { "an IP address" };
        let (address, len) = self.value(what, |token| {
            let (address, len) = match token.split_once('/') {
                Some((address, len)) if kind == Some("net") => (address.parse().ok()?, number(len)?),
                Some(_) => return None,
                None => (token.parse().ok()?, 128),
            };
            let most = if matches!(address, IpAddr::V4(_)) { 32 } else { 128 };
            (len <= most || !token.contains('/')).then_some((address, len.min(most)))
        })?;
        let family = match qualifier {
            Some("ip") => Family::Ip4,
            Some("arp") => Family::Arp,
            _ => Family::Any,
        };
        let test = match (address, qualifier) {
            (IpAddr::V4(address), None | Some("ip" | "arp")) => {
                let mask = u32::MAX.checked_shl(32 - len).unwrap_or(0);
                let net = Ipv4Addr::to_bits(address);
                self.whole(net & mask == net, address, len)?;
                Test::Net4 { side, family, net, mask }
            }
            (IpAddr::V6(address), None | Some("ip6")) => {
                let mask = u128::MAX.checked_shl(128 - len).unwrap_or(0);
                let net = Ipv6Addr::to_bits(address);
                self.whole(net & mask == net, address, len)?;
                Test::Net6 { side, net, mask }
            }
            (address, qualifier) => {
                return Err(self.last(format!("`{address}` is no address of `{}`", qualifier.unwrap_or_default())));
            }
        };
        Ok(Term::Test(test))
    }

    /// Refuses a prefix with bits behind it, which was just read.
    fn whole(&self, is_whole: bool, address: impl std::fmt::Display, len: u32) -> Result<(), FilterError> {
        if is_whole { Ok(()) } else { Err(self.last(format!("`{address}/{len}` has bits behind its prefix"))) }
    }

    /// Behind `tcp[`: `tcpflags] & (tcp-syn|tcp-ack) == tcp-syn`.
    fn tcp_flags(&mut self) -> Result<Test, FilterError> {
        if self.take(&["tcpflags", "13"]).is_none() {
            return Err(self.here("of a TCP header only `tcp[tcpflags]` can be looked at"));
        }
        self.expect("]")?;
        let mask = if self.take(&["&"]).is_some() { self.flags()? } else { u8::MAX };
        let equal = match self.take(&["=", "==", "!="]) {
            Some(sign) => sign != "!=",
            None => return Err(self.here("`==` or `!=` is missing behind `tcp[tcpflags]`")),
        };
        Ok(Test::TcpFlags { mask, value: self.flags()?, equal })
    }

    fn flags(&mut self) -> Result<u8, FilterError> {
        let what = "a flag such as `tcp-syn`, or a number below 256";
        let is_open = self.take(&["("]).is_some();
        let mut flags = self.value(what, flag)?;
        while is_open && self.take(&["|"]).is_some() {
            flags |= self.value(what, flag)?;
        }
        if is_open {
            self.expect(")")?;
        }
        Ok(flags)
    }
}

/// Decimal, or hexadecimal behind `0x`.
fn number<T: TryFrom<u64>>(token: &str) -> Option<T> {
    let number = match token.strip_prefix("0x") {
        Some(hex) if hex.starts_with(|c: char| c.is_ascii_hexdigit()) => u64::from_str_radix(hex, 16),
        Some(_) => return None,
        None if token.starts_with(|c: char| c.is_ascii_digit()) => token.parse(),
        None => return None,
    };
    number.ok().and_then(|number| T::try_from(number).ok())
}

fn protocol(token: &str) -> Option<u8> {
    let names =
        [("icmp", 1), ("igmp", 2), ("tcp", 6), ("udp", 17), ("gre", 47), ("esp", 50), ("ah", 51), ("icmp6", 58), ("sctp", 132)];
    names.iter().find(|(name, _)| *name == token).map(|(_, number)| *number).or_else(|| number(token))
}

fn flag(token: &str) -> Option<u8> {
    let names = ["tcp-fin", "tcp-syn", "tcp-rst", "tcp-push", "tcp-ack", "tcp-urg", "tcp-ece", "tcp-cwr"];
    names.iter().position(|name| *name == token).map(|bit| 1 << bit).or_else(|| number(token))
}
