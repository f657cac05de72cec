//! The page for somebody who gets no status page: why, and what to do.

use askama::Template;
use axum::http::StatusCode;

use super::Mood;
use crate::around::Caller;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "refused.html", whitespace = "minimize")]
pub(super) struct RefusedPage {
    title: String,
    mood: Mood,
    headline: &'static str,
    sentences: Vec<String>,
    /// What an administrator has to say to let the caller in.
    command: Option<String>,
    request_id: String,
}

impl RefusedPage {
    pub(super) fn new(problem: &Problem, caller: &Caller) -> Self {
        let who = caller.principal;
        let no_role = problem.status == StatusCode::FORBIDDEN;
        let (mood, headline, sentences) = if no_role {
            let sentences = vec![
                format!("This CA knows you as {who}, and nobody has given that a role."),
                "That you asked is on record, as every refusal is.".to_owned(),
            ];
            (Mood::Warning, "You have no role at this CA", sentences)
        } else {
            let sentences = vec![
                "The status cannot be shown, as it could not be found out what you may see.".to_owned(),
                "The log has the cause. Load this page again in a moment; if it stays like this, look there."
                    .to_owned(),
            ];
            (Mood::Failing, "Something failed here", sentences)
        };
        let command = no_role.then(|| format!("ingam admin role grant {who} support --reason \"...\""));
        let title = format!("{headline} – Ingam");
        let request_id = caller.request_id.clone();
        Self { title, mood, headline, sentences, command, request_id }
    }
}
