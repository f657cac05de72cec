//! Runs the requests of `testdata/corpus/jws`: names that start with `ok-` must be read and, where they bring their
//! key, verify; `forged-` must be read or refused, and never verify; `bad-` must be refused; anything else must only
//! do no harm.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the functions beside the tests fail as tests do: by a panic"
)]

use std::collections::BTreeMap;
use std::path::Path;

use ingam_protocol::jws::{Jws, KeyReference, Verified};
use ingam_protocol::time::{Random, SeededRandom};

/// How many changes of each good request are tried.
const MUTATIONS: usize = 2000;

fn corpus() -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/corpus/jws");
    std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap())
        })
        .collect()
}

/// The request, opened with the key that it brings; `None` without such a key.
fn opened(jws: &Jws) -> Option<Verified> {
    match &jws.key {
        KeyReference::Key(key) => jws.verify(key).ok(),
        KeyReference::Account(_) => None,
    }
}

#[test]
fn the_corpus_is_read_or_refused_as_its_names_say() {
    let (mut accepted, mut refused, mut forged) = (0, 0, 0);
    let mut wrong = Vec::new();
    for (name, body) in corpus() {
        let outcome = Jws::parse(&body);
        if name.starts_with("ok-") {
            accepted += 1;
            match outcome {
                Ok(jws) if matches!(jws.key, KeyReference::Key(_)) && opened(&jws).is_none() => {
                    wrong.push(format!("{name}: does not verify"));
                }
                Ok(_) => {}
                Err(refusal) => wrong.push(format!("{name}: {refusal}")),
            }
        } else if name.starts_with("bad-") {
            refused += 1;
            if let Ok(jws) = outcome {
                wrong.push(format!("{name}: read, and verifies: {}", opened(&jws).is_some()));
            }
        } else if name.starts_with("forged-") {
            forged += 1;
            if outcome.is_ok_and(|jws| opened(&jws).is_some()) {
                wrong.push(format!("{name}: verifies"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        accepted >= 20 && refused >= 150 && forged >= 20,
        "the corpus is not there: {accepted} accepted, {refused} refused, {forged} forged"
    );
}

#[test]
fn no_prefix_of_a_good_request_is_one() {
    for (name, body) in corpus().into_iter().filter(|(name, _)| name.starts_with("ok-")) {
        let end = body.trim_ascii_end().len();
        // Long files are long by repetition: both of their ends have every kind of cut.
        for length in (0..end.min(4096)).chain(end.saturating_sub(64)..end) {
            assert!(Jws::parse(&body[..length]).is_err(), "{name} cut to {length}");
        }
    }
}

#[test]
fn a_changed_request_never_opens_as_another_one() {
    for (name, body) in corpus().into_iter().filter(|(name, _)| name.starts_with("ok-")) {
        let good = Jws::parse(&body).unwrap();
        let random = SeededRandom::new(u64::try_from(body.len()).unwrap());
        for round in 0..MUTATIONS {
            let changed = mutated(&body, &random);
            let Ok(jws) = Jws::parse(&changed) else { continue };
            // White space, escapes and unknown members outside are not signed: what counts is what was.
            if opened(&jws).is_some() {
                let said = (&jws.text.protected, &jws.text.payload);
                assert_eq!(said, (&good.text.protected, &good.text.payload), "{name}, change {round}");
            }
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
