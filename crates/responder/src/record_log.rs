//! The log of records over HTTP, as c2sp.org/tlog-tiles has it: its checkpoint, tiles of hashes, bundles of leaves.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::Full;
use ingam_journal::log::{Log, LogError, TILE_WIDTH};

use crate::ocsp::etag;
use crate::reply::{Validators, cacheable_for, not_modified, plain, with_body};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// A tile of a width never changes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("max-age=31536000, public, no-transform, immutable");
/// How long a checkpoint may be kept: there is a newer one in some seconds.
const CHECKPOINT_MAX_AGE: Duration = Duration::from_secs(5);
/// How long the key may be kept.
const KEY_MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// What is given out of the log of records.
pub struct RecordLog {
    /// Another one once it had to be opened again.
    log: RwLock<Arc<Log>>,
    /// The newest checkpoint that a witness cosigned, which may be older than the log's own.
    cosigned: RwLock<Option<Bytes>>,
    key: Bytes,
}

impl RecordLog {
    /// Gives out this log; `key` is its verifier key, as text.
    pub fn new(log: Arc<Log>, key: &str, cosigned: Option<Bytes>) -> Self {
        Self {
            log: RwLock::new(log),
            cosigned: RwLock::new(cosigned),
            key: Bytes::from(format!("{key}\n").into_bytes()),
        }
    }

    /// The log that is given out.
    pub fn log(&self) -> Arc<Log> {
        self.log.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives this one out from now on: the same, opened again.
    pub fn replace(&self, log: Arc<Log>) {
        *self.log.write().unwrap_or_else(PoisonError::into_inner) = log;
    }

    /// The newest checkpoint with a witness's signature.
    pub fn cosigned(&self) -> Option<Bytes> {
        self.cosigned.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives out this checkpoint as the newest with a witness's signature.
    pub fn replace_cosigned(&self, note: Bytes) {
        *self.cosigned.write().unwrap_or_else(PoisonError::into_inner) = Some(note);
    }

    /// Answers a request for what is below `/log/`.
    ///
    /// | path | what |
    /// |---|---|
    /// | `checkpoint` | the newest checkpoint, with the cosignatures that came for it |
    /// | `cosigned` | the newest checkpoint that a witness cosigned |
    /// | `key` | the log's verifier key |
    /// | `tile/L/N[.p/W]` | a tile of hashes |
    /// | `tile/entries/N[.p/W]` | a bundle of leaves |
    pub(crate) async fn answer(&self, part: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        match part {
            "checkpoint" => {
                let head = self.log().head();
                if head.note.is_empty() {
                    return plain::unavailable();
                }
                text(Bytes::from(head.note.clone().into_bytes()), CHECKPOINT_MAX_AGE, headers)
            }
            "cosigned" => match self.cosigned() {
                Some(note) => text(note, CHECKPOINT_MAX_AGE, headers),
                None => plain::not_found(),
            },
            "key" => text(self.key.clone(), KEY_MAX_AGE, headers),
            _ => match part.strip_prefix("tile/").and_then(Tile::parse) {
                Some(tile) => self.tile(tile).await,
                None => plain::not_found(),
            },
        }
    }

    async fn tile(&self, tile: Tile) -> Response<Full<Bytes>> {
        let log = self.log();
        // Reads a file or two.
        let read = tokio::task::spawn_blocking(move || tile.read(&log)).await;
        match read {
            Ok(Ok(Some(bytes))) => with_body(bytes.into(), OCTETS, FOR_EVER),
            Ok(Ok(None)) => plain::not_found(),
            Ok(Err(error)) => {
                let (code, error) = (error.code(), &error as &dyn std::error::Error);
                tracing::error!(code, error, "a tile of the log of records cannot be read");
                plain::unavailable()
            }
            Err(_) => plain::unavailable(),
        }
    }
}

fn text(body: Bytes, max_age: Duration, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let etag = etag(&body);
    let validators = Validators { etag: &etag, last_modified: None, expires: None };
    if validators.match_request(headers) {
        return not_modified(&validators, cacheable_for(max_age));
    }
    let mut reply = with_body(body, TEXT, cacheable_for(max_age));
    validators.write(reply.headers_mut());
    reply
}

/// What a path below `/log/tile/` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tile {
    /// None for a bundle of leaves.
    level: Option<u32>,
    index: u64,
    width: u64,
}

impl Tile {
    /// There is one way to write each: caches must not be filled with others.
    fn parse(path: &str) -> Option<Self> {
        let (level, rest) = path.split_once('/')?;
        let level = match level {
            "entries" => None,
            digits => Some(decimal(digits).filter(|level| *level < 64)?),
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, decimal(width).filter(|width| (1..TILE_WIDTH).contains(width))?),
            None => (rest, TILE_WIDTH),
        };
        let (mut number, mut groups) = (0_u64, index.split('/').peekable());
        let mut is_first = true;
        while let Some(group) = groups.next() {
            let is_last = groups.peek().is_none();
            let digits = if is_last { group } else { group.strip_prefix('x')? };
            if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let value: u64 = digits.parse().ok()?;
            // A group of zeros in front says nothing.
            if is_first && !is_last && value == 0 {
                return None;
            }
            number = number.checked_mul(1000)?.checked_add(value)?;
            is_first = false;
        }
        Some(Self { level: level.map(u32::try_from).transpose().ok()?, index: number, width })
    }

    fn read(self, log: &Log) -> Result<Option<Vec<u8>>, LogError> {
        match self.level {
            Some(level) => log.tile(level, self.index, self.width),
            None => log.entries(self.index, self.width),
        }
    }
}

/// A number with no zero in front.
fn decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_have_one_path_each() {
        let tile = |level, index, width| Some(Tile { level, index, width });
        assert_eq!(Tile::parse("0/000"), tile(Some(0), 0, 256));
        assert_eq!(Tile::parse("0/x001/x234/067"), tile(Some(0), 1_234_067, 256));
        assert_eq!(Tile::parse("3/x001/000.p/9"), tile(Some(3), 1000, 9));
        assert_eq!(Tile::parse("entries/012.p/255"), tile(None, 12, 255));
        for path in [
            "",
            "0",
            "0/",
            "0/0",
            "0/00",
            "0/0000",
            "00/000",
            "64/000",
            "-1/000",
            "0/001/000",
            "0/x000/001",
            "0/x001",
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/01",
            "0/000.p/",
            "0/000/",
            "0//000",
            "entries/+01",
            "entry/000",
            "0/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(Tile::parse(path), None, "{path}");
        }
    }
}
