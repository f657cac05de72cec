//! Resources as JSON (RFC 8555, section 7.1).

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use ingam_authority::OrderView;
use ingam_protocol::acme::{
    Account, Authorization, AuthorizationStatus, Challenge, ChallengeStatus, ChallengeType, Contact,
    OrderStatus, Verdict,
};
use ingam_protocol::identifier::{Host, Identifier};
use serde::Serialize;
use serde_json::{Value, json};

use crate::problem::failure_json;
use crate::urls::Urls;

/// How long a client that waits for us should wait before it asks again, in seconds.
const RETRY_AFTER_S: u64 = 1;

pub(crate) fn json_response(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    // Values made here have string keys alone, so writing them cannot fail.
    let mut response = Response::new(Body::from(serde_json::to_vec(body).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Tells the client to ask again.
pub(crate) fn retry_later(response: &mut Response<Body>) {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
}

pub(crate) fn account(urls: &Urls, account: &Account, contacts: &[Contact]) -> Value {
    let mut value = json!({
        "status": account.status(),
        "contact": contacts.iter().map(Contact::expose).collect::<Vec<_>>(),
        "orders": urls.orders(account.id, None),
    });
    if account.terms_agreed.is_some() {
        insert(&mut value, "termsOfServiceAgreed", true);
    }
    if let Some(external) = &account.external {
        insert(&mut value, "externalAccountBinding", json!(external.binding));
    }
    value
}

pub(crate) fn order(urls: &Urls, view: &OrderView) -> Value {
    let order = &view.order;
    // Names of one domain can share an authorization: it is listed once.
    let mut authorizations = order.authorizations.clone();
    authorizations.sort();
    authorizations.dedup();
    let mut value = json!({
        "status": view.status,
        "expires": order.expires.to_rfc3339(),
        "identifiers": order.identifiers.iter().map(identifier).collect::<Vec<_>>(),
        "profile": order.profile,
        "authorizations": authorizations.iter().map(|id| urls.authorization(*id)).collect::<Vec<_>>(),
        "finalize": urls.finalize(order.id),
    });
    for (member, wished) in [("notBefore", order.not_before), ("notAfter", order.not_after)] {
        if let Some(time) = wished {
            insert(&mut value, member, time.to_rfc3339());
        }
    }
    if let (OrderStatus::Valid, Some(serial), Some(issuer)) = (view.status, &order.certificate, &view.issuer)
    {
        insert(&mut value, "certificate", urls.certificate(issuer, serial));
    }
    if let Some(replaces) = &view.replaces {
        insert(&mut value, "replaces", replaces.as_str());
    }
    if let Some(failure) = &view.error {
        insert(&mut value, "error", failure_json(failure));
    }
    value
}

pub(crate) fn identifier(identifier: &Identifier) -> Value {
    json!({ "type": identifier.kind(), "value": identifier.to_string() })
}

/// A wildcard's authorization shows its base name (RFC 8555, section 7.1.4).
fn host(host: &Host) -> Value {
    let kind = if host.name().is_some() { "dns" } else { "ip" };
    json!({ "type": kind, "value": host.to_string() })
}

/// What resources show of the CA itself.
pub(crate) struct Shown<'a> {
    pub(crate) urls: &'a Urls,
    pub(crate) issuer_domain_names: Vec<String>,
}

/// An authorization at a status: once it is decided, only the challenge that decided it is shown (section 7.1.4).
pub(crate) fn authorization(
    ca: &Shown<'_>,
    authorization: &Authorization,
    status: AuthorizationStatus,
) -> Value {
    let decided = |shown: ChallengeStatus| {
        authorization
            .challenges
            .iter()
            .filter(move |challenge| challenge.status() == shown)
            .collect::<Vec<_>>()
    };
    let mut shown = match status {
        AuthorizationStatus::Valid | AuthorizationStatus::Expired => decided(ChallengeStatus::Valid),
        AuthorizationStatus::Invalid => decided(ChallengeStatus::Invalid),
        AuthorizationStatus::Pending | AuthorizationStatus::Deactivated => Vec::new(),
    };
    if shown.is_empty() {
        shown = authorization.challenges.iter().collect();
    }
    let mut value = json!({
        "status": status,
        "expires": authorization.expires().to_rfc3339(),
        "identifier": host(&authorization.host),
        "challenges": shown.iter().map(|one| challenge(ca, authorization, one)).collect::<Vec<_>>(),
    });
    if authorization.wildcard {
        insert(&mut value, "wildcard", true);
    }
    if authorization.subdomains {
        insert(&mut value, "subdomainAuthAllowed", true);
    }
    value
}

pub(crate) fn challenge(ca: &Shown<'_>, authorization: &Authorization, challenge: &Challenge) -> Value {
    let mut value = json!({
        "type": challenge.kind,
        "url": ca.urls.challenge(authorization.id, challenge.kind),
        "status": challenge.status(),
        // dns-persist-01 has no use for it, but some clients stop at a challenge without one.
        "token": challenge.token,
    });
    if challenge.kind == ChallengeType::DnsPersist01 {
        // The name of the member in draft-ietf-acme-dns-persist-02, and those of the versions before it.
        insert(&mut value, "issuerDomainNames", ca.issuer_domain_names.clone());
        insert(&mut value, "issuer-domain-names", ca.issuer_domain_names.clone());
        insert(&mut value, "accounturi", ca.urls.account(authorization.account));
    }
    if let Some(finished) = &challenge.finished {
        insert(&mut value, "validationRecord", json!(finished.validation_record));
        match &finished.verdict {
            Verdict::Valid => insert(&mut value, "validated", finished.at.to_rfc3339()),
            Verdict::Invalid(failure) => insert(&mut value, "error", failure_json(failure)),
        }
    }
    value
}

fn insert(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use ingam_protocol::identifier::DnsName;
    use ingam_protocol::time::SeededRandom;
    use ingam_protocol::{Id, Timestamp};

    use super::*;

    #[test]
    fn records_that_stay_are_told_what_to_say_and_have_a_token() {
        let (now, urls) = (Timestamp::from_unix_s(1_795_255_200), Urls::new("https://ca.test"));
        let kinds = [ChallengeType::DnsPersist01, ChallengeType::DnsAccount01];
        let challenge = |kind| Challenge { kind, token: "token".to_owned(), answered: None, finished: None };
        let pending = Authorization {
            id: Id::new(now, &SeededRandom::new(1)),
            account: Id::new(now, &SeededRandom::new(2)),
            host: DnsName::parse("example.org").unwrap().into(),
            wildcard: true,
            subdomains: false,
            public: false,
            created: now,
            pending_until: now,
            valid_for_ms: 0,
            challenges: kinds.map(challenge).into(),
            deactivated: None,
        };
        let ca = Shown { urls: &urls, issuer_domain_names: vec!["ca.test".to_owned()] };
        let shown = authorization(&ca, &pending, AuthorizationStatus::Pending);
        assert_eq!(
            shown["challenges"][0],
            json!({
                "type": "dns-persist-01",
                "url": format!("https://ca.test/challenge/{}/dns-persist-01", pending.id),
                "status": "pending",
                "token": "token",
                "issuerDomainNames": ["ca.test"],
                "issuer-domain-names": ["ca.test"],
                "accounturi": format!("https://ca.test/account/{}", pending.account),
            })
        );
        let of_account = shown["challenges"][1].as_object().unwrap();
        assert_eq!((of_account.len(), &of_account["token"]), (4, &json!("token")));
    }
}
