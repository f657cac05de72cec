//! Certificates' rows in few bytes: there are millions of them, and most of each is what its issuer's others have as well.
//!
//! What certificates of one issuer, profile and place in its CRLs have in common is a dictionary (LZ4), a row of its own that
//! is put with the first certificate that needs it, under its own hash. Nothing of a single certificate is in it: no name, key,
//! serial number, SCT or signature.
//!
//! ```text
//! form u8 | order 16 | account 16 | issued, not before, not after: u64 ms each | bytes of the thumbprint u8 | thumbprint | body
//! form 1: the body is the certificate, DER
//! form 2: the body is dictionary 8 | bytes of the certificate u32 | LZ4 block
//! ```
//!
//! Numbers are big-endian. Rows of format 2 and earlier are JSON, which begins with a brace.

use ingam_protocol::der::{self, Reader, tag};
use ingam_protocol::{Bytes, Id, Timestamp};
use ring::digest::{SHA256, digest};

use super::CertificateRow;
use crate::engine::{Table, VALUE_BYTES_MAX};
use crate::error::Error;
use crate::table::{CERTIFICATE_DICTIONARIES, CERTIFICATES};
use crate::transaction::{Transaction, decode};

const PLAIN: u8 = 1;
const PACKED: u8 = 2;
const JSON: u8 = b'{';

const DICTIONARY_ID_BYTES: usize = 8;

/// Extensions that speak of issuer and profile alone: basicConstraints, keyUsage, certificatePolicies, authorityKeyIdentifier,
/// cRLDistributionPoints, extKeyUsage (RFC 5280, section 4.2.1), authorityInfoAccess (4.2.2.1), and the TLS feature (RFC 7633).
const COMMON_EXTENSIONS: [&[u8]; 8] = [
    &[0x55, 0x1d, 0x13],
    &[0x55, 0x1d, 0x0f],
    &[0x55, 0x1d, 0x20],
    &[0x55, 0x1d, 0x23],
    &[0x55, 0x1d, 0x1f],
    &[0x55, 0x1d, 0x25],
    &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01],
    &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x18],
];

/// What a certificate has in common with others.
struct Dictionary {
    id: [u8; DICTIONARY_ID_BYTES],
    bytes: Vec<u8>,
}

impl Dictionary {
    /// That of a certificate; none for what is not of X.509's form.
    fn of(certificate: &[u8]) -> Option<Self> {
        let bytes = in_common(certificate).ok()?;
        let mut id = [0; DICTIONARY_ID_BYTES];
        id.copy_from_slice(digest(&SHA256, &bytes).as_ref().get(..DICTIONARY_ID_BYTES)?);
        Some(Self { id, bytes })
    }
}

/// The parts of a certificate that do not speak of it alone, one behind the other (RFC 5280, section 4.1).
fn in_common(certificate: &[u8]) -> Result<Vec<u8>, der::Error> {
    let mut tbs = Reader::new(certificate).sequence()?.sequence()?;
    let mut common = Vec::with_capacity(certificate.len());
    // Version and serial number.
    tbs.optional(tag::context(0))?;
    tbs.integer()?;
    // signature and issuer.
    common.extend_from_slice(tbs.any()?.der);
    common.extend_from_slice(tbs.any()?.der);
    // validity and subject.
    tbs.any()?;
    tbs.any()?;
    let mut key = tbs.sequence()?;
    common.extend_from_slice(key.any()?.der);
    let mut extensions = Reader::new(tbs.expect(tag::context(3))?).sequence()?;
    while !extensions.is_empty() {
        let extension = extensions.any()?;
        if COMMON_EXTENSIONS.contains(&Reader::new(extension.contents).object_identifier()?) {
            common.extend_from_slice(extension.der);
        }
    }
    Ok(common)
}

/// Puts a certificate's row, and the dictionary that it needs.
pub(crate) fn certificate_put(
    transaction: &mut Transaction<'_>,
    key: Vec<u8>,
    row: &CertificateRow,
) -> Result<(), Error> {
    let dictionary = match Dictionary::of(&row.der) {
        None => None,
        Some(dictionary) => match transaction.get(CERTIFICATE_DICTIONARIES, &dictionary.id)? {
            Some(there) => Some(dictionary).filter(|dictionary| dictionary.bytes == there),
            None => {
                transaction.put(CERTIFICATE_DICTIONARIES, dictionary.id, dictionary.bytes.as_slice());
                Some(dictionary)
            }
        },
    };
    transaction.put(CERTIFICATES, key, encode(row, dictionary.as_ref())?);
    Ok(())
}

