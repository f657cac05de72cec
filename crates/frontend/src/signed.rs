//! Signed requests: from bytes to somebody who may ask (RFC 8555, sections 6.2 to 6.5).

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use ingam_authority::Caller;
use ingam_protocol::acme::{Account, AccountStatus, ErrorType};
use ingam_protocol::json::Object;
use ingam_protocol::jws::{Jws, KeyReference, Verified};
use ingam_protocol::key::PublicKey;
use serde::de::DeserializeOwned;

use crate::Frontend;
use crate::around::{client_address, request_id};
use crate::problem::Problem;

/// At most this many characters of a User-Agent are kept.
const USER_AGENT_CHARS_MAX: usize = 256;

/// At most this many bytes of a body that is too large are read and thrown away.
const THROWN_BYTES_MAX: usize = 16 << 20;

/// A request whose form, URL and nonce are right; its signature has still to be checked.
pub(crate) struct Unverified {
    jws: Jws,
    caller: Caller,
}

/// A request signed by an account.
pub(crate) struct FromAccount {
    pub(crate) account: Account,
    pub(crate) payload: Verified,
    pub(crate) caller: Caller,
}

/// A request signed by a key that it brought along.
pub(crate) struct FromKey {
    pub(crate) key: PublicKey,
    pub(crate) payload: Verified,
    pub(crate) caller: Caller,
}

/// Either of them.
pub(crate) enum FromEither {
    Account(Box<FromAccount>),
    Key(Box<FromKey>),
}

impl Frontend {
    /// Reads a request signed by an account.
    pub(crate) async fn signed_by_account(&self, request: Request) -> Result<FromAccount, Problem> {
        match self.signed_by_either(request).await? {
            FromEither::Account(from) => Ok(*from),
            FromEither::Key(_) => Err(Problem::malformed(
                "this request is signed by an account: send its URL as \"kid\", not a \"jwk\"",
            )),
        }
    }

    /// Reads a request signed by the key that it brings along.
    pub(crate) async fn signed_by_key(&self, request: Request) -> Result<FromKey, Problem> {
        match self.signed_by_either(request).await? {
            FromEither::Key(from) => Ok(*from),
            FromEither::Account(_) => Err(Problem::malformed(
                "this request brings its key along: send it as \"jwk\", not a \"kid\"",
            )),
        }
    }

    /// Reads a request that may be signed either way.
    pub(crate) async fn signed_by_either(&self, request: Request) -> Result<FromEither, Problem> {
        let Unverified { jws, caller } = self.unverified(request).await?;
        match &jws.key {
            KeyReference::Key(key) => {
                let payload = jws.verify(key)?;
                let key = key.clone();
                Ok(FromEither::Key(Box::new(FromKey { key, payload, caller })))
            }
            KeyReference::Account(kid) => {
                let unknown = || {
                    Problem::new(
                        ErrorType::AccountDoesNotExist,
                        "no account has the URL in \"kid\": register first",
                    )
                };
                let id = self.urls.account_id(kid).ok_or_else(unknown)?;
                let account = self.authority.account(id)?.ok_or_else(unknown)?;
                let payload = jws.verify(&account.key)?;
                if account.status() != AccountStatus::Valid {
                    return Err(Problem::unauthenticated("the account was deactivated: register a new one"));
                }
                if self.authority.key_is_blocked(&account.key)? {
                    return Err(Problem::unauthenticated(
                        "the account's key is known to be compromised: register a new account with another key",
                    ));
                }
                Ok(FromEither::Account(Box::new(FromAccount { account, payload, caller })))
            }
        }
    }

