//! Backups of the running CA: which parts of the state folder go along, and who can open them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ingam_journal::folders::FileSystem;
use ingam_operator::api::{BackupMade, BackupsPruned};
use ingam_protocol::{Findings, Timestamp};
use ingam_retention::LEAP_MAX;
use ingam_store::Store;
use ingam_store::backup::{
    BackupPlan, LOG_BEFORE_RESTORE, Made, Pruned, Recipient, SigningKey, Snapshot, make, prune,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::config::Config as All;
use crate::serve::{Sources, sentence};

/// Who can open backups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// A recipient of age (`age1…`), of whose other half the CA has nothing; no backups are made without.
    pub(crate) recipient: Option<String>,
}

impl Config {
    pub(crate) fn check(&self) -> Findings {
        let mut found = Findings::default();
        if let Some(Err(why)) = self.recipient.as_deref().map(Recipient::parse) {
            found.error(
                "recipient",
                format!("does not fit: {why}"),
                "make a key with `ingam admin backup-key`",
            );
        }
        found
    }
}

/// Whether a part of the state folder is in a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// It goes along as it is.
    Copied,
    /// Rows and records go along, as of one moment.
    Snapshot,
    /// It never does: personal data of which a backup would be a second copy.
    Never,
    /// It is made anew, or is of this machine alone.
    Transient,
}

/// Every name in a state folder. One that is missing here is not in a backup, which says so.
pub(crate) const PARTS: &[(&str, Part)] = &[
    ("answers", Part::Transient),
    ("authorities", Part::Copied),
    ("backup.key", Part::Copied),
    ("contacts", Part::Never),
    ("crls", Part::Copied),
    ("hierarchy.json", Part::Copied),
    ("issuers", Part::Copied),
    ("journal", Part::Snapshot),
    ("journal-keys", Part::Copied),
    ("keys", Part::Copied),
    ("ledger", Part::Copied),
    ("lock", Part::Transient),
    ("log", Part::Copied),
    ("published", Part::Copied),
    ("request-log", Part::Never),
    ("roots", Part::Copied),
    ("store.redb", Part::Snapshot),
    ("store.redb.log", Part::Snapshot),
    ("store.sled", Part::Snapshot),
    ("tls-ca.pem", Part::Transient),
    ("tls-own.pem", Part::Transient),
    ("tls-server.pem", Part::Transient),
    ("tls.key", Part::Transient),
    ("tls.pem", Part::Transient),
];

/// Beginnings of names that are never in a backup: what stands for a moment, and stores that were kept aside.
const TRANSIENT: [&str; 3] = ["before-format-", "store.before-rebuild-", "store.rebuild"];

/// The names to copy, and those that nobody knows.
fn parts_of(state: &Path) -> std::io::Result<(Vec<String>, Vec<String>)> {
    let (mut copied, mut unknown) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(state)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let known = PARTS.iter().find(|(known, _)| *known == name).map(|(_, part)| *part);
        let kind = entry.file_type()?;
        let is_lasting = (kind.is_dir() || kind.is_file())
            && !name.ends_with(".new")
            && !TRANSIENT.iter().any(|begin| name.starts_with(begin));
        match known {
            Some(Part::Copied) => copied.push(name),
            None if kind.is_dir() && name.starts_with(LOG_BEFORE_RESTORE) => copied.push(name),
            Some(_) => {}
            None if is_lasting => unknown.push(name),
            None => {}
        }
    }
    copied.sort();
    unknown.sort();
    Ok((copied, unknown))
}

/// Makes backups, one at a time.
pub(crate) struct Backups {
    store: Store,
    sources: Sources,
    turn: Arc<Mutex<()>>,
}

impl Backups {
    pub(crate) fn new(store: Store, sources: Sources) -> Self {
        Self { store, sources, turn: Arc::default() }
    }

