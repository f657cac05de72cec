//! Proves the rules of RFC 6960, RFC 9919 and RFC 9654 that concern the wire and the freshness of answers, through the
//! handler, without a socket (`connection` has hyper in front, on a pipe). Answers are read by another implementation and their signatures verified each time.

mod condition;
mod connection;
mod delegated;
mod following;
mod freshness;
mod history;
mod lists;
mod malformed;
pub(crate) mod noted;
mod offline;
mod presign;
mod recorder;
mod shards;
pub(crate) mod slow;
mod stages;
mod store;
mod wire;
pub(crate) mod world;
