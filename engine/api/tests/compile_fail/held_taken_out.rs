use swath_api::Held;

fn take(held: &mut Held<u32>) {
    held.entries.pop_front();
}

fn main() {}
