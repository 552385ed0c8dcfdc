//! The Internet checksum (RFC 1071): whole, with pseudo headers, and by difference (RFC 1624).
//!
//! In one's complement arithmetic 0x0000 and 0xffff are both zero. A sum is 0x0000 only if all the
//! data is zero, so a checksum is 0xffff only then, and updates keep to that. UDP alone has a rule
//! of its own, as its field says "none" by 0x0000: see [`nonzero`] and [`update_udp`].

use super::IpProtocol;

/// A one's complement sum under way. 16-bit words are added in any order; the parts added must
/// begin at even offsets of the data, so that only the last may be odd.
///
/// Words are summed as they lie in memory and swapped once at the end (RFC 1071 §2 B), in 32-bit
/// units whose carries gather in the upper half.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Nothing yet.
    #[inline]
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds bytes; an odd last one counts as the upper half of a word.
    #[inline]
    #[must_use]
    pub fn add_bytes(self, bytes: &[u8]) -> Self {
        // A lane takes 33 bits per block: it overflows after 2^31 blocks, 64 GiB.
        let mut lanes = [0; 4];
        let (blocks, rest) = bytes.as_chunks::<32>();
        for block in blocks {
            for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
                *lane += halves(u64::from_ne_bytes(*word));
            }
        }
        let mut sum = halves(self.0) + lanes.into_iter().map(halves).sum::<u64>();
        let (words, rest) = rest.as_chunks::<4>();
        for word in words {
            sum += u64::from(u32::from_ne_bytes(*word));
        }
        let (words, rest) = rest.as_chunks::<2>();
        for word in words {
            sum += u64::from(u16::from_ne_bytes(*word));
        }
        for last in rest {
            sum += u64::from(u16::from_ne_bytes([*last, 0]));
        }
        Self(sum)
    }

    /// Adds a word of 16 bits.
    #[inline]
    #[must_use]
    pub fn add_u16(self, word: u16) -> Self {
        Self(halves(self.0) + u64::from(word.to_be()))
    }

    /// Adds two words of 16 bits.
    #[inline]
    #[must_use]
    pub fn add_u32(self, words: u32) -> Self {
        Self(halves(self.0) + u64::from(words.to_be()))
    }

    /// The sum, folded to 16 bits.
    #[inline]
    pub fn fold(self) -> u16 {
        u16::from_be(fold(self.0))
    }

    /// The checksum: the complement of the sum. For UDP, pass it through [`nonzero`].
    #[inline]
    pub fn checksum(self) -> u16 {
        !self.fold()
    }

    /// Whether data summed *with* its checksum is right. All zeros are not.
    #[inline]
    pub fn is_valid(self) -> bool {
        fold(self.0) == 0xffff
    }
}

/// The pseudo header that a transport checksum covers, without the length: the transport header's
/// view adds the one that it sums.
#[derive(Clone, Copy, Debug)]
pub struct Pseudo {
    sum: Sum,
    udp_optional: bool,
}

impl Pseudo {
    /// Of IPv4 (RFC 9293 §3.1, RFC 768). See also [`Ipv4::pseudo`](super::Ipv4::pseudo).
    #[inline]
    pub fn v4(src: u32, dst: u32, protocol: IpProtocol) -> Self {
        let sum = Sum::new().add_u32(src).add_u32(dst).add_u16(protocol.0.into());
        Self { sum, udp_optional: true }
    }

    /// Of IPv6 (RFC 8200 §8.1). See also [`Ipv6::pseudo`](super::Ipv6::pseudo).
    #[inline]
    pub fn v6(src: u128, dst: u128, protocol: IpProtocol) -> Self {
        let addresses = Sum::new().add_bytes(&src.to_be_bytes()).add_bytes(&dst.to_be_bytes());
        Self { sum: addresses.add_u16(protocol.0.into()), udp_optional: false }
    }

    /// The sum of the pseudo header for `len` bytes of transport header and payload.
    #[inline]
    pub fn sum(self, len: usize) -> Sum {
        // IPv4 has 16 bits for it, and no more are used there: the sum is the same.
        self.sum.add_u32(len as u32)
    }

    /// Whether a UDP checksum of 0 means that there is none (RFC 768). IPv6 forbids it (RFC 8200
    /// §8.1).
    #[inline]
    pub fn udp_optional(self) -> bool {
        self.udp_optional
    }
}

/// The checksum of `bytes`, whose own checksum field is zero or not among them.
#[inline]
pub fn checksum(bytes: &[u8]) -> u16 {
    Sum::new().add_bytes(bytes).checksum()
}

/// Whether `bytes`, with their checksum among them, are right.
#[inline]
pub fn verify(bytes: &[u8]) -> bool {
    Sum::new().add_bytes(bytes).is_valid()
}

