//! The store as a whole: its operations, on both engines, and what is left of it when the power goes or the disk is full.
//!
//! What is proved, one file for each:
//! - `operations`: every domain operation keeps its word, on redb and on sled alike.
//! - `power`: whatever was answered is there after a power cut at any point, and nothing is there by half.
//! - `condition`: the store says how it fares.
//! - `disk`: a full disk is an error and no loss; a store of a newer version is refused.
//!
//! What is not a failure: an operation whose answer was lost with the power may be there or not, as long as it is there
//! as a whole.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test ends by panicking, and its output says where"
)]

mod condition;
mod disk;
mod facts;
mod made;
mod operations;
mod power;
