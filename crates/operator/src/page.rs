//! A page for people: how the CA fares, what it did last, and what went wrong. It reads, and changes nothing.
//!
//! The page is whole in one answer: no script, no cookie, no request to anywhere, and a policy (CSP) that lets a browser
//! use nothing but the one stylesheet that is in it. It is under `/`, beside the API, and by the same table of acts:
//! what somebody's role does not show there, it does not show here.
//!
//! - [`status`] and `refused` make the words, `templates/` the HTML; all that comes from outside is escaped there.
//! - `style` has the stylesheet and the policy, `words` writes times and numbers.

mod refused;
mod status;
pub(crate) mod style;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ingam_authority::Authority;
use ingam_authority::operator::{ActError, Approval, CertificateSummary, Outcome, RevocationJob};
use ingam_protocol::Timestamp;
use ingam_protocol::health::Report;
use ingam_protocol::operator::{Principal, Role};
use serde_json::Value;
use tokio::time::timeout;

use crate::acts::{self, Rule};
use crate::admission::count;
use crate::around::Caller;
use crate::problem::Problem;
use crate::{LastError, Operator};

use refused::RefusedPage;
use status::StatusPage;

/// How many certificates the page shows.
const CERTIFICATES_MAX: usize = 12;
/// How many revocation jobs the page shows.
const JOBS_MAX: usize = 5;
/// How long the page waits for the health report.
const REPORT_WITHIN: Duration = Duration::from_secs(5);

/// Something that the caller may see or not, and that can be read or not.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shown<T> {
    /// Here it is.
    Here(Vec<T>),
    /// It could not be read; the log has the cause.
    Unread,
    /// The caller's roles do not show it.
    Hidden,
}

/// How something is, as an icon beside the word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mood {
    Good,
    Over,
    Revoked,
    Going,
    Paused,
    Unknown,
    Warning,
    Failing,
}

impl Mood {
    /// Its name in the templates and the stylesheet.
    fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Over => "over",
            Self::Revoked => "revoked",
            Self::Going => "going",
            Self::Paused => "paused",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Failing => "failing",
        }
    }
}

/// Everything that the page is made of.
struct Facts {
    now: Timestamp,
    caller: Principal,
    roles: Vec<Role>,
    /// `None` if it could not be had.
    report: Option<Report>,
    certificates: Shown<CertificateSummary>,
    approvals: Shown<Approval>,
    jobs: Shown<RevocationJob>,
    errors: Vec<LastError>,
}

/// The status page, or a page that says why not.
pub(crate) async fn status(State(operator): State<Arc<Operator>>, caller: Caller) -> Response {
    match operator.facts(&caller).await {
        Ok(facts) => answer(StatusCode::OK, &StatusPage::new(&facts)),
        Err(problem) => {
            tracing::info!(problem = problem.kind, status = problem.status.as_u16(), "refused");
            answer(problem.status, &RefusedPage::new(&problem, &caller))
        }
    }
}

impl Operator {
    async fn facts(&self, caller: &Caller) -> Result<Facts, Problem> {
        let act = self.admit(caller, &acts::STATUS_SHOW, Value::Null, None).await?;
        let roles: BTreeSet<Role> = act.roles.iter().copied().collect();
        let report = self.report().await;
        let authority = self.authority.clone();
        // Bounded reads: not a search, which would have to wait for its turn.
        let read = tokio::task::spawn_blocking(move || read(&authority, &roles)).await;
        let (certificates, approvals, jobs) = read.unwrap_or_else(|cause| {
            let error: &dyn std::error::Error = &cause;
            tracing::error!(code = "page_task", error, "the status page could not be read");
            (Shown::Unread, Shown::Unread, Shown::Unread)
        });
        count(acts::STATUS_SHOW.name, Outcome::Done);
        Ok(Facts {
            now: self.authority.clock().now(),
            caller: caller.principal,
            roles: act.roles,
            report,
            certificates,
            approvals,
            jobs,
            errors: self.host.last_errors(),
        })
    }

    /// The health report; a page without it still tells the rest.
    async fn report(&self) -> Option<Report> {
        let Ok(report) = timeout(REPORT_WITHIN, self.host.status()).await else {
            tracing::warn!(code = "report_late", "the health report took too long");
            return None;
        };
        let read = serde_json::from_value(report);
        read.inspect_err(|cause| {
            let error: &dyn std::error::Error = cause;
            tracing::warn!(code = "report_unread", error, "the health report cannot be read");
        })
        .ok()
    }
}

/// What the store knows, as far as these roles show it. Blocks.
fn read(
    authority: &Authority,
    roles: &BTreeSet<Role>,
) -> (Shown<CertificateSummary>, Shown<Approval>, Shown<RevocationJob>) {
    (
        shown(&acts::CERT_LIST, roles, || authority.certificates_latest(CERTIFICATES_MAX)),
        shown(&acts::APPROVAL_LIST, roles, || authority.approvals_waiting()),
        shown(&acts::REVOCATION_LIST, roles, || authority.revocation_jobs_latest(JOBS_MAX)),
    )
}

fn shown<T>(
    rule: &Rule,
    roles: &BTreeSet<Role>,
    read: impl FnOnce() -> Result<Vec<T>, ActError>,
) -> Shown<T> {
    if !rule.allows(roles) {
        return Shown::Hidden;
    }
    match read() {
        Ok(items) => Shown::Here(items),
        Err(error) => {
            // Logged and counted where a problem is made of it.
            let _ = Problem::from(error);
            Shown::Unread
        }
    }
}

fn answer(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
                (header::CONTENT_SECURITY_POLICY, style::policy()),
            ];
            (status, headers, html).into_response()
        }
        Err(cause) => {
            let error: &dyn std::error::Error = &cause;
            tracing::error!(code = "page_template", error, "the status page could not be written");
            let detail = "the page could not be written: the log has the cause";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "fault", detail).into_response()
        }
    }
}
