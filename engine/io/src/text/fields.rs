//! The fields of a text, to compare two packets field by field.

use super::vocabulary::{ICMP_NAMES, WORDS};

/// Words without a value.
const FLAGS: [&str; 6] = ["df", "mf", "dei", "bad-checksum", "bad-ip-checksum", "no-checksum"];
/// Words with a value that stand in no list of words.
const OTHERS: [&str; 7] = ["who-has", "tell", "is-at", "to", "hex", "pcp", "#"];

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// What it is about: `protocol`, `operation` (of ARP), `source`, `>`, `destination`, `type`, or its first word.
    pub name: &'a str,
    /// Its words.
    pub text: &'a str,
}

/// The parts of what [`describe`](super::describe()) says, in order: protocol and addresses, and each word with its value.
///
/// ```
/// use swath_io::text::fields;
///
/// let text = r#"udp 10.0.0.1:1 > 10.0.0.2:2 ttl 63 df payload "a b""#;
/// let fields: Vec<_> = fields(text).iter().map(|field| field.text).collect();
/// assert_eq!(fields, ["udp", "10.0.0.1:1", ">", "10.0.0.2:2", "ttl 63", "df", r#"payload "a b""#]);
/// ```
pub fn fields(text: &str) -> Vec<Field<'_>> {
    let mut fields: Vec<Field<'_>> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let mut end = word(rest);
        let first = &rest[..end];
        let is_type = ICMP_NAMES.iter().any(|(known, ..)| *known == first);
        let values = match first {
            "payload" if rest[end..].trim_start().starts_with("hex ") => 2,
            name if FLAGS.contains(&name) || is_type => 0,
            name => usize::from(OTHERS.contains(&name) || WORDS.iter().any(|(known, _)| *known == name)),
        };
        for _ in 0..values {
            let blanks = rest[end..].len() - rest[end..].trim_start().len();
            end += blanks + word(&rest[end + blanks..]);
        }
        let name = match fields.len() {
            0 => "protocol",
            1 if first == "reply" => "operation",
            2 if fields[1].name == "operation" => "source",
            1 if values == 0 && !is_type => "source",
            3 if fields[2].name == ">" => "destination",
            _ if is_type => "type",
            _ => first,
        };
        fields.push(Field { name, text: rest[..end].trim_end() });
        rest = rest[end..].trim_start();
    }
    fields
}

/// What holds for a field that a text does not have, if it is a number.
pub fn usual(name: &str) -> Option<&'static str> {
    match name {
        "ttl" => Some("ttl 64"),
        "win" => Some("win 65535"),
        "tos" => Some("tos 0"),
        "flow-label" => Some("flow-label 0"),
        "id" => Some("id 0"),
        "ip-id" => Some("ip-id 0"),
        "seq" => Some("seq 0"),
        "ack" => Some("ack 0"),
        "code" => Some("code 0"),
        "mtu" => Some("mtu 0"),
        _ => None,
    }
}

/// The length of the first word, or of the text between quotes.
fn word(text: &str) -> usize {
    let mut escaped = false;
    let quoted = text.starts_with('"');
    let ends = |c: char| {
        if !quoted {
            return c.is_whitespace();
        }
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    };
    let start = usize::from(quoted);
    text[start..].find(ends).map_or(text.len(), |end| start + end + start)
}

#[cfg(test)]
mod tests {
    use super::super::TextPacket;
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        fields(text).iter().map(|field| field.text).collect()
    }

    #[test]
    fn a_word_and_its_value_are_one_field() {
        let cases: [(&str, &[&str]); 7] = [
            ("", &[]),
            ("hex 0011", &["hex 0011"]),
            ("arp who-has 10.0.0.1 tell 10.0.0.2 pad 18", &["arp", "who-has 10.0.0.1", "tell 10.0.0.2", "pad 18"]),
            (
                "icmp 10.0.0.1 > 10.0.0.2 time-exceeded code 1 vlan 5 pcp 3 dei",
                &["icmp", "10.0.0.1", ">", "10.0.0.2", "time-exceeded", "code 1", "vlan 5", "pcp 3", "dei"],
            ),
            (r#"ip a > b payload "x \" ttl 3 \\" ttl 4"#, &["ip", "a", ">", "b", r#"payload "x \" ttl 3 \\""#, "ttl 4"]),
            ("ip a > b payload hex 00ff len 60 # inexact", &["ip", "a", ">", "b", "payload hex 00ff", "len 60", "# inexact"]),
            // What no description says does no harm.
            (r#"payload "open"#, &[r#"payload "open"#]),
        ];
        for (text, expected) in cases {
            assert_eq!(texts(text), expected, "{text}");
            assert_eq!(texts(text).join(" "), text);
        }
        assert_eq!(texts("ttl"), ["ttl"]);
        assert_eq!(texts(" vlan  5 payload  hex  é "), ["vlan  5", "payload  hex  é"]);
    }

    #[test]
    fn fields_have_names() {
        let names = |text| fields(text).iter().map(|field| field.name).collect::<Vec<_>>();
        assert_eq!(names("icmp a > b echo-reply id 5"), ["protocol", "source", ">", "destination", "type", "id"]);
        assert_eq!(names("icmp a > b type 99"), ["protocol", "source", ">", "destination", "type"]);
        assert_eq!(names("arp reply a is-at b to c"), ["protocol", "operation", "source", "is-at", "to"]);
        assert_eq!(names("hex 00"), ["protocol"]);
    }

    #[test]
    fn what_is_usual_changes_nothing() {
        let udp = "udp 10.0.0.1:1 > 10.0.0.2:2";
        let v6 = "udp [fe80::1]:1 > [fe80::2]:2";
        let cases = [
            (udp, "ttl"),
            (udp, "tos"),
            (udp, "id"),
            (v6, "flow-label"),
            ("tcp 10.0.0.1:1 > 10.0.0.2:2", "seq"),
            ("tcp 10.0.0.1:1 > 10.0.0.2:2", "ack"),
            ("tcp 10.0.0.1:1 > 10.0.0.2:2", "win"),
            ("icmp 10.0.0.1 > 10.0.0.2", "code"),
            ("icmp 10.0.0.1 > 10.0.0.2", "mtu"),
            ("icmp 10.0.0.1 > 10.0.0.2", "ip-id"),
        ];
        for (text, name) in cases {
            let with = format!("{text} {}", usual(name).unwrap());
            assert_eq!(TextPacket::parse(&with), TextPacket::parse(text), "{with}");
        }
        assert_eq!(usual("payload"), None);
    }
}
