//! VLAN tags (IEEE 802.1Q §9, with the service tags of 802.1ad).
//!
//! The same four bytes are framed in two ways. [`Vlan`] follows a header that named the tag in its
//! type, and ends with the type of what comes next: it chains like any other header. [`VlanTag`]
//! begins with the tag's own type (TPID): it is what is pushed and popped after the two addresses.

use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{EtherType, Header, accessors};

/// The tag after an [`Eth`](super::Eth) or another tag whose type [`is_vlan`](EtherType::is_vlan).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
pub struct Vlan {
    tci: U16,
    ether_type: U16,
}

/// The tag as pushed and popped: at offset 12 of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
pub struct VlanTag {
    tpid: U16,
    tci: U16,
}

impl Header for Vlan {
    const NAME: &'static str = "VLAN";
    type Array = [u8; 4];
}

impl Header for VlanTag {
    const NAME: &'static str = "VLAN tag";
    type Array = [u8; 4];
}

macro_rules! tci {
    () => {
        accessors! {
            /// The tag control information: PCP, DEI and VID in one word.
            tci, set_tci: u16;
        }

        /// VLAN identifier, 12 bits; 0 is a priority tag, 4095 is reserved.
        #[inline]
        pub fn vid(&self) -> u16 {
            self.tci() & 0x0fff
        }

        /// Sets [`vid`](Self::vid).
        #[inline]
        pub fn set_vid(&mut self, vid: u16) {
            self.set_tci(self.tci() & 0xf000 | vid & 0x0fff);
        }

        /// Priority code point, 3 bits.
        #[inline]
        pub fn pcp(&self) -> u8 {
            (self.tci() >> 13) as u8
        }

        /// Sets [`pcp`](Self::pcp).
        #[inline]
        pub fn set_pcp(&mut self, pcp: u8) {
            self.set_tci(self.tci() & 0x1fff | u16::from(pcp) << 13);
        }

        /// Drop eligible indicator.
        #[inline]
        pub fn dei(&self) -> bool {
            self.tci() & 0x1000 != 0
        }

        /// Sets [`dei`](Self::dei).
        #[inline]
        pub fn set_dei(&mut self, dei: bool) {
            self.set_tci(self.tci() & 0xefff | u16::from(dei) << 12);
        }
    };
}

impl Vlan {
    tci!();

    accessors! {
        /// The type of what follows the tag.
        ether_type, set_ether_type: EtherType;
    }
}

impl VlanTag {
    tci!();

    accessors! {
        /// Tag protocol identifier: [`EtherType::VLAN`] or [`EtherType::QINQ`].
        tpid, set_tpid: EtherType;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_leak_into_each_other() {
        let mut tag = VlanTag::default();
        tag.set_tpid(EtherType::QINQ);
        tag.set_vid(0xffff);
        assert_eq!(tag.as_array(), &[0x88, 0xa8, 0x0f, 0xff]);
        tag.set_dei(true);
        tag.set_vid(0);
        assert_eq!(tag.as_array(), &[0x88, 0xa8, 0x10, 0x00]);
        tag.set_pcp(0xff);
        tag.set_dei(false);
        assert_eq!(tag.as_array(), &[0x88, 0xa8, 0xe0, 0x00]);
        assert_eq!((tag.pcp(), tag.dei(), tag.vid()), (7, false, 0));
    }

    #[test]
    fn both_framings_of_a_double_tag() {
        // A service tag of PCP 3, DEI and VID 100 around a customer tag of VID 7, then IPv4.
        let tags = [0x88, 0xa8, 0x70, 0x64, 0x81, 0x00, 0x00, 0x07, 0x08, 0x00];
        let (outer, rest) = VlanTag::parse(&tags).unwrap();
        let (inner, _) = VlanTag::parse(rest).unwrap();
        assert_eq!((outer.tpid(), outer.vid(), outer.pcp(), outer.dei()), (EtherType::QINQ, 100, 3, true));
        assert_eq!((inner.tpid(), inner.vid(), inner.pcp(), inner.dei()), (EtherType::VLAN, 7, 0, false));

        let (outer, rest) = Vlan::parse(&tags[2..]).unwrap();
        let (inner, _) = Vlan::parse(rest).unwrap();
        assert_eq!((outer.vid(), outer.ether_type()), (100, EtherType::VLAN));
        assert_eq!((inner.vid(), inner.ether_type()), (7, EtherType::IPV4));
    }
}
