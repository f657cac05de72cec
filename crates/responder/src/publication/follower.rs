//! A responder apart from its CA: it takes what that has published, believes what is signed, and answers from it.
//!
//! - Nothing is given out before it was verified: the manifest by its key, each table by its digest in the manifest. Both are read into memory
//!   first, and written into a folder of its own afterwards, from which the next start goes on.
//! - A manifest with a lower number than the last one is refused, whoever hands it over: what was revoked would be good again.
//! - While nothing new comes, it answers from what it has, each answer for as long as it says itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use ingam_journal::files::Files;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Clock, Timestamp};
use ingam_signer::{AnswerKey, Issuer};
use tokio::time::sleep;

use super::apart::Apart;
use super::manifest::{ListedTable, MANIFEST_BYTES_MAX, Manifest};
use super::publisher::{MANIFEST, sync, write};
use super::signed::SignedFiles;
use super::source::{AnswerSource, FetchError};
use crate::config::{Config, StartError};
use crate::corpus::{Corpus, Shelf, Table};
use crate::http::Responder;
use crate::issuers::Issuers;

/// How often a table is looked for that has just left: there is another manifest then.
const TRIES: usize = 3;

/// How it fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowingCondition {
    /// The number of the manifest that is answered from.
    pub sequence: u64,
    /// When the CA made it.
    pub made_at: Timestamp,
    /// Until when the CA makes another, if all is well.
    pub expires_at: Timestamp,
    /// The thisUpdate of the oldest answer about a certificate that has not ended, as of the manifest.
    pub oldest: Option<Timestamp>,
    /// How long an answer is valid.
    pub validity: Duration,
    /// Until when answers may be signed here for each issuer; `None` for one that lists no certificate for the key. Empty without a key.
    pub delegates: BTreeMap<IssuerName, Option<Timestamp>>,
    /// Why the last try to take a newer one failed; none if it did not.
    pub trouble: Option<String>,
}

/// The way from a CA's answers to this responder's.
pub struct Following {
    source: AnswerSource,
    /// The Ed25519 public key, 32 bytes.
    key: Vec<u8>,
    folder: PathBuf,
    apart: Arc<Apart>,
    manifest: Manifest,
    /// Its tables, by the digests of their files.
    tables: HashMap<String, Arc<Table>>,
    /// The entity tag that the source gave the manifest, if it did.
    tag: Option<HeaderValue>,
    condition: Arc<Mutex<FollowingCondition>>,
}

impl Following {
    /// Takes what there is: the copy in `folder`, or what `source` has if that is newer. `key` is the contents of an Ed25519 public key
    /// (RFC 8410): 32 bytes. `own` signs answers in the CA's place, by the certificates that the CA lists for it; each signature goes on
    /// record in the files beside it. Gives the responder that answers, and what keeps it fresh.
    ///
    /// # Errors
    /// In words, if there is neither a copy nor a source to take from, or if a setting is out of its bounds.
    pub async fn begin(
        config: &Config,
        source: AnswerSource,
        key: Vec<u8>,
        folder: PathBuf,
        own: Option<(AnswerKey, Arc<dyn Files>)>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Responder, Self), String> {
        let copies = AnswerSource::Folder(folder.clone());
        let copy = take(&copies, &key).await;
        let (fetched, trouble) = match take(&source, &key).await {
            Ok(fetched) => (Some(fetched), None),
            Err(why) => (None, Some(why)),
        };
        // What was once believed is never gone back behind, also where its files are damaged.
        let floor = copy.as_ref().map_or(0, |(manifest, _)| manifest.sequence);
        let older = fetched.as_ref().filter(|(manifest, _)| manifest.sequence < floor);
        let mut trouble = older.map(|(manifest, _)| gone_back(manifest.sequence, floor)).or(trouble);
        let taken = fetched.filter(|(manifest, _)| manifest.sequence >= floor);
        let Some((manifest, _)) = taken.as_ref().or(copy.as_ref().ok()) else {
            return Err(format!(
                "there are no answers to begin with: {}; see whether the CA has responder.presign and publish_over_http, and can be \
                 reached from here",
                trouble.unwrap_or_default()
            ));
        };
        let issuers: Vec<Issuer> = manifest.issuers.iter().map(super::ListedIssuer::issuer).collect();
        let hashes = manifest.series.iter().map(|series| series.hash.algorithm()).collect();
        let corpus = Corpus::of(&Issuers::new(&issuers), &hashes);
        let (own, signed) = own.unzip();
        let apart = Arc::new(Apart::new(issuers, corpus, own));
        let signed = signed.map(|files| SignedFiles::new(files, clock.clone()));
        let responder = Responder::apart_from_its_ca(config, &folder, &apart, signed, clock)
            .map_err(|error: StartError| error.to_string())?;
        let mut following = Self {
            source,
            key,
            folder,
            apart,
            manifest: Manifest { sequence: 0, series: Vec::new(), ..manifest.clone() },
            tables: HashMap::new(),
            tag: None,
            condition: Arc::default(),
        };
        let from = following.source.clone();
        for (manifest, file) in taken.into_iter().chain(copy) {
            match following.apply(manifest, file, &from).await {
                Ok(()) => break,
                Err(why) => trouble = Some(why),
            }
        }
        if following.manifest.sequence == 0 {
            let why = trouble.unwrap_or_default();
            return Err(format!(
                "there are no answers to begin with: {why}; try again once the CA can be reached"
            ));
        }
        following.tell(trouble);
        Ok((responder, following))
    }

