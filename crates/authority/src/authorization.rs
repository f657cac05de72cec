//! Authorizations: made for an order or ahead of one, used again, given up (RFC 8555, sections 7.1.4, 7.4.1 and 7.5.2;
//! RFC 9444).

use std::time::Duration;

use ingam_protocol::acme::{
    Account, Authorization, AuthorizationStatus, Challenge, ErrorType, NewAuthorization,
};
use ingam_protocol::bytes::base64url;
use ingam_protocol::identifier::{Host, Identifier};
use ingam_protocol::profile::Profile;
use ingam_protocol::record::RecordType;
use ingam_protocol::time::random_array;
use ingam_protocol::{Id, Timestamp};

use crate::Authority;
use crate::admission::{Wanted, check_account};
use crate::error::{Error, Refusal};
use crate::evidence::Caller;

/// An authorization is used again while so much of it is left, or the time that an order has if that is less.
const LEFT_MIN: Duration = Duration::from_secs(60 * 60);

/// The authorizations of a new order.
pub(crate) struct OrderAuthorizations {
    /// One for each identifier, in their order.
    pub(crate) ids: Vec<Id>,
    /// Those among them that have to be shown.
    pub(crate) new: Vec<Authorization>,
    /// When the first of those that were shown before ends.
    pub(crate) earliest_end: Timestamp,
}

/// What control is to be shown of, and how far it reaches.
struct Reach {
    host: Host,
    wildcard: bool,
    subdomains: bool,
}

impl Reach {
    fn of(wanted: &Wanted) -> Self {
        match &wanted.ancestor {
            Some(domain) => Self { host: domain.clone().into(), wildcard: false, subdomains: true },
            None => Self {
                host: wanted.identifier.host(),
                wildcard: wanted.identifier.is_wildcard(),
                subdomains: false,
            },
        }
    }

    fn is_of(&self, authorization: &Authorization) -> bool {
        self.host == authorization.host
            && self.wildcard == authorization.wildcard
            && self.subdomains == authorization.subdomains
    }
}

impl Authority {
    /// newAuthz (RFC 8555, section 7.4.1; RFC 9444, section 4.1), under the default profile. Gives the authorization that
    /// the account holds already, if there is one that orders would use.
    ///
    /// # Errors
    /// Refusals: `malformed` for a wildcard, and as newOrder.
    pub async fn authorization_create(
        &self,
        account: &Account,
        request: NewAuthorization,
        caller: &Caller,
    ) -> Result<Authorization, Error> {
        let now = self.clock.now();
        self.check_terms(account)?;
        let key = self.key_in_force(account)?;
        let profile = self.profile_wished(None, key.as_ref())?;
        check_account(&profile, account)?;
        self.refuse_alone(profile.is_public, now)?;
        let whole = request.subdomain_auth_allowed || request.identifier.subdomain_auth_allowed;
        let [wanted] = self
            .identifiers_wanted(&[request.identifier], &profile, key.as_ref())?
            .try_into()
            .map_err(|_| Error::refusal(ErrorType::Malformed, "newAuthz takes one identifier"))?;
        if wanted.identifier.is_wildcard() {
            let why = "a wildcard is authorized by an order alone: make a newOrder";
            return Err(Error::refusal(ErrorType::Malformed, why));
        }
        // Where whole domains are not offered, the answer shows that by what it does not say (RFC 9444, section 4.1).
        let domain = wanted.identifier.name().filter(|_| whole && profile.identifiers.ancestors).cloned();
        let wanted = Wanted { ancestor: domain.or(wanted.ancestor), ..wanted };
        let reach = Reach::of(&wanted);
        if let Some((held, _)) = self.authorization_held(account.id, &wanted.identifier, &profile, now)?
            && (held.subdomains || !reach.subdomains)
        {
            return Ok(held);
        }
        let authorization = self.authorization(account.id, &reach, &profile, now)?;
        let evidence = serde_json::json!({ "authorization": &authorization });
        let record =
            self.record(RecordType::AuthorizationCreated, Some(account.id), Some(caller), &evidence)?;
        let admission = self.authorization_admission(account, &authorization);
        let admitted = self.store.authorization_insert(authorization.clone(), record, admission).await?;
        self.admitted(admitted, &[authorization.identifier()])?;
        Ok(authorization)
    }

