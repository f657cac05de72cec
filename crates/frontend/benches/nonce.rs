//! What a nonce costs: made and used up, by one thread and by several that want the same lock.
//!
//! `cargo bench -p ingam-frontend`

#![allow(clippy::print_stdout, reason = "a benchmark tells what it measured")]

use std::thread;
use std::time::Instant;

use ingam_frontend::nonce::Nonces;
use ingam_protocol::time::SeededRandom;

const EACH: u32 = 1_000_000;

fn main() {
    let nonces = Nonces::new(&SeededRandom::new(1));
    println!("threads  ns per nonce, issued and redeemed, as each thread sees it");
    for threads in [1, 2, 4, 8] {
        let begun = Instant::now();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        assert!(nonces.redeem(&nonces.issue()), "a fresh nonce is good");
                    }
                });
            }
        });
        println!("{threads:7}  {}", begun.elapsed().as_nanos() / u128::from(EACH));
    }
}
