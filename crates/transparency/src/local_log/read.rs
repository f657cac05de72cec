//! What a log shows: RFC 6962, sections 4.3 and 4.5 to 4.7, or the assets of static-ct-api.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use serde_json::json;

use super::kept::Kept;
use super::reply::{Reply, json_reply, text};
use super::tree::TILE_WIDTH;
use super::{LocalLog, SHA256_ECDSA, in_words};
use crate::list::Kind;

/// The most entries of one answer.
const ENTRIES_MAX: usize = 64;

/// The type of a tree head's signature in a note (static-ct-api, "Checkpoints").
const NOTE_TREE_HEAD: u8 = 5;

/// A tree head (RFC 6962, section 3.5), signed.
struct Head {
    size: u64,
    timestamp_ms: u64,
    root: [u8; 32],
    /// The digitally-signed struct.
    signature: Vec<u8>,
}

impl LocalLog {
    /// Answers a GET; `origin` is the log's URL without its scheme.
    pub(super) fn show(&self, path: &str, query: &str, origin: &str) -> Reply {
        let query: BTreeMap<String, String> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().take(16).collect();
        let shown = match (path, self.settings.kind) {
            ("/ct/v1/get-roots", _) => Ok(self.roots_reply()),
            ("/ct/v1/get-sth", Kind::Rfc6962) => self.tree_head(),
            ("/ct/v1/get-entries", Kind::Rfc6962) => self.entries(&query),
            ("/ct/v1/get-proof-by-hash", Kind::Rfc6962) => self.proof(&query),
            ("/checkpoint", Kind::Static) => self.checkpoint(origin),
            (path, Kind::Static) => self.asset(path),
            (_, Kind::Rfc6962) => Err((404, "this log has nothing there".to_owned())),
        };
        shown.unwrap_or_else(|(status, why)| text(status, &why))
    }

    fn roots_reply(&self) -> Reply {
        let roots: Vec<String> = self.roots.iter().map(|root| STANDARD.encode(root)).collect();
        json_reply(&json!({ "certificates": roots }))
    }

    fn head(&self) -> Result<Head, (u16, String)> {
        let broken = |why: String| (500, why);
        let state = self.state();
        let (size, timestamp_ms) = (state.tree.size(), self.clock.now().unix_ms());
        let leaves = usize::try_from(size).map_err(|error| broken(in_words(error)))?;
        let root = state.tree.root(leaves).ok_or_else(|| broken("the tree has no root".to_owned()))?;
        drop(state);
        // version v1 and signature_type tree_hash.
        let mut signed = vec![0, 1];
        signed.extend(timestamp_ms.to_be_bytes());
        signed.extend(size.to_be_bytes());
        signed.extend(root);
        let bytes = self.sign(&signed).map_err(broken)?;
        let length = u16::try_from(bytes.len()).map_err(|error| broken(in_words(error)))?;
        let mut signature = SHA256_ECDSA.to_vec();
        signature.extend(length.to_be_bytes());
        signature.extend(bytes);
        Ok(Head { size, timestamp_ms, root, signature })
    }

    fn tree_head(&self) -> Result<Reply, (u16, String)> {
        let head = self.head()?;
        Ok(json_reply(&json!({
            "tree_size": head.size,
            "timestamp": head.timestamp_ms,
            "sha256_root_hash": STANDARD.encode(head.root),
            "tree_head_signature": STANDARD.encode(&head.signature),
        })))
    }

    fn entries(&self, query: &BTreeMap<String, String>) -> Result<Reply, (u16, String)> {
        let (start, end) = (number(query, "start")?, number(query, "end")?);
        let state = self.state();
        let last = end.min(start.saturating_add(ENTRIES_MAX - 1)).min(state.kept.len().saturating_sub(1));
        let kept = state.kept.get(start..=last).filter(|_| start <= last);
        let kept = kept.ok_or((400, "the log shows no such entries".to_owned()))?;
        let entries = kept.iter().map(|one| {
            let extra_data = STANDARD.encode(one.extra_data()?);
            Ok(json!({ "leaf_input": STANDARD.encode(&one.leaf), "extra_data": extra_data }))
        });
        let entries: Result<Vec<_>, String> = entries.collect();
        Ok(json_reply(&json!({ "entries": entries.map_err(|why| (500, why))? })))
    }

