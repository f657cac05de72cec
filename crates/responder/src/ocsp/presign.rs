//! Signing answers before anybody asks: for what is issued and revoked, at once; for all that is there, in passes.
//!
//! ```text
//! the store's changes ─────── a few at a time ──▶ signed ──▶ a small table on top of each series
//! pass: all certificates, in order ── missing, another status, or old ──▶ signed ──▶ the tables below, made anew one after the other
//! ```
//!
//! Changes come first: a pass looks for them after each page. What a pass could not sign, the next one does; until then it is
//! signed when it is asked for.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::ocsp::CertStatus;
use ingam_protocol::{Serial, Timestamp};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{Instant, sleep, sleep_until};

use super::{OcspService, Subject};
use crate::corpus::{AnswerSigner, Entry, Series, Shelf, SignedBy, Table, TableBuilder, Told, entry_of};
use crate::statuses::{IssuedPage, Status, StatusChange};

/// At most so many changes become one table.
const CHANGES_MAX: usize = 1024;
/// How long more changes are waited for, once there is one.
const CHANGES_WAIT: Duration = Duration::from_millis(50);
/// How many rows a pass reads, and perhaps signs, before it looks for changes.
const PAGE: usize = 256;
/// As many entries as a table of a pass has: some 6 MiB, the most that is in memory twice.
const TABLE_ENTRIES: usize = 1 << 16;
/// How long nothing is signed in advance after a failure.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// How soon a pass that could not sign everything is followed by another.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Where a pass through one series is.
struct Pass {
    /// Which series.
    series: usize,
    /// How many of the series' newer tables were there when it began: it takes them in.
    taken_in: usize,
    /// Which of the base's tables is looked through.
    index: usize,
    after: Option<Serial>,
    /// What takes that one's place: whole tables, and the one that is being filled.
    done: Vec<Arc<Table>>,
    filling: TableBuilder,
    /// Whether anything is to be told anew.
    is_changed: bool,
    oldest: Option<Timestamp>,
    /// Whether everything that is due was signed.
    is_whole: bool,
}

/// Signs in advance.
pub(crate) struct Presigner {
    service: Arc<OcspService>,
    changes: Receiver<StatusChange>,
    /// The pass under way, and the generation of statuses before it began.
    pass: Option<(Pass, u64)>,
    next_pass: Instant,
    /// Whether a pass has seen everything since changes were last missed.
    is_complete: bool,
    /// The generation of the last change that was taken in.
    followed: u64,
    /// When a pass may sign the next answer.
    next_signing: Instant,
    /// Until when nothing is signed, after a failure.
    rests_until: Instant,
}

impl Presigner {
    pub(crate) fn new(service: Arc<OcspService>) -> Self {
        let now = Instant::now();
        Self {
            changes: service.statuses.changes(),
            service,
            pass: None,
            next_pass: now,
            is_complete: false,
            followed: 0,
            next_signing: now,
            rests_until: now,
        }
    }

