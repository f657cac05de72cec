//! Certificates of the CA: the same bytes as long as the process lives.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::Full;
use ingam_protocol::pem;
use ingam_signer::Issuer;

use crate::ocsp::etag;
use crate::reply::{Validators, cacheable_for, not_modified, plain, with_body};

/// How long a certificate of the CA may be kept.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long it may be kept which CRLs there are, which a restart can change.
const URLS_MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// A document that does not change.
struct Document {
    body: Bytes,
    content_type: HeaderValue,
    etag: HeaderValue,
    max_age: Duration,
}

impl Document {
    fn new(body: impl Into<Bytes>, content_type: &'static str, max_age: Duration) -> Self {
        let (body, content_type) = (body.into(), HeaderValue::from_static(content_type));
        Self { etag: etag(&body), body, content_type, max_age }
    }

    fn certificate(der: impl Into<Bytes>) -> Self {
        Self::new(der, "application/pkix-cert", MAX_AGE)
    }

    fn reply(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let validators = Validators { etag: &self.etag, last_modified: None, expires: None };
        if validators.match_request(headers) {
            return not_modified(&validators, cacheable_for(self.max_age));
        }
        let mut reply = with_body(self.body.clone(), self.content_type.clone(), cacheable_for(self.max_age));
        validators.write(reply.headers_mut());
        reply
    }
}

/// What may be another the next time, and is looked at anew each time.
pub(super) fn changing(body: Bytes, etag: HeaderValue, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let content_type = HeaderValue::from_static("application/octet-stream");
    Document { body, content_type, etag, max_age: Duration::ZERO }.reply(headers)
}

/// The certificates of all issuers, and their roots; and where CRLs are.
pub(super) struct Documents {
    issuers: Vec<(String, Document)>,
    crl_urls: Vec<(String, Document)>,
    roots: Document,
}

impl Documents {
    /// `crl_urls` gives the URLs of all CRLs of an issuer.
    pub(super) fn new(issuers: &[Issuer], crl_urls: impl Fn(&Issuer) -> Vec<String>) -> Self {
        let mut roots: Vec<&[u8]> = Vec::new();
        for root in issuers.iter().flat_map(Issuer::roots) {
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        let bundle: String = roots.into_iter().map(pem::certificate).collect();
        let certificate =
            |issuer: &Issuer| (issuer.name.to_string(), Document::certificate(issuer.certificate.clone()));
        let urls = |issuer: &Issuer| {
            let array = serde_json::Value::from(crl_urls(issuer)).to_string();
            (issuer.name.to_string(), Document::new(array.into_bytes(), "application/json", URLS_MAX_AGE))
        };
        Self {
            issuers: issuers.iter().map(certificate).collect(),
            crl_urls: issuers.iter().map(urls).collect(),
            roots: Document::new(bundle.into_bytes(), "application/pem-certificate-chain", MAX_AGE),
        }
    }

    /// `offline` is the certificate of a CA of this name whose key is offline, if there is one.
    pub(super) fn issuer(
        &self,
        name: &str,
        offline: Option<Bytes>,
        headers: &HeaderMap,
    ) -> Response<Full<Bytes>> {
        match offline {
            Some(der) => Document::certificate(der).reply(headers),
            None => reply(&self.issuers, name, headers),
        }
    }

    pub(super) fn crl_urls(&self, name: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        reply(&self.crl_urls, name, headers)
    }

    pub(super) fn roots(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        self.roots.reply(headers)
    }
}

fn reply(documents: &[(String, Document)], name: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
    match documents.iter().find(|(known, _)| known == name) {
        Some((_, document)) => document.reply(headers),
        None => plain::not_found(),
    }
}
