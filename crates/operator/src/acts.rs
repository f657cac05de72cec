//! Which act needs which role: the whole of authorization at the admin API, as one table.

use std::collections::BTreeSet;
use std::fmt;

use ingam_protocol::operator::Role;
use serde::{Deserialize, Serialize};

use Role::{Administrator, Auditor, Revoker, Support};

/// What an act does to the world, and so what is put on record of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It reads what tells nothing of a person: no record, unless it is refused.
    Read,
    /// It reads personal data: on record before the answer.
    PersonalRead,
    /// It changes something: on record together with the change.
    Change,
}

/// Acts that can be set to need two people (`operator.two_people`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Danger {
    /// Starting a revocation job.
    MassRevocation,
    /// Giving or taking a role.
    RoleChange,
    /// Letting a blocked key be used again.
    KeyUnblock,
    /// Giving out personal data.
    Disclosure,
}

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// The act's name in records, metrics and refusals.
    pub name: &'static str,
    /// Who may: any of these roles.
    pub roles: &'static [Role],
    /// What it does.
    pub kind: Kind,
    /// Whether a reason has to be given.
    pub needs_reason: bool,
    /// Whether it can be set to need two people.
    pub danger: Option<Danger>,
}

const EVERYBODY: &[Role] = &[Administrator, Revoker, Auditor, Support];
const READERS: &[Role] = &[Administrator, Revoker, Auditor];

const fn read(name: &'static str, roles: &'static [Role]) -> Rule {
    Rule { name, roles, kind: Kind::Read, needs_reason: false, danger: None }
}

const fn personal(name: &'static str) -> Rule {
    Rule {
        name,
        roles: &[Administrator, Auditor],
        kind: Kind::PersonalRead,
        needs_reason: true,
        danger: None,
    }
}

const fn change(name: &'static str, roles: &'static [Role]) -> Rule {
    Rule { name, roles, kind: Kind::Change, needs_reason: true, danger: None }
}

const fn dangerous(name: &'static str, roles: &'static [Role], danger: Danger) -> Rule {
    Rule { name, roles, kind: Kind::Change, needs_reason: true, danger: Some(danger) }
}

macro_rules! rules {
    ($($constant:ident = $rule:expr;)*) => {
        $(pub(crate) static $constant: Rule = $rule;)*

        /// Every act there is.
        pub fn all() -> impl Iterator<Item = &'static Rule> {
            [$(&$constant),*].into_iter()
        }
    };
}

