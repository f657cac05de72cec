//! Reading DER, strictly.

use std::fmt;

use crate::der::tag;
use crate::time::Timestamp;

/// Lengths are read from at most this many octets, so a value has less than 4 GiB.
const LENGTH_OCTETS_MAX: usize = 4;

/// Why bytes are not the DER that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The bytes end inside a value.
    Truncated,
    /// Something follows where nothing may.
    Trailing,
    /// Another tag, or one of more than one octet.
    UnexpectedTag,
    /// A length that is indefinite, longer than needed, or absurd.
    BadLength,
    /// Contents that the type does not have, or not in this form.
    BadContents,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the DER is cut short",
            Self::Trailing => "there are bytes after the end of the DER value",
            Self::UnexpectedTag => "the DER value has an unexpected tag",
            Self::BadLength => "the DER length is indefinite, too large or not the shortest",
            Self::BadContents => "the contents of the DER value are not allowed for its type",
        })
    }
}

impl std::error::Error for Error {}

/// One value: its tag, its contents, and both together with the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// The identifier octet.
    pub tag: u8,
    /// What comes after the length.
    pub contents: &'a [u8],
    /// All its bytes.
    pub der: &'a [u8],
}

/// Reads values one after the other from the same level; each level that is entered gets a reader of its own.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether all was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// That all was read.
    ///
    /// # Errors
    /// [`Error::Trailing`] if something is left.
    pub fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(Error::Trailing) }
    }

    /// The next value, whatever its tag.
    ///
    /// # Errors
    /// Any but [`Error::Trailing`]: tags of more than one octet and lengths that are not the shortest are refused.
    pub fn any(&mut self) -> Result<Element<'a>, Error> {
        let whole = self.rest;
        let (&tag, rest) = whole.split_first().ok_or(Error::Truncated)?;
        // Tag numbers from 31 take more octets; nothing that is read here has them. Zero ends indefinite lengths.
        if tag & 0x1f == 0x1f || tag == 0 {
            return Err(Error::UnexpectedTag);
        }
        let (length, rest) = length(rest)?;
        let (contents, rest) = rest.split_at_checked(length).ok_or(Error::Truncated)?;
        let der = whole.get(..whole.len() - rest.len()).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(Element { tag, contents, der })
    }

    /// The contents of the next value, which has this tag.
    ///
    /// # Errors
    /// [`Error::UnexpectedTag`] if it has another; otherwise as [`Reader::any`].
    pub fn expect(&mut self, tag: u8) -> Result<&'a [u8], Error> {
        let element = self.any()?;
        if element.tag == tag { Ok(element.contents) } else { Err(Error::UnexpectedTag) }
    }

    /// The contents of the next value if it has this tag; `None`, and nothing read, if it has another or there is none.
    ///
    /// # Errors
    /// As [`Reader::any`].
    pub fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, Error> {
        if self.rest.first() == Some(&tag) { self.expect(tag).map(Some) } else { Ok(None) }
    }

    /// Enters the next value, a SEQUENCE.
    ///
    /// # Errors
    /// As [`Reader::expect`].
    pub fn sequence(&mut self) -> Result<Reader<'a>, Error> {
        self.expect(tag::SEQUENCE).map(Reader::new)
    }

    /// The contents of the next value, an INTEGER in its shortest form: big-endian, two's complement.
    ///
    /// # Errors
    /// [`Error::BadContents`] if it is empty or longer than needed; otherwise as [`Reader::expect`].
    pub fn integer(&mut self) -> Result<&'a [u8], Error> {
        let contents = self.expect(tag::INTEGER)?;
        match contents {
            [] => Err(Error::BadContents),
            [0x00, second, ..] if *second < 0x80 => Err(Error::BadContents),
            [0xff, second, ..] if *second >= 0x80 => Err(Error::BadContents),
            _ => Ok(contents),
        }
    }

    /// A BOOLEAN that may be left out and is FALSE then. FALSE given explicitly is accepted, as some encoders write it.
    ///
    /// # Errors
    /// [`Error::BadContents`] if it is neither 00 nor FF; otherwise as [`Reader::any`].
    pub fn default_false(&mut self) -> Result<bool, Error> {
        match self.optional(tag::BOOLEAN)? {
            None | Some([0x00]) => Ok(false),
            Some([0xff]) => Ok(true),
            Some(_) => Err(Error::BadContents),
        }
    }

    /// A `Time` of X.509 (RFC 5280, section 4.1.2.5), in UTC and whole seconds, not before 1970. A UTCTime is taken for a
    /// moment of this century.
    ///
    /// # Errors
    /// [`Error::BadContents`] if it is in another form; otherwise as [`Reader::any`].
    pub fn time(&mut self) -> Result<Timestamp, Error> {
        let element = self.any()?;
        let text = std::str::from_utf8(element.contents).map_err(|_| Error::BadContents)?;
        match (element.tag, text.len()) {
            (tag::UTC_TIME, 13) => moment(&format!("20{text}")),
            (tag::GENERALIZED_TIME, 15) => moment(text),
            _ => Err(Error::UnexpectedTag),
        }
    }

    /// A GeneralizedTime, `YYYYMMDDHHMMSSZ`, not before 1970.
    ///
    /// # Errors
    /// As [`Reader::time`].
    pub fn generalized_time(&mut self) -> Result<Timestamp, Error> {
        let text = std::str::from_utf8(self.expect(tag::GENERALIZED_TIME)?);
        moment(text.map_err(|_| Error::BadContents)?)
    }

    /// The contents of the next value, an OBJECT IDENTIFIER with well-formed arcs.
    ///
    /// # Errors
    /// [`Error::BadContents`] if it is empty, ends inside an arc, or has an arc with a leading zero group.
    pub fn object_identifier(&mut self) -> Result<&'a [u8], Error> {
        let contents = self.expect(tag::OBJECT_IDENTIFIER)?;
        let mut at_start = true;
        for octet in contents {
            if at_start && *octet == 0x80 {
                return Err(Error::BadContents);
            }
            at_start = *octet < 0x80;
        }
        if contents.is_empty() || !at_start { Err(Error::BadContents) } else { Ok(contents) }
    }
}

