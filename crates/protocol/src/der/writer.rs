//! Writing DER, from its end to its beginning.

use crate::der::tag;
use crate::time::Timestamp;

/// The first second that a `Time` of X.509 cannot write as UTCTime: 2050-01-01T00:00:00Z (RFC 5280, section 4.1.2.5).
const YEAR_2050_UNIX_S: u64 = 2_524_608_000;

/// Writes DER back to front: what comes last in the encoding is written first.
///
/// ```
/// use ingam_protocol::der::{Writer, tag};
///
/// // SEQUENCE { INTEGER 5, NULL }
/// let mut writer = Writer::new();
/// writer.wrap(tag::SEQUENCE, |inner| {
///     inner.null();
///     inner.unsigned_integer(&[5]);
/// });
/// assert_eq!(writer.finish(), [0x30, 5, 2, 1, 5, 5, 0]);
/// ```
#[derive(Debug, Default)]
pub struct Writer {
    /// What was written, its last byte first: growing at this end costs nothing.
    reversed: Vec<u8>,
}

impl Writer {
    /// A writer that has written nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer with room for this many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { reversed: Vec::with_capacity(bytes) }
    }

    /// The encoding, front to back.
    pub fn finish(mut self) -> Vec<u8> {
        self.reversed.reverse();
        self.reversed
    }

    /// Puts these bytes in front as they are: something already encoded.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.reversed.extend(bytes.iter().rev());
    }

    /// Puts a tag and the right length in front of what `contents` writes.
    pub fn wrap(&mut self, tag: u8, contents: impl FnOnce(&mut Self)) {
        let before = self.reversed.len();
        contents(self);
        let length = self.reversed.len() - before;
        self.header(tag, length);
    }

    /// A primitive value with this tag and these contents.
    pub fn value(&mut self, tag: u8, contents: &[u8]) {
        self.raw(contents);
        self.header(tag, contents.len());
    }

    /// An INTEGER of zero or more, from big-endian bytes with or without leading zero octets.
    pub fn unsigned_integer(&mut self, value: &[u8]) {
        let significant = value.iter().skip_while(|byte| **byte == 0).count();
        let digits = value.get(value.len() - significant..).unwrap_or(value);
        self.raw(digits);
        // A first bit that is set would make it negative; no octet at all is not an INTEGER.
        let padded = digits.first().is_none_or(|first| *first >= 0x80);
        if padded {
            self.reversed.push(0);
        }
        self.header(tag::INTEGER, digits.len() + usize::from(padded));
    }

    /// An OBJECT IDENTIFIER from its encoded contents.
    pub fn object_identifier(&mut self, contents: &[u8]) {
        self.value(tag::OBJECT_IDENTIFIER, contents);
    }

    /// An OCTET STRING.
    pub fn octet_string(&mut self, contents: &[u8]) {
        self.value(tag::OCTET_STRING, contents);
    }

    /// A BIT STRING of whole octets.
    pub fn bit_string(&mut self, contents: &[u8]) {
        self.wrap(tag::BIT_STRING, |inner| {
            inner.raw(contents);
            inner.raw(&[0]);
        });
    }

    /// An ENUMERATED below 128; the highest bit is ignored.
    pub fn enumerated(&mut self, value: u8) {
        self.value(tag::ENUMERATED, &[value & 0x7f]);
    }

    /// NULL.
    pub fn null(&mut self) {
        self.value(tag::NULL, &[]);
    }

    /// BOOLEAN TRUE. FALSE is never written: wherever this CA writes a BOOLEAN, FALSE is the default.
    pub fn boolean_true(&mut self) {
        self.value(tag::BOOLEAN, &[0xff]);
    }

    /// A GeneralizedTime in whole seconds, `YYYYMMDDHHMMSSZ`.
    pub fn generalized_time(&mut self, moment: Timestamp) {
        self.value(tag::GENERALIZED_TIME, &digits_of(moment));
    }

    /// A UTCTime, `YYMMDDHHMMSSZ`. Its reader takes it for a moment between 1950 and 2049.
    pub fn utc_time(&mut self, moment: Timestamp) {
        let digits = digits_of(moment);
        self.value(tag::UTC_TIME, digits.get(2..).unwrap_or(&digits));
    }

    /// A `Time` of X.509: UTCTime up to the year 2049, GeneralizedTime after it (RFC 5280, section 4.1.2.5).
    pub fn time(&mut self, moment: Timestamp) {
        if moment.unix_s() < YEAR_2050_UNIX_S { self.utc_time(moment) } else { self.generalized_time(moment) }
    }

    /// One `Extension` (RFC 5280, section 4.2): its identifier's contents, and what `value` writes as the contents of
    /// the OCTET STRING. Not critical.
    pub fn extension(&mut self, identifier: &[u8], value: impl FnOnce(&mut Self)) {
        self.wrap(tag::SEQUENCE, |inner| {
            inner.wrap(tag::OCTET_STRING, value);
            inner.object_identifier(identifier);
        });
    }

    /// The same, critical: whoever does not know the extension must refuse what has it.
    pub fn critical_extension(&mut self, identifier: &[u8], value: impl FnOnce(&mut Self)) {
        self.wrap(tag::SEQUENCE, |inner| {
            inner.wrap(tag::OCTET_STRING, value);
            inner.boolean_true();
            inner.object_identifier(identifier);
        });
    }

    /// Tag and length (X.690, section 8.1.3), in front of `length` bytes that were just written, or are elsewhere.
    pub fn header(&mut self, tag: u8, length: usize) {
        if length < 0x80 {
            self.reversed.push(length.to_le_bytes()[0]);
        } else {
            let octets = length.to_le_bytes();
            let count = octets.len() - octets.iter().rev().take_while(|octet| **octet == 0).count();
            self.reversed.extend(octets.iter().take(count));
            self.reversed.push(0x80 | count.to_le_bytes()[0]);
        }
        self.reversed.push(tag);
    }
}