fn encode(row: &CertificateRow, dictionary: Option<&Dictionary>) -> Result<Vec<u8>, Error> {
    let thumbprint_bytes = u8::try_from(row.key_thumbprint.len())
        .map_err(|_| Error::Row("a certificate", "its key's thumbprint is no hash".into()))?;
    let packed = dictionary.and_then(|dictionary| {
        let block = lz4_flex::block::compress_with_dict(&row.der, &dictionary.bytes);
        let bytes = u32::try_from(row.der.len()).ok()?;
        let body = [dictionary.id.as_slice(), &bytes.to_be_bytes(), &block].concat();
        (body.len() < row.der.len()).then_some(body)
    });
    let (form, body) = match &packed {
        Some(body) => (PACKED, body.as_slice()),
        None => (PLAIN, &*row.der),
    };
    let mut value = vec![form];
    value.extend_from_slice(row.order.as_bytes());
    value.extend_from_slice(row.account.as_bytes());
    for time in [row.issued, row.not_before, row.not_after] {
        value.extend_from_slice(&time.unix_ms().to_be_bytes());
    }
    value.push(thumbprint_bytes);
    value.extend_from_slice(&row.key_thumbprint);
    value.extend_from_slice(body);
    Ok(value)
}

/// The row of a certificate. `get` reads tables as of the moment that is asked about.
pub(crate) fn certificate_get(
    key: &[u8],
    get: impl Fn(Table, &[u8]) -> Result<Option<Vec<u8>>, Error>,
) -> Result<Option<CertificateRow>, Error> {
    match get(CERTIFICATES, key)? {
        None => Ok(None),
        Some(value) if value.first() == Some(&JSON) => decode(CERTIFICATES, Some(value)),
        Some(value) => unpack(&value, |id| get(CERTIFICATE_DICTIONARIES, id)).map(Some),
    }
}

/// The row of a certificate inside a transaction.
pub(crate) fn certificate_find(
    transaction: &Transaction<'_>,
    key: &[u8],
) -> Result<Option<CertificateRow>, Error> {
    certificate_get(key, |table, key| transaction.get(table, key))
}

fn unpack(
    value: &[u8],
    dictionary: impl FnOnce(&[u8]) -> Result<Option<Vec<u8>>, Error>,
) -> Result<CertificateRow, Error> {
    let bad = || Error::Row("a certificate", "it is not in this version's form".into());
    let (form, row, body) = head(value).ok_or_else(bad)?;
    let der = match form {
        PLAIN => body.to_vec(),
        PACKED => {
            let (id, rest) = body.split_first_chunk::<DICTIONARY_ID_BYTES>().ok_or_else(bad)?;
            let (bytes, block) = rest.split_first_chunk().ok_or_else(bad)?;
            let bytes = usize::try_from(u32::from_be_bytes(*bytes)).map_err(|_| bad())?;
            if bytes > VALUE_BYTES_MAX {
                return Err(bad());
            }
            let missing = || Error::Row("a certificate", "the dictionary that it needs is not there".into());
            let dictionary = dictionary(id)?.ok_or_else(missing)?;
            let der = lz4_flex::block::decompress_with_dict(block, bytes, &dictionary)
                .map_err(|cause| Error::Row("a certificate", Box::new(cause)))?;
            Some(der).filter(|der| der.len() == bytes).ok_or_else(bad)?
        }
        _ => return Err(bad()),
    };
    Ok(CertificateRow { der: der.into(), ..row })
}

/// What stands before the certificate itself: the form, a row without its certificate, and what comes behind.
fn head(value: &[u8]) -> Option<(u8, CertificateRow, &[u8])> {
    let (&form, rest) = value.split_first()?;
    let (order, rest) = rest.split_first_chunk()?;
    let (account, rest) = rest.split_first_chunk()?;
    let (issued, rest) = time(rest)?;
    let (not_before, rest) = time(rest)?;
    let (not_after, rest) = time(rest)?;
    let (&bytes, rest) = rest.split_first()?;
    let (thumbprint, body) = rest.split_at_checked(usize::from(bytes))?;
    let (order, account) = (Id::from_bytes(*order), Id::from_bytes(*account));
    let (der, key_thumbprint) = (Bytes::default(), thumbprint.into());
    Some((form, CertificateRow { der, order, account, issued, not_before, not_after, key_thumbprint }, body))
}

fn time(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (ms, rest) = bytes.split_first_chunk()?;
    Some((Timestamp::from_unix_ms(u64::from_be_bytes(*ms)), rest))
}

#[cfg(test)]
mod tests;
