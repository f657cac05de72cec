//! The signer in a process of its own: HTTP with JSON bodies over whatever [`Dial`] leads to, a Unix socket or TLS.
//!
//! ```text
//! authority ──▶ RemoteSigner ──▶ Dial ──▶ the signer's listener ──▶ Service ──▶ LocalSigner ──▶ ledger, keys
//! ```
//!
//! - [`wire`]: the messages. Each [`Operation`] is a path to POST to, and is allowed to a caller or not.
//! - [`Service`]: the signer's side. It goes by its own profiles, and refuses a caller whose profiles are others.
//! - [`RemoteSigner`]: the caller's side.

mod client;
mod service;
#[cfg(test)]
mod tests;
pub mod wire;

pub use client::{Dial, RemoteSigner, Stream};
pub use service::{Reply, Service};
pub use wire::{BODY_BYTES_MAX, CRL_ENTRIES_MAX, Operation};
