use swath_api::{Edges, Frame, VECTOR};

fn walk<N: Edges>(frame: &mut Frame<'_, N>) {
    let mut keys: [&[u8]; VECTOR] = [&[]; VECTOR];
    frame.gather(&mut keys, |packet| packet.data());
}

fn main() {}
