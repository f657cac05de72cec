//! The log of records: cosigned checkpoints that are handed in.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingam_authority::operator::Outcome;
use serde_json::json;

use crate::acts;
use crate::admission::{count, to_its_end};
use crate::api::{CosignedCheckpoint, Cosigners};
use crate::around::Caller;
use crate::extract::Sent;
use crate::problem::{Problem, Problems};
use crate::{NotTaken, Operator};

/// Takes a checkpoint of the log of records that witnesses have cosigned.
#[utoipa::path(post, path = "/v1/checkpoint/cosignatures", tag = "publication", request_body = CosignedCheckpoint,
    responses((status = 200, body = Cosigners), Problems))]
pub(crate) async fn cosign(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<CosignedCheckpoint>,
) -> Result<Json<Cosigners>, Problem> {
    let rule = &acts::CHECKPOINT_COSIGN;
    let act = operator.admit(&caller, rule, json!({ "note": sent.note }), None).await?;
    let host = operator.host.clone();
    let taken = to_its_end(async move { host.checkpoint_cosign(&sent.note).await }).await?;
    let (outcome, detail) = match &taken {
        Ok(witnesses) => (Outcome::Done, witnesses.join(", ")),
        Err(NotTaken::Refused(why)) => (Outcome::Refused, why.clone()),
        Err(NotTaken::Failed(why)) => (Outcome::Failed, why.clone()),
    };
    count(rule.name, outcome);
    operator.authority.act_ended(&act, outcome, Some(&detail)).await?;
    match taken {
        Ok(witnesses) => Ok(Json(Cosigners { witnesses })),
        Err(NotTaken::Refused(_)) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", &detail)),
        Err(NotTaken::Failed(_)) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &detail))
        }
    }
}
