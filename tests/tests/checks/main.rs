//! What is held against others' judgement before a certificate is signed.
//!
//! - `keys`: badkeys of PyPI and our own checks say the same of each kind of bad key, and the process refuses what its lists and
//!   operators say.
//! - `linters`: pkilint of PyPI sees each certificate before it is signed, and stops what it dislikes.
//!
//! Both programs are installed by scripts/test. Not a failure: how long they take to start.

mod keys;
mod linters;
