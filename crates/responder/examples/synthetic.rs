//! Writes answers in such numbers as no test signs, for `scripts/bench-ocsp --tables`: a folder from which `ingam serve --role responder`
//! answers.
//!
//! `synthetic FOLDER COUNT [COUNT ...]`: for each count a folder of that name, in which are `state/answers/`, `answers.pub`, and
//! `questions`: base64 of requests for certificates by chance, a line each. What is there already is left as it is.

#![allow(clippy::unwrap_used, reason = "a tool for measurements")]

#[path = "../benches/all_good/mod.rs"]
mod all_good;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ingam_protocol::Timestamp;
use ingam_protocol::time::{Random, SeededRandom, random_array};
use ingam_responder::{synthetic_serial, write_synthetic};
use ring::signature::{Ed25519KeyPair, KeyPair};

/// How many requests there are: as many as are asked in turn.
const QUESTIONS: u64 = 200_000;
/// What comes before the 32 bytes of a SubjectPublicKeyInfo (RFC 8410, section 4).
const ED25519_INFO: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

fn main() {
    let mut words = std::env::args().skip(1);
    let folder = PathBuf::from(words.next().unwrap());
    for count in words {
        let folder = folder.join(&count);
        if !folder.join("questions").is_file() {
            write(&folder, count.parse().unwrap());
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the responder that reads this has the time of the machine")]
fn write(folder: &Path, count: u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = Timestamp::from_unix_s(now.as_secs());
    let answers = folder.join("state/answers");
    fs::create_dir_all(&answers).unwrap();
    let random = SeededRandom::new(7);
    let key = Ed25519KeyPair::from_seed_unchecked(&random_array::<32>(&random)).unwrap();
    let issuer = all_good::issuer(now.plus(Duration::from_secs(365 * 86_400)));
    write_synthetic(&answers, &issuer, count, now, &key, &random).unwrap();
    let info = [&ED25519_INFO[..], key.public_key().as_ref()].concat();
    let key = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(info));
    fs::write(folder.join("answers.pub"), key).unwrap();
    let mut questions = String::new();
    for _ in 0..QUESTIONS.min(count) {
        let mut place = [0; 8];
        random.fill(&mut place);
        let serial = synthetic_serial(u64::from_be_bytes(place) % count, count).unwrap();
        writeln!(questions, "{}", STANDARD.encode(all_good::request_for(&serial, None))).unwrap();
    }
    fs::write(folder.join("questions"), questions).unwrap();
}
