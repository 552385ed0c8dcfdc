use swath_api::{Edges, Frame};

fn walk<N: Edges>(frame: &mut Frame<'_, N>, next: N) {
    frame.for_each(|packet| {
        std::thread::scope(|scope| {
            scope.spawn(|| packet.len());
        });
        next
    });
}

fn main() {}
