//! Keys that accounts can be bound to (RFC 8555, section 7.3.4).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingam_authority::operator::NewExternalKey;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::orders::id_text;
use crate::Operator;
use crate::acts;
use crate::api::{ExternalKey, ExternalKeyMade, ExternalKeyMaking, Page, Reason};
use crate::around::Caller;
use crate::extract::{self, Asked, Named, Sent, optional};
use crate::problem::{Problem, Problems};
use crate::view;

/// Which keys.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExternalKeysAsked {
    /// `unused`, `bound`, `expired` or `withdrawn`.
    #[param(max_length = 16)]
    status: Option<String>,
    /// The `next` of the page before.
    #[param(max_length = 64)]
    after: Option<String>,
    /// How many at most: 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Keys that accounts can be bound to, oldest first.
#[utoipa::path(get, path = "/v1/external-keys", tag = "external keys", params(ExternalKeysAsked),
    responses((status = 200, body = Page<ExternalKey>), Problems))]
pub(crate) async fn external_keys(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<ExternalKeysAsked>,
) -> Result<Json<Page<ExternalKey>>, Problem> {
    let rule = &acts::EAB_LIST;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let status = optional(asked.status.as_ref(), extract::external_key_status)?;
    let after = optional(asked.after.as_ref(), extract::id)?;
    let (authority, limit) = (operator.authority.clone(), extract::limit(asked.limit)?);
    let found = operator.search(move || authority.external_keys(status, after, limit)).await?;
    let found = operator.finish(rule, &act, found).await?;
    let now = operator.authority.clock().now();
    Ok(Json(view::page(found, id_text, |key| view::external_key(&key, now))))
}

/// Makes a key. The answer is the one place where its MAC key is seen.
#[utoipa::path(post, path = "/v1/external-keys", tag = "external keys", request_body = ExternalKeyMaking,
    responses((status = 201, body = ExternalKeyMade), Problems))]
pub(crate) async fn make_external_key(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<ExternalKeyMaking>,
) -> Result<(StatusCode, Json<ExternalKeyMade>), Problem> {
    let rule = &acts::EAB_CREATE;
    let what = json!({
        "holder": sent.holder, "profiles": sent.profiles, "names": sent.names, "expires": sent.expires,
    });
    let act = operator.admit(&caller, rule, what, None).await?;
    let new = NewExternalKey {
        holder: extract::holder(&sent.holder)?,
        profiles: sent.profiles.iter().map(|text| extract::profile(text)).collect::<Result<_, _>>()?,
        names: sent.names.iter().map(|text| extract::domain(text)).collect::<Result<_, _>>()?,
        expires: optional(sent.expires.as_ref(), extract::time)?,
    };
    let made = operator.authority.external_key_make(&act, new).await;
    let (key, secret) = operator.finish(rule, &act, made).await?;
    let now = operator.authority.clock().now();
    let mac_key = secret.text().to_string();
    Ok((StatusCode::CREATED, Json(ExternalKeyMade { key: view::external_key(&key, now), mac_key })))
}

/// A key, without its secret.
#[utoipa::path(get, path = "/v1/external-keys/{id}", tag = "external keys", params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    responses((status = 200, body = ExternalKey), Problems))]
pub(crate) async fn external_key(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<ExternalKey>, Problem> {
    let rule = &acts::EAB_SHOW;
    let act = operator.admit(&caller, rule, json!({ "key": name }), None).await?;
    let found = operator.authority.external_key(extract::id(&name)?);
    let found = operator.finish(rule, &act, found).await?;
    Ok(Json(view::external_key(&found, operator.authority.clock().now())))
}

/// Withdraws a key for good: no account can be bound to it, and the one that is gets no more certificates.
#[utoipa::path(post, path = "/v1/external-keys/{id}/withdraw", tag = "external keys", params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    request_body = Reason, responses((status = 200, body = ExternalKey), Problems))]
pub(crate) async fn withdraw_external_key(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<Reason>,
) -> Result<Json<ExternalKey>, Problem> {
    let rule = &acts::EAB_WITHDRAW;
    let act = operator.admit(&caller, rule, json!({ "key": name }), Some(&sent.reason)).await?;
    let withdrawn = operator.authority.external_key_withdraw(&act, extract::id(&name)?).await;
    let withdrawn = operator.finish(rule, &act, withdrawn).await?;
    Ok(Json(view::external_key(&withdrawn, operator.authority.clock().now())))
}
