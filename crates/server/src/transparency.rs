//! Certificate transparency of a process: the logs that it asks, and in development those that it runs for tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::finding::Level;
use ingam_protocol::{Findings, Timestamp};
use ingam_signer::Issuer;
use ingam_transparency::local_log::LocalLogs;
use ingam_transparency::{LogList, TransparencyService};

use crate::config::{Config, ProfileConfig};
use crate::serve::{Sources, StartError};

/// What there is of it; nothing at all where no list is configured.
#[derive(Clone, Default)]
pub(crate) struct Transparency {
    /// Asks logs.
    pub(crate) service: Option<Arc<TransparencyService>>,
    /// The logs for tests, to be served.
    pub(crate) logs: Option<Arc<LocalLogs>>,
}

impl Transparency {
    /// Reads the list, or makes the logs for tests, and what asks them.
    pub(crate) fn build(config: &Config, issuers: &[Issuer], sources: &Sources) -> Result<Self, StartError> {
        let failed = |error: ingam_transparency::Error| StartError::new(format!("transparency: {error}"));
        let mut roots: Vec<Vec<u8>> = issuers.iter().map(|issuer| issuer.root.clone()).collect();
        roots.sort_unstable();
        roots.dedup();
        let local = config.listen.ct_log.first().map(|address| {
            let url = format!("http://{}", reachable(*address));
            LocalLogs::three(&url, &roots, &sources.clock).map(Arc::new)
        });
        let logs = local.transpose().map_err(failed)?;
        let list = match (&config.transparency.log_list, &logs) {
            (Some(_), _) => {
                let (list, wrong) = read(config, sources.clock.now()).map_err(StartError::new)?;
                // Status has to be given out whatever the list is: orders that need it wait.
                for finding in wrong {
                    tracing::error!(finding, "the list of transparency logs is taken as it is");
                }
                Some(list)
            }
            (None, Some(logs)) => Some(logs.list().map_err(failed)?),
            (None, None) => None,
        };
        let Sources { clock, random } = sources;
        let service = list.map(|list| {
            TransparencyService::with_list(config.transparency.clone(), list, clock.clone(), random.clone())
        });
        Ok(Self { service: service.transpose().map_err(failed)?, logs })
    }

    /// Reads the configured list again; nothing where none is configured.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) async fn read_again(
        &self,
        config: &Config,
        now: Timestamp,
    ) -> Result<Option<LogList>, String> {
        if self.service.is_none() || config.transparency.log_list.is_none() {
            return Ok(None);
        }
        let config = config.clone();
        let reading = tokio::task::spawn_blocking(move || read(&config, now));
        let (list, wrong) = reading.await.map_err(|error| format!("transparency.log_list: {error}"))??;
        match wrong.into_iter().next() {
            // That the one in force has grown old keeps nothing else from being put in force.
            Some(wrong) if self.is_another(&list) => Err(wrong),
            _ => Ok(Some(list)),
        }
    }

    /// Whether this is another list than the one in force.
    pub(crate) fn is_another(&self, list: &LogList) -> bool {
        self.service.as_ref().is_some_and(|service| *service.list() != *list)
    }

    /// Puts a list in force.
    pub(crate) fn replace_list(&self, list: Option<LogList>) {
        if let (Some(service), Some(list)) = (&self.service, list) {
            service.replace_list(list);
        }
    }
}

/// Where this machine reaches an address that it listens at.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => ([0, 0, 0, 0, 0, 0, 0, 1_u16], v6.port()).into(),
        other => other,
    }
}

/// Reads the configured list, and holds it against the configuration: what is wrong with it comes beside it. It blocks.
fn read(config: &Config, now: Timestamp) -> Result<(LogList, Vec<String>), String> {
    let path =
        config.transparency.log_list.as_deref().ok_or("transparency.log_list is missing: name a file")?;
    let list = LogList::read(path).map_err(|error| format!("transparency.log_list: {error}"))?;
    let found = config.transparency.check_list(&list, now, &profiles(config));
    let errors = found.iter().filter(|finding| finding.level == Level::Error);
    let wrong = errors.map(|finding| format!("transparency.{finding}")).collect();
    Ok((list, wrong))
}

/// The profiles whose certificates go to logs, with their validity.
fn profiles(config: &Config) -> Vec<(String, Duration)> {
    let is_logged = |profile: &ProfileConfig| {
        profile.transparency(config.environment) == ingam_protocol::profile::Transparency::Required
    };
    let logged = config.profiles.iter().filter(|(_, profile)| is_logged(profile));
    logged.map(|(name, profile)| (name.clone(), Duration::from_secs(profile.validity_s))).collect()
}

/// What is wrong with the list that the configuration names.
pub(crate) fn check(config: &Config, now: Timestamp, found: &mut Findings) {
    let Some(path) = config.transparency.log_list.as_deref().filter(|_| found.is_whole("transparency"))
    else {
        return;
    };
    match LogList::read(path) {
        Ok(list) => {
            let profiles = if found.is_whole("profiles") { profiles(config) } else { Vec::new() };
            found.below("transparency", config.transparency.check_list(&list, now, &profiles));
        }
        Err(error) => {
            let fix = "put the file right, or leave the key out: then no log is asked";
            found.error("transparency.log_list", error.to_string(), fix);
        }
    }
}
