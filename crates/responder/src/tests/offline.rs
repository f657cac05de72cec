//! What CAs publish whose keys are offline: given out as it lies there, or refused by its file's name.

use std::fs;
use std::path::Path;

use http::{Method, StatusCode};
use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Timestamp, pem};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod,
    KeyPair, SerialNumber,
};

use super::world::*;
use crate::offline::OfflineFiles;
use crate::{Config, OfflineError};

/// The certificate and the CRL of a CA that is made for this test.
fn authority(name: &str, ends: Timestamp) -> (Vec<u8>, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let list = CertificateRevocationListParams {
        this_update: start().to_date_time(),
        next_update: ends.to_date_time(),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&Issuer::new(params, key)).unwrap();
    (certificate.der().to_vec(), list.der().to_vec())
}

fn read(folder: &Path) -> Result<OfflineFiles, OfflineError> {
    let taken = ["e1", "e2"].map(|name| IssuerName::try_from(name.to_owned()).unwrap());
    OfflineFiles::read(folder, &taken)
}

#[tokio::test]
async fn a_roots_certificate_and_crl_are_given_out_from_their_files() {
    let (world, folder) = (World::new(&Config::default()), tempfile::tempdir().unwrap());
    let (certificate, list) = authority("root", start().plus(365 * DAY));
    let missing = |path: &'static str| async { world.send(Method::GET, path, &[], b"").await.status() };
    assert_eq!(
        (missing("/crl/root.crl").await, missing("/issuer/root.crt").await),
        (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND)
    );
    fs::write(folder.path().join("root.crt"), pem::certificate(&certificate)).unwrap();
    fs::write(folder.path().join("root.crl"), &list).unwrap();
    fs::write(folder.path().join(".root.crl.new"), "half of a").unwrap();
    let files = read(folder.path()).unwrap();
    assert!(files.is_same(&read(folder.path()).unwrap()) && !files.is_same(&OfflineFiles::default()));
    world.responder.replace_offline(files);
    let (headers, body) = world.get("/issuer/root.crt").await;
    assert_eq!(
        (body.as_ref(), header(&headers, "content-type")),
        (certificate.as_slice(), "application/pkix-cert")
    );
    let (headers, body) = world.get("/crl/root.crl").await;
    assert_eq!((body.as_ref(), header(&headers, "content-type")), (list.as_slice(), "application/pkix-crl"));
    assert_eq!(header(&headers, "cache-control"), "max-age=300, public, no-transform, must-revalidate");
    for name in ["last-modified", "expires"] {
        assert!(header(&headers, name).ends_with(" GMT"), "{name}");
    }
    let tag = [("if-none-match", header(&headers, "etag"))];
    assert_eq!(world.send(Method::GET, "/crl/root.crl", &tag, b"").await.status(), 304);
    assert_eq!(world.send(Method::GET, "/crl/root/0.crl", &[], b"").await.status(), 404);
    // What is not in the folder any more is not given out.
    world.responder.replace_offline(OfflineFiles::default());
    assert_eq!(world.send(Method::GET, "/crl/root.crl", &[], b"").await.status(), 404);
}

#[test]
fn files_that_are_not_what_they_are_called_are_named() {
    let (certificate, list) = authority("root", start().plus(DAY));
    let (_, other) = authority("root", start().plus(DAY));
    assert!(read(Path::new("/nowhere/at/all")).unwrap().lists().is_empty());
    for (files, complaint) in [
        (vec![("root.der", &certificate)], "root.der is neither NAME.crt nor NAME.crl"),
        (vec![("Root.crt", &certificate)], "Root.crt is neither NAME.crt nor NAME.crl"),
        (vec![("root.crt", &list)], "root.crt is no certificate"),
        (vec![("root.crl", &certificate)], "root.crl is no CRL"),
        (vec![("e1.crt", &certificate)], "e1.crt is for the issuing CA e1"),
        (
            vec![("root.crt", &certificate), ("root.crl", &other)],
            "root.crl is not signed by the CA in root.crt",
        ),
        (vec![("root.crt", &vec![0x30; (1 << 20) + 1])], "root.crt is no file of at most"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for (name, contents) in files {
            fs::write(folder.path().join(name), contents).unwrap();
        }
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.contains(complaint), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    for number in 0..65 {
        fs::write(folder.path().join(format!("a{number}.crt")), &certificate).unwrap();
    }
    assert!(read(folder.path()).unwrap_err().to_string().contains("more than 64 files"));
}
