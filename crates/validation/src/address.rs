//! Which addresses a validation may connect to.
//!
//! A name can point anywhere, so whoever asks for a certificate could have us knock at doors inside our own network.
//! Addresses are looked at when they were resolved and once more on the connected socket.

mod range;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

pub use range::{AddressRange, RangeError};

/// The one place that says whether an address may be connected to: the policy, and what the operator allows beyond it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    policy: AddressPolicy,
    allowed: Vec<AddressRange>,
}

impl Addresses {
    /// What `policy` allows, and whatever is in one of `allowed`.
    pub fn new(policy: AddressPolicy, allowed: Vec<AddressRange>) -> Self {
        Self { policy, allowed }
    }

    /// Looks whether `address` may be connected to.
    ///
    /// # Errors
    /// [`Forbidden`] says what kind of address it is. Addresses that mean no one machine, or carry another address inside
    /// that nobody would look at, are forbidden whatever is allowed.
    pub fn check(&self, address: IpAddr) -> Result<(), Forbidden> {
        match special(address) {
            Some((Class::Never, words)) => Err(Forbidden(words)),
            Some((_, _)) if self.allowed.iter().any(|range| range.contains(address)) => Ok(()),
            Some((class, words)) if !self.policy.allows(class) => Err(Forbidden(words)),
            _ => Ok(()),
        }
    }
}

/// Which addresses may be connected to.
///
/// Link-local, multicast, documentation, translated and other special addresses are refused whatever the policy; see
/// [`Addresses`] for those that a list can allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressPolicy {
    /// Globally reachable unicast addresses alone: what a public CA needs.
    #[default]
    PublicOnly,
    /// Loopback addresses too: for development on one machine.
    AllowLoopback,
    /// Loopback, private-use (RFC 1918), shared (RFC 6598) and unique local (RFC 4193) addresses too: for the CA of a
    /// private network.
    AllowPrivate,
}

/// Why an address may not be connected to; the words go to the owner of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forbidden(&'static str);

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Forbidden {}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Loopback,
    Private,
    Special,
    /// What no list can allow.
    Never,
}

struct Range<A> {
    first: A,
    prefix_bits: u8,
    class: Class,
    words: &'static str,
}

const fn v4(first: [u8; 4], prefix_bits: u8, class: Class, words: &'static str) -> Range<Ipv4Addr> {
    let [a, b, c, d] = first;
    Range { first: Ipv4Addr::new(a, b, c, d), prefix_bits, class, words }
}

const fn v6(first: [u16; 8], prefix_bits: u8, class: Class, words: &'static str) -> Range<Ipv6Addr> {
    let [a, b, c, d, e, f, g, h] = first;
    Range { first: Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix_bits, class, words }
}

/// IANA's IPv4 special-purpose registry, with multicast. Also the few ranges that the registry calls globally reachable:
/// no web site lives there.
const V4: &[Range<Ipv4Addr>] = &[
    v4([0, 0, 0, 0], 8, Class::Never, "it is of \"this network\" (RFC 791)"),
    v4([10, 0, 0, 0], 8, Class::Private, "it is private (RFC 1918)"),
    v4([100, 64, 0, 0], 10, Class::Private, "it is shared address space (RFC 6598)"),
    v4([127, 0, 0, 0], 8, Class::Loopback, "it is a loopback address"),
    v4([169, 254, 0, 0], 16, Class::Special, "it is link-local (RFC 3927)"),
    v4([172, 16, 0, 0], 12, Class::Private, "it is private (RFC 1918)"),
    v4([192, 0, 0, 0], 24, Class::Special, "it is reserved for protocols (RFC 6890)"),
    v4([192, 0, 2, 0], 24, Class::Special, "it is for documentation (RFC 5737)"),
    v4([192, 31, 196, 0], 24, Class::Special, "it is of AS112 (RFC 7535)"),
    v4([192, 52, 193, 0], 24, Class::Special, "it is for multicast tunneling (RFC 7450)"),
    v4([192, 88, 99, 0], 24, Class::Special, "it is of 6to4 relays (RFC 7526)"),
    v4([192, 168, 0, 0], 16, Class::Private, "it is private (RFC 1918)"),
    v4([192, 175, 48, 0], 24, Class::Special, "it is of AS112 (RFC 7534)"),
    v4([198, 18, 0, 0], 15, Class::Special, "it is for benchmarks (RFC 2544)"),
    v4([198, 51, 100, 0], 24, Class::Special, "it is for documentation (RFC 5737)"),
    v4([203, 0, 113, 0], 24, Class::Special, "it is for documentation (RFC 5737)"),
    v4([224, 0, 0, 0], 4, Class::Never, "it is multicast (RFC 5771)"),
    v4([255, 255, 255, 255], 32, Class::Never, "it is the broadcast address (RFC 919)"),
    v4([240, 0, 0, 0], 4, Class::Special, "it is reserved (RFC 1112)"),
];

