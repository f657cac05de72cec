//! Several logs at one place, and the way to them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ingam_protocol::Timestamp;
use ingam_protocol::time::Clock;
use serde_json::{Value, json};

use super::reply::{Reaction, Reply, json_reply, text};
use super::{LocalLog, LogSettings, Manner};
use crate::list::Kind;
use crate::network::{Answer, Network};
use crate::{Error, LogList};

/// The longest delay that a log may be told to have.
const DELAY_MS_MAX: u64 = 120_000;

/// From 2020 to 2100: tests turn their clocks far.
const INTERVAL: [Timestamp; 2] =
    [Timestamp::from_unix_s(1_577_836_800), Timestamp::from_unix_s(4_102_444_800)];

/// Logs below one URL, each at its name.
pub struct LocalLogs {
    clock: Arc<dyn Clock>,
    /// Without a slash at the end, as `http://127.0.0.1:8056`.
    url: String,
    logs: Vec<LocalLog>,
}

impl LocalLogs {
    /// Three logs: `a` and `c` of the operator Aaron, `b` of Berta; `c` by static-ct-api. They take what is issued below
    /// these roots (DER).
    ///
    /// # Errors
    /// [`Error::Config`] if no keys can be made.
    pub fn three(url: &str, roots: &[Vec<u8>], clock: &Arc<dyn Clock>) -> Result<Self, Error> {
        let settings =
            [("a", "Aaron", Kind::Rfc6962), ("b", "Berta", Kind::Rfc6962), ("c", "Aaron", Kind::Static)];
        let settings = settings.map(|(name, operator, kind)| LogSettings {
            name: name.to_owned(),
            operator: operator.to_owned(),
            kind,
            interval: INTERVAL,
        });
        Self::new(url, settings.into(), roots, clock)
    }

    /// Logs as they are described.
    ///
    /// # Errors
    /// [`Error::Config`] if no keys can be made.
    pub fn new(
        url: &str,
        settings: Vec<LogSettings>,
        roots: &[Vec<u8>],
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let logs = settings.into_iter().map(|one| LocalLog::new(one, roots.to_vec(), clock.clone()));
        let logs: Result<Vec<LocalLog>, Error> = logs.collect();
        Ok(Self { clock: clock.clone(), url: url.trim_end_matches('/').to_owned(), logs: logs? })
    }

    /// The log with this name.
    pub fn log(&self, name: &str) -> Option<&LocalLog> {
        self.logs.iter().find(|log| log.settings.name == name)
    }

    /// All of them.
    pub fn logs(&self) -> &[LocalLog] {
        &self.logs
    }

    /// Chrome's list of logs, version 3 of its JSON, of these: made just now.
    pub fn list_json(&self) -> Value {
        let mut operators: Vec<&str> = self.logs.iter().map(|log| log.settings.operator.as_str()).collect();
        operators.sort_unstable();
        operators.dedup();
        let now = self.clock.now().to_rfc3339();
        let of = |operator: &str, kind: Kind| -> Vec<Value> {
            let logs = self.logs.iter();
            let logs = logs.filter(|log| log.settings.operator == operator && log.settings.kind == kind);
            logs.map(|log| self.list_entry(log)).collect()
        };
        let operators = operators.iter().map(|operator| {
            json!({
                "name": operator,
                "email": [format!("{}@ct.example", operator.to_lowercase())],
                "logs": of(operator, Kind::Rfc6962),
                "tiled_logs": of(operator, Kind::Static),
            })
        });
        json!({
            "version": "1.0",
            "log_list_timestamp": now,
            "operators": operators.collect::<Vec<_>>(),
        })
    }

    fn list_entry(&self, log: &LocalLog) -> Value {
        let [first, end] = log.settings.interval;
        let url = format!("{}/{}/", self.url, log.settings.name);
        // Each kind has members that are null for the other, which readers take for missing ones.
        let is_static = log.settings.kind == Kind::Static;
        json!({
            "description": format!("Test log {}", log.settings.name),
            "log_id": log.key.id().to_string(),
            "key": STANDARD.encode(log.key.spki()),
            "url": (!is_static).then_some(&url),
            "submission_url": is_static.then_some(&url),
            "monitoring_url": is_static.then_some(&url),
            "mmd": 60,
            "state": { "usable": { "timestamp": first.to_rfc3339() } },
            "temporal_interval": { "start_inclusive": first.to_rfc3339(), "end_exclusive": end.to_rfc3339() },
        })
    }

