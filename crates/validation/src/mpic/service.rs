//! A perspective's own side of Open MPIC: requests of our coordinator and of others become looks at the network.
//!
//! | method | asked by another's coordinator |
//! |---|---|
//! | `acme-http-01`, `acme-dns-01`, `acme-tls-alpn-01` | as by ours |
//! | `dns-change` | TXT records, equal or containing, in any case if wanted |
//! | `dns-persistent` | by our rules: of several ways to name the account, the one that was given |
//! | `website-change`, `contact-*`, `ip-address`, `reverse-address-lookup` | refused with 422 |

use std::sync::Arc;

use ingam_protocol::acme::{ChallengeType, ErrorType};
use ingam_protocol::bytes::{from_base64url, from_hex};
use ingam_protocol::identifier::{DnsName, Host};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::BODY_BYTES_MAX;
use super::wire::{
    AttemptParts, CaaRequest, CheckError, CheckResponse, DcvParameters, DcvRequest, DnsChange, Seen,
};
use crate::caa;
use crate::evidence::Evidence;
use crate::label;
use crate::outcome::{Attempt, CaaOutcome, CaaQuery, Failure, Outcome};
use crate::perspective::LocalPerspective;
use crate::quote::quote;
use crate::sought::{Comparison, File, Persistent, Search, Sought, Text};

mod details;

/// The most names of a CA that a request may give.
const ISSUERS_MAX: usize = 16;

/// The longest label in front of a name, and the longest value that is looked for.
const VALUE_MAX: usize = 1024;

/// What goes back to whoever asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body: JSON.
    pub body: Value,
}

/// Why a request is not served.
#[derive(Debug)]
struct Refused {
    status: u16,
    why: String,
}

impl Refused {
    fn malformed(why: impl Into<String>) -> Self {
        Self { status: 400, why: why.into() }
    }

    fn unserved(why: impl Into<String>) -> Self {
        Self { status: 422, why: why.into() }
    }
}

impl From<Refused> for Reply {
    fn from(Refused { status, why }: Refused) -> Self {
        let kind =
            if status == 422 { "mpic_error:perspective:unserved" } else { "mpic_error:perspective:request" };
        let errors = [CheckError { error_type: kind.to_owned(), error_message: why }];
        Self { status, body: json!({ "check_completed": false, "check_passed": false, "errors": errors }) }
    }
}

/// Answers coordinators.
#[derive(Clone)]
pub struct Service {
    perspective: Arc<LocalPerspective>,
}

impl Service {
    /// By what this perspective sees.
    pub fn new(perspective: Arc<LocalPerspective>) -> Self {
        Self { perspective }
    }

    /// Whether there is something to POST to at this path.
    pub fn serves(path: &str) -> bool {
        matches!(path, "/dcv" | "/caa" | "/perspective/dcv" | "/perspective/caa")
    }

    /// Answers a POST. Comes back within the configured total time.
    pub async fn answer(&self, path: &str, body: &[u8]) -> Reply {
        if body.len() > BODY_BYTES_MAX {
            let why = format!("the request has more than {BODY_BYTES_MAX} bytes, as none of Open MPIC has");
            return Refused { status: 413, why }.into();
        }
        let answered = match path {
            "/dcv" | "/perspective/dcv" => Box::pin(self.dcv(body)).await,
            "/caa" | "/perspective/caa" => Box::pin(self.caa(body)).await,
            _ => Err(Refused { status: 404, why: "POST to /dcv or to /caa".to_owned() }),
        };
        answered.unwrap_or_else(Reply::from)
    }

    async fn dcv(&self, body: &[u8]) -> Result<Reply, Refused> {
        let (request, is_ours) = read_dcv(body)?;
        let method = request.dcv_check_parameters.method();
        let search = search(request, self.perspective.issuers())?;
        let outcome = self.perspective.search(search).await;
        Ok(dcv_reply(method, outcome, is_ours))
    }

