//! The grammar: from words to a [`TextPacket`].

use etherparse::EtherType;

use super::build::{Addresses, IpPacket};
use super::cursor::{Words, unexpected};
use super::lex::{TextError, Word};
use super::parse_ip::{Endpoints, endpoints, ip_word};
use super::vocabulary::{Protocol, WORDS, icmp_names, is_in_header_of};
use super::{Content, TextPacket};

/// Reads one packet.
pub(super) fn packet(text: &str) -> Result<TextPacket, TextError> {
    let mut words = Words::new(text)?;
    let expected = "a protocol (udp, tcp, icmp, icmp6, ip, arp, eth or hex)";
    let name = words.next(expected)?;
    let names = Protocol::ALL.map(Protocol::name);
    let protocol = Protocol::ALL
        .into_iter()
        .find(|protocol| protocol.name() == name.text)
        .ok_or_else(|| unexpected(expected, &name).meant(&name.text, names))?;

    let mut packet =
        TextPacket { via: None, source: None, destination: None, tags: Vec::new(), content: Content::Frame(Vec::new()), pad: 0 };
    match protocol {
        Protocol::Hex => {
            packet.content = Content::Frame(words.hex("the frame in hexadecimal digits")?);
            Options::read(&mut words, protocol, &mut packet, None)?;
        }
        Protocol::Arp => {
            packet.content = arp(&mut words)?;
            Options::read(&mut words, protocol, &mut packet, None)?;
        }
        Protocol::Eth => {
            packet.source = Some(words.mac()?);
            words.literal(">")?;
            packet.destination = Some(words.mac()?);
            let options = Options::read(&mut words, protocol, &mut packet, None)?;
            let Some(ether_type) = options.ether_type else {
                return Err(TextError::new(words.column(), "expected `type` with an EtherType"));
            };
            let headers_len = 14 + 4 * packet.tags.len();
            let bytes = options.filled_payload(headers_len + packet.pad)?;
            packet.content = Content::Packet { ether_type: EtherType(ether_type), bytes };
        }
        Protocol::Udp | Protocol::Tcp | Protocol::Icmp | Protocol::Icmp6 | Protocol::Ip => {
            let (endpoints, ip) = endpoints(&mut words, protocol)?;
            let options = Options::read(&mut words, protocol, &mut packet, Some(ip))?;
            packet.content = options.ip_content(&endpoints, &packet)?;
        }
    }
    Ok(packet)
}

fn arp(words: &mut Words) -> Result<Content, TextError> {
    let expected = "`who-has` or `reply`";
    let operation = words.next(expected)?;
    match operation.text.as_str() {
        "who-has" => {
            let target = words.ipv4()?;
            words.literal("tell")?;
            Ok(Content::ArpRequest { sender: words.ipv4()?, target })
        }
        "reply" => {
            let sender = words.ipv4()?;
            words.literal("is-at")?;
            let sender_mac = words.mac()?;
            words.literal("to")?;
            Ok(Content::ArpReply { sender, sender_mac, target: words.ipv4()? })
        }
        text => Err(unexpected(expected, &operation).meant(text, ["who-has", "reply"])),
    }
}

/// What the words after the endpoints say, apart from what goes straight into the packet.
struct Options {
    protocol: Protocol,
    ip: Option<IpPacket>,
    /// Each word that was given, under the name of what it sets, and its column.
    given: Vec<(&'static str, usize)>,
    ether_type: Option<u16>,
    payload: Vec<u8>,
    len: Option<usize>,
}

impl Options {
    fn read(words: &mut Words, protocol: Protocol, packet: &mut TextPacket, ip: Option<IpPacket>) -> Result<Self, TextError> {
        let mut options = Self { protocol, ip, given: Vec::new(), ether_type: None, payload: Vec::new(), len: None };
        while let Some(word) = words.next_if_any() {
            options.word(&word, words, packet)?;
        }
        options.check_ip()?;
        Ok(options)
    }

    fn word(&mut self, word: &Word, words: &mut Words, packet: &mut TextPacket) -> Result<(), TextError> {
        let known = WORDS.iter().find(|(name, _)| *name == word.text && !word.quoted);
        match known {
            Some((name, of)) if of.contains(&self.protocol) => {
                // `tos` and `dscp` set the same field, so do `type` and the names of ICMP types.
                let sets = match *name {
                    "dscp" => "tos",
                    "mss" => "options",
                    "id" if self.ip.is_some() && !self.protocol.is_icmp() => "ip-id",
                    name => name,
                };
                if !matches!(sets, "vlan" | "svlan") {
                    self.give(sets, word)?;
                }
                match *name {
                    "via" => packet.via = Some(words.next("the name of an interface")?.text),
                    "src-mac" => packet.source = Some(words.mac()?),
                    "dst-mac" => packet.destination = Some(words.mac()?),
                    "vlan" => packet.tags.push(words.tag(EtherType::VLAN_TAGGED_FRAME)?),
                    "svlan" => packet.tags.push(words.tag(EtherType::PROVIDER_BRIDGING)?),
                    "pad" => packet.pad = words.number("the number of bytes", 65535)? as usize,
                    "len" => self.len = Some(words.number("a frame length", 65535)? as usize),
                    "payload" => self.payload = words.payload()?,
                    "type" if self.protocol == Protocol::Eth => {
                        self.ether_type = Some(words.number("an EtherType", 0xffff)? as u16);
                    }
                    name => {
                        if let Some(ip) = &mut self.ip {
                            ip_word(ip, name, words)?;
                        }
                    }
                }
                Ok(())
            }
            Some((name, _)) => {
                let protocol = self.protocol.name();
                Err(TextError::new(word.column, format!("`{name}` does not apply to {protocol}")))
            }
            None => {
                let named = icmp_names(self.protocol).find(|(name, _)| *name == word.text);
                if let (Some((_, icmp_type)), Some(ip)) = (named, &mut self.ip) {
                    ip.icmp_type = icmp_type;
                    return self.give("type", word);
                }
                let protocol = self.protocol.name();
                let candidates = WORDS
                    .iter()
                    .filter(|(_, of)| of.contains(&self.protocol))
                    .map(|(name, _)| *name)
                    .chain(icmp_names(self.protocol).map(|(name, _)| name));
                Err(unexpected(&format!("a word that applies to {protocol}"), word).meant(&word.text, candidates))
            }
        }
    }

