//! Writing answers that were signed in advance into a folder, from which a start goes on, and responders elsewhere take them.
//!
//! A table's file is called by its digest and never changes. The manifest is written last, beside its place and moved into it, so that
//! whoever reads the folder at any moment has a whole set. Files that no manifest names any more stay for a while, for those who are
//! still fetching.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::Timestamp;
use ring::signature::Ed25519KeyPair;

use super::manifest::{ListedDelegate, ListedIssuer, ListedSeries, ListedTable, Manifest};
use crate::corpus::{Corpus, Published, Shelf, Table};
use crate::ocsp::etag;

/// The manifest's file.
pub(crate) const MANIFEST: &str = "manifest";
/// How long a file stays that no manifest names any more.
const KEPT_FOR: Duration = Duration::from_secs(10 * 60);

/// How long a table is given out that no manifest names any more.
const OUT_FOR: Duration = Duration::from_secs(60);

/// A table with its file.
struct Named {
    table: Arc<Table>,
    listed: ListedTable,
    /// Since when no manifest names it any more.
    left: Option<Timestamp>,
}

/// What is true at the moment of a manifest, beside the tables.
pub(crate) struct Moment {
    pub(crate) now: Timestamp,
    /// The generation of statuses, read at or after `now`.
    pub(crate) generation: u64,
    /// The certificates of responders apart.
    pub(crate) delegates: Vec<ListedDelegate>,
}

/// The folder with the answers.
pub(crate) struct Publisher {
    folder: PathBuf,
    key: Option<Ed25519KeyPair>,
    issuers: Vec<ListedIssuer>,
    /// How long a manifest may be believed.
    lasts: Duration,
    last: Option<Manifest>,
    /// Up to when every change is in the tables, and the moment up to which that is awaited, with its generation.
    known_at: Timestamp,
    awaited: Option<(Timestamp, u64)>,
    /// What the last one was made of.
    shelves: Vec<Arc<Shelf>>,
    /// The tables that are named, and those that were a moment ago, by where they lie.
    tables: HashMap<usize, Named>,
    /// Files that are not named any more, and since when.
    leaving: BTreeMap<String, Timestamp>,
}

impl Publisher {
    /// With what an earlier process left in the folder, if there is something.
    pub(crate) fn new(
        folder: PathBuf,
        key: Option<Ed25519KeyPair>,
        issuers: Vec<ListedIssuer>,
        lasts: Duration,
    ) -> Self {
        Self {
            folder,
            key,
            issuers,
            lasts,
            last: None,
            known_at: Timestamp::default(),
            awaited: None,
            shelves: Vec::new(),
            tables: HashMap::new(),
            leaving: BTreeMap::new(),
        }
    }

    /// Puts the tables of the folder into the corpus. What is damaged, or of another issuer, is passed over: it is signed anew. Blocks.
    pub(crate) fn take_up(&mut self, corpus: &Corpus) {
        let Ok(file) = fs::read(self.folder.join(MANIFEST)) else { return };
        let manifest = match Manifest::from_file(&file, None) {
            Ok(manifest) => manifest,
            Err(why) => {
                tracing::warn!(%why, "the manifest of signed answers cannot be used: they are signed anew");
                return;
            }
        };
        for series in corpus.series() {
            let listed = manifest.series.iter().find(|listed| {
                listed.issuer == series.owner.issuer && listed.hash == series.owner.hash.into()
            });
            let Some(listed) = listed else { continue };
            let mut read = |tables: &[ListedTable]| -> Vec<Arc<Table>> {
                tables
                    .iter()
                    .filter_map(|table| {
                        let file =
                            fs::read(self.folder.join(table.file()?)).ok().filter(|file| table.is(file))?;
                        let read = Arc::new(Table::from_file(&series.owner, file.into())?);
                        let named = Named { table: read.clone(), listed: table.clone(), left: None };
                        self.tables.insert(address_of(&read), named);
                        Some(read)
                    })
                    .collect()
            };
            let (base, newer) = (read(&listed.base), read(&listed.newer));
            // Without one of them, an older entry would count again: then everything is signed anew.
            let is_whole = newer.len() == listed.newer.len();
            series.replace(if is_whole { Shelf::new(base, newer) } else { Shelf::default() });
        }
        self.last = Some(manifest);
    }

