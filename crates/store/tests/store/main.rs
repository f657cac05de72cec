//! The store as a whole: its operations, on both engines, and what is left of it when the power goes or the disk is full.
//!
//! What is proved, one file for each:
//! - `operations`: every domain operation keeps its word, on redb and on sled alike.
//! - `latest`: what came last is read newest first.
//! - `search`: each index of certificates finds what a look at all of them would, in pages of any length.
//! - `external`: a key that operators gave out has one account, and its secret lies nowhere in the clear.
//! - `holds`: a hold is in force until it is released or its end passes, and stays listed.
//! - `jobs`: a revocation job revokes and takes off in one, through holds and power cuts.
//! - `limits`: rate limits are met as a whole or not at all, and what was spent is put back once.
//! - `lists`: each CRL's part of what is revoked is read by itself, and its numbers only rise.
//! - `log`: records are found, and followed, wherever they are.
//! - `migration`: an older store is copied and brought to this format, and goes on if that is broken off.
//! - `people`: roles, acts that wait for a second person, incidents.
//! - `renewal`: which order replaces a certificate, and which certificates end early.
//! - `rest`: rows that have come to rest are packed, and read as before.
//! - `rules`: which rule decides about a name or a wildcard, and which keys are blocked.
//! - `subjects`: contact data that were erased are gone for good, whenever the power goes, and what is held stays.
//! - `backups`: a backup restores wholly or is none, whenever the power goes in one or the other.
//! - `power`: whatever was answered is there after a power cut at any point, and nothing is there by half.
//! - `backup_care`: backups cost what is new, go when they may, and have everything that was answered.
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

mod backup_care;
mod backups;
mod condition;
mod disk;
mod external;
mod facts;
mod holds;
mod jobs;
mod latest;
mod limits;
mod lists;
mod log;
mod made;
mod migration;
mod operations;
mod people;
mod power;
mod renewal;
mod rest;
mod rules;
mod search;
mod subjects;
