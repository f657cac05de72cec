//! What is noted of a request: one record of a fixed size, so that noting allocates nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ingam_protocol::Timestamp;
use ingam_protocol::ocsp::{CertStatus, ErrorStatus};

use super::config::Mode;
use super::family::Family;

/// So many bytes of a user agent are kept.
pub(super) const AGENT_BYTES_MAX: usize = 104;
/// A serial number has at most so many octets (RFC 5280, section 4.1.2.2).
pub(super) const SERIAL_BYTES_MAX: usize = 20;
/// How much of an address is left where it is cut.
const PREFIX_V4: u8 = 24;
const PREFIX_V6: u8 = 48;

/// What is told of a request: everything is borrowed, and nothing kept but what the log's mode allows.
#[derive(Clone, Copy)]
pub struct Noted<'a> {
    /// Who asked, by the rules for proxies.
    pub address: IpAddr,
    /// What the client calls itself; empty if it says nothing.
    pub user_agent: &'a [u8],
    /// The issuer's place among those that the log was made for; `None` if none of them was meant.
    pub issuer: Option<u16>,
    /// The octets of the serial number that was asked for, or the first of several; empty if there was none.
    pub serial: &'a [u8],
    /// What was answered.
    pub outcome: Outcome,
    /// When.
    pub at: Timestamp,
}

/// What was answered. The numbers are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Outcome {
    /// The certificate is good, or all of several are.
    Good = 0,
    /// It is revoked, or one of several is.
    Revoked = 1,
    /// `malformedRequest`.
    MalformedRequest = 2,
    /// `internalError`.
    InternalError = 3,
    /// `tryLater`.
    TryLater = 4,
    /// `unauthorized`: no certificate of this CA.
    Unauthorized = 5,
}

impl Outcome {
    const ALL: [Self; 6] = [
        Self::Good,
        Self::Revoked,
        Self::MalformedRequest,
        Self::InternalError,
        Self::TryLater,
        Self::Unauthorized,
    ];

    /// Its name in counts, as in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Revoked => "revoked",
            Self::MalformedRequest => "malformed_request",
            Self::InternalError => "internal_error",
            Self::TryLater => "try_later",
            Self::Unauthorized => "unauthorized",
        }
    }

    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| *outcome as u8 == number)
    }
}

impl From<CertStatus> for Outcome {
    fn from(status: CertStatus) -> Self {
        match status {
            CertStatus::Good => Self::Good,
            CertStatus::Revoked { .. } => Self::Revoked,
        }
    }
}

impl From<ErrorStatus> for Outcome {
    fn from(error: ErrorStatus) -> Self {
        match error {
            ErrorStatus::MalformedRequest => Self::MalformedRequest,
            ErrorStatus::InternalError | ErrorStatus::SigRequired => Self::InternalError,
            ErrorStatus::TryLater => Self::TryLater,
            ErrorStatus::Unauthorized => Self::Unauthorized,
        }
    }
}

/// An address, or the network that is left of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) address: IpAddr,
    /// How many of its bits are known.
    pub(super) prefix: u8,
}

impl Origin {
    fn whole(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }

    fn truncated(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                Self { address: IpAddr::V4(Ipv4Addr::new(a, b, c, 0)), prefix: PREFIX_V4 }
            }
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                Self { address: IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)), prefix: PREFIX_V6 }
            }
        }
    }
}

/// Bytes of a bounded length, in their place.
#[derive(Clone, Copy)]
pub(super) struct Short<const MAX: usize> {
    length: u8,
    bytes: [u8; MAX],
}

impl<const MAX: usize> Short<MAX> {
    /// As many of the first bytes as there is room for.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut short = Self { length: 0, bytes: [0; MAX] };
        let length = bytes.len().min(MAX);
        if let (Some(target), Some(source)) = (short.bytes.get_mut(..length), bytes.get(..length)) {
            target.copy_from_slice(source);
            short.length = u8::try_from(length).unwrap_or(0);
        }
        short
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

/// A record on its way to the disk: what the mode leaves of [`Noted`]. It has no `Debug`, as it is personal.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) at: Timestamp,
    /// For how many requests it stands.
    pub(super) weight: u32,
    pub(super) issuer: Option<u16>,
    pub(super) outcome: Outcome,
    pub(super) family: Family,
    pub(super) origin: Origin,
    pub(super) serial: Short<SERIAL_BYTES_MAX>,
    pub(super) agent: Short<AGENT_BYTES_MAX>,
}

impl Entry {
    /// What `mode` leaves of a request that stands for `weight` of them.
    pub(super) fn new(noted: &Noted<'_>, mode: Mode, weight: u32) -> Self {
        let is_full = mode == Mode::Full;
        Self {
            at: noted.at,
            weight,
            issuer: noted.issuer,
            outcome: noted.outcome,
            family: Family::of(noted.user_agent),
            origin: if is_full { Origin::whole(noted.address) } else { Origin::truncated(noted.address) },
            serial: Short::new(noted.serial),
            agent: Short::new(if is_full { noted.user_agent } else { &[] }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_records_have_nothing_to_find_anybody_by() {
        for (address, network) in [
            ("192.0.2.77", "192.0.2.0"),
            ("::ffff:192.0.2.77", "192.0.2.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ] {
            let noted = Noted {
                address: address.parse().unwrap(),
                user_agent: b"curl/8.5.0 of somebody",
                issuer: Some(0),
                serial: &[7; 16],
                outcome: Outcome::Good,
                at: Timestamp::from_unix_s(1),
            };
            let entry = Entry::new(&noted, Mode::Truncated, 1);
            assert_eq!(entry.origin.address.to_string(), network);
            assert!(entry.agent.as_bytes().is_empty());
            assert_eq!(entry.family, Family::Curl);
            let whole = Entry::new(&noted, Mode::Full, 1);
            assert_eq!(whole.origin.address, noted.address.to_canonical());
            assert_eq!(whole.agent.as_bytes(), noted.user_agent);
        }
    }

    #[test]
    fn what_is_too_long_is_cut() {
        assert_eq!(Short::<4>::new(b"abcdef").as_bytes(), b"abcd");
        assert_eq!(Short::<4>::new(b"").as_bytes(), b"");
        assert!(size_of::<Entry>() <= 176, "{}", size_of::<Entry>());
    }
}
