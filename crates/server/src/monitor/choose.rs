//! Which certificates a round looks at.

use std::collections::BTreeSet;
use std::time::Duration;

use ingam_protocol::crl::Scope;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::time::{Random, random_array};
use ingam_protocol::{Serial, Timestamp};
use ingam_store::{CertificatePage, IssuedBetween};

use crate::monitor::sources::{Certificate, Sources};

/// How long ago a certificate was signed before it is looked for: by then, it is on record.
const SETTLED: Duration = Duration::from_secs(5);
/// What was issued so long before the start is looked at, too.
const BEFORE_START: Duration = Duration::from_secs(60 * 60);

/// Up to where recent changes were looked at.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    /// The generation of the last revocation.
    generation: u64,
    /// What was issued before this.
    issued: Timestamp,
    /// Within what was issued since, the end of the last page.
    issued_after: Option<Vec<u8>>,
    /// Whether there was more the last time than was asked for.
    pub(super) is_behind: bool,
}

impl Cursor {
    /// From a while before now: what changed while nobody looked is part of it.
    pub(super) fn new(sources: &dyn Sources, now: Timestamp, revocations: usize) -> Self {
        let before = u64::try_from(revocations).unwrap_or(u64::MAX);
        Self {
            generation: sources.generation().saturating_sub(before),
            issued: now.minus(BEFORE_START),
            issued_after: None,
            is_behind: false,
        }
    }

    /// What was revoked and issued since the last call, at most so many; what is left comes with the next.
    ///
    /// # Errors
    /// A sentence, if the store cannot be read.
    pub(super) fn recent(
        &mut self,
        sources: &dyn Sources,
        now: Timestamp,
        limit: usize,
    ) -> Result<BTreeSet<Certificate>, String> {
        // The one must not starve the other.
        let share = limit.div_ceil(2);
        if share == 0 {
            self.is_behind = true;
            return Ok(BTreeSet::new());
        }
        let changes = sources.revoked_since(self.generation, share)?;
        self.is_behind = changes.len() >= share;
        self.generation = changes.last().map_or(self.generation, |(generation, _)| *generation);
        let mut recent: BTreeSet<Certificate> =
            changes.into_iter().map(|(_, certificate)| certificate).collect();
        let until = now.minus(SETTLED);
        if until <= self.issued {
            return Ok(recent);
        }
        let between = IssuedBetween { from: Some(self.issued), until: Some(until) };
        let CertificatePage { found, next } = sources.issued(between, self.issued_after.as_deref(), share)?;
        if next.is_none() {
            self.issued = until;
        }
        self.is_behind |= next.is_some();
        self.issued_after = next;
        recent.extend(found.into_iter().map(|(issuer, serial)| Certificate { issuer, serial }));
        Ok(recent)
    }
}

/// Certificates taken by chance, all from one list, so that no more than one has to be fetched for them: each list of each
/// issuer is as likely as the others.
///
/// # Errors
/// A sentence, if the store cannot be read.
pub(super) fn by_chance(
    sources: &dyn Sources,
    issuers: &[IssuerName],
    random: &dyn Random,
    count: usize,
) -> Result<BTreeSet<Certificate>, String> {
    let mut chosen = BTreeSet::new();
    if count == 0 {
        return Ok(chosen);
    }
    let mut lists = Vec::new();
    for issuer in issuers {
        let in_use = sources.shards(issuer)?;
        let unsharded = in_use.has_unsharded.then_some(Scope::Unsharded);
        let shards = in_use.shards.into_iter().map(Scope::Shard);
        lists.extend(unsharded.into_iter().chain(shards).map(|scope| (issuer, scope)));
    }
    let Some(&(issuer, scope)) = one_of(&lists, random) else { return Ok(chosen) };
    for _ in 0..count {
        let from = match scope.shard() {
            Some(shard) => Serial::in_shard(random, shard),
            None => Serial::new(random),
        };
        let serial = sources.serial_from(issuer, scope, &from)?;
        chosen.extend(serial.map(|serial| Certificate { issuer: issuer.clone(), serial }));
    }
    Ok(chosen)
}

fn one_of<'a, T>(all: &'a [T], random: &dyn Random) -> Option<&'a T> {
    let count = u64::try_from(all.len()).ok().filter(|count| *count > 0)?;
    // Of 2^64 values, what does not divide evenly is not seen.
    let chosen = u64::from_be_bytes(random_array(random)) % count;
    all.get(usize::try_from(chosen).ok()?)
}
