//! The caller's side: a [`Signer`] that asks another process.
//!
//! One HTTP/2 connection carries all requests at once; when it ends, the next request makes another. What is known of the
//! signer (its issuers, until when its delegates are good) is asked anew with each connection and at each renewal.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes as Body;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ingam_protocol::profile::{IssuerName, Profile};
use ingam_protocol::{Serial, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};

use super::wire::{
    AdoptMessage, BODY_BYTES_MAX, CrlMessage, ErrorMessage, FactsMessage, FinishMessage, NamedProfile,
    OcspMessage, PrepareMessage, PreparedMessage, ReadyMessage, SignedMessage,
};
use crate::{
    CertificateRequest, CrlContents, DelegateCertificate, Error, FinalRequest, Issuer, OcspAnswer, Prepared,
    Signer,
};

/// How long getting to the signer may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// For how long nobody tries after there was no way to the signer: those who wait behind one that waited in vain need not.
const DIAL_PAUSE: Duration = Duration::from_millis(500);

/// How long the signing of a CRL may take at least.
const CRL_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection to the signer's process.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The way to the signer's process; the socket, and who is at its other end, are its affair.
#[async_trait]
pub trait Dial: Send + Sync {
    /// A new connection.
    ///
    /// # Errors
    /// Whatever keeps it from being made.
    async fn dial(&self) -> io::Result<Box<dyn Stream>>;
}

type Sender = SendRequest<Full<Body>>;

/// A signer in another process.
pub struct RemoteSigner {
    dial: Arc<dyn Dial>,
    /// How long an answer may take.
    timeout: Duration,
    issuers: Vec<Issuer>,
    facts: RwLock<FactsMessage>,
    /// The delegates that were given to somebody already.
    told: Mutex<BTreeSet<Serial>>,
    connection: tokio::sync::Mutex<Connection>,
}

/// The connection that there is, or when none could be made.
#[derive(Default)]
struct Connection {
    sender: Option<Sender>,
    failed: Option<(tokio::time::Instant, String)>,
}

/// Why there is no answer.
enum Unanswered {
    /// Nothing was sent.
    Unsent(String),
    /// Whether it was done is not known.
    Unknown(String),
    /// The signer is there, and does not let this caller in.
    Refused(String),
}

impl From<Unanswered> for Error {
    /// For what can be asked again without harm. A signer that does not let its caller in any more counts as away until
    /// somebody has put that right.
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Unsent(why) | Unanswered::Unknown(why) | Unanswered::Refused(why) => Self::Away(why),
        }
    }
}

impl RemoteSigner {
    /// Goes to the signer and learns who its issuers are. They stay what they are until the next start here.
    ///
    /// # Errors
    /// [`Error::Away`] if it cannot be reached, [`Error::Refused`] if it does not let this caller in.
    pub async fn connect(dial: Arc<dyn Dial>, timeout: Duration) -> Result<Self, Error> {
        let mut signer = Self {
            dial,
            timeout,
            issuers: Vec::new(),
            facts: RwLock::new(FactsMessage {
                issuers: Vec::new(),
                delegates: Vec::new(),
                apart: Vec::new(),
            }),
            told: Mutex::default(),
            connection: tokio::sync::Mutex::default(),
        };
        signer.sender().await.map_err(|unanswered| match unanswered {
            Unanswered::Refused(why) => Error::Refused(why),
            other => other.into(),
        })?;
        let issuers = signer.facts().issuers.iter().cloned().map(Issuer::from).collect();
        signer.issuers = issuers;
        Ok(signer)
    }

