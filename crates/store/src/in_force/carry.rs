//! From the row of a thing that is in force to a record of it.

use std::sync::Arc;

use ingam_protocol::acme::Account;
use ingam_protocol::jws::JwsText;
use ingam_protocol::record::{Part, Record, Seal};
use ingam_protocol::{Bytes, Id, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{Carried, CarriedThing, Kind, Origin, Thing};
use crate::account::{contact_place, payload_place};
use crate::contact::{Place, SubjectKeys};
use crate::error::Error;
use crate::subject::{SubjectRow, is_being_erased};
use crate::table::{CONTACTS, HOLDS_OPEN, INCIDENTS_BY_CERTIFICATE, SUBJECTS};
use crate::transaction::Transaction;

/// A record with more bytes of rows is written at once.
const BYTES_PER_RECORD: usize = 256 << 10;

/// What a carried account has under its subject's key.
#[derive(Deserialize)]
pub(crate) struct Hidden {
    /// Contacts, as they are sent, if there are any. Whoever reads them wipes them.
    #[serde(default)]
    pub(crate) contacts: Option<Vec<String>>,
    /// What is known of them.
    #[serde(default)]
    pub(crate) subject: Option<SubjectRow>,
    /// The binding to a key for external accounts.
    #[serde(default)]
    pub(crate) binding: Option<JwsText>,
}

/// Where it lies.
pub(crate) fn hidden_place(account: Id) -> Place<'static> {
    payload_place("carried", account)
}

/// An empty binding, as a row has it where the real one lies under a key.
pub(crate) fn no_binding() -> JwsText {
    JwsText { protected: String::new(), payload: String::new(), signature: String::new() }
}

/// The carrying of some things.
pub(super) struct Carry {
    pub(super) keys: Arc<SubjectKeys>,
    pub(super) from: Origin,
    pub(super) older_stays: bool,
    pub(super) now: Timestamp,
}

/// Things of one kind that are to be one record.
struct Pending {
    kind: Kind,
    things: Vec<CarriedThing>,
    bytes: usize,
}

impl Carry {
    /// Puts these on record as they are as of this point of the transaction, and gives how many are there.
    pub(super) fn all(
        &self,
        transaction: &mut Transaction<'_>,
        things: &[(Thing, bool)],
    ) -> Result<u64, Error> {
        let (mut count, mut pending) = (0, None::<Pending>);
        for (thing, is_taken) in things {
            let value = transaction.get(thing.kind.table(), &thing.key)?;
            count += u64::from(value.is_some());
            if value.is_none() && !(*is_taken && self.older_stays) {
                continue;
            }
            if let (Kind::Account, Some(value)) = (thing.kind, &value) {
                self.account(transaction, &thing.key, value)?;
                continue;
            }
            let is_full = |some: &Pending| some.kind != thing.kind || some.bytes >= BYTES_PER_RECORD;
            if let Some(full) = pending.take_if(|some| is_full(some)) {
                self.record(transaction, full)?;
            }
            let some =
                pending.get_or_insert_with(|| Pending { kind: thing.kind, things: Vec::new(), bytes: 0 });
            some.bytes += value.as_ref().map_or(0, Vec::len);
            some.things.push(CarriedThing {
                key: thing.key.as_slice().into(),
                row: value.map(|value| raw(thing.kind, value)).transpose()?,
                is_indexed: is_indexed(transaction, thing)?,
            });
        }
        if let Some(last) = pending {
            self.record(transaction, last)?;
        }
        Ok(count)
    }

    fn record(&self, transaction: &mut Transaction<'_>, pending: Pending) -> Result<(), Error> {
        let Pending { kind, things, .. } = pending;
        let payload = json(&Carried { kind, things, from: self.from })?;
        transaction.record(&Record::new(kind.record_type(), self.now, payload, self.keys.random()));
        Ok(())
    }

    /// An account is on record by itself: it is about a subject, under whose key lies what is not public.
    fn account(&self, transaction: &mut Transaction<'_>, key: &[u8], row: &[u8]) -> Result<(), Error> {
        let bad = |cause| Error::Row(Kind::Account.table().name(), Box::new(cause));
        let mut account: Account = serde_json::from_slice(row).map_err(bad)?;
        let external = account.external.as_mut();
        let binding = external.map(|external| std::mem::replace(&mut external.binding, no_binding()));
        let row = Some(raw(Kind::Account, json(&account)?)?);
        let thing = CarriedThing { key: Bytes::from(key.to_vec()), row, is_indexed: false };
        let payload = json(&Carried { kind: Kind::Account, things: vec![thing], from: self.from })?;
        let kind = Kind::Account.record_type();
        let mut record = Record::new(kind, self.now, payload, self.keys.random()).about(account.id);
        record.parts.extend(self.hidden(transaction, account.id, binding)?);
        transaction.record(&record);
        Ok(())
    }

    /// What is not public, sealed; nothing if there is none, or its key is gone or about to go.
    fn hidden(
        &self,
        transaction: &Transaction<'_>,
        account: Id,
        binding: Option<JwsText>,
    ) -> Result<Option<Part>, Error> {
        if !self.keys.has(account) || is_being_erased(transaction, account)? {
            return Ok(None);
        }
        let sealed = transaction.get(CONTACTS, account.as_bytes())?;
        let opened = sealed.and_then(|sealed| self.keys.open_sealed(contact_place(account), &sealed).ok());
        if opened.is_none() && binding.is_none() {
            return Ok(None);
        }
        let bad = |cause| Error::Row("contacts", Box::new(cause));
        let contacts = opened.as_ref().map(|plain| serde_json::from_slice::<&RawValue>(plain)).transpose();
        let shown = HiddenRef {
            contacts: contacts.map_err(bad)?,
            subject: transaction.row(SUBJECTS, account.as_bytes())?,
            binding: binding.as_ref(),
        };
        let plain = Zeroizing::new(json(&shown)?);
        // Its key may have gone just now: then so has what it would hide.
        let sealed = self.keys.seal(hidden_place(account), &plain).ok();
        Ok(sealed.map(|bytes| Part { seal: Seal::Subject, bytes }))
    }
}

/// The same as it is written: contacts are not copied more often than need be.
#[derive(Serialize)]
struct HiddenRef<'a> {
    contacts: Option<&'a RawValue>,
    subject: Option<SubjectRow>,
    binding: Option<&'a JwsText>,
}

fn is_indexed(transaction: &Transaction<'_>, thing: &Thing) -> Result<bool, Error> {
    match thing.kind {
        Kind::Hold => Ok(transaction.get(HOLDS_OPEN, &thing.key)?.is_some()),
        Kind::IncidentCertificate => {
            let at = thing.key.iter().position(|byte| *byte == 0).unwrap_or(thing.key.len());
            let (incident, certificate) = thing.key.split_at(at);
            let last = transaction.get(INCIDENTS_BY_CERTIFICATE, certificate.get(1..).unwrap_or_default())?;
            Ok(last.as_deref() == Some(incident))
        }
        _ => Ok(false),
    }
}

/// A row as it lies in the store; one that is nothing but a key has an empty object.
fn raw(kind: Kind, value: Vec<u8>) -> Result<Box<RawValue>, Error> {
    let bad = |cause: Box<dyn std::error::Error + Send + Sync>| Error::Row(kind.table().name(), cause);
    let text = if value.is_empty() { Ok("{}".to_owned()) } else { String::from_utf8(value) };
    let text = text.map_err(|cause| bad(Box::new(cause)))?;
    RawValue::from_string(text).map_err(|cause| bad(Box::new(cause)))
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|cause| Error::Row("a record of what is in force", Box::new(cause)))
}
