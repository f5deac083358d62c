//! The network that a connection comes from: what a person is shown of an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first 24 bits of an address, of IPv6 the first 48, with how many they are.
pub(super) fn of(address: IpAddr) -> Box<str> {
    let text = match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{}/24", Ipv4Addr::new(a, b, c, 0))
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    };
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_not_an_address() {
        for (address, network) in [
            ("203.0.113.77", "203.0.113.0/24"),
            ("::ffff:203.0.113.77", "203.0.113.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
            ("::1", "::/48"),
        ] {
            assert_eq!(&*of(address.parse().expect("an address")), network);
        }
    }
}
