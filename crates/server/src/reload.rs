//! The configuration read again while the process runs: what can be put in force is, the rest waits for a restart, and
//! with a mistake in it nothing is changed at all.

use std::sync::Arc;

use ingam_authority::operator::Act;
use ingam_authority::{Authority, Policy};
use ingam_frontend::Frontend;
use ingam_operator::api::Reload;
use ingam_protocol::profile::IssuerName;
use ingam_responder::{OfflineFiles, Responder};
use ingam_signer::hierarchy::PUBLISHED;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::config::{Config, ConfigError};
use crate::delegates::{self, Delegates};
use crate::health::Health;
use crate::listener::SharedLimits;
use crate::privacy::Privacy;
use crate::serve::{self, StartError};
use crate::served_certificate::{Presentable, ServedCertificate, ServerIdentity};
use crate::transparency::Transparency;

/// Keys, and what lies below them, that are put in force without a restart.
const RELOADABLE: &[&str] = &[
    "issuance.certificates_by_get",
    "issuance.contacts_max",
    "issuance.default_profile",
    "issuance.external_account_required",
    "issuance.finalize_wait_ms",
    "issuance.lease_s",
    "issuance.linters",
    "issuance.names_allowed",
    "issuance.names_blocked_file",
    "issuance.names_refused",
    "issuance.public_rules",
    "issuance.public_suffix_list",
    "issuance.renewal_at_percent",
    "issuance.renewal_check_s",
    "issuance.special_use_allowed",
    "issuance.weak_key_lists",
    "limits.body_bytes_max",
    "limits.body_timeout_s",
    "limits.header_timeout_s",
    "limits.idle_timeout_s",
    "limits.stop_timeout_ms",
    "operator.administrators",
    "privacy",
    "profiles",
    "rate_limits",
    delegates::KEY,
    "tls.certificate",
    "tls.hsts_max_age_s",
    "tls.key",
    "urls.renewal_explanation",
    "urls.rate_limits",
    "urls.terms_of_service",
    "urls.terms_since",
    "urls.website",
];

/// The files that count anew at each reload, whatever their names are.
const BLOCKED_FILE: &str = "issuance.names_blocked_file";
const WEAK_KEY_LISTS: &str = "issuance.weak_key_lists";

/// The list of transparency logs, which counts anew likewise; naming another one needs a restart.
const LOG_LIST: &str = "transparency.log_list";

/// Reads and checks the configuration as the start did.
pub(crate) type Read = Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// Where the certificate of the https listeners comes from.
pub(crate) enum CertificateSource {
    /// The files that the configuration names, read again each time.
    Files,
    /// It was made at the start, and stays.
    Made,
    /// The CA itself, which renews it.
    Issued,
    /// Nothing is served over https.
    Nowhere,
}

/// Everything that a new configuration reaches.
pub(crate) struct Reloader {
    pub(crate) read: Read,
    pub(crate) certificate_source: CertificateSource,
    pub(crate) authority: Arc<Authority>,
    pub(crate) frontend: Arc<Frontend>,
    pub(crate) limits: Arc<SharedLimits>,
    pub(crate) certificate: Arc<ServedCertificate>,
    pub(crate) health: Health,
    pub(crate) transparency: Transparency,
    pub(crate) responder: Arc<Responder>,
    pub(crate) delegates: Arc<Delegates>,
    pub(crate) privacy: Arc<Privacy>,
    /// The issuers whose keys are loaded.
    pub(crate) issuers: Vec<IssuerName>,
    /// What is in force. Held for the whole of a reload, so that there is one at a time.
    pub(crate) current: Mutex<Config>,
}

impl Reloader {
    /// Tells those who watch when the certificate of the https listeners ends.
    pub(crate) fn watch_certificate(&self) {
        if let Some(leaf) = self.certificate.leaf() {
            self.health.watch_certificate("https", "acme", &leaf);
        }
    }