    /// Goes on until `shutdown` is done.
    pub(super) async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        if self.service.corpus.series().is_empty() {
            return shutdown.await;
        }
        loop {
            tokio::select! {
                biased;
                () = shutdown.as_mut() => return,
                () = self.step() => {}
            }
        }
    }

    /// Takes in every change that there is, and goes through everything once.
    #[cfg(test)]
    pub(crate) async fn catch_up(&mut self) {
        self.pass = None;
        self.next_pass = Instant::now();
        self.rests_until = self.next_pass;
        loop {
            self.step().await;
            if self.pass.is_none() && self.changes.is_empty() && self.next_pass > Instant::now() {
                return;
            }
        }
    }

    /// A few changes, or a page of a pass.
    async fn step(&mut self) {
        let waits = match (self.changes.is_empty(), &self.pass) {
            (false, _) => false,
            (true, Some(_)) => return self.page().await,
            (true, None) => true,
        };
        if waits {
            if Instant::now() >= self.next_pass {
                return self.begin_pass(0);
            }
            let next_pass = self.next_pass;
            tokio::select! {
                first = self.changes.recv() => match first {
                    Ok(first) => self.take_in(vec![first]).await,
                    Err(RecvError::Lagged(_)) => self.missed(),
                    Err(RecvError::Closed) => sleep_until(next_pass).await,
                },
                () = sleep_until(next_pass) => {}
            }
        } else {
            self.take_in(Vec::new()).await;
        }
    }

    /// Changes went by unseen: everything has to be looked at, and until then the store is asked for each answer.
    fn missed(&mut self) {
        self.service.corpus.unsettle();
        self.is_complete = false;
        self.pass = None;
        self.next_pass = Instant::now();
    }

    /// Signs what has changed, and puts it on top of the tables.
    async fn take_in(&mut self, mut changes: Vec<StatusChange>) {
        let until = Instant::now() + CHANGES_WAIT;
        while changes.len() < CHANGES_MAX {
            match self.changes.try_recv() {
                Ok(change) => changes.push(change),
                Err(TryRecvError::Lagged(_)) => return self.missed(),
                Err(TryRecvError::Closed) => break,
                Err(TryRecvError::Empty) if Instant::now() >= until => break,
                Err(TryRecvError::Empty) => sleep(CHANGES_WAIT / 5).await,
            }
        }
        let generation = changes.iter().map(|change| change.generation).max();
        for number in 0..self.service.corpus.series().len() {
            if !self.take_in_series(number, &changes).await {
                return self.missed();
            }
        }
        self.followed = generation.unwrap_or(0).max(self.followed);
        if self.is_complete {
            self.service.corpus.settle(self.followed);
        }
    }

    /// Whether everything that has changed is in the series' tables now.
    async fn take_in_series(&mut self, number: usize, changes: &[StatusChange]) -> bool {
        let corpus = Arc::clone(&self.service.corpus);
        let Some(series) = corpus.series().get(number) else { return true };
        let mut serials: Vec<&Serial> = changes
            .iter()
            .filter(|change| change.issuer == series.owner.issuer)
            .map(|change| &change.serial)
            .collect();
        serials.sort_unstable();
        serials.dedup();
        let mut builder = TableBuilder::new(&series.owner);
        for serial in serials {
            let status = match self.service.statuses.status(&series.owner.issuer, serial) {
                Ok(Some(status)) => status,
                Ok(None) => continue,
                Err(_) => return false,
            };
            let now = self.service.clock.now();
            let known = known_entry(series, serial);
            let is_same = known.as_ref().is_some_and(|(entry, _)| entry.told == Told::Status(status.status));
            if is_same && known.as_ref().is_some_and(|(entry, signer)| !self.is_due(entry, signer, now)) {
                // A precertificate and its certificate are two changes of one status.
                continue;
            }
            let signed = match now <= status.not_after {
                true => self.sign(series, serial, status.status).await,
                false => None,
            };
            let is_put = match (signed, known) {
                (Some((entry, signer)), _) => builder.push(&entry, &signer),
                // What was said before is not so any more.
                (None, Some((entry, signer))) if !is_same => {
                    // That one signs it.
                    self.next_pass = self.next_pass.min(Instant::now() + PAUSE_AFTER_FAILURE);
                    builder.push(&Entry { told: Told::Withdrawn, ..entry }, &signer)
                }
                (None, _) => true,
            };
            if !is_put {
                return false;
            }
        }
        if builder.len() > 0 {
            let kept = self.pass.as_ref().filter(|(pass, _)| pass.series == number);
            let kept = kept.map_or(0, |(pass, _)| pass.taken_in);
            let shelf = Shelf::clone(&series.shelf());
            series.replace(shelf.with_newer(builder.finish(), kept));
        }
        true
    }

    fn begin_pass(&mut self, series: usize) {
        let before = self.pass.take().map(|(pass, generation)| (pass.is_whole, generation));
        let (is_whole, generation) = before.unwrap_or((true, self.service.statuses.generation()));
        let Some(owner) = self.service.corpus.series().get(series) else {
            // Through all of them.
            if is_whole {
                self.is_complete = true;
                self.service.corpus.settle(generation.max(self.followed));
            }
            let pause = self.service.settings.presign_pause;
            self.next_pass = Instant::now() + if is_whole { pause } else { pause.min(RETRY_AFTER) };
            return;
        };
        let pass = Pass {
            series,
            taken_in: owner.shelf().newer().len(),
            index: 0,
            after: None,
            done: Vec::new(),
            filling: TableBuilder::new(&owner.owner),
            is_changed: false,
            oldest: None,
            is_whole,
        };
        self.pass = Some((pass, generation));
    }

    /// Looks through the next rows, and signs what is due.
    async fn page(&mut self) {
        let Some((mut pass, generation)) = self.pass.take() else { return };
        let service = Arc::clone(&self.service);
        let Some(series) = service.corpus.series().get(pass.series) else { return };
        let (statuses, issuer) = (service.statuses.clone(), series.owner.issuer.clone());
        let after = pass.after.clone();
        let read = tokio::task::spawn_blocking(move || statuses.issued(&issuer, after.as_ref(), PAGE)).await;
        let Ok(Ok(IssuedPage { certificates, next })) = read else {
            // The pass stays where it is.
            self.pass = Some((pass, generation));
            return sleep(PAUSE_AFTER_FAILURE).await;
        };
        for (serial, status) in certificates {
            self.look(series, &mut pass, &serial, status).await;
            if !self.changes.is_empty() {
                // They come first; what is left of the page is read again.
                pass.after = Some(serial);
                self.pass = Some((pass, generation));
                return;
            }
        }
        let is_over = next.is_none();
        pass.after = next;
        if is_over {
            pass.put_in_place(series, true);
            let shelf = Shelf::clone(&series.shelf()).without_oldest(pass.taken_in);
            series.replace(shelf);
            series.note_oldest(pass.oldest);
            let following = pass.series + 1;
            self.pass = Some((pass, generation));
            self.begin_pass(following);
        } else {
            self.pass = Some((pass, generation));
        }
    }

    /// Keeps the answer of a certificate, or signs another.
    async fn look(&mut self, series: &Series, pass: &mut Pass, serial: &Serial, status: Status) {
        let now = self.service.clock.now();
        // The row of the next of the base's tables: those before it are done.
        while let Some(next) = series.shelf().base().get(pass.index + 1).cloned()
            && next.begins_at_or_before(serial)
        {
            pass.put_in_place(series, false);
        }
        let known = known_entry(series, serial);
        let is_same = known.as_ref().is_some_and(|(entry, _)| entry.told == Told::Status(status.status));
        let is_due = known.as_ref().is_none_or(|(entry, signer)| self.is_due(entry, signer, now));
        let may_be_signed = now <= status.not_after;
        let signed = match may_be_signed && (is_due || !is_same) {
            true => {
                self.wait_for_turn().await;
                self.sign(series, serial, status.status).await
            }
            false => None,
        };
        pass.is_whole &= signed.is_some() || is_same || !may_be_signed;
        pass.is_changed |= signed.is_some();
        let kept = signed
            .or(known.filter(|(entry, signer)| is_same && signer.next_update(entry.this_update) >= now));
        let Some((entry, signer)) = kept else {
            pass.is_changed = true;
            return;
        };
        if may_be_signed {
            pass.oldest = Some(pass.oldest.map_or(entry.this_update, |oldest| oldest.min(entry.this_update)));
        }
        if !pass.filling.push(&entry, &signer) {
            // Not behind those before it: it is signed when it is asked for.
            pass.is_changed = true;
        }
        if pass.filling.len() >= TABLE_ENTRIES {
            pass.cut(&series.owner);
            if series.shelf().base().get(pass.index).is_none() {
                pass.put_in_place(series, false);
            }
        }
    }

    /// Old ones are not all signed at the same time: it is due between three quarters and the whole of the time, by its number. One that
    /// has not begun, as the clock was put back, is due at once.
    fn is_due(&self, entry: &Entry, signer: &AnswerSigner, now: Timestamp) -> bool {
        let spread = u32::from(entry.serial.as_bytes().last().copied().unwrap_or(0));
        let half = signer.next_update(entry.this_update).since(entry.this_update) / 2;
        let whole = self.service.settings.ocsp_refresh.min(half);
        let after = whole * (768 + spread) / 1024;
        now >= entry.this_update.plus(after) || now < entry.this_update
    }

    /// Waits until a pass may sign again. Changes do not wait: whoever issues and revokes sets their pace.
    async fn wait_for_turn(&mut self) {
        sleep_until(self.next_signing).await;
        let pause = Duration::from_secs(1) / self.service.settings.presign_per_s;
        // What was not used of the last tenth of a second may be used now.
        let earliest = Instant::now().checked_sub(Duration::from_millis(100)).unwrap_or(self.next_signing);
        self.next_signing = self.next_signing.max(earliest) + pause;
    }

    /// Signs an answer about one certificate; `None` if that fails, or if its signature is of a kind that tables do not hold.
    async fn sign(
        &mut self,
        series: &Series,
        serial: &Serial,
        status: CertStatus,
    ) -> Option<(Entry, AnswerSigner)> {
        if Instant::now() < self.rests_until {
            return None;
        }
        let service = Arc::clone(&self.service);
        let owner = &series.owner;
        let not_after = service.signer.ocsp_signer_not_after(&owner.issuer).ok()?;
        let subject = Subject { serial: serial.clone(), cert_id: owner.form.cert_id(serial), status };
        let Ok((body, period)) = service.sign(&owner.issuer, vec![subject], None).await else {
            self.rests_until = Instant::now() + PAUSE_AFTER_FAILURE;
            return None;
        };
        service.counters.presigned.increment(1);
        let signed = SignedBy { not_after, validity: service.settings.ocsp_validity };
        entry_of(owner, serial, status, period.this_update, signed, &body)
    }
}

