//! Reading back a list that this CA wrote. Nothing else is read: another form than ours is refused.

use crate::crl::{AUTHORITY_KEY_IDENTIFIER, CRL_NUMBER, Entry, ISSUING_DISTRIBUTION_POINT, REASON_CODE, URI};
use crate::der::{Element, Error, Reader, tag};
use crate::revocation::Reason;
use crate::serial::Serial;
use crate::time::Timestamp;

/// A CertificateList as [`crate::crl::certificate_list`] writes it, taken apart. The signature was not verified, and the
/// entries are read when they are asked for.
#[derive(Clone, Debug)]
pub struct SignedList<'a> {
    /// DER of the TBSCertList: what is signed.
    pub tbs: &'a [u8],
    /// DER of the AlgorithmIdentifier, the same inside and outside of `tbs`.
    pub signature_algorithm: &'a [u8],
    /// The signature's octets.
    pub signature: &'a [u8],
    /// DER of the issuer's name.
    pub issuer: &'a [u8],
    /// The CRL's number.
    pub number: u64,
    /// From when it holds.
    pub this_update: Timestamp,
    /// When the next one is there at the latest.
    pub next_update: Timestamp,
    /// The URL in its issuingDistributionPoint, if it has one.
    pub distribution_point: Option<&'a str>,
    entries: Reader<'a>,
}

impl<'a> SignedList<'a> {
    /// Takes a list apart.
    ///
    /// # Errors
    /// [`Error`] if it is not in the form in which this CA writes lists.
    pub fn read(der: &'a [u8]) -> Result<Self, Error> {
        let mut outer = Reader::new(der);
        let mut list = outer.sequence()?;
        outer.finish()?;
        let tbs = sequence_element(&mut list)?;
        let signature_algorithm = sequence_element(&mut list)?.der;
        let [0, signature @ ..] = list.expect(tag::BIT_STRING)? else { return Err(Error::BadContents) };
        list.finish()?;
        let mut fields = Reader::new(tbs.contents);
        if fields.integer()? != [1] || sequence_element(&mut fields)?.der != signature_algorithm {
            return Err(Error::BadContents);
        }
        let issuer = sequence_element(&mut fields)?.der;
        let (this_update, next_update) = (fields.time()?, fields.time()?);
        let entries = Reader::new(fields.optional(tag::SEQUENCE)?.unwrap_or_default());
        let mut explicit = Reader::new(fields.expect(tag::context(0))?);
        fields.finish()?;
        let (number, distribution_point) = extensions(explicit.sequence()?)?;
        explicit.finish()?;
        Ok(Self {
            tbs: tbs.der,
            signature_algorithm,
            signature,
            issuer,
            number,
            this_update,
            next_update,
            distribution_point,
            entries,
        })
    }

    /// What is revoked, in the order of the list. After an error there is nothing more.
    pub fn entries(&self) -> impl Iterator<Item = Result<Entry, Error>> + 'a {
        let mut rest = self.entries.clone();
        let mut is_broken = false;
        std::iter::from_fn(move || {
            if is_broken || rest.is_empty() {
                return None;
            }
            let entry = entry(&mut rest);
            is_broken = entry.is_err();
            Some(entry)
        })
    }
}

fn sequence_element<'a>(reader: &mut Reader<'a>) -> Result<Element<'a>, Error> {
    let element = reader.any()?;
    if element.tag == tag::SEQUENCE { Ok(element) } else { Err(Error::UnexpectedTag) }
}

/// The CRL's number and the URL of its issuingDistributionPoint.
fn extensions(mut extensions: Reader<'_>) -> Result<(u64, Option<&str>), Error> {
    let (mut number, mut url) = (None, None);
    while !extensions.is_empty() {
        let mut extension = extensions.sequence()?;
        let identifier = extension.object_identifier()?;
        let is_critical = extension.default_false()?;
        let mut value = Reader::new(extension.expect(tag::OCTET_STRING)?);
        extension.finish()?;
        match (identifier, is_critical) {
            (AUTHORITY_KEY_IDENTIFIER, false) => {
                value.expect(tag::SEQUENCE)?;
            }
            (CRL_NUMBER, false) if number.is_none() => number = Some(unsigned(value.integer()?)?),
            (ISSUING_DISTRIBUTION_POINT, true) if url.is_none() => {
                let mut point = value.sequence()?;
                let mut name = Reader::new(point.expect(tag::context(0))?);
                let mut full_name = Reader::new(name.expect(tag::context(0))?);
                let text = full_name.expect(URI)?;
                full_name.finish().and_then(|()| name.finish()).and_then(|()| point.finish())?;
                url = Some(std::str::from_utf8(text).map_err(|_| Error::BadContents)?);
            }
            _ => return Err(Error::BadContents),
        }
        value.finish()?;
    }
    Ok((number.ok_or(Error::Truncated)?, url))
}

