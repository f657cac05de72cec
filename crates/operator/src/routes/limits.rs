//! Rate limits, exceptions from them, and accounts that are paused.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use ingam_authority::operator::OwnLimit;
use ingam_protocol::acme::UnreadIdentifier;
use ingam_protocol::bytes::{base64url, from_base64url};
use ingam_protocol::identifier::Host;
use ingam_protocol::limit::{Favoured, LimitName};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::revocations::PageAsked;
use crate::Operator;
use crate::acts;
use crate::admission::read;
use crate::api::{
    Done, LimitForgetting, LimitOverride, LimitOverriding, LimitsShown, OrderTrial, OrderTried, Page,
    Unpaused, Unpausing,
};
use crate::around::Caller;
use crate::extract::{self, Asked, Sent, optional};
use crate::problem::{Problem, Problems};
use crate::view;

/// At most this many names are one order, or are let go at once.
const NAMES_MAX: usize = 1000;

/// Whose limits: exactly one of both.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WhoseAsked {
    /// An account's.
    #[param(max_length = 22)]
    account: Option<String>,
    /// A registered domain's.
    #[param(max_length = 260)]
    domain: Option<String>,
}

fn favoured(account: Option<&String>, domain: Option<&String>) -> Result<Favoured, Problem> {
    match (account, domain) {
        (Some(account), None) => Ok(Favoured::Account(extract::id(account)?)),
        (None, Some(domain)) => Ok(Favoured::Domain(extract::name(domain)?)),
        _ => Err(Problem::invalid("give either account or domain")),
    }
}

fn limit_name(text: &str) -> Result<LimitName, Problem> {
    LimitName::from_name(text).ok_or_else(|| {
        let names: Vec<&str> = LimitName::ALL.iter().map(|limit| limit.name()).collect();
        Problem::invalid(format!("there is no such limit: use one of {}", names.join(", ")))
    })
}

fn few(names: &[String]) -> Result<(), Problem> {
    match names.len() {
        0..=NAMES_MAX => Ok(()),
        _ => Err(Problem::invalid(format!("give at most {NAMES_MAX} names"))),
    }
}

/// How limits stand for an account or a registered domain.
#[utoipa::path(get, path = "/v1/limits", tag = "limits", params(WhoseAsked),
    responses((status = 200, body = LimitsShown), Problems))]
pub(crate) async fn limits(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<WhoseAsked>,
) -> Result<Json<LimitsShown>, Problem> {
    let rule = &acts::LIMIT_SHOW;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let whose = favoured(asked.account.as_ref(), asked.domain.as_ref())?;
    let authority = operator.authority.clone();
    let shown = read(move || authority.limits_of(&whose)).await?;
    Ok(Json(view::limits(&operator.finish(rule, &act, shown).await?)))
}

/// What an order would meet if it came now. None is made, and nothing is spent.
#[utoipa::path(post, path = "/v1/limits/dry-run", tag = "limits", request_body = OrderTrial,
    responses((status = 200, body = OrderTried), Problems))]
pub(crate) async fn dry_run(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<OrderTrial>,
) -> Result<Json<OrderTried>, Problem> {
    let rule = &acts::LIMIT_SHOW;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    few(&sent.names)?;
    let account = extract::id(&sent.account)?;
    let identifiers = sent.names.into_iter().map(UnreadIdentifier::of).collect();
    let authority = operator.authority.clone();
    let found = read(move || authority.limits_dry_run(account, identifiers, sent.profile)).await?;
    Ok(Json(view::tried(&operator.finish(rule, &act, found).await?)))
}

/// Exceptions from limits, in force or over.
#[utoipa::path(get, path = "/v1/limits/overrides", tag = "limits", params(PageAsked),
    responses((status = 200, body = Page<LimitOverride>), Problems))]
pub(crate) async fn overrides(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<PageAsked>,
) -> Result<Json<Page<LimitOverride>>, Problem> {
    let rule = &acts::LIMIT_SHOW;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let after = optional(asked.after.as_ref(), |text| {
        from_base64url(text).ok_or_else(|| Problem::invalid("after is the next of a page before"))
    })?;
    let (authority, limit) = (operator.authority.clone(), extract::limit(asked.limit)?);
    let found = read(move || authority.limit_overrides(after.as_deref(), limit)).await?;
    let found = operator.finish(rule, &act, found).await?;
    Ok(Json(view::page(found, base64url, |own| view::limit_override(&own))))
}

/// Makes an exception, in place of any that is there.
#[utoipa::path(post, path = "/v1/limits/overrides", tag = "limits", request_body = LimitOverriding,
    responses((status = 200, body = LimitOverride), Problems))]
pub(crate) async fn put_override(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<LimitOverriding>,
) -> Result<Json<LimitOverride>, Problem> {
    let rule = &acts::LIMIT_OVERRIDE;
    let what = json!({
        "limit": sent.limit, "account": sent.account, "domain": sent.domain, "count": sent.count,
        "period_s": sent.period_s, "burst": sent.burst, "until": sent.until,
    });
    let act = operator.admit(&caller, rule, what, Some(&sent.reason)).await?;
    let wish = OwnLimit {
        limit: limit_name(&sent.limit)?,
        favoured: favoured(sent.account.as_ref(), sent.domain.as_ref())?,
        count: sent.count,
        period: sent.period_s.map(Duration::from_secs),
        burst: sent.burst,
        until: extract::time(&sent.until)?,
    };
    let own = operator.authority.limit_override_put(&act, wish).await;
    Ok(Json(view::limit_override(&operator.finish(rule, &act, own).await?)))
}

/// Takes an exception back: the ordinary limit holds again.
#[utoipa::path(post, path = "/v1/limits/overrides/forget", tag = "limits", request_body = LimitForgetting,
    responses((status = 200, body = Done), Problems))]
pub(crate) async fn forget_override(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<LimitForgetting>,
) -> Result<Json<Done>, Problem> {
    let rule = &acts::LIMIT_OVERRIDE;
    let what = json!({
        "limit": sent.limit, "account": sent.account, "domain": sent.domain, "count": null,
    });
    let act = operator.admit(&caller, rule, what, Some(&sent.reason)).await?;
    let limit = limit_name(&sent.limit)?;
    let whose = favoured(sent.account.as_ref(), sent.domain.as_ref())?;
    let forgotten = operator.authority.limit_override_forget(&act, limit, whose.clone()).await;
    operator.finish(rule, &act, forgotten).await?;
    Ok(Json(Done { done: format!("the ordinary {limit} holds for {whose} again") }))
}

/// Lets an account order again for names that were paused.
#[utoipa::path(post, path = "/v1/limits/unpause", tag = "limits", request_body = Unpausing,
    responses((status = 200, body = Unpaused), Problems))]
pub(crate) async fn unpause(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<Unpausing>,
) -> Result<Json<Unpaused>, Problem> {
    let rule = &acts::LIMIT_UNPAUSE;
    let what = json!({ "account": sent.account, "names": sent.names });
    let act = operator.admit(&caller, rule, what, Some(&sent.reason)).await?;
    few(&sent.names)?;
    let account = extract::id(&sent.account)?;
    let host = |text: &String| {
        let host = text.parse::<Host>();
        host.map(|host| host.to_string()).map_err(|bad| Problem::invalid(bad.to_string()))
    };
    let names = sent.names.iter().map(host).collect::<Result<Vec<_>, _>>()?;
    let lifted = operator.authority.account_unpause(&act, account, names).await;
    let names = operator.finish(rule, &act, lifted).await?;
    Ok(Json(Unpaused { account: account.to_string(), names }))
}
