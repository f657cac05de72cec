//! Runs the CSRs of `testdata/corpus/csr`: names that start with `ok-` must be read, `bad-` refused, anything else
//! must only do no harm. A changed request must be refused, or else mean what the good one means.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the functions beside the tests fail as tests do: by a panic"
)]

use std::collections::BTreeMap;
use std::path::Path;

use ingam_protocol::csr::SigningRequest;
use ingam_protocol::time::{Random, SeededRandom};

/// How many changes of each good request are tried.
const MUTATIONS: usize = 2000;

fn corpus() -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/corpus/csr");
    std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap())
        })
        .collect()
}

#[test]
fn the_corpus_is_read_or_refused_as_its_names_say() {
    let (mut accepted, mut refused) = (0, 0);
    let mut wrong = Vec::new();
    for (name, der) in corpus() {
        let outcome = SigningRequest::parse(&der);
        if name.starts_with("ok-") {
            accepted += 1;
            if let Err(refusal) = outcome {
                wrong.push(format!("{name}: {refusal}"));
            }
        } else if name.starts_with("bad-") {
            refused += 1;
            if let Ok(request) = outcome {
                wrong.push(format!("{name}: read as {:?}", request.identifiers()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        accepted >= 30 && refused >= 150,
        "the corpus is not there: {accepted} accepted, {refused} refused"
    );
}

#[test]
fn no_prefix_of_a_good_request_is_one() {
    for (name, der) in corpus().into_iter().filter(|(name, _)| name.starts_with("ok-")) {
        for length in 0..der.len() {
            assert!(SigningRequest::parse(&der[..length]).is_err(), "{name} cut to {length}");
        }
    }
}

#[test]
fn a_changed_request_is_never_read_as_another_one() {
    for (name, der) in corpus().into_iter().filter(|(name, _)| name.starts_with("ok-")) {
        let good = SigningRequest::parse(&der).unwrap();
        let random = SeededRandom::new(u64::try_from(der.len()).unwrap());
        for round in 0..MUTATIONS {
            let Ok(request) = SigningRequest::parse(&mutated(&der, &random)) else { continue };
            // All that is read was signed: only the framing of a signature can change and nothing come of it.
            assert_eq!(request.identifiers(), good.identifiers(), "{name}, change {round}");
            assert_eq!(request.public_key_info(), good.public_key_info(), "{name}, change {round}");
        }
    }
}

/// The same bytes with one to three of them changed, put in or taken out.
fn mutated(bytes: &[u8], random: &dyn Random) -> Vec<u8> {
    let mut dice = [0; 16];
    random.fill(&mut dice);
    let mut changed = bytes.to_vec();
    for chunk in dice[1..].chunks_exact(5).take(usize::from(dice[0] % 3) + 1) {
        let place = usize::from(u16::from_be_bytes([chunk[0], chunk[1]])) % changed.len().max(1);
        match chunk[2] % 8 {
            0 => changed.insert(place, chunk[3]),
            1 => drop(changed.remove(place)),
            2..=4 => changed[place] ^= 1 << (chunk[3] % 8),
            _ => changed[place] = chunk[3],
        }
    }
    changed
}
