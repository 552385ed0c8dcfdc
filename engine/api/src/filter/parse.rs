//! The language of expressions: the part of pcap-filter(7) that is used every day.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::FilterError;
use super::arith::{Number, Operator, Sign, Step};
use super::program::{Expression, Family, Header, Side, Term, Test};
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

/// Headers whose bytes can be compared.
const HEADERS: [(&str, Header); 9] = [
    ("ether", Header::Ethernet),
    ("ip", Header::Ip4),
    ("ip6", Header::Ip6),
    ("arp", Header::Arp),
    ("tcp", Header::Transport(6, true, true)),
    ("udp", Header::Transport(17, true, true)),
    ("sctp", Header::Transport(132, true, true)),
    ("icmp", Header::Transport(1, true, false)),
    ("icmp6", Header::Transport(58, false, true)),
];
/// Offsets that have names, with the headers that they are in.
const FIELDS: [(&str, &[&str], u32); 5] = [
    ("tcpflags", &["tcp"], 13),
    ("icmptype", &["icmp"], 0),
    ("icmpcode", &["icmp"], 1),
    ("icmp6type", &["icmp6"], 0),
    ("icmp6code", &["icmp6"], 1),
];
/// Numbers that have names: flags of TCP, types of ICMP (RFC 792, RFC 950, RFC 1256) and of ICMPv6 (RFC 4443, RFC 4861).
const NAMES: [(&str, u32); 33] = [
    ("tcp-fin", 0x01),
    ("tcp-syn", 0x02),
    ("tcp-rst", 0x04),
    ("tcp-push", 0x08),
    ("tcp-ack", 0x10),
    ("tcp-urg", 0x20),
    ("tcp-ece", 0x40),
    ("tcp-cwr", 0x80),
    ("icmp-echoreply", 0),
    ("icmp-unreach", 3),
    ("icmp-sourcequench", 4),
    ("icmp-redirect", 5),
    ("icmp-echo", 8),
    ("icmp-routeradvert", 9),
    ("icmp-routersolicit", 10),
    ("icmp-timxceed", 11),
    ("icmp-paramprob", 12),
    ("icmp-tstamp", 13),
    ("icmp-tstampreply", 14),
    ("icmp-ireq", 15),
    ("icmp-ireqreply", 16),
    ("icmp-maskreq", 17),
    ("icmp-maskreply", 18),
    ("icmp6-destinationunreach", 1),
    ("icmp6-packettoobig", 2),
    ("icmp6-timeexceeded", 3),
    ("icmp6-parameterproblem", 4),
    ("icmp6-echo", 128),
    ("icmp6-echoreply", 129),
    ("icmp6-routersolicit", 133),
    ("icmp6-routeradvert", 134),
    ("icmp6-neighborsolicit", 135),
    ("icmp6-neighboradvert", 136),
];

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
    let mut brackets = 0_usize;
    while !rest.is_empty() {
        let at = text.len() - rest.len();
        // Between brackets there are numbers and names, and no addresses: `[12:2]`.
        brackets = match rest.as_bytes()[0] {
            b'[' => brackets + 1,
            b']' => brackets.saturating_sub(1),
            _ => brackets,
        };
        let is_name = rest.starts_with(|c: char| c.is_ascii_alphabetic());
        let inner =
            |c: char| brackets == 0 && matches!(c, ':' | '/') || matches!(c, '.' | '_') || c == '-' && (brackets == 0 || is_name);
        let word = rest.find(|c: char| !(c.is_ascii_alphanumeric() || inner(c))).unwrap_or(rest.len());
        let signs = ["&&", "||", "==", "!=", "<=", ">=", "<<", ">>"];
        let sign = signs.iter().find(|sign| rest.starts_with(**sign)).map(|sign| sign.len());
        let one = ['(', ')', '!', '[', ']', '&', '|', '<', '>', '=', '+', '*', '%', '^'];
        let split = brackets > 0 && rest.starts_with([':', '/', '-']);
        // Behind something that is compared, a minus and what follows are two.
        let minus = rest.starts_with('-') && rest[1..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '(');
        let one = (rest.starts_with(one) || split || minus).then_some(1);
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
        if self.peek() == Some("(") {
            // `(ip[2:2] - 20) / 4 > 1` begins as `(tcp or udp)` does.
            let start = self.at;
            if let Ok(test) = self.comparison() {
                return Ok(Term::Test(test));
            }
            self.at = start + 1;
            let inner = self.expression(depth + 1)?;
            self.expect(")")?;
            return Ok(inner);
        }
        self.test()
    }

    fn test(&mut self) -> Result<Term, FilterError> {
        const QUALIFIERS: &[&str] = &["ether", "ip", "ip6", "arp", "tcp", "udp", "sctp", "icmp", "icmp6"];
        if self.begins_number() {
            return self.comparison().map(Term::Test);
        }
        if self.peek() == Some("len") {
            let start = self.at;
            if let Ok(test) = self.comparison() {
                return Ok(Term::Test(test));
            }
            self.at = start;
        }
        if let Some(word) = self.take(&["less", "greater", "len", "dscp", "vlan"]) {
            return self.simple(word).map(Term::Test);
        }
        let qualifier = self.take(QUALIFIERS);
        if matches!(qualifier, Some("ether" | "arp")) && !self.has_ethernet {
            return Err(self.last(NO_ETHERNET));
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

    /// Whether a number begins here that is compared with another, rather than a test by words.
    fn begins_number(&self) -> bool {
        let at = |ahead: usize| self.tokens.get(self.at + ahead).map(|token| token.text);
        match at(0) {
            Some(token) if HEADERS.iter().any(|(name, _)| *name == token) => at(1) == Some("["),
            Some(token) => token == "-" || known(token).is_some(),
            None => false,
        }
    }

    /// Two numbers and a sign between them.
    fn comparison(&mut self) -> Result<Test, FilterError> {
        let left = self.number(0)?;
        let signs = "`==`, `!=`, `<`, `<=`, `>` or `>=`";
        let found = Sign::ALL.iter().find(|(text, _)| self.peek() == Some(text));
        let Some((_, sign)) = found else { return Err(self.here(format!("{signs} is missing behind what is compared"))) };
        self.at += 1;
        Ok(Test::Compare(left, *sign, self.number(0)?))
    }

    fn number(&mut self, depth: usize) -> Result<Number, FilterError> {
        let start = self.at;
        let mut steps = Vec::new();
        self.sum(0, depth, &mut steps)?;
        Number::new(steps).ok_or_else(|| self.wrong("this is too long to be computed", start, &[]))
    }

    /// Numbers with operators between them that bind at least so tightly.
    fn sum(&mut self, tightly: u8, depth: usize, steps: &mut Vec<Step>) -> Result<(), FilterError> {
        self.one_number(depth, steps)?;
        loop {
            let found = Operator::ALL.iter().find(|(text, ..)| self.peek() == Some(text));
            let Some((_, operator, binds)) = found.filter(|(.., binds)| *binds >= tightly) else { return Ok(()) };
            self.at += 1;
            self.sum(binds + 1, depth, steps)?;
            steps.push(Step::Two(*operator));
        }
    }

    fn one_number(&mut self, depth: usize, steps: &mut Vec<Step>) -> Result<(), FilterError> {
        if depth == DEPTH {
            return Err(self.here(format!("more than {DEPTH} parentheses and negations within each other")));
        }
        if self.take(&["("]).is_some() {
            self.sum(0, depth + 1, steps)?;
            return self.expect(")");
        }
        if self.take(&["-"]).is_some() {
            steps.push(Step::Known(0));
            self.one_number(depth + 1, steps)?;
            steps.push(Step::Two(Operator::Subtract));
            return Ok(());
        }
        if self.take(&["len"]).is_some() {
            steps.push(Step::Length);
            return Ok(());
        }
        let header = self.peek().and_then(|token| HEADERS.iter().find(|(name, _)| *name == token));
        let Some((name, header)) = header else {
            let number = self.value("a number, `len` or bytes such as `ip[9]`", known)?;
            steps.push(Step::Known(number));
            return Ok(());
        };
        if matches!(header, Header::Ethernet | Header::Arp) && !self.has_ethernet {
            return Err(self.here(NO_ETHERNET));
        }
        self.at += 1;
        self.expect("[")?;
        match self.peek().and_then(|token| FIELDS.iter().find(|(field, of, _)| *field == token && of.contains(name))) {
            Some((.., at)) => {
                self.at += 1;
                steps.push(Step::Known(*at));
            }
            None => self.sum(0, depth + 1, steps)?,
        }
        let size = match self.take(&[":"]) {
            Some(_) => self.value("1, 2 or 4 bytes", |token| number(token).filter(|size| [1, 2, 4].contains(size)))?,
            None => 1,
        };
        self.expect("]")?;
        steps.push(Step::Load(*header, size));
        Ok(())
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

/// A number, or the name of one.
fn known(token: &str) -> Option<u32> {
    number(token).or_else(|| NAMES.iter().find(|(name, _)| *name == token).map(|(_, value)| *value))
}
