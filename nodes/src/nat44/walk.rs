//! The way of a frame: what nearly all packets need, plain TCP and UDP of sessions that go on, in three walks, of which each fetches what the
//! next one reads; all else one by one, in its order among them.

use swath_api::prelude::*;

use crate::sessions::{self, Key4, Query};

use super::act::{Act, Refusal};
use super::flows::{Asking, Flows};
use super::view::{View, fragment_key};
use super::{Shard, rewrite};

/// Space for the packets of a frame, kept so that it need not be made for each.
pub(crate) struct Space {
    queries: [Query<Key4>; VECTOR],
    pub(crate) destinations: [u32; VECTOR],
}

impl Default for Space {
    fn default() -> Space {
        Space { queries: [Query::none(); VECTOR], destinations: [0; VECTOR] }
    }
}

/// A node's side of it: where packets go whose translation is not a matter of its own.
pub(crate) struct Walk<'a, N> {
    pub(crate) nat: View<'a>,
    pub(crate) space: &'a mut Space,
    /// Fragments that wait for the first one, by what their packet is known by, and until when.
    pub(crate) waiting: &'a mut Held<(Key4, u64)>,
    pub(crate) now: u64,
    pub(crate) translated: N,
    pub(crate) held: N,
    pub(crate) full: N,
}

impl<N: Edges> Walk<'_, N> {
    /// Translates the packets of a frame that leave (`SIDE` is inside) or come in. With `HAIRPIN`, of those from inside only the ones that are for
    /// addresses outside that are of hosts inside. `others` does what becomes of those that are not simply translated.
    #[inline(always)]
    pub(crate) fn translate<const SIDE: u16, const HAIRPIN: bool>(
        self,
        frame: &mut Frame<'_, N>,
        shard: &mut Shard,
        others: impl Fn(&mut Packet<'_>, Act) -> N,
    ) {
        let Walk { nat, space, waiting, now, translated, held, full } = self;
        let Some(flows) = &mut shard.flows else {
            frame.for_each(|packet| others(packet, Act::Refuse(Refusal::Exhausted)));
            return;
        };
        let queries = &mut space.queries;
        let mut is_plain = true;
        let queries = frame.read(queries, |packet| match sessions::ip4_plain(packet, SIDE) {
            Some(probe) => flows.query(probe),
            None => {
                is_plain = false;
                Query::none()
            }
        });
        flows.locate(queries, now);
        let asking = Asking { nat, hairpin: HAIRPIN, now };
        let one = |flows: &mut Flows, packet: &Packet<'_>, query: &Query<Key4>| match is_meant::<HAIRPIN>(nat, packet) {
            true => flows.one::<SIDE>(&asking, &query.probe, packet.data()),
            false => Act::Other,
        };
        if is_plain {
            frame.decide_in_place(
                queries,
                flows,
                |flows, packet, query| go_on::<SIDE, HAIRPIN>(nat, flows, packet, query, now).then_some(translated),
                |flows, packet, query| others(packet, one(flows, packet, query)),
            );
            return;
        }
        let (mut queries, due) = (queries.iter(), now + nat.table.fragment_timeout());
        frame.for_each_hold(waiting, held, full, |packet| {
            // There are as many as packets.
            let Some(query) = queries.next() else { return Verdict::Go(others(packet, Act::Other)) };
            if go_on::<SIDE, HAIRPIN>(nat, flows, packet, query, now) {
                return Verdict::Go(translated);
            }
            match one(flows, packet, query) {
                Act::Wait => Verdict::Hold((fragment_key(packet.data(), SIDE), due)),
                act => Verdict::Go(others(packet, act)),
            }
        });
    }
}

/// Translates a packet that needs nothing but its session. `false`, and nothing has changed, if it is another one.
#[inline(always)]
fn go_on<const SIDE: u16, const HAIRPIN: bool>(
    nat: View<'_>,
    flows: &mut Flows,
    packet: &mut Packet<'_>,
    query: &Query<Key4>,
    now: u64,
) -> bool {
    let reverse = if is_meant::<HAIRPIN>(nat, packet) { flows.prolong(query, now) } else { None };
    reverse.inspect(|reverse| rewrite::plain::<SIDE>(packet, query.probe.key, *reverse)).is_some()
}

/// Of those that leave, a hairpin means only some, though the sessions of all are known to it.
#[inline(always)]
fn is_meant<const HAIRPIN: bool>(nat: View<'_>, packet: &Packet<'_>) -> bool {
    !HAIRPIN || nat.is_ours(destination(packet))
}

#[inline(always)]
fn destination(packet: &Packet<'_>) -> u32 {
    let [.., a, b, c, d] = *packet.peek::<20>();
    u32::from_be_bytes([a, b, c, d])
}