    async fn caa(&self, body: &[u8]) -> Result<Reply, Refused> {
        let CaaQuestion { query, issuers, is_ours } = read_caa(body)?;
        let issuers = issuers.as_deref().unwrap_or(self.perspective.issuers());
        let outcome = self.perspective.search_caa(&query, issuers).await;
        Ok(caa_reply(outcome, is_ours))
    }
}

/// Whether these bytes are a request about control, and one about CAA, that is served.
#[cfg(any(test, feature = "damage"))]
pub(super) fn serves_as(body: &[u8]) -> [bool; 2] {
    let dcv = read_dcv(body).and_then(|(request, _)| search(request, &["ca.example".to_owned()]));
    [dcv.is_ok(), read_caa(body).is_ok()]
}

/// Reads a request about control, and whether our own coordinator asks.
fn read_dcv(body: &[u8]) -> Result<(DcvRequest, bool), Refused> {
    let value: Value = parsed(body)?;
    let method = value.pointer("/dcv_check_parameters/validation_method").and_then(Value::as_str);
    let Some(method) = method else {
        return Err(Refused::malformed("dcv_check_parameters.validation_method is missing"));
    };
    if !DcvParameters::METHODS.contains(&method) {
        let served = DcvParameters::METHODS.join(", ");
        let why = format!("this perspective does not serve {}: it serves {served}", quote(method.as_bytes()));
        return Err(Refused::unserved(why));
    }
    let request: DcvRequest = typed(value)?;
    let is_ours = request.ingam.is_some();
    Ok((request, is_ours))
}

/// What a request about control asks to look for.
fn search(request: DcvRequest, configured: &[String]) -> Result<Search, Refused> {
    let DcvRequest { domain_or_ip_target, dcv_check_parameters: parameters, ingam, .. } = request;
    let host: Host = domain_or_ip_target.parse().map_err(|why| {
        Refused::malformed(format!(
            "domain_or_ip_target {} is no host: {why}; write names in ASCII and lower case, without a dot at the end",
            quote(domain_or_ip_target.as_bytes())
        ))
    })?;
    match ingam {
        Some(parts) => whole(host, &parameters, parts, configured),
        None => plain(host, parameters),
    }
}

/// Of our own coordinator: the attempt itself.
fn whole(
    host: Host,
    parameters: &DcvParameters,
    parts: AttemptParts,
    configured: &[String],
) -> Result<Search, Refused> {
    let method = match parts.challenge {
        ChallengeType::Http01 => "acme-http-01",
        ChallengeType::Dns01 => "acme-dns-01",
        ChallengeType::TlsAlpn01 => "acme-tls-alpn-01",
        ChallengeType::DnsAccount01 => "dns-change",
        ChallengeType::DnsPersist01 => "dns-persistent",
    };
    if method != parameters.method() {
        let why = format!("ingam.challenge {} is no {}", parts.challenge, parameters.method());
        return Err(Refused::malformed(why));
    }
    let issuers = match parameters {
        DcvParameters::DnsPersistent { issuer_domain_names, .. } => checked_issuers(issuer_domain_names)?,
        _ => configured,
    };
    let AttemptParts { challenge, token, key_authorization, account_uri, .. } = parts;
    let AttemptParts { account_hash_prefix, thumbprints, beyond_the_name, .. } = parts;
    let attempt = Attempt {
        host,
        beyond_the_name,
        challenge,
        token,
        key_authorization,
        account_uri,
        account_hash_prefix,
        thumbprints,
    };
    let sought = Sought::of(&attempt, issuers);
    Ok(Search { host: attempt.host, challenge, sought })
}

