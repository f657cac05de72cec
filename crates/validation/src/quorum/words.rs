//! What the owner of a name is told when perspectives do not agree.

use ingam_protocol::acme::ErrorType;

use crate::corroboration::{Corroboration, RemoteAnswer};
use crate::outcome::Failure;

/// The most perspectives whose words are quoted.
const QUOTED_MAX: usize = 3;

/// The most characters of each one's words.
const CHARACTERS_MAX: usize = 120;

/// Why not enough agreed: of the type that most of those have that did not.
pub(super) fn of(seen: &Corroboration, registries_min: u8) -> Failure {
    let Corroboration { line, answers, quorum } = seen;
    let failed: Vec<(&RemoteAnswer, &Failure)> =
        answers.iter().filter_map(|answer| Some((answer, answer.failure.as_ref()?))).collect();
    let Some(error) = most_common(failed.iter().map(|(_, failure)| failure.error)) else {
        let detail = format!(
            "all {} perspectives agree ({line}), and lie in the regions of {} of the registries, where {registries_min} are \
             needed: this is for the CA to mend; try again later",
            answers.len(),
            quorum.registries
        );
        return Failure::new(ErrorType::ServerInternal, detail);
    };
    let told: Vec<String> =
        failed.iter().take(QUOTED_MAX).map(|(answer, failure)| told(answer, failure)).collect();
    let more = match failed.len().saturating_sub(QUOTED_MAX) {
        0 => String::new(),
        count => format!("; and from {count} more"),
    };
    let (what, advice) = match error {
        ErrorType::ServerInternal => {
            ("there was no answer", "this is for the CA to mend, and not about your site; try again later")
        }
        _ => (
            "the answer was another",
            "check that your DNS and firewall give the whole Internet the same answer",
        ),
    };
    let detail = format!(
        "From {} of {} places {what}: {}{more} ({line} agree); {advice}",
        failed.len(),
        answers.len(),
        told.join("; ")
    );
    Failure::new(error, detail)
}

fn told(answer: &RemoteAnswer, failure: &Failure) -> String {
    let detail = &failure.detail;
    // Details are printable ASCII, of which every byte is a character.
    let short = detail.get(..CHARACTERS_MAX).map_or_else(|| detail.clone(), |short| format!("{short}..."));
    format!("from {}: {short}", answer.perspective)
}

/// The first of those that are there most often.
fn most_common(errors: impl Iterator<Item = ErrorType> + Clone) -> Option<ErrorType> {
    let count = |wanted: ErrorType| errors.clone().filter(|error| *error == wanted).count();
    // `max_by_key` gives the last of several, so the first comes last.
    let all: Vec<ErrorType> = errors.clone().collect();
    all.into_iter().rev().max_by_key(|error| count(*error))
}
