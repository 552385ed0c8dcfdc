//! Flows as records of IPFIX, and what a collector has to be told to read them: elements of the IANA registry (RFC 7012).

use swath_api::NO_INTERFACE;
use swath_api::wire::IpProtocol;

use crate::flow::Flow;
use crate::message::{HEADER, Message, SET, Template, VARIABLE, variable};

/// Flows, of which those of ICMP have a type and a code in the place of ports.
const FLOW: Template = Template {
    id: 256,
    scope: 0,
    elements: &[
        (8, 4),   // sourceIPv4Address
        (12, 4),  // destinationIPv4Address
        (7, 2),   // sourceTransportPort
        (11, 2),  // destinationTransportPort
        (4, 1),   // protocolIdentifier
        (195, 1), // ipDiffServCodePoint
        (5, 1),   // ipClassOfService
        (6, 1),   // tcpControlBits
        (136, 1), // flowEndReason
        (10, 4),  // ingressInterface
        (14, 4),  // egressInterface
        (2, 8),   // packetDeltaCount
        (1, 8),   // octetDeltaCount
        (152, 8), // flowStartMilliseconds
        (153, 8), // flowEndMilliseconds
    ],
};

/// Flows of ICMP.
const ICMP_FLOW: Template = Template {
    id: 257,
    scope: 0,
    elements: &[
        (8, 4),
        (12, 4),
        (32, 2), // icmpTypeCodeIPv4
        (4, 1),
        (195, 1),
        (5, 1),
        (136, 1),
        (10, 4),
        (14, 4),
        (2, 8),
        (1, 8),
        (152, 8),
        (153, 8),
    ],
};

/// The names of interfaces.
const INTERFACE: Template = Template {
    id: 258,
    scope: 1,
    elements: &[
        (10, 4),        // ingressInterface
        (82, VARIABLE), // interfaceName
    ],
};

/// The shortest message that is sent has room for any record.
pub const SHORTEST: usize = HEADER + SET + 4 + 255 + 1;

const _: () = assert!(FLOW.length() <= SHORTEST - HEADER - SET);

/// A number by which collectors know an interface: not 0, which is none.
pub fn interface_number(index: u16) -> u32 {
    if index == NO_INTERFACE { 0 } else { u32::from(index) + 1 }
}

/// What sends a message. One that could not be sent is tried again.
pub type Send<'a> = &'a mut dyn FnMut(&[u8]) -> std::io::Result<()>;

/// When something is sent, and what the times of flows are.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Milliseconds since 1970 now.
    pub now: u64,
    /// Milliseconds since 1970 when the engine's clock was 0.
    pub start: u64,
}

impl Times {
    fn of(&self, nanoseconds: u64) -> u64 {
        self.start + nanoseconds / 1_000_000
    }
}

/// One stream of messages: what is in the next one, and what was in those before.
#[derive(Debug)]
pub struct Stream {
    domain: u32,
    message: Message,
    /// Data records in all messages before.
    sequence: u32,
    /// Interfaces by number: what collectors are told beside templates.
    names: Vec<(u32, String)>,
    /// What of templates and names is to be told before anything else.
    untold: Vec<(u16, Vec<u8>)>,
    /// Milliseconds since 1970 when the oldest record of the message came into it.
    since: u64,
    /// Flows in the message.
    flows: u32,
    /// Messages and flows that were sent, and that nobody has asked for.
    sent: (u64, u64),
}

impl Stream {
    /// Of an observation domain, with messages of at most `most` bytes.
    pub fn new(domain: u32, most: usize) -> Stream {
        let message = Message::new(most.max(SHORTEST));
        Stream { domain, message, sequence: 0, names: Vec::new(), untold: Vec::new(), since: 0, flows: 0, sent: (0, 0) }
    }

    /// Has templates and the names of interfaces sent before the next flow.
    pub fn tell(&mut self, names: &[(u32, String)]) {
        if self.names != names {
            self.names = names.to_vec();
        }
        let templates = [FLOW, ICMP_FLOW, INTERFACE].map(|template| (template.set(), template.record()));
        let names = self.names.iter().map(|(number, name)| {
            let name = name.as_bytes();
            (INTERFACE.id, [&number.to_be_bytes()[..], &variable(&name[..name.len().min(255)])].concat())
        });
        self.untold = templates.into_iter().chain(names).collect();
        // From the end.
        self.untold.reverse();
    }

    /// Puts a flow into the message. One that is full goes first.
    ///
    /// # Errors
    /// It could not be sent: the flow is not taken.
    pub fn push(&mut self, flow: &Flow, times: Times, send: Send<'_>) -> std::io::Result<()> {
        self.push_untold(times, send)?;
        let (template, record) = record(flow, times);
        if !self.message.push(template, &record) {
            self.flush(times, send)?;
            assert!(self.message.push(template, &record), "there is room for one in any message");
        }
        self.begun(times);
        self.flows += 1;
        Ok(())
    }

    fn push_untold(&mut self, times: Times, send: Send<'_>) -> std::io::Result<()> {
        while let Some((set, record)) = self.untold.last() {
            if !self.message.push(*set, record) {
                self.flush(times, send)?;
                continue;
            }
            self.begun(times);
            self.untold.pop();
        }
        Ok(())
    }

    fn begun(&mut self, times: Times) {
        if self.since == 0 {
            self.since = times.now;
        }
    }

    /// Sends templates, and what has waited in a message for so many milliseconds.
    ///
    /// # Errors
    /// It could not be sent, and still waits.
    pub fn age(&mut self, longest: u64, times: Times, send: Send<'_>) -> std::io::Result<()> {
        self.push_untold(times, send)?;
        if !self.message.is_empty() && times.now.saturating_sub(self.since) >= longest {
            self.flush(times, send)?;
        }
        Ok(())
    }

    /// Messages and flows that were sent since this was last asked.
    pub fn take_sent(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.sent)
    }

    /// Flows that wait in a message.
    pub fn waiting(&self) -> u32 {
        self.flows
    }

    fn flush(&mut self, times: Times, send: Send<'_>) -> std::io::Result<()> {
        let records = self.message.records();
        send(self.message.finish((times.now / 1000) as u32, self.sequence, self.domain))?;
        self.sequence = self.sequence.wrapping_add(records);
        self.message.clear();
        self.since = 0;
        self.sent.0 += 1;
        self.sent.1 += u64::from(std::mem::take(&mut self.flows));
        Ok(())
    }
}

/// A flow, with the id of its template.
fn record(flow: &Flow, times: Times) -> (u16, Vec<u8>) {
    let key = &flow.key;
    let is_icmp = key.protocol() == IpProtocol::ICMP;
    let template = if is_icmp { &ICMP_FLOW } else { &FLOW };
    let mut record = Vec::with_capacity(FLOW.length());
    record.extend(key.addresses().map(u32::to_be_bytes).concat());
    let [from, to] = key.ports();
    if !is_icmp {
        record.extend(from.to_be_bytes());
    }
    record.extend(to.to_be_bytes());
    record.extend([key.protocol().0, key.dscp(), flow.tos]);
    if !is_icmp {
        record.push(flow.tcp_flags);
    }
    record.push(flow.end as u8);
    record.extend([key.interface(), flow.egress].map(|index| interface_number(index).to_be_bytes()).concat());
    record.extend([flow.packets, flow.bytes, times.of(flow.first), times.of(flow.last)].map(u64::to_be_bytes).concat());
    debug_assert_eq!(record.len(), template.length());
    (template.id, record)
}

#[cfg(test)]
#[path = "ipfix_tests.rs"]
mod tests;
