use swath_api::{Lane, Packet};

fn forge(lane: &mut Lane) -> Packet<'_> {
    Packet { chunk: std::ptr::null_mut(), offset: 0, length: 9, stride: 0, lane, frame: Default::default() }
}

fn main() {}
