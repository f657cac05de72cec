//! Keys and names that get no certificate.

use ingam_protocol::bytes::hex;
use ingam_protocol::identifier::DnsName;
use ingam_protocol::record::RecordType;
use ingam_protocol::{Bytes, Reason};
use ingam_store::{KeyBlock, KeyName, NameRule, NameVerdict};
use serde::Serialize;

use super::{Act, ActError, Found};
use crate::Authority;

/// A key to be blocked.
#[derive(Clone, Debug)]
pub struct KeyBlocking {
    /// By which of its names.
    pub named_by: KeyName,
    /// The name.
    pub hash: [u8; 32],
    /// Why, in a CRL's words.
    pub reason: Reason,
    /// Where it was learned that the key is bad.
    pub source: Option<String>,
}

/// How many keys can be blocked in one go.
pub const KEYS_AT_ONCE_MAX: usize = 1000;

/// What came of blocking many keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeysBlocked {
    /// How many are blocked now and were not before.
    pub new: usize,
    /// How many were blocked already.
    pub known: usize,
}

#[derive(Serialize)]
struct KeyEvidence<'a> {
    /// The key, or all of them, by thumbprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbprint: Option<&'a Bytes>,
    /// The same by the hash of the SubjectPublicKeyInfo.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    spki_sha256: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation_reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
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
    /// Blocked keys, after the name `after`, at most `limit`.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn key_blocks(&self, after: Option<&[u8]>, limit: usize) -> Result<Found<KeyBlock>, ActError> {
        let items = self.store.key_blocks(after, limit)?;
        let next = items.last().filter(|_| items.len() == limit).map(|last| last.hash.to_vec());
        Ok(Found { items, next })
    }

    /// Blocks a key: no account works with it and no certificate is issued for it from now on.
    ///
    /// # Errors
    /// [`ActError::Conflict`] if it is blocked already by this name; [`ActError::Fault`].
    pub async fn key_block(&self, act: &Act, blocking: KeyBlocking) -> Result<KeyBlock, ActError> {
        let block = self.blocked_by(act, blocking);
        let record = self.record(RecordType::KeyBlocked, None, None, &key_evidence(act, &block))?;
        let block = KeyBlock { at: record.time, ..block };
        let records = vec![record, self.act_done(act)?];
        if !self.store.key_block_insert(block.clone(), records).await? {
            return Err(ActError::conflict("the key is blocked already"));
        }
        Ok(block)
    }

    /// Blocks many keys, at most [`KEYS_AT_ONCE_MAX`], by the hashes of their SubjectPublicKeyInfo; those that are blocked
    /// already stay as they are. One record has all that were asked for.
    ///
    /// # Errors
    /// [`ActError::Invalid`] for none or too many; [`ActError::Fault`].
    pub async fn keys_block(
        &self,
        act: &Act,
        hashes: &[[u8; 32]],
        reason: Reason,
        source: Option<String>,
    ) -> Result<KeysBlocked, ActError> {
        if !(1..=KEYS_AT_ONCE_MAX).contains(&hashes.len()) {
            return Err(ActError::invalid(format!("give 1 to {KEYS_AT_ONCE_MAX} hashes at once")));
        }
        let evidence = KeyEvidence {
            thumbprint: None,
            spki_sha256: hashes.iter().map(|hash| hex(hash)).collect(),
            revocation_reason: Some(reason),
            source: source.as_deref(),
            operator: act.operator,
            reason: act.reason.as_deref(),
        };
        let record = self.record(RecordType::KeyBlocked, None, None, &evidence)?;
        let block = |hash: &[u8; 32]| {
            let blocking =
                KeyBlocking { named_by: KeyName::SpkiSha256, hash: *hash, reason, source: source.clone() };
            KeyBlock { at: record.time, ..self.blocked_by(act, blocking) }
        };
        let blocks: Vec<KeyBlock> = hashes.iter().map(block).collect();
        let records = vec![record, self.act_done(act)?];
        let new = self.store.key_blocks_insert(blocks, records).await?;
        Ok(KeysBlocked { new, known: hashes.len().saturating_sub(new) })
    }

    fn blocked_by(&self, act: &Act, blocking: KeyBlocking) -> KeyBlock {
        KeyBlock {
            hash: blocking.hash.as_slice().into(),
            named_by: blocking.named_by,
            at: self.clock.now(),
            reason: blocking.reason,
            serial: None,
            by: Some(act.operator),
            comment: act.reason.clone(),
            source: blocking.source,
        }
    }

    /// Lets a key be used again that was blocked by this name.
    ///
    /// # Errors
    /// [`ActError::NotFound`] if it is not blocked; [`ActError::Fault`].
    pub async fn key_unblock(&self, act: &Act, hash: [u8; 32]) -> Result<(), ActError> {
        let missing = || ActError::not_found("this key is not blocked");
        let block = self.store.key_block(&hash)?.ok_or_else(missing)?;
        let record = self.record(RecordType::KeyUnblocked, None, None, &key_evidence(act, &block))?;
        let records = vec![record, self.act_done(act)?];
        if self.store.key_block_delete(hash, records).await? { Ok(()) } else { Err(missing()) }
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

fn key_evidence<'a>(act: &'a Act, block: &'a KeyBlock) -> KeyEvidence<'a> {
    let (thumbprint, spki_sha256) = match block.named_by {
        KeyName::Thumbprint => (Some(&block.hash), Vec::new()),
        KeyName::SpkiSha256 => (None, vec![hex(&block.hash)]),
    };
    KeyEvidence {
        thumbprint,
        spki_sha256,
        revocation_reason: Some(block.reason),
        source: block.source.as_deref(),
        operator: act.operator,
        reason: act.reason.as_deref(),
    }
}
