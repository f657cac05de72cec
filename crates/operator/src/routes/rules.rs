//! Keys and names that get no certificate.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ingam_authority::operator::{self, KEYS_AT_ONCE_MAX, KeyName, NameVerdict};
use ingam_protocol::Reason as RevocationReason;
use ingam_protocol::bytes::{base64url, from_base64url, hex};
use ingam_protocol::key::PublicKey;
use ingam_protocol::pem;
use serde_json::{Value, json};

use super::revocations::PageAsked;
use crate::Operator;
use crate::acts;
use crate::admission::read;
use crate::api::{
    Done, KeyBlock, KeyBlocking, KeysBlocked, KeysBlocking, NameRule, NameRuling, Page, Reason, Waiting,
};
use crate::around::Caller;
use crate::deeds::Deed;
use crate::extract::{self, Asked, Named, Sent, optional};
use crate::problem::{Problem, Problems};
use crate::view;

/// Blocked keys by the bytes of what they are blocked by.
#[utoipa::path(get, path = "/v1/keys", tag = "keys", params(PageAsked),
    responses((status = 200, body = Page<KeyBlock>), Problems))]
pub(crate) async fn keys(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<PageAsked>,
) -> Result<Json<Page<KeyBlock>>, Problem> {
    let rule = &acts::KEY_LIST;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let after = optional(asked.after.as_ref(), |text| {
        from_base64url(text).ok_or_else(|| Problem::invalid("after is the next of a page before"))
    })?;
    let (authority, limit) = (operator.authority.clone(), extract::limit(asked.limit)?);
    let found = read(move || authority.key_blocks(after.as_deref(), limit)).await?;
    let found = operator.finish(rule, &act, found).await?;
    Ok(Json(view::page(found, base64url, |block| view::key_block(&block))))
}

/// Blocks a key: no account works with it, and no certificate is issued for it.
#[utoipa::path(post, path = "/v1/keys", tag = "keys", request_body = KeyBlocking,
    responses((status = 201, body = KeyBlock), Problems))]
pub(crate) async fn block_key(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<KeyBlocking>,
) -> Result<(StatusCode, Json<KeyBlock>), Problem> {
    let rule = &acts::KEY_BLOCK;
    let named =
        json!({ "thumbprint": sent.thumbprint, "spki_sha256": sent.spki_sha256, "pem": sent.pem.is_some() });
    let mut act = operator.admit(&caller, rule, named, Some(&sent.reason)).await?;
    let blocking = read_key(&sent)?;
    act.what = match blocking.named_by {
        KeyName::Thumbprint => json!({ "thumbprint": base64url(&blocking.hash) }),
        KeyName::SpkiSha256 => json!({ "spki_sha256": hex(&blocking.hash) }),
    };
    let blocked = operator.authority.key_block(&act, blocking).await;
    Ok((StatusCode::CREATED, Json(view::key_block(&operator.finish(rule, &act, blocked).await?))))
}

fn read_key(sent: &KeyBlocking) -> Result<operator::KeyBlocking, Problem> {
    let (named_by, hash) = match (&sent.thumbprint, &sent.spki_sha256, &sent.pem) {
        (Some(text), None, None) => (KeyName::Thumbprint, extract::thumbprint(text)?),
        (None, Some(text), None) => (KeyName::SpkiSha256, extract::spki_hash(text)?),
        (None, None, Some(text)) => {
            let spki = pem::public_key_info(text.as_bytes()).ok_or_else(|| {
                Problem::invalid("\"pem\" holds no certificate, certificate request or public key (PEM)")
            })?;
            let key = PublicKey::from_spki(&spki).map_err(|bad| {
                Problem::invalid(format!("no certificate is issued for this key anyway: {bad}"))
            })?;
            (KeyName::Thumbprint, key.thumbprint())
        }
        _ => return Err(Problem::invalid("give one of \"thumbprint\", \"spki_sha256\" and \"pem\"")),
    };
    let reason = read_reason(sent.revocation_reason.as_deref())?;
    Ok(operator::KeyBlocking { named_by, hash, reason, source: extract::reason(sent.source.as_deref())? })
}

fn read_reason(text: Option<&str>) -> Result<RevocationReason, Problem> {
    text.map_or(Ok(RevocationReason::KeyCompromise), view::revocation_reason)
}

/// Blocks many keys by the hashes of their SubjectPublicKeyInfo; those that are blocked already stay as they are.
#[utoipa::path(post, path = "/v1/keys/import", tag = "keys", request_body = KeysBlocking,
    responses((status = 200, body = KeysBlocked), Problems))]
