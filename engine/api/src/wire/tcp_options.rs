//! TCP options (RFC 9293 §3.2), and clamping the maximum segment size.

use super::options::option_from;
use super::{Header, Options, RawOption, Tcp, WireError, checksum, tcp};

const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

/// One TCP option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpOption<'a> {
    /// Maximum segment size (RFC 9293 §3.7.1).
    Mss(u16),
    /// Window scale, a shift count (RFC 7323 §2).
    WindowScale(u8),
    /// Selective acknowledgements are understood (RFC 2018 §2).
    SackPermitted,
    /// Selective acknowledgement (RFC 2018 §3): pairs of edges, 8 bytes each.
    Sack(&'a [u8]),
    /// Timestamps (RFC 7323 §3).
    Timestamps {
        /// TSval.
        value: u32,
        /// TSecr.
        echo: u32,
    },
    /// Any other kind.
    Other(RawOption<'a>),
}

/// The options of a TCP header, without padding. A known kind with a length that is not its own is
/// an error; any error ends the walk.
#[derive(Clone, Debug)]
pub struct TcpOptions<'a> {
    raw: Options<'a>,
    room: usize,
    failed: bool,
}

impl<'a> TcpOptions<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { raw: Options::new(Tcp::NAME, bytes), room: bytes.len(), failed: false }
    }
}

impl<'a> Iterator for TcpOptions<'a> {
    type Item = Result<TcpOption<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let room = self.room;
        let option = self.raw.next()?.and_then(|raw| typed(raw, room));
        self.failed = option.is_err();
        Some(option)
    }
}

