//! Operators' rules on names: which are never in a certificate, and which are nevertheless.

use ingam_protocol::Timestamp;
use ingam_protocol::identifier::DnsName;
use ingam_protocol::operator::Principal;
use ingam_protocol::record::Record;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::open::Store;
use crate::table::NAME_RULES;
use crate::transaction::{decode, read_range, read_row};

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
        let mut at = name.as_str();
        for _ in 0..LABELS_MAX {
            let rule: Option<NameRule> = read_row(self.engine(), NAME_RULES, at.as_bytes())?;
            if let Some(rule) = rule.filter(|rule| !rule.exact || at == name.as_str()) {
                return Ok(Some(rule));
            }
            match at.split_once('.') {
                Some((_, above)) => at = above,
                None => break,
            }
        }
        Ok(None)
    }

    /// Rules by name, after the name `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn name_rules(&self, after: Option<&str>, limit: usize) -> Result<Vec<NameRule>, Error> {
        let from = after.map_or(Vec::new(), |name| [name.as_bytes(), &[0]].concat());
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
            transaction.put_row(NAME_RULES, rule.name.as_str().as_bytes(), &rule)?;
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
            let key = name.as_str().as_bytes().to_vec();
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
