//! The rules themselves.

use super::{Dated, Rule, RuleValue};
use crate::Timestamp;

use RuleValue::{Asked, BitsMin, CountMin, DaysMax, DaysMin, Forbidden, HoursMax, KilometresMin};

const fn from(unix_s: u64, value: RuleValue) -> Dated {
    Dated { from: Some(Timestamp::from_unix_s(unix_s)), value }
}

const fn always(value: RuleValue) -> Dated {
    Dated { from: None, value }
}

const FROM_2020_09_01: u64 = 1_598_918_400;
const FROM_2025_03_15: u64 = 1_741_996_800;
const FROM_2025_09_15: u64 = 1_757_894_400;
const FROM_2025_12_01: u64 = 1_764_547_200;
const FROM_2026_03_15: u64 = 1_773_532_800;
const FROM_2026_06_15: u64 = 1_781_481_600;
const FROM_2026_07_15: u64 = 1_784_073_600;
const FROM_2026_09_15: u64 = 1_789_430_400;
const FROM_2026_12_15: u64 = 1_797_292_800;
const FROM_2027_03_15: u64 = 1_805_068_800;
const FROM_2029_03_15: u64 = 1_868_227_200;

/// How long a certificate may be valid.
pub const CERTIFICATE_VALIDITY: Rule = Rule {
    about: "validity of a certificate",
    source: "BR 6.3.2",
    values: &[
        from(FROM_2020_09_01, DaysMax(398)),
        from(FROM_2026_03_15, DaysMax(200)),
        from(FROM_2027_03_15, DaysMax(100)),
        from(FROM_2029_03_15, DaysMax(47)),
    ],
    kept: "`ingam check`; newOrder; before each signature",
};

/// How long shown control of a name may be used again.
pub const VALIDATION_REUSE: Rule = Rule {
    about: "use of shown control for further certificates",
    source: "BR 4.2.1",
    values: &[
        from(FROM_2020_09_01, DaysMax(398)),
        from(FROM_2026_03_15, DaysMax(200)),
        from(FROM_2027_03_15, DaysMax(100)),
        from(FROM_2029_03_15, DaysMax(10)),
    ],
    kept: "`ingam check`; newOrder; finalize",
};

/// How long control that was shown by a record that stays (dns-persist-01) may be used again.
pub const PERSISTENT_REUSE: Rule = Rule {
    about: "use of control that dns-persist-01 showed",
    source: "BR 3.2.2.4.22",
    values: &[always(DaysMax(10))],
    kept: "`ingam check`; newOrder; finalize",
};

/// How many remote network perspectives there have to be.
pub const REMOTES: Rule = Rule {
    about: "remote network perspectives",
    source: "BR 3.2.2.9",
    values: &[
        from(FROM_2025_09_15, CountMin(2)),
        from(FROM_2026_03_15, CountMin(3)),
        from(FROM_2026_06_15, CountMin(4)),
        from(FROM_2026_12_15, CountMin(5)),
    ],
    kept: "`ingam check`; newOrder; each validation; each use of one; CAA at finalize",
};

/// In how many regional registries' regions those remotes have to lie that agree.
pub const REGISTRIES: Rule = Rule {
    about: "regional Internet registries of the remotes that agree",
    source: "BR 3.2.2.9",
    values: &[from(FROM_2026_03_15, CountMin(2))],
    kept: "`ingam check`; newOrder; each validation; each use of one; CAA at finalize",
};

/// What keys may be for beside showing who a server is.
pub const OTHER_PURPOSES: Rule = Rule {
    about: "extended key usages beside serverAuth (clientAuth)",
    source: "Chrome Root Program 1.8",
    values: &[from(FROM_2027_03_15, Forbidden)],
    kept: "`ingam check`; newOrder; finalize",
};

/// Whether the primary perspective validates DNSSEC.
pub const DNSSEC: Rule = Rule {
    about: "DNSSEC validated up to the root by the primary perspective, for challenges and CAA",
    source: "BR 3.2.2.4, 3.2.2.8.1",
    values: &[from(FROM_2026_03_15, Asked)],
    kept: "`ingam check` and the start, by `validation.dnssec`",
};

const NOT_YET: &str = "not yet";