    /// Writes a set into a folder that is there, and lets those go that are older than so many days.
    ///
    /// # Errors
    /// What stands against it, and what to do.
    pub(crate) async fn make(
        &self,
        config: &All,
        folder: &Path,
        keep_days: Option<u32>,
    ) -> Result<BackupMade, String> {
        let recipient = config.backup.recipient.as_deref();
        let recipient = recipient.ok_or(
            "nobody could open the backup: make a key with `ingam admin backup-key`, and set backup.recipient to its public half",
        )?;
        let recipient = Recipient::parse(recipient).map_err(str::to_owned)?;
        let Ok(turn) = self.turn.clone().try_lock_owned() else {
            return Err("another backup is being made: wait for it".to_owned());
        };
        if !folder.is_dir() {
            return Err(format!(
                "{} is no folder that the CA can see: make it, and give it to the CA's user",
                folder.display()
            ));
        }
        if folder.starts_with(&config.state) {
            return Err("the folder lies in the CA's own state folder: give one elsewhere".to_owned());
        }
        let store = self.store.clone();
        let plan = (config.state.clone(), folder.to_owned(), recipient, self.sources.clone());
        let runtime = tokio::runtime::Handle::current();
        // Reads and writes much: not on a thread of the runtime.
        let made = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            // Closed segments stay the files that they are in the snapshot until all are copied.
            let _still = store.keep_still();
            let snapshot = runtime.block_on(store.snapshot()).map_err(told)?;
            let swept = store.swept_at().map_err(told)?;
            write(plan, &snapshot, keep_days, swept)
        });
        let outcome =
            made.await.map_err(|_| "the task that wrote it has ended before its time".to_owned())?;
        let Written { made, left_out, pruned } = outcome?;
        Ok(BackupMade {
            number: made.number,
            files: made.files,
            known: made.known,
            bytes_written: made.bytes_written,
            rows: made.rows,
            signed_by: made.signed_by,
            left_out,
            pruned,
        })
    }
}

/// Why no set is let go.
const CLOCK_IN_DOUBT: &str = "older sets stay, as the clock is more than five days ahead of the last sweep: see that it is right, \
    and then confirm it with `ingam admin retention sweep --confirm`";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn told(error: ingam_store::Error) -> String {
    format!("the backup could not be made: {}", sentence(&error))
}

/// What came of a backup.
struct Written {
    made: Made,
    left_out: Vec<String>,
    pruned: Option<BackupsPruned>,
}

fn write(
    (state, folder, recipient, sources): (std::path::PathBuf, std::path::PathBuf, Recipient, Sources),
    snapshot: &Snapshot,
    keep_days: Option<u32>,
    swept: Option<Timestamp>,
) -> Result<Written, String> {
    let key = SigningKey::open(&FileSystem, &state, sources.random.as_ref()).map_err(told)?;
    let (parts, left_out) =
        parts_of(&state).map_err(|error| format!("the state folder cannot be read: {error}"))?;
    let now = sources.clock.now();
    let plan = BackupPlan {
        disk: &FileSystem,
        state: &state,
        parts: &parts,
        folder: &folder,
        recipient,
        key: &key,
        now,
        random: sources.random.as_ref(),
    };
    let made = make(&plan, snapshot).map_err(told)?;
    let pruned = keep_days.map(|days| {
        let oldest = now.minus(DAY * days);
        // A clock that jumped must not take all sets but the newest, as it takes nothing from the CA (docs/decisions/0016).
        if swept.is_some_and(|last| now > last.plus(LEAP_MAX)) {
            return BackupsPruned { trouble: Some(CLOCK_IN_DOUBT.to_owned()), ..BackupsPruned::default() };
        }
        // The new set is there, whatever becomes of the old ones.
        match prune(&FileSystem, &folder, &key, oldest, now) {
            Ok(Pruned { sets, objects, bytes }) => BackupsPruned { sets, objects, bytes, trouble: None },
            Err(error) => {
                let trouble = format!("older sets could not be let go: {}", sentence(&error));
                BackupsPruned { trouble: Some(trouble), ..BackupsPruned::default() }
            }
        }
    });
    Ok(Written { made, left_out, pruned })
}
