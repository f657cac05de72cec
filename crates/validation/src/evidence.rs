//! What was seen on the network, in a form that can be kept and read for years.
//!
//! Everything that came from outside is capped in count and length and holds printable ASCII alone.

use std::net::{IpAddr, SocketAddr};

use ingam_protocol::acme::ChallengeType;
use ingam_protocol::identifier::Host;
use ingam_protocol::{Bytes, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::outcome::CaaQuery;

/// The most DNS values that one lookup keeps.
pub(crate) const VALUES_MAX: usize = 32;

/// The most characters that are kept of one DNS value or of a body.
pub(crate) const TEXT_MAX: usize = 512;

/// The most addresses that one hop keeps.
pub(crate) const ADDRESSES_MAX: usize = 32;

/// The record of one validation or one CAA check by one perspective.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The configured name of the perspective that looked.
    pub perspective: String,
    /// What was looked at.
    #[serde(rename = "name")]
    pub host: Host,
    /// Whether CAA was looked at for the wildcard of that name, for which other properties count (RFC 8659, section 4.3).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wildcard: bool,
    /// The challenge that was looked at, or that the CAA check was made for.
    pub challenge: ChallengeType,
    /// When the look began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// The connections that were made or tried, in order; none for dns-01 and CAA.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hops: Vec<Hop>,
    /// The DNS lookups that were made, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lookups: Vec<Lookup>,
}

/// One server that was spoken to, or tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// The URL that was asked for; none for tls-alpn-01.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The name that was resolved, or the address that needed no resolving.
    pub hostname: String,
    /// The port that was dialled.
    pub port: u16,
    /// Every address that the name had, at most 32.
    pub addresses_resolved: Vec<IpAddr>,
    /// The addresses that could not be connected to before one could.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses_tried: Vec<IpAddr>,
    /// The address that was connected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_used: Option<IpAddr>,
    /// The TLS connection's facts, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFacts>,
    /// The HTTP status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The beginning of the answer's body, printable, at most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_start: Option<String>,
}

/// What a TLS handshake settled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFacts {
    /// The protocol's version, like `TLSv1_3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The application protocol that the server chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_protocol: Option<String>,
    /// The SHA-256 hash of the server's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_sha256: Option<Bytes>,
    /// The server's certificate (DER), kept for tls-alpn-01 alone and up to 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Bytes>,
}

/// One DNS question and what came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// The name that was asked for, without a trailing dot.
    pub name: String,
    /// The type that was asked for, like `TXT`.
    pub record_type: String,
    /// The response code's mnemonic (`NOERROR`, `NXDOMAIN`, `SERVFAIL`), or `TIMEOUT`, or `ERROR`.
    pub response: String,
    /// The values that came back, printable, at most 32 of at most 512 characters.
    pub values: Vec<String>,
    /// How many values were left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub values_left_out: usize,
    /// The names that aliases led to, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What DNSSEC proves of the answer, in the words of RFC 4035, section 4.3; none if it was not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// What the resolver said of a failure, and what our own DNSSEC validation did (RFC 8914).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extended_errors: Vec<ExtendedError>,
}

/// What DNSSEC proves of an answer (RFC 4035, section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// A chain of signatures leads from a root anchor to it.
    Secure,
    /// It is proven that there is no such chain: the zone is not signed.
    Insecure,
    /// There should be a chain, and there is none that holds.
    Bogus,
    /// It could not be found out whether there should be one.
    Indeterminate,
}

/// An extended DNS error (RFC 8914).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtendedError {
    /// The code, of IANA's registry.
    pub code: u16,
    /// What the resolver adds, printable, cut to 128 characters; mostly empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Evidence {
    pub(crate) fn new(
        perspective: &str,
        host: impl Into<Host>,
        challenge: ChallengeType,
        started: Timestamp,
    ) -> Self {
        Self {
            perspective: perspective.to_owned(),
            host: host.into(),
            wildcard: false,
            challenge,
            started,
            finished: started,
            hops: Vec::new(),
            lookups: Vec::new(),
        }
    }

    /// As [`Evidence::new`], for CAA.
    pub(crate) fn of_caa(perspective: &str, query: &CaaQuery, started: Timestamp) -> Self {
        let CaaQuery { name, wildcard, challenge, .. } = query;
        Self { wildcard: *wildcard, ..Self::new(perspective, name.clone(), *challenge, started) }
    }

    /// The last hop, for filling in what comes to be known of it.
    pub(crate) fn hop(&mut self) -> Option<&mut Hop> {
        self.hops.last_mut()
    }

    /// A challenge's `validationRecord`: an array with an object for each hop, in the fields that Boulder made usual
    /// (`url`, `hostname`, `port`, `addressesResolved`, `addressesTried`, `addressUsed`).
    pub fn validation_record(&self) -> Value {
        if self.hops.is_empty() {
            return json!([{ "hostname": self.host.to_string() }]);
        }
        Value::Array(self.hops.iter().map(Hop::validation_record).collect())
    }
}

impl Hop {
    pub(crate) fn new(url: Option<String>, hostname: &Host, port: u16) -> Self {
        Self { url, hostname: hostname.to_string(), port, ..Self::default() }
    }

    /// Notes that a connection stands.
    pub(crate) fn connected(&mut self, address: SocketAddr) {
        self.address_used = Some(address.ip());
    }

    fn validation_record(&self) -> Value {
        let mut record = Map::new();
        if let Some(url) = &self.url {
            record.insert("url".into(), json!(url));
        }
        record.insert("hostname".into(), json!(self.hostname));
        record.insert("port".into(), json!(self.port.to_string()));
        record.insert("addressesResolved".into(), json!(self.addresses_resolved));
        if !self.addresses_tried.is_empty() {
            record.insert("addressesTried".into(), json!(self.addresses_tried));
        }
        if let Some(address) = self.address_used {
            record.insert("addressUsed".into(), json!(address));
        }
        Value::Object(record)
    }
}
