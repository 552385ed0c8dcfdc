//! `ip4-fragment`: cuts IPv4 packets that are too big for their way into fragments (RFC 791 §3.2, RFC 1812 §4.2.2.7).

use std::time::Duration;

use swath_api::prelude::*;
use swath_api::wire::{Header, IcmpCause, Ipv4, icmp};
use swath_api::zerocopy::FromBytes;

/// What every link carries without fragmentation (RFC 791 §3.2).
const LEAST_MTU: u16 = 68;
/// The longest header.
const HEADER_MAX: usize = 60;
/// IPv4 options (RFC 791 §3.1).
const END: u8 = 0;
const NOP: u8 = 1;
const COPIED: u8 = 0x80;
/// How long what had no room in one pass waits for the next one.
const TICK: Duration = Duration::from_millis(1);

/// Cuts packets into fragments.
pub struct Ip4Fragment {
    // Each with the longest packet that its way carries. What was cut off already is gone: the rest is itself a fragment.
    held: Held<u16>,
    mtus: Vec<u16>,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How many packets each worker keeps at most whose fragments are more than one pass takes (256), 1 to 65536. Default: 1024.
    #[serde(default = "default_hold")]
    hold: usize,
}

fn default_hold() -> usize {
    1024
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// Fragments, in order, for a look-up of their own.
        Ok = required("ok", layer::IP4),
        /// Packets that must not be fragmented (DF), unchanged: wire them to `icmp-error`, which tells the sender the MTU. If they drop here,
        /// connections of senders that look for the MTU of their way (RFC 1191) stall.
        DontFragment = edge("dont-fragment", layer::IP4),
        /// Packets that are being cut: they leave as fragments.
        Held = held("held"),
        /// As many packets as `hold` says wait to be cut: too much traffic that is too big. Raise the MTU of the link, or lower what the senders
        /// use (`tcp-mss` does it for TCP).
        HoldFull = drop("hold-full"),
        /// The interface to leave by carries less than 68 bytes, or none is known: wire only `too-big` of `ip4-rewrite` or of `ip4-resolve` to
        /// this node, and look at the interface's `mtu`.
        NoMtu = drop("no-mtu"),
        /// No IPv4 packet, one that is cut off (put `ip4-input` before), or a fragment that ends beyond 65,535 bytes: a hostile sender.
        Malformed = drop("malformed"),
    }
}

