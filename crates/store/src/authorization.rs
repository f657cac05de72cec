//! Authorizations and their challenges.

use ingam_protocol::Id;
use ingam_protocol::acme::{
    Authorization, AuthorizationStatus, ChallengeStatus, ChallengeType, Finished, Verdict,
};
use ingam_protocol::identifier::{Host, Identifier};
use ingam_protocol::record::Record;
use ingam_protocol::time::Timestamp;

use crate::account::{active, id_from};
use crate::admission::{Admission, Admitted, admit};
use crate::error::Error;
use crate::limit::{Demand, Limited, keep, meet, refund, remember};
use crate::open::Store;
use crate::pause::{self, PauseRule};
use crate::table::{
    AUTHORIZATIONS, AUTHORIZATIONS_BY_IDENTIFIER, CHALLENGES_OPEN, domain_key, identifier_key,
};
use crate::transaction::{Transaction, read_range, read_row};

/// What came of a client's word that its answer to a challenge is in place.
#[derive(Clone, Debug)]
pub enum Answered {
    /// It is to be checked now.
    Check(Authorization),
    /// It was answered before, or the authorization is not pending: there is nothing to do.
    Nothing(Authorization),
    /// There is no such authorization or challenge, or its account has ended.
    Missing,
    /// A limit is reached.
    Limited(Limited),
}

/// A challenge that was answered, and whose check has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenChallenge {
    /// Of which authorization.
    pub authorization: Id,
    /// Which of its challenges.
    pub challenge: ChallengeType,
}

/// What came of writing down a check's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It counts.
    Now,
    /// Another end was written down first, or the authorization has ended.
    Before,
}

impl OpenChallenge {
    fn key(self) -> Vec<u8> {
        [self.authorization.as_bytes().as_slice(), self.challenge.name().as_bytes()].concat()
    }

    fn from_key(key: &[u8]) -> Result<Self, Error> {
        let bad = || Error::Row("an open challenge", "its key is not an id and a type".into());
        let (id, name) = key.split_at_checked(16).ok_or_else(bad)?;
        let challenge = std::str::from_utf8(name).ok().and_then(ChallengeType::from_name).ok_or_else(bad)?;
        Ok(Self { authorization: id_from(id)?, challenge })
    }
}

