//! Why data stay, who receives them, and what a subject may do: in the words of the law, exact and short.
//!
//! BR: the CA/Browser Forum's Baseline Requirements for TLS server certificates. GDPR: Regulation (EU) 2016/679. PIPA:
//! the Personal Information Protection Act of the Republic of Korea.

use std::time::Duration;

use ingam_protocol::record::Class;
use serde::Serialize;

/// Something that is held, for what, how long, and on which basis.
#[derive(Clone, Debug, Serialize)]
pub struct Kept {
    /// What.
    pub what: &'static str,
    /// Its retention class.
    pub class: Class,
    /// For what.
    pub purpose: &'static str,
    /// How long.
    pub kept: String,
    /// Why it cannot be erased before.
    pub basis: &'static [&'static str],
}

/// Who receives what.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Recipient {
    /// Who.
    pub who: &'static str,
    /// What.
    pub what: &'static str,
}

/// What a subject may do.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rights {
    /// See what is held.
    pub access: &'static str,
    /// Have it corrected.
    pub rectification: &'static str,
    /// Have it erased.
    pub erasure: &'static str,
    /// Say no to mail.
    pub objection: &'static str,
    /// Where to complain.
    pub complaint: &'static str,
}

/// Records of how a certificate came to be.
const ISSUANCE: &[&str] = &[
    "BR 5.4.3 and 5.5.2: records of a certificate's life are kept for at least two years after its end",
    "GDPR Art. 17(3)(e): needed to establish, exercise or defend legal claims; Art. 17(3)(b) where a law asks for them",
    "PIPA Art. 36(1), proviso: what another statute names as to be collected is not erased on demand; Art. 36(4): you are \
     hereby told so",
];

/// Records of who did what.
const ACCESS: &[&str] = &[
    "GDPR Art. 5(2) and 32, and Art. 17(3)(e): shows who read and changed personal data",
    "PIPA Art. 29, and Art. 8 of the measures for safety made under it: records of access are kept for at least one year, \
     or two",
];

/// Receipts.
const RETENTION: &[&str] =
    &["GDPR Art. 5(2): shows that data were erased, corrected, told of; holds none of them itself"];

/// Why an erasure has to wait. The same words for every hold: one that must not be told of is not told of by others.
pub(crate) const HELD: &str = "the contact data of this account are to be kept for now, so nothing was erased: GDPR Art. \
    17(3)(b) and (e) (a legal obligation, legal claims), PIPA Art. 36(1), proviso; ask again later, or complain to a \
    supervisory authority (GDPR Art. 77)";

/// What can be erased, to whoever asked for something else.
pub(crate) const NOTHING_ELSE: &str = "say {\"contact\": true}: contact data are what can be erased; everything else that is \
    held is the record of certificates and requests (BR 5.4.3 and 5.5.2; GDPR Art. 17(3)(b) and (e); PIPA Art. 36(1), \
    proviso), and the report says for how long";

/// To an operator: holds that keep an erasure from being done.
pub(crate) const HELD_BASIS: &str = "GDPR Art. 17(3)(b) and (e), PIPA Art. 36(1), proviso";

/// To an operator: contacts of an account that has ended.
pub(crate) const CLOSED_BASIS: &str =
    "its contact data went with it, so there is nothing to correct (GDPR Art. 16, PIPA Art. 36(1))";

/// To an operator: an objection by whom no mail goes to.
pub(crate) const NO_MAIL_BASIS: &str =
    "no mail goes to it, so there is nothing to object to (GDPR Art. 21(1), PIPA Art. 37(1))";

fn floor(class: Class) -> String {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let days = class.retention().floor.unwrap_or_default().as_secs() / DAY.as_secs();
    format!(
        "at least {} years from the record, and two years past the end of what it is about, unless the operator's published \
         statement says less",
        days / 365
    )
}

fn issuance(what: &'static str, purpose: &'static str) -> Kept {
    Kept { what, class: Class::Issuance, purpose, kept: floor(Class::Issuance), basis: ISSUANCE }
}

/// What an erasure leaves.
pub(crate) fn kept() -> Vec<Kept> {
    vec![
        issuance(
            "the account itself: its id, its public keys, when it was made, when its terms were agreed to, when it ended, the \
             key for external accounts that it is bound to",
            "to know who may order and revoke",
        ),
        issuance(
            "orders, certificates, and the names in them",
            "to issue, to revoke, and to answer for both",
        ),
        issuance(
            "the log of signed requests: IP address, user agent, time and request; contact addresses in it are gone",
            "to answer for how a certificate came to be",
        ),
        issuance(
            "what validation saw: addresses of names, answers, CAA records",
            "to show that control of each name was shown",
        ),
        Kept {
            what: "who read or changed personal data, and what you asked: IP address, user agent, time",
            class: Class::AccessLog,
            purpose: "to answer for the handling of personal data",
            kept: "at least 2 years, at most 10".to_owned(),
            basis: ACCESS,
        },
        Kept {
            what: "receipts: that and when data were erased or corrected, and that you were told or objected",
            class: Class::Retention,
            purpose: "to show that it was done",
            kept: floor(Class::Retention),
            basis: RETENTION,
        },
    ]
}

/// Everything that is held: what can be erased first.
pub(crate) fn held() -> Vec<Kept> {
    let contact = Kept {
        what: "contact addresses, and your wishes on mail",
        class: Class::Contact,
        purpose: "service mail about your account and certificates, and nothing else",
        kept: "until you take them back or the account ends: they can be erased at any time".to_owned(),
        basis: &["GDPR Art. 6(1)(a), PIPA Art. 15(1)1: your consent, by giving them"],
    };
    std::iter::once(contact).chain(kept()).collect()
}

/// Who receives what.
pub(crate) const RECIPIENTS: &[Recipient] = &[
    Recipient {
        who: "everybody",
        what: "certificates and the names in them, by certificate transparency logs and OCSP",
    },
    Recipient {
        who: "remote perspectives of this CA",
        what: "names that are to be validated, with the account's URL",
    },
    Recipient {
        who: "auditors of this CA",
        what: "the records of certificates, as the rules for CAs ask (BR 8)",
    },
];

pub(crate) fn rights() -> Rights {
    Rights {
        access: "GDPR Art. 15 and 20, PIPA Art. 35: this report",
        rectification: "GDPR Art. 16, PIPA Art. 36: update the account (RFC 8555, section 7.3.2), or ask the operator",
        erasure: "GDPR Art. 17, PIPA Art. 36: /privacy/erase, or ask the operator",
        objection: "GDPR Art. 21, PIPA Art. 37: ask the operator, who sends no mail from then on",
        complaint: "GDPR Art. 77: the supervisory authority of where you live or work; PIPA Art. 62: the centre that takes \
                    reports for the Personal \
                    Information Protection Commission (privacy.kisa.or.kr, telephone 118)",
    }
}