/// The moment that `YYYYMMDDHHMMSSZ` tells.
fn moment(text: &str) -> Result<Timestamp, Error> {
    let part = |from: usize, digits: usize| {
        text.get(from..from + digits).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let read = || {
        let (year, month, day) = (part(0, 4)?, part(4, 2)?, part(6, 2)?);
        let (hour, minute, second) = (part(8, 2)?, part(10, 2)?, part(12, 2)?);
        let is_utc = text.get(14..)? == "Z";
        let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
        Timestamp::from_rfc3339(&text).filter(|_| is_utc)
    };
    read().ok_or(Error::BadContents)
}

/// A length and what follows it (X.690, sections 8.1.3 and 10.1).
fn length(bytes: &[u8]) -> Result<(usize, &[u8]), Error> {
    let (&first, rest) = bytes.split_first().ok_or(Error::Truncated)?;
    if first < 0x80 {
        return Ok((usize::from(first), rest));
    }
    let count = usize::from(first & 0x7f);
    if count == 0 || count > LENGTH_OCTETS_MAX {
        return Err(Error::BadLength);
    }
    let (octets, rest) = rest.split_at_checked(count).ok_or(Error::Truncated)?;
    let length = octets.iter().fold(0_u32, |length, octet| (length << 8) | u32::from(*octet));
    let is_shortest = length >= 0x80 && octets.first() != Some(&0);
    if !is_shortest {
        return Err(Error::BadLength);
    }
    usize::try_from(length).map(|length| (length, rest)).map_err(|_| Error::BadLength)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn first(bytes: &[u8]) -> Result<Element<'_>, Error> {
        Reader::new(bytes).any()
    }

    #[test]
    fn only_the_shortest_definite_length_is_read() {
        assert_eq!(first(&[4, 1, 7]).unwrap().contents, [7]);
        assert_eq!(first(&[4, 0x80, 7, 0, 0]), Err(Error::BadLength));
        assert_eq!(first(&[4, 0x81, 1, 7]), Err(Error::BadLength));
        assert_eq!(first(&[4, 0x82, 0, 0x80]), Err(Error::BadLength));
        assert_eq!(first(&[4, 0x85, 0, 0, 0, 0, 1, 7]), Err(Error::BadLength));
        assert_eq!(first(&[4, 0xff]), Err(Error::BadLength));
        assert_eq!(first(&[4, 0x84, 0xff, 0xff, 0xff, 0xff, 1]), Err(Error::Truncated));
        assert_eq!(first(&[4, 2, 7]), Err(Error::Truncated));
        assert_eq!(first(&[4]), Err(Error::Truncated));
        assert_eq!(first(&[]), Err(Error::Truncated));
        assert_eq!(first(&[0x1f, 1, 7]), Err(Error::UnexpectedTag));
        assert_eq!(first(&[0, 0]), Err(Error::UnexpectedTag));
    }

    #[test]
    fn integers_are_read_in_their_shortest_form() {
        let read = |bytes: &'static [u8]| Reader::new(bytes).integer();
        assert_eq!(read(&[2, 2, 0, 0x80]), Ok(&[0, 0x80][..]));
        assert_eq!(read(&[2, 1, 0x80]), Ok(&[0x80][..]));
        assert_eq!(read(&[2, 2, 0, 0x7f]), Err(Error::BadContents));
        assert_eq!(read(&[2, 2, 0xff, 0x80]), Err(Error::BadContents));
        assert_eq!(read(&[2, 0]), Err(Error::BadContents));
    }

    #[test]
    fn identifiers_have_whole_arcs() {
        let read = |bytes: &'static [u8]| Reader::new(bytes).object_identifier();
        assert!(read(&[6, 3, 0x55, 0x1d, 0x14]).is_ok());
        assert_eq!(read(&[6, 0]), Err(Error::BadContents));
        assert_eq!(read(&[6, 2, 0x55, 0x80]), Err(Error::BadContents));
        assert_eq!(read(&[6, 3, 0x55, 0x80, 0x01]), Err(Error::BadContents));
    }

    #[test]
    fn nothing_may_be_left() {
        let mut reader = Reader::new(&[5, 0, 5]);
        assert_eq!(reader.optional(tag::INTEGER), Ok(None));
        assert_eq!(reader.expect(tag::NULL), Ok(&[][..]));
        assert!(!reader.is_empty());
        assert_eq!(reader.finish(), Err(Error::Trailing));
    }

    proptest! {
        #[test]
        fn what_is_read_is_a_prefix_and_what_was_written(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(element) = Reader::new(&bytes).any() {
                prop_assert!(bytes.starts_with(element.der));
                let mut writer = crate::der::Writer::new();
                writer.value(element.tag, element.contents);
                prop_assert_eq!(writer.finish(), element.der);
            }
        }

        #[test]
        fn what_is_written_is_read(contents in proptest::collection::vec(any::<u8>(), 0..70_000)) {
            let mut writer = crate::der::Writer::new();
            writer.octet_string(&contents);
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.expect(tag::OCTET_STRING), Ok(contents.as_slice()));
            prop_assert_eq!(reader.finish(), Ok(()));
        }
    }
}