impl Store {
    /// The authorization of this name.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn authorization_by_id(&self, id: Id) -> Result<Option<Authorization>, Error> {
        read_row(self.engine(), AUTHORIZATIONS, id.as_bytes())
    }

    /// The authorizations by which the account last showed control of this identifier, whatever became of them since: of
    /// itself, then of the domains that it is in, the nearest first (RFC 9444).
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn authorizations_covering(
        &self,
        account: Id,
        identifier: &Identifier,
    ) -> Result<Vec<Authorization>, Error> {
        let mut keys = vec![identifier_key(account, identifier)];
        // A name has at most 127 labels (RFC 1035, section 2.3.4).
        let mut domain = identifier.name().cloned();
        while let Some(name) = domain {
            keys.push(domain_key(account, &name));
            domain = name.parent();
        }
        let mut covering = Vec::new();
        for key in keys {
            let id = self
                .engine()
                .get(AUTHORIZATIONS_BY_IDENTIFIER, &key)
                .map_err(|cause| Error::Engine("reading an authorization's identifier", cause))?;
            if let Some(bytes) = id {
                covering.extend(self.authorization_by_id(id_from(&bytes)?)?);
            }
        }
        Ok(covering)
    }

    /// Puts a new authorization in that belongs to no order yet, if it passes.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn authorization_insert(
        &self,
        authorization: Authorization,
        record: Record,
        admission: Admission,
    ) -> Result<Admitted, Error> {
        self.run_new(move |transaction| {
            match admit(transaction, authorization.account, &admission, authorization.created)? {
                Admitted::Yes => {}
                refused => return Ok(refused),
            }
            put(transaction, &authorization)?;
            transaction.record(&record);
            Ok(Admitted::Yes)
        })
        .await
    }

    /// Notes that a challenge was answered; whoever gets [`Answered::Check`] checks it. What `demands` spend is put back
    /// if the check succeeds.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn challenge_answer(
        &self,
        open: OpenChallenge,
        now: Timestamp,
        record: Record,
        demands: Vec<Demand>,
    ) -> Result<Answered, Error> {
        self.run(move |transaction| {
            let Some(mut authorization) = find(transaction, open.authorization)? else {
                return Ok(Answered::Missing);
            };
            if active(transaction, authorization.account)?.is_none() {
                return Ok(Answered::Missing);
            }
            let pending = authorization.status(now) == AuthorizationStatus::Pending;
            let Some(challenge) =
                authorization.challenges.iter_mut().find(|challenge| challenge.kind == open.challenge)
            else {
                return Ok(Answered::Missing);
            };
            if !pending || challenge.status() != ChallengeStatus::Pending {
                return Ok(Answered::Nothing(authorization));
            }
            challenge.answered = Some(now);
            match meet(transaction, &demands, now)? {
                Ok(spent) => remember(transaction, &open.key(), &spent)?,
                Err(limited) => return Ok(Answered::Limited(limited)),
            }
            put(transaction, &authorization)?;
            transaction.put(CHALLENGES_OPEN, open.key(), Vec::new());
            transaction.record(&record);
            Ok(Answered::Check(authorization))
        })
        .await
    }

    /// Writes down how the check of a challenge ended; the first end counts. With a rule, failures that are not ours are
    /// counted by it.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn challenge_finish(
        &self,
        open: OpenChallenge,
        finished: Finished,
        record: Record,
        pauses: Option<PauseRule>,
    ) -> Result<Settled, Error> {
        self.run(move |transaction| {
            transaction.delete(CHALLENGES_OPEN, open.key());
            match &finished.verdict {
                verdict if *verdict == Verdict::Valid || verdict.is_our_failure() => {
                    refund(transaction, &open.key())?;
                }
                _ => keep(transaction, &open.key()),
            }
            // What was seen stays on record even where it does not count any more.
            transaction.record(&record);
            let Some(mut authorization) = find(transaction, open.authorization)? else {
                return Ok(Settled::Before);
            };
            let succeeded = finished.verdict == Verdict::Valid;
            let (account, name) = (authorization.account, authorization.host.to_string());
            match (&finished.verdict, pauses) {
                (Verdict::Valid, _) => pause::succeeded(transaction, account, &name)?,
                (verdict, Some(rule)) if !verdict.is_our_failure() => {
                    pause::failed(transaction, account, &name, &rule, finished.at)?;
                }
                _ => {}
            }
            // One failed check ended the authorization for good, whatever another that still ran has seen since.
            let ended = authorization.deactivated.is_some()
                || authorization.challenges.iter().any(|one| one.status() == ChallengeStatus::Invalid);
            match authorization.challenges.iter_mut().find(|challenge| challenge.kind == open.challenge) {
                Some(challenge) if challenge.finished.is_none() && !ended => {
                    challenge.finished = Some(finished)
                }
                _ => return Ok(Settled::Before),
            }
            put(transaction, &authorization)?;
            if succeeded {
                let key = match (&authorization.host, authorization.subdomains) {
                    (Host::Name(domain), true) => domain_key(authorization.account, domain),
                    _ => identifier_key(authorization.account, &authorization.identifier()),
                };
                transaction.put(AUTHORIZATIONS_BY_IDENTIFIER, key, *authorization.id.as_bytes());
            }
            Ok(Settled::Now)
        })
        .await
    }

    /// Challenges that were answered and whose checks have not ended: after a restart they are checked again.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn challenges_open(&self, limit: usize) -> Result<Vec<OpenChallenge>, Error> {
        read_range(self.engine(), CHALLENGES_OPEN, &[], None, limit)?
            .iter()
            .map(|(key, _)| OpenChallenge::from_key(key))
            .collect()
    }

    /// Gives up an authorization for its holder. Gives it as it is then, `None` if there is none of this name.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn authorization_deactivate(
        &self,
        id: Id,
        now: Timestamp,
        record: Record,
    ) -> Result<Option<Authorization>, Error> {
        self.run(move |transaction| {
            let Some(mut authorization) = find(transaction, id)? else { return Ok(None) };
            // What has ended otherwise stays as it ended (RFC 8555, section 7.1.6).
            if matches!(authorization.status(now), AuthorizationStatus::Pending | AuthorizationStatus::Valid)
            {
                authorization.deactivated = Some(now);
                put(transaction, &authorization)?;
                transaction.record(&record);
            }
            Ok(Some(authorization))
        })
        .await
    }
}

pub(crate) fn find(transaction: &Transaction<'_>, id: Id) -> Result<Option<Authorization>, Error> {
    transaction.row(AUTHORIZATIONS, id.as_bytes())
}

pub(crate) fn put(transaction: &mut Transaction<'_>, authorization: &Authorization) -> Result<(), Error> {
    transaction.put_row(AUTHORIZATIONS, *authorization.id.as_bytes(), authorization)
}