    /// Reads the configuration and puts in force what can be; `act` is the operator's who asked, if one did.
    ///
    /// # Errors
    /// What is wrong, each for itself; nothing was changed then.
    pub(crate) async fn reload(&self, act: Option<&Act>) -> Result<Reload, Vec<String>> {
        let mut current = self.current.lock().await;
        let read = (self.read)()
            .map_err(|error| error.to_string().lines().map(str::to_owned).collect::<Vec<_>>())?;
        let (in_force, mut reload) = merge(&current, &read)?;
        let wrong = in_force.mistakes(self.authority.clock().now());
        if !wrong.is_empty() {
            let why = "with what can be changed without a restart, the running configuration would be wrong: restart instead";
            return Err(std::iter::once(why.to_owned()).chain(wrong).collect());
        }
        let policy = policy_of(&in_force).await.map_err(|error| vec![error.to_string()])?;
        for profile in policy.catalog.iter() {
            if let Some(missing) = profile.issuers.all().find(|issuer| !self.issuers.contains(*issuer)) {
                return Err(vec![format!(
                    "profiles.{}.issuer is \"{missing}\", whose key is not loaded: issuers are made once, by `ingam init`",
                    profile.name
                )]);
            }
        }
        let certificate = match self.certificate_source {
            CertificateSource::Made | CertificateSource::Issued | CertificateSource::Nowhere => None,
            CertificateSource::Files => {
                let identity =
                    ServerIdentity::read(&in_force).map_err(|finding| vec![finding.to_string()])?;
                Some(Presentable::new(&identity).map_err(|error| vec![error.to_string()])?)
            }
        };
        let before = self.authority.policy();
        for (file, is_another) in [
            (BLOCKED_FILE, policy.restrictions.blocked != before.restrictions.blocked),
            (WEAK_KEY_LISTS, policy.weak_keys != before.weak_keys),
        ] {
            if is_another && !reload.changed.iter().any(|key| key == file) {
                reload.changed.push(file.to_owned());
            }
        }
        let is_another = certificate.as_ref().is_some_and(|new| !self.certificate.shows(new));
        if is_another && !reload.changed.iter().any(|key| key == "tls.certificate") {
            reload.changed.push("tls.certificate".to_owned());
        }
        let logs = self.transparency.read_again(&in_force, self.authority.clock().now()).await;
        let logs = logs.map_err(|error| vec![error])?;
        if logs.as_ref().is_some_and(|logs| self.transparency.is_another(logs)) {
            reload.changed.push(LOG_LIST.to_owned());
        }
        let offline = self.offline_of(&in_force).await.map_err(|error| vec![error.to_string()])?;
        if !offline.is_same(&self.responder.offline()) {
            reload.changed.push(PUBLISHED.to_owned());
        }
        let keys = delegates::keys(&in_force).map_err(|finding| vec![finding.to_string()])?;
        self.delegates.examine(&keys).map_err(|finding| vec![finding.to_string()])?;
        if !self.delegates.are(&keys) && !reload.changed.iter().any(|key| key == delegates::KEY) {
            reload.changed.push(delegates::KEY.to_owned());
        }
        // From here on only a failing disk can be in the way; the record comes first.
        let told = json!({ "changed": reload.changed, "needs_restart": reload.needs_restart });
        let unrecorded = |error: &dyn std::error::Error| vec![format!("nothing was changed: {error}")];
        self.authority.configuration_changed(act, &told).await.map_err(|error| unrecorded(&error))?;
        if let Some(certificate) = certificate {
            self.certificate.replace(certificate);
            self.watch_certificate();
        }
        self.transparency.replace_list(logs);
        self.delegates.replace(keys).map_err(|finding| vec![finding.to_string()])?;
        self.responder.replace_offline(offline);
        self.authority.policy_replace(policy);
        let page = self.privacy.replace(&in_force).await;
        self.frontend.config_replace(serve::frontend_config(&in_force, self.privacy.page()));
        self.limits.replace(serve::connection_limits(&in_force));
        if let Err(error) = page {
            return Err(vec![format!("all but the privacy page is in force: {error}")]);
        }
        if let Err(error) = self.authority.administrators_ensure(&in_force.operator.principals()).await {
            return Err(vec![format!("all but operator.administrators is in force: {error}")]);
        }
        tracing::info!(changed = ?reload.changed, needs_restart = ?reload.needs_restart, "the configuration was reloaded");
        *current = in_force;
        Ok(reload)
    }

    /// What CAs publish whose keys are offline, as it lies there now.
    async fn offline_of(&self, config: &Config) -> Result<OfflineFiles, StartError> {
        let (folder, issuers) = (config.state.join(PUBLISHED), self.issuers.clone());
        let reading = tokio::task::spawn_blocking(move || OfflineFiles::read(&folder, &issuers));
        let read = reading.await.map_err(|error| StartError::caused(PUBLISHED, &error))?;
        read.map_err(|error| StartError::new(error.to_string()))
    }
}

/// What the authority would go by. Lists in files may be long: they are read where threads may block.
async fn policy_of(config: &Config) -> Result<Policy, StartError> {
    let config = config.clone();
    let reading = tokio::task::spawn_blocking(move || serve::policy(&config));
    reading.await.map_err(|error| StartError::caused("the policy", &error))?
}

/// What will be in force: the running configuration with every reloadable key as it was just read.
fn merge(running: &Config, read: &Config) -> Result<(Config, Reload), Vec<String>> {
    let broken = |error: serde_json::Error| vec![format!("the configuration cannot be compared: {error}")];
    let mut merged = serde_json::to_value(running).map_err(broken)?;
    let new = serde_json::to_value(read).map_err(broken)?;
    let mut reload = Reload { changed: Vec::new(), needs_restart: Vec::new() };
    for key in differences(&merged, &new, "") {
        let reloadable = RELOADABLE.iter().any(|known| {
            key.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        if reloadable {
            put(&mut merged, &key, value_at(&new, &key).cloned());
            reload.changed.push(key);
        } else {
            reload.needs_restart.push(key);
        }
    }
    let config = serde_json::from_value(merged).map_err(broken)?;
    Ok((config, reload))
}

/// The dotted keys under which two values differ, down to the first difference that is no table.
fn differences(old: &Value, new: &Value, above: &str) -> Vec<String> {
    let (Value::Object(before), Value::Object(after)) = (old, new) else {
        return if old == new { Vec::new() } else { vec![above.to_owned()] };
    };
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let below = |key: &String| if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
    let look = |key: &String| {
        let (old, new) = (before.get(key).unwrap_or(&Value::Null), after.get(key).unwrap_or(&Value::Null));
        differences(old, new, &below(key))
    };
    keys.into_iter().flat_map(look).collect()
}

fn value_at<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    key.split('.').try_fold(value, |value, part| value.get(part))
}

fn put(value: &mut Value, key: &str, new: Option<Value>) {
    let (above, last) = key.rsplit_once('.').unwrap_or(("", key));
    let mut at = value;
    for part in above.split('.').filter(|part| !part.is_empty()) {
        let Some(below) = at.get_mut(part) else { return };
        at = below;
    }
    if let Value::Object(table) = at {
        match new {
            Some(new) => table.insert(last.to_owned(), new),
            None => table.remove(last),
        };
    }
}
