//! The https certificate that the CA issues to itself (docs/decisions/0010): kept in the state folder, made anew when two
//! thirds of its time are over, or when it is not for the names that the configuration asks for.

use std::sync::Arc;

use ingam_authority::{Authority, OwnRequest};
use ingam_protocol::Timestamp;
use ingam_protocol::certificate::Validity;
use ingam_protocol::identifier::Identifier;
use ingam_signer::own_tls::OwnTls;

use crate::config::Config;
use crate::serve::{Sources, StartError};
use crate::served_certificate::ServerIdentity;

/// Who keeps it.
pub(crate) struct OwnCertificate {
    authority: Arc<Authority>,
    sources: Sources,

    config: Config,
}

impl OwnCertificate {
    /// As this configuration, which has `tls.issue`, asks for it.
    pub(crate) fn new(authority: Arc<Authority>, sources: Sources, config: Config) -> Self {
        Self { authority, sources, config }
    }

    /// What the listeners are to show: what the state folder has, or a new one where that is due. Where none could be
    /// made and the old one still has time, that one, and why.
    ///
    /// # Errors
    /// [`StartError`] if there is nothing to show.
    pub(crate) async fn current(&self) -> Result<(ServerIdentity, Option<StartError>), StartError> {
        let state = self.config.state.clone();
        let doing = "the certificate that the CA issues to itself";
        let loaded = tokio::task::spawn_blocking(move || OwnTls::load(&state)).await;
        let loaded = loaded.map_err(|error| StartError::caused(doing, &error))?;
        let now = self.sources.clock.now();
        let kept = match loaded {
            Ok(kept) => kept,
            Err(error) => {
                // A new one takes its place.
                tracing::warn!(error = &error as &dyn std::error::Error, "{doing} cannot be read");
                None
            }
        };
        let wanted = self.config.own_names();
        if let Some(kept) = &kept
            && !is_due(kept, &wanted, now)
        {
            return Ok((identity(kept), None));
        }
        match self.issue(wanted, kept.as_ref()).await {
            Ok(made) => Ok((identity(&made), None)),
            Err(error) => match kept.filter(|kept| !has_ended(kept, now)) {
                Some(kept) => Ok((identity(&kept), Some(error))),
                None => Err(error),
            },
        }
    }

    /// A new key, a certificate for it by the way of every other one, and both in the state folder.
    async fn issue(&self, names: Vec<Identifier>, kept: Option<&OwnTls>) -> Result<OwnTls, StartError> {
        let doing = "the CA cannot issue its own https certificate";
        let failed = |error: &dyn std::error::Error| StartError::caused(doing, error);
        let issue = self.config.tls.issue.clone().unwrap_or_default();
        let texts: Vec<String> = names.iter().map(ToString::to_string).collect();
        let request = ingam_signer::own_tls::request(&texts, self.sources.random.as_ref());
        let request = request.map_err(|error| failed(&error))?;
        let own = OwnRequest {
            profile: issue.profile,
            identifiers: names,
            csr: request.csr,
            account_key: request.account_key,
            previous: kept.and_then(|kept| kept.chain.first().cloned()),
        };
        let view = self.authority.own_certificate(own).await.map_err(|error| failed(&error))?;
        let chain = std::iter::once(view.der).chain(view.issuer.chain).collect();
        let made = OwnTls { key: request.key, chain };
        let (state, saved) = (self.config.state.clone(), made.clone());
        let saving = tokio::task::spawn_blocking(move || saved.save(&state)).await;
        saving.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        tracing::info!(names = texts.join(", "), "the CA issued its own https certificate");
        Ok(made)
    }
}

fn identity(own: &OwnTls) -> ServerIdentity {
    ServerIdentity { chain: own.chain.clone(), pkcs8: own.key.pkcs8().to_vec().into() }
}

fn validity(own: &OwnTls) -> Option<Validity> {
    own.chain.first().and_then(|leaf| Validity::read(leaf))
}

fn has_ended(own: &OwnTls, now: Timestamp) -> bool {
    validity(own).is_none_or(|validity| validity.not_after < now)
}

/// Whether two thirds of its time are over, or it is for other names than these.
fn is_due(own: &OwnTls, names: &[Identifier], now: Timestamp) -> bool {
    let is_old = validity(own).is_none_or(|Validity { not_before, not_after }| {
        not_after.since(now) < not_after.since(not_before) / 3
    });
    let mut wanted: Vec<String> = names.iter().map(ToString::to_string).collect();
    wanted.sort();
    is_old || own.names() != wanted
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ingam_protocol::Clock;
    use ingam_protocol::time::{FixedClock, SeededRandom};
    use ingam_signer::PrivateKey;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn own(names: &[&str], from: Timestamp) -> OwnTls {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let request = ingam_signer::own_tls::request(&names, &SeededRandom::new(1)).unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = from.to_date_time();
        params.not_after = from.plus(90 * DAY).to_date_time();
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        OwnTls {
            key: PrivateKey::from_pkcs8(request.key.pkcs8().to_vec()),
            chain: vec![certificate.der().to_vec()],
        }
    }

    #[test]
    fn it_is_renewed_after_two_thirds_of_its_time_and_for_other_names() {
        let clock = FixedClock::new(Timestamp::from_unix_s(1_795_255_200));
        let names = ["a.example.org", "b.example.org"];
        let own = own(&names, clock.now());
        let names: Vec<Identifier> = names.iter().map(|name| Identifier::parse_dns(name).unwrap()).collect();
        assert!(!is_due(&own, &names, clock.now()));
        assert!(is_due(&own, &names[..1], clock.now()));
        clock.advance(60 * DAY);
        assert!(!is_due(&own, &names, clock.now()));
        clock.advance(Duration::from_secs(1));
        assert!(is_due(&own, &names, clock.now()) && !has_ended(&own, clock.now()));
        clock.advance(30 * DAY);
        assert!(has_ended(&own, clock.now()));
        let addresses = ["::1", "10.0.0.1"];
        let own_addresses = self::own(&["a.example.org", "::1", "10.0.0.1"], clock.now());
        let mut all = names[..1].to_vec();
        all.extend(addresses.iter().map(|address| Identifier::parse_ip(address).unwrap()));
        assert!(!is_due(&own_addresses, &all, clock.now()));
        let broken = OwnTls { chain: Vec::new(), ..own };
        assert!(is_due(&broken, &names, clock.now()) && has_ended(&broken, clock.now()));
    }
}
