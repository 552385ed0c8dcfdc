//! `meter`: a rate that traffic keeps, by a token bucket (RFC 2697 §3, without its excess bucket).

use swath_api::prelude::*;
use swath_api::units::{BitRate, PacketRate, Size};

/// Tells what keeps to a rate from what exceeds it.
pub struct Meter {
    bits: Option<Bucket>,
    packets: Option<Bucket>,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Bits of packets in a second, over long times: `10Mbps`. A packet has the bytes that it has at this node: behind `ethernet-input` it
    /// has no Ethernet header.
    bits: Option<BitRate>,
    /// With `bits`: what may pass at once after a pause, as `64KiB`. A packet that is larger never passes.
    burst: Option<Size>,
    /// Packets in a second, over long times: `2kpps`. Where `bits` are given, too, a packet has to keep to both.
    packets: Option<PacketRate>,
    /// With `packets`: how many may pass at once after a pause.
    burst_packets: Option<u32>,
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// Packets that keep to the rate.
        Ok = required("ok", layer::SAME),
        /// More than the rate allows. Raise it or the burst if that is too strict; wire the edge to mark such packets instead.
        Exceeded = drop("exceeded"),
    }
}

impl Node for Meter {
    const INFO: Info = Info::new("meter", "Tells packets that keep to a rate from those that exceed it.").about(
        "A token bucket (RFC 2697, with the committed burst alone): it starts full, fills at the rate up to the burst, and a packet that \
         finds its tokens in it takes them and passes. What exceeds the rate takes none. Each worker has an equal share of the rates and of \
         the bursts: traffic that comes to one of several workers alone gets the share of that one.",
    )
        .carries("how full its buckets are")
        .example(include_str!("../examples/meter.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Meter, ConfigError> {
        let Config { bits, burst, packets, burst_packets } = config;
        let bits = bits.map(BitRate::bits_per_second);
        let packets = packets.map(PacketRate::packets_per_second);
        let meter = Meter {
            bits: bucket(("bits", bits, 8), ("burst", burst.map(Size::bytes)), setup.workers())?,
            packets: bucket(("packets", packets, 1), ("burst-packets", burst_packets.map(u64::from)), setup.workers())?,
        };
        if meter.bits.is_none() && meter.packets.is_none() {
            return Err(ConfigError::new(
                "a meter needs a rate: `bits: 10Mbps, burst: 64KiB` or `packets: 1kpps, burst-packets: 32`",
            ));
        }
        Ok(meter)
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, cx: &Context<'_>, words: &mut Words<'_>) {
        if decided.is(Next::Exceeded) {
            self.fits(packet.len(), cx.now(), words);
        }
    }

    fn simulate(&mut self, packet: &mut Packet<'_>, cx: &mut Context<'_>, words: &mut Words<'_>) -> Option<Next> {
        Some(if self.fits(packet.len(), cx.now(), words) { Next::Ok } else { Next::Exceeded })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let Meter { bits, packets } = self;
        bits.iter_mut().chain(&mut *packets).for_each(|bucket| bucket.fill(cx.now()));
        frame.for_each(|packet| {
            let len = packet.len() as u64 * 8;
            let fits = bits.as_ref().is_none_or(|bucket| bucket.has(len)) && packets.as_ref().is_none_or(|bucket| bucket.has(1));
            if !fits {
                return Next::Exceeded;
            }
            bits.iter_mut().for_each(|bucket| bucket.take(len));
            packets.iter_mut().for_each(|bucket| bucket.take(1));
            Next::Ok
        });
    }

    fn adopt(&mut self, old: &mut Meter) {
        for (new, old) in [(&mut self.bits, &old.bits), (&mut self.packets, &old.packets)] {
            if let (Some(new), Some(old)) = (new, old) {
                new.adopt(old);
            }
        }
    }
}

impl Meter {
    /// Whether a packet of a length would pass now; says what is in the buckets, which stays there.
    fn fits(&self, length: usize, now: u64, words: &mut Words<'_>) -> bool {
        let of = |bucket: &Option<Bucket>| {
            bucket.clone().map(|mut bucket| {
                bucket.fill(now);
                bucket
            })
        };
        let (bits, packets) = (of(&self.bits), of(&self.packets));
        if let Some(bucket) = &bits {
            words.say(format_args!("{length} bytes, and {} may pass now", bucket.tokens() / 8));
        }
        if let Some(bucket) = &packets {
            words.say(format_args!("{} packets may pass now", bucket.tokens()));
        }
        bits.is_none_or(|bucket| bucket.has(length as u64 * 8)) && packets.is_none_or(|bucket| bucket.has(1))
    }
}

/// The bucket of a rate per second and a burst, each `(setting, value)`; a unit of the burst is so many `tokens`.
fn bucket(
    (rate_key, rate, tokens): (&str, Option<u64>, u64),
    (burst_key, burst): (&str, Option<u64>),
    workers: u32,
) -> Result<Option<Bucket>, ConfigError> {
    let (rate, burst) = match (rate, burst) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(ConfigError::at(burst_key, format!("a burst is that of a rate: add `{rate_key}`"))),
        (Some(_), None) => {
            return Err(ConfigError::at(rate_key, format!("`{burst_key}` is missing: how much may pass at once after a pause")));
        }
        (Some(0), _) => return Err(ConfigError::at(rate_key, "nothing keeps to a rate of 0: wire the edge to `drop`")),
        (Some(rate), Some(burst)) => (rate, burst),
    };
    if burst < u64::from(workers) {
        let message = if workers == 1 {
            "nothing passes with a burst of 0".into()
        } else {
            format!("each of {workers} workers has a share of it, 1 at least")
        };
        return Err(ConfigError::at(burst_key, message));
    }
    Ok(Some(Bucket::new(rate, burst, tokens, workers)))
}

