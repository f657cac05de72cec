//! The management interface that authors of ACME clients know from Pebble: roots and intermediates by number, PEM.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use ingam_protocol::pem;
use ingam_signer::Issuer;

/// What can be fetched.
pub(crate) struct Management {
    roots: Vec<String>,
    intermediates: Vec<String>,
}

impl Management {
    /// For these issuers: `/roots/N` and `/intermediates/N` go by their order.
    pub(crate) fn new(issuers: &[Issuer]) -> Self {
        let mut roots: Vec<String> = Vec::new();
        for root in issuers.iter().flat_map(Issuer::roots) {
            let root = pem::certificate(root);
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        let intermediates = issuers.iter().map(|issuer| pem::certificate(&issuer.certificate)).collect();
        Self { roots, intermediates }
    }

    /// Answers a request.
    pub(crate) fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let found =
            |list: &[String], number: &str| number.parse().ok().and_then(|n: usize| list.get(n).cloned());
        let pem = match path.strip_prefix("/roots/") {
            Some(number) => found(&self.roots, number),
            None => {
                path.strip_prefix("/intermediates/").and_then(|number| found(&self.intermediates, number))
            }
        };
        let (status, text) = match (pem, method) {
            (Some(_), method) if method != Method::GET && method != Method::HEAD => {
                (StatusCode::METHOD_NOT_ALLOWED, "GET only\n".to_owned())
            }
            (Some(pem), _) => (StatusCode::OK, pem),
            (None, _) => (
                StatusCode::NOT_FOUND,
                format!(
                    "there are /roots/0 to /roots/{} and /intermediates/0 to /intermediates/{}\n",
                    self.roots.len().saturating_sub(1),
                    self.intermediates.len().saturating_sub(1)
                ),
            ),
        };
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        let media_type =
            if status == StatusCode::OK { "application/x-pem-file" } else { "text/plain; charset=utf-8" };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}
