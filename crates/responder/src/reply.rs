//! Putting replies together.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, EXPIRES, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use ingam_protocol::Timestamp;

use crate::date::parse_imf_fixdate;

/// `Cache-Control` of what is true for this moment alone.
pub(crate) const NOT_CACHED: HeaderValue = HeaderValue::from_static("max-age=0, no-cache");
/// The same of answers to a nonce: somebody else's copy is worthless.
pub(crate) const NOT_STORED: HeaderValue = HeaderValue::from_static("max-age=0, no-cache, no-store");

/// How many headers a reply has at most.
const HEADERS_MAX: usize = 8;

/// By what a client can tell whether it has the same already (RFC 9110, section 8.8).
pub(crate) struct Validators<'a> {
    pub(crate) etag: &'a HeaderValue,
    /// As a header and as a moment.
    pub(crate) last_modified: Option<(&'a HeaderValue, Timestamp)>,
    pub(crate) expires: Option<&'a HeaderValue>,
}

impl Validators<'_> {
    /// Whether a request by GET or HEAD shows that the client has it already (RFC 9110, section 13.2.2).
    pub(crate) fn match_request(&self, headers: &HeaderMap) -> bool {
        let mut tags = headers.get_all(IF_NONE_MATCH).iter().peekable();
        if tags.peek().is_some() {
            return tags.any(|tag| self.matches_tags(tag));
        }
        let (Some(since), Some((ours, last_modified))) = (headers.get(IF_MODIFIED_SINCE), self.last_modified)
        else {
            return false;
        };
        let parsed = || since.to_str().ok().and_then(parse_imf_fixdate);
        since == ours || parsed().is_some_and(|since| last_modified <= since)
    }

    /// Compared weakly, as If-None-Match is (RFC 9110, section 13.1.2).
    fn matches_tags(&self, list: &HeaderValue) -> bool {
        let is_ours = |tag: &[u8]| {
            let tag = tag.trim_ascii();
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.etag.as_bytes()
        };
        // Our tags have no comma in them, so others that do cannot be taken for one.
        list.as_bytes().split(|byte| *byte == b',').any(is_ours)
    }

    /// Writes the headers.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        headers.insert(ETAG, self.etag.clone());
        if let Some((last_modified, _)) = self.last_modified {
            headers.insert(LAST_MODIFIED, last_modified.clone());
        }
        if let Some(expires) = self.expires {
            headers.insert(EXPIRES, expires.clone());
        }
    }
}

/// The `Cache-Control` of what may be kept for so long.
pub(crate) fn cacheable_for(duration: Duration) -> HeaderValue {
    let text = format!("max-age={}, public, no-transform, must-revalidate", duration.as_secs());
    // Letters, digits and signs are always a header's value.
    HeaderValue::try_from(text).unwrap_or(NOT_CACHED)
}

/// Status 200 with a body whose length is at hand as a header.
pub(crate) fn sized(
    body: Bytes,
    content_length: &HeaderValue,
    content_type: HeaderValue,
    cache_control: HeaderValue,
) -> Response<Full<Bytes>> {
    let mut headers = HeaderMap::with_capacity(HEADERS_MAX);
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CONTENT_LENGTH, content_length.clone());
    headers.insert(CACHE_CONTROL, cache_control);
    let mut reply = Response::new(Full::new(body));
    *reply.headers_mut() = headers;
    reply
}

/// Status 200 with a body.
pub(crate) fn with_body(
    body: Bytes,
    content_type: HeaderValue,
    cache_control: HeaderValue,
) -> Response<Full<Bytes>> {
    let length = HeaderValue::from(body.len());
    sized(body, &length, content_type, cache_control)
}

/// Status 304.
pub(crate) fn not_modified(validators: &Validators<'_>, cache_control: HeaderValue) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = StatusCode::NOT_MODIFIED;
    reply.headers_mut().insert(CACHE_CONTROL, cache_control);
    validators.write(reply.headers_mut());
    reply
}

/// Replies in words.
pub(crate) mod plain {
    use http::header::{ALLOW, CONNECTION, RETRY_AFTER};

    use super::*;

    pub(crate) fn not_found() -> Response<Full<Bytes>> {
        words(
            StatusCode::NOT_FOUND,
            "There is nothing here: there are /ocsp, /crl/NAME.crl, /issuer/NAME.crt and /roots.pem.\n",
        )
    }

    pub(crate) fn method_not_allowed(allowed: &'static str) -> Response<Full<Bytes>> {
        let mut reply = words(StatusCode::METHOD_NOT_ALLOWED, "This method is not allowed here.\n");
        reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        reply
    }

    pub(crate) fn unavailable() -> Response<Full<Bytes>> {
        let mut reply =
            words(StatusCode::SERVICE_UNAVAILABLE, "This is not available right now, try again later.\n");
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
        reply
    }

    pub(crate) fn too_slow() -> Response<Full<Bytes>> {
        let mut reply = words(StatusCode::REQUEST_TIMEOUT, "The request did not arrive in time.\n");
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        reply
    }

    fn words(status: StatusCode, sentence: &'static str) -> Response<Full<Bytes>> {
        let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
        let mut reply = with_body(Bytes::from_static(sentence.as_bytes()), content_type, NOT_CACHED);
        *reply.status_mut() = status;
        reply
    }
}
