//! Which packet comes when: one sequence for all receive queues, of which each takes what is its own.

use std::num::NonZeroU64;

use super::settings::Pattern;
use crate::flow_hash::mix;

const SECOND: u128 = 1_000_000_000;

/// When the packets of the sequence are due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Packets per second; all of them at once without it.
    pub rate: Option<NonZeroU64>,
    /// Packets that are due together.
    pub burst: u64,
}

impl Pace {
    /// How many packets are due when `elapsed` nanoseconds have passed.
    pub fn due(&self, elapsed: u64) -> u64 {
        let Some(rate) = self.rate else { return u64::MAX };
        let bursts = u128::from(elapsed) * u128::from(rate.get()) / (SECOND * u128::from(self.burst));
        u64::try_from((bursts + 1) * u128::from(self.burst)).unwrap_or(u64::MAX)
    }

    /// After how many nanoseconds the packet with this number is due: the first time at which [`Pace::due`] counts it.
    pub fn time_of(&self, number: u64) -> u64 {
        let Some(rate) = self.rate else { return 0 };
        let first = u128::from(number - number % self.burst);
        u64::try_from((first * SECOND).div_ceil(u128::from(rate.get()))).unwrap_or(u64::MAX)
    }
}

/// The flows that a queue receives.
#[derive(Debug, Clone)]
pub(super) enum Own {
    All,
    /// One bit for each flow.
    Some(Box<[u64]>),
}

impl Own {
    /// Divides flows between queues, by the queue of each.
    pub fn divide(flows: u32, queues: usize, mut queue_of: impl FnMut(u32) -> usize) -> Vec<Own> {
        if queues <= 1 {
            return vec![Own::All];
        }
        let mut bits = vec![vec![0; flows.div_ceil(64) as usize].into_boxed_slice(); queues];
        for flow in 0..flows {
            bits[queue_of(flow)][flow as usize / 64] |= 1 << (flow % 64);
        }
        bits.into_iter().map(Own::Some).collect()
    }

    #[inline]
    fn has(&self, flow: u32) -> bool {
        match self {
            Own::All => true,
            Own::Some(bits) => bits[flow as usize / 64] >> (flow % 64) & 1 != 0,
        }
    }

    /// The first of them from a flow on.
    #[inline]
    fn first_from(&self, flow: u32) -> Option<u32> {
        let Own::Some(bits) = self else { return Some(flow) };
        let (word, bit) = (flow as usize / 64, flow % 64);
        let first = bits.get(word)? & (u64::MAX << bit);
        if first != 0 {
            return Some(flow - bit + first.trailing_zeros());
        }
        let (behind, bits) = bits[word + 1..].iter().enumerate().find(|(_, bits)| **bits != 0)?;
        Some((word + 1 + behind) as u32 * 64 + bits.trailing_zeros())
    }

    fn is_empty(&self) -> bool {
        matches!(self, Own::Some(bits) if bits.iter().all(|word| *word == 0))
    }
}

/// What the next packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Step {
    pub flow: u32,
    pub size: u32,
}

/// A queue's part of the sequence.
#[derive(Debug)]
pub(super) struct Sequence {
    flows: u32,
    sizes: u32,
    own: Own,
    order: Order,
    limit: u64,
    // The number of the next packet of our own, and what it is.
    at: u64,
    step: Step,
}

#[derive(Debug)]
enum Order {
    RoundRobin { round: u64 },
    Random { seed: u64 },
}

impl Sequence {
    /// The sequence of `limit` packets of so many flows and sizes, neither of which may be 0.
    pub fn new(flows: u32, sizes: u32, own: Own, pattern: Pattern, seed: u64, limit: Option<u64>) -> Sequence {
        let limit = if own.is_empty() { 0 } else { limit.unwrap_or(u64::MAX) };
        let (order, step) = match pattern {
            Pattern::RoundRobin => (Order::RoundRobin { round: 0 }, Step::default()),
            // Seeds that are near each other have nothing in common then.
            Pattern::Random => (Order::Random { seed: mix(seed) }, random(mix(seed), 0, flows, sizes)),
        };
        let mut sequence = Sequence { flows, sizes, own, order, limit, at: 0, step };
        if !sequence.own.has(step.flow) {
            sequence.advance();
        }
        sequence
    }

    /// The next packet of our own, if its number is below `until`.
    #[inline]
    pub fn next(&mut self, until: u64) -> Option<Step> {
        if self.at >= until.min(self.limit) {
            return None;
        }
        let step = self.step;
        self.advance();
        Some(step)
    }

    /// The number of the next packet, unless the end is reached.
    pub fn position(&self) -> Option<u64> {
        (self.at < self.limit).then_some(self.at)
    }

    #[inline]
    fn advance(&mut self) {
        match &mut self.order {
            // Straight to the next of our own: what is other queues' costs nothing, however many they are.
            Order::RoundRobin { round } => {
                let next = self.own.first_from(self.step.flow + 1).filter(|flow| *flow < self.flows);
                let from = self.step.flow;
                let next = next.unwrap_or_else(|| {
                    *round += 1;
                    self.at += u64::from(self.flows - from);
                    // Shifted by one each round: else a flow would always have the same size where one count divides the other.
                    self.step = Step { flow: 0, size: (*round % u64::from(self.sizes)) as u32 };
                    self.own.first_from(0).unwrap_or_default()
                });
                let passed = next - self.step.flow;
                self.at += u64::from(passed);
                self.step = Step { flow: next, size: add(self.step.size, passed, self.sizes) };
            }
            Order::Random { seed } => loop {
                self.at += 1;
                self.step = random(*seed, self.at, self.flows, self.sizes);
                if self.own.has(self.step.flow) || self.at >= self.limit {
                    break;
                }
            },
        }
    }
}

