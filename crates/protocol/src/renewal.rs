//! ACME Renewal Information (RFC 9773): how certificates are named in it, and when they should be renewed.

use std::fmt;
use std::time::Duration;

use ring::digest::{SHA256, digest};

use crate::bytes::{base64url, from_base64url};
use crate::certificate::Validity;
use crate::serial::Serial;
use crate::time::Timestamp;

/// At most this many bytes are a key identifier; those of this CA have 20.
const KEY_IDENTIFIER_BYTES_MAX: usize = 64;
/// Certificates that live shorter than this are renewed halfway; others after two thirds of their time.
const SHORT_LIVED_S: u64 = 10 * 24 * 60 * 60;
/// Windows lie in this many hundredths of the lifetime around the moment of renewal; where, their certificate decides.
const SPREAD_PERCENT: u64 = 8;
/// Each window is as wide as this many hundredths of the lifetime.
const WIDTH_PERCENT: u64 = 2;
/// How long ago a window began whose certificate should be renewed at once, and how long ago it ended.
const PULLED_FORWARD: [Duration; 2] = [Duration::from_secs(2 * 60 * 60), Duration::from_secs(60 * 60)];

/// The name of a certificate in RFC 9773, section 4.1: the key identifier of who signed it (RFC 5280, section 4.2.1.1), and its
/// serial number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateId {
    /// The contents of authorityKeyIdentifier's `keyIdentifier`.
    pub key_identifier: Vec<u8>,
    /// The serial number.
    pub serial: Serial,
}

impl CertificateId {
    /// Reads it strictly: each certificate has one name alone. `None` for padding, bits left over, an empty part, and for what
    /// is not DER of a positive integer of at most 20 octets (RFC 5280, section 4.1.2.2).
    pub fn parse(text: &str) -> Option<Self> {
        let (key_identifier, serial) = text.split_once('.')?;
        // What is longer than it can be is not decoded at all.
        let decode = |text: &str, bytes_max: usize| {
            let decoded = (text.len() <= bytes_max * 2).then(|| from_base64url(text))?;
            decoded.filter(|bytes| (1..=bytes_max).contains(&bytes.len()))
        };
        let key_identifier = decode(key_identifier, KEY_IDENTIFIER_BYTES_MAX)?;
        let contents = decode(serial, 21)?;
        match contents.as_slice() {
            // A zero octet stands in front only where the number would be negative without it.
            [0, next, ..] if *next < 0x80 => return None,
            [first, ..] if *first >= 0x80 => return None,
            _ => {}
        }
        Some(Self { key_identifier, serial: Serial::from_be_bytes(&contents)? })
    }
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.serial.as_bytes();
        let sign: &[u8] = if value.first().is_some_and(|first| *first >= 0x80) { &[0] } else { &[] };
        write!(f, "{}.{}", base64url(&self.key_identifier), base64url(&[sign, value].concat()))
    }
}

/// When a certificate should be renewed (RFC 9773, section 4.2): whole seconds, the end behind the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first moment.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
}

impl Window {
    /// The window of a certificate that nothing is wrong with: around `at_percent` of its lifetime, or where that is not given
    /// after two thirds of it, after half of it if that is less than ten days.
    ///
    /// A pure function: the same at every call. Of a fleet that was issued in one second, each certificate has a window of its
    /// own, as its name decides where in the spread that lies.
    pub fn of(validity: Validity, at_percent: Option<u8>, id: &CertificateId) -> Self {
        let lifetime_s = validity.not_after.since(validity.not_before).as_secs();
        let middle_s = match at_percent {
            Some(percent) => part(lifetime_s, u64::from(percent)),
            None if lifetime_s < SHORT_LIVED_S => lifetime_s / 2,
            None => lifetime_s - lifetime_s / 3,
        };
        let width_s = part(lifetime_s, WIDTH_PERCENT).max(1);
        let spread_s = part(lifetime_s, SPREAD_PERCENT).max(width_s);
        let earliest_s = middle_s.saturating_sub(spread_s / 2);
        let start_s = earliest_s + share(spread_s - width_s, id);
        // The shortest lifetimes have no room for a margin: the window ends with them at the latest.
        let latest = validity.not_after.minus(Duration::from_secs(width_s));
        let start = validity.not_before.plus(Duration::from_secs(start_s)).min(latest);
        Self { start, end: start.plus(Duration::from_secs(width_s)) }
    }

