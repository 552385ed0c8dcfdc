//! Plain scalars by the core schema of YAML 1.2 (section 10.3.2): which texts without quotes are not
//! strings.

use crate::spec::value::Node;

/// Reads a plain scalar. `None`: it is a number that cannot be represented.
pub(super) fn resolve(text: &str) -> Option<Node> {
    // Everything that is no string starts with one of few characters; most texts are strings.
    let node = match text.bytes().next() {
        None => Node::Null,
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => return number(text),
        Some(b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F') => match text {
            "~" | "null" | "Null" | "NULL" => Node::Null,
            "true" | "True" | "TRUE" => Node::Bool(true),
            "false" | "False" | "FALSE" => Node::Bool(false),
            _ => Node::Str(text.into()),
        },
        Some(_) => Node::Str(text.into()),
    };
    Some(node)
}

/// Whether a plain scalar is a string.
pub(super) fn is_string(text: &str) -> bool {
    match text.bytes().next() {
        Some(b'a'..=b'e' | b'g'..=b'm' | b'o'..=b's' | b'u'..=b'z') => true,
        _ => matches!(resolve(text), Some(Node::Str(_))),
    }
}

fn number(text: &str) -> Option<Node> {
    let is_all = |digits: &str, radix| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    if let Some(digits) = text.strip_prefix("0x").filter(|digits| is_all(digits, 16)) {
        return u64::from_str_radix(digits, 16).ok().map(unsigned);
    }
    if let Some(digits) = text.strip_prefix("0o").filter(|digits| is_all(digits, 8)) {
        return u64::from_str_radix(digits, 8).ok().map(unsigned);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if is_all(digits, 10) {
        // Only a minus is taken by an unsigned number's other half.
        return match text.parse() {
            Ok(value) => Some(Node::Int(value)),
            Err(_) => text.parse().ok().map(Node::Uint),
        };
    }
    if is_float(digits) {
        return text.parse().ok().filter(|value: &f64| value.is_finite()).map(Node::Float);
    }
    if matches!(digits, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return None;
    }
    Some(Node::Str(text.into()))
}

fn unsigned(value: u64) -> Node {
    i64::try_from(value).map_or(Node::Uint(value), Node::Int)
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(text: &str) -> bool {
    let is_digits = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_ok = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && is_digits(digits)
    });
    let mantissa_ok = !(whole.is_empty() && fraction.is_empty());
    mantissa_ok && is_digits(whole) && is_digits(fraction) && exponent_ok
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_specification() {
        // YAML 1.2.2, example 10.9, and the traps of YAML 1.1.
        let null = ["", "~", "null", "Null", "NULL"];
        assert!(null.iter().all(|text| resolve(text) == Some(Node::Null)));
        for text in ["true", "True", "TRUE"] {
            assert_eq!(resolve(text), Some(Node::Bool(true)));
        }
        for text in ["false", "False", "FALSE"] {
            assert_eq!(resolve(text), Some(Node::Bool(false)));
        }
        for (text, value) in [
            ("0", 0),
            ("0o7", 7),
            ("0x3A", 58),
            ("-19", -19),
            ("+12", 12),
            ("0644", 644),
            ("-9223372036854775808", i64::MIN),
            ("9223372036854775807", i64::MAX),
            ("0x7fffffffffffffff", i64::MAX),
        ] {
            assert_eq!(resolve(text), Some(Node::Int(value)), "{text}");
        }
        for (text, value) in
            [("9223372036854775808", 1 << 63), ("+18446744073709551615", u64::MAX), ("0xffffffffffffffff", u64::MAX)]
        {
            assert_eq!(resolve(text), Some(Node::Uint(value)), "{text}");
        }
        for (text, value) in
            [("0.", 0.0), ("-0.0", -0.0), (".5", 0.5), ("+12e03", 12000.0), ("-2E+05", -200_000.0), ("1.5e-3", 0.0015)]
        {
            assert_eq!(resolve(text), Some(Node::Float(value)), "{text}");
        }
        for text in
            ["18446744073709551616", "-9223372036854775809", "0x10000000000000000", ".inf", "-.Inf", "+.INF", ".nan", "1e999"]
        {
            assert_eq!(resolve(text), None, "{text}");
        }
        for text in [
            "yes",
            "no",
            "on",
            "off",
            "y",
            "n",
            "nUll",
            "tRue",
            "1_000",
            "12:30",
            "0b1",
            "0x",
            "0o",
            "0o8",
            "0xg",
            "-0x1",
            "+",
            "-",
            ".",
            "..",
            "1.2.3",
            "10.0.0.1",
            "10.0.0.0/8",
            "e5",
            "1e",
            "1e+",
            "--1",
            "+-1",
            "1 2",
            "-.nan",
            "02:00:00:00:00:01",
            "::1",
            "10Gbps",
            "١",
            "infinity",
            "inf",
            "nan",
            "+.e5",
            ".e5",
        ] {
            assert_eq!(resolve(text), Some(Node::Str(text.into())), "{text}");
            assert!(is_string(text));
        }
    }
}
