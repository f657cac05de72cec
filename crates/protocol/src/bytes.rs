//! Byte strings that are written as text without padding, wherever JSON carries them.

use std::fmt;
use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that JSON carries as base64url without padding (RFC 7515, section 2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(Vec<u8>);

impl Bytes {
    /// The bytes themselves, given away.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", base64url(&self.0))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64url(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        from_base64url(&text)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("not base64url without padding"))
    }
}

/// Bytes as base64url without padding (RFC 7515, section 2).
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads base64url strictly: no padding, no white space, no bits left over; `None` for anything else.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads pairs of hexadecimal digits, lower or upper case; `None` for anything else, nothing at all included.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return None;
    }
    let pairs = (0..text.len()).step_by(2).map(|start| text.get(start..start + 2));
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_is_strict() {
        assert_eq!(from_base64url("AQI"), Some(vec![1, 2]));
        for loose in ["AQI=", "AQI ", "AQI\n", "AQJ", "A+I", "A"] {
            assert_eq!(from_base64url(loose), None, "{loose:?}");
        }
    }

    #[test]
    fn hexadecimal_has_two_digits_a_byte() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
        assert_eq!(from_hex("000aFF"), Some(vec![0, 10, 255]));
        for bad in ["", "0", "0g", "+1", "0x", "é0"] {
            assert_eq!(from_hex(bad), None, "{bad:?}");
        }
    }
}