/// A token bucket, exact to the nanosecond. What it holds is counted in the part of a token that arrives in a nanosecond at a rate of one
/// per second for all workers: all is whole numbers then, and the share of a worker is the whole rate.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bucket {
    level: u128,
    full: u128,
    rate: u128,
    token: u128,
    filled_at: u64,
}

const NANOSECONDS: u128 = 1_000_000_000;

impl Bucket {
    fn new(rate: u64, burst: u64, tokens: u64, workers: u32) -> Bucket {
        let full = u128::from(burst) * u128::from(tokens) * NANOSECONDS;
        Bucket { level: full, full, rate: rate.into(), token: NANOSECONDS * u128::from(workers), filled_at: 0 }
    }

    fn fill(&mut self, now: u64) {
        let passed = now.saturating_sub(self.filled_at);
        self.level = (self.level + self.rate * u128::from(passed)).min(self.full);
        self.filled_at = self.filled_at.max(now);
    }

    fn has(&self, tokens: u64) -> bool {
        self.level >= u128::from(tokens) * self.token
    }

    /// Whole tokens that it has.
    fn tokens(&self) -> u128 {
        self.level / self.token
    }

    /// Takes tokens that it has.
    fn take(&mut self, tokens: u64) {
        self.level = self.level.saturating_sub(u128::from(tokens) * self.token);
    }

