//! Backups of the CA, made by its own process.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingam_authority::operator::Outcome;
use serde_json::json;

use crate::Operator;
use crate::acts;
use crate::admission::{count, to_its_end};
use crate::api::{BackupAsked, BackupMade};
use crate::around::Caller;
use crate::extract::Sent;
use crate::problem::{Problem, Problems};

/// At most this many bytes are the name of a folder.
const PATH_BYTES_MAX: usize = 4096;

/// Makes a backup while the CA runs: a set in a folder on the CA's own machine, encrypted for `backup.recipient`. What earlier
/// sets in that folder have is not written again. Sets older than `keep_days` are let go behind it. It is on record when the answer comes.
#[utoipa::path(post, path = "/v1/backups", tag = "backups", request_body = BackupAsked,
    responses((status = 201, body = BackupMade), Problems))]
pub(crate) async fn make_backup(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<BackupAsked>,
) -> Result<(StatusCode, Json<BackupMade>), Problem> {
    if !sent.to.starts_with('/') || sent.to.len() > PATH_BYTES_MAX {
        return Err(Problem::invalid("to is the path of a folder on the CA's machine, from / on"));
    }
    if sent.keep_days == Some(0) {
        return Err(Problem::invalid("keep_days is how old sets may get: a day, at least"));
    }
    let what = match sent.keep_days {
        None => json!({ "to": sent.to }),
        Some(days) => json!({ "to": sent.to, "keep_days": days }),
    };
    let act = operator.admit(&caller, &acts::BACKUP, what, Some(&sent.reason)).await?;
    let (host, making) = (operator.host.clone(), act.clone());
    // Not left half done if the client hangs up.
    match to_its_end(async move { host.backup(&making, &sent.to, sent.keep_days).await }).await? {
        Ok(made) => {
            count(acts::BACKUP.name, Outcome::Done);
            Ok((StatusCode::CREATED, Json(made)))
        }
        Err(detail) => {
            count(acts::BACKUP.name, Outcome::Failed);
            operator.authority.act_ended(&act, Outcome::Failed, Some(&detail)).await?;
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail))
        }
    }
}
