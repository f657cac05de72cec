//! Certificates of the CA: the same bytes as long as the process lives.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::Full;
use ingam_protocol::pem;
use ingam_signer::Issuer;

use crate::http::reply::{Validators, cacheable_for, not_modified, plain, with_body};
use crate::ocsp::etag;

/// How long a certificate of the CA may be kept.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// A document that does not change.
struct Document {
    body: Bytes,
    content_type: HeaderValue,
    etag: HeaderValue,
}

impl Document {
    fn new(body: Vec<u8>, content_type: &'static str) -> Self {
        Self { etag: etag(&body), body: body.into(), content_type: HeaderValue::from_static(content_type) }
    }

    fn reply(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let validators = Validators { etag: &self.etag, last_modified: None, expires: None };
        if validators.match_request(headers) {
            return not_modified(&validators, cacheable_for(MAX_AGE));
        }
        let mut reply = with_body(self.body.clone(), self.content_type.clone(), cacheable_for(MAX_AGE));
        validators.write(reply.headers_mut());
        reply
    }
}

/// The certificates of all issuers, and their roots.
pub(super) struct Documents {
    issuers: Vec<(String, Document)>,
    roots: Document,
}

impl Documents {
    pub(super) fn new(issuers: &[Issuer]) -> Self {
        let mut roots: Vec<&[u8]> = Vec::new();
        for root in issuers.iter().flat_map(Issuer::roots) {
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        let bundle: String = roots.into_iter().map(pem::certificate).collect();
        let certificate = |issuer: &Issuer| {
            (issuer.name.to_string(), Document::new(issuer.certificate.clone(), "application/pkix-cert"))
        };
        Self {
            issuers: issuers.iter().map(certificate).collect(),
            roots: Document::new(bundle.into_bytes(), "application/pem-certificate-chain"),
        }
    }

    pub(super) fn issuer(&self, name: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        match self.issuers.iter().find(|(known, _)| known == name) {
            Some((_, document)) => document.reply(headers),
            None => plain::not_found(),
        }
    }

    pub(super) fn roots(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        self.roots.reply(headers)
    }
}
