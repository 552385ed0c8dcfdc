//! Devices by which this machine is reached, which nobody should lose by a graph.

use std::net::IpAddr;

use crate::drivers::kernel::netlink::{Link, Netlink};

/// Why a device should not be taken. `None` if there is no reason known.
pub fn reason(link: &Link, netlink: &mut Netlink) -> Option<String> {
    let session = std::env::var("SSH_CONNECTION").ok();
    if let Some(peer) = session.as_deref().and_then(peer)
        && netlink.device_to(peer).is_ok_and(|device| device == Some(link.index))
    {
        return Some(format!("your SSH session from {peer} comes in by `{}`", link.name));
    }
    let is_default = netlink.default_devices().is_ok_and(|devices| devices.contains(&link.index));
    is_default.then(|| format!("the default route of this machine leads to `{}`", link.name))
}

/// The client of an SSH session: the first word (`ssh(1)`, ENVIRONMENT).
fn peer(connection: &str) -> Option<IpAddr> {
    connection.split(' ').next()?.split('%').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_first_word() {
        assert_eq!(peer("192.0.2.7 50000 192.0.2.1 22"), Some("192.0.2.7".parse().unwrap()));
        assert_eq!(peer("fe80::1%eth0 50000 fe80::2%eth0 22"), Some("fe80::1".parse().unwrap()));
        assert_eq!(peer(""), None);
    }
}
