//! From a caller to an act that may be done. What is refused is on record, and so is what came of the rest.

use axum::http::StatusCode;
use ingam_authority::operator::{Act, ActError, Outcome};
use ingam_protocol::operator::Role;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument as _;

use crate::Operator;
use crate::acts::{Kind, Rule};
use crate::around::Caller;
use crate::extract;
use crate::problem::Problem;

/// At most this many bytes of a refused request are on record.
const WHAT_BYTES_MAX: usize = 4096;

impl Operator {
    /// Looks whether the caller may do this, and has said why where that has to be said.
    pub(crate) async fn admit(
        &self,
        caller: &Caller,
        rule: &'static Rule,
        what: Value,
        reason: Option<&str>,
    ) -> Result<Act, Problem> {
        let roles = self.authority.roles_of(caller.principal)?;
        let mut act = Act {
            act: rule.name,
            operator: caller.principal,
            roles: roles.iter().copied().collect(),
            asked_by: None,
            from: caller.from.clone(),
            client: caller.client.clone(),
            request_id: caller.request_id.clone(),
            what,
            reason: None,
        };
        if !rule.allows(&roles) {
            // What was tried goes on record with the reason that was given, if it is one.
            act.reason = extract::reason(reason).unwrap_or_default();
            act.what = bounded(act.what);
            let detail = role_needed(rule, &act);
            count(rule.name, Outcome::Refused);
            self.authority.act_ended(&act, Outcome::Refused, Some(&detail)).await?;
            return Err(Problem::new(StatusCode::FORBIDDEN, "role-needed", detail));
        }
        act.reason = extract::reason(reason)?;
        if rule.needs_reason && act.reason.is_none() {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "reason-needed",
                format!("{} goes on record with its reason: say why in \"reason\"", rule.name),
            ));
        }
        Ok(act)
    }

    /// What came of an admitted act: counted, and on record where it was not done. What was done is on record already.
    pub(crate) async fn finish<T>(
        &self,
        rule: &'static Rule,
        act: &Act,
        result: Result<T, ActError>,
    ) -> Result<T, Problem> {
        match result {
            Ok(value) => {
                count(rule.name, Outcome::Done);
                Ok(value)
            }
            Err(error) => Err(self.not_done(rule, act, error).await),
        }
    }

    /// The same of one that was not done.
    pub(crate) async fn not_done(&self, rule: &'static Rule, act: &Act, error: ActError) -> Problem {
        let outcome = match error {
            ActError::Fault(_) => Outcome::Failed,
            ActError::NotFound(_) | ActError::Conflict(_) | ActError::Invalid(_) => Outcome::Refused,
        };
        count(rule.name, outcome);
        if rule.kind != Kind::Read {
            // A store that fails cannot take the record either: the log has both.
            if let Err(unrecorded) = self.authority.act_ended(act, outcome, Some(&error.to_string())).await {
                let problem = Problem::from(unrecorded);
                return if outcome == Outcome::Failed { error.into() } else { problem };
            }
        }
        error.into()
    }
}

impl Operator {
    /// A turn for work that reads much; not more than a few at once. To be held by the work itself, which goes on when the
    /// client has hung up.
    pub(crate) async fn search_turn(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.searches.clone().acquire_owned().await.map_err(|_| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "the process is about to end")
        })
    }

    /// Runs such work on a thread that may wait for the disk.
    pub(crate) async fn search<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = self.search_turn().await?;
        read(move || {
            let _turn = turn;
            work()
        })
        .await
    }
}

/// Runs work on a thread that may wait for the disk: a page of rows needs no turn, but it is no single row either.
pub(crate) async fn read<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(task_failed)
}

/// Runs work that goes on if the client hangs up: what was begun is not left half done.
pub(crate) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(work.in_current_span()).await.map_err(task_failed)
}

/// A task that ended by a panic, or with the runtime.
fn task_failed(cause: tokio::task::JoinError) -> Problem {
    tracing::error!(code = "operator_task", error = &cause as &dyn std::error::Error, "a task failed");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "fault",
        "something failed here: the log has this request's name and the cause",
    )
}

/// What somebody sent who has no right to: on record as long as it is short, so that the log does not grow by it.
fn bounded(what: Value) -> Value {
    let bytes = what.to_string().len();
    if bytes > WHAT_BYTES_MAX { json!({ "bytes": bytes }) } else { what }
}

/// Counts an act with what came of it.
pub(crate) fn count(act: &'static str, outcome: Outcome) {
    metrics::counter!("ingam_admin_requests_total", "act" => act, "outcome" => outcome.name()).increment(1);
}

fn role_needed(rule: &Rule, act: &Act) -> String {
    let list = |roles: &[Role]| roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ");
    let has = if act.roles.is_empty() { "no role".to_owned() } else { list(&act.roles) };
    format!(
        "{} needs one of the roles {}; {} has {has}: an administrator can grant one (`ingam admin role grant`)",
        rule.name,
        list(rule.roles),
        act.operator
    )
}
