//! A packet that was seen, in words.

use serde_json::Value;
use swath_api::layer;
use swath_ctl::api::{Becomes, Seen, from_hex};
use swath_io::text::{Mac, describe};

use crate::terminal::{Style, paint};

/// Its bytes.
pub fn bytes(seen: &Seen) -> Vec<u8> {
    from_hex(&seen.bytes).unwrap_or_default()
}

/// What is before its bytes in an Ethernet frame, if it is no frame and can be one: addresses that nobody has.
pub fn made_up_header(layer: &str, bytes: &[u8]) -> Option<[u8; 14]> {
    let ether_type: u16 = match layer {
        layer::VLAN => 0x8100,
        layer::ARP => 0x0806,
        layer::IP4 | layer::IP6 if bytes.first().is_some_and(|first| first >> 4 == 6) => 0x86dd,
        layer::IP4 | layer::IP6 => 0x0800,
        _ => return None,
    };
    let mut header = [0; 14];
    header[..6].copy_from_slice(&Mac::DESTINATION.0);
    header[6..12].copy_from_slice(&Mac::SOURCE.0);
    header[12..].copy_from_slice(&ether_type.to_be_bytes());
    Some(header)
}

/// Its text, as the tests of graphs have it: `udp 10.0.0.5:4000 > 8.8.8.8:53 ttl 3`. Of one that was not kept whole without what is said
/// of its end.
pub fn text(seen: &Seen) -> String {
    if seen.length == 0 && seen.bytes.is_empty() {
        return "a packet for which there was no buffer".into();
    }
    let bytes = bytes(seen);
    if bytes.is_empty() {
        return format!("{} bytes", seen.length);
    }
    let text = match (&*seen.layer, made_up_header(&seen.layer, &bytes)) {
        (layer::ETHERNET, _) => describe(&bytes),
        (_, Some(header)) => describe(&[&header[..], &bytes].concat()),
        (_, None) => describe(&bytes),
    };
    let text = by_dscp(text.strip_suffix(" # inexact").unwrap_or(&text));
    if bytes.len() == usize::from(seen.length) { text } else { of_the_beginning(&text, seen.length) }
}

/// A text with the DSCP in the place of the whole TOS, where it is all of it: that is what people mark packets by.
fn by_dscp(text: &str) -> String {
    let Some((before, rest)) = text.split_once(" tos ") else { return text.into() };
    let (number, behind) = rest.split_once(' ').map_or((rest, None), |(number, behind)| (number, Some(behind)));
    match number.parse::<u8>() {
        Ok(tos) if tos.trailing_zeros() >= 2 && !before.contains(" payload ") => {
            format!("{before} dscp {}{}", tos >> 2, behind.map(|behind| format!(" {behind}")).unwrap_or_default())
        }
        _ => text.into(),
    }
}

/// A text that was made of the beginning of a packet: without what it says of the end, and with the whole length.
fn of_the_beginning(text: &str, length: u16) -> String {
    let mut kept = Vec::new();
    let mut words = text.split(" payload ").next().unwrap_or(text).split(' ');
    while let Some(word) = words.next() {
        if matches!(word, "len" | "pad") {
            words.next();
        } else {
            kept.push(word);
        }
    }
    format!("{} ({length} bytes)", kept.join(" "))
}

/// Where it was, and what becomes of it there: `lookup.no-route`, `lookup.forward -> rewrite`.
pub fn place(seen: &Seen) -> String {
    let name = format!("{}.{}", seen.node, seen.edge);
    match (&seen.to, seen.becomes) {
        (Some(to), _) => format!("{name} -> {to}"),
        (None, Becomes::Sent) => format!("{name} -> {}", seen.leaves.as_deref().unwrap_or("?")),
        (None, _) => name,
    }
}

/// The time of day, to the microsecond, of an RFC 3339 time.
pub fn clock(time: &str) -> &str {
    time.get(11..26).unwrap_or(time)
}

/// A line about a packet at a place.
pub fn line(seen: &Seen, colour: bool) -> String {
    let place = paint(&place(seen), Style::Bold, colour);
    let by = seen.received.as_ref().map(|interface| format!(" via {interface}")).unwrap_or_default();
    format!("{}  {place}  {}{by}", clock(&seen.time), text(seen))
}

/// All about it, with its text.
pub fn json(seen: &Seen) -> Value {
    let mut value = serde_json::to_value(seen).unwrap_or_default();
    if let Value::Object(members) = &mut value {
        members.insert("text".into(), text(seen).into());
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_told_by_its_code_point() {
        for (text, told) in [
            ("udp 10.0.0.1:1 > 10.0.0.2:2 tos 184 len 60", "udp 10.0.0.1:1 > 10.0.0.2:2 dscp 46 len 60"),
            ("udp 10.0.0.1:1 > 10.0.0.2:2 ttl 63 tos 32", "udp 10.0.0.1:1 > 10.0.0.2:2 ttl 63 dscp 8"),
            // With ECN.
            ("udp 10.0.0.1:1 > 10.0.0.2:2 tos 186", "udp 10.0.0.1:1 > 10.0.0.2:2 tos 186"),
            (r#"udp 10.0.0.1:1 > 10.0.0.2:2 payload "a tos 4 b""#, r#"udp 10.0.0.1:1 > 10.0.0.2:2 payload "a tos 4 b""#),
        ] {
            assert_eq!(by_dscp(text), told);
            assert!(swath_io::text::TextPacket::parse(told).is_ok());
        }
    }
}
