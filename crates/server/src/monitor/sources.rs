//! Where the two sides of the comparison come from: what is on record, and what is given out.
//!
//! Answers and lists are fetched over HTTP from the CA's own publication listener, as a client sees them: a listener that
//! hangs, a front that spoils paths and an answer from the wrong memory are seen too, which a call inside the process would
//! pass by. Not from `urls.publication`: there may be a cache, which is allowed to be behind.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ingam_authority::Authority;
use ingam_protocol::certificate::Validity;
use ingam_protocol::crl::Scope;
use ingam_protocol::ocsp::{CertStatus, encode_request, get_path};
use ingam_protocol::profile::IssuerName;
use ingam_protocol::renewal::{CertificateId, Window};
use ingam_protocol::{Serial, Shard, Timestamp};
use ingam_store::{CertificateIndex, CertificatePage, IssuedBetween, ShardsInUse, StatusState, Store};

use crate::serve::{StartError, sentence};

/// How long an answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// How long a list may take, which can be long and is made anew meanwhile.
const LIST_WAIT: Duration = Duration::from_secs(60);
/// No answer is longer: certificates with large keys are in it.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// No list is longer.
const LIST_BYTES_MAX: usize = 4 << 30;

/// Which certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Certificate {
    pub(super) issuer: IssuerName,
    pub(super) serial: Serial,
}

/// What is on record of a serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    /// `None` if as far as anybody may know, there is no such certificate.
    pub(super) status: Option<CertStatus>,
    pub(super) not_after: Timestamp,
    /// What its renewal window goes by; `None` without a certificate on record.
    pub(super) renewal: Option<Renewal>,
}

/// What a renewal window goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Renewal {
    pub(super) validity: Validity,
    /// Whether it is revoked, in an incident or about to be revoked, so that its window is in the past (RFC 9773, section 4.1).
    pub(super) ends_early: bool,
}

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Get,
    Post,
}

/// Both sides. An error is a sentence.
#[async_trait]
pub(super) trait Sources: Send + Sync {
    /// The generation of statuses.
    fn generation(&self) -> u64;
    /// What was revoked after this generation, at most so many.
    fn revoked_since(&self, generation: u64, limit: usize) -> Result<Vec<(u64, Certificate)>, String>;
    /// What was issued in this span, from a page's end on.
    fn issued(
        &self,
        between: IssuedBetween,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<CertificatePage, String>;
    /// Where an issuer has certificates.
    fn shards(&self, issuer: &IssuerName) -> Result<ShardsInUse, String>;
    /// The serial number in a scope that is this one, or the next.
    fn serial_from(&self, issuer: &IssuerName, scope: Scope, from: &Serial)
    -> Result<Option<Serial>, String>;
    /// What is on record; `None` for a serial number that was never set aside.
    fn recorded(&self, certificate: &Certificate) -> Result<Option<Recorded>, String>;
    /// What clients are told about renewal.
    fn window(&self, id: &CertificateId) -> Result<Option<Window>, String>;
    /// The response to a request about one certificate, by its CertID (DER).
    async fn answer(&self, cert_id: &[u8], way: Way) -> Result<Vec<u8>, String>;
    /// The list of a shard, or of what belongs to none.
    async fn list(&self, issuer: &IssuerName, shard: Option<Shard>) -> Result<Vec<u8>, String>;
}

/// Those of a running CA.
pub(super) struct Running {
    store: Store,
    authority: Arc<Authority>,
    client: reqwest::Client,
    /// `http://HOST:PORT` of the publication listener.
    base: String,
}

impl Running {
    pub(super) fn new(
        store: Store,
        authority: Arc<Authority>,
        publication: SocketAddr,
    ) -> Result<Self, StartError> {
        let client = reqwest::Client::builder().no_proxy().user_agent("ingam-monitor").build();
        let client = client.map_err(|error| StartError::caused("the monitor has no HTTP client", &error))?;
        Ok(Self { store, authority, client, base: format!("http://{}", reachable(publication)) })
    }

    async fn fetch(&self, request: reqwest::RequestBuilder, bytes_max: usize) -> Result<Vec<u8>, String> {
        let said = |error: reqwest::Error| sentence(&error.without_url());
        let mut response = request.send().await.map_err(said)?;
        if !response.status().is_success() {
            return Err(format!("the responder says {}", response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(said)? {
            if body.len() + chunk.len() > bytes_max {
                return Err(format!("it is longer than {bytes_max} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// An address of this machine where a listener that is bound to all of them can be reached.
fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

fn said<T, E: std::error::Error>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| sentence(&error))
}

#[async_trait]
impl Sources for Running {
    fn generation(&self) -> u64 {
        self.store.statuses().generation()
    }

    fn revoked_since(&self, generation: u64, limit: usize) -> Result<Vec<(u64, Certificate)>, String> {
        let changes = said(self.store.statuses().revoked_since(generation, limit))?;
        let certificate = |(generation, issuer, serial)| (generation, Certificate { issuer, serial });
        Ok(changes.into_iter().map(certificate).collect())
    }

    fn issued(
        &self,
        between: IssuedBetween,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<CertificatePage, String> {
        said(self.store.certificates_find(&CertificateIndex::Time, between, after, limit))
    }

    fn shards(&self, issuer: &IssuerName) -> Result<ShardsInUse, String> {
        said(self.store.statuses().shards(issuer))
    }

    fn serial_from(
        &self,
        issuer: &IssuerName,
        scope: Scope,
        from: &Serial,
    ) -> Result<Option<Serial>, String> {
        said(self.store.statuses().serial_from(issuer, scope, from))
    }

    fn recorded(&self, certificate: &Certificate) -> Result<Option<Recorded>, String> {
        let Certificate { issuer, serial } = certificate;
        let Some(row) = said(self.store.statuses().status(issuer, serial))? else { return Ok(None) };
        let facts = said(self.store.renewal_by_certificate(issuer, serial))?;
        Ok(Some(Recorded {
            status: match row.state {
                StatusState::Reserved | StatusState::Asked => None,
                StatusState::Good => Some(CertStatus::Good),
                StatusState::Revoked { at, reason } => Some(CertStatus::Revoked { at, reason }),
            },
            not_after: row.not_after,
            renewal: facts.map(|facts| Renewal { validity: facts.validity, ends_early: facts.ends_early }),
        }))
    }

    fn window(&self, id: &CertificateId) -> Result<Option<Window>, String> {
        Ok(said(self.authority.renewal(&id.to_string()))?.map(|view| view.window))
    }

    async fn answer(&self, cert_id: &[u8], way: Way) -> Result<Vec<u8>, String> {
        let asked = match way {
            Way::Get => self.client.get(format!("{}/ocsp/{}", self.base, get_path(cert_id))),
            Way::Post => self
                .client
                .post(format!("{}/ocsp", self.base))
                .header(http::header::CONTENT_TYPE, "application/ocsp-request")
                .body(encode_request(cert_id, None)),
        };
        self.fetch(asked.timeout(ANSWER_WAIT), ANSWER_BYTES_MAX).await
    }

    async fn list(&self, issuer: &IssuerName, shard: Option<Shard>) -> Result<Vec<u8>, String> {
        let path = match shard {
            Some(shard) => format!("/crl/{issuer}/{shard}.crl"),
            None => format!("/crl/{issuer}.crl"),
        };
        let asked = self.client.get(format!("{}{path}", self.base)).timeout(LIST_WAIT);
        self.fetch(asked, LIST_BYTES_MAX).await
    }
}