    /// Writes what has changed since the last time, and a manifest if something has, or if the last one has lived half of its time.
    /// Whether there is a new one. Blocks.
    ///
    /// # Errors
    /// If the folder cannot be written: the last manifest is there still.
    pub(crate) fn publish(&mut self, corpus: &Corpus, moment: Moment) -> io::Result<bool> {
        let Moment { now, generation, delegates } = moment;
        // Before everything was gone through, something may be missing, or have been revoked: the last manifest says more.
        if !corpus.is_settled() {
            return Ok(false);
        }
        self.note_known(corpus, now, generation);
        if self.known_at == Timestamp::default() {
            return Ok(false);
        }
        fs::create_dir_all(&self.folder)?;
        let shelves: Vec<Arc<Shelf>> =
            corpus.series().iter().map(|series| Arc::clone(&series.shelf())).collect();
        let is_as_before = shelves.iter().map(Arc::as_ptr).eq(self.shelves.iter().map(Arc::as_ptr))
            && self.last.as_ref().is_some_and(|last| last.delegates == delegates);
        if is_as_before && self.last.as_ref().is_some_and(|last| self.is_fresh(last, now)) {
            return Ok(false);
        }
        let mut all = Vec::with_capacity(corpus.series().len());
        for (series, shelf) in corpus.series().iter().zip(&shelves) {
            let base = shelf.base().iter().map(|table| self.listed(table)).collect::<io::Result<_>>()?;
            let newer = shelf.newer().iter().map(|table| self.listed(table)).collect::<io::Result<_>>()?;
            let (issuer, hash) = (series.owner.issuer.clone(), series.owner.hash.into());
            let oldest = series.oldest();
            all.push(ListedSeries { issuer, hash, oldest, base, newer });
        }
        self.shelves = shelves;
        let is_same = self.last.as_ref().is_some_and(|last| {
            last.series == all
                && last.issuers == self.issuers
                && last.delegates == delegates
                && self.is_fresh(last, now)
        });
        if !is_same {
            let sequence = self.last.as_ref().map_or(0, |last| last.sequence).max(now.unix_ms()) + 1;
            let (made_at, expires_at) = (now, now.plus(self.lasts));
            let (known_at, issuers) = (self.known_at, self.issuers.clone());
            let manifest =
                Manifest { sequence, made_at, known_at, expires_at, issuers, series: all, delegates };
            let file = manifest.to_file(self.key.as_ref());
            // The tables' names are durable before they are named, and the manifest's before anybody is told.
            sync(&self.folder)?;
            write(&self.folder, MANIFEST, &file)?;
            sync(&self.folder)?;
            self.forget(&manifest, now);
            let by_name = |named: &Named| Some((named.listed.file()?, named.table.file().clone()));
            let files = self.tables.values().filter_map(by_name).collect();
            let tag = etag(&file);
            corpus.publish(Published { manifest: file.into(), tag, files });
            self.last = Some(manifest);
            self.clear(now)?;
        }
        Ok(!is_same)
    }

    /// Once all that had changed by a moment is in the tables, that moment counts, and the next is awaited. To be called before the
    /// tables are taken.
    fn note_known(&mut self, corpus: &Corpus, now: Timestamp, generation: u64) {
        let (moment, awaited) = self.awaited.unwrap_or((now, generation));
        self.awaited = Some((moment, awaited));
        if corpus.is_settled_at(awaited) {
            self.known_at = moment;
            self.awaited = None;
        }
    }

    /// Whether a manifest is good for a while.
    fn is_fresh(&self, manifest: &Manifest, now: Timestamp) -> bool {
        (manifest.made_at..manifest.made_at.plus(self.lasts / 2)).contains(&now)
    }

    /// The file of a table, which is written if it is not there.
    fn listed(&mut self, table: &Arc<Table>) -> io::Result<ListedTable> {
        if let Some(named) = self.tables.get(&address_of(table)) {
            return Ok(named.listed.clone());
        }
        let listed = ListedTable::of(table.file());
        let name = listed.file().ok_or_else(|| io::Error::other("a table of answers is too large"))?;
        if !self.folder.join(&name).exists() {
            write(&self.folder, &name, table.file())?;
        }
        let named = Named { table: Arc::clone(table), listed: listed.clone(), left: None };
        self.tables.insert(address_of(table), named);
        Ok(listed)
    }

    /// Lets go of tables that were not named for a while.
    fn forget(&mut self, manifest: &Manifest, now: Timestamp) {
        let current: BTreeSet<&ListedTable> = manifest.tables().collect();
        self.tables.retain(|_, named| {
            named.left = (!current.contains(&named.listed)).then(|| named.left.unwrap_or(now));
            named.left.is_none_or(|left| now.since(left) < OUT_FOR)
        });
    }

    /// Removes what was not named for a while.
    fn clear(&mut self, now: Timestamp) -> io::Result<()> {
        let named: BTreeSet<String> =
            self.last.iter().flat_map(Manifest::tables).filter_map(ListedTable::file).collect();
        let mut leaving = BTreeMap::new();
        for entry in fs::read_dir(&self.folder)? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            let is_ours = name.ends_with(".answers") || name.ends_with(".new");
            if !is_ours || named.contains(&name) {
                continue;
            }
            let since = self.leaving.get(&name).copied().unwrap_or(now);
            if now.since(since) < KEPT_FOR {
                leaving.insert(name, since);
            } else {
                fs::remove_file(self.folder.join(&name))?;
            }
        }
        self.leaving = leaving;
        Ok(())
    }
}

/// Where a table lies: it stays there for as long as somebody has it.
fn address_of(table: &Arc<Table>) -> usize {
    Arc::as_ptr(table).addr()
}

/// Makes the names in a folder durable.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Writes a file so that it is there whole or not at all; its name is durable with the next [`sync`].
pub(super) fn write(folder: &Path, name: &str, contents: &[u8]) -> io::Result<()> {
    let (beside, place) = (folder.join(format!("{name}.new")), folder.join(name));
    let mut file = fs::File::create(&beside)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&beside, &place)
}
