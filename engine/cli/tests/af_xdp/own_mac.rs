//! `capture: own-mac`: what is for another hardware address stays with the kernel.

use super::{count, router, two_hosts};

/// A second host behind the device, whose hardware address is another one: its packets are the kernel's, those of the graph are not.
#[test]
fn what_is_for_another_hardware_address_is_the_kernels() {
    let Some(net) = two_hosts() else { return };
    net.ip("r", "link set r-a address 02:00:00:00:00:01");
    net.ip("r", "link add link r-a name other address 02:00:00:00:00:55 type macvlan mode bridge");
    net.ip("r", "address add 10.0.1.55/24 dev other");
    net.ip("r", "link set other up");
    // Questions to all are the graph's, which has no ARP here.
    net.ip("a", "neigh add 10.0.1.55 lladdr 02:00:00:00:00:55 dev eth0 nud permanent");
    net.ip("r", "neigh add 10.0.1.2 lladdr 02:00:00:00:01:02 dev other nud permanent");
    assert_eq!(net.ping("a", 5, "10.0.1.55"), 5, "without swath");
    let swath = net.swath("r", &router("", "capture: own-mac", "promiscuous: true"));
    assert_eq!((net.ping("a", 20, "10.0.2.2"), net.ping("a", 10, "10.0.1.55"), net.ping("b", 20, "10.0.1.2")), (20, 10, 20));
    let (report, log) = swath.end();
    assert_eq!((count(&report, "/received"), count(&report, "/sent")), (80, 80), "{log}");
}

/// The other way round: the graph has a hardware address of its own, and the device keeps its one, and the kernel behind it.
#[test]
fn the_kernel_keeps_the_address_of_the_device() {
    let Some(net) = two_hosts() else { return };
    net.ip("r", "link set r-a address 02:00:00:00:00:77");
    net.ip("r", "address add 10.0.1.77/24 dev r-a");
    net.ip("a", "neigh add 10.0.1.77 lladdr 02:00:00:00:00:77 dev eth0 nud permanent");
    net.ip("r", "neigh add 10.0.1.2 lladdr 02:00:00:00:01:02 dev r-a nud permanent");
    let swath = net.swath("r", &router("", "capture: own-mac, promiscuous: true", "promiscuous: true"));
    assert_eq!((net.ping("a", 20, "10.0.2.2"), net.ping("a", 10, "10.0.1.77")), (20, 10));
    // A frame to a group is everybody's, and so the graph's.
    let frame = "b'\\xff'*6+b'\\2\\0\\0\\0\\1\\2'+b'\\x88\\xb5'+b'x'*50";
    net.sh("a", &format!("python3 -c s=__import__('socket').socket(17,3);s.bind(('eth0',0));s.send({frame})"));
    // By the same queue, and so behind it.
    assert_eq!(net.ping("a", 1, "10.0.2.2"), 1);
    let (report, log) = swath.end();
    assert_eq!((count(&report, "/received"), count(&report, "/sent")), (43, 42), "{log}");
}
