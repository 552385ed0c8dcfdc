//! Numbers as people read them.

/// A count with a comma at each thousand.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate with three digits and the prefix of its thousands: `1.25 M`.
pub fn rate(per_second: f64) -> String {
    let mut value = per_second.max(0.0);
    let mut prefix = "";
    for next in [" k", " M", " G", " T"] {
        // What would be rounded to four digits has the next prefix.
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        prefix = next;
    }
    let decimals = match value {
        _ if prefix.is_empty() => 0,
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}{prefix}")
}

/// A word with its number: `1 error`, `2 errors`.
pub fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_at_thousands() {
        let table = [(0, "0"), (999, "999"), (1000, "1,000"), (123_456, "123,456"), (u64::MAX, "18,446,744,073,709,551,615")];
        for (count, text) in table {
            assert_eq!(grouped(count), text);
        }
    }

    #[test]
    fn rates_have_three_digits() {
        let table = [
            (0.0, "0"),
            (-1.0, "0"),
            (0.4, "0"),
            (999.4, "999"),
            (999.6, "1.00 k"),
            (1234.0, "1.23 k"),
            (9994.0, "9.99 k"),
            (9996.0, "10.0 k"),
            (123_456.0, "123 k"),
            (999_600.0, "1.00 M"),
            (2e6, "2.00 M"),
            (14_880_952.0, "14.9 M"),
            (1.5e9, "1.50 G"),
        ];
        for (value, text) in table {
            assert_eq!(rate(value), text, "{value}");
        }
    }
}
