//! A route beside RFC 8555: would this name validate now?

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use ingam_authority::{Look, Trial};
use ingam_protocol::acme::{Failure, ValidationTrial};
use serde_json::{Value, json};

use crate::Frontend;
use crate::around::{Outcome, request_id};
use crate::problem::failure_json;
use crate::resource::{identifier, json_response};
use crate::signed::{FromAccount, read_payload};

pub(crate) async fn validation(State(frontend): State<Arc<Frontend>>, request: Request) -> Response<Body> {
    let id = request_id(&request);
    frontend.answer(&id, frontend.validation_trial(request).await)
}

impl Frontend {
    async fn validation_trial(&self, request: Request) -> Outcome {
        let FromAccount { account, payload, caller } = self.signed_by_account(request).await?;
        let wish: ValidationTrial = read_payload(&payload)?;
        let trial = self.authority.validation_try(&account, wish, &caller).await?;
        Ok(json_response(StatusCode::OK, &trial_json(&trial)))
    }
}

fn trial_json(trial: &Trial) -> Value {
    json!({
        "identifier": identifier(&trial.identifier),
        "challenge": trial.challenge,
        "token": trial.token,
        "keyAuthorization": trial.key_authorization,
        "wouldValidate": trial.would_validate(),
        "control": look(&trial.control),
        "caa": trial.caa.as_ref().map(look),
        "validationRecord": trial.validation_record,
    })
}

/// What a look came to, from here and from elsewhere.
fn look(look: &Look) -> Value {
    let remote = |(perspective, failure): &(String, Option<Failure>)| json!({ "perspective": perspective, "error": failure.as_ref().map(failure_json) });
    json!({
        "passed": look.failure.is_none(),
        "error": look.failure.as_ref().map(failure_json),
        "quorum": look.quorum.map(|quorum| quorum.to_string()),
        "remotes": look.remotes.iter().map(remote).collect::<Vec<_>>(),
    })
}
