//! What one state of the page says that another did not.

use std::collections::BTreeSet;

use ingam_protocol::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::facts::Facts;

/// A state of the page that is in force, or was.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Version {
    /// Its number, from 1.
    pub number: u64,
    /// Since when it is in force.
    pub at: Timestamp,
    /// What it changed; nothing for the first one.
    pub changes: Vec<Change>,
    /// Whether it changed what data is for, so that those who agreed to something before have to be asked again (D5).
    pub asks_consent: bool,
}

/// One row that is another now.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Change {
    /// Which, as a dotted path through the facts: `classes.issuance.keep_s`. `wording` where the words alone are others.
    pub what: String,
    /// As it was; not there if there was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// As it is; not there if there is nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Whether it is about what data is for, and adds to that.
    pub purpose: bool,
}

impl Change {
    /// The words are others, and say the same.
    fn wording() -> Self {
        Self { what: "wording".to_owned(), before: None, after: None, purpose: false }
    }
}

/// What `new` says that `old` did not, row by row. Never empty: a state whose facts are all the same has other words.
pub fn changes(old: &Facts, new: &Facts) -> Vec<Change> {
    let read = |facts: &Facts| serde_json::to_value(facts).unwrap_or_default();
    let mut found = Vec::new();
    compare(&read(old), &read(new), String::new(), &mut found);
    if found.is_empty() {
        found.push(Change::wording());
    }
    found
}

fn compare(old: &Value, new: &Value, what: String, found: &mut Vec<Change>) {
    if old == new {
        return;
    }
    if let (Value::Object(before), Value::Object(after)) = (old, new) {
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for key in keys {
            let below = if what.is_empty() { key.clone() } else { format!("{what}.{key}") };
            let (before, after) = (before.get(key), after.get(key));
            compare(before.unwrap_or(&Value::Null), after.unwrap_or(&Value::Null), below, found);
        }
        return;
    }
    let there = |value: &Value| Some(value.clone()).filter(|value| !value.is_null());
    let purpose = is_new_purpose(&what, old, new);
    found.push(Change { what, before: there(old), after: there(new), purpose });
}

/// Whether data is now for something that it was not for. What it is for no longer asks nobody.
fn is_new_purpose(what: &str, old: &Value, new: &Value) -> bool {
    match what.rsplit('.').next() {
        Some("purposes") => {
            let before = old.as_array().map_or(&[][..], Vec::as_slice);
            new.as_array().is_some_and(|after| after.iter().any(|purpose| !before.contains(purpose)))
        }
        // A company's task, which is a sentence.
        Some("purpose") => old.is_string() && new.is_string(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use ingam_protocol::record::Class;
    use proptest::prelude::*;

    use super::*;
    use crate::config::ContactPurpose;
    use crate::facts::tests::facts;
    use crate::facts::{InForce, classes};

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn keeping(days: u32) -> Facts {
        let in_force = InForce { floor: Class::Issuance.retention().floor, keep: Some(days * DAY) };
        Facts { classes: classes(&BTreeMap::from([(Class::Issuance, in_force)]), &[]), ..facts() }
    }

    #[test]
    fn a_shorter_time_is_one_row() {
        let found = changes(&keeping(2562), &keeping(732));
        let row = Change {
            what: "classes.issuance.keep_s".to_owned(),
            before: Some((2562 * 86_400).into()),
            after: Some((732 * 86_400).into()),
            purpose: false,
        };
        assert_eq!(found, [row]);
    }

    #[test]
    fn a_new_purpose_asks_for_consent_and_one_less_does_not() {
        let mut less = facts();
        less.contacts.purposes.remove(&ContactPurpose::Expiry);
        let more = changes(&less, &facts());
        assert_eq!((more.len(), more[0].what.as_str(), more[0].purpose), (1, "contacts.purposes", true));
        let fewer = changes(&facts(), &less);
        assert!(!fewer[0].purpose, "{fewer:?}");
    }

    #[test]
    fn a_company_comes_goes_and_gets_another_task() {
        let mut alone = facts();
        let (name, processor) = alone.processors.pop_first().unwrap();
        let came = changes(&alone, &facts());
        assert_eq!((came.len(), came[0].before.is_none(), came[0].purpose), (1, true, false));
        assert_eq!(changes(&facts(), &alone)[0].after, None);
        let task = crate::Processor { purpose: "mail".to_owned(), ..processor };
        alone.processors.insert(name, task);
        let task = changes(&facts(), &alone);
        assert_eq!(task[0].what, "processors.Example Hosting.purpose");
        assert!(task[0].purpose, "data is for something else now");
    }

    #[test]
    fn the_same_facts_in_other_words_are_a_change_of_words() {
        assert_eq!(changes(&facts(), &facts()), [Change::wording()]);
    }

    proptest! {
        #[test]
        fn a_change_is_told_exactly_if_there_is_one(before in 1_u32..4000, after in 1_u32..4000, mode in "full|off") {
            let mut new = keeping(after);
            new.request_log.mode = mode.clone();
            let found = changes(&keeping(before), &new);
            let told = |what: &str| found.iter().any(|change| change.what == what);
            prop_assert_eq!(told("classes.issuance.keep_s"), before != after);
            prop_assert!(told("request_log.mode"), "it was truncated");
            prop_assert_eq!(found.len(), 1 + usize::from(before != after));
        }
    }
}