/// The checksum after a 16-bit word of the data changed: HC' = ~(~HC + ~m + m') (RFC 1624,
/// equation 3).
///
/// A word is at an even offset of the data. For one at an odd offset, swap the bytes of both.
///
/// Data that becomes zero throughout gets 0x0000, which does not verify. No IP header is such data,
/// nor anything with a pseudo header; an ICMP echo reply without identifier, sequence number and
/// data is: compute that one anew.
#[inline]
pub fn update_u16(check: u16, old: u16, new: u16) -> u16 {
    !add(add(!check, !old), new)
}

/// [`update_u16`] for 32 bits: an IPv4 address, two ports.
#[inline]
pub fn update_u32(check: u16, old: u32, new: u32) -> u16 {
    !fold(u64::from(!check) + u64::from(!old) + u64::from(new))
}

/// The IPv4 header checksum after the TTL, an upper half of a word, went down by one. The rest of
/// the word cancels out: ~m + m' = -0x0100.
#[inline]
pub fn after_ttl_decrement(check: u16) -> u16 {
    !add(!check, !0x0100)
}

/// What UDP sends for a computed checksum: 0xffff in the place of 0, which would mean "none"
/// (RFC 768).
#[inline]
pub fn nonzero(check: u16) -> u16 {
    if check == 0 { 0xffff } else { check }
}

/// Updates a UDP checksum, unless there is none.
///
/// ```
/// use swath_api::wire::checksum::{update_u16, update_u32, update_udp};
/// # let (old_ip, new_ip, old_port, new_port) = (1, 2, 3, 4);
/// let translate = |check| update_u16(update_u32(check, old_ip, new_ip), old_port, new_port);
/// assert_eq!(update_udp(0, translate), 0);
/// assert_eq!(update_udp(0x1234, translate), 0x1232);
/// ```
#[inline]
pub fn update_udp(check: u16, update: impl FnOnce(u16) -> u16) -> u16 {
    if check == 0 { 0 } else { nonzero(update(check)) }
}

/// One's complement addition: the carry comes round, where it cannot carry again.
#[inline]
fn add(a: u16, b: u16) -> u16 {
    let sum = u32::from(a) + u32::from(b);
    (sum + (sum >> 16)) as u16
}

/// The two halves added: the same in one's complement, below 2^33.
#[inline]
fn halves(sum: u64) -> u64 {
    (sum & 0xffff_ffff) + (sum >> 32)
}

/// The same in one's complement, in 16 bits.
#[inline]
fn fold(sum: u64) -> u16 {
    let sum = halves(sum); // < 2^33
    let sum = (sum & 0xffff) + (sum >> 16); // <= 0x2fffe
    let sum = (sum & 0xffff) + (sum >> 16); // <= 0x10000
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071 §3.
    const EXAMPLE: [u8; 8] = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];

    #[test]
    fn rfc1071_example() {
        assert_eq!(Sum::new().add_bytes(&EXAMPLE).fold(), 0xddf2);
        assert_eq!(checksum(&EXAMPLE), 0x220d);
        assert!(verify(&[&EXAMPLE[..], &[0x22, 0x0d]].concat()));
        assert!(!verify(&[&EXAMPLE[..], &[0x22, 0x0e]].concat()));
    }

    #[test]
    fn rfc1624_example() {
        // §4: HC = 0xdd2f, m = 0x5555, m' = 0x3285 must give 0x0000 and not 0xffff as RFC 1141 did.
        assert_eq!(update_u16(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn zeros() {
        assert_eq!(checksum(&[]), 0xffff);
        assert_eq!(checksum(&[0; 20]), 0xffff);
        assert_eq!(checksum(&[0xff; 20]), 0x0000);
        assert!(!verify(&[0; 20]));
        assert!(verify(&[0xff; 20]));
        assert_eq!((nonzero(0), nonzero(1), nonzero(0xffff)), (0xffff, 1, 0xffff));
        assert_eq!(update_udp(0x1234, |_| 0), 0xffff);
        assert_eq!(update_udp(0, |_| 0x1234), 0);
    }

    #[test]
    fn fold_at_its_bounds() {
        // Modulo 0xffff, with 0xffff for every multiple but 0 itself.
        for sum in [0, 1, 0xffff, 0x1_0000, 0x1_ffff, 0xffff_ffff, 0x1_fffe_ffff, 0x1_0000_ffff_ffff, u64::MAX - 1, u64::MAX] {
            let expected = if sum == 0 { 0 } else { (sum - 1) % 0xffff + 1 };
            assert_eq!(u64::from(fold(sum)), expected, "{sum:#x}");
        }
    }
}
