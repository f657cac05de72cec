//! Extensions of transparency, put into a TBSCertificate and taken out of it, with everything else byte for byte as it was.
//!
//! What is not the one DER encoding of its value is refused: so what is written again is what was read.

use super::{Error, SctList};
use crate::der::{Element, Reader, Writer, tag};

/// Contents of the poison's identifier, 1.3.6.1.4.1.11129.2.4.3 (RFC 6962, section 3.1).
pub const POISON: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x03];

/// Contents of the SCT list's identifier, 1.3.6.1.4.1.11129.2.4.2 (RFC 6962, section 3.3).
pub const SCT_LIST: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x02];

/// The most extensions that are read of a certificate.
const EXTENSIONS_MAX: usize = 64;

const THE_POISON: &str = "the poison extension";
const THE_SCTS: &str = "the SCT list extension";

/// The poison extension, whole: critical, with NULL for its value (RFC 6962, section 3.1).
pub fn poison_extension() -> Vec<u8> {
    let mut writer = Writer::new();
    writer.wrap(tag::SEQUENCE, |extension| {
        extension.octet_string(&[tag::NULL, 0]);
        extension.boolean_true();
        extension.object_identifier(POISON);
    });
    writer.finish()
}

/// DER of the TBSCertificate of a certificate (DER).
///
/// # Errors
/// [`Error::Der`] if it is no certificate, or has something behind it.
pub fn tbs_of(certificate: &[u8]) -> Result<&[u8], Error> {
    let mut outer = Reader::new(certificate);
    let mut whole = outer.sequence().map_err(Error::Der)?;
    outer.finish().map_err(Error::Der)?;
    let tbs = whole.any().map_err(Error::Der)?;
    whole.expect(tag::SEQUENCE).map_err(Error::Der)?;
    whole.expect(tag::BIT_STRING).map_err(Error::Der)?;
    whole.finish().map_err(Error::Der)?;
    Ok(tbs.der)
}

/// Whether a TBSCertificate (DER) is a precertificate's: it has the poison extension, whatever its form.
///
/// # Errors
/// [`Error::Der`] if it is no TBSCertificate of version 3.
pub fn is_precertificate(tbs: &[u8]) -> Result<bool, Error> {
    Ok(Tbs::read(tbs)?.places(POISON).next().is_some())
}

/// Whether a TBSCertificate (DER) carries SCTs, whatever their form.
///
/// # Errors
/// As [`is_precertificate`].
pub fn has_scts(tbs: &[u8]) -> Result<bool, Error> {
    Ok(Tbs::read(tbs)?.places(SCT_LIST).next().is_some())
}

/// A precertificate's TBSCertificate without its poison: what logs sign (RFC 6962, section 3.2).
///
/// # Errors
/// [`Error::NotOnce`] without exactly one poison; [`Error::Malformed`] if it is not critical or has another value than NULL;
/// [`Error::Unexpected`] beside SCTs; [`Error::NothingLeft`]; [`Error::Der`].
pub fn without_poison(tbs: &[u8]) -> Result<Vec<u8>, Error> {
    let tbs = Tbs::read(tbs)?;
    let place = tbs.poison()?;
    tbs.write(place, &[])
}

/// A precertificate's TBSCertificate with the SCTs at the place of its poison: the certificate's.
///
/// # Errors
/// As [`without_poison`].
pub fn with_scts(precertificate_tbs: &[u8], scts: &SctList) -> Result<Vec<u8>, Error> {
    let tbs = Tbs::read(precertificate_tbs)?;
    let place = tbs.poison()?;
    let value = scts.encode_extension_value()?;
    let mut writer = Writer::new();
    writer.extension(SCT_LIST, |contents| contents.raw(&value));
    tbs.write(place, &writer.finish())
}

/// A certificate's TBSCertificate without its SCTs: what these are about.
///
/// # Errors
/// [`Error::NotOnce`] without exactly one list of SCTs; [`Error::Unexpected`] beside a poison; [`Error::NothingLeft`];
/// [`Error::Der`].
pub fn without_scts(tbs: &[u8]) -> Result<Vec<u8>, Error> {
    let tbs = Tbs::read(tbs)?;
    let place = tbs.once(SCT_LIST, THE_SCTS, POISON, THE_POISON)?;
    tbs.write(place, &[])
}

/// The SCTs that a certificate's TBSCertificate carries.
///
/// # Errors
/// As [`without_scts`], and [`Error::Sct`] if they cannot be read.
pub fn scts_of(tbs: &[u8]) -> Result<SctList, Error> {
    let tbs = Tbs::read(tbs)?;
    let place = tbs.once(SCT_LIST, THE_SCTS, POISON, THE_POISON)?;
    let value = tbs.extensions.get(place).map(|extension| extension.value);
    SctList::parse_extension_value(value.ok_or(Error::NotOnce(THE_SCTS))?)
}

