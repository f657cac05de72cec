//! Making a list: what is revoked is read, and signed if it is another than on the last one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ingam_protocol::crl::{Entry, SignedList};
use ingam_protocol::{Serial, Timestamp};
use ingam_signer::CrlContents;
use tokio::task::spawn_blocking;

use crate::crl::CrlService;
use crate::crl::error::BuildError;
use crate::crl::slot::{Checked, Counted, Counting, PublishedCrl, Signed, Slot};
use crate::statuses::{self, SigningEvent, Statuses};

/// How many revoked certificates are read at once.
const PAGE: usize = 1000;
/// How long the signer may take for a list, which can be long.
const SIGNING_TIME_MAX: Duration = Duration::from_secs(60);
/// Where no list is there to go by, how long after its certificate's end an entry is still listed: longer than any list's
/// period.
const LISTED_PAST_END: Duration = Duration::from_secs(11 * 24 * 60 * 60);

/// What is on a list.
struct Contents {
    entries: Vec<Entry>,
    counted: Counted,
}

impl CrlService {
    /// A new list, or the last one if it lists the same and has time left.
    pub(super) async fn make(
        &self,
        slot: &Arc<Slot>,
        last: Option<&Arc<PublishedCrl>>,
    ) -> Result<Arc<PublishedCrl>, BuildError> {
        let now = self.parts.clock.now();
        // Before the entries, as with every status: a change in between must be seen the next time.
        let checked = Checked { generation: self.parts.statuses.generation(), at: now };
        let Contents { entries, counted } = self.contents(slot, self.ended_before(last, now)).await?;
        if let Some(last) = last
            && last.entries_digest.as_ref() == counted.digest.as_ref()
            && now < last.half()
            && !last.is_lost.load(Ordering::Acquire)
        {
            last.confirm(checked);
            return Ok(Arc::clone(last));
        }
        let room = self.parts.audit.room(1).ok_or(BuildError::AuditFull)?;
        let this_update = now.whole_second();
        let issuer = &slot.issuer;
        let next_update = this_update.plus(self.settings.crl_validity).min(issuer.not_after.whole_second());
        if next_update <= this_update {
            return Err(BuildError::IssuerEnded);
        }
        let (shard, above) = (slot.scope.shard(), slot.number_out.load(Ordering::Acquire));
        let number = self.parts.statuses.crl_number(&issuer.name, shard, above).await;
        let number = number.map_err(BuildError::Store)?;
        let contents = CrlContents { scope: slot.scope, number, this_update, next_update, entries };
        let signing = self.parts.signer.sign_crl(&issuer.name, contents);
        let body = tokio::time::timeout(SIGNING_TIME_MAX, signing)
            .await
            .map_err(|_| BuildError::TooSlow)?
            .map_err(BuildError::Signer)?;
        let count = counted.count;
        room.fill([SigningEvent {
            issuer: issuer.name.clone(),
            at: this_update,
            next_update,
            signed: statuses::Signed::Crl { shard, number, entries: count },
        }]);
        let signed = Signed { body: &body, number, this_update, next_update, entries: counted };
        let list = PublishedCrl::new(signed, slot.file(), Some(checked));
        self.shelf.keep(&list, body).await.map_err(BuildError::File)?;
        self.parts.counters.crl_signed.increment(1);
        let shard = shard.map(|shard| shard.0);
        tracing::info!(issuer = issuer.name.as_str(), shard, number, entries = count, "a CRL was signed");
        Ok(Arc::new(list))
    }

    /// What ended before this is not listed any more (RFC 5280, section 3.3): it was on a list whose thisUpdate lies after
    /// its end, and a period is over since, in which a list was made because it was time.
    fn ended_before(&self, last: Option<&Arc<PublishedCrl>>, now: Timestamp) -> Timestamp {
        match last {
            Some(last) => now.minus(self.settings.crl_validity).min(last.this_update),
            None => now.minus(LISTED_PAST_END),
        }
    }

    /// All that is revoked.
    async fn contents(&self, slot: &Arc<Slot>, ended_before: Timestamp) -> Result<Contents, BuildError> {
        let (statuses, slot) = (Arc::clone(&self.parts.statuses), Arc::clone(slot));
        let entries_max = self.settings.crl_entries_max;
        let read = move || contents(statuses.as_ref(), &slot, ended_before, entries_max);
        spawn_blocking(read).await.map_err(|_| BuildError::BrokenOff)?
    }

    /// Publishes the list that the last start left, if it is the issuer's, for this URL. Whether it still lists all that is
    /// revoked has yet to be seen.
    pub(super) async fn take_up(self: &Arc<Self>, slot: &Arc<Slot>) {
        let (service, own) = (Arc::clone(self), Arc::clone(slot));
        let found = spawn_blocking(move || service.left(&own)).await;
        let path = slot.file();
        match found {
            Ok(Ok(Some(list))) => slot.publish(Arc::new(list)),
            Ok(Ok(None)) => {}
            Ok(Err(why)) => tracing::warn!(path = %path.display(), why, "a CRL that was kept is made anew"),
            Err(_) => tracing::warn!(path = %path.display(), "reading a CRL that was kept was broken off"),
        }
    }

    /// The list in a slot's file. An error says why it cannot be used.
    fn left(&self, slot: &Slot) -> Result<Option<PublishedCrl>, String> {
        let Some(body) = self.shelf.left(&slot.file()).map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let read = SignedList::read(&body).map_err(|error| error.to_string())?;
        if !slot.issuer.has_signed(&read) {
            return Err("it was not signed by its issuer".to_owned());
        }
        // Somebody may have it, even if it is not given out any more.
        slot.number_out.fetch_max(read.number, Ordering::AcqRel);
        let url = slot.is_partial().then(|| slot.url());
        if read.distribution_point != url.as_deref() {
            return Err(
                "certificates point to another URL now, or are spread over lists in another way".to_owned()
            );
        }
        let mut counting = Counting::new();
        for entry in read.entries() {
            counting.add(&entry.map_err(|error| error.to_string())?);
        }
        let signed = Signed {
            body: &body,
            number: read.number,
            this_update: read.this_update,
            next_update: read.next_update,
            entries: counting.finish(),
        };
        Ok(Some(PublishedCrl::new(signed, slot.file(), None)))
    }
}

fn contents(
    statuses: &dyn Statuses,
    slot: &Slot,
    ended_before: Timestamp,
    entries_max: usize,
) -> Result<Contents, BuildError> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut counting = Counting::new();
    let mut after: Option<Serial> = None;
    loop {
        let page = statuses.revoked(&slot.issuer.name, slot.scope, after.as_ref(), ended_before, PAGE);
        let page = page.map_err(BuildError::Store)?;
        let is_last = page.len() < PAGE;
        for entry in page {
            if entries.last().is_some_and(|before| before.serial == entry.serial) {
                return Err(BuildError::Repeated);
            }
            if entries.len() >= entries_max {
                return Err(BuildError::TooLong);
            }
            counting.add(&entry);
            entries.push(entry);
        }
        if is_last {
            return Ok(Contents { entries, counted: counting.finish() });
        }
        after = entries.last().map(|entry| entry.serial.clone());
    }
}
