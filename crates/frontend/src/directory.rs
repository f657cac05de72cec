//! The directory and fresh nonces (RFC 8555, sections 7.1.1 and 7.2; RFC 9773, section 3).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use ingam_protocol::acme::ChallengeType;
use ingam_protocol::bytes::base64url;
use ingam_protocol::profile::Profile;
use ingam_protocol::time::random_array;
use serde_json::{Map, Value, json};

use crate::Frontend;
use crate::resource::json_response;

pub(crate) async fn directory(State(frontend): State<Arc<Frontend>>) -> Response<Body> {
    let url = |path: &str| frontend.urls.of_request(path);
    let (policy, config) = (frontend.authority.policy(), frontend.config());
    let profiles: Map<String, Value> = policy
        .catalog
        .iter()
        .map(|profile| (profile.name.as_str().to_owned(), Value::from(profile.description.as_str())))
        .collect();
    let mut meta = json!({
        "externalAccountRequired": policy.external_account_required,
        "profiles": profiles,
        "unpause": frontend.urls.unpause(),
        "privacy": { "report": frontend.urls.privacy_report(), "erase": frontend.urls.privacy_erase() },
    });
    if let Some(meta) = meta.as_object_mut() {
        if policy.catalog.iter().any(|profile| profile.identifiers.ancestors) {
            meta.insert("subdomainAuthAllowed".to_owned(), true.into());
        }
        if let Some(terms) = &policy.terms_of_service {
            meta.insert("termsOfService".to_owned(), terms.as_str().into());
        }
        if let Some(website) = &config.website {
            meta.insert("website".to_owned(), website.as_str().into());
        }
        if config.privacy.is_some() {
            meta.insert("privacyStatement".to_owned(), url("/privacy").into());
        }
        if !config.caa_identities.is_empty() {
            meta.insert("caaIdentities".to_owned(), config.caa_identities.clone().into());
        }
        // What a record needs to say is known before there is an order (draft-ietf-acme-dns-persist, sections 3.2 and 4.5).
        let persists = |profile: &Arc<Profile>| profile.challenges.contains(&ChallengeType::DnsPersist01);
        if policy.catalog.iter().any(persists) {
            meta.insert("issuerDomainNames".to_owned(), config.issuer_domain_names().into());
            meta.insert("accountHashPrefix".to_owned(), frontend.urls.account_hash_prefix().into());
        }
    }
    let mut directory = json!({
        "newNonce": url("/new-nonce"),
        "newAccount": url("/new-account"),
        "newOrder": url("/new-order"),
        "newOrderDryRun": url("/new-order-dry-run"),
        "newAuthz": url("/new-authz"),
        "validationDryRun": url("/validation-dry-run"),
        "revokeCert": url("/revoke-cert"),
        "keyChange": url("/key-change"),
        "renewalInfo": url("/renewal-info"),
        "meta": meta,
    });
    if let Some(directory) = directory.as_object_mut() {
        // A client must ignore what it does not know (RFC 8555, section 7.1.1): it meets something at every turn.
        let key = base64url(&random_array::<8>(frontend.random.as_ref()));
        directory.insert(key, "a key that clients ignore, made anew each time".into());
    }
    json_response(StatusCode::OK, &directory)
}

pub(crate) async fn new_nonce(State(frontend): State<Arc<Frontend>>, request: Request) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() =
        if request.method() == Method::HEAD { StatusCode::OK } else { StatusCode::NO_CONTENT };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    frontend.add_nonce(response.headers_mut());
    response
}
