//! The admin API through its router, over a real authority, store and signer and a scripted network: no socket.
//!
//! What is proved, one file for each:
//! - `table`: every act by every role, and by nobody: allowed or refused as stated, and recorded.
//! - `acts`: how each act is asked for; every route of the OpenAPI document is among them.
//! - `reasons`: what goes on record with a reason is not done without one.
//! - `two_people`: dangerous acts wait for a second person, who is another one, and are done once.
//! - `pages`: lists, page by page; and the key to be blocked out of whatever carries it.
//! - `cases`: nothing leaves without consent or a demand, and nobody is forgotten who has to be told.
//! - `external`: keys that accounts can be bound to, and their secrets.
//! - `personal`: nothing but what is on record as such gives out personal data.
//! - `hostile`: what nobody should send is refused, in one form, and breaks nothing.
//! - `follow`: whoever follows the log sees what comes, until the process ends.
//! - `health`: who asks, how the CA fares, and its configuration read again.
//!
//! Every answer of every test has the headers of all answers, a status that the OpenAPI document tells of, and, if it is a
//! no, a problem document with the request's name: `client` looks at that. Time stands still but for what a test adds to
//! it, and chance is seeded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test ends by panicking, and its output says where"
)]

mod acts;
mod cases;
mod client;
mod external;
mod follow;
mod health;
mod hostile;
mod pages;
mod personal;
mod reasons;
mod table;
mod two_people;
mod world;
