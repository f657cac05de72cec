//! The log of records in the process: it grows with the journal, is signed every few seconds, and shown to witnesses.
//!
//! ```text
//! journal ──▶ leaves, on disk ──▶ checkpoint, signed ──▶ heads, on disk ──▶ given out
//!                                                                 └──▶ witnesses ──▶ their lines ──▶ heads, given out
//! ```
//!
//! Nothing waits for it. Where it cannot go on, what was signed stays given out, and it is tried again.

mod config;
mod key;
mod witness;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use ingam_journal::Journal;
use ingam_journal::files::{Disk, Files};
use ingam_journal::log::{Log, LogError, ROUND_LEAVES_MAX};
use ingam_operator::NotTaken;
use ingam_protocol::note::{
    Checkpoint, KeyKind, KeyName, NOTE_BYTES_MAX, Note, NoteError, NoteSignature, VerifierKey,
};
use ingam_protocol::time::Clock;
use ingam_responder::RecordLog;
use ingam_store::backup::LOG_BEFORE_RESTORE;
use ring::signature::Ed25519KeyPair;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use crate::config::Config as Whole;
use crate::listener::stopped;
use crate::serve::{Sources, StartError};

pub(crate) use config::Config;
pub(crate) use key::{KEY, read as read_key};
use witness::Witness;

/// The log's folder in the state folder.
pub(crate) const FOLDER: &str = "log";

/// The newest checkpoint that a witness cosigned.
const COSIGNED: &str = "cosigned";

/// At most so many rounds of leaves come before a checkpoint: a log that begins with an old journal signs on the way.
const ROUNDS_MAX: usize = 8;

/// The log, and everything that it takes to sign it.
pub(crate) struct Checkpoints {
    journal: Arc<Journal>,
    given_out: Arc<RecordLog>,
    clock: Arc<dyn Clock>,
    client: reqwest::Client,

    folder: PathBuf,
    config: Config,
    pair: Ed25519KeyPair,
    key: VerifierKey,
    witnesses: Vec<Arc<Witness>>,

    /// Whether the log has to be opened again before it goes on.
    is_broken: AtomicBool,
    /// Held by whoever puts a head on disk.
    turn: Mutex<()>,
}

/// Where a log's name is kept beside it.
const ORIGIN: &str = "origin";