/// Of another's coordinator: what Open MPIC says.
fn plain(host: Host, parameters: DcvParameters) -> Result<Search, Refused> {
    let (challenge, sought) = match parameters {
        DcvParameters::Http01 { token, key_authorization } => {
            (ChallengeType::Http01, File::new(&token, &key_authorization).map(Sought::File))
        }
        DcvParameters::TlsAlpn01 { key_authorization_hash } => {
            (ChallengeType::TlsAlpn01, Ok(Sought::Certificate(hash(&key_authorization_hash)?)))
        }
        DcvParameters::Dns01 { key_authorization_hash, .. } => {
            hash(&key_authorization_hash)?;
            let text = Text {
                name: label::dns_01(name(&host)?),
                value: key_authorization_hash,
                comparison: Comparison::Equal,
            };
            (ChallengeType::Dns01, Ok(Sought::Text(text)))
        }
        DcvParameters::DnsChange(change) => {
            (ChallengeType::Dns01, Ok(Sought::Text(changed(name(&host)?, change)?)))
        }
        DcvParameters::DnsPersistent { issuer_domain_names, expected_account_uri } => {
            let sought = Persistent {
                name: label::dns_persist_01(name(&host)?),
                issuers: checked_issuers(&issuer_domain_names)?.to_vec(),
                accounts: vec![expected_account_uri],
                beyond_the_name: false,
            };
            (ChallengeType::DnsPersist01, Ok(Sought::Persistent(sought)))
        }
    };
    Ok(Search { host, challenge, sought })
}

fn name(host: &Host) -> Result<&DnsName, Refused> {
    host.name().ok_or_else(|| Refused::malformed("this method does not show control of an IP address"))
}

/// The hash of a key authorization in base64url, as dns-01 has it, or hexadecimal, as the library's tls-alpn-01 does.
fn hash(text: &str) -> Result<[u8; 32], Refused> {
    let bytes = from_hex(text).filter(|bytes| bytes.len() == 32).or_else(|| from_base64url(text));
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        Refused::malformed(
            "key_authorization_hash is no SHA-256 hash: give 43 characters of base64url, or 64 hexadecimal ones",
        )
    })
}

fn changed(name: &DnsName, change: DnsChange) -> Result<Text, Refused> {
    let DnsChange { challenge_value, dns_name_prefix, dns_record_type, .. } = change;
    if dns_record_type != "TXT" {
        let why = format!(
            "dns-change is served for TXT records alone, not for {}",
            quote(dns_record_type.as_bytes())
        );
        return Err(Refused::unserved(why));
    }
    if challenge_value.is_empty() || challenge_value.len() > VALUE_MAX {
        return Err(Refused::malformed(format!("challenge_value has to have 1 to {VALUE_MAX} bytes")));
    }
    let prefix = dns_name_prefix.unwrap_or_default();
    let is_label = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if prefix.len() > 253 || !prefix.bytes().all(is_label) {
        return Err(Refused::malformed("dns_name_prefix has to be labels of letters, digits, - and _"));
    }
    let at = if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") };
    let comparison = match (change.require_exact_match, change.require_exact_case) {
        (true, true) => Comparison::Equal,
        (is_equal, is_exact) => Comparison::Loose { somewhere: !is_equal, any_case: !is_exact },
    };
    Ok(Text { name: at, value: challenge_value, comparison })
}

/// What a request about CAA asks.
struct CaaQuestion {
    query: CaaQuery,
    /// The CA's names, if it gives some.
    issuers: Option<Vec<String>>,
    /// Whether our own coordinator asks.
    is_ours: bool,
}

/// Reads a request about CAA.
fn read_caa(body: &[u8]) -> Result<CaaQuestion, Refused> {
    let request: CaaRequest = typed(parsed(body)?)?;
    let target = &request.domain_or_ip_target;
    let (wildcard, base) = match target.strip_prefix("*.") {
        Some(base) => (true, base),
        None => (false, target.as_str()),
    };
    let name = DnsName::parse(base).map_err(|why| {
        Refused::malformed(format!("domain_or_ip_target {} is no name: {why}", quote(target.as_bytes())))
    })?;
    let mut issuers = None;
    if let Some(parameters) = request.caa_check_parameters {
        if parameters.certificate_type != "tls-server" {
            let kind = quote(parameters.certificate_type.as_bytes());
            return Err(Refused::unserved(format!("certificate_type {kind} is not served: tls-server is")));
        }
        if let Some(domains) = parameters.caa_domains.filter(|domains| !domains.is_empty()) {
            checked_issuers(&domains)?;
            issuers = Some(domains);
        }
    }
    // Another's coordinator tells of no account and no method: a record that restricts either permits nobody then.
    let is_ours = request.ingam.is_some();
    let (challenge, account_uri) = match request.ingam {
        Some(parts) => (parts.challenge, parts.account_uri),
        None => (ChallengeType::Http01, String::new()),
    };
    let query = CaaQuery { name, wildcard, challenge, account_uri };
    Ok(CaaQuestion { query, issuers, is_ours })
}

