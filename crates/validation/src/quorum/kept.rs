//! What is kept of answers, and which of them count.

use std::collections::BTreeSet;

use ingam_protocol::acme::ErrorType;
use serde_json::json;

use super::Answered;
use crate::outcome::Failure;
use crate::quote::quote;

/// The most bytes of evidence and details that all answers to one question keep together: a record is read as one piece.
pub(super) const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// Leaves out what is larger than its equal share; what is left says how large it was.
pub(super) fn limit(answered: &mut [Answered]) {
    let share = KEPT_BYTES_MAX / answered.len().max(1);
    for Answered { answer, .. } in answered {
        let evidence = answer.evidence.as_ref().map_or(0, |evidence| json!(evidence).to_string().len());
        let details = answer.details.as_ref().map_or(0, |details| details.to_string().len());
        let bytes = evidence + details;
        if bytes > share {
            answer.evidence = None;
            answer.details = Some(json!({ "left_out_bytes": bytes }));
        }
    }
}

/// One perspective counts once, however many entries of the configuration lead to it (BR 3.2.2.9): what it looked from is the same
/// place. Each of ours gives its own name in its evidence.
pub(super) fn count_once(answered: &mut [Answered]) {
    let mut names = BTreeSet::new();
    for Answered { answer, until, .. } in answered {
        let Some(evidence) = &answer.evidence else { continue };
        let name = &evidence.perspective;
        if names.insert(name.clone()) || !answer.agrees() {
            continue;
        }
        let name = quote(name.as_bytes());
        let detail = format!("its evidence is that of {name}, which has answered already and counts once");
        answer.failure = Some(Failure::new(ErrorType::ServerInternal, detail));
        *until = None;
    }
}
