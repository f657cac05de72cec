//! The one stylesheet, and the policy that lets a browser use it and nothing else.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

/// What stands in the page's `<style>`, byte for byte: its hash is in the policy.
pub(crate) const STYLE: &str = include_str!("../../templates/style.css");

/// The Content-Security-Policy of every page (CSP level 3): its own stylesheet by hash; no script, image, font, frame,
/// form, or connection.
pub(super) fn policy() -> HeaderValue {
    static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
        let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        // Base64 and the words above are all ASCII: this is never the other one, which would allow nothing at all.
        HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
    });
    POLICY.clone()
}
