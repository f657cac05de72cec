//! Reports to the owners of domains whose CAA records refused a request (the `iodef` property; RFC 8659, section 4.4).
//!
//! ```text
//! CAA forbids ─▶ Report ─▶ Sent (once a day each, so many an hour) ─▶ https: POST over our own dialled socket
//!                                                                  └▶ mailto: through the operator's relay
//! ```
//!
//! Whoever owns a zone decides where its reports go, so reports are aimed by strangers: each destination gets few of them,
//! and https goes through the same address filter as validations do. What cannot be sent is counted and given up; a report
//! decides nothing.

mod destination;
mod document;
mod post;
mod sent;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ingam_protocol::{Clock, Findings, Timestamp};
use lettre::message::header::ContentType;
use lettre::message::{Attachment, Mailbox, Message, MultiPart, SinglePart};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::config::ConfigError;
use crate::dial::Networks;

pub(crate) use destination::Destination;
use sent::Sent;

/// How many reports are sent at once; what comes then is given up.
const AT_ONCE_MAX: usize = 8;

/// How long the relay may take to take a mail.
const RELAY_TIMEOUT: Duration = Duration::from_secs(10);

/// What an operator may say about reports: `validation.reports`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether reports go to https URLs. Default: `true`.
    pub https: bool,
    /// The operator's mail relay, as `HOST:PORT`: SMTP without TLS or password, so one on this machine or in its own
    /// network. Without it no mail is sent. Default: none.
    pub mail_relay: Option<String>,
    /// The address that mails come from; with `mail_relay`. Default: none.
    pub mail_from: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { https: true, mail_relay: None, mail_from: None }
    }
}

impl Config {
    /// Looks at every value.
    pub(crate) fn check(&self, found: &mut Findings) {
        let relay = self.mail_relay.as_deref();
        if let Some(text) = relay.filter(|text| relay_parts(text).is_none()) {
            found.error(
                "reports.mail_relay",
                format!("is {text:?}"),
                "give HOST:PORT, as in \"127.0.0.1:25\"",
            );
        }
        match (relay, self.mail_from.as_deref()) {
            (Some(_), None) => {
                let fix = "give the address that mails come from";
                found.error("reports.mail_from", "is missing, and reports.mail_relay is there", fix);
            }
            (_, Some(from)) if from.parse::<Mailbox>().is_err() => {
                let fix = "give an address, as in \"caa@ca.example\"";
                found.error("reports.mail_from", format!("is {from:?}, which is no mail address"), fix);
            }
            _ => {}
        }
    }
}

fn relay_parts(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((host, port.parse().ok().filter(|port| *port != 0)?)).filter(|(host, _)| !host.is_empty())
}

/// A request that CAA records refused, for the eyes of whoever wrote these records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The domain that has the records.
    pub(crate) domain: String,
    /// What was asked for: the name, or `*.name`.
    pub(crate) identifier: String,
    /// Why it was refused: the words that the requester saw.
    pub(crate) reason: String,
    /// By which domain name CAA records mean this CA.
    pub(crate) issuer: String,
    /// Where the records want the report.
    pub(crate) destinations: Vec<Destination>,
}

/// Takes reports, and waits for nothing.
pub trait Reports: Send + Sync {
    /// Sends the report if it may be sent.
    fn submit(&self, report: Report);
}

/// Sends reports.
pub struct Reporter {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    networks: Networks,
    mailer: Option<Mailer>,

    https: bool,

    sent: Mutex<Sent>,
    places: Arc<Semaphore>,
}

