//! The client against the log for tests, over no socket and with a clock that stands still: every way in which a log can
//! fail, and what the logs keep. OpenSSL judges certificates with SCTs in them.
//!
//! That a log answers late is time that tokio leaps over; nothing here sleeps.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends by panicking")]

mod ca;
mod keeping;
mod lists;
mod moods;
mod openssl;
mod publishing;
