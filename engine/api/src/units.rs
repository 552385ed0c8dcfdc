//! Quantities with their units, as settings say them: `5s`, `64MiB`, `10Gbps`, `2Mpps`.
//!
//! There is one form: a decimal number and its unit, without a space, in exactly these letters. `1.5s` is 1500 ms to the nanosecond,
//! and what is no whole number of the smallest unit is refused, as is what does not fit. An integer alone is a number of bytes or of
//! packets per second; nobody knows what it is of a duration or of a bit rate. Whether 0 means anything is up to the setting.
//!
//! ```
//! use swath_api::units::{BitRate, Duration, PacketRate, Size};
//!
//! assert_eq!("1.5s".parse::<Duration>()?.nanoseconds(), 1_500_000_000);
//! assert_eq!("64KiB".parse::<Size>()?.bytes(), 65_536);
//! assert_eq!("10Gbps".parse::<BitRate>()?.bits_per_second(), 10_000_000_000);
//! assert_eq!("2000000".parse::<PacketRate>()?.to_string(), "2Mpps");
//! assert_eq!("5m".parse::<Duration>().unwrap_err().to_string(), "expected `5min` or `5ms`");
//! # Ok::<(), swath_api::units::UnitError>(())
//! ```

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};
use serde::{Serialize, Serializer};

/// What can be said of a quantity.
struct Words {
    /// Its name.
    name: &'static str,
    /// What it is, with examples.
    what: &'static str,
    /// What is counted.
    whole: &'static str,
    /// The largest in the largest unit.
    most: &'static str,
    examples: &'static [&'static str],
    /// From the smallest, which is 1.
    units: &'static [(&'static str, u64)],
    /// Whether an integer alone is one.
    bare: bool,
    /// What to write instead of a unit that is none; `{}` is the number.
    instead: fn(&str) -> Option<&'static str>,
}

const DURATION: Words = Words {
    name: "duration",
    what: "a duration such as `5s` or `500ms`",
    whole: "nanoseconds",
    most: "213503d",
    examples: &["5s", "500ms"],
    units: &[
        ("ns", 1),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("min", 60_000_000_000),
        ("h", 3_600_000_000_000),
        ("d", 86_400_000_000_000),
    ],
    bare: false,
    instead: |unit| match unit {
        "" => Some("`{}s` or `{}ms`"),
        "m" => Some("`{}min` or `{}ms`"),
        "µs" | "μs" | "usec" => Some("`{}us`"),
        "msec" => Some("`{}ms`"),
        "sec" | "secs" | "second" | "seconds" => Some("`{}s`"),
        "mins" | "minute" | "minutes" => Some("`{}min`"),
        "hr" | "hour" | "hours" => Some("`{}h`"),
        "day" | "days" => Some("`{}d`"),
        _ => None,
    },
};

const SIZE: Words = Words {
    name: "size",
    what: "a size such as `64MiB`, or a number of bytes",
    whole: "bytes",
    most: "17179869183GiB",
    examples: &["64MiB", "2KiB"],
    units: &[
        ("B", 1),
        ("kB", 1_000),
        ("KiB", 1 << 10),
        ("MB", 1_000_000),
        ("MiB", 1 << 20),
        ("GB", 1_000_000_000),
        ("GiB", 1 << 30),
    ],
    bare: true,
    // SI has no prefix K, and half of the world means 1024 by KB.
    instead: |unit| match unit {
        "KB" | "K" | "k" => Some("`{}kB` (times 1000) or `{}KiB` (times 1024)"),
        "M" => Some("`{}MB` (times 1000²) or `{}MiB` (times 1024²)"),
        "G" => Some("`{}GB` (times 1000³) or `{}GiB` (times 1024³)"),
        "byte" | "bytes" => Some("`{}B`"),
        _ => None,
    },
};

const BIT_RATE: Words = Words {
    name: "bit rate",
    what: "a bit rate such as `10Gbps` or `500Mbps`",
    whole: "bits per second",
    most: "18446744Tbps",
    examples: &["10Gbps", "500Mbps"],
    units: &[("bps", 1), ("kbps", 1_000), ("Mbps", 1_000_000), ("Gbps", 1_000_000_000), ("Tbps", 1_000_000_000_000)],
    bare: false,
    instead: |unit| match unit {
        "" => Some("`{}Mbps` or `{}Gbps`"),
        "b/s" | "bit/s" => Some("`{}bps`"),
        "k" | "K" | "kb/s" | "kbit" | "kbit/s" => Some("`{}kbps`"),
        "M" | "Mb/s" | "Mbit" | "Mbit/s" => Some("`{}Mbps`"),
        "G" | "Gb/s" | "Gbit" | "Gbit/s" => Some("`{}Gbps`"),
        "T" | "Tb/s" | "Tbit" | "Tbit/s" => Some("`{}Tbps`"),
        _ => None,
    },
};

const PACKET_RATE: Words = Words {
    name: "packet rate",
    what: "a packet rate such as `2Mpps`, or a number of packets per second",
    whole: "packets per second",
    most: "18446744073709Mpps",
    examples: &["2Mpps", "500kpps"],
    units: &[("pps", 1), ("kpps", 1_000), ("Mpps", 1_000_000)],
    bare: true,
    instead: |unit| match unit {
        "/s" | "p/s" => Some("`{}pps`"),
        "k" | "K" | "kp/s" => Some("`{}kpps`"),
        "M" | "Mp/s" => Some("`{}Mpps`"),
        _ => None,
    },
};

