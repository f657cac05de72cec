//! Names and values that the owner of a name or an address puts into the DNS or answers TLS by, all in one place, as two of
//! these come from drafts: draft-ietf-acme-dns-account-label-02 and draft-ietf-acme-dns-persist-02.

use std::fmt::Write as _;
use std::net::IpAddr;

use ingam_protocol::bytes::base64url;
use ingam_protocol::identifier::DnsName;
use ring::digest::{SHA256, digest};

/// How many bytes of the hash of an account's URL are in its label: 80 bits, which are 16 characters.
const ACCOUNT_HASH_BYTES: usize = 10;

/// The alphabet of base32 (RFC 4648, section 6), in lower case.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The hash algorithm in a hashed account URI: its name in the registry of RFC 6920, section 9.4.
const HASH_NAME: &str = "sha-256";

/// Where dns-01 looks (RFC 8555, section 8.4).
pub(crate) fn dns_01(name: &DnsName) -> String {
    format!("_acme-challenge.{name}")
}

/// Where dns-account-01 looks: at a label of the account's own in front of dns-01's (draft-ietf-acme-dns-account-label,
/// section 3.1), so that several accounts can be at one name.
pub(crate) fn dns_account_01(name: &DnsName, account_uri: &str) -> String {
    let hash = digest(&SHA256, account_uri.as_bytes());
    let bytes = hash.as_ref().get(..ACCOUNT_HASH_BYTES).unwrap_or_default();
    format!("_{}._acme-challenge.{name}", base32(bytes))
}

/// Where dns-persist-01 looks (draft-ietf-acme-dns-persist, section 4).
pub(crate) fn dns_persist_01(name: &DnsName) -> String {
    format!("_validation-persist.{name}")
}

/// Which domain a hashed account URI is bound to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BoundTo<'a> {
    /// The one that has the record.
    Domain(&'a DnsName),
    /// None: one record will do for many domains.
    Any,
}

/// An account as a record of dns-persist-01 names it, without its URL in clear (draft-ietf-acme-dns-persist, section 4.1):
/// the prefix that the directory shows, the algorithm, and the hash of domain, key and URL.
pub(crate) fn hashed_account_uri(
    prefix: &str,
    domain: BoundTo<'_>,
    thumbprint: &str,
    account_uri: &str,
) -> String {
    let domain = match domain {
        BoundTo::Domain(name) => name.as_str(),
        BoundTo::Any => "*",
    };
    // A name has at most 253 octets.
    let length = u8::try_from(domain.len()).unwrap_or(u8::MAX);
    let hashed = [&[length], domain.as_bytes(), thumbprint.as_bytes(), account_uri.as_bytes()].concat();
    format!("{prefix}{HASH_NAME}/{}", base64url(digest(&SHA256, &hashed).as_ref()))
}

/// The name by which tls-alpn-01 asks for an address: its name in the reverse zones (RFC 8738, section 6; RFC 1034,
/// section 5.2.1; RFC 3596, section 2.5).
pub(crate) fn reverse_zone(address: IpAddr) -> String {
    let mut name = String::new();
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            name.push_str(&format!("{d}.{c}.{b}.{a}.in-addr.arpa"));
        }
        IpAddr::V6(address) => {
            for octet in address.octets().iter().rev() {
                // Writing into a string cannot fail.
                let _ = write!(name, "{:x}.{:x}.", octet & 0x0f, octet >> 4);
            }
            name.push_str("ip6.arpa");
        }
    }
    name
}

/// Base32 in lower case of whole groups of five bytes, which need no padding.
fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5);
    for group in bytes.chunks_exact(5) {
        let bits = group.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        for place in (0..8).rev() {
            let index = usize::try_from(bits >> (5 * place) & 31).unwrap_or_default();
            text.extend(BASE32.get(index).copied().map(char::from));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DnsName {
        DnsName::parse(text).unwrap()
    }

    #[test]
    fn base32_is_that_of_the_rfc() {
        // RFC 4648, section 10.
        assert_eq!(base32(b"fooba"), "mzxw6ytb");
        assert_eq!(base32(b""), "");
    }

    #[test]
    fn accounts_have_labels_of_their_own() {
        // The example of draft-ietf-acme-dns-account-label, section 3.1.
        let account = "https://example.com/acme/acct/ExampleAccount";
        assert_eq!(
            dns_account_01(&name("example.org"), account),
            "_ujmmovf2vn55tgye._acme-challenge.example.org"
        );
        assert_eq!(
            dns_account_01(&name("example.org"), "https://example.com/acme/acct/1"),
            "_vrr7uudrklshxb6l._acme-challenge.example.org"
        );
    }

    #[test]
    fn hashed_accounts_are_those_of_the_draft() {
        // The test vectors of draft-ietf-acme-dns-persist-02, section 10.2.
        let hashed = |domain| {
            hashed_account_uri(
                "https://ca.example/account-hash/",
                domain,
                "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
                "https://ca.example/acct/123",
            )
        };
        let domain = name("example.com");
        assert_eq!(
            hashed(BoundTo::Domain(&domain)),
            "https://ca.example/account-hash/sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw"
        );
        assert_eq!(
            hashed(BoundTo::Any),
            "https://ca.example/account-hash/sha-256/NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug"
        );
    }

    #[test]
    fn addresses_have_names_in_the_reverse_zones() {
        assert_eq!(reverse_zone("192.0.2.1".parse().unwrap()), "1.2.0.192.in-addr.arpa");
        assert_eq!(
            reverse_zone("2001:db8::1".parse().unwrap()),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
    }
}
