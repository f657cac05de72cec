//! What is no request gets `malformedRequest` with status 200, by POST and by GET: all that the corpus refuses, in every
//! spelling that is left to it, and all that is cut off.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{Method, Request};
use http_body_util::Full;
use ingam_protocol::ocsp::ErrorStatus;

use super::world::*;
use crate::config::{Config, Nonces};

/// The files of a folder of the corpus whose names start so, with their names.
fn corpus(folder: &str, start: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/corpus").join(folder);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with(start) {
            files.push((name, std::fs::read(&path).unwrap()));
        }
    }
    files
}

/// Sends a request and fails the test unless it is answered as malformed, as caches must not keep it.
async fn is_malformed(world: &World, method: Method, target: &str, body: &[u8], name: &str) {
    let reply = world.send(method, target, &[], body).await;
    assert_eq!(reply.status(), 200, "{name}");
    let (headers, body) = take(reply).await;
    assert_eq!(body.as_ref(), ErrorStatus::MalformedRequest.encode(), "{name}");
    assert_eq!(header(&headers, "content-type"), "application/ocsp-response", "{name}");
    assert_eq!(header(&headers, "content-length"), "5", "{name}");
    assert_eq!(header(&headers, "cache-control"), "max-age=0, no-cache", "{name}");
    assert!(headers.get("etag").is_none() && headers.get("expires").is_none(), "{name}");
}

/// Both kinds of responder: what is malformed does not depend on what is answered.
fn worlds() -> [World; 2] {
    [Nonces::Ignore, Nonces::Answer].map(|nonces| World::new(&Config { nonces, ..Config::default() }))
}

#[tokio::test]
async fn all_that_the_corpus_refuses_is_malformed_by_post_and_by_get() {
    let refused = corpus("ocsp-request", "bad-");
    assert!(refused.len() >= 30, "the corpus is there");
    for world in worlds() {
        for (name, der) in &refused {
            is_malformed(&world, Method::POST, "/ocsp", der, name).await;
            is_malformed(&world, Method::POST, "/ocsp/", der, name).await;
            for encoded in [STANDARD.encode(der), URL_SAFE_NO_PAD.encode(der)] {
                is_malformed(&world, Method::GET, &format!("/ocsp/{encoded}"), b"", name).await;
            }
        }
        assert_eq!(world.signed(), 0);
    }
}

#[tokio::test]
async fn all_that_is_cut_off_is_malformed() {
    let [world, _] = worlds();
    for (name, der) in corpus("ocsp-request", "ok-") {
        for length in 0..der.len().min(400) {
            is_malformed(&world, Method::POST, "/ocsp", &der[..length], &name).await;
            let encoded = STANDARD.encode(&der[..length]);
            is_malformed(&world, Method::GET, &format!("/ocsp/{encoded}"), b"", &name).await;
        }
    }
}

#[tokio::test]
async fn all_other_targets_that_the_corpus_refuses_are_malformed() {
    let [world, _] = worlds();
    let mut tried = 0;
    for (name, text) in corpus("ocsp-get", "bad-") {
        let target = [b"/ocsp/", text.as_slice()].concat();
        // What is no target at all never gets here.
        let Ok(request) = Request::get(target.as_slice()).body(Full::<bytes::Bytes>::default()) else {
            continue;
        };
        let target = request.uri().to_string();
        is_malformed(&world, Method::GET, &target, b"", &name).await;
        tried += 1;
    }
    assert!(tried >= 8, "the corpus is there");
}
