//! What is so, without a word of any language. The JSON twin of the page is made of this, and two states of the page are
//! compared by it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ingam_protocol::record::Class;
use serde::{Deserialize, Serialize};

use crate::config::{Authority, Contact, ContactPurpose, Processor};

/// Everything that the page tells, as the running configuration has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Facts {
    /// The service that this is about: the URL of its ACME server.
    pub service: String,
    /// `production`, `staging` or `development`.
    pub environment: String,
    /// Who answers for the data.
    pub operator: Operator,
    /// Who answers for personal data there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub officer: Option<Contact>,
    /// Who is told of holes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<Contact>,
    /// Every class of records.
    pub classes: BTreeMap<Class, Kept>,
    /// The log of OCSP requests.
    pub request_log: RequestLogFacts,
    /// What subscribers may tell of themselves.
    pub contacts: ContactFacts,
    /// What others get to see.
    pub shared: SharedFacts,
    /// Companies that are entrusted with data, by name.
    pub processors: BTreeMap<String, Processor>,
    /// Where to complain, by name.
    pub authorities: BTreeMap<String, Authority>,
}

/// Who runs the CA.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Operator {
    /// The name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The name in Korean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_ko: Option<String>,
    /// The postal address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// How long a class is kept, why, and by what right.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Kept {
    /// Whether this configuration makes records of it.
    pub in_use: bool,
    /// Not deleted before this, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor_s: Option<u64>,
    /// Not there any more after this, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling_s: Option<u64>,
    /// How long it is kept now, in seconds; without it, no time ends it, or only its ceiling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_s: Option<u64>,
    /// What it is for.
    pub purposes: BTreeSet<Purpose>,
    /// By what right; none where it is about no person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
}

/// What data is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Issuing and revoking certificates.
    Issue,
    /// Showing how a certificate came to be, and that the CA keeps its rules.
    Prove,
    /// Keeping the service safe from abuse.
    Protect,
    /// Finding faults.
    Faults,
    /// Showing who did what with the CA and with data.
    Account,
    /// Service mail.
    ServiceMail,
    /// Letting people in.
    SignIn,
    /// Looking into a named case.
    Investigate,
    /// Planning and publishing numbers without people.
    Count,
}

/// By what right data is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The subscriber's contract.
    Contract,
    /// Consent, which can be withdrawn.
    Consent,
    /// A duty by law.
    Duty,
    /// A legitimate interest.
    Interest,
}

/// The log of OCSP requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct RequestLogFacts {
    /// `full`, `truncated` or `off`.
    pub mode: String,
    /// How long a segment is kept, in seconds, counted from its first record.
    pub keep_s: u64,
    /// Whether hours are counted without people.
    pub counts: bool,
    /// The smallest number that a count tells.
    pub count_min: u64,
}

/// What subscribers may tell of themselves.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ContactFacts {
    /// Whether an account may have contacts at all. None has to.
    pub taken: bool,
    /// How many an account may have.
    pub count_max: usize,
    /// What mail to them is for.
    pub purposes: BTreeSet<ContactPurpose>,
    /// How a subscriber asks by ACME, where that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_acme: Option<ByAcme>,
}

/// URLs at which a request that the account's key signed is a request of the subscriber's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ByAcme {
    /// For a report of all that is held.
    pub report: String,
    /// For erasure.
    pub erase: String,
}

/// What others get to see.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct SharedFacts {
    /// Whether certificates go to public transparency logs.
    pub certificate_transparency: bool,
    /// Whether anybody may GET a certificate by its URL.
    pub certificates_by_get: bool,
    /// How many others look at a name that is to be validated, for this CA.
    pub remote_perspectives: usize,
}

/// What the schedule in force says of a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InForce {
    /// Not deleted before this.
    pub floor: Option<Duration>,
    /// Kept so long; without it, no time ends it, or only its ceiling.
    pub keep: Option<Duration>,
}

/// Every class with its bounds, what it is for, and how long it is kept: `in_force` has what the schedule says, for classes
/// on which it says more than this version of the program does.
pub fn classes(in_force: &BTreeMap<Class, InForce>, unused: &[Class]) -> BTreeMap<Class, Kept> {
    let kept = |class: Class| {
        let bounds = class.retention();
        let usual = InForce { floor: bounds.floor, keep: bounds.ceiling.filter(|_| bounds.floor.is_none()) };
        let InForce { floor, keep } = in_force.get(&class).copied().unwrap_or(usual);
        let (purposes, basis) = purposes_of(class);
        Kept {
            in_use: !unused.contains(&class),
            floor_s: floor.map(|floor| floor.as_secs()),
            ceiling_s: bounds.ceiling.map(|ceiling| ceiling.as_secs()),
            keep_s: keep.map(|keep| keep.as_secs()),
            purposes: purposes.iter().copied().collect(),
            basis,
        }
    };
    Class::ALL.into_iter().map(|class| (class, kept(class))).collect()
}

