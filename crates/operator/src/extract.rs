//! From a request to typed values, and from what cannot be read to a problem that says why.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use ingam_authority::operator::ExternalKeyStatus;
use ingam_protocol::acme::{AccountStatus, Contact, OrderStatus};
use ingam_protocol::bytes::{from_base64url, from_hex};
use ingam_protocol::identifier::{DnsName, Domain, Host};
use ingam_protocol::profile::ProfileName;
use ingam_protocol::{Id, Serial, Timestamp};
use serde::de::DeserializeOwned;

use crate::around::Caller;
use crate::problem::Problem;

/// How many things a page has where nobody says.
const LIMIT_DEFAULT: usize = 100;
/// At most this many things are on a page.
const LIMIT_MAX: usize = 1000;
/// At most this many characters are a reason.
const REASON_CHARS_MAX: usize = 1000;

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, "nobody", "it is not known who asks"))
    }
}

/// A JSON body.
pub(crate) struct Sent<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(JsonRejection::MissingJsonContentType(_)) => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "media-type",
                "send the body as application/json",
            )),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "the body is too long: send less at once",
            )),
            Err(rejection) => Err(Problem::malformed(words(&rejection.body_text()))),
        }
    }
}

/// The query of the URL.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        let read =
            query.map_err(|rejection: QueryRejection| Problem::malformed(words(&rejection.body_text())));
        read.map(|Query(value)| Self(value))
    }
}

/// The name in the path.
pub(crate) struct Named(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let read = path.map_err(|rejection: PathRejection| Problem::malformed(words(&rejection.body_text())));
        read.map(|Path(name)| Self(name))
    }
}

/// A library's words, without what a terminal might obey, and not for ever.
fn words(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// A value as it was sent, for a refusal.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// How many things a page is to have.
pub(crate) fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    match asked {
        None => Ok(LIMIT_DEFAULT),
        Some(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
        Some(_) => Err(Problem::invalid(format!("limit has to lie between 1 and {LIMIT_MAX}"))),
    }
}

/// A reason, which says something.
pub(crate) fn reason(text: Option<&str>) -> Result<Option<String>, Problem> {
    let sent = text.unwrap_or_default();
    // As the document counts: with the space around it.
    if sent.chars().count() > REASON_CHARS_MAX {
        return Err(Problem::invalid(format!("a reason has at most {REASON_CHARS_MAX} characters")));
    }
    let text = sent.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::invalid("a reason is one line of text, without control characters"));
    }
    Ok(Some(text.to_owned()))
}

/// An id: 22 characters of base64url.
pub(crate) fn id(text: &str) -> Result<Id, Problem> {
    text.parse()
        .map_err(|_| Problem::invalid(format!("\"{}\" is no id: 22 characters of base64url", shown(text))))
}

/// A serial number.
pub(crate) fn serial(text: &str) -> Result<Serial, Problem> {
    let plain: String = text.chars().filter(|c| *c != ':').collect();
    Serial::from_hex(&plain).ok_or_else(|| {
        Problem::invalid(format!(
            "\"{}\" is no serial number: 2 to 40 hexadecimal digits, in pairs",
            shown(text)
        ))
    })
}

/// A key's thumbprint.
pub(crate) fn thumbprint(text: &str) -> Result<[u8; 32], Problem> {
    from_base64url(text).and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        Problem::invalid(format!(
            "\"{}\" is no key's thumbprint: 43 characters of base64url (RFC 7638)",
            shown(text)
        ))
    })
}

/// SHA-256 of a SubjectPublicKeyInfo.
pub(crate) fn spki_hash(text: &str) -> Result<[u8; 32], Problem> {
    from_hex(text)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| Problem::invalid(format!("\"{}\" is no SHA-256: 64 hexadecimal digits", shown(text))))
}

