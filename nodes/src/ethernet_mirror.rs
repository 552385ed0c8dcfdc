//! `ethernet-mirror`: turns frames round.

use swath_api::prelude::*;
use swath_api::wire::{Eth, Header};

/// Swaps the addresses of each frame.
pub struct EthernetMirror;

edges! {
    /// Where frames go.
    pub enum Next {
        /// Frames to whoever has sent them.
        Ok = required("ok", layer::ETHERNET),
        /// Shorter than the 14 bytes of an Ethernet header, which no wire carries: look for a defect in the driver, or for a broken capture.
        TooShort = drop("too-short"),
    }
}

impl Node for EthernetMirror {
    const INFO: Info = Info::new("ethernet-mirror", "Swaps source and destination of Ethernet frames.")
        .about(
            "A frame that leaves by the interface that it came by is on its way back to its sender then: the far end of a test of a line \
             or of a generator. Frames to groups get the group as their source, which no station may have, and many switches drop: \
             put what sorts them out before this node.",
        )
        .input(layer::ETHERNET)
        .pure()
        .example(include_str!("../examples/ethernet-mirror.yaml"));
    type Config = NoConfig;
    type Next = Next;

    fn new(_: NoConfig, _: &mut Setup<'_>) -> Result<EthernetMirror, ConfigError> {
        Ok(EthernetMirror)
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        match Eth::parse(packet.data()) {
            Ok((eth, _)) if decided.is(Next::Ok) => words.say(format_args!("back to {}, as from {}", eth.dst(), eth.src())),
            _ => words.say(format_args!("{} bytes, where a header has {}", packet.len(), size_of::<Eth>())),
        }
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.for_each(|packet| {
            if packet.len() < 14 {
                return Next::TooShort;
            }
            let start = packet.window::<16>();
            *start = swapped(u128::from_le_bytes(*start)).to_le_bytes();
            Next::Ok
        });
    }
}

/// The first 16 bytes of a frame, the first of which is the lowest. One load and one store: addresses that are moved one by one are not there
/// yet when the next reader loads them.
#[inline(always)]
fn swapped(start: u128) -> u128 {
    const ADDRESS: u128 = (1 << 48) - 1;
    start >> 48 & ADDRESS | (start & ADDRESS) << 48 | start >> 96 << 96
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_api::testkit::TestKit;

    #[test]
    fn addresses_are_swapped_and_nothing_else() {
        let mut kit = TestKit::new().node::<EthernetMirror>("{}").unwrap();
        let frame: Vec<u8> = (1..=60).collect();
        let expected = [&frame[6..12], &frame[..6], &frame[12..]].concat();
        assert_eq!(kit.one(&frame, Lane::received(0)).bytes, expected);
        assert_eq!(kit.one(&frame[..14], Lane::received(0)).bytes, expected[..14].to_vec());
        assert_eq!(kit.edge(&frame[..13]), "too-short");
    }
}