/// The newest entry of a serial number, with its signer.
fn known_entry(series: &Series, serial: &Serial) -> Option<(Entry, AnswerSigner)> {
    let shelf = series.shelf();
    let (table, entry) = shelf.find(serial)?;
    let signer = table.signers.get(usize::from(entry.signer)).cloned()?;
    Some((entry, signer))
}

impl Pass {
    /// Ends the table that is being filled.
    fn cut(&mut self, owner: &Arc<crate::corpus::Owner>) {
        let filled = std::mem::replace(&mut self.filling, TableBuilder::new(owner));
        if filled.len() > 0 {
            self.done.push(Arc::new(filled.finish()));
        }
    }

    /// Puts what was made in the place of the base's table that is being looked through, and of all behind it at the end. One
    /// that would be the same stays.
    fn put_in_place(&mut self, series: &Series, is_over: bool) {
        self.cut(&series.owner);
        let shelf = Shelf::clone(&series.shelf());
        let index = self.index;
        let mut made = std::mem::take(&mut self.done);
        if let (Some(before), [only]) = (shelf.base().get(index), made.as_slice())
            && before.is_same(only)
        {
            made = vec![before.clone()];
        }
        self.index += made.len();
        let end = if is_over { usize::MAX } else { index + 1 };
        series.replace(shelf.with_base(index..end, made));
    }
}
