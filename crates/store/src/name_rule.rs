//! Operators' rules on names: which are never in a certificate, and which are nevertheless.

use ingam_protocol::Timestamp;
use ingam_protocol::identifier::DnsName;
use ingam_protocol::operator::Principal;
use ingam_protocol::record::Record;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::open::Store;
use crate::search::reversed;
use crate::table::{NAME_RULES, end_of};
use crate::transaction::{decode, read_range, read_row};

/// At most this many rules below a wildcard's base are looked at.
const RULES_BELOW_MAX: usize = 10_000;

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

impl Store {
    /// The rule that decides about a name: its own, or the nearest above it that holds for names below.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn name_rule_for(&self, name: &DnsName) -> Result<Option<NameRule>, Error> {
        let own = reversed(name);
        let mut at = own.as_str();
        for _ in 0..LABELS_MAX {
            let rule: Option<NameRule> = read_row(self.engine(), NAME_RULES, at.as_bytes())?;
            if let Some(rule) = rule.filter(|rule| !rule.exact || at == own) {
                return Ok(Some(rule));
            }
            match at.rsplit_once('.') {
                Some((above, _)) => at = above,
                None => break,
            }
        }
        Ok(None)
    }

    /// A rule that blocks a name which a wildcard below `base` would cover: one label below it.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn name_rule_under_wildcard(&self, base: &DnsName) -> Result<Option<NameRule>, Error> {
        let from = format!("{}.", reversed(base)).into_bytes();
        let rows = read_range(self.engine(), NAME_RULES, &from, end_of(&from).as_deref(), RULES_BELOW_MAX)?;
        for (key, row) in rows {
            let covered = key.get(from.len()..).is_some_and(|label| !label.contains(&b'.'));
            let rule = if covered { decode::<NameRule>(NAME_RULES, Some(row))? } else { None };
            if let Some(rule) = rule.filter(|rule| rule.verdict == NameVerdict::Block) {
                return Ok(Some(rule));
            }
        }
        Ok(None)
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
            transaction.put_row(NAME_RULES, reversed(&rule.name), &rule)?;
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
            let key = reversed(&name).into_bytes();
            if transaction.get(NAME_RULES, &key)?.is_none() {
                return Ok(false);
            }
            transaction.delete(NAME_RULES, key);
            records.iter().for_each(|record| transaction.record(record));
            Ok(true)
        })
        .await
    }
}