fn unsigned(octets: &[u8]) -> Result<u64, Error> {
    if octets.len() > 9 || octets.first().is_none_or(|first| *first >= 0x80) {
        return Err(Error::BadContents);
    }
    let digits = octets.strip_prefix(&[0]).unwrap_or(octets);
    if digits.len() > 8 {
        return Err(Error::BadContents);
    }
    Ok(digits.iter().fold(0, |number, digit| (number << 8) | u64::from(*digit)))
}

/// One element of `revokedCertificates`.
fn entry(list: &mut Reader<'_>) -> Result<Entry, Error> {
    let mut fields = list.sequence()?;
    let number = fields.integer()?;
    let serial = Some(number).filter(|number| number.first().is_some_and(|first| *first < 0x80));
    let serial = serial.and_then(Serial::from_be_bytes).ok_or(Error::BadContents)?;
    let revoked_at = fields.time()?;
    let reason = match fields.optional(tag::SEQUENCE)? {
        None => Reason::Unspecified,
        Some(extensions) => reason(Reader::new(extensions))?,
    };
    fields.finish()?;
    Ok(Entry { serial, revoked_at, reason })
}

/// The one extension that an entry has.
fn reason(mut extensions: Reader<'_>) -> Result<Reason, Error> {
    let mut extension = extensions.sequence()?;
    extensions.finish()?;
    if extension.object_identifier()? != REASON_CODE {
        return Err(Error::BadContents);
    }
    let mut value = Reader::new(extension.expect(tag::OCTET_STRING)?);
    extension.finish()?;
    let reason = match value.expect(tag::ENUMERATED)? {
        [number] => Reason::from_number(*number).filter(|reason| *reason != Reason::Unspecified),
        _ => None,
    };
    value.finish()?;
    reason.ok_or(Error::BadContents)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crl::{RevocationList, certificate_list};

    const ECDSA_SHA256: &[u8] = &[0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    const NAME: &[u8] = &[0x30, 0x0c, 0x31, 0x0a, 0x30, 8, 6, 3, 0x55, 4, 3, 0x0c, 1, b'A'];

    fn list(number: u64, entries: Vec<Entry>, url: Option<&str>) -> RevocationList {
        RevocationList {
            signature_algorithm: ECDSA_SHA256.to_vec(),
            issuer: NAME.to_vec(),
            authority_key_id: vec![0x55; 20],
            number,
            this_update: Timestamp::from_unix_s(1_795_255_200),
            // A list on the border between both kinds of dates.
            next_update: Timestamp::from_unix_s(2_524_608_000),
            distribution_point: url.map(str::to_owned),
            entries,
        }
    }

    fn some_entry() -> impl Strategy<Value = Entry> {
        let reasons = [0_u8, 1, 3, 4, 5, 9].map(|number| Reason::from_number(number).unwrap());
        let serial = proptest::collection::vec(any::<u8>(), 1..=20)
            .prop_filter_map("zero", |bytes| Serial::from_be_bytes(&bytes));
        (serial, 0_u64..4_000_000_000, proptest::sample::select(reasons.to_vec())).prop_map(
            |(serial, at, reason)| Entry {
                serial,
                revoked_at: Timestamp::from_unix_s(at.max(946_684_800)),
                reason,
            },
        )
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            number in any::<u64>(),
            entries in proptest::collection::vec(some_entry(), 0..20),
            url in proptest::option::of("http://[a-z]{1,200}/crl"),
        ) {
            let tbs = list(number, entries.clone(), url.as_deref()).encode_tbs();
            let der = certificate_list(tbs.clone(), ECDSA_SHA256, &[9; 70]);
            let read = SignedList::read(&der).unwrap();
            prop_assert_eq!(read.tbs, tbs.as_slice());
            prop_assert_eq!((read.signature_algorithm, read.signature, read.issuer), (ECDSA_SHA256, &[9; 70][..], NAME));
            prop_assert_eq!((read.number, read.distribution_point), (number, url.as_deref()));
            prop_assert_eq!(read.this_update.unix_s(), 1_795_255_200);
            prop_assert_eq!(read.next_update.unix_s(), 2_524_608_000);
            let back: Result<Vec<_>, _> = read.entries().collect();
            prop_assert_eq!(back.unwrap(), entries);
        }

        #[test]
        fn damage_is_an_error_and_never_a_panic(at in 0_usize..400, with in any::<u8>(), cut in 0_usize..400) {
            let entries = vec![Entry {
                serial: Serial::from_be_bytes(&[0x20; 18]).unwrap(),
                revoked_at: Timestamp::from_unix_s(1_795_255_200),
                reason: Reason::KeyCompromise,
            }];
            let tbs = list(7, entries, Some("http://ca.example/crl/a/1.crl")).encode_tbs();
            let mut der = certificate_list(tbs, ECDSA_SHA256, &[9; 70]);
            let length = der.len();
            der[at % length] = with;
            der.truncate(length - cut % length);
            if let Ok(read) = SignedList::read(&der) {
                let _ = read.entries().count();
            }
        }
    }
}
