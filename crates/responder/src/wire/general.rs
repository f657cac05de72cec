//! Whatever is not answered at once: a request as [`Responder::handle_from`] takes it, and its reply as bytes.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, SizeHint};
use ingam_protocol::request_head::{Head, Version};

use crate::http::Responder;
use crate::ocsp::write_field;
use crate::wire::desk::After;

/// A request's body: all of it, or how long it would be.
#[derive(Debug)]
pub(crate) enum Sent {
    Whole(Bytes),
    /// Too long to be read.
    TooLong(u64),
}

impl Body for Sent {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match std::mem::replace(self.get_mut(), Self::Whole(Bytes::new())) {
            Self::Whole(bytes) if !bytes.is_empty() => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Self::Whole(_) | Self::TooLong(_) => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::TooLong(bytes) => SizeHint::with_exact(*bytes),
        }
    }
}

/// A request that the runtime answers.
pub(crate) struct Asked {
    pub(crate) request: Request<Sent>,
    /// Who sent it, by the rules for proxies.
    pub(super) client: IpAddr,
}

/// A reply with its body at hand.
pub(crate) struct Reply {
    head: http::response::Parts,
    pub(super) body: Bytes,
}

/// The request with this head; `None` if its method, target or fields are none for all that.
pub(super) fn request(head: &Head<'_>, body: Sent) -> Option<Request<Sent>> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::from_bytes(head.method).ok()?;
    *request.uri_mut() = Uri::try_from(head.target).ok()?;
    *request.version_mut() =
        if head.version == Version::Http10 { http::Version::HTTP_10 } else { http::Version::HTTP_11 };
    for (name, value) in head.fields() {
        let name = HeaderName::from_bytes(name).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(request)
}

/// The reply to a request.
pub(crate) async fn reply(responder: &Responder, Asked { request, client }: Asked) -> Reply {
    let reply: Response<Full<Bytes>> = responder.handle_from(Some(client), request).await;
    let (head, body) = reply.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Reply { head, body }
}

impl Reply {
    /// Whether it says itself that it is the last one.
    pub(super) fn ends_connection(&self) -> bool {
        self.head.headers.get(CONNECTION).is_some_and(|value| value == "close")
    }

    /// Writes everything before the body.
    pub(super) fn write_head(&self, date: &str, after: After, out: &mut Vec<u8>) {
        let status = self.head.status;
        let reason = status.canonical_reason().unwrap_or_default();
        out.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\ndate: {date}", status.as_str()).as_bytes());
        out.extend_from_slice(after.line());
        for (name, value) in self.head.headers.iter().filter(|(name, _)| *name != CONNECTION) {
            write_field(out, name, value);
        }
        // A reply without a body and without its length would be waited for.
        let says_length = self.head.headers.contains_key(CONTENT_LENGTH);
        if !says_length && status != StatusCode::NOT_MODIFIED && status != StatusCode::NO_CONTENT {
            write_field(out, &CONTENT_LENGTH, &HeaderValue::from(self.body.len()));
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// What is said when there is no reply, before the connection ends.
pub(super) fn write_refusal(status: StatusCode, sentence: &str, date: &str, out: &mut Vec<u8>) {
    let reason = status.canonical_reason().unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {} {reason}\r\ndate: {date}\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n\
         content-length: {}\r\ncache-control: max-age=0, no-cache\r\n\r\n{sentence}",
        status.as_str(),
        sentence.len(),
    );
    out.extend_from_slice(head.as_bytes());
}