    /// Everything that can be refused without checking a signature, cheapest first.
    async fn unverified(&self, request: Request) -> Result<Unverified, Problem> {
        check_content_type(request.headers())?;
        let expected = self.urls.of_request(request.uri().path_and_query().map_or("/", |path| path.as_str()));
        let address = client_address(&request);
        let user_agent = user_agent(request.headers());
        let request_id = request_id(&request).0.to_string();
        let body = self.body(request).await?;
        let jws = Jws::parse(&body)?;
        let nonce = jws.nonce.as_deref().ok_or_else(|| {
            Problem::new(
                ErrorType::BadNonce,
                "the protected header has no \"nonce\": take the one in Replay-Nonce",
            )
        })?;
        if jws.url != expected {
            return Err(Problem::unauthenticated(format!(
                "the request's \"url\" is not the URL that it was sent to, which is {expected}"
            )));
        }
        if !self.nonces.redeem(nonce) {
            return Err(Problem::new(
                ErrorType::BadNonce,
                "the nonce was used, is too old, or is not from here: repeat the request with the one in Replay-Nonce",
            ));
        }
        let caller = Caller { address, user_agent, request_id, url: expected, jws: jws.text.clone() };
        Ok(Unverified { jws, caller })
    }

    async fn body(&self, request: Request) -> Result<Vec<u8>, Problem> {
        let config = self.config();
        let too_large = || {
            let detail = format!("the body has more than {} bytes", config.body_bytes_max);
            Problem::malformed(detail).with_status(StatusCode::PAYLOAD_TOO_LARGE)
        };
        let said =
            request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let is_told_large = said.is_some_and(|length: u64| length > config.body_bytes_max as u64);
        if is_told_large && request.headers().contains_key(header::EXPECT) {
            // It asks before it sends.
            return Err(too_large());
        }
        let mut collected =
            Collected { bytes: Vec::new(), seen: 0, max: config.body_bytes_max, is_large: is_told_large };
        let read = tokio::time::timeout(config.body_timeout, collected.read(request.into_body())).await;
        match read {
            _ if collected.is_large => Err(too_large()),
            Ok(Ok(())) => Ok(collected.bytes),
            Ok(Err(_)) => Err(Problem::malformed("the body ended before it was whole")),
            Err(_) => {
                let detail = "the body took too long: send it at once";
                Err(Problem::malformed(detail).with_status(StatusCode::REQUEST_TIMEOUT))
            }
        }
    }
}

/// A body as far as it was read.
struct Collected {
    bytes: Vec<u8>,
    /// How many bytes came, kept or not.
    seen: usize,
    max: usize,
    is_large: bool,
}

impl Collected {
    /// Reads a body to its end. One that is too large is thrown away, but read on for a while: a client that were cut off
    /// while it sends would see a reset, and not the answer that tells it why.
    async fn read(&mut self, mut body: Body) -> Result<(), axum::Error> {
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            self.seen = self.seen.saturating_add(data.len());
            self.is_large |= self.seen > self.max;
            if !self.is_large {
                self.bytes.extend_from_slice(&data);
            } else if self.seen > THROWN_BYTES_MAX {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/jose+json") {
        return Ok(());
    }
    let detail = "send the request as Content-Type: application/jose+json";
    Err(Problem::malformed(detail).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}

fn user_agent(headers: &HeaderMap) -> Option<String> {
    let given = headers.get(header::USER_AGENT)?;
    Some(String::from_utf8_lossy(given.as_bytes()).chars().take(USER_AGENT_CHARS_MAX).collect())
}

/// Reads a payload as a JSON object of known shape.
pub(crate) fn read_payload<T: DeserializeOwned>(payload: &Verified) -> Result<T, Problem> {
    Object::parse(payload.payload())
        .and_then(Object::read)
        .map_err(|bad| Problem::malformed(format!("the payload is not what this resource takes: {bad}")))
}

/// Insists on POST-as-GET (RFC 8555, section 6.3).
pub(crate) fn empty_payload(payload: &Verified) -> Result<(), Problem> {
    if payload.payload().is_empty() {
        return Ok(());
    }
    Err(Problem::malformed("this resource is only read: send an empty payload (POST-as-GET)"))
}