    /// The same list, read.
    ///
    /// # Errors
    /// [`Error::Config`] if the URL is none that a list may have.
    pub fn list(&self) -> Result<LogList, Error> {
        LogList::parse(self.list_json().to_string().as_bytes()).map_err(Error::Config)
    }

    /// The keys as OpenSSL's `CTLOG_FILE` wants them.
    pub fn openssl_list(&self) -> String {
        let names: Vec<&str> = self.logs.iter().map(|log| log.settings.name.as_str()).collect();
        let mut text = format!("enabled_logs={}\n", names.join(","));
        for log in &self.logs {
            let (name, key) = (&log.settings.name, STANDARD.encode(log.key.spki()));
            // Writing to a string does not fail.
            let _ = write!(text, "\n[{name}]\ndescription = Test log {name}\nkey = {key}\n");
        }
        text
    }

    /// Answers a request: `/log-list.json`, `/openssl.cnf`, `/set-manner`, and below each log's name what that log has. A log
    /// that is slow takes its time here.
    pub async fn answer(&self, is_post: bool, path: &str, query: &str, body: &[u8]) -> Reaction {
        match (is_post, path) {
            (false, "/log-list.json") => return Reaction::Reply(json_reply(&self.list_json())),
            (false, "/openssl.cnf") => {
                let body = self.openssl_list().into_bytes();
                return Reaction::Reply(Reply {
                    status: 200,
                    content_type: "text/plain; charset=utf-8",
                    body,
                });
            }
            (true, "/set-manner") => return Reaction::Reply(self.set_manner(body)),
            _ => {}
        }
        let (name, rest) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
        let Some(log) = self.log(name) else {
            return Reaction::Reply(text(404, "there is no such log: /log-list.json has all of them"));
        };
        let manner = log.manner();
        tokio::time::sleep(Duration::from_millis(manner.delay_ms)).await;
        let is_precertificate = match (is_post, rest) {
            (true, "ct/v1/add-pre-chain") => true,
            (true, "ct/v1/add-chain") => false,
            (false, _) => {
                let origin = self.url.split_once("://").map_or(self.url.as_str(), |(_, after)| after);
                return Reaction::Reply(log.show(&format!("/{rest}"), query, &format!("{origin}/{name}")));
            }
            _ => return Reaction::Reply(text(404, "this log takes nothing there")),
        };
        manner.mood.instead().unwrap_or_else(|| Reaction::Reply(log.add(body, is_precertificate)))
    }

    /// `{"log": "a", "mood": "fails", "delay_ms": 0}`.
    fn set_manner(&self, body: &[u8]) -> Reply {
        #[derive(serde::Deserialize)]
        struct Form {
            log: String,
            #[serde(flatten)]
            manner: Manner,
        }
        let form: Form = match serde_json::from_slice(body) {
            Ok(form) => form,
            Err(error) => {
                return text(400, &format!("the body is not {{\"log\", \"mood\", \"delay_ms\"}}: {error}"));
            }
        };
        match self.log(&form.log) {
            None => text(404, "there is no such log"),
            Some(_) if form.manner.delay_ms > DELAY_MS_MAX => text(400, "delay_ms is too long"),
            Some(log) => {
                log.set_manner(form.manner);
                json_reply(&json!(form.manner))
            }
        }
    }
}

/// The way to these logs without a socket, for tests of others.
#[async_trait]
impl Network for LocalLogs {
    async fn post(&self, url: &str, body: Bytes) -> Result<Answer, String> {
        let path = url.strip_prefix(&self.url).ok_or("there is nobody at this address")?;
        match self.answer(true, path, "", &body).await {
            Reaction::Reply(Reply { status, body, .. }) => Ok(Answer { status, body }),
            Reaction::Close => Err("the connection ended without an answer".to_owned()),
        }
    }
}
