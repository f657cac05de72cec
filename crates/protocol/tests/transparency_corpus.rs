//! Runs the precertificates' TBSCertificates and the lists of SCTs of `testdata/corpus`: names that start with `ok-` must be read,
//! `bad-` refused, anything else (what a fuzzer found) must only do no harm. Every prefix of every file is tried as well.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use std::path::Path;

use ingam_protocol::transparency::{SctList, poison_extension, with_scts, without_poison, without_scts};

/// Calls `read` on every file and every prefix of it; gives how many were accepted and refused as they should be.
fn each(folder: &str, read: impl Fn(&[u8]) -> bool) -> (usize, usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/corpus").join(folder);
    let (mut accepted, mut refused) = (0, 0);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        let is_read = read(&bytes);
        accepted += usize::from(name.starts_with("ok-"));
        refused += usize::from(name.starts_with("bad-"));
        assert!(is_read || !name.starts_with("ok-"), "{name} is refused");
        assert!(!is_read || !name.starts_with("bad-"), "{name} is accepted");
        for length in 0..bytes.len() {
            assert!(!read(&bytes[..length]) || !name.starts_with("ok-"), "{name} cut to {length}");
        }
    }
    (accepted, refused)
}

#[test]
fn precertificates_are_read_or_refused_as_their_names_say() {
    let list =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/corpus/sct-list/ok-three"));
    let scts = SctList::parse(&list.unwrap()).unwrap();
    let counts = each("precertificate", |tbs| {
        let Ok(clean) = without_poison(tbs) else { return false };
        assert!(clean.len() + poison_extension().len() <= tbs.len());
        assert_eq!(without_scts(&with_scts(tbs, &scts).unwrap()), Ok(clean));
        true
    });
    assert!(counts.0 >= 4 && counts.1 >= 17, "the corpus is not there: {counts:?}");
}

#[test]
fn lists_of_scts_are_read_or_refused_as_their_names_say() {
    let counts = each("sct-list", |bytes| {
        let Ok(list) = SctList::parse(bytes) else { return false };
        assert_eq!(list.encode().unwrap(), bytes);
        true
    });
    assert!(counts.0 >= 3 && counts.1 >= 11, "the corpus is not there: {counts:?}");
}