    /// How it fares, for whoever watches.
    pub fn condition(&self) -> Arc<Mutex<FollowingCondition>> {
        self.condition.clone()
    }

    /// Looks for newer answers each `period`, until `shutdown` is done.
    pub async fn run(mut self, period: Duration, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = shutdown.as_mut() => return,
                () = async {
                    sleep(period).await;
                    let trouble = self.look().await.err();
                    self.tell(trouble);
                } => {}
            }
        }
    }

    /// Takes what is newer, if something is.
    async fn look(&mut self) -> Result<(), String> {
        let from = self.source.clone();
        let mut failed = String::new();
        for _ in 0..TRIES {
            let taken = take_other(&from, &self.key, self.tag.as_ref()).await?;
            let Some((manifest, file, tag)) = taken else { return Ok(()) };
            if manifest.sequence == self.manifest.sequence {
                self.tag = tag;
                return Ok(());
            }
            if manifest.sequence < self.manifest.sequence {
                return Err(gone_back(manifest.sequence, self.manifest.sequence));
            }
            let others = self.other_issuers(&manifest)?;
            match self.apply(manifest, file, &from).await {
                Ok(()) => {
                    self.tag = tag;
                    return others.map_or(Ok(()), Err);
                }
                Err(why) => failed = why,
            }
        }
        Err(failed)
    }

    /// What a manifest has that only another start takes up: what is known here goes on being answered.
    ///
    /// # Errors
    /// If an issuer that is known here has another name or key there: its answers would be about other certificates.
    fn other_issuers(&self, manifest: &Manifest) -> Result<Option<String>, String> {
        let mut unknown = None;
        for issuer in &manifest.issuers {
            let name = &issuer.name;
            let is_known = self.apart.corpus().series().iter().any(|series| series.owner.issuer == *name);
            match self.manifest.issuers.iter().find(|known| known.name == *name).filter(|_| is_known) {
                Some(known)
                    if (&known.subject, &known.public_key) == (&issuer.subject, &issuer.public_key) => {}
                Some(_) => {
                    return Err(format!(
                        "the CA's issuer {name} is another than before: restart this process"
                    ));
                }
                None => {
                    unknown = Some(format!(
                        "the CA has the issuer {name}, which is not answered for here: restart this process"
                    ));
                }
            }
        }
        Ok(unknown)
    }

    /// Takes the tables of a manifest, puts them in place, and keeps a copy.
    async fn apply(&mut self, manifest: Manifest, file: Bytes, from: &AnswerSource) -> Result<(), String> {
        let mut tables: HashMap<String, Arc<Table>> = HashMap::new();
        let mut shelves = Vec::with_capacity(manifest.series.len());
        for series in self.apart.corpus().series() {
            let owner = &series.owner;
            let listed = manifest
                .series
                .iter()
                .find(|listed| listed.issuer == owner.issuer && listed.hash == owner.hash.into())
                .ok_or_else(|| format!("there are no answers any more for {}", owner.issuer))?;
            let (mut base, mut newer) = (Vec::new(), Vec::new());
            for (all, place) in [(&listed.base, &mut base), (&listed.newer, &mut newer)] {
                for listed in all {
                    let known =
                        self.tables.get(&listed.sha256).filter(|table| Arc::ptr_eq(&table.owner, owner));
                    let table = match known {
                        Some(table) => table.clone(),
                        None => {
                            let file = self.file(listed, from).await?;
                            let owner = owner.clone();
                            let read =
                                tokio::task::spawn_blocking(move || Table::from_file(&owner, file)).await;
                            let table = read.ok().flatten().ok_or("a table of answers cannot be read")?;
                            Arc::new(table)
                        }
                    };
                    tables.insert(listed.sha256.clone(), table.clone());
                    place.push(table);
                }
            }
            shelves.push(Shelf::new(base, newer));
        }
        for (series, shelf) in self.apart.corpus().series().iter().zip(shelves) {
            series.replace(shelf);
        }
        self.apart.follow(&manifest);
        self.tables = tables;
        self.manifest = manifest;
        self.keep(file).await;
        Ok(())
    }

    /// A table's file, verified; written into the folder of copies.
    async fn file(&self, listed: &ListedTable, from: &AnswerSource) -> Result<Bytes, String> {
        let name = listed.file().ok_or("the manifest names a file that can be none")?;
        let copies = AnswerSource::Folder(self.folder.clone());
        for source in [&copies, from] {
            let fetched = match source.fetch(&name, listed.bytes).await {
                Ok(fetched) => fetched,
                Err(_) if *source == copies && source != from => continue,
                Err(error) => return Err(format!("{name} cannot be taken: {error}")),
            };
            let (listed, file) = (listed.clone(), fetched.clone());
            let is_it = tokio::task::spawn_blocking(move || listed.is(&file)).await.unwrap_or(false);
            if is_it {
                if *source != copies {
                    self.write(name, fetched.clone()).await;
                }
                return Ok(fetched);
            }
            if source == from {
                return Err(format!("{name} is not what the manifest says"));
            }
        }
        Err(format!("{name} is nowhere"))
    }

    /// Whether the file is in the folder of copies now, durably.
    async fn write(&self, name: String, file: Bytes) -> bool {
        let folder = self.folder.clone();
        let writing = move || write(&folder, &name, &file).and_then(|()| sync(&folder));
        let written = tokio::task::spawn_blocking(writing).await;
        if let Ok(Err(error)) = &written {
            // The answers are in memory; the next start takes them from the source.
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "a copy of the CA's answers could not be kept"
            );
        }
        matches!(written, Ok(Ok(())))
    }

    /// Writes the manifest beside the tables, and removes those that it does not name.
    async fn keep(&self, file: Bytes) {
        if !self.write(MANIFEST.to_owned(), file).await {
            // The last one is still there, and needs its tables.
            return;
        }
        let named: BTreeSet<String> = self.manifest.tables().filter_map(ListedTable::file).collect();
        let folder = self.folder.clone();
        // What could not be removed is, the next time.
        let _ = tokio::task::spawn_blocking(move || clear(&folder, &named)).await;
    }

    fn tell(&self, trouble: Option<String>) {
        let mut condition = self.condition.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &trouble
            && condition.trouble.is_none()
        {
            tracing::warn!(%why, "no newer answers could be taken");
        }
        *condition = FollowingCondition {
            sequence: self.manifest.sequence,
            made_at: self.manifest.made_at,
            expires_at: self.manifest.expires_at,
            oldest: self.manifest.series.iter().filter_map(|series| series.oldest).min(),
            validity: self.tables.values().filter_map(|table| table.validity()).max().unwrap_or_default(),
            delegates: self.apart.delegates_not_after(),
            trouble,
        };
    }
}

