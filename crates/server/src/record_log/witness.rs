//! Asking witnesses to cosign (c2sp.org/tlog-witness).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ingam_journal::log::Log;
use ingam_protocol::note::{Note, NoteSignature, VerifierKey, add_checkpoint, size_from};

use crate::serve::StartError;

/// How long a witness may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// No answer of a witness is longer.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// One witness, and what is known of it.
pub(super) struct Witness {
    pub(super) key: VerifierKey,
    /// Where it takes checkpoints, if anywhere.
    url: Option<String>,
    /// The size of the tree that it cosigned last, as far as this process knows.
    known: AtomicU64,
    /// Whether it failed the last time: that is told once.
    fails: AtomicBool,
}

/// What a witness said.
enum Answer {
    Signed(NoteSignature),
    /// It knows a tree of another size.
    Knows(u64),
}

impl Witness {
    pub(super) fn new(key: VerifierKey, url: Option<&str>) -> Self {
        let url = url.map(|url| format!("{}/add-checkpoint", url.trim_end_matches('/')));
        Self { key, url, known: AtomicU64::new(0), fails: AtomicBool::new(false) }
    }

    pub(super) fn can_be_asked(&self) -> bool {
        self.url.is_some()
    }

    /// Asks for a cosignature on the checkpoint of this size, and verifies it. Failures go to the log.
    pub(super) async fn cosign(
        &self,
        client: &reqwest::Client,
        log: &Arc<Log>,
        note: &Note,
        size: u64,
    ) -> Option<NoteSignature> {
        let asked = tokio::time::timeout(TIMEOUT, self.ask(client, log, note, size)).await;
        let name = self.key.name().as_str();
        match asked.unwrap_or_else(|_| Err(format!("it did not answer within {} s", TIMEOUT.as_secs()))) {
            Ok(signature) => {
                if self.fails.swap(false, Ordering::Relaxed) {
                    tracing::info!(witness = name, "a witness signs checkpoints again");
                }
                Some(signature)
            }
            Err(why) => {
                if !self.fails.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        code = "log_witness",
                        witness = name,
                        why,
                        "a witness does not sign a checkpoint: it is asked again"
                    );
                }
                None
            }
        }
    }

    async fn ask(
        &self,
        client: &reqwest::Client,
        log: &Arc<Log>,
        note: &Note,
        size: u64,
    ) -> Result<NoteSignature, String> {
        let mut known = self.known.load(Ordering::Relaxed);
        // Once with what this process knows, once with what the witness then says.
        for _ in 0..2 {
            if known > size {
                return Err(format!(
                    "it has signed a tree of {known} leaves, and this one has {size}: this log was put back from an older \
                     copy, or is not the only one with this key and origin"
                ));
            }
            match self.post(client, log, note, (known, size)).await? {
                Answer::Signed(signature) => {
                    self.known.store(size, Ordering::Relaxed);
                    return Ok(signature);
                }
                Answer::Knows(other) => {
                    self.known.store(other, Ordering::Relaxed);
                    known = other;
                }
            }
        }
        Err("it says twice that it knows another tree".to_owned())
    }

    async fn post(
        &self,
        client: &reqwest::Client,
        log: &Arc<Log>,
        note: &Note,
        (old, size): (u64, u64),
    ) -> Result<Answer, String> {
        let Some(url) = &self.url else { return Err("it has no url".to_owned()) };
        let proving = log.clone();
        let proof = tokio::task::spawn_blocking(move || proving.consistency(old, size)).await;
        let proof = proof.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let request = client.post(url).header("content-type", "text/plain; charset=utf-8");
        let request = request.body(add_checkpoint(old, &proof, note));
        let said = |error: reqwest::Error| {
            StartError::caused("it cannot be asked", &error.without_url()).to_string()
        };
        let mut answer = request.send().await.map_err(said)?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(said)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(format!("its answer has more than {ANSWER_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        let body = String::from_utf8(body).map_err(|_| "its answer is no text".to_owned())?;
        match status {
            200 => {
                let signatures = NoteSignature::parse_lines(&body).map_err(|error| error.to_string())?;
                let of_it = signatures.into_iter().find(|signature| self.key.is_named_by(signature));
                let signature = of_it.ok_or("its answer has no signature by its key")?;
                self.key.verify(note.text(), &signature).map_err(|error| error.to_string())?;
                Ok(Answer::Signed(signature))
            }
            409 => match size_from(body.trim_end_matches('\n')) {
                Some(size) if size != old => Ok(Answer::Knows(size)),
                _ => {
                    Err("it has signed another tree of the same size, or says nothing of its size".to_owned())
                }
            },
            404 => Err("it does not know this log: give it the log's origin and key".to_owned()),
            403 => Err("it does not take this log's signature: give it the log's key".to_owned()),
            422 => Err("it does not take the proof that this tree begins with the one it knows".to_owned()),
            other => Err(format!("it answers {other}")),
        }
    }
}
