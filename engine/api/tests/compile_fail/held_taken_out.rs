use swath_api::Held;

fn take(held: &mut Held<u32>) {
    held.entries.pop_front();
    held.take_if(|_, _, _| true);
}

fn main() {}