    fn facts(&self) -> RwLockReadGuard<'_, FactsMessage> {
        self.facts.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, facts: FactsMessage) {
        let strange = |issuer: &Issuer| {
            !facts.issuers.iter().any(|told| Issuer::from(told.clone()).certificate == issuer.certificate)
        };
        if let Some(missing) = self.issuers.iter().find(|issuer| strange(issuer)) {
            tracing::error!(
                issuer = %missing.name,
                "the signer has other issuers than at the start: start the CA again as well"
            );
        }
        *self.facts.write().unwrap_or_else(PoisonError::into_inner) = facts;
    }

    /// The connection, or a new one.
    async fn sender(&self) -> Result<Sender, Unanswered> {
        let mut connection = self.connection.lock().await;
        if let Some(sender) = connection.sender.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        connection.sender = None;
        if let Some((at, why)) = connection.failed.as_ref().filter(|(at, _)| at.elapsed() < DIAL_PAUSE) {
            return Err(Unanswered::Unsent(format!("{why} ({} ms ago)", at.elapsed().as_millis())));
        }
        match self.connect_anew().await {
            Ok(sender) => {
                *connection = Connection { sender: Some(sender.clone()), failed: None };
                Ok(sender)
            }
            Err(Unanswered::Unsent(why) | Unanswered::Unknown(why)) => {
                connection.failed = Some((tokio::time::Instant::now(), why.clone()));
                Err(Unanswered::Unsent(why))
            }
            Err(refused) => Err(refused),
        }
    }

    async fn connect_anew(&self) -> Result<Sender, Unanswered> {
        let unsent = |error: &dyn std::fmt::Display| Unanswered::Unsent(error.to_string());
        let stream = match tokio::time::timeout(DIAL_TIMEOUT, self.dial.dial()).await {
            Ok(dialled) => dialled.map_err(|error| unsent(&error))?,
            Err(_) => return Err(Unanswered::Unsent("there was no connection in time".to_owned())),
        };
        let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, driver) = shaken.map_err(|error| unsent(&error))?;
        tokio::spawn(async move {
            // How a connection ends is seen by those who use it.
            let _ = driver.await;
        });
        let facts =
            self.exchange(sender.clone(), "/v1/facts", Body::from_static(b"{}"), self.timeout).await?;
        match understood(&facts) {
            Ok(facts) => self.learn(facts),
            Err(Error::Away(why)) if facts.0 == StatusCode::FORBIDDEN => {
                return Err(Unanswered::Refused(why));
            }
            Err(error) => return Err(unsent(&error)),
        }
        Ok(sender)
    }

    /// One request on a connection: status and body.
    async fn exchange(
        &self,
        mut sender: Sender,
        path: &str,
        body: Body,
        timeout: Duration,
    ) -> Result<(StatusCode, Body), Unanswered> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://signer{path}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| Unanswered::Unsent(error.to_string()))?;
        let exchange = async {
            sender.ready().await.map_err(|error| Unanswered::Unsent(error.to_string()))?;
            let response = sender.send_request(request).await.map_err(|error| {
                // hyper says so of requests that it never began to send.
                if error.is_canceled() {
                    Unanswered::Unsent(error.to_string())
                } else {
                    Unanswered::Unknown(error.to_string())
                }
            })?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
            Ok((head.status, body.map_err(|error| Unanswered::Unknown(error.to_string()))?.to_bytes()))
        };
        tokio::time::timeout(timeout, exchange).await.unwrap_or_else(|_| {
            Err(Unanswered::Unknown(format!("there was no answer in {} ms", timeout.as_millis())))
        })
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        message: &impl Serialize,
    ) -> Result<Result<T, Error>, Unanswered> {
        self.post_within(self.timeout, path, message).await
    }

    /// Asks, on another connection if the first turns out to have ended before anything was sent.
    async fn post_within<T: DeserializeOwned>(
        &self,
        timeout: Duration,
        path: &str,
        message: &impl Serialize,
    ) -> Result<Result<T, Error>, Unanswered> {
        let body = serde_json::to_vec(message).map_err(|error| Unanswered::Unsent(error.to_string()))?;
        let body = Body::from(body);
        let answer = match self.exchange(self.sender().await?, path, body.clone(), timeout).await {
            Err(Unanswered::Unsent(_)) => self.exchange(self.sender().await?, path, body, timeout).await,
            other => other,
        };
        if matches!(answer, Err(Unanswered::Unknown(_))) {
            // The other end may be gone without a word: whoever comes next goes there anew.
            self.connection.lock().await.sender = None;
        }
        Ok(understood(&answer?))
    }

    async fn prepared(&self, path: &str, message: &impl Serialize) -> Result<Prepared, Error> {
        let told: PreparedMessage = self.post(path, message).await??;
        told.prepared()
            .ok_or_else(|| Error::Unavailable("the signer gave prepared bytes without a name".to_owned()))
    }

    async fn signed(&self, path: &str, message: &impl Serialize) -> Result<Vec<u8>, Error> {
        let SignedMessage { der } = self.post(path, message).await??;
        Ok(der.into_vec())
    }
}

/// What an answer says.
fn understood<T: DeserializeOwned>((status, body): &(StatusCode, Body)) -> Result<T, Error> {
    let unread = |error: serde_json::Error| {
        Error::Unavailable(format!(
            "the signer's answer ({status}) cannot be read: {error}; is it of another version?"
        ))
    };
    if *status == StatusCode::OK {
        return serde_json::from_slice(body).map_err(unread);
    }
    let ErrorMessage { code, detail } = serde_json::from_slice(body).map_err(unread)?;
    Err(match (code.as_str(), IssuerName::try_from(detail.clone())) {
        ("signer_unknown_issuer", Ok(name)) => Error::UnknownIssuer(name),
        ("signer_unavailable", _) => Error::Unavailable(detail),
        ("signer_away" | "signer_forbidden" | "signer_slow", _) => Error::Away(detail),
        _ => Error::Refused(detail),
    })
}

