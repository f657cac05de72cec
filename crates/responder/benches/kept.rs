//! How many answers from memory a thread gives a second, through the whole handler, without a socket.
//!
//! `cargo bench -p ingam-responder`

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot start has nothing better to do")]

mod all_good;

use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::{Empty, Full};
use ingam_responder::Config;

use all_good::{request, responder};

const CERTIFICATES: u32 = 50_000;
const REQUESTS: u32 = 1_000_000;

fn main() {
    let responder = responder(&Config::default(), None);
    let ders: Vec<_> = (0..CERTIFICATES).map(|number| request(number, None)).collect();
    let targets: Vec<http::Uri> =
        ders.iter().map(|der| format!("/ocsp/{}", STANDARD.encode(der)).parse().unwrap()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let get = async |times: u32| {
            for target in targets.iter().cycle().take(times as usize) {
                let mut request = Request::new(Empty::<Bytes>::new());
                *request.uri_mut() = target.clone();
                assert_eq!(responder.handle(request).await.status(), 200);
            }
        };
        let post = async |times: u32| {
            for der in ders.iter().cycle().take(times as usize) {
                let body = Full::new(Bytes::copy_from_slice(der));
                assert_eq!(responder.handle(Request::post("/ocsp").body(body).unwrap()).await.status(), 200);
            }
        };
        let resident_before = resident_bytes();
        let since = Instant::now();
        get(CERTIFICATES).await;
        report("GET, encoded and put into memory", CERTIFICATES, since);
        report_memory(resident_before);
        let since = Instant::now();
        get(REQUESTS).await;
        report("GET from memory", REQUESTS, since);
        let since = Instant::now();
        post(REQUESTS).await;
        report("POST from memory", REQUESTS, since);
    });
}

#[allow(clippy::print_stdout, reason = "a benchmark tells its result")]
fn report(what: &str, times: u32, since: Instant) {
    let elapsed = since.elapsed();
    println!(
        "{what}: {:.0}/s, {} ns each",
        f64::from(times) / elapsed.as_secs_f64(),
        elapsed.as_nanos() / u128::from(times)
    );
}

#[allow(clippy::print_stdout, reason = "a benchmark tells its result")]
fn report_memory(before: Option<u64>) {
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        println!("memory for each answer: {} bytes", after.saturating_sub(before) / u64::from(CERTIFICATES));
    }
}

/// How much memory this process has, where the system tells (Linux), in pages of 4096 bytes.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    text.split(' ').nth(1)?.parse::<u64>().ok().map(|pages| pages * 4096)
}