    fn give(&mut self, sets: &'static str, word: &Word) -> Result<(), TextError> {
        if self.column_of(sets).is_some() {
            let message = format!("`{}` sets what an earlier word has set", word.text);
            return Err(TextError::new(word.column, message));
        }
        self.given.push((sets, word.column));
        Ok(())
    }

    fn column_of(&self, sets: &str) -> Option<usize> {
        self.given.iter().find(|(given, _)| *given == sets).map(|(_, column)| *column)
    }

    /// The rules that tie several words together.
    fn check_ip(&self) -> Result<(), TextError> {
        let Some(ip) = &self.ip else { return Ok(()) };
        let misplaced = |word: &str, message: &str| match self.column_of(word) {
            Some(column) => Err(TextError::new(column, message)),
            None => Ok(()),
        };
        if matches!(ip.addresses, Addresses::V6(..)) {
            misplaced("df", "`df` is of IPv4; IPv6 packets are never fragmented on their way")?;
            misplaced("bad-ip-checksum", "an IPv6 header has no checksum")?;
            if !ip.is_fragment() {
                misplaced("ip-id", "in IPv6 only a fragment has an identification: add `mf` or `frag`")?;
            }
            if ip.protocol == Protocol::Ip {
                misplaced("bad-checksum", "an IPv6 header has no checksum")?;
            }
        } else {
            misplaced("flow-label", "`flow-label` is of IPv6")?;
            if ip.id > 0xffff {
                misplaced("ip-id", "an IPv4 identification is at most 65535")?;
            }
        }
        if self.column_of("id").or(self.column_of("seq")).is_some() {
            misplaced("mtu", "`mtu` stands in the place of `id` and `seq`")?;
        }
        if self.column_of("no-checksum").is_some() {
            misplaced("bad-checksum", "`bad-checksum` contradicts `no-checksum`")?;
        }
        if ip.has_offset() {
            let in_header = |(word, _): &&(&str, usize)| is_in_header_of(word, self.protocol);
            if let Some((word, column)) = self.given.iter().find(in_header) {
                let protocol = self.protocol.name();
                let message = format!("`{word}`: a fragment with an offset has no {protocol} header");
                return Err(TextError::new(*column, message));
            }
        }
        Ok(())
    }

    fn ip_content(self, endpoints: &Endpoints, packet: &TextPacket) -> Result<Content, TextError> {
        let Some(ip) = &self.ip else {
            return Ok(packet.content.clone());
        };
        let wants_ports = matches!(self.protocol, Protocol::Udp | Protocol::Tcp) && !ip.has_offset();
        for (column, with_port) in endpoints.columns.into_iter().zip(endpoints.with_port) {
            let protocol = self.protocol.name();
            match (wants_ports, with_port) {
                (true, false) => {
                    let message = format!("expected a port after this address, as {protocol} has them");
                    return Err(TextError::new(column, message));
                }
                (false, true) => {
                    let message = match ip.has_offset() {
                        true => "a fragment with an offset has no ports".to_owned(),
                        false => format!("{protocol} has no ports"),
                    };
                    return Err(TextError::new(column, message));
                }
                _ => {}
            }
        }
        let payload = self.filled_payload(14 + 4 * packet.tags.len() + ip.headers_len() + packet.pad)?;
        let bytes = ip.bytes(&payload).map_err(|_| {
            let column = self.column_of("len").or(self.column_of("payload"));
            TextError::new(column.unwrap_or(1), "the packet is longer than IP can say")
        })?;
        let ether_type = match ip.addresses {
            Addresses::V4(..) => EtherType::IPV4,
            Addresses::V6(..) => EtherType::IPV6,
        };
        Ok(Content::Packet { ether_type, bytes })
    }

    /// The payload, with zeros up to the frame length that was asked for.
    fn filled_payload(&self, others_len: usize) -> Result<Vec<u8>, TextError> {
        let mut payload = self.payload.clone();
        if let Some(len) = self.len {
            let min = others_len + payload.len();
            if len < min {
                let column = self.column_of("len").unwrap_or(1);
                let message = format!("`len {len}` is less than the {min} bytes of this frame");
                return Err(TextError::new(column, message));
            }
            payload.resize(len - others_len, 0);
        }
        Ok(payload)
    }
}
