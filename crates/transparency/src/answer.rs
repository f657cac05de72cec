//! What a log says, and whether it is true.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ingam_protocol::Timestamp;
use ingam_protocol::transparency::{LogId, Sct};
use serde::Deserialize;

use crate::list::{Kind, Log};
use crate::network::{Answer, BODY_BYTES_MAX};
use crate::{Failure, Submission};

/// How far a log's clock may go before ours.
const AHEAD_MAX: Duration = Duration::from_secs(5);

/// How old the promise for a precertificate may be: it was made a moment ago, or taken up again after a restart.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How much is kept of a refusal's words.
const SAID_MAX: usize = 160;

/// The answer of add-chain and add-pre-chain (RFC 6962, section 4.1).
#[derive(Deserialize)]
struct Form {
    sct_version: u8,
    id: String,
    timestamp: u64,
    #[serde(default)]
    extensions: String,
    signature: String,
}

/// The SCT in a log's answer, if it is one of this log for what was submitted.
pub(crate) fn sct(
    answer: &Answer,
    log: &Log,
    submission: &Submission,
    now: Timestamp,
) -> Result<Sct, Failure> {
    if answer.status != 200 {
        return Err(Failure::Refused { status: answer.status, said: printable(&answer.body) });
    }
    if answer.body.len() > BODY_BYTES_MAX {
        return Err(Failure::Untrue("the answer is too long"));
    }
    let form: Form = serde_json::from_slice(&answer.body)
        .map_err(|_| Failure::Untrue("the answer is not the JSON of an SCT"))?;
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| Failure::Untrue("the answer has no base64"));
    if form.sct_version != 0 {
        return Err(Failure::Untrue("the SCT is not of version 1"));
    }
    let id = LogId::from_base64(&form.id).ok_or(Failure::Untrue("the answer names no log"))?;
    let (extensions, signature) = (decode(&form.extensions)?, decode(&form.signature)?);
    let sct = Sct::from_answer(id, form.timestamp, &extensions, &signature)
        .map_err(|_| Failure::Untrue("the parts of the answer are no SCT"))?;
    verify(&sct, log, submission, now)?;
    Ok(sct)
}

fn verify(sct: &Sct, log: &Log, submission: &Submission, now: Timestamp) -> Result<(), Failure> {
    use ingam_protocol::transparency::Error;

    log.key.verify(sct, submission.entry()).map_err(|error| match error {
        Error::OtherLog => Failure::Untrue("the SCT names another log"),
        _ => Failure::Untrue("the signature is not one of this log for this certificate"),
    })?;
    if sct.timestamp > now.plus(AHEAD_MAX) {
        return Err(Failure::Untrue("the SCT is from the future"));
    }
    if submission.is_precertificate() && now.since(sct.timestamp) > AGE_MAX {
        return Err(Failure::Untrue("the SCT is older than the precertificate"));
    }
    if log.kind == Kind::Static && sct.leaf_index().is_none() {
        return Err(Failure::Untrue("the SCT does not say at which place of the log it is"));
    }
    Ok(())
}

/// The first words of a body, with nothing that a terminal or a log would take for more than text.
fn printable(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..SAID_MAX).unwrap_or(body)).into_owned();
    let text: String = text.chars().map(|one| if one.is_control() { ' ' } else { one }).collect();
    text.trim().to_owned()
}