impl Node for Ip4Fragment {
    const INFO: Info = Info::new("ip4-fragment", "Cuts packets that are longer than an MTU into fragments, or says that it must not.")
        .about(
            "It takes what `too-big` of `ip4-rewrite` refuses. Fragments are as few as can be, leave in their order, and need a look-up \
             and a rewrite of their own, such as the template `ip4-origin`, because the packet's TTL has not been decremented yet. A \
             fragment may be cut again. Of the options those with the copied flag go into each fragment, all of them into the first \
             (RFC 791 §3.1). What makes more fragments than a pass takes goes on in the next one.",
        )
        .input(layer::IP4)
        .carries("fragments that are still to be sent")
        .example(include_str!("../examples/ip4-fragment.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Ip4Fragment, ConfigError> {
        if !(1..=65_536).contains(&config.hold) {
            return Err(ConfigError::at("hold", format!("`{}` is not in 1 to 65536", config.hold)));
        }
        setup.every(TICK);
        let mtus = setup.interfaces().iter().map(|interface| interface.mtu).collect();
        Ok(Ip4Fragment { held: setup.held(config.hold), mtus })
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        if decided.is(Next::DontFragment)
            && let Some(mtu) = mtu_of(*packet.lane_ref(), &self.mtus)
        {
            words.say(format_args!("{} bytes with DF, where the MTU is {mtu}", packet.len()));
        } else if decided.is(Next::Ok)
            && let Ok((ip, rest)) = Ipv4::parse(packet.data())
            && ip.is_fragment()
        {
            let (first, last) = (ip.fragment_offset(), if ip.more_fragments() { "" } else { ", the last" });
            let end = usize::from(first) + ip.payload(rest).len();
            words.say(format_args!("the fragment of bytes {first} to {end}{last}"));
        }
    }

    /// It goes on with the first fragment, which a real packet leaves as, too, in a pass that has room.
    fn simulate(&mut self, packet: &mut Packet<'_>, cx: &mut Context<'_>, words: &mut Words<'_>) -> Option<Next> {
        let mtu = match judge(packet, &self.mtus) {
            Verdict::Go(next) => {
                self.reason(packet, Decided::of(next), cx, words);
                return Some(next);
            }
            Verdict::Hold(_) if self.held.room() == 0 => return Some(Next::HoldFull),
            Verdict::Hold(mtu) => mtu,
        };
        let bytes = packet.len();
        if bytes <= usize::from(mtu) {
            return Some(Next::Ok);
        }
        let Ok((ip, rest)) = packet.header::<Ipv4>() else { return Some(Next::Malformed) };
        let header = ip.header_len();
        let later = size_of::<Ipv4>() + copied(ip.option_bytes(rest), &mut [0; HEADER_MAX]);
        let payload = |header: usize| (usize::from(mtu) - header) / 8 * 8;
        let (mut rest, mut count) = (bytes - header - payload(header), 2);
        while later + rest > usize::from(mtu) {
            (rest, count) = (rest - payload(later), count + 1);
        }
        words.say(format_args!("{bytes} bytes, where the MTU is {mtu}: {count} fragments, and this is the first"));
        become_first(packet, header + payload(header));
        Some(Next::Ok)
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        let Self { held, mtus } = self;
        frame.for_each_hold(held, Next::Held, Next::HoldFull, |packet| judge(packet, mtus));
        cut_all(held, &mut frame.emit());
    }

    fn tick(&mut self, out: &mut Emit<'_, Next>, _: &mut Context<'_>) {
        if !self.held.is_empty() {
            cut_all(&mut self.held, out);
        }
    }

    fn adopt(&mut self, old: &mut Ip4Fragment) {
        std::mem::swap(&mut self.held, &mut old.held);
    }
}

/// Whether a packet is to be cut, and to which length.
fn judge(packet: &mut Packet<'_>, mtus: &[u16]) -> Verdict<Next, u16> {
    let lane = *packet.lane_ref();
    let Ok((ip, _)) = packet.header::<Ipv4>() else { return Verdict::Go(Next::Malformed) };
    let (total, dont_fragment) = (ip.total_len(), ip.dont_fragment());
    let end = usize::from(ip.fragment_offset()) + usize::from(total) - ip.header_len();
    let Some(mtu) = mtu_of(lane, mtus) else { return Verdict::Go(Next::NoMtu) };
    if dont_fragment {
        packet.lane().adj = IcmpCause::fragmentation_needed(mtu).word();
        return Verdict::Go(Next::DontFragment);
    }
    if end > usize::from(u16::MAX) {
        return Verdict::Go(Next::Malformed);
    }
    if mtu < LEAST_MTU {
        return Verdict::Go(Next::NoMtu);
    }
    packet.truncate(usize::from(total));
    *packet.lane() = Lane::received(lane.rx);
    Verdict::Hold(mtu)
}

/// The MTU that a packet exceeds: who refused it has said so in the lane, or else it is that of the interface to leave by.
fn mtu_of(lane: Lane, mtus: &[u16]) -> Option<u16> {
    let cause = IcmpCause::from_word(lane.adj).filter(|cause| {
        cause.icmp_type() == icmp::DESTINATION_UNREACHABLE && cause.code() == icmp::unreachable::FRAGMENTATION_NEEDED
    });
    cause.map(|cause| cause.data() as u16).or_else(|| mtus.get(usize::from(lane.tx)).copied())
}

fn cut_all(held: &mut Held<u16>, out: &mut Emit<'_, Next>) {
    out.release_emit(held, |mtu, packet, emit| {
        while packet.len() > usize::from(*mtu) {
            if emit.room() == 0 || !cut_first(packet, *mtu, emit) {
                return None;
            }
        }
        Some(Next::Ok)
    });
}

/// Makes a packet the first fragment of itself, of so many bytes.
fn become_first(packet: &mut Packet<'_>, length: usize) {
    if let Ok((ip, rest)) = packet.header::<Ipv4>() {
        ip.set_total_len(length as u16);
        ip.set_more_fragments(true);
        ip.fill_checksum(rest);
    }
    packet.truncate(length);
}

/// Sends the first fragment of a packet; what is left in it is the rest. `false`, and it is unchanged, if there is no buffer.
fn cut_first(packet: &mut Packet<'_>, mtu: u16, emit: &mut Emit<'_, Next>) -> bool {
    let Ok((ip, rest)) = packet.header::<Ipv4>() else { return false };
    let (header, total) = (ip.header_len(), usize::from(ip.total_len()));
    let (more, offset) = (ip.more_fragments(), ip.fragment_offset());
    let mut old = [0; HEADER_MAX];
    old[..size_of::<Ipv4>()].copy_from_slice(ip.as_array());
    let options = ip.option_bytes(rest);
    old[size_of::<Ipv4>()..header].copy_from_slice(options);

    let payload = (usize::from(mtu) - header) / 8 * 8;
    let first = header + payload;
    become_first(packet, first);
    let sent = emit.copy(packet, Next::Ok);
    // What has been cut off is still there.
    packet.append(total - first);
    if !sent {
        packet.data_mut()[..header].copy_from_slice(&old[..header]);
        return false;
    }

    let mut new = [0; HEADER_MAX];
    new[..size_of::<Ipv4>()].copy_from_slice(&old[..size_of::<Ipv4>()]);
    let new_header = size_of::<Ipv4>() + copied(&old[size_of::<Ipv4>()..header], &mut new[size_of::<Ipv4>()..]);
    if let Ok((ip, options)) = Ipv4::mut_from_prefix(&mut new[..]) {
        ip.set_header_len(new_header);
        ip.set_total_len((new_header + total - first) as u16);
        ip.set_fragment_offset(offset + payload as u16);
        ip.set_more_fragments(more);
        ip.fill_checksum(options);
    }
    // At the end of a buffer a packet may be too short to start there.
    if !packet.advance((first - new_header) as u16) {
        packet.data_mut().copy_within(first.., new_header);
        packet.truncate(new_header + total - first);
    }
    packet.data_mut()[..new_header].copy_from_slice(&new[..new_header]);
    true
}

/// Writes the options that go into every fragment, padded; returns their length.
fn copied(options: &[u8], to: &mut [u8]) -> usize {
    let (mut from, mut len) = (0, 0);
    while let Some(&kind) = options.get(from)
        && kind != END
    {
        let size = if kind == NOP { 1 } else { options.get(from + 1).map_or(0, |size| usize::from(*size)) };
        // Behind one that cannot be read nothing can be found.
        let Some(option) = options.get(from..from + size).filter(|option| option.len() > usize::from(kind != NOP)) else { break };
        if kind & COPIED != 0 {
            to[len..len + size].copy_from_slice(option);
            len += size;
        }
        from += size;
    }
    len.next_multiple_of(4)
}
