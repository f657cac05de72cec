//! A stream of lines, for as long as both ends stay.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;

use super::Error;

/// The CA sends an empty line every ten seconds: after three that did not come, it is gone.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long a line may be: a record has 4 MiB at most, and JSON may double it.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Lines as they come.
#[derive(Debug)]
pub struct Lines {
    body: Incoming,
    received: BytesMut,
    /// How much of what was received is known to hold no end of a line.
    searched: usize,
    /// The connection lives as long as this does.
    _sender: SendRequest<Full<Bytes>>,
}

impl Lines {
    pub(super) fn new(body: Incoming, sender: SendRequest<Full<Bytes>>) -> Self {
        Self { body, received: BytesMut::new(), searched: 0, _sender: sender }
    }

    /// The next line that is not empty, without its end; nothing once the CA has ended the stream.
    ///
    /// Nothing is lost if the future is dropped before it is done.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] if the CA is gone, [`Error::Unread`] if a line has no end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            while let Some(line) = self.take_line() {
                if !line.is_empty() {
                    return Ok(Some(line));
                }
            }
            if self.received.len() > LINE_BYTES_MAX {
                return Err(Error::Unread("the stream has a line without an end".to_owned()));
            }
            match tokio::time::timeout(SILENCE_MAX, self.body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.received.extend_from_slice(&data);
                    }
                }
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => {
                    return Err(Error::Unreachable(format!("the stream broke off: {error}")));
                }
                Err(_) => {
                    return Err(Error::Unreachable(format!(
                        "the stream has been silent for {} seconds",
                        SILENCE_MAX.as_secs()
                    )));
                }
            }
        }
    }

    fn take_line(&mut self) -> Option<Bytes> {
        let unsearched = self.received.get(self.searched..).unwrap_or_default();
        let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.received.len();
            return None;
        };
        let line = self.received.split_to(self.searched + at).freeze();
        self.received.advance(1);
        self.searched = 0;
        Some(line)
    }
}
