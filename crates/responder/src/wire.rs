//! HTTP/1 as near the socket as it takes: threads of their own, each with its listening sockets, its connections and one
//! buffer for all of them.
//!
//! ```text
//! bytes ── head ── OCSP, in memory, in the tables, or signed at once ── written at once, with all that was asked on this connection
//!            │ ├── anything else ──── `Responder::handle_from` on the runtime; the connection waits for it
//!            │ └── chunks, `Expect`, HTTP/2 ── the connection goes to hyper, for as long as it lives
//!            └ unsound ── 400 and the end
//! ```
//!
//! - `ingam_protocol::request_head` reads what a request says about itself, and refuses whatever could be read in two ways.
//! - [`Connection`](connection::Connection) is one connection without its socket: what to read, write, wait for.
//! - `desk` is what a thread has for all of its connections: buffers, the date, the way to the answers.
//! - `general` turns a request into one of hyper's types, and the reply into bytes.
//! - `letters` is how others leave word for a thread.
//! - `worker` is the thread: its poll, sockets, time limits and end.
//! - [`Wire`] is all threads together.

mod connection;
mod desk;
mod general;
mod letters;
mod places;
mod threads;
mod worker;

use std::time::Duration;

pub use places::{Place, Places};
pub use threads::{Handed, Wire, WireSetup};

/// What a connection may take up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireLimits {
    /// How long nothing may be read or written.
    pub idle: Duration,
    /// How long the head of a request may take.
    pub header: Duration,
}

#[cfg(test)]
pub(crate) mod tests;
