//! Keys and names that get no certificate.

use ingam_protocol::identifier::DnsName;
use ingam_protocol::record::RecordType;
use ingam_protocol::{Bytes, Reason};
use ingam_store::{KeyBlock, NameRule, NameVerdict};
use serde::Serialize;

use super::{Act, ActError, Found};
use crate::Authority;

#[derive(Serialize)]
struct KeyEvidence<'a> {
    thumbprint: &'a Bytes,
    operator: ingam_protocol::operator::Principal,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct NameEvidence<'a> {
    name: &'a DnsName,
    /// Nothing where the rule was taken back.
    rule: Option<&'a NameRule>,
}

impl Authority {
    /// Blocked keys, after the thumbprint `after`, at most `limit`.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn key_blocks(&self, after: Option<&[u8]>, limit: usize) -> Result<Found<KeyBlock>, ActError> {
        let items = self.store.key_blocks(after, limit)?;
        let next = items.last().filter(|_| items.len() == limit).map(|last| last.thumbprint.to_vec());
        Ok(Found { items, next })
    }

    /// Blocks a key: no account works with it and no certificate is issued for it from now on.
    ///
    /// # Errors
    /// [`ActError::Conflict`] if it is blocked already; [`ActError::Fault`].
    pub async fn key_block(&self, act: &Act, thumbprint: [u8; 32]) -> Result<KeyBlock, ActError> {
        let block = KeyBlock {
            thumbprint: thumbprint.as_slice().into(),
            at: self.clock.now(),
            reason: Reason::KeyCompromise,
            serial: None,
            by: Some(act.operator),
            comment: act.reason.clone(),
        };
        let evidence = key_evidence(act, &block.thumbprint);
        let record = self.record(RecordType::KeyBlocked, None, None, &evidence)?;
        let records = vec![record, self.act_done(act)?];
        if !self.store.key_block_insert(block.clone(), records).await? {
            return Err(ActError::conflict("the key is blocked already"));
        }
        Ok(block)
    }

    /// Lets a key be used again.
    ///
    /// # Errors
    /// [`ActError::NotFound`] if it is not blocked; [`ActError::Fault`].
    pub async fn key_unblock(&self, act: &Act, thumbprint: [u8; 32]) -> Result<(), ActError> {
        let bytes = Bytes::from(thumbprint.as_slice());
        let record = self.record(RecordType::KeyUnblocked, None, None, &key_evidence(act, &bytes))?;
        let records = vec![record, self.act_done(act)?];
        if self.store.key_block_delete(thumbprint, records).await? {
            return Ok(());
        }
        Err(ActError::not_found("this key is not blocked"))
    }

    /// Rules on names, after the name `after`, at most `limit`.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn name_rules(&self, after: Option<&DnsName>, limit: usize) -> Result<Found<NameRule>, ActError> {
        let items = self.store.name_rules(after, limit)?;
        let next =
            items.last().filter(|_| items.len() == limit).map(|last| last.name.as_str().as_bytes().to_vec());
        Ok(Found { items, next })
    }

    /// Makes a rule, in place of any that the name has. It counts from the next order and the next finalize on.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub async fn name_rule_put(
        &self,
        act: &Act,
        name: DnsName,
        verdict: NameVerdict,
        exact: bool,
    ) -> Result<NameRule, ActError> {
        let reason = act.reason.clone().unwrap_or_default();
        let rule = NameRule { name, verdict, exact, by: act.operator, at: self.clock.now(), reason };
        let evidence = NameEvidence { name: &rule.name, rule: Some(&rule) };
        let record = self.record(RecordType::NameRuleChanged, None, None, &evidence)?;
        self.store.name_rule_put(rule.clone(), vec![record, self.act_done(act)?]).await?;
        Ok(rule)
    }

    /// Takes a name's own rule back.
    ///
    /// # Errors
    /// [`ActError::NotFound`] if it has none; [`ActError::Fault`].
    pub async fn name_rule_forget(&self, act: &Act, name: DnsName) -> Result<(), ActError> {
        let evidence = NameEvidence { name: &name, rule: None };
        let record = self.record(RecordType::NameRuleChanged, None, None, &evidence)?;
        let records = vec![record, self.act_done(act)?];
        if self.store.name_rule_delete(name.clone(), records).await? {
            return Ok(());
        }
        Err(ActError::not_found(format!("there is no rule on {name} itself")))
    }
}

fn key_evidence<'a>(act: &'a Act, thumbprint: &'a Bytes) -> KeyEvidence<'a> {
    KeyEvidence { thumbprint, operator: act.operator, reason: act.reason.as_deref() }
}
