//! Operators' rules on names: which are never in a certificate, and which are nevertheless.

use ingam_protocol::Timestamp;
use ingam_protocol::identifier::{DnsName, Identifier};
use ingam_protocol::operator::Principal;
use ingam_protocol::record::Record;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::open::Store;
use crate::search::reversed;
use crate::table::{NAME_RULES, NAMES_BLOCKED_BELOW, end_of};
use crate::transaction::{Transaction, decode, read_range, read_row};

/// At most this many labels are climbed from a name to its rule: a name has no more (RFC 1035, section 2.3.4).
const LABELS_MAX: usize = 128;

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NameVerdict {
    /// No certificate.
    Block,
    /// As if no rule above it were there.
    Allow,
}

/// An operator's rule on a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameRule {
    /// The name.
    pub name: DnsName,
    /// What holds for it.
    pub verdict: NameVerdict,
    /// Whether names below it are left out.
    pub exact: bool,
    /// Who made the rule.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// `org.example 0 www` of `www.example.org`: what is blocked one label below a name lies together.
fn blocked_below_key(name: &DnsName) -> Vec<u8> {
    let own = reversed(name);
    let (above, label) = own.rsplit_once('.').unwrap_or(("", &own));
    [above.as_bytes(), &[0], label.as_bytes()].concat()
}

fn below_range(base: &DnsName) -> (Vec<u8>, Option<Vec<u8>>) {
    let from = [reversed(base).as_bytes(), &[0]].concat();
    let to = end_of(&from);
    (from, to)
}

/// The key of the rule that a key of [`blocked_below_key`]'s making stands for.
fn blocked_name(key: &[u8]) -> Vec<u8> {
    key.iter().map(|byte| if *byte == 0 { b'.' } else { *byte }).collect()
}

fn deciding(
    identifier: &Identifier,
    read: impl Fn(&[u8]) -> Result<Option<NameRule>, Error>,
) -> Result<Option<NameRule>, Error> {
    // Rules are on names.
    let Some(name) = identifier.name() else { return Ok(None) };
    let base = reversed(name);
    let mut at = base.as_str();
    let mut is_own = !identifier.is_wildcard();
    for _ in 0..LABELS_MAX {
        if let Some(rule) = read(at.as_bytes())?.filter(|rule| !rule.exact || is_own) {
            return Ok(Some(rule));
        }
        match at.rsplit_once('.') {
            Some((above, _)) => at = above,
            None => break,
        }
        is_own = false;
    }
    Ok(None)
}

/// Whether rules block an identifier, as of this point of the transaction.
pub(crate) fn is_blocked(transaction: &Transaction<'_>, identifier: &Identifier) -> Result<bool, Error> {
    let rule = deciding(identifier, |key| transaction.row(NAME_RULES, key))?;
    if rule.is_some_and(|rule| rule.verdict == NameVerdict::Block) {
        return Ok(true);
    }
    let Identifier::Wildcard(base) = identifier else { return Ok(false) };
    let (from, to) = below_range(base);
    Ok(!transaction.range(NAMES_BLOCKED_BELOW, &from, to.as_deref(), 1)?.is_empty())
}

/// Puts a rule in place of any that the name has.
pub(crate) fn put(transaction: &mut Transaction<'_>, rule: &NameRule) -> Result<(), Error> {
    let below = blocked_below_key(&rule.name);
    match rule.verdict {
        NameVerdict::Block => transaction.put(NAMES_BLOCKED_BELOW, below, Vec::new()),
        NameVerdict::Allow => transaction.delete(NAMES_BLOCKED_BELOW, below),
    }
    transaction.put_row(NAME_RULES, reversed(&rule.name), rule)
}

/// Takes a name's own rule out.
pub(crate) fn delete(transaction: &mut Transaction<'_>, name: &DnsName) {
    transaction.delete(NAME_RULES, reversed(name).into_bytes());
    transaction.delete(NAMES_BLOCKED_BELOW, blocked_below_key(name));
}

impl Store {
    /// The rule that decides about an identifier: of a name its own, or the nearest above it that holds for names below;
    /// of a wildcard the nearest that holds for names below its base.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn name_rule_for(&self, identifier: &Identifier) -> Result<Option<NameRule>, Error> {
        deciding(identifier, |key| read_row(self.engine(), NAME_RULES, key))
    }

    /// A rule that blocks a name which a wildcard below `base` would cover: one label below it.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn name_rule_under_wildcard(&self, base: &DnsName) -> Result<Option<NameRule>, Error> {
        let (from, to) = below_range(base);
        let blocked = read_range(self.engine(), NAMES_BLOCKED_BELOW, &from, to.as_deref(), 1)?;
        // One that was taken back between the two reads is no rule any more.
        let rule = blocked.first().map(|(key, _)| read_row(self.engine(), NAME_RULES, &blocked_name(key)));
        rule.transpose().map(Option::flatten)
    }

    /// Rules in the order of their labels from the right, after the name `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn name_rules(&self, after: Option<&DnsName>, limit: usize) -> Result<Vec<NameRule>, Error> {
        let from = after.map_or(Vec::new(), |name| [reversed(name).as_bytes(), &[0]].concat());
        let mut rules = Vec::new();
        for (_, row) in read_range(self.engine(), NAME_RULES, &from, None, limit)? {
            rules.extend(decode::<NameRule>(NAME_RULES, Some(row))?);
        }
        Ok(rules)
    }

    /// Puts a rule in place of any that the name has.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn name_rule_put(&self, rule: NameRule, records: Vec<Record>) -> Result<(), Error> {
        self.run(move |transaction| {
            put(transaction, &rule)?;
            records.iter().for_each(|record| transaction.record(record));
            Ok(())
        })
        .await
    }

    /// Takes a name's own rule back. `false`, and no record, if it has none.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn name_rule_delete(&self, name: DnsName, records: Vec<Record>) -> Result<bool, Error> {
        self.run(move |transaction| {
            if transaction.get(NAME_RULES, reversed(&name).as_bytes())?.is_none() {
                return Ok(false);
            }
            delete(transaction, &name);
            records.iter().for_each(|record| transaction.record(record));
            Ok(true)
        })
        .await
    }
}
