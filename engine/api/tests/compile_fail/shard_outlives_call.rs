use swath_api::{Context, Handle, Table};

fn keep<T: Table>(cx: &mut Context<'_>, handle: Handle<T>) -> &'static mut T::Shard {
    cx.shard(handle)
}

fn main() {}
