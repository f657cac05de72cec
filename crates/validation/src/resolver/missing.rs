//! Why a question has no records for an answer, and what to tell the owner of the name.

use ingam_protocol::acme::ErrorType;
use trust_dns_resolver::net::{DnsError, NetError};
use trust_dns_resolver::proto::op::ResponseCode;
use trust_dns_resolver::proto::rr::RecordType;

use super::extended;
use crate::evidence::ExtendedError;
use crate::outcome::Failure;

/// Why a question has no records for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(super) name: String,
    pub(super) record_type: RecordType,
    pub(super) cause: Cause,
    pub(super) errors: Vec<ExtendedError>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// NXDOMAIN: nothing has this name.
    NoName,
    /// NOERROR without records: the name has others than were asked for.
    NoRecords,
    /// Another response code.
    Code(String),
    /// No answer in time.
    Timeout,
    /// An answer that is no answer; the words say why.
    Unusable(String),
    /// An answer that DNSSEC does not prove, though it should (RFC 4035, section 4.3); the words say why.
    Bogus(String),
    /// An answer of which it could not be found out whether DNSSEC proves it; the words say why.
    Indeterminate(String),
}

impl Cause {
    pub(super) fn unusable(words: &str) -> Self {
        Self::Unusable(words.to_owned())
    }

    /// The words of evidence.
    pub(super) fn response(&self) -> String {
        match self {
            Self::NoRecords => "NOERROR".into(),
            Self::NoName => "NXDOMAIN".into(),
            Self::Code(code) => code.clone(),
            Self::Timeout => "TIMEOUT".into(),
            Self::Unusable(_) | Self::Bogus(_) | Self::Indeterminate(_) => "ERROR".into(),
        }
    }

    /// In a few words, where it is the reason of something else.
    pub(super) fn shortly(&self) -> String {
        match self {
            Self::NoName | Self::NoRecords | Self::Code(_) => self.response(),
            Self::Timeout => "no answer in time".into(),
            Self::Unusable(words) | Self::Bogus(words) | Self::Indeterminate(words) => words.clone(),
        }
    }
}

impl From<&NetError> for Cause {
    fn from(error: &NetError) -> Self {
        match error {
            NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
                ResponseCode::NXDomain => Self::NoName,
                ResponseCode::NoError => Self::NoRecords,
                code => Self::Code(mnemonic(code)),
            },
            NetError::Dns(DnsError::ResponseCode(code)) => Self::Code(mnemonic(*code)),
            NetError::Timeout => Self::Timeout,
            NetError::Truncated => Self::unusable("the answer is truncated over TCP too"),
            NetError::Proto(_) => Self::unusable("the answer cannot be read"),
            NetError::ForeignClassRecord { .. } => Self::unusable("the answer has records of another class"),
            _ => Self::unusable("no DNS server can be reached"),
        }
    }
}

pub(super) fn mnemonic(code: ResponseCode) -> String {
    match code {
        ResponseCode::ServFail => "SERVFAIL".into(),
        ResponseCode::Refused => "REFUSED".into(),
        ResponseCode::FormErr => "FORMERR".into(),
        ResponseCode::NotImp => "NOTIMP".into(),
        ResponseCode::NotAuth => "NOTAUTH".into(),
        other => format!("RCODE{}", u16::from(other)),
    }
}

impl Missing {
    /// Whether the answer proves that there is nothing of this type (NXDOMAIN, or NOERROR without records).
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self.cause, Cause::NoName | Cause::NoRecords)
    }

    /// Whether the name exists without records of this type.
    pub(crate) fn is_empty_answer(&self) -> bool {
        self.cause == Cause::NoRecords
    }

    /// What to tell the owner of the name; `advice` says what to do where the cause itself does not.
    pub(crate) fn failure(&self, advice: &str) -> Failure {
        let Self { name, record_type, cause, errors } = self;
        let asked = format!("looking up {record_type} for {name}{}", extended::words(errors));
        let detail = match cause {
            Cause::NoName => format!("DNS: NXDOMAIN {asked}: {advice}"),
            Cause::NoRecords => {
                format!("DNS: no {record_type} record at {name}{}: {advice}", extended::words(errors))
            }
            Cause::Code(code) => {
                format!("DNS: {code} {asked}: check the zone's name servers and its DNSSEC; {advice}")
            }
            Cause::Timeout => format!(
                "DNS: no answer in time {asked}: check that the zone's name servers answer, over UDP and TCP; {advice}"
            ),
            Cause::Unusable(words) => format!("DNS: problem {asked}: {words}; {advice}"),
            Cause::Bogus(words) => {
                format!("DNS: bogus answer {asked}: {words}; mend the zone's DNSSEC; {advice}")
            }
            Cause::Indeterminate(words) => format!(
                "DNS: answer without proof {asked}: {words}; check the zone's name servers and its DNSSEC; {advice}"
            ),
        };
        Failure::new(ErrorType::Dns, detail)
    }
}