/// The size that comes so many packets behind another.
#[inline]
fn add(size: u32, packets: u32, sizes: u32) -> u32 {
    let sum = u64::from(size) + u64::from(packets);
    match sum.checked_sub(u64::from(sizes)) {
        None => sum as u32,
        // Mostly there is one size, or the next packet is our own.
        Some(rest) if rest < u64::from(sizes) => rest as u32,
        Some(rest) => (rest % u64::from(sizes)) as u32,
    }
}

/// The packet of a number in random order: any queue finds it without those before.
#[inline]
fn random(seed: u64, number: u64, flows: u32, sizes: u32) -> Step {
    /// The increment of splitmix64.
    const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
    let bits = mix(seed.wrapping_add(number.wrapping_add(1).wrapping_mul(GAMMA)));
    let below = |bits: u64, count: u32| ((bits * u64::from(count)) >> 32) as u32;
    Step { flow: below(bits >> 32, flows), size: below(bits & 0xffff_ffff, sizes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_due_at_their_rate() {
        let pace = Pace { rate: NonZeroU64::new(1_000_000), burst: 1 };
        assert_eq!([0, 999, 1000, 1999, 1_000_000].map(|at| pace.due(at)), [1, 1, 2, 2, 1001]);
        assert_eq!([0, 1, 2, 1000].map(|number| pace.time_of(number)), [0, 1000, 2000, 1_000_000]);
        let bursts = Pace { rate: NonZeroU64::new(1_000_000), burst: 32 };
        assert_eq!([0, 31_999, 32_000].map(|at| bursts.due(at)), [32, 32, 64]);
        assert_eq!([0, 31, 32, 63, 64].map(|number| bursts.time_of(number)), [0, 0, 32_000, 32_000, 64_000]);
        let all = Pace { rate: None, burst: 256 };
        assert_eq!((all.due(0), all.time_of(u64::MAX)), (u64::MAX, 0));
    }

    #[test]
    fn due_and_time_agree_at_every_rate() {
        for rate in [1, 3, 7, 999_999_937, 1_000_000_000, 14_880_952, u64::MAX] {
            for burst in [1, 3, 256] {
                let pace = Pace { rate: NonZeroU64::new(rate), burst };
                for number in [0, 1, 2, 255, 256, 1_000_000_007, 1 << 40] {
                    let at = pace.time_of(number);
                    // In 584 years nobody waits any more.
                    assert!(pace.due(at) > number || at == u64::MAX, "rate {rate} burst {burst} number {number}");
                    assert!(at == 0 || pace.due(at - 1) <= number, "rate {rate} burst {burst} number {number}");
                }
            }
        }
    }

    fn all(mut sequence: Sequence) -> Vec<(u32, u32)> {
        std::iter::from_fn(|| sequence.next(u64::MAX)).map(|step| (step.flow, step.size)).collect()
    }

    #[test]
    fn round_robin_gives_every_flow_every_size() {
        let steps = all(Sequence::new(2, 2, Own::All, Pattern::RoundRobin, 0, Some(6)));
        assert_eq!(steps, [(0, 0), (1, 1), (0, 1), (1, 0), (0, 0), (1, 1)]);
        let steps = all(Sequence::new(3, 1, Own::All, Pattern::RoundRobin, 0, Some(4)));
        assert_eq!(steps, [(0, 0), (1, 0), (2, 0), (0, 0)]);
    }

    #[test]
    fn queues_share_the_sequence_without_rest() {
        for pattern in [Pattern::RoundRobin, Pattern::Random] {
            let whole = all(Sequence::new(100, 3, Own::All, pattern, 7, Some(5000)));
            assert_eq!(whole.len(), 5000);
            for queues in [2, 3, 5] {
                let queue_of = |flow: u32| flow as usize * 31 % queues;
                for (queue, own) in Own::divide(100, queues, queue_of).into_iter().enumerate() {
                    let part = all(Sequence::new(100, 3, own, pattern, 7, Some(5000)));
                    let expected: Vec<_> = whole.iter().copied().filter(|(flow, _)| queue_of(*flow) == queue).collect();
                    assert_eq!(part, expected);
                }
            }
        }
    }

    #[test]
    fn a_queue_without_flows_is_at_its_end() {
        for own in Own::divide(64, 2, |_| 0).into_iter().skip(1) {
            assert_eq!(Sequence::new(64, 1, own, Pattern::Random, 0, None).position(), None);
        }
    }

    #[test]
    fn random_is_even_and_depends_on_the_seed() {
        let steps = all(Sequence::new(4, 2, Own::All, Pattern::Random, 1, Some(8000)));
        for flow in 0..4 {
            for size in 0..2 {
                let count = steps.iter().filter(|step| **step == (flow, size)).count();
                // 1000 on average; five standard deviations of a binomial distribution.
                assert!((850..1150).contains(&count), "{count}");
            }
        }
        assert_ne!(steps, all(Sequence::new(4, 2, Own::All, Pattern::Random, 2, Some(8000))));
    }
}
