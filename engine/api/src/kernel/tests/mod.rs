//! The scalar kernels against oracles written from the RFCs ([`oracle`]), the vector ones against the
//! scalar ones ([`twins`], [`route`]), and the checksum step over every value ([`checksum`]).

mod checksum;
mod frame;
mod oracle;
mod route;
mod twins;

/// Frames per random test; `SWATH_KERNEL_FRAMES` sets another number.
fn frames() -> usize {
    std::env::var("SWATH_KERNEL_FRAMES").ok().and_then(|n| n.parse().ok()).unwrap_or(600)
}

/// A small generator with a seed that a failing test can print.
#[derive(Clone)]
pub(super) struct Random(pub u64);

impl Random {
    /// 64 random bits (splitmix64).
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// True once in `n`.
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}