    /// The window of a certificate that should be renewed at once: it is over.
    pub fn pulled_forward(now: Timestamp) -> Self {
        let [start, end] = PULLED_FORWARD.map(|ago| now.whole_second().minus(ago));
        Self { start, end }
    }
}

/// So many hundredths of a time.
fn part(seconds: u64, percent: u64) -> u64 {
    seconds.saturating_mul(percent) / 100
}

/// A share from nothing to all of a time: as evenly as a digest is.
fn share(seconds: u64, id: &CertificateId) -> u64 {
    let digest = digest(&SHA256, id.to_string().as_bytes());
    let first = digest.as_ref().first_chunk::<8>().copied().unwrap_or_default();
    let scaled = (u128::from(u64::from_be_bytes(first)) * (u128::from(seconds) + 1)) >> 64;
    u64::try_from(scaled).unwrap_or(seconds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::SeededRandom;

    const START: u64 = 1_795_255_200;
    const DAY_S: u64 = 24 * 60 * 60;

    fn validity(lifetime_s: u64) -> Validity {
        let not_before = Timestamp::from_unix_s(START);
        Validity { not_before, not_after: not_before.plus(Duration::from_secs(lifetime_s - 1)) }
    }

    fn id(serial: Serial) -> CertificateId {
        CertificateId { key_identifier: vec![7; 20], serial }
    }

    #[test]
    fn the_example_of_the_rfc_is_read_and_written() {
        let text = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";
        let read = CertificateId::parse(text).unwrap();
        assert_eq!(read.serial.to_string(), "87654321");
        assert_eq!(read.key_identifier.len(), 20);
        assert_eq!(read.to_string(), text);
    }

    #[test]
    fn a_certificate_has_one_name_alone() {
        let key = "aYhba4dGQEHhs3uEe6CuLN4ByNQ";
        let of = |serial: &[u8]| format!("{key}.{}", base64url(serial));
        assert!(CertificateId::parse(&of(&[0x7f; 20])).is_some());
        assert!(CertificateId::parse(&of(&[&[0][..], &[0xff; 20]].concat())).is_some());
        let refused = [
            "",
            ".",
            key,
            "aYhba4dGQEHhs3uEe6CuLN4ByNQ.",
            ".AIdlQyE",
            // Padding, another alphabet, bits left over, white space, a third part.
            "aYhba4dGQEHhs3uEe6CuLN4ByNQ=.AIdlQyE",
            "aYhba4dGQEHhs3uEe6CuLN4ByN+.AIdlQyE",
            "aYhba4dGQEHhs3uEe6CuLN4ByNR.AIdlQyE",
            "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE\n",
            "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE.AQ",
        ];
        for text in refused {
            assert_eq!(CertificateId::parse(text), None, "{text:?}");
        }
        // Negative, zero, a zero octet too many, too long.
        for serial in [&[0x87, 1][..], &[0], &[0, 0], &[0, 1], &[0, 0, 0x81], &[1; 21], &[0; 22]] {
            assert_eq!(CertificateId::parse(&of(serial)), None, "{serial:?}");
        }
        let long = base64url(&[1; 65]);
        assert_eq!(CertificateId::parse(&format!("{long}.AQ")), None);
        assert_eq!(CertificateId::parse(&format!("{}.AQ", "A".repeat(100_000))), None);
    }

    #[test]
    fn windows_are_where_they_are_expected() {
        let id = id(Serial::new(&SeededRandom::new(1)));
        let days = |window: Window, hours: u64| {
            window.start.since(Timestamp::from_unix_s(START)).as_secs() / (hours * 3600)
        };
        // 90 days: from 56.4 days on, to 63.6 at the latest. 160 hours: around 80.
        let classic = Window::of(validity(90 * DAY_S), None, &id);
        assert!((56..62).contains(&days(classic, 24)), "{classic:?}");
        assert_eq!(classic.end.since(classic.start).as_secs(), (90 * DAY_S - 1) / 50);
        let short = Window::of(validity(160 * 3600), None, &id);
        assert!((73..84).contains(&days(short, 1)), "{short:?}");
        let asked = Window::of(validity(90 * DAY_S), Some(30), &id);
        assert!((23..29).contains(&days(asked, 24)), "{asked:?}");
    }

    #[test]
    fn a_fleet_of_one_second_does_not_come_at_once() {
        const FLEET: usize = 10_000;
        let random = SeededRandom::new(5);
        let validity = validity(90 * DAY_S);
        let starts: Vec<u64> = (0..FLEET)
            .map(|_| Window::of(validity, None, &id(Serial::new(&random))).start.unix_s())
            .collect();
        let (first, last) = (starts.iter().min().unwrap(), starts.iter().max().unwrap());
        assert!(last - first > 5 * DAY_S, "{first} to {last}");
        let mut hundredths = [0_usize; 100];
        for start in &starts {
            hundredths[usize::try_from((start - first) * 100 / (last - first + 1)).unwrap()] += 1;
        }
        let fullest = hundredths.iter().max().unwrap();
        assert!(fullest * 100 < 3 * FLEET, "{fullest} of {FLEET} begin in one hundredth: {hundredths:?}");
    }

    #[test]
    fn a_window_that_was_pulled_forward_is_over() {
        let now = Timestamp::from_unix_ms(START * 1000 + 999);
        let window = Window::pulled_forward(now);
        assert!(window.start < window.end && window.end < now);
        assert_eq!(window.end, window.end.whole_second());
    }

    proptest! {
        #[test]
        fn windows_lie_within_the_validity(
            lifetime_s in 60_u64..400 * DAY_S,
            at_percent in proptest::option::of(10_u8..=90),
            serial in proptest::array::uniform20(any::<u8>()),
        ) {
            let Some(serial) = Serial::from_be_bytes(&serial) else { return Ok(()) };
            let (validity, id) = (validity(lifetime_s), id(serial));
            let window = Window::of(validity, at_percent, &id);
            prop_assert_eq!(window, Window::of(validity, at_percent, &id));
            prop_assert!(validity.not_before <= window.start && window.start < window.end);
            prop_assert_eq!(window.end, window.end.whole_second());
            // A margin before the end: more than a twentieth of the lifetime.
            let margin_s = validity.not_after.since(window.end).as_secs();
            prop_assert!(margin_s >= lifetime_s / 20, "{} of {}", margin_s, lifetime_s);
        }

        #[test]
        fn the_shortest_lives_have_a_window_too(lifetime_s in 1_u64..60) {
            let window = Window::of(validity(lifetime_s), None, &id(Serial::new(&SeededRandom::new(lifetime_s))));
            prop_assert!(window.start < window.end && window.end <= validity(lifetime_s).not_after);
        }

        #[test]
        fn what_is_written_is_read(
            key_identifier in proptest::collection::vec(any::<u8>(), 1..=64),
            serial in proptest::collection::vec(any::<u8>(), 1..=20),
        ) {
            let Some(serial) = Serial::from_be_bytes(&serial) else { return Ok(()) };
            let id = CertificateId { key_identifier, serial };
            prop_assert_eq!(CertificateId::parse(&id.to_string()), Some(id));
        }

        #[test]
        fn what_is_read_is_written_the_same(text in "[A-Za-z0-9_.=-]{0,60}") {
            if let Some(read) = CertificateId::parse(&text) {
                prop_assert_eq!(read.to_string(), text);
            }
        }
    }
}