impl Words {
    /// Reads a quantity, or says what was expected.
    fn parse(&self, text: &str) -> Result<u64, Cow<'static, str>> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let leads_with_zero = whole.len() > 1 && whole.starts_with('0');
        if !is_number(whole) || !is_number(fraction) || leads_with_zero {
            return Err(self.what.into());
        }
        let Some(factor) = self.factor(number, unit) else {
            return Err(self.instead_of(number, unit));
        };
        let fraction = fraction.trim_end_matches('0');
        let too_large = || format!("at most `{}`", self.most);
        let not_whole = || format!("a whole number of {}", self.whole);
        // More digits than any fraction of a unit needs, or too many before the point.
        let too_long = || match whole.parse().ok().and_then(|whole: u64| whole.checked_mul(factor)) {
            Some(_) => not_whole(),
            None => too_large(),
        };
        let scale = u32::try_from(fraction.len()).ok().and_then(|digits| 10u128.checked_pow(digits)).ok_or_else(too_long)?;
        let all: u128 = format!("{whole}{fraction}").parse().map_err(|_| too_long())?;
        let scaled = all.checked_mul(factor.into()).ok_or_else(too_long)?;
        if scaled % scale != 0 {
            return Err(not_whole().into());
        }
        u64::try_from(scaled / scale).map_err(|_| too_large().into())
    }

    fn factor(&self, number: &str, unit: &str) -> Option<u64> {
        let known = self.units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        known.or_else(|| (unit.is_empty() && self.bare && !number.contains('.')).then_some(1))
    }

    fn instead_of(&self, number: &str, unit: &str) -> Cow<'static, str> {
        let unit = unit.trim();
        if let Some(form) = (self.instead)(unit) {
            return form.replace("{}", number).into();
        }
        // A space between, or letters of the wrong case.
        let meant = self.units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        meant.map_or(self.what.into(), |(name, _)| format!("`{number}{name}`").into())
    }

    /// In the largest unit of which it is a whole number.
    fn write(&self, value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = self.units.iter().rev().find(|(_, factor)| value != 0 && value.is_multiple_of(*factor));
        let (unit, factor) = fits.unwrap_or(&self.units[0]);
        f.pad(&format!("{}{unit}", value / factor))
    }

    fn schema(&self) -> Schema {
        let units: Vec<&str> = self.units.iter().map(|(name, _)| *name).collect();
        let integer = "(0|[1-9][0-9]*)";
        let with_unit = format!(r"^{integer}(\.[0-9]+)?({})$", units.join("|"));
        let description = format!("{}. Units: {}.", capital(self.what), units.join(", "));
        if self.bare {
            let pattern = format!("{with_unit}|^{integer}$");
            json_schema!({
                "title": self.name, "type": ["integer", "string"], "minimum": 0, "pattern": pattern,
                "description": description, "examples": self.examples,
            })
        } else {
            json_schema!({
                "title": self.name, "type": "string", "pattern": with_unit,
                "description": description, "examples": self.examples,
            })
        }
    }

    fn deserialize<'de, D: Deserializer<'de>>(&'static self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + chars.as_str())
}

impl Visitor<'_> for &'static Words {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<u64, E> {
        self.parse(&value.to_string()).map_err(|expected| E::invalid_type(Unexpected::Unsigned(value), &&*expected))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<u64, E> {
        u64::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self)).and_then(|value| self.visit_u64(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<u64, E> {
        let expected = self.parse(&value.to_string()).err().unwrap_or(self.what.into());
        Err(E::invalid_type(Unexpected::Float(value), &&*expected))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        self.parse(text).map_err(|expected| E::invalid_value(Unexpected::Str(text), &&*expected))
    }
}

/// A text that is no quantity of the kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitError(Cow<'static, str>);

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.0)
    }
}

impl std::error::Error for UnitError {}

macro_rules! quantity {
    ($(#[$meta:meta])* $name:ident, $words:ident, $new:ident, $get:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(u64);

        impl $name {
            /// The quantity of this number.
            #[must_use]
            pub const fn $new(number: u64) -> $name {
                $name(number)
            }

            /// The number.
            #[must_use]
            pub const fn $get(self) -> u64 {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = UnitError;

            fn from_str(text: &str) -> Result<$name, UnitError> {
                $words.parse(text).map($name).map_err(UnitError)
            }
        }

        /// In the largest unit of which it is a whole number: the form that is read.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $words.write(self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                const { &$words }.deserialize(deserializer).map($name)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $words.schema()
            }
        }
    };
}

quantity! {
    /// A duration in whole nanoseconds, up to 584 years: `5s`, `1.5ms`. Units: `ns`, `us`, `ms`, `s`, `min`, `h`, `d` (24 hours). An
    /// integer alone is refused.
    Duration, DURATION, from_nanoseconds, nanoseconds
}

quantity! {
    /// A number of bytes: `64MiB`, `1500`. Units: `B`, `kB`, `MB`, `GB` (powers of 1000), `KiB`, `MiB`, `GiB` (powers of 1024; IEC
    /// 80000-13). An integer alone is bytes. `KB` is refused: nobody knows which of the two it is.
    Size, SIZE, from_bytes, bytes
}

quantity! {
    /// A rate in whole bits per second: `10Gbps`. Units: `bps`, `kbps`, `Mbps`, `Gbps`, `Tbps` (powers of 1000). An integer alone is
    /// refused.
    BitRate, BIT_RATE, from_bits_per_second, bits_per_second
}

quantity! {
    /// A rate in whole packets per second: `2Mpps`, `1000`. Units: `pps`, `kpps`, `Mpps` (powers of 1000). An integer alone is packets
    /// per second.
    PacketRate, PACKET_RATE, from_packets_per_second, packets_per_second
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> std::time::Duration {
        std::time::Duration::from_nanos(duration.nanoseconds())
    }
}