/// `YYYYMMDDHHMMSSZ`.
fn digits_of(moment: Timestamp) -> [u8; 15] {
    let date_time = moment.to_date_time();
    let year = date_time.year().unsigned_abs();
    let pairs = [
        year / 100,
        year % 100,
        u32::from(u8::from(date_time.month())),
        u32::from(date_time.day()),
        u32::from(date_time.hour()),
        u32::from(date_time.minute()),
        u32::from(date_time.second()),
    ];
    let mut out = [b'Z'; 15];
    for (target, pair) in out.chunks_exact_mut(2).zip(pairs) {
        // Each pair is below 100: a year has four digits, as a `Timestamp` ends with 9999.
        let digits = [b'0' + (pair / 10 % 10).to_le_bytes()[0], b'0' + (pair % 10).to_le_bytes()[0]];
        target.copy_from_slice(&digits);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::new();
        write(&mut writer);
        writer.finish()
    }

    #[test]
    fn integers_are_positive_and_shortest() {
        assert_eq!(written(|w| w.unsigned_integer(&[])), [2, 1, 0]);
        assert_eq!(written(|w| w.unsigned_integer(&[0, 0])), [2, 1, 0]);
        assert_eq!(written(|w| w.unsigned_integer(&[0, 0x7f])), [2, 1, 0x7f]);
        assert_eq!(written(|w| w.unsigned_integer(&[0x80])), [2, 2, 0, 0x80]);
        assert_eq!(written(|w| w.unsigned_integer(&256_u64.to_be_bytes())), [2, 2, 1, 0]);
    }

    #[test]
    fn lengths_are_shortest() {
        assert_eq!(written(|w| w.octet_string(&[7; 127]))[..2], [4, 127]);
        assert_eq!(written(|w| w.octet_string(&[7; 128]))[..3], [4, 0x81, 128]);
        assert_eq!(written(|w| w.octet_string(&[7; 256]))[..4], [4, 0x82, 1, 0]);
        assert_eq!(written(|w| w.octet_string(&[7; 65_536]))[..5], [4, 0x83, 1, 0, 0]);
    }

    #[test]
    fn times_have_their_form_by_year() {
        let last_utc = Timestamp::from_unix_s(YEAR_2050_UNIX_S - 1);
        assert_eq!(written(|w| w.time(last_utc)), b"\x17\x0d491231235959Z");
        assert_eq!(written(|w| w.time(Timestamp::from_unix_s(YEAR_2050_UNIX_S))), b"\x18\x0f20500101000000Z");
        let moment = Timestamp::from_unix_ms(1_795_255_201_999);
        assert_eq!(written(|w| w.generalized_time(moment)), b"\x18\x0f20261121100001Z");
        assert_eq!(written(|w| w.generalized_time(Timestamp::default())), b"\x18\x0f19700101000000Z");
    }

    #[test]
    fn what_is_written_last_comes_first() {
        let bytes = written(|w| {
            w.wrap(tag::context(1), |inner| {
                inner.bit_string(&[9]);
                inner.enumerated(4);
                inner.boolean_true();
            });
        });
        assert_eq!(bytes, [0xa1, 10, 1, 1, 0xff, 10, 1, 4, 3, 2, 0, 9]);
    }
}