/// Every rule that a configuration or the CA's behaviour can break, or that changes with time.
pub const RULES: &[Rule] = &[
    CERTIFICATE_VALIDITY,
    VALIDATION_REUSE,
    PERSISTENT_REUSE,
    REMOTES,
    REGISTRIES,
    Rule {
        about: "distance between network perspectives, and between their resolvers",
        source: "BR 3.2.2.9",
        values: &[from(FROM_2025_03_15, KilometresMin(500))],
        kept: "`ingam check` and the start, by the coordinates of the configuration; of resolvers, the operator's matter",
    },
    Rule {
        about: "of two to five remotes one may fail to agree, of six and more two; the primary has to agree",
        source: "BR 3.2.2.9",
        values: &[from(FROM_2025_03_15, Asked)],
        kept: "each validation; each use of one; CAA at finalize",
    },
    DNSSEC,
    OTHER_PURPOSES,
    Rule {
        about: "extended key usages: serverAuth, and beside it clientAuth alone",
        source: "BR 7.1.2.7.10",
        values: &[always(Asked)],
        kept: "the start",
    },
    Rule {
        about: "certificate policies: 2.23.140.1.2.1 first, no other of the Forum's, no anyPolicy",
        source: "BR 7.1.2.7.9",
        values: &[always(Asked)],
        kept: "the start; the signer",
    },
    Rule {
        about: "a common name that is not one of the subjectAltNames, character for character",
        source: "BR 7.1.4.3",
        values: &[always(Forbidden)],
        kept: "the signer, for every profile",
    },
    Rule {
        about: "key usages: digitalSignature, and for RSA keys beside it keyEncipherment alone",
        source: "BR 7.1.2.7.11",
        values: &[always(Asked)],
        kept: "the signer, for every profile",
    },
    Rule {
        about: "a pointer to OCSP or to the issuer's certificate",
        source: "BR 7.1.2.7.6, 7.1.2.7.7",
        values: &[always(Asked)],
        kept: "the start",
    },
    Rule {
        about: "age of an answer about CAA at the signing",
        source: "BR 3.2.2.8",
        values: &[always(HoursMax(8))],
        kept: "asked at each finalize; before each signature",
    },
    Rule {
        about: "an unknown critical CAA property, or a failed lookup, is no permission",
        source: "BR 3.2.2.8, RFC 8659",
        values: &[always(Asked)],
        kept: "each validation; each finalize",
    },
    Rule {
        about: "CAA's `accounturi` and `validationmethods`",
        source: "ballot SC-098, RFC 8657",
        values: &[from(FROM_2027_03_15, Asked)],
        kept: "always, whatever the day",
    },
    Rule {
        about: "records say what was validated, the authorization domain name if another, and the method",
        source: "BR 5.4.1, ballot SC-099",
        values: &[from(FROM_2026_07_15, Asked)],
        kept: "the records `validation_finished` and `certificate_prepared`",
    },
    Rule {
        about: "records have each perspective's answer and the quorum",
        source: "BR 5.4.1, ballot SC-067",
        values: &[from(FROM_2025_03_15, Asked)],
        kept: "the records `validation_finished` and `certificate_prepared`",
    },
    Rule {
        about: "lint before each signature",
        source: "BR 4.3.1.2",
        values: &[from(FROM_2025_03_15, Asked)],
        kept: "the signer, for every profile",
    },
    Rule {
        about: "RSA keys (and of a length that 8 divides)",
        source: "BR 6.1.5",
        values: &[always(BitsMin(2048))],
        kept: "the start; finalize; the signer, for every profile",
    },
    Rule {
        about: "EC keys on curves other than P-256, P-384 and P-521",
        source: "BR 6.1.5",
        values: &[always(Forbidden)],
        kept: "finalize, for every profile",
    },
    Rule {
        about: "weak and compromised keys (ROCA, close primes, blocked ones, and those on the operator's lists of Debian's)",
        source: "BR 6.1.1.3",
        values: &[always(Forbidden)],
        kept: "finalize, for every profile",
    },
    Rule {
        about: "randomness in serial numbers",
        source: "BR 7.1",
        values: &[always(BitsMin(64))],
        kept: "the signer, for every profile",
    },
    Rule {
        about: "distance of notBefore from the signing",
        source: "BR 7.1.2.7",
        values: &[always(HoursMax(48))],
        kept: "the start; newOrder; finalize",
    },
    Rule {
        about: "SHA-1 in signatures",
        source: "BR 7.1.3.2.1",
        values: &[from(FROM_2026_09_15, Forbidden)],
        kept: "the signer makes none",
    },
    Rule {
        about: "names below in-addr.arpa and ip6.arpa",
        source: "BR 4.2.2",
        values: &[from(FROM_2026_03_15, Forbidden)],
        kept: "newOrder, with `issuance.public_rules`",
    },
    Rule {
        about: "validity of a certificate that points to neither OCSP nor CRL",
        source: "BR 1.6.1, 4.9.7, 7.1.2.11.2",
        values: &[from(FROM_2026_03_15, DaysMax(7))],
        kept: "the start, for every profile",
    },
    Rule {
        about: "distance of a CRL's nextUpdate",
        source: "BR 4.9.7",
        values: &[always(DaysMax(10))],
        kept: "the start, for every issuer",
    },
    Rule {
        about: "a new CRL after a revocation",
        source: "BR 4.9.7",
        values: &[always(HoursMax(24))],
        kept: "the responder",
    },
    Rule {
        about: "revocation after a key's compromise is known",
        source: "BR 4.9.1.1",
        values: &[always(HoursMax(24))],
        kept: "the operator's matter: `ingam admin revoke`",
    },
    Rule {
        about: "revocation for most other causes",
        source: "BR 4.9.1.1",
        values: &[always(DaysMax(5))],
        kept: "the operator's matter: `ingam admin revoke`",
    },
    Rule {
        about: "a plan for mass revocation, tested every year",
        source: "BR 5.7.1.2",
        values: &[from(FROM_2025_12_01, Asked)],
        kept: "the operator's matter",
    },
    Rule {
        about: "how long records are kept, counted from the end of the certificate",
        source: "BR 5.4.3, 5.5.2",
        values: &[always(DaysMin(2 * 365))],
        kept: "this version removes none",
    },
    Rule {
        about: "ACME Renewal Information, keyChange",
        source: "Chrome Root Program 1.8",
        values: &[from(FROM_2026_06_15, Asked)],
        kept: "always, whatever the day",
    },
    Rule {
        about: "SCTs of two logs' operators up to 180 days of validity, and a precertificate logged before",
        source: "Chrome CT policy, Chrome Root Program 1.8",
        values: &[from(FROM_2027_03_15, Asked)],
        kept: "step 3 of the order of operations, for profiles with `transparency = \"required\"`",
    },
    Rule {
        about: "a sample of 3 % of certificates audited by the CA itself each quarter",
        source: "BR 8.7",
        values: &[always(Asked)],
        kept: NOT_YET,
    },
    Rule {
        about: "ML-DSA keys",
        source: "BR 6.1.5",
        values: &[always(Forbidden)],
        kept: "the start; finalize; the signer",
    },
];