fn purposes_of(class: Class) -> (&'static [Purpose], Option<Basis>) {
    match class {
        Class::OcspRequestLog => (&[Purpose::Protect, Purpose::Faults], Some(Basis::Interest)),
        Class::Issuance => (&[Purpose::Issue, Purpose::Prove, Purpose::Protect], Some(Basis::Contract)),
        Class::CaLifecycle => (&[Purpose::Prove], Some(Basis::Interest)),
        Class::AccessLog | Class::PermissionChange | Class::Retention => {
            (&[Purpose::Account], Some(Basis::Duty))
        }
        Class::Contact => (&[Purpose::ServiceMail], Some(Basis::Consent)),
        Class::Passcode => (&[Purpose::SignIn], Some(Basis::Contract)),
        Class::Working => (&[Purpose::Issue, Purpose::Protect], Some(Basis::Contract)),
        Class::OperationsLog => (&[Purpose::Faults], Some(Basis::Interest)),
        Class::Investigation => (&[Purpose::Investigate], Some(Basis::Interest)),
        Class::Aggregate => (&[Purpose::Count], None),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A CA that does everything which the page can tell of.
    pub(crate) fn facts() -> Facts {
        let contact = |name: &str| Contact {
            name: name.to_owned(),
            name_ko: Some("개인정보 보호책임자".to_owned()),
            email: Some("privacy@ca.example".to_owned()),
            phone: Some("+82 2 123 4567".to_owned()),
            url: Some("https://ca.example/privacy".to_owned()),
        };
        let processor = Processor {
            name: "Example Hosting".to_owned(),
            purpose: "machines".to_owned(),
            purpose_ko: Some("서버 운영".to_owned()),
            items: None,
            items_ko: None,
            country: Some("DE".to_owned()),
            until: Some("2027-12-31".to_owned()),
        };
        let authority = Authority {
            name: "KISA <118>".to_owned(),
            name_ko: Some("개인정보침해 신고센터".to_owned()),
            url: Some("https://privacy.kisa.or.kr".to_owned()),
            phone: Some("118".to_owned()),
        };
        Facts {
            service: "https://acme.ca.example".to_owned(),
            environment: "production".to_owned(),
            operator: Operator {
                name: Some("Example & Sons".to_owned()),
                name_ko: Some("예시 인증".to_owned()),
                address: Some("1 Example Street, Seoul".to_owned()),
            },
            officer: Some(contact("Privacy officer")),
            security: Some(contact("Security desk")),
            classes: classes(&BTreeMap::new(), &[]),
            request_log: RequestLogFacts {
                mode: "truncated".to_owned(),
                keep_s: 604_800,
                counts: true,
                count_min: 10,
            },
            contacts: ContactFacts {
                taken: true,
                count_max: 10,
                purposes: ContactPurpose::ALL.into(),
                by_acme: Some(ByAcme {
                    report: "https://acme.ca.example/privacy/report".to_owned(),
                    erase: "https://acme.ca.example/privacy/erase".to_owned(),
                }),
            },
            shared: SharedFacts {
                certificate_transparency: true,
                certificates_by_get: true,
                remote_perspectives: 5,
            },
            processors: BTreeMap::from([(processor.name.clone(), processor)]),
            authorities: BTreeMap::from([(authority.name.clone(), authority)]),
        }
    }

    #[test]
    fn bounds_are_those_of_the_records() {
        let longer = InForce { floor: Class::Issuance.retention().floor, keep: Some(Duration::from_secs(9)) };
        let all = classes(&BTreeMap::from([(Class::Issuance, longer)]), &[Class::Passcode]);
        assert_eq!(all.len(), Class::ALL.len());
        for (class, kept) in &all {
            let bounds = class.retention();
            assert_eq!(kept.floor_s, bounds.floor.map(|floor| floor.as_secs()), "{class:?}");
            assert_eq!(kept.ceiling_s, bounds.ceiling.map(|ceiling| ceiling.as_secs()), "{class:?}");
            assert_eq!(kept.in_use, *class != Class::Passcode);
            assert!(!kept.purposes.is_empty(), "{class:?} is for something");
        }
        assert_eq!(all[&Class::Issuance].keep_s, Some(9));
        assert_eq!(all[&Class::OcspRequestLog].keep_s, all[&Class::OcspRequestLog].ceiling_s);
        assert_eq!(all[&Class::AccessLog].keep_s, None, "between floor and ceiling");
    }

    #[test]
    fn facts_are_read_as_they_were_written() {
        let written = serde_json::to_string(&facts()).unwrap();
        assert_eq!(serde_json::from_str::<Facts>(&written).unwrap(), facts());
    }
}
