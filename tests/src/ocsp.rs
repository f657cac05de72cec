//! OCSP by hand (RFC 6960): a request for one certificate, and what the answer says.
//!
//! For the many questions of the load tests, where a process for each would take longer than the tests themselves.
//! Nothing here verifies a signature: [`crate::openssl`] does, in every story that is about OCSP.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use ring::digest;

use crate::Error;
use crate::certificate::{Chain, parse};
use crate::http::{Answer, Connection, Place};

/// The media type of a request.
pub const REQUEST: &str = "application/ocsp-request";
/// The media type of a response.
pub const RESPONSE: &str = "application/ocsp-response";

/// The hash of a CertID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1: what most clients send.
    Sha1,
    /// SHA-256: what RFC 9919 recommends.
    Sha256,
}

/// What an OCSP response says about one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// `good`.
    Good,
    /// `revoked`, with its CRLReason if there is one, and the time as GeneralizedTime has it.
    Revoked {
        /// The CRLReason.
        reason: Option<u8>,
        /// When, as `YYYYMMDDHHMMSSZ`.
        at: String,
    },
    /// `unknown`.
    Unknown,
    /// No answer but an OCSPResponseStatus, such as 6 for `unauthorized`.
    Refused(u8),
}

/// `unauthorized`: this responder does not speak for that certificate (RFC 6960 2.3).
pub const UNAUTHORIZED: Status = Status::Refused(6);
/// `malformedRequest`.
pub const MALFORMED: Status = Status::Refused(1);

/// A request for the leaf of a chain.
pub fn request_for(chain: &Chain, hash: Hash) -> Vec<u8> {
    request(chain.issuer(), &chain.serial(), hash)
}

/// A request for a serial (its contents octets, as in DER) of an issuer's certificate.
pub fn request(issuer: &[u8], serial: &[u8], hash: Hash) -> Vec<u8> {
    const SHA1_OID: &[u8] = &[0x06, 0x05, 0x2B, 0x0E, 0x03, 0x02, 0x1A];
    const SHA256_OID: &[u8] = &[0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
    const NULL: &[u8] = &[0x05, 0x00];
    let issuer = parse(issuer);
    let name = issuer.subject().as_raw();
    let key = issuer.public_key().subject_public_key.data.as_ref();
    let (oid, algorithm) = match hash {
        Hash::Sha1 => (SHA1_OID, &digest::SHA1_FOR_LEGACY_USE_ONLY),
        Hash::Sha256 => (SHA256_OID, &digest::SHA256),
    };
    let cert_id = sequence(&[
        sequence(&[oid.to_vec(), NULL.to_vec()]),
        tagged(0x04, digest::digest(algorithm, name).as_ref()),
        tagged(0x04, digest::digest(algorithm, key).as_ref()),
        tagged(0x02, serial),
    ]);
    // OCSPRequest { tbsRequest { requestList { Request { reqCert } } } }
    (0..4).fold(cert_id, |inner, _| sequence(&[inner]))
}

/// Asks by POST.
pub async fn post(connection: &mut Connection, url: &str, request: &[u8]) -> Result<Answer, Error> {
    let request = Request::post(url)
        .header("content-type", REQUEST)
        .body(Full::new(Bytes::copy_from_slice(request)))
        .expect("a request");
    connection.send(request).await
}

/// Asks by GET.
pub async fn get(connection: &mut Connection, url: &str, request: &[u8]) -> Result<Answer, Error> {
    connection.get(&get_url(url, request)).await
}

/// The URL of a GET (RFC 6960 A.1): base64, then the percent-encoding of what a URL cannot hold.
pub fn get_url(url: &str, request: &[u8]) -> String {
    let text = STANDARD.encode(request).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    format!("{}/{text}", url.trim_end_matches('/'))
}

/// A connection to a responder.
pub fn connect(url: &str) -> Connection {
    assert!(!Place::of(url).is_https, "OCSP is asked over plain HTTP, not at {url}");
    Connection::to(url, None)
}

/// What a response says about its one certificate; fails the test if it is no response.
#[track_caller]
pub fn status(response: &[u8]) -> Status {
    read_status(response).unwrap_or_else(|| panic!("no OCSP response: {response:02X?}"))
}

/// The certificates that came with a response, DER: that of a delegate, where one signed it.
#[track_caller]
pub fn certificates(response: &[u8]) -> Vec<Vec<u8>> {
    read_certificates(response).unwrap_or_else(|| panic!("no OCSP response: {response:02X?}"))
}

fn read_certificates(response: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut response = Der(response).inside(0x30)?;
    response.inside(0x0A)?;
    let mut bytes = response.inside(0xA0)?.inside(0x30)?;
    bytes.inside(0x06)?;
    // BasicOCSPResponse { tbsResponseData, signatureAlgorithm, signature, certs }.
    let mut basic = bytes.inside(0x04)?.inside(0x30)?;
    for _ in 0..3 {
        basic.any()?;
    }
    let Some(mut certificates) = basic.inside(0xA0) else { return Some(Vec::new()) };
    let mut rest = certificates.inside(0x30)?;
    let mut found = Vec::new();
    while rest.tag().is_some() {
        let before = rest.0;
        rest.any()?;
        found.push(before[..before.len() - rest.0.len()].to_vec());
    }
    Some(found)
}

fn read_status(response: &[u8]) -> Option<Status> {
    let mut response = Der(response).inside(0x30)?;
    let code = *response.inside(0x0A)?.0.first()?;
    if code != 0 {
        return Some(Status::Refused(code));
    }
    // responseBytes { type, response } and in it BasicOCSPResponse { tbsResponseData … }.
    let mut bytes = response.inside(0xA0)?.inside(0x30)?;
    bytes.inside(0x06)?;
    let mut data = bytes.inside(0x04)?.inside(0x30)?.inside(0x30)?;
    if data.tag()? == 0xA0 {
        data.any()?;
    }
    // responderID, producedAt, and then the responses, of which the first is read.
    data.any()?;
    data.inside(0x18)?;
    let mut single = data.inside(0x30)?.inside(0x30)?;
    single.inside(0x30)?;
    match single.any()? {
        (0x80, _) => Some(Status::Good),
        (0x82, _) => Some(Status::Unknown),
        (0xA1, contents) => {
            let mut revoked = Der(contents);
            let at = String::from_utf8(revoked.inside(0x18)?.0.to_vec()).ok()?;
            let reason = revoked.inside(0xA0).and_then(|mut reason| reason.inside(0x0A)?.0.first().copied());
            Some(Status::Revoked { reason, at })
        }
        _ => None,
    }
}

/// Just enough of a DER reader: definite lengths of up to four octets, single-octet tags.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element, as its tag and contents.
    fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, mut rest) = rest.split_first()?;
        let mut length = usize::from(*first);
        if length >= 0x80 {
            let octets = length & 0x7F;
            if octets == 0 || octets > 4 {
                return None;
            }
            let (digits, after) = rest.split_at_checked(octets)?;
            length = digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit));
            rest = after;
        }
        let (contents, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some((*tag, contents))
    }

    /// Steps over the next element and gives its contents, if it has this tag.
    fn inside(&mut self, tag: u8) -> Option<Der<'a>> {
        if self.tag()? != tag {
            return None;
        }
        self.any().map(|(_, contents)| Der(contents))
    }
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tagged(0x30, &parts.concat())
}