rules! {
    STATUS_SHOW = read("status.show", EVERYBODY);
    ACCOUNT_LIST = read("account.list", EVERYBODY);
    ACCOUNT_SHOW = read("account.show", EVERYBODY);
    ACCOUNT_CONTACTS = personal("account.contacts");
    ORDER_LIST = read("order.list", EVERYBODY);
    ORDER_SHOW = read("order.show", EVERYBODY);
    AUTHZ_LIST = read("authz.list", EVERYBODY);
    AUTHZ_SHOW = read("authz.show", EVERYBODY);
    VALIDATION_TRY = Rule { needs_reason: false, ..change("validation.try", &[Administrator, Revoker]) };
    CERT_LIST = read("cert.list", EVERYBODY);
    CERT_SHOW = read("cert.show", EVERYBODY);
    CERT_EVIDENCE = Rule { needs_reason: false, ..personal("cert.evidence") };
    CERT_REVOKE = change("cert.revoke", &[Administrator, Revoker]);
    OCSP_EXPORT = read("ocsp.export", READERS);
    CHECKPOINT_COSIGN = Rule { needs_reason: false, ..change("checkpoint.cosign", &[Administrator]) };
    REVOCATION_PLAN = read("revocation.plan", READERS);
    REVOCATION_START = dangerous("revocation.start", &[Administrator, Revoker], Danger::MassRevocation);
    REVOCATION_LIST = read("revocation.list", READERS);
    REVOCATION_SHOW = read("revocation.show", READERS);
    REVOCATION_HOLD = change("revocation.hold", &[Administrator, Revoker]);
    INCIDENT_LIST = read("incident.list", READERS);
    INCIDENT_SHOW = read("incident.show", READERS);
    INCIDENT_OPEN = Rule { needs_reason: false, ..change("incident.open", &[Administrator, Revoker]) };
    INCIDENT_ADD = Rule { needs_reason: false, ..change("incident.add", &[Administrator, Revoker]) };
    INCIDENT_EXPLAIN = Rule { needs_reason: false, ..change("incident.explain", &[Administrator, Revoker]) };
    EAB_LIST = read("eab.list", EVERYBODY);
    EAB_SHOW = read("eab.show", EVERYBODY);
    EAB_CREATE = Rule { needs_reason: false, ..change("eab.create", &[Administrator]) };
    EAB_WITHDRAW = change("eab.withdraw", &[Administrator, Revoker]);
    KEY_LIST = read("key.list", READERS);
    KEY_BLOCK = change("key.block", &[Administrator, Revoker]);
    KEY_UNBLOCK = dangerous("key.unblock", &[Administrator], Danger::KeyUnblock);
    NAME_LIST = read("name.list", READERS);
    NAME_RULE = change("name.rule", &[Administrator, Revoker]);
    LIMIT_SHOW = read("limit.show", EVERYBODY);
    LIMIT_OVERRIDE = change("limit.override", &[Administrator]);
    LIMIT_UNPAUSE = change("limit.unpause", &[Administrator]);
    LOG_SEARCH = personal("log.search");
    LOG_FOLLOW = personal("log.follow");
    SUBJECT_LIST = personal("subject.list");
    SUBJECT_REPORT = personal("subject.report");
    SUBJECT_CORRECT = change("subject.correct", &[Administrator]);
    SUBJECT_ERASE = change("subject.erase", &[Administrator]);
    SUBJECT_OBJECT = change("subject.object", &[Administrator]);
    SUBJECT_TOLD = change("subject.told", &[Administrator]);
    ROLE_LIST = read("role.list", &[Administrator, Auditor]);
    ROLE_GRANT = dangerous("role.grant", &[Administrator], Danger::RoleChange);
    ROLE_TAKE = dangerous("role.take", &[Administrator], Danger::RoleChange);
    APPROVAL_LIST = read("approval.list", READERS);
    OCSP_LOG = read("ocsp.log", READERS);
    OCSP_COUNTS = read("ocsp.counts", READERS);
    HOLD_LIST = Rule { needs_reason: false, ..personal("hold.list") };
    HOLD_REQUESTS = personal("hold.requests");
    HOLD_OPEN = change("hold.open", &[Administrator]);
    HOLD_RENEW = change("hold.renew", &[Administrator]);
    HOLD_CLOSE = change("hold.close", &[Administrator]);
    RETENTION_SHOW = read("retention.show", READERS);
    RETENTION_DUE = read("retention.due", READERS);
    RETENTION_SWEEP = change("retention.sweep", &[Administrator]);
    RECORD_HOLD_LIST = Rule { needs_reason: false, ..personal("record_hold.list") };
    RECORD_HOLD_OPEN = change("record_hold.open", &[Administrator]);
    RECORD_HOLD_RENEW = change("record_hold.renew", &[Administrator]);
    RECORD_HOLD_RELEASE = change("record_hold.release", &[Administrator]);
    CASE_LIST = Rule { needs_reason: false, ..personal("case.list") };
    CASE_SHOW = Rule { needs_reason: false, ..personal("case.show") };
    CASE_DUE = Rule { needs_reason: false, ..personal("case.due") };
    CASE_REPORT = read("case.report", READERS);
    CASE_OPEN = change("case.open", &[Administrator]);
    CASE_HOLD = change("case.hold", &[Administrator]);
    CASE_DISCLOSE = dangerous("case.disclose", &[Administrator], Danger::Disclosure);
    CASE_NOTIFY = change("case.notify", &[Administrator]);
    CASE_OBJECT = change("case.object", &[Administrator]);
    CASE_CLOSE = change("case.close", &[Administrator]);
    RELOAD = change("reload", &[Administrator]);
    BACKUP = change("backup", &[Administrator]);
}

impl Rule {
    /// Whether somebody with these roles may.
    pub fn allows(&self, roles: &BTreeSet<Role>) -> bool {
        self.roles.iter().any(|role| roles.contains(role))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(role: Role) -> Vec<&'static str> {
        all().filter(|rule| rule.allows(&BTreeSet::from([role]))).map(|rule| rule.name).collect()
    }

    #[test]
    fn auditors_change_nothing_and_read_everything() {
        for rule in all() {
            let may = rule.allows(&BTreeSet::from([Auditor]));
            assert_eq!(may, rule.kind != Kind::Change, "{rule}");
        }
    }

    #[test]
    fn support_sees_no_personal_data() {
        for rule in all().filter(|rule| rule.allows(&BTreeSet::from([Support]))) {
            assert_eq!(rule.kind, Kind::Read, "{rule}");
        }
        assert!(!allowed(Support).contains(&"log.search"));
    }

    #[test]
    fn administrators_may_do_everything_and_nobody_without_a_role_anything() {
        assert_eq!(allowed(Administrator).len(), all().count());
        assert!(all().all(|rule| !rule.allows(&BTreeSet::new())));
    }

    /// The table as operators read it; the page has it word for word.
    #[test]
    fn the_page_tells_what_the_code_does() {
        let mark = |holds| if holds { "yes" } else { "" };
        let rows = all().map(|rule| {
            let may = Role::ALL.map(|role| mark(rule.allows(&BTreeSet::from([role]))));
            let recorded = match rule.kind {
                Kind::Read => "when refused",
                Kind::PersonalRead => "always, as personal data",
                Kind::Change => "always",
            };
            let people = if rule.danger.is_some() { "can be set" } else { "" };
            format!(
                "| `{}` | {} | {} | {recorded} | {people} |",
                rule.name,
                may.join(" | "),
                mark(rule.needs_reason)
            )
        });
        let table: Vec<String> = rows.collect();
        let page = include_str!("../../../docs/operations/roles.md");
        assert!(
            page.contains(&table.join("\n")),
            "docs/operations/roles.md has to hold\n{}",
            table.join("\n")
        );
    }

    #[test]
    fn names_are_there_once() {
        let names: BTreeSet<&str> = all().map(|rule| rule.name).collect();
        assert_eq!(names.len(), all().count());
    }
}
