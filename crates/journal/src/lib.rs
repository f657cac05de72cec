//! The archive of records: files that only grow, and then go.
//!
//! Records lie in segments, one file each, by class and period, so that what was promised to be deleted can go as a
//! whole: each lies under a key of its own, whose destruction destroys it. Within a class every record is a link of one chain of hashes over salted commitments: what a commitment
//! stands for can be erased, and the chain still proves that nothing else was changed, put in or taken out. The journal
//! never asks what a record means.
//!
//! - [`Journal`] is the archive: opened, appended to, read, verified.
//! - [`log`] is one tree over all records, which outsiders can hold it to.
//! - [`segment`] is the layout on disk, with its picture; it is final.
//! - [`files`]: the few operations on a directory that everything here goes through, with a disk and, in
//!   [`simulated`], a disk that tests can break. [`folders`]: the same for folders in folders, which others need.

mod append;
mod body;
mod chain;
mod chunk;
mod error;
pub mod files;
pub mod folders;
mod frames;
mod journal;
mod keys;
pub mod log;
mod pack;
mod reader;
mod recent;
mod recover;
pub mod segment;
pub mod simulated;
mod verify;

#[cfg(test)]
mod tests;

pub use chain::Head;
pub use error::Error;
pub use journal::{APPEND_RECORDS_MAX, Form, Journal, JournalConfig, RECENT_IDS_MAX, SegmentInfo, Still};
pub use keys::SegmentKeys;
pub use reader::Records;
pub use verify::{ClassReport, Gap, VerifyReport};
