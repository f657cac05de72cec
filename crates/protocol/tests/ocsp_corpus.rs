//! Runs the OCSP requests of `testdata/corpus/ocsp-request`: names that start with `ok-` must be read, `bad-` refused,
//! anything else (what a fuzzer found) must only do no harm. Every prefix of every file is tried as well.

use std::path::Path;

use ingam_protocol::ocsp::parse_request;

#[test]
fn the_corpus_is_read_or_refused_as_its_names_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/corpus/ocsp-request");
    let (mut accepted, mut refused) = (0, 0);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let der = std::fs::read(&path).unwrap();
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
