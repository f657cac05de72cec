//! Words and rules of the certificate authority.
//!
//! Everything here is a value or a pure function: no I/O, no async, no clock, no randomness. What a rule needs to
//! know of the outside (the time, random bytes) comes in as an argument or through [`Clock`] and [`Random`].
//!
//! - [`identifier`], [`serial`], [`id`], [`oid`], [`time`], [`bytes`]: the small types that everything else is made of.
//! - [`acme`], [`jws`], [`external`], [`csr`], [`key`], [`certificate`]: RFC 8555 and its relatives, read strictly and once,
//!   at the edge.
//! - [`json`]: what comes in as JSON, before it is anything else.
//! - [`ocsp`], [`crl`], [`der`], [`pem`]: certificate status, read and written byte by byte.
//! - [`record`]: what the CA remembers, in which class, and for how long.
//! - [`revocation`], [`profile`]: why certificates end early, and what kinds of them there are.
//! - [`renewal`]: when certificates should be renewed.
//! - [`public_suffix`], [`name_list`]: where registered domains begin, and which names an operator wants or does not want.
//! - [`operator`]: people who run the CA, and their roles.
//! - [`baseline`], [`finding`]: limits that hold from a date on, and what is wrong or unwise with what an operator set.
//! - [`corroboration`]: when what several places saw counts.
//! - [`proxy`]: who the client is behind proxies, by whose word.
//! - [`limit`], [`public_suffix`]: how much of something may be had in a time, and where registered domains begin.
//! - [`transparency`]: what logs of certificates promise, and how certificates carry it.
//! - [`note`]: texts that logs and their witnesses sign.
//! - [`health`]: how the CA fares, in its own words.

pub mod acme;
pub mod baseline;
pub mod bytes;
pub mod certificate;
pub mod corroboration;
pub mod crl;
pub mod csr;
pub mod date;
pub mod der;
pub mod external;
pub mod finding;
pub mod health;
pub mod id;
pub mod identifier;
pub mod json;
pub mod jws;
pub mod key;
pub mod limit;
pub mod name_list;
pub mod note;
pub mod ocsp;
pub mod oid;
pub mod operator;
pub mod pem;
pub mod profile;
pub mod proxy;
pub mod public_suffix;
pub mod record;
pub mod renewal;
pub mod request_head;
pub mod revocation;
pub mod serial;
pub mod time;
pub mod transparency;

pub use bytes::Bytes;
pub use finding::{Finding, Findings};
pub use id::Id;
pub use identifier::Identifier;
pub use revocation::Reason;
pub use serial::{Serial, Shard};
pub use time::{Clock, Random, Timestamp};
