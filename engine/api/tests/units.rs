//! Quantities with units: the one form that is read, exact, and what is said of every other.

use proptest::prelude::*;
use serde::de::DeserializeOwned;
use swath_api::schemars::schema_for;
use swath_api::units::{BitRate, Duration, PacketRate, Size};

fn duration(text: &str) -> Result<u64, String> {
    text.parse::<Duration>().map(Duration::nanoseconds).map_err(|error| error.to_string())
}

fn size(text: &str) -> Result<u64, String> {
    text.parse::<Size>().map(Size::bytes).map_err(|error| error.to_string())
}

fn bits(text: &str) -> Result<u64, String> {
    text.parse::<BitRate>().map(BitRate::bits_per_second).map_err(|error| error.to_string())
}

fn packets(text: &str) -> Result<u64, String> {
    text.parse::<PacketRate>().map(PacketRate::packets_per_second).map_err(|error| error.to_string())
}

#[test]
fn every_unit() {
    for (text, nanoseconds) in [
        ("1ns", 1),
        ("1us", 1_000),
        ("1ms", 1_000_000),
        ("1s", 1_000_000_000),
        ("1min", 60 * 1_000_000_000),
        ("1h", 3600 * 1_000_000_000),
        ("1d", 86_400 * 1_000_000_000),
        ("0s", 0),
        ("0.0000001s", 100),
        ("1.50s", 1_500_000_000),
        ("213503d", 213_503 * 86_400 * 1_000_000_000),
    ] {
        assert_eq!(duration(text), Ok(nanoseconds), "{text}");
    }
    for (text, bytes) in [
        ("1500", 1500),
        ("1B", 1),
        ("1kB", 1000),
        ("1KiB", 1024),
        ("1MB", 1_000_000),
        ("1MiB", 1_048_576),
        ("1GB", 1_000_000_000),
        ("1GiB", 1_073_741_824),
        ("1.5KiB", 1536),
        ("18446744073709551615", u64::MAX),
        // 2 to the power of -30.
        ("0.000000000931322574615478515625GiB", 1),
    ] {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
    for (text, rate) in
        [("1bps", 1), ("1kbps", 1000), ("2.5Gbps", 2_500_000_000), ("1Mbps", 1_000_000), ("1Tbps", 1_000_000_000_000)]
    {
        assert_eq!(bits(text), Ok(rate), "{text}");
    }
    for (text, rate) in [("1000", 1000), ("1pps", 1), ("1.5kpps", 1500), ("14.88Mpps", 14_880_000)] {
        assert_eq!(packets(text), Ok(rate), "{text}");
    }
}

#[test]
fn what_is_refused_says_what_to_write() {
    for (text, expected) in [
        ("5", "`5s` or `5ms`"),
        ("1.5", "`1.5s` or `1.5ms`"),
        ("5m", "`5min` or `5ms`"),
        ("2 s", "`2s`"),
        ("2S", "`2s`"),
        ("10sec", "`10s`"),
        ("7µs", "`7us`"),
        ("0.5ns", "a whole number of nanoseconds"),
        ("0.00000000000000000000000000000000000000001s", "a whole number of nanoseconds"),
        ("213504d", "at most `213503d`"),
        ("99999999999999999999999999999999999999999999s", "at most `213503d`"),
        ("300000000000000000000000000000h", "at most `213503d`"),
        ("1.00000000000000000000000000000000000001s", "a whole number of nanoseconds"),
    ] {
        assert_eq!(duration(text), Err(format!("expected {expected}")), "{text}");
    }
    for text in
        ["", "s", "-5s", "+5s", " 5s", "5s ", "1h30min", "1e3s", ".5s", "5.s", "1.2.3s", "1_000s", "007s", "٥s", "5 fortnights"]
    {
        let expected = if text == "5s " { "`5s`" } else { "a duration such as `5s` or `500ms`" };
        assert_eq!(duration(text), Err(format!("expected {expected}")), "{text}");
    }
    for (text, expected) in [
        ("64KB", "`64kB` (times 1000) or `64KiB` (times 1024)"),
        ("64k", "`64kB` (times 1000) or `64KiB` (times 1024)"),
        ("1M", "`1MB` (times 1000²) or `1MiB` (times 1024²)"),
        ("64mib", "`64MiB`"),
        ("1.5", "a size such as `64MiB`, or a number of bytes"),
        ("0.3KiB", "a whole number of bytes"),
        ("17179869184GiB", "at most `17179869183GiB`"),
        ("18446744073709551616", "at most `17179869183GiB`"),
    ] {
        assert_eq!(size(text), Err(format!("expected {expected}")), "{text}");
    }
    for (text, expected) in [
        ("10", "`10Mbps` or `10Gbps`"),
        ("10G", "`10Gbps`"),
        ("10gbps", "`10Gbps`"),
        ("10Gbit/s", "`10Gbps`"),
        // Bytes or bits?
        ("10GB/s", "a bit rate such as `10Gbps` or `500Mbps`"),
        ("18446745Tbps", "at most `18446744Tbps`"),
    ] {
        assert_eq!(bits(text), Err(format!("expected {expected}")), "{text}");
    }
    for (text, expected) in
        [("2M", "`2Mpps`"), ("2mpps", "`2Mpps`"), ("2.5", "a packet rate such as `2Mpps`, or a number of packets per second")]
    {
        assert_eq!(packets(text), Err(format!("expected {expected}")), "{text}");
    }
}

fn refused<T: DeserializeOwned + std::fmt::Debug>(json: &str) -> String {
    serde_json::from_str::<T>(json).unwrap_err().to_string()
}

/// The form that graph files turn into a place and a sentence.
#[test]
fn the_messages_of_serde() {
    for (message, expected) in [
        (refused::<Duration>("5"), "invalid type: integer `5`, expected `5s` or `5ms`"),
        (refused::<Duration>("1.5"), "invalid type: floating point `1.5`, expected `1.5s` or `1.5ms`"),
        (refused::<Duration>("-5"), "invalid value: integer `-5`, expected a duration such as `5s` or `500ms`"),
        (refused::<Duration>("\"5 s\""), "invalid value: string \"5 s\", expected `5s`"),
        (refused::<Duration>("[]"), "invalid type: sequence, expected a duration such as `5s` or `500ms`"),
        (refused::<Duration>("null"), "invalid type: null, expected a duration such as `5s` or `500ms`"),
        (refused::<Size>("1000000.0"), "invalid type: floating point `1000000.0`, expected a size such as `64MiB`, or a number"),
        (refused::<BitRate>("true"), "invalid type: boolean `true`, expected a bit rate such as `10Gbps` or `500Mbps`"),
    ] {
        assert!(message.starts_with(expected), "{message}");
    }
    assert_eq!(serde_json::from_str::<Size>("1500").unwrap(), Size::from_bytes(1500));
    assert_eq!(serde_json::from_str::<PacketRate>("\"1kpps\"").unwrap(), PacketRate::from_packets_per_second(1000));
    assert_eq!(std::time::Duration::from(Duration::from_nanoseconds(1_500_000_001)), std::time::Duration::new(1, 500_000_001));
}

#[test]
fn what_is_written_is_short() {
    let shown = [0, 1, 1500, 1_500_000_000, 60_000_000_000, 90_000_000_000, u64::MAX].map(|number| {
        let all = [
            Duration::from_nanoseconds(number).to_string(),
            Size::from_bytes(number).to_string(),
            BitRate::from_bits_per_second(number).to_string(),
            PacketRate::from_packets_per_second(number).to_string(),
        ];
        all.join(" ")
    });
    let expected = [
        "0ns 0B 0bps 0pps",
        "1ns 1B 1bps 1pps",
        "1500ns 1500B 1500bps 1500pps",
        "1500ms 1500MB 1500Mbps 1500Mpps",
        "1min 60GB 60Gbps 60000Mpps",
        "90s 90GB 90Gbps 90000Mpps",
        "18446744073709551615ns 18446744073709551615B 18446744073709551615bps 18446744073709551615pps",
    ];
    assert_eq!(shown, expected);
    assert_eq!([2048, 65_536, 64 << 20].map(|bytes| Size::from_bytes(bytes).to_string()), ["2KiB", "64KiB", "64MiB"]);
}

#[test]
fn the_schema_says_what_is_read() {
    let schema = |schema: swath_api::schemars::Schema| schema.to_value();
    let duration = schema(schema_for!(Duration));
    assert_eq!(duration["type"], "string");
    assert_eq!(duration["pattern"], r"^(0|[1-9][0-9]*)(\.[0-9]+)?(ns|us|ms|s|min|h|d)$");
    assert_eq!(duration["description"], "A duration such as `5s` or `500ms`. Units: ns, us, ms, s, min, h, d.");
    let size = schema(schema_for!(Size));
    assert_eq!((&size["type"], &size["minimum"]), (&serde_json::json!(["integer", "string"]), &0.into()));
    for schema in [duration, size, schema(schema_for!(BitRate)), schema(schema_for!(PacketRate))] {
        assert!(schema["examples"][0].is_string() && schema["title"].is_string(), "{schema}");
    }
}

/// The quantity in the smallest unit, by another way: counted in billionths.
fn by_hand(whole: u64, fraction: u32, factor: u64) -> Option<u64> {
    let parts = u128::from(whole) * 1_000_000_000 + u128::from(fraction);
    let value = parts * u128::from(factor);
    (value % 1_000_000_000 == 0).then(|| u64::try_from(value / 1_000_000_000).ok()).flatten()
}

proptest! {
    #[test]
    fn decimals_are_exact(whole in 0u64..=1 << 40, fraction in 0u32..1_000_000_000, exact in any::<bool>(), unit in 0usize..7) {
        // Half of them without the digits that make them no whole number.
        let fraction = if exact { fraction / 1_000_000 * 1_000_000 } else { fraction };
        let (unit, factor) =
            [("ns", 1), ("us", 1000), ("ms", 1_000_000), ("s", 1_000_000_000), ("min", 60_000_000_000), ("h", 3_600_000_000_000), ("d", 86_400_000_000_000)][unit];
        prop_assert_eq!(duration(&format!("{whole}.{fraction:09}{unit}")).ok(), by_hand(whole, fraction, factor));
    }

    #[test]
    fn what_is_written_is_read_again(number in prop_oneof![any::<u64>(), (0u64..1 << 20).prop_map(|n| n * 1000), (0u64..1 << 20).prop_map(|n| n << 20)]) {
        prop_assert_eq!(duration(&Duration::from_nanoseconds(number).to_string()), Ok(number));
        prop_assert_eq!(size(&Size::from_bytes(number).to_string()), Ok(number));
        prop_assert_eq!(bits(&BitRate::from_bits_per_second(number).to_string()), Ok(number));
        prop_assert_eq!(packets(&PacketRate::from_packets_per_second(number).to_string()), Ok(number));
        let json = serde_json::to_string(&Size::from_bytes(number)).unwrap();
        prop_assert_eq!(serde_json::from_str::<Size>(&json).unwrap(), Size::from_bytes(number));
    }

    #[test]
    fn no_text_panics(text in ".*", number in "[0-9.]{0,45}[a-zA-Zµ/ ]{0,4}") {
        for text in [text, number] {
            let _ = (duration(&text), size(&text), bits(&text), packets(&text));
        }
    }
}