    /// What a new order needs: what the account holds already, and new ones for the rest. Identifiers in one domain share
    /// one where they name it.
    pub(crate) fn authorizations_for(
        &self,
        account: Id,
        wanted: &[Wanted],
        profile: &Profile,
        now: Timestamp,
    ) -> Result<OrderAuthorizations, Error> {
        let mut new: Vec<Authorization> = Vec::new();
        let mut ids = Vec::with_capacity(wanted.len());
        let mut earliest_end = Timestamp::from_unix_s(u64::MAX / 1000);
        for one in wanted {
            if let Some((held, until)) = self.authorization_held(account, &one.identifier, profile, now)? {
                earliest_end = earliest_end.min(until);
                ids.push(held.id);
                continue;
            }
            let reach = Reach::of(one);
            if let Some(shared) = new.iter().find(|made| reach.is_of(made)) {
                ids.push(shared.id);
                continue;
            }
            let made = self.authorization(account, &reach, profile, now)?;
            ids.push(made.id);
            new.push(made);
        }
        Ok(OrderAuthorizations { ids, new, earliest_end })
    }

    /// An authorization that an order of this profile may use for the identifier without anything being shown again, with time
    /// left to finalize, and until when it counts.
    fn authorization_held(
        &self,
        account: Id,
        identifier: &Identifier,
        profile: &Profile,
        now: Timestamp,
    ) -> Result<Option<(Authorization, Timestamp)>, Error> {
        if !profile.reuse_authorizations {
            return Ok(None);
        }
        let needed = now.plus(LEFT_MIN.min(profile.order_lifetime));
        for held in self.store.authorizations_covering(account, identifier)? {
            if held.status(now) == AuthorizationStatus::Valid
                && let Some(until) = self.counts_until(&held, profile).filter(|until| *until > needed)
            {
                return Ok(Some((held, until)));
            }
        }
        Ok(None)
    }

    /// Until when an authorization counts for certificates of this profile: if it was shown by a challenge that the profile
    /// offers, not longer ago than the profile and the rules of the day let it count, and by as many perspectives as they ask
    /// for, whatever profile it was made for.
    pub(crate) fn counts_until(&self, held: &Authorization, profile: &Profile) -> Option<Timestamp> {
        let shown = held.valid_challenge().filter(|shown| profile.challenges.contains(&shown.kind))?;
        if held.subdomains {
            let domain = held.host.name().filter(|_| profile.identifiers.ancestors)?;
            if self.ancestor_refused(domain, profile).is_some() {
                return None;
            }
        }
        Some(self.shown_until(shown, profile)?.min(held.expires()))
    }

    /// An authorization of this account; `None` as for [`Authority::order`].
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails.
    pub fn authorization_of(&self, account: &Account, id: Id) -> Result<Option<Authorization>, Error> {
        Ok(self.store.authorization_by_id(id)?.filter(|authorization| authorization.account == account.id))
    }

    /// Gives up an authorization (RFC 8555, section 7.5.2).
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails.
    pub async fn authorization_deactivate(
        &self,
        account: &Account,
        id: Id,
        caller: &Caller,
    ) -> Result<Option<Authorization>, Error> {
        if self.authorization_of(account, id)?.is_none() {
            return Ok(None);
        }
        let evidence = serde_json::json!({ "authorization": id });
        let record =
            self.record(RecordType::AuthorizationDeactivated, Some(account.id), Some(caller), &evidence)?;
        Ok(self.store.authorization_deactivate(id, self.clock.now(), record).await?)
    }

    /// A new one, with the profile's challenges that can show control so far.
    fn authorization(
        &self,
        account: Id,
        reach: &Reach,
        profile: &Profile,
        now: Timestamp,
    ) -> Result<Authorization, Error> {
        let beyond = reach.wildcard || reach.subdomains;
        let ways = profile.challenges.iter().filter(|kind| kind.fits(&reach.host, beyond));
        let challenges: Vec<Challenge> = ways
            .map(|kind| Challenge {
                kind: *kind,
                token: base64url(&random_array::<32>(self.random.as_ref())),
                answered: None,
                finished: None,
            })
            .collect();
        if challenges.is_empty() {
            let why = format!("the profile \"{}\" has no challenge for {}", profile.name, reach.host);
            return Err(Refusal::new(ErrorType::RejectedIdentifier, why).into());
        }
        Ok(Authorization {
            id: Id::new(now, self.random.as_ref()),
            account,
            host: reach.host.clone(),
            wildcard: reach.wildcard,
            subdomains: reach.subdomains,
            public: profile.is_public,
            created: now,
            // An order's authorizations need not outlive it while nobody has answered them.
            pending_until: now.plus(profile.pending_authorization_lifetime.min(profile.order_lifetime)),
            valid_for_ms: milliseconds(profile.valid_authorization_lifetime),
            challenges,
            deactivated: None,
        })
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
