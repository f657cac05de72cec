//! Routes of certificates: download and revocation (RFC 8555, sections 7.4.2 and 7.6).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use ingam_authority::{CertificateView, RevokedBy};
use ingam_protocol::acme::Revocation;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Serial, pem};

use crate::Frontend;
use crate::around::{Outcome, append_link, request_id};
use crate::problem::Problem;
use crate::signed::{FromAccount, FromEither, empty_payload, read_payload};

const PEM_CHAIN: &str = "application/pem-certificate-chain";

/// The media type of one certificate in DER (RFC 2585, section 4.1).
const PKIX_CERT: &str = "application/pkix-cert";

pub(crate) async fn certificate(
    State(frontend): State<Arc<Frontend>>,
    Path((issuer, serial)): Path<(String, String)>,
    request: Request,
) -> Response<Body> {
    let id = request_id(&request);
    let wanted = Wanted { issuer, serial, chain: None };
    frontend.answer(&id, frontend.certificate(wanted, request).await)
}

/// The same certificate with a further chain (section 7.4.2).
pub(crate) async fn alternate(
    State(frontend): State<Arc<Frontend>>,
    Path((issuer, serial, chain)): Path<(String, String, String)>,
    request: Request,
) -> Response<Body> {
    let id = request_id(&request);
    let wanted = Wanted { issuer, serial, chain: Some(chain) };
    frontend.answer(&id, frontend.certificate(wanted, request).await)
}

/// GET, where it is configured; with POST-as-GET alone it is another method like any other.
pub(crate) async fn certificate_for_anybody(
    State(frontend): State<Arc<Frontend>>,
    Path((issuer, serial)): Path<(String, String)>,
    request: Request,
) -> Response<Body> {
    frontend.by_get(Wanted { issuer, serial, chain: None }, &request)
}

/// A further chain by GET, likewise.
pub(crate) async fn alternate_for_anybody(
    State(frontend): State<Arc<Frontend>>,
    Path((issuer, serial, chain)): Path<(String, String, String)>,
    request: Request,
) -> Response<Body> {
    frontend.by_get(Wanted { issuer, serial, chain: Some(chain) }, &request)
}

pub(crate) async fn other_method(State(frontend): State<Arc<Frontend>>, request: Request) -> Response<Body> {
    frontend.answer(&request_id(&request), Err(frontend.certificate_methods()))
}

/// An issuer's certificate: where `Link: …;rel="up"` leads (section 7.4.2). The whole world may have it: whoever asks by GET has
/// it in DER. Some clients follow the link by POST-as-GET and read nothing but a PEM chain.
pub(crate) async fn issuer(
    State(frontend): State<Arc<Frontend>>,
    Path(name): Path<String>,
    request: Request,
) -> Response<Body> {
    let as_chain = *request.method() == Method::POST;
    frontend.answer(&request_id(&request), frontend.issuer(name, as_chain))
}

pub(crate) async fn revoke(State(frontend): State<Arc<Frontend>>, request: Request) -> Response<Body> {
    let id = request_id(&request);
    frontend.answer(&id, frontend.revoke(request).await)
}

impl Frontend {
    async fn certificate(&self, wanted: Wanted, request: Request) -> Outcome {
        let acceptable = pem_chain_wanted(request.headers());
        let FromAccount { account, payload, .. } = self.signed_by_account(request).await?;
        empty_payload(&payload)?;
        acceptable?;
        let (issuer, serial, chain) = wanted.read()?;
        let view = self.authority.certificate(&account, &issuer, &serial)?.ok_or_else(Problem::not_found)?;
        self.chain(&view, &serial, chain)
    }

    fn by_get(&self, wanted: Wanted, request: &Request) -> Response<Body> {
        let outcome = match self.config().certificates_by_get {
            true => self.certificate_for_anybody(wanted, request.headers()),
            false => Err(self.certificate_methods()),
        };
        self.answer(&request_id(request), outcome)
    }

    /// Issuer and serial number are in the certificate itself, so whoever knows the URL has seen it already.
    fn certificate_for_anybody(&self, wanted: Wanted, headers: &HeaderMap) -> Outcome {
        pem_chain_wanted(headers)?;
        let (issuer, serial, chain) = wanted.read()?;
        let view =
            self.authority.certificate_for_anybody(&issuer, &serial)?.ok_or_else(Problem::not_found)?;
        self.chain(&view, &serial, chain)
    }

