use swath_api::Packet;

fn copy(packet: &mut Packet<'_>) {
    let data = packet.data_mut();
    packet.window::<4>().copy_from_slice(data);
}

fn main() {}
