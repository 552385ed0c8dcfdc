use swath_api::{Edges, Frame};

fn walk<N: Edges>(frame: &mut Frame<'_, N>, next: N) {
    let mut kept = None;
    frame.for_each(|packet| {
        kept = Some(packet);
        next
    });
}

fn main() {}
