//! The list of logs, in the form of Chrome's (version 3 of its JSON), which operators keep as a file.
//!
//! Members that are not needed here are passed over: the list is made by others, who may add to it. What is used of it is
//! checked: a log's name has to be the one of its key.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ingam_protocol::Timestamp;
use ingam_protocol::transparency::{LogId, LogKey};
use serde::{Deserialize, Serialize};

use crate::Error;

/// No list is larger; Chrome's has some hundred kilobytes.
pub const BYTES_MAX: u64 = 4 << 20;

/// The most logs of a list.
const LOGS_MAX: usize = 1024;

/// How long a log's description may be: it is a label of metrics.
const DESCRIPTION_MAX: usize = 80;

/// What browsers think of a log (Chrome's "CT Log Lifecycle"), as far as a CA may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// SCTs of it count, in browsers that are new enough to know it.
    Qualified,
    /// SCTs of it count.
    Usable,
}

/// How a log is read; all are written to in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By RFC 6962, section 4.
    Rfc6962,
    /// By static-ct-api: its SCTs say at which place of the log the entry is.
    Static,
}

/// A log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Its description in the list.
    pub description: String,
    /// Who runs it.
    pub operator: String,
    /// Its key, and so its name.
    pub key: LogKey,
    /// Where certificates are submitted, without a slash at the end.
    pub url: String,
    /// How it is read.
    pub kind: Kind,
    /// What browsers think of it.
    pub state: State,
    /// Of which certificates it takes: those that end at the first moment or after it, and before the second.
    pub interval: Option<[Timestamp; 2]>,
}

impl Log {
    /// Whether it takes certificates whose last second is this one.
    pub fn takes(&self, not_after: Timestamp) -> bool {
        self.interval.is_none_or(|[first, end]| first <= not_after && not_after < end)
    }
}

/// Logs that may be asked, and when the list was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogList {
    /// When the list was made.
    pub made_at: Timestamp,
    /// Those logs of it that are qualified or usable.
    pub logs: Vec<Log>,
}

impl LogList {
    /// Reads the file. It blocks: not for a thread of the runtime.
    ///
    /// # Errors
    /// [`Error::Config`] if it cannot be read, as [`LogList::parse`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let unusable = |why: String| {
            Error::Config(format!(
                "the list of transparency logs {} cannot be used: {why}; get Chrome's list (log_list.json, version 3) anew, \
                 as docs/operations/transparency.md says",
                path.display()
            ))
        };
        let mut text = Vec::new();
        let file = File::open(path).map_err(|error| unusable(error.to_string()))?;
        file.take(BYTES_MAX + 1).read_to_end(&mut text).map_err(|error| unusable(error.to_string()))?;
        Self::parse(&text).map_err(unusable)
    }

    /// Reads the JSON of a list.
    ///
    /// # Errors
    /// In words, if it is no such list, or if a log of it contradicts itself. Logs in states in which nobody submits to them
    /// are not looked at.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > BYTES_MAX {
            return Err(format!("it has more than {BYTES_MAX} bytes"));
        }
        let file: FileForm =
            serde_json::from_slice(text).map_err(|error| format!("it is no such list: {error}"))?;
        let made_at = Timestamp::from_rfc3339(&file.log_list_timestamp)
            .ok_or_else(|| "log_list_timestamp is no moment of RFC 3339".to_owned())?;
        let mut logs: Vec<Log> = Vec::new();
        for operator in file.operators {
            let dynamic = operator.logs.into_iter().map(|log| (Kind::Rfc6962, log));
            let tiled = operator.tiled_logs.into_iter().map(|log| (Kind::Static, log));
            for (kind, form) in dynamic.chain(tiled) {
                let Some(log) = form.read(kind, &operator.name)? else { continue };
                if let Some(twin) = logs.iter().find(|other| other.key.id() == log.key.id()) {
                    return Err(format!("{} and {} have one key", twin.description, log.description));
                }
                if logs.len() == LOGS_MAX {
                    return Err(format!("it has more than {LOGS_MAX} logs"));
                }
                logs.push(log);
            }
        }
        Ok(Self { made_at, logs })
    }

    /// The log with this name.
    pub fn by_id(&self, id: LogId) -> Option<&Log> {
        self.logs.iter().find(|log| log.key.id() == id)
    }
}

#[derive(Deserialize)]
struct FileForm {
    log_list_timestamp: String,
    operators: Vec<OperatorForm>,
}

#[derive(Deserialize)]
struct OperatorForm {
    name: String,
    #[serde(default)]
    logs: Vec<LogForm>,
    #[serde(default)]
    tiled_logs: Vec<LogForm>,
}

#[derive(Deserialize)]
struct LogForm {
    #[serde(default)]
    description: String,
    log_id: String,
    key: String,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    submission_url: Option<String>,
    #[serde(default)]
    state: Option<StateForm>,
    #[serde(default)]
    temporal_interval: Option<IntervalForm>,
    /// `prod` or `test`; the latter are never for certificates that are to be trusted.
    #[serde(default)]
    log_type: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StateForm {
    usable: Option<serde::de::IgnoredAny>,
    qualified: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct IntervalForm {
    start_inclusive: String,
    end_exclusive: String,
}

impl LogForm {
    /// The log, unless nobody submits to it in its state.
    fn read(self, kind: Kind, operator: &str) -> Result<Option<Log>, String> {
        let state = match self.state.unwrap_or_default() {
            StateForm { usable: Some(_), .. } => State::Usable,
            StateForm { qualified: Some(_), .. } => State::Qualified,
            _ => return Ok(None),
        };
        if self.log_type.as_deref().is_some_and(|kind| kind != "prod") {
            return Ok(None);
        }
        let description: String =
            self.description.chars().filter(|one| !one.is_control()).take(DESCRIPTION_MAX).collect();
        let name = if description.is_empty() { self.log_id.clone() } else { description };
        let spki = STANDARD.decode(&self.key).map_err(|_| format!("the key of {name} is no base64"))?;
        let key = LogKey::from_spki(&spki).map_err(|error| format!("{name}: {error}"))?;
        if LogId::from_base64(&self.log_id) != Some(key.id()) {
            return Err(format!("log_id of {name} is not the SHA-256 of its key, which is {}", key.id()));
        }
        let url = match kind {
            Kind::Rfc6962 => self.url,
            Kind::Static => self.submission_url,
        };
        let url = url.ok_or_else(|| format!("{name} has no URL to submit to"))?;
        let url = submission_url(&url).ok_or_else(|| format!("{url}, the URL of {name}, is not https"))?;
        let interval = self.temporal_interval.map(|form| {
            let moment = |text: &str| Timestamp::from_rfc3339(text);
            let ends = (moment(&form.start_inclusive), moment(&form.end_exclusive));
            let (Some(first), Some(end)) = ends else {
                return Err(format!("temporal_interval of {name} has no moments of RFC 3339"));
            };
            Ok([first, end])
        });
        let operator = operator.to_owned();
        Ok(Some(Log { description: name, operator, key, url, kind, state, interval: interval.transpose()? }))
    }
}

/// The URL without a slash at the end: https, or http to this machine, where tests have their logs.
fn submission_url(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok()?;
    let is_here = match url.host()? {
        url::Host::Domain(name) => name == "localhost",
        url::Host::Ipv4(address) => address.is_loopback(),
        url::Host::Ipv6(address) => address.is_loopback(),
    };
    let is_known = url.scheme() == "https" || (url.scheme() == "http" && is_here);
    let is_bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    (is_known && is_bare).then(|| url.as_str().trim_end_matches('/').to_owned())
}
