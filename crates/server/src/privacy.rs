//! The privacy page's place in the process: from the running configuration to what the page says, and the states of it that
//! were in force.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ingam_privacy::{
    ByAcme, ContactFacts, Facts, InForce, PrivacyPage, RequestLogFacts, SharedFacts, Version, changes,
    classes, digest_of,
};
use ingam_protocol::profile::Transparency;
use ingam_protocol::record::{Class, Record, RecordType};
use ingam_responder::request_log::Mode;
use ingam_store::{PrivacyVersion, Store};

use crate::config::Config;
use crate::serve::{Sources, StartError};

/// How many states of the page are read: more than it tells of.
const VERSIONS_MAX: usize = 50;

/// The page, and what it is made of.
pub(crate) struct Privacy {
    store: Store,
    sources: Sources,

    page: Arc<PrivacyPage>,
}

impl Privacy {
    /// The page for this configuration, which is a new version if the last one said something else.
    ///
    /// # Errors
    /// [`StartError`] if the store fails.
    pub(crate) async fn begin(config: &Config, store: Store, sources: &Sources) -> Result<Self, StartError> {
        let facts = facts(config);
        let versions = keep(&facts, &store, sources).await?;
        let page = Arc::new(PrivacyPage::new(&facts, &versions));
        Ok(Self { store, sources: sources.clone(), page })
    }

    pub(crate) fn page(&self) -> &Arc<PrivacyPage> {
        &self.page
    }

    /// The page for another configuration. To be called by one at a time.
    ///
    /// # Errors
    /// [`StartError`] if the store fails; the page is as it was then.
    pub(crate) async fn replace(&self, config: &Config) -> Result<(), StartError> {
        let facts = facts(config);
        let versions = keep(&facts, &self.store, &self.sources).await?;
        self.page.replace(&facts, &versions);
        Ok(())
    }
}

/// What the schedule in force says of each class that goes by time.
fn in_force(config: &Config) -> BTreeMap<Class, InForce> {
    let says = |class: Class| match class {
        Class::OcspRequestLog => {
            let keep = Some(Duration::from_secs(config.request_log.keep_s));
            Some((class, InForce { floor: None, keep }))
        }
        // Something else ends these: withdrawal, first use, the closing of a case.
        Class::Contact | Class::Passcode | Class::Investigation => None,
        class => {
            let (floor, keep) = (config.retention.preset.floor(class), config.retention.keep(class));
            Some((class, InForce { floor, keep }))
        }
    };
    Class::ALL.into_iter().filter_map(says).collect()
}

/// Where subscribers ask by ACME.
fn by_acme(config: &Config) -> ByAcme {
    let base = config.urls.public_url.trim_end_matches('/');
    ByAcme { report: format!("{base}/privacy/report"), erase: format!("{base}/privacy/erase") }
}

/// What the page says, by the configuration alone.
pub(crate) fn facts(config: &Config) -> Facts {
    let (privacy, log) = (&config.privacy, &config.request_log);
    // Nobody signs in by a code yet.
    let mut unused = vec![Class::Passcode];
    if log.mode == Mode::Off {
        unused.extend([Class::OcspRequestLog, Class::Investigation, Class::Aggregate]);
    } else if !log.counts {
        unused.push(Class::Aggregate);
    }
    if config.issuance.contacts_max == 0 {
        unused.push(Class::Contact);
    }
    let is_logged = |profile: &crate::config::ProfileConfig| {
        profile.transparency(config.environment) == Transparency::Required
    };
    Facts {
        service: config.urls.public_url.trim_end_matches('/').to_owned(),
        environment: config.environment.name().to_owned(),
        operator: ingam_privacy::Operator {
            name: privacy.operator.clone(),
            name_ko: privacy.operator_ko.clone(),
            address: privacy.address.clone(),
        },
        officer: privacy.contacts.officer.clone(),
        security: privacy.contacts.security.clone(),
        classes: classes(&in_force(config), &unused),
        request_log: RequestLogFacts {
            mode: log.mode.name().to_owned(),
            keep_s: log.keep_s,
            counts: log.counts,
            count_min: log.count_min,
        },
        contacts: ContactFacts {
            taken: config.issuance.contacts_max > 0,
            count_max: config.issuance.contacts_max,
            purposes: privacy.contact_purposes.clone(),
            by_acme: Some(by_acme(config)),
        },
        shared: SharedFacts {
            certificate_transparency: config.profiles.values().any(is_logged),
            certificates_by_get: config.issuance.certificates_by_get,
            remote_perspectives: config.validation.remotes.len(),
        },
        processors: privacy.processors.iter().map(|one| (one.name.clone(), one.clone())).collect(),
        authorities: privacy.authorities.iter().map(|one| (one.name.clone(), one.clone())).collect(),
    }
}

/// The states of the page, the newest first, with these facts as the newest.
async fn keep(facts: &Facts, store: &Store, sources: &Sources) -> Result<Vec<Version>, StartError> {
    let failed = |error: &dyn std::error::Error| {
        StartError::caused("the versions of the privacy page cannot be kept", error)
    };
    let kept = store.privacy_versions_latest(VERSIONS_MAX).map_err(|error| failed(&error))?;
    let mut versions = Vec::with_capacity(kept.len() + 1);
    for version in &kept {
        versions.push(Version {
            number: version.number,
            at: version.at,
            changes: serde_json::from_str(version.changes.get()).map_err(|error| failed(&error))?,
            asks_consent: version.asks_consent,
        });
    }
    let digest = digest_of(facts);
    let last = kept.first();
    if last.is_some_and(|last| last.digest == digest) {
        return Ok(versions);
    }
    // Facts of another version of the program may have other members: then the words are others, which is what is told.
    let before =
        last.map(|last| serde_json::from_str::<Facts>(last.facts.get()).unwrap_or_else(|_| facts.clone()));
    let changed = before.map_or_else(Vec::new, |before| changes(&before, facts));
    let version = Version {
        number: last.map_or(1, |last| last.number.saturating_add(1)),
        at: sources.clock.now().whole_second(),
        asks_consent: changed.iter().any(|change| change.purpose),
        changes: changed,
    };
    let raw =
        |value: serde_json::Result<Box<serde_json::value::RawValue>>| value.map_err(|error| failed(&error));
    let row = PrivacyVersion {
        number: version.number,
        at: version.at,
        digest,
        facts: raw(serde_json::value::to_raw_value(facts))?,
        changes: raw(serde_json::value::to_raw_value(&version.changes))?,
        asks_consent: version.asks_consent,
    };
    let told = row.told().map_err(|error| failed(&error))?;
    let (now, random) = (sources.clock.now(), sources.random.as_ref());
    let record = Record::new(RecordType::ConfigurationChanged, now, told, random);
    store.privacy_version_insert(row, vec![record]).await.map_err(|error| failed(&error))?;
    tracing::info!(
        version = version.number,
        asks_consent = version.asks_consent,
        "the privacy page is another"
    );
    versions.insert(0, version);
    Ok(versions)
}
