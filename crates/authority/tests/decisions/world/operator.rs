//! What an operator would do, as calls, and what is on record of it.

use std::collections::BTreeSet;

use ingam_authority::operator::{Act, ActError, Outcome};
use ingam_protocol::operator::{Principal, Role};
use ingam_protocol::record::{Class, Record, RecordType, Seal};
use ingam_store::engine::Table;
use serde_json::{Value, json};

use super::Process;

/// Somebody's act, with a reason.
pub(crate) fn act(name: &'static str) -> Act {
    Act {
        act: name,
        operator: Principal::User(7),
        roles: vec![Role::Revoker],
        asked_by: None,
        from: "unix".to_owned(),
        client: Some("ingam/test".to_owned()),
        request_id: "0123456789abcdef".to_owned(),
        what: json!({ "what": "exactly" }),
        reason: Some("ticket 12".to_owned()),
    }
}

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) class: Class,
    pub(crate) kind: RecordType,
    pub(crate) payload: Value,
    pub(crate) record: Record,
}

/// The record of an act with this outcome, as it has to be.
pub(crate) fn acted(name: &str, outcome: Outcome) -> Value {
    json!({
        "act": name, "operator": "uid:7", "roles": ["revoker"], "from": "unix", "client": "ingam/test",
        "request_id": "0123456789abcdef", "what": { "what": "exactly" }, "reason": "ticket 12",
        "outcome": outcome.name(),
    })
}

/// What went wrong, as a word.
pub(crate) fn failed<T>(outcome: Result<T, ActError>) -> &'static str {
    match outcome {
        Ok(_) => panic!("it was done"),
        Err(ActError::NotFound(_)) => "not found",
        Err(ActError::Conflict(_)) => "conflict",
        Err(ActError::Invalid(_)) => "invalid",
        Err(ActError::Fault(fault)) => panic!("a fault: {fault:?}"),
    }
}

impl Process {
    /// Every record of every class, in the order of writing within its class, each once.
    pub(crate) fn told(&self) -> Vec<Told> {
        // Outbox first: the archiver may move a record in between, and this way it is seen twice rather than never.
        let outbox = self.engine.range(Table::new("outbox"), &[], None, usize::MAX).unwrap();
        let archived = Class::ALL.into_iter().flat_map(|class| self.threads.journal().records(class));
        let waiting = outbox.iter().map(|(_, bytes)| Record::decode(bytes).unwrap());
        let mut seen = BTreeSet::new();
        let all = archived.map(Result::unwrap).chain(waiting).filter(|record| seen.insert(record.id));
        all.map(|record| {
            let open = record.parts.iter().find(|part| part.seal == Seal::Open).unwrap();
            let payload = serde_json::from_slice(&open.bytes).unwrap();
            Told { class: record.class(), kind: record.kind, payload, record }
        })
        .collect()
    }

    /// Runs an act and gives what it came to, and the records that it left: those of the class `access_log` last.
    pub(crate) fn acts<T>(&self, work: impl Future<Output = T>) -> (T, Vec<Told>) {
        let before: BTreeSet<_> = self.told().into_iter().map(|told| told.record.id).collect();
        let outcome = self.run(work);
        let mut new: Vec<_> =
            self.told().into_iter().filter(|told| !before.contains(&told.record.id)).collect();
        new.sort_by_key(|told| (told.class == Class::AccessLog, told.kind));
        (outcome, new)
    }
}

/// The types of records, in their order.
pub(crate) fn kinds(told: &[Told]) -> Vec<RecordType> {
    told.iter().map(|told| told.kind).collect()
}
