//! What a new order, or an authorization ahead of one, has to pass before it is put in.

use ingam_protocol::{Id, Timestamp};

use crate::account::active;
use crate::error::Error;
use crate::limit::{Demand, Limited, meet};
use crate::pause::{Pause, ToBeShown, paused};
use crate::table::PAUSES;
use crate::transaction::Transaction;

/// What has to be passed, beside the account's being there.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    /// What is taken of limits.
    pub demands: Vec<Demand>,
    /// What has to be shown control of, if pairs of account and name are paused by a rule.
    pub to_be_shown: Option<ToBeShown>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is in.
    Yes,
    /// Its account has ended.
    Missing,
    /// A limit is reached.
    Limited(Limited),
    /// The account gets nothing for these of its names.
    Paused(Vec<Pause>),
    /// The certificate that it is to replace is replaced by this order, which is not invalid (RFC 9773, section 5).
    Replaced(Id),
}

/// Lets the account's wish in, and spends what it takes; or spends nothing.
pub(crate) fn admit(
    transaction: &mut Transaction<'_>,
    account: Id,
    admission: &Admission,
    now: Timestamp,
) -> Result<Admitted, Error> {
    if active(transaction, account)?.is_none() {
        return Ok(Admitted::Missing);
    }
    if let Some(shown) = &admission.to_be_shown {
        let paused = paused(account, shown, now, |key| transaction.row(PAUSES, key))?;
        if !paused.is_empty() {
            return Ok(Admitted::Paused(paused));
        }
    }
    match meet(transaction, &admission.demands, now)? {
        Ok(_) => Ok(Admitted::Yes),
        Err(limited) => Ok(Admitted::Limited(limited)),
    }
}