/// The relay, and who mails come from.
struct Mailer {
    relay: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Reporter {
    /// A reporter that looks at the network as validations of this configuration do.
    ///
    /// # Errors
    /// [`ConfigError`] names the key that cannot be worked with.
    pub fn new(config: crate::Config, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        config.check().into_result().map_err(|finding| ConfigError::new(finding.to_string()))?;
        let https = config.reports.https;
        let mailer = Mailer::new(&config.reports)?;
        Ok(Self {
            shared: Arc::new(Shared {
                clock,
                networks: Networks::new(config)?,
                mailer,
                https,
                sent: Mutex::default(),
                places: Arc::new(Semaphore::new(AT_ONCE_MAX)),
            }),
        })
    }
}

impl Reports for Reporter {
    /// Has to be called within a Tokio runtime.
    fn submit(&self, report: Report) {
        let shared = &self.shared;
        let now = shared.clock.now();
        for destination in &report.destinations {
            let (channel, can) = match destination {
                Destination::Https(_) => ("https", shared.https),
                Destination::Mail(_) => ("mail", shared.mailer.is_some()),
            };
            if !can {
                count(channel, "off");
                continue;
            }
            let mut sent = shared.sent.lock().unwrap_or_else(PoisonError::into_inner);
            if !sent.admit(&report.identifier, destination, now) {
                count(channel, "held_back");
                continue;
            }
            drop(sent);
            let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else {
                count(channel, "dropped");
                continue;
            };
            let (shared, report, destination) = (Arc::clone(shared), report.clone(), destination.clone());
            tokio::spawn(async move {
                let result = shared.send(&report, &destination, now).await;
                count(channel, if result.is_ok() { "sent" } else { "failed" });
                let (domain, identifier) = (&report.domain, &report.identifier);
                match result {
                    Ok(()) => tracing::info!(domain, identifier, %destination, "a CAA report was sent"),
                    Err(why) => {
                        tracing::info!(domain, identifier, %destination, why, "a CAA report could not be sent");
                    }
                }
                drop(place);
            });
        }
    }
}

fn count(channel: &'static str, result: &'static str) {
    metrics::counter!("ingam_caa_reports_total", "channel" => channel, "result" => result).increment(1);
}

impl Shared {
    async fn send(&self, report: &Report, destination: &Destination, now: Timestamp) -> Result<(), String> {
        let document = document::iodef(report, now);
        match (destination, &self.mailer) {
            (Destination::Https(url), _) => post::post(&self.networks.fresh().await, url, document).await,
            (Destination::Mail(to), Some(mailer)) => mailer.send(report, to.clone(), document, now).await,
            (Destination::Mail(_), None) => Err("there is no relay".to_owned()),
        }
    }
}

impl Mailer {
    /// None without a relay.
    fn new(config: &Config) -> Result<Option<Self>, ConfigError> {
        let (Some(relay), Some(from)) = (config.mail_relay.as_deref(), config.mail_from.as_deref()) else {
            return Ok(None);
        };
        let unusable = |key: &str| ConfigError::new(format!("reports.{key} cannot be used"));
        let (host, port) = relay_parts(relay).ok_or_else(|| unusable("mail_relay"))?;
        let from = from.parse().map_err(|_| unusable("mail_from"))?;
        // "Dangerous" because it does not encrypt: what it says is public in the DNS, but for the fact that somebody asked.
        let relay = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(port)
            .timeout(Some(RELAY_TIMEOUT))
            .build();
        Ok(Some(Self { relay, from }))
    }

    async fn send(
        &self,
        report: &Report,
        to: Mailbox,
        document: String,
        now: Timestamp,
    ) -> Result<(), String> {
        let failed = |error: &dyn std::error::Error| format!("the mail could not be made: {error}");
        let text = SinglePart::plain(document::letter(report, now));
        let xml = ContentType::parse("application/xml; charset=utf-8").map_err(|error| failed(&error))?;
        let attached = Attachment::new("report.xml".to_owned()).body(document, xml);
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(format!("A certificate for {} was asked for and refused", report.identifier))
            .date(std::time::UNIX_EPOCH + Duration::from_secs(now.unix_s()))
            .header(AutoSubmitted)
            .multipart(MultiPart::mixed().singlepart(text).singlepart(attached))
            .map_err(|error| failed(&error))?;
        let taken = self.relay.send(message).await;
        taken.map(drop).map_err(|error| format!("the relay did not take the mail: {error}"))
    }
}

/// Says that no person wrote the mail, so that nothing answers it (RFC 3834, section 5).
#[derive(Clone)]
struct AutoSubmitted;

impl lettre::message::header::Header for AutoSubmitted {
    fn name() -> lettre::message::header::HeaderName {
        lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> lettre::message::header::HeaderValue {
        lettre::message::header::HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[cfg(test)]
mod tests;
