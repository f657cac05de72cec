//! Routes beside RFC 8555 that tell of rate limits, and let go who was paused.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use ingam_authority::Standing;
use ingam_protocol::acme::{NewOrder, UnreadIdentifier};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Frontend;
use crate::around::{Outcome, request_id};
use crate::problem::refusal_json;
use crate::resource::json_response;
use crate::signed::{FromAccount, read_payload};

/// Names that an account wants to order for again; none means all.
#[derive(Deserialize)]
struct Unpause {
    #[serde(default)]
    identifiers: Vec<UnreadIdentifier>,
}

pub(crate) async fn dry_run(State(frontend): State<Arc<Frontend>>, request: Request) -> Response<Body> {
    let id = request_id(&request);
    frontend.answer(&id, frontend.dry_run(request).await)
}

pub(crate) async fn unpause(State(frontend): State<Arc<Frontend>>, request: Request) -> Response<Body> {
    let id = request_id(&request);
    frontend.answer(&id, frontend.unpause(request).await)
}

impl Frontend {
    /// What a newOrder with the same payload would meet.
    async fn dry_run(&self, request: Request) -> Outcome {
        let FromAccount { account, payload, .. } = self.signed_by_account(request).await?;
        let wish: NewOrder = read_payload(&payload)?;
        let found = self.authority.order_dry_run(&account, &wish)?;
        let reached = found.limits.iter().any(|standing| standing.left.remaining == 0);
        let body = json!({
            "wouldSucceed": !reached && found.refusals.is_empty(),
            "limits": found.limits.iter().map(standing).collect::<Vec<_>>(),
            "problems": found.refusals.iter().map(refusal_json).collect::<Vec<_>>(),
        });
        Ok(json_response(StatusCode::OK, &body))
    }

    async fn unpause(&self, request: Request) -> Outcome {
        let FromAccount { account, payload, caller } = self.signed_by_account(request).await?;
        let wish: Unpause = read_payload(&payload)?;
        let unpaused = self.authority.unpause(&account, &wish.identifiers, &caller).await?;
        let body = json!({ "unpaused": unpaused.names, "more": unpaused.has_more });
        Ok(json_response(StatusCode::OK, &body))
    }
}

fn standing(standing: &Standing) -> Value {
    let mut value = json!({
        "limit": standing.limit,
        "subject": standing.subject.to_string(),
        "remaining": standing.left.remaining,
        "of": standing.in_force.burst(),
        "nextAt": standing.left.next_at.to_rfc3339(),
        "wouldRefuse": standing.left.remaining == 0,
    });
    if let (Some(until), Some(object)) = (standing.until, value.as_object_mut()) {
        object.insert("overrideUntil".to_owned(), until.to_rfc3339().into());
    }
    value
}