/// IANA's IPv6 special-purpose registry, with multicast and the ranges that carry IPv4 addresses inside. What is not
/// listed and lies outside 2000::/3 is no global unicast address and is refused as well.
const V6: &[Range<Ipv6Addr>] = &[
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, Class::Loopback, "it is a loopback address"),
    v6(
        [0, 0, 0, 0, 0, 0, 0, 0],
        96,
        Class::Never,
        "it is unspecified or an IPv4-compatible address (RFC 4291)",
    ),
    v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, Class::Never, "it is an IPv4-mapped address (RFC 4291)"),
    v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, Class::Never, "it is an IPv4-translated address (RFC 6052)"),
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, Class::Never, "it is an IPv4-translated address (RFC 8215)"),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64, Class::Special, "it is discard-only (RFC 6666)"),
    v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64, Class::Special, "it is of the dummy prefix (RFC 9780)"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, Class::Never, "it is a Teredo address (RFC 4380)"),
    v6([0x2001, 0x10, 0, 0, 0, 0, 0, 0], 28, Class::Never, "it is an ORCHID, which is no address (RFC 4843)"),
    v6([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28, Class::Never, "it is an ORCHID, which is no address (RFC 7343)"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, Class::Special, "it is reserved for protocols (RFC 2928)"),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, Class::Special, "it is for documentation (RFC 3849)"),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, Class::Never, "it is a 6to4 address (RFC 3056)"),
    v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48, Class::Special, "it is of AS112 (RFC 7534)"),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, Class::Special, "it is for documentation (RFC 9637)"),
    v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, Class::Special, "it is a segment identifier (RFC 9602)"),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Class::Private, "it is a unique local address (RFC 4193)"),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, Class::Special, "it is link-local (RFC 4291)"),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, Class::Special, "it is site-local (RFC 3879)"),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Class::Never, "it is multicast (RFC 4291)"),
];

impl AddressPolicy {
    fn allows(self, class: Class) -> bool {
        match (self, class) {
            (_, Class::Special | Class::Never)
            | (Self::PublicOnly, _)
            | (Self::AllowLoopback, Class::Private) => false,
            (Self::AllowLoopback | Self::AllowPrivate, Class::Loopback)
            | (Self::AllowPrivate, Class::Private) => true,
        }
    }
}

fn special(address: IpAddr) -> Option<(Class, &'static str)> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<(Class, &'static str)> {
    let bits = address.to_bits();
    let range = V4.iter().find(|range| {
        let mask = u32::MAX << (32 - u32::from(range.prefix_bits));
        bits & mask == range.first.to_bits()
    })?;
    Some((range.class, range.words))
}