    fn certificate_methods(&self) -> Problem {
        Problem::method_not_allowed(if self.config().certificates_by_get {
            "GET, HEAD, POST"
        } else {
            "POST"
        })
    }

    /// A certificate with its usual chain, or with the further one of this number; each names all others
    /// (section 7.4.2). A further chain of which a certificate has ended is gone.
    fn chain(&self, view: &CertificateView, serial: &Serial, number: Option<usize>) -> Outcome {
        let now = self.authority.clock().now();
        let issuer = &view.issuer;
        let others =
            || (1_usize..).zip(&issuer.alternates).filter(|(_, alternate)| alternate.not_after > now);
        let above = match number {
            None => &issuer.chain,
            Some(number) => {
                let found = others().find(|(own, _)| *own == number);
                &found.ok_or_else(Problem::not_found)?.1.chain
            }
        };
        let chain: String =
            std::iter::once(&view.der).chain(above).map(|der| pem::certificate(der)).collect();
        let mut response = Response::new(Body::from(chain));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PEM_CHAIN));
        if number.is_none() {
            append_link(headers, &self.urls.issuer(&issuer.name), "up");
        } else {
            append_link(headers, &self.urls.certificate(&issuer.name, serial), "alternate");
        }
        for (other, _) in others().filter(|(other, _)| Some(*other) != number) {
            append_link(headers, &self.urls.alternate(&issuer.name, serial, other), "alternate");
        }
        Ok(response)
    }

    fn issuer(&self, name: String, as_chain: bool) -> Outcome {
        let name = IssuerName::try_from(name).map_err(|_| Problem::not_found())?;
        let issuer = self.authority.issuer(&name).ok_or_else(Problem::not_found)?;
        let (body, media_type) = if as_chain {
            (issuer.chain.iter().map(|der| pem::certificate(der)).collect::<String>().into(), PEM_CHAIN)
        } else {
            (Body::from(issuer.certificate.clone()), PKIX_CERT)
        };
        let mut response = Response::new(body);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        Ok(response)
    }

    async fn revoke(&self, request: Request) -> Outcome {
        let (by, payload, caller) = match self.signed_by_either(request).await? {
            FromEither::Account(from) => (RevokedBy::Account(from.account), from.payload, from.caller),
            FromEither::Key(from) => (RevokedBy::Key(from.key), from.payload, from.caller),
        };
        let wish: Revocation = read_payload(&payload)?;
        self.authority.certificate_revoke(by, wish, &caller).await?;
        Ok(Response::new(Body::empty()))
    }
}

/// A certificate as a URL names it.
struct Wanted {
    issuer: String,
    serial: String,
    /// The number of a further chain.
    chain: Option<String>,
}

impl Wanted {
    fn read(self) -> Result<(IssuerName, Serial, Option<usize>), Problem> {
        let issuer = IssuerName::try_from(self.issuer).map_err(|_| Problem::not_found())?;
        let serial = Serial::from_hex(&self.serial).ok_or_else(Problem::not_found)?;
        let chain = self.chain.map(|number| number.parse().map_err(|_| Problem::not_found())).transpose()?;
        Ok((issuer, serial, chain))
    }
}

fn pem_chain_wanted(headers: &HeaderMap) -> Result<(), Problem> {
    if accepts_pem_chain(headers) {
        return Ok(());
    }
    let detail = format!("a certificate comes as {PEM_CHAIN} only: accept that");
    Err(Problem::malformed(detail).with_status(StatusCode::NOT_ACCEPTABLE))
}

/// Whether `Accept` leaves room for a PEM chain; most clients send none or `*/*`.
fn accepts_pem_chain(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    values.peek().is_none()
        || values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|range| {
            let range = range.split(';').next().unwrap_or_default().trim();
            [PEM_CHAIN, "application/*", "*/*"].iter().any(|known| range.eq_ignore_ascii_case(known))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_is_respected() {
        let accepts = |value: &'static str| {
            accepts_pem_chain(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(value))]))
        };
        assert!(accepts_pem_chain(&HeaderMap::new()));
        assert!(accepts("*/*"));
        assert!(accepts("application/pkix-cert, application/PEM-certificate-chain;q=0.5"));
        assert!(!accepts("application/pkix-cert"));
    }
}