/// Notes the log's name when it is made, and refuses another one later: two trees of one name would be two truths, and one tree of
/// two names would be signed for nobody.
fn keep_origin(files: &dyn Files, origin: &str) -> Result<(), String> {
    let told = |error: std::io::Error| format!("its name cannot be kept: {error}");
    let known = match files.open(ORIGIN) {
        Ok(file) => {
            let length = file.length().map_err(told)?.min(NOTE_BYTES_MAX as u64);
            let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
            file.read_at(0, &mut bytes).map_err(told)?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(told(error)),
    };
    if known.strip_suffix('\n') == Some(origin) {
        return Ok(());
    }
    // Without the end of the line it was not written whole, and nothing was signed under it.
    if let Some(known) = known.strip_suffix('\n') {
        return Err(format!(
            "it is called {known}, and the configuration calls it {origin}: set log.origin so that the name is the same, and leave \
             folders log.before-restore-... where they are; or move the folder away, and begin another log under another name"
        ));
    }
    let write = || -> std::io::Result<()> {
        let file = files.create(ORIGIN)?;
        file.set_length(0)?;
        file.write_at(0, format!("{origin}\n").as_bytes())?;
        file.sync()?;
        files.sync_directory()
    };
    write().map_err(told)
}

/// When the state folder was last restored from a backup, by the logs that were set aside then.
fn restored(state: &Path) -> std::io::Result<Option<u64>> {
    let mut newest = None;
    for entry in std::fs::read_dir(state)? {
        let name = entry?.file_name();
        let second = name.to_str().and_then(|name| name.strip_prefix(LOG_BEFORE_RESTORE));
        newest = newest.max(second.and_then(|second| second.parse().ok()));
    }
    Ok(newest)
}

impl Checkpoints {
    /// Opens the log, and makes it with its key where there is none.
    pub(crate) fn open(
        whole: &Whole,
        journal: Arc<Journal>,
        sources: &Sources,
    ) -> Result<Arc<Self>, StartError> {
        let folder = whole.state.join(FOLDER);
        let failed = |error: &dyn std::error::Error| {
            StartError::caused(&format!("the log of records in {} cannot be opened", folder.display()), error)
        };
        let may_be_new = !folder.join(KEY).exists();
        let files = Disk::open(&folder).map_err(|error| failed(&error))?;
        // Before the key: where that is, there was a log.
        let log = Arc::new(Log::open(&files, may_be_new).map_err(|error| failed(&error))?);
        let pair = match may_be_new && log.head().size > 0 {
            false => key::key(&folder, sources.random.as_ref())?,
            true => {
                return Err(StartError::new(format!(
                    "the key of the log of records, {}, is gone: put it back from a copy; if there is none, move the \
                     folder away, give [log] another origin, and say publicly why",
                    folder.join(KEY).display()
                )));
            }
        };
        let config = whole.log.clone();
        let restored = restored(&whole.state).map_err(|error| failed(&error))?;
        let origin = config.origin(&whole.urls.public_url, restored);
        keep_origin(&files, &origin)
            .map_err(|why| StartError::new(format!("the log of records in {}: {why}", folder.display())))?;
        let name: KeyName = origin.parse().map_err(|_| {
            StartError::new(format!("log.origin: {origin} is no name: write it as ca.example/log"))
        })?;
        let key = VerifierKey::of(name, KeyKind::Log, &pair);
        let witnesses = config
            .witnesses
            .iter()
            .filter_map(|witness| Some(Arc::new(Witness::new(witness.verifier()?, witness.url.as_deref()))));
        let cosigned = read_cosigned(&folder.join(COSIGNED)).map_err(|error| failed(&error))?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent("ingam-log")
            .build();
        Ok(Arc::new(Self {
            journal,
            given_out: Arc::new(RecordLog::new(log, &key.to_string(), cosigned)),
            clock: sources.clock.clone(),
            client: client.map_err(|error| failed(&error))?,
            witnesses: witnesses.collect(),
            folder: folder.clone(),
            config,
            pair,
            key,
            is_broken: AtomicBool::new(false),
            turn: Mutex::new(()),
        }))
    }

    /// What of it is given out over HTTP.
    pub(crate) fn given_out(&self) -> Arc<RecordLog> {
        self.given_out.clone()
    }

    /// Signs a checkpoint whenever there is something new, and has it cosigned, until the process stops.
    pub(crate) async fn run(self: Arc<Self>, stopping: watch::Receiver<bool>) {
        loop {
            let is_all = self.sign().await;
            let rest = async {
                self.ask_witnesses().await;
                if is_all {
                    tokio::time::sleep(self.config.period()).await;
                }
            };
            tokio::select! {
                () = stopped(stopping.clone()) => return,
                () = rest => {}
            }
        }
    }

    /// Signs what is there now, if it is more than before; whether that was all.
    pub(crate) async fn sign(self: &Arc<Self>) -> bool {
        let _turn = self.turn.lock().await;
        let signing = self.clone();
        match tokio::task::spawn_blocking(move || signing.sign_blocking()).await {
            Ok(Ok(is_all)) => is_all,
            Ok(Err(error)) => {
                let (code, error) = (error.code(), &error as &dyn std::error::Error);
                tracing::error!(
                    code,
                    error,
                    "no checkpoint of the log of records can be signed: it is tried again"
                );
                true
            }
            Err(_) => {
                tracing::error!(code = "log_panic", "signing a checkpoint failed: it is tried again");
                true
            }
        }
    }

    fn sign_blocking(&self) -> Result<bool, LogError> {
        let log = self.whole_log()?;
        let signed = self.sign_growth(&log);
        self.note_failure(&signed);
        signed
    }

    fn sign_growth(&self, log: &Log) -> Result<bool, LogError> {
        let mut is_all = false;
        for _ in 0..ROUNDS_MAX {
            let added = log.grow(&self.journal, self.clock.now())?;
            is_all = usize::try_from(added).unwrap_or(usize::MAX) < ROUND_LEAVES_MAX;
            if is_all {
                break;
            }
        }
        let head = log.head();
        let (size, root) = log.tip()?;
        let is_signed = Note::parse(&head.note).is_ok_and(|note| note.verify(&self.key).is_ok());
        if size == head.size && is_signed {
            return Ok(is_all);
        }
        let checkpoint = Checkpoint { origin: self.key.name().to_string(), size, root };
        // The key's name is one, and a checkpoint is a note's text.
        if let Ok(note) = checkpoint.sign(&self.pair) {
            log.seal(size, root, note.to_string())?;
        }
        Ok(is_all)
    }

    /// The log, opened again if it has to be.
    fn whole_log(&self) -> Result<Arc<Log>, LogError> {
        if self.is_broken.load(Ordering::Relaxed) {
            let files = Disk::open(&self.folder).map_err(|source| LogError::Io {
                doing: "opening",
                file: String::new(),
                source,
            })?;
            self.given_out.replace(Arc::new(Log::open(&files, false)?));
            self.is_broken.store(false, Ordering::Relaxed);
        }
        Ok(self.given_out.log())
    }

    fn note_failure<T>(&self, outcome: &Result<T, LogError>) {
        // A journal that cannot be read leaves the log as it is.
        if outcome.as_ref().is_err_and(|error| !matches!(error, LogError::Journal(_))) {
            self.is_broken.store(true, Ordering::Relaxed);
        }
    }

    /// Asks every witness that has not signed the newest checkpoint, all at once.
    async fn ask_witnesses(self: &Arc<Self>) {
        let log = self.given_out.log();
        let head = log.head();
        let Ok(note) = Note::parse(&head.note) else { return };
        if head.size == 0 {
            return;
        }
        let mut asked = JoinSet::new();
        for witness in &self.witnesses {
            if !witness.can_be_asked() || note.verify(&witness.key).is_ok() {
                continue;
            }
            let (witness, log, note) = (witness.clone(), log.clone(), note.clone());
            let (client, size) = (self.client.clone(), head.size);
            asked.spawn(async move { witness.cosign(&client, &log, &note, size).await });
        }
        while let Some(answer) = asked.join_next().await {
            if let Ok(Some(signature)) = answer
                && let Err(NotTaken::Failed(why) | NotTaken::Refused(why)) =
                    self.add(&note, vec![signature]).await
            {
                tracing::error!(code = "log_cosign", why, "a witness's signature cannot be kept");
            }
        }
    }

    /// Takes a checkpoint of this log that witnesses have cosigned elsewhere; gives their names. One that is not the newest is kept
    /// beside it.
    pub(crate) async fn cosign(self: &Arc<Self>, note: &str) -> Result<Vec<String>, NotTaken> {
        let refused = |why: NoteError| NotTaken::Refused(why.to_string());
        let note = Note::parse(note).map_err(refused)?;
        note.verify(&self.key).map_err(|error| {
            NotTaken::Refused(format!("{error}: hand in a checkpoint of this log, {}", self.key.name()))
        })?;
        let is_known = |signature: &&NoteSignature| {
            self.key.is_named_by(signature)
                || self.witnesses.iter().any(|known| known.key.is_named_by(signature))
        };
        if let Some(unknown) = note.signatures().iter().find(|signature| !is_known(signature)) {
            let line = unknown.to_string();
            let name = line.split(' ').nth(1).unwrap_or_default();
            return Err(NotTaken::Refused(format!(
                "{name} is no witness that [log] names: add its key to log.witnesses, or take its line out"
            )));
        }
        let (mut names, mut signatures) = (Vec::new(), Vec::new());
        for witness in &self.witnesses {
            for signature in note.signatures().iter().filter(|signature| witness.key.is_named_by(signature)) {
                witness.key.verify(note.text(), signature).map_err(refused)?;
                names.push(witness.key.name().to_string());
                signatures.push(signature.clone());
            }
        }
        if signatures.is_empty() {
            return Err(NotTaken::Refused(
                "no witness has signed it: hand in what the witness gave back".to_owned(),
            ));
        }
        self.add(&note, signatures).await?;
        Ok(names)
    }

    /// Adds verified signatures to the checkpoint that they are for.
    async fn add(self: &Arc<Self>, note: &Note, signatures: Vec<NoteSignature>) -> Result<(), NotTaken> {
        let _turn = self.turn.lock().await;
        let (adding, note) = (self.clone(), note.clone());
        let added = tokio::task::spawn_blocking(move || adding.add_blocking(note, &signatures)).await;
        added.unwrap_or_else(|error| Err(NotTaken::Failed(error.to_string())))
    }

    fn add_blocking(&self, mut note: Note, signatures: &[NoteSignature]) -> Result<(), NotTaken> {
        let failed =
            |error: LogError| NotTaken::Failed(StartError::caused("the log of records", &error).to_string());
        let log = self.whole_log().map_err(failed)?;
        let head = log.head();
        let newest = Note::parse(&head.note).ok().filter(|newest| newest.text() == note.text());
        let is_newest = newest.is_some();
        // What others signed stays.
        let kept =
            self.given_out.cosigned().and_then(|kept| Note::parse(std::str::from_utf8(&kept).ok()?).ok());
        let same = newest.into_iter().chain(kept.clone().filter(|kept| kept.text() == note.text()));
        for known in same.flat_map(|known| known.signatures().to_vec()).chain(signatures.to_vec()) {
            note.add(known);
        }
        let size_of = |note: &Note| Checkpoint::parse(note.text()).map_or(0, |checkpoint| checkpoint.size);
        if kept.is_none_or(|kept| size_of(&kept) <= size_of(&note)) {
            let bytes = note.to_string().into_bytes();
            key::write(&self.folder.join(COSIGNED), &bytes)
                .map_err(|error| NotTaken::Failed(format!("writing a cosigned checkpoint: {error}")))?;
            self.given_out.replace_cosigned(Bytes::from(bytes));
        }
        if is_newest {
            let sealed = log.seal(head.size, head.root, note.to_string());
            self.note_failure(&sealed);
            sealed.map_err(failed)?;
        }
        Ok(())
    }
}

fn read_cosigned(path: &Path) -> std::io::Result<Option<Bytes>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes.into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