/// The typed form of an option that stands among `room` bytes.
fn typed(raw: RawOption<'_>, room: usize) -> Result<TcpOption<'_>, WireError> {
    let RawOption { kind, at, data } = raw;
    let option = match kind {
        MSS => word(data).map(TcpOption::Mss),
        WINDOW_SCALE => match data {
            [shift] => Some(TcpOption::WindowScale(*shift)),
            _ => None,
        },
        SACK_PERMITTED => data.is_empty().then_some(TcpOption::SackPermitted),
        // 40 bytes of options have room for four blocks.
        SACK => matches!(data.len(), 8 | 16 | 24 | 32).then_some(TcpOption::Sack(data)),
        TIMESTAMPS => match data.as_chunks() {
            ([value, echo], []) => {
                Some(TcpOption::Timestamps { value: u32::from_be_bytes(*value), echo: u32::from_be_bytes(*echo) })
            }
            _ => None,
        },
        _ => Some(TcpOption::Other(raw)),
    };
    option.ok_or(WireError::BadOption { header: Tcp::NAME, kind, length: data.len() + 2, room: room - at })
}

/// Exactly two bytes, as a number.
fn word(data: &[u8]) -> Option<u16> {
    data.try_into().ok().map(u16::from_be_bytes)
}

impl Tcp {
    /// Lowers every MSS option above `most` to it and corrects the checksum; returns whether any
    /// was.
    ///
    /// Every one, so that it does not matter which of several a receiver takes. Options of other
    /// kinds are skipped whatever their length; one that runs past the header ends the walk, as
    /// nothing after it can be found. To be called for segments with SYN, where alone the option
    /// has a meaning.
    pub fn clamp_mss(&mut self, rest: &mut [u8], most: u16) -> bool {
        let bytes = self.option_bytes_mut(rest);
        let mut check = self.checksum();
        let mut clamped = false;
        let mut from = 0;
        while let Some(Ok(RawOption { kind, at, data })) = option_from(Tcp::NAME, bytes, from) {
            from = at + 2 + data.len();
            let Some(mss) = word(data).filter(|mss| kind == MSS && *mss > most) else {
                continue;
            };
            if let Some(value) = bytes.get_mut(at + 2..from) {
                value.copy_from_slice(&most.to_be_bytes());
            }
            // At an odd offset the value lies across two words of the sum, its halves exchanged.
            let odd = (tcp::FIXED + at) & 1 != 0;
            let as_summed = |value: u16| if odd { value.swap_bytes() } else { value };
            check = checksum::update_u16(check, as_summed(mss), as_summed(most));
            clamped = true;
        }
        self.set_checksum(check);
        clamped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::checksum::Pseudo;
    use crate::wire::{IpProtocol, TcpFlags};

    /// MSS 1460, SACK permitted, timestamps, padding, window scale 7.
    const SYN: [u8; 20] = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 0, 1, 3, 3, 7];

    #[test]
    fn options_of_a_syn() {
        let options: Result<Vec<_>, _> = TcpOptions::new(&SYN).collect();
        let timestamps = TcpOption::Timestamps { value: 7, echo: 0 };
        let expected = vec![TcpOption::Mss(1460), TcpOption::SackPermitted, timestamps, TcpOption::WindowScale(7)];
        assert_eq!(options, Ok(expected));
    }

    #[test]
    fn malformed() {
        for (name, bytes, kind, length, room) in [
            ("MSS of 3 bytes", &[2, 3, 5, 0][..], 2, 3, 4),
            ("MSS of 6 bytes", &[1, 2, 6, 5, 0, 0, 0], 2, 6, 6),
            ("MSS cut off", &[2, 4, 5], 2, 4, 3),
            ("window scale of 2 bytes", &[3, 2, 0, 0], 3, 2, 4),
            ("SACK permitted of 3 bytes", &[4, 3, 0, 0], 4, 3, 4),
            ("SACK without a block", &[5, 2, 0, 0], 5, 2, 4),
            ("SACK of half a block", &[5, 6, 0, 0, 0, 0], 5, 6, 6),
            ("timestamps of 6 bytes", &[8, 6, 0, 0, 0, 0], 8, 6, 6),
            ("length zero", &[9, 0, 0, 0], 9, 0, 4),
        ] {
            let error = WireError::BadOption { header: "TCP", kind, length, room };
            let all: Vec<_> = TcpOptions::new(bytes).collect();
            assert_eq!(all, [Err(error)], "{name}");
        }
    }

    /// Clamps to 1400; returns whether anything was, and the options after.
    fn clamp(options: &[u8]) -> (bool, Vec<u8>) {
        let pseudo = Pseudo::v4(0xc000_0201, 0xc633_6401, IpProtocol::TCP);
        let mut rest = options.to_vec();
        let mut tcp = Tcp::default();
        tcp.set_flags(TcpFlags::SYN);
        tcp.set_header_len(20 + options.len());
        tcp.fill_checksum(pseudo, &rest);
        let clamped = tcp.clamp_mss(&mut rest, 1400);
        assert!(tcp.checksum_ok(pseudo, &rest), "{options:?}");
        (clamped, rest)
    }

    #[test]
    fn mss_is_clamped() {
        let [high, low] = 1400_u16.to_be_bytes();
        let mut syn = SYN;
        syn[2..4].copy_from_slice(&[high, low]);
        assert_eq!(clamp(&SYN), (true, syn.to_vec()));
        for (name, options, after) in [
            ("at an odd offset", [1, 2, 4, 5, 0xb4, 0, 0, 0], [1, 2, 4, high, low, 0, 0, 0]),
            ("both of two", [2, 4, 5, 0xb4, 2, 4, 0xff, 0xff], [2, 4, high, low, 2, 4, high, low]),
            ("after a known kind of wrong length", [4, 3, 9, 2, 4, 5, 0xb4, 0], [4, 3, 9, 2, 4, high, low, 0]),
            ("before one that runs past", [2, 4, 5, 0xb4, 8, 10, 0, 0], [2, 4, high, low, 8, 10, 0, 0]),
        ] {
            assert_eq!(clamp(&options), (true, after.to_vec()), "{name}");
        }
    }

    #[test]
    fn mss_is_left_alone() {
        for (name, options) in [
            ("none", [1, 1, 1, 1, 1, 1, 1, 0]),
            ("equal", [2, 4, 0x05, 0x78, 0, 0, 0, 0]),
            ("below", [2, 4, 0x02, 0x18, 0, 0, 0, 0]),
            ("after the end", [0, 0, 0, 0, 2, 4, 5, 0xb4]),
            ("of a wrong length", [2, 3, 0xff, 0, 0, 0, 0, 0]),
            ("after one that runs past", [8, 10, 0, 0, 2, 4, 5, 0xb4]),
        ] {
            assert_eq!(clamp(&options), (false, options.to_vec()), "{name}");
        }
    }
}
