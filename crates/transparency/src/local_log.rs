//! Logs for tests: they check what they are sent, keep a tree, answer as RFC 6962, section 4, wants it, and can be slow,
//! broken or lying. Sockets are somebody else's.
//!
//! - [`LocalLogs`]: three logs of two operators, with a list of them, and a [`Network`] that leads to them.
//! - [`LocalLog`]: one of them. `accept`: what it takes. `tree`: what it keeps. `read`: what it shows.
//! - [`Manner`]: how it behaves. [`Reply`]: what it says.
//!
//! Nothing here is durable, and keys are made anew with each log: nobody may trust these logs.

mod accept;
mod kept;
mod mood;
mod read;
mod reply;
mod set;
mod tree;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ingam_protocol::Timestamp;
use ingam_protocol::time::Clock;
use ingam_protocol::transparency::{Entry, LogKey, Sct, leaf_index_extension};
use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use serde_json::json;

use crate::Error;
use crate::list::Kind;

pub use mood::{Manner, Mood};
pub use reply::{Reaction, Reply};
pub use set::LocalLogs;

use reply::{json_reply, text};

use accept::Accepted;
use kept::Kept;
use tree::Tree;

/// sha256 with ecdsa.
const SHA256_ECDSA: [u8; 2] = [4, 3];

/// After so many entries a log takes no more.
const ENTRIES_MAX: u64 = 1 << 20;

/// Of so many entries a log keeps the bytes; of later ones their place in the tree alone.
const KEPT_MAX: usize = 4096;

/// What a log is.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Its name in URLs, as `a`.
    pub name: String,
    /// Who is said to run it.
    pub operator: String,
    /// How it is read.
    pub kind: Kind,
    /// Of which certificates it takes: those that end at the first moment or after it, and before the second.
    pub interval: [Timestamp; 2],
}

/// One log.
pub struct LocalLog {
    clock: Arc<dyn Clock>,
    key_pair: KeyPair,

    settings: LogSettings,
    /// The same key as others see it.
    key: LogKey,
    /// DER of the CA certificates below which everything has to be.
    roots: Vec<Vec<u8>>,

    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    manner: Manner,
    tree: Tree,
    /// The SCT of each entry by its hash without time: what comes twice gets the same.
    known: HashMap<[u8; 32], Sct>,
    /// The first entries.
    kept: Vec<Kept>,
}

impl LocalLog {
    /// A log with a key of its own and nothing in it.
    ///
    /// # Errors
    /// [`Error::Config`] if no key can be made.
    pub fn new(settings: LogSettings, roots: Vec<Vec<u8>>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let unusable = |why: String| Error::Config(format!("the log for tests cannot be made: {why}"));
        let key_pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
            .map_err(|error| unusable(error.to_string()))?;
        let key = LogKey::from_spki(&key_pair.subject_public_key_info())
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Self { clock, key_pair, settings, key, roots, state: Mutex::default() })
    }

    /// What it is.
    pub fn settings(&self) -> &LogSettings {
        &self.settings
    }

    /// Its key, and so its name.
    pub fn key(&self) -> &LogKey {
        &self.key
    }

    /// How it behaves from now on.
    pub fn set_manner(&self, manner: Manner) {
        self.state().manner = manner;
    }

    /// How it behaves.
    pub fn manner(&self) -> Manner {
        self.state().manner
    }

    /// How many entries it has.
    pub fn size(&self) -> u64 {
        self.state().tree.size()
    }

    /// add-chain and add-pre-chain (RFC 6962, sections 4.1 and 4.2), as the mood has it, but for its delay.
    fn add(&self, body: &[u8], is_precertificate: bool) -> Reply {
        let accepted = match accept::read(body, is_precertificate, &self.roots, self.settings.interval) {
            Ok(accepted) => accepted,
            Err(why) => return text(400, &why),
        };
        match self.promised(&accepted) {
            Ok(reply) => reply,
            Err(why) => text(503, &why),
        }
    }

    /// The SCT for an entry, which is in the tree after this.
    fn promised(&self, accepted: &Accepted) -> Result<Reply, String> {
        let mut state = self.state();
        let mood = state.manner.mood;
        let blank = Sct {
            log: self.key.id(),
            timestamp: Timestamp::default(),
            extensions: Vec::new(),
            algorithm: SHA256_ECDSA,
            signature: Vec::new(),
        };
        let name = accepted.entry.leaf_hash(&blank).map_err(in_words)?;
        if let Some(sct) = state.known.get(&name).filter(|_| mood == Mood::Good) {
            return Ok(reply_with(sct));
        }
        let index = state.tree.size();
        if index >= ENTRIES_MAX {
            return Err("the log is full: start it anew".to_owned());
        }
        let extensions = match self.settings.kind {
            Kind::Static if mood != Mood::NoIndex => leaf_index_extension(index),
            _ => Vec::new(),
        };
        let unsigned = Sct { timestamp: mood.timestamp(self.clock.now()), extensions, ..blank };
        let about = mood.about(&accepted.entry);
        let signature = self.sign(&about.signed(&unsigned).map_err(in_words)?)?;
        let sct = Sct { signature, ..unsigned };
        state.tree.append(accepted.entry.leaf_hash(&sct).map_err(in_words)?);
        if state.kept.len() < KEPT_MAX {
            let leaf = accepted.entry.leaf(&sct).map_err(in_words)?;
            let is_precertificate = matches!(accepted.entry, Entry::Precertificate { .. });
            state.kept.push(Kept { leaf, chain: accepted.chain.clone(), is_precertificate });
        }
        // A promise of a bad mood is none to repeat.
        if mood == Mood::Good {
            state.known.insert(name, sct.clone());
        }
        Ok(reply_with(&mood.damaged(sct)))
    }

    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        self.key_pair.sign(bytes).map_err(in_words)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer with a promise in it (RFC 6962, section 4.1).
fn reply_with(sct: &Sct) -> Reply {
    let Ok(signature) = sct.digitally_signed() else { return text(500, "the signature is too long") };
    json_reply(&json!({
        "sct_version": 0,
        "id": sct.log.to_string(),
        "timestamp": sct.timestamp.unix_ms(),
        "extensions": STANDARD.encode(&sct.extensions),
        "signature": STANDARD.encode(signature),
    }))
}

fn in_words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
