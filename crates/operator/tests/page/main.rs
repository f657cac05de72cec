//! Proves what the status page promises, through the router: it is one well-formed document that a browser may use and
//! nothing else with it, it shows what somebody's roles show, and it does so in every state of a CA.
//!
//! - `document`: each state as a document, read by an XML parser.
//! - `browser`: each state in Chromium, judged by axe-core, wide and narrow, light and dark.
//! - `states`: the states. `world`: a CA to be in them.
//!
//! What is not a failure: other words and another look.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends by panicking"
)]

mod browser;
mod document;
mod states;
mod world;
