//! Proves that a folder has what was put into it, whole, where a web server looks for it, and nothing else afterwards; and
//! that what stays the same is not touched.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

fn now() -> Timestamp {
    Timestamp::from_unix_s(1_795_255_200)
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn new(body: &[u8]) -> New<'_> {
    let validity = Validity { this_update: now(), next_update: now().plus(7 * DAY) };
    New { content_type: "application/ocsp-response", validity: Some(validity), serial: Some("4f01"), body }
}

fn export(folder: &TempDir, files: &[(&str, &[u8])]) -> Summary {
    let mut open = Folder::open(folder.path(), now()).unwrap();
    for (path, body) in files {
        open.put(path, &new(body)).unwrap();
    }
    open.finish("").unwrap()
}

/// All files but those that every export has.
fn found(root: &Path) -> BTreeSet<String> {
    let mut folders = vec![root.to_owned()];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    for always in [INDEX, LOCK, nginx::FILE] {
        assert!(found.remove(always), "{always} is there: {found:?}");
    }
    found
}

#[test]
fn what_is_put_in_is_there_and_what_is_not_any_more_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let first: [(&str, &[u8]); 4] = [
        ("/ocsp/MA+a/b//c==", b"one"),
        ("/ocsp/MAb=", b"two"),
        ("/crl/a/3.crl", b"list"),
        ("/roots.pem", b"roots"),
    ];
    let summary = export(&folder, &first);
    assert_eq!((summary.written, summary.kept, summary.removed), (4, 0, 0));
    assert_eq!(summary.renew_before, Some(now().plus(7 * DAY / 2)));
    let there = ["ocsp/MA+a/b/c==", "ocsp/MAb=", "crl/a/3.crl", "roots.pem"].map(str::to_owned);
    assert_eq!(found(folder.path()), BTreeSet::from(there));
    assert_eq!(fs::read(folder.path().join("ocsp/MA+a/b/c==")).unwrap(), b"one");

    let modified = |place: &str| fs::metadata(folder.path().join(place)).unwrap().modified().unwrap();
    assert_eq!(modified("ocsp/MAb="), UNIX_EPOCH + Duration::from_secs(now().unix_s()));
    let inode =
        |place: &str| std::os::unix::fs::MetadataExt::ino(&fs::metadata(folder.path().join(place)).unwrap());
    let before = ["ocsp/MAb=", "crl/a/3.crl", "roots.pem"].map(inode);
    // One is another, one is gone, one is new; and somebody left something behind.
    fs::write(folder.path().join("ocsp/left"), b"by a crash").unwrap();
    let second: [(&str, &[u8]); 4] = [
        ("/ocsp/MAb=", b"two"),
        ("/crl/a/3.crl", b"newer"),
        ("/roots.pem", b"roots"),
        ("/ocsp/MAc=", b"new"),
    ];
    let summary = export(&folder, &second);
    assert_eq!((summary.written, summary.kept, summary.removed), (2, 2, 2));
    let there = ["ocsp/MAb=", "ocsp/MAc=", "crl/a/3.crl", "roots.pem"].map(str::to_owned);
    assert_eq!(found(folder.path()), BTreeSet::from(there));
    assert!(!folder.path().join("ocsp/MA+a").exists(), "nor is an empty folder left");
    let after = ["ocsp/MAb=", "crl/a/3.crl", "roots.pem"].map(inode);
    assert_eq!([before[0] == after[0], before[1] == after[1], before[2] == after[2]], [true, false, true]);

    let index: Value = serde_json::from_slice(&fs::read(folder.path().join(INDEX)).unwrap()).unwrap();
    assert_eq!((&index["version"], &index["made"]), (&json!(1), &json!(now().to_rfc3339())));
    assert_eq!(index["renew_before"], now().plus(7 * DAY / 2).to_rfc3339());
    let files = index["files"].as_array().unwrap();
    assert_eq!(files.len(), 4);
    let answer = files.iter().find(|listed| listed["path"] == "/ocsp/MAc=").unwrap();
    let expected = json!({
        "path": "/ocsp/MAc=", "file": "ocsp/MAc=", "content_type": "application/ocsp-response",
        "sha256": hex(digest(&SHA256, b"new").as_ref()), "this_update": now().to_rfc3339(),
        "next_update": now().plus(7 * DAY).to_rfc3339(), "serial": "4f01",
    });
    assert_eq!(answer, &expected);
}