fn checked_issuers(domains: &[String]) -> Result<&[String], Refused> {
    let is_bad = |domain: &&String| domain.len() > 253 || !caa::is_issuer_domain(domain);
    if domains.is_empty() || domains.len() > ISSUERS_MAX {
        return Err(Refused::malformed(format!("give 1 to {ISSUERS_MAX} of the CA's domain names")));
    }
    match domains.iter().find(is_bad) {
        Some(bad) => Err(Refused::malformed(format!("{} is no issuer's domain name", quote(bad.as_bytes())))),
        None => Ok(domains),
    }
}

fn parsed(body: &[u8]) -> Result<Value, Refused> {
    serde_json::from_slice(body).map_err(|error| Refused::malformed(format!("the body is no JSON: {error}")))
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Refused> {
    serde_json::from_value(value).map_err(|error| {
        Refused::malformed(format!(
            "the request is none of Open MPIC: {}",
            quote(error.to_string().as_bytes())
        ))
    })
}

pub(super) fn dcv_reply(method: &'static str, outcome: Outcome, is_ours: bool) -> Reply {
    let Outcome { evidence, result, .. } = outcome;
    let details = if is_ours { Value::Null } else { details::dcv(method, &evidence) };
    let (until, failure) = match result {
        Ok(validated) => (validated.until(), None),
        Err(failure) => (None, Some(failure)),
    };
    let seen = Seen { evidence: Some(evidence), failure, until, left_out: false };
    reply("dcv", "mpic_error:dcv_checker:lookup", details, seen, is_ours)
}

fn caa_reply(outcome: CaaOutcome, is_ours: bool) -> Reply {
    let CaaOutcome { evidence, result, .. } = outcome;
    let details = if is_ours { Value::Null } else { details::caa(&evidence, &result) };
    let seen = Seen { evidence: Some(evidence), failure: result.err(), until: None, left_out: false };
    reply("caa", "mpic_error:caa_checker:lookup", details, seen, is_ours)
}

fn reply(check: &str, lookup: &str, details: Value, mut seen: Seen, is_ours: bool) -> Reply {
    let at = seen.evidence.as_ref().map_or(0, |evidence: &Evidence| evidence.finished.unix_ms());
    let errors = seen.failure.as_ref().map(|failure: &Failure| {
        let error_type = if is_seen(failure) { "mpic_error:perspective:seen" } else { lookup };
        vec![CheckError { error_type: error_type.to_owned(), error_message: failure.to_string() }]
    });
    let mut response = CheckResponse {
        check_completed: seen.failure.as_ref().is_none_or(is_seen),
        check_passed: seen.failure.is_none(),
        check_type: check.to_owned(),
        errors,
        timestamp_ns: Some(at.saturating_mul(1_000_000)),
        details,
        ingam: is_ours.then(|| seen.clone()),
    };
    let mut body = json!(response);
    if is_ours && body.to_string().len() > BODY_BYTES_MAX {
        seen.evidence = None;
        seen.left_out = true;
        response.ingam = Some(seen);
        body = json!(response);
    }
    Reply { status: 200, body }
}

/// Whether the look came to an end, and what was there was something else.
fn is_seen(failure: &Failure) -> bool {
    matches!(failure.error, ErrorType::Unauthorized | ErrorType::Caa)
}
