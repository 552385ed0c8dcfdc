use swath_api::{Context, Handle, Table};

fn both<T: Table<Shard = u32>>(cx: &mut Context<'_>, a: Handle<T>, b: Handle<T>) {
    let first = cx.shard(a);
    let second = cx.shard(b);
    std::mem::swap(first, second);
}

fn main() {}