#[async_trait]
impl Signer for RemoteSigner {
    fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    async fn ready(&self, issuer: &IssuerName) -> Result<(), Error> {
        let ReadyMessage { .. } = self.post("/v1/ready", &ReadyMessage { issuer: issuer.clone() }).await??;
        Ok(())
    }

    async fn prepare(&self, request: CertificateRequest) -> Result<Prepared, Error> {
        let message = PrepareMessage {
            profile: NamedProfile::of(&request.profile),
            issuer: request.issuer,
            serial: request.serial,
            identifiers: request.identifiers,
            public_key_info: request.public_key_info.into(),
            must_staple: request.must_staple,
            not_before: request.not_before,
            not_after: request.not_after,
            now: request.now,
        };
        self.prepared("/v1/prepare", &message).await
    }

    async fn adopt(&self, profile: Arc<Profile>, tbs: Vec<u8>) -> Result<Prepared, Error> {
        let message = AdoptMessage { profile: NamedProfile::of(&profile), tbs: tbs.into() };
        self.prepared("/v1/adopt", &message).await
    }

    async fn finish(&self, request: FinalRequest) -> Result<Prepared, Error> {
        let scts = request.scts.encode().map_err(|error| Error::Refused(error.to_string()))?;
        let message = FinishMessage {
            issuer: request.issuer,
            precertificate: request.precertificate.into(),
            scts: scts.into(),
        };
        self.prepared("/v1/finish", &message).await
    }

    async fn issue(&self, prepared: Prepared) -> Result<Vec<u8>, Error> {
        let message = PreparedMessage::from(prepared);
        match self.post::<SignedMessage>("/v1/issue", &message).await {
            Ok(answer) => answer.map(|signed| signed.der.into_vec()),
            Err(Unanswered::Unsent(why)) => Err(Error::Away(why)),
            Err(Unanswered::Unknown(why)) => Err(Error::Unavailable(why)),
            Err(Unanswered::Refused(why)) => Err(Error::Refused(why)),
        }
    }

    async fn renew(&self) -> Result<Vec<DelegateCertificate>, Error> {
        let facts: FactsMessage = self.post("/v1/facts", &serde_json::json!({})).await??;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<_> =
            facts.delegates.iter().filter(|delegate| told.insert(delegate.serial.clone())).cloned().collect();
        told.retain(|serial| facts.delegates.iter().any(|delegate| delegate.serial == *serial));
        drop(told);
        self.learn(facts);
        Ok(new.into_iter().map(DelegateCertificate::from).collect())
    }

    fn delegates_not_after(&self) -> Vec<(IssuerName, Option<Timestamp>)> {
        let facts = self.facts();
        let delegating = facts.issuers.iter().filter(|issuer| issuer.is_delegating);
        delegating.map(|issuer| (issuer.name.clone(), issuer.ocsp_not_after)).collect()
    }

    fn delegates_apart(&self) -> Vec<DelegateCertificate> {
        self.facts().apart.iter().cloned().map(DelegateCertificate::from).collect()
    }

    fn ocsp_signer_not_after(&self, issuer: &IssuerName) -> Result<Timestamp, Error> {
        let facts = self.facts();
        let known = facts.issuers.iter().find(|known| known.name == *issuer);
        let known = known.ok_or_else(|| Error::UnknownIssuer(issuer.clone()))?;
        known
            .ocsp_not_after
            .ok_or_else(|| Error::Unavailable(format!("the issuer '{issuer}' has no OCSP delegate yet")))
    }

    async fn sign_ocsp(&self, issuer: &IssuerName, answer: OcspAnswer) -> Result<Vec<u8>, Error> {
        let message = OcspMessage {
            issuer: issuer.clone(),
            responses: answer.responses.into_iter().map(Into::into).collect(),
            produced_at: answer.produced_at,
            nonce: answer.nonce.map(Into::into),
        };
        self.signed("/v1/ocsp", &message).await
    }

    async fn sign_crl(&self, issuer: &IssuerName, contents: CrlContents) -> Result<Vec<u8>, Error> {
        let entries = contents
            .entries
            .into_iter()
            .map(|entry| (entry.serial, entry.revoked_at, entry.reason))
            .collect();
        let message = CrlMessage {
            issuer: issuer.clone(),
            number: contents.number,
            this_update: contents.this_update,
            next_update: contents.next_update,
            scope: contents.scope.into(),
            entries,
        };
        // A list of millions takes its time.
        let timeout = self.timeout.max(CRL_TIMEOUT);
        let SignedMessage { der } = self.post_within(timeout, "/v1/crl", &message).await??;
        Ok(der.into_vec())
    }
}