struct Extension<'a> {
    identifier: &'a [u8],
    is_critical: bool,
    value: &'a [u8],
    der: &'a [u8],
}

/// A TBSCertificate of version 3, taken apart as far as it takes to find its extensions (RFC 5280, section 4.1).
struct Tbs<'a> {
    /// Everything in front of the extensions.
    before: Vec<Element<'a>>,
    extensions: Vec<Extension<'a>>,
}

impl<'a> Tbs<'a> {
    fn read(der: &'a [u8]) -> Result<Self, Error> {
        let mut outer = Reader::new(der);
        let mut fields = outer.sequence().map_err(Error::Der)?;
        outer.finish().map_err(Error::Der)?;
        let mut before = Vec::with_capacity(9);
        let mut field = |fields: &mut Reader<'a>, expected: u8| -> Result<&'a [u8], Error> {
            let element = fields.any().map_err(Error::Der)?;
            if element.tag != expected {
                return Err(Error::Der(crate::der::Error::UnexpectedTag));
            }
            before.push(element);
            Ok(element.contents)
        };
        // Only version 3, which is written as 2, has extensions.
        if field(&mut fields, tag::context(0))? != [tag::INTEGER, 1, 2] {
            return Err(Error::Der(crate::der::Error::BadContents));
        }
        // serialNumber; then signature, issuer, validity, subject, subjectPublicKeyInfo.
        field(&mut fields, tag::INTEGER)?;
        for _ in 0..5 {
            field(&mut fields, tag::SEQUENCE)?;
        }
        // issuerUniqueID and subjectUniqueID, which nobody has used for long, are not read.
        let mut explicit = Reader::new(fields.expect(tag::context(3)).map_err(Error::Der)?);
        fields.finish().map_err(Error::Der)?;
        let list = explicit.sequence().map_err(Error::Der)?;
        explicit.finish().map_err(Error::Der)?;
        Ok(Self { before, extensions: extensions(list)? })
    }

    /// Where the extensions with this identifier are.
    fn places<'b>(&'b self, identifier: &'b [u8]) -> impl Iterator<Item = usize> + 'b {
        let extensions = self.extensions.iter().enumerate();
        extensions.filter(move |(_, one)| one.identifier == identifier).map(|(place, _)| place)
    }

    /// Where the only extension with this identifier is, in a certificate that has none of the other.
    fn once(
        &self,
        identifier: &[u8],
        name: &'static str,
        other: &[u8],
        other_name: &'static str,
    ) -> Result<usize, Error> {
        let mut places = self.places(identifier);
        let (Some(place), None) = (places.next(), places.next()) else { return Err(Error::NotOnce(name)) };
        match self.places(other).next() {
            None => Ok(place),
            Some(_) => Err(Error::Unexpected(other_name)),
        }
    }

    fn poison(&self) -> Result<usize, Error> {
        let place = self.once(POISON, THE_POISON, SCT_LIST, THE_SCTS)?;
        let is_good = |one: &Extension<'_>| one.is_critical && one.value == [tag::NULL, 0];
        if self.extensions.get(place).is_some_and(is_good) {
            Ok(place)
        } else {
            Err(Error::Malformed(THE_POISON))
        }
    }

    /// Writes it again, with `instead` for the extension at `place`.
    fn write(&self, place: usize, instead: &[u8]) -> Result<Vec<u8>, Error> {
        if instead.is_empty() && self.extensions.len() == 1 {
            return Err(Error::NothingLeft);
        }
        let mut writer = Writer::with_capacity(4096);
        writer.wrap(tag::SEQUENCE, |fields| {
            fields.wrap(tag::context(3), |explicit| {
                explicit.wrap(tag::SEQUENCE, |list| {
                    for (number, extension) in self.extensions.iter().enumerate().rev() {
                        list.raw(if number == place { instead } else { extension.der });
                    }
                });
            });
            for element in self.before.iter().rev() {
                fields.raw(element.der);
            }
        });
        Ok(writer.finish())
    }
}

fn extensions(mut list: Reader<'_>) -> Result<Vec<Extension<'_>>, Error> {
    let mut extensions = Vec::new();
    while !list.is_empty() {
        if extensions.len() == EXTENSIONS_MAX {
            return Err(Error::Der(crate::der::Error::BadContents));
        }
        extensions.push(extension(&mut list).map_err(Error::Der)?);
    }
    Ok(extensions)
}

fn extension<'a>(list: &mut Reader<'a>) -> Result<Extension<'a>, crate::der::Error> {
    let element = list.any()?;
    if element.tag != tag::SEQUENCE {
        return Err(crate::der::Error::UnexpectedTag);
    }
    let mut fields = Reader::new(element.contents);
    let identifier = fields.object_identifier()?;
    let is_critical = fields.default_false()?;
    let value = fields.expect(tag::OCTET_STRING)?;
    fields.finish()?;
    Ok(Extension { identifier, is_critical, value, der: element.der })
}
