//! Addresses that belong to the machine itself or to its surroundings: services that listen for their neighbours alone, and the metadata
//! of clouds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that an address stands for.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Tells whether an address is one of the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match canonical(address) {
        IpAddr::V4(address) => is_public_4(address),
        IpAddr::V6(address) => is_public_6(address),
    }
}

fn is_public_4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    // This network, the shared space of carriers, protocols' own, measurements, and what is reserved.
    let is_special =
        a == 0 || (a == 100 && b & 0xc0 == 64) || (a, b, c) == (192, 0, 0) || (a == 198 && b & 0xfe == 18) || a >= 240;
    let is_near = address.is_loopback() || address.is_private() || address.is_link_local();
    !(is_special || is_near || address.is_multicast() || address.is_documentation())
}

fn is_public_6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    let [first, second, ..] = parts;
    let embedded = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match parts {
        // Translated to the older protocol, in two ways.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_4(embedded(high, low)),
        [0x2002, high, low, ..] => is_public_4(embedded(high, low)),
        // Of the global ones not those of tunnels and documentation.
        _ => first & 0xe000 == 0x2000 && !(first == 0x2001 && (second == 0 || second == 0xdb8)),
    }
}
