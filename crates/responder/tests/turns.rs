//! Clients that have much signed, over sockets: nobody waits behind them for long, whether a signature is needed or not.

#![allow(clippy::unwrap_used, reason = "a failed test has nothing better to do")]

#[path = "../benches/all_good/mod.rs"]
mod all_good;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ingam_responder::{Config, Nonces};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};

fn post(number: u32, nonce: Option<&[u8]>) -> Vec<u8> {
    let der = all_good::request(number, nonce);
    let head = format!("POST /ocsp HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", der.len());
    [head.as_bytes(), &der].concat()
}

/// Sends requests as fast as they are taken, and reads whatever comes back, until it is told to stop.
fn flood(address: SocketAddr, stop: &AtomicBool) {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut reader = stream.try_clone().unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    reader.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let burst = post(1, Some(&[1; 16])).repeat(200);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = vec![0; 1 << 16];
            while !stop.load(Ordering::SeqCst) {
                // A time limit is no end here.
                let _ = reader.read(&mut buffer);
            }
        });
        let mut sent = 0;
        while !stop.load(Ordering::SeqCst) {
            if let Ok(count) = stream.write(burst.get(sent..).unwrap()) {
                sent = (sent + count) % burst.len();
            }
        }
    });
}

#[test]
#[allow(clippy::disallowed_methods, reason = "there is no server here that would have made one")]
fn nobody_waits_for_long_behind_those_who_have_much_signed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let random = SystemRandom::new();
    let kind = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap();
    let config = Config { nonces: Nonces::Answer, ..Config::default() };
    let responder = all_good::responder(&config, Some((key, random)));
    let recorder = responder.clone();
    runtime.spawn(async move { recorder.run_recorder(std::future::pending()).await });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let wire = all_good::serve(&responder, vec![vec![listener]]);

    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| flood(address, &stop));
        }
        let mut stream = TcpStream::connect(address).unwrap();
        // Far below the time after which a head is given up.
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        // All of them take half a second, and took forty behind those who were first in each round.
        let due = Instant::now() + Duration::from_secs(20);
        let mut answered = Ok(());
        for number in 0..200 {
            let nonce = (number % 2 == 0).then_some(&[2; 16][..]);
            let mut buffer = [0; 4096];
            stream.write_all(&post(number % 7, nonce)).unwrap();
            answered = match stream.read(&mut buffer) {
                Ok(_) if Instant::now() > due => {
                    Err(format!("request {number} was still under way after 20 s"))
                }
                Ok(count) if count > 200 && buffer.starts_with(b"HTTP/1.1 200 ") => Ok(()),
                other => Err(format!("request {number}: {other:?}")),
            };
            if answered.is_err() {
                break;
            }
        }
        stop.store(true, Ordering::SeqCst);
        answered.unwrap();
    });
    runtime.block_on(wire.stop(Duration::from_secs(1)));
}
