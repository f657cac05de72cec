//! Runs the heads of requests of `testdata/corpus/request-head`: names that start with `ok-` must be read, `bad-` refused,
//! anything else (what a fuzzer found) must only do no harm. No part of a head is one, and what is refused is refused with
//! anything behind it.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::path::Path;

use ingam_protocol::request_head::{Version, may_be_whole, read};

#[test]
fn the_corpus_is_read_or_refused_as_its_names_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/corpus/request-head");
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let (name, bytes) = (path.file_name().unwrap().to_string_lossy(), std::fs::read(&path).unwrap());
        let outcome = read(&bytes);
        if name.starts_with("ok-") {
            let head = outcome.unwrap().unwrap_or_else(|| panic!("{name} is not whole"));
            let whole = &bytes[..head.bytes];
            assert!(may_be_whole(whole, 0), "{name}");
            assert_eq!(read(whole), Ok(Some(head)), "{name}");
            for length in 0..whole.len() {
                assert_eq!(read(&whole[..length]), Ok(None), "{name} cut to {length}");
            }
            accepted.push((name.into_owned(), head.version, head.is_kept));
        } else if name.starts_with("bad-") {
            let error = outcome.expect_err(&name);
            assert_eq!(read(&[&bytes, &b"\r\n\r\n"[..]].concat()), Err(error), "{name} with an end");
            refused += 1;
        }
    }
    assert!(
        accepted.len() >= 15 && refused >= 30,
        "the corpus is not there: {accepted:?}, {refused} refused"
    );
    for (name, version, is_kept) in accepted {
        let expected = match name.as_str() {
            "ok-http-2" => (Version::Http2, false),
            "ok-http-1.0" => (Version::Http10, false),
            "ok-http-1.0-host-kept" => (Version::Http10, true),
            _ => (Version::Http11, name != "ok-close"),
        };
        assert_eq!((version, is_kept), expected, "{name}");
    }
}
