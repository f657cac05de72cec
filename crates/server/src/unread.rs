//! Bodies of requests that are answered before they are read: they are read on and thrown away.
//!
//! A connection that ended while its client still sends would be reset, and the client might lose the answer that tells it why.
//! Clients send head and body one after the other, so a refusal that needs no body is often there first.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// At most so much of a body is thrown away, for so long; then the connection ends after all.
const THROWN_BYTES_MAX: usize = 16 << 20;
const THROWN_FOR: Duration = Duration::from_secs(10);

/// The request for whoever answers it; what of its body is left then is thrown away.
pub(crate) fn read_on(request: Request<Incoming>) -> Request<Body> {
    // Such a client sends its body only once somebody reads it.
    if request.headers().contains_key(header::EXPECT) {
        return request.map(Body::new);
    }
    request.map(|body| Body::new(ReadOn(Some(body))))
}

/// A body that is read on when it is dropped before its end.
struct ReadOn(Option<Incoming>);

impl HttpBody for ReadOn {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.0.as_mut().map_or(Poll::Ready(None), |body| Pin::new(body).poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for ReadOn {
    fn drop(&mut self) {
        let rest = self.0.take().filter(|body| !body.is_end_stream());
        if let (Some(rest), Ok(runtime)) = (rest, Handle::try_current()) {
            runtime.spawn(timeout(THROWN_FOR, throw_away(rest)));
        }
    }
}

async fn throw_away(mut body: Incoming) {
    let mut seen = 0_usize;
    while let Some(Ok(frame)) = body.frame().await {
        seen = seen.saturating_add(frame.data_ref().map_or(0, Bytes::len));
        if seen > THROWN_BYTES_MAX {
            return;
        }
    }
}
