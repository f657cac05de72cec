//! Serves a CA in which every serial number is good, with the threads of the real server, for `scripts/bench-ocsp`.
//!
//! `serve THREADS BYTES MODE`: memory for so many bytes of answers; `ignore` or `answer` nonces; `hyper` serves all connections
//! as one would without [`Wire`]. It says its address on standard output and ends with its standard input.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a tool for measurements"
)]

#[path = "../benches/all_good/mod.rs"]
mod all_good;

use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ingam_responder::{Config, Nonces, Responder};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use tokio::net::{TcpListener, TcpSocket};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (threads, memory_bytes): (usize, u64) = (words[0].parse().unwrap(), words[1].parse().unwrap());
    let nonces = if words[2] == "answer" { Nonces::Answer } else { Nonces::Ignore };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        #[allow(clippy::disallowed_methods, reason = "there is no server here that would have made one")]
        let random = SystemRandom::new();
        let kind = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap();
        let config = Config { nonces, memory_bytes, ..Config::default() };
        let responder = all_good::responder(&config, Some((key, random)));
        let recorder = responder.clone();
        tokio::spawn(async move { recorder.run_recorder(std::future::pending()).await });
        let first = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = first.local_addr().unwrap();
        let wire = if words[2] == "hyper" {
            tokio::spawn(by_hyper(first, responder));
            None
        } else {
            let others = (1..threads).map(|_| listen(address));
            let sockets = std::iter::once(first).chain(others);
            let sockets = sockets.map(|socket| vec![socket.into_std().unwrap()]).collect();
            Some(all_good::serve(&responder, sockets))
        };
        println!("{address}");
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
        if let Some(wire) = wire {
            wire.stop(Duration::from_secs(1)).await;
        }
    });
}

/// A socket that shares its address with others of this process.
fn listen(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.set_reuseport(true).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(4096).unwrap()
}

async fn by_hyper(listener: TcpListener, responder: Responder) {
    while let Ok((stream, _)) = listener.accept().await {
        let responder = responder.clone();
        let service = service_fn(move |request| {
            let responder = responder.clone();
            async move { Ok::<_, Infallible>(responder.handle(request).await) }
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.pipeline_flush(true).half_close(true);
        tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
    }
}
