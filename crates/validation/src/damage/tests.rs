//! The corpora, and the corpora damaged: `ok-` shows control, `bad-` does not, and nothing panics.

use std::path::{Path, PathBuf};

use super::*;

fn corpus(folder: &str) -> Vec<(String, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/corpus").join(folder);
    let files = std::fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read(path).unwrap())
    };
    paths.iter().map(read).collect()
}

fn hold(folder: &str, shows_control: fn(&[u8]) -> bool) {
    let corpus = corpus(folder);
    assert!(corpus.len() > 5, "{folder}");
    for (name, bytes) in corpus {
        assert_eq!(shows_control(&bytes), name.starts_with("ok-"), "{folder}/{name}");
        for at in 0..bytes.len() {
            for damage in [0, 0xff, bytes[at] ^ 1, bytes[at].wrapping_add(1)] {
                let mut damaged = bytes.clone();
                damaged[at] = damage;
                shows_control(&damaged);
            }
            shows_control(&bytes[..at]);
        }
    }
}

#[test]
fn web_servers_answers() {
    hold("http-answer", http_answer);
}

#[test]
fn certificates() {
    hold("acme-certificate", acme_certificate);
}
