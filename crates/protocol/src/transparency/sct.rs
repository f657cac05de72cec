//! A log's promise, alone and in a list.

use super::wire::{Wire, put_short};
use super::{Error, LogId};
use crate::Timestamp;
use crate::der::{Reader, Writer, tag};

/// The most SCTs of a list: browsers ask for three.
pub const SCTS_MAX: usize = 16;

/// The most bytes of an SCT's extensions: the one that exists takes eight.
pub const EXTENSIONS_BYTES_MAX: usize = 256;

/// The most bytes of a signature: RSA with 4096 bits has 512.
const SIGNATURE_BYTES_MAX: usize = 512;

/// The version 1 of an SCT (RFC 6962, section 3.2).
const V1: u8 = 0;

/// The type of the extension that says at which place of the log the entry is (static-ct-api, "SCT Extension").
const LEAF_INDEX: u8 = 0;

/// A SignedCertificateTimestamp of version 1 (RFC 6962, section 3.2): a log's promise to show a certificate to everybody.
/// Whether its signature is good is another question: [`super::LogKey::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sct {
    /// Whose promise it is.
    pub log: LogId,
    /// When it was made; SCTs count milliseconds.
    pub timestamp: Timestamp,
    /// The CtExtensions, without their length; empty for logs of RFC 6962.
    pub extensions: Vec<u8>,
    /// HashAlgorithm and SignatureAlgorithm of TLS 1.2 (RFC 5246, section 7.4.1.4.1).
    pub algorithm: [u8; 2],
    /// The signature itself; DER for ECDSA.
    pub signature: Vec<u8>,
}

impl Sct {
    /// Reads the bytes of one SCT, all of them.
    ///
    /// # Errors
    /// [`Error::Sct`] if they are no SCT of version 1, have something behind it, or parts that no log makes so long.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let cut = Error::Sct("it is cut short");
        let mut wire = Wire::new(bytes);
        if wire.byte().ok_or(cut)? != V1 {
            return Err(Error::Sct("it is not of version 1"));
        }
        let log = LogId(wire.array().ok_or(cut)?);
        let sent_ms = u64::from_be_bytes(wire.array().ok_or(cut)?);
        let timestamp = Timestamp::from_unix_ms(sent_ms);
        let extensions = wire.short().ok_or(cut)?.to_vec();
        let (algorithm, signature) = signed(&mut wire)?;
        if !wire.is_empty() {
            return Err(Error::Sct("something is left over"));
        }
        // A moment after the year 9999 would be written back as another one.
        if timestamp.unix_ms() != sent_ms || extensions.len() > EXTENSIONS_BYTES_MAX {
            return Err(Error::Sct("its time or its extensions are absurd"));
        }
        Ok(Self { log, timestamp, extensions, algorithm, signature })
    }

    /// From the parts of a log's answer (RFC 6962, section 4.1): `signature` is the digitally-signed struct whole.
    ///
    /// # Errors
    /// As [`Sct::parse`].
    pub fn from_answer(
        log: LogId,
        timestamp_ms: u64,
        extensions: &[u8],
        signature: &[u8],
    ) -> Result<Self, Error> {
        let mut bytes = vec![V1];
        bytes.extend(log.0);
        bytes.extend(timestamp_ms.to_be_bytes());
        put_short(&mut bytes, extensions)?;
        bytes.extend(signature);
        Self::parse(&bytes)
    }

    /// The bytes of the SCT.
    ///
    /// # Errors
    /// [`Error::Sct`] if a part is longer than its length can say.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![V1];
        bytes.extend(self.log.0);
        bytes.extend(self.timestamp.unix_ms().to_be_bytes());
        put_short(&mut bytes, &self.extensions)?;
        bytes.extend(self.digitally_signed()?);
        Ok(bytes)
    }

    /// Its signature as the digitally-signed struct, which a log's answer carries by itself.
    ///
    /// # Errors
    /// As [`Sct::encode`].
    pub fn digitally_signed(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = self.algorithm.to_vec();
        put_short(&mut bytes, &self.signature)?;
        Ok(bytes)
    }

    /// The place of the entry in the log, from 0, which logs of static-ct-api give; `None` if there is none, or not one in
    /// the form of that specification.
    pub fn leaf_index(&self) -> Option<u64> {
        let mut wire = Wire::new(&self.extensions);
        let mut found = None;
        let mut seen = Vec::new();
        while !wire.is_empty() {
            let kind = wire.byte()?;
            let data = wire.short()?;
            if seen.contains(&kind) {
                return None;
            }
            seen.push(kind);
            if kind == LEAF_INDEX {
                let [a, b, c, d, e] = *data else { return None };
                found = Some(u64::from_be_bytes([0, 0, 0, a, b, c, d, e]));
            }
        }
        found
    }
}

