//! Answers signed in advance, in great numbers: how long a responder takes to load them, what they take of memory, and how many questions a
//! thread answers from them, through the whole decision, without a socket.
//!
//! `cargo bench -p ingam-responder --features synthetic --bench corpus -- 1000000 100000000` measures a million, then a hundred million,
//! which want 10 GiB of memory and of disk. Serial numbers are asked for by chance over all of them, so that nothing is in a cache.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot start has nothing better to do")]
#![allow(clippy::print_stdout, reason = "what a benchmark is for")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use ingam_protocol::ocsp::{AskedIssuer, HashAlgorithm, encode_cert_id, encode_request};
use ingam_protocol::profile::IssuerName;
use ingam_protocol::time::{FixedClock, Random, SeededRandom, random_array};
use ingam_protocol::{Serial, Timestamp};
use ingam_responder::{Answer, AnswerSource, Config, Following, synthetic_serial, write_synthetic};
use ingam_signer::{Issuer, IssuerUrls, KeyKind};
use ring::signature::{Ed25519KeyPair, KeyPair};

const QUESTIONS: u64 = 1_000_000;
const ROUNDS: usize = 5;

fn start() -> Timestamp {
    Timestamp::from_unix_s(1_795_255_200)
}

fn issuer() -> Issuer {
    let name = IssuerName::try_from("rsa".to_owned()).unwrap();
    Issuer {
        urls: IssuerUrls::below("http://pki.ca.example", &name),
        name,
        certificate: vec![0x30, 0],
        chain: vec![vec![0x30, 0]],
        root: vec![0x30, 0],
        alternates: Vec::new(),
        subject: vec![0x30, 0],
        public_key: vec![4; 65],
        key_identifier: vec![7; 20],
        not_after: start().plus(Duration::from_secs(365 * 86_400)),
        key: KeyKind::Rsa2048,
    }
}

/// A request as openssl writes it, without a nonce.
fn request(issuer: &Issuer, serial: &Serial) -> Vec<u8> {
    let asked = AskedIssuer { subject: &issuer.subject, public_key: &issuer.public_key };
    encode_request(&encode_cert_id(HashAlgorithm::Sha1, asked, serial), None)
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[allow(clippy::disallowed_methods, reason = "a benchmark has the time of the machine")]
async fn measure(count: u64) {
    let folder = tempfile::tempdir_in(".").unwrap();
    let (answers, copies) = (folder.path().join("answers"), folder.path().join("copies"));
    std::fs::create_dir(&answers).unwrap();
    let random = SeededRandom::new(7);
    let key = Ed25519KeyPair::from_seed_unchecked(&random_array::<32>(&random)).unwrap();
    let issuer = issuer();
    let begin = Instant::now();
    write_synthetic(&answers, &issuer, count, start(), &key, &random).unwrap();
    let made = begin.elapsed();
    // As after a restart: the copies are what is loaded.
    std::fs::rename(&answers, &copies).unwrap();
    let before = resident_mib();
    let begin = Instant::now();
    let source = AnswerSource::Folder(copies.clone());
    let clock = Arc::new(FixedClock::new(start().plus(Duration::from_secs(60))));
    let public = key.public_key().as_ref().to_vec();
    let (responder, _following) =
        Following::begin(&Config::default(), source, public, copies, None, clock).await.unwrap();
    let loaded = begin.elapsed();
    let resident = resident_mib() - before;
    let questions: Vec<Vec<u8>> = (0..QUESTIONS)
        .map(|_| {
            let mut place = [0; 8];
            random.fill(&mut place);
            request(&issuer, &synthetic_serial(u64::from_be_bytes(place) % count, count).unwrap())
        })
        .collect();
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for question in &questions {
            assert!(matches!(responder.ocsp().answer(question).await, Answer::Kept(_)));
        }
        rates.push(begin.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(QUESTIONS).unwrap()));
    }
    rates.sort_by(f64::total_cmp);
    println!(
        "{count:>11} certificates | made in {:>6.1} s | loaded in {:>6.1} s | {resident:>6} MiB resident | {:.2} us an answer (median of {ROUNDS})",
        made.as_secs_f64(),
        loaded.as_secs_f64(),
        rates.get(ROUNDS / 2).unwrap(),
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let counts: Vec<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    for count in if counts.is_empty() { vec![1_000_000] } else { counts } {
        measure(count).await;
    }
}
