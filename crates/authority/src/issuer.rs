//! Who signs the next certificate of a profile.

use std::collections::BTreeSet;

use ingam_protocol::Timestamp;
use ingam_protocol::acme::Order;
use ingam_protocol::profile::{IssuerName, Profile};

use crate::Authority;
use crate::error::{Error, Fault};

impl Authority {
    /// One of the profile's issuers, by weight, of those that do not end before the certificate: none outlives its issuer.
    /// One whose key cannot be used now is passed over while there are others.
    pub(crate) async fn issuer_for(
        &self,
        profile: &Profile,
        order: &Order,
        now: Timestamp,
    ) -> Result<IssuerName, Error> {
        let (_, not_after) = profile.dates(order.not_before, order.not_after, now);
        let issuers = self.signer.issuers();
        let lasts = |name: &IssuerName| {
            issuers.iter().any(|issuer| issuer.name == *name && not_after <= issuer.not_after)
        };
        let mut lasting: BTreeSet<&IssuerName> =
            profile.issuers.signing().filter(|name| lasts(name)).collect();
        let mut first = None;
        while let Some(chosen) = profile.issuers.choose(self.random.as_ref(), |name| lasting.contains(name)) {
            if lasting.len() == 1 && first.is_none() || self.signer.ready(chosen).await.is_ok() {
                return Ok(chosen.clone());
            }
            lasting.remove(chosen);
            first.get_or_insert(chosen);
        }
        // With all of them away, the order waits for one of them.
        first.cloned().ok_or_else(|| {
            let why = format!(
                "no issuing CA that signs for the profile '{}' lasts until {not_after}, when the certificate would end",
                profile.name
            );
            Error::Fault(Fault {
                code: "issuer_ends",
                doing: "choosing an issuing CA",
                passing: false,
                source: why.into(),
            })
        })
    }
}
