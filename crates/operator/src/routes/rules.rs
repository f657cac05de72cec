//! Keys and names that get no certificate.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ingam_authority::operator::NameVerdict;
use ingam_protocol::bytes::{base64url, from_base64url};
use ingam_protocol::key::PublicKey;
use ingam_protocol::pem;
use serde_json::{Value, json};

use super::revocations::PageAsked;
use crate::Operator;
use crate::acts;
use crate::admission::read;
use crate::api::{Done, KeyBlock, KeyBlocking, NameRule, NameRuling, Page, Reason, Waiting};
use crate::around::Caller;
use crate::deeds::Deed;
use crate::extract::{self, Asked, Named, Sent, optional};
use crate::problem::{Problem, Problems};
use crate::view;

/// Blocked keys by thumbprint.
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
    let named = json!({ "thumbprint": sent.thumbprint, "pem": sent.pem.is_some() });
    let mut act = operator.admit(&caller, rule, named, Some(&sent.reason)).await?;
    let thumbprint = read_key(&sent)?;
    act.what = json!({ "thumbprint": base64url(&thumbprint) });
    let blocked = operator.authority.key_block(&act, thumbprint).await;
    Ok((StatusCode::CREATED, Json(view::key_block(&operator.finish(rule, &act, blocked).await?))))
}

fn read_key(sent: &KeyBlocking) -> Result<[u8; 32], Problem> {
    match (&sent.thumbprint, &sent.pem) {
        (Some(text), None) => extract::thumbprint(text),
        (None, Some(text)) => {
            let spki = pem::public_key_info(text.as_bytes()).ok_or_else(|| {
                Problem::invalid("\"pem\" holds no certificate, certificate request or public key (PEM)")
            })?;
            let key = PublicKey::from_spki(&spki).map_err(|bad| {
                Problem::invalid(format!("no certificate is issued for this key anyway: {bad}"))
            })?;
            Ok(key.thumbprint())
        }
        _ => Err(Problem::invalid("give either \"thumbprint\" or \"pem\"")),
    }
}

/// Lets a blocked key be used again.
#[utoipa::path(post, path = "/v1/keys/{thumbprint}/unblock", tag = "keys", params(("thumbprint" = String, Path, pattern = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")),
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
