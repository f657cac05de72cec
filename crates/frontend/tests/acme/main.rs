//! The front end through its router, over a real authority, store and signer and a scripted network: no socket.
//!
//! What is proved, one file for each:
//! - `router`: what RFC 8555 asks of transport: methods, media types, sizes, headers, nonces, who may sign.
//! - `requirements`: RFC 8555, sections 6 and 7, request by request, in tables: one row a requirement.
//! - `conformance`: docs/conformance.md names tests that are there.
//! - `races`: requests at the same time come to what they come to one after the other.
//! - `external`: what RFC 8555, section 7.3.4, asks of bindings to external accounts.
//! - `renewal`: what RFC 9773 asks of renewal information, and of orders that replace a certificate.
//! - `limits`: what a client sees of rate limits.
//! - `names`: which names get no certificate, told one by one, and what the directory says of records that stay.
//! - `privacy`: what an account may ask about itself, and have erased, and nobody else.
//! - `properties`: after any sequence of requests, restarts and power cuts the whole CA is still consistent.
//!
//! Time stands still but for what a test adds to it, and chance is seeded: a failing sequence prints its seed. What is
//! not a failure: a request that is refused, as long as the refusal is a whole problem document.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test ends by panicking, and its output says where"
)]

mod answer;
mod client;
mod conformance;
mod external;
mod keys;
mod limits;
mod names;
mod pretend;
mod privacy;
mod properties;
mod races;
mod renewal;
mod requirements;
mod router;
mod world;
