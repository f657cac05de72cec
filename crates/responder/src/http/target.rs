//! Reading request targets. Paths are taken as they came: base64 has slashes of its own, and whoever merges, decodes
//! or cleans them before this breaks requests.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ingam_protocol::Shard;
use ingam_protocol::ocsp::REQUEST_BYTES_MAX;

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// OCSP, with the encoded request; a request by POST has none.
    Ocsp(&'a str),
    /// The CRL of the issuer with this name, of a shard or of what belongs to none.
    Crl(&'a str, Option<Shard>),
    /// Where all CRLs of the issuer with this name are.
    CrlUrls(&'a str),
    /// The certificate of the issuer with this name.
    Issuer(&'a str),
    /// The bundle of roots.
    Roots,
    /// Nothing is there.
    Nothing,
}

/// The longest encoding of the longest request: base64, with every character percent-encoded.
const ENCODED_BYTES_MAX: usize = REQUEST_BYTES_MAX.div_ceil(3) * 4 * 3;

/// Padding may be there or not; the alphabet is the standard one, to which the other is mapped before.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Finds what a raw path asks for. One slash too many at its beginning is forgiven.
pub(super) fn route(path: &str) -> Route<'_> {
    let path = path.strip_prefix("//").or_else(|| path.strip_prefix('/')).unwrap_or(path);
    if path == "ocsp" {
        return Route::Ocsp("");
    }
    if let Some(encoded) = path.strip_prefix("ocsp/") {
        return Route::Ocsp(encoded);
    }
    if path == "roots.pem" {
        return Route::Roots;
    }
    let crl = path.strip_prefix("crl/").and_then(crl);
    let issuer =
        || path.strip_prefix("issuer/").and_then(|name| name.strip_suffix(".crt")).map(Route::Issuer);
    crl.or_else(issuer).unwrap_or(Route::Nothing)
}

/// What follows `/crl/` in a path: `NAME.crl`, `NAME/N.crl` or `NAME.json`.
fn crl(rest: &str) -> Option<Route<'_>> {
    if let Some(issuer) = rest.strip_suffix(".json") {
        return Some(Route::CrlUrls(issuer));
    }
    let name = rest.strip_suffix(".crl")?;
    let Some((issuer, number)) = name.split_once('/') else { return Some(Route::Crl(name, None)) };
    // One way to write each number: caches must not be filled with others.
    let shard = number.parse().map(Shard).ok().filter(|shard| shard.to_string() == number)?;
    Some(Route::Crl(issuer, Some(shard)))
}

/// The DER of a request by GET (RFC 6960, appendix A.1), from what follows `/ocsp/` in the path.
///
/// Percent-encoding is taken off once. A space can only be a plus that somebody decoded as in a form. Padding may be
/// missing, the alphabet may be that of base64url, and a slash may come before it all, from clients that put one
/// between a URL that ends with one and the request.
pub(super) fn decode_get(encoded: &str) -> Option<Vec<u8>> {
    let mut decoder = Decoder::default();
    decoder.decode(encoded.as_bytes())?;
    Some(decoder.der)
}

/// Decodes one request after another without taking memory for each.
#[derive(Default)]
pub(crate) struct Decoder {
    /// Base64 in its usual alphabet.
    text: Vec<u8>,
    der: Vec<u8>,
}

impl Decoder {
    /// See [`decode_get`].
    pub(crate) fn decode(&mut self, encoded: &[u8]) -> Option<&[u8]> {
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
    fn paths_lead_where_they_say() {
        assert_eq!(route("/ocsp"), Route::Ocsp(""));
        assert_eq!(route("/ocsp/"), Route::Ocsp(""));
        assert_eq!(route("//ocsp/a/b//c"), Route::Ocsp("a/b//c"));
        assert_eq!(route("/ocsp//MA=="), Route::Ocsp("/MA=="));
        assert_eq!(route("/crl/r1.crl"), Route::Crl("r1", None));
        assert_eq!(route("/crl/r1/0.crl"), Route::Crl("r1", Some(Shard(0))));
        assert_eq!(route("/crl/r1/1023.crl"), Route::Crl("r1", Some(Shard(1023))));
        assert_eq!(route("/crl/r1.json"), Route::CrlUrls("r1"));
        for nowhere in
            ["/crl/r1/.crl", "/crl/r1/00.crl", "/crl/r1/+1.crl", "/crl/r1/70000.crl", "/crl/r1/1/2.crl"]
        {
            assert_eq!(route(nowhere), Route::Nothing, "{nowhere}");
        }
        assert_eq!(route("/issuer/r1.crt"), Route::Issuer("r1"));
        assert_eq!(route("/roots.pem"), Route::Roots);
        for nowhere in ["/", "", "*", "/ocspx", "/crl/", "/crl/r1", "/issuer/r1.crl", "///ocsp/", "/OCSP"] {
            assert_eq!(route(nowhere), Route::Nothing, "{nowhere}");
        }
    }

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
