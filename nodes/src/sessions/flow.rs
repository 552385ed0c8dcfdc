//! What a key says, in words for people, and for what is saved.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use swath_api::wire::IpProtocol;

/// What a key says. Ports are 0 where the protocol has none, and both are the identifier of ICMP queries.
///
/// As text it is `10.0.0.5:4000 > 192.0.2.1:53 udp`, with ` zone 3` behind it in another zone than 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Flow {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Source port, or the identifier of an ICMP query.
    pub source_port: u16,
    /// Destination port, or the identifier of an ICMP query.
    pub destination_port: u16,
    /// Protocol number (6 is TCP, 17 UDP).
    pub protocol: u8,
    /// The zone: what tells apart equal addresses of separate networks.
    #[serde(default)]
    pub zone: u16,
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = SocketAddr::new(self.source, self.source_port);
        let destination = SocketAddr::new(self.destination, self.destination_port);
        write!(f, "{source} > {destination} {}", IpProtocol(self.protocol))?;
        if self.zone != 0 { write!(f, " zone {}", self.zone) } else { Ok(()) }
    }
}

/// A text is no flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowError;

impl fmt::Display for FlowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a flow such as `10.0.0.5:4000 > 192.0.2.1:53 udp`")
    }
}

impl std::error::Error for FlowError {}

impl FromStr for Flow {
    type Err = FlowError;

    fn from_str(text: &str) -> Result<Flow, FlowError> {
        let words: Vec<&str> = text.split(' ').collect();
        let (source, destination, protocol, zone) = match words[..] {
            [source, ">", destination, protocol] => (source, destination, protocol, "0"),
            [source, ">", destination, protocol, "zone", zone] => (source, destination, protocol, zone),
            _ => return Err(FlowError),
        };
        let end = |text: &str| text.parse::<SocketAddr>().map_err(|_| FlowError);
        let (source, destination) = (end(source)?, end(destination)?);
        let named = (0..=255).find(|number| IpProtocol(*number).to_string() == protocol);
        let protocol = named.or_else(|| protocol.parse().ok()).ok_or(FlowError)?;
        if source.is_ipv4() != destination.is_ipv4() {
            return Err(FlowError);
        }
        Ok(Flow {
            source: source.ip(),
            destination: destination.ip(),
            source_port: source.port(),
            destination_port: destination.port(),
            protocol,
            zone: zone.parse().map_err(|_| FlowError)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_text() {
        for text in
            ["10.0.0.5:4000 > 192.0.2.1:53 udp", "[2001:db8::1]:7 > [2001:db8::2]:7 icmp6 zone 3", "10.0.0.1:0 > 10.0.0.2:0 gre"]
        {
            assert_eq!(text.parse::<Flow>().map(|flow| flow.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("10.0.0.1:0 > 10.0.0.2:0 200".parse::<Flow>().map(|flow| flow.protocol), Ok(200));
        for text in
            ["", "10.0.0.5 > 192.0.2.1 udp", "10.0.0.5:1 > [::1]:2 udp", "10.0.0.5:1 > 10.0.0.6:2 udq", "a > b udp zone 70000"]
        {
            assert_eq!(text.parse::<Flow>(), Err(FlowError), "{text}");
        }
    }
}