#[test]
fn what_no_file_can_be_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("/ocsp/{}", "A".repeat(256));
    let files: [(&str, &[u8]); 9] = [
        ("/ocsp/MA/b", b"one"),
        // A file where a folder is, a folder where a file is, and the same place for another path.
        ("/ocsp/MA", b"x"),
        ("/ocsp/MA/b/c", b"x"),
        ("/ocsp/MA//b", b"x"),
        ("/ocsp/MA/", b"x"),
        ("/ocsp/../../etc/passwd", b"x"),
        ("/ocsp/.hidden", b"x"),
        ("/ocsp/a b", b"x"),
        (&long, b"x"),
    ];
    let summary = export(&folder, &files);
    assert_eq!((summary.written, summary.passed_over.len()), (1, 8));
    assert_eq!(found(folder.path()), BTreeSet::from(["ocsp/MA/b".to_owned()]));
    assert_eq!(fs::read(folder.path().join("ocsp/MA/b")).unwrap(), b"one");
}

#[test]
fn a_folder_of_somebody_else_is_not_touched_and_two_exports_wait() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.txt"), b"years of work").unwrap();
    assert!(Folder::open(folder.path(), now()).is_err_and(|why| why.contains("somebody else")));
    assert!(folder.path().join("thesis.txt").exists());
    let odd = folder.path().join("a;b");
    assert!(Folder::open(&odd, now()).is_err_and(|why| why.contains("nginx")));
    let other = tempfile::tempdir().unwrap();
    let first = Folder::open(other.path(), now()).unwrap();
    assert!(Folder::open(other.path(), now()).is_err_and(|why| why.contains("another export")));
    // One that is broken off before its end leaves a folder that the next takes up.
    drop(first);
    assert_eq!(export(&other, &[("/ocsp/MA==", b"one")]).written, 1);
}

#[test]
fn nginx_is_told_when_the_first_answer_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut open = Folder::open(folder.path(), now()).unwrap();
    let hour = Duration::from_secs(60 * 60);
    let validity = Validity { this_update: now().minus(7 * DAY), next_update: now().plus(hour) };
    open.put("/ocsp/MA==", &New { validity: Some(validity), ..new(b"old") }).unwrap();
    open.put("/ocsp/MB==", &new(b"young")).unwrap();
    open.finish("/pki").unwrap();
    let text = fs::read_to_string(folder.path().join(nginx::FILE)).unwrap();
    let ocsp = text.split("location ").find(|part| part.starts_with("^~ /pki/ocsp/ {")).unwrap();
    assert!(ocsp.contains("max-age=3600, public, no-transform, must-revalidate"), "{text}");
    assert!(ocsp.contains("Expires \"Sat, 21 Nov 2026 11:00:00 GMT\""), "{text}");
    assert!(text.contains("location ^~ /pki/crl/ {") && text.contains("merge_slashes off;"), "{text}");
}

#[test]
fn many_files_take_their_places_in_turns() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..3 * PENDING_MAX + 7).map(|number| format!("/ocsp/M{number:05}=")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
    assert_eq!(export(&folder, &files).written, 3 * PENDING_MAX as u64 + 7);
    for name in &names {
        assert_eq!(fs::read(folder.path().join(name.trim_start_matches('/'))).unwrap(), name.as_bytes());
    }
    assert!(!folder.path().join(NEW).exists());
    // One that is broken off has left something that takes no place.
    let mut open = Folder::open(folder.path(), now()).unwrap();
    open.put("/ocsp/M00001=", &new(b"half")).unwrap();
    drop(open);
    assert_eq!(fs::read(folder.path().join("ocsp/M00001=")).unwrap(), b"/ocsp/M00001=");
    assert_eq!(export(&folder, &files).kept, 3 * PENDING_MAX as u64 + 7);
}
