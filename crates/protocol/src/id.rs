//! Names of the CA's own things: accounts, orders, authorizations, challenges, records.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bytes::{base64url, from_base64url};
use crate::time::{Random, Timestamp};

/// Sixteen bytes that name one thing for ever: 48 bits of milliseconds, then 80 unpredictable bits.
///
/// The time in front keeps what was made together close together in the store; the rest makes a URL unguessable.
/// Written as 22 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; 16]);

impl Id {
    /// A new name, made at `now`.
    pub fn new(now: Timestamp, random: &dyn Random) -> Self {
        let mut name = Self::first_of(now);
        if let Some(unpredictable) = name.0.get_mut(6..) {
            random.fill(unpredictable);
        }
        name
    }

    /// The smallest name that anything made at `time` can have: where a search by time begins.
    pub fn first_of(time: Timestamp) -> Self {
        let mut bytes = [0; 16];
        for (target, source) in bytes.iter_mut().zip(time.unix_ms().to_be_bytes().into_iter().skip(2)) {
            *target = source;
        }
        Self(bytes)
    }

    /// When it was made.
    pub fn time(&self) -> Timestamp {
        let [a, b, c, d, e, f, ..] = self.0;
        Timestamp::from_unix_ms(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// From its sixteen bytes, as a key of the store holds them.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its sixteen bytes; they sort by the time of making.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url(&self.0))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 22 characters of base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnId;

impl FromStr for Id {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        from_base64url(text).and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(NotAnId)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|NotAnId| serde::de::Error::custom("not an id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SeededRandom;

    #[test]
    fn ids_sort_by_time_and_survive_being_written() {
        let random = SeededRandom::new(1);
        let early = Id::new(Timestamp::from_unix_s(1), &random);
        let late = Id::new(Timestamp::from_unix_s(2), &random);
        assert!(early < late);
        assert!(
            Id::first_of(Timestamp::from_unix_s(2)) <= late
                && Id::first_of(Timestamp::from_unix_s(2)) > early
        );
        assert_eq!(late.time(), Timestamp::from_unix_s(2));
        assert_eq!(early.to_string().len(), 22);
        assert_eq!(early.to_string().parse(), Ok(early));
        assert_eq!("short".parse::<Id>(), Err(NotAnId));
    }
}
