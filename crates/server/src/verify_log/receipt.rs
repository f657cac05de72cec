//! Receipts of the sweep, as far as a removal is judged by them.

use ingam_journal::Head;
use ingam_journal::log::audit::Receipt;
use ingam_journal::log::leaf::day;
use ingam_protocol::Timestamp;
use ingam_protocol::bytes::from_hex;
use ingam_protocol::record::{Class, Record, RecordType, Seal};
use serde::Deserialize;

/// The payload of a `segment_destroyed` record.
#[derive(Deserialize)]
struct Payload {
    class: Class,
    first_index: u64,
    records: u64,
    /// Hexadecimal.
    head: String,
    latest: Option<Timestamp>,
    rule: Rule,
    destroyed: Timestamp,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(default)]
    floor_days: Option<u64>,
}

/// What a record says as a receipt; `None` if it is none, or says nothing that can be understood: then it explains nothing.
pub(super) fn read(record: &Record) -> Option<Receipt> {
    if record.kind != RecordType::SegmentDestroyed {
        return None;
    }
    let part = record.parts.iter().find(|part| part.seal == Seal::Open)?;
    let Payload { class, first_index, records, head, latest, rule, destroyed } =
        serde_json::from_slice(&part.bytes).ok()?;
    // A receipt is written when it is done: one that says another day than its own would explain what it cannot know.
    let day = day(destroyed).min(day(record.time));
    Some(Receipt {
        class,
        first_index,
        records,
        head: Some(Head(from_hex(&head)?.try_into().ok()?)),
        latest_day: latest.map_or(0, ingam_journal::log::leaf::day),
        floor_days: rule.floor_days,
        day,
    })
}

#[cfg(test)]
mod tests {
    use ingam_protocol::time::SeededRandom;

    use super::*;

    #[test]
    fn a_receipt_is_read_as_the_sweep_writes_it() {
        let now = Timestamp::from_unix_s(2_000_000_000);
        let payload = serde_json::json!({
            "class": "issuance", "sequence": 3, "first_index": 120, "records": 60, "head": "07".repeat(32),
            "latest": 1_700_000_000_000_u64, "end_of_life": null,
            "rule": {"row": "issuance", "keep_days": 2562, "floor_days": 2562, "end_of_life_days": 732, "preset": "standard"},
            "destroyed": now,
        });
        let record = |kind| Record::new(kind, now, payload.to_string().into_bytes(), &SeededRandom::new(1));
        let receipt = read(&record(RecordType::SegmentDestroyed)).unwrap();
        assert_eq!((receipt.class, receipt.first_index, receipt.records), (Class::Issuance, 120, 60));
        assert_eq!((receipt.head, receipt.floor_days), (Some(Head([7; 32])), Some(2562)));
        assert_eq!((receipt.latest_day, receipt.day), (19_675, 23_148));
        assert_eq!(read(&record(RecordType::HoldChanged)), None);
    }
}