fn special_v6(address: Ipv6Addr) -> Option<(Class, &'static str)> {
    let bits = address.to_bits();
    let listed = V6.iter().find(|range| {
        let mask = u128::MAX << (128 - u32::from(range.prefix_bits));
        bits & mask == range.first.to_bits()
    });
    match listed {
        Some(range) => Some((range.class, range.words)),
        None if bits >> 125 != 1 => Some((Class::Special, "it is no global unicast address (RFC 4291)")),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(policy: AddressPolicy, address: &str) -> bool {
        Addresses::new(policy, Vec::new()).check(address.parse().unwrap()).is_ok()
    }

    #[test]
    fn a_list_allows_what_the_policy_does_not() {
        let ranges = ["10.1.0.0/16", "127.0.0.2", "fd00:1::/32", "169.254.1.1", "2001:db8::/32"];
        let allowed = ranges.map(|range| range.parse().unwrap()).to_vec();
        let addresses = Addresses::new(AddressPolicy::PublicOnly, allowed);
        for address in ["10.1.255.1", "127.0.0.2", "fd00:1::9", "169.254.1.1", "2001:db8::1", "1.1.1.1"] {
            addresses.check(address.parse().unwrap()).unwrap();
        }
        for address in ["10.2.0.1", "127.0.0.1", "fd00:2::9", "169.254.1.2", "::1"] {
            assert!(addresses.check(address.parse().unwrap()).is_err(), "{address}");
        }
    }

    #[test]
    fn no_list_allows_what_means_no_one_machine_or_carries_another_address() {
        let everything = ["0.0.0.0/0", "::/0"].map(|range| range.parse().unwrap()).to_vec();
        let addresses = Addresses::new(AddressPolicy::AllowPrivate, everything);
        for address in [
            "0.0.0.0",
            "0.0.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::127.0.0.1",
            "::ffff:10.1.0.1",
            "64:ff9b::a01:1",
            "64:ff9b:1::a01:1",
            "2001::1",
            "2001:10::1",
            "2001:20::1",
            "2002:a01:1::1",
            "ff02::1",
        ] {
            assert!(addresses.check(address.parse().unwrap()).is_err(), "{address}");
        }
        for address in ["127.0.0.1", "240.0.0.1", "192.0.2.1", "fe80::1", "100::1", "2001:db8::1"] {
            addresses.check(address.parse().unwrap()).unwrap();
        }
    }

    #[test]
    fn public_addresses_are_allowed_by_every_policy() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:200::1",
            "2400::1",
            "2620:4f:8001::",
            "3ffe:ffff::1",
            "2000::",
        ] {
            for policy in
                [AddressPolicy::PublicOnly, AddressPolicy::AllowLoopback, AddressPolicy::AllowPrivate]
            {
                assert!(allowed(policy, address), "{address} {policy:?}");
            }
        }
    }

    #[test]
    fn loopback_needs_a_policy() {
        for address in ["127.0.0.1", "127.255.255.255", "::1"] {
            assert!(!allowed(AddressPolicy::PublicOnly, address), "{address}");
            assert!(allowed(AddressPolicy::AllowLoopback, address), "{address}");
            assert!(allowed(AddressPolicy::AllowPrivate, address), "{address}");
        }
    }

    #[test]
    fn private_addresses_need_a_policy() {
        for address in [
            "10.0.0.1",
            "10.255.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.0",
            "100.127.255.255",
            "fc00::",
            "fdff:ffff::1",
        ] {
            assert!(!allowed(AddressPolicy::PublicOnly, address), "{address}");
            assert!(!allowed(AddressPolicy::AllowLoopback, address), "{address}");
            assert!(allowed(AddressPolicy::AllowPrivate, address), "{address}");
        }
    }

    #[test]
    fn special_addresses_are_refused_by_every_policy() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "192.0.0.1",
            "192.0.2.7",
            "192.31.196.1",
            "192.52.193.1",
            "192.88.99.1",
            "192.175.48.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::2",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "100:0:0:1::1",
            "2001::1",
            "2001:2::1",
            "2001:3::1",
            "2001:4:112::1",
            "2001:10::1",
            "2001:20::1",
            "2001:30::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2620:4f:8000::1",
            "3fff:fff::1",
            "5f00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
            "e000::1",
        ] {
            assert!(!allowed(AddressPolicy::AllowPrivate, address), "{address}");
            assert!(!allowed(AddressPolicy::AllowLoopback, address), "{address}");
            assert!(!allowed(AddressPolicy::PublicOnly, address), "{address}");
        }
    }

    #[test]
    fn every_range_begins_at_its_prefix() {
        for range in V4 {
            assert!(range.first.to_bits().trailing_zeros() + u32::from(range.prefix_bits) >= 32);
        }
        for range in V6 {
            assert!(range.first.to_bits().trailing_zeros() + u32::from(range.prefix_bits) >= 128);
        }
    }
}
