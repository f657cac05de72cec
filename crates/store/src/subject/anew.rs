//! Erasures in a store that is made anew.

use ingam_protocol::acme::Account;
use ingam_protocol::{Id, Timestamp};

use super::{ErasureReason, ErasureRow, SubjectRow};
use crate::contact::SubjectKeys;
use crate::engine::{Batch, Engine};
use crate::error::Error;
use crate::rebuild::commit;
use crate::table::{ACCOUNTS, CONTACTS, ERASURES_OPEN, SUBJECTS};
use crate::transaction::{Transaction, decode, read_range};

/// So many erasures are taken over in one batch.
const ROWS_PER_BATCH: usize = 1000;

/// An erasure that a record tells of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Erasing {
    pub(crate) asked: Timestamp,
    pub(crate) why: ErasureReason,
    /// Whether the account ended with it.
    pub(crate) closed: bool,
    /// Whether the key was destroyed; else that is still to be done, or only its receipt to be given.
    pub(crate) done: bool,
}

/// Does an erasure again, after all that gave and took contacts. Contacts that came later stay, as they lie under another key:
/// they came later if there have been any without a break only since then.
pub(crate) fn erasure_anew(
    transaction: &mut Transaction<'_>,
    subject: Id,
    erasing: Erasing,
    keys: Option<&SubjectKeys>,
) -> Result<(), Error> {
    if erasing.closed {
        close(transaction, subject, erasing.asked)?;
    }
    let given: Option<SubjectRow> = transaction.row(SUBJECTS, subject.as_bytes())?;
    let open: Option<ErasureRow> = transaction.row(ERASURES_OPEN, subject.as_bytes())?;
    if given.is_some_and(|row| row.since > erasing.asked) || open.is_some_and(|row| row.asked > erasing.asked)
    {
        return Ok(());
    }
    transaction.delete(CONTACTS, *subject.as_bytes());
    transaction.delete(SUBJECTS, *subject.as_bytes());
    // A key that is there again came from a copy of before: it goes once more, at the next start.
    if erasing.done && keys.is_none_or(|keys| !keys.has(subject)) {
        transaction.delete(ERASURES_OPEN, *subject.as_bytes());
        return Ok(());
    }
    let Erasing { asked, why, closed, .. } = erasing;
    transaction.put_row(ERASURES_OPEN, *subject.as_bytes(), &ErasureRow { asked, why, marked: true, closed })
}

/// Takes over from the old store which erasures have no end: what an operator was about to erase is on no record that could be
/// read as such.
pub(crate) fn erasures_keep(old: &dyn Engine, new: &dyn Engine) -> Result<(), Error> {
    let mut from = Vec::new();
    loop {
        let rows = read_range(old, ERASURES_OPEN, &from, None, ROWS_PER_BATCH)?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        from = [last.as_slice(), &[0]].concat();
        let nothing = Batch::new();
        let mut transaction = Transaction::new(new, &nothing, 0);
        for (key, value) in rows {
            let Some(row) = decode::<ErasureRow>(ERASURES_OPEN, Some(value))? else { continue };
            let subject = crate::account::id_from(&key)?;
            if row.is_marked() {
                transaction.delete(CONTACTS, key.clone());
                transaction.delete(SUBJECTS, key.clone());
            }
            if row.closed {
                close(&mut transaction, subject, row.asked)?;
            }
            transaction.put_row(ERASURES_OPEN, key, &row)?;
        }
        commit(new, &transaction.finish().batch)?;
    }
}

/// Whatever closed the account first is what counted, also where it is read later.
fn close(transaction: &mut Transaction<'_>, subject: Id, at: Timestamp) -> Result<(), Error> {
    if let Some(mut account) = transaction.row::<Account>(ACCOUNTS, subject.as_bytes())?
        && account.deactivated.is_none_or(|deactivated| at < deactivated)
    {
        account.deactivated = Some(at);
        transaction.put_row(ACCOUNTS, *subject.as_bytes(), &account)?;
    }
    Ok(())
}
