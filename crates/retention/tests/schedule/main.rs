//! The schedule kept: a CA's store and journal with something of every class and of every kind of row, and a clock that is
//! put forward.
//!
//! What is proved, one file for each:
//! - `clock`: at 6 and 8 days, at 1, 2, 3, 5, 7 and 10 years and a day, what is there and what is not, class by class and
//!   table by table, under both presets.
//! - `cases`: those that were closed go with their subjects, and not before everybody is told who has to be.
//! - `holds`: what a hold is about stays, for as long as it is in force and no longer.
//! - `in_force`: what is still in force is carried over before the records of it go, wherever that is broken off.
//! - `power`: a sweep that is broken off at any operation of a disk leaves no gap without a receipt, and the next one brings
//!   everything to the same end.
//! - `guard`: a clock that jumps destroys nothing.
//!
//! What is not a failure: a receipt's own place in the journal, and how many batches a sweep took.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test ends by panicking, and its output says where"
)]

mod cases;
mod clock;
mod guard;
mod holds;
mod in_force;
#[path = "../../../store/tests/store/made.rs"]
#[allow(dead_code, unused_qualifications, reason = "the store's tests need more of it")]
mod made;
mod power;
mod world;