pub(crate) async fn import_keys(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<KeysBlocking>,
) -> Result<Json<KeysBlocked>, Problem> {
    let rule = &acts::KEY_BLOCK;
    let what = json!({ "keys": sent.spki_sha256.len(), "source": sent.source });
    let act = operator.admit(&caller, rule, what, Some(&sent.reason)).await?;
    if sent.spki_sha256.len() > KEYS_AT_ONCE_MAX {
        return Err(Problem::invalid(format!("give at most {KEYS_AT_ONCE_MAX} hashes at once")));
    }
    let hashes: Vec<[u8; 32]> =
        sent.spki_sha256.iter().map(|text| extract::spki_hash(text)).collect::<Result<_, _>>()?;
    let reason = read_reason(sent.revocation_reason.as_deref())?;
    let source = extract::reason(sent.source.as_deref())?;
    let blocked = operator.authority.keys_block(&act, &hashes, reason, source).await;
    let operator::KeysBlocked { new, known } = operator.finish(rule, &act, blocked).await?;
    Ok(Json(KeysBlocked { blocked: new, known }))
}

/// Lets a key be used again that was blocked by this thumbprint, or by this hash of its SubjectPublicKeyInfo.
#[utoipa::path(post, path = "/v1/keys/{thumbprint}/unblock", tag = "keys", params(("thumbprint" = String, Path, pattern = "^([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]|[0-9A-Fa-f]{64})$")),
    request_body = Reason,
    responses((status = 200, body = Done), (status = 202, body = Waiting, description = "waits for a second person"),
        Problems))]
pub(crate) async fn unblock_key(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(thumbprint): Named,
    Sent(sent): Sent<Reason>,
) -> Result<Response, Problem> {
    operator.ask_or_do(&caller, Deed::KeyUnblock { thumbprint, reason: sent.reason }).await
}

/// Rules on names, in the order of their labels from the right.
#[utoipa::path(get, path = "/v1/names", tag = "names", params(PageAsked),
    responses((status = 200, body = Page<NameRule>), Problems))]
pub(crate) async fn names(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<PageAsked>,
) -> Result<Json<Page<NameRule>>, Problem> {
    let rule = &acts::NAME_LIST;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let after = optional(asked.after.as_ref(), extract::name)?;
    let (authority, limit) = (operator.authority.clone(), extract::limit(asked.limit)?);
    let found = read(move || authority.name_rules(after.as_ref(), limit)).await?;
    let found = operator.finish(rule, &act, found).await?;
    let next = |place: &[u8]| String::from_utf8_lossy(place).into_owned();
    Ok(Json(view::page(found, next, |rule| view::name_rule(&rule))))
}

/// Makes a rule on a name, in place of any that it has.
#[utoipa::path(post, path = "/v1/names", tag = "names", request_body = NameRuling,
    responses((status = 200, body = NameRule), Problems))]
pub(crate) async fn rule_name(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<NameRuling>,
) -> Result<Json<NameRule>, Problem> {
    let rule = &acts::NAME_RULE;
    let what = json!({ "name": sent.name, "verdict": sent.verdict, "exact": sent.exact });
    let act = operator.admit(&caller, rule, what, Some(&sent.reason)).await?;
    let verdict = match sent.verdict.as_str() {
        "block" => NameVerdict::Block,
        "allow" => NameVerdict::Allow,
        _ => return Err(Problem::invalid("verdict is block or allow")),
    };
    let name = extract::name(&sent.name)?;
    let ruled = operator.authority.name_rule_put(&act, name, verdict, sent.exact).await;
    Ok(Json(view::name_rule(&operator.finish(rule, &act, ruled).await?)))
}

/// Takes a name's own rule back.
#[utoipa::path(post, path = "/v1/names/{name}/forget", tag = "names", params(("name" = String, Path)),
    request_body = Reason, responses((status = 200, body = Done), Problems))]
pub(crate) async fn forget_name(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<Reason>,
) -> Result<Json<Done>, Problem> {
    let rule = &acts::NAME_RULE;
    let act =
        operator.admit(&caller, rule, json!({ "name": name, "verdict": null }), Some(&sent.reason)).await?;
    let name = extract::name(&name)?;
    let forgotten = operator.authority.name_rule_forget(&act, name.clone()).await;
    operator.finish(rule, &act, forgotten).await?;
    Ok(Json(Done { done: format!("there is no rule on {name} itself any more") }))
}