fn signed(wire: &mut Wire<'_>) -> Result<([u8; 2], Vec<u8>), Error> {
    let cut = Error::Sct("its signature is cut short");
    let algorithm = wire.array().ok_or(cut)?;
    let signature = wire.short().ok_or(cut)?;
    if signature.is_empty() || signature.len() > SIGNATURE_BYTES_MAX {
        return Err(Error::Sct("its signature is empty or absurdly long"));
    }
    Ok((algorithm, signature.to_vec()))
}

/// The CtExtensions with the place of an entry alone; only the lowest 40 bits of `index` count.
pub fn leaf_index_extension(index: u64) -> Vec<u8> {
    let [_, _, _, a, b, c, d, e] = index.to_be_bytes();
    vec![LEAF_INDEX, 0, 5, a, b, c, d, e]
}

/// One to sixteen SCTs, as certificates carry them (RFC 6962, section 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SctList(Vec<Sct>);

impl SctList {
    /// A list of these, in this order.
    ///
    /// # Errors
    /// [`Error::Sct`] if there are none, too many, two of one log, or more bytes than a list can have.
    pub fn new(scts: Vec<Sct>) -> Result<Self, Error> {
        if scts.is_empty() || scts.len() > SCTS_MAX {
            return Err(Error::Sct("a list has one to sixteen of them"));
        }
        let twice = |(place, sct): (usize, &Sct)| scts.iter().take(place).any(|other| other.log == sct.log);
        if scts.iter().enumerate().any(twice) {
            return Err(Error::Sct("two of them are of one log"));
        }
        let list = Self(scts);
        list.encode()?;
        Ok(list)
    }

    /// Reads a SignedCertificateTimestampList, without any DER around it. Lists of other CAs may have SCTs of other versions,
    /// or two of one log, and are refused.
    ///
    /// # Errors
    /// [`Error::Sct`] as [`SctList::new`] and [`Sct::parse`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut outer = Wire::new(bytes);
        let list = outer.short().ok_or(Error::Sct("the list is cut short"))?;
        if !outer.is_empty() {
            return Err(Error::Sct("something is left over behind the list"));
        }
        let mut wire = Wire::new(list);
        let mut scts = Vec::new();
        while !wire.is_empty() {
            if scts.len() == SCTS_MAX {
                return Err(Error::Sct("a list has one to sixteen of them"));
            }
            scts.push(Sct::parse(wire.short().ok_or(Error::Sct("the list is cut short"))?)?);
        }
        Self::new(scts)
    }

    /// The SignedCertificateTimestampList.
    ///
    /// # Errors
    /// [`Error::Sct`] never for a list that was made by [`SctList::new`] or read.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut inner = Vec::new();
        for sct in &self.0 {
            put_short(&mut inner, &sct.encode()?)?;
        }
        let mut bytes = Vec::with_capacity(inner.len() + 2);
        put_short(&mut bytes, &inner)?;
        Ok(bytes)
    }

    /// The value of the X.509 extension: an OCTET STRING with the list in it.
    ///
    /// # Errors
    /// As [`SctList::encode`].
    pub fn encode_extension_value(&self) -> Result<Vec<u8>, Error> {
        let mut writer = Writer::new();
        writer.octet_string(&self.encode()?);
        Ok(writer.finish())
    }

    /// Reads the value of the X.509 extension.
    ///
    /// # Errors
    /// [`Error::Der`] if it is no OCTET STRING; otherwise as [`SctList::parse`].
    pub fn parse_extension_value(value: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(value);
        let list = reader.expect(tag::OCTET_STRING).map_err(Error::Der)?;
        reader.finish().map_err(Error::Der)?;
        Self::parse(list)
    }

    /// The SCTs, in their order.
    pub fn scts(&self) -> &[Sct] {
        &self.0
    }
}
