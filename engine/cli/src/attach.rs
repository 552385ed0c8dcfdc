//! Other drivers in the place of a graph's own, so that it needs no privilege and touches no device.

use swath_api::wire::MacAddr;
use swath_core::driver::{Claim, DriverKind, Opener, Port, PortConfig, RxQueue, TxQueue};
use swath_core::plan::InterfacePlan;
use swath_core::spec::{Entry, Node, Value};
use swath_io::drivers::{memory, pcap};

/// Attaches an interface to nothing: it receives nothing, and what it sends is counted.
pub fn to_nothing(interface: &mut InterfacePlan) {
    attach(interface, memory::KIND, Vec::new());
}

/// Whether an interface has no device by its own driver, so that to open it touches nothing.
pub fn is_virtual(interface: &InterfacePlan) -> bool {
    interface.driver.name == memory::KIND.name
}

/// Whether an interface receives packets that nobody has sent.
pub fn generates(interface: &InterfacePlan) -> bool {
    is_virtual(interface) && interface.spec.settings.get("generate").is_some()
}

/// Attaches an interface to captures. Its name, its addresses, its MAC address and its MTU stay.
pub fn to_captures(interface: &mut InterfacePlan, settings: Vec<(&str, Node)>) {
    attach(interface, pcap::KIND, settings);
}

/// Attaches an interface that generates packets to a capture on the side where it sends.
pub fn to_output(interface: &mut InterfacePlan, settings: Vec<(&str, Node)>) {
    let settings = mapping(interface, settings).to_json_bytes();
    interface.driver.name = "memory, pcap";
    interface.opener = Some(Opener::new(move |config| {
        let receive = (memory::KIND.open)(config)?;
        let send = (pcap::KIND.open)(&PortConfig { settings: &settings, ..*config })?;
        Ok(Box::new(TwoSides { receive, send }))
    }));
}

fn attach(interface: &mut InterfacePlan, driver: DriverKind, settings: Vec<(&str, Node)>) {
    interface.spec.settings = mapping(interface, settings);
    interface.spec.driver.value = driver.name.into();
    interface.driver = driver;
}

/// Settings that nobody has written: whatever is said of them is said of the interface.
fn mapping(interface: &InterfacePlan, settings: Vec<(&str, Node)>) -> Value {
    let span = interface.spec.name.span;
    let entry = |(key, node): (&str, Node)| Entry { key: key.into(), key_span: span, value: Value { span, node } };
    Value { span, node: Node::Map(settings.into_iter().map(entry).collect()) }
}

/// A generator and a capture as one interface.
struct TwoSides {
    receive: Box<dyn Port>,
    send: Box<dyn Port>,
}

impl Port for TwoSides {
    fn mac(&self) -> MacAddr {
        self.receive.mac()
    }

    fn mtu(&self) -> u16 {
        self.receive.mtu()
    }

    fn receive_queues(&mut self) -> Vec<Box<dyn RxQueue>> {
        self.receive.receive_queues()
    }

    fn transmit_queues(&mut self) -> Vec<Box<dyn TxQueue>> {
        self.send.transmit_queues()
    }

    fn claims(&self) -> Vec<Claim> {
        self.receive.claims().into_iter().chain(self.send.claims()).collect()
    }

    fn finish(&mut self) -> Result<serde_json::Value, String> {
        let mut report = self.send.finish()?;
        report["generated"] = self.receive.finish()?["generated"].take();
        Ok(report)
    }
}