fn gone_back(number: u64, last: u64) -> String {
    format!("the manifest has the number {number}, and the last one had {last}: what is older is never taken")
}

/// A source's manifest, verified, with its file.
async fn take(source: &AnswerSource, key: &[u8]) -> Result<(Manifest, Bytes), String> {
    let taken = take_other(source, key, None).await?;
    taken.map(|(manifest, file, _)| (manifest, file)).ok_or_else(|| "the manifest is not there".to_owned())
}

/// The same with its entity tag, unless it is the one that is known by its tag.
async fn take_other(
    source: &AnswerSource,
    key: &[u8],
    known: Option<&HeaderValue>,
) -> Result<Option<(Manifest, Bytes, Option<HeaderValue>)>, String> {
    let max = u64::try_from(MANIFEST_BYTES_MAX).unwrap_or(u64::MAX);
    let fetched = match source.fetch_other(MANIFEST, max, known).await {
        Ok(fetched) => fetched,
        Err(FetchError::Unchanged) => return Ok(None),
        Err(error) => return Err(format!("the manifest cannot be taken: {error}")),
    };
    let (file, key) = (fetched.bytes.clone(), key.to_vec());
    let read = tokio::task::spawn_blocking(move || Manifest::from_file(&file, Some(&key))).await;
    let read = read.unwrap_or_else(|_| Err("could not be read".to_owned()));
    let manifest = read.map_err(|why| format!("the manifest {why}"))?;
    Ok(Some((manifest, fetched.bytes, fetched.tag)))
}

fn clear(folder: &Path, named: &BTreeSet<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        if (name.ends_with(".answers") || name.ends_with(".new")) && !named.contains(&name) {
            std::fs::remove_file(folder.join(&name))?;
        }
    }
    Ok(())
}
