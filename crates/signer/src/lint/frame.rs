//! The frame of a TBSCertificate (RFC 5280, section 4.1): each field with exactly the tag it must have.
//!
//! The library that reads the fields' contents is lenient here: it takes an OBJECT IDENTIFIER under nearly any tag, and
//! an INTEGER of the wrong class. Other clients are not.

use ingam_protocol::der::{Error, Reader, tag};

use super::{Finding, Verdict};

/// Checks tags and order of all fields, down to those of the extensions. What issuer, subject and the extensions' values
/// hold is compared byte for byte elsewhere.
pub(super) fn check(tbs: &[u8]) -> Verdict {
    read(tbs).map_err(|error| Finding::new("frame", error.to_string()))
}

fn read(tbs: &[u8]) -> Result<(), Error> {
    let mut outer = Reader::new(tbs);
    let mut fields = outer.sequence()?;
    outer.finish()?;
    let mut version = Reader::new(fields.expect(tag::context(0))?);
    version.integer()?;
    version.finish()?;
    fields.integer()?;
    algorithm(&mut fields)?;
    fields.expect(tag::SEQUENCE)?;
    validity(fields.sequence()?)?;
    fields.expect(tag::SEQUENCE)?;
    let mut key = fields.sequence()?;
    algorithm(&mut key)?;
    key.expect(tag::BIT_STRING)?;
    key.finish()?;
    let mut explicit = Reader::new(fields.expect(tag::context(3))?);
    fields.finish()?;
    let mut extensions = explicit.sequence()?;
    explicit.finish()?;
    while !extensions.is_empty() {
        let mut extension = extensions.sequence()?;
        extension.object_identifier()?;
        extension.default_false()?;
        extension.expect(tag::OCTET_STRING)?;
        extension.finish()?;
    }
    Ok(())
}

/// An AlgorithmIdentifier: parameters are absent, NULL, or the OBJECT IDENTIFIER of a curve.
fn algorithm(fields: &mut Reader<'_>) -> Result<(), Error> {
    let mut algorithm = fields.sequence()?;
    algorithm.object_identifier()?;
    match algorithm.optional(tag::NULL)? {
        Some([]) => {}
        Some(_) => return Err(Error::BadContents),
        None if algorithm.is_empty() => {}
        None => {
            algorithm.object_identifier()?;
        }
    }
    algorithm.finish()
}

fn validity(mut times: Reader<'_>) -> Result<(), Error> {
    for _ in 0..2 {
        let time = times.any()?;
        if !matches!(time.tag, tag::UTC_TIME | tag::GENERALIZED_TIME) {
            return Err(Error::UnexpectedTag);
        }
    }
    times.finish()
}
