//! What answering from memory allocates, with every thread of the process counted: nothing, however a request comes, as long as its
//! connection stays.
//!
//! One test in a program of its own, whose allocator counts. Not a failure: what a connection, a thread or the first answer about
//! a certificate takes, once.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test has nothing better to do")]

#[path = "../benches/all_good/mod.rs"]
mod all_good;

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ingam_responder::Config;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How often each request is sent while it is counted.
const TIMES: usize = 5000;

/// Sends the requests of a burst at once, so many times over, and reads each answer to its end, with buffers that are there.
fn ask(stream: &mut TcpStream, burst: &[u8], buffer: &mut [u8], answer_bytes: usize, times: usize) {
    for _ in 0..times {
        stream.write_all(burst).unwrap();
        stream.read_exact(&mut buffer[..answer_bytes]).unwrap();
        assert!(buffer.starts_with(b"HTTP/1.1 200 "));
    }
}

/// How many bytes the answers to a burst have: read until nothing more comes.
fn answer_bytes(stream: &mut TcpStream, burst: &[u8], buffer: &mut [u8]) -> usize {
    stream.write_all(burst).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut bytes = 0;
    while let Ok(more) = stream.read(&mut buffer[bytes..]) {
        assert!(more > 0, "the connection stays");
        bytes += more;
    }
    stream.set_read_timeout(None).unwrap();
    bytes
}

/// How often the process allocates for this burst, sent [`TIMES`] times over on a connection that stays.
fn allocated(address: SocketAddr, burst: &[u8]) -> usize {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 1 << 16];
    let bytes = answer_bytes(&mut stream, burst, &mut buffer);
    // What is made once is there before the counting begins.
    ask(&mut stream, burst, &mut buffer, bytes, 1000);
    let region = Region::new(ALLOCATOR);
    ask(&mut stream, burst, &mut buffer, bytes, TIMES);
    let change = region.change();
    change.allocations + change.reallocations
}

#[test]
fn an_answer_from_memory_allocates_nothing() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let responder = all_good::responder(&Config::default(), None);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let wire = all_good::serve(&responder, vec![vec![listener]]);

    let der = all_good::request(1, None);
    let get = format!("GET /ocsp/{} HTTP/1.1\r\nHost: a\r\n\r\n", STANDARD.encode(&der).replace('/', "%2F"));
    let get = get.into_bytes();
    let mut post =
        format!("POST /ocsp HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", der.len()).into_bytes();
    post.extend(&der);
    let pipelined = get.repeat(16);
    let roots = b"GET /roots.pem HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    let of = |burst: &Vec<u8>| allocated(address, burst);
    let [get, post, pipelined, roots] = [get, post, pipelined, roots].each_ref().map(of);
    runtime.block_on(wire.stop(Duration::from_secs(1)));
    println!(
        "allocations for {TIMES} bursts: GET {get}, POST {post}, 16 GETs at once {pipelined}, a file of roots {roots}"
    );
    assert_eq!((get, post, pipelined), (0, 0, 0));
    assert!(roots >= TIMES, "what is asked of the runtime allocates, and that is seen here: {roots}");
}
