//! Requests by GET: base64 in the path of a URL, as clients write it.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::ocsp::REQUEST_BYTES_MAX;

/// The longest encoding of the longest request: base64, with every character percent-encoded.
const ENCODED_BYTES_MAX: usize = REQUEST_BYTES_MAX.div_ceil(3) * 4 * 3;

/// Padding may be there or not; the alphabet is the standard one, to which the other is mapped before.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The DER of a request by GET (RFC 6960, appendix A.1), from what follows `/ocsp/` in the path.
///
/// Percent-encoding is taken off once. A space can only be a plus that somebody decoded as in a form. Padding may be
/// missing, the alphabet may be that of base64url, and a slash may come before it all, from clients that put one
/// between a URL that ends with one and the request.
pub fn decode_get(encoded: &str) -> Option<Vec<u8>> {
    let mut decoder = GetDecoder::default();
    decoder.decode(encoded.as_bytes())?;
    Some(decoder.der)
}

/// Decodes one request after another without taking memory for each.
#[derive(Debug, Default)]
pub struct GetDecoder {
    /// Base64 in its usual alphabet.
    text: Vec<u8>,
    der: Vec<u8>,
}

impl GetDecoder {
    /// See [`decode_get`].
    pub fn decode(&mut self, encoded: &[u8]) -> Option<&[u8]> {
        if encoded.len() > ENCODED_BYTES_MAX {
            return None;
        }
        let text = if encoded.iter().any(|byte| matches!(byte, b'%' | b' ' | b'-' | b'_')) {
            self.text.clear();
            plain_base64(encoded, &mut self.text)?;
            &self.text
        } else {
            encoded
        };
        // No request's base64 starts with a slash: its DER starts with 0x30.
        let text = text.strip_prefix(b"/").unwrap_or(text);
        self.der.clear();
        BASE64.decode_vec(text, &mut self.der).ok()?;
        Some(&self.der)
    }
}

/// Takes percent-encoding off (RFC 3986, section 2.1), and other ways to write characters of base64; `None` if a `%` has no
/// two digits after it.
fn plain_base64(encoded: &[u8], text: &mut Vec<u8>) -> Option<()> {
    let mut rest = encoded.iter();
    while let Some(byte) = rest.next() {
        let decoded = match byte {
            b'%' => hex_digit(*rest.next()?)? << 4 | hex_digit(*rest.next()?)?,
            other => *other,
        };
        text.push(match decoded {
            b' ' | b'-' => b'+',
            b'_' => b'/',
            other => other,
        });
    }
    Some(())
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit.to_le_bytes()[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_the_ways_in_which_clients_write_a_request_are_read() {
        let der = [0x30, 0xfb, 0xff, 0xfe, 0x00, 0x10];
        for written in ["MPv//gAQ", "/MPv//gAQ", "%2FMPv//gAQ", "MPv%2F%2fgAQ", "%4d%50%76//gAQ", "MPv__gAQ"]
        {
            assert_eq!(decode_get(written).as_deref(), Some(&der[..]), "{written}");
        }
        let der = [0x30, 0xfb, 0xe0, 0x3e];
        for written in ["MPvgPg==", "MPvgPg", "MPvgPg%3D%3D", "MPvgPg%3d=", "MPvgPg="] {
            assert_eq!(decode_get(written).as_deref(), Some(&der[..]), "{written}");
        }
        let der = [0x30, 0xfb, 0xef, 0xbe];
        for written in ["MPvvvg==", "MPvvvg"] {
            assert_eq!(decode_get(written).as_deref(), Some(&der[..]), "{written}");
        }
        let der = [0xfb, 0xef, 0xbe];
        for written in ["++++", "----", "%20%20++", "%2B%2b+-"] {
            assert_eq!(decode_get(written).as_deref(), Some(&der[..]), "{written}");
        }
    }

    #[test]
    fn what_is_no_base64_is_not_read() {
        for written in ["MPv%252F", "MPv%2", "MPv%", "MPv%zz", "MPv%+1", "MP v\n", "MPv=gA", "%00", "M"] {
            assert_eq!(decode_get(written), None, "{written}");
        }
        assert_eq!(decode_get(&"A".repeat(ENCODED_BYTES_MAX + 1)), None);
    }
}