fn tagged(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(contents.len()) {
        Ok(length @ 0..=0x7F) => out.push(length),
        Ok(length) => out.extend([0x81, length]),
        Err(_) => {
            let length = u16::try_from(contents.len()).expect("requests of tests are short");
            out.push(0x82);
            out.extend(length.to_be_bytes());
        }
    }
    out.extend(contents);
    out
}

#[cfg(test)]
mod tests {
    //! openssl's command line is the judge: its request is ours to the byte, and we read what its responder answers.

    use std::path::Path;

    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    use tempfile::TempDir;
    use tokio::process::Command;

    use super::*;
    use crate::command::run;

    /// A CA and one certificate of it, in PEM, with the CA's key beside them.
    fn write_chain(folder: &Path) -> Chain {
        let ca_key = KeyPair::generate().expect("a key");
        let mut ca = CertificateParams::new(Vec::new()).expect("no names");
        ca.distinguished_name.push(DnType::CommonName, "Test CA");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key).expect("a certificate");
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(vec!["leaf.example.org".to_owned()]).expect("a name");
        std::fs::write(folder.join("ca.key"), ca_key.serialize_pem()).expect("a file");
        let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).expect("a certificate");
        Chain::from_pem(format!("{}{}", leaf.pem(), ca_certificate.pem()).as_bytes())
    }

    async fn openssl(folder: &Path, arguments: &str) {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(folder);
        run(&mut command, "Install openssl").await.succeeded();
    }

    #[tokio::test]
    async fn our_request_is_that_of_openssl() {
        let folder = TempDir::new().expect("a folder");
        let chain = write_chain(folder.path());
        chain.write(folder.path());
        for (hash, flag) in [(Hash::Sha1, "-sha1"), (Hash::Sha256, "-sha256")] {
            let arguments =
                format!("ocsp {flag} -no_nonce -issuer issuer.pem -cert leaf.pem -reqout request");
            openssl(folder.path(), &arguments).await;
            let theirs = std::fs::read(folder.path().join("request")).expect("openssl wrote its request");
            assert_eq!(request_for(&chain, hash), theirs);
        }
    }

    #[tokio::test]
    async fn we_read_what_the_responder_of_openssl_says() {
        let folder = TempDir::new().expect("a folder");
        let chain = write_chain(folder.path());
        chain.write(folder.path());
        std::fs::write(folder.path().join("request"), request_for(&chain, Hash::Sha256)).expect("a file");
        let serial = chain.serial_hex();
        // openssl's index has years of two digits.
        let (index_at, at) = ("250102030405Z", "20250102030405Z");
        let cases = [
            (format!("V\t491231235959Z\t\t{serial}\tunknown\t/CN=leaf\n"), Status::Good),
            (String::new(), Status::Unknown),
            (
                format!("R\t491231235959Z\t{index_at},keyCompromise\t{serial}\tunknown\t/CN=leaf\n"),
                Status::Revoked { reason: Some(1), at: at.to_owned() },
            ),
            (
                format!("R\t491231235959Z\t{index_at}\t{serial}\tunknown\t/CN=leaf\n"),
                Status::Revoked { reason: None, at: at.to_owned() },
            ),
        ];
        for (index, expected) in cases {
            std::fs::write(folder.path().join("index.txt"), index).expect("a file");
            let arguments = "ocsp -index index.txt -CA issuer.pem -rsigner issuer.pem -rkey ca.key \
                             -reqin request -respout response -ndays 1";
            openssl(folder.path(), arguments).await;
            let response = std::fs::read(folder.path().join("response")).expect("openssl wrote its response");
            assert_eq!(status(&response), expected);
        }
        assert_eq!(status(&[0x30, 0x03, 0x0A, 0x01, 0x06]), UNAUTHORIZED);
    }
}