/// What a key is blocked by: its thumbprint, or the hash of its SubjectPublicKeyInfo.
pub(crate) fn key_name(text: &str) -> Result<[u8; 32], Problem> {
    // A thumbprint has 43 characters.
    if text.len() == 64 { spki_hash(text) } else { thumbprint(text) }
}

/// A domain name.
pub(crate) fn name(text: &str) -> Result<DnsName, Problem> {
    DnsName::parse(text).map_err(|bad| Problem::invalid(format!("\"{}\": {bad}", shown(text))))
}

/// A domain name or an address.
pub(crate) fn host(text: &str) -> Result<Host, Problem> {
    text.parse().map_err(|bad| Problem::invalid(format!("\"{}\": {bad}", shown(text))))
}

/// A domain, for itself and all names below.
pub(crate) fn domain(text: &str) -> Result<Domain, Problem> {
    Domain::parse(text).map_err(|bad| Problem::invalid(format!("\"{}\": {bad}", shown(text))))
}

/// A contact: an address, with or without its scheme. Refusals do not repeat it.
pub(crate) fn contact(text: &str) -> Result<Contact, Problem> {
    let scheme = text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("mailto:"));
    let read = if scheme { Contact::parse(text) } else { Contact::parse(&format!("mailto:{text}")) };
    read.map_err(|bad| Problem::invalid(bad.to_string()))
}

/// A time.
pub(crate) fn time(text: &str) -> Result<Timestamp, Problem> {
    Timestamp::from_rfc3339(text).ok_or_else(|| {
        Problem::invalid(format!("\"{}\" is no time as in 2026-11-21T10:00:00Z (RFC 3339)", shown(text)))
    })
}

/// The status of an account.
pub(crate) fn account_status(text: &str) -> Result<AccountStatus, Problem> {
    match text {
        "valid" => Ok(AccountStatus::Valid),
        "deactivated" => Ok(AccountStatus::Deactivated),
        _ => Err(Problem::invalid("an account is valid or deactivated")),
    }
}

/// What has become of a key that accounts can be bound to.
pub(crate) fn external_key_status(text: &str) -> Result<ExternalKeyStatus, Problem> {
    ExternalKeyStatus::from_name(text)
        .ok_or_else(|| Problem::invalid("a key is unused, bound, expired or withdrawn"))
}

/// For whom a key is.
pub(crate) fn holder(text: &str) -> Result<String, Problem> {
    reason(Some(text))?.ok_or_else(|| Problem::invalid("say in \"holder\" for whom the key is"))
}

/// A profile's name.
pub(crate) fn profile(text: &str) -> Result<ProfileName, Problem> {
    ProfileName::try_from(text.to_owned()).map_err(|_| {
        Problem::invalid(format!(
            "\"{}\" is no profile name: 1 to 64 lower-case letters, digits and hyphens",
            shown(text)
        ))
    })
}

/// The status of an order (RFC 8555, section 7.1.6).
pub(crate) fn order_status(text: &str) -> Result<OrderStatus, Problem> {
    match text {
        "pending" => Ok(OrderStatus::Pending),
        "ready" => Ok(OrderStatus::Ready),
        "processing" => Ok(OrderStatus::Processing),
        "valid" => Ok(OrderStatus::Valid),
        "invalid" => Ok(OrderStatus::Invalid),
        _ => Err(Problem::invalid("an order is pending, ready, processing, valid or invalid")),
    }
}

/// The status of a certificate.
pub(crate) fn certificate_status(text: &str) -> Result<&'static str, Problem> {
    match text {
        "good" => Ok("good"),
        "revoked" => Ok("revoked"),
        "expired" => Ok("expired"),
        _ => Err(Problem::invalid("a certificate is good, revoked or expired")),
    }
}

/// Reads what is there, with one of the readers above.
pub(crate) fn optional<T>(
    text: Option<&String>,
    read: impl Fn(&str) -> Result<T, Problem>,
) -> Result<Option<T>, Problem> {
    text.map(|text| read(text)).transpose()
}