    fn proof(&self, query: &BTreeMap<String, String>) -> Result<Reply, (u16, String)> {
        let size = number(query, "tree_size")?;
        let hash = query.get("hash").and_then(|hash| STANDARD.decode(hash).ok());
        let hash: Option<[u8; 32]> = hash.and_then(|hash| hash.try_into().ok());
        let hash = hash.ok_or((400, "hash has to be SHA-256 in base64".to_owned()))?;
        let state = self.state();
        let place = state.tree.place(&hash).filter(|place| *place < size);
        let missing = || (404, "there is no such leaf in a tree of this size".to_owned());
        let place = place.ok_or_else(missing)?;
        let path = state.tree.path(place, size).ok_or_else(missing)?;
        let path: Vec<String> = path.iter().map(|hash| STANDARD.encode(hash)).collect();
        Ok(json_reply(&json!({ "leaf_index": place, "audit_path": path })))
    }

    /// The tree head as a note (static-ct-api, "Checkpoints").
    fn checkpoint(&self, origin: &str) -> Result<Reply, (u16, String)> {
        let head = self.head()?;
        let mut named = format!("{origin}\n").into_bytes();
        named.push(NOTE_TREE_HEAD);
        named.extend(self.key.id().0);
        let mut signature: Vec<u8> = digest(&SHA256, &named).as_ref().iter().take(4).copied().collect();
        signature.extend(head.timestamp_ms.to_be_bytes());
        signature.extend(head.signature);
        let mut note = format!("{origin}\n{}\n{}\n\n", head.size, STANDARD.encode(head.root));
        // Writing to a string does not fail.
        let _ = writeln!(note, "\u{2014} {origin} {}", STANDARD.encode(signature));
        Ok(Reply { status: 200, content_type: "text/plain; charset=utf-8", body: note.into_bytes() })
    }

    /// Tiles and issuers (static-ct-api, "Merkle Tree", "Log entries" and "Issuers"):
    /// `/tile/<level>/<number>[.p/<width>]`, `/tile/data/<number>[.p/<width>]`, `/issuer/<fingerprint>`.
    fn asset(&self, path: &str) -> Result<Reply, (u16, String)> {
        let missing = || (404, "this log has nothing there".to_owned());
        let state = self.state();
        if let Some(name) = path.strip_prefix("/issuer/") {
            let body = state.kept.iter().find_map(|one| one.issuer(name)).ok_or_else(missing)?.clone();
            return Ok(Reply { status: 200, content_type: "application/pkix-cert", body });
        }
        let (level, place) =
            path.strip_prefix("/tile/").and_then(|tile| tile.split_once('/')).ok_or_else(missing)?;
        let (number, width) = tile_of(place).ok_or_else(missing)?;
        let body = if level == "data" {
            let begin = number.checked_mul(TILE_WIDTH).ok_or_else(missing)?;
            let end = begin.checked_add(width).ok_or_else(missing)?;
            let kept = state.kept.get(begin..end).ok_or_else(missing)?;
            let leaves: Result<Vec<Vec<u8>>, String> = kept.iter().map(Kept::tile_leaf).collect();
            leaves.map_err(|why| (500, why))?.concat()
        } else {
            let level = level.parse().map_err(|_| missing())?;
            state.tree.tile(level, number).and_then(|tile| tile.get(..width)).ok_or_else(missing)?.concat()
        };
        Ok(Reply { status: 200, content_type: "application/octet-stream", body })
    }
}

fn number(query: &BTreeMap<String, String>, name: &str) -> Result<usize, (u16, String)> {
    let value = query.get(name).and_then(|value| value.parse().ok());
    value.ok_or_else(|| (400, format!("{name} has to be a number")))
}

/// Number and width of a tile, by the end of its path.
fn tile_of(path: &str) -> Option<(usize, usize)> {
    let (number, width) = match path.split_once(".p/") {
        Some((number, width)) => {
            (number, width.parse().ok().filter(|width| (1..TILE_WIDTH).contains(width))?)
        }
        None => (path, TILE_WIDTH),
    };
    let mut place = 0_usize;
    for part in number.split('/') {
        let digits = part.trim_start_matches('x');
        if digits.len() != 3 {
            return None;
        }
        place = place.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    Some((place, width))
}
