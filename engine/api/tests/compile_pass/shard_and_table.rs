//! A shard and the shared part of a table inside a walk, and a shard borrowed anew for each packet.
#![forbid(unsafe_code)]

use swath_api::{Context, Edges, Frame, Handle, Table};

fn walk<N: Edges, T: Table<Shard = u64>>(frame: &mut Frame<'_, N>, cx: &mut Context<'_>, handle: Handle<T>, next: N) {
    let (table, now) = (cx.table(handle), cx.now());
    let shard = cx.shard(handle);
    frame.for_each(|packet| {
        table.sync(shard);
        *shard += now + packet.len() as u64;
        next
    });
    frame.for_each(|_| {
        *cx.shard(handle) += 1;
        next
    });
}

fn main() {}
