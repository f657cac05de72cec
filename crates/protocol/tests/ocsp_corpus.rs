//! Runs the OCSP requests of `testdata/corpus/ocsp-request`, those by GET of `testdata/corpus/ocsp-get`, and the answers of
//! `testdata/corpus/ocsp-response`, which openssl made: names that start with `ok-` must be read, `bad-` refused, anything else
//! (what a fuzzer found) must only do no harm. Every prefix is tried as well. Refused is what is no base64 or holds no request;
//! which of both does not matter.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ingam_protocol::ocsp::{REQUEST_BYTES_MAX, Request, Response, decode_get, parse_request};

/// The files of a folder of the corpus with their names.
fn corpus(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/corpus").join(folder);
    let paths = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    paths
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect()
}

/// What a request by GET asks for.
fn read_get(encoded: &str) -> Option<Request> {
    parse_request(&decode_get(encoded)?).ok()
}

#[test]
fn the_corpus_is_read_or_refused_as_its_names_say() {
    let (mut accepted, mut refused) = (0, 0);
    for (name, der) in corpus("ocsp-request") {
        let outcome = parse_request(&der);
        if name.starts_with("ok-") {
            assert!(outcome.is_ok(), "{name}: {outcome:?}");
            accepted += 1;
            for length in 0..der.len() {
                assert!(parse_request(&der[..length]).is_err(), "{name} cut to {length}");
            }
        } else if name.starts_with("bad-") {
            assert!(outcome.is_err(), "{name}: {outcome:?}");
            refused += 1;
            for length in 0..der.len() {
                let _ = parse_request(&der[..length]);
            }
        }
    }
    assert!(
        accepted >= 20 && refused >= 30,
        "the corpus is not there: {accepted} accepted, {refused} refused"
    );
}

#[test]
fn requests_by_get_are_read_or_refused_as_their_names_say() {
    let (mut read, mut refused) = (Vec::new(), 0);
    for (name, text) in corpus("ocsp-get") {
        // A path that is no text is refused before.
        let Ok(text) = String::from_utf8(text) else { continue };
        let outcome = read_get(&text);
        if name.starts_with("ok-") {
            read.push(outcome.unwrap_or_else(|| panic!("{name} is refused")));
        } else if name.starts_with("bad-") {
            assert_eq!(outcome, None, "{name}");
            refused += 1;
        }
        for (length, _) in text.char_indices().take(1_000) {
            let _ = read_get(&text[..length]);
        }
    }
    assert!(read.len() >= 10 && refused >= 10, "the corpus is not there: {} read", read.len());
    assert!(read.iter().all(|request| *request == read[0]), "one request, written in many ways");
}

#[test]
fn answers_are_read_or_refused_as_their_names_say() {
    let (mut answers, mut errors, mut refused) = (0, 0, 0);
    for (name, der) in corpus("ocsp-response") {
        let outcome = Response::read(&der);
        if name.starts_with("bad-") {
            assert!(outcome.is_err(), "{name}: {outcome:?}");
            refused += 1;
        } else if name.starts_with("ok-") {
            match outcome.unwrap_or_else(|error| panic!("{name}: {error:?}")) {
                Response::Answer(answer) => {
                    assert_eq!(answer.certificate.is_some(), name.ends_with("-by-delegate"), "{name}");
                    assert_eq!(answer.responses.len(), if name == "ok-several" { 3 } else { 1 }, "{name}");
                    answers += 1;
                }
                Response::Error(_) => errors += 1,
            }
            for length in 0..der.len() {
                assert!(Response::read(&der[..length]).is_err(), "{name} cut to {length}");
            }
        }
    }
    assert!(
        answers >= 5 && errors == 5 && refused >= 15,
        "the corpus is not there: {answers}, {errors}, {refused}"
    );
}

#[test]
fn by_get_the_same_is_read_as_by_post() {
    for (name, der) in corpus("ocsp-request") {
        let by_post = parse_request(&der).ok();
        for encoded in [STANDARD.encode(&der), URL_SAFE_NO_PAD.encode(&der)] {
            // What is far too long is not even decoded.
            let decoded = decode_get(&encoded);
            assert!(decoded.as_ref() == Some(&der) || der.len() > REQUEST_BYTES_MAX, "{name}");
            assert_eq!(read_get(&encoded), by_post, "{name}");
        }
    }
}
