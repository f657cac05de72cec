//! The operator's hand: the admin API, the roles that it goes by, and its client on the command line.
//!
//! ```text
//! listener (who is it?) ─▶ around (name, headers) ─▶ route ─▶ admission (role, reason) ─▶ authority (act and record)
//!                                                                  └─▶ a second person, where the act is dangerous
//! ```
//!
//! - [`acts`]: which act needs which role: one table.
//! - [`api`]: what goes over the wire. `routes`: where, described by OpenAPI that is made from them.
//! - `admission`: from a caller to an act that may be done; every refusal is on record. `deeds`: acts that can need two
//!   people.
//! - `page`: the status page, for people with a browser.
//! - The API has no database of its own: everything it knows and does, it asks the authority for, the log of OCSP
//!   requests, which the authority knows nothing of, and the sweep.

pub mod acts;
mod admission;
pub mod api;
mod around;
pub mod client;
pub mod command;
mod deeds;
mod extract;
mod page;
mod problem;
mod routes;
mod view;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use bytes::Bytes;
use ingam_authority::Authority;
use ingam_authority::operator::Act;
use ingam_protocol::Timestamp;
use ingam_protocol::bytes::hex;
use ingam_protocol::time::{Random, random_array};
use ingam_responder::request_log::RequestLog;
use ingam_retention::Retention;
use tokio::sync::Semaphore;

pub use around::Peer;

use acts::Danger;
use api::{BackupMade, Reload};

/// How many clients may follow the log at once.
const FOLLOWERS_MAX: usize = 16;
/// How many searches that read much may run at once; more wait.
const SEARCHES_MAX: usize = 2;

/// What the admin API asks of the process around it.
#[async_trait]
pub trait Host: Send + Sync {
    /// How each part fares: JSON of the health report.
    async fn status(&self) -> serde_json::Value;

    /// Whether everything is ready, and the same report.
    async fn is_ready(&self) -> bool;

    /// What went wrong in this process lately, newest first, a bounded list; empty where nobody keeps it.
    fn last_errors(&self) -> Vec<LastError> {
        Vec::new()
    }

    /// Reads the configuration again and puts in force what can be, with a record of `act`. With a mistake in it nothing
    /// is changed.
    ///
    /// # Errors
    /// What is wrong, each for itself.
    async fn reload(&self, act: &Act) -> Result<Reload, Vec<String>>;

    /// Makes a backup in a folder of this machine, and lets those go that are older than so many days, with a record of `act`.
    ///
    /// # Errors
    /// What stands against it, and what to do.
    async fn backup(&self, act: &Act, to: &str, keep_days: Option<u32>) -> Result<BackupMade, String> {
        let _ = (act, to, keep_days);
        Err("this process has nothing to make a backup of".to_owned())
    }

    /// The OCSPResponse (DER) to a request (DER), as whoever asks the responder gets it.
    async fn ocsp_answer(&self, request: &[u8]) -> Bytes;

    /// The paths of all files that the responder publishes beside OCSP: CRLs and certificates of CAs, each with a slash in
    /// front; below what is in front of that path in URLs.
    async fn published_paths(&self) -> PublishedPaths;

    /// One of these files, as it is given out now; `None` if there is none at this path, or not for the moment.
    async fn published(&self, path: &str) -> Option<PublishedFile>;

    /// Takes a checkpoint of the log of records that witnesses have cosigned; gives their names.
    ///
    /// # Errors
    /// [`NotTaken`] says why it is not taken.
    async fn checkpoint_cosign(&self, _note: &str) -> Result<Vec<String>, NotTaken> {
        Err(NotTaken::Failed("this process keeps no log of records".to_owned()))
    }

    /// Comes back when the process is told to stop.
    async fn stopped(&self);
}

/// Why a cosigned checkpoint is not taken, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// Something is wrong with it.
    Refused(String),
    /// It cannot be kept now.
    Failed(String),
}

/// Where a responder publishes files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishedPaths {
    /// The path of the base of all its URLs, without a slash at the end: empty unless `urls.publication` has one.
    pub base: String,
    /// The path of each file.
    pub paths: Vec<String>,
}

/// A file that a responder publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedFile {
    /// Its bytes.
    pub body: Bytes,
    /// Its media type.
    pub content_type: String,
}

/// Something that went wrong in the process, once or several times. It is shown to every operator, so it has nothing of
/// a person: no address, no name of a certificate, no cause in a library's words. The log has these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// How bad it is.
    pub severity: Severity,
    /// The short name of its kind, where it has one.
    pub code: Option<String>,
    /// The part of the program: `ingam_store::committer`.
    pub part: String,
    /// What happened, in words that the program has for it.
    pub message: String,
    /// How often since the process started.
    pub count: u64,
    /// When it happened last.
    pub last: Timestamp,
    /// The request in which it happened last; `None` if it was in none.
    pub request_id: Option<String>,
}

/// How bad something is that went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Work goes on.
    Warning,
    /// Something was not done.
    Error,
}

/// What the admin API is an API to.
pub struct Parts {
    /// Everything that is decided.
    pub authority: Arc<Authority>,
    /// The log of OCSP requests, which the authority knows nothing of.
    pub request_log: Arc<RequestLog>,
    /// The sweep, and the schedule that it keeps.
    pub retention: Arc<Retention>,
    /// The process around it.
    pub host: Arc<dyn Host>,
    /// Names of requests.
    pub random: Arc<dyn Random>,
}

/// The admin API.
pub struct Operator {
    authority: Arc<Authority>,
    request_log: Arc<RequestLog>,
    retention: Arc<Retention>,
    host: Arc<dyn Host>,
    random: Arc<dyn Random>,

    two_people: BTreeSet<Danger>,

    followers: Arc<Semaphore>,
    searches: Arc<Semaphore>,
}

impl Operator {
    /// An API to these parts. The acts of `two_people` need a second person.
    pub fn new(parts: Parts, two_people: BTreeSet<Danger>) -> Arc<Self> {
        let Parts { authority, request_log, retention, host, random } = parts;
        let followers = Arc::new(Semaphore::new(FOLLOWERS_MAX));
        let searches = Arc::new(Semaphore::new(SEARCHES_MAX));
        Arc::new(Self { authority, request_log, retention, host, random, two_people, followers, searches })
    }

    /// The routes, as a service for connections. Each request has to carry a [`Peer`].
    pub fn router(self: Arc<Self>) -> Router {
        routes::router(self)
    }

    fn request_id(&self) -> String {
        hex(&random_array::<8>(self.random.as_ref()))
    }
}

/// The OpenAPI document of the admin API, as JSON.
pub fn openapi() -> String {
    routes::document().to_pretty_json().unwrap_or_default()
}
