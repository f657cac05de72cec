//! Trials of validations.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ingam_protocol::acme::{UnreadIdentifier, ValidationTrial};
use serde_json::json;

use crate::Operator;
use crate::acts;
use crate::api;
use crate::around::Caller;
use crate::extract::{self, Sent};
use crate::problem::{Problem, Problems};
use crate::view;

/// Would this name validate now? Looked at from every perspective; it counts for nothing.
#[utoipa::path(post, path = "/v1/validations/try", tag = "validations", request_body = api::ValidationTrial,
    responses((status = 200, body = api::ValidationTried), Problems))]
pub(crate) async fn try_validation(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<api::ValidationTrial>,
) -> Result<Json<api::ValidationTried>, Problem> {
    let rule = &acts::VALIDATION_TRY;
    let what = json!({ "account": sent.account, "name": sent.name, "challenge": sent.challenge });
    let act = operator.admit(&caller, rule, what, None).await?;
    let account = extract::id(&sent.account)?;
    let wish = ValidationTrial {
        identifier: UnreadIdentifier::of(sent.name),
        challenge: sent.challenge,
        token: sent.token,
        profile: sent.profile,
    };
    let tried = operator.authority.validation_try_for(&act, account, wish).await;
    Ok(Json(view::validation_tried(&operator.finish(rule, &act, tried).await?)))
}
