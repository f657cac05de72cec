//! How many SCTs a certificate has to carry, as browsers count them.
//!
//! Chrome's policy ("Certificate Transparency in Chrome", embedded SCTs) is what is kept here; Apple's asks for as many from
//! 180 days on. Neither asks any more that one of the logs has the read interface of RFC 6962.

use std::time::Duration;

use crate::certificate::Validity;

/// The longest validity for which each number of SCTs is enough; the last one is for all that are longer.
const COUNTS: [(Duration, usize); 2] = [(days(180), 2), (Duration::MAX, 3)];

/// From how many different operators they have to be.
pub const OPERATORS_MIN: usize = 2;

/// How old the list of logs may be: browsers stop to ask for SCTs when theirs is older than this.
pub const LIST_AGE_MAX: Duration = days(70);

const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 24 * 60 * 60)
}

/// What a certificate needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// So many SCTs, each from another log.
    pub scts: usize,
    /// From so many operators.
    pub operators: usize,
}

/// What a certificate with this validity needs. Both ends count, so that nobody who counts otherwise comes to more.
pub fn needed(validity: Validity) -> Needed {
    let length = validity.not_after.since(validity.not_before).saturating_add(Duration::from_secs(1));
    needed_for(length)
}

/// The same for this many seconds, both ends counted.
pub fn needed_for(length: Duration) -> Needed {
    let row = COUNTS.iter().find(|(longest, _)| length <= *longest);
    Needed { scts: row.map_or(3, |(_, scts)| *scts), operators: OPERATORS_MIN }
}
