use swath_api::{Edges, Frame, Lane};

fn walk<N: Edges>(frame: &mut Frame<'_, N>, next: N) {
    frame.for_each_emit(|packet, emit| {
        emit.make(next, Lane::default(), |made| std::mem::swap(packet, made));
        next
    });
}

fn main() {}