    /// Holds what the old one does, as far as it can.
    fn adopt(&mut self, old: &Bucket) {
        (self.level, self.filled_at) = (old.level.min(self.full), old.filled_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use swath_api::testkit::{NodeKit, TestKit};

    fn kit(config: &str) -> NodeKit {
        TestKit::new().node::<Meter>(config).unwrap()
    }

    /// How many of so many packets of a length pass at a time.
    fn pass(kit: &mut NodeKit, now: u64, count: usize, len: usize) -> usize {
        kit.tick(now);
        let bytes = vec![0; len];
        kit.run(&vec![(&bytes[..], Lane::received(0)); count]).iter().filter(|out| out.edge == "ok").count()
    }

    #[test]
    fn packets_pass_at_the_rate_and_in_bursts() {
        let mut kit = kit(r#"{"packets": "1kpps", "burst-packets": 3}"#);
        assert_eq!(pass(&mut kit, 0, 10, 60), 3);
        // A token a millisecond, and not a nanosecond earlier.
        assert_eq!(pass(&mut kit, 999_999, 10, 60), 0);
        assert_eq!(pass(&mut kit, 1_000_000, 10, 60), 1);
        assert_eq!(pass(&mut kit, 3_500_000, 10, 60), 2);
        assert_eq!(pass(&mut kit, 4_000_000, 10, 60), 1, "the half that was left over");
        assert_eq!(pass(&mut kit, 3_600_000_000_000, 10, 60), 3, "no more than the burst");
    }

    #[test]
    fn bits_are_those_of_whole_packets() {
        // 8 kbit/s are a byte a millisecond.
        let mut kit = kit(r#"{"bits": "8kbps", "burst": 1000}"#);
        assert_eq!(pass(&mut kit, 0, 1, 1001), 0, "larger than the burst");
        assert_eq!(pass(&mut kit, 0, 3, 400), 2);
        assert_eq!(pass(&mut kit, 0, 1, 201), 0);
        assert_eq!(pass(&mut kit, 0, 1, 200), 1, "what exceeds takes nothing");
        assert_eq!(pass(&mut kit, 99_999_999, 1, 100), 0);
        assert_eq!(pass(&mut kit, 100_000_000, 2, 100), 1);
        assert_eq!(pass(&mut kit, u64::MAX, 3, 500), 2);
    }

    #[test]
    fn both_rates_are_kept() {
        let mut kit = kit(r#"{"bits": "8kbps", "burst": 1000, "packets": 1000, "burst-packets": 2}"#);
        assert_eq!(pass(&mut kit, 0, 5, 10), 2);
        assert_eq!(pass(&mut kit, 2_000_000, 2, 990), 0, "a packet token is there, and no bits");
        assert_eq!(pass(&mut kit, 2_000_000, 3, 10), 2);
    }

    #[test]
    fn workers_share() {
        // Of 10 packets a second two workers have 5 each, and 2 of a burst of 4.
        let mut half = Bucket::new(10, 4, 1, 2);
        half.fill(0);
        half.take(2);
        assert!(!half.has(1));
        half.fill(199_999_999);
        assert!(!half.has(1));
        half.fill(200_000_000);
        assert!(half.has(1) && !half.has(2));
    }

    #[test]
    fn what_is_held_is_taken_over() {
        let mut new = Bucket::new(10, 4, 1, 1);
        let mut old = Bucket::new(99, 6, 1, 1);
        old.take(5);
        new.adopt(&old);
        assert!(new.has(1) && !new.has(2));
        let mut small = Bucket::new(10, 2, 1, 1);
        small.adopt(&Bucket::new(10, 9, 1, 1));
        assert!(small.has(2) && !small.has(3));
    }

    #[test]
    fn rates_and_bursts_belong_together() {
        for (config, path) in [
            ("{}", ""),
            (r#"{"bits": "1Mbps"}"#, "bits"),
            (r#"{"burst": 100}"#, "burst"),
            (r#"{"packets": 1}"#, "packets"),
            (r#"{"burst-packets": 1}"#, "burst-packets"),
            (r#"{"packets": 0, "burst-packets": 1}"#, "packets"),
            (r#"{"packets": 1, "burst-packets": 0}"#, "burst-packets"),
            (r#"{"bits": "1Mbps", "burst": 0}"#, "burst"),
        ] {
            assert_eq!(TestKit::new().node::<Meter>(config).unwrap_err().path(), path, "{config}");
        }
    }

    proptest! {
        /// Against the definition: over any time from a full bucket on, no more passes than the burst and what the rate brings, and
        /// what is refused would have exceeded that.
        #[test]
        fn the_bucket_is_that_of_the_definition(
            rate in 1..2_000_000u64, burst in 1..5000u64, workers in 1..5u32,
            arrivals in prop::collection::vec((0..3_000_000u64, 1..3000u64), 1..200),
        ) {
            let mut bucket = Bucket::new(rate, burst, 1, workers);
            // Tokens times nanoseconds times workers, by another way: from the time at which the bucket would be full again.
            let (mut now, mut debt) = (0u64, 0u128);
            for (pause, tokens) in arrivals {
                now += pause;
                debt = debt.saturating_sub(u128::from(rate) * u128::from(pause));
                let cost = u128::from(tokens) * NANOSECONDS * u128::from(workers);
                let conforms = debt + cost <= u128::from(burst) * NANOSECONDS;
                bucket.fill(now);
                prop_assert_eq!(bucket.has(tokens), conforms);
                if conforms {
                    debt += cost;
                    bucket.take(tokens);
                }
            }
        }
    }
}
